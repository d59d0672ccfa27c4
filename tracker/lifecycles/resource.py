"""A machine that was made ready for a recording or a stream. It belongs to no session.

``released`` is younger than the other webhooks; an account that never gets one is fine.
"""

from __future__ import annotations

from tracker.lifecycle import ABSENT, Lifecycle, Step
from tracker.values import frozen


@frozen
class Resource:
    id: str | None = None
    type: str | None = None


LIFECYCLE = Lifecycle(
    name="resource",
    payload=Resource,
    key=("id",),
    stream="resource",
    label="type",
    steps=(
        Step("acquired", restarted="S215", conflict="S215"),
        Step("released", closes=True),
    ),
    table={
        ABSENT: ("acquired",),
        "acquired": ("released",),
        "released": ("acquired",),
    },
)
