"""Judging the event store page by page, and writing what the read models say of it.

A page is judged, then the rows of every session that it touched are written, and of every session that the
newest receive time changes, and the checkpoint, all in one transaction. What a session's rows say depends
on its deliveries, on the newest receive time of the log and on what the log says of other sessions
(``tracker.judging.log``). That changes at milestones only, where each page ends, and the sessions in doubt
are then judged anew: so pages of any size give the same rows. A session that is not in memory is folded
again from its stream; the rows are never read back.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Self

import attrs
import msgspec
from msgspec.structs import replace

from projections.progress import Progress
from projections.read_models import (
    ReadModels,
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
from projections.views.written import Written
from tracker.accept import accept_all
from tracker.delivery.webhook import UNKNOWN_TYPE, UNROUTED, Delivery
from tracker.errors import StoreError
from tracker.judging.assess import assess
from tracker.judging.findings.of_log import STREAM, of_log
from tracker.judging.log import Habits, LogView, Traffic, copied, next_milestone, view_of
from tracker.judging.session import Observed
from tracker.judging.sessions import Sessions
from tracker.judging.state import Session
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.place import identity
from tracker.store.recorder import LOCK_TIMEOUT

COUNTED = (types.TABLE, hours.TABLE)
"""The tables to which each page adds; their rows are of no stream."""
BULK = 10_000
"""Deliveries of a page, where so many wait: the rows of a session are written once a page, however much came of it."""
CACHE = 64 << 10
"""KiB of a file that is made anew which are kept in memory: rows go everywhere in it."""
MEMORY = 10_000
"""Sessions kept folded between pages."""


class Pages:
    """A file of read models to which pages are written, and the sessions they were last written from.

    ``scratch``: the file is thrown away when anything goes wrong, and is seen by nobody before it is complete.
    """

    def __init__(self, path: Path, rules: Rules, *, scratch: bool = False) -> None:
        self.path = path
        self.rules = rules
        self.fingerprint = fingerprint(rules)
        self._scratch = scratch
        self.connection: sqlite3.Connection
        self._connect()
        self.checkpoint = Checkpoint()
        self._now: datetime | None = None
        self.traffic = Traffic()
        self.log = LogView()
        """What the log said at the last milestone."""
        self._outdated = True
        self._sessions = Sessions(rules)
        self._written = Written()
        self._named: set[tuple[str, str]] = set()
        self.before = self.checkpoint
        """What the checkpoint was before the last page."""
        self.rewritten: set[str] = set()
        """The streams whose findings that page wrote; those outside of any session are left out."""
        self.readings: Counter[tuple[str, str]] = Counter()
        """How often each webhook type was taken for what, by these read models, since they were opened."""

    @property
    def db(self) -> ReadModels:
        """The read models, to be asked."""
        return ReadModels(self.connection)

    @property
    def as_of(self) -> datetime | None:
        """The moment that the rows are of: time alone has changed nothing in them since the checkpoint."""
        return max(filter(None, (self.checkpoint.as_of, self._now)), default=None)

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close()
        if isinstance(error, sqlite3.Error | UnicodeDecodeError):  # of somebody who read the rows
            with views_errors(self.path):
                raise error

    def follow(
        self,
        tracker: Tracker,
        progress: Progress | None = None,
        page_size: int = BULK,
        *,
        stop: int | None = None,
    ) -> None:
        """Judges what is new in the store, page by page, up to its end or to the position ``stop``."""
        last = tracker.last_position() if stop is None else stop
        if last <= self.checkpoint.position:
            return
        while self._follow_page(tracker, page_size, stop, last):
            if progress:
                progress(self.checkpoint.position, max(last, self.checkpoint.position))

    def has_due(self, as_of: datetime) -> bool:
        """Whether time alone has changed a row by then."""
        with views_errors(self.path):
            return bool(self._due(as_of)) or self._log_at(as_of) != self.log

    @property
    def can_be_written(self) -> bool:
        """Whether the file and its directory, where a journal must be, can be written."""
        return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)

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
            self._write(tracker, self._due(as_of), as_of)
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
            end = next_milestone(after)
            page, last = tracker.follow(after, page_size, end if stop is None else min(stop, end))
            if last == after:
                return False
            at_milestone = any(one.position == end for one, _ in page[-1:])
            sessions, new = self._judged_from(tracker), set[str]()
            touched: dict[str, None] = {}
            alone: dict[int, Row] = {}
            silences, said = len(self.traffic.silences), self.log
            for delivery, version in page:
                self.traffic.observe(delivery, self.rules)
                if delivery.stream.startswith(UNROUTED):
                    alone.update(self._observe_unrouted(tracker, delivery))
                    continue
                if version == 1 and delivery.stream not in sessions.observed:  # nothing of it came before
                    new.add(delivery.stream)
                    sessions.observed[delivery.stream] = Observed(delivery.stream, delivery.session_id)
                sessions.observe(delivery)
                touched[delivery.stream] = None
            received = [delivery for delivery, _ in page]
            times = [one.received_at for one in received if one.received_at is not None]
            as_of = max([*times, *([self.checkpoint.as_of] if self.checkpoint.as_of else [])], default=None)
            changed = {sessions.observed[stream].meeting_id for stream in touched}
            rooms.write(self.connection, self._habits.rooms, sorted(filter(None, changed)))
            if at_milestone:
                self._pass_milestone()
            self.log = self.log.with_traffic(self.traffic, as_of, self.rules)
            # Nobody sees what a file that is made anew says in between, so the last milestone will do.
            is_seen = at_milestone and not (self._scratch and next_milestone(end) <= last_known)
            others = deadlines.in_doubt(self.connection) if is_seen else self._silent(silences)
            for stream in (*self._due(as_of), *others):
                touched.setdefault(stream)
            readings = self._write(tracker, touched, as_of, received, alone, new)
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
        if not self._scratch:  # nobody asks a file that is made anew
            self.readings.update(readings)
        self._forget()
        return True

    @property
    def _habits(self) -> Habits:
        habits = self._sessions.habits
        assert habits is not None, "the checkpoint has been read"
        return habits

    def _judged_from(self, tracker: Tracker) -> Sessions:
        """The sessions; one that is not in memory is taken from its stream."""

        def recall(stream: str, before: int | None) -> Observed | None:
            at = self.checkpoint.position if before is None else before - 1
            observed: Observed | None = None
            counted = Habits()  # the log has learned of it before; what that was the session remembers
            for one in tracker.history(stream, at=at):
                observed = observed or Observed(stream, one.session_id)
                observed.observe(one, counted)
            return observed

        self._sessions.recall = recall
        return self._sessions

    def _pass_milestone(self) -> None:
        """What is known of the log now is what counts from here on."""
        self._habits.prune()
        self.log = attrs.evolve(view_of(copied(self._habits), self.traffic), next_begin=self.log.next_begin)
        rooms.pass_milestone(self.connection)
        self.connection.execute("UPDATE checkpoint SET habits_then = ?", (packed(self.log.habits),))

    def _silent(self, before: int) -> Iterator[str]:
        """The streams in which something is missing that a silence found just now may explain."""
        for one in self.traffic.silences[before:]:
            for row in self.connection.execute(findings.LACKING_SINCE, (text(one.since) or "",)).fetchall():
                yield row[0]

    def _observe_unrouted(self, tracker: Tracker, delivery: Delivery) -> Iterator[tuple[int, Row]]:
        """Each delivery outside any session stands alone; only the first of an unknown type tells of the type.

        Returns how it was read.
        """
        alone = Observed(delivery.stream, is_before_all=self._habits.oldest is None)
        if delivery.unrouted == UNKNOWN_TYPE:
            if self._was_named(tracker, delivery):
                alone.name_before([f"{UNKNOWN_TYPE} {delivery.topic}"])
            self._named.add((delivery.stream, delivery.topic))
        alone.observe(delivery)
        session = assess(alone, None, self.rules)
        found = accept_all(session.findings, self.rules.accept)
        for number, one in enumerate(found):
            one.number = delivery.position + number  # a number that no other finding of the stream has
        self.connection.executemany(findings.TABLE.insert, list(findings.rows_of(delivery.stream, found)))
        return deliveries.read(session)

    def _was_named(self, tracker: Tracker, delivery: Delivery) -> bool:
        """Whether the type was unknown before in this stream; what is broken does not count."""
        return (delivery.stream, delivery.topic) in self._named or any(
            one.unrouted == UNKNOWN_TYPE and one.topic == delivery.topic
            for one in tracker.history(delivery.stream, at=delivery.position - 1)
        )

    def _due(self, as_of: datetime | None) -> list[str]:
        if as_of is None:
            return []
        return [row[0] for row in self.connection.execute(deadlines.DUE, (text(as_of),)).fetchall()]

    def _write(
        self,
        tracker: Tracker,
        touched: Iterable[str],
        as_of: datetime | None,
        page: Sequence[Delivery] = (),
        alone: Mapping[int, Row] = MappingProxyType({}),
        new: Collection[str] = (),
    ) -> Iterator[tuple[str, str]]:
        """Writes the rows of these streams, of the sessions that are seen otherwise because of them, and of a page.

        ``alone``: how those of the page were read that are outside of any session. ``new`` are
        streams without rows. Returns of each delivery of the page its type, and as what it was read.
        """
        settled = self._settled(self._judged_from(tracker), touched, as_of, new)
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
        written = deliveries.write(self.connection, page, readings, alone, self._written.readings(readings))
        self._written.keep_readings(readings)
        return written

    def _settled(
        self, sessions: Sessions, touched: Iterable[str], as_of: datetime | None, new: Collection[str]
    ) -> dict[str, Session]:
        """The sessions of these streams, and of all that are seen otherwise because of them; their spans are written."""
        settled: dict[str, Session] = {}
        waiting = list(touched)
        while waiting:
            judged = {stream: sessions.assessed(stream, as_of, self.log) for stream in waiting}
            begun = [one for one in judged.values() if spans.begins_now(self.connection, one)]
            rows = {stream: list(spans.rows(one)) for stream, one in judged.items()}
            self._replace(spans.TABLE, rows, [one for one in new if one not in settled])
            settled |= judged
            waiting = concerned(self.connection, judged, begun, settled)
        return settled

    def _replace(self, table: Table, rows: Mapping[str, Sequence[Row]], new: Collection[str] = ()) -> None:
        if table is findings.TABLE:
            self.rewritten.update(rows)
        self._written.replace(self.connection, table, rows, new)

    def completed(self, session: Session, moment: datetime | None = None) -> Session:
        """A session with what others of its meeting say of it, and what is accepted marked; it is changed."""
        completed(self.connection, self.rules, session, self.as_of if moment is None else moment, moment)
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
        if len(self._named) > MEMORY:
            self._named.clear()

    def _forget_all(self) -> None:
        self._sessions = Sessions(self.rules, habits=self._sessions.habits)
        self._written = Written()
        self._named.clear()
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

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with views_errors(self.path):
            self._begin()
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                self._forget_all()
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def _begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        while not self._is_live():
            self._reconnect()
            self.connection.execute("BEGIN IMMEDIATE")

    def _is_live(self) -> bool:
        """Whether our file is still the one of that name; while we hold the write lock, it remains so."""
        return identity(self.path) == self._identity

    def _copy_to_memory(self) -> None:
        with views_errors(self.path):
            copy = sqlite3.connect(":memory:", isolation_level=None)
            self.connection.backup(copy)
            self.connection.close()
            self.connection = copy
            self.log = attrs.evolve(self.log, next_begin=partial(spans.next_begin, copy))

    def _reconnect(self) -> None:
        self.close()
        self._forget_all()
        self._connect()

    def _connect(self) -> None:
        with views_errors(self.path):
            self._identity = identity(self.path)
            connection = sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=LOCK_TIMEOUT,
            )
            self.connection = connection
            # A file that is thrown away when anything goes wrong needs no journal.
            self.connection.execute(f"PRAGMA journal_mode={'OFF' if self._scratch else 'DELETE'}")
            self.connection.execute(f"PRAGMA synchronous={'OFF' if self._scratch else 'NORMAL'}")
            if self._scratch:
                self.connection.execute(f"PRAGMA cache_size=-{CACHE}")
