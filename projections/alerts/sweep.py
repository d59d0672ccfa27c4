"""The sweep: what is published is compared with what is known, and the difference goes into the outbox.

All of it is one transaction. A sweep looks at what was published since the one before, or at everything: first in each
process, and when a rule is armed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import attrs

from projections.alerts import messages, owners
from projections.alerts.database import (
    ARMED,
    ESCALATIONS,
    MUTES,
    Found,
    Identity,
    Known,
    alerts_file,
    found_of,
    identity_of,
    known_in,
    write,
)
from projections.alerts.erasing import erase_from
from projections.alerts.moves import Compared, moved
from projections.alerts.outbox import queue_of
from projections.outbox.queue import KEPT, Queue
from projections.read_models import among, listed, text
from projections.views.publications import IDENTITY, PUBLISHED_DB, End, Reader, reader
from tracker.alert import Alert
from tracker.delivery.envelope import parse_time
from tracker.store.ledger import Ledger

_SAME = "rule = ? AND " + " AND ".join(f"{name} = ?" for name in IDENTITY)
_BEGUN = "+rule = ? AND state != 'closed'"
"""The + keeps SQLite from reading all alerts of a rule, where those of a few streams are asked for."""
SETTLES = timedelta(hours=1)
"""What became true so shortly before the last sweep may not have settled by then, and is new."""
_WAITS = "state = 'waiting' OR acknowledged_until <= ?"
ESCALATES = 10
"""So many times as often as usual must a code open alerts in a day; less than one a day counts as one."""
_DAY = timedelta(days=1)
_USUAL = 7
"""Days before that one which say what is usual."""
_DUE = (
    "SELECT 1 FROM alerts WHERE state = 'waiting' AND due_at <= ? OR state = 'open' AND acknowledged_until <= ?"
)
_PRUNE = (
    "DELETE FROM alerts WHERE state = 'closed' AND closed_at < ?"
    " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.alert = alerts.id)"
)


def sweep(
    data: Path,
    alerts: Sequence[Alert],
    moment: datetime,
    since: End | None = None,
    backfill: timedelta = timedelta(),
) -> End | None:
    """Brings ``alerts.db`` up to what is published; returns the end of that, ``None`` where nothing is.

    A rule that is new reports what became true within ``backfill`` before now. Raises ``StoreError``.
    """
    with alerts_file(data).to_write() as connection, reader(data / PUBLISHED_DB) as published:
        if published is not None:
            erase_from(connection, Ledger(data).entries(), published.erased, published)
        queue = queue_of(data)
        queue.forget_others(connection, [alert.name for alert in alerts], "alert")
        for alert in alerts:
            _Sweep(queue, connection, published, alert, moment, since).run(backfill)
        if published is not None:
            owners.close_what_is_not_held(connection, published, text(moment) or "")
        connection.execute(_PRUNE, (text(moment - KEPT),))
        return published.end if published is not None else None


def has_due(connection: sqlite3.Connection, moment: datetime) -> bool:
    """Whether there is something that has waited long enough, or the last sweep was long ago."""
    now, before = text(moment), text(moment - timedelta(minutes=1))
    due = connection.execute(_DUE, (now, now))
    return due.fetchone() is not None or (
        connection.execute("SELECT 1 FROM armed WHERE swept_at <= ?", (before,)).fetchone() is not None
    )


@attrs.define
class _Sweep:
    """The sweep of one rule."""

    queue: Queue
    connection: sqlite3.Connection
    published: Reader | None
    alert: Alert
    moment: datetime
    since: End | None
    opened: set[str] = attrs.field(factory=set)
    """The codes of what was opened."""

    def run(self, backfill: timedelta) -> None:
        now, name = text(self.moment) or "", self.alert.name
        armed = dict(self._armed())
        judged_by = self.published.fingerprint if self.published is not None else armed.get("judged_by")
        fingerprint = self.alert.fingerprint()
        arms = (armed.get("fingerprint"), armed.get("judged_by")) != (fingerprint, judged_by)
        begin = self._begin(armed.get("swept_at"), backfill, arms=arms)
        silent = self._compare(self._pairs(everything=arms), begin, now)
        if armed and silent and arms:
            body = messages.about_rule("rearmed", name, now, appeared=silent)
            self.queue.post(self.connection, name, "alert.rearmed", body, now)
        for code in sorted(self.opened):
            self._escalate(code, now)
        same = armed.get("target") == self.alert.target()
        disabled = armed.get("disabled") if same else None
        row = (name, fingerprint, judged_by, now, self.alert.target(), disabled, armed.get("rests_until"))
        self.connection.execute(ARMED.insert.replace("INSERT", "INSERT OR REPLACE", 1), row)

    def _begin(self, swept_at: str | None, backfill: timedelta, *, arms: bool) -> str:
        """What became true up to then is not reported when it is found."""
        if swept_at is None:
            return text(self.moment - backfill) or ""
        before = parse_time(swept_at)
        assert before is not None, "it was written by a sweep"
        return text(before - SETTLES if arms else min(before, self.moment - self.alert.within)) or ""

    def _armed(self) -> Iterable[tuple[str, str | None]]:
        rows = self.connection.execute(
            f"SELECT {', '.join(ARMED.columns)} FROM armed WHERE rule = ?", (self.alert.name,)
        )
        for row in rows:
            yield from zip(ARMED.columns, row, strict=True)

    def _compare(
        self, pairs: Mapping[Identity, tuple[Known | None, Found | None]], begin: str, now: str
    ) -> int:
        """Moves each alert; returns how many became known without being reported."""
        due, silent, mutes = text(self.moment + self.alert.wait) or "", 0, self._mutes(now)
        for identity, (before, found) in pairs.items():
            matches = found is not None and self.alert.when.matches(found)
            known = before
            if known is None and matches:
                known = next(iter(known_in(self.connection, _SAME, self.alert.name, *identity)), None)
            past = found is not None and (found["at"] or "") <= begin
            muted = "" in mutes or (found is not None and found["code"] in mutes)
            after, event = moved(known, Compared(found, matches, now, due, past, muted))
            if after is None:
                if known is not None:
                    self.connection.execute("DELETE FROM alerts WHERE id = ?", (known.id,))
            elif after != known:
                after = attrs.evolve(after, id=write(self.connection, self.alert.name, after))
                silent += after.state == "open" and (known is None or known.state == "closed") and event is None
                if event in ("opened", "regressed"):
                    self.opened.add(after.found["code"])
                if event is not None:
                    body = messages.about_finding(self.alert, event, after, now)
                    self.queue.post(self.connection, self.alert.name, f"finding.{event}", body, now, after.id)
        return silent

    def _escalate(self, code: str, now: str) -> None:
        """Reports a code that opens many more alerts in a day than usual, once a day."""
        day, week = text(self.moment - _DAY), text(self.moment - (1 + _USUAL) * _DAY)
        select = (
            "SELECT COALESCE(SUM(opened_at > ?1), 0), COALESCE(SUM(opened_at <= ?1), 0) FROM alerts"
            " WHERE rule = ?2 AND code = ?3 AND opened_at > ?4 AND times"
        )
        name = self.alert.name
        ((count, before),) = self.connection.execute(select, (day, name, code, week)).fetchall()
        usual = before / _USUAL
        if not before or count < ESCALATES * max(usual, 1):
            return
        last = "SELECT 1 FROM escalations WHERE rule = ? AND code = ? AND at > ?"
        if self.connection.execute(last, (name, code, day)).fetchone() is None:
            insert = ESCALATIONS.insert.replace("INSERT", "INSERT OR REPLACE", 1)
            self.connection.execute(insert, (name, code, now))
            body = messages.about_code(name, code, count, usual, now)
            self.queue.post(self.connection, name, "finding.escalated", body, now)

    def _pairs(self, *, everything: bool) -> dict[Identity, tuple[Known | None, Found | None]]:
        """What is known and what is published, by identity; what was published and is not held is ``None``."""
        if self.published is None:  # nothing says what is held
            return {}
        held, streams = self._published(self.published, everything=everything)
        if streams is None:
            begun = known_in(self.connection, _BEGUN, self.alert.name)
        else:
            values = self.alert.name, listed(sorted(streams)), text(self.moment)
            begun = known_in(self.connection, f"{_BEGUN} AND ({among('stream')} OR {_WAITS})", *values)
        known = {identity_of(one.found): one for one in begun}
        lacking = {identity[0] for identity in known.keys() - held.keys()}
        if lacking:
            for one in self.published.of_streams(lacking):
                if one.held and one.identity in known:
                    held[one.identity] = found_of(one)
        return {one: (known.get(one), held.get(one)) for one in {**known, **held}}

    def _published(
        self, published: Reader, *, everything: bool
    ) -> tuple[dict[Identity, Found], set[str] | None]:
        """What is held, and the streams to look at; ``None`` for all streams."""
        if not everything and self.since is not None:
            written = published.written_after(self.since)
            if written is not None:
                held = {one.identity: found_of(one) for one in written if one.held}
                return held, {one.identity[0] for one in written}
        rows = published.held(self.alert.when.severities)
        return {one.identity: found_of(one) for one in rows}, None

    def _mutes(self, now: str) -> set[str]:
        """The codes that are muted; an empty one for all."""
        rows = self.connection.execute(
            f"SELECT code FROM {MUTES.name} WHERE rule = ? AND (until IS NULL OR until > ?)",
            (self.alert.name, now),
        )
        return {code for (code,) in rows}
