"""Habits: what the sessions of a log have in common, counted.

Some evidence for a session lies in all the others: which webhook types come at all, how old the copies are
that cannot be anything else, how late steps are. ``Habits`` counts what is needed for that, while sessions
are observed (``session``), and judges nothing. What the counts mean is said elsewhere: by the delay profile
(``profile``), the subscriptions and the replays.

Counts can be added up. So the sessions of a log may be observed in several processes, or on several
machines: their habits, added, are those of the whole log. Only the certain copies that show bursts are not
counted but kept, and thinned out where they are too many: which of them are kept depends on nothing but
themselves.

Of most logs nearly every room is of one session, which says nothing of others, and there are as many as sessions. What
is known of rooms adds up as well, also of a session whose types came before and after. So whoever has many takes them out
of ``Habits.rooms`` again and again, and puts together in the end those of several sessions.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import log
from typing import TypeVar
from zlib import crc32

import msgspec

from tracker.lifecycles import REGISTRY
from tracker.record import RECORD

__all__ = [
    "ENDS",
    "Habits",
    "Room",
    "Types",
    "age_bin",
    "bin_end",
    "bit_of",
    "due_minute",
    "session_number",
    "telling",
]

N = TypeVar("N")
SECOND = 1_000_000
OLD = 1200 * SECOND
"""A repeat that is older is none of a redelivery."""
MOST_COPIES = 4_000
"""Certain copies that are kept to tell bursts."""
STRETCH = 10
"""Deliveries of the log that are counted together, for replays. Of them"""
SOME = 4
"""must repeat earlier ones, so many of each stretch of a replay."""
MOST_STRETCHES = 4096
SPELL = 300_000_000
"""Microseconds in which late steps are counted together. Of all steps that come in three such spells"""
LATE, LATE_SHARE = 5, 10
"""at least so many, and one of so many, are late where the sender is catching up."""
MOST_SPELLS = 4096
MOST_DUE = 4096
LONG_AGO = 0
"""Stands for all minutes that have passed, where too many would be kept apart."""
MINUTE = 60 * SECOND
EMPTY, IDLE = 10, 24 * 60
"""Minutes for which nobody is inside, or nothing comes, after which a session should have ended."""
JITTER = 10 * SECOND
"""What is overtaken by less does not show that the sender is catching up."""


def _bits() -> Iterator[tuple[str, int]]:
    """A bit for each webhook type of the lifecycles that take place in a session."""
    routes = REGISTRY.routes.items()
    types = sorted(name for name, (lifecycle, step) in routes if not lifecycle.stream and step is not RECORD)
    return ((webhook_type, 1 << place) for place, webhook_type in enumerate(types))


_BITS = dict(_bits())
_TYPES = {bit: webhook_type for webhook_type, bit in _BITS.items()}
ENDS = sum(
    {_BITS[one.webhook_type(name)] for one in REGISTRY.values() if one.is_session for name in one.endings}
)
"""The webhook types that end a session, as bits."""


def types_of(bits: int) -> Iterator[str]:
    """The webhook types of these bits."""
    while bits:
        lowest = bits & -bits
        yield _TYPES[lowest]
        bits ^= lowest


def bit_of(webhook_type: str) -> int:
    """The bit of a webhook type; 0 for one of a lifecycle that is not registered."""
    return _BITS.get(webhook_type, 0)


class Room(msgspec.Struct, gc=False):
    """The webhook types, as bits, that came in one session of a room or more, and in two or more.

    ``begins``: when its sessions began, in microseconds, the earliest first. ``account``: of which it is, where several
    accounts are received. ``sessions``: how many it had, as far as they were counted here.
    """

    once: int = 0
    twice: int = 0
    begins: Sequence[int] = ()
    account: str | None = None
    sessions: int = 0


class Types(msgspec.Struct):
    """The webhook types that came, in all sessions or in those of one account: an account has webhooks of its own.

    Attributes:
        sessions: Webhook type -> sessions in which it came.
        ended: Webhook type -> sessions in which it had come when the session ended.
        due: A minute, by number -> sessions that should have ended by then, and have not.
        oldest, newest: Receive times, in microseconds.
    """

    sessions: dict[str, int] = msgspec.field(default_factory=dict)
    ended: dict[str, int] = msgspec.field(default_factory=dict)
    due: dict[int, int] = msgspec.field(default_factory=dict)
    oldest: int | None = None
    newest: int | None = None

    def saw_time(self, at: int) -> None:
        """Something was received."""
        if self.newest is None or at > self.newest:
            self.newest = at
        if self.oldest is None or at < self.oldest:
            self.oldest = at

    def saw_type(self, webhook_type: str) -> None:
        """A type came for the first time in a session."""
        self.sessions[webhook_type] = self.sessions.get(webhook_type, 0) + 1

    def saw_end(self, types: int) -> None:
        """A session ended in which these types, as bits, had come."""
        for webhook_type in types_of(types):
            self.ended[webhook_type] = self.ended.get(webhook_type, 0) + 1

    def saw_due(self, due: int | None, before: int | None) -> None:
        """A session should have ended by another minute than ``before``; ``None`` where it has."""
        if before is not None:
            before = before if before in self.due else LONG_AGO
            self.due[before] -= 1
            if not self.due[before]:
                del self.due[before]
        if due is not None:
            self.due[due] = self.due.get(due, 0) + 1

    @property
    def overdue(self) -> int:
        """The sessions that should have ended, and have not."""
        now = -1 if self.newest is None else self.newest // MINUTE
        return sum(count for due, count in self.due.items() if due <= now)

    def prune_due(self) -> None:
        """Forgets since when sessions should have ended that have not."""
        if len(self.due) > MOST_DUE and self.newest is not None:
            overdue, now = self.overdue, self.newest // MINUTE
            self.due = {due: count for due, count in self.due.items() if due > now} | {LONG_AGO: overdue}

    def add_types(self, other: Types) -> None:
        """Adds what came in other sessions."""
        _add(self.sessions, other.sessions)
        _add(self.ended, other.ended)
        _add(self.due, other.due)
        for at in (other.oldest, other.newest):
            if at is not None:
                self.saw_time(at)


class Habits(Types):
    """See above.

    Attributes:
        rooms: By meeting id.
        accounts: The types of each account, where several are received.
        bodies: Webhooks that can come only once, without their copies.
        others: All other webhooks, without their equals.
        copies: Age, as a bin -> certain copies of that age.
        doubtful: Age, as a bin -> equal webhooks without evidence of that age.
        bursts: Certain copies: receive time, age, a number for the session.
        thinned: Of so many bursts, as a power of two, one is kept.
        steps: Steps that came in order.
        overtaken: Delay, as a bin -> steps that came after one that follows them.
        disorder: Five minutes, by number -> how many steps came in them that were late by more than jitter, and how
            many came in all.
        repeats: A stretch of the log, by number -> what of it repeats deliveries that are older than a redelivery:
            sums of ``repeat``, of which a long log has very many.
    """

    rooms: dict[str, Room] = msgspec.field(default_factory=dict)
    accounts: dict[str, Types] = msgspec.field(default_factory=dict)
    bodies: int = 0
    others: int = 0
    copies: dict[int, int] = msgspec.field(default_factory=dict)
    doubtful: dict[int, int] = msgspec.field(default_factory=dict)
    bursts: list[tuple[int, int, int]] = msgspec.field(default_factory=list)
    thinned: int = 0
    steps: int = 0
    overtaken: dict[int, int] = msgspec.field(default_factory=dict)
    disorder: dict[int, tuple[int, int]] = msgspec.field(default_factory=dict)
    repeats: dict[int, int] = msgspec.field(default_factory=dict)

    def of_account(self, account: str) -> Types:
        """The types of an account, to be counted."""
        found = self.accounts.get(account)
        if found is None:
            found = self.accounts[account] = Types()
        return found

    def saw_in_room(self, bit: int, meeting_id: str, account: str | None) -> None:
        """A type, as a bit, came for the first time in a session of a room."""
        room = self.rooms.get(meeting_id) or self._room(meeting_id)
        room.twice |= room.once & bit
        room.once = _one_and_the_same(room.once | bit)
        if account is not None:
            room.account = _one_of(room.account, account)

    def saw_session(self, meeting_id: str) -> None:
        """Another session was of this room."""
        self._room(meeting_id).sessions += 1

    def saw_begin(self, meeting_id: str, at: int) -> None:
        """A session of a room was seen to begin."""
        room = self._room(meeting_id)
        if not room.begins:
            room.begins = (at,)  # half as large as a list
            return
        begins = room.begins if isinstance(room.begins, list) else [*room.begins]
        insort(begins, at)
        room.begins = begins

    def next_begin(self, meeting_id: str, after: int) -> int | None:
        """When the next session of a room began after a moment; ``None`` where none did."""
        begins = self.rooms[meeting_id].begins if meeting_id in self.rooms else ()
        place = bisect_right(begins, after)
        return begins[place] if place < len(begins) else None

    def _room(self, meeting_id: str) -> Room:
        room = self.rooms.get(meeting_id)
        if room is None:
            room = self.rooms[meeting_id] = Room()
        return room

    def count_equals(self, ages: Iterable[int], by: int, *, evidence: bool) -> None:
        """Counts equals of these ages once more, or takes them back, as ``by`` is 1 or -1."""
        counts = self.copies if evidence else self.doubtful
        for age in ages:
            counts[age_bin(age)] = counts.get(age_bin(age), 0) + by

    def saw_equal(self, at: int, age: int, stream: str, position: int, *, evidence: bool) -> None:
        """A webhook came that equals an earlier one of its aggregate."""
        if age > OLD:
            stretch = position // STRETCH
            self.repeats[stretch] = self.repeats.get(stretch, 0) + repeat(age, evidence=evidence)
        self.count_equals((age,), 1, evidence=evidence)
        if evidence:
            self._keep((at, age, session_number(stream)))

    def saw_step(self, at: int, delay: int | None = None) -> None:
        """A step came after the one before it, or, ``delay`` microseconds late, after one that follows it."""
        late, steps = self.disorder.get(at // SPELL, (0, 0))
        if delay is None:
            self.steps += 1
        else:
            late += delay >= JITTER
            place = age_bin(delay)
            self.overtaken[place] = self.overtaken.get(place, 0) + 1
        self.disorder[at // SPELL] = late, steps + 1

    def add(self, other: Habits) -> None:
        """Adds the habits that another part of the same log shows, in other sessions."""
        self.add_types(other)
        for account, types in other.accounts.items():
            self.of_account(account).add_types(types)
        for meeting_id, room in other.rooms.items():
            self.add_room(meeting_id, room)
        _add(self.copies, other.copies)
        _add(self.doubtful, other.doubtful)
        _add(self.overtaken, other.overtaken)
        for spell, (late, steps) in other.disorder.items():
            known = self.disorder.get(spell, (0, 0))
            self.disorder[spell] = known[0] + late, known[1] + steps
        _add(self.repeats, other.repeats)
        self.bodies += other.bodies
        self.others += other.others
        self.steps += other.steps
        self.thinned = max(self.thinned, other.thinned)
        self.bursts = [one for one in (*self.bursts, *other.bursts) if self._is_kept(one)]
        self._thin()

    def add_room(self, meeting_id: str, other: Room) -> None:
        """Adds what other sessions show of a room, or other types of the same ones."""
        room = self._room(meeting_id)
        room.twice |= other.twice | (room.once & other.once)
        room.once = _one_and_the_same(room.once | other.once)
        room.begins = sorted([*room.begins, *other.begins]) if room.begins else other.begins
        room.account = _one_of(room.account, other.account)
        room.sessions += other.sessions

    def prune(self) -> None:
        """Forgets single repeats of long ago; only where nothing is added up."""
        for types in (self, *self.accounts.values()):
            types.prune_due()
        if len(self.disorder) > MOST_SPELLS:
            newest = max(self.disorder) - 2
            spells = {spell: one for spell, one in self.disorder.items() if one[0] > 1 or spell >= newest}
            self.disorder = dict(list(spells.items())[-MOST_SPELLS // 2 :])
        if len(self.repeats) > MOST_STRETCHES:
            newest = max(self.repeats) - 64
            kept = {at: one for at, one in self.repeats.items() if repeated(one)[0] >= SOME or at >= newest}
            self.repeats = dict(list(kept.items())[-MOST_STRETCHES:])

    def is_out_of_order(self, at: int) -> bool:
        """Whether so many of the steps that come about a moment (microseconds) are late that the sender is catching up."""
        spell = at // SPELL
        about = [self.disorder.get(one, (0, 0)) for one in (spell - 1, spell, spell + 1)]
        late = sum([one for one, _ in about])
        return late >= LATE and late * LATE_SHARE >= sum([steps for _, steps in about])

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


def _one_of(account: str | None, other: str | None) -> str | None:
    """The same of two, in whatever order they are known."""
    return account if other is None else other if account is None else min(account, other)


def repeat(age: int, *, evidence: bool) -> int:
    """One delivery that repeats another: three numbers in one, which add up by themselves."""
    return age // 1000 << 16 | 1 << 8 | evidence


def repeated(total: int) -> tuple[int, int, int]:
    """How many deliveries such a sum is of, how old those were that they repeat, in all (microseconds), and how many are
    certain copies."""
    return total >> 8 & 0xFF, (total >> 16) * 1000, total & 0xFF


def _add(counts: dict[N, int], more: dict[N, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count


def due_minute(left_at: int | None, last_at: int) -> int:
    """The minute by which a session should have ended: of which everybody left at a moment, or that goes on at least
    until its last webhook. The times are microseconds; of the latter it is the hour that counts, so it seldom changes."""
    if left_at is not None:
        return left_at // MINUTE + 1 + EMPTY
    return (last_at // (60 * MINUTE) + 1) * 60 + IDLE


def session_number(stream: str) -> int:
    """What stands for a session among the bursts."""
    return crc32(stream.encode(errors="replace"))


def age_bin(age: int) -> int:
    """The bin of an age in microseconds: five seconds wide, from 250 s on two per cent of the age."""
    seconds = age / SECOND
    return int(seconds / 5) if seconds < 250 else 50 + int(log(seconds / 250) / 0.02)


def bin_end(place: int) -> float:
    """The end of a bin, in seconds."""
    return 5.0 * (place + 1) if place < 50 else 250 * 2.718281828459045 ** (0.02 * (place - 49))


_one_and_the_same = lru_cache(maxsize=4096)(int)
"""A number that is kept once, however many rooms have it: few are different."""


def telling(habits: Habits) -> Habits:
    """The same habits, which nobody else will change, without the rooms of one session, which show nothing of others."""
    several = {name: room for name, room in habits.rooms.items() if room.twice}
    found = Habits(thinned=habits.thinned)
    found.add(msgspec.structs.replace(habits, rooms=several))
    return found
