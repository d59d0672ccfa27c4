"""The reading half of the event store: stored events become deliveries here, and nowhere else.

A delivery belongs where it is stored. What is read may say otherwise, because somebody changed it or
because a newer program reads it differently; ``integrity`` names it, and all others go by the stream.
What does not count, because its log was withdrawn, is left out in the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from eventsourcing.persistence import Mapper, Notification
from msgspec.structs import replace

from tracker.delivery.envelope import isoformat
from tracker.delivery.webhook import UNKNOWN_TYPE, UNROUTED, Delivery, until
from tracker.errors import NotFoundError, StoreDamagedError
from tracker.judging.assess import assess_all
from tracker.judging.log import NOTHING_KNOWN, LogView
from tracker.judging.state import Session
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules
from tracker.store import erasures, prunings, withdrawals
from tracker.store.changes import ChangesReader
from tracker.store.clock import WrongTimes, wrong_times
from tracker.store.digests import PREFIX as DIGEST
from tracker.store.digests import blocks
from tracker.store.integrity import Integrity, following, last_position, uncovered
from tracker.store.ledger import Ledger
from tracker.store.mapper import EnvelopeMapper, says_source
from tracker.store.mark import Mark
from tracker.store.mark import digest as event_digest
from tracker.store.ranges import Hole, readable
from tracker.store.recorder import Database, Event, Recorder, Rows
from tracker.store.withdrawals import Withdrawals

PAGE = 1000
LOOK_BACK = 100_000
"""Deliveries among which the newest one of a source is looked for."""


class Page(msgspec.Struct, frozen=True):
    """Deliveries that count, each with its version in its stream, and how far was read to find them.

    ``last`` is the position (of a stream: the version) of the last event that was looked at, which need not
    count; ``None`` where there was none. ``full`` is whether there may be more.
    """

    deliveries: list[tuple[Delivery, int]]
    last: int | None
    full: bool


class StoreReader(ChangesReader):
    """What is stored, to be read: in pages, by stream, folded, and as the bytes that lie there.

    Its methods may be called from any thread. Raises ``StoreDamagedError`` or ``StoreError``.
    """

    def __init__(self, data: Path, database: Database, *, make: bool) -> None:
        self.data = data
        self.place, self.owner = database.place, database.owner
        self.software, self.fault = database.software, database.fault
        self._database, self._make = database, make
        self._withdrawals = Withdrawals()
        self.ledger = Ledger(data)
        super().__init__({"ORIGINATOR_ID_TYPE": "text"})

    def construct_factory(self, env: Any) -> Any:
        return self._database.factory(env)

    def construct_mapper(self) -> Mapper[str]:
        return EnvelopeMapper()

    def construct_recorder(self) -> Recorder:
        recorder = self._database.recorder(self.factory)
        recorder.prepare = self._without_erased
        if self._make:
            recorder.create_table()
        return recorder

    def stored(self, after: int, limit: int, stop: int) -> list[Notification]:
        """Events behind a position, as they are stored."""
        with self._database.errors():
            return list(self.recorder.select_notifications(after, limit, stop, inclusive_of_start=False))

    def history(
        self,
        stream: str,
        *,
        at: int | None = None,
        as_of: datetime | None = None,
        lte: int | None = None,
        every: bool = False,
    ) -> Iterator[Delivery]:
        """The deliveries of a stream in order, up to the position ``at`` or the version ``lte``.

        ``as_of`` leaves out what was received later. With ``every``, also those that were withdrawn.
        """
        conditions, values = ["originator_id=?"], list[Any]([stream])
        for condition, value in (("notification_id<=?", at), ("originator_version<=?", lte)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        where = " AND ".join(conditions)
        yield from until(self._deliveries(where, values, "originator_version", every=every), as_of)

    def unrouted(self, stream: str = UNROUTED) -> Iterator[Delivery]:
        """The deliveries of all streams whose name begins with ``stream``, by position."""
        yield from self._deliveries(
            "originator_id>=? AND originator_id<?",
            [stream, stream[:-1] + chr(ord(stream[-1]) + 1)],
            "notification_id",
        )

    def page(self, after: int, limit: int = PAGE, stop: int | None = None) -> list[tuple[Delivery, int]]:
        """Deliveries that count among the next events behind a position, each with its version in its stream."""
        return self.follow(after, limit, stop)[0]

    def follow(
        self, after: int, limit: int = PAGE, stop: int | None = None
    ) -> tuple[list[tuple[Delivery, int]], int]:
        """The same, and the position up to which that is all, ``after`` where nothing is behind it."""
        condition, values = _up_to(stop)
        page = self._page(condition, values, "notification_id", after, limit)
        if page.last is None and stop is not None and after < stop < self.last_position():
            return [], stop  # all that stood there was pruned
        return page.deliveries, after if page.last is None else page.last

    def deliveries(self, stop: int | None = None) -> Iterator[Delivery]:
        """All deliveries that count by position, up to ``stop``."""
        condition, values = _up_to(stop)
        yield from self._deliveries(condition, values, "notification_id")

    def status(
        self,
        stream: str,
        *,
        as_of: datetime | None = None,
        at: int | None = None,
        rules: Rules | None = None,
        log: LogView = NOTHING_KNOWN,
    ) -> Session:
        """A session folded from its stream: now, at a moment, or right after a position.

        ``as_of`` leaves out what was received later. ``log`` is what is known of the whole store. Raises
        ``NotFoundError`` if nothing of the session is stored, or was by then.
        """
        rules = rules or Rules()
        received = self.history(stream, at=at, as_of=as_of)
        session = assess_all(received, as_of, rules, log.known_by(at, as_of))
        if session is None:
            raise self.not_there(stream)
        return session

    def not_there(self, stream: str) -> NotFoundError:
        """Why nothing of a session was known at some moment: as ``gone`` says, or it never was."""
        hint = self.perhaps_pruned(stream) or "tracker sessions lists all sessions"
        return self.gone(stream) or NotFoundError("no such session", place=stream, hint=hint)

    def gone(self, stream: str) -> NotFoundError | None:
        """Why nothing is known of a session that was stored: it began later, was pruned or withdrawn; else ``None``."""
        first = next(self.history(stream), None)
        if first is not None:
            at = "" if first.received_at is None else f", received {isoformat(first.received_at)}"
            hint = f"its first delivery is at position {first.position}{at}"
            return NotFoundError("no delivery of this session had come by then", place=stream, hint=hint)
        if (pruned := self.pruned(stream)) is not None:
            return pruned.error(stream)
        if self.is_stored(stream):
            hint = "tracker withdraw --undo LOG makes it count again"
            return NotFoundError("every delivery of this session was withdrawn", place=stream, hint=hint)
        return None

    def last_position(self, up_to: int | None = None) -> int:
        """The position of the newest delivery, or of the newest one up to a position; 0 if there is none."""
        if up_to is None:
            return self._value("SELECT MAX(notification_id) FROM stored_events") or 0
        return (
            self._value("SELECT MAX(notification_id) FROM stored_events WHERE notification_id <= ?", up_to) or 0
        )

    def streams(self, up_to: int) -> dict[str, int]:
        """Each stream, and how many of its events there are up to a position."""
        statement = "SELECT originator_id, COUNT(*) FROM stored_events WHERE notification_id <= ? GROUP BY 1"
        with self._database.errors():
            return {str(stream): count for stream, count in self._recorder.rows(statement, (up_to,))}

    def holding(self, text: bytes, after: int, limit: int = PAGE) -> Rows:
        """Position, stream and state of the next events behind a position whose state holds some bytes."""
        select = (
            f"SELECT notification_id, originator_id, {self._recorder.state} FROM stored_events "
            f"WHERE notification_id > ? AND {self._recorder.contains} ORDER BY notification_id LIMIT {limit}"
        )
        with self._database.errors():
            return self._recorder.rows(select, (after, text))

    def begins(self, after: int, limit: int) -> Rows:
        """Position, stream, topic and the beginning of the state of the next events behind a position."""
        select = (
            f"SELECT notification_id, originator_id, topic, {self._recorder.begins} FROM stored_events "
            f"WHERE notification_id > ? ORDER BY notification_id LIMIT {limit}"
        )
        with self._database.errors():
            return self._recorder.rows(select, (after,))

    def is_stored(self, stream: str) -> bool:
        """Whether there is an event of it, counting or not."""
        with self._database.errors():
            return bool(
                self._recorder.rows("SELECT 1 FROM stored_events WHERE originator_id=? LIMIT 1", (stream,))
            )

    def newest_from(self, source: str) -> datetime | None:
        """The receive time of the last delivery from a source, ``None`` where the newest are all from others."""
        with self._database.errors():
            states = self._recorder.rows(*self._recorder.newest(says_source(source), self._look_back()))
        found = (self._mapper.to_received(state) for (state,) in states if isinstance(state, bytes))
        return next((one.received_at for one in found), None)

    def latest_from(self, source: str) -> datetime | None:
        """The newest receive time of a source among the newest deliveries, to the second; none that is wrong."""
        without = [(one.first, one.last) for one in self.wrong_times()]
        with self._database.errors():
            states = self._recorder.rows(
                *self._recorder.latest(says_source(source), self._look_back(), without)
            )
        found = (self._mapper.to_received(state) for (state,) in states if isinstance(state, bytes))
        return next((one.received_at for one in found), None)

    def _look_back(self) -> int:
        """Behind which position to look for the newest of a source: a long log may have none of it."""
        return max(0, self.last_position() - LOOK_BACK)

    def wrong_times(self) -> list[WrongTimes]:
        """The receive times that were taken back, by position; none where what is recorded is damaged."""
        rows: Rows = []
        with suppress(StoreDamagedError), self._database.errors():
            rows = self._recorder.rows("SELECT application_name FROM tracking WHERE notification_id = 0")
        return wrong_times(name for (name,) in rows if isinstance(name, str))

    def digest(self, position: int) -> str:
        """What tells the event at this position from any other; empty where there is none."""
        with self._database.errors():
            rows = self._recorder.rows(
                f"SELECT originator_id, originator_version, {self._recorder.state} FROM stored_events WHERE notification_id=?",
                (position,),
            )
        if not rows and self.is_changed(position):  # it was pruned
            rows = [("", position, b"")]
        return event_digest(*rows[0]) if rows else ""

    def mark(self) -> Mark | None:
        """The last event that was ever committed, as it is kept beside the store; ``None`` where nothing is."""
        return self._database.mark()

    def count(self) -> int:
        return self._value("SELECT COUNT(*) FROM stored_events") or 0

    def integrity(self) -> Iterator[tuple[str, str]]:
        """What the store contradicts: (place, problem). Nothing if it is sound."""
        received = self._mapper.to_received
        return Integrity(self._recorder, self.place, self._database.errors, received).problems()

    def without_digest(self) -> list[Hole]:
        """The positions that were stored by a program that knew no digests."""
        gaps = self.gaps()
        holes = uncovered(blocks(self.trackings(DIGEST)), self.last_position())
        return [one for one in holes if gaps.behind(one.first - 1) < one.last]

    def end(self) -> int:
        """The last position, also where the event there cannot be read."""
        return last_position(self._recorder, self._database.errors)

    def salvaged(self) -> Iterator[Delivery | Hole]:
        """All deliveries that can be read, by position, and between them what cannot, or is not there."""

        def select(after: int, stop: int) -> list[Delivery]:
            page = self._page(
                "notification_id <= ?", [stop], "notification_id", after, stop - after, every=True
            )
            return [delivery for delivery, _ in page.deliveries]  # not one row further

        def behind_it(after: int) -> int | None:
            return following(self._recorder, self._database.errors, after)

        gaps, gone, last = self.gaps(tombstones=True), self.withdrawn(), 0
        for page in readable(select, 0, self.end(), PAGE, behind_it):
            for one in (page,) if isinstance(page, Hole) else page:
                first, end = (one.first, one.last) if isinstance(one, Hole) else (one.position, one.position)
                last = gaps.behind(last)
                if first > last + 1:
                    yield Hole(last + 1, first - 1)
                if isinstance(one, Hole) or (one.position not in gone and one.stream not in erasures.OURS):
                    yield one
                last = max(last, end)

    @property
    def notifies(self) -> bool:
        """Whether ``listen`` reports the commits of other processes."""
        return self._recorder.notifies

    def listen(self, on_commit: Callable[[], None], stopping: Callable[[], bool]) -> None:
        """Calls ``on_commit`` after each commit of any process, until it is ``stopping``. Raises ``StoreError``.

        It is a hint: who follows has to look from time to time all the same.
        """
        with self._database.errors():
            self._recorder.listen(on_commit, stopping)

    def try_to_write(self, patience: float) -> None:
        """Raises ``StoreError`` where nothing could be stored now; waits so many seconds for another writer."""
        with self._database.errors():
            self._recorder.try_to_write(patience)

    @property
    def _mapper(self) -> EnvelopeMapper:
        assert isinstance(self.mapper, EnvelopeMapper)
        return self.mapper

    def _without_erased(self, events: Sequence[Event]) -> Sequence[Event]:
        """Events as they are to be stored: without those whom the ledger says to forget."""
        return events if not self.ledger.requests else [self._mapper.erased(one, self.ledger) for one in events]

    def _delivery(
        self, position: int, stream: Any, version: Any, state: Any, wrong: Sequence[WrongTimes] = ()
    ) -> Delivery:
        if not (isinstance(stream, str) and isinstance(version, int) and isinstance(state, bytes)):
            raise StoreDamagedError(
                f"the event at position {position} is damaged",
                place=self.place,
                hint="restore it from a backup; tracker verify names every such place",
            )
        delivery = self._mapper.to_delivery(state, position)
        if wrong and any(one.first <= position <= one.last for one in wrong):
            delivery.received = replace(delivery.received, received_at=None)
        if delivery.stream != stream:
            _put_back(delivery, stream)
        return delivery

    def _deliveries(
        self, condition: str, values: list[Any], order: str, *, every: bool = False
    ) -> Iterator[Delivery]:
        """Page by page, for a stream may be as long as the store."""
        after, full = -1, True
        while full:
            page = self._page(condition, values, order, after, PAGE, every=every)
            for delivery, _ in page.deliveries:
                yield delivery
            full, after = page.full, after if page.last is None else page.last

    def _page(
        self, condition: str, values: Sequence[Any], order: str, after: int, limit: int, *, every: bool = False
    ) -> Page:
        """The one place in which events become deliveries: what was withdrawn is left out here, unless ``every``."""
        select = (
            f"SELECT notification_id, originator_id, originator_version, {self._recorder.state}, {order} "
            f"FROM stored_events WHERE {condition} AND {order} > ? ORDER BY {order} LIMIT {limit}"
        )
        with self._database.errors():
            of_ours, rows = self._recorder.at_once(self._select_withdrawals, (select, (*values, after)))
        gone = self._read_withdrawals(of_ours)
        counting = rows
        if not every:
            counting = [row for row in rows if row[0] not in gone and row[1] not in erasures.OURS]
        counting = [row for row in counting if not prunings.is_tombstone(row[3])]
        wrong = self.wrong_times()
        deliveries = [
            (self._delivery(position, stream, version, state, wrong), version)
            for position, stream, version, state, _ in counting
        ]
        return Page(deliveries, rows[-1][-1] if rows else None, len(rows) == limit)

    def withdrawn(self) -> Withdrawals:
        """Which positions do not count."""
        with self._database.errors():
            return self._read_withdrawals(self._recorder.rows(*self._select_withdrawals))

    @property
    def _select_withdrawals(self) -> tuple[str, Sequence[Any]]:
        select = (
            f"SELECT notification_id, originator_version, {self._recorder.state} FROM stored_events "
            "WHERE originator_id = ? ORDER BY originator_version"
        )
        return select, (withdrawals.STREAM,)

    def _read_withdrawals(self, rows: Rows) -> Withdrawals:
        self._withdrawals = found = self._withdrawals.read(rows, self.place)
        return found

    def _value(self, statement: str, *values: Any) -> Any:
        with self._database.errors():
            rows = self._recorder.rows(statement, values)
        return rows[0][0] if rows else None


def _up_to(stop: int | None) -> tuple[str, list[int]]:
    """The condition for all events, or for those up to a position, and its values."""
    return ("1 = 1", []) if stop is None else ("notification_id <= ?", [stop])


def _put_back(delivery: Delivery, stream: str) -> None:
    """Makes a delivery one of the stream that it is stored in."""
    is_session = not stream.startswith((UNROUTED, *REGISTRY.prefixes))
    delivery.stream, delivery.session_id = stream, stream if is_session else None
    delivery.link = None if is_session else delivery.link
    if stream.startswith(UNROUTED) and delivery.lifecycle is not None:
        delivery.lifecycle, delivery.step, delivery.unrouted = None, None, UNKNOWN_TYPE
        delivery.problem = f"{delivery.topic} was not a known type when it was stored"
