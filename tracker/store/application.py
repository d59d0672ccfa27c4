"""The event store: every delivery, in the order in which it was stored.

One stream per session (``originator_id`` is the session's id), so one read gives a session in
order and its state at any moment is folded from that. The library's ``Application`` carries it,
on a file (``tracker.store.sqlite``) or on a server (``tracker.store.postgres``).

A stored event's topic is the webhook type; its state is ``tracker.delivery.envelope``'s line. The version is
the place in the stream, from 1, and is computed inside the write transaction: a delivery reports
what has happened, so two writers never contradict each other and nothing needs to be loaded first.

Some events say what we did and not what was received: a log was withdrawn (``tracker.store.withdrawals``). What
does not count because of that stays where it is, and is in no page, history or status.

Here is what writes; ``tracker.store.reading`` has what reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from eventsourcing.persistence import StoredEvent, Tracking

from tracker.delivery.envelope import Received, isoformat, received_at_start
from tracker.delivery.webhook import Delivery
from tracker.errors import UsageError
from tracker.store import erasures, prunings
from tracker.store.clock import PIN, WrongTimes
from tracker.store.ledger import Ledger
from tracker.store.losses import Accepted
from tracker.store.mapper import says_source
from tracker.store.reading import StoreReader
from tracker.store.recorder import Database, Event, Newest, SourcePosition, StoredRow
from tracker.store.sqlite import SQLite

POSTGRES = ("postgresql://", "postgres://")
"""What the address of a store on a server begins with."""


class Tracker(StoreReader):
    """The event store, and the directory that the read models are in.

    ``Tracker.open(data)`` opens the one in a data directory, ``Tracker.open(data, url)`` one on a server;
    ``create=True`` makes it where there is none. Its methods may be called from any thread. Raises
    ``StoreMissingError``, ``StoreVersionError``, ``StoreDamagedError`` or ``StoreError``.
    """

    name = "tracker"

    @classmethod
    def open(cls, data: Path | str, url: str | None = None, *, create: bool = False) -> Tracker:
        data = Path(data)
        database: Database = SQLite(data)
        if url is not None:
            database = _on_a_server(url)
        make = database.check(create=create)
        with database.errors():
            return cls(data, database, make=make)

    def __init__(self, data: Path, database: Database, *, make: bool) -> None:
        self._received_up_to: int | None = None
        super().__init__(data, database, make=make)

    def append(
        self,
        deliveries: Iterable[Delivery],
        *read: SourcePosition,
    ) -> Sequence[int]:
        """Stores deliveries in one transaction; returns their positions.

        How far each source was ``read`` is recorded in the same transaction. Raises ``ConcurrentReadError``, and
        stores nothing, when another process has read one of them since it was looked at.
        """
        events = self._mapper.to_store(deliveries)
        with self._database.errors():
            return self._recorder.insert(events, read=read)

    def receive(self, deliveries: list[Delivery]) -> Sequence[int]:
        """Stores what was received just now, all from one source; returns the positions.

        Receivers on several hosts have several clocks, and the order of the store is that of none of them. So
        the receive time of one that is behind by less than ``PIN`` becomes the newest one there: later in the
        store is not earlier, unless a clock was wrong by more.
        """
        if not deliveries:
            return ()
        if self._received_up_to is None:
            self._received_up_to = self._look_back()

        def forward(newest: bytes | None, events: Sequence[Event]) -> Sequence[Event]:
            least = self._mapper.to_received(newest).received_at if newest is not None else None
            return events if least is None else _not_before(least, deliveries, events)

        newest = Newest(says_source(deliveries[0].received.source), self._received_up_to, forward)
        events = self._mapper.to_store(deliveries)
        with self._database.errors():
            positions = self._recorder.insert(events, newest=newest)
        self._received_up_to = max(self._received_up_to, positions[-1] - 1)
        return positions

    def put(self, events: Sequence[StoredEvent], behind: int) -> None:
        """Stores events as they are behind the position ``behind``.

        Raises ``ConcurrentReadError`` where that is not the last one.
        """
        with self._database.errors():
            self.recorder.insert_events(events, behind=behind)

    def remember(self, tracking: Tracking) -> None:
        """Records how far a source was read, and nothing with it."""
        with self._database.errors():
            self._recorder.insert_tracking(tracking)

    def accept_loss(self, loss: Accepted) -> None:
        """Records a loss; positions go on behind what had been seen."""
        self.skip_to(loss.seen)
        self.remember(Tracking(loss.name, loss.seen))

    def skip_to(self, position: int) -> None:
        """Gives no position up to this one any more."""
        with self._database.errors():
            self._recorder.skip_to(position)

    def take_back(self, wrong: WrongTimes) -> None:
        """Records that receive times are wrong: such a delivery is read as one without."""
        self.remember(Tracking(wrong.name, 0))  # at no position: so they are found at once

    def erase(self, streams: Sequence[str]) -> int:
        """Rewrites what is stored of these streams as the ledger says; returns how many events changed."""

        def change(rows: Sequence[StoredRow]) -> Iterator[tuple[int, bytes]]:
            return self._mapper.changes(rows, self.ledger)

        with self._database.errors():
            return self._recorder.rewrite(streams, change)

    def would_erase(self, streams: Sequence[str], ledger: Ledger) -> int:
        """How many events of these streams ``erase`` would change by another ledger, which learns by that."""
        with self._database.errors():
            return sum(1 for _ in self._mapper.changes(self._recorder.of_streams(streams), ledger))

    def record_erasure(self, requests: int, at: datetime) -> None:
        """Records that everybody is erased up to a request of the ledger."""
        self.record(erasures.STREAM, erasures.TOPIC, Received(erasures.body(requests), at))

    def prune(self, streams: Mapping[str, bytes], at: datetime, archive: str) -> int:
        """Leaves a tombstone of each of these sessions, if its digest is still this one; returns of how many."""
        with self._database.errors():
            return self._recorder.prune(streams, isoformat(at), archive)

    def record_prunings(self, at: datetime) -> None:
        """Records how much was moved into archives so far, so that what was derived of it is made anew."""
        self.record(prunings.STREAM, prunings.TOPIC, Received(prunings.body(self.moved()), at))

    def clean(self) -> str:
        """Removes what was rewritten from everywhere else in the database; returns what could not be done."""
        with self._database.errors():
            return self._recorder.clean()

    def record(self, stream: str, topic: str, received: Received) -> int:
        """Stores an event that says what we did; returns its position."""
        with self._database.errors():
            (position,) = self._recorder.insert([self._mapper.stored(stream, topic, received)])
        return position


def _not_before(least: datetime, deliveries: Iterable[Delivery], events: Iterable[Event]) -> list[Event]:
    """The events of deliveries, each that is earlier than ``least`` by up to ``PIN`` with that time in the place of its own.

    The write lock is held meanwhile, and with several receivers most are a little earlier: so no line is made anew.
    """
    start = received_at_start(least)
    moved = []
    for one, event in zip(deliveries, events, strict=True):
        at = one.received_at
        if at is None or at >= least or least - at > PIN:
            moved.append(event)
        else:
            stream, version, topic, state = event
            moved.append((stream, version, topic, start + state[len(received_at_start(at)) :]))
    return moved


def _on_a_server(url: str) -> Database:
    if not url.startswith(POSTGRES):
        raise UsageError(
            "--store is no address of a PostgreSQL database",
            hint="write postgresql://USER@HOST/DATABASE; for a store in a directory give --data DIR",
        )
    try:
        from tracker.store.postgres import PostgreSQL
    except ImportError as error:
        raise UsageError(
            f"PostgreSQL needs a package that is not installed: {error.name}",
            hint="pip install '.[postgres]' in the directory of the source",
        ) from error
    return PostgreSQL(url)
