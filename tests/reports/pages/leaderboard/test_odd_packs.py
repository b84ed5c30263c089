"""Whatever one pack holds, checking it, showing it and computing it again end in a sentence, never in a traceback."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spike_ssm.harness.run.stored import settings_of_row
from spike_ssm.reports.pages.leaderboard.entries import gather
from spike_ssm.reports.pages.leaderboard.tables import board_table, titles
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import has_control_characters
from spike_ssm.results.schema import RUN
from spike_ssm.results.verify.content import MANIFESTS
from spike_ssm.results.verify.identity import id_of
from tests.reports.pages.leaderboard.test_leaderboard import MEASURED, STORED, Row

ODD = (
    None,
    True,
    0,
    -1,
    10**400,
    float("nan"),
    1.5,
    "",
    "x",
    "a.b.C",
    [],
    [None],
    {},
    {"name": None},
    {"a": {"b": [1]}},
)
odd = st.sampled_from(ODD)
often = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@cache
def stored() -> tuple[Row, dict[str, Any]]:
    """A run, and the plan of it alone."""
    table = pq.read_table(MEASURED / f"{STORED}.parquet").slice(0, 1)
    (row,), (plan,) = table.to_pylist(), json.loads(table.schema.metadata[MANIFESTS])
    return {**dict.fromkeys(RUN.names), **row}, {
        **plan,
        "runs": [run for run in plan["runs"] if run["id"] == row["id"]],
    }


def settled(folder: Path, row: Row, plan: Any) -> None:
    """Check, show and prepare to repeat what is in a pack of this run."""
    path = folder / "odd.parquet"
    metadata = {**(RUN.metadata or {}), MANIFESTS: json.dumps([plan])}
    pq.write_table(pa.Table.from_pylist([row], schema=RUN.with_metadata(metadata)), path)
    found = gather([folder])
    for problem in found.problems:
        assert problem.startswith("odd.parquet is not shown. ")
        assert problem.count("odd.parquet") > 1
        assert not has_control_characters(problem)
    for title, table in zip(titles(found.boards), map(board_table, found.boards), strict=True):
        f"{title} {table.rows} {table.notes}".encode()
    if not found.problems:
        with suppress(UserError):
            settings_of_row(row, [])


def places(content: Any) -> list[tuple[Any, ...]]:
    """The ways from a container to all that is in it."""
    if not isinstance(content, dict | list):
        return []
    keys = list(content) if isinstance(content, dict) else list(range(min(1, len(content))))
    return [way for key in keys for way in [(key,), *((key, *rest) for rest in places(content[key]))]]


def put(content: Any, way: tuple[Any, ...], value: Any) -> None:
    for key in way[:-1]:
        content = content[key]
    content[way[-1]] = value


@often
@given(data=st.data())
def test_a_configuration_may_hold_anything(tmp_path: Path, data: st.DataObject) -> None:
    row, plan = copy.deepcopy(stored())
    config = json.loads(row["config"])
    put(config, data.draw(st.sampled_from([*places(config), ("robustness",), ("test",), ("stop_if",)])), data.draw(odd))
    row["config"] = json.dumps(config, sort_keys=True)
    row["id"] = plan["runs"][0]["id"] = id_of(row["config"])
    said = {name: config[name].get("name") for name in ("task", "neuron") if isinstance(config[name], dict)}
    row |= {name: value for name, value in said.items() if isinstance(value, str | None)}
    row |= {"scale": config["scale"]} if isinstance(config["scale"], str | None) else {}
    settled(tmp_path, row, plan)


@often
@given(data=st.data())
def test_a_column_may_hold_nothing_or_something_extreme(tmp_path: Path, data: st.DataObject) -> None:
    row, plan = copy.deepcopy(stored())
    way = data.draw(st.sampled_from(places(row)))
    odd_row = copy.deepcopy(row)
    put(odd_row, way, data.draw(odd))
    try:
        pa.Table.from_pylist([odd_row], schema=RUN)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        put(odd_row, way, None)
    settled(tmp_path, odd_row, plan)


@often
@given(data=st.data())
def test_a_plan_may_hold_anything(tmp_path: Path, data: st.DataObject) -> None:
    row, plan = copy.deepcopy(stored())
    put(plan, data.draw(st.sampled_from(places(plan))), data.draw(odd))
    settled(tmp_path, row, plan)
