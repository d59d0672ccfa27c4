"""A batch of telephone calls that is worked off; each call in it is one of its own."""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.step import BEGINS_A_RUN, IN_GOOD_ORDER, Step


class BatchCall:
    batch_id: str | None = None


BEFORE_THE_LOG = NoFinding("a batch may have been started before the log begins")

LIFECYCLE = Lifecycle(
    name="batchcall",
    payload=BatchCall,
    evidence="inferred",
    key=("batch_id",),
    stream="batchcall",
    steps=(
        Step("started", skipped=BEFORE_THE_LOG),
        Step("completed", closes=True, orphan=BEGINS_A_RUN, outcome=IN_GOOD_ORDER),
    ),
    table={
        ABSENT: ("started",),
        "started": ("completed",),
        "completed": (),
    },
)
