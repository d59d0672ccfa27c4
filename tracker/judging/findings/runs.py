"""Findings about what the held hypothesis assumes of each run, with those about ends and copies.

``tracker.judging.sequence`` says what a run assumes, by which code and at which price. Here each such assumption
becomes a finding, so what is found and what was paid for can never differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from tracker.findings import Code, Finding, Severity, codes_in
from tracker.judging.context import Context
from tracker.judging.findings.confidence import Shares
from tracker.judging.findings.copies import of_copies
from tracker.judging.findings.ending import OVERDUE, of_ending, of_outcome
from tracker.judging.findings.maker import Assessment
from tracker.judging.sequence import Assumption, assumptions, next_begun
from tracker.judging.state import Aggregate, Run
from tracker.judging.words import clock, duration
from tracker.lifecycle import Lifecycle

__all__ = ["of_aggregate"]

_decode = msgspec.json.Decoder(dict[str, object]).decode

D102 = Code(
    "D102",
    "late",
    "info",
    when="A step came after one that should follow it. The longer after `lateness`, the less likely that is.",
    message="{type} came late: {delay} after a step that should follow it",
    example="hls-started, then hls-starting",
    advice="Nothing to do. Do not rely on the order in which webhooks come.",
    prices=("late",),
)
D103 = Code(
    "D103",
    "overtaken",
    "info",
    when=(
        "The left of a visit came after the joined of the same person's next visit. Within `overtaken` that"
        " is usual."
    ),
    message=(
        "{name} joined again {delay} before the left of the earlier visit came; that left does not end the"
        " new visit"
    ),
    example="joined, joined from a second device, then the left of the first device",
    advice="Nothing to do. A handler that marks the person as gone at this left is wrong.",
    prices=("overtaken",),
)
S201 = Code(
    "S201",
    "skipped-starting",
    "warning",
    when="A run went on, and its starting never came.",
    message="{type} came, but {missing} never did{value}",
    example="recording-started is the first webhook of a recording",
    advice=(
        "Check that your webhook at VideoSDK subscribes to this type. If it does, one delivery was lost;"
        " the run itself is not affected."
    ),
    prices=("S201",),
)
S202 = Code(
    "S202",
    "skipped-started",
    "warning",
    when="A run went on or ended, and its started never came.",
    message="{type} came, but {missing} never did{value}",
    example="recording-starting, then recording-stopping",
    advice="Check that the file is complete, or that viewers saw the stream. If so, only a delivery was lost.",
    prices=("S202",),
)
S203 = Code(
    "S203",
    "skipped-stopping",
    "warning",
    when=(
        "A run stopped, and its stopping never came. Only an info near the session's end (`self_stop`) or"
        " while nobody was inside, because things stop by themselves then."
    ),
    message="{type} came, but {missing} never did: it stopped by itself, or a webhook was lost",
    example="recording-started, then recording-stopped in the middle of a meeting",
    advice="If nobody stopped it, look for a time limit or an error that did.",
    prices=("S203", "unasked"),
)
S205 = Code(
    "S205",
    "stopped-before-started",
    "error",
    when="A stop came, and there was no run that it could belong to. No start came late.",
    message="{type} came, but nothing was running that it could stop{value}",
    example="hls-stopped in a session in which no hls was started",
    advice=(
        "Either all earlier webhooks of this run were lost, or something was stopped twice. Ask VideoSDK"
        " with the session's id whether it ran."
    ),
    prices=("S205",),
)
S206 = Code(
    "S206",
    "failed-without-start",
    "error",
    when="A failure came, and there was no run that could fail.",
    message="{type} came, but nothing was running that could fail",
    example="recording-failed is the first webhook of a recording",
    advice="Somebody asked for it and got nothing. Read the message in the webhook, then look at the request.",
    prices=("S206",),
)
S207 = Code(
    "S207",
    "restarted-without-stop",
    "error",
    when=(
        "A new run began while an earlier one was open, and the end of that one never came. A lone starting"
        " may be a copy; the started after it shows that the run is new."
    ),
    message="{what} was {state} at {since} and never reported its end; {type} began the next run {delay} later",
    example="recording-starting, recording-started, and both again while nothing was stopped",
    advice=(
        "Look for the file of the run that never ended: it may exist though no webhook reported it."
        " VideoSDK finds it by the session's id."
    ),
    prices=("S207",),
)
S209 = Code(
    "S209",
    "conflicting-outcome",
    "error",
    when="One run reported two ends: it stopped, and it failed.",
    message="{type} came, but {what} had already {state}",
    example="recording-stopped with a file, then recording-failed",
    advice="Try to play the file before you believe either report.",
    prices=("S209",),
)
S212 = Code(
    "S212",
    "left-without-join",
    "warning",
    when="Somebody left, and the joined of that visit never came.",
    message="{name} left, but no joined came for this visit",
    example="participant-left is the first webhook of a person",
    advice=(
        "One delivery was lost: nobody knows when this visit began, so the person's attendance is incomplete."
    ),
    prices=("S212",),
)
S213 = Code(
    "S213",
    "rejoined-without-left",
    "warning",
    when="Somebody who was inside joined again, and the left of the earlier visit never came.",
    message="{name} joined at {since} and again {delay} later, and no left came in between",
    example="joined, joined ten minutes later, left once",
    advice=(
        "One delivery was lost: nobody knows how long the first visit was. Take it as ended when the second"
        " began."
    ),
    prices=("S213",),
)
S214 = Code(
    "S214",
    "session-restarted",
    "error",
    when="session-started came again for the same session, with other data.",
    message="{type} came again {delay} later with other data: {value}",
    example="session-ended, then session-started with the same session id",
    advice=(
        "A session id should be used once: look for a log that was replayed or edited, or for a test that"
        " uses real ids."
    ),
    prices=("S214",),
)
S215 = Code(
    "S215",
    "acquired-again",
    "warning",
    when="A resource was acquired again, and no released came in between.",
    message="resource {name} was acquired again {delay} later, and not released in between",
    example="resource-acquired twice for the same id, an hour apart",
    advice="Look for a recording or a stream that was requested twice.",
    prices=("S215",),
)
X402 = Code(
    "X402",
    "activity-after-end",
    "error",
    when="Something began after the session had ended.",
    message="{type} came {delay} after the session had ended",
    example="session-ended, then participant-joined",
    advice=(
        "Find out whether the session had really ended: its end was reported too early, or somebody uses a"
        " room that is over."
    ),
    prices=("X402",),
)
C502 = Code(
    "C502",
    "conflicting-url",
    "error",
    when="Two steps of one HLS run brought two playback urls. Both are in the log; the first one counts.",
    message="{type} brought another {field} than the step before: {value}",
    example="hls-started with one playbackHlsUrl, hls-playable with another",
    advice="Try which of the two plays before you send viewers there.",
    prices=("C502",),
)
C504 = Code(
    "C504",
    "conflicting-repeat",
    "error",
    when="A step came again with other data. Both are kept; the first one counts.",
    message="{type} came again {delay} later with other data: {value}",
    example="hls-started twice with two playback urls",
    advice="Compare both bodies; `tracker export` prints them.",
    prices=("C504",),
)
C516 = Code(
    "C516",
    "two-files",
    "warning",
    when="The end of a run was reported twice within a minute, with two files. Both are kept.",
    message="{type} came again {delay} later with another file: {value}",
    example="recording-stopped with one filePath, and three seconds later with another",
    advice="Look at both files before you delete one.",
    prices=("C516",),
)

ASSUMED = OVERDUE | codes_in(globals())
"""What a hypothesis may find."""


def of_aggregate(assessment: Assessment, aggregate: Aggregate, *, is_ordinary: bool) -> Iterator[Finding]:
    """All that is found of the runs and copies of one aggregate."""
    lifecycle, held, context = aggregate.lifecycle, aggregate.held, assessment.context
    shares = Shares(lifecycle, [held, *aggregate.alternatives], context, ASSUMED)
    candidates = held.all_runs()
    assumed: dict[int, list[Assumption]] = {run.number: [] for run in aggregate.runs}
    for candidate, one in () if is_ordinary else assumptions(lifecycle, candidates, context):
        if not one.by_time:
            assumed[candidate.number].append(one)
    for place, run in reversed(list(enumerate(aggregate.runs))):
        codes = {one.code for one in assumed[run.number]}
        for one in assumed[run.number]:
            if one.code in ASSUMED:
                yield _of_assumption(assessment, aggregate, run, one, shares)
        if not run.candidate.closed and next_begun(lifecycle, candidates, place) is None:
            yield from of_ending(assessment, aggregate, run, codes, shares)
        yield from of_outcome(assessment, aggregate, run, codes)
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
    add = _WORDS.get(one.code)
    words |= add(lifecycle, run, one) if add else {}
    until = None
    if one.missing and one.state is not None:
        until = one.where.at + context.windows.lateness
    before = one.state if one.state is not None else run.candidate.state.state
    return assessment.make(
        ASSUMED[one.code],
        words=words,
        where=one.where,
        aggregate=aggregate,
        run=run,
        before=before,
        missing=assessment.types(aggregate, one.missing),
        since=since,
        evidence=() if one.since is None else (one.since.position,),
        until=until,
        confidence=confidence,
        alternatives=alternatives,
        severity=_severity(lifecycle, one, context),
    )


def _severity(lifecycle: Lifecycle, one: Assumption, context: Context) -> Severity | None:
    """How grave it is, where that is not what the entry says."""
    if one.code == S203.code and (context.needs_no_stop(one.where.at) or context.presumed):
        return "info"
    if one.code == C504.code and lifecycle.is_session and one.since is not None:
        return "info" if one.where.at - one.since.at <= _MINUTE else None
    return None


_MINUTE = 60_000_000


def _whether_its_file_came(lifecycle: Lifecycle, run: Run, one: Assumption) -> dict[str, str]:
    """That nothing is missing but the webhook, where the run has brought its file."""
    if lifecycle.reusable or not lifecycle.artefacts:
        return {}
    came = any(each.evidence for each in run.candidate.originals.values())
    return {"value": "; its file came all the same" if came else ""}


def _which_fields(lifecycle: Lifecycle, run: Run, one: Assumption) -> dict[str, str]:
    """Which fields differ: ``"filePath /a.mp4, then /b.mp4"``."""
    if one.since is None:
        return {}
    before, after = _decode(one.since.data), _decode(one.where.data)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    differing = [f"{name} {_shown(before.get(name))}, then {_shown(after.get(name))}" for name in names[:3]]
    return {"value": "; ".join(differing)}


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_LONGEST = 80


def _which_url(lifecycle: Lifecycle, run: Run, one: Assumption) -> dict[str, str]:
    """Which url differs, and what it is now."""
    name = lifecycle.differing(one.since.data, one.where.data) if one.since is not None else ""
    return {"field": name, "value": str(_decode(one.where.data).get(name))}


def _what_it_had(lifecycle: Lifecycle, run: Run, one: Assumption) -> dict[str, str]:
    before = one.since.step.state if one.since is not None else run.candidate.state.state
    return {"state": before}


_WORDS: dict[str, Callable[[Lifecycle, Run, Assumption], dict[str, str]]] = {
    S201.code: _whether_its_file_came,
    S202.code: _whether_its_file_came,
    S205.code: _whether_its_file_came,
    S209.code: _what_it_had,
    S214.code: _which_fields,
    C502.code: _which_url,
    C504.code: _which_fields,
    C516.code: _which_fields,
}
"""What only some of the messages say."""
