"""What other rules would change: which states, and which findings would appear, go, or weigh differently.

Two judgements of the same deliveries are compared session by session, so memory holds one session of
each. A finding is the same in both if it has the same code, and the same delivery raised it about the
same thing; the number of its run may differ.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from heapq import merge
from itertools import groupby, zip_longest
from typing import Any, Literal

import attrs

from projections.progress import Progress
from projections.views.database import VIEWS_DB, discard, read_checkpoint, remove_leftovers, views_errors
from projections.views.rebuild import rebuild
from projections.views.verify import copied
from tracker.findings import SEVERITIES, Finding, Severity
from tracker.rules import Rules
from tracker.store.application import Tracker

ACCEPTED = "accepted"


@attrs.frozen
class Row:
    """A finding, or a state, as it is compared. ``value`` is the severity (or ``accepted``), or the state."""

    session_id: str
    meeting_id: str | None
    code: str | None
    slug: str | None
    lifecycle: str | None
    key: str
    run: int | None
    position: int | None
    value: str
    message: str | None

    @property
    def identity(self) -> tuple[str, ...]:
        about = (self.code, self.lifecycle, self.key, self.position if self.code else self.run)
        return tuple(map(str, about))


@attrs.frozen
class Change:
    """One difference. ``before`` and ``after`` are severities (or ``accepted``) or states; ``None``: not there."""

    change: Literal["state", "appears", "goes", "severity"]
    session_id: str | None
    meeting_id: str | None
    lifecycle: str | None
    key: dict[str, str]
    run: int | None
    code: str | None
    slug: str | None
    position: int | None
    before: str | None
    after: str | None
    message: str | None

    def at_least(self, severity: Severity) -> bool:
        """Whether it is about a state, or a finding that weighs so much on one of the sides."""
        slighter = (None, ACCEPTED, *SEVERITIES)[: 2 + SEVERITIES.index(severity)]
        return severity == "info" or self.code is None or not {self.before, self.after} <= set(slighter)


@attrs.define
class Summary:
    """How much changes: sessions with another state, and findings by code."""

    sessions: set[str | None] = attrs.field(factory=set)
    appear: Counter[str] = attrs.field(factory=Counter)
    go: Counter[str] = attrs.field(factory=Counter)
    weigh: Counter[str] = attrs.field(factory=Counter)

    def count(self, changes: Iterable[Change]) -> Iterator[Change]:
        """The same changes, counted on their way."""
        counters = {"appears": self.appear, "goes": self.go, "severity": self.weigh}
        for change in changes:
            if change.code is None:
                self.sessions.add(change.session_id)
            else:
                counters[change.change][change.code] += 1
            yield change

    @property
    def codes(self) -> list[str]:
        return sorted({*self.appear, *self.go, *self.weigh})


def of_store(tracker: Tracker, rules: Rules, progress: Progress | None = None) -> Iterator[Change]:
    """What ``rules`` would change in the live read models; these stay as they are."""
    live = tracker.data / VIEWS_DB
    remove_leftovers(live)
    # Named as what rebuild leaves behind when it is killed, so that the next one removes it.
    copy, beside = (live.with_name(f"{live.name}.rebuild-{name}-{os.getpid()}") for name in ("copy", "diff"))
    try:
        copied(live, copy)
        with views_errors(copy), closing(sqlite3.connect(copy.absolute())) as before:
            there, _ = read_checkpoint(before)
            rebuild(tracker, rules, progress, path=beside, stop=there.position, as_of=there.as_of)
            with closing(sqlite3.connect(beside.absolute())) as after:
                sides = [[_rows(side, query) for query in (_STATES, _FINDINGS)] for side in (before, after)]
                yield from _changes(*sides)
    finally:
        discard(copy)
        discard(beside)


def of_findings(before: Iterable[Finding], after: Iterable[Finding]) -> Iterator[Change]:
    """The same for two lists of findings."""
    yield from _changes(*([sorted(map(_row_of, found), key=_session)] for found in (before, after)))


def _changes(before: Iterable[Iterable[Row]], after: Iterable[Iterable[Row]]) -> Iterator[Change]:
    """Compares two sides; each of their parts comes in the order of the sessions' ids."""
    sides = [_on_side(side, part) for side, parts in enumerate((before, after)) for part in parts]
    for _, rows in groupby(merge(*sides, key=lambda row: _session(row[0])), lambda row: _session(row[0])):
        both: tuple[list[Row], list[Row]] = ([], [])
        for row, side in rows:
            both[side].append(row)
        yield from _of_session(*both)


def _on_side(side: int, part: Iterable[Row]) -> Iterator[tuple[Row, int]]:
    return ((row, side) for row in part)


def _of_session(before: Iterable[Row], after: Iterable[Row]) -> Iterator[Change]:
    for is_there, would_be in _paired(before, after):
        row = would_be or is_there
        if is_there and would_be and is_there.value == would_be.value:
            continue
        if row and row.code is None:
            yield _change("state", is_there, would_be)
        elif is_there is None:
            yield _change("appears", None, would_be)
        else:
            yield _change("severity" if would_be else "goes", is_there, would_be)


def _change(kind: Any, before: Row | None, after: Row | None) -> Change:
    row = after or before
    assert row is not None
    return Change(
        kind,
        row.session_id or None,
        row.meeting_id,
        row.lifecycle,
        json.loads(row.key),
        row.run,
        row.code,
        row.slug,
        row.position,
        before.value if before else None,
        after.value if after else None,
        row.message,
    )


def _paired(before: Iterable[Row], after: Iterable[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """What is there beside what would be there: states first, findings in the order of the deliveries."""
    one, other = _by_identity(before), _by_identity(after)
    whole = {**one, **other}
    for identity in sorted(whole, key=lambda identity: whole[identity][0].position or 0):
        yield from zip_longest(one.get(identity, ()), other.get(identity, ()))


def _by_identity(rows: Iterable[Row]) -> dict[tuple[str, ...], list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = {}
    for one in rows:
        found.setdefault(one.identity, []).append(one)
    return found


def _session(row: Row) -> str:
    return row.session_id


def _row_of(found: Finding) -> Row:
    return Row(
        found.session_id or "",
        found.meeting_id,
        found.code,
        found.slug,
        found.lifecycle,
        json.dumps(found.key),
        found.run,
        found.position,
        ACCEPTED if found.verdict == ACCEPTED else found.severity,
        found.message,
    )


_FINDINGS = f"""
    SELECT coalesce(session_id, '') AS session, meeting_id, code, slug, lifecycle, key, run, position,
           CASE verdict WHEN '{ACCEPTED}' THEN verdict ELSE severity END, message
    FROM findings ORDER BY session, position, number
"""
_STATES = """
    SELECT s.session_id AS session, s.meeting_id, NULL, NULL, lifecycle, key, run, NULL, of_it.state, NULL
    FROM sessions s JOIN (
        SELECT session_id, 'session' AS lifecycle, '{}' AS key, NULL AS run, state FROM sessions
        UNION ALL
        SELECT session_id, 'participant', json_object('participant_id', participant_id), visit, state
        FROM participants
        UNION ALL
        SELECT session_id, lifecycle, key, run, state FROM runs
    ) of_it USING (session_id)
    ORDER BY session
"""


def _rows(side: sqlite3.Connection, query: str) -> Iterator[Row]:
    return (Row(*row) for row in side.execute(query))
