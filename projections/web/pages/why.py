"""``/why``: why a session is judged as it is, in words: what is held, what that assumes, and what else may have happened."""

from __future__ import annotations

from collections.abc import Iterator

from projections.explain.explanation import (
    TWO_NUMBERS,
    Account,
    Explained,
    Explanation,
    copy_in_words,
    run_in_words,
)
from projections.explain.status import doubt, finding
from projections.web import parameters, why
from projections.web.mount import url
from projections.web.pages.html import moment
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.delivery.envelope import isoformat
from tracker.judging.findings.catalogue import CATALOGUE

MOST_COPIES = 12
"""Copies of one thing that are named; the API has all."""

PARAMETERS = (
    parameters.text("session", "The session's id."),
    parameters.whole("at", "Why it was judged so right after this position."),
    parameters.time("as_of", "Why it was judged so at this moment."),
)


def fill(of: Snapshot, asked: Values) -> Values:
    found = why.explanation_of(of, {**asked, "session": asked["session"] or ""})
    name = asked["session"]
    session = found.session
    back = url("sessions", name, at=asked["at"], as_of=asked["as_of"] and isoformat(asked["as_of"]))
    return {
        "title": f"Why: {session.meeting_id or name}",
        "name": name,
        "session": session,
        "back": back,
        "things": [_thing(one) for one in sorted(found.aggregates, key=lambda one: -one.gravity)],
        "others": [_finding(finding(one)) for one in found.others],
        "two_numbers": TWO_NUMBERS if _are_two(found) else "",
        "is_past": asked["at"] is not None or asked["as_of"] is not None,
        "json": url("api", "sessions", name, "explain", at=asked["at"]),
    }


def _are_two(found: Explanation) -> bool:
    """Whether a finding says how sure it is, beside the probabilities of explanations."""
    return any(doubt(each.confidence) for one in found.aggregates for each in one.findings)


def _thing(one: Explained) -> Values:
    lifecycle = one.aggregate.lifecycle
    copies = one.aggregate.held.all_copies()
    runs = [
        (run.number, run.state, run_in_words(run.candidate, lifecycle, lost=run.lost))
        for run in one.aggregate.runs
    ]
    return {
        "lifecycle": lifecycle.name,
        "name": "" if one.aggregate.name == lifecycle.name else one.aggregate.name,
        "certainty": one.aggregate.certainty,
        "findings": [_finding(finding(found)) for found in one.findings],
        "held": _account(one.held),
        "runs": runs,
        "copies": [copy_in_words(copy) for copy in copies[:MOST_COPIES]],
        "more_copies": max(0, len(copies) - MOST_COPIES),
        "alternatives": [
            {**_account(other), "differs": [each.words for each in other.differs]} for other in one.alternatives
        ],
        "counterfactual": one.counterfactual,
    }


def _finding(found: Values) -> Values:
    return {**found, "time": moment(found["at"])}


def _account(account: Account) -> Values:
    return {
        "price": f"{account.price:.1f}",
        "probability": per_cent(account.probability),
        "assumed": list(_assumed(account)),
        "finds": [(code, CATALOGUE[code].slug, position) for code, position in account.finds],
    }


def _assumed(account: Account) -> Iterator[Values]:
    for one in account.assumed:
        if one.price >= 1 or one.code:
            yield {
                "price": f"{one.price:.1f}",
                "code": one.code,
                "words": one.words,
                "missing": ", ".join(one.missing),
                "positions": one.positions,
            }


def per_cent(share: float) -> str:
    """A probability in words: ``91 %``, ``over 99 %``, ``0.4 %``."""
    if share > 0.99:
        return "over 99 %" if share < 1 else "100 %"
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1f} %"
