"""How long what is stored is kept as it came: ``[retention]`` of the configuration file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from tracker.errors import RulesError, did_you_mean
from tracker.rules import DURATIONS, seconds_of

__all__ = ["Retention", "retention_of"]

_HINT = 'write [retention] and below it people = "180 d"'


class Retention(msgspec.Struct, frozen=True):
    """What ``tracker serve`` does once a day.

    Attributes:
        people: How old a session gets before the people in it are erased; ``None``: they stay.
        sessions: How old one gets before it is moved into an archive; ``None``: it stays.
        archive: The directory below which that is.
    """

    people: timedelta | None = None
    sessions: timedelta | None = None
    archive: Path | None = None


def retention_of(table: Any, beside: Path) -> Retention:
    """What a table of TOML says; paths in it are relative to ``beside``. Raises ``RulesError``."""
    if not isinstance(table, dict):
        raise RulesError("retention is no table", hint=_HINT)
    known = Retention.__struct_fields__
    for name in table:
        if name not in known:
            hint = did_you_mean(name, known) or f"known: {', '.join(known)}"
            raise RulesError(f"no setting of retention {name!r}", hint=hint)
    archive = table.get("archive")
    if archive is not None and not (isinstance(archive, str) and archive):
        raise RulesError(f"[retention] archive is {archive!r}", hint='write archive = "archive"')
    if ("sessions" in table) is not (archive is not None):
        hint = 'write sessions = "2 y" and archive = "archive"'
        raise RulesError("[retention] sessions and archive need each other", hint=hint)
    ages = {name: _age(name, table[name]) for name in ("people", "sessions") if name in table}
    return Retention(**ages, archive=beside / archive if archive else None)


def _age(name: str, value: Any) -> timedelta:
    seconds = seconds_of(value) if isinstance(value, str) else None
    if not seconds:
        raise RulesError(f"[retention] {name} is {value!r}", hint=f"write {DURATIONS}")
    return timedelta(seconds=seconds)
