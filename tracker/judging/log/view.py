"""The view of a log: what all of it says at one moment, for the assessment of any session.

A ``LogView`` puts together what the other modules find, as values that do not change: the delay profile, what
is not subscribed to, silences, clocks, replays. Assessing a session takes one as an argument, so whoever has
the same view gets the same result: an audit, the read models, a worker in another process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import force_setattr, replace

from tracker.judging.hypothesis import micros
from tracker.judging.log.clocks import Backwards, Wrong
from tracker.judging.log.habits import ENDS, Habits
from tracker.judging.log.profile import Profile
from tracker.judging.log.replays import Replay, replays
from tracker.judging.log.silences import Silence, genuine
from tracker.judging.log.subscriptions import Unsubscribed, lacking_in, never_came
from tracker.judging.log.traffic import Traffic
from tracker.judging.prices import by_delay, by_share
from tracker.rules import Rules

__all__ = ["NOTHING_KNOWN", "LogView", "view_of"]

_NONE: frozenset[str] = frozenset()
NextBegin = Callable[[str, int], int | None]
"""When the next session of a room, by its meeting id, began after a moment in microseconds."""
_OF_THE_HABITS: Any = None
"""Stands in a field until it is derived from the habits."""


class OtherTypes(msgspec.Struct, frozen=True):
    """Whose sessions lack other types than before: all, or those of ``accounts`` and of ``rooms``, by their ids."""

    everywhere: bool
    accounts: set[str]
    rooms: set[str]


class LogView(msgspec.Struct, frozen=True, eq=False):  # noqa: PLW1641 - its habits have no hash
    """See above. It does not change. Two are equal whose habits, silences, clocks and wrong lines are.

    Attributes:
        habits: Counted up to that moment; nobody may change them afterwards.
        silences: In which nothing came, and which are over.
        lasting: The one that lasts, where there is one.
        backwards: Where clocks went back.
        wrong: Lines whose receive times cannot be true.
        profile: How likely it is that an equal webhook is a copy.
        unsubscribed: The types that never came in the whole log.
        of_accounts: Account -> the other types that never came of it.
        next_begin: When the next session of a room began. It is what is known now, also where the rest is of a
            milestone: of what has begun since then, only that it has begun is needed.
    """

    habits: Habits = msgspec.field(default_factory=Habits)
    silences: tuple[Silence, ...] = ()
    lasting: Silence | None = None
    backwards: tuple[Backwards, ...] = ()
    wrong: tuple[Wrong, ...] = ()
    profile: Profile = _OF_THE_HABITS
    unsubscribed: tuple[Unsubscribed, ...] = _OF_THE_HABITS
    of_accounts: Mapping[str, tuple[Unsubscribed, ...]] = _OF_THE_HABITS
    next_begin: NextBegin = _OF_THE_HABITS

    def __post_init__(self) -> None:
        if self.profile is _OF_THE_HABITS:  # else it is another one's, as all that follows
            self._derive()

    def _derive(self) -> None:
        unsubscribed = tuple(never_came(self.habits))
        nobody = {one.type for one in unsubscribed}
        of_accounts = {
            account: tuple(one for one in never_came(types) if one.type not in nobody)
            for account, types in sorted(self.habits.accounts.items())
        }
        force_setattr(self, "profile", Profile(self.habits))
        force_setattr(self, "unsubscribed", unsubscribed)
        force_setattr(self, "of_accounts", of_accounts)
        force_setattr(self, "next_begin", self.habits.next_begin)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogView) and self._said() == other._said()

    def __ne__(self, other: object) -> bool:  # that of a struct does not ask the method above
        return not self == other

    def _said(self) -> tuple[object, ...]:
        return self.habits, self.silences, self.lasting, self.backwards, self.wrong

    def known_by(self, position: int | None = None, time: datetime | None = None) -> LogView:
        """The same, with no silence that was not over right after a position, or at a moment."""
        if position is None and time is None:
            return self

        def known(one: Silence | Backwards | Wrong) -> bool:
            if position is not None:
                return (one.first if isinstance(one, Wrong) else one.position) <= position
            until = one.until if isinstance(one, Silence) else one.at
            return time is None or until <= time

        def next_begin(meeting_id: str, after: int) -> int | None:
            at = self.next_begin(meeting_id, after) if position is None else None
            return None if at is None or time is None or at > micros(time) else at

        return replace(
            self,
            next_begin=next_begin,
            silences=tuple(filter(known, self.silences)),
            lasting=None,
            backwards=tuple(filter(known, self.backwards)),
            wrong=tuple(filter(known, self.wrong)),
        )

    def with_traffic(self, traffic: Traffic, as_of: datetime | None, rules: Rules) -> LogView:
        """The same habits with the traffic up to a moment."""
        backwards, wrong = traffic.clocks.known()
        silences, lasting = traffic.silences, traffic.lasting(as_of, rules)
        replays_ = list(replays(self.habits.repeats)) if silences or lasting else []
        return replace(
            self,
            silences=genuine(silences, replays_),
            lasting=next(iter(genuine([lasting] if lasting else [], replays_)), None),
            backwards=backwards,
            wrong=wrong,
        )

    def lateness(self, window: int) -> int:
        """How late a step may be without costing more, in microseconds; ``window`` is what the rules say."""
        return window if self.profile.late is None else min(window, self.profile.late)

    def late_price(self, price: float, at: int, delay: int, window: int) -> float:
        """What it costs that a step, received at ``at``, came ``delay`` after one that follows it; ``window`` is what the rules say.

        Where the log shows how rarely steps are as late as that, by that; not where it catches up.
        """
        share = self.profile.share_as_late(delay)
        if share is None or self.is_catching_up(at):
            return by_delay(price, delay, self.lateness(window))
        return by_share(price, share)

    def lacking(self, meeting_id: str | None, account: str | None = None) -> frozenset[str]:
        """The webhook types to which a room, its account or the whole log does not subscribe."""
        here = self._lacking_in(meeting_id)
        everywhere = self.unsubscribed + self.of_accounts.get(account or "", ())
        return here | _names(everywhere) if everywhere else here

    def lacks_other_types(self, before: LogView) -> OtherTypes:
        """Whose sessions lack other types now than they did before, some of them or some more."""
        everywhere = _names(self.unsubscribed) != _names(before.unsubscribed)
        accounts = {*self.of_accounts, *before.of_accounts}
        others = {
            one for one in accounts
            if _names(self.of_accounts.get(one, ())) != _names(before.of_accounts.get(one, ()))
        }  # fmt: skip
        rooms = {
            one for one in self.habits.rooms
            if self._lacking_in(one) != before._lacking_in(one) or self.has_no_end(one) != before.has_no_end(one)
        }  # fmt: skip
        return OtherTypes(everywhere, others, rooms)

    def has_no_end(self, meeting_id: str | None) -> bool:
        """Whether two sessions of a room are known and the end of none: it may not subscribe to ends."""
        room = self.habits.rooms.get(meeting_id) if meeting_id is not None else None
        return room is not None and bool(room.twice) and not room.once & ENDS

    def _lacking_in(self, meeting_id: str | None) -> frozenset[str]:
        """The types that the room itself shows that it lacks."""
        room = self.habits.rooms.get(meeting_id) if meeting_id is not None else None
        return lacking_in(room.once, room.twice) if room is not None and room.twice else _NONE

    def rooms_without(self) -> dict[str, int]:
        """Webhook type -> rooms that do not subscribe to it, though others of the account do."""
        found: dict[str, int] = {}
        nobody: dict[str | None, set[str]] = {None: {one.type for one in self.unsubscribed}}
        nobody |= {name: nobody[None] | {one.type for one in some} for name, some in self.of_accounts.items()}
        for room in self.habits.rooms.values():
            for webhook_type in lacking_in(room.once, room.twice) - nobody[room.account] if room.twice else ():
                found[webhook_type] = found.get(webhook_type, 0) + 1
        return found

    def replays(self) -> Iterator[Replay]:
        """The stretches of the log that repeat earlier ones, as long as they are."""
        return replays(self.habits.repeats)

    def is_catching_up(self, at: int) -> bool:
        """Whether what is received at a moment (microseconds) may be late by any time.

        It is where the steps that come are out of order, and after a silence for as long as that was.
        """
        return self.habits.is_out_of_order(at) or any(
            0 <= at - micros(one.until) <= micros(one.until) - micros(one.since) for one in self.silences
        )

    def silence_between(self, since: int, until: int) -> Silence | None:
        """The silence in which what is missing between two moments (microseconds) could have come."""
        return next(
            (one for one in self.silences if since < micros(one.until) and micros(one.since) < until), None
        )


def _names(types: Iterable[Unsubscribed]) -> frozenset[str]:
    return frozenset(one.type for one in types)


def view_of(
    habits: Habits, traffic: Traffic, as_of: datetime | None = None, rules: Rules | None = None
) -> LogView:
    """What both say at a moment, if one is given. ``habits`` must not be changed afterwards."""
    return LogView(habits).with_traffic(traffic, as_of, rules or Rules())


NOTHING_KNOWN = LogView()
"""The view of a log of which nothing is known."""
