"""What the events of a store contradict: the database itself, their order, their digests, and what they say.

What cannot be read is named and counted, and all else is looked at all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import cast

import msgspec
from eventsourcing.persistence import Notification

from tracker.delivery.envelope import Received, replaced
from tracker.delivery.webhook import parse
from tracker.errors import StoreDamagedError, StoreError
from tracker.lifecycles import Registry
from tracker.store import erasures, prunings, withdrawals
from tracker.store.digests import NOTHING, Block, blocks, chained
from tracker.store.digests import PREFIX as DIGEST
from tracker.store.losses import PREFIX as LOSS
from tracker.store.losses import accepted
from tracker.store.prunings import Gaps, is_tombstone, tombstone
from tracker.store.ranges import Hole, places, readable
from tracker.store.recorder import Recorder

PAGE = 1000
_NOTHING_DECLARED = Registry([])
Problems = Iterator[tuple[str, str]]
"""Place and problem."""

_OUT_OF_ORDER = """
SELECT * FROM (
    SELECT notification_id, LAG(notification_id, 1, 0) OVER (ORDER BY notification_id) AS earlier,
        originator_id, originator_version,
        topic = 'log:pruned' OR originator_version = 1
            + LAG(originator_version, 1, 0) OVER (PARTITION BY originator_id ORDER BY notification_id) AS follows
    FROM stored_events) AS events
WHERE notification_id <> earlier + 1 OR NOT follows ORDER BY notification_id
"""


class Integrity(msgspec.Struct):
    """Looks through a store. ``errors`` turns what the database complains of into ``StoreError``."""

    recorder: Recorder
    place: str
    errors: Callable[[], AbstractContextManager[None]]
    received: Callable[[bytes], Received]
    end: int = 0
    """The last position that there is, or that had been given where that cannot be read."""
    lost: list[Hole] = msgspec.field(default_factory=list)
    """Positions that are missing or cannot be read; each was reported."""
    gaps: Gaps = Gaps()

    def problems(self) -> Problems:
        """What is wrong; nothing if all is sound."""
        reported = set[str]()
        for look in (self._damage, self._unreadable, self._out_of_order, self._digests, self._misread):
            try:
                with self.errors():
                    yield from look()
            except StoreError as error:
                if error.message not in reported:
                    yield self.place, error.message
                reported.add(error.message)

    def _damage(self) -> Problems:
        found = self.recorder.damage()
        yield from found
        if "tracking" not in dict(found):
            lost = [(one.ends + 1, one.seen) for one in accepted(self.recorder.trackings(LOSS))]
            rows = self.recorder.rows(*self.recorder.tombstones()) if "stored_events" not in dict(found) else []
            pruned = [span for _, state in rows if (one := tombstone(state)) for span in one.spans]
            self.gaps = Gaps.of([*(span for span in lost if span[0] <= span[1]), *pruned])
            for name, position in self.recorder.rows(
                f"SELECT application_name, notification_id FROM tracking WHERE NOT ({self.recorder.is_tracking})"
            ):
                yield f"tracking {name}", f"it says that it was read up to line {position!r}"

    def _unreadable(self) -> Problems:
        self.end = last_position(self.recorder, self.errors)
        for one in readable(self._select, 0, self.end, PAGE, self._following):
            if isinstance(one, Hole):
                self.lost.append(one)
                yield one.place, f"cannot be read: {_deliveries(one.count)} lost"

    def _select(self, after: int, stop: int) -> Sequence[Notification]:
        with self.errors():
            return self.recorder.select_notifications(after, stop - after, stop, inclusive_of_start=False)

    def _following(self, after: int) -> int | None:
        return following(self.recorder, self.errors, after)

    def _events(self, first: int, last: int) -> Iterator[Notification]:
        for page in readable(self._select, first - 1, last, PAGE, self._following):
            if not isinstance(page, Hole):
                yield from page

    def _out_of_order(self) -> Problems:
        name, given = self.recorder.counter
        wrong, newest, counter = self.recorder.at_once(
            (_OUT_OF_ORDER, ()), ("SELECT MAX(notification_id) FROM stored_events", ()), (given, ())
        )
        for position, before, stream, version, follows in wrong:
            if position != self.gaps.behind(before) + 1:
                self.lost.append(Hole(before + 1, position - 1))
                yield f"position {before + 1}", f"a hole: the next position is {position}"
            if not follows:
                yield f"position {position}", f"version {version} of {stream} is out of order"
        expected = self.gaps.behind(newest[0][0] or 0) + 1
        last = counter[0][0] if counter else 0
        if isinstance(last, int) and last >= expected:
            self.lost.append(Hole(expected, last))
            yield f"position {expected}", f"a hole at the end: position {last} had been given"
        elif last != expected - 1:
            yield name, f"the last position given is {last!r}, the last one there is {expected - 1}"

    def _digests(self) -> Problems:
        """A block with a hole that was already reported is skipped: its digest cannot match."""
        for block in blocks(self.recorder.trackings(DIGEST)):
            if any(hole.first <= block.last and block.first <= hole.last for hole in self.lost):
                continue
            if block.last > self.gaps.behind(self.end):
                first = max(block.first, self.end + 1)
                count = _deliveries(block.last - first + 1)
                yield places(first, block.last), f"they were stored, and are not there: {count} gone"
            elif self._digest(block) != block.digest:
                yield (
                    places(block.first, block.last),
                    "one of them is not what was stored: their digest is another",
                )

    def _digest(self, block: Block) -> bytes:
        events = self._events(block.first, block.last)
        rows = ((one.id, str(one.originator_id), one.topic, _bytes(one.state)) for one in events)
        return chained(b"", rows) or NOTHING

    def _misread(self) -> Problems:
        """Events that say something else than where and as what they are stored."""
        for event in self._events(1, self.end):
            place, state = f"position {event.id}", cast(object, event.state)
            if not isinstance(state, bytes):
                yield place, f"its state is {state!r}, which is no text"
                continue
            if is_tombstone(state) and tombstone(state) is not None:
                continue
            if event.originator_id in erasures.OURS:
                if wrong := _problem_of_ours(str(event.originator_id), state, event.id):
                    yield place, wrong
                continue
            delivery = parse(self.received(state), event.id)
            if event.originator_id not in (delivery.stream, replaced(delivery.stream)):
                before = parse(delivery.received, event.id, _NOTHING_DECLARED)
                if (event.originator_id, event.topic) == (replaced(before.stream), replaced(before.topic)):
                    continue  # it was stored when its type was not known yet
                yield place, f"stored in {event.originator_id}, belongs to {delivery.stream}"
            if event.topic not in (delivery.topic, replaced(delivery.topic)):
                yield place, f"stored as {event.topic}, is {delivery.topic}"


def _problem_of_ours(stream: str, state: bytes, position: int) -> str:
    """What is wrong with an event that says what we did; empty if nothing is."""
    if stream == withdrawals.STREAM:
        return withdrawals.problem(state, position)
    return erasures.problem(state) if stream == erasures.STREAM else prunings.problem(state)


def last_position(recorder: Recorder, errors: Callable[[], AbstractContextManager[None]]) -> int:
    """The last position there is; where that cannot be read, the last one that had been given."""
    for statement in ("SELECT MAX(notification_id) FROM stored_events", recorder.counter[1]):
        try:
            with errors():
                rows = recorder.rows(statement)
        except StoreDamagedError:
            continue
        return int(rows[0][0] or 0) if rows and isinstance(rows[0][0], int | None) else 0
    raise StoreDamagedError(
        "its end cannot be read", place="", hint="restore it from a backup, or ingest the logs again"
    )


def following(recorder: Recorder, errors: Callable[[], AbstractContextManager[None]], after: int) -> int | None:
    """The next position that there is behind another one."""
    with errors():
        rows = recorder.rows(
            "SELECT MIN(notification_id) FROM stored_events WHERE notification_id > ?", (after,)
        )
    return rows[0][0] if rows else None


def uncovered(covered: Sequence[Block], end: int) -> Iterator[Hole]:
    """The positions that are in no block."""
    after = 0
    for one in sorted(covered, key=lambda block: (block.first, block.last)):
        if one.first > after + 1:
            yield Hole(after + 1, min(one.first - 1, end))
        after = max(after, one.last)
    if after < end:
        yield Hole(after + 1, end)


def _deliveries(count: int) -> str:
    return "1 delivery is" if count == 1 else f"{count} deliveries are"


def _bytes(state: object) -> bytes:
    return state if isinstance(state, bytes) else repr(state).encode()
