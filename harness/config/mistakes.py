"""Sentences of ours for what Hydra and OmegaConf say when words or files make no configuration."""

from __future__ import annotations

import re
from collections.abc import Callable

_KINDS = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "String": "a text"}

_SAID: list[tuple[str, Callable[[re.Match[str]], str]]] = [
    (r"could not be converted to (\w+)", lambda found: f"must be {_KINDS.get(found[1], found[1])}"),
    (r"is not a valid bool", lambda _: "must be true or false"),
    (r"not Optional|non-optional|non-Optional", lambda _: "must have a value, so it cannot be null"),
    (r"is not a ListConfig", lambda _: "must be a list, such as [A,B]"),
    (r"Key '[^']*' not in '\w+'", lambda _: "is not a setting"),
]
"""What OmegaConf says of a value -> what we say of its key."""


def of_value(error: Exception) -> str | None:
    """What must be of a key whose value OmegaConf refused with `error`, such as "must be a number"; None if unknown."""
    for pattern, said in _SAID:
        if found := re.search(pattern, str(error)):
            return said(found)
    return None


def of_composition(error: Exception) -> str:
    """The sentence for an error with which Hydra or OmegaConf composes no configuration, with its file and key."""
    text = " ".join(str(error).split())
    place = re.match(r"In '([^']+)': ", text)
    where = f"{place[1]}.yaml: " if place else ""
    key, refused = re.search(r"full_key: (\S+)", text), of_value(error)
    if key and refused:
        value = re.search(r"Value '([^']*)'", text)
        return f"{where}{key[1]} {refused}" + (f", but it is {value[1]!r}." if value else ".")
    if found := re.search(r"Interpolation key '([^']+)' not found", text):
        return f"{where}a value refers to ${{{found[1]}}}, which is no setting."
    if found := re.search(r"Could not (?:load|find) '([^']+)'", text):
        return f"{where}its `defaults` name {found[1]}, which there is not."
    return f"{where}{text[place.end() if place else 0 :].partition(' full_key:')[0].rstrip('.')}."


def of_word(word: str) -> str:
    """Why the word cannot be read as key=value, and how it is written."""
    pairs = (("[", "]"), ("(", ")"), ("{", "}"))
    key, equals, value = word.partition("=")
    if not word.strip():
        return "A word is empty: leave it out, or look at the variable of the shell that it stands for."
    if any(sign in word for sign in "“”„‘’"):  # noqa: RUF001 (those that a page or a chat makes of plain ones)
        return f"{word!r} cannot be read: it holds typographic quotes; type plain ones."
    if " +" in word or re.search(r"=\S* \S+=", word):
        return f"{word!r} cannot be read: it is several words in one; leave out the quotes around them."
    if any(word.count(opening) != word.count(closing) for opening, closing in pairs):
        return f"{word!r} cannot be read: a bracket is not closed, or the shell took a part; put the word in quotes."
    if any(word.count(quote) % 2 for quote in "'\""):
        return f"{word!r} cannot be read: a quote is not closed."
    if equals and (key != key.strip() or value.startswith("=")):
        return f"{word!r} cannot be read: write {key.strip()}={value.strip('= ')}, with one equals sign and no spaces."
    if not equals and (found := re.fullmatch(r"([\w.]+):(.+)", word)):
        return f"{word!r} cannot be read: write {found[1]}={found[2]}, with an equals sign."
    return (
        f"{word!r} cannot be read. Settings are given as key=value or key=A,B, such as seed=0,1; a value with spaces "
        "or signs of its own needs quotes inside, such as 'paths.results=\"my runs\"'."
    )
