"""``/search``: whatever begins so."""

from __future__ import annotations

from projections.answers.search import number_found
from projections.web import answers_across, parameters
from projections.web.pages.choices import account_links
from projections.web.pages.kinds import SESSION
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot

PARAMETERS = (
    parameters.text("q", "How an id, a file or a code begins, or a part of a person's name."),
    parameters.text("account", "Only what is of this account."),
)


def fill(of: Snapshot, asked: Values) -> Values:
    words = (asked["q"] or "").strip()
    found = answers_across.search(of, {**asked, "q": words}) if words else None
    pruned = of.tracker.pruned(words) if words else None
    return {
        "title": f"Search: {words}" if words else "Search",
        "words": words,
        "accounts": account_links(of, asked["account"], "search", q=words) if words else [],
        "of_it": {"account": asked["account"]},
        "found": found,
        "gone": None if pruned is None else pruned.error(words),
        "number": 0 if found is None else number_found(found),
        "kinds": SESSION,
    }
