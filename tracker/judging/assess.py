"""Assessing: from what came of a session to its states and findings as of a moment.

The order matters, because evidence found in one aggregate explains another: first the session's own
lifecycle, which says when it ended; then the copies that are certain, whose ages show which others are
copies too; then the people, who show when somebody was inside; then everything else. ``as_of`` is an
argument, so a moment in the past is assessed like the present one, and nothing waits for a deadline:
``Session.next_change`` says when it is worth asking again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter

from msgspec.structs import replace

from tracker.delivery.payload import read_times
from tracker.delivery.webhook import Delivery
from tracker.findings import Finding
from tracker.judging.context import Context
from tracker.judging.evidence import set_evidence
from tracker.judging.findings import between, content, of_records, runs
from tracker.judging.findings.maker import Assessment, Finder
from tracker.judging.hypothesis import THE_END, Candidate, Hypothesis, micros, moment
from tracker.judging.log import NOTHING_KNOWN, LogView
from tracker.judging.presence import Presence
from tracker.judging.records import RecordsOf
from tracker.judging.search import Memo, hypotheses
from tracker.judging.sequence import ending, endings, may_end_until, next_begun, outlives
from tracker.judging.session import AggregateKey, Observed, ObservedAggregate, observe_all
from tracker.judging.state import AS_GOOD, Aggregate, Run, Session
from tracker.judging.visits import Visits
from tracker.lifecycle import Lifecycle
from tracker.rules import Rules

__all__ = ["assess", "assess_all", "assessment_of"]

DEFAULT_RULES = Rules()
Memos = dict[AggregateKey, Memo]
"""How far the search of each long aggregate has come."""


def assess(
    observed: Observed,
    as_of: datetime | None = None,
    rules: Rules = DEFAULT_RULES,
    log: LogView = NOTHING_KNOWN,
    *,
    over: bool = False,
    memos: Memos | None = None,
    visits: Visits | None = None,
) -> Session:
    """The session as it stands at ``as_of``, or where its last delivery was received.

    ``log`` is what the whole log says. ``over``: nothing more will come, so what a window leaves open is
    ``undecided``. The observed session is not changed, and the same deliveries give the same result; ``memos`` and
    ``visits`` only save judging again what was judged before.
    """
    return assessment_of(observed, as_of, rules, log, over=over, memos=memos, visits=visits).session


def assessment_of(
    observed: Observed,
    as_of: datetime | None = None,
    rules: Rules = DEFAULT_RULES,
    log: LogView = NOTHING_KNOWN,
    *,
    over: bool = False,
    memos: Memos | None = None,
    visits: Visits | None = None,
) -> Assessment:
    """The same, with what it was assessed by."""
    memos = {} if memos is None or observed.backwards else memos
    visits = None if observed.backwards or observed.records else visits
    if observed.backwards:
        observed = _in_order(observed)
    recorded = RecordsOf.known(observed.records) if observed.records else None
    if recorded is not None and not observed.deliveries:
        observed = of_records.timed(observed)
    dated = as_of is not None and (observed.first_at is not None or as_of >= THE_END)
    now = micros(as_of) if as_of is not None and dated else observed.last_at
    if recorded is not None and not dated and now is not None:
        now = max(now, *(one.at for one in observed.records.values()))
    context = Context(
        rules, log, observed.stream, log.lacking(observed.meeting_id, observed.account), as_of=now
    )
    session = _begun(observed, now)
    made = Assessment(observed, session, context, over)
    if recorded is not None:
        context.lacking |= recorded.not_subscribed
        session.records = recorded
        positions = [one.position for one in observed.records.values()]
        session.last_position = max(observed.last_position or 0, *positions)
    own, people, others = _turns(observed)
    held: dict[AggregateKey, Aggregate] = {}
    for key, one in own:
        held[key] = _held(made, one, memos.get(key))
    _presume_end(made)
    if recorded is not None:
        of_records.end(made, recorded)
    set_evidence(observed, {key: one.deliveries for key, one in observed.aggregates.items()}, context)
    if visits is not None:
        made.known = visits.known(people, context)
    for key, one in people:
        held[key] = made.known.get(key) or _held(made, one, memos.get(key))
    _set_presence(made, [held[key] for key, _ in people])
    for key, one in others:
        held[key] = _held(made, one, memos.get(key))
    session.aggregates = {key: held[key] for key in observed.aggregates}
    session.findings = _numbered(_findings(made) if recorded is None else _with_records(made, recorded))
    if visits is not None:
        visits.keep({key: held[key] for key, _ in people}, context)
    session.next_change = _next_change(made)
    session.in_doubt = _in_doubt(made)
    return made


def assess_all(
    deliveries: Iterable[Delivery],
    as_of: datetime | None = None,
    rules: Rules = DEFAULT_RULES,
    log: LogView = NOTHING_KNOWN,
) -> Session | None:
    """The session of these deliveries, which are all of one stream; ``None`` if there are none."""
    observed = observe_all(deliveries)
    return None if observed is None else assess(observed, as_of, rules, log)


def _begun(observed: Observed, now: int | None) -> Session:
    return Session(
        observed.stream,
        observed.session_id,
        observed.meeting_id,
        deliveries=observed.deliveries,
        first_position=observed.first_position,
        last_position=observed.last_position,
        first_seen_at=moment(observed.first_at) if observed.first_at is not None else None,
        last_seen_at=moment(observed.last_at) if observed.last_at is not None else None,
        active=observed.active,
        begun_at=moment(observed.begun) if observed.begun is not None else None,
        notes=observed.notes,
        links=observed.links,
        as_of=moment(now) if now is not None else None,
        account=observed.account,
        erased_at=observed.erased_at,
    )


def _in_order(observed: Observed) -> Observed:
    """The same, with the deliveries in the order in which they were received, as far as that is known."""
    aggregates = {
        key: replace(one, deliveries=sorted(one.deliveries, key=attrgetter("order")))
        for key, one in observed.aggregates.items()
    }
    return replace(observed, aggregates=aggregates)


Turn = list[tuple[AggregateKey, ObservedAggregate]]


def _turns(observed: Observed) -> tuple[Turn, Turn, Turn]:
    """What is judged first, next and last: the session's own lifecycle, the people, and all else."""
    own: Turn = []
    people: Turn = []
    others: Turn = []
    for each in observed.aggregates.items():
        lifecycle = each[1].lifecycle
        (own if lifecycle.is_session else people if lifecycle.is_presence else others).append(each)
    return own, people, others


def _held(assessment: Assessment, one: ObservedAggregate, memo: Memo | None) -> Aggregate:
    """What is held of one aggregate."""
    lifecycle, records = one.lifecycle, assessment.session.records
    found = hypotheses(lifecycle, one.deliveries, assessment.context, once=one.is_once, memo=memo)
    if lifecycle.is_session:
        _set_end(assessment, lifecycle, found[0])
    elif records is not None:
        found = records.weighed(lifecycle, one.key, found)
    return _aggregate(one, found, assessment)


def _set_end(assessment: Assessment, lifecycle: Lifecycle, held: Hypothesis) -> None:
    """When the session started and ended: by its own clock where it says so, else by ours."""
    session, context = assessment.session, assessment.context
    (run,) = held.all_runs()
    for one in run.originals.values():
        context.over = max(context.over, one.order)
        said = {name: time for name, _, time in read_times(lifecycle, one.data)}
        start, end = map(said.get, lifecycle.times)
        if one.step.closes:
            session.ended = True
            session.end_received_at, session.end_position = one.received_at, one.position
            session.ended_at = end or one.received_at
            session.started_at = session.started_at or start
            context.end = one.at
        else:
            session.started = True
            session.started_at = start or one.received_at


def _presume_end(assessment: Assessment) -> None:
    """When a session is taken as over that did not end: nothing came for long, or its room is in use again."""
    session, context, observed = assessment.session, assessment.context, assessment.observed
    windows = context.windows
    session.idle = [(moment(a), moment(b)) for a, b in observed.idle if b - a >= windows.session_idle]
    if session.ended or not session.active or observed.last_at is None:
        return
    idle = observed.last_at + windows.session_idle
    if observed.meeting_id is not None and observed.session_id is not None:
        context.next_begin = context.log.next_begin(observed.meeting_id, observed.last_at)
    if context.next_begin is not None and context.next_begin < idle:
        context.given_way = context.next_begin
    over = idle - windows.grace if context.given_way is None else context.given_way
    if assessment.passed(over + windows.grace):
        session.presumed_ended = context.presumed = True
        context.end = over


def _set_presence(assessment: Assessment, people: Sequence[Aggregate]) -> None:
    """When somebody was inside, and whether that is known."""
    context = assessment.context
    if people:
        assessment.presence = Presence(people, context.end if not context.presumed else None)
        assessment.session.presence_known = context.lacking.isdisjoint(people[0].lifecycle.types)
        context.find_occupied = assessment.presence.occupied
        context.find_left = assessment.presence.left


def _aggregate(one: ObservedAggregate, found: list[Hypothesis], assessment: Assessment) -> Aggregate:
    lifecycle, held, alternatives = one.lifecycle, found[0], found[1:]
    candidates = held.all_runs()
    is_in_order = held.price == 0 and held.copies is None and not alternatives
    states: list[Run] = []
    for place, candidate in enumerate(candidates):
        run = Run(lifecycle, candidate, one.key)
        states.append(run)
        if not candidate.closed:
            is_in_order = False
            run.lost = _is_lost(lifecycle, candidates, place, assessment)
    aggregate = Aggregate(lifecycle, one.key, one.deliveries, states, held, alternatives, is_in_order)
    if alternatives:
        assessment.searched.append(aggregate)
        last = states[-1]
        as_good = [other for other in alternatives if other.price - held.price <= AS_GOOD]
        state = last.candidate.state, last.candidate.closed
        last.contested = any((other.runs[-1].state, other.runs[-1].closed) != state for other in as_good)
    return aggregate


def _is_lost(lifecycle: Lifecycle, runs: Sequence[Candidate], place: int, assessment: Assessment) -> bool:
    """Whether the end of an open run will not come."""
    candidate, context = runs[place], assessment.context
    begun = next_begun(lifecycle, runs, place)
    if begun is not None:
        if context.as_of is None or not lifecycle.is_stopping(candidate.state.state):
            return True
        return assessment.passed(may_end_until(lifecycle, candidate, begun.first, context))
    if context.end is None or not lifecycle.open_at_end or context.as_of is None:
        return False
    overdue = ending(lifecycle, candidate, context)
    if overdue is not None and overdue.code == lifecycle.open_at_end:
        return assessment.passed(overdue.at)
    if outlives(lifecycle, candidate):
        return False
    return assessment.passed(max(context.end + context.windows.grace, candidate.since.at))


def _findings(assessment: Assessment) -> list[Finding]:
    session, known = assessment.session, assessment.known
    found: list[Finding] = []
    for key, aggregate in session.aggregates.items():
        if key in known and aggregate.runs[-1].candidate.closed:
            continue
        for find in _finders(aggregate.lifecycle, aggregate.is_in_order):
            for one in find(assessment, aggregate):
                aggregate.runs[(one.run or 1) - 1].findings.append(one)
                found.append(one)
    found += content.shared(assessment)
    found += content.of_deliveries(assessment)
    found += between.of_session(assessment)
    return found


@cache
def _finders(lifecycle: Lifecycle, is_in_order: bool) -> tuple[Finder, ...]:  # noqa: FBT001 - a key of the cache
    """What may find something of one aggregate alone, by what its lifecycle declares; of one in order that is little."""
    return (*runs.finders(lifecycle, is_in_order=is_in_order), *content.finders(lifecycle))


def _with_records(assessment: Assessment, recorded: RecordsOf) -> list[Finding]:
    """The same with what VideoSDK's own records add; what they explain is said to be so."""
    records = of_records.matched(assessment, recorded)
    return of_records.explained(_findings(assessment), list(of_records.found(assessment, records)), assessment)


def _numbered(findings: Iterable[Finding]) -> list[Finding]:
    """In the order of the deliveries, each with its place."""
    found = sorted(
        findings, key=lambda one: (one.position or 0, one.code, one.lifecycle or "", sorted(one.key.items()))
    )
    for number, one in enumerate(found, 1):
        one.number = number
    return found


def _next_change(assessment: Assessment) -> datetime | None:
    now = assessment.context.as_of
    if now is None:
        return None
    for aggregate in assessment.searched:
        for one in (aggregate.held, *aggregate.alternatives):
            found = endings(aggregate.lifecycle, one.runs, assessment.context)
            assessment.changes += [overdue.at for _, overdue in found]
    later = [at for at in assessment.changes if at > now]
    return moment(min(later)) if later else None


def _in_doubt(assessment: Assessment) -> bool:
    """Whether other evidence of the log could change what is held."""
    findings = assessment.session.findings
    return bool(assessment.searched) or any(one.missing or one.code in _DOUBTFUL for one in findings)


_DOUBTFUL = ("D101", "D102", "D105", "S208")
