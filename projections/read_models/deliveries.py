"""``deliveries``: one row a delivery, with how it was read and the state of its run before and after it.

What came stands there once and for all. How it was read may change when more comes, so that is taken from the session
each time it is judged. Each of its deliveries is compared, and written only where it differs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import msgspec

from projections.read_models import ReadModels, Row, Table, among, is_one_of, listed, outside, text, types
from tracker.delivery.webhook import Delivery
from tracker.judging.session import Key
from tracker.judging.state import Session
from tracker.lifecycles import REGISTRY
from tracker.record import RECORD

CAME = {
    "position": int,
    "stream": str,
    "type": str,
    "lifecycle": str,
    "key": str,
    "received_at": str,
    "account": str,
}
"""Columns of what came."""
READ = {"run": int, "reading": str, "state_before": str, "state_after": str, "findings": str}
"""Columns of how it was read; codes have spaces between them."""
TABLE = Table(
    name="deliveries",
    columns={**CAME, **READ},
    pk=("position",),
    indexes=(("type",), ("reading",)),
    followed_by=(("stream", "reading"),),
)
UPDATE = (
    f"UPDATE deliveries SET ({', '.join(READ)}) = (?1, ?2, ?3, ?4, ?5) "
    f"WHERE position = ?6 AND ({', '.join(READ)}) IS NOT (?1, ?2, ?3, ?4, ?5)"
)
"""Changes how the delivery at a position was read, where it was read otherwise."""
CLEAR = (
    "UPDATE deliveries SET findings = NULL WHERE stream = ? AND reading = 'unrouted' AND findings IS NOT NULL"
)
"""What an unrouted delivery raised, as the last of a session, it may raise no longer."""
_RECORDS = [name for name, (_, step) in REGISTRY.routes.items() if step is RECORD]
WEBHOOKS = f"(SELECT * FROM deliveries WHERE type IS NULL OR NOT {is_one_of('type', _RECORDS)})"
"""What came as a webhook; the others are VideoSDK's own records."""
_UNROUTED: Row = (None, "unrouted", None, None, None)


def read(session: Session) -> Iterator[tuple[int, Row]]:
    """Position -> the values of ``READ`` of every delivery of a session that was routed or that raised a finding."""
    raised: dict[int, list[str]] = {}
    for found in session.findings:
        if found.position is not None:
            raised.setdefault(found.position, []).append(found.code)
    for position, one in session.readings().items():
        codes = " ".join(raised.pop(position)) if position in raised else None
        yield position, (one.run, one.reading, one.state_before or None, one.state_after or None, codes)
    for position, codes_there in raised.items():
        yield position, (*_UNROUTED[:-1], " ".join(codes_there))


def clear(db: sqlite3.Connection, streams: Iterable[str]) -> None:
    """What unrouted deliveries of these streams raised, they may raise no longer."""
    db.executemany(CLEAR, [(stream,) for stream in streams])


def write(
    db: sqlite3.Connection,
    came: Sequence[Row],
    readings: Iterable[Mapping[int, Row]],
    known: Mapping[int, Row] = MappingProxyType({}),
) -> Iterator[tuple[str, str]]:
    """Adds the rows of what came, and changes those of earlier deliveries that are read otherwise now.

    ``readings`` are what ``read`` says of the sessions that were judged, ``known`` what was last written of some.
    Returns of each delivery that was added its type, and as what it was read; records of VideoSDK's are left out.
    """
    found: dict[int, Row] = {}
    for of_one in readings:
        found.update(of_one)
    rows = [one + found.pop(one[0], _UNROUTED) for one in came]
    db.executemany(TABLE.insert, rows)
    differ = [
        (*row, position)
        for position, row in found.items()
        if row != known.get(position) or row[1] == "unrouted"  # that has just been cleared
    ]
    db.executemany(UPDATE, differ)
    return ((types.known(one[2]), str(one[8])) for one in rows if one[2] not in _RECORDS)


def came(one: Delivery) -> Row:
    """The values of ``CAME``."""
    lifecycle = one.lifecycle.name if one.lifecycle is not None else None
    return (
        one.position,
        one.stream,
        one.topic if one.type else None,
        lifecycle,
        _key(one.key) if lifecycle is not None else "{}",
        text(one.received_at),
        one.received.account,
    )


@lru_cache(maxsize=1024)  # many deliveries of one thing follow each other
def _key(key: Key) -> str:
    return msgspec.json.encode(dict(key)).decode()


def find(
    db: ReadModels,
    *,
    stream: str | None = None,
    meeting: str | None = None,
    account: str | None = None,
    types: Sequence[str] = (),
    readings: Sequence[str] = (),
    lifecycle: str | None = None,
    code: str | None = None,
    since: str | None = None,
    until: str | None = None,
    before: int | None = None,
    limit: int = -1,
) -> Iterator[dict[str, Any]]:
    """Deliveries, the newest first, from the one below the position ``before`` on; times are ISO 8601 in UTC.

    ``stream`` ``"unrouted"`` stands for all that belongs to no session, and ``code`` is a finding that they raised.
    """
    values: dict[str, Any] = {
        "stream": stream,
        "meeting": meeting,
        "account": account,
        "types": listed(types),
        "readings": listed(readings),
        "lifecycle": lifecycle,
        "code": code,
        "since": since,
        "until": until,
        "before": before,
        "limit": limit,
    }
    conditions = [condition for name, condition in _ASKED.items() if values[name] not in (None, "[]")]
    if stream == "unrouted":
        conditions.remove(_ASKED["stream"])
        conditions.append(outside())
    where = " AND ".join(conditions) or "1"
    return db.query(f"SELECT * FROM deliveries WHERE {where} ORDER BY position DESC LIMIT :limit", values)


def in_order(
    db: ReadModels,
    streams: Sequence[str] | None,
    account: str | None = None,
    after: int = 0,
    limit: int = -1,
) -> list[dict[str, Any]]:
    """The deliveries of some streams behind a position, by position; ``None`` stands for what belongs to no session."""
    where = outside() if streams is None else among("stream", "streams")
    if account is not None:
        where += " AND account = :account"
    return list(
        db.query(
            f"SELECT * FROM deliveries WHERE {where} AND position > :after ORDER BY position LIMIT :limit",
            {"streams": listed(streams or ()), "account": account, "after": after, "limit": limit},
        )
    )


def at(db: ReadModels, position: int) -> dict[str, Any] | None:
    """The delivery at a position; ``None`` where none is there yet."""
    return next(db.query("SELECT * FROM deliveries WHERE position = ?", (position,)), None)


def number_outside(db: ReadModels) -> int:
    """How many belong to no session."""
    (row,) = db.query(f"SELECT COUNT(*) AS number FROM deliveries WHERE {outside()}")
    return int(row["number"])


_ASKED = {
    "stream": "stream = :stream",
    "meeting": "stream IN (SELECT session_id FROM sessions WHERE meeting_id = :meeting)",
    "account": "account = :account",
    "types": among("type", "types"),
    "readings": among("reading", "readings"),
    "lifecycle": "lifecycle = :lifecycle",
    "code": "' ' || findings || ' ' LIKE '% ' || :code || ' %'",
    "since": "received_at >= :since",
    "until": "received_at <= :until",
    "before": "position < :before",
}
