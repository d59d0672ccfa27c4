"""Taking a mistaken log back without deleting it: an event says which positions count no longer.

Such an event has a stream of its own, ``STREAM``, and the topic ``TOPIC``. Its state is an envelope like any
other; the body names the log and the positions that came from it, and whether an earlier withdrawal of them
is undone. Positions never change, so whoever reads the events in order knows which deliveries count.

``Tracker`` leaves the others out in the one place in which it makes deliveries of events; so everything that
is derived from deliveries knows of it. What deals with events as they are stored (a copy, the check of the
store) sees them all. Read models hold up to which withdrawal they were made (``Withdrawals.up_to``), and are
made anew where there is another one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import msgspec

from tracker.delivery import envelope
from tracker.delivery.envelope import UNREADABLE
from tracker.errors import StoreDamagedError

STREAM = "log:withdrawn"
"""No session has such an id: what begins with ``log:`` is ours."""
TOPIC = "withdrawn"
Span = tuple[int, int]
"""The first and the last of positions that follow each other."""


class _Withdrawal(msgspec.Struct):
    positions: list[Span]
    source: str | None = None
    undo: bool = False


_decode = msgspec.json.Decoder(_Withdrawal)
_encode = msgspec.json.Encoder().encode


class Withdrawals(msgspec.Struct, frozen=True):
    """Which positions do not count.

    Attributes:
        spans: those that are withdrawn, in order, none next to another.
        up_to: the position of the newest event that withdrew some or undid that, 0 if there is none.
        events: how many such events there are.
        sources: the logs of which something was withdrawn last, and not undone.
    """

    spans: tuple[Span, ...] = ()
    up_to: int = 0
    events: int = 0
    sources: frozenset[str] = frozenset()
    _rows: Sequence[Sequence[object]] = ()

    def __contains__(self, position: int) -> bool:
        place = bisect_right(self.spans, position, key=lambda span: span[0])
        return place > 0 and position <= self.spans[place - 1][1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.spans)

    def __bool__(self) -> bool:
        return bool(self.spans)

    def read(self, rows: Sequence[Sequence[object]], place: str) -> Withdrawals:
        """What these events say, each with position, version and state; the same where they are the same.

        Raises ``StoreDamagedError`` where one says nothing, with ``place`` as that of the store.
        """
        if list(rows) == list(self._rows):
            return self
        spans: tuple[Span, ...] = ()
        sources: set[str] = set()
        for position, _, state in rows:
            try:
                said = _said(state, position)
            except ValueError as error:
                raise StoreDamagedError(
                    f"the event at position {position} is damaged: {error}",
                    place=place,
                    hint="restore it from a backup; tracker verify names every such place",
                ) from error
            spans = _applied(spans, said)
            (sources.discard if said.undo else sources.add)(said.source or "")
        up_to = max((position for position, *_ in rows if isinstance(position, int)), default=0)
        return Withdrawals(spans, up_to, len(rows), frozenset(sources), rows)


def body(source: str | None, spans: Iterable[Span], *, undo: bool) -> bytes:
    """What such an event says of positions; without a ``source`` they came from anywhere."""
    return _encode(_Withdrawal(list(spans), source, undo))


def problem(state: object, position: int) -> str:
    """What is wrong with the state of such an event; empty if nothing is."""
    try:
        _said(state, position)
    except ValueError as error:
        return str(error)
    return ""


def _said(state: object, position: object) -> _Withdrawal:
    """Raises ``ValueError`` where it says nothing, or something that cannot be."""
    try:
        found = _decode.decode(envelope.decode(state).body if isinstance(state, bytes) else b"")
    except UNREADABLE as error:
        raise ValueError("no withdrawal stands there") from error
    for first, last in found.positions:
        if not (isinstance(position, int) and 0 < first <= last < position):
            raise ValueError(f"it withdraws {first} to {last}, which were not there")
    return found


def _applied(spans: tuple[Span, ...], withdrawal: _Withdrawal) -> tuple[Span, ...]:
    given = merged(withdrawal.positions)
    return _without(spans, given) if withdrawal.undo else merged([*spans, *given])


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same positions in order, in as few spans as they take."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return tuple(found)


def _without(spans: Iterable[Span], others: Sequence[Span]) -> tuple[Span, ...]:
    left = list(spans)
    for first, last in others:
        left = [
            part
            for begin, end in left
            for part in ((begin, min(end, first - 1)), (max(begin, last + 1), end))
            if part[0] <= part[1]
        ]
    return merged(left)


def log_of(source: str) -> str:
    """``monday.jsonl:7`` -> ``monday.jsonl``; what has no line, and no id of a message, came from no log."""
    name, _, line = source.rpartition(":")
    return name if name and line.replace("-", "", 1).isdigit() else ""
