"""Whether the store and the read models say the same as the bytes that came in."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs

from projections.follow import TABLES, VIEWS_DB, Progress, Views, fingerprint, rebuild
from projections.read_models import Table
from tracker.rules import Rules
from tracker.store import Tracker, store_errors

MOST = 20
"""Differences named of one table; more are counted."""


@attrs.frozen
class Problem:
    """Something that contradicts the log; ``place`` is a position, or a table and its row."""

    place: str
    text: str


def verify(tracker: Tracker, rules: Rules, progress: Progress | None = None) -> Iterator[Problem]:
    """Every contradiction in the events, then every one between the events and the read models."""
    for place, text in tracker.integrity():
        yield Problem(place, text)
    yield from _misplaced(tracker)
    yield from _views(tracker, rules, progress)


def _misplaced(tracker: Tracker) -> Iterator[Problem]:
    for delivery, stream in tracker.placed():
        if delivery.stream != stream:
            yield Problem(f"position {delivery.position}", f"stored in {stream}, belongs to {delivery.stream}")


def _views(tracker: Tracker, rules: Rules, progress: Progress | None) -> Iterator[Problem]:
    path = tracker.path.with_name(VIEWS_DB)
    if not path.exists():
        return
    with store_errors(path):
        checkpoint = _checkpoint(path)
    if checkpoint is None:
        yield Problem(VIEWS_DB, "is damaged; tracker rebuild makes it anew")
        return
    position, mark = checkpoint
    if mark != fingerprint(rules):
        return  # made by other rules: the next command that needs it makes it anew
    last = tracker.last_position()
    if position > last:
        yield Problem(VIEWS_DB, f"was made up to position {position}, and the store ends at {last}")
        return
    fresh = path.with_name(f"{path.name}.verify-{os.getpid()}")
    try:
        rebuild(tracker, rules, progress, path=fresh, stop=position)
        with Views(path, rules) as live:
            with store_errors(path):
                live.db.execute("ATTACH ? AS fresh", (str(fresh),))
            for table in TABLES:
                yield from _differences(live, table)
    finally:
        fresh.unlink(missing_ok=True)


def _checkpoint(path: Path) -> tuple[int, str] | None:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            row = connection.execute("SELECT position, fingerprint FROM checkpoint").fetchone()
        except sqlite3.DatabaseError:
            return None
    return None if row is None else (int(row[0]), str(row[1]))


def _differences(live: Views, table: Table) -> Iterator[Problem]:
    columns, keys = list(table.columns), len(table.pk)
    order = [columns.index(name) for name in table.pk]
    there, told = "main." + table.name, "fresh." + table.name
    is_there = {_key(row, order): row for row in live.db.execute(_except(columns, there, told)).fetchall()}
    told_rows = {_key(row, order): row for row in live.db.execute(_except(columns, told, there)).fetchall()}
    differing = sorted(is_there.keys() | told_rows.keys(), key=repr)
    for key in differing[:MOST]:
        place = f"{table.name} {' '.join(map(str, key[:keys]))}"
        if key not in told_rows:
            yield Problem(place, "there is such a row, and nothing in the log makes it")
        elif key not in is_there:
            yield Problem(place, "the log makes such a row, and it is not there")
        else:
            for name, is_value, must in zip(columns, is_there[key], told_rows[key], strict=True):
                if is_value != must:
                    yield Problem(place, f"{name} is {is_value!r}, the log says {must!r}")
    if len(differing) > MOST:
        yield Problem(table.name, f"{len(differing) - MOST} more rows differ")


def _except(columns: list[str], one: str, other: str) -> str:
    names = ", ".join(columns)
    return f"SELECT {names} FROM {one} EXCEPT SELECT {names} FROM {other}"


def _key(row: tuple[object, ...], order: list[int]) -> tuple[object, ...]:
    return tuple(row[place] for place in order)
