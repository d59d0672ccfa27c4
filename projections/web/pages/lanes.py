"""A session as a drawing: a lane for each thing that has a state, with its bars, its ends and its findings.

Places are in percent from left to right and in pixels from top to bottom; a template writes them as SVG. All of it is
read off a session that was folded elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Literal

import attrs

from projections.web.pages.axis import Axis, ordinal
from projections.web.pages.bars import Bar, End, Ruler, bars, ends, known, until
from projections.web.pages.kinds import SESSION, Kind, kind
from projections.web.pages.marks import Mark, marks
from tracker.delivery.webhook import Delivery
from tracker.findings import SEVERITIES, Finding
from tracker.judging.session import AggregateKey
from tracker.judging.state import Aggregate, Session
from tracker.lifecycle import Lifecycle

HEAD, LANE, CROWD, FOOT = 28, 30, 60, 12
"""Heights in pixels: the times on top, a lane, a lane that stands for many, and what is left below."""
MANY = 12
"""So many of one kind have a lane each; of more, all share one until it is opened."""
OPENED = 40
"""Lanes on a page of what was opened."""
MOST_NAME = 80
"""Characters of a name."""
Role = Literal["session", "visit", "media"]


@attrs.frozen
class Lane:
    """One aggregate; ``about`` is its lifecycle where the name does not say it."""

    y: int
    name: str
    about: str
    role: Role
    state: str
    kind: Kind
    certainty: str
    bars: tuple[Bar, ...]
    ends: tuple[End, ...]
    height: int = LANE


@attrs.frozen
class Crowd:
    """Many aggregates of one lifecycle: how many are open at a time. ``area`` is a path in a box of 1000 × 40."""

    y: int
    lifecycle: str
    name: str
    counts: str
    most: int
    area: str
    opened: bool
    pages: int
    height: int = CROWD


@attrs.frozen
class Drawing:
    """All lanes, and how high they are together."""

    axis: Axis
    rows: tuple[Lane | Crowd, ...]
    marks: tuple[Mark, ...]
    height: int
    known_until: float | None
    """Where what was not yet received begins, when it is the past that is shown."""


def clockwork(deliveries: Iterable[Delivery]) -> tuple[dict[int, datetime], bool]:
    """A moment for each position, that of the delivery before where it has none; whether none has one."""
    received = [(one.position, one.received_at) for one in deliveries]
    first = next((at for _, at in received if at is not None), None)
    if first is None:
        return {position: ordinal(place) for place, (position, _) in enumerate(received)}, True
    found, last = {}, first
    for position, at in received:
        found[position] = last = at or last
    return found, False


def scale(
    session: Session, times: Mapping[int, datetime], *, timeless: bool, now: datetime | None = None
) -> Axis:
    """The axis of an assessed session: its deliveries, what time decided, and up to ``now`` while it goes on."""
    if timeless:
        return Axis.over(times.values(), timeless=True)
    ends = [one.at for one in session.findings if one.at is not None]
    if now is not None and session.state in ("live", "unknown"):
        ends.append(now)
    return Axis.over([*times.values(), *ends])


def draw(
    session: Session,
    axis: Axis,
    times: Mapping[int, datetime],
    names: Mapping[AggregateKey, str],
    *,
    known_until: datetime | None = None,
    opened: str | None = None,
    who: str | None = None,
    page: int = 1,
) -> Drawing:
    """The drawing of an assessed session. ``times`` are those of ``clockwork``, of all its deliveries, ``names`` those of ``names_of``.

    ``known_until`` is the moment after which nothing had been received. ``opened`` is the lifecycle of which all are to be
    drawn, ``page`` by page; ``who`` is a part of the names of those that are wanted.
    """
    ruler = Ruler(axis, times, known_until or axis.end)
    pen = _Pen(session, ruler, names, _by_place(session.findings))
    rows = tuple(pen.rows(opened, (who or "").casefold(), page))
    height = sum((row.height for row in rows), HEAD)
    cut = None if known_until is None else axis.x(known_until)
    return Drawing(axis, rows, tuple(pen.marks), height + FOOT, cut)


def names_of(session: Session) -> dict[AggregateKey, str]:
    """What to call each aggregate: the person whom it is of, where that one has a name."""
    visits = session.participants
    people = {person: one.name for one in visits for _, person in one.key}
    return {key: _short(_name(one, people)) for key, one in session.aggregates.items()}


def _name(one: Aggregate, people: Mapping[str, str]) -> str:
    person = dict(one.key).get(one.lifecycle.subject)
    if person is None:
        return one.name
    others = [value for field, value in one.key if field != one.lifecycle.subject]
    return " ".join([people.get(person, person), *others])


def _short(name: str) -> str:
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1]}…"


Place = tuple[str | None, frozenset[tuple[str, str]]]
"""A lifecycle and a key; of the session itself, neither."""


def _by_place(found: Iterable[Finding]) -> dict[Place, list[Finding]]:
    places: dict[Place, list[Finding]] = {}
    for one in found:
        places.setdefault((one.lifecycle, frozenset(one.key.items())), []).append(one)
    return places


@attrs.define
class _Pen:
    """Draws lane after lane, from top to bottom."""

    session: Session
    ruler: Ruler
    names: Mapping[AggregateKey, str]
    found: Mapping[Place, list[Finding]]
    y: int = HEAD
    marks: list[Mark] = attrs.field(factory=list)

    def rows(self, opened: str | None, who: str, page: int) -> Iterator[Lane | Crowd]:
        """The session, then what is not a person, then the people."""
        ones = list(self.session.aggregates.values())
        yield self._session([one for one in ones if one.lifecycle.is_session])
        others = sorted(
            (one for one in ones if not one.lifecycle.is_session),
            key=lambda one: (one.lifecycle.is_presence, one.lifecycle.name),
        )
        for lifecycle, group in groupby(others, key=lambda one: one.lifecycle):
            members = list(group)
            if len(members) <= MANY:
                yield from map(self._lane, members)
            elif lifecycle.name != opened:
                yield self._crowd(lifecycle, members, members, opened=False)
            else:
                wanted = [one for one in members if who in self._name(one).casefold()]
                wanted.sort(key=self._gravity)
                yield self._crowd(lifecycle, members, wanted, opened=True)
                yield from map(self._lane, wanted[(page - 1) * OPENED : page * OPENED])

    def _session(self, ones: list[Aggregate]) -> Lane:
        """The first lane; a session of which neither the start nor the end came has one too."""
        session, ruler = self.session, self.ruler
        drawn, ended = self._drawn(ones)
        if not ones and session.first_seen_at and session.last_seen_at:
            seen = (session.first_seen_at, session.last_seen_at)
            drawn = [ruler.bar(*seen, "active", "inferred", "live", "session live")]
        if session.presumed_ended and session.last_seen_at and drawn:
            last, silent_from = drawn[-1], ruler.axis.x(session.last_seen_at)
            drawn[-1] = attrs.evolve(last, width=round(max(0.3, silent_from - last.x), 2))
            silence = (session.last_seen_at, ruler.edge)
            drawn.append(ruler.bar(*silence, "idle", "contested", "silent", "nothing received of the session"))
        found = [one for each in ones for one in self._found(each)]
        name = "session" if session.session_id else "outside any session"
        lane = Lane(
            self.y, name, "", "session", session.state, SESSION[session.state], session.certainty,
            tuple(drawn), tuple(ended),
        )  # fmt: skip
        self._go_on(lane, [*self.found.get((None, frozenset()), []), *found], self.y + 7)
        return lane

    def _lane(self, one: Aggregate) -> Lane:
        lifecycle, name = one.lifecycle, self._name(one)
        drawn, ended = self._drawn([one])
        about = "" if lifecycle.is_presence or name == lifecycle.name else lifecycle.name
        lane = Lane(
            self.y, name, about, "visit" if lifecycle.is_presence else "media", one.state, kind(lifecycle, one.state),
            one.certainty, tuple(drawn), tuple(ended),
        )  # fmt: skip
        self._go_on(lane, self._found(one), self.y + 7)
        return lane

    def _crowd(
        self, lifecycle: Lifecycle, members: list[Aggregate], wanted: list[Aggregate], *, opened: bool
    ) -> Crowd:
        inside = sum(not one.run.closed for one in members)
        noun, adjective = ("people", "inside") if lifecycle.is_presence else (lifecycle.name, "open")
        area, most = _area(sorted(change for one in members for change in self._changes(one)))
        name, counts, pages = f"{len(members):,} {noun}", f"{inside:,} {adjective}", -(-len(wanted) // OPENED)
        crowd = Crowd(self.y, lifecycle.name, name, counts, most, area, opened, pages)
        found = [] if opened else [found for one in members for found in self._found(one)]
        self._go_on(crowd, found, self.y + CROWD - 12)
        return crowd

    def _go_on(self, row: Lane | Crowd, found: list[Finding], y: int) -> None:
        """Marks what is wrong in a row, and goes below it."""
        self.marks += marks(self.ruler, found, y)
        self.y += row.height

    def _drawn(self, ones: list[Aggregate]) -> tuple[list[Bar], list[End]]:
        runs = [(self.ruler, self.session, one, run, self._name(one)) for one in ones for run in one.runs]
        return [bar for each in runs for bar in bars(*each)], [end for each in runs for end in ends(*each)]

    def _changes(self, one: Aggregate) -> Iterator[tuple[float, int]]:
        """Where one begins to be open, and where it ceases."""
        for run in one.runs:
            taken = known(self.ruler, one.lifecycle, run)
            if taken:
                end = until(self.ruler, self.session, one, run) or taken[-1].at
                yield self.ruler.axis.x(taken[0].at), 1
                yield self.ruler.axis.x(end), -1

    def _name(self, one: Aggregate) -> str:
        return self.names[one.lifecycle.name, one.key]

    def _found(self, one: Aggregate) -> list[Finding]:
        return self.found.get((one.lifecycle.name, frozenset(one.key)), [])

    def _gravity(self, one: Aggregate) -> int:
        return -max((SEVERITIES.index(found.severity) for found in self._found(one)), default=-1)


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
