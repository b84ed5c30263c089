"""A figure of the page as an SVG file of its own: on white, in the light page's colours, with its title and legend."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

from markupsafe import Markup, escape

from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.render.palette import LIGHT, Look

_COLOURS = {"line": "#e2e6ea", "page": "#ffffff", "muted": "#59636e", "font": "sans-serif"} | {
    f"v{place}": colour for place, colour in enumerate(LIGHT)
}
_INK = "#1c2127"
_MARGIN, _TITLE_LINE, _LEGEND_LINE = 8.0, 15.0, 14.0
_TITLE_CHARACTER, _CHARACTER = 6.4, 5.3  # widths that are wide enough for most letters at the sizes used here
_KEY = 24.0  # the line of an entry; its marker, 12 wide, is in the middle
_VIEW = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')


def standalone(drawn: Drawn) -> str:
    """The figure as a file. Its caption is its description, for readers that show one."""
    inner = str(drawn.svg)  # Markup escapes what it is given
    view = _VIEW.search(inner)
    width, height = (float(size) for size in view.groups()) if view else (324.0, 223.2)
    titles = textwrap.wrap(drawn.title, int((width - 2 * _MARGIN) / _TITLE_CHARACTER)) or [""]
    top = _MARGIN + _TITLE_LINE * len(titles)
    legend, legend_height = _legend(drawn.legend, width, top + height)
    total = top + height + legend_height
    parts = [
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:g} {1:g}" width="{0:g}" height="{1:g}" '
            'style="color:{2}" font-family="sans-serif">'
        ).format(width, total, _INK),
        Markup("<title>{}</title><desc>{}</desc>").format(drawn.title, drawn.caption),
        Markup('<rect width="{:g}" height="{:g}" fill="#ffffff"/>').format(width, total),
        *(
            Markup('<text x="{:g}" y="{:g}" font-size="11" font-weight="bold" fill="{}">{}</text>').format(
                _MARGIN, _MARGIN + 11 + _TITLE_LINE * place, _INK, line
            )
            for place, line in enumerate(titles)
        ),
        inner.replace("<svg ", f'<svg y="{top:g}" width="{width:g}" height="{height:g}" ', 1),
        *legend,
        "</svg>",
    ]
    whole = "".join(map(str, parts))
    for name, value in _COLOURS.items():
        whole = whole.replace(f"var(--{name})", value)
    return whole


def _legend(looks: Mapping[str, Look], width: float, top: float) -> tuple[list[Markup], float]:
    """The entries below `top`, as many in a line as fit, and the height that they take."""
    if not looks:
        return [], 0.0
    entries, x, y = [], _MARGIN, top + _LEGEND_LINE
    for name, look in looks.items():
        needed = _KEY + 5 + _CHARACTER * len(name)
        if x > _MARGIN and x + needed > width - _MARGIN:
            x, y = _MARGIN, y + _LEGEND_LINE
        entries.append(
            Markup(
                '<g transform="translate({:g} {:g})"><path d="M0 6h24" stroke="{}" stroke-width="1.5"'
                ' stroke-dasharray="{}"/><path transform="translate(6 0)" d="{}" fill="{}"/>'
                '<text x="29" y="9.2" font-size="9">{}</text></g>'
            ).format(x, y - 9, look.css, look.strokes, look.outline, look.css, escape(name))
        )
        x += needed + 14
    return entries, y - top + _MARGIN
