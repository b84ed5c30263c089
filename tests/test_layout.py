"""The house stays one: how deep imports go, that none runs back up, and how much a folder holds.

A chain is counted in files, within one of the top folders, from the import graph that the import linter reads; what a
module imports inside a function counts too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import grimp
import pytest

from spike_ssm.harness.system.root import ROOT

LONGEST = {"harness": 10, "reports": 7, "results": 7, "models": 15}
"""Folder -> files in its longest chain of imports, at most."""

MOST_MODULES = 16


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("spike_ssm", cache_dir=None)


def longest_chain(imports: dict[str, set[str]]) -> list[str]:
    """The modules of the longest chain. Raises ValueError where imports run in a circle."""
    chains: dict[str, list[str]] = {}

    def chain(module: str, above: tuple[str, ...] = ()) -> list[str]:
        if module in above:
            raise ValueError(f"imports run in a circle: {' -> '.join([*above, module])}")
        if module not in chains:
            below = (chain(other, (*above, module)) for other in sorted(imports[module]))
            chains[module] = [module, *max(below, key=len, default=[])]
        return chains[module]

    return max((chain(module) for module in sorted(imports)), key=len)


def imports_within(folder: str) -> dict[str, set[str]]:
    inside = {name for name in graph().modules if name.startswith(f"spike_ssm.{folder}")}
    return {name: graph().find_modules_directly_imported_by(name) & inside for name in inside}


@pytest.mark.parametrize("folder", LONGEST)
def test_the_longest_chain_of_imports_is_short_and_none_is_a_circle(folder: str) -> None:
    chain = longest_chain(imports_within(folder))
    assert len(chain) <= LONGEST[folder], " -> ".join(chain)


def test_a_circle_and_a_long_chain_are_noticed() -> None:
    assert longest_chain({"a": {"b", "d"}, "b": {"c"}, "c": {"d"}, "d": set()}) == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="a -> b -> a"):
        longest_chain({"a": {"b"}, "b": {"a"}})


def folders() -> Iterator[str]:
    for top in ("harness", "reports", "results"):
        for path in (ROOT / top, *(ROOT / top).rglob("*/")):
            if any(path.glob("*.py")):
                yield path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("folder", list(folders()))
def test_a_folder_holds_few_modules(folder: str) -> None:
    modules = sorted(path.name for path in (ROOT / folder).glob("*.py"))
    assert len(modules) <= MOST_MODULES, modules
