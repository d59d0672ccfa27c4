"""Findings that follow from the hypothesis that is held: what each run assumes, and what was a copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from tracker.findings import CATALOGUE, Finding
from tracker.judging import prices
from tracker.judging.context import Context
from tracker.judging.findings.maker import SURE, Assessment
from tracker.judging.hypothesis import Copy, Delivered, Hypothesis
from tracker.judging.sequence import Assumption, assumptions, ending, is_orphan, next_begun
from tracker.judging.state import OLD, Aggregate, Run
from tracker.judging.words import clock, duration
from tracker.lifecycle import ABSENT, Lifecycle

__all__ = ["of_aggregate"]

_decode = msgspec.json.Decoder(dict[str, object]).decode


def of_aggregate(assessment: Assessment, aggregate: Aggregate, *, is_ordinary: bool) -> Iterator[Finding]:
    """All that is found of the runs and copies of one aggregate."""
    lifecycle, held, context = aggregate.lifecycle, aggregate.held, assessment.context
    shares = _Shares(aggregate, context)
    candidates = held.all_runs()
    assumed: dict[int, list[Assumption]] = {run.number: [] for run in aggregate.runs}
    for candidate, one in () if is_ordinary else assumptions(lifecycle, candidates, context):
        if not one.by_time:
            assumed[candidate.number].append(one)
    for place, run in reversed(list(enumerate(aggregate.runs))):
        codes = {one.code for one in assumed[run.number]}
        for one in assumed[run.number]:
            if one.code in CATALOGUE:
                yield _of_assumption(assessment, aggregate, run, one, shares)
        if not run.candidate.closed and next_begun(lifecycle, candidates, place) is None:
            yield from _of_ending(assessment, aggregate, run, codes, shares)
        yield from _of_outcome(assessment, aggregate, run, codes)
    yield from _of_copies(assessment, aggregate, held.all_copies(), shares)


def _of_assumption(
    assessment: Assessment, aggregate: Aggregate, run: Run, one: Assumption, shares: _Shares
) -> Finding:
    lifecycle, context = aggregate.lifecycle, assessment.context
    confidence, alternatives = shares.of(one.code, one.where.position)
    since = one.since.at if one.since is not None else None
    if one.code == lifecycle.after_end and context.end is not None:
        since = context.end
    words = {
        "delay": duration(one.where.at - since if since is not None else None),
        "since": clock(since, one.where.at),
        "state": one.state or run.candidate.state.state,
    }
    add = _WORDS.get(one.code)
    words |= add(lifecycle, run, one) if add else {}
    until, severity, code = None, None, one.code
    if one.missing and one.state is not None:
        until = one.where.at + context.windows.lateness
    if code == "S203" and (context.needs_no_stop(one.where.at) or context.presumed):
        severity = "info"
    if code == "C504" and lifecycle.frame and one.since is not None and one.where.at - one.since.at <= _MINUTE:
        severity = "info"
    before = one.state if one.state is not None else run.candidate.state.state
    return assessment.make(
        code,
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
        severity=severity,  # type: ignore[arg-type]
    )


def _of_ending(
    assessment: Assessment, aggregate: Aggregate, run: Run, assumed: set[str], shares: _Shares
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
        undecided = True
    last = run.candidate.since
    confidence, alternatives = shares.of(overdue.code, last.position)
    words = {
        "since": clock(last.at, overdue.at),
        "state": run.candidate.state.state,
        "delay": duration(overdue.at - last.at),
    }
    if lifecycle.open_at_end == overdue.code and context.end is not None:
        words["value"] = clock(context.end, last.at)
    yield assessment.make(
        overdue.code,
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


def _of_outcome(assessment: Assessment, aggregate: Aggregate, run: Run, assumed: set[str]) -> Iterator[Finding]:
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
                    step.missed,
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
        yield assessment.make(lifecycle.settled_after_end, words=words, where=end, aggregate=aggregate, run=run)


def _failed(assessment: Assessment, aggregate: Aggregate, run: Run, end: Delivered) -> Finding:
    """S210, with the vendor's own message; a warning where a later run brought a file."""
    rank = aggregate.lifecycle.rank
    steps = [one for one in run.candidate.in_order(aggregate.lifecycle) if not one.step.closes]
    state = max(steps, key=lambda one: rank[one.step.name]).step.state if steps else "beginning"
    said = _decode(end.data).get("message")
    later = aggregate.last_with_evidence > run.number
    value = f": {said}" if isinstance(said, str) and said else ""
    return assessment.make(
        end.step.outcome,
        words={"state": state, "value": value},
        where=end,
        aggregate=aggregate,
        run=run,
        before=state if steps else ABSENT,
        severity="warning" if later else None,
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
                "T303",
                words={"delay": duration(first.at - one.at)},
                where=first,
                aggregate=aggregate,
                run=run,
                before=step.state,
            )


def _of_copies(
    assessment: Assessment, aggregate: Aggregate, copies: Sequence[Copy], shares: _Shares
) -> Iterator[Finding]:
    """D101, D105, S208: what came again."""
    old = False
    for copy in copies:
        confidence = 1.0 if copy.certain else shares.of_copy(copy.delivered.position)
        code = "D101" if confidence >= SURE else "D105"
        if not copy.certain and copy.age > OLD and not aggregate.lifecycle.frame:
            if old:
                continue
            code, old = "S208", True
        run = aggregate.runs[min(copy.run, len(aggregate.runs)) - 1]
        yield assessment.make(
            code,
            words={"delay": duration(copy.age), "state": run.state},
            where=copy.delivered,
            aggregate=aggregate,
            run=run,
            evidence=(copy.original.position,),
            confidence=confidence,
            alternatives=() if code == "D101" else ("a step of its own, of a run whose other steps were lost",),
        )


_MINUTE = 60_000_000


class _Shares:
    """How probable what the held hypothesis says is, by the prices of those that were kept beside it."""

    def __init__(self, aggregate: Aggregate, context: Context) -> None:
        self._lifecycle, self._context = aggregate.lifecycle, context
        self._all = (aggregate.held, *aggregate.alternatives)
        self._weights = prices.shares([one.price for one in self._all])
        self._found: list[set[tuple[str, int]]] | None = None
        self._instead: list[str] = []
        self._copies: list[set[int]] | None = None

    def of(self, code: str, position: int) -> tuple[float, tuple[str, ...]]:
        """The share of those that find this there, and what the likeliest of the others find instead."""
        if len(self._all) == 1:
            return 1.0, ()
        if self._found is None:
            self._found = [set(_codes(self._lifecycle, one, self._context)) for one in self._all]
            self._instead = [_other(found - self._found[0]) for found in self._found]
        share, instead = 0.0, list[str]()
        for place, weight in enumerate(self._weights):
            if (code, position) in self._found[place]:
                share += weight
            elif weight >= _WORTH_A_WORD and len(instead) < _MOST_ALTERNATIVES:
                instead.append(f"{self._instead[place]} ({weight:.0%})")
        return share, tuple(instead)

    def of_copy(self, position: int) -> float:
        """The share of those that take this for a copy."""
        if self._copies is None:
            self._copies = [{copy.delivered.position for copy in one.all_copies()} for one in self._all]
        pairs = zip(self._weights, self._copies, strict=True)
        return sum(weight for weight, copies in pairs if position in copies)


_WORTH_A_WORD = 0.02
_MOST_ALTERNATIVES = 3


def _other(found: set[tuple[str, int]]) -> str:
    """What another hypothesis finds that the held one does not."""
    codes = sorted(found, key=lambda one: one[1])[:_MOST_ALTERNATIVES]
    if not codes:
        return "a redelivery, and nothing is missing"
    return " and ".join(f"{CATALOGUE[code].slug} at #{position}" for code, position in codes)


def _codes(lifecycle: Lifecycle, held: Hypothesis, context: Context) -> Iterator[tuple[str, int]]:
    """What a hypothesis would find, and where."""
    for _, one in assumptions(lifecycle, held.all_runs(), context):
        if one.code in CATALOGUE:
            yield one.code, one.where.position


def _which_fields(lifecycle: Lifecycle, run: Run, one: Assumption) -> dict[str, str]:
    """Which fields differ: ``"filePath /a.mp4, then /b.mp4"``."""
    if one.since is None:
        return {}
    before, after = _decode(one.since.data), _decode(one.where.data)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    told = [f"{name} {_shown(before.get(name))}, then {_shown(after.get(name))}" for name in names[:3]]
    return {"value": "; ".join(told)}


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_LONGEST = 80


def _what_it_had(lifecycle: Lifecycle, run: Run, one: Assumption) -> dict[str, str]:
    before = one.since.step.state if one.since is not None else run.candidate.state.state
    return {"state": before}


_WORDS: dict[str, Callable[[Lifecycle, Run, Assumption], dict[str, str]]] = {
    "C504": _which_fields,
    "C516": _which_fields,
    "S214": _which_fields,
    "S215": _which_fields,
    "S209": _what_it_had,
}
