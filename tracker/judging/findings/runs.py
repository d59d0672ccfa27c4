"""Findings about what the held hypothesis assumes of each run, with those about ends and copies.

``tracker.judging.sequence`` says what a run assumes, by which code and at which price. Here each such assumption
becomes a finding, so what is found and what was paid for can never differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from tracker import codes
from tracker.findings import Finding, Severity
from tracker.judging.context import Context
from tracker.judging.findings.confidence import Shares
from tracker.judging.findings.copies import of_copies
from tracker.judging.findings.ending import of_ending, of_outcome
from tracker.judging.findings.maker import Assessment, Finder
from tracker.judging.findings.particulars import particulars
from tracker.judging.sequence import Assumption, assumptions, may_end_until, next_begun, subject
from tracker.judging.state import Aggregate, Run
from tracker.judging.words import clock, duration
from tracker.lifecycle import ABSENT, Lifecycle

__all__ = ["finders"]


def finders(lifecycle: Lifecycle, *, is_in_order: bool) -> tuple[Finder, ...]:
    """What may find something of the runs of one aggregate: of those in order only how they went, if that."""
    if not is_in_order:
        return (_of_aggregate,)
    bad_ends = [step for step in lifecycle.steps if step.outcome]
    applies = bad_ends or lifecycle.limits or lifecycle.missed or lifecycle.settled_after_end
    return (_of_outcomes,) if applies else ()


def _of_outcomes(assessment: Assessment, aggregate: Aggregate) -> list[Finding]:
    return [one for run in aggregate.runs for one in of_outcome(assessment, aggregate, run)]


def _of_aggregate(assessment: Assessment, aggregate: Aggregate) -> Iterator[Finding]:
    """All that is found of the runs and copies of one aggregate."""
    lifecycle, held, context = aggregate.lifecycle, aggregate.held, assessment.context
    is_ordinary = held.price == 0 and not aggregate.alternatives
    shares = Shares(lifecycle, [held, *aggregate.alternatives], context)
    candidates = [run.candidate for run in aggregate.runs]
    assumed: dict[int, list[Assumption]] = {}
    for candidate, one in () if is_ordinary else assumptions(lifecycle, candidates, context):
        if not one.by_time:
            assumed.setdefault(candidate.number, []).append(one)
    for place in range(len(candidates) - 1, -1, -1):
        run = aggregate.runs[place]
        ours = assumed.get(run.number, ())
        of_run = {one.code for one in ours}
        for one in ours:
            if one.code:
                yield _of_assumption(assessment, aggregate, run, one, shares)
        if not run.candidate.closed and next_begun(lifecycle, candidates, place) is None:
            yield from of_ending(assessment, aggregate, run, of_run, shares)
        yield from of_outcome(assessment, aggregate, run, of_run)
    if held.copies is not None:
        yield from of_copies(assessment, aggregate, held.all_copies(), shares)


def _of_assumption(
    assessment: Assessment, aggregate: Aggregate, run: Run, one: Assumption, shares: Shares
) -> Finding:
    lifecycle, context = aggregate.lifecycle, assessment.context
    confidence, alternatives = shares.of(one.code, one.where.position)
    since = one.since.at if one.since is not None else None
    if one.code == lifecycle.after_end and context.end is not None:
        since = context.end
    known = since if one.where.timed else None
    words = {
        "delay": duration(one.where.at - known if known is not None else None),
        "since": clock(known, one.where.at),
        "state": one.state or run.candidate.state.state,
    }
    words |= particulars(aggregate, run, one, context.windows.lateness)
    until = None
    if one.missing and one.state is not None:
        until = one.where.at + context.windows.lateness
    elif one.missing and one.where is not run.candidate.since:  # the next run began
        end = may_end_until(lifecycle, run.candidate, one.where, context)
        until = None if assessment.passed(end) else end
    before = one.state if one.state is not None else run.candidate.state.state
    log_begins = None
    if one.missing and before == ABSENT and run.number == 1:
        log_begins = assessment.log_begins(run.candidate.first)
        assessment.begun_before = assessment.begun_before or log_begins is not None
    return assessment.make(
        codes.CODES[one.code],
        words=words,
        where=one.where,
        aggregate=aggregate,
        run=run,
        before=before,
        missing=map(lifecycle.webhook_type, one.missing),
        since=since,
        evidence=() if one.since is None else (one.since.position,),
        until=until,
        log_begins=None if one.where.step.outcome else log_begins,  # a failure is no less one
        confidence=confidence,
        alternatives=alternatives,
        severity=_severity(lifecycle, one, context),
    )


def _severity(lifecycle: Lifecycle, one: Assumption, context: Context) -> Severity | None:
    """How grave it is, where that is not what the entry says."""
    if one.code == codes.S203.code:
        by_itself = context.presumed or context.needs_no_stop(one.where.at, subject(lifecycle, one.where))
        return "info" if by_itself else None
    if one.code == codes.C504.code and one.since is not None:
        is_soon = one.where.at - one.since.at <= context.windows.self_stop
        return "info" if lifecycle.is_presence or (one.where.step.closes and is_soon) else None
    return None
