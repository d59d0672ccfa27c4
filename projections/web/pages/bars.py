"""The runs of an aggregate as bars and ends. What is drawn between two deliveries is the state held in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise

import attrs

from projections.web.pages.axis import Axis
from projections.web.pages.html import span
from projections.web.pages.kinds import Kind, kind
from projections.zones import clock
from tracker.judging.state import Aggregate, Run, Session
from tracker.lifecycle import Lifecycle

STUB = 1.6
"""How far before its first delivery something is drawn that must have begun earlier, in percent."""
THIN = 0.3
"""The width of what took no time, in percent."""
LETTER = 1.1
"""The width of one in a bar, in percent, when the drawing is narrow."""
_NO_STEP = 99
"""In place of a rank: the bar does not end with a step."""


@attrs.frozen
class Bar:
    """A stay in one state. ``doubt`` is ``inferred``, ``contested``, both or neither; ``label`` stands inside."""

    x: float
    width: float
    kind: Kind
    doubt: str
    label: str
    title: str


@attrs.frozen
class End:
    """How a run ended."""

    x: float
    kind: Kind
    doubt: str
    title: str


@attrs.frozen
class Known:
    """When a run came to be how far."""

    at: datetime
    rank: int
    state: str


@attrs.frozen
class Ruler:
    """Where on the axis things are. ``times`` are those of all deliveries, ``edge`` is up to when is drawn."""

    axis: Axis
    times: Mapping[int, datetime]
    edge: datetime

    def when(self, position: int | None, at: datetime | None) -> datetime | None:
        return at if position is None else self.times.get(position, at)

    def clock(self, at: datetime | None) -> str:
        return "" if at is None or self.axis.timeless else clock(at)

    def bar(self, begin: datetime, end: datetime, kind: Kind, doubt: str, label: str, title: str) -> Bar:
        x = self.axis.x(begin)
        width = round(max(THIN, self.axis.x(end) - x), 2)
        if not self.axis.timeless:
            title += f", {clock(begin)} – {clock(end)} ({span(end - begin)})"
        label = label if width > LETTER * len(label) + 1 else ""
        return Bar(x, width, kind, doubt, label, ", ".join(filter(None, (title, doubt))))


def bars(ruler: Ruler, session: Session, one: Aggregate, run: Run, name: str) -> Iterator[Bar]:
    """The stays of a run: between its deliveries, before the first and behind the last where they lack."""
    lifecycle, name = one.lifecycle, _run_name(one, run, name)
    taken = known(ruler, lifecycle, run)
    supplied = [lifecycle.rank[step.step] for step in run.steps.values() if step.inferred]
    contested = "contested" if run.certainty == "contested" else ""
    if taken and any(rank < taken[0].rank for rank in supplied):
        yield _stub(ruler, lifecycle, taken[0], name)
    end = until(ruler, session, one, run)
    if taken and end is not None:
        taken.append(Known(max(end, taken[-1].at), _NO_STEP, ""))
    for stay, after in pairwise(taken):
        if after.at > stay.at:
            unsure = any(stay.rank < rank < after.rank for rank in supplied)
            unsure = unsure or (after.rank == _NO_STEP and run.closed)
            doubt = " ".join(filter(None, ("inferred" if unsure else "", contested)))
            label = (
                stay.state if lifecycle.is_presence or len(one.runs) == 1 else f"run {run.number} {stay.state}"
            )
            yield ruler.bar(
                stay.at, after.at, kind(lifecycle, stay.state), doubt, label, f"{name} {stay.state}"
            )


def ends(ruler: Ruler, session: Session, one: Aggregate, run: Run, name: str) -> Iterator[End]:
    """The end of a run, if it is over: where it was received, else where it was given up."""
    taken = known(ruler, one.lifecycle, run)
    if not run.closed:
        return
    closed = next((stay.at for stay in taken if stay.state in one.lifecycle.ends), None)
    at = closed or until(ruler, session, one, run) or (taken[-1].at if taken else None)
    if at is not None:
        doubt = "" if closed else "inferred"
        words = (f"{_run_name(one, run, name)} {run.state}", ruler.clock(at), doubt)
        yield End(ruler.axis.x(at), kind(one.lifecycle, run.state), doubt, ", ".join(filter(None, words)))


def known(ruler: Ruler, lifecycle: Lifecycle, run: Run) -> list[Known]:
    """What was delivered of a run, in order. What came late moved it no further."""
    came = run.candidate.originals.values()
    steps = [(ruler.when(one.position, one.received_at), one.step.name) for one in came]
    found: list[Known] = []
    for at, name in sorted((at, name) for at, name in steps if at is not None):
        rank = lifecycle.rank[name]
        if not found or rank > found[-1].rank:
            found.append(Known(at, rank, lifecycle.by_name[name].state))
    return found


def until(ruler: Ruler, session: Session, one: Aggregate, run: Run) -> datetime | None:
    """The end of the last bar of a run where no delivery says it; ``None`` where one does."""
    if not run.closed:
        return ruler.edge
    if any(run.delivered(step.name) for step in one.lifecycle.steps if step.closes):
        return None
    after = next((later for later in one.runs if later.number > run.number), None)
    begun = known(ruler, one.lifecycle, after) if after else []
    if begun:
        return begun[0].at
    if not one.lifecycle.is_presence:
        codes = {one.lifecycle.open_at_end, *(step.overdue for step in one.lifecycle.steps)}
        given_up = [found.at for found in run.findings if found.code in codes and found.at]
        if given_up:
            return min(max(given_up), ruler.edge)
    return session.end_received_at or ruler.edge


def _stub(ruler: Ruler, lifecycle: Lifecycle, first: Known, name: str) -> Bar:
    """For what must have begun before its first delivery."""
    before = " ".join(filter(None, ("before", ruler.clock(first.at) or first.state)))
    x = round(max(0.0, ruler.axis.x(first.at) - STUB), 2)
    return Bar(
        x,
        STUB,
        kind(lifecycle, first.state),
        "inferred",
        "",
        f"{name} {before}: no webhook reported when it began",
    )


def _run_name(one: Aggregate, run: Run, name: str) -> str:
    return name if one.lifecycle.is_presence or len(one.runs) == 1 else f"{name} run {run.number}"
