"""Judging the event store page by page, and writing what the read models say of it.

A page is judged, then the rows of every session that it touched are written, and of every session that the
newest receive time changes, and the checkpoint, all in one transaction. What a session's rows say depends
on its deliveries, on the newest receive time of the log and on what the log says of other sessions
(``tracker.judging.log``). That changes at milestones only, where each page ends, and the sessions in doubt
are then judged anew: so pages of any size give the same rows. A session that is not in memory is folded
again from its stream; the rows are never read back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path

import msgspec
from msgspec.structs import replace

from projections.progress import Progress
from projections.read_models import (
    Row,
    Table,
    deadlines,
    deliveries,
    findings,
    hours,
    rooms,
    spans,
    text,
    types,
)
from projections.views.database import (
    TABLES,
    Checkpoint,
    fingerprint,
    packed,
    read_checkpoint,
    read_log,
    views_errors,
)
from projections.views.meeting import completed, concerned
from projections.views.opened import Opened
from projections.views.waiting import Waiting
from projections.views.written import Written
from tracker.accept import accept_all
from tracker.delivery.webhook import UNROUTED, Delivery
from tracker.errors import StoreError
from tracker.judging.findings.content import ODD
from tracker.judging.findings.of_log import STREAM, of_log
from tracker.judging.log import (
    Habits,
    LogView,
    Traffic,
    is_milestone,
    next_milestone,
    page_end,
    telling,
    view_of,
)
from tracker.judging.session import Observed, observe_all
from tracker.judging.sessions import Outside, Sessions
from tracker.judging.state import Session
from tracker.rules import Rules
from tracker.store.application import Tracker

COUNTED = (types.TABLE, hours.TABLE)
"""The tables to which each page adds; their rows are of no stream."""
BULK = 10_000
"""Deliveries of a page, where so many wait: the rows of a session are written once a page, however much came of it."""
TOGETHER = 200
"""Streams whose rows are made and written in one go: they are held in memory meanwhile."""
MEMORY = 10_000
"""Sessions kept folded between pages."""

Reading = tuple[str, str]
"""The type of a delivery, and as what it was read."""


class Pages(Opened):
    """A file of read models to which pages are written, and the sessions they were last written from.

    ``scratch``: the file is thrown away when anything goes wrong, and is seen by nobody before it is complete.
    """

    def __init__(self, path: Path, rules: Rules, *, scratch: bool = False) -> None:
        super().__init__(path, scratch=scratch)
        self.rules = rules
        self.fingerprint = fingerprint(rules)
        self.checkpoint = Checkpoint()
        self._now: datetime | None = None
        self.traffic = Traffic()
        self.log = LogView()
        """What the log said at the last milestone."""
        self._outdated = True
        self._sessions = Sessions(rules)
        self._written = Written()
        self._waiting = Waiting()
        self._outside = Outside(rules)
        self.before = self.checkpoint
        """What the checkpoint was before the last page."""
        self.rewritten: set[str] = set()
        """The streams whose findings that page wrote; those outside of any session are left out."""
        self.readings: Counter[tuple[str, str]] = Counter()
        """How often each webhook type was taken for what, by these read models, since they were opened."""

    @property
    def as_of(self) -> datetime | None:
        """The moment that the rows are of: time alone has changed nothing in them since the checkpoint."""
        return max(filter(None, (self.checkpoint.as_of, self._now)), default=None)

    def follow(
        self,
        tracker: Tracker,
        progress: Progress | None = None,
        page_size: int = BULK,
        *,
        stop: int | None = None,
    ) -> None:
        """Judges what is new in the store, page by page, up to the position ``stop`` or to where it ends now.

        What comes meanwhile may be left to the next call, so that this one ends however fast that is.
        """
        last = tracker.last_position() if stop is None else stop
        if last <= self.checkpoint.position:
            return
        while self.checkpoint.position < last and self._follow_page(tracker, page_size, stop, last):
            if progress:
                progress(self.checkpoint.position, max(last, self.checkpoint.position))
        if self._scratch:
            with self._transaction():
                self._reload()
                self._write_waiting(tracker, self.checkpoint.as_of)

    def has_due(self, as_of: datetime) -> bool:
        """Whether time alone has changed a row by then."""
        with views_errors(self.path):
            return bool(self._due(as_of)) or self._log_at(as_of) != self.log

    def bring_to(self, tracker: Tracker, now: datetime) -> None:
        """Lets time pass up to ``now``, for somebody who reads.

        Where that changes no row, nothing is written; where the file cannot be written, a copy in memory is.
        """
        if self.has_due(now):
            if not self.can_be_written:
                self._copy_to_memory()
            self.settle(tracker, now)
        self._now = now

    def settle(self, tracker: Tracker, as_of: datetime) -> None:
        """Lets time pass up to ``as_of`` though nothing was received: what rests on absence shows then.

        The moment is kept in the checkpoint, and a newer delivery moves it on. An earlier one than that does
        nothing.
        """
        with self._transaction():
            self._reload()
            if self.checkpoint.as_of is not None and as_of <= self.checkpoint.as_of:
                return
            self._write_waiting(tracker, as_of)
            if (log := self._log_at(as_of)) != self.log:
                self.log = log
                self._write_log()
            self.checkpoint = replace(self.checkpoint, as_of=as_of)
            self.connection.execute("UPDATE checkpoint SET as_of = ?", (text(as_of),))
        self._forget()

    def _follow_page(self, tracker: Tracker, page_size: int, stop: int | None, last_known: int) -> bool:
        with self._transaction():
            self._reload()
            after = self.checkpoint.position
            end = page_end(after, last_known)
            page, last = tracker.follow(after, page_size, end if stop is None else min(stop, end))
            if last == after:
                return False
            at_milestone = any(is_milestone(one.position) for one, _ in page[-1:])
            silences, said = len(self.traffic.silences), self.log
            readings = self._observe(tracker, page)
            received = [delivery for delivery, _ in page]
            times = [one.received_at for one in received if one.received_at is not None]
            as_of = max([*times, *([self.checkpoint.as_of] if self.checkpoint.as_of else [])], default=None)
            if at_milestone:
                self._pass_milestone()
            self.log = self.log.with_traffic(self.traffic, as_of, self.rules)
            # Nobody sees what a file that is made anew says in between, so the last milestone will do.
            is_seen = at_milestone and not (self._scratch and next_milestone(end) <= last_known)
            self._waiting.touch(deadlines.in_doubt(self.connection) if is_seen else self._silent(silences))
            if self._scratch:
                self._write(tracker, self._waiting.longest(), as_of)
            else:  # nobody asks a file that is made anew for its readings
                self.readings.update(chain(readings, self._write_waiting(tracker, as_of)))
            if at_milestone or self.log != said:
                self._write_log()
            self.connection.executemany(types.COUNT, types.rows(received))
            self.connection.executemany(hours.COUNT, hours.rows(received))
            self.checkpoint = Checkpoint(last, as_of, tracker.digest(last), self.checkpoint.withdrawn)
            self.connection.execute(
                "UPDATE checkpoint SET position = ?, as_of = ?, digest = ?, traffic = ?, habits = ?",
                (
                    last,
                    text(as_of),
                    self.checkpoint.digest,
                    msgspec.json.encode(self.traffic).decode(),
                    packed(self._habits),
                ),
            )
        self._forget()
        return True

    def _observe(self, tracker: Tracker, page: Iterable[tuple[Delivery, int]]) -> Iterator[Reading]:
        """Takes in a page. What of it is outside of any session is written; returns of that as ``deliveries.write`` does."""
        sessions = self._judged_from(tracker)
        came: list[Row] = []
        readings: dict[int, Row] = {}
        for delivery, version in page:
            stream = delivery.stream
            self.traffic.observe(delivery, self.rules)
            if stream.startswith(UNROUTED):
                came.append(deliveries.came(delivery))
                readings.update(self._observe_unrouted(tracker, delivery))
                continue
            if version == 1 and stream not in sessions.observed:  # nothing of it came before
                self._waiting.new.add(stream)
                sessions.observed[stream] = Observed(stream, delivery.session_id)
            sessions.observe(delivery)
            self._waiting.add(delivery)
        rooms.add(self.connection, self._habits.rooms)
        self._habits.rooms = {}  # what came in each adds up in the table
        return deliveries.write(self.connection, came, [readings])

    @property
    def _habits(self) -> Habits:
        habits = self._sessions.habits
        assert habits is not None, "the checkpoint has been read"
        return habits

    def _judged_from(self, tracker: Tracker) -> Sessions:
        """The sessions; one that is not in memory is taken from its stream."""

        def recall(stream: str, before: int | None) -> Observed | None:
            at = self.checkpoint.position if before is None else before - 1
            # The log has learned of it before; what that was the session remembers.
            return observe_all(tracker.history(stream, at=at), Habits())

        self._sessions.recall = recall
        return self._sessions

    def _pass_milestone(self) -> None:
        """What is known of the log now is what counts from here on."""
        self._habits.prune()
        rooms.pass_milestone(self.connection)
        habits = replace(telling(self._habits), rooms=rooms.telling(self.connection))
        before, now = self.log, view_of(habits, self.traffic)
        self.log = replace(now, next_begin=before.next_begin)
        self._waiting.touch(deadlines.lacking_others(self.connection, now.lacks_other_types(before)))
        self.connection.execute("UPDATE checkpoint SET habits_then = ?", (packed(self.log.habits),))

    def _silent(self, before: int) -> Iterator[str]:
        """The streams in which something is missing that a silence found just now may explain."""
        for one in self.traffic.silences[before:]:
            for row in self.connection.execute(findings.LACKING_SINCE, (text(one.since) or "",)).fetchall():
                yield row[0]

    def _observe_unrouted(self, tracker: Tracker, delivery: Delivery) -> Iterator[tuple[int, Row]]:
        """Writes what is found of a delivery outside any session. Returns how it was read."""
        self._outside.earlier = lambda one: tracker.history(one.stream, at=one.position - 1)
        session = self._outside.assessed(delivery, is_before_all=not self.traffic.has_begun)
        found = accept_all(session.findings, self.rules.accept)
        for number, one in enumerate(found):  # a delivery raises each of these codes once at most
            one.number = delivery.position * len(ODD) + number
        self.connection.executemany(findings.TABLE.insert, list(findings.rows_of(delivery.stream, found)))
        return deliveries.read(session)

    def _due(self, as_of: datetime | None) -> list[str]:
        if as_of is None:
            return []
        return [row[0] for row in self.connection.execute(deadlines.DUE, (text(as_of),)).fetchall()]

    def _write_waiting(self, tracker: Tracker, as_of: datetime | None) -> Iterator[Reading]:
        """Writes the rows of all streams that wait, and of those that time has changed."""
        self._waiting.touch(self._due(as_of))
        return self._write(tracker, self._waiting.all(), as_of)

    def _write(self, tracker: Tracker, streams: Sequence[str], as_of: datetime | None) -> Iterator[Reading]:
        """Writes the rows of streams that wait, and of the sessions that are seen otherwise because of them.

        Returns as ``deliveries.write`` does.
        """
        added: list[Iterator[Reading]] = []
        for begin in range(0, len(streams), TOGETHER):
            some = [one for one in streams[begin : begin + TOGETHER] if one in self._waiting]
            known = len(self._sessions.observed)
            added.append(self._write_together(tracker, some, as_of))
            self._sessions.keep_first(max(MEMORY, known))  # those in doubt may be very many
        return chain.from_iterable(added)

    def _write_together(
        self, tracker: Tracker, streams: Iterable[str], as_of: datetime | None
    ) -> Iterator[Reading]:
        new = self._waiting.new
        settled = self._settled(self._judged_from(tracker), streams, as_of, new)
        rows: dict[str, dict[str, list[Row]]] = {table.name: {} for table in TABLES}
        for stream, session in settled.items():
            overlap = completed(self.connection, self.rules, session, as_of)
            rows[deadlines.TABLE.name][stream] = deadlines.rows(session, [overlap])
            for table in TABLES:
                if table.rows and table is not spans.TABLE:
                    rows[table.name][stream] = list(table.rows(session))
        for table in TABLES:
            if table not in (*COUNTED, spans.TABLE, rooms.TABLE, deliveries.TABLE):
                self._replace(table, rows[table.name], new)
        readings = {stream: dict(deliveries.read(session)) for stream, session in settled.items()}
        deliveries.clear(self.connection, [stream for stream in readings if stream not in new])
        known = self._written.readings(readings)
        added = deliveries.write(self.connection, self._waiting.pop(settled), readings.values(), known)
        self._written.keep_readings(readings)
        return added

    def _settled(
        self, sessions: Sessions, touched: Iterable[str], as_of: datetime | None, new: Collection[str]
    ) -> dict[str, Session]:
        """The sessions of these streams, and of all that are seen otherwise because of them; their spans are written."""
        settled: dict[str, Session] = {}
        waiting = list(touched)
        while waiting:
            judged = {stream: sessions.assessed(stream, as_of, self.log) for stream in waiting}
            before = spans.begins(self.connection, waiting)
            rows = {stream: list(spans.rows(one)) for stream, one in judged.items()}
            self._replace(spans.TABLE, rows, new if not settled else ())
            settled |= judged
            waiting = concerned(self.connection, judged, before, settled)
        return settled

    def _replace(self, table: Table, rows: Mapping[str, Sequence[Row]], new: Collection[str] = ()) -> None:
        if table is findings.TABLE:
            self.rewritten.update(rows)
        self._written.replace(self.connection, table, rows, new)

    def completed(self, session: Session, *, at: int | None = None, as_of: datetime | None = None) -> Session:
        """A session with what others of its meeting say of it, and what is accepted marked; it is changed.

        It is as it is now, as it was right after the position ``at``, or at the moment ``as_of``.
        """
        completed(self.connection, self.rules, session, self.as_of, at=at, as_of=as_of)
        return session

    def _log_at(self, as_of: datetime | None) -> LogView:
        """What the log says at a moment, if nothing more has come until then."""
        return self.log.with_traffic(self.traffic, as_of, self.rules)

    def _write_log(self) -> None:
        found = accept_all(list(of_log(self.log, self.rules)), self.rules.accept)
        self._replace(findings.TABLE, {STREAM: list(findings.rows_of(STREAM, found))})

    def _forget(self) -> None:
        """Keeps the memory bounded: what was used least recently can be folded again."""
        self._sessions.keep(MEMORY)
        self._written.prune()
        if len(self._outside.named) > MEMORY:
            self._outside.named.clear()

    def _forget_all(self) -> None:
        self._sessions = Sessions(self.rules, habits=self._sessions.habits)
        self._written = Written()
        self._waiting = Waiting()
        self._outside = Outside(self.rules)
        self._outdated = True

    def _reload(self) -> None:
        """Reads the checkpoint; where another process has moved it, what we remember is outdated."""
        checkpoint, made_by = read_checkpoint(self.connection)
        if made_by != self.fingerprint:
            raise StoreError(
                "another process has made it anew by other rules, or is of another version",
                place=str(self.path),
                hint="give all processes of one data directory the same rules, and start them anew after an upgrade",
            )
        if checkpoint != self.checkpoint or self._outdated:
            self._forget_all()
            self.checkpoint = checkpoint
            self.traffic, self._sessions.habits, self.log = read_log(self.connection)
            self.log = self._log_at(checkpoint.as_of)
            self._outdated = False
        self.before, self.rewritten = checkpoint, set()

    def _copy_to_memory(self) -> None:
        super()._copy_to_memory()
        self.log = replace(self.log, next_begin=partial(spans.next_begin, self.connection))
