"""The sweep: the facts that are held are compared with those that were sent, and the difference goes into the outbox.

A sweep looks at the sessions of which something came since the one before, a page of deliveries at a time, each page in a
transaction of its own; at those of which something waits; and every minute at all that are not closed out, because time
alone may change them. A session that is closed out is looked at again when something of it comes, and all of which
something was sent when deliveries count no longer, or again. What was pruned is over: nothing of it is withdrawn or sent.
What was closed out long ago is over too, once all messages of it were taken: what was sent of it is forgotten, but for the
number of its last message. Of a session of which nothing was sent nothing is kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from projections.outbox.queue import KEPT, Queue, body
from projections.read_models import outside, text
from projections.relay.database import (
    ARMED,
    Known,
    forget,
    forget_old,
    forget_session,
    known_of,
    queue_of,
    write,
)
from projections.relay.erasing import erase_from, erased_up_to
from projections.relay.facts import Fact, Identity, facts_of, is_closed_out, session_of, type_of
from projections.views.database import VIEWS_DB, Checkpoint, at_one_moment, read_checkpoint
from projections.views.publications import Pruned
from tracker.blake2b import blake2b
from tracker.delivery.envelope import parse_time
from tracker.relay import Relay
from tracker.store.ledger import Ledger

PAGE = 1000
"""Deliveries whose sessions are compared in one transaction."""
MOST = 500
"""Other sessions that are compared in one."""
MINUTE = timedelta(minutes=1)
"""How often all is looked at that may change by time alone."""
_TOUCHED = f"SELECT DISTINCT stream FROM deliveries WHERE position > ? AND position <= ? AND NOT ({outside()})"
_WAITING = (
    "SELECT DISTINCT stream FROM sessions JOIN facts ON session = id WHERE rule = ? AND due_at IS NOT NULL"
)
_OPEN = "SELECT stream FROM sessions WHERE rule = ? AND open"
_SENT = "SELECT DISTINCT stream FROM sessions JOIN facts ON session = id WHERE rule = ?"


def sweep(
    data: Path, relays: Sequence[Relay], moment: datetime, pruned: Pruned, past: int | None = None
) -> int | None:
    """Brings ``relay.db`` up to the read models; returns up to which position, ``None`` where there are none.

    So it is while they still name somebody who is being erased: it goes on when they are made anew. ``pruned`` says
    which streams were pruned. Up to the position ``past`` all was stored when the entries were read, so a new one sends nothing
    of it; without one that is what the read models have by now. Raises ``StoreError``.
    """
    if not (data / VIEWS_DB).exists():
        return None
    try:
        return _sweep(data, relays, moment, pruned, past)
    except _ErasingError:
        return None


class _ErasingError(Exception):
    """The read models still name somebody who is being erased."""


def _sweep(data: Path, relays: Sequence[Relay], moment: datetime, pruned: Pruned, past: int | None) -> int:
    end = 0
    for relay in relays:
        turn = partial(_turn, data, relays, relay, moment, pruned, past)
        is_left, others, withdrawn = True, list[str](), 0
        while is_left:
            with turn() as one:
                is_left, end = one.page(), one.end
                others, withdrawn = [] if is_left else one.others(), one.checkpoint.withdrawn
        for begin in range(0, len(others), MOST):
            with turn() as one:
                one.look_at(others[begin : begin + MOST])
                if begin + MOST >= len(others):
                    one.armed["withdrawn"] = withdrawn
    return end


def has_due(connection: sqlite3.Connection, moment: datetime) -> bool:
    """Whether something has waited long enough, or all was looked at long ago."""
    due = connection.execute("SELECT 1 FROM facts WHERE due_at <= ?", (text(moment),))
    return due.fetchone() is not None or (
        connection.execute("SELECT 1 FROM armed WHERE swept_at <= ?", (text(moment - MINUTE),)).fetchone()
        is not None
    )


@contextmanager
def _turn(
    data: Path, relays: Sequence[Relay], relay: Relay, moment: datetime, pruned: Pruned, past: int | None
) -> Iterator[_Sweep]:
    """One transaction of a sweep. Raises ``_ErasingError``."""
    queue, up_to = queue_of(data), erased_up_to(data)
    ledger = Ledger(data).entries()  # after that: by then it has all names of that request
    if ledger.requests > up_to:
        raise _ErasingError
    with queue.file.to_write() as connection, at_one_moment(data / VIEWS_DB) as views:
        erase_from(connection, ledger, up_to)
        queue.forget_others(connection, [one.name for one in relays], "relay")
        one = _Sweep(queue, connection, views, relay, moment, pruned, read_checkpoint(views)[0], past)
        one.arm()
        yield one
        one.write()


@attrs.define
class _Sweep:
    """The sweep of one entry, as far as one transaction goes."""

    queue: Queue
    connection: sqlite3.Connection
    views: sqlite3.Connection
    relay: Relay
    moment: datetime
    pruned: Pruned
    checkpoint: Checkpoint
    past: int | None
    armed: dict[str, Any] = attrs.field(factory=dict)

    @property
    def now(self) -> str:
        return text(self.moment) or ""

    @property
    def end(self) -> int:
        return self.checkpoint.position

    def page(self) -> bool:
        """Looks at the sessions of the next deliveries, and in the end at those of which something waits; whether there is more."""
        swept = min(self.armed["swept"] + PAGE, self.end)
        self.look_at(self._streams(self.views, _TOUCHED, self.armed["swept"], swept))
        self.armed["swept"] = max(swept, self.armed["swept"])
        if swept < self.end:
            return True
        self.look_at(self._streams(self.connection, _WAITING, self.relay.name))
        return False

    def others(self) -> list[str]:
        """The sessions that time alone may have changed, where that was looked at long ago, or deliveries that count no longer."""
        found: dict[str, None] = {}
        if self.armed["withdrawn"] != self.checkpoint.withdrawn:
            found |= dict.fromkeys(self._streams(self.connection, _SENT, self.relay.name))
        if self.armed["swept_at"] <= (text(self.moment - MINUTE) or ""):
            self.armed["swept_at"] = self.now
            old = self.moment - max(KEPT, self.relay.within)  # what comes of them again is then of the past
            forget_old(self.connection, self.relay.name, text(old) or "")
            found |= dict.fromkeys(self._streams(self.connection, _OPEN, self.relay.name))
        return list(found)

    def look_at(self, streams: Collection[str]) -> None:
        pruned = self.pruned(streams)
        for stream in streams:
            if stream in pruned:
                forget_session(self.connection, self.relay.name, stream)
            else:
                self._look_at(stream)

    def arm(self) -> None:
        """Where the entry is new, or sends other things, what came by now is the past."""
        select = f"SELECT {', '.join(ARMED.columns)} FROM armed WHERE rule = ?"
        row = self.connection.execute(select, (self.relay.name,)).fetchone()
        before = dict(zip(ARMED.columns, row, strict=True)) if row else {}
        same = before.get("fingerprint") == self.relay.fingerprint()
        target, past = self.relay.target(), self.end if self.past is None else self.past
        self.armed = {
            "rule": self.relay.name,
            "fingerprint": self.relay.fingerprint(),
            "position": before["position"] if same else past,
            "swept": before.get("swept", min(past, self.end)),
            "swept_at": before.get("swept_at", self.now),
            "target": target,
            "disabled": before.get("disabled") if before.get("target") == target else None,
            "rests_until": None,
            "withdrawn": before.get("withdrawn", self.checkpoint.withdrawn),
        }

    def write(self) -> None:
        insert = ARMED.insert.replace("INSERT", "INSERT OR REPLACE", 1)
        self.connection.execute(insert, [self.armed[name] for name in ARMED.columns])

    def _streams(self, connection: sqlite3.Connection, select: str, *values: Any) -> list[str]:
        return [stream for (stream,) in connection.execute(select, values)]

    def _look_at(self, stream: str) -> None:
        """Compares one session."""
        session, sequence = self._session(stream)
        known = known_of(self.connection, session)
        anchors = {identity[1] for identity in known}
        held = {fact.identity: fact for fact in facts_of(self.views, stream, anchors)}
        out = _Out(self, stream, session, sequence, anchors)
        doubts = {fact.lifecycle for fact in held.values() if fact.in_doubt}
        waits = False
        for one in known.values():
            if one.identity not in held:
                waits |= out.leave(one, in_doubt=one.identity[0] in doubts)
        for fact in held.values():
            if not self.relay.takes(fact.lifecycle, fact.data.get("account")):
                continue
            waits |= out.hold(fact, known.get(fact.identity), behind=waits)
        is_open = waits or not is_closed_out(self.views, stream)
        if is_open or out.sequence:
            update = "UPDATE sessions SET sequence = ?, open = ?, closed_at = ? WHERE id = ?"
            self.connection.execute(update, (out.sequence, is_open, None if is_open else self.now, session))
        else:  # what was sent of it is derived again: nothing
            self.connection.execute("DELETE FROM sessions WHERE id = ?", (session,))

    def _session(self, stream: str) -> tuple[int, int]:
        insert = "INSERT OR IGNORE INTO sessions (rule, stream, sequence, open) VALUES (?, ?, 0, 1)"
        self.connection.execute(insert, (self.relay.name, stream))
        select = "SELECT id, sequence FROM sessions WHERE rule = ? AND stream = ?"
        id, sequence = self.connection.execute(select, (self.relay.name, stream)).fetchone()
        return id, sequence

    def is_past(self, fact: Fact, *, instead: bool) -> bool:
        """Whether it was so before the entry was armed, or was received too long ago to be of interest.

        What is so ``instead`` of something that is withdrawn is of interest however old it is.
        """
        is_old = (fact.at or "") <= self._begin and not instead
        return is_old or (fact.position or 0) <= self.armed["position"]

    @property
    def _begin(self) -> str:
        swept_at = parse_time(self.armed["swept_at"])
        assert swept_at is not None, "a sweep has written it"
        return text(min(swept_at, self.moment - self.relay.within)) or ""


@attrs.define
class _Out:
    """What is sent of one session, in order."""

    sweep: _Sweep
    stream: str
    session: int
    sequence: int
    begun: set[int]
    """The anchors of the runs of which something was sent, or waits: an end that never came is sent only of these."""
    withdrawn: set[tuple[str, str]] = attrs.field(factory=set)
    """Of which lifecycles what is withdrawn now."""

    def leave(self, known: Known, *, in_doubt: bool) -> bool:
        """Withdraws what is not held any more; whether that waits. What was never sent is forgotten."""
        if known.state == "waiting":
            forget(self.sweep.connection, self.session, known.identity)
        if known.state not in ("sent", "leaving"):
            return False
        due = known.due_at or self._due
        if in_doubt and due > self.sweep.now:
            self._write(attrs.evolve(known, state="leaving", due_at=due))
            return True
        lifecycle, anchor, what, _ = known.identity
        kind = type_of(lifecycle, what)
        withdraws = {"id": known.message, "type": kind}
        of = session_of(self.sweep.views, self.stream)
        data = {**of, "lifecycle": lifecycle, "run": anchor, "withdraws": withdraws}
        self._post(f"{lifecycle}.withdrawn", data, known.identity, -known.times)
        self.withdrawn.add((lifecycle, what))
        self._write(attrs.evolve(known, state="withdrawn", due_at=None))
        return False

    def hold(self, fact: Fact, known: Known | None, *, behind: bool) -> bool:
        """Sends what is held and was not sent; whether that waits, as it does ``behind`` another one that waits."""
        if known is not None and known.state in ("sent", "leaving"):
            if known.due_at is not None:
                self._write(attrs.evolve(known, state="sent", due_at=None))
            return False
        is_new = known is None or known.state == "withdrawn"
        instead = (fact.lifecycle, fact.what) in self.withdrawn
        is_past = (
            fact.anchor not in self.begun
            if fact.position is None
            else self.sweep.is_past(fact, instead=instead)
        )
        if is_new and is_past:
            return False
        self.begun.add(fact.anchor)
        known = known or Known(fact.identity, "waiting")
        due = known.due_at or self._due
        if behind or (fact.in_doubt and due > self.sweep.now):
            self._write(attrs.evolve(known, state="waiting", due_at=due))
            return True
        times = known.times + 1
        message = self._post(fact.type, dict(fact.data), fact.identity, times)
        self._write(attrs.evolve(known, state="sent", due_at=None, message=message, times=times))
        return False

    @property
    def _due(self) -> str:
        return text(self.sweep.moment + self.sweep.relay.wait) or ""

    def _write(self, known: Known) -> None:
        write(self.sweep.connection, self.session, known)

    def _post(self, kind: str, data: dict[str, Any], identity: Identity, times: int) -> str:
        """Puts a message into the outbox. Its id follows from what it says, so that a restored backup repeats it."""
        relay, now = self.sweep.relay.name, self.sweep.now
        self.sequence += 1
        of = "\0".join(map(str, (relay, self.stream, *identity, times)))
        id = f"msg_{blake2b(of.encode(), digest_size=16).hexdigest()}"
        said = {"relay": relay, "stream": self.stream, "sequence": self.sequence, **data}
        self.sweep.queue.post(
            self.sweep.connection, relay, kind, body(kind, now, said), now, self.session, id=id
        )
        return id
