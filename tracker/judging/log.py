"""What the log as a whole says: evidence for every session in it.

Two small summaries grow with the log. ``Habits`` counts what only sessions know: which webhook types
come in a room, how old the copies are that cannot be anything else, how late steps are. It can be
gathered in parts and added up. ``Traffic`` follows the order of the log: when nothing came at all,
and where a clock went back.

A ``LogView`` is what they say at one moment, as values that do not change. Assessing a session takes
one as an argument. Where a log is still growing the view changes only at certain positions
(``is_milestone``), so that what is judged while a log grows, what is judged anew, and what is judged in
another process are the same.

THE DELAY PROFILE. A webhook that names a file can come only once, so an equal one is a copy. Its age,
and how many such webhooks did *not* come again, say how likely it is that an equal webhook without
such evidence is a copy too. That nothing ever comes twice is the strongest evidence of all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache
from math import log
from typing import TypeVar
from zlib import crc32

import attrs

from tracker.delivery.webhook import Delivery
from tracker.judging.hypothesis import micros
from tracker.judging.prices import HIGHEST
from tracker.lifecycle import Lifecycle
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules

__all__ = [
    "NOTHING_KNOWN",
    "Backwards",
    "Habits",
    "LogView",
    "Replay",
    "Silence",
    "Traffic",
    "Unsubscribed",
    "is_milestone",
    "milestone_before",
    "view_of",
]

N = TypeVar("N")
SECOND = 1_000_000
OLD = 1200 * SECOND
"""A repeat that is older is none of a redelivery."""
ENOUGH = 300
"""Bodies that can come only once, before the delay profile is believed,"""
ENOUGH_STEPS = 1000
"""and steps that came in order, before the learned lateness is."""
SESSIONS_OF_ROOM, SESSIONS_OF_LOG = 2, 3
"""Sessions that went on to a later step before a type counts as not subscribed."""
MOST_COPIES = 4_000
"""Certain copies that are kept to tell bursts."""
STRETCH = 10
"""Deliveries that are counted together. Of them"""
SOME, SHARE = 4, 6
"""must repeat earlier ones: so many of each stretch of a replay, and so many of all on the average,"""
REPLAYED = 10
"""and so many in all."""
LAST = 1 << 62
MOST_STRETCHES = 4096
SPELL = 300_000_000
"""Microseconds in which late steps are counted together. Of all steps that come in them"""
LATE, LATE_SHARE = 5, 5
"""at least so many, and one of so many, are late where the sender is catching up."""
MOST_SPELLS = 4096


def is_milestone(position: int) -> bool:
    """Whether the view of a log that grows changes behind this position: 100, 200, 500, 1,000, 2,000 …

    The distance grows with the log, so that what is looked at again at each of them is, in all, in proportion to it.
    """
    return position >= 100 and milestone_before(position) == position


def milestone_before(position: int) -> int:
    """The last milestone up to a position; 0 if there is none."""
    if position < 100:
        return 0
    power = int(10 ** (len(str(position)) - 1))
    return power * max(one for one in (1, 2, 5) if one * power <= position)


@cache
def _bits() -> dict[str, int]:
    """A bit for each webhook type of the declared lifecycles."""
    return {webhook_type: 1 << place for place, webhook_type in enumerate(sorted(REGISTRY.routes))}


def bit_of(webhook_type: str) -> int:
    """The bit of a webhook type; 0 for one of a lifecycle that is not registered."""
    return _bits().get(webhook_type, 0)


# -- habits ----------------------------------------------------------------------------------------


@attrs.define
class Room:
    """The webhook types, as bits, that came in one session of a room or more, and in two or more."""

    once: int = 0
    twice: int = 0


@attrs.define
class Habits:
    """What the sessions of a log have in common; see the module's text.

    Attributes:
        rooms: By meeting id.
        sessions: Webhook type -> sessions in which it came.
        ended: Webhook type -> sessions in which it had come when the session ended.
        bodies: Webhooks that can come only once, without their copies.
        others: All other webhooks, without their equals.
        copies: Age, as a bin -> certain copies of that age.
        doubtful: Age, as a bin -> equal webhooks without evidence of that age.
        bursts: Certain copies: receive time, age, a number for the session.
        thinned: Of so many bursts, as a power of two, one is kept.
        steps: Steps that came in order.
        overtaken: Delay, as a bin -> steps that came after one that follows them.
        disorder: Five minutes, by number -> how many steps came late in them, and how many came in all.
        repeats: A stretch of the log, by number -> how many of its deliveries repeat one that is older than a
            redelivery, and the sum of their ages.
        oldest, newest: Receive times, in microseconds.
    """

    rooms: dict[str, Room] = attrs.field(factory=dict)
    sessions: dict[str, int] = attrs.field(factory=dict)
    ended: dict[str, int] = attrs.field(factory=dict)
    bodies: int = 0
    others: int = 0
    copies: dict[int, int] = attrs.field(factory=dict)
    doubtful: dict[int, int] = attrs.field(factory=dict)
    bursts: list[tuple[int, int, int]] = attrs.field(factory=list)
    thinned: int = 0
    steps: int = 0
    overtaken: dict[int, int] = attrs.field(factory=dict)
    disorder: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    repeats: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    oldest: int | None = None
    newest: int | None = None

    def saw_time(self, at: int) -> None:
        """Something was received."""
        if self.newest is None or at > self.newest:
            self.newest = at
        if self.oldest is None or at < self.oldest:
            self.oldest = at

    def saw_type(self, webhook_type: str, meeting_id: str | None) -> None:
        """A type came for the first time in a session."""
        self.sessions[webhook_type] = self.sessions.get(webhook_type, 0) + 1
        if meeting_id is not None:
            room = self.rooms.get(meeting_id)
            if room is None:
                room = self.rooms[meeting_id] = Room()
            bit = bit_of(webhook_type)
            room.twice |= room.once & bit
            room.once |= bit

    def saw_end(self, types: int) -> None:
        """A session ended in which these types, as bits, had come."""
        for webhook_type, bit in _bits().items():
            if types & bit:
                self.ended[webhook_type] = self.ended.get(webhook_type, 0) + 1

    def saw_body(self, *, evidence: bool) -> None:
        """A webhook came that equals none before."""
        if evidence:
            self.bodies += 1
        else:
            self.others += 1

    def leave_out(self, ages: Iterable[int]) -> None:
        """Takes back copies of these ages: everything comes twice in their session, which says nothing of others."""
        for age in ages:
            self.copies[age_bin(age)] -= 1

    def take_in(self, ages: Iterable[int]) -> None:
        """Counts copies of these ages again."""
        for age in ages:
            self.copies[age_bin(age)] = self.copies.get(age_bin(age), 0) + 1

    def saw_equal(self, at: int, age: int, stream: str, position: int, *, evidence: bool) -> None:
        """A webhook came that equals an earlier one of its aggregate."""
        if age > OLD:
            count, total = self.repeats.get(position // STRETCH, (0, 0))
            self.repeats[position // STRETCH] = count + 1, total + age
        ages = self.copies if evidence else self.doubtful
        place = age_bin(age)
        ages[place] = ages.get(place, 0) + 1
        if evidence:
            self._keep((at, age, crc32(stream.encode(errors="replace"))))

    def saw_step(self, at: int, delay: int | None) -> None:
        """A step came after the one before it, or, ``delay`` microseconds late, after one that follows it."""
        late, steps = self.disorder.get(at // SPELL, (0, 0))
        self.disorder[at // SPELL] = late + (delay is not None), steps + 1
        if delay is None:
            self.steps += 1
        else:
            place = age_bin(delay)
            self.overtaken[place] = self.overtaken.get(place, 0) + 1

    def add(self, other: Habits) -> None:
        """Adds what another part of the same log has gathered, of other sessions."""
        for meeting_id, theirs in other.rooms.items():
            room = self.rooms.setdefault(meeting_id, Room())
            room.twice |= theirs.twice | (room.once & theirs.once)
            room.once |= theirs.once
        _add(self.sessions, other.sessions)
        _add(self.ended, other.ended)
        _add(self.copies, other.copies)
        _add(self.doubtful, other.doubtful)
        _add(self.overtaken, other.overtaken)
        for spell, (late, steps) in other.disorder.items():
            known = self.disorder.get(spell, (0, 0))
            self.disorder[spell] = known[0] + late, known[1] + steps
        for stretch, (count, ages) in other.repeats.items():
            before = self.repeats.get(stretch, (0, 0))
            self.repeats[stretch] = before[0] + count, before[1] + ages
        for at in (other.oldest, other.newest):
            if at is not None:
                self.saw_time(at)
        self.bodies += other.bodies
        self.others += other.others
        self.steps += other.steps
        self.thinned = max(self.thinned, other.thinned)
        self.bursts = [one for one in (*self.bursts, *other.bursts) if self._is_kept(one)]
        self._thin()

    def prune(self) -> None:
        """Forgets single repeats of long ago; only where nothing is added up."""
        if len(self.disorder) > MOST_SPELLS:
            last = max(self.disorder)
            kept_spells = {at: one for at, one in self.disorder.items() if _is_disorder(*one) or at == last}
            self.disorder = dict(list(kept_spells.items())[-MOST_SPELLS // 2 :])
        if len(self.repeats) > MOST_STRETCHES:
            newest = max(self.repeats) - 64
            kept = {at: one for at, one in self.repeats.items() if one[0] >= SOME or at >= newest}
            self.repeats = dict(list(kept.items())[-MOST_STRETCHES:])

    def _keep(self, burst: tuple[int, int, int]) -> None:
        if self._is_kept(burst):
            self.bursts.append(burst)
            self._thin()

    def _is_kept(self, burst: tuple[int, int, int]) -> bool:
        return not (burst[0] ^ burst[2]) & ((1 << self.thinned) - 1)

    def _thin(self) -> None:
        while len(self.bursts) > MOST_COPIES:
            self.thinned += 1
            self.bursts = [one for one in self.bursts if self._is_kept(one)]


def _is_disorder(late: int, steps: int) -> bool:
    """Whether so many of the steps of a spell are late that the sender must be catching up."""
    return late >= LATE and late * LATE_SHARE >= steps


def _add(counts: dict[N, int], more: dict[N, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count


def age_bin(age: int) -> int:
    """The bin of an age in microseconds: five seconds wide, from 250 s on two per cent of the age."""
    seconds = age / SECOND
    return int(seconds / 5) if seconds < 250 else 50 + int(log(seconds / 250) / 0.02)


def bin_end(place: int) -> float:
    """The end of a bin, in seconds."""
    return 5.0 * (place + 1) if place < 50 else 250 * 2.718281828459045 ** (0.02 * (place - 49))


# -- traffic ---------------------------------------------------------------------------------------

RATE_SPAN = timedelta(hours=1)
"""The time before a silence from which the rate is taken."""
MANY = 1000
"""Sessions of that time that are remembered; the rate is then taken from a shorter time."""
EXPECTED = 20
"""Sessions that should have been heard of in a silence, by the rate before it."""
LIVE, LIVE_SHARE = 5, 4
"""At least so many sessions, and one of so many of those heard of, must be live for a silence to count."""
CLOCK = timedelta(seconds=1)
"""What the receive times of one source may go back by: several processes write to one log."""


@attrs.frozen
class Silence:
    """Nothing came between two receive times, though ``live`` of ``of`` sessions were live."""

    position: int
    since: datetime
    until: datetime
    live: int
    of: int


@attrs.frozen
class Backwards:
    """The first delivery of a source that was received before the one in front of it."""

    position: int
    source: str
    type: str
    at: datetime
    before: datetime


@attrs.define
class Traffic:
    """What the order of a log says. ``recent`` is when each session was heard of last, and whether it is live."""

    newest: datetime | None = None
    oldest: datetime | None = None
    recent: dict[str, tuple[datetime, bool]] = attrs.field(factory=dict)
    ends_come: bool = False
    silences: list[Silence] = attrs.field(factory=list)
    clocks: dict[str, datetime] = attrs.field(factory=dict)
    backwards: list[Backwards] = attrs.field(factory=list)

    def observe(self, delivery: Delivery, rules: Rules) -> None:
        """Takes in the next delivery of the log."""
        at = delivery.received_at
        if at is None:
            return
        self._observe_clock(delivery, at)
        if self.oldest is None or at < self.oldest:
            self.oldest = at
        if self.newest is None or at > self.newest:
            if self.newest is not None and at - self.newest >= rules.silence:
                self._observe_silence(delivery.position, self.newest, at)
            self.newest = at
        if delivery.session_id is not None:
            self._observe_session(delivery, at)

    def _observe_clock(self, delivery: Delivery, at: datetime) -> None:
        source = delivery.received.source.rpartition(":")[0]
        before = self.clocks.get(source)
        self.clocks[source] = at
        if before is None or at >= before or before - at < CLOCK:
            return
        if all(one.source != source for one in self.backwards):
            self.backwards.append(Backwards(delivery.position, source, delivery.topic, at, before))

    def _observe_session(self, delivery: Delivery, at: datetime) -> None:
        lifecycle, step = delivery.lifecycle, delivery.step
        _, live = self.recent.pop(delivery.stream, (at, True))
        if lifecycle is not None and lifecycle.frame and step is not None and step.closes:
            live, self.ends_come = False, True
        self.recent[delivery.stream] = at, live
        if len(self.recent) > 2 * MANY:
            self.recent = dict(list(self.recent.items())[-MANY:])

    def _observe_silence(self, position: int, since: datetime, until: datetime) -> None:
        begin = max(since - RATE_SPAN, self.oldest or since)
        heard = [entry for entry in self.recent.values() if entry[0] >= begin][-MANY:]
        live, of = sum(is_live for _, is_live in heard), len(heard)
        span = since - (heard[0][0] if of == MANY else begin)
        lively = live >= LIVE and live * LIVE_SHARE >= of
        if self.ends_come and lively and of * (until - since) >= EXPECTED * span:
            self.silences.append(Silence(position, since, until, live, of))


# -- the view --------------------------------------------------------------------------------------


@attrs.frozen
class Unsubscribed:
    """A type that never came in a whole log, though so many sessions went on to what follows it.

    ``is_end``: it ends what its lifecycle begins, so that nothing ever came to an end.
    """

    lifecycle: str
    type: str
    sessions: int
    is_end: bool = False


@attrs.frozen
class Replay:
    """A stretch of the log that repeats an earlier one, ``age`` microseconds later on the average."""

    first: int
    last: int
    deliveries: int
    age: int


@attrs.frozen
class LogView:
    """What a log says at one moment; see the module's text. It does not change.

    Attributes:
        habits: Counted up to that moment; nobody may change them afterwards.
        silences: In which nothing came.
        backwards: Where clocks went back.
    """

    habits: Habits = attrs.field(factory=Habits)
    silences: tuple[Silence, ...] = ()
    backwards: tuple[Backwards, ...] = ()
    profile: _Profile = attrs.field(repr=False, eq=False)
    unsubscribed: tuple[Unsubscribed, ...] = attrs.field(eq=False)

    @profile.default
    def _profile_of(self) -> _Profile:
        return _Profile(self.habits)

    @unsubscribed.default
    def _unsubscribed(self) -> tuple[Unsubscribed, ...]:
        return tuple(_never_came(self.habits))

    def known_by(self, position: int | None = None, time: datetime | None = None) -> LogView:
        """The same, with no silence that was not over right after a position, or at a moment."""
        if position is None and time is None:
            return self

        def known(one: Silence | Backwards) -> bool:
            if position is not None:
                return one.position <= position
            until = one.until if isinstance(one, Silence) else one.at
            return time is None or until <= time

        return attrs.evolve(
            self,
            silences=tuple(filter(known, self.silences)),
            backwards=tuple(filter(known, self.backwards)),
        )

    @property
    def has_profile(self) -> bool:
        """Whether enough is known to say how likely a copy is."""
        return self.profile.enough

    def copy_price(self, at: int, age: int) -> tuple[bool, float]:
        """Whether an equal webhook of this age, received at ``at``, is surely a copy, and what that costs."""
        share = self.profile.share(at, age)
        return share >= 0.9, min(HIGHEST, max(0.02, -log(max(share, 1e-6))))

    def lateness(self, window: int) -> int:
        """How late a step may be without costing more, in microseconds; ``window`` is what the rules say."""
        return window if self.profile.late is None else min(window, self.profile.late)

    def lacking(self, meeting_id: str | None) -> frozenset[str]:
        """The webhook types to which a room, or the whole log, does not subscribe."""
        room = self.habits.rooms.get(meeting_id) if meeting_id is not None else None
        here = _lacking_in(room.once, room.twice) if room is not None and room.twice else _NONE
        return here | {one.type for one in self.unsubscribed} if self.unsubscribed else here

    def rooms_without(self) -> dict[str, int]:
        """Webhook type -> rooms that do not subscribe to it, though others do."""
        found: dict[str, int] = {}
        nobody = {one.type for one in self.unsubscribed}
        for room in self.habits.rooms.values():
            for webhook_type in _lacking_in(room.once, room.twice) - nobody if room.twice else ():
                found[webhook_type] = found.get(webhook_type, 0) + 1
        return found

    def replays(self) -> Iterator[Replay]:
        """The stretches of the log that repeat earlier ones, as long as they are."""
        run: list[int] = []
        repeats = self.habits.repeats
        for stretch in [*sorted(place for place, (count, _) in repeats.items() if count >= SOME), LAST]:
            if run and stretch > run[-1] + 1:
                replay = _replay(run, repeats)
                if replay.deliveries >= max(REPLAYED, (len(run) - 1) * SHARE):
                    yield replay
                run = []
            run.append(stretch)

    def is_catching_up(self, at: int) -> bool:
        """Whether what is received at a moment (microseconds) may be late by any time.

        It is where the steps that come are out of order, and after a silence for as long as that was.
        """
        return _is_disorder(*self.habits.disorder.get(at // SPELL, (0, 0))) or any(
            0 <= at - micros(one.until) <= micros(one.until) - micros(one.since) for one in self.silences
        )

    def silence_between(self, since: datetime | None, until: datetime | None) -> Silence | None:
        """The silence in which what is missing between two moments could have come."""
        if since is None or until is None:
            return None
        return next((one for one in self.silences if since < one.until and one.since < until), None)


class _Profile:
    """How likely it is that an equal webhook without evidence is a copy; derived from ``Habits``."""

    def __init__(self, habits: Habits) -> None:
        self.enough = habits.bodies >= ENOUGH
        self.late = _learned_lateness(habits)
        self._copies, self._doubtful = habits.copies, habits.doubtful
        self._scale = habits.others / max(1, habits.bodies)
        unseen = [count for place, count in habits.doubtful.items() if not self._near(habits.copies, place)]
        single = sum(
            1 for place, count in habits.copies.items() if count == self._near(habits.copies, place) == 1
        )
        self._rare = min(0.98, (single + 1) * self._scale / max(1, sum(unseen)))
        self._bursts = sorted(habits.bursts)
        self._times = [at for at, _, _ in self._bursts]
        self._with, self._without = self._odds()

    def share(self, at: int, age: int) -> float:
        """The probability that it is a copy."""
        return self.share_of_age(age, with_others=self._witness(at, age, None))

    def share_of_age(self, age: int, *, with_others: bool) -> float:
        """The same by its age, and whether a certain copy that is as old came with it."""
        place = age_bin(age)
        near = self._near(self._copies, place)
        share = self._rare
        if near:
            share = min(0.98, near * self._scale / max(1, self._near(self._doubtful, place)))
        odds = share / (1 - share) * (self._with if with_others else self._without)
        return odds / (1 + odds)

    def _near(self, ages: dict[int, int], place: int) -> int:
        return ages.get(place - 1, 0) + ages.get(place, 0) + ages.get(place + 1, 0)

    def _witness(self, at: int, age: int, session: int | None) -> bool:
        """Whether a certain copy of another session came at about the same time and was about as old."""
        first, last = bisect_left(self._times, at - 15 * SECOND), bisect_right(self._times, at + 15 * SECOND)
        within = max(75 * SECOND, 0.02 * age)
        return any(other != session and abs(old - age) <= within for _, old, other in self._bursts[first:last])

    def _odds(self) -> tuple[float, float]:
        """How much likelier a copy is with such a witness, and without; learned from the certain copies."""
        count = len(self._bursts)
        if not count:
            return 1.0, 1.0
        sample = range(0, count, max(1, count // 400))
        ours = [self._witness(*self._bursts[place]) for place in sample]
        chance = [
            self._witness(at + _ELSEWHERE, age, session) or self._witness(at - _ELSEWHERE, age, session)
            for at, age, session in (self._bursts[place] for place in sample)
        ]
        of = len(ours) + 1
        with_it, by_chance = (sum(ours) + 0.5) / of, (sum(chance) + 0.5) / of
        return with_it / by_chance, (1 - with_it) / (1 - by_chance)


_ELSEWHERE = 3600 * SECOND
"""At a moment so far from a copy, another one there is chance."""


def _learned_lateness(habits: Habits) -> int | None:
    """Four times the delay that one overtaken step in a hundred exceeds, in microseconds."""
    late = sum(habits.overtaken.values())
    if habits.steps + late < ENOUGH_STEPS:
        return None
    beyond = late * 0.01
    for place in sorted(habits.overtaken, reverse=True):
        beyond -= habits.overtaken[place]
        if beyond < 0:
            return int(4 * bin_end(place) * SECOND)
    return 5 * SECOND


@cache
def _expected() -> tuple[tuple[Lifecycle, str, tuple[str, ...]], ...]:
    """The types of which one that is missing would be a finding, each with those that follow it."""
    found = []
    types = [
        each.webhook_type(step.name)
        for each in REGISTRY.values()
        for step in each.steps
        if not (each.frame or each.stream)
    ]
    for lifecycle in REGISTRY.values():
        if lifecycle.stream:
            continue
        for step in lifecycle.steps:
            if step.closes or not (step.skipped or step.missed or step.name in lifecycle.starts):
                continue
            behind = [
                lifecycle.webhook_type(other.name)
                for other in lifecycle.steps
                if lifecycle.rank[other.name] > lifecycle.rank[step.name]
            ]
            found.append(
                (lifecycle, lifecycle.webhook_type(step.name), (*behind, *(types if lifecycle.frame else ())))
            )
    return tuple(found)


@cache
def _ends() -> tuple[tuple[Lifecycle, str, tuple[str, ...]], ...]:
    """The types that end a run in good order, each with those that begin one or carry it on."""
    return tuple(
        (lifecycle, lifecycle.webhook_type(name), tuple(
            lifecycle.webhook_type(step.name) for step in lifecycle.steps if not step.closes
        ))
        for lifecycle in REGISTRY.values()
        if not lifecycle.stream and (lifecycle.frame or lifecycle.open_at_end)
        for name in lifecycle.endings
    )  # fmt: skip


@cache
def _lacking_in(once: int, twice: int) -> frozenset[str]:
    """The types that never came in a room, though two of its sessions went on to what follows them."""
    return frozenset(
        webhook_type
        for _, webhook_type, behind in _expected()
        if not once & bit_of(webhook_type) and any(twice & bit_of(other) for other in behind)
    )


def _never_came(habits: Habits) -> Iterator[Unsubscribed]:
    """The types that never came in a whole log, though enough sessions went on to what follows them."""
    sessions = habits.sessions
    for lifecycle, webhook_type, behind in _expected():
        count = max((sessions.get(other, 0) for other in behind), default=0)
        if not sessions.get(webhook_type) and count >= SESSIONS_OF_LOG:
            yield Unsubscribed(lifecycle.name, webhook_type, count)
    for lifecycle, webhook_type, begun in _ends():
        if sessions.get(webhook_type):
            continue
        count = max((habits.ended.get(other, 0) for other in begun), default=0)
        if lifecycle.frame and habits.oldest is not None and habits.newest is not None:
            long = habits.newest - habits.oldest >= _DAY
            count = max(sessions.values(), default=0) if long else 0
        if count >= SESSIONS_OF_LOG:
            yield Unsubscribed(lifecycle.name, webhook_type, count, is_end=True)


def _replay(stretches: list[int], repeats: dict[int, tuple[int, int]]) -> Replay:
    count = sum(repeats[place][0] for place in stretches)
    ages = sum(repeats[place][1] for place in stretches)
    first, last = stretches[0] * STRETCH, stretches[-1] * STRETCH + STRETCH - 1
    return Replay(first, last, count, ages // max(1, count))


_DAY = 86_400 * SECOND
_NONE: frozenset[str] = frozenset()


def view_of(habits: Habits, traffic: Traffic) -> LogView:
    """What both say now. ``habits`` must not be changed afterwards."""
    return LogView(habits, tuple(traffic.silences), tuple(traffic.backwards))


def copied(habits: Habits) -> Habits:
    """The same habits, which nobody else will change."""
    found = Habits(thinned=habits.thinned)
    found.add(habits)
    return found


NOTHING_KNOWN = LogView()
"""The view of a log of which nothing is known."""
