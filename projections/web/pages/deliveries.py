"""``/events``: what came, the newest first, and what each delivery was taken for; ``session=unrouted``: what belongs nowhere."""

from __future__ import annotations

from typing import get_args

from projections.read_models import deliveries as model
from projections.read_models import types
from projections.web import answers, parameters
from projections.web.mount import url
from projections.web.pages.html import moment
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.judging.findings.catalogue import CODES
from tracker.judging.state import Reading
from tracker.lifecycles import REGISTRY

LIMIT = 50
READINGS = get_args(Reading)
NAMES = ("type", "reading", "lifecycle", "code", "session", "meeting", "account", "since", "until")

PARAMETERS = (
    parameters.text("type", "Only of this webhook type."),
    parameters.choice("reading", "Only what was taken for this.", parameters.words(READINGS)),
    parameters.choice("lifecycle", "Only of this lifecycle.", parameters.words(REGISTRY)),
    parameters.choice("code", "Only what raised this.", CODES),
    parameters.text("session", "Only of this session; `unrouted`: of none."),
    parameters.text("meeting", "Only of this meeting."),
    parameters.text("account", "Only what came for this account."),
    parameters.time("since", "Only what was received since then."),
    parameters.time("until", "Only what was received by then."),
    parameters.cursor("cursor", "Where the page begins.", r"[0-9]{1,18}"),
)


def fill(of: Snapshot, asked: Values) -> Values:
    many = {name: [asked[name]] if asked[name] else [] for name in ("type", "reading")}
    page = answers.events(of, {**asked, **many, "limit": LIMIT})
    filters: Values = {name: asked[name] for name in NAMES}
    for name in ("since", "until"):
        filters[name] = asked[name] and f"{asked[name]:%Y-%m-%dT%H:%M:%SZ}"
    outside = asked["session"] == "unrouted"
    return {
        "title": "Unrouted" if outside else "Deliveries",
        "outside": outside,
        "number": model.number_outside(of.db) if outside else None,
        "position": of.checkpoint.position,
        "rows": [{**one, "time": moment(one["received_at"])} for one in page["items"]],
        "asked": filters,
        "narrowed": any(filters.values()),
        "accounts": of.accounts,
        "types": sorted(types.deliveries(of.db)),
        "readings": READINGS,
        "lifecycles": list(REGISTRY),
        "first": asked["cursor"] is None,
        "start": url("events", **filters),
        "next": page["next"] and url("events", **filters, cursor=page["next"]),
    }
