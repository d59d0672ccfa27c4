"""Erasing people: which streams they are in, and rewriting what is stored there.

A ``Plan`` is made first: it says what would be changed, and changes nothing. What is done is done by the ledger
(``tracker.store.ledger``), a few streams in one transaction, so that receivers can store in between. The request is in the
ledger before that, so what is stored from then on comes without those people; what was stored between plan and request is
looked through then. An event in the store says so when all is done: a request that broke off is ended by the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from tracker.delivery import envelope
from tracker.delivery.envelope import Received, parse_time
from tracker.delivery.pseudonyms import people_in
from tracker.delivery.webhook import UNROUTED, parse
from tracker.errors import NotFoundError, UsageError
from tracker.lifecycles import REGISTRY
from tracker.record import PREFIX
from tracker.store.application import Tracker
from tracker.store.erasures import OURS
from tracker.store.ledger import Ledger
from tracker.store.prunings import is_tombstone
from tracker.store.recorder import Rows

__all__ = [
    "Done",
    "Plan",
    "carry_out",
    "is_behind",
    "newest_of",
    "of_older",
    "of_participant",
    "of_session",
    "outstanding",
    "why_behind",
]

STREAMS = 200
"""Streams in one transaction."""
_PAGE = 10_000
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]+")
"""An id that is written in JSON in one way only."""
_RECEIVED_AT = re.compile(rb'\{"received_at":"([^"]+)"')
Progress = Callable[[int, int], None]


@attrs.frozen
class Plan:
    """What is to be erased.

    Attributes:
        what: In words, and without a name.
        streams: In which somebody is to be erased, in the order in which they begin.
        events: How many events would change.
        whole: Whether everybody is to be erased there.
        person: The id of the one who is to be, else.
        session: The session that is meant, if one is; a person is to be erased everywhere else.
        unrouted: Streams of deliveries without a session, of which
        older: what was received before this is to be erased.
        position: Up to which the store was looked through.
        gone: How many of the streams, the last ones, are not in the store any more: they were pruned.
    """

    what: str
    streams: tuple[str, ...]
    events: int = 0
    whole: bool = False
    person: str = ""
    session: str = ""
    unrouted: tuple[str, ...] = ()
    older: datetime | None = None
    position: int = 0
    gone: int = 0

    @property
    def all_streams(self) -> tuple[str, ...]:
        return (*self.streams, *self.unrouted)

    @property
    def sessions(self) -> int:
        """How many of the streams in the store are sessions."""
        here = self.streams[: len(self.streams) - self.gone]
        return sum(not one.startswith((UNROUTED, *REGISTRY.prefixes)) for one in here)

    def request(self, ledger: Ledger, at: datetime, behind: int = 0) -> int:
        """Writes it into a ledger; returns the number of the request, which is ``behind`` those that the store knows."""
        whole, some = (self.streams, ()) if self.whole else ((), self.streams)
        return ledger.request(
            self.what,
            at,
            whole=whole,
            people=[self.person] if self.person else [],
            everywhere=not self.session,
            streams=some,
            older=self.older,
            behind=behind,
        )


@attrs.frozen
class Done:
    """How many events were changed, what could not be done, and up to which request of the ledger it is done in the store."""

    events: int
    problem: str
    requests: int


def of_participant(
    tracker: Tracker,
    participant: str,
    session: str | None,
    now: datetime,
    progress: Progress,
    elsewhere: Collection[str] = (),
) -> Plan:
    """Everything of a person, in one session or wherever it is, also in these streams ``elsewhere``. Raises ``NotFoundError``."""
    position = tracker.last_position()
    found = dict.fromkeys(_naming(tracker, participant, session, progress))
    gone = [one for one in elsewhere if one not in found and session in (None, one)]
    what = "a person in one session" if session else "a person"
    plan = Plan(
        what,
        (*found, *gone),
        person=participant,
        session=session or "",
        position=position,
        gone=len(gone),
    )
    if not plan.streams and not tracker.ledger.entries().knows(participant):
        raise NotFoundError(
            "no such participant" + (f" in session {session}" if session else ""),
            place=participant,
            hint="give the participantId: tracker find NAME lists the ids of people; who was erased has a pseudonym",
        )
    return _counted(tracker, plan, now, progress)


def of_session(tracker: Tracker, session: str, now: datetime, progress: Progress) -> Plan:
    """Everybody in a session, and in what is linked to it; also if it was pruned. Raises ``NotFoundError``."""
    is_gone = next(tracker.history(session), None) is None
    if is_gone and tracker.pruned(session) is None:
        raise tracker.not_there(session)
    position = tracker.last_position()
    linked = _linked(tracker, session, progress)
    plan = Plan(
        "a session", (*linked, session), whole=True, session=session, position=position, gone=int(is_gone)
    )
    return _counted(tracker, plan, now, progress)


def of_older(
    tracker: Tracker,
    before: datetime,
    now: datetime,
    progress: Progress,
    elsewhere: Collection[str] = (),
) -> Plan:
    """Everybody in the sessions of which no webhook was received since a moment, as far as they are not erased yet.

    ``elsewhere`` are streams that are so old in archives; those that are in the store too are as old as there.
    """
    return _counted(tracker, _older(tracker, before, progress, elsewhere), now, progress)


def _older(tracker: Tracker, before: datetime, progress: Progress, elsewhere: Collection[str] = ()) -> Plan:
    position, newest = tracker.last_position(), newest_of(tracker, progress)
    known = tracker.ledger.entries().streams
    old = tuple(
        one
        for one, at in newest.items()
        if at < before and not one.startswith(UNROUTED) and not known.get(one, (False,))[0]
    )
    gone = tuple(one for one in elsewhere if one not in newest and not known.get(one, (False,))[0])
    unrouted = tuple(one for one in newest if one.startswith(UNROUTED))
    return Plan(
        "what is older",
        (*old, *gone),
        whole=True,
        unrouted=unrouted,
        older=before,
        position=position,
        gone=len(gone),
    )


def is_behind(tracker: Tracker) -> bool:
    """Whether it is not known that every request of the ledger was carried out to its end here."""
    return tracker.ledger.requests > _done(tracker)


def why_behind(tracker: Tracker) -> str:
    """Why that is so, in words; empty where all is done."""
    if not is_behind(tracker):
        return ""
    entries = tracker.ledger.entries()
    if entries.requests <= tracker.erased() and not entries.knows_finished:
        older = f"{tracker.ledger.path} was written by an older version"
        return f"{older}, which did not record whether erasures were finished beside the store as well"
    if entries.requests <= tracker.erased() and entries.undone_by_log:
        return "a log was read whose name names somebody who was erased, and what came of it before still has that name"
    return "not all erasures are carried out: one broke off, or a backup was put back"


def _done(tracker: Tracker) -> int:
    """Up to which request of the ledger all is done here."""
    return min(tracker.ledger.entries().finished, tracker.erased())


def _nothing() -> None:
    pass


def carry_out(
    tracker: Tracker, plan: Plan, now: datetime, progress: Progress, first: Callable[[], None] = _nothing
) -> Done:
    """Does what is planned, and what was to be done before and broke off.

    ``first`` does the same elsewhere, before the store says that it is done: so what the ledger learns there is known
    wherever that is heeded.
    """
    requests = [plan.request(tracker.ledger, now, tracker.erased())]
    streams = list(plan.all_streams)
    if (more := _since(tracker, plan, progress)).all_streams:
        requests.append(more.request(tracker.ledger, now))
        streams += more.all_streams
    if _done(tracker) < requests[-1] - len(requests):  # another one is not done, whoever asked for it
        streams = _outstanding(tracker, progress)
    first()
    return _rewrite(tracker, streams, requests[-1], now, progress)


def _since(tracker: Tracker, plan: Plan, progress: Progress) -> Plan:
    """What belongs to a plan and was stored after that was made."""
    streams: Iterable[str] = ()
    if tracker.last_position() == plan.position:
        pass
    elif plan.older is not None:
        streams = _older(tracker, plan.older, progress).all_streams
    elif plan.whole:
        streams = _linked(tracker, plan.session, progress, plan.position)
    else:
        streams = _naming(tracker, plan.person, plan.session, progress, plan.position)
    new = [one for one in dict.fromkeys(streams) if one not in plan.all_streams]
    unrouted = [one for one in new if plan.older is not None and one.startswith(UNROUTED)]
    return attrs.evolve(
        plan, streams=tuple(one for one in new if one not in unrouted), unrouted=tuple(unrouted)
    )


def outstanding(
    tracker: Tracker, now: datetime, progress: Progress, first: Callable[[], None] = _nothing
) -> Done:
    """Does all that the ledger says; ``first`` as in ``carry_out``. Raises ``UsageError`` where it says nothing."""
    if not tracker.ledger.requests:
        raise UsageError(
            "there is no erasure to do again" if tracker.ledger.path.exists() else "there is no such file",
            place=str(tracker.ledger.path),
            hint="put it back from its backup; without it nobody knows who was erased"
            if tracker.erased()
            else "nobody was ever erased here; if somebody was, put erasures.db back from its backup",
        )
    requests = tracker.ledger.request("again", now, behind=tracker.erased())
    first()
    return _rewrite(tracker, _outstanding(tracker, progress), requests, now, progress)


def _rewrite(
    tracker: Tracker, streams: Sequence[str], requests: int, now: datetime, progress: Progress
) -> Done:
    changed = 0
    for begin in range(0, len(streams), STREAMS):
        changed += tracker.erase(streams[begin : begin + STREAMS])
        progress(begin, len(streams))
    others = _of_sources(tracker, tracker.ledger, progress)
    for begin in range(0, len(others), STREAMS):
        changed += tracker.erase(others[begin : begin + STREAMS])
    tracker.record_erasure(requests, now)
    return Done(changed, tracker.clean(), requests)


def _outstanding(tracker: Tracker, progress: Progress) -> list[str]:
    """The streams in which the ledger says that somebody is to be erased."""
    entries = tracker.ledger.entries()
    found = dict.fromkeys(entries.streams)
    if entries.people:
        for _, stream, received in _read(tracker, b"", progress):
            if any(any(entries.ids_among(one, received.received_at)) for one in people_in(received.body)):
                found.setdefault(stream)
    if entries.older is not None:
        found |= dict.fromkeys(filter(entries.has_older, tracker.streams(tracker.last_position())))
    return list(found)


def _counted(tracker: Tracker, plan: Plan, now: datetime, progress: Progress) -> Plan:
    """The same with how much it would change: it is tried with a ledger that nobody keeps."""
    with TemporaryDirectory() as directory:
        ledger, events = Ledger(Path(directory)), 0
        plan.request(ledger, now)
        for begin in range(0, len(plan.all_streams), STREAMS):
            events += tracker.would_erase(plan.all_streams[begin : begin + STREAMS], ledger)
        if others := set(_of_sources(tracker, ledger, progress)):  # also those that came before it was known
            streams, events = list(others.union(plan.all_streams)), 0
            for begin in range(0, len(streams), STREAMS):
                events += tracker.would_erase(streams[begin : begin + STREAMS], ledger)
    return attrs.evolve(plan, events=events)


def _of_sources(tracker: Tracker, ledger: Ledger, progress: Progress) -> list[str]:
    """The streams of what came from a log whose name names somebody, and still says so."""
    entries = ledger.entries()
    found = dict[str, None]()
    for _, stream, received in _read(tracker, b"", progress) if entries.sources else ():
        if entries.without_source(received) is not received:
            found.setdefault(stream)
    return list(found)


def _linked(tracker: Tracker, session: str, progress: Progress, after: int = 0) -> dict[str, None]:
    """The streams of what is linked to a session."""
    return {
        stream: None
        for _, stream, received in _holding(tracker, session, progress, after)
        if (link := parse(received).link) is not None and link[0] == session
    }


def _naming(
    tracker: Tracker, participant: str, session: str | None, progress: Progress, after: int = 0
) -> Iterator[str]:
    """The streams in which somebody has this id, and those of what is no JSON and holds it."""
    for _, stream, received in _holding(tracker, participant, progress, after):
        if session and stream != session:
            continue
        people = people_in(received.body)
        is_there = any(participant in one.ids for one in people)
        if is_there or (stream.startswith(UNROUTED) and not people and participant.encode() in received.body):
            yield stream


def _holding(
    tracker: Tracker, text: str, progress: Progress, after: int = 0
) -> Iterator[tuple[int, str, Received]]:
    """The events behind a position in which a text may stand."""
    yield from _read(tracker, text.encode() if _PLAIN.fullmatch(text) else b"", progress, after)
    if _PLAIN.fullmatch(text):
        yield from _read(tracker, b'"body_base64":', progress, after)


def _read(
    tracker: Tracker, text: bytes, progress: Progress, after: int = 0
) -> Iterator[tuple[int, str, Received]]:
    """The events behind a position, of those that are there now, whose state holds some bytes: position, stream and what was received."""
    end = tracker.last_position()
    while after < end:
        rows = tracker.holding(text, after) if text else _every(tracker, after, end)
        for position, stream, state in rows:
            if stream not in OURS and isinstance(state, bytes) and not is_tombstone(state):
                yield position, str(stream), envelope.decode(state)
        after = rows[-1][0] if rows else end
        progress(after, end)


def _every(tracker: Tracker, after: int, end: int) -> Rows:
    return [(one.id, one.originator_id, one.state) for one in tracker.stored(after, 1000, end)]


def newest_of(tracker: Tracker, progress: Progress) -> dict[str, datetime]:
    """Stream -> when a webhook of it was received last; what has no receive time came with what was before it.

    A record that was asked for later makes nothing younger; only where there is no webhook, it counts as one.
    """
    found: dict[str, datetime] = {}
    of_records: dict[str, datetime] = {}
    now: datetime | None = None
    after, end = 0, tracker.last_position()
    while after < end and (rows := tracker.begins(after, _PAGE)):
        for position, stream, topic, begin in rows:
            said = _RECEIVED_AT.match(begin if isinstance(begin, bytes) else str(begin).encode())
            at = parse_time(said[1].decode(errors="replace")) if said else None
            now = at or now
            if now is not None and stream not in OURS and not is_tombstone(begin):
                those = of_records if str(topic).startswith(PREFIX) else found
                those[stream] = max(those.get(stream, now), now)
            after = position
        progress(after, end)
    return {**of_records, **found}
