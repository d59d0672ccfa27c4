"""``deliveries``: one row a delivery, with how it was read and the state of its run before and after it.

What came stands there once and for all. How it was read may change when more comes, so that is taken from the session
each time it is judged, and written where it differs: a long session costs no more than what has changed in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from projections.read_models import Row, Table, text
from tracker.delivery.webhook import Delivery
from tracker.judging.session import Key
from tracker.judging.state import Session

CAME = {"position": int, "stream": str, "type": str, "lifecycle": str, "key": str, "received_at": str}
"""Columns of what came."""
READ = {"run": int, "reading": str, "state_before": str, "state_after": str, "findings": str}
"""Columns of how it was read; codes have spaces between them."""
TABLE = Table(
    name="deliveries",
    columns={**CAME, **READ},
    pk=("position",),
    indexes=(("stream",), ("type",), ("reading",)),
)
_UPDATE = (
    f"UPDATE deliveries SET ({', '.join(READ)}) = (?1, ?2, ?3, ?4, ?5) "
    f"WHERE position = ?6 AND ({', '.join(READ)}) IS NOT (?1, ?2, ?3, ?4, ?5)"
)
"""Changes how the delivery at a position was read, where it was read otherwise."""
_UNROUTED: Row = (None, "unrouted", None, None, None)


def read(session: Session) -> Iterator[tuple[int, Row]]:
    """Position -> the values of ``READ`` of every delivery of a session that was routed or that raised a finding.

    Of the others nothing can change.
    """
    raised: dict[int, list[str]] = {}
    for found in session.findings:
        if found.position is not None:
            raised.setdefault(found.position, []).append(found.code)
    for position, one in session.readings().items():
        codes = " ".join(raised.pop(position, ())) or None
        yield position, (one.run, one.reading, one.state_before or None, one.state_after or None, codes)
    for position, codes_there in raised.items():
        yield position, (*_UNROUTED[:-1], " ".join(codes_there))


def reading(found: Mapping[int, Row], one: Delivery) -> str:
    """How a delivery was read, by what ``read`` says of it."""
    return str(found.get(one.position, _UNROUTED)[1])


def write(db: sqlite3.Connection, page: Sequence[Delivery], found: dict[int, Row]) -> None:
    """Adds the rows of new deliveries, and changes those of earlier ones; ``found`` is what ``read`` says of both."""
    db.executemany(TABLE.insert, [(*_came(one), *found.get(one.position, _UNROUTED)) for one in page])
    new = {one.position for one in page}
    db.executemany(_UPDATE, [(*row, position) for position, row in found.items() if position not in new])


def _came(one: Delivery) -> Row:
    lifecycle = one.lifecycle.name if one.lifecycle is not None else None
    key = _key(one.key) if lifecycle is not None else "{}"
    return (
        one.position,
        one.stream,
        one.topic if one.type else None,
        lifecycle,
        key,
        text(one.received_at),
    )


@lru_cache(maxsize=1024)  # many deliveries of one thing follow each other
def _key(key: Key) -> str:
    return msgspec.json.encode(dict(key)).decode()
