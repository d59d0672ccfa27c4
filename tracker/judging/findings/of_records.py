"""Findings about what VideoSDK's own records say otherwise than the webhooks that came: R601 to R609.

What of it is about files and about webhooks that were sent is in ``undelivered``.

A record moves nothing, so a run keeps the state that was delivered. What a finding says to be missing may be explained
by one of these: it then names that as its cause, is settled, and is no more than an info, so one fault is one finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from tracker.delivery.envelope import parse_time
from tracker.delivery.payload import read_fields
from tracker.findings import NO_PRICE, Code, Finding
from tracker.judging.findings import undelivered
from tracker.judging.findings.maker import Assessment
from tracker.judging.findings.undelivered import Fit, finding_of
from tracker.judging.hypothesis import micros, moment
from tracker.judging.records import MINUTE, Record, RecordsOf, Visit, fitting, visits_by_person
from tracker.judging.session import Observed
from tracker.judging.state import Aggregate
from tracker.judging.words import clock, duration, listed

__all__ = ["Matched", "end", "explained", "found", "matched", "timed"]

STARTED, ENDED = "session-started", "session-ended"


class Matched(msgspec.Struct, frozen=True):
    """The records of a session, each with the run that it is of.

    Attributes:
        recorded: All of them.
        runs: Those that are neither of the session nor of people, each with its run (``None`` where none fits) and how
            probable that is.
    """

    recorded: RecordsOf
    runs: Sequence[tuple[Record, Fit, float]]


def timed(observed: Observed) -> Observed:
    """What was observed of a session of which no webhook came: it was known by its records first and last."""
    asked, positions = [one.at for one in observed.notes], [one.position for one in observed.notes]
    return replace(
        observed,
        first_at=min(asked),
        last_at=max(asked),
        first_position=min(positions),
        last_position=max(positions),
    )


def end(assessment: Assessment, recorded: RecordsOf) -> None:
    """Takes a session as over whose record says so, though session-ended did not come."""
    session, context, record = assessment.session, assessment.context, recorded.session
    if record is None or session.ended:
        return
    if not session.started and record.start is not None and not session.deliveries:
        session.started_at = moment(record.start)
    if record.is_over:
        context.end = _ended(record)
        context.presumed = session.presumed_ended = session.recorded = True
        session.ended_at = moment(context.end)


def _ended(record: Record) -> int:
    """When it ended, as near as it says."""
    if record.end is not None:
        return record.end
    return max((one.end for one in record.visits if one.end is not None), default=record.at)


def matched(assessment: Assessment, recorded: RecordsOf) -> Matched:
    """Finds the run of each record, and marks the runs of which a record says what is held."""
    found: list[tuple[Record, Fit, float]] = []
    for lifecycle in dict.fromkeys(one.lifecycle for one in recorded.records):
        if lifecycle.is_session:
            continue
        records = recorded.of(lifecycle)
        runs = [one for one in assessment.runs() if one[0].lifecycle is lifecycle]
        fits = fitting(records, [(aggregate.key, run.candidate) for aggregate, run in runs])
        for record, one in zip(records, fits, strict=True):
            found.append((record, None if one.run is None else runs[one.run], one.confidence))
    for record, fit, _ in found:
        if fit is not None:
            fit[1].recorded = record.is_over == fit[1].closed
    if recorded.session is not None:
        _mark_visits(assessment, recorded.session)
    return Matched(recorded, found)


def _mark_visits(assessment: Assessment, record: Record) -> None:
    """Marks the visits of those of whom the record has as many."""
    visits = dict(visits_by_person(record))
    for aggregate in assessment.session.participants:
        theirs = visits.get(aggregate.key[0][1], [])
        if len(theirs) == len(aggregate.runs):
            for run, visit in zip(aggregate.runs, theirs, strict=True):
                run.recorded = run.closed == (visit.end is not None)


def found(assessment: Assessment, records: Matched) -> Iterator[Finding]:
    """All that the records say otherwise."""
    session = records.recorded.session
    if not assessment.session.deliveries:
        yield _without_webhooks(assessment, records.recorded)
        return
    if session is not None:
        yield from _end(assessment, session)
        yield from _times(assessment, session)
        yield from _not_subscribed(assessment, records.recorded, session)
        yield from undelivered.of_session(assessment, session)
        yield from _people(assessment, session)
    for record, fit, confidence in records.runs:
        yield from undelivered.of_record(assessment, record, fit, confidence)


R601 = Code(
    "R601",
    "session-without-webhooks",
    "error",
    when="VideoSDK has a record of a session, and no webhook of it came within `redelivery`.",
    message="VideoSDK has a record of this session{value}, and no webhook of it came",
    example="a session in a room whose webhook has another url",
    advice="Check the webhook of this room at VideoSDK, and whether your endpoint was reachable at that time.",
    prices=NO_PRICE,
)


def _without_webhooks(assessment: Assessment, recorded: RecordsOf) -> Finding:
    """R601: nothing but records is known of a session."""
    record = recorded.session or recorded.records[0]
    began = record.start if record.start is not None else record.at
    value = f", which began at {clock(began, record.at)}" if record.start is not None else ""
    until = began + assessment.context.windows.redelivery
    return finding_of(assessment, R601, record, None, until, words={"value": value}, missing=(STARTED,))


R602 = Code(
    "R602",
    "ended-but-ongoing",
    "error",
    when="session-ended came, and later than `grace` after it VideoSDK's record says that the session goes on.",
    message="session-ended came at {since}, and {delay} later VideoSDK still had the session as ongoing",
    example="session-ended at 10:00, and at 10:30 a record with the status ongoing",
    advice=(
        "Look into the room: if people are inside, session-ended was sent too early. If nobody is, close it, because it"
        " costs money."
    ),
    prices=NO_PRICE,
)
R604 = Code(
    "R604",
    "live-but-ended",
    "warning",
    when=(
        "VideoSDK's record says that the session has ended, and session-ended did not come within `redelivery`."
        " Takes the place of T304 and T307."
    ),
    message="VideoSDK's record says that the session ended at {value}, and session-ended has not come",
    example="a session that is live here, and has the status ended there",
    advice="Take the time of the record as the end. The webhook was lost, or is not subscribed to in this room.",
    prices=NO_PRICE,
)


def _end(assessment: Assessment, record: Record) -> Iterator[Finding]:
    """R602, R604: whether the session has ended."""
    context, session = assessment.context, assessment.session
    if session.ended and context.end is not None and record.is_ongoing:
        if record.at - context.end > context.windows.grace:
            words = {"since": clock(context.end, record.at), "delay": duration(record.at - context.end)}
            evidence = () if session.end_position is None else (session.end_position,)
            yield finding_of(assessment, R602, record, None, None, words=words, evidence=evidence)
    elif session.recorded and ENDED not in context.lacking:
        ended = _ended(record)
        until, words = ended + context.windows.redelivery, {"value": clock(ended, record.at)}
        yield finding_of(assessment, R604, record, None, until, words=words, missing=(ENDED,))


R607 = Code(
    "R607",
    "other-times",
    "info",
    when="VideoSDK's record of the session has another start or end than its webhooks, by more than a minute.",
    message="VideoSDK's record says that the {field} was at {value}, {delay} away from what {type} says",
    example="session-ended with the end 10:00, and a record with the end 10:04",
    advice="Nothing to do, unless you charge by the minute: then find out which of the two is billed.",
    prices=NO_PRICE,
)


def _times(assessment: Assessment, record: Record) -> Iterator[Finding]:
    """R607: when the session started and ended, by its own clock."""
    for aggregate in assessment.session.aggregates.values():
        lifecycle = aggregate.lifecycle
        if not lifecycle.is_session:
            continue
        for one in aggregate.runs[-1].candidate.originals.values():
            field = lifecycle.times[one.step.closes]
            said = parse_time(read_fields(lifecycle, one.data, [field])[0] or "")
            theirs = record.end if one.step.closes else record.start
            if said is not None and theirs is not None and abs(theirs - micros(said)) > MINUTE:
                delay = duration(abs(theirs - micros(said)))
                words = {"field": field, "value": clock(theirs), "delay": delay}
                words["type"] = lifecycle.webhook_type(one.step.name)
                yield finding_of(assessment, R607, record, None, None, words=words, evidence=(one.position,))


R608 = Code(
    "R608",
    "other-people",
    "info",
    when="VideoSDK's record has a visit of somebody of which joined or left did not come within `redelivery`.",
    message="VideoSDK's record has {value} of {name}, and {missing} did not come{state}",
    example="a person in the timelog of the record, and no participant-joined",
    advice="Take the times of the visit from the record, if you count who was there.",
    prices=NO_PRICE,
)


def _people(assessment: Assessment, record: Record) -> Iterator[Finding]:
    """R608: somebody was inside whose joined or left did not come."""
    here = {one.key[0][1]: one for one in assessment.session.participants}
    if not here:
        return  # nobody subscribes to these types, or all of it was lost together
    lifecycle = next(iter(here.values())).lifecycle.name
    for who, visits in visits_by_person(record):
        came = _steps_of(here.get(who))
        ended = [one.end for one in visits if one.end is not None]
        short = came["joined"] < len(visits), came["left"] < len(ended)
        names = [name for name, lacks in zip(("joined", "left"), short, strict=True) if lacks]
        missing = [
            one for one in (f"participant-{name}" for name in names) if one not in assessment.context.lacking
        ]
        if missing:
            yield _absent(assessment, record, who, visits, missing, here.get(who), lifecycle)


def _steps_of(person: Aggregate | None) -> Counter[str]:
    """How often a person may have come and gone: what is probably a copy may have been a visit of its own."""
    if person is None:
        return Counter()
    doubtful = [copy.delivered.step.name for copy in person.held.all_copies() if not copy.certain]
    return Counter([*doubtful, *(name for run in person.runs for name in run.candidate.originals)])


def _absent(
    assessment: Assessment,
    record: Record,
    who: str,
    visits: Sequence[Visit],
    missing: Sequence[str],
    person: Aggregate | None,
    lifecycle: str,
) -> Finding:
    last = visits[-1]
    times = [clock(one) for one in (last.start, last.end) if one is not None]
    words = {
        "value": "1 visit" if len(visits) == 1 else f"{len(visits)} visits",
        "name": person.name if person is not None else who,  # who is masked is known by webhooks
        "state": f": the last one was {' to '.join(times)}" if times else "",
    }
    until = (last.end or last.start or record.at) + assessment.context.windows.redelivery
    made = finding_of(assessment, R608, record, None, until, words=words, missing=missing)
    made.lifecycle, made.key = lifecycle, {"participant_id": who}
    return made


R609 = Code(
    "R609",
    "not-subscribed",
    "info",
    when="The webhook of the room does not subscribe to some types. Nothing is said to be missing of these.",
    message="the webhook of this room does not subscribe to {missing}",
    example="a room whose webhook has the events recording-started and recording-stopped only",
    advice="Add the types to the webhook of the room at VideoSDK, if you want to know of them.",
    prices=NO_PRICE,
)


def _not_subscribed(assessment: Assessment, recorded: RecordsOf, record: Record) -> Iterator[Finding]:
    """R609: the types of what was in this session that nobody subscribes to."""
    lifecycles = {one.lifecycle for one in assessment.session.aggregates.values()}
    types = {one.webhook_type(step.name) for one in lifecycles for step in one.steps}
    names = sorted(types & recorded.not_subscribed)
    if names:
        yield finding_of(assessment, R609, record, None, None, words={"missing": listed(names)})


def explained(findings: list[Finding], of_records: list[Finding], assessment: Assessment) -> list[Finding]:
    """All findings, where what the records explain names its cause, and is settled.

    A finding is explained by one of the same run, or of the session, that misses a type which it misses as well.
    """
    severities = assessment.context.rules.severity
    causes = [one for one in of_records if one.code in _CAUSES]
    for one in (*findings, *(one for one in of_records if one.code in _CONSEQUENCES)):
        cause = next((each for each in causes if _explains(each, one)), None)
        if cause is not None:
            one.cause, one.verdict, one.deadline = cause.code, "settled", None
            if cause.confidence >= one.confidence:
                one.confidence, one.alternatives = cause.confidence, ()
            one.severity = severities.get(one.code) or "info"
            one.evidence = tuple(sorted({*one.evidence, *cause.evidence}))
    return findings + of_records


_CAUSES = ("R605", "R606", "R603", "R608")
"""The codes that explain others,"""
_CONSEQUENCES = ("R604", "R608")
"""and those of these codes that others explain."""


def _explains(cause: Finding, one: Finding) -> bool:
    if one is cause or not set(cause.missing) & set(one.missing):
        return False
    if cause.lifecycle in (None, one.lifecycle) and cause.key in ({}, one.key):
        return cause.run in (None, one.run)
    return False
