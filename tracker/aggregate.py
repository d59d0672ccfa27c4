"""One lifecycle instance: its runs, and how one delivery moves them.

``read`` decides what a delivery is taken for: it is the table of movements, one row a line, and
changes nothing. ``evolve`` does what the reading says and blames by the code that the declaration
names. Neither knows a lifecycle by name; what differs between them stands in their declarations.

A run never goes backwards, a person heard to come in is inside, and one fault gives one finding:
what follows from it is not reproached again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal

import attrs

from tracker.findings import CATALOGUE, Finding
from tracker.lifecycle import ABSENT, Lifecycle, Step
from tracker.rules import Rules
from tracker.webhook import Delivery, same_data

Reading = Literal[
    "advanced",
    "skipped-ahead",
    "late",
    "redelivered",
    "repeated",
    "conflict",
    "new-run",
    "overtaken",
    "orphan",
    "unrouted",
]
Certainty = Literal["sure", "inferred", "contested"]

LOST = "lost"
"""The state of a run whose end will not come."""

_INSTANT = timedelta(0)
_OF_THE_SESSION = ("meeting_id", "session_id")


@attrs.frozen
class StepTaken:
    """A step of a run. An inferred one was never delivered: it has no time, position or data."""

    step: str
    at: datetime | None = None
    position: int | None = None
    inferred: bool = True
    data: bytes = b""


@attrs.define(eq=False)
class Run:
    """One pass through a lifecycle; a person's run is a visit.

    ``since`` is when it got into its state. ``owes``: a rejoin began it while the visit before was
    open, whose left may still come. ``tentative``: what began it may be a redelivery of the run
    before; ``undecided_until`` says how long that stays open. ``again`` is a first step that came
    again: if the second one does too, both are a new run. ``suspects`` are copies of its steps that
    came after its end: a following run that turns out to lack one takes it as its own.
    """

    number: int
    state: str = ABSENT
    closed: bool = False
    inferred: bool = False
    steps: dict[str, StepTaken] = attrs.field(factory=dict)
    data: dict[str, Any] = attrs.field(factory=dict)
    findings: list[Finding] = attrs.field(factory=list)
    since: datetime | None = None
    outlives: bool = False
    owes: bool = False
    tentative: bool = False
    undecided_until: datetime | None = None
    again: StepTaken | None = None
    suspects: dict[str, StepTaken] = attrs.field(factory=dict)

    @property
    def certainty(self) -> Certainty:
        if self.tentative:
            return "contested"
        return "inferred" if self.inferred or any(taken.inferred for taken in self.steps.values()) else "sure"

    def copy(self) -> Run:
        return attrs.evolve(
            self,
            steps=dict(self.steps),
            data=dict(self.data),
            suspects=dict(self.suspects),
            findings=[finding.copy() for finding in self.findings],
        )

    def heard(self, step: str) -> StepTaken | None:
        """The step as it was delivered; ``None`` where it never was."""
        taken = self.steps.get(step)
        return None if taken is None or taken.inferred else taken

    def standing(self, *codes: str) -> Iterator[Finding]:
        """Its findings that have not been retracted, of these codes if any are given."""
        for finding in self.findings:
            if finding.verdict != "retracted" and (not codes or finding.code in codes):
                yield finding


@attrs.define(eq=False)
class Aggregate:
    """One instance of a lifecycle in one session, told apart from the others by ``key``."""

    lifecycle: Lifecycle
    key: tuple[tuple[str, str], ...] = ()
    label: str = ""
    runs: list[Run] = attrs.field(factory=list)

    @property
    def run(self) -> Run | None:
        """The latest run."""
        return self.runs[-1] if self.runs else None

    @property
    def state(self) -> str:
        return self.runs[-1].state if self.runs else ABSENT

    @property
    def certainty(self) -> Certainty:
        return self.runs[-1].certainty if self.runs else "sure"

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return self.label or " ".join(value for _, value in self.key) or self.lifecycle.name

    def copy(self) -> Aggregate:
        return attrs.evolve(self, runs=[run.copy() for run in self.runs])


@attrs.frozen
class Judgement:
    """What a delivery was taken for, what it moved and what it raised."""

    reading: Reading
    lifecycle: str | None = None
    key: tuple[tuple[str, str], ...] = ()
    run: int | None = None
    state_before: str | None = None
    state_after: str | None = None
    findings: tuple[Finding, ...] = ()


def gap(earlier: datetime | None, later: datetime | None) -> timedelta:
    """The time between two deliveries; none at all where a receive time is unknown."""
    if earlier is None or later is None:
        return _INSTANT
    return later - earlier


def read(aggregate: Aggregate, delivery: Delivery, rules: Rules, *, ended: bool = False) -> Reading:
    """What a delivery is taken for. ``ended``: the session is over, so nothing begins by a mere copy."""
    run = aggregate.run
    if run is None:
        return _read_absent(aggregate, delivery)
    if run.closed:
        reading = _read_closed(aggregate, run, delivery, rules, ended=ended)
    else:
        reading = _read_open(aggregate, run, delivery, rules)
    out_of_order = reading in ("skipped-ahead", "conflict", "orphan")
    return "redelivered" if out_of_order and _copied(aggregate, delivery, rules) else reading


def _read_absent(aggregate: Aggregate, delivery: Delivery) -> Reading:
    step = _step(delivery)
    if step.name in aggregate.lifecycle.starts:
        return "advanced"
    return "orphan" if step.orphan else "skipped-ahead"


def _read_open(aggregate: Aggregate, run: Run, delivery: Delivery, rules: Rules) -> Reading:
    lifecycle, step = aggregate.lifecycle, _step(delivery)
    heard = run.heard(step.name)
    begins = step.name in lifecycle.starts
    if heard is None:
        if lifecycle.visits and step.closes and _left_just_now(aggregate, step, delivery, rules):
            return "redelivered"
        if run.owes and step.closes and gap(run.since, delivery.received_at) <= rules.overtaken:
            return "overtaken"
        if step.name in lifecycle.table[run.state]:
            return "advanced"
        return "late" if lifecycle.rank[step.name] < lifecycle.rank[run.state] else "skipped-ahead"
    age = gap(heard.at, delivery.received_at)
    if lifecycle.visits and begins:
        return "redelivered" if age <= rules.fast_redelivery else "new-run"
    if not same_data(heard.data, delivery.data):
        return "conflict"
    restarts = run.again and step.name in lifecycle.table[lifecycle.by_name[run.again.step].state]
    if restarts and age > rules.fast_redelivery:
        return "new-run"
    if age <= rules.redelivery:
        return "redelivered"
    return "new-run" if begins and _restarts(lifecycle) else "repeated"


def _read_closed(aggregate: Aggregate, run: Run, delivery: Delivery, rules: Rules, *, ended: bool) -> Reading:
    lifecycle, step = aggregate.lifecycle, _step(delivery)
    heard = run.heard(step.name)
    begins = step.name in lifecycle.starts
    reopens = lifecycle.reopens(run.state)
    if heard is None:
        finished = any(run.heard(end.name) for end in lifecycle.steps if end.closes)
        if finished and step.closes:
            return "conflict"
        if not begins and not finished and step.name in lifecycle.table.get(run.state, ()):
            return "advanced"  # an orphan's run, which was closed before its end was heard
        if begins and reopens and gap(_last_heard(run), delivery.received_at) > rules.lateness:
            return "new-run"
        if not finished or not reopens or gap(_last_heard(run), delivery.received_at) <= rules.lateness:
            return "late"
        return _read_absent(aggregate, delivery)
    equal = lifecycle.visits or same_data(heard.data, delivery.data)
    recent = gap(heard.at, delivery.received_at) <= rules.redelivery
    if ended and equal and not lifecycle.frame:
        return "redelivered" if recent else "repeated"
    if begins and reopens:
        return "new-run"
    if recent and not equal and reopens and run.suspects and _brings_another(run, delivery):
        return "skipped-ahead"
    if recent:
        return "redelivered" if equal else "conflict"
    if reopens:
        return _read_absent(aggregate, delivery)
    return "conflict" if not equal or (begins and step.restarted) else "repeated"


def _left_just_now(aggregate: Aggregate, step: Step, delivery: Delivery, rules: Rules) -> bool:
    """Whether the visit before ended so short a time ago that this is the same end, told twice."""
    heard = aggregate.runs[-2].heard(step.name) if len(aggregate.runs) > 1 else None
    if heard is None or heard.at is None:
        return False
    return gap(heard.at, delivery.received_at) <= rules.fast_redelivery and same_data(heard.data, delivery.data)


def _brings_another(run: Run, delivery: Delivery) -> bool:
    """Whether it comes with a file or url that is not this run's."""
    brought = {name: getattr(delivery.payload, name) for name in _step(delivery).brings}
    return any(value is not None and value != run.data.get(name, value) for name, value in brought.items())


def _copied(aggregate: Aggregate, delivery: Delivery, rules: Rules) -> Run | None:
    """The earlier run whose step came again: an equal one with the same file or url can be no other's."""
    if not any(getattr(delivery.payload, name) for name in aggregate.lifecycle.artefacts):
        return None
    for run in aggregate.runs[-2::-1]:
        heard = run.heard(_step(delivery).name)
        recent = heard and gap(heard.at, delivery.received_at) <= rules.redelivery
        if heard and recent and same_data(heard.data, delivery.data):
            return run
    return None


def delay(earlier: datetime | None, later: datetime | None) -> str:
    """The time between two deliveries, for a sentence."""
    if earlier is None or later is None:
        return "some time"
    seconds = max(0.0, (later - earlier).total_seconds())
    for unit, size, part, fraction in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole} {unit} {rest // fraction} {part}" if rest >= fraction else f"{whole} {unit}"
    return f"{int(seconds // 60)} min" if seconds >= 60 else f"{seconds:.3g} s"


def evolve(
    aggregate: Aggregate, delivery: Delivery, reading: Reading, rules: Rules, numbers: Iterator[int]
) -> Judgement:
    """Does what the reading says. ``numbers`` gives each finding its number in the session."""
    move = _Move(aggregate, delivery, _step(delivery), rules, numbers, aggregate.state)
    _MOVES[reading](move)
    return Judgement(
        reading,
        aggregate.lifecycle.name,
        aggregate.key,
        move.run.number,
        move.before or None,
        aggregate.state or None,
        tuple(move.raised),
    )


@attrs.define(eq=False)
class _Move:
    """One delivery moving one aggregate. A method a reading; ``run`` is the run it belongs to."""

    aggregate: Aggregate
    delivery: Delivery
    step: Step
    rules: Rules
    numbers: Iterator[int]
    before: str
    raised: list[Finding] = attrs.field(factory=list)
    run: Run = attrs.field(init=False)

    @run.default
    def _latest(self) -> Run:
        return self.aggregate.run or Run(0)

    def advanced(self) -> None:
        if not self.aggregate.runs:
            self.begin()
        self.take()

    def skipped_ahead(self) -> None:
        if not self.aggregate.runs or self.run.closed:
            self.begin()
        missing = self.infer(self.run.state)
        self.take()
        self.blame_skip(missing)

    def late(self) -> None:
        run, lifecycle = self.run, self.aggregate.lifecycle
        successor = _first_heard_after(lifecycle, run, self.step.name)
        self.fill(run)
        if successor is not None:
            self.blame("D102", earlier=successor)
            return
        if self.step.closes:  # it had been given up, and here is its end
            run.state, run.inferred = self.step.state, False
        if self.moved_on() and self.before == LOST:  # which had been enough to say of it
            stayed = next(
                step for step in reversed(lifecycle.steps) if step is not self.step and run.heard(step.name)
            )
            self.blame(lifecycle.open_at_end, state=stayed.state)
        self.blame("T303", since=run.since)

    def redelivered(self) -> None:
        self.run = _copied(self.aggregate, self.delivery, self.rules) or self.run
        if self.run.heard(self.step.name) is None:
            self.run = self.aggregate.runs[-2]
        if self.run.closed and self.run is self.aggregate.run:
            self.run.suspects[self.step.name] = taken(self.delivery)
        heard = self.run.heard(self.step.name)
        begins = self.step.name in self.aggregate.lifecycle.starts
        if begins and not self.run.closed and _restarts(self.aggregate.lifecycle):
            self.run.again = taken(self.delivery)
        self.blame("D101", earlier=heard)

    def repeated(self) -> None:
        self.blame(self.step.repeated, earlier=self.run.heard(self.step.name))

    def conflict(self) -> None:
        heard = self.run.heard(self.step.name)
        if heard is None:
            self.blame("S209")
        elif self.run.closed and self.step.restarted:
            self.blame(self.step.restarted, earlier=heard)
        else:
            self.blame(self.step.conflict, earlier=heard)

    def new_run(self) -> None:
        old, lifecycle = self.run, self.aggregate.lifecycle
        run = self.begin()
        if old.closed:
            heard = old.heard(self.step.name)
            if heard and gap(heard.at, self.delivery.received_at) <= self.rules.redelivery:
                run.tentative = lifecycle.visits or same_data(heard.data, self.delivery.data)
                run.undecided_until = plus(self.delivery.received_at, self.rules.redelivery)
            self.take()
            return
        restart = old.again if self.step.name not in lifecycle.starts else None
        if restart is not None:
            run.steps[restart.step] = restart
            run.state = lifecycle.by_name[restart.step].state
            for finding in old.standing("D101"):
                if finding.position == restart.position:  # it was no redelivery after all
                    finding.verdict = "retracted"
        code = lifecycle.by_name[next(iter(run.steps), self.step.name)].restarted
        missing = give_up(lifecycle, old)
        run.owes = lifecycle.visits
        self.take()
        if any(overdue(lifecycle, old)):  # it was stuck, so it had to be begun again
            return
        self.run = old
        window = self.rules.overtaken if lifecycle.visits else None
        self.blame(code, earlier=restart, missing=missing if lifecycle.visits else (), window=window)
        self.run = run

    def overtaken(self) -> None:
        rejoin, self.run = self.run, self.aggregate.runs[-2]
        rejoin.owes = False
        self.fill(self.run)
        self.blame("D103", earlier=next(iter(rejoin.steps.values())))

    def orphan(self) -> None:
        run = self.begin()
        missing = self.infer(ABSENT)
        if any(not step.inferred for step in run.steps.values()):  # its start had been taken for a copy
            self.take()
            self.blame_skip(missing)
            return
        run.inferred = True
        self.take(alone=True)
        run.closed = True
        self.blame(self.step.orphan, missing=missing, window=self.rules.lateness)

    def begin(self) -> Run:
        self.run = Run(len(self.aggregate.runs) + 1)
        self.aggregate.runs.append(self.run)
        return self.run

    def infer(self, state: str) -> tuple[str, ...]:
        """Supplies the steps that must have been, and names those of which nothing was heard."""
        missing = self.aggregate.lifecycle.between(state, self.step.name)
        for name in missing:
            self.run.steps[name] = self.adopt(name) or StepTaken(name)
        return tuple(name for name in missing if self.run.heard(name) is None)

    def adopt(self, name: str) -> StepTaken | None:
        """What was taken for a copy of the run before, and was this run's own step."""
        before = self.aggregate.runs[-2] if len(self.aggregate.runs) > 1 else None
        suspect = before.suspects.pop(name, None) if before else None
        if before is None or suspect is None:
            return None
        begun = next((step.at for step in self.run.steps.values() if not step.inferred), suspect.at)
        if abs(gap(suspect.at, begun)) > self.rules.lateness:
            return None
        for finding in before.standing("D101"):
            if finding.position == suspect.position:
                finding.verdict = "retracted"
        return suspect

    def take(self, *, alone: bool = False) -> None:
        """The step is taken: the run is in its state. ``alone``: it is all that is known of the run."""
        run, step, delivery = self.run, self.step, self.delivery
        state, since = run.state, run.since
        run.steps[step.name] = taken(delivery)
        run.state, run.since, run.closed = step.state, delivery.received_at, step.closes
        run.again = None
        if step.name not in self.aggregate.lifecycle.starts:
            run.tentative = False
        self.keep(run)
        if self.moved_on() and step.name in self.aggregate.lifecycle.table[self.before]:
            self.blame("T303", since=since)
        if step.outcome and not alone:
            self.blame(step.outcome, state=state or "beginning")
        elif step.closes and not run.inferred:
            for other in self.aggregate.lifecycle.steps:
                if other.missed and run.heard(other.name) is None:
                    self.blame(other.missed, missing=(other.name,), window=self.rules.lateness)

    def moved_on(self) -> bool:
        """Takes back that the run was stuck. Whether that had been said."""
        stuck = list(overdue(self.aggregate.lifecycle, self.run))
        for finding in stuck:
            finding.verdict = "retracted"
        return bool(stuck)

    def fill(self, run: Run) -> None:
        """The step is put where it was missing; what was provisionally blamed on that is taken back."""
        run.steps[self.step.name] = taken(self.delivery)
        self.keep(run)
        for finding in run.standing():
            if finding.verdict == "provisional" and self.step.name in finding.missing:
                orphaned = finding.code in (step.orphan for step in self.aggregate.lifecycle.steps)
                if orphaned and not self.step.orphan:
                    run.inferred = False
                    run.closed = run.state in self.aggregate.lifecycle.ends
                elif orphaned or any(run.heard(name) is None for name in finding.missing):
                    continue
                finding.verdict = "retracted"

    def keep(self, run: Run) -> None:
        """What the payload says is kept with the run; where two deliveries differ, the first counts."""
        payload, lifecycle = self.delivery.payload, self.aggregate.lifecycle
        for name in data_fields(lifecycle):
            value = getattr(payload, name)
            if value is not None:
                run.data.setdefault(name, value)
        for name, outliving in lifecycle.outlives.items():
            run.outlives = run.outlives or getattr(payload, name) == outliving
        if lifecycle.label:
            self.aggregate.label = getattr(payload, lifecycle.label) or self.aggregate.label

    def blame_skip(self, missing: tuple[str, ...]) -> None:
        """One finding for all the steps that should have come first, by the code of the first of them."""
        by_name = self.aggregate.lifecycle.by_name
        told = tuple(name for name in missing if by_name[name].skipped)
        if told:
            self.blame(by_name[told[0]].skipped, missing=told, window=self.rules.lateness)

    def blame(
        self,
        code: str,
        *,
        earlier: StepTaken | None = None,
        missing: tuple[str, ...] = (),
        window: timedelta | None = None,
        state: str = "",
        since: datetime | None = None,
    ) -> None:
        """Raises a finding; one with a ``window`` is provisional until that has passed."""
        at = self.delivery.received_at
        since = earlier.at if earlier else since
        finding = reproach(
            self.aggregate,
            self.run,
            code,
            self.rules,
            next(self.numbers),
            delivery=self.delivery,
            before=self.before,
            earlier=earlier,
            missing=missing,
            words={"delay": delay(since, at), "state": state or self.before},
        )
        if window is not None:
            finding.verdict, finding.deadline = "provisional", plus(at, window)
        self.run.findings.append(finding)
        self.raised.append(finding)


_MOVES: dict[Reading, Callable[[_Move], None]] = {
    "advanced": _Move.advanced,
    "skipped-ahead": _Move.skipped_ahead,
    "late": _Move.late,
    "redelivered": _Move.redelivered,
    "repeated": _Move.repeated,
    "conflict": _Move.conflict,
    "new-run": _Move.new_run,
    "overtaken": _Move.overtaken,
    "orphan": _Move.orphan,
}


def reproach(
    aggregate: Aggregate,
    run: Run,
    code: str,
    rules: Rules,
    number: int,
    *,
    delivery: Delivery | None = None,
    at: datetime | None = None,
    before: str = "",
    earlier: StepTaken | None = None,
    missing: tuple[str, ...] = (),
    words: dict[str, str],
) -> Finding:
    """A settled finding about a run: raised by ``delivery``, or by a deadline that passed at ``at``."""
    entry, lifecycle = CATALOGUE[code], aggregate.lifecycle
    placed = [step for step in run.steps.values() if step.position is not None]
    last = max(placed, key=lambda step: step.position or 0, default=None)
    position = delivery.position if delivery else last.position if last else None
    evidence = {step.position for step in run.steps.values() if step.position is not None}
    evidence.update(place for place in (position, earlier.position if earlier else None) if place is not None)
    words = {
        "type": (delivery.type if delivery else None) or lifecycle.name,
        "lifecycle": lifecycle.name,
        "name": aggregate.name,
        "run": str(run.number),
        "missing": " and ".join(lifecycle.webhook_type(name) for name in missing),
        **words,
    }
    return Finding(
        number,
        code,
        entry.slug,
        rules.severity_of(code),
        "settled",
        None,
        None,
        lifecycle.name,
        dict(aggregate.key),
        run.number,
        position,
        tuple(sorted(evidence)),
        delivery.received_at if delivery else at,
        before or None,
        run.state or None,
        _instead(lifecycle, before, delivery),
        entry.message.format_map(words),
        missing=missing,
        type=delivery.type if delivery else lifecycle.webhook_type(last.step) if last else None,
    )


def _instead(lifecycle: Lifecycle, before: str, delivery: Delivery | None) -> tuple[str, ...]:
    """What should have come; nothing where what came was as good as any."""
    expected = lifecycle.expected(before)
    return () if delivery and delivery.type in expected else expected


def give_up(lifecycle: Lifecycle, run: Run) -> tuple[str, ...]:
    """The run is over and its end will not come: a visit ends out, anything else is lost.

    Returns the ends that could have come, which are supplied as inferred.
    """
    run.closed = run.inferred = True
    run.tentative = False
    ends = tuple(step.name for step in lifecycle.steps if step.closes)
    if lifecycle.visits:
        run.steps.update((name, StepTaken(name)) for name in ends)
        run.state = lifecycle.by_name[ends[0]].state
    else:
        run.state = LOST
    return ends


def overdue(lifecycle: Lifecycle, run: Run) -> Iterator[Finding]:
    """The standing findings that say the run is stuck."""
    codes = {step.overdue for step in lifecycle.steps}
    return (finding for finding in run.standing() if finding.code in codes)


def taken(delivery: Delivery) -> StepTaken:
    return StepTaken(_step(delivery).name, delivery.received_at, delivery.position, False, delivery.data)


@cache
def data_fields(lifecycle: Lifecycle) -> tuple[str, ...]:
    """The payload fields that say something of the run itself, not whose run it is."""
    return tuple(
        field.name
        for field in attrs.fields(lifecycle.payload)
        if field.name not in (*_OF_THE_SESSION, *lifecycle.key, *lifecycle.optional_key)
    )


def _step(delivery: Delivery) -> Step:
    assert delivery.step is not None, "an unrouted delivery belongs to no aggregate"
    return delivery.step


def _restarts(lifecycle: Lifecycle) -> bool:
    """Whether a run may begin anew after another, and must not while one is open."""
    return not lifecycle.visits and lifecycle.reopens(LOST)


def _last_heard(run: Run) -> datetime | None:
    return max((step.at for step in run.steps.values() if step.at is not None), default=None)


def _first_heard_after(lifecycle: Lifecycle, run: Run, name: str) -> StepTaken | None:
    for step in lifecycle.steps[lifecycle.rank[name] + 1 :]:
        heard = run.heard(step.name)
        if heard is not None:
            return heard
    return None


def plus(time: datetime | None, window: timedelta) -> datetime | None:
    return None if time is None else time + window
