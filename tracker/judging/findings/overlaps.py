"""X406: sessions of one meeting that were live at the same time. A room has one session at a time.

A session is seen as a ``Span``, which holds all that another session of its meeting must know of it. What came
before what is decided by receive time, and by position where times are equal or not known: several logs may be
one, and then positions are in no order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

import msgspec
from msgspec.structs import replace

from tracker.findings import NO_PRICE, Code, Finding
from tracker.judging.findings.maker import make
from tracker.judging.hypothesis import micros
from tracker.judging.state import Session
from tracker.rules import Rules

__all__ = ["Order", "Span", "live_at_begin", "outline", "overlapping", "overlaps", "span"]

ENDED = ("session-ended",)
Order = tuple[int, int]
"""A receive time in microseconds (0: unknown), and a position."""


class Span(msgspec.Struct, frozen=True):
    """When a session was.

    Attributes:
        occupied: From and to when somebody was inside (``None``: still is).
        idle: Times in which nothing came for so long that it was presumed to have ended.
        presence_known: Whether it is known who is inside; if not, nobody can say that two sessions overlap.
        begun_at: When it began: by the clock of its session-started, or by ours where that is earlier.
        started_at, ended_at: By its own clock where it says so, else by ours.
        others are as in ``Session``; ``began`` and ``last_seen`` are receive times.
    """

    stream: str
    meeting_id: str | None
    first_position: int
    began: datetime | None
    last_seen: datetime | None
    end_position: int | None
    end_received_at: datetime | None
    last_position: int = 0
    occupied: tuple[tuple[Order, Order | None], ...] = ()
    idle: tuple[tuple[datetime, datetime], ...] = ()
    presence_known: bool = True
    started_at: datetime | None = None
    ended_at: datetime | None = None
    begun_at: datetime | None = None
    account: str | None = None

    @property
    def first(self) -> Order:
        """When it began."""
        return _order(self.began, self.first_position)

    @property
    def last(self) -> Order:
        """When something came of it last."""
        return _order(self.last_seen, self.last_position)

    @property
    def end(self) -> Order | None:
        """When it ended; ``None`` where nobody said so."""
        return None if self.end_position is None else _order(self.end_received_at, self.end_position)


def _order(at: datetime | None, position: int) -> Order:
    return (0 if at is None else micros(at)), position


def span(session: Session) -> Span:
    """What other sessions of its meeting must know of a session."""
    return replace(outline(session), occupied=tuple(_occupied(session)))


def outline(session: Session) -> Span:
    """The same without who was inside: that is asked only of the earlier one of two sessions, and takes long."""
    return Span(
        session.stream,
        session.meeting_id,
        session.first_position or 0,
        session.first_seen_at,
        session.last_seen_at,
        session.end_position,
        session.end_received_at,
        session.last_position or 0,
        (),
        tuple(session.idle),
        session.presence_known,
        session.started_at,
        session.ended_at,
        session.begun_at,
        session.account,
    )


def _occupied(session: Session) -> Iterator[tuple[Order, Order | None]]:
    """The visits of a session laid over each other. One whose end was not reported lasts until the next begins."""
    visits: list[tuple[Order, Order | None]] = []
    ended = None if session.end_position is None else _order(session.end_received_at, session.end_position)
    for aggregate in session.aggregates.values():
        until = ended
        for visit in reversed(aggregate.runs if aggregate.lifecycle.is_presence else ()):
            came = [one.order for one in visit.candidate.originals.values()]
            visits.append((min(came), max(came) if visit.candidate.closed else until))
            until = min(came)
    begin, end = None, None
    for begun, left in sorted(visits, key=lambda visit: visit[0]):
        if begin is not None and end is not None and begun > end:
            yield begin, end
            begin = None
        end = left if begin is None or left is None else end and max(left, end)
        begin = begun if begin is None else begin
    if begin is not None:
        yield begin, end


def live_at_begin(this: Span, others: Iterable[Span], rules: Rules) -> Span | None:
    """The session of the same meeting that was live when this one began."""
    earlier = sorted((one for one in others if one.first <= this.first), key=_first)
    live = (other for other, following in _followed(earlier) if _was_live(other, following, this, rules))
    return next(live, None)


def overlaps(spans: Iterable[Span], rules: Rules, as_of: datetime | None) -> Iterator[tuple[Span, Finding]]:
    """The sessions of one meeting that began while another one of them was live, each with its X406."""
    before: dict[str, tuple[Span, Span | None]] = {}
    for this, next_one in _followed(sorted(spans, key=_first)):
        over = []
        for other, following in before.values():
            if _was_live(other, following, this, rules):
                yield this, overlapping(this, other, rules, as_of)
                break
            ended = other.end is not None or this.began is None or _gave_way(following, this, rules)
            if ended and other.last < this.first:
                over.append(other.stream)  # nothing more comes of it, so it never will be live again
        for stream in over:
            del before[stream]
        before[this.stream] = this, next_one


def _first(one: Span) -> Order:
    return one.first


def _followed(spans: Sequence[Span]) -> Iterator[tuple[Span, Span | None]]:
    """Each session with the one that began next."""
    return zip_longest(spans, spans[1:])


def _was_live(other: Span, following: Span | None, this: Span, rules: Rules) -> bool:
    """Whether a session was live when this one began. One that all had left is over, though nobody said so.

    Where neither people nor an end came of it, only what came of it later shows that it was live: a room may subscribe
    to no such types. One lost end is found once: when the next session, ``following``, has been there for `grace`, it is over.
    """
    here, end = this.first, other.end
    if other.stream == this.stream or other.first > here or not other.presence_known:
        return False
    if _says_it_was_over(this, other):  # it came late as a whole
        return False
    if end is not None:
        if end < here or _says_it_was_over(other, this):
            return False
        if (
            this.began is None
            or other.end_received_at is None
            or other.end_received_at - this.began <= rules.lateness
        ):
            return False
    elif other.last < here and _gave_way(following, this, rules):
        return False
    ends = [left for came, left in other.occupied if came < here]
    if not ends and end is None and other.last < here:
        return False
    if ends and not any(left is None or left > here for left in ends):
        return False
    return not _was_idle(other, this.began, rules)


def _gave_way(following: Span | None, this: Span, rules: Rules) -> bool:
    """Whether another session of the room had begun, for long enough, when this one did."""
    if following is None or following.began is None or this.began is None:
        return False
    return following.began + rules.grace <= this.began


def _says_it_was_over(other: Span, this: Span) -> bool:
    """Whether a session had ended when this one began, whenever that was reported."""
    started = this.started_at or this.began
    return other.ended_at is not None and started is not None and other.ended_at <= started


def _was_idle(one: Span, at: datetime | None, rules: Rules) -> bool:
    if at is None or one.last_seen is None:
        return False
    lasts = [*one.idle, (one.last_seen, datetime.max.replace(tzinfo=UTC) - timedelta(days=1))]
    return any(since + rules.session_idle <= at < until for since, until in lasts)


X406 = Code(
    "X406",
    "overlapping-sessions",
    "warning",
    when=(
        "A session began while another one of the same meeting was live, and both went on. Not where neither people nor"
        " an end came of the earlier one, nor anything later: then nobody can know."
    ),
    message="this session began while the session {value} of the same meeting was still live",
    example="two session-started with one meetingId, and no session-ended between them",
    advice=(
        "A room has one session at a time: people may have been in two calls without knowing it. Look for"
        " recordings in both."
    ),
    prices=NO_PRICE,
)


def overlapping(this: Span, other: Span, rules: Rules, as_of: datetime | None) -> Finding:
    """X406, as it stands at ``as_of``: the other session's end may still come late."""
    found = make(X406, rules, {"value": other.stream}, position=this.first_position, at=this.began)
    found.session_id, found.meeting_id, found.lifecycle = this.stream, this.meeting_id, "session"
    found.account = this.account
    found.evidence = (other.first_position, this.first_position)
    found.missing, found.since = ENDED, other.began
    found.deadline = None if this.began is None else this.began + rules.lateness
    if other.end_position is None:
        if found.deadline is None:
            found.verdict = "undecided"
        elif as_of is None or as_of < found.deadline:
            found.verdict = "provisional"
    return found
