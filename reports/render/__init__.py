"""How tables, statements and figures become HTML, CSV, Markdown, LaTeX and SVG."""
