"""What a caller may give in more than one form: a moment, and the rules."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tracker.config import load_config, refuse_unknown_lifecycles
from tracker.delivery.envelope import parse_time
from tracker.errors import UsageError
from tracker.judging.hypothesis import THE_END
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules, seconds_of


def moment(given: str | datetime, now: datetime) -> datetime:
    """The moment that is meant: a time, ``now``, ``end`` (everything has passed), or an age like ``-2h``.

    Raises ``UsageError`` where it is none of these.
    """
    if isinstance(given, datetime):
        return given if given.tzinfo is not None else given.replace(tzinfo=UTC)
    if given in ("now", "end"):
        return now if given == "now" else THE_END
    ago = seconds_of(given[1:]) if given.startswith("-") else None
    try:
        time = now - timedelta(seconds=ago) if ago is not None else parse_time(given)
    except OverflowError:
        time = None
    if time is None:
        raise UsageError(f"{given!r} is not a valid time", hint="write 2026-11-23T09:00:00Z, now, end or -2h")
    return time


def rules(given: Rules | str | os.PathLike[str] | None) -> Rules:
    """The rules that are meant: those given, those of a TOML file, or the usual ones. Raises ``RulesError``."""
    if given is None or isinstance(given, Rules):
        return given or Rules()
    found = load_config(Path(given)).rules
    refuse_unknown_lifecycles(found.accept, REGISTRY, Path(given))
    return found
