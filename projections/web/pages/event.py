"""``/events/{position}``: one delivery as it came, and what it did."""

from __future__ import annotations

import msgspec

from projections.web import answers, parameters
from projections.web.pages.html import moment, url
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot

MOST = 24_000
"""Characters of a body that are shown; the API has all."""
READINGS = {
    "advanced": "It came where it may, and moved the state.",
    "skipped-ahead": "It came too early: a step before it had not been delivered.",
    "late": "It came after a step that follows it; the state stays, and the gap is filled.",
    "redelivered": "It had come before, with equal data: the same thing, told again.",
    "repeated": "It had come before, too long ago for a redelivery.",
    "conflict": "It had come before with other data; what came first counts.",
    "new-run": "It began a new run.",
    "overtaken": "It belongs to the visit before, and was overtaken by the return.",
    "orphan": "Nothing was under way that it could belong to.",
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
        "told": READINGS[found["reading"]],
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
