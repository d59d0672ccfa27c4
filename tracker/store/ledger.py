"""The erasure ledger: ``erasures.db`` in the data directory.

A log that is read again, a webhook that is redelivered and a backup that is put back bring back what was erased. So it is
kept what was: the streams that were erased as a whole, and of people the keyed hashes of their ids and names, in each
stream in which they were. ``Ledger.erase`` applies that to a webhook, and is called for everything that is stored, while
the store is locked. No name is in the file. Its key is in no other place; so a backup of the store is one of
pseudonyms that nobody can trace, as long as the ledger is kept apart from it.

An id that was erased everywhere is erased in what was received up to then, also where the session was not known yet. Who
comes again later is a new person, except in the sessions that are known. Of what has no session it is kept before which receive time it is erased as a whole.

The name of a log that names somebody gets a pseudonym in all that came from the log, whosever it is: whatever has the clock of
that log still has one.

A request is written here before anything is rewritten, and is done in the store when that says so (``tracker.store.erasures``). It is
finished when the same is done in what is kept beside the store, and nothing is left in free pages; that is written here, at last.
So one that broke off is known, and doing it again ends it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from pathlib import Path

import msgspec
from msgspec.structs import replace

from tracker.delivery.envelope import Received, isoformat
from tracker.delivery.pseudonyms import (
    People,
    Scope,
    erased,
    exactly,
    people_in,
    pseudonym,
    with_own_people,
    words_of,
)
from tracker.delivery.webhook import UNROUTED
from tracker.store.kept import Kept
from tracker.store.withdrawals import log_of

__all__ = ["ERASURES_DB", "Entries", "Ledger"]

ERASURES_DB = "erasures.db"
UNKNOWN, UNDONE_BY_LOG = -1, -2
"""In place of whether a request is finished: the first format did not say it; it was, until a log came whose name names somebody."""
ANYWHERE = ""
"""In place of a stream."""
SOURCES = "sources"
"""In place of a stream, for the names of logs."""
_MAKE = """
CREATE TABLE key (key BLOB NOT NULL);
CREATE TABLE streams (stream TEXT PRIMARY KEY, whole INTEGER NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE members (hash BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE people (hash BLOB PRIMARY KEY, until TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE requests (number INTEGER PRIMARY KEY, at TEXT NOT NULL, what TEXT NOT NULL)
"""
_UPGRADES = (
    (
        "CREATE TABLE older (before TEXT NOT NULL, at TEXT NOT NULL)",
        "ALTER TABLE requests ADD COLUMN finished INTEGER NOT NULL DEFAULT 0",
        f"UPDATE requests SET finished = {UNKNOWN}",
    ),
    ("CREATE TABLE sources (hash BLOB PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID",),
)
"""What each format added to the one before. The first one did not say which requests are finished."""
_HINT = "restore it from its backup; without it, a log that is read again brings back what was erased"
_CHANGES = slice(24, 28)
"""Where SQLite counts in a file how often it was changed."""


class Entries(msgspec.Struct, frozen=True):
    """What the ledger held when it was read.

    Attributes:
        key: Of its hashes.
        streams: Stream -> whether it is erased as a whole, and when that was asked for.
        members: The hashes of what belongs to people, in each stream.
        people: The hash of an id that is erased everywhere -> up to which receive time.
        requests: How many there were.
        finished: Up to which of them all is done.
        knows_finished: Whether that is known; the first format did not say it.
        undone_by_log: Whether the newest one was finished, until a log came whose name names somebody.
        older: Before which receive time what has no session is erased as a whole, and when that was asked for.
        sources: The hash of the name of a log that names somebody -> when it was asked for to erase them.
    """

    key: bytes = b""
    streams: Mapping[str, tuple[bool, datetime]] = msgspec.field(default_factory=dict)
    members: frozenset[bytes] = frozenset()
    people: Mapping[bytes, datetime] = msgspec.field(default_factory=dict)
    requests: int = 0
    finished: int = 0
    knows_finished: bool = True
    undone_by_log: bool = False
    older: tuple[datetime, datetime] | None = None
    sources: Mapping[bytes, datetime] = msgspec.field(default_factory=dict)

    def scope(self, stream: str, received_at: datetime | None = None) -> Scope | None:
        """What is to be replaced in the webhooks of a stream, or in one that was received then, if anything is."""
        found = self.streams.get(stream)
        older = self.older if self.has_older(stream) else None
        if older is not None and received_at is not None and received_at < older[0]:
            found = True, older[1]
        return None if found is None else Scope(self.key, stream, found[1], self.members, found[0])

    def has_older(self, stream: str) -> bool:
        """Whether what was received early is erased as a whole from this stream."""
        return self.older is not None and stream.startswith(UNROUTED)

    def without_source(self, received: Received) -> Received:
        """A webhook with a pseudonym for the name of its log, if that names somebody."""
        log = log_of(received.source)
        at = self.sources.get(exactly(self.key, SOURCES, log)) if self.sources and log else None
        if at is None:
            return received
        source = f"{pseudonym(self.key, log)}{received.source[len(log) :]}"
        return replace(received, source=source, erased_at=received.erased_at or at)

    def knows(self, id: str) -> bool:
        """Whether an id was erased everywhere."""
        return bool(self.key) and exactly(self.key, ANYWHERE, id) in self.people

    def ids_among(self, people: People, received_at: datetime | None) -> Iterator[tuple[str, datetime]]:
        """Those that are erased everywhere, in something that was received then; each with when that was asked for.

        What a record says counts as received when it was so: it is asked for at any time.
        """
        at = received_at if people.since is None else people.since
        for id in people.ids if self.people else ():
            until = self.people.get(exactly(self.key, ANYWHERE, id))
            if until is not None and (at is None or at <= until):
                yield id, until


NOTHING = Entries()


class Ledger:
    """The ledger of a data directory; it need not be there yet. Raises ``StoreError``."""

    def __init__(self, data: Path) -> None:
        self.path = data / ERASURES_DB
        self._file = Kept(self.path, _make, _HINT, _UPGRADES)
        self._entries, self._changes = NOTHING, b""

    def entries(self) -> Entries:
        """What it holds now; it is read again where another process has changed it."""
        while (changes := self._count()) != self._changes:
            self._entries = self._read() if changes else NOTHING
            self._changes = (
                changes if changes == self._count() else b"?"
            )  # reading may undo what was broken off
        return self._entries

    def concerns(self, stream: str) -> bool:
        """Whether something of a stream may have to be replaced."""
        entries = self.entries()
        anywhere = bool(entries.people or entries.sources)
        return anywhere or stream in entries.streams or entries.has_older(stream)

    def erase(self, received: Received, stream: str) -> Received:
        """A webhook of a stream as it is to be stored."""
        self.learn({stream: [received]})
        entries = self.entries()
        scope = entries.scope(stream, received.received_at)
        return entries.without_source(received if scope is None else erased(received, scope))

    def learn(self, received: Mapping[str, Collection[Received]]) -> None:
        """Adds what belongs to those who are to be forgotten, as far as these webhooks of some streams tell."""
        entries = self.entries()
        new: list[tuple[str, datetime | None, set[bytes]]] = []
        for stream, those in received.items():
            at, texts = None, set[str]()
            for one in those:
                scope = entries.scope(stream, one.received_at)
                if scope is not None and scope.whole:
                    continue
                for people in people_in(one.body):
                    erased_ids = dict(entries.ids_among(people, one.received_at))
                    if erased_ids or (scope is not None and any(map(scope.has, people.ids))):
                        at = max(erased_ids.values(), default=at)
                        texts |= erased_ids.keys() | people.names | people.artefacts
            hashes = {one for text in texts for one in _hashes(entries.key, stream, text)} - entries.members
            if hashes:
                new.append((stream, at, hashes))
        if new:
            self._add(new)
        self._learn_sources(received)

    def _learn_sources(self, received: Mapping[str, Collection[Received]]) -> None:
        """Adds the names of logs that name somebody who is to be forgotten in a stream."""
        entries, new = self.entries(), dict[bytes, datetime]()
        for stream, those in received.items():
            by_log: dict[str, list[Received]] = {}
            for one in those:
                by_log.setdefault(log_of(one.source), []).append(one)
            for log, of_log in by_log.items():
                hash = exactly(entries.key, SOURCES, log) if log else b""
                scopes = (entries.scope(stream, one.received_at) for one in of_log)
                scope = next((one for one in scopes if one is not None), None)
                if hash and hash not in entries.sources and scope is not None:
                    people = with_own_people(scope, [one.body for one in those])
                    if any(people.places(log)):
                        new[hash] = scope.at
        if new:
            with self._file.to_write() as connection:
                rows = [(hash, isoformat(at)) for hash, at in new.items()]
                connection.executemany("INSERT OR IGNORE INTO sources VALUES (?, ?)", rows)
                # What came from these logs before has their names yet.
                connection.execute(
                    f"UPDATE requests SET finished = {UNDONE_BY_LOG} WHERE finished > 0"
                    " AND number = (SELECT MAX(number) FROM requests)"
                )

    def _add(self, new: Iterable[tuple[str, datetime | None, set[bytes]]]) -> None:
        with self._file.to_write() as connection:
            for stream, at, hashes in new:
                if at is not None:
                    _add_stream(connection, stream, at, whole=False)
                connection.executemany("INSERT OR IGNORE INTO members VALUES (?)", [(one,) for one in hashes])

    def request(
        self,
        what: str,
        at: datetime,
        *,
        whole: Iterable[str] = (),
        people: Iterable[str] = (),
        everywhere: bool = False,
        streams: Iterable[str] = (),
        older: datetime | None = None,
        behind: int = 0,
    ) -> int:
        """Writes a request down; returns its number, which is ``behind`` those that the store knows.

        ``whole`` are streams to be erased as a whole; ``people`` are ids to be erased in ``streams``, and where it is
        meant ``everywhere`` in all that was received up to now. What has no session and is ``older`` is erased as a whole.
        ``what`` says in words, without a name, what it is.
        """
        with self._file.to_write() as connection:
            ((key,),) = connection.execute("SELECT key FROM key").fetchall()
            for stream in whole:
                _add_stream(connection, stream, at, whole=True)
            for id in people:
                if everywhere:
                    row = exactly(key, ANYWHERE, id), isoformat(at)
                    connection.execute("INSERT OR REPLACE INTO people VALUES (?, ?)", row)
                for stream in streams:
                    _add_stream(connection, stream, at, whole=False)
                    hashes = [(one,) for one in _hashes(key, stream, id)]
                    connection.executemany("INSERT OR IGNORE INTO members VALUES (?)", hashes)
            if older is not None:
                _add_older(connection, older, at)
            number = connection.execute(
                "INSERT INTO requests (number, at, what) SELECT MAX(?, COALESCE(MAX(number), 0)) + 1, ?, ? FROM requests",
                (behind, isoformat(at), what),
            ).lastrowid
            assert number is not None, "a row was written"
            return number

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return self.entries().requests

    def finish(self, requests: int) -> None:
        """Writes down that all is done up to a request."""
        if self.entries().finished < requests:
            with self._file.to_write() as connection:
                connection.execute("UPDATE requests SET finished = 1 WHERE number <= ?", (requests,))

    def _count(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                return os.pread(file.fileno(), 100, 0)[_CHANGES] or b""
        except FileNotFoundError:
            return b""
        except OSError:  # what is wrong with it is said where it is read
            return b"?"

    def _read(self) -> Entries:
        with self._file.to_read() as connection:
            if connection is None:
                return NOTHING
            connection.execute("BEGIN")  # of one moment
            ((key,),) = connection.execute("SELECT key FROM key").fetchall()
            return Entries(
                key,
                {name: (bool(whole), _time(at)) for name, whole, at in _all(connection, "streams")},
                frozenset(one for (one,) in _all(connection, "members")),
                {one: _time(until) for one, until in _all(connection, "people")},
                *_requests(connection),
                next(
                    ((_time(before), _time(at)) for before, at in _all(connection, "older ORDER BY at")), None
                ),
                {hash: _time(at) for hash, at in _all(connection, "sources")},
            )


def _make(connection: sqlite3.Connection) -> None:
    from secrets import token_bytes  # a ledger is made once

    for statement in (*_MAKE.split(";"), *chain(*_UPGRADES)):
        connection.execute(statement)
    connection.execute("INSERT INTO key VALUES (?)", (token_bytes(32),))


def _all(connection: sqlite3.Connection, table: str) -> sqlite3.Cursor:
    return connection.execute(f"SELECT * FROM {table}")


def _requests(connection: sqlite3.Connection) -> tuple[int, int, bool, bool]:
    """How many requests there were, up to which of them all is done, whether that is known, and whether a log undid it."""
    rows = dict(connection.execute("SELECT number, finished FROM requests"))
    newest = max(rows, default=0)
    done = max((number for number, finished in rows.items() if finished > 0), default=0)
    return newest, done, UNKNOWN not in rows.values(), rows.get(newest) == UNDONE_BY_LOG


def _add_stream(connection: sqlite3.Connection, stream: str, at: datetime, *, whole: bool) -> None:
    """Once as a whole, always as a whole."""
    connection.execute(
        "INSERT INTO streams VALUES (?, ?, ?) ON CONFLICT (stream) DO UPDATE SET whole = MAX(whole, excluded.whole)",
        (stream, int(whole), isoformat(at)),
    )


def _add_older(connection: sqlite3.Connection, before: datetime, at: datetime) -> None:
    """The latest one holds; what was received before it stays erased."""
    connection.execute("INSERT INTO older VALUES (?, ?)", (isoformat(before), isoformat(at)))
    connection.execute("DELETE FROM older WHERE before < (SELECT MAX(before) FROM older)")


def _hashes(key: bytes, stream: str, text: str) -> set[bytes]:
    return {exactly(key, stream, text), *filter(None, [words_of(key, stream, text)])}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)  # it may be older than any webhook can be
