"""The benchmark times nothing before its gate is green, and says which targets its numbers meet."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from benchmarks import gate, neuron, sections
from benchmarks.cases import Case
from benchmarks.memory import beyond_input_and_output
from spike_ssm.harness.system.root import ROOT
from spike_ssm.models.ops.refractory_lif import Solution

SOLVERS = ("sequential", "pmbc", "fused")


def test_the_gate_is_green_for_our_solvers_and_for_the_peer() -> None:
    gate.check(Case(2, 5, 257), SOLVERS)
    gate.check_peer(Case(2, 5, 257), "fused")


def test_the_gate_is_red_for_a_solver_with_a_wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    right = gate.solve

    def biased(x: torch.Tensor, *rest: Any, return_potential: bool) -> Solution:
        found = right(x, *rest, return_potential=return_potential)
        fused = rest[-1].solver == "fused"
        return found._replace(spikes=found.spikes + 0.1 * (x - x.detach())) if fused else found

    monkeypatch.setattr(gate, "solve", biased)
    with pytest.raises(AssertionError, match=r"fused at .*: gradient of x"):
        gate.check(Case(2, 5, 64), SOLVERS)


@pytest.mark.parametrize(
    "section",
    [
        lambda: sections.against_spikingjelly([Case(1, 2, 16)], SOLVERS, 1),
        lambda: sections.length_scaling([Case(1, 2, 16)], 1),
        lambda: sections.choices([Case(1, 2, 16)], 1),
        lambda: sections.against_loop([Case(1, 2, 16)], 1),
        lambda: sections.bandwidth(Case(1, 2, 16), 1),
    ],
)
def test_no_section_times_anything_on_a_red_gate(section: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def red(*_: object) -> None:
        raise AssertionError("red")

    monkeypatch.setattr(sections, "check", red)
    monkeypatch.setattr(sections, "interleaved_medians", lambda *_: pytest.fail("timed all the same"))
    with pytest.raises(AssertionError, match="red"):
        list(section())


def test_every_section_gives_its_rows() -> None:
    case = Case(1, 2, 32)
    peers = list(sections.against_spikingjelly([case], SOLVERS, 1))
    assert {row["candidate"] for row in peers} == {*SOLVERS, sections.PEER}
    assert [row["ratio"] for row in peers if row["candidate"] == sections.PEER] == [1.0, 1.0]
    lengths = list(sections.length_scaling([Case(2, 8, 16), Case(2, 4, 32)], 1))
    assert max(row["ratio"] for row in lengths) == 1.0
    choices = {row["candidate"]: row["ratio"] for row in sections.choices([case], 1)}
    assert max(choices.values()) == 1.0
    assert choices["auto"] == choices["fused"]
    assert {row["candidate"] for row in sections.against_loop([case], 1)} == {"fused", "pmbc", "loop"}
    assert all(row["ratio"] > 0 for row in sections.bandwidth(case, 1))


@pytest.mark.slow
def test_the_fused_solver_needs_less_memory_than_its_input_besides_input_and_output() -> None:
    assert beyond_input_and_output("fused", Case(8, 64, 8192)) < 0.5


def test_verdicts_name_the_worst_ratio_and_whether_it_meets_the_target() -> None:
    def row(section: str, ratio: float, length: int = 1024) -> sections.Row:
        sizes = {"batch": 8, "channels": 64, "length": length}
        return {"section": section, "candidate": "fused", "pass": sections.BOTH, **sizes, "ms": 1.0, "ratio": ratio}

    rows = [row("against SpikingJelly", 70, 4096), row("against SpikingJelly", 55, 8192), row("memory", 0.1)]
    targets = (
        neuron.Target("against SpikingJelly", sections.BOTH, "fused", (4096, 8192), 60),
        neuron.Target("memory", sections.BOTH, "fused", (), 1.0),
        neuron.Target("bandwidth", sections.BOTH, "fused", (), 0.7),
    )
    missed, met = neuron.verdicts(rows, targets)
    assert "55.00 (target at least 60.00: missed)" in missed
    assert "0.10 (target at most 1.00: met)" in met


@pytest.mark.parametrize("module", ["neuron", "network"])
def test_a_peer_that_is_not_installed_is_a_sentence_before_anything_is_measured(module: str) -> None:
    without = f"import runpy, sys; sys.modules['spikingjelly'] = None; sys.argv = ['{module}']"
    code = f"{without}; runpy.run_module('benchmarks.{module}', run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "Error: This benchmark measures against spikingjelly, which is not installed: "
        "pip install --no-deps -r requirements-peers.txt\n"
    )
