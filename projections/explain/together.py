"""A session with what it had beside it: calls and agents have streams of their own, and are shown as one with it.

Each is judged alone, by its own stream. What is put together here is only for whoever looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge

from msgspec.structs import replace

from projections.read_models import ReadModels
from projections.read_models.links import beside
from tracker.delivery.webhook import Delivery
from tracker.errors import NotFoundError
from tracker.judging.session import AggregateKey
from tracker.judging.state import Aggregate, Session
from tracker.store.application import Tracker


def deliveries(store: Tracker, db: ReadModels, name: str) -> Iterator[Delivery]:
    """The deliveries of a stream and of what is linked to it, by position."""
    streams = (store.history(one) for one in (name, *beside(db, name)))
    return merge(*streams, key=lambda one: one.position)


def found(db: ReadModels, name: str, status: Callable[[str], Session]) -> Session:
    """The session of that name with what it had beside it. ``status`` gives the one of a stream.

    Raises ``NotFoundError`` where nothing came of any.
    """
    sessions, missing = [], None
    for stream in (name, *beside(db, name)):
        try:
            sessions.append(status(stream))
        except NotFoundError as error:
            missing = missing or error
    if missing is not None and not sessions:
        raise missing
    return together(name, sessions)


def together(name: str, sessions: Sequence[Session]) -> Session:
    """The session of that name, with the things and the findings of the others."""
    own = next((one for one in sessions if one.stream == name), None)
    if own is None:
        own = Session(name, name, as_of=max(filter(None, (one.as_of for one in sessions)), default=None))
        own.meeting_id = next((room for one in sessions for _, room in one.links if room), None)
        own.account = next((one.account for one in sessions if one.account), None)
    if list(sessions) == [own]:
        return own
    findings = sorted((one for each in sessions for one in each.findings), key=lambda one: one.position or 0)
    for number, one in enumerate(findings, 1):
        one.number = number
    return replace(
        own,
        aggregates=dict(aggregates(sessions)),
        findings=findings,
        notes=[note for one in sessions for note in one.notes],
        deliveries=sum(one.deliveries for one in sessions),
        last_position=max(filter(None, (one.last_position for one in sessions)), default=None),
        erased_at=max(filter(None, (one.erased_at for one in sessions)), default=None),
    )


def aggregates(sessions: Iterable[Session]) -> Iterator[tuple[AggregateKey, Aggregate]]:
    """All things of several streams; one that another stream has too stands there under that stream's name."""
    seen: set[AggregateKey] = set()
    for session in sessions:
        for (lifecycle, key), aggregate in session.aggregates.items():
            free = (
                (lifecycle, key)
                if (lifecycle, key) not in seen
                else (lifecycle, (("stream", session.stream), *key))
            )
            seen.add(free)
            yield free, aggregate
