"""Composite recordings that are merged into one, of a session or of a whole room."""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.lifecycles.merge_recording import AFTERWARDS
from tracker.step import BEGINS_A_RUN, IN_GOOD_ORDER, Step


class CompositeMerge:
    session_id: str | None = None
    room_id: str | None = None
    id: str | None = None
    status: str | None = None
    task: str | None = None
    message: str | None = None


NOT_ALWAYS_REPORTED = NoFinding("that a merge began is not always reported")

LIFECYCLE = Lifecycle(
    name="composite-merge",
    payload=CompositeMerge,
    evidence="inferred",
    key=("id",),
    stream_without_session="composite-merge",
    linked_by=("room_id",),
    after_end=AFTERWARDS,
    settled_after_end=AFTERWARDS,
    open_at_end=AFTERWARDS,
    steps=(
        Step("started", skipped=NOT_ALWAYS_REPORTED),
        Step("completed", closes=True, orphan=BEGINS_A_RUN, outcome=IN_GOOD_ORDER),
        Step("failed", closes=True, orphan="S206", outcome="S210"),
        Step("cancelled", closes=True, awaited=False, orphan=BEGINS_A_RUN, outcome=IN_GOOD_ORDER),
    ),
    table={
        ABSENT: ("started",),
        "started": ("completed", "failed", "cancelled"),
        "completed": (),
        "failed": (),
        "cancelled": (),
    },
)
