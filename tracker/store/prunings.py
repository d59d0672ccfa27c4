"""Prunings: sessions that were moved into an archive, and what stands in their place.

Of a session that is pruned one event stays, the last one: a *tombstone*. It keeps position, version and stream, so what
comes later goes on behind it. Its topic is ``TOPIC``, and its state says when the session was pruned, where it is now,
and which positions are empty because of it:

    {"pruned":{"at":"2026-11-26T14:00:00Z","archives":["archive/pruned-1-99-9"],"events":9,"spans":[[3,7],[9,11]]}}

That a stream was pruned is recorded among the positions of sources as well (``pruned:<stream>``, at the position of its
tombstone), so that it can be asked for. When all is done, an event in ``STREAM`` says how much was moved so far:
what was derived of them is to be made anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tracker.blake2b import blake2b
from tracker.delivery import envelope
from tracker.delivery.envelope import UNREADABLE
from tracker.errors import NotFoundError
from tracker.store.withdrawals import Span, merged

__all__ = [
    "PREFIX",
    "STREAM",
    "TOPIC",
    "Gaps",
    "Row",
    "Tombstone",
    "body",
    "digest",
    "is_tombstone",
    "problem",
    "reading",
    "rows",
    "said",
    "tombstone",
]

STREAM = "log:pruned"
TOPIC = STREAM
"""No webhook has such a type."""
PREFIX = "pruned:"
Row = tuple[int, int, bytes]
"""Position, version, state."""
_BEGIN = b'{"pruned":'


class Tombstone(msgspec.Struct, frozen=True):
    """What stands in the place of a session.

    Attributes:
        at: When it was pruned, in ISO 8601.
        archives: Where it is now; what came after it was pruned, and was pruned later, is in another one.
        events: How many events were moved there.
        spans: The positions at which nothing stands any more.
    """

    at: str
    archives: tuple[str, ...]
    events: int
    spans: tuple[Span, ...]

    @property
    def state(self) -> bytes:
        return msgspec.json.encode(_State(self))

    @property
    def when(self) -> str:
        """When it was pruned, as sentences have it: ``2026-11-26 14:00:00 UTC``."""
        time = envelope.parse_time(self.at)
        return f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else self.at

    def error(self, place: str) -> NotFoundError:
        """That what was asked for is not here, and where it is."""
        what = f"was pruned at {self.when}, archived in {' and '.join(self.archives)}"
        return NotFoundError(what, place=place, hint=reading(self.archives[-1]))


def reading(archive: str) -> str:
    """A hint: how to read an archive."""
    return f"tracker audit {archive} judges it; tracker ingest reads it into another --data DIR"


class _State(msgspec.Struct):
    pruned: Tombstone


class _Said(msgspec.Struct):
    events: int


_decode = msgspec.json.Decoder(_State).decode
_decode_said = msgspec.json.Decoder(_Said).decode


def rows(found: Iterable[Sequence[Any]]) -> list[Row]:
    """The rows of a stream that are whole."""
    return [(row[0], row[1], row[2]) for row in found if isinstance(row[2], bytes)]


def digest(rows: Iterable[Row]) -> bytes:
    """Tells what is stored of a stream from anything else: other places, another order, other states."""
    summed = blake2b(digest_size=16)
    for position, version, state in rows:
        summed.update(b"%d %d %d\n%b" % (position, version, len(state), state))
    return summed.digest()


def is_tombstone(state: object) -> bool:
    """Whether a state is one; that of a delivery never begins so."""
    return isinstance(state, bytes) and state.startswith(_BEGIN)


def tombstone(state: object) -> Tombstone | None:
    """What a state says, if it is a tombstone."""
    try:
        return _decode(state).pruned if isinstance(state, bytes) and is_tombstone(state) else None
    except UNREADABLE:
        return None


def body(events: int) -> bytes:
    """What the event says that follows a pruning: how many events were moved into archives so far."""
    return msgspec.json.encode(_Said(events))


def said(states: Sequence[object]) -> int:
    """How many events were moved, as these say."""
    return max((_said(state) for state in states), default=0)


def problem(state: object) -> str:
    """What is wrong with the state of such an event; empty if nothing is."""
    return "" if _said(state) else "no pruning stands there"


def _said(state: object) -> int:
    try:
        return _decode_said(envelope.decode(state).body if isinstance(state, bytes) else b"").events
    except UNREADABLE:
        return 0


class Gaps(msgspec.Struct, frozen=True):
    """The positions at which nothing stands, and of which that is known."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Gaps:
        return cls(merged(spans))

    @property
    def count(self) -> int:
        """How many positions these are."""
        return sum(last - first + 1 for first, last in self.spans)

    def behind(self, position: int) -> int:
        """Where events go on behind a position: further on, where nothing stands in between."""
        place = bisect_right(self.spans, position + 1, key=lambda span: span[0])
        return (
            max(position, self.spans[place - 1][1])
            if place and position < self.spans[place - 1][1]
            else position
        )
