"""A session, a finding, a delivery as plain values, with the names that other programs rely on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from projections.answers.presence import of_session
from tracker.delivery.envelope import isoformat, parse_time
from tracker.delivery.payload import converter
from tracker.delivery.webhook import Delivery
from tracker.findings import Alternative, Finding
from tracker.judging.findings.copies import D105
from tracker.judging.findings.undelivered import R603, file_named
from tracker.judging.log import NOTHING_KNOWN, LogView
from tracker.judging.session import AggregateKey
from tracker.judging.sessions import Sessions
from tracker.judging.state import Aggregate, Judgement, Run, Session
from tracker.rules import Rules
from tracker.store.prunings import Tombstone

Values = dict[str, Any]
SURE = 0.98
"""How sure a finding is, is shown where it is less sure than this."""


def status(session: Session, pruned: Tombstone | None = None, now: datetime | None = None) -> Values:
    """The state of an assessed session; times are ISO 8601 in UTC. What came before it was ``pruned`` is in archives.

    Who is still inside counts up to ``now``, or to the moment as of which it was assessed.
    """
    people, aggregates = [], []
    for one in session.aggregates.values():  # a person's payloads are decoded once for both
        aggregates.append(_aggregate(one))
        if one.lifecycle.is_presence:
            people.append(_person(one))
    return {
        "session_id": session.session_id,
        "meeting_id": session.meeting_id,
        "state": session.state,
        "certainty": session.certainty,
        "started_at": _time(session.started_at),
        "ended_at": _time(session.ended_at),
        "first_seen_at": _time(session.first_seen_at),
        "last_seen_at": _time(session.last_seen_at),
        "deliveries": session.deliveries,
        "last_position": session.last_position,
        **of_session(session, now).values(),
        "participants": people,
        "aggregates": aggregates,
        "findings": [finding(found) for found in session.findings],
        "links": [{"session_id": name, "meeting_id": room} for name, room in session.links],
        "account": session.account,
        "erased_at": _time(session.erased_at),
        "pruned": None if pruned is None else {"at": pruned.at, "archives": list(pruned.archives)},
    }


def finding(found: Finding) -> Values:
    """One finding. ``position`` and ``evidence`` are places in the store, or lines of the logs.

    ``confidence`` is from 0 to 1; what needs no hypothesis has 1.
    """
    return {
        "code": found.code,
        "slug": found.slug,
        "severity": found.severity,
        "verdict": found.verdict,
        "confidence": found.confidence,
        "session_id": found.session_id,
        "meeting_id": found.meeting_id,
        "lifecycle": found.lifecycle,
        "key": found.key,
        "run": found.run,
        "position": found.position,
        "evidence": list(found.evidence),
        "at": _time(found.at),
        "state_before": found.state_before,
        "state_after": found.state_after,
        "expected": list(found.expected),
        "message": found.message,
        "advice": found.advice,
        "alternatives": [_alternative(one) for one in found.alternatives],
        "cause": found.cause,
        "account": found.account,
    }


def _alternative(one: Alternative) -> Values:
    return {
        "message": one.message,
        "codes": list(one.codes),
        "positions": list(one.positions),
        "confidence": one.confidence,
    }


def recording(session: Session, run: Run) -> Values:
    """One run of what leaves files behind; ``began_at`` is when its first webhook came, ``findings`` are codes."""
    started = run.delivered("started")
    found = sorted(run.findings, key=lambda one: one.number)
    return {
        "session_id": session.session_id,
        "meeting_id": session.meeting_id,
        "lifecycle": run.lifecycle.name,
        "key": dict(run.key),
        "run": run.number,
        "state": run.state,
        "certainty": run.certainty,
        "began_at": _time(run.began_at),
        "started_at": _time(started.at) if started else None,
        "stopped_at": _time(run.ended_at),
        "files": converter().unstructure(run.files),
        "findings": [one.code for one in found],
        "account": session.account,
        "videosdk_file": next((file_named(one.message) for one in found if one.code == R603.code), None),
    }


def withdrawn(row: Values) -> Values:
    """A finding that was published and is not held any more (a row of ``publications``), as it was published last."""
    names = ("code", "slug", "severity", "verdict", "confidence", "lifecycle", "key", "run", "position")
    times = ("at", "published_at", "changed_at", "withdrawn_at")
    return {name: row[name] for name in (*names, "message")} | {name: _short(row[name]) for name in times}


def doubt(confidence: float) -> str:
    """How sure a finding is, as ``"confidence 81 %"``; empty where that is not worth a word."""
    return "" if confidence >= SURE else f"confidence {int(100 * confidence)} %"


def instead(other: Alternative, place: Callable[[int], str] = "#{}".format) -> str:
    """What may have happened instead, how probable that is, and what would be found then."""
    found = [
        f"{code} at {place(position)}" for code, position in zip(other.codes, other.positions, strict=True)
    ]
    return f"{other.message} ({'; '.join([f'{100 * other.confidence:.0f} %', *found])})"


EVEN = 0.5
"""What is less probable is rather something else."""


def is_fine(session: Session) -> tuple[str, bool]:
    """That nothing is wrong, for sure or probably, and whether that is likely.

    What may be a copy may be a step of a run that went wrong.
    """
    doubtful = [one.confidence for one in session.findings if one.code == D105.code]
    if not doubtful:
        return "nothing is wrong", True
    if min(doubtful) >= EVEN:
        return f"probably nothing is wrong ({D105.code})", True
    return (
        f"something may be wrong ({D105.code}): what came again is more probably a step of another run",
        False,
    )


def not_over(session: Session) -> Iterator[str]:
    """What is open although the session has ended, in words: nobody can say yet that it is fine."""
    if session.state not in ("ended", "presumed-ended"):
        return
    for aggregate, run in session.open_runs():
        name = "" if aggregate.name == aggregate.lifecycle.name else f" {aggregate.name}"
        number = f" run {run.number}" if len(aggregate.runs) > 1 and not aggregate.lifecycle.is_presence else ""
        yield f"{aggregate.lifecycle.name}{name}{number} was {run.state} when the session ended"


class Moment(msgspec.Struct, frozen=True):
    """One delivery of a timeline.

    Attributes:
        delivery: What came.
        judgement: What it was, with hindsight.
        findings: Those that it raised.
        place: The place of its aggregate, in the order in which they appeared, those of one stream after those of
            another; ``None`` where it has none.
        under_way: Whether the latest run of that aggregate is open after it.
    """

    delivery: Delivery
    judgement: Judgement
    findings: tuple[Finding, ...]
    place: int | None
    under_way: bool


def timeline(
    deliveries: Iterable[Delivery],
    rules: Rules,
    as_of: datetime | None = None,
    log: LogView = NOTHING_KNOWN,
    completed: Callable[[Session], Session] = lambda session: session,
) -> tuple[list[Moment], list[Session]]:
    """Every delivery in order, and the assessed sessions (one, unless several streams are given).

    ``log`` is what the whole log says of them; ``completed`` adds what sessions say of each other.
    """
    sessions = Sessions(rules)
    received = list(deliveries)
    for one in received:
        sessions.observe(one)
    assessed = {name: completed(sessions.assessed(name, as_of, log)) for name in sessions.observed}
    return list(_moments(received, assessed)), list(assessed.values())


def _moments(received: Iterable[Delivery], sessions: dict[str, Session]) -> Iterator[Moment]:
    readings = {name: session.readings() for name, session in sessions.items()}
    places: dict[str, dict[AggregateKey, int]] = {}
    begin = 0
    for name, session in sessions.items():
        places[name] = {key: begin + place for place, key in enumerate(session.aggregates)}
        begin += len(session.aggregates)
    raised: dict[int | None, list[Finding]] = {}
    for found in (found for session in sessions.values() for found in session.findings):
        raised.setdefault(found.position, []).append(found)
    latest: dict[tuple[str, int], tuple[int, bool]] = {}
    for one in received:
        judgement = readings[one.stream].get(one.position, Judgement("unrouted"))
        place = places[one.stream].get((judgement.lifecycle or "", judgement.key))
        under_way = False
        if place is not None and judgement.lifecycle is not None:
            aggregate = sessions[one.stream].aggregates[judgement.lifecycle, judgement.key]
            number, under_way = latest.get((one.stream, place), (0, False))
            if (judgement.run or 0) >= number:
                under_way = judgement.state_after not in aggregate.lifecycle.ends
                latest[one.stream, place] = judgement.run or 0, under_way
        yield Moment(one, judgement, tuple(raised.get(one.position, ())), place, under_way)


def moment(one: Moment) -> Values:
    """One line of a timeline."""
    return {
        "position": one.delivery.position,
        "received_at": _time(one.delivery.received_at),
        "type": one.delivery.type,
        "lifecycle": one.judgement.lifecycle,
        "key": dict(one.judgement.key),
        "run": one.judgement.run,
        "reading": one.judgement.reading,
        "state_before": one.judgement.state_before or None,
        "state_after": one.judgement.state_after or None,
        "findings": [found.code for found in one.findings],
    }


def _person(aggregate: Aggregate) -> Values:
    return {
        **dict(aggregate.key),
        "name": aggregate.label or None,
        "state": aggregate.state,
        "certainty": aggregate.certainty,
        "visits": [
            {"joined_at": _time(one.joined_received_at), "left_at": _time(one.left_at)}
            for one in aggregate.visits
        ],
    }


def _aggregate(aggregate: Aggregate) -> Values:
    return {
        "lifecycle": aggregate.lifecycle.name,
        "key": dict(aggregate.key),
        "state": aggregate.state or None,
        "certainty": aggregate.certainty,
        "runs": [_run(run) for run in aggregate.runs],
    }


def _run(run: Run) -> Values:
    rank = run.lifecycle.rank
    return {
        "run": run.number,
        "state": run.state,
        "certainty": run.certainty,
        "steps": [
            {"step": one.step, "at": _time(one.at), "position": one.position, "inferred": one.inferred}
            for one in sorted(run.steps.values(), key=lambda taken: rank[taken.step])
        ],
        "data": converter().unstructure(run.data),
        "files": converter().unstructure(run.files) if run.lifecycle.artefacts else [],
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else isoformat(time)


def _short(time: str | None) -> str | None:
    """A time of a table as it is written elsewhere."""
    return _time(parse_time(time)) if time is not None else None
