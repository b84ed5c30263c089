"""Documents that people write as YAML, read into dataclasses that say what they may hold.

A field's type is what its key takes: str, int, float, bool, Any, one of some words (`Literal`), lists and mappings of
these, another dataclass, or one of these or None. `Annotated[TYPE, "must ..."]` says it in better words. A dataclass
with a `FORM` is described by it as a whole, where its keys or values are not right.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from spike_ssm.results.errors import UserError

T = TypeVar("T")

_WORDS: dict[Any, tuple[str, str]] = {
    str: ("a text", "texts"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    dict: ("a mapping", "mappings"),
    list: ("a list", "lists"),
}
"""Type -> what one is called, and several."""


def read_document(kind: type[T], content: Any, file: str, path: str = "") -> T:
    """The `content` of a document, or of its part at the dotted `path`, as the dataclass `kind`.

    A key without a value counts as left out where it may be. Raises `UserError`, naming `file`, the key and what is
    allowed.
    """
    place = f"{file}: {path}" if path else file
    known = {each.name: each for each in fields(kind) if each.init}  # type: ignore[arg-type]
    needed = {name for name, each in known.items() if not _has_default(each)}
    form: str | None = getattr(kind, "FORM", None)
    if not isinstance(content, Mapping):
        raise UserError(f"{place} {form or 'must hold keys and values'}, but it is {content!r}.")
    unknown, missing = sorted({*map(str, content)} - known.keys()), sorted(needed - {*map(str, content)})
    if unknown or missing:
        if form:
            raise UserError(f"{place} {form}, but it is {dict(content)!r}.")
        problem = f"unknown keys {unknown}" if unknown else f"no {missing}"
        raise UserError(f"{place} has {problem}; its keys are {', '.join(sorted(known))}.")
    hints = _type_hints(kind)  # type: ignore[arg-type]
    try:
        values = {
            str(key): _value(hints[str(key)], value, file, _below(path, key))
            for key, value in content.items()
            if value is not None or str(key) in needed
        }
    except UserError as error:
        raise UserError(f"{place} {form}, but it is {dict(content)!r}.") if form else error from error
    return kind(**values)


@functools.cache
def _type_hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _has_default(each: Field[Any]) -> bool:
    return each.default is not MISSING or each.default_factory is not MISSING


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _value(hint: Any, value: Any, file: str, path: str) -> Any:
    """The value as its type asks for. Raises `UserError`."""
    must = None
    while get_origin(hint) in (Union, types.UnionType, Annotated):
        if get_origin(hint) is Annotated:
            hint, must = get_args(hint)
        elif value is None:
            return None
        else:
            (hint,) = (each for each in get_args(hint) if each is not type(None))
    if isinstance(hint, type) and is_dataclass(hint):
        return read_document(hint, value, file, path)
    if get_origin(hint) is dict and _nests(hint) and isinstance(value, Mapping):
        return {str(key): _value(get_args(hint)[1], each, file, _below(path, key)) for key, each in value.items()}
    if get_origin(hint) is list and _nests(hint) and isinstance(value, list):
        return [_value(get_args(hint)[0], each, file, f"{path}[{number}]") for number, each in enumerate(value)]
    if not _fits(hint, value):
        raise UserError(f"{file}: {path} {must or f'must be {_words(hint)}'}, but it is {value!r}.")
    return {str(key): each for key, each in value.items()} if isinstance(value, Mapping) else value


def _nests(hint: Any) -> bool:
    """Whether a dataclass is somewhere within containers."""
    return is_dataclass(hint) or any(_nests(each) for each in get_args(hint))


def _fits(hint: Any, value: Any) -> bool:
    if hint is Any:
        return True
    kind, inside = get_origin(hint) or hint, get_args(hint)
    if kind is Literal:
        return value in inside
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return False
    if kind is list and inside:
        return all(_fits(inside[0], each) for each in value)
    return kind is not dict or len(inside) < 2 or all(_fits(inside[1], each) for each in value.values())


def _words(hint: Any) -> str:
    kind, inside = get_origin(hint) or hint, get_args(hint)
    if kind is Literal:
        return " or ".join(map(str, inside))
    if kind is list and inside and inside[0] is not Any:
        return f"a list of {_WORDS.get(get_origin(inside[0]) or inside[0], _WORDS[dict])[1]}"
    return _WORDS[kind][0]
