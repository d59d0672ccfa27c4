"""One lifecycle instance: its runs, and how one delivery moves them.

``read`` decides what a delivery is taken for: it is the table of movements, one row a line, and
changes nothing. ``evolve`` does what the reading says and blames by the code that the declaration
names. Neither knows a lifecycle by name; what differs between them stands in their declarations.

A run never goes backwards, a person heard to come in is inside, and one fault gives one finding:
what follows from it is not reproached again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import attrs

from tracker.findings import CATALOGUE, Finding
from tracker.lifecycle import ABSENT, Lifecycle, Step
from tracker.rules import Rules
from tracker.values import copier, frozen
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

SAME_AGE = timedelta(seconds=1.5)
"""Copies whose ages differ by no more were sent again together."""
IN_REACH = 4
"""The last runs, of which a step may come again."""
LOST = "lost"
"""The state of a run whose end will not come."""

_INSTANT = timedelta(0)


@frozen
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
    before; ``undecided_until`` says how long that stays open. ``contested``: what came may be read in
    another way that is as good. ``again`` is a first step that came
    again: if what follows it does too, it began a new run. ``replaced`` is the open run that this
    one took the place of, as it was. ``suspects`` are copies of its steps that came after its end: a
    following run that turns out to lack one takes it as its own.
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
    contested: bool = False
    undecided_until: datetime | None = None
    again: StepTaken | None = None
    replaced: Run | None = None
    suspects: dict[str, StepTaken] = attrs.field(factory=dict)

    @property
    def certainty(self) -> Certainty:
        if self.tentative or self.contested:
            return "contested"
        return "inferred" if self.inferred or any(taken.inferred for taken in self.steps.values()) else "sure"

    def copy(self) -> Run:
        copied = _same_run(self)
        copied.steps, copied.data, copied.suspects = dict(self.steps), dict(self.data), dict(self.suspects)
        copied.findings = [finding.copy() for finding in self.findings]
        copied.replaced = self.replaced and self.replaced.copy()
        return copied

    def heard(self, step: str) -> StepTaken | None:
        """The step as it was delivered; ``None`` where it never was."""
        taken = self.steps.get(step)
        return None if taken is None or taken.inferred else taken

    def standing(self, *codes: str) -> Iterator[Finding]:
        """Its findings that have not been retracted, of these codes if any are given."""
        for finding in self.findings:
            if finding.verdict != "retracted" and (not codes or finding.code in codes):
                yield finding


_same_run = copier(Run)


@frozen
class Charge:
    """What a story has to pay for how it reads the delivery at ``position``, beside its findings.

    For a copy: of what ``step``, when it came, how long after each that it may be a copy of, and whether
    it is one for sure.
    ``price``: what it costs whatever else came; ``extra`` comes on top.
    """

    position: int | None
    step: str = ""
    at: datetime | None = None
    ages: tuple[timedelta, ...] = ()
    certain: bool = False
    price: float | None = None
    extra: float = 0.0


@attrs.define(eq=False)
class Aggregate:
    """One instance of a lifecycle in one session, told apart from the others by ``key``.

    What its runs say is the story that is told. ``others`` are followed beside it, untold, because a
    delivery may be read in two ways; ``charges`` are what this one had to assume, and ``charged`` is what
    they come to, once that was reckoned. ``taken_back`` are the findings of a story that was told before.
    """

    lifecycle: Lifecycle
    key: tuple[tuple[str, str], ...] = ()
    label: str = ""
    runs: list[Run] = attrs.field(factory=list)
    others: tuple[Aggregate, ...] = ()
    taken_back: tuple[Finding, ...] = ()
    charges: tuple[Charge, ...] = ()
    charged: float | None = None

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
        copied = self.fork()
        copied.others = tuple(other.copy() for other in self.others)
        copied.taken_back = tuple(finding.copy() for finding in self.taken_back)
        return copied

    def fork(self) -> Aggregate:
        """The same story so far, to be told on in another way; the two have nothing in common that changes."""
        runs = [run.copy() for run in self.runs]
        return Aggregate(self.lifecycle, self.key, self.label, runs, (), (), self.charges, self.charged)

    def discharge(self, position: int | None) -> None:
        """What had been taken for a copy was a step of its own."""
        self.charged = None
        self.charges = tuple(charge for charge in self.charges if charge.position != position)


@frozen
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


def read(
    aggregate: Aggregate, delivery: Delivery, rules: Rules, *, ended: bool = False, echoes: bool = False
) -> Reading:
    """What a delivery is taken for.

    ``ended``: the session is over, so nothing begins by a mere copy. ``echoes``: other webhooks of the
    session came again as long after the first time as this one, so a copy is no restart.
    """
    run = aggregate.run
    if run is None:
        return _read_absent(aggregate, delivery)
    if echoes and _copies_run_before(aggregate, delivery, rules):
        return "redelivered"
    if run.closed:
        reading = _read_closed(aggregate, run, delivery, rules, ended=ended)
    else:
        reading = _read_open(aggregate, run, delivery, rules, begins_nothing=echoes or ended)
    out_of_order = reading in ("skipped-ahead", "conflict", "orphan", "new-run")
    return "redelivered" if out_of_order and _copied(aggregate, delivery, rules) else reading


def _read_absent(aggregate: Aggregate, delivery: Delivery) -> Reading:
    step = _step(delivery)
    if step.name in aggregate.lifecycle.starts:
        return "advanced"
    return "orphan" if step.orphan else "skipped-ahead"


def _read_open(
    aggregate: Aggregate, run: Run, delivery: Delivery, rules: Rules, *, begins_nothing: bool
) -> Reading:
    lifecycle, step = aggregate.lifecycle, _step(delivery)
    heard = run.heard(step.name)
    begins = step.name in lifecycle.starts
    if heard is None:  # it lacks the step: next, behind or ahead
        if lifecycle.visits and step.closes and _left_just_now(aggregate, step, delivery, rules):
            return "redelivered"
        if lifecycle.visits and step.closes and _owing(run, delivery, rules):
            return "overtaken"
        if step.name in lifecycle.table[run.state]:
            return "advanced"
        return "late" if lifecycle.rank[step.name] < lifecycle.rank[run.state] else "skipped-ahead"
    age, equal = gap(heard.at, delivery.received_at), same_data(heard.data, delivery.data)
    if lifecycle.visits and begins:  # joined while inside: at once, as an equal copy, or a debt of one left
        copied = age <= rules.fast_redelivery or (equal and age <= rules.redelivery)
        return "redelivered" if copied else "new-run"
    # It has the step: with other data, as the second of a pair that restarts it, again, or too late.
    second = run.again and step.name in lifecycle.table[lifecycle.by_name[run.again.step].state]
    if not equal:
        return "new-run" if second and _brings_another(lifecycle, run, delivery) else "conflict"
    if second and age > rules.fast_redelivery and not begins_nothing:
        return "new-run"
    if age <= rules.redelivery:
        return "redelivered"
    return "new-run" if begins and lifecycle.restarts else "repeated"


def _read_closed(aggregate: Aggregate, run: Run, delivery: Delivery, rules: Rules, *, ended: bool) -> Reading:
    lifecycle, step = aggregate.lifecycle, _step(delivery)
    heard = run.heard(step.name)
    begins = step.name in lifecycle.starts
    reopens = lifecycle.reopens(run.state)
    if heard is None:  # it is closed and lacks the step: another end, a late one, or a run of its own
        finished = any(run.heard(end.name) for end in lifecycle.steps if end.closes)
        if finished and step.closes:
            return "conflict"
        if not begins and not finished and step.name in lifecycle.table.get(run.state, ()):
            return "advanced"  # an orphan's run, which was closed before its end was heard
        if begins and reopens and gap(last_heard(run), delivery.received_at) > rules.lateness:
            return "new-run"
        if not finished or not reopens or gap(last_heard(run), delivery.received_at) <= rules.lateness:
            return "late"
        return _read_absent(aggregate, delivery)
    # It is closed and has the step: absorbed, begun anew, another run's, again, or of nothing.
    equal = lifecycle.visits or same_data(heard.data, delivery.data)
    recent = gap(heard.at, delivery.received_at) <= rules.redelivery
    if step.closes and not (equal and recent) and _ended_by_a_copy(aggregate, step, rules):
        return "late"
    if ended and equal and not lifecycle.frame:
        return "redelivered" if recent else "repeated"
    if begins and reopens:
        return "redelivered" if _just_filled_in(lifecycle, run, delivery, rules) else "new-run"
    own = reopens and not equal and _brings_another(lifecycle, run, delivery)
    if own and (not step.closes or (recent and run.suspects)):
        return "skipped-ahead"
    if recent:
        return "redelivered" if equal else "conflict"
    if reopens:
        return _read_absent(aggregate, delivery)
    return "conflict" if not equal or (begins and step.restarted) else "repeated"


def _ended_by_a_copy(aggregate: Aggregate, step: Step, rules: Rules) -> bool:
    """Whether what ended the latest run may have been the end of the run before, told again."""
    if len(aggregate.runs) < 2:
        return False
    earlier, heard = (run.heard(step.name) for run in aggregate.runs[-2:])
    if earlier is None or heard is None or gap(earlier.at, heard.at) > rules.redelivery:
        return False
    return same_data(earlier.data, heard.data)


def _left_just_now(aggregate: Aggregate, step: Step, delivery: Delivery, rules: Rules) -> bool:
    """Whether the visit before ended so short a time ago that this is the same end, told twice."""
    heard = aggregate.runs[-2].heard(step.name) if len(aggregate.runs) > 1 else None
    if heard is None or heard.at is None:
        return False
    return gap(heard.at, delivery.received_at) <= rules.fast_redelivery and same_data(heard.data, delivery.data)


def _owing(run: Run, delivery: Delivery, rules: Rules) -> bool:
    """Whether a left may belong to the visit before: the person came in again a short time ago."""
    rejoined = run.again.at if run.again else run.since
    return bool(run.owes or run.again) and gap(rejoined, delivery.received_at) <= rules.overtaken


def _just_filled_in(lifecycle: Lifecycle, run: Run, delivery: Delivery, rules: Rules) -> bool:
    """Whether a first step that came after the end of its run is told twice: it begins nothing new."""
    heard = run.heard(_step(delivery).name)
    if heard is None or heard.at is None or heard.at != last_heard(run):
        return False
    later = any(step.at and step.at < heard.at for step in run.steps.values())
    return later and gap(heard.at, delivery.received_at) <= rules.fast_redelivery


def _brings_another(lifecycle: Lifecycle, run: Run, delivery: Delivery) -> bool:
    """Whether it comes with a file or url that is not this run's."""
    brought = {name: getattr(delivery.payload, name) for name in lifecycle.artefacts}
    return any(value is not None and value != run.data.get(name, value) for name, value in brought.items())


def copied_after(run: Run, delivery: Delivery, rules: Rules) -> timedelta | None:
    """How long ago the run had this step with equal data; ``None`` if it had not, or too long ago."""
    heard = run.heard(_step(delivery).name)
    if heard is None:
        return None
    age = gap(heard.at, delivery.received_at)
    return None if age > rules.redelivery or not same_data(heard.data, delivery.data) else age


def _copies_run_before(aggregate: Aggregate, delivery: Delivery, rules: Rules) -> timedelta | None:
    """How long after the run before this copy came, where the latest run is open and has no such step."""
    if len(aggregate.runs) < 2 or aggregate.runs[-1].closed or aggregate.runs[-1].heard(_step(delivery).name):
        return None
    return copied_after(aggregate.runs[-2], delivery, rules)


def is_no_run(aggregate: Aggregate, delivery: Delivery, rules: Rules) -> bool:
    """Whether the latest run may be none: all of it came as long after the run before as this does."""
    age = _copies_run_before(aggregate, delivery, rules)
    return age is not None and is_copy(aggregate, age)


def is_copy(aggregate: Aggregate, age: timedelta) -> bool:
    """Whether the latest run began with equal steps of the run before, each ``age`` younger.

    Only a run that took the place of an open one may have gone on since: with what was the other's.
    """
    if len(aggregate.runs) < 2 or aggregate.lifecycle.visits:
        return False
    before, run = aggregate.runs[-2:]
    for name, step in run.steps.items():
        heard = before.heard(name)
        if heard is None and run.replaced is not None:
            continue
        if step.inferred or heard is None or not same_data(heard.data, step.data):
            return False
        if abs(gap(heard.at, step.at) - age) > SAME_AGE:
            return False
    return True


def _copied(aggregate: Aggregate, delivery: Delivery, rules: Rules) -> Run | None:
    """The earlier run whose step came again: an equal one with the same file or url can be no other's."""
    if not any(getattr(delivery.payload, name) for name in aggregate.lifecycle.artefacts):
        return None
    earlier = aggregate.runs[-2 : -IN_REACH - 1 : -1]
    return next((run for run in earlier if copied_after(run, delivery, rules) is not None), None)


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
    aggregate: Aggregate,
    delivery: Delivery,
    reading: Reading,
    rules: Rules,
    numbers: Iterator[int],
    *,
    before: bool = False,
) -> Judgement:
    """Does what the reading says. ``numbers`` gives each finding its number in the session.

    ``before``: it belongs to the run before the latest, which had been given up without it.
    """
    run = aggregate.runs[-1] if aggregate.runs else _NO_RUN
    move = _Move(aggregate, delivery, _step(delivery), rules, numbers, run, run.state)
    _Move.owed(move) if before else _MOVES[reading](move)
    return Judgement(
        reading,
        aggregate.lifecycle.name,
        aggregate.key,
        move.run.number,
        move.before or None,
        aggregate.runs[-1].state or None,
        tuple(move.raised),
    )


_NO_RUN = Run(0)
"""What an aggregate that has heard nothing has for a run: every first reading begins one."""


@attrs.define(eq=False)
class _Move:
    """One delivery moving one aggregate. A method a reading; ``run`` is the run it belongs to."""

    aggregate: Aggregate
    delivery: Delivery
    step: Step
    rules: Rules
    numbers: Iterator[int]
    run: Run
    before: str
    raised: list[Finding] = attrs.field(factory=list)

    def advanced(self) -> None:
        if not self.aggregate.runs:
            self.begin()
        self.take()

    def skipped_ahead(self) -> None:
        if not self.aggregate.runs or self.run.closed:
            self.begin()
        since = self.run.since or self.just_before()
        missing = self.infer(self.run.state)
        self.take()
        self.blame_skip(missing, since)

    def just_before(self) -> datetime | None:
        """Since when a run may have begun of which this is the first that is heard."""
        at = self.delivery.received_at
        return at and at - self.rules.stuck_starting

    def late(self) -> None:
        run, lifecycle = self.run, self.aggregate.lifecycle
        copy = run.heard(self.step.name)
        if copy is not None:
            self.correct(copy)
            return
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

    def owed(self) -> None:
        """A step of the run before comes after the latest began: it had not been lost."""
        *_, run, latest = self.aggregate.runs
        lifecycle = self.aggregate.lifecycle
        self.run = run
        reached = max(lifecycle.rank[taken.step] for taken in run.steps.values() if not taken.inferred)
        ahead = lifecycle.rank[self.step.name] > reached
        between = lifecycle.between(lifecycle.steps[reached].state, self.step.name) if ahead else ()
        self.blame_skip(tuple(name for name in between if run.heard(name) is None), last_heard(run))
        self.fill(run)
        if self.step.closes:
            run.state, run.inferred = self.step.state, False
            _retract(run.standing(*(step.restarted for step in self.aggregate.lifecycle.steps)))
        latest.replaced = None
        self.blame("D102", earlier=next(step for step in latest.steps.values() if not step.inferred))

    def correct(self, copy: StepTaken) -> None:
        """The run ends by this: what had ended it was a copy of the end of the run before."""
        run, lifecycle = self.run, self.aggregate.lifecycle
        for name in lifecycle.artefacts:
            run.data.pop(name, None)
        self.fill(run)
        _retract(run.standing(lifecycle.shared) if lifecycle.shared else ())
        found = _copied_step(self.aggregate, run, copy, "D101", self.rules, self.numbers)
        run.findings.append(found)
        self.raised.append(found)

    def redelivered(self) -> None:
        lifecycle = self.aggregate.lifecycle
        if is_no_run(self.aggregate, self.delivery, self.rules):
            self.raised.extend(withdraw(self.aggregate, "D101", self.rules, self.numbers))
            self.run = self.aggregate.runs[-1]
        self.run = _copied(self.aggregate, self.delivery, self.rules) or self.run
        if self.run.heard(self.step.name) is None:
            if lifecycle.visits:  # unless nobody leaves any more: then it was this visit's own
                self.run.suspects[self.step.name] = taken(self.delivery)
            self.run = self.aggregate.runs[-2]
        if self.run.closed and self.run is self.aggregate.run:
            self.run.suspects[self.step.name] = taken(self.delivery)
        heard = self.run.heard(self.step.name)
        begins = self.step.name in self.aggregate.lifecycle.starts
        if lifecycle.visits and begins and not self.run.closed and self.perhaps_rejoined(heard):
            self.run.again = taken(self.delivery)
            self.blame("D105", earlier=heard, missing=lifecycle.endings, window=self.rules.overtaken)
            return
        if begins and not self.run.closed and lifecycle.restarts:
            self.run.again = taken(self.delivery)
        self.blame("D101", earlier=heard)

    def perhaps_rejoined(self, heard: StepTaken | None) -> bool:
        """Whether somebody inside may have come in once more: the copy is none that comes at once."""
        latest = self.run.again or heard
        return latest is None or gap(latest.at, self.delivery.received_at) > self.rules.fast_redelivery

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
                run.tentative = same_data(heard.data, self.delivery.data)
                if not lifecycle.visits:  # presence beats absence, as long as the session goes on
                    run.undecided_until = plus(self.delivery.received_at, self.rules.redelivery)
            self.take()
            return
        restart = old.again if self.step.name not in lifecycle.starts else None
        heard = old.heard(self.step.name)
        if not lifecycle.visits and heard and gap(heard.at, self.delivery.received_at) <= self.rules.redelivery:
            run.replaced = old.copy()
            run.replaced.replaced = None
        if restart is not None:
            run.steps[restart.step] = restart
            self.aggregate.discharge(restart.position)
            run.state = lifecycle.by_name[restart.step].state
            # It was no redelivery after all.
            _retract(finding for finding in old.standing("D101") if finding.position == restart.position)
        code = lifecycle.by_name[next(iter(run.steps), self.step.name)].restarted
        give_up(lifecycle, old)
        run.owes = lifecycle.visits
        self.take()
        if any(overdue(lifecycle, old)):  # it was stuck, so it had to be begun again
            return
        self.run = old
        window = self.rules.overtaken if lifecycle.visits else self.rules.redelivery if run.replaced else None
        self.blame(code, earlier=restart, missing=lifecycle.endings, window=window, missing_since=old.since)
        self.run = run

    def overtaken(self) -> None:
        rejoined = self.run.again
        if rejoined is not None:  # it had been taken for a copy, and began a visit
            old, rejoin = self.run, self.begin()
            rejoin.steps[rejoined.step] = rejoined
            rejoin.state, rejoin.since, rejoin.tentative = old.state, rejoined.at, True
            self.run, old.again = old, None
            old.state, old.closed = self.step.state, True
        else:
            rejoin, self.run = self.run, self.aggregate.runs[-2]
        rejoin.owes = False
        self.fill(self.run)
        self.blame("D103", earlier=next(iter(rejoin.steps.values())))

    def orphan(self) -> None:
        run = self.begin()
        missing = self.infer(ABSENT)
        if any(not step.inferred for step in run.steps.values()):  # its start had been taken for a copy
            self.take()
            self.blame_skip(missing, last_heard(run))
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
        self.aggregate.discharge(suspect.position)
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
        if run.findings and self.moved_on() and step.name in self.aggregate.lifecycle.table[self.before]:
            self.blame("T303", since=since)
        if step.outcome and not alone:
            self.blame(step.outcome, state=state or "beginning")
        elif step.closes and not run.inferred:
            for other in self.aggregate.lifecycle.missed:
                if run.heard(other.name) is None:
                    window, begun = self.rules.lateness, _last_heard_before(run, delivery)
                    self.blame(other.missed, missing=(other.name,), window=window, missing_since=begun)

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
            if finding.verdict == "provisional" and self.delivery.type in finding.missing:
                orphaned = finding.code in (step.orphan for step in self.aggregate.lifecycle.steps)
                if orphaned and not self.step.orphan:
                    run.inferred = False
                    run.closed = run.state in self.aggregate.lifecycle.ends
                elif orphaned or not self.heard_all(run, finding.missing):
                    continue
                finding.verdict = "retracted"

    def heard_all(self, run: Run, types: tuple[str, ...]) -> bool:
        lifecycle = self.aggregate.lifecycle
        return all(
            run.heard(step.name) for step in lifecycle.steps if lifecycle.webhook_type(step.name) in types
        )

    def keep(self, run: Run) -> None:
        """What the payload says is kept with the run; where two deliveries differ, the first counts."""
        payload, lifecycle, data = self.delivery.payload, self.aggregate.lifecycle, run.data
        for name in lifecycle.data_fields:
            value = getattr(payload, name)
            if value is not None and name not in data:
                data[name] = value
        for name, outliving in lifecycle.outlives.items():
            run.outlives = run.outlives or getattr(payload, name) == outliving
        if lifecycle.label:
            self.aggregate.label = getattr(payload, lifecycle.label) or self.aggregate.label

    def blame_skip(self, missing: tuple[str, ...], since: datetime | None) -> None:
        """One finding for all the steps that should have come first, by the code of the first of them."""
        by_name = self.aggregate.lifecycle.by_name
        told = tuple(name for name in missing if by_name[name].skipped)
        if told:
            code, window = by_name[told[0]].skipped, self.rules.lateness
            self.blame(code, missing=told, window=window, missing_since=since)

    def blame(
        self,
        code: str,
        *,
        earlier: StepTaken | None = None,
        missing: tuple[str, ...] = (),
        window: timedelta | None = None,
        state: str = "",
        since: datetime | None = None,
        missing_since: datetime | None = None,
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
            since=missing_since,
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
    since: datetime | None = None,
    words: dict[str, str],
) -> Finding:
    """A settled finding about a run: raised by ``delivery``, or by a deadline that passed at ``at``."""
    entry, lifecycle = CATALOGUE[code], aggregate.lifecycle
    placed = {step.position: step.step for step in run.steps.values() if step.position is not None}
    last = None if delivery or not placed else max(placed)
    position = delivery.position if delivery else last
    first = earlier.position if earlier else None
    evidence = {place for place in (*placed, position, first) if place is not None}
    lacking = tuple([lifecycle.webhook_type(name) for name in missing])
    words = {
        "type": (delivery.type if delivery else None) or lifecycle.name,
        "lifecycle": lifecycle.name,
        "name": aggregate.name,
        "run": str(run.number),
        "missing": " and ".join(lacking),
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
        missing=lacking,
        since=since,
        type=delivery.type if delivery else lifecycle.webhook_type(placed[last]) if last is not None else None,
    )


def _instead(lifecycle: Lifecycle, before: str, delivery: Delivery | None) -> tuple[str, ...]:
    """What should have come; nothing where what came was as good as any."""
    expected = lifecycle.expected(before)
    return () if delivery and delivery.type in expected else expected


def give_up(lifecycle: Lifecycle, run: Run) -> None:
    """The run is over and its end will not come: a visit ends out, anything else is lost."""
    run.closed = run.inferred = True
    run.tentative = False
    if lifecycle.visits:
        run.steps.update((name, StepTaken(name)) for name in lifecycle.endings)
        run.state = lifecycle.by_name[lifecycle.endings[0]].state
    else:
        run.state = LOST


def leave_early(aggregate: Aggregate, rules: Rules, numbers: Iterator[int]) -> list[Finding] | None:
    """Ends the open visit by a left that had been taken for a copy of the visit before's, and gives what that finds.

    It came shortly before the joined, or at once after that other left; and no left came since. ``None``
    if there was none.
    """
    run, lifecycle = aggregate.runs[-1], aggregate.lifecycle
    end, before = lifecycle.endings[0], aggregate.runs[-2] if len(aggregate.runs) > 1 else Run(0)
    left = run.suspects.get(end) or before.suspects.get(end)
    if left is None or left.at is None or run.since is None:
        return None
    if not -rules.lateness <= left.at - run.since <= rules.overtaken + rules.fast_redelivery:
        return None
    _retract(finding for finding in before.standing("D101") if finding.position == left.position)
    joined = next(iter(run.steps.values()))
    run.steps[end], run.state, run.closed = left, lifecycle.by_name[end].state, True
    run.tentative = False
    if left.at >= run.since:
        return []
    words = {"type": lifecycle.webhook_type(joined.step), "delay": delay(left.at, joined.at)}
    finding = reproach(aggregate, run, "D102", rules, next(numbers), at=joined.at, words=words)
    finding.position, finding.type = joined.position, words["type"]
    run.findings.append(finding)
    return [finding]


def withdraw(aggregate: Aggregate, code: str, rules: Rules, numbers: Iterator[int]) -> list[Finding]:
    """The latest run was none: what was taken for its steps were copies, each told by ``code``.

    What it was reproached with is taken back; the run that it took the place of goes on instead.
    """
    run = aggregate.runs.pop()
    if run.replaced is not None:
        _resume(aggregate, run, run.replaced)
    else:
        _retract(finding for finding in run.standing() if finding.code != "D101")
    before, found = aggregate.runs[-1], []
    for step in run.steps.values():
        heard = before.heard(step.step)
        if step.inferred or heard is None or heard is step:
            continue
        found.append(_copied_step(aggregate, before, step, code, rules, numbers))
    for finding in run.findings:
        finding.run = before.number
    before.findings.extend([*run.findings, *found])
    return found


def _copied_step(
    aggregate: Aggregate, run: Run, copy: StepTaken, code: str, rules: Rules, numbers: Iterator[int]
) -> Finding:
    """That a step was a copy, which is known only now."""
    heard = (one.heard(copy.step) for one in aggregate.runs)
    first = next((step for step in heard if step is not None and step is not copy), copy)
    words = {"type": aggregate.lifecycle.webhook_type(copy.step), "delay": delay(first.at, copy.at)}
    finding = reproach(aggregate, run, code, rules, next(numbers), at=copy.at, words=words)
    finding.position, finding.type = copy.position, words["type"]
    return finding


def _resume(aggregate: Aggregate, run: Run, replaced: Run) -> None:
    """The run that was given up goes on, with what came after the copies that made it seem lost."""
    lost = aggregate.runs[-1]
    _retract(lost.standing(*(step.restarted for step in aggregate.lifecycle.steps)))
    replaced.findings, replaced.again = lost.findings, None
    own = {name: step for name, step in run.steps.items() if replaced.heard(name) is None}
    if own:
        replaced.steps.update(own)
        replaced.state, replaced.since, replaced.closed = run.state, run.since, run.closed
        replaced.inferred, replaced.suspects = run.inferred, run.suspects
        replaced.data = {**run.data, **replaced.data}
    aggregate.runs[-1] = replaced


def _retract(findings: Iterable[Finding]) -> None:
    for finding in list(findings):
        finding.verdict = "retracted"


def limit_of(aggregate: Aggregate, run: Run, rules: Rules) -> datetime | None:
    """When a run has been in its state for too long."""
    steps = aggregate.lifecycle.limited.get(run.state)
    if steps is None or run.closed or run.tentative or run.since is None:
        return None
    for step in steps:
        if not any(run.standing(step.overdue)):
            window: timedelta = getattr(rules, step.limit)
            return run.since + window
    return None


def overdue(lifecycle: Lifecycle, run: Run) -> Iterator[Finding]:
    """The standing findings that say the run is stuck."""
    return (finding for finding in run.standing() if finding.code in lifecycle.overdue)


def taken(delivery: Delivery) -> StepTaken:
    return StepTaken(_step(delivery).name, delivery.received_at, delivery.position, False, delivery.data)


def _step(delivery: Delivery) -> Step:
    assert delivery.step is not None, "an unrouted delivery belongs to no aggregate"
    return delivery.step


def last_heard(run: Run) -> datetime | None:
    return max((step.at for step in run.steps.values() if step.at is not None), default=None)


def _last_heard_before(run: Run, delivery: Delivery) -> datetime | None:
    heard = (step.at for step in run.steps.values() if step.position != delivery.position)
    return max((at for at in heard if at is not None), default=None)


def _first_heard_after(lifecycle: Lifecycle, run: Run, name: str) -> StepTaken | None:
    for step in lifecycle.steps[lifecycle.rank[name] + 1 :]:
        heard = run.heard(step.name)
        if heard is not None:
            return heard
    return None


def plus(time: datetime | None, window: timedelta) -> datetime | None:
    return None if time is None else time + window
