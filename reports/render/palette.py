"""One look a variant, the same in every figure, table and legend of a page.

Colours are CSS variables, so that a figure follows the reader's light or dark mode. The ten were searched for a
distance of at least 20 (CIE Lab, 1976) between any two, also under simulated protan-, deuter- and tritanopia (Machado
et al. 2009), and a contrast of at least 3:1 with the page. Markers and dashes say the same.
"""

from __future__ import annotations

from dataclasses import dataclass

LIGHT = ("#1e2432", "#2196ff", "#f56727", "#1b6c54", "#a4419a", "#543902", "#5a1fda", "#c28661", "#f300e7", "#310049")
DARK = ("#b4b9bd", "#5fa2fb", "#dd6026", "#3de59a", "#b44fa6", "#f5cb30", "#8155f0", "#ceff79", "#f30c55", "#3d7949")
LIGHT_PAGE = (
    "--page: #ffffff; --ink: #1c2127; --muted: #59636e; --line: #e2e6ea; --surface: #f6f7f9; --link: #0b5cad; "
    "--good: #17643f; --bad: #a3330b; --notice: #fff7e0; --notice-line: #e3c25c;"
)
DARK_PAGE = (
    "--page: #12161b; --ink: #e4e8ec; --muted: #9ba6b2; --line: #2b323b; --surface: #1a1f26; --link: #7fb5f5; "
    "--good: #5fd39a; --bad: #ff9a70; --notice: #2b2615; --notice-line: #7a6521;"
)
SOLID = (1.0, 0.0)
_DASHES = (
    *(SOLID, (5, 1.5), (3, 1.2), (6, 1.5, 1.2, 1.5), (1.4, 1.2), (8, 2), (4, 1, 1, 1, 1, 1), (2, 2)),
    *((9, 1.5, 3, 1.5), (1, 2.4)),
)
_MARKERS = {  # matplotlib's name -> the same shape for a 12 x 12 legend swatch
    "o": "M6 1.5a4.5 4.5 0 1 0 .01 0z",
    "s": "M2 2h8v8h-8z",
    "^": "M6 1l5 9.5h-10z",
    "D": "M6 .8l5.2 5.2-5.2 5.2-5.2-5.2z",
    "v": "M6 11l5-9.5h-10z",
    "P": "M4.2 1h3.6v3.2h3.2v3.6h-3.2v3.2h-3.6v-3.2h-3.2v-3.6h3.2z",
    "X": "M1 3.2l2.2-2.2 2.8 2.8 2.8-2.8 2.2 2.2-2.8 2.8 2.8 2.8-2.2 2.2-2.8-2.8-2.8 2.8-2.2-2.2 2.8-2.8z",
    "h": "M6 .8l4.5 2.6v5.2l-4.5 2.6-4.5-2.6v-5.2z",
    "<": "M1 6l9.5-5v10z",
    ">": "M11 6l-9.5-5v10z",
}


@dataclass(frozen=True)
class Look:
    """How a variant is drawn."""

    colour: int  # position in LIGHT and DARK
    marker: str  # matplotlib's name
    dashes: tuple[float, ...]  # matplotlib's on-off lengths
    outline: str  # the marker as an SVG path
    tag: str = ""  # what is to be said of the variant wherever it has a row

    @property
    def css(self) -> str:
        """The CSS value of the colour."""
        return f"var(--v{self.colour})"

    @property
    def strokes(self) -> str:
        """The dashes of a line 1.5 wide, as SVG has them; a whole line's are none."""
        return "none" if self.dashes == SOLID else " ".join(f"{1.5 * length:g}" for length in self.dashes)

    @property
    def placeholder(self) -> str:
        """The colour given to matplotlib, replaced by `css` in its output."""
        return f"#fe00{self.colour:02x}"


def looks(variants: list[str], baseline: str | None) -> dict[str, Look]:
    """A look a variant: the baseline alone has the neutral first colour.

    Up to ten repeat neither a colour, a marker nor dashes; of up to `MOST_APART` no two have a colour and dashes, or a
    colour and a marker, in common.
    """
    order = sorted(variants, key=lambda variant: variant != baseline)
    return {variant: _look(place) for place, variant in enumerate(order, start=0 if baseline in variants else 1)}


MOST_APART = (len(LIGHT) - 1) * len(_DASHES)
"""Looks of one page of which no two are alike: the two lengths have no factor in common."""


def _look(place: int) -> Look:
    marker, outline = list(_MARKERS.items())[place % len(_MARKERS)]
    colour = 1 + (place - 1) % (len(LIGHT) - 1) if place else 0
    return Look(colour, marker, _DASHES[place % len(_DASHES)], outline)


def stylesheet(colours: tuple[str, ...]) -> str:
    """The custom properties for one mode."""
    return " ".join(f"--v{place}: {colour};" for place, colour in enumerate(colours))
