"""Findings about the end of a run: how it ended, how long it took, and that it did not come."""

from __future__ import annotations

from collections.abc import Container, Iterator
from operator import attrgetter

from tracker import codes
from tracker.findings import NO_PRICE, Code, Finding
from tracker.judging.findings.confidence import Shares
from tracker.judging.findings.maker import Assessment
from tracker.judging.hypothesis import Delivered
from tracker.judging.sequence import ending, is_orphan
from tracker.judging.state import Aggregate, Run
from tracker.judging.words import activity, clock, duration
from tracker.lifecycle import ABSENT

__all__ = ["of_ending", "of_outcome"]

LIKELY = 0.5
"""What may be found later is found as undecided if it is as likely as not."""


def of_ending(
    assessment: Assessment, aggregate: Aggregate, run: Run, assumed: set[str], shares: Shares
) -> Iterator[Finding]:
    """T301, T302, T311, X403, X404: a run that is open for too long."""
    lifecycle, context = aggregate.lifecycle, assessment.context
    overdue = ending(lifecycle, run.candidate, context)
    if overdue is None or lifecycle.after_end in assumed:
        return
    undecided = False
    if not assessment.passed(overdue.at):
        if overdue.code != lifecycle.open_at_end or not (
            assessment.over or assessment.observed.first_at is None
        ):
            return
        undecided, shares = True, shares.as_of(overdue.at)
    last = run.candidate.since
    if undecided and shares.share_of(overdue.code, last.position) < LIKELY:
        return  # when it is overdue, it will rather be something else
    confidence, alternatives = shares.of(overdue.code, last.position)
    words = {
        "since": clock(last.at if last.timed else None, overdue.at),
        "state": activity(run.candidate.state.state),
        "delay": duration(overdue.at - last.at),
        "ended": "was presumed to have ended" if context.presumed else "ended",
    }
    if lifecycle.open_at_end == overdue.code and context.end is not None:
        words["when"] = (
            "when" if undecided or not run.outlives else f"{duration(overdue.at - context.end)} after"
        )
        words["value"] = clock(context.end if last.timed else None, last.at)
    yield assessment.make(
        codes.CODES[overdue.code],
        words=words,
        at=overdue.at,
        position=run.candidate.last.position,
        aggregate=aggregate,
        run=run,
        before=run.candidate.state.state,
        missing=map(lifecycle.webhook_type, overdue.missing),
        since=last.at,
        until=overdue.at if undecided else None,
        undecided=undecided,
        confidence=confidence,
        alternatives=alternatives,
        type=lifecycle.webhook_type(last.step.name),
    )


def of_outcome(
    assessment: Assessment, aggregate: Aggregate, run: Run, assumed: Container[str] = ()
) -> list[Finding]:
    """D104, S204, S210, T303: how it ended, and how long it took. ``assumed`` are the codes of what the run assumes."""
    lifecycle, context, candidate = aggregate.lifecycle, assessment.context, run.candidate
    found = _slow(assessment, aggregate, run) if lifecycle.limits else []
    if not candidate.closed:
        return found
    end = candidate.since
    if end.step.outcome:
        if end.step.orphan not in assumed or not is_orphan(lifecycle, candidate):
            found.append(_failed(assessment, aggregate, run, end))
    elif lifecycle.missed and not is_orphan(lifecycle, candidate):
        found += _missed(assessment, aggregate, run, end)
    after = lifecycle.settled_after_end and context.is_after_end(end.at, end.position)
    if after and candidate.began <= (context.end or 0) and not run.outlives:
        words = {"delay": duration(end.at - (context.end or end.at))}
        found.append(assessment.make(codes.D104, words=words, where=end, aggregate=aggregate, run=run))
    return found


def _missed(assessment: Assessment, aggregate: Aggregate, run: Run, end: Delivered) -> Iterator[Finding]:
    """S204: a run ended in good order, and a step never came that should have."""
    lifecycle, context = aggregate.lifecycle, assessment.context
    for step in lifecycle.missed:
        if step.name not in run.candidate.originals and not context.lacks(lifecycle, step.name):
            yield assessment.make(
                codes.S204,
                words={"state": end.step.state},
                where=end,
                aggregate=aggregate,
                run=run,
                missing=(lifecycle.webhook_type(step.name),),
                until=end.at + context.windows.lateness,
            )


def _failed(assessment: Assessment, aggregate: Aggregate, run: Run, end: Delivered) -> Finding:
    """S210, with the vendor's own message; a warning where a run brought a file after that."""
    rank = aggregate.lifecycle.rank
    steps = [one for one in run.candidate.in_order(aggregate.lifecycle) if not one.step.closes]
    state = max(steps, key=lambda one: rank[one.step.name]).step.state if steps else ABSENT
    said = run.said("message", end.step.name)
    later = aggregate.last_file > end.order
    value = f": {said}" if said else ""
    if len(run.candidate.originals) == 1:
        value += "; nothing else of it came"
    return assessment.make(
        codes.S210,
        words={"state": f" while {activity(state)}" if steps else "", "value": value},
        where=end,
        aggregate=aggregate,
        run=run,
        before=state,
        severity="warning" if later else None,
    )


T303 = Code(
    "T303",
    "slow-step",
    "info",
    when="A step took longer than its limit, and then came.",
    message="{what} took {delay} until {type} came",
    example="recording-starting, and recording-started five minutes later",
    advice="Nothing to do, unless it is always so slow.",
    prices=NO_PRICE,
)


def _slow(assessment: Assessment, aggregate: Aggregate, run: Run) -> list[Finding]:
    """T303: a step took longer than its limit, and then came."""
    lifecycle, originals = aggregate.lifecycle, run.candidate.originals
    found: list[Finding] = []
    for step in lifecycle.limits:
        one = originals.get(step.name)
        names = (step.awaits,) if step.awaits else lifecycle.table[step.state]
        later = [originals[name] for name in names if name in originals] if one is not None else []
        if one is None or not later:
            continue
        until = one.at + getattr(assessment.context.windows, step.limit)
        first = later[0] if len(later) == 1 else min(later, key=attrgetter("order"))
        if first.at > until:
            words = {"delay": duration(first.at - one.at)}
            found.append(
                assessment.make(T303, words=words, where=first, aggregate=aggregate, run=run, before=step.state)
            )
    return found
