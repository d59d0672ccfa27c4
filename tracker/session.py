"""One session: its aggregates, and the rules between them. Pure: time arrives with the deliveries.

``judge`` lets one delivery move the session and says what it was. ``settle`` gives the session as
it stands at a moment, after every deadline up to then has passed, and leaves the one it was given
alone. ``fold`` is ``judge`` over many. The same deliveries in the same order give the same states
and findings, in whatever portions they come.

What is in a stream without a session (a resource, the unrouted) is folded in the same way; the
rules that need a session's beginning and end do not apply to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

import attrs

from tracker.aggregate import (
    LOST,
    SAME_AGE,
    Aggregate,
    Certainty,
    Judgement,
    Reading,
    Run,
    copied_after,
    delay,
    evolve,
    gap,
    give_up,
    is_copy,
    leave_early,
    limit_of,
    overdue,
    plus,
    read,
    reproach,
    withdraw,
)
from tracker.doubt import (
    UNTOLD,
    charge,
    charge_withdrawal,
    cheapest,
    doubts,
    is_too_long,
    let_pass,
    settle_upon,
    settled_upon,
    tell_instead,
    weigh,
)
from tracker.envelope import UNVERIFIED, isoformat, parse_time
from tracker.findings import CATALOGUE, Finding
from tracker.lifecycle import ABSENT
from tracker.rules import Rules
from tracker.values import copier, frozen
from tracker.webhook import MALFORMED, MISSING_FIELD, UNKNOWN_TYPE, Delivery, camel_case

SessionState = Literal["live", "ended", "presumed-ended", "unknown"]

SELF_STOPPED = "S203"
"""A stop nobody asked for; near the session's end it needs no explanation."""

STARTED, ENDED = ("session-started",), ("session-ended",)

UNMOVED = ("redelivered", "repeated", "conflict")
"""Readings of what had come before."""
DOUBLED = 0.75
"""The share of what came that must have come twice for a session to have two channels."""
MOST_ECHOES = 99
"""Copies of one session that are remembered."""
Key = tuple[tuple[str, str], ...]
AggregateKey = tuple[str, Key]
DEFAULT_RULES = Rules()


@attrs.define
class _Numbers:
    """Gives each finding of a session its number."""

    last: int = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.last += 1
        return self.last


@frozen
class Echo:
    """A copy of the step at ``of``, how much later than it came, and the run that it moved nevertheless."""

    aggregate: AggregateKey
    step: str
    of: int | None
    position: int
    at: datetime
    age: timedelta
    run: int = 0


@attrs.define(eq=False)
class Session:
    """What is known of one session; ``stream`` is where its deliveries are stored.

    ``started_at`` and ``ended_at`` are the session's own clock times where it sent valid ones, else
    the receive times; ``end_heard`` is a receive time. ``idle`` is when nothing was heard of it for so
    long that it was presumed to have ended. ``echoes`` are the copies that came: several
    that are equally old were sent again together. ``next_deadline`` is never later than the first
    moment at which time alone changes something.
    """

    stream: str
    session_id: str | None = None
    meeting_id: str | None = None
    aggregates: dict[AggregateKey, Aggregate] = attrs.field(factory=dict)
    findings: list[Finding] = attrs.field(factory=list)
    deliveries: int = 0
    first_position: int | None = None
    last_position: int | None = None
    end_position: int | None = None
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    started: bool = False
    ended: bool = False
    presumed_ended: bool = False
    closed_out: bool = False
    active: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end_heard: datetime | None = None
    next_deadline: datetime | None = None
    idle: list[tuple[datetime, datetime]] = attrs.field(factory=list)
    echoes: list[Echo] = attrs.field(factory=list)
    absent: list[Finding] = attrs.field(factory=list)
    artefacts: dict[tuple[str, str], tuple[str, Key, int]] = attrs.field(factory=dict)
    named: set[str] = attrs.field(factory=set)
    provisional: list[Finding] = attrs.field(factory=list)
    numbers: _Numbers = attrs.field(factory=_Numbers)

    @property
    def state(self) -> SessionState:
        if self.ended:
            return "ended"
        if self.presumed_ended:
            return "presumed-ended"
        return "live" if self.active else "unknown"

    @property
    def certainty(self) -> Certainty:
        if self.presumed_ended:
            return "contested"
        return "sure" if self.started else "inferred"

    def all_findings(self) -> list[Finding]:
        """Every finding in the order raised, retracted ones too."""
        found = list(self.findings)
        for aggregate in self.aggregates.values():
            found.extend(aggregate.taken_back)
            for run in aggregate.runs:
                found.extend(run.findings)
        found.sort(key=lambda finding: finding.number)
        return found

    def runs(self, *, untold: bool = False) -> Iterator[Run]:
        """The runs of all aggregates; with ``untold``, those of the stories that are not told as well."""
        for aggregate in self.aggregates.values():
            for story in (aggregate, *aggregate.others) if untold else (aggregate,):
                yield from story.runs

    def copy(self) -> Session:
        copied = _same_session(self)
        copied.aggregates = {key: aggregate.copy() for key, aggregate in self.aggregates.items()}
        copied.findings = [finding.copy() for finding in self.findings]
        copied.named, copied.idle, copied.echoes = set(self.named), list(self.idle), list(self.echoes)
        copied.artefacts, copied.numbers = dict(self.artefacts), _Numbers(self.numbers.last)
        found = {finding.number: finding for finding in copied.all_findings()}
        copied.provisional = [one for one in found.values() if one.verdict == "provisional"]
        copied.absent = [found[finding.number] for finding in self.absent]
        return copied


_same_session = copier(Session)


def fold(deliveries: Iterable[Delivery], rules: Rules = DEFAULT_RULES) -> Session | None:
    """The session of these deliveries, which are all of one stream; ``None`` if there are none."""
    session = None
    for delivery in deliveries:
        session = session or Session(delivery.stream, delivery.session_id)
        judge(session, delivery, rules)
    return session


def judge(session: Session, delivery: Delivery, rules: Rules = DEFAULT_RULES) -> Judgement:
    """Lets one delivery move the session. Never raises, whatever was delivered."""
    at, due = delivery.received_at, session.next_deadline
    if at is not None and due is not None and at > due:  # what comes at the very end of a window is inside it
        _pass_time(session, at - timedelta.resolution, rules)
    _hear(session, delivery, rules)
    judgement = (
        _judge_routed(session, delivery, rules) if delivery.step else _judge_unrouted(session, delivery, rules)
    )
    if delivery.received.verified_by != UNVERIFIED or "C514" in session.named:
        return judgement
    session.named.add("C514")
    found = _reproach(session, "C514", rules, delivery=delivery, words={"type": delivery.topic})
    return attrs.evolve(judgement, findings=(*judgement.findings, found))


def _judge_routed(session: Session, delivery: Delivery, rules: Rules) -> Judgement:
    lifecycle = delivery.lifecycle
    assert lifecycle is not None
    key = lifecycle.name, delivery.key
    aggregate = session.aggregates.get(key)
    if aggregate is None:
        aggregate = session.aggregates[key] = Aggregate(lifecycle, delivery.key)
    label = aggregate.label
    echoes = _echoes(session, aggregate, delivery, rules)
    beside = (
        bool(echoes)
        and lifecycle.restarts
        and (_witnessed(session, aggregate, echoes) or _doubled(session, echoes[-1]))
    )
    reading = read(aggregate, delivery, rules, ended=session.ended, echoes=beside)
    stories = _stories(session, aggregate, delivery, reading, rules, echoes=beside)
    charge(aggregate, delivery, reading, rules, ended=session.ended, witnessed=beside)
    judgement = evolve(aggregate, delivery, reading, rules, session.numbers)
    assert judgement.run is not None
    run = aggregate.runs[judgement.run - 1]
    raised = list(judgement.findings)
    if echoes and reading not in UNMOVED:
        session.echoes[-1] = echoes[-1] = attrs.evolve(echoes[-1], run=judgement.run)
    if len(echoes) > 1 and _is_echo(session, echoes[-1]):
        raised.extend(_take_back(session, echoes, rules))
    if reading not in UNMOVED:
        raised.extend(_judge_step(session, aggregate, run, delivery, rules, judgement, label))
        if lifecycle.subject or lifecycle.visits:
            raised.extend(_judge_subject(session, aggregate, run, delivery, rules, judgement))
    if stories:
        judgement, raised = _weigh(
            session, aggregate, delivery, rules, judgement, stories, raised, witnessed=beside
        )
        run = aggregate.runs[-1]
    if session.session_id is not None:
        raised.extend(_judge_start(session, aggregate, run, delivery, rules))
    _expect(session, run.undecided_until)
    _expect(session, limit_of(aggregate, run, rules))
    if not raised:
        return judgement
    for finding in raised:
        _own(session, finding)
        _expect(session, finding.deadline)
        if finding.verdict == "provisional":
            session.provisional.append(finding)
    told = tuple(finding for finding in raised if finding.position == delivery.position)
    return attrs.evolve(judgement, findings=told) if told != judgement.findings else judgement


def _judge_step(
    session: Session,
    aggregate: Aggregate,
    run: Run,
    delivery: Delivery,
    rules: Rules,
    judgement: Judgement,
    label: str = "",
) -> list[Finding]:
    """What a step that moved its run can be reproached with, beside the move itself."""
    found: list[Finding] = []
    lifecycle = aggregate.lifecycle
    if lifecycle.has_content or label != aggregate.label:
        found.extend(_judge_content(session, aggregate, run, delivery, rules, judgement, label))
    if session.ended:
        found.extend(_judge_frame(session, aggregate, run, delivery, rules, judgement))
    if lifecycle.shared and judgement.reading in ("advanced", "skipped-ahead"):
        found.extend(_judge_artefacts(session, aggregate, run, delivery, rules, judgement))
    return found


def _stories(
    session: Session, aggregate: Aggregate, delivery: Delivery, reading: Reading, rules: Rules, *, echoes: bool
) -> list[tuple[Aggregate, Reading, bool]]:
    """The stories that are followed beside the one told, and what each takes the delivery for."""
    found: list[tuple[Aggregate, Reading, bool]] = []
    first = reading == "advanced" and len(aggregate.runs) < 2  # there is nothing else that it could be of
    if not aggregate.lifecycle.restarts or (first and not aggregate.others):
        return found
    too_long = is_too_long(aggregate)
    if aggregate.others and (too_long or settled_upon(aggregate, delivery.received_at, rules)):
        settle_upon(aggregate)
    if too_long:
        return found
    for story in aggregate.others:
        let_pass(story, delivery.received_at, rules)
        other = read(story, delivery, rules, ended=session.ended, echoes=echoes)
        found.append((story, other, False))
        found.extend(
            (story.fork(), *doubt) for doubt in doubts(story, delivery, other, rules, ended=session.ended)
        )
    found.extend(
        (aggregate.fork(), *doubt) for doubt in doubts(aggregate, delivery, reading, rules, ended=session.ended)
    )
    alone = read(aggregate, delivery, rules, ended=session.ended) if echoes else reading
    if alone != reading:  # what came beside it may be as old by chance
        found.append((aggregate.fork(), alone, False))
    return found


def _weigh(
    session: Session,
    aggregate: Aggregate,
    delivery: Delivery,
    rules: Rules,
    judgement: Judgement,
    stories: list[tuple[Aggregate, Reading, bool]],
    raised: list[Finding],
    *,
    witnessed: bool,
) -> tuple[Judgement, list[Finding]]:
    """Moves the other stories too, and tells the cheapest."""
    judgements = {}
    for story, reading, before in stories:
        charge(story, delivery, reading, rules, ended=session.ended, witnessed=witnessed)
        judgements[id(story)] = moved = evolve(story, delivery, reading, rules, UNTOLD, before=before)
        assert moved.run is not None
        if reading not in UNMOVED:
            _judge_step(session, story, story.runs[moved.run - 1], delivery, rules, moved)
    aggregate.others = tuple(story for story, _, _ in stories)
    best, contested = weigh(aggregate, rules, delivery.received_at)
    if best is not aggregate:
        judgement, raised = judgements[id(best)], _tell_instead(session, aggregate, best, raised)
    for run in aggregate.runs[-2:]:
        run.contested = contested and run is aggregate.runs[-1]
    return judgement, raised


def _tell_instead(
    session: Session, aggregate: Aggregate, story: Aggregate, fresh: list[Finding]
) -> list[Finding]:
    """Tells another story of an aggregate. What that finds, with what was found but not told yet."""
    before = {id(found) for run in aggregate.runs for found in run.findings}
    raised = [found for found in fresh if id(found) not in before]
    raised.extend(tell_instead(aggregate, story, session.numbers, fresh))
    session.provisional = [found for found in session.provisional if id(found) not in before]
    for run in aggregate.runs:
        for found in run.findings:
            _own(session, found)
            if found.verdict == "provisional" and found not in raised:
                session.provisional.append(found)
                _expect(session, found.deadline)
    by_number = {found.number: found for run in aggregate.runs for found in run.findings}
    told = [found for found in session.absent if id(found) not in before or found.number in by_number]
    session.absent = [by_number.get(found.number, found) for found in told]
    return raised


def settle(session: Session, as_of: datetime | None, rules: Rules = DEFAULT_RULES) -> Session:
    """The session as it stands at ``as_of``; the one given stays as it is.

    Where no receive time is known no deadline can pass: what is open then stays ``undecided``.
    """
    due = as_of is not None and session.next_deadline is not None and session.next_deadline <= as_of
    timeless = session.end_heard is None and session.ended and not session.closed_out
    undecided = any(_timeless(finding) for finding in session.provisional)
    return conclude(session.copy(), as_of, rules) if due or timeless or undecided else session


def conclude(session: Session, as_of: datetime | None, rules: Rules = DEFAULT_RULES) -> Session:
    """``settle`` for a session that nothing more will be told of: it is changed, and no copy is made."""
    if session.end_heard is None and session.ended and not session.closed_out:
        # First, so that a later moment finds what an earlier one did.
        for finding in _close_out(session, None, rules):
            finding.verdict = "undecided"
            _own(session, finding)
    if as_of is not None:
        _pass_time(session, as_of, rules)
    for finding in session.provisional:
        if _timeless(finding):
            finding.verdict = "undecided"
    return session


def _timeless(finding: Finding) -> bool:
    """Whether no deadline will ever decide on it."""
    return finding.verdict == "provisional" and finding.deadline is None


def standing(session: Session) -> Iterator[Finding]:
    """Its findings that no later delivery has explained."""
    return (finding for finding in session.all_findings() if finding.verdict != "retracted")


def next_deadline(session: Session, rules: Rules = DEFAULT_RULES) -> datetime | None:
    """The first moment at which time alone changes something; ``None`` if it never will."""
    return min((when for when, _ in _deadlines(session, rules)), default=None)


def _hear(session: Session, delivery: Delivery, rules: Rules) -> None:
    at = delivery.received_at
    session.deliveries += 1
    session.last_position = delivery.position
    if session.first_position is None:
        session.first_position = delivery.position
    if at is not None and session.last_seen_at is not None and at - session.last_seen_at >= rules.session_idle:
        session.idle.append((session.last_seen_at, at))
    if at is not None:
        if session.first_seen_at is None or at < session.first_seen_at:
            session.first_seen_at = at
        if session.last_seen_at is None or at > session.last_seen_at:
            session.last_seen_at = at
    if session.presumed_ended and at is not None:
        session.presumed_ended = False
        for finding in session.findings:
            if finding.code == "T304":
                finding.verdict = "retracted"
    if session.meeting_id is None:
        session.meeting_id = delivery.meeting_id
        for finding in session.all_findings() if session.meeting_id else ():
            finding.meeting_id = session.meeting_id
    session.active = session.active or (delivery.lifecycle is not None and session.session_id is not None)
    if session.active:
        _expect(session, plus(session.last_seen_at, rules.session_idle))


def _echoes(session: Session, aggregate: Aggregate, delivery: Delivery, rules: Rules) -> list[Echo]:
    """The copies that were sent again together with this one: they are as old. None if this is no copy.

    Somebody who comes in again after having left is no copy.
    """
    at, lifecycle, step = delivery.received_at, aggregate.lifecycle, delivery.step
    if at is None or step is None or not aggregate.runs:
        return []
    if lifecycle.visits and aggregate.runs[-1].closed and not step.closes:
        return []
    name, key = step.name, (lifecycle.name, aggregate.key)
    copies = []
    for run in aggregate.runs[:-4:-1]:
        age = copied_after(run, delivery, rules)
        if age is not None:
            copies.append(Echo(key, name, run.steps[name].position, delivery.position, at, age))
    if not copies:
        return []
    if copies[0].age <= rules.fast_redelivery:
        session.echoes = [*session.echoes[-MOST_ECHOES:], copies[0]]
        return []
    alike = [(_as_old(session, copy.age), copy) for copy in copies]
    others, echo = next((each for each in alike if each[0]), alike[0])
    session.echoes = [*session.echoes[-MOST_ECHOES:], echo]
    return [*others, echo]


def _as_old(session: Session, age: timedelta) -> list[Echo]:
    return [one for one in session.echoes if abs(one.age - age) <= SAME_AGE and _is_echo(session, one)]


def _doubled(session: Session, echo: Echo) -> bool:
    """Whether everything comes twice in this session, and this would be the second time.

    All that came before what it is a copy of, and can come but once, must have been told twice.
    """
    copied = {one.of for one in session.echoes[:-1] if _is_echo(session, one)}
    if echo.of in copied:
        return False
    once = [
        step.position in copied
        for aggregate in session.aggregates.values()
        if not aggregate.lifecycle.restarts
        for run in aggregate.runs
        for step in run.steps.values()
        if step.at is not None and step.at <= echo.at - echo.age
    ]
    return sum(once) >= 2 and sum(once) >= DOUBLED * len(once)


def _is_echo(session: Session, echo: Echo) -> bool:
    """Whether nothing speaks against it: it is no step of a run, unless that may be none as well."""
    aggregate = session.aggregates[echo.aggregate]
    *earlier, latest = aggregate.runs[-3:]
    if echo.run < latest.number and (echo.run or any(_is_step_of(run, echo) for run in earlier)):
        return False
    return not _is_step_of(latest, echo) or _is_proven_copy(aggregate, echo.age)


def _witnessed(session: Session, aggregate: Aggregate, echoes: list[Echo]) -> bool:
    """Whether what came again beside this aggregate's step shows that all of it was sent again.

    What can be begun anew by one button with it shows nothing, unless a run would have been given up
    for it. And where all was sent again, nothing is missing of what had come in between.
    """
    key = aggregate.lifecycle.name, aggregate.key
    open_still = not aggregate.runs[-1].closed and (len(aggregate.runs) == 1 or aggregate.runs[-1].replaced)
    beside = [session.aggregates[one.aggregate].lifecycle for one in echoes if one.aggregate != key]
    if not beside or (not open_still and all(lifecycle.restarts for lifecycle in beside)):
        return False
    again = {(one.aggregate, one.step) for one in echoes}
    places = {one.position for one in echoes}
    first, last = min(one.at - one.age for one in echoes), max(one.at - one.age for one in echoes)
    for other, found in session.aggregates.items():
        for run in found.runs:
            for name, step in run.steps.items():
                between = step.at is not None and first < step.at < last and step.position not in places
                if between and (other, name) not in again:
                    return False
    return True


def _is_proven_copy(aggregate: Aggregate, age: timedelta) -> bool:
    """Whether the latest run is a copy in more than one step: one alone may be as old by chance."""
    return len(aggregate.runs[-1].steps) > 1 and is_copy(aggregate, age)


def _is_step_of(run: Run, echo: Echo) -> bool:
    return any(step.position == echo.position for step in run.steps.values())


def _take_back(session: Session, echoes: list[Echo], rules: Rules) -> Iterator[Finding]:
    """The runs that were none: all of their steps are echoes, as something else shows."""
    for key in dict.fromkeys(one.aggregate for one in echoes):
        aggregate = session.aggregates[key]
        runs = aggregate.runs[-2:]
        beside = any(one.aggregate == key and any(one.step not in run.steps for run in runs) for one in echoes)
        if (beside or _witnessed(session, aggregate, echoes)) and _is_proven_copy(aggregate, echoes[-1].age):
            settle_upon(aggregate)
            yield from withdraw(aggregate, "D101", rules, session.numbers)


def _judge_unrouted(session: Session, delivery: Delivery, rules: Rules) -> Judgement:
    code, raised = delivery.unrouted, tuple[Finding, ...]()
    if code in (MALFORMED, MISSING_FIELD) or delivery.topic not in session.named:
        words = {"type": delivery.topic, "value": delivery.problem}
        raised = (_reproach(session, code, rules, delivery=delivery, words=words),)
    if code == UNKNOWN_TYPE:
        session.named.add(delivery.topic)
    return Judgement("unrouted", findings=raised)


def _judge_start(
    session: Session, aggregate: Aggregate, run: Run, delivery: Delivery, rules: Rules
) -> Iterator[Finding]:
    """X401, and C501: whether this session began, and whether it is the one we think it is."""
    if aggregate.lifecycle.frame:
        _frame_heard(session, run, delivery, rules)
    if session.started:
        for finding in session.provisional:
            if finding.code == "X401":
                finding.verdict = "retracted"
    elif "X401" not in session.named:
        session.named.add("X401")
        finding = _reproach(
            session, "X401", rules, delivery=delivery, missing=STARTED, words={"type": delivery.type or ""}
        )
        finding.verdict = "provisional"
        finding.deadline = plus(delivery.received_at, rules.lateness)
        yield finding
    meeting = delivery.meeting_id
    if meeting and meeting != session.meeting_id and f"meeting {meeting}" not in session.named:
        session.named.add(f"meeting {meeting}")
        words = {"type": delivery.type or "", "value": meeting, "state": session.meeting_id or ""}
        yield _reproach(session, "C501", rules, delivery=delivery, words=words)


def _frame_heard(session: Session, run: Run, delivery: Delivery, rules: Rules) -> None:
    """The session's own lifecycle moved: when did it start and end, by its clock or else by ours?"""
    lifecycle, step = delivery.lifecycle, delivery.step
    assert lifecycle is not None
    assert step is not None
    start, end = (parse_time(run.data.get(name, "")) for name in lifecycle.times)
    if step.name in lifecycle.starts:
        session.started = True
        session.started_at = session.started_at or start or delivery.received_at
    session.started_at = session.started_at or start
    if step.closes and not session.ended:
        session.ended = True
        session.end_heard, session.end_position = delivery.received_at, delivery.position
        session.ended_at = end or delivery.received_at
        _expect(session, plus(session.end_heard, rules.grace))
        for other in session.runs(untold=True):
            for finding in other.standing(SELF_STOPPED):
                if gap(finding.at, session.end_heard) <= rules.self_stop:
                    _excuse(finding, rules)


def _judge_frame(
    session: Session, aggregate: Aggregate, run: Run, delivery: Delivery, rules: Rules, judgement: Judgement
) -> Iterator[Finding]:
    """X402 and D104: what may begin and what may end after the session has ended."""
    lifecycle, step = aggregate.lifecycle, delivery.step
    assert step is not None
    if run.outlives or lifecycle.frame:
        return
    blame = partial(_reproach_run, session, aggregate, run, rules, delivery, judgement)
    words = {"delay": delay(session.end_heard, delivery.received_at)}
    begun = judgement.reading in ("advanced", "new-run", "skipped-ahead") and not step.closes
    if begun and lifecycle.after_end and sum(not taken.inferred for taken in run.steps.values()) == 1:
        yield blame(lifecycle.after_end, words)
    elif step.closes and lifecycle.settled_after_end and judgement.reading in ("advanced", "skipped-ahead"):
        yield blame(lifecycle.settled_after_end, words)
    for finding in run.standing(SELF_STOPPED):
        if finding.position == delivery.position:
            _excuse(finding, rules)


def _excuse(finding: Finding, rules: Rules) -> None:
    """What stops with the session was not stopped by anybody, unless the user's rules see it otherwise."""
    if finding.code not in rules.severity:
        finding.severity = "info"


def _judge_content(
    session: Session,
    aggregate: Aggregate,
    run: Run,
    delivery: Delivery,
    rules: Rules,
    judgement: Judgement,
    label: str,
) -> Iterator[Finding]:
    """C502, C503, C505, C507, C510, T305, T306: what the payload itself can be reproached with."""
    lifecycle, step, payload = aggregate.lifecycle, delivery.step, delivery.payload
    assert step is not None
    blame = partial(_reproach_run, session, aggregate, run, rules, delivery, judgement)
    if step.brings and not any(getattr(payload, name) for name in step.brings):
        words = {"field": " or ".join(_sent_names(step.brings))}
        yield blame("C507", words)
    for name in lifecycle.artefacts if lifecycle.contradicted else ():
        value = getattr(payload, name)
        if value is not None and value != run.data.get(name) and not any(run.standing(lifecycle.contradicted)):
            words = {"field": camel_case(name), "value": str(value)}
            yield blame(lifecycle.contradicted, words)
    for old, new in lifecycle.deprecated.items():
        if getattr(payload, old) is not None and not any(run.standing("C510")):
            words = dict(zip(("field", "value"), _sent_names((old, new)), strict=True))
            yield blame("C510", words)
    if lifecycle.visits and label and aggregate.label != label:
        words = {"name": label, "value": aggregate.label}
        yield blame("C505", words)
    earlier = None
    for name in lifecycle.times:
        text = getattr(payload, name)
        time = parse_time(text) if text is not None else None
        words = {"field": name, "value": str(text)}
        if text is not None and time is None:
            yield blame("T305", words)
        elif time is not None and lifecycle.retimed and (parse_time(run.data[name]) or time) != time:
            yield blame(lifecycle.retimed, words)
        elif earlier is not None and time is not None and time < earlier:
            yield blame("T306", words)
        earlier = time or earlier


def _judge_artefacts(
    session: Session, aggregate: Aggregate, run: Run, delivery: Delivery, rules: Rules, judgement: Judgement
) -> Iterator[Finding]:
    """C508: a file or url belongs to one run. What merely came again is not looked at."""
    lifecycle, payload = aggregate.lifecycle, delivery.payload
    owner = lifecycle.name, aggregate.key, run.number
    for name in lifecycle.artefacts:
        brought = getattr(payload, name)
        for value in _texts(brought) if brought is not None else ():
            first = session.artefacts.setdefault((lifecycle.name, value), owner)
            if first[1] == aggregate.key:  # as this story has it
                first = next(
                    (*owner[:2], one.number)
                    for one in aggregate.runs
                    if value in _texts(one.data.get(name)) or one is run
                )
            restarted = aggregate.runs[first[2] - 1].state == LOST if first[1] == aggregate.key else False
            if first != owner and not restarted and not any(run.standing(lifecycle.shared)):
                whose = " ".join((str(first[2]), *(word for _, word in first[1])))
                yield _reproach_run(
                    session,
                    aggregate,
                    run,
                    rules,
                    delivery,
                    judgement,
                    lifecycle.shared,
                    {"field": value, "value": whose},
                )


def _texts(value: Any) -> Iterator[str]:
    """The names in a payload field: it may hold one, or a file, or several."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from (text for text in attrs.astuple(item) if isinstance(text, str))


def _judge_subject(
    session: Session, aggregate: Aggregate, run: Run, delivery: Delivery, rules: Rules, judgement: Judgement
) -> Iterator[Finding]:
    """X405: whether the person whom a run is of was inside when it began."""
    lifecycle, step = aggregate.lifecycle, delivery.step
    assert step is not None
    if lifecycle.visits and session.absent:
        _was_inside(session, aggregate, delivery, judgement)
    if not lifecycle.subject:
        return
    begun = judgement.reading in ("advanced", "new-run", "skipped-ahead") and not step.closes
    if not begun or sum(not taken.inferred for taken in run.steps.values()) != 1:
        return
    anybody = next((one for one in session.aggregates.values() if one.lifecycle.visits), None)
    if anybody is None:
        return
    visits, subject = anybody.lifecycle, dict(aggregate.key)[lifecycle.subject]
    person = session.aggregates.get((visits.name, ((visits.key[0], subject),)))
    if person and _inside(person.runs[-1], delivery, rules):
        return
    words = {"name": person.name if person else subject}
    finding = _reproach_run(
        session, aggregate, run, rules, delivery, judgement, lifecycle.subject_absent, words
    )
    finding.missing = tuple(visits.webhook_type(name) for name in visits.table[ABSENT])
    finding.verdict, finding.deadline = "provisional", plus(delivery.received_at, rules.lateness)
    session.absent.append(finding)
    yield finding


def _inside(visit: Run, delivery: Delivery, rules: Rules) -> bool:
    """Whether somebody is inside, or was a moment ago: what two aggregates tell may cross on its way."""
    return not visit.closed or gap(visit.since, delivery.received_at) <= rules.lateness


def _was_inside(session: Session, aggregate: Aggregate, delivery: Delivery, judgement: Judgement) -> None:
    """A joined that comes late explains an absence; a left without joined says it better."""
    for finding in session.absent:
        if aggregate.key[0] in finding.key.items():
            joined = delivery.type in finding.missing and finding.verdict == "provisional"
            if joined or judgement.reading == "orphan":
                finding.verdict = "retracted"
    session.absent = [finding for finding in session.absent if finding.verdict != "retracted"]


Deadline = tuple[datetime, Callable[[], Iterable[Finding]]]


def _deadlines(session: Session, rules: Rules) -> Iterator[Deadline]:
    """What time alone will do, and when. Each deadline, once past, is not there any more."""
    for finding in session.provisional:
        if finding.verdict == "provisional" and finding.deadline is not None:
            yield finding.deadline, partial(_confirm, finding)
    for aggregate in session.aggregates.values():
        for run in aggregate.runs[-1:]:
            if run.tentative and run.undecided_until is not None:
                yield run.undecided_until, partial(_decide, session, aggregate, run, rules)
            limit = limit_of(aggregate, run, rules)
            if limit is not None:
                yield limit, partial(_overdue, session, aggregate, run, limit, rules)
    if session.ended and not session.closed_out and session.end_heard is not None:
        at = session.end_heard + rules.grace
        yield at, partial(_close_out, session, at, rules)
    if session.active and not session.ended and not session.presumed_ended and session.last_seen_at:
        idle = session.last_seen_at + rules.session_idle
        yield idle, partial(_presume_ended, session, idle, rules)


def _pass_time(session: Session, now: datetime, rules: Rules) -> None:
    """Lets every deadline up to ``now`` pass, the earliest first."""
    while session.next_deadline is not None and session.next_deadline <= now:
        waiting, session.provisional = session.provisional, []
        for finding in waiting:  # all at once: what one is confirmed of does not depend on the others
            if finding.verdict == "provisional":
                if finding.deadline is not None and finding.deadline <= now:
                    _confirm(finding)
                else:
                    session.provisional.append(finding)
        due = min(_deadlines(session, rules), key=lambda deadline: deadline[0], default=None)
        if due is not None and due[0] <= now:
            for finding in due[1]():
                _own(session, finding)
        else:
            session.next_deadline = due[0] if due else None


def _confirm(finding: Finding) -> Iterable[Finding]:
    finding.verdict = "settled"
    return ()


def _decide(session: Session, aggregate: Aggregate, run: Run, rules: Rules) -> Iterable[Finding]:
    """A run that nothing followed and that a copy may have begun: nobody can tell, and a copy is likelier."""
    first = next(taken for taken in run.steps.values() if not taken.inferred)
    age = gap(aggregate.runs[-2].steps[first.step].at, first.at)
    code = "D101" if age <= rules.fast_redelivery else "D105"
    charge_withdrawal(aggregate)
    return withdraw(aggregate, code, rules, session.numbers)


def _overdue(session: Session, aggregate: Aggregate, run: Run, at: datetime, rules: Rules) -> Iterable[Finding]:
    lifecycle = aggregate.lifecycle
    code = next(step.overdue for step in lifecycle.steps if step.state == run.state)
    finding = reproach(
        aggregate,
        run,
        code,
        rules,
        next(session.numbers),
        at=at,
        before=run.state,
        missing=tuple(name for name in lifecycle.table[run.state] if not lifecycle.by_name[name].outcome),
        since=run.since,
        words={"since": isoformat(run.since) if run.since else ""},
    )
    run.findings.append(finding)
    return _told_by_now(session, aggregate, cheapest(aggregate, rules, at), [finding])


def _told_by_now(
    session: Session, aggregate: Aggregate, story: Aggregate, fresh: list[Finding]
) -> list[Finding]:
    """What is found when time has passed, by the story to tell then."""
    if story is aggregate:
        return fresh
    raised = _tell_instead(session, aggregate, story, fresh)
    session.provisional.extend(found for found in raised if found.verdict == "provisional")
    return raised


def _close_out(session: Session, at: datetime | None, rules: Rules) -> list[Finding]:
    """The session is over and so is the time it had to finish: what is open will not end any more."""
    session.closed_out = True
    found: list[Finding] = []
    for aggregate in session.aggregates.values():
        if aggregate.others:
            best = cheapest(aggregate, rules, at, over=True)
            found.extend(_told_by_now(session, aggregate, best, []))
            settle_upon(aggregate)
        run, lifecycle = aggregate.run, aggregate.lifecycle
        if run is None or run.closed or run.outlives or not lifecycle.open_at_end:
            continue
        left = leave_early(aggregate, rules, session.numbers) if lifecycle.visits else None
        if left is not None:
            found.extend(left)
            continue
        if run.tentative:
            found.extend(_decide(session, aggregate, run, rules))
            continue
        state = run.state
        known = any(run.standing(lifecycle.after_end)) or any(overdue(lifecycle, run))
        give_up(lifecycle, run)
        if not known:
            finding = reproach(
                aggregate,
                run,
                lifecycle.open_at_end,
                rules,
                next(session.numbers),
                at=at,
                before=state,
                missing=lifecycle.endings,
                since=run.since,
                words={"state": state},
            )
            run.findings.append(finding)
            found.append(finding)
    return [*found, *_deserted(session, at, rules)]


def _deserted(session: Session, at: datetime | None, rules: Rules) -> Iterator[Finding]:
    """X407: a session that ended and had nobody inside, and nothing else."""
    if any(not aggregate.lifecycle.frame for aggregate in session.aggregates.values()):
        return
    for aggregate in session.aggregates.values():
        run, code = aggregate.runs[-1], aggregate.lifecycle.deserted
        if code:
            finding = reproach(aggregate, run, code, rules, next(session.numbers), at=at, words={})
            run.findings.append(finding)
            yield finding


def _presume_ended(session: Session, at: datetime, rules: Rules) -> list[Finding]:
    session.presumed_ended = True
    since = isoformat(session.last_seen_at) if session.last_seen_at else ""
    when = session.last_seen_at
    return [_reproach(session, "T304", rules, at=at, missing=ENDED, since=when, words={"since": since})]


def _expect(session: Session, deadline: datetime | None) -> None:
    if deadline is not None and (session.next_deadline is None or deadline < session.next_deadline):
        session.next_deadline = deadline


def _own(session: Session, finding: Finding) -> None:
    finding.session_id, finding.meeting_id = session.session_id, session.meeting_id


def _reproach_run(
    session: Session,
    aggregate: Aggregate,
    run: Run,
    rules: Rules,
    delivery: Delivery,
    judgement: Judgement,
    code: str,
    words: dict[str, str],
) -> Finding:
    before = judgement.state_before or ABSENT
    number = next(session.numbers)
    finding = reproach(aggregate, run, code, rules, number, delivery=delivery, before=before, words=words)
    run.findings.append(finding)
    return finding


def _reproach(
    session: Session,
    code: str,
    rules: Rules,
    *,
    delivery: Delivery | None = None,
    at: datetime | None = None,
    missing: tuple[str, ...] = (),
    since: datetime | None = None,
    words: dict[str, str],
) -> Finding:
    """A finding about the session itself."""
    entry = CATALOGUE[code]
    position = delivery.position if delivery else session.last_position
    lifecycle = delivery.lifecycle if delivery else None
    finding = Finding(
        next(session.numbers),
        code,
        entry.slug,
        rules.severity_of(code),
        "settled",
        session.session_id,
        session.meeting_id,
        lifecycle.name if lifecycle else None,
        dict(delivery.key) if delivery else {},
        None,
        position,
        () if position is None else (position,),
        delivery.received_at if delivery else at,
        None,
        None,
        missing,
        entry.message.format_map(words),
        missing=missing,
        since=since,
        type=delivery.type if delivery else None,
    )
    session.findings.append(finding)
    return finding


def _sent_names(fields: Iterable[str]) -> list[str]:
    return [camel_case(field) for field in fields]
