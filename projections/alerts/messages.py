"""The body of a message, as Standard Webhooks has it: ``type``, ``timestamp``, ``data``.

People and files may be named in the finding's message and its key. Both are left out unless the rule asks for them; the
code, what it means and what to do about it name nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from projections.alerts.database import Known
from projections.alerts.moves import Event
from projections.outbox.queue import body
from tracker.alert import Alert
from tracker.delivery.webhook import UNROUTED
from tracker.judging.findings.catalogue import CATALOGUE

DIGEST = "alert.digest"
MOST_OF_DIGEST = 5
"""Messages that a digest holds in full,"""
LONGEST = 2000
"""and characters of the finding's message. A body should stay below 20 kB."""
SENT = (
    *("code", "slug", "severity", "verdict", "confidence", "session_id", "meeting_id", "lifecycle"),
    *("run", "position", "at", "cause", "account"),
)
"""What is sent of every finding."""


def about_finding(alert: Alert, event: Event, known: Known, now: str) -> str:
    """The body of a message about one finding."""
    found = known.found
    data: dict[str, Any] = {"alert": alert.name, "id": known.id, "times": known.times}
    data["acknowledged_by"] = known.acknowledged_by
    data |= {name: found[name] or None for name in SENT} | {"confidence": found["confidence"]}
    data["advice"] = CATALOGUE[found["code"]].advice
    if "message" in alert.include:
        data["message"] = found["message"][:LONGEST]
    if "key" in alert.include:
        data["key"] = msgspec.json.decode(found["key"])
    if alert.pages is not None and not found["stream"].startswith(UNROUTED):
        stream = found["session_id"] or found["stream"]
        data["link"] = f"{alert.pages.rstrip('/')}/sessions/{quote(stream, safe='')}"
    return body(f"finding.{event}", now, data)


def about_code(name: str, code: str, count: int, usual: float, now: str) -> str:
    """The body of a message about a code that is found much more often than usual: so often in a day."""
    entry = CATALOGUE[code]
    about = {
        "code": code,
        "slug": entry.slug,
        "severity": entry.severity,
        "count": count,
        "usual": round(usual, 1),
    }
    return body("finding.escalated", now, {"alert": name, **about, "advice": entry.advice})


def about_rule(kind: str, name: str, now: str, **data: Any) -> str:
    """The body of a message about a rule: ``rearmed`` or ``test``."""
    return body(f"alert.{kind}", now, {"alert": name, **data})


def digest(name: str, bodies: Sequence[str], now: str) -> str:
    """The body of one message in the place of many: how many of each kind and code, and the first of them in full."""
    messages = [msgspec.json.decode(one) for one in bodies]
    counts = Counter(f"{one['type']} {one['data'].get('code', '')}".strip() for one in messages)
    about = {"alert": name, "count": len(messages), "counts": counts, "messages": messages[:MOST_OF_DIGEST]}
    return body(DIGEST, now, about)
