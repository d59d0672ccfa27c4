"""``/sessions``: the sessions, the live ones first."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from operator import itemgetter
from typing import get_args

from projections.read_models import runs, text
from projections.read_models import sessions as model
from projections.web import answers, parameters
from projections.web.mount import url
from projections.web.pages.html import moment, span
from projections.web.pages.kinds import SESSION, kind_of
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.findings import SEVERITIES
from tracker.judging.findings.catalogue import CATALOGUE, CODES
from tracker.judging.state import SessionState

STATES: tuple[SessionState, ...] = get_args(SessionState)
GRAVE = SEVERITIES[:0:-1]

PARAMETERS = (
    parameters.text("q", "How an id of a session or a meeting begins, or a part of a person's name."),
    parameters.choice("state", "Only in this state.", parameters.words(STATES)),
    parameters.choice("severity", "Only where the gravest finding is so grave.", parameters.words(SEVERITIES)),
    parameters.choice("finding", "Only with this finding.", CODES),
    parameters.text("account", "Only of this account."),
    parameters.time("since", "Only what was received since then."),
    parameters.cursor("cursor", "Where the page begins.", r"[01]\.[0-9]{1,18}"),
    parameters.whole("limit", "At most so many.", most=100, default=50),
)


def fill(of: Snapshot, asked: Values) -> Values:
    limit = asked["limit"]
    rows, numbers = model.overview(
        of.db,
        part=asked["q"],
        state=asked["state"],
        severity=asked["severity"],
        account=asked["account"],
        findings=[asked["finding"]] if asked["finding"] else [],
        since=text(asked["since"]),
        before=asked["cursor"],
        limit=limit + 1,
    )
    more = (
        f"{int(rows[limit - 1]['is_live'])}.{rows[limit - 1]['last_position']}" if len(rows) > limit else None
    )
    filters = {name: asked[name] for name in ("q", "state", "severity", "finding", "account")}
    filters["since"] = asked["since"] and f"{asked['since']:%Y-%m-%dT%H:%M:%SZ}"
    return {
        "title": "Sessions",
        "rows": _rows(of, rows[:limit]),
        "position": of.checkpoint.position,
        "asked": filters,
        "narrowed": any(filters.values()),
        "first": asked["cursor"] is None,
        "next": more and url("sessions", **filters, cursor=more, limit=limit if limit != 50 else None),
        "start": url("sessions", **filters),
        "states": _facet("state", STATES, numbers, filters),
        "severities": _facet("severity", GRAVE, numbers, filters),
        "total": sum(row["number"] for row in numbers),
        "codes": CATALOGUE.values(),
        "accounts": of.accounts,
    }


def _facet(name: str, options: tuple[str, ...], numbers: list[Values], filters: Values) -> list[Values]:
    """What may be chosen, how many there are of it, and where that leads."""
    (other,) = {"state", "severity"} - {name}
    count = Counter[str]()
    for row in numbers:
        if filters[other] in (None, row[other]):
            count[row[name]] += row["number"]
            count[""] += row["number"]
    return [
        {
            "value": option or "all",
            "number": count[option],
            "chosen": filters[name] == (option or None),
            "url": url("sessions", **{**filters, name: option or None}),
        }
        for option in ("", *options)
    ]


def _rows(of: Snapshot, rows: list[Values]) -> list[Values]:
    ids = [row["session_id"] for row in rows]
    media: dict[str, list[Values]] = {}
    for run in runs.of_sessions(of.db, ids):
        media.setdefault(run["session_id"], []).append(run)
    return [_row(of, row, media.get(row["session_id"], [])) for row in rows]


def _row(of: Snapshot, row: Values, media: list[Values]) -> Values:
    times = {name: moment(row[name]) for name in ("started_at", "ended_at", "first_seen_at", "last_seen_at")}
    began = times["started_at"] or times["first_seen_at"]
    until = of.now if row["is_live"] else times["ended_at"] or times["last_seen_at"]
    return {
        **row,
        **times,
        "began": began,
        "age": span(until - began) if began and until and until >= began else "",
        "kind": SESSION[row["state"]],
        "media": list(_chips(media)),
        "worst": answers.worst(of, row),
        "others": max(0, row["errors"] + row["warnings"] - 1),
        "url": url("sessions", row["session_id"]),
    }


def _chips(media: list[Values]) -> list[Values]:
    """A chip for each lifecycle: its states, and how many there are of each where there are several.

    What is over in good order comes last, and is quiet.
    """
    chips = []
    for lifecycle, ones in groupby(sorted(media, key=itemgetter("lifecycle")), itemgetter("lifecycle")):
        states = Counter(one["state"] for one in ones)
        counts = [
            {"state": state, "number": number, "kind": kind_of(lifecycle, state)}
            for state, number in states.items()
        ]
        kind = "done" if all(one["kind"] == "done" for one in counts) else "open"
        chips.append({"lifecycle": lifecycle, "states": counts, "many": states.total() > 1, "kind": kind})
    return sorted(chips, key=lambda chip: chip["kind"] == "done")
