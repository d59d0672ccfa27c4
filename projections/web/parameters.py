"""What may be asked: each parameter with what it accepts, for reading it and for describing it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import attrs

from tracker.delivery.envelope import parse_time
from tracker.errors import UsageError, did_you_mean

Values = dict[str, Any]
LAST = 2**63 - 1
"""The highest position that SQLite can hold."""
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(8999, 12, 31, tzinfo=UTC)


@attrs.frozen
class Parameter:
    """One of them. ``read`` turns the text into the value and raises ``ValueError`` with what is expected."""

    name: str
    about: str
    schema: Mapping[str, Any]
    read: Callable[[str], Any]
    default: Any = None
    many: bool = False
    place: Literal["query", "path", "header"] = "query"

    def value(self, text: str) -> Any:
        """Raises ``UsageError`` where the text is none of what is accepted."""
        try:
            return self.read(text)
        except ValueError as error:
            raise UsageError(f"{text!r} is not accepted", place=self.name, hint=str(error)) from error


def values(
    parameters: Sequence[Parameter], query: Iterable[tuple[str, str]], path: Mapping[str, str]
) -> Values:
    """Every parameter's value. Raises ``UsageError`` that names the parameter at fault."""
    by_name = {one.name: one for one in parameters if one.place == "query"}
    found: Values = {one.name: [] if one.many else one.default for one in by_name.values()}
    found |= {one.name: one.value(path[one.name]) for one in parameters if one.place == "path"}
    seen = set()
    for name, text in query:
        if name not in by_name:
            raise UsageError("no such parameter", place=name, hint=_near(name, by_name))
        if by_name[name].many:
            found[name].append(by_name[name].value(text))
        elif name in seen:
            raise UsageError("is given twice", place=name, hint="give it once")
        else:
            found[name] = by_name[name].value(text)
        seen.add(name)
    return found


def text(name: str, about: str, **more: Any) -> Parameter:
    """Anything that is not empty, such as an id."""
    return Parameter(name, about, {"type": "string", "minLength": 1}, _filled, **more)


def whole(name: str, about: str, least: int = 1, most: int = LAST, **more: Any) -> Parameter:
    """A whole number, such as a position."""

    def read(given: str) -> int:
        if not re.fullmatch(r"[0-9]{1,19}", given) or not least <= int(given) <= most:
            raise ValueError(f"give a whole number from {least} to {most}")
        return int(given)

    schema = {"type": "integer", "minimum": least, "maximum": most}
    if more.get("default") is not None:
        schema["default"] = more["default"]
    return Parameter(name, about, schema, read, **more)


def time(name: str, about: str) -> Parameter:
    """A moment: ISO 8601, in UTC where it names no zone."""
    schema = {"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]}
    return Parameter(name, about, schema, _moment)


def choice(name: str, about: str, options: Mapping[str, Any], **more: Any) -> Parameter:
    """One of several words, each with the value that it stands for."""

    def read(given: str) -> Any:
        if given not in options:
            raise ValueError(_near(given, options))
        return options[given]

    return Parameter(name, about, {"type": "string", "enum": list(options)}, read, **more)


def words(names: Iterable[str]) -> dict[str, str]:
    """The options of a choice whose words stand for themselves."""
    return {name: name for name in names}


def flag(name: str, about: str) -> Parameter:
    schema = {"type": "boolean", "default": False}
    return attrs.evolve(choice(name, about, {"true": True, "false": False}, default=False), schema=schema)


def cursor(name: str, about: str, shape: str) -> Parameter:
    """Where a page begins, as the page before it says in ``next``: numbers between points."""

    def read(given: str) -> tuple[int, ...]:
        if not re.fullmatch(shape, given):
            raise ValueError("give what the page before says in next")
        return tuple(int(part) for part in given.split("."))

    return Parameter(name, about, {"type": "string", "pattern": f"^{shape}$"}, read)


def _filled(given: str) -> str:
    if not given:
        raise ValueError("give one that is not empty")
    return given


def _moment(given: str) -> datetime:
    try:
        time = datetime.fromisoformat(given if "-" in given else "")
    except ValueError:
        raise ValueError("write 2026-11-23T09:00:00Z, and a + as %2B") from None
    # Before and after everything that can be stored are moments too.
    return parse_time(given) or (_EARLIEST if time.year < _LATEST.year else _LATEST)


def _near(given: str, known: Iterable[str]) -> str:
    names = list(known)
    return did_you_mean(given, names) or f"known: {', '.join(names) or 'none'}"
