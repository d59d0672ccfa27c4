"""The cheapest story of what went wrong in a session, told in faults of its delivery.

A *story* has *chapters*: findings that have one explanation. A chapter has one *reading* or several,
the cheapest first; a reading names the *faults* that, had they not been, would leave nothing to find,
or says that it is as it looks. Judging is pure and quick, so each reading is proved by judging the
log as it would have been. The same deliveries give the same story.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import attrs

from projections.story.faults import Fault, undo_all
from projections.story.search import Identity, Judge, Reading, identity, readings
from tracker.findings import Finding
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules
from tracker.session import Session, conclude, fold, standing
from tracker.webhook import Delivery

__all__ = ["Chapter", "Fault", "Reading", "Story", "tell", "undo_all"]

CLOCK = ("T305", "T306")
"""What is said of the clock times in a body."""
AS_IT_LOOKS = 3
"""What it costs to believe that something did not go on, or began with its end."""


@attrs.frozen
class Chapter:
    """Findings with one explanation; more than one reading where they are about as likely.

    ``exhaustive`` is whether every set of faults was tried that costs no more; if not, a better one may fit.
    """

    findings: tuple[Finding, ...]
    readings: tuple[Reading, ...]
    exhaustive: bool = True

    @property
    def harmless(self) -> bool:
        """Whether only the delivery was not in order."""
        return all(found.severity == "info" or found.verdict == "retracted" for found in self.findings)


@attrs.frozen
class Story:
    """What went wrong in one session.

    ``untold`` are findings for which no explanation was looked for, because the session has too many;
    ``others`` those that need none.
    """

    session: Session
    deliveries: dict[int, Delivery]
    chapters: tuple[Chapter, ...] = ()
    untold: tuple[Finding, ...] = ()
    others: tuple[Finding, ...] = ()


def tell(
    deliveries: Iterable[Delivery],
    rules: Rules,
    as_of: datetime | None = None,
    told: Callable[[Session], Session] = lambda session: session,
) -> Story | None:
    """The story of the deliveries of one stream as it stands at ``as_of``; ``None`` if there are none.

    ``told`` adds to a session what the whole log says of it.
    """
    log = list(deliveries)
    session = fold(log, rules)
    if session is None:
        return None
    judge = Judge(rules, as_of or session.last_seen_at, told)
    found = judge.alarms(log)
    chapters: list[Chapter] = []
    untold: list[Finding] = []
    explained = set[Identity]()
    slices = _Slices(log)
    for name, one in found.items():
        if name in explained:
            continue
        if judge.left <= 0:
            untold.append(one)
            continue
        chapter = _chapter(slices, one, judge)
        if chapter is not None:
            removes = {*map(identity, chapter.readings[0].removes)}
            if removes & explained:  # it explains what another one did, and more
                chapters = [other for other in chapters if not {*map(identity, other.findings)} <= removes]
            explained |= removes
            chapters.append(chapter)
    settled = told(conclude(session, judge.as_of, rules))
    others = tuple(one for one in standing(settled) if identity(one) not in found)
    by_position = {one.position: one for one in log}
    chapters.sort(key=lambda chapter: (chapter.findings[0].position or 0, chapter.findings[0].number))
    return Story(settled, by_position, tuple(chapters), tuple(untold), others)


def _chapter(slices: _Slices, found: Finding, judge: Judge) -> Chapter | None:
    """The chapter of a finding; ``None`` if it was taken back and nothing need explain it."""
    told, exhaustive = list[Reading](), True
    for log in slices.around(found) if not _is_no_delivery_fault(found) else ():
        if identity(found) in judge.alarms(log):
            told, exhaustive = readings(log, found, judge)
            break
    if not told:
        as_it_looks = Chapter((found,), (Reading((), (found,), 0),), exhaustive)
        return as_it_looks if found.verdict != "retracted" else None
    best = told[0]
    if _may_be_as_it_looks(found, best):
        told.append(Reading((), best.removes, AS_IT_LOOKS))
        told.sort(key=lambda reading: reading.cost)
    return Chapter(best.removes, tuple(told), exhaustive)


def _is_no_delivery_fault(found: Finding) -> bool:
    """Whether it reproaches the body itself or tells of a bad end: no order of deliveries changes that."""
    outcomes = {step.outcome for lifecycle in REGISTRY.values() for step in lifecycle.steps}
    return found.code.startswith("C") or found.code in CLOCK or found.code in outcomes


def _may_be_as_it_looks(found: Finding, best: Reading) -> bool:
    """Whether no later delivery proves that something was lost: it hung, was left out, never began."""
    lifecycle = REGISTRY.get(found.lifecycle or "")
    steps = lifecycle.steps if lifecycle else ()
    optional = found.code in {code for step in steps for code in (step.missed, step.orphan) if code}
    open_ended = any(fault.kind == "lost" and fault.before is None for fault in best.faults)
    return found.severity != "info" and (optional or open_ended or best.cost > AS_IT_LOOKS)


class _Slices:
    """The parts of a log in which a finding can be looked at alone, so that a long session stays quick."""

    def __init__(self, log: Sequence[Delivery]) -> None:
        self.log = log
        self.frame: list[int] = []
        self.of: dict[object, list[int]] = {}
        for place, one in enumerate(log):
            if one.lifecycle is not None and one.lifecycle.frame:
                self.frame.append(place)
            elif one.lifecycle is not None:
                for shared in ((one.lifecycle.name, one.key), *(value for _, value in one.key)):
                    self.of.setdefault(shared, []).append(place)

    def around(self, found: Finding) -> Iterator[Sequence[Delivery]]:
        """First what was heard of the finding's aggregate, its kin and the session's frame; then all."""
        lifecycle = REGISTRY.get(found.lifecycle or "")
        if found.run is not None and lifecycle is not None and not lifecycle.frame:
            kin = ((lifecycle.name, tuple(found.key.items())), *found.key.values())
            places = {*self.frame}.union(*(self.of.get(shared, ()) for shared in kin))
            yield [self.log[place] for place in sorted(places)]
        yield self.log
