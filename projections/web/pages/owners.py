"""Who looks after the findings that a page shows, and where that is recorded."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from projections.alerts.owners import owners_of
from projections.web.mount import url
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot

__all__ = ["owners"]


def owners(of: Snapshot, shown: Iterable[tuple[Hashable, str, str, int | None]]) -> dict[Hashable, Values]:
    """For each finding, given as a key with its stream, code and position: who looks after it, and the form for it."""
    rows = [(key, stream, code, position or 0) for key, stream, code, position in shown]
    known = owners_of(of.tracker.data, {stream for _, stream, _, _ in rows})
    return {
        key: {
            "by": known.get((stream, code, position)),
            "url": url("owner", code=code, session=stream, position=position),
        }
        for key, stream, code, position in rows
    }
