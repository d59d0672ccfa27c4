"""What is true of one session, as it stands beside the log: what went wrong, and what became of everything.

A time is that at which the log says that the webhook came first; ``sent_at`` is when VideoSDK sent it. What
never came has no time and no position. The names are those of ``tracker status --json`` where both have one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import attrs
import msgspec

from tracker.delivery.envelope import Received, isoformat
from tracker.lifecycles import REGISTRY
from tracker.simulate.faults import FAULTS, Fault
from tracker.simulate.habits import HABITS
from tracker.simulate.parts import Draft, Injected, Key, Run, Webhook


@attrs.frozen
class Step:
    """One webhook that was sent: when, and when and in which line it came first."""

    step: str
    sent_at: str
    at: str | None
    position: int | None


@attrs.frozen
class Pass:
    """One run of an aggregate, from 1. ``complete``: all of it came."""

    run: int
    state: str
    complete: bool
    steps: tuple[Step, ...]


@attrs.frozen
class State:
    """How an aggregate ended up: its runs, and the state of the last. ``key`` is (field, value)."""

    lifecycle: str
    key: Key
    state: str
    runs: tuple[Pass, ...]


@attrs.frozen
class Visit:
    """When a person joined and left, as the log has it; ``None``: that never came."""

    joined_at: str | None
    left_at: str | None
    joined_sent_at: str
    left_sent_at: str | None


@attrs.frozen
class Person:
    """The visits of one participant in their order; ``complete``: all that was sent of them came."""

    participant_id: str
    state: str
    complete: bool
    visits: tuple[Visit, ...]


@attrs.frozen
class Wrong:
    """One thing that went wrong. ``kind`` is ``real``, or ``harmless`` where all came at last.

    ``effect`` is what it did: ``lost``, ``broken`` or ``wrong``; ``redelivered``, ``replayed``, ``delayed``,
    ``reordered`` or ``not-subscribed``.
    ``codes`` are the right answers, any of them; ``also`` may stand beside. ``type`` is the webhook type
    that it is about, ``lifecycle``, ``key`` and ``run`` the run, where there is one. ``positions`` are the
    lines that it touched: the copies, what came late, what stands beside what was lost.
    """

    name: str
    kind: str
    effect: str
    codes: tuple[str, ...]
    also: tuple[str, ...] = ()
    type: str | None = None
    lifecycle: str | None = None
    key: Key = ()
    run: int | None = None
    positions: tuple[int, ...] = ()


@attrs.define(eq=False)
class Truth:
    """What is true of one session.

    ``faults`` are what went wrong in it, ``fault``, ``kind`` and ``expected`` the first of those that were
    injected; ``told`` the codes (and how often) that report something legal, ``positions`` the lines that
    the injected faults touched, ``copies`` the lines that repeat an earlier one. The states and times are
    what has happened; whether the log can tell them says ``knowable``: every webhook came, and no other
    meeting would have sent the same.
    """

    session_id: str
    meeting_id: str
    fault: str | None
    kind: str | None
    expected: tuple[str, ...]
    told: dict[str, int]
    oddities: tuple[str, ...]
    knowable: bool
    state: str
    inside: tuple[str, ...]
    faults: tuple[Wrong, ...] = ()
    positions: list[int] = attrs.field(factory=list)
    copies: list[int] = attrs.field(factory=list)
    session: tuple[Step, ...] = ()
    participants: tuple[Person, ...] = ()
    aggregates: tuple[State, ...] = ()


@attrs.define(eq=False)
class Observer:
    """Watches the log being written, and completes the truth of one session with its last line."""

    one: Draft
    truth: Truth
    left: int = 0
    """How many lines of it are still to come."""
    came: dict[Webhook, list[tuple[datetime, int]]] = attrs.field(factory=dict)
    """When and in which lines each webhook came, its copies too."""
    came_as: dict[Webhook, list[int]] = attrs.field(factory=dict)
    """The lines of each webhook that a fault touched; a copy that the fault made has its own."""
    harmed: dict[tuple[str, Webhook], list[int]] = attrs.field(factory=dict)
    """The lines of each webhook that a habit of the delivery touched."""

    def see(self, webhook: Webhook, received: Received, position: int, by: tuple[str, ...]) -> bool:
        """Notes one line; says whether it is the last of this session."""
        first = webhook.first or webhook
        if received.received_at is not None:
            self.came.setdefault(first, []).append((received.received_at, position))
        if webhook.touched:
            self.came_as.setdefault(webhook, []).append(position)
        for name in by:
            self.harmed.setdefault((name, first), []).append(position)
        self.left -= 1
        if not self.left:
            self._complete()
        return not self.left

    def _complete(self) -> None:
        one, truth = self.one, self.truth
        for lines in self.came.values():
            lines.sort()
        truth.copies = sorted(position for lines in self.came.values() for _, position in lines[1:])
        truth.session = tuple(self._steps(one.own_run))
        truth.participants = tuple(self._people())
        truth.aggregates = tuple(self._states())
        truth.faults = (
            *(self._injected(what) for what in one.injected),
            *self._harmless(),
            *self._unsubscribed(),
        )
        truth.positions = sorted({line for what in one.injected for line in self._lines(what)})

    def _steps(self, run: Run) -> Iterator[Step]:
        for webhook in run.webhooks:
            at, position = self.came[webhook][0] if webhook in self.came else (None, None)
            yield Step(webhook.step, self._sent(webhook), isoformat(at) if at else None, position)

    def _sent(self, webhook: Webhook) -> str:
        return isoformat(self.one.origin + timedelta(seconds=webhook.sent))

    def _people(self) -> Iterator[Person]:
        by_person: dict[Key, list[Run]] = {}
        for run in self.one.visits:
            by_person.setdefault(run.key, []).append(run)
        for key, runs in sorted(by_person.items()):
            visits = []
            for run in runs:
                steps = {step.step: step for step in self._steps(run)}
                joined, left = steps["joined"], steps.get("left")
                visits.append(
                    Visit(joined.at, left.at if left else None, joined.sent_at, left.sent_at if left else None)
                )
            state = "out" if all("left" in run for run in runs) else "in"
            yield Person(key[0][1], state, all(map(self._complete_run, runs)), tuple(visits))

    def _complete_run(self, run: Run) -> bool:
        return all(webhook in self.came for webhook in run.webhooks)

    def _states(self) -> Iterator[State]:
        by_aggregate: dict[tuple[str, Key], list[Run]] = {}
        for run in self.one.runs:
            if run.lifecycle not in ("session", "participant"):
                by_aggregate.setdefault(run.aggregate, []).append(run)
        for (lifecycle, key), runs in sorted(by_aggregate.items()):
            passes = tuple(
                Pass(number, _state(run), self._complete_run(run), tuple(self._steps(run)))
                for number, run in enumerate(runs, 1)
            )
            yield State(lifecycle, key, passes[-1].state, passes)

    def _injected(self, what: Injected) -> Wrong:
        fault, run = FAULTS[what.fault], what.run
        return Wrong(
            fault.name,
            "real" if fault.kind == "real" else "harmless",
            fault.effect,
            fault.codes,
            fault.also,
            what.type or None,
            run.lifecycle if run else None,
            run.key if run else (),
            self._numbers[run] if run else None,
            tuple(self._lines(what)),
        )

    def _lines(self, what: Injected) -> list[int]:
        """The lines that a fault touched, and those in which a habit sent them again."""
        return sorted(line for webhook in what.webhooks for line in self.came_as.get(webhook, ()))

    @cached_property
    def _numbers(self) -> dict[Run, int]:
        """Each run's place among those of its aggregate, from 1."""
        runs: Counter[tuple[str, Key]] = Counter()
        numbers = {}
        for run in self.one.runs:
            runs[run.aggregate] += 1
            numbers[run] = runs[run.aggregate]
        return numbers

    def _harmless(self) -> Iterator[Wrong]:
        """What the habits of the delivery did, each to one webhook."""
        run_of = {webhook: run for run in self.one.runs for webhook in run.webhooks}
        for (name, webhook), lines in self.harmed.items():
            yield self._about(name, HABITS[name].effect, webhook.type, run_of.get(webhook), tuple(lines))

    def _unsubscribed(self) -> Iterator[Wrong]:
        for run in self.one.runs:
            for webhook in run.webhooks:
                if webhook.unsubscribed:
                    yield self._about("not-subscribed", "not-subscribed", webhook.type, run, ())

    def _about(self, name: str, effect: str, type: str, run: Run | None, lines: tuple[int, ...]) -> Wrong:
        return Wrong(
            name,
            "harmless",
            effect,
            (),
            type=type or None,
            lifecycle=run.lifecycle if run else None,
            key=run.key if run else (),
            run=self._numbers[run] if run else None,
            positions=lines,
        )


def _state(run: Run) -> str:
    last = REGISTRY[run.lifecycle].by_name[run.webhooks[-1].step]
    # What is still open when its session has ended never comes to its end.
    return last.state if last.closes else "lost"


def begun(one: Draft) -> Truth:
    """The truth as far as it is known before the log is written."""
    first: Fault | None = FAULTS[one.injected[0].fault] if one.injected else None
    faults = [FAULTS[what.fault] for what in one.injected]
    inside = {run.key[0][1] for run in one.visits if "left" not in run}
    return Truth(
        session_id=one.session_id,
        meeting_id=one.plan.meeting_id,
        fault=first.name if first else None,
        kind=first.kind if first else None,
        expected=first.codes if first else (),
        told={code: count for code, count in one.outcomes.items() if count > 0},
        oddities=tuple(sorted(one.oddities)),
        knowable=all(fault.arrived for fault in faults) and not one.two_readings and not one.plan.partial,
        state="ended" if "ended" in one.own_run else "presumed-ended",
        inside=tuple(sorted(inside)),
    )


def as_json(truth: Truth) -> bytes:
    """One line of the file that stands beside a log."""
    values: dict[str, Any] = attrs.asdict(truth)
    for entry in (*values["aggregates"], *values["faults"]):
        entry["key"] = dict(entry["key"])
    return msgspec.json.encode(values)
