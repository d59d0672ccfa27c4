"""Whether the store and the read models say the same as the bytes that came in.

The live read models may go on while they are looked at, so a copy is taken at one moment, made anew
from the events up to the copy's position, and compared row by row. What is held is what is published.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from msgspec.structs import replace

from projections.ending import cleared_by_sigterm
from projections.progress import Progress
from projections.read_models import Table
from projections.views.database import (
    TABLES,
    VIEWS_DB,
    discard,
    fingerprint,
    read_checkpoint,
    refuse_what_is_no_file,
    remove_leftovers,
    views_errors,
)
from projections.views.loss import loss_of, marked_loss
from projections.views.publications import PUBLISHED_DB, Mark, differences, mark_of, published_up_to
from projections.views.rebuild import rebuild
from tracker.errors import StoreDamagedError, StoreError
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.recorder import LOCK_TIMEOUT
from tracker.store.sqlite_errors import sqlite_errors

MOST = 20
"""Differences named of one table; more are counted."""
_COPIES = ("verify-copy", "verify", "verify-published")
TRIES = 3
"""How often the two files are copied until both are of one moment."""
_CHANGED = f"{VIEWS_DB} was made before a log was withdrawn, somebody was erased or a session was pruned and was not compared"
CHECKPOINT = Table(
    name="checkpoint",
    columns={
        "position": int,
        "as_of": str,
        "digest": str,
        "traffic": str,
        "habits": str,
        "habits_then": str,
        "withdrawn": int,
    },
    pk=("position",),
)


@attrs.frozen
class Problem:
    """Something that contradicts the log; ``place`` is a position, or a table and its row."""

    place: str
    text: str


@attrs.define
class Verification:
    """What contradicts the log, ``notes`` on what was not compared, and ``records`` of what is known to be missing."""

    problems: list[Problem] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    records: list[str] = attrs.field(factory=list)


def verify(tracker: Tracker, rules: Rules, progress: Progress | None = None) -> Verification:
    """Every contradiction in the events, then every one between the events and the read models, and the mark."""
    found = _verify(tracker, rules, progress)
    with suppress(StoreError):  # which was reported
        marked = marked_loss(tracker)
        texts = {problem.text for problem in found.problems}
        if marked is not None and replace(marked, judged=True).text not in texts:
            found.problems.append(Problem(tracker.place, marked.text))
    return found


def _verify(tracker: Tracker, rules: Rules, progress: Progress | None) -> Verification:
    found = Verification([Problem(*one) for one in tracker.integrity()])
    found.records.extend(_records(tracker))
    path = tracker.data / VIEWS_DB
    refuse_what_is_no_file(path)
    if _can_be_written(path.parent):
        remove_leftovers(path)
    if not path.exists():
        found.notes.append(f"{VIEWS_DB} is not there and was not compared")
        return found
    try:
        with _room_for(path) as room:
            copy, fresh, published = (room / f"{path.name}.{name}-{os.getpid()}" for name in _COPIES)
            try:
                copied_together(path, copy, published)
                _compare(found, tracker, rules, progress, path, copy, fresh, published)
            finally:
                for one in (copy, fresh, published):
                    discard(one)
    except StoreDamagedError as error:
        if error.place == tracker.place:
            found.notes.append(f"{VIEWS_DB} was not compared, for {tracker.place} cannot be read")
            if not found.problems:
                found.problems.append(Problem(tracker.place, error.message))
        else:
            found.problems.append(
                Problem(VIEWS_DB, "is damaged; tracker rebuild builds it again from the store")
            )
    return found


def _can_be_written(directory: Path) -> bool:
    return os.access(directory, os.W_OK)


@contextmanager
def _room_for(path: Path) -> Iterator[Path]:
    """A directory for copies of the read models: beside them, where there is most likely to be room for them.

    Where nothing can be written there, as on a medium that is read-only, they are where temporary files are.
    """
    if _can_be_written(path.parent):
        yield path.parent
    else:
        with cleared_by_sigterm(), TemporaryDirectory(prefix="tracker-verify-") as room:
            yield Path(room)


def _records(tracker: Tracker) -> Iterator[str]:
    """What is no contradiction and worth a word."""
    with suppress(StoreError):  # which was reported
        yield from (one.text for one in tracker.losses())
        for hole in tracker.without_digest():
            yield f"{hole.place} were stored without a digest, by an older version: a changed body is not seen there"


def _compare(
    found: Verification,
    tracker: Tracker,
    rules: Rules,
    progress: Progress | None,
    live: Path,
    copy: Path,
    fresh: Path,
    published: Path,
) -> None:
    with views_errors(copy), closing(sqlite3.connect(copy.absolute())) as connection:
        checkpoint, made_by = read_checkpoint(connection)
        loss = loss_of(tracker, live, checkpoint.position, checkpoint.digest)
        if loss is not None:
            found.problems.append(Problem(VIEWS_DB, loss.text))
        if not checkpoint.fits(tracker):
            if loss is None:
                found.notes.append(_CHANGED)
            return
        if made_by != fingerprint(rules):
            found.notes.append(f"{VIEWS_DB} was made by other rules or another version and was not compared")
            return
        rebuild(tracker, rules, progress, path=fresh, stop=checkpoint.position, as_of=checkpoint.as_of)
        if not checkpoint.heeds(tracker):  # it may have come just now
            found.notes.append(_CHANGED)
            return
        connection.execute("ATTACH ? AS fresh", (str(fresh.absolute()),))
        for table in (*TABLES, CHECKPOINT):
            found.problems.extend(_differences(connection, table))
    with closing(sqlite3.connect(fresh.absolute())) as held:
        _compare_published(found, live.with_name(PUBLISHED_DB), published, held, _mark_of(copy), tracker)


def _compare_published(
    found: Verification, live: Path, copy: Path, held: sqlite3.Connection, mark: Mark, tracker: Tracker
) -> None:
    """Whether what is held is published, and the reverse."""
    path = copy if copy.exists() else live
    try:
        up_to = published_up_to(path)
        if up_to is None:
            found.notes.append(f"{PUBLISHED_DB} is not there and was not compared")
        elif up_to != mark:  # whoever writes the read models next publishes the rest
            found.notes.append(f"{PUBLISHED_DB} is not of the same moment as {VIEWS_DB} and was not compared")
        else:
            wrong = [Problem(*one) for one in differences(path, held, tracker.pruned_among)]
            found.problems.extend(wrong[:MOST])
            if len(wrong) > MOST:
                found.problems.append(Problem(PUBLISHED_DB, f"{len(wrong) - MOST} more findings differ"))
    except StoreError as error:
        if error.place != str(path):
            raise
        found.problems.append(Problem(PUBLISHED_DB, f"{error.message}; {error.hint}"))


def copied(path: Path, copy: Path) -> Path:
    """The read models as they are at one moment."""
    with views_errors(path):
        return _copied(path, copy)


def copied_together(path: Path, copy: Path, published: Path) -> None:
    """The read models as they are at one moment, and what is published then, if that can be had."""
    source = path.with_name(PUBLISHED_DB)
    for _ in range(TRIES):
        copied(path, copy)
        if not source.exists():
            return
        try:
            with sqlite_errors(source):
                up_to = published_up_to(_copied(source, published))
        except StoreError:  # which is said when it is compared
            discard(published)
            return
        if up_to == _mark_of(copy):
            return


def _mark_of(copy: Path) -> Mark:
    with views_errors(copy), closing(sqlite3.connect(copy.absolute())) as connection:
        return mark_of(connection)


def _copied(path: Path, copy: Path) -> Path:
    uri = f"{path.resolve().as_uri()}?mode=rw"  # it may have to undo what a killed writer left
    discard(copy)
    with (
        closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT)) as live,
        closing(sqlite3.connect(copy.absolute())) as target,
    ):
        live.backup(target)
    return copy


def _differences(connection: sqlite3.Connection, table: Table) -> Iterator[Problem]:
    columns, keys = list(table.columns), len(table.pk)
    order = [columns.index(name) for name in table.pk]
    there, fresh = "main." + table.name, "fresh." + table.name
    is_there = {_key(row, order): row for row in connection.execute(_except(columns, there, fresh)).fetchall()}
    fresh_rows = {
        _key(row, order): row for row in connection.execute(_except(columns, fresh, there)).fetchall()
    }
    differing = sorted(is_there.keys() | fresh_rows.keys(), key=repr)
    for key in differing[:MOST]:
        place = f"{table.name} {' '.join(map(str, key[:keys]))}"
        if key not in fresh_rows:
            yield Problem(place, "this row follows from nothing in the store; tracker rebuild removes it")
        elif key not in is_there:
            yield Problem(place, "the log makes such a row, and it is not there")
        else:
            for name, is_value, must in zip(columns, is_there[key], fresh_rows[key], strict=True):
                if is_value != must:
                    yield Problem(place, f"{name} is {is_value!r}, the log says {must!r}")
    if len(differing) > MOST:
        yield Problem(table.name, f"{len(differing) - MOST} more rows differ")


def _except(columns: list[str], one: str, other: str) -> str:
    names = ", ".join(columns)
    return f"SELECT {names} FROM {one} EXCEPT SELECT {names} FROM {other}"


def _key(row: tuple[object, ...], order: list[int]) -> tuple[object, ...]:
    return tuple(row[place] for place in order)
