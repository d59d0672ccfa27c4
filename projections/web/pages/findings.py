"""``/findings``: what is wrong, in all sessions, the newest first."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from projections.read_models import findings as model
from projections.read_models import text
from projections.web import answers, parameters
from projections.web.mount import url
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.findings import SEVERITIES, Severity, Verdict
from tracker.judging.findings.catalogue import CATALOGUE
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
CODES = {name: entry.code for entry in CATALOGUE.values() for name in (entry.code, entry.slug)}

PARAMETERS = (
    parameters.choice("code", "Only this one.", CODES),
    parameters.choice("severity", "Only so grave ones.", parameters.words(SHOWN)),
    parameters.choice("lifecycle", "Only of this lifecycle.", parameters.words(REGISTRY)),
    parameters.choice("verdict", "Only with this verdict.", parameters.words(VERDICTS)),
    parameters.text("session", "Only of this session."),
    parameters.text("meeting", "Only of this meeting."),
    parameters.time("since", "Only what became true since then."),
    parameters.cursor("cursor", "Where the page begins.", r"[0-9]{1,18}\.-?[0-9]{1,18}"),
)


def fill(of: Snapshot, asked: Values) -> Values:
    # Who asks for a code wants it whatever it weighs.
    chosen = asked["severity"] or ("all" if asked["code"] else "grave")
    filters = {name: asked[name] for name in ("code", "severity", "lifecycle", "verdict", "session", "meeting")}
    filters["since"] = asked["since"] and f"{asked['since']:%Y-%m-%dT%H:%M:%SZ}"
    codes = [asked["code"]] if asked["code"] else []
    page = answers.findings(of, {**asked, "code": codes, "severity": SHOWN[chosen], "limit": LIMIT})
    return {
        "title": "Findings",
        "items": page["items"],
        "position": page["position"],
        "asked": filters,
        "narrowed": any(filters.values()),
        "first": asked["cursor"] is None,
        "start": url("findings", **filters),
        "next": page["next"] and url("findings", **filters, cursor=page["next"]),
        "entry": CATALOGUE.get(asked["code"] or ""),
        "lifecycles": list(REGISTRY),
        "verdicts": VERDICTS,
        **_facets(of, asked, filters, chosen),
    }


def _facets(of: Snapshot, asked: Values, filters: Values, chosen: str) -> Values:
    equal = {f"{name}_id": asked[name] for name in ("session", "meeting")}
    rows = list(
        model.numbers(
            of.db, verdict=asked["verdict"], since=text(asked["since"]), lifecycle=asked["lifecycle"], **equal
        )
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
            "url": url("findings", **{**filters, "code": None if code == asked["code"] else code}),
        }
        for code, number in sorted(
            by_code.items(), key=lambda pair: (-SEVERITIES.index(gravity[pair[0]]), -pair[1])
        )
    ]
    return {"severities": severities, "codes": codes}
