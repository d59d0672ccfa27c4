"""Where a delivery may be read in two ways, both are followed, and the story that reproaches least is told.

A second recording looks like a redelivery of the first, and a stop that comes while the next run is
open may be that run's or a copy of the stop before. ``read`` says what is likelier at that moment;
``doubts`` says how else it may be. Each other reading is a story of its own: an aggregate that goes on
with the same deliveries, untold. What its steps and its findings cost says how likely it is. Once one
costs less than the story that is told, it takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import combinations

import attrs

from tracker.aggregate import (
    LOST,
    SAME_AGE,
    Aggregate,
    Copy,
    Judgement,
    Reading,
    Run,
    StepTaken,
    copied_after,
    gap,
    is_no_run,
    limit_of,
    overdue,
    restarts,
    withdraw,
)
from tracker.findings import CATALOGUE, Finding
from tracker.rules import Rules
from tracker.webhook import Delivery

COST = {"info": 1.0, "warning": 5.0, "error": 8.0}
"""What a finding costs a story, by what the catalogue says of its severity."""
SHARED = 24.0
"""What it costs that two runs have one file or url: it is nearly never true."""
COPY, COPY_AT_ONCE, COPY_BESIDE = 4.0, 1.0, 0.5
"""What a copy costs: alone, within ``fast_redelivery``, and when another of the same age came before."""
COINCIDENCE = 1.0
"""What it costs that a step is none of the copies that came beside it and are as old."""
VERY_LATE = 8.0
"""What it costs that a step comes later than the lateness after all others of its run."""
PAIR = 6.0
"""And what it costs more that the first two steps both came again, if that began nothing."""
HOPELESS = 9.0
"""A story that costs so much more than the one told is given up."""
MOST_STORIES = 8
NEAR_AGE = timedelta(minutes=1)
"""A copy that comes with the same file or url is one for sure; so are those of about its age."""
MOST_COPIES = 32


def doubts(aggregate: Aggregate, delivery: Delivery, reading: Reading, rules: Rules) -> Iterator[tuple[Reading, bool]]:
    """How else a delivery may be read, and whether it is then the run before the latest that it moves."""
    run, lifecycle, step = aggregate.run, aggregate.lifecycle, delivery.step
    if run is None or step is None or not restarts(lifecycle):
        return
    age = copied_after(run, delivery, rules)
    if age is not None and age <= rules.fast_redelivery:
        return
    begins, heard = step.name in lifecycle.starts, run.heard(step.name)
    before = aggregate.runs[-2] if len(aggregate.runs) > 1 else None
    if before is not None and not run.closed and heard is None and reading != "redelivered":
        if before.state != LOST and copied_after(before, delivery, rules) is not None:
            yield "redelivered", False
    if before is not None and not begins and before.heard(step.name) is None and _lacks(before, delivery):
        if gap(_begun(run), delivery.received_at) <= rules.lateness:
            yield "late", True
    if reading in ("redelivered", "conflict") and run.closed and not begins and not step.closes:
        yield "skipped-ahead", False
    if begins and heard is not None:
        if reading == "redelivered":
            yield "new-run", False
        elif reading == "new-run" and run.closed and age is not None:
            yield "redelivered", False
    elif reading == "new-run" and age is not None:  # the second of a pair
        yield "redelivered", False


def _lacks(run: Run, delivery: Delivery) -> bool:
    """Whether it was given up, or is still reproached for want of just this."""
    if run.state == LOST:
        return True
    return any(found.verdict == "provisional" and delivery.type in found.missing for found in run.findings)


def _begun(run: Run) -> datetime | None:
    return min((step.at for step in run.steps.values() if step.at is not None), default=None)


def charge(
    aggregate: Aggregate, delivery: Delivery, reading: Reading, rules: Rules, *, witnessed: bool = False
) -> None:
    """Keeps what a reading costs beside its findings: that a delivery is a copy, or is very late.

    ``witnessed``: something else shows that it is a copy.
    """
    if not restarts(aggregate.lifecycle) or not aggregate.runs:
        return
    if reading == "late":
        run = aggregate.runs[-1]
        later = [step.at for step in run.steps.values() if step.at is not None]
        if later and gap(max(later), delivery.received_at) > rules.lateness:
            name = delivery.step.name if delivery.step else ""
            late = Copy(name, delivery.position, None, timedelta(0), price=VERY_LATE)
            aggregate.copies = [*aggregate.copies, late]
    if reading != "redelivered":
        if witnessed and any(copied_after(run, delivery, rules) is not None for run in aggregate.runs[-2:]):
            own = Copy("", delivery.position, None, timedelta(0), price=COINCIDENCE)
            aggregate.copies = [*aggregate.copies, own]
        return
    if is_no_run(aggregate, delivery, rules):
        price_of_withdrawal(aggregate, witnessed=witnessed)
    ages = [age for run in aggregate.runs[:-4:-1] if (age := copied_after(run, delivery, rules)) is not None]
    if not ages:
        return
    run, step = aggregate.runs[-1], delivery.step
    assert step is not None
    ages.sort(key=lambda age: not any(abs(age - copy.age) <= SAME_AGE for copy in aggregate.copies))
    certain = any(getattr(delivery.payload, name) for name in aggregate.lifecycle.artefacts)
    price = 0.0 if certain else COPY_BESIDE if witnessed else None
    if price is None and min(ages) <= rules.fast_redelivery:
        price = COPY_AT_ONCE
    starts = aggregate.lifecycle.starts
    second = run.again and not run.closed and step.name not in starts and run.heard(step.name)
    alike = {copy.step for copy in aggregate.copies if abs(ages[0] - copy.age) <= SAME_AGE}
    extra = PAIR if second and not witnessed and not alike - set(starts) else 0.0
    copy = Copy(step.name, delivery.position, delivery.received_at, ages[0], certain, price, extra)
    aggregate.copies = [*aggregate.copies[1 - MOST_COPIES :], copy]


def _price(copies: list[Copy], rules: Rules) -> float:
    """What the copies cost together: what was sent again in one go is one thing that went wrong."""
    total = 0.0
    for place, copy in enumerate(copies):
        total += copy.extra
        if copy.price is not None:
            total += copy.price
        elif any(one.certain and abs(one.age - copy.age) <= NEAR_AGE for one in copies) or any(
            abs(one.age - copy.age) <= SAME_AGE or gap(one.at, copy.at) <= rules.fast_redelivery
            for one in copies[:place]
        ):
            total += COPY_BESIDE
        else:
            total += COPY
    return total


def cost(aggregate: Aggregate, rules: Rules, at: datetime | None, *, over: bool = False) -> float:
    """What a story costs at a moment; ``over``: and nothing more will come."""
    lifecycle, run = aggregate.lifecycle, aggregate.run
    total = _price(aggregate.copies, rules)
    for one in aggregate.runs:
        total += sum(_worth(found, rules) for found in one.standing() if found.code not in lifecycle.unsurprising)
    for earlier, later in combinations(aggregate.runs[-4:], 2):
        if any(earlier.data.get(name, later) == later.data.get(name) for name in lifecycle.artefacts):
            total += SHARED
    if run is None or run.closed:
        return total
    limit = limit_of(aggregate, run, rules)
    if limit is not None and at is not None and limit <= at:
        total += COST["error"]
    if over and not run.outlives and not any(overdue(aggregate.lifecycle, run)):
        total += COPY if run.tentative else COST["error"]
    return total


def price_of_withdrawal(aggregate: Aggregate, *, witnessed: bool = False) -> None:
    """What began the latest run was a copy after all."""
    before, run = aggregate.runs[-2:]
    step = next(step for step in run.steps.values() if not step.inferred)
    heard = before.heard(step.step)
    age = gap(heard.at, step.at) if heard else timedelta(0)
    aggregate.copies = [*aggregate.copies, Copy(step.step, step.position, step.at, age, price=COPY_BESIDE if witnessed else None)]


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
        price_of_withdrawal(aggregate)
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
    for story in (aggregate, *aggregate.others):
        run = story.runs[-1]
        last = max((step.at for step in run.steps.values() if step.at is not None), default=None)
        if not run.closed or gap(last, at) <= rules.redelivery:
            return False
    return True


def fork(aggregate: Aggregate) -> Aggregate:
    """The same story so far, to be told on in another way."""
    return attrs.evolve(aggregate, runs=[run.copy() for run in aggregate.runs], others=[], taken_back=[])


def prune(aggregate: Aggregate, rules: Rules, at: datetime | None) -> None:
    """Gives up the stories that cost too much, or that have become one with a cheaper one."""
    costs = [(cost(story, rules, at), place, story) for place, story in enumerate(aggregate.others)]
    least = cost(aggregate, rules, at)
    kept, seen = [], {_shape(aggregate)}
    for price, _, story in sorted(costs, key=lambda entry: entry[:2]):
        if price > least + HOPELESS or _shape(story) in seen:
            continue
        seen.add(_shape(story))
        kept.append(story)
    aggregate.others = kept[: MOST_STORIES - 1]


def _shape(story: Aggregate) -> tuple[object, ...]:
    """What of a story decides how it goes on."""
    *before, run = story.runs[-2:]
    more = run.tentative, run.again and run.again.position, _places(run.suspects)
    return *((one.state, _places(one.steps)) for one in (*before, run)), *more


def _places(steps: dict[str, StepTaken]) -> tuple[object, ...]:
    return tuple((name, step.position) for name, step in steps.items())


def cheapest(aggregate: Aggregate, rules: Rules, at: datetime | None, *, over: bool = False) -> Aggregate:
    """The story to tell; the one that is told unless another costs less."""
    return min([aggregate, *aggregate.others], key=lambda story: cost(story, rules, at, over=over))


def tell_instead(aggregate: Aggregate, story: Aggregate, numbers: Iterator[int], fresh: Iterable[Finding] = ()) -> list[Finding]:
    """Another story is told: what only the one before reproached is taken back. What is found anew.

    ``fresh`` findings were not told yet.
    """
    untold = {id(finding) for finding in fresh}
    shown = [found for run in aggregate.runs for found in run.findings if id(found) not in untold]
    shown.extend(aggregate.taken_back)
    by_place: dict[tuple[str, int | None], list[Finding]] = {}
    for found in shown:
        by_place.setdefault((found.code, found.position), []).append(found)
    raised = []
    aggregate.runs, story.runs = story.runs, aggregate.runs
    aggregate.copies, story.copies = story.copies, aggregate.copies
    for run in aggregate.runs:
        for found in run.findings:
            known = by_place.get((found.code, found.position))
            if known:
                before = known.pop(0)
                found.number = before.number
                if before.verdict == "retracted" and found.verdict != "retracted":
                    raised.append(found)
            else:
                found.number = next(numbers)
                raised.append(found)
    aggregate.taken_back = [
        attrs.evolve(found, verdict="retracted") for rest in by_place.values() for found in rest
    ]
    return raised
