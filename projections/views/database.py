"""The file ``views.db``: its tables, its checkpoint, who made it, and what stands in its place.

The file carries the fingerprint of the rules, the declarations and the program it was judged by. It is no WAL
file: a ``-wal`` that stays behind would outlive the rename by which a new file takes the place of an old one.

The checkpoint holds the digest of the event at its position. Where the store has no such event any more,
deliveries are gone; what happens then is in ``projections.views.loss``.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from pkgutil import get_data, iter_modules

import msgspec
from msgspec.structs import replace

from projections.read_models import (
    Table,
    deadlines,
    deliveries,
    files,
    findings,
    hours,
    links,
    names,
    participants,
    rooms,
    runs,
    sessions,
    spans,
    tables_of,
    text,
    types,
)
from projections.views.loss import pass_loss
from tracker.blake2b import blake2b
from tracker.delivery.envelope import parse_time
from tracker.errors import StoreDamagedError, StoreError
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.log import Habits, LogView, Traffic, view_of
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.recorder import LOCK_TIMEOUT
from tracker.store.sqlite_errors import sqlite_errors

VIEWS_DB = "views.db"
SORTED = 16 << 10
"""KiB of the file that are kept in memory while indexes are made; what is sorted for them takes as much once more."""
TABLES: tuple[Table, ...] = (
    sessions.TABLE,
    participants.TABLE,
    names.TABLE,
    runs.TABLE,
    files.TABLE,
    findings.TABLE,
    deliveries.TABLE,
    links.TABLE,
    types.TABLE,
    hours.TABLE,
    deadlines.TABLE,
    spans.TABLE,
    rooms.TABLE,
)
SQL_VIEWS = {**sessions.VIEWS, **runs.VIEWS, **findings.VIEWS}
SOURCES: dict[str, tuple[str, ...]] = {
    "tracker": ("step", "table", "lifecycle", "findings", "accept", "rules"),
    "tracker.delivery": ("envelope", "payload", "plain", "webhook"),
    "tracker.judging": (),
    "tracker.judging.findings": (),
    "tracker.judging.log": (),
    "projections.views": ("database", "meeting", "pages", "publications", "waiting"),
    "projections.read_models": (),
}
"""The modules whose text decides what the rows say; of a package without names all of its own."""
_DIGEST = re.compile(r"[0-9a-f]{32}")
_NOT_THE_FILE = ("locked", "busy", "full", "readonly", "unable to open", "I/O", "too complex")
"""Words in what SQLite complains of when the file itself may be sound."""


class Checkpoint(msgspec.Struct, frozen=True):
    """How far the rows go: the last position judged, with the digest of the event there, and the newest
    receive time up to there. ``withdrawn`` is the position of the last withdrawal or erasure that is heeded in them."""

    position: int = 0
    as_of: datetime | None = None
    digest: str = ""
    withdrawn: int = 0

    def fits(self, tracker: Tracker) -> bool:
        """Whether the store still has the event up to which was judged."""
        return not self.position or self.digest == tracker.digest(self.position)

    def heeds(self, tracker: Tracker) -> bool:
        """Whether the same deliveries count now as did then, and say the same."""
        return self.withdrawn == tracker.changed_at()


@contextmanager
def views_errors(path: Path) -> Iterator[None]:
    """As ``sqlite_errors``, for a file that can be made anew when it is damaged."""
    try:
        with sqlite_errors(path):
            yield
    except StoreError as error:
        of_the_file = isinstance(error.__cause__, sqlite3.Error | UnicodeDecodeError)
        innocent = any(words in str(error.__cause__) for words in _NOT_THE_FILE)
        if innocent or not of_the_file or error.place != str(path):
            raise
        raise StoreDamagedError(
            "is damaged", place=str(path), hint="tracker rebuild builds it again from the store"
        ) from error


@contextmanager
def at_one_moment(path: Path) -> Iterator[sqlite3.Connection]:
    """The read models at one moment, for who only reads. Raises ``StoreError``.

    To be left soon: the follower cannot commit before.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with (
        views_errors(path),
        closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=LOCK_TIMEOUT)) as connection,
    ):
        connection.execute("BEGIN")
        yield connection


def checkpoint_of(path: Path) -> tuple[Checkpoint, str]:
    """As ``read_checkpoint``, of a file. Raises ``StoreDamagedError`` where it is none."""
    with views_errors(path):
        uri = f"{path.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT)) as connection:
            return read_checkpoint(connection)


def read_checkpoint(connection: sqlite3.Connection) -> tuple[Checkpoint, str]:
    """How far the rows go, and the fingerprint of what made them. Raises ``sqlite3.DatabaseError``."""
    select = "SELECT position, as_of, digest, fingerprint, withdrawn FROM checkpoint"
    for position, as_of, digest, made_by, withdrawn in connection.execute(select).fetchall():
        time = parse_time(as_of) if isinstance(as_of, str) else None
        known = not position or _DIGEST.fullmatch(str(digest))
        if isinstance(position, int) and text(time) == as_of and known:
            return Checkpoint(position, time, digest, withdrawn), made_by
    raise sqlite3.DatabaseError("malformed checkpoint")


def read_log(connection: sqlite3.Connection, meeting_id: str | None = None) -> tuple[Traffic, Habits, LogView]:
    """What is known of the log up to the checkpoint, and what counts of it since the last milestone.

    The rooms that are known are left out: only who counts on needs them, and there may be very many (``rooms.read``).
    With ``meeting_id``, what counts is of that room only. Raises ``sqlite3.DatabaseError``.
    """
    ((traffic, *both),) = connection.execute("SELECT traffic, habits, habits_then FROM checkpoint").fetchall()
    try:
        known = msgspec.json.decode(traffic, type=Traffic)
        now, then = (msgspec.json.decode(one, type=Habits) for one in both)
    except (msgspec.DecodeError, TypeError) as error:
        raise sqlite3.DatabaseError("malformed checkpoint") from error
    then.rooms = rooms.telling(connection, meeting_id)
    log = replace(view_of(then, known), next_begin=partial(spans.next_begin, connection))
    return known, now, log


def packed(habits: Habits) -> str:
    """Habits as the checkpoint holds them; the rooms have a table."""
    return msgspec.json.encode(replace(habits, rooms={})).decode()


def create(connection: sqlite3.Connection, rules: Rules, withdrawn: int) -> None:
    """Makes the tables, with the indexes that the follower needs."""
    db = tables_of(connection)
    # Tells this file from any other, also from one with the same checkpoint.
    db.execute(f"PRAGMA user_version = {int.from_bytes(os.urandom(4), 'big', signed=True)}")
    for table in TABLES:
        table.create(db)
    for name, select in SQL_VIEWS.items():
        db.create_view(name, select)
    columns = {"position": int, "as_of": str, "digest": str, "fingerprint": str, "traffic": str}
    db.table("checkpoint").create({**columns, "habits": str, "habits_then": str, "withdrawn": int})
    traffic, habits = msgspec.json.encode(Traffic()).decode(), packed(Habits())
    first = {"position": 0, "as_of": None, "digest": "", "fingerprint": fingerprint(rules), "traffic": traffic}
    db.table("checkpoint").insert({**first, "habits": habits, "habits_then": habits, "withdrawn": withdrawn})


def create_indexes(connection: sqlite3.Connection) -> None:
    """Makes the indexes that only whoever reads needs."""
    connection.execute(f"PRAGMA cache_size=-{SORTED}")
    db = tables_of(connection)
    for table in TABLES:
        table.create_indexes(db)


def fingerprint(rules: Rules) -> str:
    """Changes when the rules, a lifecycle, a table or the program does, and with it what the rows would say."""
    return blake2b(f"{rules.fingerprint()} {program()}".encode(), digest_size=8).hexdigest()


@cache
def program() -> str:
    """A digest of the lifecycles, the catalogue, the tables, and the modules that make the rows."""
    tables = [(table.name, list(table.columns)) for table in TABLES]
    declared = [repr(lifecycle) for lifecycle in REGISTRY.values()]
    digest = blake2b(repr((declared, CATALOGUE, tables, SQL_VIEWS)).encode())
    for package, modules in SOURCES.items():
        for module in modules or modules_of(package):
            digest.update(get_data(package, f"{module}.py") or b"")
    return digest.hexdigest()


def modules_of(package: str) -> list[str]:
    """The modules of a package, its own file among them; what is in packages inside it is not."""
    found = iter_modules(import_module(package).__path__)
    return ["__init__", *sorted(one.name for one in found if not one.ispkg)]


def refuse_what_is_no_file(live: Path) -> None:
    """Raises where something stands in the place of the file or its journal that SQLite cannot use."""
    for path in (live, live.with_name(f"{live.name}-journal")):
        if path.exists() and not path.is_file():
            what = "is a directory, not a file" if path.is_dir() else "is no file"
            raise StoreError(
                what, place=str(path), hint="remove it: it is in the place of a file of this program"
            )


def remove_leftovers(live: Path) -> None:
    """What processes that were killed have left behind while they rebuilt or verified."""
    for path in [*live.parent.glob(f"{live.name}.rebuild-*"), *live.parent.glob(f"{live.name}.verify-*")]:
        process = path.name.rpartition("-")[2]
        try:
            os.kill(int(process), 0)
        except PermissionError:
            continue
        except (ProcessLookupError, ValueError, OverflowError):
            _remove(path)


def discard(path: Path) -> None:
    """Removes a file of ours, if it came to be."""
    with suppress(OSError):
        path.unlink()


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot be removed: {error.strerror}",
            place=str(path),
            hint="remove it: it is in the place of a file of this program",
        ) from error


def fits(checkpoint: Checkpoint, tracker: Tracker, path: Path) -> bool:
    """Whether the store still has what was judged; else they are renamed, or it raises ``LossError``.

    Where people were erased from the last event that was judged, nothing is lost, and nothing is kept.
    """
    if not checkpoint.fits(tracker):
        if tracker.is_changed(checkpoint.position):
            return False
        pass_loss(tracker, path, checkpoint.position, checkpoint.digest)
        return False
    return True
