"""What the API answers about alerts, and the classes of it. As ``projections.web.answers``."""

from __future__ import annotations

from typing import Literal

from projections.alerts.listing import listed
from projections.web.contracts import Contract, Judged, Time
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot


def alerts(of: Snapshot, asked: Values) -> Values:
    """The rules, and the alerts that wait or are open, the newest first; with `closed` those that are over too."""
    narrowed = {name: asked[name] for name in ("closed", "by", "account", "limit")}
    found = listed(of.tracker.data, **narrowed)
    items = [{**one, "message": of.text(one["message"], one["session_id"])} for one in found["items"]]
    return {**found, "items": items}


class Mute(Contract):
    """What is not reported until a time, and why; without a code it is everything."""

    code: str | None
    until: Time | None
    reason: str


class AlertRule(Contract):
    """A rule: why nothing is sent to its receiver any more, and how many messages are to be sent or could not be.

    ``problem`` is why a message was not taken that is tried again at ``next_at``.
    """

    name: str
    disabled: str | None
    swept_at: Time
    pending: int
    dead: int
    problem: str | None
    next_at: Time | None
    mutes: list[Mute]


class Alert(Judged):
    """One finding that matches a rule, or did; ``times`` is how often it was opened.

    Without a rule it is one that somebody looks after all the same.
    """

    id: int
    rule: str | None
    state: Literal["waiting", "open", "retracted", "resolved", "closed"]
    at: Time | None
    cause: str | None
    account: str | None
    message: str
    due_at: Time | None
    opened_at: Time | None
    closed_at: Time | None
    times: int
    acknowledged_by: str | None
    acknowledged_until: Time | None


class Alerts(Contract):
    """The rules that are armed, and their alerts."""

    rules: list[AlertRule]
    items: list[Alert]
