"""XES: the deliveries as traces, for process-mining tools that follow one thing at a time.

There are two views of them. ``session``: a trace is a session (or another stream) with all that came, copies too, under
their webhook types: what was delivered. ``run``: a trace is one run of a lifecycle, with the deliveries that moved its state
only: what happened, as it is judged, to be replayed on the net of ``tracker lifecycles --format pnml``.

VideoSDK's own records are in neither. Readers refuse an event without a time. One of an unknown time has the newest time of its stream before it, so many
microseconds later as its position says, and ``time:known`` is false. The steps of a run are in the order of their times. The types to which a log is not subscribed (L603) are an
attribute of the log: without them no trace of those lifecycles can fit.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args
from xml.sax.saxutils import quoteattr

from projections.exports.new_file import new_file
from projections.read_models import Row
from projections.read_models.deliveries import WEBHOOKS
from tracker.delivery.envelope import parse_time

View = Literal["session", "run"]
VIEWS: tuple[View, ...] = get_args(View)
BEGIN = "1970-01-01T00:00:00Z"
"""The time of an event before which no time is known."""
NO_TYPE = "no-webhook"
"""The name of an event that names no webhook type."""
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xes.features="" xmlns="http://www.xes-standard.org/">
  <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
  <extension name="Time" prefix="time" uri="http://www.xes-standard.org/time.xesext"/>
  <classifier name="Webhook type" keys="concept:name"/>
"""
_NOT_SUBSCRIBED = "SELECT DISTINCT value FROM findings, json_each(findings.missing) WHERE code = 'L603' AND stream = 'log:' ORDER BY 1"
_EVENT = "position, type, received_at, newest, reading, state_before, state_after, findings"
_DELIVERIES = (
    "(SELECT *, MAX(received_at) OVER (PARTITION BY stream ORDER BY position ROWS UNBOUNDED PRECEDING) AS newest"
    f" FROM {WEBHOOKS} WHERE {{}})"
)
"""With the newest receive time of the stream by then."""
_OF: dict[View, str] = {
    "session": f"SELECT stream, NULL, NULL, NULL, {_EVENT} FROM {_DELIVERIES} ORDER BY stream, position",
    "run": f"SELECT stream, lifecycle, key, run, {_EVENT} FROM {_DELIVERIES} WHERE run IS NOT NULL"
    " AND state_after IS NOT state_before"
    " ORDER BY stream, lifecycle, key, run, COALESCE(received_at, newest), position",
}
_STREAMS = {None: "1", "unrouted": "stream >= 'unrouted:' AND stream < 'unrouted;'"}


def write(views: sqlite3.Connection, out: Path, view: View, session: str | None = None) -> None:
    """Writes the log, compressed where the file ends in ``.gz``.

    ``session`` is a stream, or ``"unrouted"`` for those that belong to no session. Raises ``UsageError``.
    """
    with new_file(out) as path, (gzip.open if out.suffix == ".gz" else open)(path, "wb") as file:
        file.writelines(_log(views, view, session))


def _log(views: sqlite3.Connection, view: View, session: str | None) -> Iterator[bytes]:
    yield _HEAD.encode()
    yield from _text("concept:name", f"webhooks by {view}", 2)
    missing = " ".join(value for (value,) in views.execute(_NOT_SUBSCRIBED))
    yield from _text("types:not-subscribed", missing or None, 2)
    meetings = "SELECT meeting_id FROM sessions WHERE session_id = ?"
    asked = views.execute(_OF[view].format(_STREAMS.get(session, "stream = ?1")), _given(session))
    for (stream, lifecycle, key, run), rows in groupby(asked, lambda row: row[:4]):
        meeting = next((one for (one,) in views.execute(meetings, (stream,))), None)
        name = stream if lifecycle is None else _name(stream, lifecycle, key, run)
        yield b"  <trace>\n"
        for attribute, value in (("concept:name", name), ("stream", stream), ("meeting", meeting)):
            yield from _text(attribute, value, 4)
        for attribute, value in (("lifecycle", lifecycle), ("run", run)):
            yield from _text(attribute, value, 4)
        yield from _events(row[4:] for row in rows)
        yield b"  </trace>\n"
    yield b"</log>\n"


def _given(session: str | None) -> tuple[str, ...]:
    return () if session in _STREAMS else (str(session),)


def _name(stream: str, lifecycle: str, key: str, run: int) -> str:
    return " ".join([stream, lifecycle, *json.loads(key).values(), str(run)])


def _events(rows: Iterable[Row]) -> Iterator[bytes]:
    for position, kind, received_at, newest, reading, before, after, codes in rows:
        time = parse_time(received_at or newest or BEGIN)
        assert time is not None, "the read models hold times of one form"
        if received_at is None:
            time += timedelta(microseconds=position)
        yield b"    <event>\n"
        yield from _text("concept:name", kind or NO_TYPE, 6)
        yield f'      <date key="time:timestamp" value="{time.isoformat(timespec="microseconds")}"/>\n'.encode()
        if received_at is None:
            yield b'      <boolean key="time:known" value="false"/>\n'
        yield f'      <int key="position" value="{position}"/>\n'.encode()
        named = (("reading", reading), ("state:before", before), ("state:after", after), ("findings", codes))
        for name, value in named:
            yield from _text(name, value, 6)
        yield b"    </event>\n"


def _text(name: str, value: object, indent: int) -> Iterator[bytes]:
    """An attribute; nothing where there is no value. XML cannot hold every character: another one stands for those."""
    if value is not None:
        held = _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))
        yield f'{" " * indent}<string key="{name}" value={quoteattr(held)}/>\n'.encode()
