"""The lock file names every package that `make test` installs, each by one version that pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from spike_ssm.harness.system.root import ROOT

OTHER_BUILDS = re.compile(r"nvidia|cuda|triton")
"""What torch's CUDA build needs beside its CPU build."""


@cache
def locked() -> dict[str, Version]:
    lines = [line for line in (ROOT / "requirements-lock.txt").read_text().splitlines() if not line.startswith("#")]
    found = {}
    for line in lines:
        name, version = line.split("==")  # neither hosts, nor bounds, nor options
        found[canonicalize_name(name)] = Version(version)
    assert len(found) == len(lines)
    return found


def asked_for() -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    yield from map(Requirement, [*project["dependencies"], *extras["standins"], *extras["dev"]])
    for line in (ROOT / "requirements-peers.txt").read_text().splitlines():
        if not line.startswith("#"):
            yield Requirement(line)


@pytest.mark.parametrize("requirement", list(asked_for()), ids=str)
def test_the_locked_version_is_one_that_is_asked_for(requirement: Requirement) -> None:
    version = locked()[canonicalize_name(requirement.name)]
    assert version in requirement.specifier
    assert version.local is None, "a local version, such as +cpu, is only found in the index that has it"


def test_what_locked_packages_need_is_locked_too() -> None:
    """Of those that are installed here in the locked version, so that none is left to the day of the installation."""
    peers = {"spikingjelly", "snntorch", "neurobench"}  # installed with --no-deps
    compared = 0
    for name, version in locked().items():
        try:
            installed = distribution(name)
        except PackageNotFoundError:  # an extra that is not installed here
            continue
        if name in peers or Version(installed.version).public != version.public:
            continue
        for needed in map(Requirement, installed.requires or []):
            if (needed.marker and not needed.marker.evaluate({"extra": ""})) or OTHER_BUILDS.match(needed.name):
                continue
            assert locked()[canonicalize_name(needed.name)] in needed.specifier, f"{name} needs {needed}"
            compared += 1
    assert compared
