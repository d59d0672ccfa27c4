"""Which delivery faults would explain a finding: proposed by what the finding names, proved by judging.

The search tries the cheapest sets of faults first. It undoes them, judges the log anew, and is content
when the finding is gone and nothing else has appeared; what has appeared leads on to further faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from heapq import heappop, heappush
from itertools import count

import attrs

from projections.story.faults import Fault, Key, before, copied, late, lost, undo
from tracker.findings import Finding
from tracker.lifecycle import ABSENT, Lifecycle, Step
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules
from tracker.session import Session, conclude, fold
from tracker.webhook import Delivery, same_data

MARGIN = 1
"""Readings that cost so much more than the cheapest are told beside it."""
MOST_READINGS = 3
MOST_COST = 12
MOST_TRIES = 150
"""Logs that are judged for one finding, and"""
MOST_JUDGED = 250_000
"""deliveries for one session: some seconds. Enough for every finding of an ordinary session."""
AMBIGUOUS = "D105"
"""The info of which two readings are told; the other ones are sure."""
AROUND = 6
"""Deliveries of its own aggregate before the finding that are looked at, besides the evidence."""

Identity = tuple[object, ...]
_Hypothesis = tuple[int, int, tuple[Fault, ...], Sequence[Delivery]]
"""Its cost, the order in which it was made, its faults, and the log in which all but the last are undone."""


@attrs.frozen
class Reading:
    """One way to explain some findings: the faults, or none, and then it is as it looks."""

    faults: tuple[Fault, ...]
    removes: tuple[Finding, ...]
    cost: int

    def is_like(self, faults: Iterable[Fault]) -> bool:
        """Whether those are the same faults and perhaps some more, done to whichever delivery."""
        return {fault.shape for fault in self.faults} <= {fault.shape for fault in faults}


@attrs.define
class Judge:
    """Judges hypothetical logs by the same rules and at the same moment, until ``left`` is used up.

    ``told`` adds to a session what the whole log says of it.
    """

    rules: Rules
    as_of: datetime | None
    told: Callable[[Session], Session]
    left: int = MOST_JUDGED

    def alarms(self, log: Sequence[Delivery]) -> dict[Identity, Finding]:
        """What a story has to explain in a log."""
        self.left -= len(log)
        session = fold(log, self.rules)
        if session is None:
            return {}
        as_of = self.as_of or session.last_seen_at
        found = self.told(conclude(session, as_of, self.rules)).all_findings()
        return {identity(one): one for one in found if _is_worth_telling(one)}


def identity(found: Finding) -> Identity:
    """What makes it the same finding in another log; of the session itself there is one of each code."""
    if found.run is None:
        return (found.code,)
    return (found.code, found.lifecycle, tuple(found.key.items()), found.position)


def _is_worth_telling(found: Finding) -> bool:
    """Warnings and errors, and what is only the delivery's fault.

    That the session's start came late raises nothing that stays, so what was taken back is told as well.
    """
    lifecycle = REGISTRY.get(found.lifecycle or "")
    if lifecycle is not None and found.code == lifecycle.settled_after_end:
        return False
    if found.verdict == "retracted":
        return found.run is None and found.severity != "info"
    return found.severity != "info" or found.code.startswith("D")


def readings(log: Sequence[Delivery], goal: Finding, judge: Judge) -> tuple[list[Reading], bool]:
    """The cheapest explanations of a finding by delivery faults, best first, and whether all was tried."""
    known, told, tries = judge.alarms(log), list[Reading](), 0
    order, enough = count(), MOST_READINGS if _is_in_doubt(goal) else 1
    waiting: list[_Hypothesis] = [(0, next(order), (), log)]
    while waiting and tries < MOST_TRIES and judge.left > 0:
        cost, _, faults, heard = heappop(waiting)
        if len(told) == enough or (told and cost > told[0].cost + MARGIN):
            break
        if any(one.is_like(faults) for one in told):
            continue
        heard = undo(heard, faults[-1]) if faults else heard
        found = judge.alarms(heard) if faults else known
        tries += 1
        new = [one for name, one in found.items() if name not in known]
        if not new and identity(goal) not in found:
            told.append(Reading(faults, tuple(one for name, one in known.items() if name not in found), cost))
            continue
        touched = {one.position for one in faults} - {None}
        for fault in _suspects(heard, new[0] if new else goal, judge.rules):
            if cost + fault.cost <= MOST_COST and fault.is_real and fault.position not in touched:
                heappush(waiting, (cost + fault.cost, next(order), (*faults, fault), heard))
    best = [one for one in told if {*map(id, told[0].removes)} <= {*map(id, one.removes)}]
    return best, not waiting or (tries < MOST_TRIES and judge.left > 0)


def _is_in_doubt(found: Finding) -> bool:
    """Whether there may be other readings: what judging calls an info it is sure of, with one exception."""
    return found.severity != "info" or found.code == AMBIGUOUS


@attrs.frozen
class _Scene:
    """A log around one finding: what raised it, and what was heard of its aggregate before and after."""

    log: Sequence[Delivery]
    found: Finding
    rules: Rules
    raiser: Delivery
    earlier: Sequence[Delivery]
    later: Sequence[Delivery]

    @property
    def near(self) -> Iterator[Delivery]:
        """The raiser, then what was heard before it, the latest first, as far as it matters."""
        yield self.raiser
        for n, one in enumerate(reversed(self.earlier)):
            if n < AROUND or one.position in self.found.evidence:
                yield one


def _suspects(log: Sequence[Delivery], found: Finding, rules: Rules) -> Iterator[Fault]:
    """The faults that may be behind a finding."""
    raiser = next((one for one in log if one.position == found.position), None)
    if raiser is None or raiser.lifecycle is None:
        return
    place = log.index(raiser)
    own = (raiser.lifecycle.name, raiser.key)
    same = [(n, one) for n, one in enumerate(log) if one.lifecycle and (one.lifecycle.name, one.key) == own]
    earlier, later = ([one for n, one in same if n < place], [one for n, one in same if n > place])
    scene = _Scene(log, found, rules, raiser, earlier, later)
    if found.lifecycle is not None:
        yield from _copies(scene)
        yield from _overtakings(scene)
    yield from _absences(scene)


def _copies(scene: _Scene) -> Iterator[Fault]:
    heard = [*scene.earlier, scene.raiser]
    for copy in scene.near:
        for original in reversed(heard[: heard.index(copy)]):
            if original.step is copy.step and same_data(original.data, copy.data):
                yield copied(copy, original, scene.rules)
                break


def _overtakings(scene: _Scene) -> Iterator[Fault]:
    """What raised it was late itself: it should have come before its successor, or before the session's end."""
    raiser, lifecycle = scene.raiser, scene.raiser.lifecycle
    for one in scene.earlier[-1:]:
        yield late(raiser, scene.rules, after=one)
    for successor in scene.near:
        if successor is not raiser and successor.step is not raiser.step:
            yield late(raiser, scene.rules, before=successor)
    if lifecycle is not None and scene.found.code == lifecycle.after_end:
        for one in scene.log[: scene.log.index(raiser)]:
            if one.lifecycle and one.lifecycle.frame and one.step and one.step.closes:
                yield late(raiser, scene.rules, before=one)
                return


def _absences(scene: _Scene) -> Iterator[Fault]:
    """What was missing came late, or was lost."""
    deadline = scene.found.at is not None and scene.found.at != scene.raiser.received_at
    by = before(scene.found.at) if deadline else None
    for types, key in _missing_after(scene):
        if by is not None:
            yield from (late(one, scene.rules, by=by) for one in _later(scene, types, key))
            yield lost(types, key, after=scene.raiser, by=by)
        yield lost(types, key, after=scene.raiser)
        yield from _lost_before(scene, types, key)
    for types, key in _missing_before(scene):
        yield from (late(one, scene.rules, before=scene.raiser) for one in _later(scene, types, key))
        yield from _lost_before(scene, types, key)


def _later(scene: _Scene, types: tuple[str, ...], key: Key) -> Iterator[Delivery]:
    """The next delivery of each of these types."""
    later = [one for one in scene.log[scene.log.index(scene.raiser) + 1 :] if one.key == key]
    for kind in types:
        yield from [one for one in later if one.type == kind][:1]


def _lost_before(scene: _Scene, types: tuple[str, ...], key: Key) -> Iterator[Fault]:
    """They were lost right before the raiser, long before it, or before what was heard before it."""
    heard = [*scene.earlier, scene.raiser]
    for place in scene.near if key == scene.raiser.key else [scene.raiser]:
        previous = next(iter(heard[: heard.index(place)][-1:]), None)
        yield lost(types, key, after=previous, before=place)
        if place is scene.raiser:
            halfway = _halfway(previous or scene.log[0], place)
            yield lost(types, key, after=previous, before=place, by=halfway)


def _halfway(one: Delivery, other: Delivery) -> datetime | None:
    if one.received_at is None or other.received_at is None:
        return None
    return one.received_at + (other.received_at - one.received_at) / 2


def _missing_before(scene: _Scene) -> Iterator[tuple[tuple[str, ...], Key]]:
    """Types, and whose they are, of which one each should have come before the raiser."""
    found, raiser, (lifecycle, step) = scene.found, scene.raiser, _routed(scene.raiser)
    yield from _of_others(scene, begins=True)
    gone = tuple(kind for kind in found.missing if REGISTRY.routes[kind][0] is lifecycle)
    way = _way(lifecycle, found.state_before or ABSENT, step.name) or ()
    on_the_way = tuple(lifecycle.webhook_type(name) for name in way)
    for types in dict.fromkeys((gone[:1], gone, on_the_way)):
        if types:
            yield types, raiser.key


def _missing_after(scene: _Scene) -> Iterator[tuple[tuple[str, ...], Key]]:
    """The same for what should have come after it: all up to a good end."""
    lifecycle, _ = _routed(scene.raiser)
    yield from _of_others(scene, begins=False)
    for end in lifecycle.steps if scene.found.state_before else ():
        way = _way(lifecycle, scene.found.state_before or ABSENT, end.name)
        if end.closes and not end.outcome and way is not None:
            yield tuple(lifecycle.webhook_type(name) for name in (*way, end.name)), scene.raiser.key


def _of_others(scene: _Scene, *, begins: bool) -> Iterator[tuple[tuple[str, ...], Key]]:
    """What was expected of another aggregate: of the session itself, or of a person."""
    found, (lifecycle, _) = scene.found, _routed(scene.raiser)
    for kind in found.missing[:1]:
        owner, step = REGISTRY.routes[kind]
        outside = found.lifecycle is None or owner.name != lifecycle.name
        if outside and begins == (step.name in owner.starts):
            yield (kind,), tuple((name, found.key[name]) for name in owner.key if name in found.key)


def _routed(delivery: Delivery) -> tuple[Lifecycle, Step]:
    assert delivery.lifecycle is not None
    assert delivery.step is not None
    return delivery.lifecycle, delivery.step


def _with_the_optional(lifecycle: Lifecycle, state: str, steps: tuple[str, ...], goal: str) -> tuple[str, ...]:
    """The same way through what may be left out, but is missed then."""
    whole: list[str] = []
    for step in (*steps, goal):
        at = lifecycle.by_name[whole[-1]].state if whole else state
        passed = (one for one in lifecycle.steps if one.missed and one.name in lifecycle.table.get(at, ()))
        whole += [one.name for one in passed if step in lifecycle.table[one.state]]
        whole.append(step)
    return tuple(whole[:-1])


def _way(lifecycle: Lifecycle, state: str, step: str) -> tuple[str, ...] | None:
    """The shortest good way to a step, over an end if need be: the steps before it. ``None``: there is none."""
    frontier: list[tuple[str, tuple[str, ...]]] = [(state, ())]
    reached = {state}
    for at, passed in frontier:
        for name in lifecycle.table.get(at, ()):
            taken = lifecycle.by_name[name]
            if name == step:
                return _with_the_optional(lifecycle, state, passed, step)
            if not taken.outcome and taken.state not in reached:
                reached.add(taken.state)
                frontier.append((taken.state, (*passed, name)))
    return None
