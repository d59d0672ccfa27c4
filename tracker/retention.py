"""How long what is stored is kept as it came: ``[retention]`` of the configuration file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from tracker.errors import RulesError, did_you_mean
from tracker.rules import seconds_of

__all__ = ["Retention", "retention_of"]

_HINT = 'write [retention] and below it people = "180 d"'


@attrs.frozen
class Retention:
    """What ``tracker serve`` does once a day.

    Attributes:
        people: How old a session gets before the people in it are erased; ``None``: they stay.
    """

    people: timedelta | None = None


def retention_of(table: Any) -> Retention:
    """What a table of TOML says. Raises ``RulesError``."""
    if not isinstance(table, dict):
        raise RulesError("retention is no table", hint=_HINT)
    known = [field.name for field in attrs.fields(Retention)]
    for name in table:
        if name not in known:
            hint = did_you_mean(name, known) or f"known: {', '.join(known)}"
            raise RulesError(f"no setting of retention {name!r}", hint=hint)
    return Retention(**{name: _age(name, value) for name, value in table.items()})


def _age(name: str, value: Any) -> timedelta:
    seconds = seconds_of(value) if isinstance(value, str) else None
    if not seconds:
        raise RulesError(f"{name} is {value!r}", hint=f'write {name} = "180 d", or "2 y"')
    return timedelta(seconds=seconds)
