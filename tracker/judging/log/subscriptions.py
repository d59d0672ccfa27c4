"""Subscriptions: which webhook types a room, or the whole log, does not get.

Nobody tells us which types somebody subscribed to at VideoSDK. A type to which nobody subscribed never comes,
and that is no fault of any meeting. What shows it is that sessions *go on without it*: a type that never came
in a room, although two of its sessions reached a step behind it, is not subscribed to there. For a whole log
three sessions are asked for. It is then reported once, and missing it costs nothing in any session.

Who does not subscribe to the ``starting`` of recordings seldom subscribes to that of livestreams. So where a step of
one kind is known not to be subscribed to, one session is enough for the same step of another kind.

Several accounts of VideoSDK have webhooks of their own, so of each account the same is asked: what never came of it is
reported with its name, unless it never came at all.

An end is another matter. That a recording never stopped is what we are asked to find, so no silence excuses
it: where no end of this kind ever came in a log, that is one warning for all the sessions it covers. A session in which
something ended in good order by another step, as a transcription that completed, is none of them. That a session
itself should have ended is shown by that nobody is inside any more, or that nothing has come of it for a day.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import msgspec

from tracker.judging.log.habits import Types, bit_of
from tracker.lifecycle import Lifecycle
from tracker.lifecycles import REGISTRY

__all__ = ["SESSIONS_OF_LOG", "Unsubscribed", "lacking_in", "never_came"]

SESSIONS_OF_LOG = 3
"""Sessions of a log that went on to a later step before a type counts as not subscribed. (Of a room: two, if no
other kind shows it.)"""


class Unsubscribed(msgspec.Struct, frozen=True):
    """A type that never came in a whole log, or of an account, though so many sessions went on to what follows it.

    ``is_end``: it ends what its lifecycle begins, so that nothing ever came to an end.
    """

    lifecycle: str
    type: str
    sessions: int
    is_end: bool = False


@cache
def lacking_in(once: int, twice: int) -> frozenset[str]:
    """The types that never came in a room, though two of its sessions went on to what follows them.

    ``once`` and ``twice`` are the types, as bits, that came in one and in two sessions of the room.
    """
    absent = [one for one in _expected() if not once & bit_of(one.type)]
    lacking = [one for one in absent if any(twice & bit_of(other) for other in one.behind)]
    alike = {one.step for one in lacking if one.step}
    lacking += [
        one for one in absent if one.step in alike and any(once & bit_of(other) for other in one.behind)
    ]
    return frozenset(one.type for one in lacking)


def never_came(came: Types) -> Iterator[Unsubscribed]:
    """The types that never came in a whole log, or of an account, though enough sessions went on to what follows them."""
    sessions = came.sessions
    absent = [
        (one, max((sessions.get(other, 0) for other in one.behind), default=0))
        for one in _expected()
        if not sessions.get(one.type)
    ]
    alike = {one.step for one, count in absent if one.step and count >= SESSIONS_OF_LOG}
    for one, count in absent:
        if count >= (1 if one.step in alike else SESSIONS_OF_LOG):
            yield Unsubscribed(one.lifecycle, one.type, count)
    for lifecycle, webhook_type, begun, otherwise in _ends():
        if sessions.get(webhook_type):
            continue
        count = came.overdue
        if not lifecycle.is_session:
            count = max((came.ended.get(other, 0) for other in begun), default=0)
            count -= sum(sessions.get(other, 0) for other in otherwise)
        if count >= SESSIONS_OF_LOG:
            yield Unsubscribed(lifecycle.name, webhook_type, count, is_end=True)


class _Expected(msgspec.Struct, frozen=True):
    """A type of which it would be a finding that one is missing, with those that follow it.

    ``step``: what other kinds call it as well; empty for what only sessions do.
    """

    lifecycle: str
    type: str
    behind: tuple[str, ...]
    step: str


@cache
def _expected() -> tuple[_Expected, ...]:
    found = []
    types = [
        each.webhook_type(step.name)
        for each in REGISTRY.values()
        for step in each.steps
        if not (each.is_session or each.stream)
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
            behind += types if lifecycle.is_session else ()
            alike = "" if lifecycle.is_session else step.name
            found.append(_Expected(lifecycle.name, lifecycle.webhook_type(step.name), tuple(behind), alike))
    return tuple(found)


@cache
def _ends() -> tuple[tuple[Lifecycle, str, tuple[str, ...], tuple[str, ...]], ...]:
    """The types that end a run in good order, each with those that begin one or carry it on, and those that end one as well."""
    return tuple(
        (
            lifecycle,
            lifecycle.webhook_type(name),
            tuple(lifecycle.webhook_type(step.name) for step in lifecycle.steps if not step.closes),
            tuple(
                lifecycle.webhook_type(step.name)
                for step in lifecycle.steps
                if step.closes and not step.outcome and step.name != name
            ),
        )
        for lifecycle in REGISTRY.values()
        if lifecycle.is_documented and not lifecycle.stream and (lifecycle.is_session or lifecycle.open_at_end)
        for name in lifecycle.endings
    )  # fmt: skip
