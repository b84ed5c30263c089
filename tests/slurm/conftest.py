"""A real SLURM of one node, and places on it to run sweeps in."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.slurm.site import Site

HERE = Path(__file__).parent


@pytest.fixture(scope="package")
def cluster(no_cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a SLURM that runs, and is seen, while these tests do."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("a SLURM of our own is started as root, on Debian; elsewhere these tests have nothing to run on")
    seen = os.environ["PATH"].replace(f"{no_cluster}:", "", 1)
    base = tmp_path_factory.mktemp("slurm")
    environment = {**os.environ, "PATH": f"{seen}:/usr/sbin:/sbin", "SLURM_BASE": str(base), "SLURM_NODE_CPUS": "8"}
    subprocess.run(["bash", HERE / "up.sh"], check=True, env=environment, timeout=300)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", seen)
        yield base
    subprocess.run(["bash", HERE / "down.sh", "--purge"], check=True, env=environment, timeout=120)


def place_in(folder: Path, cache: Path, seeds: tuple[int, ...]) -> Site:
    """A place with a sweep `mini` of one run a seed."""
    (folder / "sweep").mkdir(parents=True)
    content = {
        "title": "One run",
        "question": "Does it end well?",
        "seeds": list(seeds),
        "grid": {"neuron.leak": [0.5]},
    }
    (folder / "sweep" / "mini.yaml").write_text(yaml.safe_dump(content))
    return Site(folder, cache)


@pytest.fixture(scope="package")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data. Kernels are compiled, too: jobs that begin together would else each do it, for half a minute."""
    cache = tmp_path_factory.mktemp("cache")
    assert place_in(tmp_path_factory.mktemp("first"), cache, (0,)).sweep("launcher=debug", "optim.epochs=1") == 0
    return cache


@pytest.fixture(scope="package")
def new_site(
    cluster: Path,
    tmp_path_factory: pytest.TempPathFactory,
    shared_cache: Path,
) -> Callable[..., Site]:
    """Makes a place with a sweep `mini` of one run a seed."""
    return lambda seeds=(0,): place_in(tmp_path_factory.mktemp("site"), shared_cache, seeds)


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    """A place with a sweep of one run."""
    return new_site()
