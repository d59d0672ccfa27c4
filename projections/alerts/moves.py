"""How an alert moves when its finding is compared with what is known: pure, and all of it.

nothing ── matches ──▶ waiting ── for long enough, not muted ──▶ open ── no longer ──▶ closed ── matches ──▶ waiting …
   └───── matches, and was true before the rule was armed ──────▶┘ (not reported)

What opens again after it was resolved has regressed: it was thought to be over. What opens again after it was taken back
is opened, because it had not been so.
"""

from __future__ import annotations

from typing import Literal

import attrs

from projections.alerts.database import Found, Known

Event = Literal["opened", "regressed", "changed", "retracted", "resolved"]
CHANGES = ("severity", "verdict", "message")
"""When one of these changes, an alert has changed."""


@attrs.frozen
class Compared:
    """What is published of a finding, and how a rule sees it at a moment.

    Attributes:
        found: What is published; ``None`` where it is not held.
        matches: Whether it is held and matches the rule.
        now, due: This moment, and when what begins to match now is opened; ISO 8601 in UTC.
        past: Whether it was true before the rule was armed.
        muted: Whether the rule is not to report it now.
    """

    found: Found | None
    matches: bool
    now: str
    due: str
    past: bool = False
    muted: bool = False


def moved(known: Known | None, seen: Compared) -> tuple[Known | None, Event | None]:
    """The alert after the comparison, and what is to be reported of it; both ``None`` where there is no alert."""
    if not seen.matches:
        return _ended(known, seen)
    assert seen.found is not None, "what matches is held"
    if known is None or known.state == "closed":
        last = known or Known("closed", seen.found)
        known = Known("waiting", seen.found, times=last.times, due_at=seen.due, ending=last.ending, id=last.id)
        if seen.past:
            return attrs.evolve(known, state="open", due_at=None, opened_at=seen.now, ending=None), None
    if known.state == "waiting":
        known = attrs.evolve(known, found=seen.found)
        if seen.muted or (known.due_at or "") > seen.now:
            return known, None
        event: Event = "regressed" if known.ending == "resolved" else "opened"
        known = attrs.evolve(known, state="open", due_at=None, opened_at=seen.now, ending=None)
        return attrs.evolve(known, reported=True, times=known.times + 1), event
    lapsed = known.acknowledged_until is not None and known.acknowledged_until <= seen.now
    if lapsed:
        known = attrs.evolve(known, acknowledged_by=None, acknowledged_until=None)
    changed = lapsed or any(known.found[name] != seen.found[name] for name in CHANGES)
    quiet = not known.reported or seen.muted or known.acknowledged_by is not None
    return attrs.evolve(known, found=seen.found), "changed" if changed and not quiet else None


def _ended(known: Known | None, seen: Compared) -> tuple[Known | None, Event | None]:
    """Nobody is sent the end of what nobody was sent the beginning of."""
    if known is None or known.state == "closed":
        return known, None
    if known.state == "waiting":
        closed = attrs.evolve(known, state="closed", due_at=None, closed_at=seen.now)
        return (closed if known.times else None), None
    ending: Literal["retracted", "resolved"] = "retracted" if seen.found is None else "resolved"
    ended = attrs.evolve(
        known, state="closed", found=seen.found or known.found, closed_at=seen.now, ending=ending
    )
    return ended, ending if known.reported else None
