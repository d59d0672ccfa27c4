"""Findings about what VideoSDK has, or has sent, and no webhook brought: R603, R605 and R606.

A record may count the webhooks that were sent of its object, and how many of them were accepted. One that was not accepted
never reached us; one that was and is not here was lost behind the endpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tracker.findings import NO_PRICE, Code, Finding
from tracker.judging.findings.maker import Assessment
from tracker.judging.records import Record, Tally, brought, may_be
from tracker.judging.state import Aggregate, Run
from tracker.lifecycles import REGISTRY
from tracker.record import PREFIX

__all__ = ["Fit", "finding_of", "of_record", "of_run", "of_session"]

Fit = tuple[Aggregate, Run] | None
"""The run that a record is of, if it is of one."""


def of_record(assessment: Assessment, record: Record, fit: Fit, confidence: float) -> Iterator[Finding]:
    """What is found of a record that is of a run, or of none; ``confidence``: how probable that is."""
    came = Counter(_near(assessment, record, copies=fit is not None))
    if fit is not None:
        came += of_run(*fit)
    yield from _undelivered(assessment, record, fit, came, confidence)
    yield from _file(assessment, record, fit, confidence)


def of_session(assessment: Assessment, record: Record) -> Iterator[Finding]:
    """What is found of the record of the session itself, which may count all that was sent of it."""
    came = Counter[str]()
    for aggregate, run in assessment.runs():
        came += of_run(aggregate, run)
    for aggregate in assessment.session.aggregates.values():
        doubtful = (copy.delivered for copy in aggregate.held.all_copies() if not copy.certain)
        came.update(aggregate.lifecycle.webhook_type(one.step.name) for one in doubtful)
    yield from _undelivered(assessment, record, None, came)


R603 = Code(
    "R603",
    "file-without-webhook",
    "error",
    when="VideoSDK's record of a recording, a stream or a transcription has a file, and no webhook brought it.",
    message="VideoSDK's record of {what} has a file that no webhook brought: {value}",
    example="a recording whose recording-stopped never came, and whose record has a fileUrl",
    advice="Take the file from the record. Whoever waits for it was not notified.",
    prices=NO_PRICE,
)


def file_named(message: str | None) -> str | None:
    """The file that the message of an R603 names; ``None`` where it is no such message."""
    before = R603.message.partition("{what}")[2].removesuffix("{value}")
    return (message or "").partition(before)[2] or None


def _file(assessment: Assessment, record: Record, fit: Fit, confidence: float) -> Iterator[Finding]:
    """R603: there is a file, and no webhook brought it."""
    lifecycle = record.lifecycle
    types = map(lifecycle.webhook_type, lifecycle.endings)
    ends = tuple(one for one in types if one not in assessment.context.lacking)
    if not (record.is_over and record.files and ends):
        return
    if fit is not None:
        run = fit[1]
        came = brought(lifecycle, run.candidate)
        if run.candidate.closed and (came or not lifecycle.artefacts or lifecycle.reusable):
            return
    until = (record.end or record.start or record.at) + assessment.context.windows.redelivery
    words = {"what": what_of(record), "value": min(record.files, key=lambda one: ("//" not in one, one))}
    missing = () if fit is not None and fit[1].candidate.closed else ends
    yield finding_of(assessment, R603, record, fit, until, words=words, missing=missing, confidence=confidence)


R605 = Code(
    "R605",
    "undelivered",
    "error",
    when="VideoSDK counts a webhook as sent and not accepted, and it did not come.",
    message="VideoSDK counts {missing} of {what} as sent and not delivered{value}",
    example="a record whose webhook has a totalCount of 5 and a successCount of 4",
    advice="Check how your endpoint answered at that time: it has to answer each webhook with a 2xx.",
    prices=NO_PRICE,
)
R606 = Code(
    "R606",
    "delivered-and-lost",
    "error",
    when="VideoSDK counts a webhook as delivered, and it is not in the log.",
    message="VideoSDK counts {missing} of {what} as delivered, which the log does not have{value}",
    example="a record that counts recording-stopped as a success, and a log without it",
    advice=(
        "It was lost behind your endpoint: look for a proxy that answers for it, a second endpoint, or a log that was"
        " cut off."
    ),
    prices=NO_PRICE,
)


def _undelivered(
    assessment: Assessment,
    record: Record,
    fit: Fit,
    came: Mapping[str, int],
    confidence: float = 1.0,
) -> Iterator[Finding]:
    """R605, R606: webhooks that VideoSDK has sent and that did not come, whatever it was answered."""
    lacking = assessment.context.lacking
    tally = {name: one for name, one in record.tally.items() if _is_of(record, name) and name not in lacking}
    missing = {name: one for name, one in tally.items() if _expected(name, one) > _held(name, came)}
    lost = [name for name, one in missing.items() if one.accepted > _held(name, came)]
    failed = [name for name in missing if name not in lost]
    until = (record.end or record.start or record.at) + assessment.context.windows.redelivery
    for code, names in ((R605, failed), (R606, lost)):
        if names:
            types = tuple(name for name in names if name)
            words = {"what": what_of(record)}
            if not types:
                one = missing[""]
                words |= {"missing": "a webhook", "value": f": {one.accepted} of {one.sent} were taken"}
            yield finding_of(
                assessment, code, record, fit, until, words=words, missing=types, confidence=confidence
            )


def _is_of(record: Record, name: str) -> bool:
    """Whether a type that a record counts can be compared: it is one of its lifecycle, or of the session."""
    if not name or name not in REGISTRY.routes:
        return not name
    lifecycle = REGISTRY.routes[name][0]
    return lifecycle is record.lifecycle or (record.lifecycle.is_session and not lifecycle.stream)


def _expected(name: str, tally: Tally) -> int:
    """How many of a type should have come: one of each, but that people come and go more than once."""
    return tally.sent if name in ("", *_OF_PEOPLE) else min(1, tally.sent)


def _held(name: str, came: Mapping[str, int]) -> int:
    """How many did; of all types, where none is named."""
    return came.get(name, 0) if name else sum(came.values())


_OF_PEOPLE = ("participant-joined", "participant-left")


def _near(assessment: Assessment, record: Record, *, copies: bool) -> Iterator[str]:
    """The webhook types of what came while it went on, which may have been the report of this; ``copies``: of these only."""
    begin, end = record.start, record.end if record.end is not None else record.at
    margin = assessment.context.windows.redelivery
    for aggregate in assessment.session.aggregates.values():
        if begin is not None and aggregate.lifecycle is record.lifecycle and may_be(record, aggregate.key):
            taken = [copy.delivered for copy in aggregate.held.all_copies()]
            near = (
                one
                for one in (taken if copies else aggregate.deliveries)
                if begin - margin <= one.at <= end + margin
            )
            yield from (aggregate.lifecycle.webhook_type(one.step.name) for one in near)


def of_run(aggregate: Aggregate, run: Run) -> Counter[str]:
    """How often each webhook type came of a run; copies are not counted."""
    return Counter(aggregate.lifecycle.webhook_type(one.step.name) for one in run.candidate.every)


def what_of(record: Record) -> str:
    """What a sentence is about: ``recording 6a…``, ``the session``."""
    if record.lifecycle.is_session:
        return "the session"
    return " ".join([record.lifecycle.name.replace("-", " "), *record.ids[:1]])


def finding_of(
    assessment: Assessment,
    code: Code,
    record: Record,
    fit: Fit,
    until: int | None,
    *,
    words: dict[str, str],
    missing: Iterable[str] = (),
    evidence: Iterable[int] = (),
    confidence: float = 1.0,
) -> Finding:
    """A finding that rests on a record; ``until`` is when a webhook that explains it should have come.

    What a record says of its session and of people is certain, for these have ids; of which run it is may not be.
    """
    aggregate, run = fit if fit is not None else (None, None)
    made = assessment.make(
        code,
        words=words,
        at=record.at,
        position=record.position,
        aggregate=aggregate,
        run=run,
        missing=missing,
        evidence=evidence,
        until=until,
        confidence=confidence,
    )
    made.type = f"{PREFIX}{record.lifecycle.name}"
    if fit is None and not record.lifecycle.is_session:
        made.lifecycle, made.key = record.lifecycle.name, dict(record.key)
    if run is not None:
        made.state_before = made.state_after  # a record moves nothing
        run.findings.append(made)
    return made
