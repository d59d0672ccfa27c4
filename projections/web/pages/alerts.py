"""``/alerts``: what somebody was sent and is not over, and whether it arrived."""

from __future__ import annotations

from projections.web import alerts, parameters
from projections.web.mount import url
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot

MOST = 200
PARAMETERS = (parameters.flag("closed", "Also those that are over."),)


def fill(of: Snapshot, asked: Values) -> Values:
    found = alerts.alerts(of, {**asked, "limit": MOST + 1})
    return {
        "title": "Alerts",
        "position": of.checkpoint.position,
        "rules": found["rules"],
        "items": found["items"][:MOST],
        "more": len(found["items"]) > MOST,
        "closed": asked["closed"],
        "other": url("alerts", closed=None if asked["closed"] else "true"),
    }
