"""A matplotlib figure as SVG that belongs to the page: its text is text, its colours are the page's.

matplotlib knows no CSS variables, so figures are drawn in placeholder colours, replaced here.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import AbstractContextManager

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from spike_ssm.reports.render.palette import LIGHT

INK = "#fe0100"
FAINT = "#fe0200"
PAGE = "#fe0300"
MUTED = "#fe0400"
_COLOURS = {INK: "currentColor", FAINT: "var(--line)", PAGE: "var(--page)", MUTED: "var(--muted)"} | {
    f"#fe00{place:02x}": f"var(--v{place})" for place in range(len(LIGHT))
}
_LONG = re.compile(r"-?\d+\.\d{2,}")  # matplotlib writes six decimals of a point, five more than are seen
_POINTS_PER_INCH = 72  # the unit of an SVG of matplotlib
_FONT = "DejaVu Sans"  # shipped with matplotlib, used only to measure; the page's own font is shown


def drawing() -> AbstractContextManager[None]:
    """The settings under which every figure is drawn and rendered; the caller's own are untouched."""
    return mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "spike-ssm",
            "font.family": _FONT,
            "font.size": 9,
            "text.parse_math": False,
            "axes.labelsize": 9,
            "axes.linewidth": 0.7,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.linewidth": 0.7,
            "grid.color": FAINT,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "xtick.labelsize": 8.5,
            "ytick.labelsize": 8.5,
            "xtick.major.size": 3,
            "ytick.major.size": 0,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "axes.unicode_minus": True,
        }
    )


def framed(
    figure: Figure, left: float = 0.6, bottom: float = 0.48, right: float = 0.12, top: float = 0.1, **between: float
) -> Figure:
    """The figure with margins of so many inches; `between` panels as `Figure.subplots_adjust` has it.

    To have the margins found, a layout engine draws everything once more, which takes as long as the rest.
    """
    width, height = figure.get_size_inches()
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, **between)
    return figure


def render(figure: Figure, name: str, label: str) -> Markup:
    """The figure as an inline `<svg>` whose ids start with `name`; `label` is its text for screen readers.

    Safe to insert as it is: matplotlib escapes every text it writes, and the label is escaped here.
    """
    buffer = io.StringIO()
    canvas = FigureCanvasSVG(figure)
    figure.set_dpi(_POINTS_PER_INCH)
    if layout := figure.get_layout_engine():
        layout.execute(figure)
        figure.set_layout_engine("none")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+")  # missing where text is measured, not where it is shown
        # `savefig` would draw everything once more, only to lay it out
        canvas.print_svg(buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))  # type: ignore[no-untyped-call]
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", drawn, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', drawn)
    opening = f'<svg {view.group() if view else ""} role="img" aria-label="{escape(label)}">'
    drawn = re.sub(r"<svg[^>]*>", lambda _: opening, drawn, count=1)
    drawn = re.sub(r' [dxy]="[^"]*"', lambda found: _shortened(found[0]), drawn)
    drawn = re.sub(r">\s+<", "><", drawn)
    drawn = re.sub(r'\bid="', f'id="{name}-', drawn)
    drawn = drawn.replace('xlink:href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    for placeholder, colour in _COLOURS.items():
        drawn = drawn.replace(placeholder, colour)
    return Markup(drawn.replace(f"'{_FONT}'", "var(--font)"))


def _shortened(attribute: str) -> str:
    """Numbers with one decimal, on one line."""
    return " " + " ".join(
        _LONG.sub(lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), attribute).split()
    ).replace(' "', '"')
