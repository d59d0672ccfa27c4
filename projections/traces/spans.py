"""A session as spans, out of the read models.

A span begins with the first step that came of its run and ends with the one that ended it; where that never came, with the
session. Its events are the steps, under their webhook types, and the findings that are settled. A step whose receive time
is not known has the newest time before it. What has a stream of its own and was for the session, as calls and agents, is in
its trace too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import msgspec

from projections.read_models import ReadModels, Row, links
from tracker.blake2b import blake2b
from tracker.delivery.envelope import parse_time
from tracker.lifecycles import REGISTRY

PRESENCE = next(one for one in REGISTRY.values() if one.is_presence)
"""What a visit is a run of."""
_json = msgspec.json.Encoder().encode

Attributes = dict[str, str | int | float | bool]
Thing = tuple[str | None, str, int | None]
"""Lifecycle, key as JSON, and number of a run; the session's own is ``SESSION``."""
SESSION: Thing = ("session", "{}", 1)
_SESSION = (
    "SELECT meeting_id, state, certainty, account, deliveries, participants, errors, warnings,"
    " COALESCE(started_at, first_seen_at), COALESCE(ended_at, last_seen_at) FROM sessions WHERE session_id = ?"
)
_VISITS = (
    "SELECT participant_id, visit, state, certainty, joined_at, left_at"
    " FROM participants WHERE session_id = ? ORDER BY participant_id, visit"
)
_RUNS = (
    "SELECT lifecycle, key, run, state, certainty, first_step_at, stopped_at"
    " FROM runs WHERE stream = ? ORDER BY lifecycle, key, run"
)
_STEPS = (
    "SELECT lifecycle, key, run, type, received_at, position, reading, state_before, state_after FROM deliveries"
    " WHERE stream = ? ORDER BY position"
)
_FINDINGS = (
    "SELECT lifecycle, key, run, code, slug, severity, confidence, at, position FROM findings"
    " WHERE stream = ? AND verdict = 'settled' ORDER BY number"
)


@attrs.frozen
class Event:
    """Something that happened during a span; ``at`` is in nanoseconds since 1970."""

    name: str
    at: int
    attributes: Attributes


@attrs.define
class Span:
    """A session, a visit or another run.

    Attributes:
        trace, id, parent: 16, 8 and 8 bytes as numbers; the session's span has no parent.
        name: The lifecycle.
        begin, end: In nanoseconds since 1970.
        attributes: What is held of it.
        events: Its steps and what was found of it, in the order of their times.
        error: Its first finding of severity error; empty where it has none.
    """

    trace: int
    id: int
    parent: int | None
    name: str
    begin: int
    end: int
    attributes: Attributes
    events: list[Event] = attrs.field(factory=list)
    error: str = ""


def trace_id(session_id: str) -> int:
    return _number(session_id, 16)


def span_id(session_id: str, thing: Thing, *beside: str) -> int:
    """The id of a span; ``beside`` is the stream of a thing that has one of its own."""
    return _number("\0".join([session_id, *beside, *map(str, thing)]), 8)


def of_session(views: sqlite3.Connection, session_id: str) -> list[Span]:
    """The spans of a session, its own first; none where no time of it is known, or it is not there."""
    row = views.execute(_SESSION, (session_id,)).fetchone()
    if row is None:
        return []
    begin, end = map(_nanoseconds, row[-2:])
    if begin is None or end is None:
        return []
    root = _root(session_id, row, begin, max(begin, end))
    spans = {SESSION: root}
    for person, *visit in views.execute(_VISITS, (session_id,)):
        key = _json({PRESENCE.key[0]: person}).decode()
        spans[PRESENCE.name, key, visit[0]] = _child(root, session_id, (PRESENCE.name, key, *visit))
    found = list(_of_stream(views, root, spans, session_id))
    for stream in links.beside(ReadModels(views), session_id):
        found += list(_of_stream(views, root, {}, session_id, stream))
    for span in found:
        span.events.sort(key=lambda event: event.at)
    return found


def _of_stream(
    views: sqlite3.Connection, root: Span, spans: dict[Thing, Span], session_id: str, *beside: str
) -> Iterable[Span]:
    """The ``spans`` of a stream with those of its runs, each with its events; ``beside``: of one beside the session's own."""
    stream = (*beside, session_id)[0]
    for run in views.execute(_RUNS, (stream,)):
        spans[run[:3]] = _child(root, session_id, run, *beside)
    _add_steps(root, spans, views.execute(_STEPS, (stream,)))
    _add_findings(root, spans, views.execute(_FINDINGS, (stream,)))
    return spans.values()


def _root(session_id: str, row: Row, begin: int, end: int) -> Span:
    names = ("meeting_id", "state", "certainty", "account", "deliveries", "participants", "errors", "warnings")
    attributes = _given(zip(names, row, strict=False)) | {"session.id": session_id}
    ids = trace_id(session_id), span_id(session_id, SESSION)
    return Span(*ids, None, "session", begin, end, attributes)


def _child(root: Span, session_id: str, row: Row, *beside: str) -> Span:
    lifecycle, key, run, state, certainty, *times = row
    began, ended = map(_nanoseconds, times)
    known = [time for time in (began, ended) if time is not None]
    begin = known[0] if known else root.begin
    end = max(begin, root.end if ended is None else ended)
    about = {**msgspec.json.decode(key), "run": run, "state": state, "certainty": certainty}
    span = span_id(session_id, row[:3], *beside)
    return Span(root.trace, span, root.id, lifecycle, begin, end, _given(about.items()))


def _add_steps(root: Span, spans: Mapping[Thing, Span], rows: Iterable[Row]) -> None:
    """Adds what moved each run; a copy moves nothing."""
    newest = root.begin
    for lifecycle, key, run, kind, received_at, position, reading, before, after in rows:
        at = _nanoseconds(received_at)
        newest = max(newest, at or 0)
        span = spans.get((lifecycle, key, run))
        if span is not None and after != before:
            about = {"position": position, "reading": reading, "state": after, "time_known": at is not None}
            span.events.append(Event(kind, newest if at is None else at, _given(about.items())))


def _add_findings(root: Span, spans: Mapping[Thing, Span], rows: Iterable[Row]) -> None:
    """Adds what was found, each where it belongs; one that is grave makes an error of that span and of the session's."""
    for lifecycle, key, run, code, slug, severity, confidence, at, position in rows:
        span = spans.get((lifecycle, key, run), root)
        about = {"code": code, "severity": severity, "confidence": confidence, "position": position}
        event = Event(f"{code} {slug}", _nanoseconds(at) or span.end, _given(about.items()))
        span.events.append(event)
        if severity == "error":
            span.error, root.error = span.error or event.name, root.error or event.name


def _given(values: Iterable[tuple[str, Any]]) -> Attributes:
    """Attributes of our own, without what is not known."""
    return {f"tracker.{name}": value for name, value in values if value is not None}


def _number(text: str, size: int) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest(), "big")


def _nanoseconds(stored: str | None) -> int | None:
    time = parse_time(stored) if stored else None
    return None if time is None else round(time.timestamp() * 1_000_000) * 1000
