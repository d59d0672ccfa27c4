"""``/events/{position}``: one delivery as it came, and what it did."""

from __future__ import annotations

import msgspec

from projections.web import answers, parameters
from projections.web.mount import url
from projections.web.pages.html import moment
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot

MOST = 24_000
"""Characters of a body that are shown; the API has all."""
READINGS = {
    "advanced": "The next step of its run, in order.",
    "skipped-ahead": "A step of its run; one before it had not been delivered.",
    "late": "A step of its run that came after one which follows it; the state stays, and the gap is filled.",
    "redelivered": "A copy of a webhook that had come before; nothing moved.",
    "repeated": "A copy of a webhook that had come more than six hours before; nothing moved.",
    "conflict": "A step of its run that had been reported before, with other data; the first report counts.",
    "new-run": "The first step of a new run.",
    "overtaken": "The end of the visit before; it came after the person had returned.",
    "orphan": "The end of a run of which nothing came before.",
    "noted": "It tells of a run and moves nothing; it may come as often as it likes.",
    "unrouted": "It belongs to no lifecycle; it is kept as it came.",
}

PARAMETERS = (parameters.whole("position", "The place of the delivery in the store.", place="path"),)


def fill(of: Snapshot, asked: Values) -> Values:
    found = answers.event(of, asked)
    position, last = found["position"], of.tracker.last_position()
    raw = found["body"] if found["body"] is not None else found["body_base64"]
    return {
        **found,
        "title": f"#{position} {found['type'] or ''}".strip(),
        "received_at": moment(found["received_at"]),
        "name": " ".join(found["key"].values()),
        "meaning": READINGS[found["reading"]],
        "raw": raw[:MOST],
        "cut": max(0, len(raw) - MOST),
        "pretty": _pretty(found["body"]),
        "is_text": found["body"] is not None,
        "earlier": url("events", position - 1) if position > 1 else None,
        "later": url("events", position + 1) if position < last else None,
        "session": found["session_id"] and url("sessions", found["session_id"]),
        "then": found["session_id"] and url("sessions", found["session_id"], at=position),
    }


def _pretty(body: str | None) -> str | None:
    """The same JSON on many lines; ``None`` where it is none, or already is."""
    if body is None or len(body) > MOST:
        return None
    try:
        pretty = msgspec.json.format(body, indent=2)
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return None if pretty == body else pretty
