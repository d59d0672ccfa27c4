"""Where a delivery may be read in two ways, both are followed, and the story that reproaches least is told.

A second recording looks like a redelivery of the first, and a stop that comes while the next run is
open may be that run's or a copy of the stop before. ``read`` says what is likelier at that moment;
``doubts`` says how else it may be. Each other reading is a story of its own: an aggregate that goes on
with the same deliveries, untold. What its steps and its findings cost says how likely it is. Once one
costs less than the story that is told, it takes its place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from operator import itemgetter

import attrs

from tracker.aggregate import (
    LOST,
    SAME_AGE,
    Aggregate,
    Charge,
    Reading,
    Run,
    StepTaken,
    copied_after,
    gap,
    is_no_run,
    last_heard,
    limit_of,
    overdue,
    withdraw,
)
from tracker.findings import CATALOGUE, Finding
from tracker.lifecycle import Lifecycle
from tracker.rules import Rules
from tracker.webhook import Delivery

COST = {"info": 1.0, "warning": 5.0, "error": 8.0}
"""What a finding costs, by what the catalogue says of its severity."""
COPY, AT_ONCE, BESIDE = 4.0, 1.0, 0.5
"""What a copy costs: alone, within ``fast_redelivery``, and together with others."""
PAIR = 6.0
"""What it costs more that the first two steps both came again and began nothing: a restart is likelier."""
FIRST_PAIR = 4.0
"""The same where no run was open. Neither where a third step came again that is as old."""
GIVEN_UP = 5.0
"""What it costs that a run which was stuck was lost, of which nothing else is told."""
COINCIDENCE = 1.0
"""What it costs that a step is as old as copies that came beside it, and is none."""
VERY_LATE = 8.0
"""What it costs that a step comes later than ``lateness`` after all others of its run."""
LIKEWISE = 1.0
"""What it costs that a run lacks what one before it lacked: it may be that nobody subscribed to it."""
SHARED = 24.0
"""What it costs that two runs have one file or url: it is nearly never true."""
HOPELESS = 9.0
"""A story that costs as much more than the one told is given up."""
AS_GOOD = 1.0
"""Two stories are as good as each other that differ by no more."""
NEAR_AGE = timedelta(minutes=1)
"""A copy with a file or url is one for sure, and so are those that are not much older or younger."""
MOST_STORIES, MOST_CHARGES = 8, 32
MOST_RUNS, MOST_FINDINGS = 50, 100
"""Where more came of one aggregate, it is judged as it comes: each story is a copy of them all."""


def doubts(
    aggregate: Aggregate, delivery: Delivery, reading: Reading, rules: Rules, *, ended: bool = False
) -> Iterator[tuple[Reading, bool]]:
    """How else a delivery of what may begin again may be read, and whether it is then the run before the latest that it moves.

    ``ended``: the session is over, so nothing begins by a mere copy.
    """
    run, lifecycle, step = aggregate.run, aggregate.lifecycle, delivery.step
    if run is None or step is None:
        return
    age = copied_after(run, delivery, rules)
    if age is not None and age <= rules.fast_redelivery:
        return
    begins = step.name in lifecycle.starts
    if len(aggregate.runs) > 1:
        yield from _of_the_run_before(aggregate, delivery, reading, rules)
    if reading in ("redelivered", "conflict") and run.closed and not (begins or step.closes or ended):
        yield "skipped-ahead", False  # of a run whose beginning was lost
    if reading == "redelivered" and begins and run.heard(step.name) and not ended:
        yield "new-run", False
    if reading == "new-run" and age is not None and (run.closed or not begins):
        yield "redelivered", False


def _of_the_run_before(
    aggregate: Aggregate, delivery: Delivery, reading: Reading, rules: Rules
) -> Iterator[tuple[Reading, bool]]:
    """Whether it may be a copy of a step of the run before, or a step of it that comes late."""
    before, run = aggregate.runs[-2:]
    step = delivery.step
    assert step is not None
    lacking = before.state != LOST and not run.closed and run.heard(step.name) is None
    if lacking and reading != "redelivered" and copied_after(before, delivery, rules) is not None:
        yield "redelivered", False
    begins = step.name in aggregate.lifecycle.starts
    late = not begins and gap(_begun(run), delivery.received_at) <= rules.lateness
    if late and before.heard(step.name) is None and _lacks(before, delivery):
        yield "late", True


def _lacks(run: Run, delivery: Delivery) -> bool:
    """Whether it was given up, or is still reproached for want of just this."""
    if run.state == LOST:
        return True
    return any(found.verdict == "provisional" and delivery.type in found.missing for found in run.findings)


def _begun(run: Run) -> datetime | None:
    return min((step.at for step in run.steps.values() if step.at is not None), default=None)


def charge(
    aggregate: Aggregate,
    delivery: Delivery,
    reading: Reading,
    rules: Rules,
    *,
    ended: bool = False,
    witnessed: bool = False,
) -> None:
    """Keeps what a reading costs a story beside its findings, before the delivery moves it.

    ``ended``: the session is over, so that nothing is begun again. ``witnessed``: something else in the
    session shows that it is a copy.
    """
    copied = reading == "redelivered" or witnessed
    if not (copied or reading == "late") or not aggregate.lifecycle.restarts or not aggregate.runs:
        return
    found = (copied_after(run, delivery, rules) for run in aggregate.runs[:-4:-1])
    ages = tuple([age for age in found if age is not None])
    if reading == "redelivered":
        if is_no_run(aggregate, delivery, rules):
            charge_withdrawal(aggregate, witnessed=witnessed)
        if ages:
            _keep(aggregate, _copy(aggregate, delivery, ages, rules, ended=ended, witnessed=witnessed))
    elif witnessed and ages:
        _keep(aggregate, Charge(delivery.position, price=COINCIDENCE))
    if reading == "late" and gap(last_heard(aggregate.runs[-1]), delivery.received_at) > rules.lateness:
        _keep(aggregate, Charge(delivery.position, price=VERY_LATE))


def charge_withdrawal(aggregate: Aggregate, *, witnessed: bool = False) -> None:
    """Keeps what it costs that the latest run was none: what began it was a copy after all."""
    before, run = aggregate.runs[-2:]
    step = next(step for step in run.steps.values() if not step.inferred)
    heard = before.heard(step.step)
    ages = (gap(heard.at, step.at),) if heard else ()
    _keep(aggregate, Charge(step.position, step.step, step.at, ages, price=BESIDE if witnessed else None))


def _copy(
    aggregate: Aggregate,
    delivery: Delivery,
    ages: tuple[timedelta, ...],
    rules: Rules,
    *,
    ended: bool,
    witnessed: bool,
) -> Charge:
    """What it costs that this is a copy; which of the runs it is of, the copies that come with it tell."""
    lifecycle, run, step = aggregate.lifecycle, aggregate.runs[-1], delivery.step
    assert step is not None
    certain = any(getattr(delivery.payload, name) for name in lifecycle.artefacts)
    at_once = AT_ONCE if min(ages) <= rules.fast_redelivery else None
    price = 0.0 if certain else BESIDE if witnessed else at_once
    second = step.name not in lifecycle.starts
    pair = second and run.again is not None and not run.closed and run.heard(step.name) is not None
    copy = Charge(delivery.position, step.name, delivery.received_at, ages, certain, price)
    together = {one.step for one in aggregate.charges if _together(one, copy, rules)}
    began = second and bool(together & lifecycle.starts) and not pair
    alone = not (certain or witnessed or ended or _as_old(aggregate, copy) - lifecycle.starts)
    extra = (PAIR if pair else FIRST_PAIR if began else 0.0) if alone else 0.0
    return attrs.evolve(copy, extra=extra) if extra else copy


def _as_old(aggregate: Aggregate, copy: Charge) -> set[str]:
    """The steps of which copies of the same age came before."""
    return {one.step for one in aggregate.charges if one.step and _is_as_old(one, copy, SAME_AGE)}


def _is_as_old(one: Charge, other: Charge, within: timedelta) -> bool:
    return any(abs(this - that) <= within for this in one.ages for that in other.ages)


def _together(one: Charge, other: Charge, rules: Rules) -> bool:
    """Whether two copies were sent again in one go: they are as old, or came at once after each other."""
    return _is_as_old(one, other, SAME_AGE) or abs(gap(one.at, other.at)) <= rules.fast_redelivery


def _keep(aggregate: Aggregate, charge: Charge) -> None:
    aggregate.charged = None
    aggregate.charges = (*aggregate.charges[1 - MOST_CHARGES :], charge)


def cost(aggregate: Aggregate, rules: Rules, at: datetime | None, *, over: bool = False) -> float:
    """What a story costs at a moment; ``over``: and nothing more will come."""
    lifecycle, run = aggregate.lifecycle, aggregate.run
    total = _charged(aggregate, rules)
    lacked = set[tuple[str, tuple[str, ...]]]()
    for one in aggregate.runs:
        for found in one.findings:
            if found.verdict != "retracted" and found.code not in lifecycle.unsurprising:
                told = found.code, found.missing
                total += LIKEWISE if told in lacked else _worth(found, rules)
                lacked.update((told,) if found.missing else ())
        if one.state == LOST and any(overdue(lifecycle, one)):
            total += GIVEN_UP
    total += SHARED * _sharing(lifecycle, aggregate.runs[-4:])
    if run is None or run.closed:
        return total
    limit = limit_of(aggregate, run, rules)
    if limit is not None and at is not None and limit <= at:
        total += COST["error"]
    if over and not run.outlives and not any(overdue(lifecycle, run)):
        total += COPY if run.tentative else COST["error"]
    return total


def _charged(aggregate: Aggregate, rules: Rules) -> float:
    if aggregate.charged is None:
        charges = aggregate.charges
        aggregate.charged = sum([_price(charges, place, rules) for place in range(len(charges))])
    return aggregate.charged


def _sharing(lifecycle: Lifecycle, runs: list[Run]) -> int:
    """How many pairs of runs have one file or url."""
    names = lifecycle.artefacts
    held = [run.data for run in runs if run.data and not run.data.keys().isdisjoint(names)]
    pairs = combinations(held, 2)
    return sum(
        [any(name in one and one[name] == other.get(name, one) for name in names) for one, other in pairs]
    )


def _price(charges: Sequence[Charge], place: int, rules: Rules) -> float:
    """What one of them costs beside the others: what was sent again in one go is one thing that went wrong."""
    one, extra = charges[place], 0.0
    if one.extra:
        steps = {other.step for other in charges if other.step and _together(other, one, rules)}
        extra = one.extra if len(steps) < 3 else 0.0
    if one.price is not None:
        return one.price + extra
    near = any(other.certain and _is_as_old(other, one, NEAR_AGE) for other in charges)
    beside = near or any(_together(other, one, rules) for other in charges[:place])
    return (BESIDE if beside else COPY) + extra


def _worth(found: Finding, rules: Rules) -> float:
    excused = found.severity == "info" and found.code not in rules.severity
    return COST["info" if excused else CATALOGUE[found.code].severity]


def let_pass(aggregate: Aggregate, at: datetime | None, rules: Rules) -> None:
    """What time alone does to a story that is not told."""
    run = aggregate.run
    if at is None or run is None:
        return
    for one in aggregate.runs[-2:]:
        for finding in one.findings:
            if finding.verdict == "provisional" and finding.deadline is not None and finding.deadline < at:
                finding.verdict = "settled"
    if run.tentative and run.undecided_until is not None and run.undecided_until < at:
        charge_withdrawal(aggregate)
        withdraw(aggregate, "D105", rules, UNTOLD)


class _Untold:
    """The number of a finding that is not told."""

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        return 0


UNTOLD = _Untold()


def settled_upon(aggregate: Aggregate, at: datetime | None, rules: Rules) -> bool:
    """Whether it no longer matters which story is true: in all of them the run is over, and no copy can come."""
    runs = [story.runs[-1] for story in (aggregate, *aggregate.others)]
    return all(run.closed and gap(last_heard(run), at) > rules.redelivery for run in runs)


def is_too_long(aggregate: Aggregate) -> bool:
    """Whether so much came that other stories are not followed any more."""
    runs = aggregate.runs
    return len(runs) > MOST_RUNS or sum(len(run.findings) for run in runs) > MOST_FINDINGS


def weigh(aggregate: Aggregate, rules: Rules, at: datetime | None) -> tuple[Aggregate, bool]:
    """The story to tell, and whether one that ends in another state is as good.

    Stories that cost too much are given up, and those that have become one with a cheaper one.
    """
    least = cost(aggregate, rules, at)
    prices = [(cost(story, rules, at), story) for story in aggregate.others]
    kept, seen = [(least, aggregate)], {_shape(aggregate)}
    for price, story in sorted(prices, key=itemgetter(0)):
        if price >= least + HOPELESS or len(kept) == MOST_STORIES:
            break
        shape = _shape(story)
        if shape not in seen:
            seen.add(shape)
            kept.append((price, story))
    aggregate.others = tuple(story for _, story in kept[1:])
    price, best = min(kept, key=itemgetter(0))
    return best, any(dear <= price + AS_GOOD and story.state != best.state for dear, story in kept)


def settle_upon(aggregate: Aggregate) -> None:
    """The story told is the one: the others are given up."""
    aggregate.others = ()
    for run in aggregate.runs[-2:]:
        run.contested = False


def _shape(story: Aggregate) -> tuple[object, ...]:
    """What of a story decides how it goes on."""
    run = story.runs[-1]
    steps = [one.steps for one in story.runs[-2:]]
    states = tuple([one.state for one in story.runs[-2:]])
    return states, run.tentative, run.again and run.again.position, *map(_places, (*steps, run.suspects))


def _places(steps: dict[str, StepTaken]) -> tuple[object, ...]:
    return tuple([(name, step.position) for name, step in steps.items()])


def cheapest(aggregate: Aggregate, rules: Rules, at: datetime | None, *, over: bool = False) -> Aggregate:
    """The story to tell; the one that is told unless another costs less."""
    if not aggregate.others:
        return aggregate
    return min([aggregate, *aggregate.others], key=lambda story: cost(story, rules, at, over=over))


def tell_instead(
    aggregate: Aggregate, story: Aggregate, numbers: Iterator[int], fresh: Iterable[Finding] = ()
) -> list[Finding]:
    """Another story is told: what only the one before reproached is taken back. What is found anew.

    ``fresh`` findings were not told yet.
    """
    untold = {id(finding) for finding in fresh}
    known: dict[tuple[str, int | None], list[Finding]] = defaultdict(list)
    for found in (*(one for run in aggregate.runs for one in run.findings), *aggregate.taken_back):
        if id(found) not in untold:
            known[found.code, found.position].append(found)
    aggregate.runs, story.runs = story.runs, aggregate.runs
    aggregate.charges, story.charges = story.charges, aggregate.charges
    aggregate.charged, story.charged = story.charged, aggregate.charged
    raised = []
    for found in (one for run in aggregate.runs for one in run.findings):
        before = known[found.code, found.position]
        same = before.pop(0) if before else None
        found.number = same.number if same else next(numbers)
        if same is None or (same.verdict == "retracted" and found.verdict != "retracted"):
            raised.append(found)
    rests = (one for rest in known.values() for one in rest)
    aggregate.taken_back = tuple(attrs.evolve(one, verdict="retracted") for one in rests)
    return raised
