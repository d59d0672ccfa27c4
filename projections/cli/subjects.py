"""The subject of a command: a session, a code, a moment in the past; and what was meant if it is not found."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tracker.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from projections.views.follow import Views
    from tracker.findings import Code
    from tracker.store.application import Tracker


def refuse_two_moments(as_of: datetime | None, at: int | None) -> None:
    if as_of is not None and at is not None:
        raise UsageError("--as-of and --at cannot be used together", hint="give one of them")


def known_until(views: Views, store: Tracker, as_of: datetime | None, at: int | None) -> datetime | None:
    """The moment to judge a session at; without options, that of the newest delivery in the store.

    Raises ``UsageError`` for a position behind the end of the store.
    """
    if at is not None and at > store.last_position():
        end = store.last_position()
        raise UsageError(f"the store ends at position {end}", place=f"--at {at}", hint=f"give one up to {end}")
    return as_of if as_of is not None or at is not None else views.checkpoint.as_of


def code_named(given: str) -> Code | None:
    from tracker.judging.findings.catalogue import CATALOGUE

    for entry in CATALOGUE.values():
        if given.lower() in (entry.code.lower(), entry.slug):
            return entry
    return None


def known_code(given: str) -> Code:
    entry = code_named(given)
    if entry is None:
        hint = near_code(given) or "tracker explain lists all codes"
        raise NotFoundError("no such code", place=given, hint=hint)
    return entry


def near_code(given: str) -> str:
    from difflib import get_close_matches

    from tracker.judging.findings.catalogue import CATALOGUE

    names = [*CATALOGUE, *(entry.slug for entry in CATALOGUE.values())]
    near = get_close_matches(given, names, n=1)
    return f"did you mean {near[0]}?" if near else ""
