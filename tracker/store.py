"""The event store: every delivery, in the order in which it was stored.

One stream per session (``originator_id`` is the session's id), so one read gives a session in
order and its state at any moment is folded from that. The library's ``Application`` carries it,
on a file (``tracker.sqlite``) or on a server (``tracker.postgres``).

A stored event's topic is the webhook type; its state is ``tracker.envelope``'s line. The version is
the place in the stream, from 1, and is computed inside the write transaction: a delivery reports
what has happened, so two writers never contradict each other and nothing needs to be loaded first.

A delivery belongs where it is stored. What is read may say otherwise, because somebody changed it or
because a newer program reads it differently; ``integrity`` names it, and all others go by the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import attrs
import msgspec
from eventsourcing.application import Application
from eventsourcing.persistence import Mapper, Notification, StoredEvent, Tracking

from tracker import envelope
from tracker.envelope import Received
from tracker.errors import NotFoundError, StoreDamagedError, StoreError, UsageError
from tracker.judging.assess import assess_all
from tracker.judging.log import NOTHING_KNOWN, LogView
from tracker.judging.state import Session
from tracker.recorder import Database, Newest, Recorder, Seen
from tracker.rules import Rules
from tracker.sqlite import SQLite
from tracker.values import frozen
from tracker.webhook import UNKNOWN_TYPE, UNROUTED, Delivery, parse

PAGE = 1000
LOOK_BACK = 100_000
"""Deliveries among which the newest one of a source is looked for."""
POSTGRES = ("postgresql://", "postgres://")
"""What the address of a store on a server begins with."""

Upcaster = Callable[[bytes], bytes]
UPCASTERS: tuple[Upcaster, ...] = ()
"""The oldest first. Each turns a state of its format into the next one's and leaves newer ones alone,
for a store that a newer program goes on with holds states of several formats."""

_OUT_OF_ORDER = """
SELECT * FROM (
    SELECT notification_id, LAG(notification_id, 1, 0) OVER (ORDER BY notification_id) AS earlier,
        originator_id, originator_version,
        originator_version = ROW_NUMBER() OVER (PARTITION BY originator_id ORDER BY notification_id) AS follows
    FROM stored_events) AS events
WHERE notification_id <> earlier + 1 OR NOT follows ORDER BY notification_id
"""


@frozen
class WebhookReceived:
    """The one domain event: a webhook was received. Everything else is derived from it."""

    originator_id: str
    originator_version: int
    topic: str
    received: Received


class EnvelopeMapper(Mapper[str]):
    """Between ``WebhookReceived`` and what is stored; knows the old formats so that nobody else must."""

    def __init__(self) -> None:
        """Needs neither transcoder nor cipher: the state is a line of text."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        event = domain_event
        return self.stored(event.originator_id, event.originator_version, event.topic, event.received)

    def stored(self, stream: str, version: int, topic: str, received: Received) -> StoredEvent:
        return StoredEvent(stream, version, topic, envelope.encode(received))

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        received = self.to_received(stored_event.state)
        return WebhookReceived(
            str(stored_event.originator_id), stored_event.originator_version, stored_event.topic, received
        )

    def to_received(self, state: bytes) -> Received:
        for upcast in UPCASTERS:
            state = upcast(state)
        return envelope.decode(state)


class Tracker(Application[str]):
    """The event store, and the directory that the read models are in.

    ``Tracker.open(data)`` opens the one in a data directory, ``Tracker.open(data, url)`` one on a server;
    ``create=True`` makes it where there is none. Its methods may be called from any thread. Raises
    ``StoreMissingError``, ``StoreVersionError``, ``StoreDamagedError`` or ``StoreError``.
    """

    name = "tracker"

    @classmethod
    def open(cls, data: Path, url: str | None = None, *, create: bool = False) -> Tracker:
        database: Database = SQLite(data)
        if url is not None:
            database = _on_a_server(url)
        make = database.check(create=create)
        with database.errors():
            return cls(data, database, make=make)

    def __init__(self, data: Path, database: Database, *, make: bool) -> None:
        self.data = data
        self.place, self.owner = database.place, database.owner
        self._database, self._make = database, make
        self._received_up_to: int | None = None
        super().__init__({"ORIGINATOR_ID_TYPE": "text"})

    def construct_factory(self, env: Any) -> Any:
        return self._database.factory(env)

    def construct_mapper(self) -> Mapper[str]:
        return EnvelopeMapper()

    def construct_recorder(self) -> Recorder:
        recorder = self._database.recorder(self.factory)
        if self._make:
            recorder.create_table()
        return recorder

    def append(
        self, deliveries: Iterable[Delivery], tracking: Tracking | None = None, seen: Seen | None = None
    ) -> Sequence[int]:
        """Stores deliveries in one transaction; returns their positions.

        With ``tracking``, the position in a source is recorded in the same transaction. Raises
        ``ConcurrentReadError``, and stores nothing, when the source positions are not as ``seen``.
        """
        stored = self._to_store(deliveries)
        with self._database.errors():
            return self.recorder.insert_events(stored, tracking=tracking, seen=seen) or ()

    def receive(self, deliveries: list[Delivery]) -> Sequence[int]:
        """Stores what was received just now, all from one source; returns the positions.

        Receivers on several hosts have several clocks, and the order of the store is that of none of them. So
        the receive time of one that is behind becomes the newest one there: later in the store is never earlier.
        """
        if not deliveries:
            return ()
        if self._received_up_to is None:
            self._received_up_to = self._look_back()

        def forward(newest: bytes | None, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
            least = self._mapper.to_received(newest).received_at if newest is not None else None
            return [self._not_before(least, *both) for both in zip(deliveries, events, strict=True)]

        newest = Newest(_source(deliveries[0].received.source), self._received_up_to, forward)
        stored = self._to_store(deliveries)
        with self._database.errors():
            positions = self.recorder.insert_events(stored, newest=newest) or ()
        self._received_up_to = max(self._received_up_to, positions[-1] - 1)
        return positions

    def _to_store(self, deliveries: Iterable[Delivery]) -> list[StoredEvent]:
        stored = self._mapper.stored
        return [stored(one.stream, 0, one.topic, one.received) for one in deliveries]

    def _not_before(self, least: datetime | None, one: Delivery, event: StoredEvent) -> StoredEvent:
        at = one.received_at
        if least is None or at is None or at >= least:
            return event
        later = attrs.evolve(one, received=attrs.evolve(one.received, received_at=least))
        return self._to_store([later])[0]

    def _look_back(self) -> int:
        """Behind which position to look for the newest of a source: a long log may have none of it."""
        return max(0, self.last_position() - LOOK_BACK)

    def stored(self, after: int, limit: int, stop: int) -> list[Notification]:
        """Events behind a position, as they are stored."""
        with self._database.errors():
            return list(self.recorder.select_notifications(after, limit, stop, inclusive_of_start=False))

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

    def history(self, stream: str, *, at: int | None = None, lte: int | None = None) -> Iterator[Delivery]:
        """The deliveries of a stream in order, up to the position ``at`` or the version ``lte``."""
        conditions, values = ["originator_id=?"], list[Any]([stream])
        for condition, value in (("notification_id<=?", at), ("originator_version<=?", lte)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        yield from self._deliveries(" AND ".join(conditions), values, "originator_version")

    def unrouted(self, stream: str = UNROUTED) -> Iterator[Delivery]:
        """The deliveries of all streams whose name begins with ``stream``, by position."""
        yield from self._deliveries(
            "originator_id>=? AND originator_id<?",
            [stream, stream[:-1] + chr(ord(stream[-1]) + 1)],
            "notification_id",
        )

    def page(self, after: int, limit: int = PAGE, stop: int | None = None) -> list[tuple[Delivery, int]]:
        """Deliveries behind a position, each with its version in its stream."""
        with self._database.errors():
            found = self.recorder.select_notifications(after, limit, stop, inclusive_of_start=False)
        return [
            (
                self._delivery(event.id, event.originator_id, event.originator_version, event.state),
                event.originator_version,
            )
            for event in found
        ]

    def deliveries(self, stop: int | None = None) -> Iterator[Delivery]:
        """All deliveries by position, up to ``stop``."""
        after = 0
        while page := self.page(after, stop=stop):
            for delivery, _ in page:
                yield delivery
            after = page[-1][0].position

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
        heard = (
            delivery
            for delivery in self.history(stream, at=at)
            if as_of is None or delivery.received_at is None or delivery.received_at <= as_of
        )
        session = assess_all(heard, as_of, rules, log.known_by(at, as_of))
        if session is None:
            known = any(True for _ in self.history(stream))
            told = "nothing was known of it by then" if known else "nothing is stored of it"
            raise NotFoundError(told, place=stream, hint="tracker sessions lists what is there")
        return session

    def last_position(self) -> int:
        """The position of the newest delivery, 0 if there is none."""
        return self._value("SELECT MAX(notification_id) FROM stored_events") or 0

    def newest_from(self, source: str) -> datetime | None:
        """The receive time of the last delivery from a source, ``None`` where the newest are all from others."""
        with self._database.errors():
            states = self._recorder.rows(*self._recorder.newest(_source(source), self._look_back()))
        found = (self._mapper.to_received(state) for (state,) in states if isinstance(state, bytes))
        return next((one.received_at for one in found), None)

    def digest(self, position: int) -> str:
        """What tells the event at this position from any other; empty where there is none."""
        with self._database.errors():
            rows = self._recorder.rows(
                f"SELECT originator_id, originator_version, {self._recorder.state} FROM stored_events WHERE notification_id=?",
                (position,),
            )
        return blake2b(repr(rows[0]).encode(), digest_size=16).hexdigest() if rows else ""

    def count(self) -> int:
        return self._value("SELECT COUNT(*) FROM stored_events") or 0

    def trackings(self, prefix: str) -> list[tuple[str, int]]:
        """Recorded source positions whose name begins with ``prefix``."""
        with self._database.errors():
            return [
                (str(name), int(position))
                for name, position in self._recorder.rows(
                    "SELECT application_name, notification_id FROM tracking WHERE application_name LIKE ? "
                    f"AND {self._recorder.is_tracking}",
                    (prefix + "%",),
                )
            ]

    def integrity(self) -> Iterator[tuple[str, str]]:
        """What the file contradicts: (place, problem). Nothing if it is sound."""
        for look in (self._damage, self._out_of_order, self._misread):
            try:
                with self._database.errors():
                    yield from look()
            except StoreError as error:
                yield self.place, error.message

    def _damage(self) -> Iterator[tuple[str, str]]:
        found = self._recorder.damage()
        yield from found
        if "tracking" not in dict(found):
            for name, position in self._recorder.rows(
                f"SELECT application_name, notification_id FROM tracking WHERE NOT ({self._recorder.is_tracking})"
            ):
                yield f"tracking {name}", f"it says that it was read up to line {position!r}"

    def _out_of_order(self) -> Iterator[tuple[str, str]]:
        name, given = self._recorder.counter
        wrong, newest, counter = self._recorder.at_once(
            (_OUT_OF_ORDER, ()), ("SELECT MAX(notification_id) FROM stored_events", ()), (given, ())
        )
        for position, before, stream, version, follows in wrong:
            if position != before + 1:
                yield f"position {before + 1}", f"a hole: the next position is {position}"
            if not follows:
                yield f"position {position}", f"version {version} of {stream} is out of order"
        expected = (newest[0][0] or 0) + 1
        last = counter[0][0] if counter else 0
        if isinstance(last, int) and last >= expected:
            yield f"position {expected}", f"a hole at the end: position {last} had been given"
        elif last != expected - 1:
            yield name, f"the last position given is {last!r}, the last one there is {expected - 1}"

    def _misread(self) -> Iterator[tuple[str, str]]:
        """Events that say something else than where and as what they are stored."""
        after, last = 0, self.last_position()
        while found := self.recorder.select_notifications(after, PAGE, last, inclusive_of_start=False):
            for event in found:
                place, state = f"position {event.id}", cast(object, event.state)
                if not isinstance(state, bytes):
                    yield place, f"its state is {state!r}, which is no text"
                    continue
                delivery = parse(self._mapper.to_received(state), event.id)
                if delivery.stream != event.originator_id:
                    yield place, f"stored in {event.originator_id}, belongs to {delivery.stream}"
                if delivery.topic != event.topic:
                    yield place, f"stored as {event.topic}, is {delivery.topic}"
            after = found[-1].id

    @property
    def hears(self) -> bool:
        """Whether ``listen`` hears of what other processes store."""
        return self._recorder.hears

    def listen(self, heard: Callable[[], None], stopping: Callable[[], bool]) -> None:
        """Calls ``heard`` after each commit of any process, until it is ``stopping``. Raises ``StoreError``.

        It is a hint: who follows has to look from time to time all the same.
        """
        with self._database.errors():
            self._recorder.listen(heard, stopping)

    def try_to_write(self, patience: float) -> None:
        """Raises ``StoreError`` where nothing could be stored now; waits so many seconds for another writer."""
        with self._database.errors():
            self._recorder.try_to_write(patience)

    @property
    def _recorder(self) -> Recorder:
        assert isinstance(self.recorder, Recorder)
        return self.recorder

    @property
    def _mapper(self) -> EnvelopeMapper:
        assert isinstance(self.mapper, EnvelopeMapper)
        return self.mapper

    def _delivery(self, position: int, stream: Any, version: Any, state: Any) -> Delivery:
        if not (isinstance(stream, str) and isinstance(version, int) and isinstance(state, bytes)):
            raise StoreDamagedError(
                f"the event at position {position} is damaged",
                place=self.place,
                hint="restore it from a backup; tracker verify names every such place",
            )
        delivery = parse(self._mapper.to_received(state), position)
        if delivery.stream != stream:
            _put_back(delivery, stream)
        return delivery

    def _deliveries(self, condition: str, values: list[Any], order: str) -> Iterator[Delivery]:
        """Page by page, for a stream may be as long as the store."""
        after: Any = -1
        while True:
            with self._database.errors():
                rows = self._recorder.rows(
                    f"SELECT notification_id, originator_id, originator_version, {self._recorder.state}, {order} "
                    f"FROM stored_events WHERE {condition} AND {order} > ? ORDER BY {order} LIMIT {PAGE}",
                    (*values, after),
                )
            for *event, _ in rows:
                yield self._delivery(*event)
            if len(rows) < PAGE:
                return
            after = rows[-1][-1]

    def _value(self, statement: str) -> Any:
        with self._database.errors():
            rows = self._recorder.rows(statement)
        return rows[0][0] if rows else None


def _put_back(delivery: Delivery, stream: str) -> None:
    """Makes a delivery one of the stream that it is stored in."""
    is_session = not stream.startswith((UNROUTED, "resource:"))
    delivery.stream, delivery.session_id = stream, stream if is_session else None
    if stream.startswith(UNROUTED) and delivery.lifecycle is not None:
        delivery.lifecycle, delivery.step, delivery.unrouted = None, None, UNKNOWN_TYPE
        delivery.problem = f"{delivery.topic} was not a known type when it was stored"


def _on_a_server(url: str) -> Database:
    if not url.startswith(POSTGRES):
        raise UsageError(
            "--store is no address of a PostgreSQL database",
            hint="write postgresql://USER@HOST/DATABASE; for a store in a directory give --data DIR",
        )
    try:
        from tracker.postgres import PostgreSQL
    except ImportError as error:
        raise UsageError(
            f"PostgreSQL needs a package that is not installed: {error.name}",
            hint="pip install 'meeting-tracker[postgres]'",
        ) from error
    return PostgreSQL(url)


def _source(name: str) -> bytes:
    """How the envelope of a delivery from a source says so."""
    return b',"source":%s' % msgspec.json.encode(name)
