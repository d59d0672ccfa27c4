"""What the event store asks of a database, and what every database answers in the same words.

``tracker.store.sqlite`` and ``tracker.store.postgres`` are the two. Each has a ``Recorder``, which is the library's with
positions that are never used twice and versions computed under the write lock, and a ``Database``, which
knows where it is, whether it is one of ours, and what its complaints mean.

A statement is written once, with ``?`` for each value. What the two spell differently is in the attributes
of the recorder.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Protocol

import msgspec
from eventsourcing.persistence import (
    InfrastructureFactory,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Tracking,
)
from eventsourcing.utils import Environment

from tracker.store import prunings
from tracker.store.digests import BLOCK, NOTHING, Block, Row, begin, blocks, chained
from tracker.store.mark import Mark
from tracker.store.prunings import PREFIX, TOPIC, Tombstone, is_tombstone, tombstone
from tracker.store.withdrawals import merged

FORMAT = 4
"""The version of what is stored; a higher one was written by a newer program. Whoever appends to an older store
raises it: that program would drop what it does not know. The second has the signatures of senders, the third their accounts,
the fourth says who was erased."""
APPLICATION_ID = 0x4D545354
"""What marks a database as ours: "MTST"."""
LOCK_TIMEOUT = 60
"""Seconds to wait for another process that writes."""
SOURCE_ENDS = 45
"""The source stands in the envelope behind the receive time, which has no more bytes; the body begins later."""
MOST = 2**63 - 1
"""The highest number that can be recorded of a source."""
Rows = list[tuple[Any, ...]]
Event = tuple[str, int, str, bytes]
"""What is to be stored: stream, version, topic, state. Its version is the next one of the stream, and this one at least."""
Forward = Callable[[bytes | None, Sequence[Event]], Sequence[Event]]
"""Gives events receive times that are not before that of a stored state."""
StoredRow = tuple[int, str, bytes]
"""Position, stream, state."""
Rewrite = Callable[[Sequence[StoredRow]], Iterable[tuple[int, bytes]]]
"""The positions of those that are to change, and their new states."""


class Seen(msgspec.Struct, frozen=True):
    """The names, of this prefix and with positions in ``(after, up_to]``, that a writer knows of."""

    prefix: str
    after: int
    up_to: int
    names: frozenset[str]


class SourcePosition(msgspec.Struct, frozen=True):
    """How far a source was read, to be recorded with what was stored of it.

    It takes the place of the tracking with the name ``replaces``, where there is one.
    """

    tracking: Tracking
    seen: Seen | None = None
    replaces: str = ""


class ConcurrentReadError(Exception):
    """Another process has stored something since the writer looked."""


class Newest(msgspec.Struct, frozen=True):
    """Asks for the newest state behind a position that holds some bytes; ``forward`` may change the events for it."""

    holds: bytes
    after: int
    forward: Forward


class Recorder(ProcessRecorder):
    """What ``tracker.store`` needs beyond the library's interface."""

    datastore: Any
    _lock_table: Any
    """Keeps others from storing anything until the transaction is over."""
    state: ClassVar[str]
    """The column of that name, as bytes."""
    begins: ClassVar[str]
    """The beginning of a state, up to the end of its receive time."""
    holds: ClassVar[str]
    """Whether a state holds some bytes near its beginning, where no body can reach."""
    contains: ClassVar[str]
    """Whether a state holds some bytes anywhere."""
    is_tracking: ClassVar[str]
    """Whether a row of ``tracking`` is one."""
    counter: ClassVar[tuple[str, str]]
    """The table that holds the last position given, and the SELECT that reads it."""
    notifies: ClassVar[bool]
    """Whether ``listen`` reports the commits of other processes."""
    prepare: Callable[[Sequence[Event]], Sequence[Event]] = staticmethod(lambda events: events)
    """What is done to events when nobody else can store any, before they are."""
    _has_format = False
    """Whether what keeps the events is known to say that they are of our format: it did when something was committed."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """``insert``, of the library's objects."""
        events = [
            (str(one.originator_id), one.originator_version, one.topic, one.state) for one in stored_events
        ]
        return self.insert(events, **kwargs)

    @abstractmethod
    def insert(
        self,
        events: Sequence[Event],
        *,
        read: Sequence[SourcePosition] = (),
        behind: int | None = None,
        newest: Newest | None = None,
    ) -> range:
        """Stores events in one transaction; returns their positions.

        In it is recorded how far each source was ``read``. Raises ``ConcurrentReadError``, and stores nothing, where
        another process has read one of them since it was looked at, or ``behind`` is not the last position.
        ``newest`` may change the events.
        """

    @abstractmethod
    def at_once(self, *statements: tuple[str, Sequence[Any]]) -> list[Rows]:
        """What several SELECTs give at one moment."""

    @abstractmethod
    def create_table(self) -> None:
        """Makes the tables, unless another process has made them since we looked."""

    @abstractmethod
    def damage(self) -> Rows:
        """What the database itself finds wrong: (place, problem)."""

    @abstractmethod
    def try_to_write(self, patience: float) -> None:
        """Raises where nothing could be stored within so many seconds."""

    @abstractmethod
    def skip_to(self, position: int) -> None:
        """Gives no position up to this one any more."""

    @abstractmethod
    def clean(self) -> str:
        """Removes what was rewritten from everywhere else in the database; returns what could not be done."""

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        """A transaction in which something stored is changed, and nobody else stores anything."""
        with self.datastore.transaction(commit=True) as c:
            self._lock_table(c)
            yield c

    def tombstones(self) -> tuple[str, Sequence[Any]]:
        """The SELECT of the positions and states of all tombstones."""
        select = (
            f"SELECT notification_id, {self.state} FROM stored_events WHERE notification_id IN "
            "(SELECT notification_id FROM tracking WHERE application_name LIKE ?)"
        )
        return select, (f"{PREFIX}%",)

    def of_streams(self, streams: Sequence[str]) -> list[StoredRow]:
        """What is stored of these streams."""
        return _stored(self.rows(*self._select_of(streams)))

    def _select_of(self, streams: Sequence[str]) -> tuple[str, Sequence[Any]]:
        marks = ",".join("?" * len(streams))
        select = (
            f"SELECT notification_id, originator_id, {self.state} FROM stored_events "
            f"WHERE originator_id IN ({marks}) ORDER BY notification_id"
        )
        return select, streams

    def rewrite(self, streams: Sequence[str], change: Rewrite) -> int:
        """Changes the states of events of these streams, and the digests of them; returns how many.

        It is the only thing that ever changes what is stored, and is done to erase people.
        """
        with self._changing() as c:
            self._raise_format(c)
            rows = self._select(c, *self._select_of(streams))
            changed = list(change(_stored(rows)))
            for position, state in changed:
                update = "UPDATE stored_events SET state = ? WHERE notification_id = ?"
                self._execute(c, update, (state, position))
            for first in sorted({begin(position) for position, _ in changed}):
                self._digest_anew(c, first)
        self._has_format = True
        return len(changed)

    def all_of(self, stream: str) -> tuple[str, Sequence[Any]]:
        """The SELECT of positions, versions and states of a stream, by version."""
        select = (
            f"SELECT notification_id, originator_version, {self.state} FROM stored_events "
            "WHERE originator_id = ? ORDER BY originator_version"
        )
        return select, (stream,)

    def prune(self, streams: Mapping[str, bytes], at: str, archive: str) -> int:
        """Leaves a tombstone of each stream, if its digest is still this one; returns of how many."""
        done, positions = 0, set[int]()
        with self._changing() as c:
            for stream, digest in streams.items():
                rows = prunings.rows(self._select(c, *self.all_of(stream)))
                if not rows or prunings.digest(rows) != digest:  # something has come since, or was erased
                    continue
                last, before = rows[-1][0], [one for *_, state in rows if (one := tombstone(state))]
                gone = [(position, position) for position, *_ in rows[:-1]]
                spans = merged([*gone, *(span for one in before for span in one.spans)])
                archives = tuple(dict.fromkeys([*(place for one in before for place in one.archives), archive]))
                events = len(rows) - len(before) + sum(one.events for one in before)
                state = Tombstone(at, archives, events, spans).state
                self._execute(
                    c,
                    "DELETE FROM stored_events WHERE originator_id = ? AND notification_id <> ?",
                    (stream, last),
                )
                self._execute(
                    c,
                    "UPDATE stored_events SET topic = ?, state = ? WHERE notification_id = ?",
                    (TOPIC, state, last),
                )
                name = f"{PREFIX}{stream}"
                self._execute(c, "DELETE FROM tracking WHERE application_name = ?", (name,))
                self._execute(
                    c, "INSERT INTO tracking (application_name, notification_id) VALUES (?, ?)", (name, last)
                )
                positions.update(position for position, *_ in rows)
                done += 1
            for first in sorted({begin(position) for position in positions}):
                self._digest_anew(c, first)
        return done

    @abstractmethod
    def _raise_format(self, c: Any) -> None:
        """Says that states of the newest format may be there."""

    def _digest_anew(self, c: Any, first: int) -> None:
        select = "SELECT application_name, notification_id FROM tracking WHERE notification_id BETWEEN ? AND ?"
        rows = self._select(c, select, (first, first + BLOCK - 1))
        for one in blocks((name, at) for name, at in rows if isinstance(name, str)):
            digest = chained(b"", self._block(c, one.first, one.last)) or NOTHING
            anew = Block(one.first, one.last, digest)
            update = "UPDATE tracking SET application_name = ? WHERE application_name = ?"
            self._execute(c, update, (anew.name, one.name))

    def listen(self, on_commit: Callable[[], None], stopping: Callable[[], bool]) -> None:
        """Calls ``on_commit`` after each commit of any process, until it is ``stopping``."""
        raise NotImplementedError

    @abstractmethod
    def _select(self, c: Any, statement: str, values: Sequence[Any] = ()) -> Rows:
        """What a SELECT gives inside a transaction."""

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """What a SELECT gives."""
        return self.at_once((statement, values))[0]

    @abstractmethod
    def _execute(self, c: Any, statement: str, values: Sequence[Any]) -> None:
        """Changes something inside a transaction."""

    def trackings(self, prefix: str) -> list[tuple[str, int]]:
        """Recorded source positions whose name begins with ``prefix``."""
        rows = self.rows(
            "SELECT application_name, notification_id FROM tracking WHERE application_name LIKE ? "
            f"AND {self.is_tracking}",
            (prefix + "%",),
        )
        return [(str(name), int(position)) for name, position in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        conditions, values = ["1 = 1"], list[Any]()
        if start is not None:
            conditions.append("notification_id >= ?" if inclusive_of_start else "notification_id > ?")
            values.append(start)
        if stop is not None:
            conditions.append("notification_id <= ?")
            values.append(stop)
        if topics:
            conditions.append(f"topic IN ({','.join('?' * len(topics))})")
            values.extend(topics)
        rows = self.rows(
            f"SELECT originator_id, originator_version, topic, {self.state}, notification_id FROM stored_events "
            f"WHERE {' AND '.join(conditions)} ORDER BY notification_id LIMIT ?",
            (*values, limit),
        )
        return [Notification(*row) for row in rows]

    def newest(self, holds: bytes, after: int) -> tuple[str, Sequence[Any]]:
        """The SELECT of the newest state behind a position that holds some bytes."""
        statement = (
            f"SELECT {self.state} FROM stored_events WHERE notification_id > ? AND {self.holds} "
            "ORDER BY notification_id DESC LIMIT 1"
        )
        return statement, (after, holds)

    def latest(self, holds: bytes, after: int, without: Sequence[tuple[int, int]]) -> tuple[str, Sequence[Any]]:
        """The SELECT of the state with the newest receive time behind a position that holds some bytes.

        Those at the positions ``without``, first and last, are left out.
        """
        outside = "AND NOT notification_id BETWEEN ? AND ? " * len(without)
        statement = (
            f"SELECT {self.state} FROM stored_events WHERE notification_id > ? AND {self.holds} "
            f"{outside}ORDER BY {self.begins} DESC LIMIT 1"
        )
        return statement, (after, holds, *(position for one in without for position in one))

    def _compare(self, c: Any, seen: Seen) -> None:
        rows = self._select(
            c,
            "SELECT application_name FROM tracking WHERE notification_id > ? AND notification_id <= ? "
            f"AND {self.is_tracking}",
            (seen.after, seen.up_to),
        )
        if {name for (name,) in rows if name.startswith(seen.prefix)} != seen.names:
            raise ConcurrentReadError

    def _replaced(self, c: Any, one: SourcePosition) -> bool:
        """Records how far a source was read in the place of an earlier row, where there is one."""
        changed = one.replaces and self._select(
            c,
            "UPDATE tracking SET application_name = ?, notification_id = ? WHERE application_name = ? RETURNING 1",
            (one.tracking.application_name, one.tracking.notification_id, one.replaces),
        )
        return bool(changed)

    def _look(self, c: Any, read: Sequence[SourcePosition], behind: int | None) -> None:
        """Raises ``ConcurrentReadError`` where another process has stored what the writer does not know of."""
        for one in read:
            if one.seen is not None:
                self._compare(c, one.seen)
        if behind is not None and behind != (self._select(c, self.counter[1]) or [(0,)])[0][0]:
            raise ConcurrentReadError

    def _names_at(self, c: Any, position: int) -> list[object]:
        rows = self._select(c, "SELECT application_name FROM tracking WHERE notification_id = ?", (position,))
        return [name for (name,) in rows]

    def _add_digests(self, c: Any, events: Sequence[Event], first: int, names: Iterable[object]) -> None:
        """Records the digests of events that are stored from the position ``first`` on, in their transaction.

        ``names`` are recorded at the position before it.
        """
        rows = [
            (position, stream, topic, state) for position, (stream, _, topic, state) in enumerate(events, first)
        ]
        while rows:
            here = begin(rows[0][0]) + BLOCK - rows[0][0]
            self._add_digest(c, rows[:here], names)
            rows, names = rows[here:], ()

    def _add_digest(self, c: Any, rows: list[Row], names: Iterable[object]) -> None:
        """Of one block: its digest goes on, or begins with what an older program has stored."""
        first, before = begin(rows[0][0]), rows[0][0] - 1
        known: Block | None = None
        digest = b""
        if before >= first:
            texts = [(name, 0) for name in names if isinstance(name, str)]
            known = next((one for one in blocks(texts) if (one.first, one.last) == (first, before)), None)
            kept = b"" if known is None or known.digest == NOTHING else known.digest
            digest = kept if known else chained(b"", self._block(c, first, before))
        block = Block(first, rows[-1][0], chained(digest, rows))
        if known is None:
            self._execute(
                c,
                "INSERT INTO tracking (application_name, notification_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (block.name, block.last),
            )
        else:
            self._execute(
                c,
                "UPDATE tracking SET application_name = ?, notification_id = ? WHERE application_name = ? "
                "AND NOT EXISTS (SELECT 1 FROM tracking WHERE application_name = ?)",
                (block.name, block.last, known.name, block.name),
            )

    def _block(self, c: Any, first: int, last: int) -> list[Row]:
        rows = self._select(
            c,
            f"SELECT notification_id, originator_id, topic, {self.state} FROM stored_events "
            "WHERE notification_id BETWEEN ? AND ? ORDER BY notification_id",
            (first, last),
        )
        return [(one[0], str(one[1]), str(one[2]), one[3]) for one in rows if isinstance(one[3], bytes)]


def _stored(rows: Rows) -> list[StoredRow]:
    """Those that hold a delivery."""
    whole = (row for row in rows if isinstance(row[2], bytes) and not is_tombstone(row[2]))
    return [(row[0], str(row[1]), row[2]) for row in whole]


class Database(Protocol):
    """Where the events of one store are."""

    place: str
    """As it is named in an error; no password is in it."""
    owner: str
    """As it is named where all is well."""
    software: str
    """What keeps it, and in which version, where that is known without asking."""
    fault: str
    """A known fault of that version, or nothing."""

    def check(self, *, create: bool) -> bool:
        """Whether its tables are to be made. Raises ``StoreError`` where it is none of ours, or cannot be."""

    def mark(self) -> Mark | None:
        """How far the store went, where that is kept beside it."""

    def factory(self, env: Environment) -> InfrastructureFactory[Any]: ...

    def recorder(self, factory: Any) -> Recorder: ...

    def errors(self) -> AbstractContextManager[None]:
        """Turns what the database complains of into a ``StoreError`` that says what to do."""
