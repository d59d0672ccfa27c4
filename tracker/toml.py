"""Values of a TOML file, each read with an error that names the key at fault and says what to write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tracker.errors import RulesError, did_you_mean
from tracker.rules import DURATIONS, seconds_of

LONGEST = 365 * 86400
"""Seconds; no duration is longer."""
T = TypeVar("T")


def refuse_unknown(name: str, names: Sequence[str], what: str) -> None:
    """Raises ``RulesError`` with the nearest of the ``names`` where ``name`` is none of them."""
    if name not in names:
        hint = did_you_mean(name, names) or f"known: {', '.join(names)}"
        error = RulesError(f"no {what} {name!r}", hint=hint)
        error.word = name
        raise error


def each(name: str, value: Any, example: str, read: Callable[[dict[str, Any]], T]) -> tuple[T, ...]:
    """What is read of each of the tables ``[[name]]``. Raises ``RulesError`` that names the entry at fault."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise RulesError(f"{name} is no list of tables", hint=f"write [[{name}]] and below it {example}")
    entries = []
    for number, table in enumerate(value, 1):
        try:
            entries.append(read(table))
        except RulesError as error:
            error.message = f"{name} entry {number}: {error.message}"
            error.entry = name, number, len(value)
            raise
    return tuple(entries)


def place_in(path: Path, error: RulesError) -> str:
    """``path:line`` of what is at fault; the path alone where the line is not certain.

    What reads TOML gives no lines. Of the tables ``[[name]]`` the right one is known where the text has as many of them as
    were read, and a name where one line has it.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    begin, end, found = 0, len(lines), ""
    if error.entry is not None:
        name, number, count = error.entry
        heads = [at for at, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{re.escape(name)}\s*\]\]", line)]
        if len(heads) != count:
            return str(path)
        begin, end = heads[number - 1], [*heads, len(lines)][number]
        found = f":{begin + 1}"
    word = re.compile(rf"(?<![\w-]){re.escape(error.word)}(?![\w-])")
    places = [at for at in range(begin, end) if error.word and word.search(lines[at])]
    return f"{path}:{places[0] + 1}" if len(places) == 1 else f"{path}{found}"


def listed(name: str, value: Any, known: Iterable[str]) -> tuple[str, ...]:
    """One word or a list of words, each of them known."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RulesError(f"{name} is {value!r}", hint=f'write {name} = "…" or {name} = ["…", "…"]')
    for word in words:
        refuse_unknown(word, list(known), name)
    return tuple(words)


def duration(name: str, value: Any) -> timedelta:
    seconds: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str):
        seconds = seconds_of(value)
    if seconds is None or not 0 <= seconds <= LONGEST:
        error = RulesError(
            f"{name} = {value!r} is no duration up to 365 d",
            hint=f"write {DURATIONS}, or a number of seconds",
        )
        error.word = name
        raise error
    return timedelta(seconds=seconds)


def is_path(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "\x00" not in value


def are_paths(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_path, value))


def host_of(url: Any) -> str:
    """The host of an http or https URL; empty where it is none."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        _ = parts.port  # which may be none
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.scheme in ("https", "http") else ""
