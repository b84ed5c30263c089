"""Tiny runs of the real harness: a place to run sweeps in, settings, and data."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml

import spike_ssm.harness.study
import spike_ssm.harness.tune
from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.settings import SCALES, Settings
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.listops import ListOps
from spike_ssm.harness.sweep import main
from spike_ssm.results.reading import read_run

TINY = (
    *("task.min_length=3", "task.max_length=12", "task.train=64", "task.validation=32", "task.test=32"),
    *("model.layers=1", "model.channels=8", "model.state_size=4"),
    *("optim.epochs=1", "optim.batch_size=16", "optim.warmup_epochs=0.5"),
)

PLAIN = ("estimate=false", "timing=false")
"""What a test says of the sweeps that it runs for another reason."""

MINI = {
    "title": "Two leaks",
    "question": "Does the leak matter?",
    "seeds": [0],
    "base": {"launcher": "debug"},
    "grid": {"neuron.leak": [0.5, 0.9]},
    "baseline": {"neuron.leak": 0.5},
}

STUDY: dict[str, Any] = {
    "title": "Two neurons.",
    "sweeps": ["two"],
    "budget": 1,
    "robustness": True,
    "questions": ["Is one better?"],
    "answers": "A difference counts when it is shown.",
}
"""A study `pair` of the sweep `two`."""

TWO: dict[str, Any] = {
    **{key: MINI[key] for key in ("title", "question")},
    "seeds": [0],
    "base": {"launcher": "debug", **{word.partition("=")[0]: yaml.safe_load(word.partition("=")[2]) for word in TINY}},
    "grid": {"task": ["listops"], "neuron": ["lif_soft", "gelu"]},
    "baseline": {"neuron": "gelu"},
    "tune": {"optim.lr": {"low": 0.001, "high": 0.1, "log": True}},
}
"""The sweep `two`: two runs, and what is tuned."""


def sweeps_for(composer: Composer, scale: str) -> list[str]:
    """The packaged sweeps that are for this scale."""
    return [name for name in composer.options("sweep") if scale in composer.load("sweep", name).get("only_at", SCALES)]


@dataclass(frozen=True)
class Outcome:
    """What a call of the command returned and printed."""

    status: int
    out: list[str]
    err: list[str]


def called(command: Callable[[list[str]], int], words: list[str]) -> Outcome:
    """Of a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = command(words)
    return Outcome(status, out.getvalue().splitlines(), err.getvalue().splitlines())


@dataclass(frozen=True)
class Place:
    """Folders to run sweeps in. `mini` is there from the start: two runs of the leak axis, without processes."""

    folder: Path
    cache: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.folder / "runs"

    @property
    def reports(self) -> Path:
        return self.folder / "html"

    def sweep_file(self, name: str, content: str | dict[str, Any] | None = None, **changes: Any) -> None:
        """Write `content`, or the sweep `mini` with `changes`; None takes a key away, another grid the baseline."""
        if content is None:
            merged = {**MINI, **({"baseline": None} if "grid" in changes else {}), **changes}
            content = {key: value for key, value in merged.items() if value is not None}
        path = self.folder / "config" / "sweep" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))  # JSON is YAML

    def words(self, *words: str, name: str = "mini") -> list[str]:
        """The command line of a tiny sweep; `words` come last and win."""
        paths = (
            f"paths.results={self.results}",
            f"paths.reports={self.reports}",
            f"paths.cache={self.cache}",
        )
        return ["--config-dir", str(self.folder / "config"), f"+sweep={name}", *TINY, *paths, *words]

    def sweep(self, *words: str, name: str = "mini") -> Outcome:
        """Call the command in this process, without estimate and timing stage unless `words` ask for one."""
        return called(main, self.words(*PLAIN, *words, name=name))

    def tune(self, *words: str, name: str = "mini") -> Outcome:
        """Call harness.tune in this process."""
        return called(spike_ssm.harness.tune.main, self.words("estimate=false", *words, name=name))

    def start(self, *words: str, name: str = "mini") -> subprocess.Popen[str]:
        """Call the command in a process of its own, started in this place's folder, with `PLAIN` words."""
        code = "import sys; from spike_ssm.harness.sweep import main; sys.exit(main())"
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *self.words(*PLAIN, *words, name=name)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def rows(self) -> dict[str, dict[str, Any]]:
        """Every stored row by id."""
        return {path.stem: read_run(path) for path in self.results.glob("rows/*.parquet")}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data, shared by all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory, cache: Path, _one_thread: None) -> Iterator[Place]:
    """A fresh place; what was started in it ends with the test."""
    place = Place(tmp_path_factory.mktemp("place"), cache)
    place.sweep_file("mini")
    yield place
    for process in place.started:
        if process.poll() is None:
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                each.kill()


@pytest.fixture(scope="session")
def composer() -> Composer:
    """Of the packaged configuration."""
    return Composer()


@pytest.fixture
def tiny(composer: Composer, _one_thread: None) -> Callable[..., Settings]:
    """The settings of a tiny run, with more words of a command line."""
    return lambda *words: composer.settings(parse_command_line([*TINY, *words]).overrides)


@pytest.fixture
def data(tiny: Callable[..., Settings], cache: Path) -> Dataset:
    """What a tiny run is trained and tested on."""
    return ListOps(tiny().task).prepare(cache, cache)


@pytest.fixture
def study(place: Any) -> Any:
    """Calls the command on the study `pair`, or `changes` of it, with further words."""

    def call(*words: str, name: str = "pair", **changes: Any) -> Any:
        folder = place.folder / "config" / "study"
        folder.mkdir(parents=True, exist_ok=True)
        content = {key: value for key, value in {**STUDY, **changes}.items() if value is not None}
        (folder / "pair.yaml").write_text(json.dumps(content))
        place.sweep_file("two", TWO)
        paths = (f"paths.results={place.results}", f"paths.reports={place.reports}", f"paths.cache={place.cache}")
        return called(
            spike_ssm.harness.study.main,
            [name, "--config-dir", str(place.folder / "config"), *paths, "estimate=false", *words],
        )

    return call
