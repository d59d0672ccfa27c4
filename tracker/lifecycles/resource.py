"""A machine that was made ready for a recording or a stream. It belongs to no session.

``released`` is younger than the other webhooks; an account that never gets one is fine.
"""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.step import BEGINS_A_RUN, IN_GOOD_ORDER, Step


class Resource:
    id: str | None = None
    type: str | None = None


BEFORE_THE_LOG = NoFinding("a machine may have been acquired before the log begins")

LIFECYCLE = Lifecycle(
    name="resource",
    payload=Resource,
    key=("id",),
    stream="resource",
    label="type",
    steps=(
        Step("acquired", skipped=BEFORE_THE_LOG, restarted="S215", conflict="S215"),
        Step("released", closes=True, orphan=BEGINS_A_RUN, outcome=IN_GOOD_ORDER),
    ),
    table={
        ABSENT: ("acquired",),
        "acquired": ("released",),
        "released": ("acquired",),
    },
)
