"""How to cite this software and the paper whose neuron it implements: from CITATION.cff, which alone says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

_PAPER, _SOFTWARE = "zhong2024spikessm", "spikessm_software"


@cache
def bibtex() -> str:
    """Two entries, of the paper and of this software, that any BibTeX style has: `article` and `misc`.

    An installed package has the file that this room's link leads to in a checkout.
    """
    content: dict[str, Any] = yaml.safe_load(files("spike_ssm.reports").joinpath("CITATION.cff").read_text("utf-8"))
    (paper,) = content["references"]
    preprint = next(each["value"] for each in paper["identifiers"])
    of_paper = {
        "title": paper["title"],
        "author": _authors(paper["authors"]),
        "year": str(paper["year"]),
        "journal": f"arXiv preprint {preprint}",
        "url": paper["url"],
    }
    of_software = {
        "title": content["title"],
        "author": _authors(content["authors"]),
        "note": f"Software, version {content['version']}, {content['license']} license",
    }
    return f"{_entry('article', _PAPER, of_paper)}\n\n{_entry('misc', _SOFTWARE, of_software)}"


def _authors(people: Sequence[Mapping[str, str]]) -> str:
    """`Zhong, Yan and Zhao, Ruoyu`; a group in braces, as it has no first name."""
    return " and ".join(
        f"{{{each['name']}}}" if "name" in each else f"{each['family-names']}, {each['given-names']}" for each in people
    )


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    """A title is in double braces: names such as SSM keep their capitals."""
    shown = {name: f"{{{value}}}" if name == "title" else value for name, value in fields.items()}
    lines = [f"  {name} = {{{value}}}," for name, value in shown.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
