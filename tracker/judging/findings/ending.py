"""Findings about the end of a run: how it ended, how long it took, and that it did not come."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tracker.findings import NO_PRICE, Code, Finding, codes_in
from tracker.judging.findings.confidence import Shares
from tracker.judging.findings.maker import Assessment
from tracker.judging.hypothesis import Delivered
from tracker.judging.sequence import ending, is_orphan
from tracker.judging.state import Aggregate, Run
from tracker.judging.words import activity, clock, duration
from tracker.lifecycle import ABSENT

__all__ = ["OVERDUE", "of_ending", "of_outcome"]

_decode = msgspec.json.Decoder(dict[str, object]).decode

T301 = Code(
    "T301",
    "stuck-starting",
    "error",
    when=(
        "A run was starting for longer than `stuck_starting`, and nothing came of it. Becomes T303 if it"
        " starts after all."
    ),
    message="{what} reported at {since} that it was starting, and nothing after that",
    example="recording-starting, and then nothing",
    advice="It is not recording or streaming. Start it again, and tell the people who rely on it.",
    prices=("T301",),
)
T302 = Code(
    "T302",
    "stuck-stopping",
    "error",
    when=(
        "A run was stopping for longer than `stuck_stopping`, and its end did not come. Becomes T303 if it"
        " comes after all."
    ),
    message="{what} reported at {since} that it was stopping, and its end has not come",
    example="recording-stopping, and then nothing",
    advice="Its file may be lost. Ask VideoSDK with the session's id.",
    prices=("T302",),
)
T311 = Code(
    "T311",
    "not-playable",
    "warning",
    when="HLS started and did not become playable within `not_playable`. Withdrawn when hls-playable comes.",
    message="{what} started at {since} and has not become playable",
    example="hls-started, and ten minutes later no hls-playable",
    advice="Check whether viewers see it: they may be waiting for a stream that does not come.",
    prices=("T311",),
)
X403 = Code(
    "X403",
    "unfinished-at-end",
    "error",
    when="A run was open when the session ended, and its end did not come within `grace`.",
    message="{what} was still {state} when the session ended at {value}, and its end has not come",
    example="recording-started, session-ended, and no recording-stopped",
    advice="Look for the file by hand, or ask VideoSDK with the session's id: no webhook will report it.",
    prices=("X403",),
)
X404 = Code(
    "X404",
    "present-at-end",
    "warning",
    when="Somebody was inside when the session ended, and no left came within `grace`.",
    message="{name} was still inside when the session ended at {value}, and no left has come",
    example="participant-joined, session-ended, and no participant-left",
    advice="Take the session's end as the end of the visit.",
    prices=("X404",),
)
LIKELY = 0.5
"""What may be found later is found as undecided if it is as likely as not."""
OVERDUE = codes_in(globals())
"""The codes of which a declaration may name one for a run that is open for too long."""


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
    confidence, alternatives = shares.of(overdue.code, last.position)
    if undecided and confidence < LIKELY:
        return  # when it is overdue, it will rather be something else
    words = {
        "since": clock(last.at, overdue.at),
        "state": activity(run.candidate.state.state),
        "delay": duration(overdue.at - last.at),
    }
    if lifecycle.open_at_end == overdue.code and context.end is not None:
        words["value"] = clock(context.end if last.timed else None, last.at)
    yield assessment.make(
        OVERDUE[overdue.code],
        words=words,
        at=overdue.at,
        position=run.candidate.last.position,
        aggregate=aggregate,
        run=run,
        before=run.candidate.state.state,
        missing=assessment.types(aggregate, overdue.missing),
        since=last.at,
        until=overdue.at if undecided else None,
        undecided=undecided,
        confidence=confidence,
        alternatives=alternatives,
        type=lifecycle.webhook_type(last.step.name),
    )


D104 = Code(
    "D104",
    "settled-after-end",
    "info",
    when="A run that was open when the session ended came to its end afterwards.",
    message="{what} came to its end {delay} after the session: {type}",
    example="session-ended, and recording-stopped two minutes later, when the file was there",
    advice="Nothing to do: files are processed after the meeting.",
    prices=NO_PRICE,
)
S204 = Code(
    "S204",
    "never-playable",
    "warning",
    when="HLS stopped in good order and had never become playable.",
    message="{what} ended with {type} and had never become playable",
    example="hls-started, hls-stopping, hls-stopped",
    advice="Viewers saw nothing. Check how long the stream ran, and the encoder.",
    prices=("S204",),
)


def of_outcome(assessment: Assessment, aggregate: Aggregate, run: Run, assumed: set[str]) -> Iterator[Finding]:
    """D104, S204, S210, T303: how it ended, and how long it took."""
    lifecycle, context, candidate = aggregate.lifecycle, assessment.context, run.candidate
    yield from _slow(assessment, aggregate, run)
    if not candidate.closed:
        return
    end = candidate.since
    orphan = is_orphan(lifecycle, candidate)
    if end.step.outcome and not (orphan and assumed & {end.step.orphan}):
        yield _failed(assessment, aggregate, run, end)
    if not end.step.outcome and not orphan:
        for step in lifecycle.missed:
            if step.name not in candidate.originals and not context.lacks(lifecycle, step.name):
                until = end.at + context.windows.lateness
                yield assessment.make(
                    S204,
                    words={"state": end.step.state},
                    where=end,
                    aggregate=aggregate,
                    run=run,
                    missing=assessment.types(aggregate, (step.name,)),
                    until=until,
                )
    after = context.is_after_end(end.at, end.position)
    if after and lifecycle.settled_after_end and candidate.began <= (context.end or 0) and not run.outlives:
        words = {"delay": duration(end.at - (context.end or end.at))}
        yield assessment.make(D104, words=words, where=end, aggregate=aggregate, run=run)


S210 = Code(
    "S210",
    "run-failed",
    "error",
    when="A run failed. Only a warning where a later run of the session brought a file.",
    message="{what} failed while {state}{value}",
    example="recording-starting, then recording-failed",
    advice="Read the message in the webhook, and tell the people who wait for the recording or the stream.",
    prices=NO_PRICE,
)


def _failed(assessment: Assessment, aggregate: Aggregate, run: Run, end: Delivered) -> Finding:
    """S210, with the vendor's own message; a warning where a later run brought a file."""
    rank = aggregate.lifecycle.rank
    steps = [one for one in run.candidate.in_order(aggregate.lifecycle) if not one.step.closes]
    state = max(steps, key=lambda one: rank[one.step.name]).step.state if steps else "beginning"
    said = _decode(end.data).get("message")
    later = aggregate.last_with_evidence > run.number
    value = f": {said}" if isinstance(said, str) and said else ""
    return assessment.make(
        S210,
        words={"state": activity(state), "value": value},
        where=end,
        aggregate=aggregate,
        run=run,
        before=state if steps else ABSENT,
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


def _slow(assessment: Assessment, aggregate: Aggregate, run: Run) -> Iterator[Finding]:
    """T303: a step took longer than its limit, and then came."""
    originals = run.candidate.originals
    for step in aggregate.lifecycle.limits:
        one = originals.get(step.name)
        if one is None or len(originals) == 1:
            continue
        following = aggregate.lifecycle.table[step.state]
        later = [other for other in originals.values() if other.step.name in following]
        if step.awaits:
            later = [other for other in later if other.step.name == step.awaits]
        first = min(later, key=lambda other: other.at, default=None)
        if first is not None and first.at - one.at > getattr(assessment.context.windows, step.limit):
            yield assessment.make(
                T303,
                words={"delay": duration(first.at - one.at)},
                where=first,
                aggregate=aggregate,
                run=run,
                before=step.state,
            )
