"""A session, a finding, a delivery as plain values, with the names that other programs rely on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import attrs

from tracker.accept import with_accepted
from tracker.aggregate import Aggregate, Judgement
from tracker.envelope import isoformat
from tracker.findings import Finding
from tracker.rules import Rules
from tracker.session import Session, conclude, judge, standing
from tracker.webhook import Delivery, converter

Values = dict[str, Any]


def status(session: Session) -> Values:
    """The state of a settled session; times are ISO 8601 in UTC, retracted findings are left out."""
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
        "participants": [_person(one) for one in session.aggregates.values() if one.lifecycle.visits],
        "aggregates": [_aggregate(one) for one in session.aggregates.values()],
        "findings": [finding(found) for found in standing(session)],
    }


def finding(found: Finding) -> Values:
    """One reproach. ``position`` and ``evidence`` are places in the store, or lines of the logs."""
    return {
        "code": found.code,
        "slug": found.slug,
        "severity": found.severity,
        "verdict": found.verdict,
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
        "cause": found.cause,
    }


@attrs.frozen
class Moment:
    """One delivery of a timeline: what came, what it was taken for, what it is reproached with.

    ``place`` is the place of the aggregate it moved, in the order in which they appeared; ``under_way``
    is whether that one is under way after it.
    """

    delivery: Delivery
    judgement: Judgement
    findings: tuple[Finding, ...]
    place: int | None
    under_way: bool


def timeline(
    deliveries: Iterable[Delivery], rules: Rules, as_of: datetime | None = None
) -> tuple[list[Moment], list[Session]]:
    """Every delivery in order, and the settled sessions (one, unless several streams are given)."""
    sessions: dict[str, Session] = {}
    heard = []
    for delivery in deliveries:
        session = sessions.setdefault(delivery.stream, Session(delivery.stream, delivery.session_id))
        judgement = judge(session, delivery, rules)
        aggregate = session.aggregates.get((judgement.lifecycle or "", judgement.key))
        under_way = aggregate is not None and not aggregate.runs[-1].closed
        heard.append((delivery, judgement, under_way))
    settled = [
        with_accepted(conclude(one, as_of or one.last_seen_at, rules), rules.accept)
        for one in sessions.values()
    ]
    blamed: dict[int | None, list[Finding]] = {}
    for found in (found for session in settled for found in standing(session)):
        blamed.setdefault(found.position, []).append(found)
    places = [{key: place for place, key in enumerate(session.aggregates)} for session in settled]
    place_of = dict(zip(sessions, places, strict=True))
    moments = [
        Moment(
            delivery,
            judgement,
            tuple(blamed.get(delivery.position, ())),
            place_of[delivery.stream].get((judgement.lifecycle or "", judgement.key)),
            under_way,
        )
        for delivery, judgement, under_way in heard
    ]
    return moments, settled


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
        "state_before": one.judgement.state_before,
        "state_after": one.judgement.state_after,
        "findings": [found.code for found in one.findings],
    }


def _person(aggregate: Aggregate) -> Values:
    lifecycle = aggregate.lifecycle
    visits = []
    for run in aggregate.runs:
        heard = {step.name: run.heard(step.name) for step in lifecycle.steps}
        visits.append({f"{name}_at": _time(step.at) if step else None for name, step in heard.items()})
    return {
        **dict(aggregate.key),
        "name": aggregate.label or None,
        "state": aggregate.state,
        "certainty": aggregate.certainty,
        "visits": visits,
    }


def _aggregate(aggregate: Aggregate) -> Values:
    return {
        "lifecycle": aggregate.lifecycle.name,
        "key": dict(aggregate.key),
        "state": aggregate.state or None,
        "certainty": aggregate.certainty,
        "runs": [
            {
                "run": run.number,
                "state": run.state,
                "certainty": run.certainty,
                "steps": [
                    {
                        "step": step.step,
                        "at": _time(step.at),
                        "position": step.position,
                        "inferred": step.inferred,
                    }
                    for step in sorted(
                        run.steps.values(), key=lambda taken: aggregate.lifecycle.rank[taken.step]
                    )
                ],
                "data": converter.unstructure(run.data),
            }
            for run in aggregate.runs
        ],
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else isoformat(time)
