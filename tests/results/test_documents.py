"""A document that people write becomes a dataclass, or one sentence that says where, what was wrong and what may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError


@dataclass
class Part:
    FORM: ClassVar[str] = "must be {low: A, high: B}"

    low: float
    high: float = 1.0


@dataclass
class Document:
    title: str
    seeds: Annotated[list[int], "must be a list of whole numbers from 0 on"]
    wanted: bool = False
    count: int | None = None
    points: list[dict[str, Any]] = field(default_factory=list)
    part: Part | None = None
    parts: dict[str, Part] = field(default_factory=dict)


KEYS = "count, part, parts, points, seeds, title, wanted"


def sentence(content: Any) -> str:
    with pytest.raises(UserError) as caught:
        read_document(Document, content, "a.yaml")
    return str(caught.value)


@given(
    title=st.text(),
    seeds=st.lists(st.integers()),
    wanted=st.booleans(),
    count=st.none() | st.integers(),
    low=st.integers() | st.floats(allow_nan=False),
    names=st.lists(st.text(), unique=True),
)
def test_what_a_document_holds_is_what_the_dataclass_has(
    title: str, seeds: list[int], wanted: bool, count: int | None, low: float, names: list[str]
) -> None:
    parts = {name: {"low": low} for name in names}
    content = {"title": title, "seeds": seeds, "wanted": wanted, "count": count, "part": {"low": low}, "parts": parts}
    read = read_document(Document, content, "a.yaml")
    assert read == Document(title, seeds, wanted, count, [], Part(low), {name: Part(low) for name in names})


def test_a_key_without_a_value_is_left_out_where_it_may_be() -> None:
    assert read_document(Document, {"title": "T", "seeds": [], "points": None, "part": None}, "a.yaml").points == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"title": None}, "a.yaml: title must be a text, but it is None."),
        ({"seeds": [0.5]}, "a.yaml: seeds must be a list of whole numbers from 0 on, but it is [0.5]."),
        ({"seeds": [True]}, "a.yaml: seeds must be a list of whole numbers from 0 on, but it is [True]."),
        ({"wanted": 1}, "a.yaml: wanted must be true or false, but it is 1."),
        ({"count": True}, "a.yaml: count must be a whole number, but it is True."),
        ({"points": {"a": 1}}, "a.yaml: points must be a list of mappings, but it is {'a': 1}."),
        ({"part": 3}, "a.yaml: part must be {low: A, high: B}, but it is 3."),
        ({"part": {"lo": 3}}, "a.yaml: part must be {low: A, high: B}, but it is {'lo': 3}."),
        ({"parts": {"x": {"low": "a"}}}, "a.yaml: parts.x must be {low: A, high: B}, but it is {'low': 'a'}."),
        ({"sede": 1}, f"a.yaml has unknown keys ['sede']; its keys are {KEYS}."),
    ],
)
def test_what_does_not_fit_is_said_with_the_place_and_what_is_allowed(changes: dict[str, Any], expected: str) -> None:
    assert sentence({"title": "T", "seeds": [0], **changes}) == expected


def test_what_is_missing_is_named() -> None:
    assert sentence({}).startswith("a.yaml has no ['seeds', 'title']; its keys are count, part")
    assert sentence([1]) == "a.yaml must hold keys and values, but it is [1]."
