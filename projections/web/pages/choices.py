"""What a page offers to be narrowed down by, beside its form: links, each to the same page with another choice."""

from __future__ import annotations

from projections.web.mount import url
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot

__all__ = ["account_links"]


def account_links(of: Snapshot, chosen: str | None, *path: str, **query: object) -> list[Values]:
    """The accounts that may be chosen for the page at ``path``, and all of them; none where there are none."""
    every = [None, *of.accounts] if of.accounts else []
    return [
        {"name": one or "all accounts", "chosen": one == chosen, "url": url(*path, **query, account=one)}
        for one in every
    ]
