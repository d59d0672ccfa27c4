"""The facts of one session (or other stream), as the read models hold them now."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from math import inf
from typing import Any, Literal

import attrs
import msgspec

from projections.read_models.files import texts
from tracker.judging.state import LOST
from tracker.lifecycles import REGISTRY

What = Literal["started", "ended", "file"]
Thing = tuple[str, str, int]
"""Lifecycle, key as JSON, and number of a run."""
Identity = tuple[str, int, str, str]
"""Lifecycle, anchor, what, and detail of a fact: the state in which a run ended, or which of its files it is."""

PRESENCE = next(one for one in REGISTRY.values() if one.is_presence)
SESSION = next(one for one in REGISTRY.values() if one.is_session)
OVER = {
    one.name: {step.state for step in one.steps if step.closes} | {LOST, "presumed-ended"}
    for one in REGISTRY.values()
}
"""Lifecycle -> the states in which a run is over."""
COPIES = ("redelivered", "repeated")
_json = msgspec.json.Encoder().encode
_SESSION = "SELECT meeting_id, account, state, certainty FROM sessions WHERE session_id = ?"
_VISITS = "SELECT participant_id, visit, state, certainty, name, reason FROM participants WHERE session_id = ?"
_RUNS = "SELECT lifecycle, key, run, state, certainty, files, account FROM runs WHERE stream = ?"
_DELIVERIES = (
    "SELECT lifecycle, key, run, position, reading, state_before, state_after, received_at FROM deliveries"
    " WHERE stream = ? AND run IS NOT NULL AND reading != 'noted' ORDER BY position"
)
_DOUBTS = (
    "SELECT DISTINCT lifecycle, key, run FROM findings"
    " WHERE stream = ? AND verdict = 'provisional' AND lifecycle IS NOT NULL AND substr(code, 1, 1) IN ('D', 'S')"
)
"""What is found of a delivery or of the sequence says how deliveries are read; what is found of the time or of others does not."""


@attrs.frozen
class Fact:
    """Something that happened.

    Attributes:
        lifecycle, anchor, what, detail: Its identity.
        position, at: The delivery that said it, and when that was received; ``None`` where none did.
        in_doubt: Whether its reading is not settled.
        data: What is sent of it.
    """

    lifecycle: str
    anchor: int
    what: What
    detail: str
    position: int | None
    at: str | None
    in_doubt: bool
    data: Mapping[str, Any]

    @property
    def identity(self) -> Identity:
        return self.lifecycle, self.anchor, self.what, self.detail

    @property
    def type(self) -> str:
        """As messages are named: ``recording.started``, ``participant.left``."""
        return type_of(self.lifecycle, self.what)

    @property
    def order(self) -> tuple[float, int]:
        return inf if self.position is None else self.position, ("started", "ended", "file").index(self.what)


@attrs.define
class _Run:
    """A run as it is held, with the positions of its own deliveries and of their copies."""

    lifecycle: str
    state: str
    certainty: str
    about: dict[str, Any]
    files: list[dict[str, Any]] = attrs.field(factory=list)
    own: list[tuple[int, str | None]] = attrs.field(factory=list)
    copies: list[int] = attrs.field(factory=list)
    end: tuple[int, str | None] | None = None
    in_doubt: bool = False
    begun: str = ""
    """Its first state: a message about the begin has the same, however late it is made."""

    @property
    def positions(self) -> set[int]:
        return {position for position, _ in self.own}


def type_of(lifecycle: str, what: str) -> str:
    """A visit has the names of its two steps."""
    if lifecycle == PRESENCE.name and what in ("started", "ended"):
        coming, going = (step.name for step in PRESENCE.steps)
        what = coming if what == "started" else going
    return f"{lifecycle}.{what}"


def facts_of(views: sqlite3.Connection, stream: str, anchors: Collection[int]) -> list[Fact]:
    """The facts in the order in which they are to be sent. ``anchors`` are those of the runs of which something was sent."""
    runs = dict(_runs(views, stream))
    for *thing, position, reading, before, after, at in views.execute(_DELIVERIES, (stream,)):
        run = runs.get(tuple(thing))
        if run is None:
            continue
        if reading in COPIES:
            run.copies.append(position)
            continue
        if not run.begun and after not in OVER[run.lifecycle]:
            run.begun = after or ""
        run.own.append((position, at))
        if run.end is None and after != before and after in OVER[run.lifecycle]:
            run.end = position, at
    doubts = {(lifecycle, key, run) for lifecycle, key, run in views.execute(_DOUBTS, (stream,))}
    for thing, run in runs.items():
        run.in_doubt = run.certainty == "contested" or bool(doubts & {thing, (*thing[:2], None)})
    held = [run for run in runs.values() if run.own]
    owned = {position for run in held for position in run.positions}
    found = [fact for run in held for fact in _facts(run, _anchor(run, anchors, owned))]
    return sorted(found, key=lambda fact: fact.order)


def is_closed_out(views: sqlite3.Connection, stream: str) -> bool:
    """Whether time will change nothing of it, and its session is over where it is one."""
    select = "SELECT 1 FROM deadlines WHERE stream = ? AND at IS NOT NULL"
    if views.execute(select, (stream,)).fetchone() is not None:
        return False
    row = views.execute(_SESSION, (stream,)).fetchone()
    return row is None or row[2] in OVER[SESSION.name]


def session_of(views: sqlite3.Connection, stream: str) -> dict[str, Any]:
    """Which session it is, of which meeting and account; nothing where it is none, or is not known any more."""
    found = views.execute(_SESSION, (stream,)).fetchone()
    return {} if found is None else _of_session(stream, *found[:2])


def _of_session(stream: str, meeting: str | None, account: str | None) -> dict[str, Any]:
    of = {"session_id": stream, "meeting_id": meeting, "account": account}
    return {name: value for name, value in of.items() if value is not None}


def _runs(views: sqlite3.Connection, stream: str) -> Iterator[tuple[Thing, _Run]]:
    of: dict[str, Any] = {}
    for meeting, account, state, certainty in views.execute(_SESSION, (stream,)):
        of = _of_session(stream, meeting, account)
        yield (SESSION.name, "{}", 1), _Run(SESSION.name, state, certainty, of)
    for person, visit, state, certainty, name, reason in views.execute(_VISITS, (stream,)):
        key = {PRESENCE.key[0]: person}
        about = {**of, **key, "name": name, "reason": reason}
        yield (PRESENCE.name, _json(key).decode(), visit), _Run(PRESENCE.name, state, certainty, about)
    for lifecycle, key, number, state, certainty, files, its_account in views.execute(_RUNS, (stream,)):
        about = {**of, "account": its_account, **msgspec.json.decode(key)}
        brought = msgspec.json.decode(files) if files else []
        yield (lifecycle, key, number), _Run(lifecycle, state, certainty, about, brought)


def _anchor(run: _Run, anchors: Collection[int], owned: Collection[int]) -> int:
    """That by which it is known already, or its first position."""
    known = run.positions.intersection(anchors) or set(run.copies).intersection(anchors).difference(owned)
    return min(known or run.positions)


def _facts(run: _Run, anchor: int) -> Iterator[Fact]:
    at = min((time for _, time in run.own if time is not None), default=None)
    about = {name: value for name, value in run.about.items() if value is not None}
    about |= {"lifecycle": run.lifecycle, "run": anchor, "state": run.state, "certainty": run.certainty}

    def fact(what: What, detail: str, position: int | None, time: str | None, **more: Any) -> Fact:
        data = {**about, "position": position, "at": time, **more}
        return Fact(run.lifecycle, anchor, what, detail, position, time, run.in_doubt, data)

    yield fact("started", "", min(run.positions), at, state=run.begun or REGISTRY[run.lifecycle].steps[0].state)
    end = run.end if run.state in OVER[run.lifecycle] else None
    if run.state in OVER[run.lifecycle]:
        yield fact("ended", run.state, *(end or (None, None)))
    said: set[str] = set()
    number = 0
    for file in run.files:
        if not said.issuperset(texts(file)):
            said.update(texts(file))
            number += 1
            yield fact("file", str(number), *(end or max(run.own)), file=file)
