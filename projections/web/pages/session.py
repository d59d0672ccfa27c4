"""``/sessions/{id}``: one meeting, now or as it was known at a moment before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from shlex import quote
from typing import Any

from projections.answers.presence import of_session
from projections.explain import status as shown
from projections.explain import together
from projections.explain.status import Moment
from projections.web import answers, parameters
from projections.web.mount import url
from projections.web.pages import graph, lanes
from projections.web.pages.html import span
from projections.web.pages.kinds import SESSION, kind
from projections.web.pages.owners import owners
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.delivery.envelope import isoformat
from tracker.delivery.payload import converter
from tracker.delivery.webhook import Delivery, until
from tracker.errors import NotFoundError
from tracker.findings import SEVERITIES, Finding
from tracker.judging.findings.undelivered import R603, file_named
from tracker.judging.session import AggregateKey
from tracker.judging.state import Aggregate, Run, Session, Visit
from tracker.lifecycles import REGISTRY

MOST_RUNS = 24
MOST_FINDINGS = 20
MOST_VISITS = 40
"""Visits in the table of people."""
MOST_STOPS = 600
"""Places at which the journey through time may stop."""
ROWS = 50
"""Deliveries on a page of the table."""
Names = dict[AggregateKey, str]

PARAMETERS = (
    parameters.text("session", "The session's id.", place="path"),
    parameters.whole("at", "As it was known right after this position."),
    parameters.time("as_of", "As it was known at this moment."),
    parameters.text("open", "The lifecycle of which every lane is shown."),
    parameters.text("who", "Of these lanes those with this in their name."),
    parameters.whole("page", "Of the lanes that are shown on demand.", most=10_000, default=1),
    parameters.text("show", "The lifecycle whose diagram is shown."),
    parameters.whole("from", "The table begins with the first delivery at or behind this position."),
)


def fill(of: Snapshot, asked: Values) -> Values:
    name = asked["session"]
    deliveries = list(together.deliveries(of.tracker, of.db, name))
    if not deliveries:
        raise answers.unknown(of, name)
    moments, sessions = shown.timeline(deliveries, of.rules, of.as_of, of.log, of.completed)
    whole = together.together(name, sessions)
    received, session = deliveries, whole
    if asked["at"] is not None or asked["as_of"] is not None:
        received = _received(deliveries, asked)
        at, then = asked["at"], asked["as_of"] if asked["at"] is None else None
        completed = partial(of.completed, at=at, as_of=then)
        moments, sessions = shown.timeline(received, of.rules, then, of.log.known_by(at, then), completed)
        session = together.together(name, sessions)
    found, names = _findings(session), lanes.names_of(session)
    return {
        **_facts(of, session, asked),
        **_drawing(session, whole, deliveries, received, asked, of.now, names),
        **_travel(deliveries, moments, asked),
        **_table(moments, asked),
        "names": names,
        "title": session.meeting_id or name,
        "name": name,
        "pruned": of.tracker.pruned(name),
        "position": of.checkpoint.position,
        "asked": asked,
        "findings": found,
        "owners": owners(of, _with_streams(found, name, received)),
        "jumps": {one.number for one in found},
        "still": list(shown.not_over(session)),
        "grave": any(one.severity != "info" for one in found),
        **_visitors(session),
        "more_findings": len(session.findings) - len(found),
        "withdrawn": [] if _is_past(asked) else _withdrawn(of, asked),
        "media": _media(session, names, {one.number for one in found}),
        **_diagram(session, asked),
        "commands": _commands(name, asked),
        "why": url("why", session=name, at=asked["at"], as_of=asked["as_of"] and isoformat(asked["as_of"])),
        "link": partial(_link, asked),
    }


def _commands(name: str, asked: Values) -> list[str]:
    """What says the same on the command line."""
    moment = (
        f" --at {asked['at']}"
        if asked["at"]
        else f" --as-of {isoformat(asked['as_of'])}"
        if asked["as_of"]
        else ""
    )
    return [f"tracker status {quote(name)}{moment}", f"tracker explain {quote(name)}{moment}"]


def _received(deliveries: list[Delivery], asked: Values) -> list[Delivery]:
    """What had been received at the moment that was asked for. Raises ``NotFoundError`` where that is nothing."""
    at, as_of = asked["at"], asked["as_of"]
    if at is not None:
        received = [one for one in deliveries if one.position <= at]
    else:
        received = list(until(deliveries, as_of))
    if not received:
        hint = f"its first delivery is at position {deliveries[0].position}"
        raise NotFoundError(
            "no delivery of this session had come by then", place=f"at {at or as_of}", hint=hint
        )
    return received


def _link(asked: Values, **changed: Any) -> str:
    """This page, with something changed."""
    kept = {name: asked[name] for name in ("at", "open", "who", "show")}
    kept["as_of"] = asked["as_of"] and isoformat(asked["as_of"])
    if asked["page"] > 1:
        kept["page"] = asked["page"]
    return url("sessions", asked["session"], **{**kept, **changed})


def _is_past(asked: Values) -> bool:
    return asked["at"] is not None or asked["as_of"] is not None


def _facts(of: Snapshot, session: Session, asked: Values) -> Values:
    people = session.participants
    began = session.started_at or session.first_seen_at
    until = session.ended_at or session.last_seen_at
    if session.state == "live" and not _is_past(asked):
        until = max(filter(None, (of.now, until)))
    return {
        "session": session,
        "kind": SESSION[session.state],
        "began": began,
        "end_received": _received_at_another(session),
        "length": span(until - began) if began and until and until >= began else "",
        "people": len(people),
        "inside": sum(not one.run.closed for one in people),
    }


def _received_at_another(session: Session) -> datetime | None:
    """When the end was received, where that is another second than the one that the session's own clock says."""
    own, received = session.ended_at, session.end_received_at
    same = own is None or received is None or own.replace(microsecond=0) == received.replace(microsecond=0)
    return None if same else received


def _drawing(
    session: Session,
    whole: Session,
    deliveries: list[Delivery],
    received: list[Delivery],
    asked: Values,
    now: datetime,
    names: Names,
) -> Values:
    times, timeless = lanes.clockwork(deliveries)
    axis = lanes.scale(whole, times, timeless=timeless, now=now)
    until = asked["as_of"] if asked["at"] is None else times[received[-1].position]
    drawing = lanes.draw(
        session,
        axis,
        times,
        names,
        known_until=until,
        opened=asked["open"],
        who=asked["who"],
        page=asked["page"],
    )
    return {"drawing": drawing, "ticks": axis.ticks(), "folds": list(axis.folds())}


def _travel(deliveries: list[Delivery], moments: list[Moment], asked: Values) -> Values:
    """Where the journey through time is, and where it may stop."""
    positions = [one.position for one in deliveries]
    place = len(moments) - 1
    stride = -(-len(positions) // MOST_STOPS)
    stops = sorted({*positions[::stride], positions[-1]})
    return {
        "stops": stops,
        "here": moments[-1],
        "earlier": positions[place - 1] if place > 0 else None,
        "later": positions[place + 1] if place + 1 < len(positions) else None,
        "past": _is_past(asked),
        "at": positions[place],
        "known": len(moments),
        "in_all": len(positions),
    }


def _table(moments: list[Moment], asked: Values) -> Values:
    """The page of the deliveries that was asked for; by default the last one."""
    begin = next((n for n, one in enumerate(moments) if one.delivery.position >= (asked["from"] or 0)), 0)
    if asked["from"] is None:
        begin = max(0, (len(moments) - 1) // ROWS * ROWS)
    end = begin + ROWS
    return {
        "moments": moments[begin:end],
        "before": moments[max(0, begin - ROWS)].delivery.position if begin else None,
        "after": moments[end].delivery.position if end < len(moments) else None,
        "first_row": begin + 1,
    }


def _findings(session: Session) -> list[Finding]:
    """The gravest first, then the newest."""
    found = sorted(session.findings, key=lambda one: (-SEVERITIES.index(one.severity), -one.number))
    return found[:MOST_FINDINGS]


def _with_streams(
    found: list[Finding], name: str, received: list[Delivery]
) -> Iterator[tuple[int, str, str, int | None]]:
    """The number of each finding with its stream, which is that of its delivery, its code and its position."""
    streams = {one.position: one.stream for one in received}
    for one in found:
        yield one.number, streams.get(one.position or 0, name), one.code, one.position


def _withdrawn(of: Snapshot, asked: Values) -> list[Values]:
    """What was published and taken back, infos aside."""
    found = (one for one in answers.withdrawn(of, asked)["items"] if one["severity"] != "info")
    return list(islice(found, MOST_FINDINGS))


def _visitors(session: Session) -> Values:
    """A row for each visit, in the order in which people came, and what they come to."""
    visits = [(one, visit) for one in session.participants for visit in one.visits]
    visits.sort(key=lambda each: (each[1].joined_at is None, each[1].joined_at))
    return {
        "visitors": [_visitor(*each) for each in visits[:MOST_VISITS]],
        "more_visitors": max(0, len(visits) - MOST_VISITS),
        "presence": of_session(session),
    }


def _visitor(one: Aggregate, visit: Visit) -> Values:
    came, left = visit.joined_at, visit.left_at
    return {
        "name": one.name,
        "url": url("people", one.key[0][1]),
        "visit": visit.number,
        "state": visit.state,
        "came": came,
        "left": left,
        "length": span(left - came) if came and left and left >= came else "",
    }


def _media(session: Session, names: Names, shown_findings: set[int]) -> Values:
    """What was recorded, sent or transcribed: a row for each run, with its files."""
    ones = [
        one
        for one in session.aggregates.values()
        if not one.lifecycle.is_presence and not one.lifecycle.is_session
    ]
    rows = [
        _run(one, run, names[one.lifecycle.name, one.key], shown_findings) for one in ones for run in one.runs
    ]
    kinds = Counter(row["kind"] for row in rows)
    rows.sort(key=lambda row: row["kind"] not in ("failed", "lost", "moving", "active"))
    return {"rows": rows[:MOST_RUNS], "more": max(0, len(rows) - MOST_RUNS), "kinds": kinds}


def _run(one: Aggregate, run: Run, name: str, shown_findings: set[int]) -> Values:
    return {
        "lifecycle": one.lifecycle.name,
        "name": "" if name == one.lifecycle.name else name,
        "number": run.number if len(one.runs) > 1 else None,
        "state": run.state,
        "kind": kind(one.lifecycle, run.state),
        "certainty": run.certainty,
        "begin": run.began_at,
        "end": run.ended_at,
        "brings": bool(one.lifecycle.artefacts),
        "findings": [(found.number, found.code) for found in run.findings if found.number in shown_findings],
        "files": list(_files(converter().unstructure(run.files))),
        "videosdk_file": next((file_named(one.message) for one in run.findings if one.code == R603.code), None),
    }


def _files(held: Any) -> Iterator[Values]:
    """Every text in what a run left behind; an address only where a browser may go there."""
    if isinstance(held, str):
        yield {"text": held, "url": held if held.startswith(("https://", "http://")) else None}
    elif isinstance(held, dict):
        for value in held.values():
            yield from _files(value)
    elif isinstance(held, list | tuple):
        for value in held:
            yield from _files(value)


def _diagram(session: Session, asked: Values) -> Values:
    """The diagram of one lifecycle of this session, what is where now, and what was refused."""
    states: dict[str, Counter[str]] = {}
    for one in session.aggregates.values():
        states.setdefault(one.lifecycle.name, Counter())[one.state] += 1
    if not states:
        return {"diagram": None, "diagrams": []}
    worst = next((one.lifecycle for one in _findings(session) if one.lifecycle in states), None)
    media = next(
        (name for name in states if not REGISTRY[name].is_presence and not REGISTRY[name].is_session), None
    )
    show = asked["show"] if asked["show"] in states else worst or media or next(iter(states))
    many = sum(states[show].values()) > 1
    lit = {state: f"{number:,}" if many else "now" for state, number in states[show].items()}
    rows = [{**shown.finding(one), "type": one.type} for one in session.findings if one.lifecycle == show]
    highlights = filter(None, (graph.highlight_of(REGISTRY[show], row) for row in rows))
    return {"diagram": graph.graph(REGISTRY[show], lit, None, highlights), "diagrams": list(states)}
