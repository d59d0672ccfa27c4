"""What was published and what was withdrawn: ``published.db``, beside ``views.db``.

The read models hold what is held now. So they can be made anew at any time, and cannot say that a finding was shown
once and is gone. This file can: it has a row for each finding that ever stood in the live read models, with the times
at which it was first published, last changed, withdrawn and published again. Nothing makes it anew, so it has to be
backed up.

It is level-triggered. Nobody reports that a finding came or went: the findings held are compared with those published,
and the difference is written in one transaction, with the checkpoint of the read models that were compared. Compared
are the streams that a page has rewritten, where the checkpoint is that of the page before it; else all streams. So
neither a crash between the two files, nor read models that are made anew, nor other rules publish anything twice or
forget anything.

The identity of a finding has neither its number nor its run, because both shift when more is known. It is the stream,
the position, the code, the lifecycle and the key; ``about`` stands in for the position of a finding that has none, and
``nth`` counts those that are equal in all of that.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from projections.read_models import Row, Table, among, listed, make_tables, outside, text
from projections.views.database import VIEWS_DB, Checkpoint, read_checkpoint, views_errors
from projections.views.erased import found_without, heeded, remember, scope_of
from tracker.delivery.webhook import UNROUTED
from tracker.store.kept import Kept
from tracker.store.ledger import NOTHING, Entries

PUBLISHED_DB = "published.db"
UPGRADES = (("ALTER TABLE publications ADD COLUMN account TEXT",),)
"""The second format has the account."""
CHUNK = 500
"""Streams that are compared in one go."""

IDENTITY = {
    "stream": str,
    "position": int,
    "code": str,
    "lifecycle": str,
    "key": str,
    "about": str,
    "nth": int,
}
SHOWN = {
    "session_id": str,
    "meeting_id": str,
    "slug": str,
    "severity": str,
    "verdict": str,
    "confidence": float,
    "run": int,
    "at": str,
    "message": str,
    "cause": str,
    "account": str,
}
"""What is shown of a finding; when any of it changes, the finding has changed."""
TIMES = {"published_at": str, "changed_at": str, "withdrawn_at": str, "again_at": str}
PUBLICATIONS = Table(
    name="publications", columns={**IDENTITY, **SHOWN, "held": int, **TIMES}, pk=tuple(IDENTITY)
)
CHECKPOINT = Table(
    name="checkpoint",
    columns={"position": int, "as_of": str, "digest": str, "fingerprint": str, "withdrawn": int},
    pk=("fingerprint",),
)

_HELD = (
    "SELECT stream, COALESCE(position, 0), code, COALESCE(lifecycle, ''), key, "
    f"CASE WHEN position IS NULL THEN COALESCE(missing, '') || COALESCE(' ' || account, '') ELSE '' END, {', '.join(SHOWN)} "
    "FROM findings WHERE {} ORDER BY stream, number"
)
_PUBLISHED = f"SELECT {', '.join(PUBLICATIONS.columns)} FROM publications WHERE {{}}"
_WRITE = PUBLICATIONS.insert.replace("INSERT", "INSERT OR REPLACE", 1)
_REMOVE = f"DELETE FROM publications WHERE {' AND '.join(f'{name} = ?' for name in IDENTITY)}"
_THESE = among("stream")
_OUTSIDE = f"position > ? AND {outside('+stream')}"
_HINT = "restore it from a backup; without it, what was withdrawn before is not known any more"

Pruned = Callable[[Iterable[str]], Collection[str]]
"""Those of some streams that were pruned."""
Mark = tuple[Checkpoint, str]
"""Which read models they are: their checkpoint, and the fingerprint of what made them with the number of the file."""


def _nobody(_: Iterable[str]) -> Collection[str]:
    return ()


class Rewritten(msgspec.Struct, frozen=True):
    """The streams whose findings a page has written, and the marks of the read models before and after it."""

    before: Mark
    after: Mark
    streams: Collection[str]


class Publication(msgspec.Struct, frozen=True):
    """One finding that was published; the times are ISO 8601 in UTC.

    Attributes:
        identity: The values of ``IDENTITY``.
        shown: The values of ``SHOWN``, as they were published last.
        held: Whether it is held now.
        published_at: When it was published first.
        changed_at: When what is shown of it changed last.
        withdrawn_at: When it was withdrawn last; it may be held again since.
        again_at: When it was published last after it had been withdrawn.
    """

    identity: Row
    shown: Row
    held: bool
    published_at: str
    changed_at: str | None = None
    withdrawn_at: str | None = None
    again_at: str | None = None

    @classmethod
    def of(cls, row: Row) -> Publication:
        identity, shown = len(IDENTITY), len(IDENTITY) + len(SHOWN)
        return cls(row[:identity], row[identity:shown], bool(row[shown]), *row[shown + 1 :])

    @property
    def row(self) -> Row:
        times = (self.published_at, self.changed_at, self.withdrawn_at, self.again_at)
        return (*self.identity, *self.shown, int(self.held), *times)

    def moved(self, shown: Row | None, at: str) -> Publication:
        """The same after it was compared with what is held of it; ``None`` where it is not held."""
        if shown is None:
            return replace(self, held=False, withdrawn_at=at) if self.held else self
        if not self.held:
            return replace(self, shown=shown, held=True, again_at=at)
        return self if shown == self.shown else replace(self, shown=shown, changed_at=at)


Compared = Iterator[tuple[Mapping[Row, Row], Mapping[Row, Publication]]]


class Change(msgspec.Struct, frozen=True):
    """What a comparison found: how a finding was published, ``None`` if never, and how it is to be."""

    before: Publication | None
    after: Publication


def publish(
    path: Path,
    views: sqlite3.Connection,
    page: Rewritten,
    moment: datetime,
    ledger: Entries = NOTHING,
    pruned: Pruned = _nobody,
    is_live: Callable[[], bool] = lambda: True,
) -> Mark | None:
    """Publishes what is held in the live read models, at a ``moment`` by the clock of who calls.

    Whom the ``ledger`` says to forget is erased from what was published before; of streams that were ``pruned``, what was
    published stays as it was. Returns the mark up to which all is published; ``None`` where the read models are not the live
    ones any more: whoever replaced them publishes. Raises ``StoreError``.
    """
    if page.before == page.after and _is_published(path, page.after, ledger):
        return page.after  # nothing is to be written, so no lock is taken
    place = path.with_name(VIEWS_DB)
    with published_file(path).to_write() as connection, ExitStack() as stack:
        if not is_live():  # after waiting for the others
            return None
        stack.enter_context(_one_moment(views, place))
        with views_errors(place):
            now = mark_of(views)
        then, erased = read_checkpoint(connection), _erase(connection, ledger)
        if now != then or erased:
            follows = (then, now) == (page.before, page.after) and not erased
            comparison = _Comparison(views, connection, place, pruned)
            at = text(moment) or ""
            for held, published in comparison.of_page(page) if follows else comparison.of_all():
                moved = (_in_silence(one, erased) for one in changes(held, published, at))
                connection.executemany(_WRITE, [one.after.row for one in moved])
            connection.execute("DELETE FROM checkpoint")
            connection.execute(CHECKPOINT.insert, _row(now))
    return now


def _erase(connection: sqlite3.Connection, ledger: Entries) -> Collection[str]:
    """Erases people from all publications, unless that was done; returns the streams in which there were some."""
    if heeded(connection) >= ledger.requests:
        return ()
    streams = {name for (name,) in connection.execute("SELECT DISTINCT stream FROM publications")}
    erased = {one for one in streams if scope_of(ledger, one, None) is not None or ledger.has_older(one)}
    for stream in erased:
        for row in connection.execute(_PUBLISHED.format("stream = ?"), (stream,)).fetchall():
            found = dict(zip(PUBLICATIONS.columns, row, strict=True))
            scope = scope_of(ledger, stream, found["at"])
            new = found if scope is None else found_without(found, scope)
            if (values := tuple(new.values())) != row:
                connection.execute(_REMOVE, row[: len(IDENTITY)])
                connection.execute(_WRITE, values)
    remember(connection, ledger.requests)
    return erased


def _in_silence(change: Change, erased: Collection[str]) -> Change:
    """A finding that says the same without a name has not changed."""
    before, after = change.before, change.after
    if before is None or not (before.held and after.held) or before.identity[0] not in erased:
        return change
    return replace(change, after=replace(after, changed_at=before.changed_at))


def changes(held: Mapping[Row, Row], published: Mapping[Row, Publication], at: str) -> Iterator[Change]:
    """How publications have to move, so that they say what is held; nothing where they do."""
    for identity, shown in held.items():
        before = published.get(identity)
        after = Publication(identity, shown, True, at) if before is None else before.moved(shown, at)
        if after is not before:
            yield Change(before, after)
    for identity, before in published.items():
        if identity not in held and before.held:
            yield Change(before, before.moved(None, at))


def mark_of(views: sqlite3.Connection) -> Mark:
    """The mark of read models. Raises ``sqlite3.DatabaseError``."""
    checkpoint, made_by = read_checkpoint(views)
    ((number,),) = views.execute("PRAGMA user_version").fetchall()
    return checkpoint, f"{made_by} {number}"


def published_up_to(path: Path) -> Mark | None:
    """The mark of the read models that were published last; ``None`` where nothing was. Raises ``StoreError``."""
    with published_file(path).to_read() as connection:
        return read_checkpoint(connection) if connection is not None else None


def _is_published(path: Path, mark: Mark, ledger: Entries) -> bool:
    """Whether all is published up to a mark, and nobody is left in it whom the ledger says to forget."""
    with published_file(path).to_read() as connection:
        if connection is None:
            return False
        return read_checkpoint(connection) == mark and heeded(connection) >= ledger.requests


def withdrawn(path: Path, stream: str) -> list[dict[str, Any]]:
    """The findings of a stream that were published and are not held any more, the one withdrawn last first.

    A value for each column of ``PUBLICATIONS``; ``key`` is an object, and what a finding does not have is ``None``.
    Raises ``StoreError``.
    """
    with published_file(path).to_read() as connection:
        if connection is None:
            return []
        select = _PUBLISHED.format("stream = ? AND NOT held ORDER BY withdrawn_at DESC, position DESC, code")
        rows = connection.execute(select, (stream,)).fetchall()
    return [values_of(row) for row in rows]


class End(msgspec.Struct, frozen=True):
    """Up to where somebody has read what was published: in which file, and the last row that was written by then."""

    file: tuple[int, int]
    row: int


class Reader(msgspec.Struct, frozen=True):
    """Publications at one moment.

    A row is written by replacing the one before, and gets a number that is higher than all there were. So the numbers
    say which rows were written since somebody looked last, as long as it is the same file and nobody has compacted it.

    Attributes:
        end: The end of them.
        fingerprint: Of what made the read models that were published.
        erased: Up to which request of the ledger people were erased from them.
    """

    connection: sqlite3.Connection
    end: End
    fingerprint: str
    erased: int = 0

    def written_after(self, end: End) -> list[Publication] | None:
        """What was written since; ``None`` where that cannot be known."""
        if end.file != self.end.file or end.row > self.end.row:
            return None
        return self._rows("rowid > ?", (end.row,))

    def held(self, severities: Collection[str]) -> list[Publication]:
        return self._rows(f"held AND {among('severity')}", (listed(severities),))

    def of_streams(self, streams: Collection[str]) -> list[Publication]:
        return self._rows(_THESE, (listed(streams),))

    def _rows(self, condition: str, values: Row) -> list[Publication]:
        return [Publication.of(row) for row in self.connection.execute(_PUBLISHED.format(condition), values)]


@contextmanager
def reader(path: Path) -> Iterator[Reader | None]:
    """What is published now; ``None`` where nothing was. Raises ``StoreError``."""
    with published_file(path).to_read() as connection:
        if connection is None:
            yield None
            return
        with _one_moment(connection, path):
            ((version,),) = connection.execute("PRAGMA schema_version").fetchall()  # compacting it changes that
            ((last,),) = connection.execute("SELECT COALESCE(MAX(rowid), 0) FROM publications").fetchall()
            _, fingerprint = read_checkpoint(connection)
            end = End((path.stat().st_ino, version), last)
            yield Reader(connection, end, fingerprint.split(" ")[0], heeded(connection))


def differences(path: Path, views: sqlite3.Connection, pruned: Pruned = _nobody) -> Iterator[tuple[str, str]]:
    """What is held and is not published so, or the reverse: the place, and what is wrong there.

    ``path`` has to be published up to the mark of these read models. Raises ``StoreError``.
    """
    with published_file(path).to_read() as connection:
        assert connection is not None, "it is published up to this mark"
        yield from _differences(path, connection, views, pruned)


def _differences(
    path: Path, connection: sqlite3.Connection, views: sqlite3.Connection, pruned: Pruned
) -> Iterator[tuple[str, str]]:
    with _one_moment(connection, path):
        for held, published in _Comparison(views, connection, path.with_name(VIEWS_DB), pruned).of_all():
            for change in changes(held, published, ""):
                yield _place(change.after), _difference(change)


def _difference(change: Change) -> str:
    before, after = change.before, change.after
    if before is None or not before.held:
        return "the finding is held, and is not published"
    if not after.held:
        return "the finding is published, and is not held"
    pairs = zip(SHOWN, before.shown, after.shown, strict=True)
    return ", ".join(
        f"{name} was published as {was!r}, and is {now!r}" for name, was, now in pairs if was != now
    )


def _place(one: Publication) -> str:
    stream, position, code = one.identity[:3]
    return f"{PUBLISHED_DB} {stream} {code} #{position}"


def values_of(row: Row) -> dict[str, Any]:
    """A value for each column; ``key`` is an object, and what a finding does not have is ``None``."""
    values = dict(zip(PUBLICATIONS.columns, row, strict=True))
    nothing = {name: values[name] or None for name in ("position", "lifecycle")}
    return {**values, **nothing, "key": msgspec.json.decode(values["key"])}


class _Comparison(msgspec.Struct, frozen=True):
    """Pairs of what is held and what is published, by identity; ``place`` is the file of the read models."""

    views: sqlite3.Connection
    connection: sqlite3.Connection
    place: Path
    pruned: Pruned

    def of_page(self, page: Rewritten) -> Compared:
        """What a page may have changed.

        A delivery outside of any session stands alone, and what is found of it stays: of those, only the new ones
        count.
        """
        yield from self._of_streams([one for one in page.streams if not one.startswith(UNROUTED)])
        after = page.before[0].position
        outside = self._held(_OUTSIDE, (after,))
        if outside:
            streams = listed({identity[0] for identity in outside})
            yield outside, self._published(f"{_THESE} AND position > ?", (streams, after))

    def of_all(self) -> Compared:
        streams = {name for (name,) in self._ask("SELECT DISTINCT stream FROM findings")}
        streams.update(name for (name,) in self.connection.execute("SELECT DISTINCT stream FROM publications"))
        yield from self._of_streams(sorted(streams))

    def _of_streams(self, streams: Sequence[str]) -> Compared:
        pruned = self.pruned(streams)
        streams = [one for one in streams if one not in pruned]
        for begin in range(0, len(streams), CHUNK):
            these = (listed(streams[begin : begin + CHUNK]),)
            yield self._held(_THESE, these), self._published(_THESE, these)

    def _held(self, condition: str, values: Row) -> dict[Row, Row]:
        """What is shown of each finding."""
        found: dict[Row, Row] = {}
        alike: Counter[Row] = Counter()
        without = len(IDENTITY) - 1
        for row in self._ask(_HELD.format(condition), values):
            identity = row[:without]
            found[*identity, alike[identity]] = row[without:]
            alike[identity] += 1
        return found

    def _published(self, condition: str, values: Row) -> dict[Row, Publication]:
        rows = map(Publication.of, self.connection.execute(_PUBLISHED.format(condition), values))
        return {one.identity: one for one in rows}

    def _ask(self, statement: str, values: Row = ()) -> list[Row]:
        with views_errors(self.place):
            return self.views.execute(statement, values).fetchall()


def _row(mark: Mark) -> Row:
    checkpoint, fingerprint = mark
    return checkpoint.position, text(checkpoint.as_of), checkpoint.digest, fingerprint, checkpoint.withdrawn


@contextmanager
def _one_moment(connection: sqlite3.Connection, place: Path) -> Iterator[None]:
    """What is read is of one moment."""
    with views_errors(place):
        connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # an error may have ended it
            connection.execute("ROLLBACK")


def published_file(path: Path) -> Kept:
    """The file of publications."""
    return Kept(path, _make, _HINT, UPGRADES)


def _make(connection: sqlite3.Connection) -> None:
    make_tables(connection, (PUBLICATIONS, CHECKPOINT))
    connection.execute(CHECKPOINT.insert, _row((Checkpoint(), "")))
