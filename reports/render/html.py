"""Pages from the templates in reports/render/templates: every text escaped, one style sheet, nothing fetched."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from spike_ssm.reports.render import palette


def rendered(template: str, beside: object, **content: Any) -> str:
    """The page that `template` makes of `content`.

    beside: a `reports.render.beside.Beside`, which the template asks for links and then knows what is to be written.
    """
    environment = Environment(
        loader=PackageLoader("spike_ssm.reports.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["beside"] = beside  # where macros find it, too
    colours = {
        "light": f"{palette.LIGHT_PAGE} {palette.stylesheet(palette.LIGHT)}",
        "dark": f"{palette.DARK_PAGE} {palette.stylesheet(palette.DARK)}",
    }
    return environment.get_template(template).render(**content, **colours)
