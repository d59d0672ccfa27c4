"""What only shows when all sessions are looked at together: the **L** codes, T308 and X406.

``Traffic`` hears every delivery of a log in its order and remembers little: which types came, which
sessions were heard of last, when nothing came at all. It is judged as sessions are, by receive times
and positions, so it is the same after any replay, and small enough to be kept with a checkpoint.

- A type that never comes while those that should follow it do is one that nobody subscribed to (L603).
- A log that falls silent while many sessions are live has lost what came in the meantime (L601).

``explained`` gives a session in this light: what one of these explains is its consequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from tracker.aggregate import delay, gap, plus
from tracker.findings import CATALOGUE, Finding
from tracker.lifecycle import Lifecycle, Step
from tracker.rules import Rules
from tracker.session import ENDED, Session
from tracker.webhook import Delivery

STREAM = "log:"
"""In place of a session's stream, for what is found about the log."""
ENOUGH = 50
"""Webhooks that should have followed one that never came, before it counts as one that never will."""
RATE_SPAN = timedelta(hours=1)
"""The time before a silence from which the rate is taken."""
MANY = 1000
"""Sessions of that time that are remembered; the rate is then taken from a shorter time."""
EXPECTED = 20
"""Sessions that should have been heard of in a silence, by the rate before it."""
LIVE, LIVE_SHARE = 5, 4
"""At least so many sessions, and one of so many of those heard of, must be live for a silence to be none of the night."""
CLOCK = timedelta(seconds=1)
"""What the receive times of one source may go back by: several processes write to one log."""
INSTEAD = {"S206": "S210"}
"""What is left of a finding when the start that it lacks is one that nobody subscribed to."""
REACH = timedelta(hours=2)
"""Before the first that is heard of a session whose start is not known, it may have begun."""


@attrs.define
class Unheard:
    """A type that has not come: how many came that should have followed one, and the finding about it.

    ``came_at`` is the position at which it came after all.
    """

    followers: int = 0
    number: int = 0
    position: int = 0
    at: datetime | None = None
    came_at: int | None = None


@attrs.frozen
class Silence:
    """Nothing came between two receive times, though so many of so many sessions were live."""

    number: int
    position: int
    since: datetime
    until: datetime
    live: int
    of: int


@attrs.frozen
class Backwards:
    """The first delivery of a source that was received before the one in front of it."""

    number: int
    position: int
    source: str
    type: str
    at: datetime
    before: datetime


@attrs.define
class Traffic:
    """What is known of a whole log. ``recent`` is when each session was heard of last, and whether it is live."""

    newest: datetime | None = None
    oldest: datetime | None = None
    last_number: int = 0
    unheard: dict[str, dict[str, Unheard]] = attrs.field(factory=dict)
    recent: dict[str, tuple[datetime, bool]] = attrs.field(factory=dict)
    ends_are_told: bool = False
    silences: list[Silence] = attrs.field(factory=list)
    clocks: dict[str, datetime] = attrs.field(factory=dict)
    backwards: list[Backwards] = attrs.field(factory=list)

    def hear(self, delivery: Delivery, rules: Rules) -> list[str]:
        """Takes in the next delivery of the log; gives the types of which it is now told otherwise that they miss."""
        if delivery.received_at is not None:
            self._hear_time(delivery, delivery.received_at, rules)
        if delivery.lifecycle is None or delivery.step is None:
            return []
        unheard = self.unheard.get(delivery.lifecycle.name)
        if unheard is None:
            unheard = self.unheard[delivery.lifecycle.name] = _all_unheard(delivery.lifecycle)
        return self._hear_type(delivery, delivery.lifecycle, delivery.step, unheard, rules) if unheard else []

    def findings(self, rules: Rules) -> Iterator[Finding]:
        """What is found about the log itself."""
        for backwards in self.backwards:
            words = {"type": backwards.type, "value": backwards.source or "the log"}
            words["delay"] = delay(backwards.at, backwards.before)
            yield _finding("T308", backwards.number, backwards.position, backwards.at, rules, words)
        for silence in self.silences:
            words = {
                "delay": delay(silence.since, silence.until),
                "value": str(silence.live),
                "type": str(silence.of),
            }
            found = _finding("L601", silence.number, silence.position, silence.until, rules, words)
            found.since = silence.since
            yield found
        for lifecycle, types in self.unheard.items():
            for name, unheard in types.items():
                if unheard.number:
                    words = {"type": name, "value": str(ENOUGH)}
                    found = _finding("L603", unheard.number, unheard.position, unheard.at, rules, words)
                    found.lifecycle = lifecycle
                    yield found

    def as_known(self, at: int | None = None, as_of: datetime | None = None) -> Traffic:
        """What was known of it right after a position, or at a moment."""
        if at is None and as_of is None:
            return self

        def known(position: int, time: datetime | None) -> bool:
            if at is not None:
                return position <= at
            return as_of is None or time is None or time <= as_of

        return attrs.evolve(
            self,
            silences=[one for one in self.silences if known(one.position, one.until)],
            unheard={
                lifecycle: {name: one for name, one in types.items() if known(one.position, one.at)}
                for lifecycle, types in self.unheard.items()
            },
        )

    def _number(self) -> int:
        self.last_number -= 1  # those of sessions count upwards, so two at one position differ
        return self.last_number

    def _hear_time(self, delivery: Delivery, at: datetime, rules: Rules) -> None:
        source = delivery.received.source.rpartition(":")[0]
        before = self.clocks.get(source)
        if (
            before is not None
            and at < before
            and before - at >= CLOCK
            and all(one.source != source for one in self.backwards)
        ):
            self.backwards.append(
                Backwards(self._number(), delivery.position, source, delivery.topic, at, before)
            )
        self.clocks[source] = at
        if self.oldest is None or at < self.oldest:
            self.oldest = at
        if self.newest is None or at > self.newest:
            if self.newest is not None and at - self.newest >= rules.silence:
                self._hear_silence(delivery.position, self.newest, at)
            self.newest = at
        if delivery.session_id is not None:
            self._hear_session(delivery, at)

    def _hear_session(self, delivery: Delivery, at: datetime) -> None:
        lifecycle, step = delivery.lifecycle, delivery.step
        _, live = self.recent.pop(delivery.stream, (at, True))
        if lifecycle is not None and lifecycle.frame and step is not None and step.closes:
            live, self.ends_are_told = False, True
        self.recent[delivery.stream] = at, live
        if len(self.recent) > 2 * MANY:
            self.recent = dict(list(self.recent.items())[-MANY:])

    def _hear_silence(self, position: int, since: datetime, until: datetime) -> None:
        begin = max(since - RATE_SPAN, self.oldest or since)
        heard = [entry for entry in self.recent.values() if entry[0] >= begin][-MANY:]
        live, of = sum(is_live for _, is_live in heard), len(heard)
        span = since - (heard[0][0] if of == MANY else begin)
        if (
            self.ends_are_told
            and live >= LIVE
            and live * LIVE_SHARE >= of
            and of * (until - since) >= EXPECTED * span
        ):
            self.silences.append(Silence(self._number(), position, since, until, live, of))

    def _hear_type(
        self,
        delivery: Delivery,
        lifecycle: Lifecycle,
        step: Step,
        unheard: dict[str, Unheard],
        rules: Rules,
    ) -> list[str]:
        changed = []
        came = unheard.get(delivery.type or "")
        if came is not None and came.came_at is None:
            # An end that had not come yet may only have been to come; the others do come from here on.
            early = step.closes and gap(came.at, delivery.received_at) < rules.session_idle
            if early or not came.number:
                del unheard[delivery.type or ""]
            came.came_at = delivery.position
            changed = [delivery.type or ""] if came.number else []
        rank = lifecycle.rank
        for name, one in unheard.items():
            if one.number or one is came:
                continue
            other = lifecycle.by_name[name.removeprefix(lifecycle.name + "-")]
            if other.closes or rank[other.name] < rank[step.name]:
                one.followers += 1
                if one.followers == ENOUGH:
                    one.number, one.position, one.at = self._number(), delivery.position, delivery.received_at
                    changed.append(name)
        return changed


def _all_unheard(lifecycle: Lifecycle) -> dict[str, Unheard]:
    """The types of which it would be a fault to miss one."""
    missed = [step for step in lifecycle.steps if step.skipped or step.missed]
    if lifecycle.open_at_end or lifecycle.frame:
        missed += [
            step for step in lifecycle.steps if step.name in lifecycle.endings or step.name in lifecycle.starts
        ]
    expected = [step for step in missed if not step.outcome]
    return {lifecycle.webhook_type(step.name): Unheard() for step in expected}


def _finding(
    code: str, number: int, position: int, at: datetime | None, rules: Rules, words: dict[str, str]
) -> Finding:
    entry = CATALOGUE[code]
    message = entry.message.format_map(words)
    return Finding(
        number=number,
        code=code,
        slug=entry.slug,
        severity=rules.severity_of(code),
        verdict="settled",
        session_id=None,
        meeting_id=None,
        lifecycle=None,
        key={},
        run=None,
        position=position,
        evidence=(position,),
        at=at,
        state_before=None,
        state_after=None,
        expected=(),
        message=message,
    )


# -- a session in this light -----------------------------------------------------------------------


@attrs.frozen
class Span:
    """When a session was: what another one of its meeting must know of it.

    ``occupied`` are the positions from and to which somebody was inside (``None``: still is); ``idle`` are
    the times in which nothing was heard of it for so long that it was presumed to have ended.
    """

    stream: str
    meeting_id: str | None
    first_position: int
    began: datetime | None
    last_seen: datetime | None
    end_position: int | None
    end_heard: datetime | None
    occupied: tuple[tuple[int, int | None], ...] = ()
    idle: tuple[tuple[datetime, datetime], ...] = ()


def span(session: Session) -> Span:
    return Span(
        session.stream,
        session.meeting_id,
        session.first_position or 0,
        session.first_seen_at,
        session.last_seen_at,
        session.end_position,
        session.end_heard,
        tuple(_occupied(session)),
        tuple(session.idle),
    )


def _occupied(session: Session) -> Iterator[tuple[int, int | None]]:
    """The visits of a session laid over each other. One whose end was not told lasts until the next begins."""
    visits = []
    for aggregate in session.aggregates.values():
        until = session.end_position
        for visit in reversed(aggregate.runs if aggregate.lifecycle.visits else ()):
            heard = [step.position for step in visit.steps.values() if step.position is not None]
            ended = any(visit.heard(name) for name in aggregate.lifecycle.endings)
            visits.append((min(heard), max(heard) if ended else until))
            until = min(heard)
    begin, end = None, None
    for came, left in sorted(visits, key=lambda visit: visit[0]):
        if begin is not None and end is not None and came > end:
            yield begin, end
            begin = None
        end = left if begin is None or left is None else end and max(left, end)
        begin = came if begin is None else begin
    if begin is not None:
        yield begin, end


def rival(this: Span, others: Iterable[Span], rules: Rules) -> Span | None:
    """The session of the same meeting that was live when this one began."""
    return min(
        (other for other in others if _was_live(other, this, rules)),
        key=lambda other: other.first_position,
        default=None,
    )


def _was_live(other: Span, this: Span, rules: Rules) -> bool:
    """Whether a session was live when this one began. One that all had left is over, though nobody said so."""
    here = this.first_position
    if other.stream == this.stream or other.first_position > here:
        return False
    if other.end_position is not None:
        if other.end_position < here:
            return False
        if this.began is None or other.end_heard is None or other.end_heard - this.began <= rules.lateness:
            return False
    ends = [left for came, left in other.occupied if came < here]
    if ends and not any(left is None or left > here for left in ends):
        return False
    return not _was_idle(other, this.began, rules)


def _was_idle(one: Span, at: datetime | None, rules: Rules) -> bool:
    if at is None or one.last_seen is None:
        return False
    lasts = [*one.idle, (one.last_seen, datetime.max.replace(tzinfo=UTC))]
    return any(since + rules.session_idle <= at < until for since, until in lasts)


def overlap_settles(span: Span, rules: Rules) -> datetime | None:
    """Until when the end of the other session may come, late."""
    return plus(span.began, rules.lateness)


def explained(
    session: Session, traffic: Traffic, rules: Rules, other: Span | None = None, as_of: datetime | None = None
) -> Session:
    """The session with what the whole log says of it; the one given stays as it is.

    Absences that a silence or a missing subscription explains are marked with their cause; ``other`` is
    the ``rival`` of its meeting. It is settled, at ``as_of``.
    """
    told = [(found, consequence(found, traffic, rules)) for found in dated(session)]
    changed = {found.number: mark for found, mark in told if mark is not found}
    if not changed and other is None:
        return session
    copied = session.copy()
    for found in copied.all_findings():
        if found.number in changed:
            mark = changed[found.number]
            for name in ("code", "slug", "severity", "verdict", "message", "cause", "missing"):
                setattr(found, name, getattr(mark, name))
    if other is not None:
        copied.findings.append(consequence(overlapping(span(copied), other, rules, as_of), traffic, rules))
    return copied


def dated(session: Session) -> Iterator[Finding]:
    """Its standing findings; of an absence of which nothing says since when, it is since the session began."""
    begin = _begin(session)
    for found in session.all_findings():
        if found.verdict != "retracted":
            yield attrs.evolve(found, since=begin) if found.missing and found.since is None else found


def consequence(found: Finding, traffic: Traffic, rules: Rules) -> Finding:
    """The finding, or where one about the log explains it, the same as the consequence of that."""
    if not found.missing or found.verdict == "retracted":
        return found
    position = found.position or 0
    if all(_unsubscribed(traffic, name, position) for name in found.missing):
        return _unheard_of(found, rules, f"L603 {' '.join(found.missing)}")
    silence = _silence(traffic, found) if traffic.silences else None
    if silence is None:
        return found
    severity = found.severity if found.code in rules.severity else "info"
    return attrs.evolve(found, severity=severity, cause=f"L601 #{silence.position}")


def overlaps(spans: Sequence[Span], rules: Rules, as_of: datetime | None) -> Iterator[tuple[Span, Finding]]:
    """The sessions of one meeting that began while another one of them was live, each with its X406."""
    for this in spans:
        other = rival(this, spans, rules)
        if other is not None:
            yield this, overlapping(this, other, rules, as_of)


def overlapping(this: Span, other: Span, rules: Rules, as_of: datetime | None) -> Finding:
    """X406, as it stands at ``as_of``."""
    position = this.first_position
    found = _finding("X406", 0, position, this.began, rules, {"value": other.stream})
    found.session_id, found.meeting_id, found.lifecycle = this.stream, this.meeting_id, "session"
    found.evidence = (other.first_position, position)
    found.missing, found.since = ENDED, other.began
    found.deadline = overlap_settles(this, rules)
    if other.end_position is None and found.deadline is None:
        found.verdict = "undecided"
    elif other.end_position is None and (as_of is None or found.deadline is None or as_of < found.deadline):
        found.verdict = "provisional"
    return found


def _unheard_of(found: Finding, rules: Rules, cause: str) -> Finding:
    """What is missing was never to come. A failure is still one, and its start need not have been told."""
    if found.code not in INSTEAD:
        return attrs.evolve(found, verdict="retracted", cause=cause)
    entry = CATALOGUE[INSTEAD[found.code]]
    message = entry.message.format_map({"lifecycle": found.lifecycle, "state": "beginning"})
    severity = rules.severity_of(entry.code)
    return attrs.evolve(
        found, code=entry.code, slug=entry.slug, severity=severity, message=message, cause=cause, missing=()
    )


def _unsubscribed(traffic: Traffic, webhook_type: str, position: int) -> bool:
    for types in traffic.unheard.values():
        one = types.get(webhook_type)
        if one is not None:
            return one.number != 0 and (one.came_at is None or position < one.came_at)
    return False


def _silence(traffic: Traffic, finding: Finding) -> Silence | None:
    """The silence in which what is missing could have come."""
    since, until = finding.since, finding.at
    if since is None or until is None:
        return None
    return next((one for one in traffic.silences if since < one.until and one.since < until), None)


def _begin(session: Session) -> datetime | None:
    """The earliest moment at which the session may have begun."""
    if session.started_at is not None or session.first_seen_at is None:
        return session.started_at
    return session.first_seen_at - REACH
