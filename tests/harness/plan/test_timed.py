"""Which runs stand for the variants where these are timed."""

from __future__ import annotations

from dataclasses import replace

from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.plan.grid import Grid, expand
from spike_ssm.harness.plan.sweep_file import named_sweep
from spike_ssm.harness.plan.timed import MOST, timed_runs


def grid_of(composer: Composer, *words: str) -> Grid:
    command = parse_command_line(words)
    return expand(composer, command, named_sweep(composer, command))


def test_one_run_a_variant_and_task_with_the_lowest_seed_that_is_finished(composer: Composer) -> None:
    grid = grid_of(
        composer, "+sweep=ablation_refractory", "task=listops,bbc_order", "refractory=fixed,none", "seed=0,1"
    )
    runs = {run.plan.id: (run.settings.task.name, run.plan.variant, run.plan.seed) for run in grid.runs}
    others = [("listops", "none", 0), ("listops", "fixed", 0), ("bbc_order", "none", 0), ("bbc_order", "fixed", 0)]
    assert sorted(runs[run_id] for run_id in timed_runs(grid, runs)) == sorted(others)
    done = [run_id for run_id, (_, variant, seed) in runs.items() if (variant, seed) != ("fixed", 0)]
    timed = [runs[run_id] for run_id in timed_runs(grid, done) if runs[run_id][0] == "listops"]
    assert timed == [("listops", "none", 0), ("listops", "fixed", 1)], "the baseline first"


def test_runs_that_train_nothing_are_not_timed_nor_are_more_variants_than_fit(composer: Composer) -> None:
    speed = grid_of(composer, "+sweep=speed")
    assert timed_runs(speed, {run.plan.id for run in speed.runs}) == []
    many = grid_of(composer, "+sweep=ablation_threshold", "task=listops", "seed=0")
    (first, *_) = many.runs
    grown = [replace(first, plan=replace(first.plan, id=str(place), variant=str(place))) for place in range(MOST + 9)]
    assert len(timed_runs(Grid(grown, None, {}), {run.plan.id for run in grown})) == MOST
