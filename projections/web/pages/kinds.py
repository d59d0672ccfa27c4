"""What a state looks like, read off the declaration: no page knows a lifecycle by name.

moving   under way to another state, for which there is a limit: starting, stopping
active   open, and may stay so: started, playable, in, live
done     over in good order: stopped, out, ended
failed   over, and not in good order: failed
lost     over, and nobody said how
idle     nothing is known of it
"""

from __future__ import annotations

from typing import Literal

from tracker.judging.state import LOST
from tracker.lifecycle import Lifecycle
from tracker.lifecycles import REGISTRY

Kind = Literal["moving", "active", "done", "failed", "lost", "idle"]


def kind(lifecycle: Lifecycle | None, state: str | None) -> Kind:
    """The kind of a state."""
    if state == LOST:
        return "lost"
    if not state or lifecycle is None:
        return "idle"
    if any(step.state == state for step in lifecycle.limits if step.stalls):
        return "moving"
    if state not in lifecycle.ends:
        return "active"
    outcomes = {step.state for step in lifecycle.steps if step.outcome}
    return "failed" if state in outcomes else "done"


def kind_of(lifecycle: str, state: str | None) -> Kind:
    """The same for the name of a lifecycle, which an old row may have and this program may not."""
    return kind(REGISTRY.get(lifecycle), state)


SESSION: dict[str, Kind] = {"live": "active", "ended": "done", "presumed-ended": "idle", "unknown": "idle"}
"""The kinds of a session's own states, some of which no webhook reports."""

OUTCOME_KINDS = ("done", "active", "without", "failed", "lost")
"""What the outcomes of recordings look like, in the order of ``projections.answers.overview.OUTCOMES``."""
