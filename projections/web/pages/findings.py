"""``/findings``: what is wrong, grouped by code and cause; of one code, room or session one by one, the newest first."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import get_args

from projections.answers.issues import SORTS
from projections.read_models import findings as model
from projections.read_models import text
from projections.web import answers, answers_across, parameters
from projections.web.mount import url
from projections.web.pages.alerts import people
from projections.web.pages.charts import columns
from projections.web.pages.owners import owners
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.findings import SEVERITIES, Severity, Verdict
from tracker.judging.findings.catalogue import CATALOGUE, CODES
from tracker.lifecycles import REGISTRY

SHOWN: dict[str, tuple[Severity, ...]] = {
    "grave": ("error", "warning"),
    **{severity: (severity,) for severity in reversed(SEVERITIES)},
    "all": SEVERITIES,
}
"""What may be chosen; the first one unless it is said."""
NAMES = {"grave": "errors and warnings", "all": "all"}
VERDICTS = get_args(Verdict)
LIMIT = 30
TRENDS = ("new", "back")
VIEWS = ("grouped", "each")
PERIODS = {None: "any time", "day": "24 hours", "week": "7 days", "month": "30 days"}

PARAMETERS = (
    parameters.choice("code", "Only this one.", CODES),
    parameters.choice("severity", "Only so grave ones.", parameters.words(SHOWN)),
    parameters.choice("lifecycle", "Only of this lifecycle.", parameters.words(REGISTRY)),
    parameters.choice("verdict", "Only with this verdict.", parameters.words(VERDICTS)),
    parameters.text("session", "Only of this session."),
    parameters.text("meeting", "Only of this meeting."),
    parameters.text("account", "Only of this account."),
    parameters.text("cause", "Only what this explains."),
    parameters.choice("view", "Grouped, or one by one.", parameters.words(VIEWS)),
    parameters.choice(
        "trend", "Only groups that are new, or back, in the time that is asked for.", parameters.words(TRENDS)
    ),
    parameters.choice("sort", "The order of the groups.", parameters.words(SORTS), default="severity"),
    parameters.choice(
        "within", "Only of the last day, week or month.", parameters.words(answers_across.WITHIN)
    ),
    parameters.time("since", "Only what became true since then."),
    parameters.cursor("cursor", "Where the page begins.", r"[0-9]{1,18}\.-?[0-9]{1,18}"),
)


def fill(of: Snapshot, asked: Values) -> Values:
    # Who asks for a code wants it whatever it weighs.
    chosen = asked["severity"] or ("all" if asked["code"] else "grave")
    names = (
        "code",
        "severity",
        "lifecycle",
        "verdict",
        "session",
        "meeting",
        "account",
        "cause",
        "within",
        "view",
        "trend",
    )
    filters = {name: asked[name] for name in names}
    filters["since"] = asked["since"] and f"{asked['since']:%Y-%m-%dT%H:%M:%SZ}"
    filters["sort"] = None if asked["sort"] == "severity" else asked["sort"]
    within = asked["within"]
    since = asked["since"] or (of.now - answers_across.WITHIN[within] if within else None)
    codes = [asked["code"]] if asked["code"] else []
    one_by_one = any(asked[name] for name in ("code", "session", "meeting", "verdict", "cause", "cursor"))
    view = asked["view"] or ("each" if one_by_one else "grouped")
    narrowed = {**asked, "code": codes, "severity": SHOWN[chosen], "since": since}
    shown = {
        "title": "Findings",
        "view": view,
        "views": [
            {"name": words, "chosen": view == name, "url": url("findings", **{**filters, "view": name})}
            for name, words in (("grouped", "grouped"), ("each", "one by one"))
        ],
        "asked": filters,
        "narrowed": any(filters.values()),
        "first": asked["cursor"] is None,
        "start": url("findings", **filters),
        "entry": CATALOGUE.get(asked["code"] or ""),
        "lifecycles": list(REGISTRY),
        "verdicts": VERDICTS,
        "accounts": of.accounts,
        "people": people(of),
        "sorts": [
            {"name": name, "chosen": asked["sort"] == name, "url": url("findings", **{**filters, "sort": name})}
            for name in SORTS
        ],
        "trends": [
            {
                "name": name or "all",
                "chosen": asked["trend"] == name,
                "url": url("findings", **{**filters, "trend": name}),
            }
            for name in (None, *TRENDS)
        ]
        if since
        else [],
        "periods": [
            {
                "name": words,
                "chosen": within == name and not asked["since"],
                "url": url("findings", **{**filters, "within": name, "since": None}),
            }
            for name, words in PERIODS.items()
        ],
        **_facets(of, asked, filters, chosen, since),
    }
    if view == "grouped" or asked["code"]:
        kept = {
            name: filters[name] for name in ("within", "since", "lifecycle", "meeting", "session", "account")
        }
        groups = answers_across.issues_of_asked(of, narrowed)
        shown["issues"] = [issue(one, kept) for one in groups if asked["trend"] in (None, one["trend"])]
    else:
        shown["issues"] = []
    page = answers.findings(of, {**narrowed, "limit": LIMIT}) if view == "each" else {"items": [], "next": None}
    next_page = page["next"] and url("findings", **filters, cursor=page["next"])
    known = owners(
        of,
        (
            ((one["stream"], one["number"]), one["stream"], one["code"], one["position"])
            for one in page["items"]
        ),
    )
    return {
        **shown,
        "items": page["items"],
        "owners": known,
        "next": next_page,
        "position": of.checkpoint.position,
    }


def _facets(of: Snapshot, asked: Values, filters: Values, chosen: str, since: datetime | None) -> Values:
    equal = {f"{name}_id": asked[name] for name in ("session", "meeting")} | {"account": asked["account"]}
    rows = list(
        model.counts(of.db, verdict=asked["verdict"], since=text(since), lifecycle=asked["lifecycle"], **equal)
    )
    by_severity, by_code, gravity = Counter[str](), Counter[str](), dict[str, str]()
    for row in rows:
        if asked["code"] in (None, row["code"]):
            by_severity[row["severity"]] += row["number"]
        if row["severity"] in SHOWN[chosen]:
            by_code[row["code"]] += row["number"]
            gravity[row["code"]] = row["severity"]
    severities = [
        {
            "name": NAMES.get(name, name),
            "icon": name if name in SEVERITIES else None,
            "number": sum(by_severity[severity] for severity in of_these),
            "chosen": name == chosen,
            "url": url("findings", **{**filters, "severity": name}),
        }
        for name, of_these in SHOWN.items()
    ]
    codes = [
        {
            "code": code,
            "slug": CATALOGUE[code].slug,
            "severity": gravity[code],
            "number": number,
            "chosen": code == asked["code"],
            "url": url(
                "findings", **{**filters, "cause": None, "code": None if code == asked["code"] else code}
            ),
        }
        for code, number in sorted(
            by_code.items(), key=lambda pair: (-SEVERITIES.index(gravity[pair[0]]), -pair[1])
        )
    ]
    return {"severities": severities, "codes": codes}


def issue(one: Values, filters: Values) -> Values:
    """An issue with where it leads and how it lies in time; ``filters`` go on to there."""
    lies = ", ".join(map(str, one["buckets"]))
    return {
        **one,
        "url": url("findings", **{**filters, "code": one["code"], "cause": one["cause"]}),
        "chart": columns([(number,) for number in one["buckets"]], (one["severity"],)),
        "words": f"{one['count']:,} found; in equal parts of the time: {lies}",
    }
