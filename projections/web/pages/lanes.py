"""A session as a drawing: a lane for each thing that has a state, a bar for each state, a mark for each finding.

Places are in percent from left to right and in pixels from top to bottom; a template writes them as SVG. All of it is
read off a session that was folded elsewhere. What is drawn between two deliveries is what was believed in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby, pairwise
from typing import Literal

import attrs

from projections.web.pages.axis import Axis, ordinal
from projections.web.pages.html import clock, span
from projections.web.pages.kinds import SESSION, Kind, kind
from tracker.aggregate import Aggregate, Run
from tracker.findings import SEVERITIES, Finding, Severity
from tracker.lifecycle import Lifecycle
from tracker.session import Session, standing
from tracker.webhook import Delivery

HEAD, LANE, CROWD, FOOT = 28, 30, 60, 12
"""Heights in pixels: the times on top, a lane, a lane that stands for many, and what is left below."""
MANY = 12
"""So many of one kind have a lane each; of more, all share one until it is opened."""
OPENED = 40
"""Lanes on a page of what was opened."""
STUB = 1.6
"""How far before its first delivery something is drawn that must have begun earlier, in percent."""
NEAR = 0.9
"""Marks of a lane that are nearer are one, in percent."""
MOST_NAME = 80
"""Characters of a name."""
Role = Literal["frame", "visit", "media"]
When = Callable[[int | None, datetime | None], datetime | None]


@attrs.frozen
class Bar:
    """A stay in one state."""

    x: float
    width: float
    kind: Kind
    doubt: str
    label: str
    told: str


@attrs.frozen
class End:
    """How a run ended."""

    x: float
    kind: Kind
    doubt: str
    told: str


@attrs.frozen
class Mark:
    """Findings at one place."""

    x: float
    y: int
    severity: Severity
    label: str
    told: str
    numbers: tuple[int, ...]


@attrs.frozen
class Lane:
    """One aggregate; ``about`` is its lifecycle where the name does not say it."""

    y: int
    height: int
    name: str
    about: str
    role: Role
    state: str
    kind: Kind
    certainty: str
    bars: tuple[Bar, ...]
    ends: tuple[End, ...]


@attrs.frozen
class Crowd:
    """Many aggregates of one lifecycle: how many are open at a time. ``area`` is a path in a box of 1000 × 40."""

    y: int
    height: int
    lifecycle: str
    name: str
    told: str
    most: int
    area: str
    opened: bool
    pages: int


@attrs.frozen
class Drawing:
    """All lanes, and how high they are together."""

    axis: Axis
    rows: tuple[Lane | Crowd, ...]
    marks: tuple[Mark, ...]
    height: int
    known_until: float | None
    """Where what was not yet heard begins, when it is the past that is shown."""


def clockwork(deliveries: Iterable[Delivery]) -> tuple[dict[int, datetime], bool]:
    """A moment for each position, that of the delivery before where it has none; whether none has one."""
    heard = [(one.position, one.received_at) for one in deliveries]
    first = next((at for _, at in heard if at is not None), None)
    if first is None:
        return {position: ordinal(place) for place, (position, _) in enumerate(heard)}, True
    found, last = {}, first
    for position, at in heard:
        found[position] = last = at or last
    return found, False


def scale(
    session: Session, times: Mapping[int, datetime], *, timeless: bool, now: datetime | None = None
) -> Axis:
    """The axis of a settled session: its deliveries, what time decided, and up to ``now`` while it goes on."""
    if timeless:
        return Axis.over(times.values(), timeless=True)
    ends = [one.at for one in standing(session) if one.at is not None]
    if now is not None and session.state in ("live", "unknown"):
        ends.append(now)
    return Axis.over([*times.values(), *ends])


def draw(
    session: Session,
    axis: Axis,
    times: Mapping[int, datetime],
    *,
    known_until: datetime | None = None,
    opened: str | None = None,
    who: str | None = None,
    page: int = 1,
) -> Drawing:
    """The drawing of a settled session. ``times`` are those of ``clockwork``, of all its deliveries.

    ``known_until`` is the moment after which nothing had been heard. ``opened`` is the lifecycle of which all are to be
    drawn, ``page`` by page; ``who`` is a part of the names of those that are wanted.
    """

    def when(position: int | None, at: datetime | None) -> datetime | None:
        return times.get(position, at) if position is not None else at

    pen = _Pen(session, axis, when, known_until or axis.end, _by_place(standing(session)))
    rows = tuple(pen.rows(opened, (who or "").casefold(), page))
    height = sum((row.height for row in rows), HEAD)
    cut = None if known_until is None else axis.x(known_until)
    return Drawing(axis, rows, tuple(pen.marks), height + FOOT, cut)


Place = tuple[str | None, frozenset[tuple[str, str]]]


def _by_place(found: Iterable[Finding]) -> dict[Place, list[Finding]]:
    places: dict[Place, list[Finding]] = {}
    for one in found:
        places.setdefault((one.lifecycle, frozenset(one.key.items())), []).append(one)
    return places


@attrs.define
class _Pen:
    """Draws lane after lane, from top to bottom."""

    session: Session
    axis: Axis
    when: When
    edge: datetime
    found: dict[Place, list[Finding]]
    y: int = HEAD
    marks: list[Mark] = attrs.field(factory=list)

    def rows(self, opened: str | None, who: str, page: int) -> Iterator[Lane | Crowd]:
        """The session, then what is not a person, then the people."""
        ones = list(self.session.aggregates.values())
        yield self._session_lane([one for one in ones if one.lifecycle.frame])
        others = sorted(
            (one for one in ones if not one.lifecycle.frame),
            key=lambda one: (one.lifecycle.visits, one.lifecycle.name),
        )
        for lifecycle, group in groupby(others, key=lambda one: one.lifecycle):
            members = list(group)
            if len(members) <= MANY:
                yield from map(self._lane, members)
            else:
                is_open = lifecycle.name == opened
                wanted = [one for one in members if is_open and who in name_of(self.session, one).casefold()]
                yield self._crowd(lifecycle, members, len(wanted), opened=is_open)
                if is_open:
                    members = sorted(wanted, key=self._gravity)
                    yield from map(self._lane, members[(page - 1) * OPENED : page * OPENED])

    def _session_lane(self, frames: list[Aggregate]) -> Lane:
        session = self.session
        rests = [self.found.get((None, frozenset()), [])]
        bars: list[Bar] = []
        ends: list[End] = []
        for one in frames:
            rests.append(self._found(one))
            for run in one.runs:
                bars += self._bars(one, run)
                ends += self._ends(one, run)
        if not frames and session.first_seen_at and session.last_seen_at:
            bars = [
                self._bar(
                    session.first_seen_at, session.last_seen_at, "active", "inferred", "live", "session live"
                )
            ]
        if session.presumed_ended and session.last_seen_at and bars:
            last, x = bars[-1], self.axis.x(session.last_seen_at)
            heard = attrs.evolve(last, width=round(max(0.3, x - last.x), 2))
            silent = self._bar(session.last_seen_at, self.edge, "idle", "contested", "silent", "nothing heard")
            bars[-1:] = [heard, silent]
        return self._finish(
            "session" if session.session_id else "outside any session",
            "",
            "frame",
            session.state,
            SESSION[session.state],
            session.certainty,
            bars,
            ends,
            [one for rest in rests for one in rest],
        )

    def _lane(self, one: Aggregate) -> Lane:
        bars = [bar for run in one.runs for bar in self._bars(one, run)]
        ends = [end for run in one.runs for end in self._ends(one, run)]
        lifecycle, name = one.lifecycle, name_of(self.session, one)
        return self._finish(
            name,
            "" if lifecycle.visits or name == lifecycle.name else lifecycle.name,
            _role(lifecycle),
            one.state,
            kind(lifecycle, one.state),
            one.certainty,
            bars,
            ends,
            self._found(one),
        )

    def _finish(
        self,
        name: str,
        about: str,
        role: Role,
        state: str,
        state_kind: Kind,
        certainty: str,
        bars: list[Bar],
        ends: list[End],
        found: list[Finding],
    ) -> Lane:
        lane = Lane(self.y, LANE, name, about, role, state, state_kind, certainty, tuple(bars), tuple(ends))
        self.marks += self._marks(found, self.y + 7)
        self.y += LANE
        return lane

    def _found(self, one: Aggregate) -> list[Finding]:
        return self.found.get((one.lifecycle.name, frozenset(one.key)), [])

    def _gravity(self, one: Aggregate) -> int:
        return -max((SEVERITIES.index(found.severity) for found in self._found(one)), default=-1)

    def _bars(self, one: Aggregate, run: Run) -> Iterator[Bar]:
        """The stays of a run: between its deliveries, before the first and behind the last where they lack."""
        lifecycle, name = one.lifecycle, self._run_name(one, run)
        heard = self._heard(lifecycle, run)
        contested = " contested" if run.certainty == "contested" else ""
        supplied = [lifecycle.rank[step.step] for step in run.steps.values() if step.inferred]
        if not heard:
            return
        first, rank, state = heard[0]
        if any(other < rank for other in supplied):
            x = self.axis.x(first)
            told = f"{name} before {clock(first)}: inferred, nothing told when it began"
            yield Bar(round(max(0.0, x - STUB), 2), STUB, kind(lifecycle, state), "inferred", "", told)
        until = self._until(one, run)
        stays = [*heard, (max(until, heard[-1][0]), 99, "")] if until is not None else heard
        for (begin, rank, state), (end, next_rank, _) in pairwise(stays):
            if end > begin:
                unsure = (next_rank == 99 and run.closed) or any(rank < other < next_rank for other in supplied)
                doubt = ("inferred" if unsure else "") + contested
                label = state if lifecycle.visits or len(one.runs) == 1 else f"run {run.number} {state}"
                yield self._bar(begin, end, kind(lifecycle, state), doubt.strip(), label, f"{name} {state}")

    def _bar(self, begin: datetime, end: datetime, kind: Kind, doubt: str, state: str, told: str) -> Bar:
        x, right = self.axis.x(begin), self.axis.x(end)
        width = round(max(0.3, right - x), 2)
        times = "" if self.axis.timeless else f", {clock(begin)} – {clock(end)} ({span(end - begin)})"
        return Bar(
            x,
            width,
            kind,
            doubt,
            state if width > 1.1 * len(state) + 1 else "",
            f"{told}{times}{doubt and ', '}{doubt}",
        )

    def _ends(self, one: Aggregate, run: Run) -> Iterator[End]:
        lifecycle = one.lifecycle
        if not run.closed:
            return
        heard = self._heard(lifecycle, run)
        closed = next((at for at, _, state in heard if state in lifecycle.ends), None)
        at = closed or self._until(one, run) or (heard[-1][0] if heard else None)
        if at is not None:
            doubt = "" if closed else "inferred"
            told = f"{self._run_name(one, run)} {run.state}{'' if self.axis.timeless else f', {clock(at)}'}"
            yield End(self.axis.x(at), kind(lifecycle, run.state), doubt, f"{told}{doubt and ', '}{doubt}")

    def _run_name(self, one: Aggregate, run: Run) -> str:
        return name_of(self.session, one) + (
            f" run {run.number}" if len(one.runs) > 1 and not one.lifecycle.visits else ""
        )

    def _heard(self, lifecycle: Lifecycle, run: Run) -> list[tuple[datetime, int, str]]:
        """When it came to be how far: time, rank and state. What came late moved it no further."""
        steps = [
            (self.when(step.position, step.at), step.step) for step in run.steps.values() if not step.inferred
        ]
        found: list[tuple[datetime, int, str]] = []
        for at, name in sorted((at, name) for at, name in steps if at is not None):
            rank = lifecycle.rank[name]
            if not found or rank > found[-1][1]:
                found.append((at, rank, lifecycle.by_name[name].state))
        return found

    def _until(self, one: Aggregate, run: Run) -> datetime | None:
        """The end of its last bar where no delivery says it; ``None`` where one does."""
        if not run.closed:
            return self.edge
        if any(run.heard(step.name) for step in one.lifecycle.steps if step.closes):
            return None
        after = [later for later in one.runs if later.number > run.number]
        heard = self._heard(one.lifecycle, after[0]) if after else []
        if heard:
            return heard[0][0]
        if not one.lifecycle.visits:
            dated = [found.at for found in run.standing() if found.state_after == run.state and found.at]
            if dated:
                return min(dated[-1], self.edge)
        return self.session.end_heard or self.edge

    def _crowd(self, lifecycle: Lifecycle, members: list[Aggregate], wanted: int, *, opened: bool) -> Crowd:
        changes: list[tuple[float, int]] = []
        for one in members:
            for run in one.runs:
                heard = self._heard(lifecycle, run)
                until = self._until(one, run) or (heard[-1][0] if heard else None)
                if heard and until is not None:
                    changes += [(self.axis.x(heard[0][0]), 1), (self.axis.x(until), -1)]
        area, most = _area(sorted(changes))
        inside = sum(not one.runs[-1].closed for one in members if one.runs)
        noun = "people" if lifecycle.visits else lifecycle.name
        told = f"{inside:,} {'inside' if lifecycle.visits else 'open'}"
        crowd = Crowd(
            self.y,
            CROWD,
            lifecycle.name,
            f"{len(members):,} {noun}",
            told,
            most,
            area,
            opened,
            -(-wanted // OPENED),
        )
        self.marks += (
            self._marks([found for one in members for found in self._found(one)], self.y + CROWD - 12)
            if not opened
            else []
        )
        self.y += CROWD
        return crowd

    def _marks(self, found: list[Finding], y: int) -> Iterator[Mark]:
        placed = [(self.axis.x(at), one) for one in found if (at := self._at(one)) is not None]
        placed.sort(key=lambda pair: (pair[0], pair[1].number))
        group: list[tuple[float, Finding]] = []
        for x, one in placed:
            if group and x - group[0][0] > NEAR:
                yield self._mark(group, y)
                group = []
            group.append((x, one))
        if group:
            yield self._mark(group, y)

    def _mark(self, group: list[tuple[float, Finding]], y: int) -> Mark:
        ones = sorted((one for _, one in group), key=lambda one: -SEVERITIES.index(one.severity))
        worst, more = ones[0], len(ones) - 1
        label = f"{worst.code} {worst.slug}" + (f" and {more} more" if more else "")
        at = self._at(worst)
        time = "" if at is None or self.axis.timeless else f"{clock(at)}  "
        return Mark(
            group[0][0],
            y,
            worst.severity,
            time + label,
            f"{worst.severity}: {label}, {'' if self.axis.timeless or at is None else clock(at) + ', '}{worst.message}",
            tuple(one.number for one in ones),
        )

    def _at(self, one: Finding) -> datetime | None:
        return self.when(one.position, None) if self.axis.timeless or one.at is None else one.at


def name_of(session: Session, one: Aggregate) -> str:
    """What to call an aggregate: the person whom it is of, where that one has a name."""
    key = dict(one.key)
    person = key.get(one.lifecycle.subject)
    if person is None:
        return _short(one.name)
    others = [value for field, value in one.key if field != one.lifecycle.subject]
    visitors = (each for each in session.aggregates.values() if each.lifecycle.visits)
    label = next((each.name for each in visitors if person in dict(each.key).values()), person)
    return _short(" ".join([label, *others]))


def _short(name: str) -> str:
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1]}…"


def _role(lifecycle: Lifecycle) -> Role:
    if lifecycle.frame:
        return "frame"
    return "visit" if lifecycle.visits else "media"


def _area(changes: list[tuple[float, int]]) -> tuple[str, int]:
    """How many there are over time as a filled path, and the most of them."""
    steps: list[tuple[float, int]] = []
    number = most = 0
    for x, group in groupby(changes, key=lambda change: change[0]):
        number += sum(change for _, change in group)
        steps.append((x, number))
        most = max(most, number)
    if not steps:
        return "", 0
    path = [f"M{steps[0][0] * 10:g} 40"]
    for x, number in steps:
        path.append(f"H{x * 10:g}V{40 - 36 * number / most:.4g}")
    return "".join([*path, "V40Z"]), most
