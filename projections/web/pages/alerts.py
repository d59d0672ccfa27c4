"""``/alerts``: what somebody was sent and is not over, and whether it arrived."""

from __future__ import annotations

from projections.alerts.listing import looked_after
from projections.web import alerts, parameters
from projections.web.mount import url
from projections.web.pages.choices import account_links
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot

MOST = 200
PARAMETERS = (
    parameters.flag("closed", "Also those that are over."),
    parameters.text("by", "Only those that this person looks after."),
    parameters.text("account", "Only what is of this account."),
)


def fill(of: Snapshot, asked: Values) -> Values:
    found = alerts.alerts(of, {**asked, "limit": MOST + 1})
    closed, of_it = "true" if asked["closed"] else None, {"account": asked["account"]}
    return {
        "title": "Alerts",
        "position": of.checkpoint.position,
        "rules": found["rules"],
        "items": found["items"][:MOST],
        "more": len(found["items"]) > MOST,
        "closed": asked["closed"],
        "other": url("alerts", **of_it, closed=None if asked["closed"] else "true", by=asked["by"]),
        "people": people(of, asked["by"], asked["account"], closed=closed),
        "accounts": account_links(of, asked["account"], "alerts", closed=closed, by=asked["by"]),
    }


def people(
    of: Snapshot, chosen: str | None = None, account: str | None = None, **filters: str | None
) -> list[Values]:
    """Who looks after open alerts, with how many, and where they are listed."""
    return [
        {
            "name": name,
            "number": number,
            "chosen": name == chosen,
            "url": url("alerts", **filters, account=account, by=None if name == chosen else name),
        }
        for name, number in looked_after(of.tracker.data, account).items()
    ]
