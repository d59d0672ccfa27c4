"""Who looks after a finding: whether or not somebody was sent an alert of it.

That is recorded with the alerts of the finding. Where no rule is about it, there is one without a rule: nothing is sent of
it, and it is over when the finding is held no more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import attrs

from projections.alerts.database import Found, Known, alerts_file, found_of, identity_of, known_in, write
from projections.read_models import among, listed, text
from projections.views.publications import IDENTITY, PUBLISHED_DB, Reader, reader

__all__ = ["NO_RULE", "Owners", "close_what_is_not_held", "look_after", "owners_of"]

NO_RULE = ""
_OPEN = " AND ".join(f"{name} = ?" for name in IDENTITY) + " AND state = 'open'"
Owners = dict[tuple[str, str, int], str]
"""Stream, code and position of a finding (0 for none) -> who looks after it."""


def look_after(
    data: Path,
    stream: str,
    code: str,
    now: datetime,
    *,
    by: str | None,
    until: datetime | None = None,
    position: int | None = None,
) -> int:
    """Records who looks after the findings of a code in a stream, or after the one at a position; ``None`` for nobody.

    Returns how many findings these are. Raises ``StoreError``.
    """
    with alerts_file(data).to_write() as connection, reader(data / PUBLISHED_DB) as published:
        found = [] if published is None else _held(published, stream, code, position)
        for one in found:
            _record(connection, one, by, text(until), text(now) or "")
    return len(found)


def _held(published: Reader, stream: str, code: str, position: int | None) -> list[Found]:
    rows = (found_of(one) for one in published.of_streams([stream]) if one.held)
    return [one for one in rows if one["code"] == code and position in (None, one["position"])]


def _record(connection: sqlite3.Connection, found: Found, by: str | None, until: str | None, now: str) -> None:
    known = known_in(connection, _OPEN, *identity_of(found))
    if by is not None and not known:
        known = [Known("open", found, opened_at=now, rule=NO_RULE)]
    for one in known:
        if by is None and one.rule == NO_RULE:
            connection.execute("DELETE FROM alerts WHERE id = ?", (one.id,))
        else:
            owned = attrs.evolve(one, acknowledged_by=by, acknowledged_until=until)
            write(connection, one.rule or NO_RULE, owned)


def close_what_is_not_held(connection: sqlite3.Connection, published: Reader, now: str) -> None:
    """Ends what somebody looked after without a rule, where it is held no more or the time is over."""
    known = {
        identity_of(one.found): one for one in known_in(connection, "rule = ? AND state = 'open'", NO_RULE)
    }
    if not known:
        return
    held = {one.identity for one in published.of_streams({name for name, *_ in known}) if one.held}
    for identity, one in known.items():
        if identity not in held:
            write(connection, NO_RULE, attrs.evolve(one, state="closed", closed_at=now, ending="retracted"))
        elif one.acknowledged_until is not None and one.acknowledged_until <= now:
            connection.execute("DELETE FROM alerts WHERE id = ?", (one.id,))


def owners_of(data: Path, streams: Collection[str]) -> Owners:
    """Who looks after findings of these streams. Raises ``StoreError``."""
    with alerts_file(data).to_read() as connection:
        if connection is None or not streams:
            return {}
        select = (
            "SELECT stream, code, position, acknowledged_by FROM alerts"
            f" WHERE {among('stream')} AND state = 'open' AND acknowledged_by IS NOT NULL"
        )
        rows = connection.execute(select, (listed(streams),)).fetchall()
    return {(stream, code, position): by for stream, code, position, by in rows}
