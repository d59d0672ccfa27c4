"""Findings about aggregates of one session that contradict each other, and about the session itself."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from tracker import codes
from tracker.findings import NO_PRICE, Code, Finding, Severity
from tracker.judging.findings.confidence import FACT, confidence_that_over
from tracker.judging.findings.maker import Assessment
from tracker.judging.presence import Inside
from tracker.judging.state import Aggregate, Run
from tracker.judging.words import clock, duration, listed
from tracker.lifecycle import ABSENT

__all__ = ["of_session"]

_AFTER_NEXT = 60_000_000
"""Microseconds from the begin of a room's next session in which the end of the one before it should have come."""
STARTED, ENDED = "session-started", "session-ended"


def of_session(assessment: Assessment) -> Iterator[Finding]:
    """All that concerns more than one aggregate. Nothing where the stream is not a session's."""
    if assessment.observed.session_id is None:
        return
    if not assessment.session.started:
        yield from _never_started(assessment)
    if assessment.presence.people:
        yield from _absent_subjects(assessment)
    elif assessment.session.ended:
        yield from _nobody_came(assessment)
    yield from _overdue_end(assessment)
    if assessment.presence.people:
        yield from _alone(assessment)


X401 = Code(
    "X401",
    "session-not-started",
    "warning",
    when="Something happened in a session whose start never came. Reported once a session.",
    message="{type} came, but session-started never did",
    example="participant-joined is the first webhook of a session",
    advice=(
        "session-started was lost, or your webhook was set up while the meeting was running. Take the first"
        " webhook as the start."
    ),
    prices=NO_PRICE,
)


def _never_started(assessment: Assessment) -> Iterator[Finding]:
    """X401: something happened in a session whose start never came."""
    session, context = assessment.session, assessment.context
    if STARTED in context.lacking or not session.active or not session.aggregates:
        return
    every = (
        (one, aggregate) for aggregate, run in assessment.runs() for one in run.candidate.originals.values()
    )
    first, aggregate = min(every, key=lambda found: found[0].order)
    yield assessment.make(
        X401,
        words={},
        where=first,
        aggregate=aggregate,
        missing=(STARTED,),
        until=first.at + context.windows.lateness,
        log_begins=assessment.log_begins(first) if assessment.begun_before else None,
    )


def _absent_subjects(assessment: Assessment) -> Iterator[Finding]:
    """X405: the recording of a person began, and that person was not inside."""
    theirs = [one for one in assessment.session.aggregates.values() if one.lifecycle.subject_absent]
    if not theirs:
        return
    visits = assessment.presence.people[0].lifecycle
    context, start = assessment.context, visits.table[ABSENT]
    if context.lacks(visits, start[0]):
        return
    inside: dict[str, Inside] = {}
    for aggregate, run in [(one, run) for one in theirs for run in one.runs]:
        first = run.candidate.first
        if first.step.closes or first.step.orphan:
            continue
        who = dict(aggregate.key)[aggregate.lifecycle.subject]
        person = assessment.session.aggregates.get((visits.name, ((visits.key[0], who),)))
        if person is not None and who not in inside:
            inside[who] = Inside(person, context.windows.lateness)
        if (person is not None and inside[who].covers(first.at)) or context.log.is_catching_up(first.at):
            continue
        was_seen = person is not None and person.runs[0].candidate.first.at < first.at
        yield assessment.make(
            codes.X405,
            words={"name": person.name if person else who},
            where=first,
            aggregate=aggregate,
            run=run,
            before=ABSENT,
            missing=tuple(map(visits.webhook_type, start)),
            until=first.at + context.windows.lateness,
            log_begins=None if was_seen else assessment.log_begins(first),
        )


def _nobody_came(assessment: Assessment) -> Iterator[Finding]:
    """X407: a session ended, and nothing else was in it."""
    aggregates = list(assessment.session.aggregates.values())
    end = assessment.context.end
    if end is None or any(not one.lifecycle.is_session for one in aggregates):
        return
    at = end + assessment.context.windows.grace
    timeless = assessment.observed.first_at is None
    if timeless or assessment.passed(at):
        for aggregate in aggregates:
            if not aggregate.lifecycle.empty:
                continue
            run = aggregate.runs[-1]
            yield assessment.make(
                codes.X407, words={}, at=at, position=run.candidate.last.position, aggregate=aggregate, run=run,
                undecided=timeless and not assessment.passed(at),
            )  # fmt: skip


T304 = Code(
    "T304",
    "never-ended",
    "warning",
    when="The session has not ended, and nothing came of it for `session_idle`.",
    message="session-ended has not come, and the last webhook of this session came at {since}{value}",
    example="the last participant-left, and then nothing",
    advice=(
        "Take the session as ended at its last webhook. Close the room if it is still open and no later session is in it."
    ),
    prices=NO_PRICE,
)


def _overdue_end(assessment: Assessment) -> Iterator[Finding]:
    """T304, T307: the session should have ended."""
    session, context, observed = assessment.session, assessment.context, assessment.observed
    if ENDED in context.lacking or observed.last_at is None or not session.active:
        return
    if session.recorded:
        return  # R604 is found
    empty = assessment.presence.empty_since
    if empty is not None:
        at = empty + context.windows.empty
        if context.given_way is not None:
            at = min(at, context.given_way + _AFTER_NEXT)
        yield from _end_overdue(assessment, empty, at)
        if session.ended or assessment.passed(at):
            return
    if session.ended or (context.given_way is not None and _is_found_otherwise(assessment)):
        return
    at = observed.last_at + context.windows.session_idle
    if assessment.passed(at):
        inside = [person.name for person in assessment.presence.people if not person.runs[-1].candidate.closed]
        value = f"; last inside: {listed(inside[:5])}" if inside else ""
        yield assessment.make(
            T304,
            words={"since": clock(observed.last_at, at), "value": value},
            at=at,
            position=observed.last_position,
            missing=(ENDED,),
            since=observed.last_at,
        )


def _is_found_otherwise(assessment: Assessment) -> bool:
    """Whether of a session that gave way to the next one of its room it is found there that it did not end, or nowhere."""
    session, context = assessment.session, assessment.context
    if not assessment.presence.people:
        return context.log.has_no_end(assessment.observed.meeting_id)
    return session.presence_known


def _running(assessment: Assessment, at: int) -> list[tuple[Aggregate, Run]]:
    """What was recording or streaming at a moment, and nobody had asked to stop."""
    found = []
    for aggregate, run in assessment.runs():
        lifecycle, candidate = aggregate.lifecycle, run.candidate
        if lifecycle.is_session or lifecycle.is_presence or not lifecycle.open_at_end or run.outlives:
            continue
        asked = [one.at for one in candidate.originals.values() if one.step.closes or one.step.unasked]
        if candidate.began <= at and min(asked, default=at + 1) > at:
            found.append((aggregate, run))
    return found


T307 = Code(
    "T307",
    "end-overdue",
    "warning",
    when=(
        "Nobody is inside, nobody came back within `empty` or until the room's next session had gone on for a"
        " minute, and session-ended did not come, though it came in other sessions (else L603). An error while something still records or streams, an info where"
        " it is not sure that everybody has left."
    ),
    message="everybody had left at {since}, and {value}",
    example="the last participant-left, and an hour later no session-ended",
    advice=(
        "Close the room, unless its next session has begun: that would throw out whoever is in it, and this one is over."
        " If something still records or streams there, stop it: it costs money."
    ),
    prices=NO_PRICE,
)


def _end_overdue(assessment: Assessment, empty: int, at: int) -> Iterator[Finding]:
    """T307: everybody has left, and the session goes on; overdue at ``at``."""
    context, observed = assessment.context, assessment.observed
    end = context.end if assessment.session.ended else None
    if end is not None and end <= at:
        return
    if end is None and not assessment.passed(at):
        return
    running = _running(assessment, at)
    if end is not None and not running:
        return
    sure = prod(confidence_that_over([one.held, *one.alternatives]) for one in assessment.presence.people)
    names = listed(sorted({aggregate.lifecycle.name for aggregate, _ in running}))
    value = f"session-ended came {duration(end - empty)} later" if end else "session-ended has not come"
    if names:
        value += f"; {names} went on in the empty room"
    if end is None and (following := context.next_begin) is not None:
        value += f"; the room's next session began at {clock(following, at)}"
    yield assessment.make(
        T307,
        words={"since": clock(empty, at), "value": value},
        at=at,
        position=observed.last_position if end is None else assessment.session.end_position,
        missing=() if end else (ENDED,),
        since=empty,
        evidence=[run.candidate.since.position for _, run in running],
        severity=_severity(sure=sure, running=bool(running) and end is None),
        confidence=sure,
    )


def _severity(*, sure: float, running: bool) -> Severity | None:
    """An error while something goes on; no more than an info where it is not sure that everybody has left."""
    if sure < FACT:
        return "info"
    return "error" if running else None


T310 = Code(
    "T310",
    "alone",
    "info",
    when="One person was the only one inside for longer than `alone`.",
    message="{name} was the only one inside from {since} on, for {delay}",
    example="two people join, one leaves, and the other stays for two hours",
    advice="Check whether somebody forgot to leave: the session stays open, and recordings go on.",
    prices=NO_PRICE,
)


def _alone(assessment: Assessment) -> Iterator[Finding]:
    """T310: one person was the only one inside for a long time."""
    context, observed = assessment.context, assessment.observed
    if observed.last_at is None or observed.first_at is None or context.as_of is None:
        return
    if max(observed.last_at, context.as_of) - observed.first_at < context.windows.alone:
        assessment.changes.append(observed.first_at + context.windows.alone)
        return
    for at, until, person in assessment.presence.lone(observed.last_at if context.presumed else context.end):
        limit = at + context.windows.alone
        if at == 0 or not (assessment.passed(limit) if until is None else until > limit):
            continue
        long = duration((until if until is not None else limit) - at)
        words = {"since": clock(at, limit), "delay": long if until is not None else f"more than {long}"}
        position = person.runs[-1].candidate.first.position
        yield assessment.make(T310, words=words, at=limit, position=position, aggregate=person)
        return
