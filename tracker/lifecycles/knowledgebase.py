"""A knowledge base that agents answer from: it is processed, and can then be used. It belongs to no session."""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.step import BEGINS_A_RUN, IN_GOOD_ORDER, Step


class KnowledgeBase:
    id: str | None = None
    name: str | None = None
    message: str | None = None


BEFORE_THE_LOG = NoFinding("it may have been uploaded before the log begins")

LIFECYCLE = Lifecycle(
    name="knowledgebase",
    payload=KnowledgeBase,
    evidence="inferred",
    key=("id",),
    stream="knowledgebase",
    label="name",
    steps=(
        Step("processing", skipped=BEFORE_THE_LOG, restarted="S207"),
        Step("activated", closes=True, orphan=BEGINS_A_RUN, outcome=IN_GOOD_ORDER),
        Step("failed", closes=True, orphan="S206", outcome="S210"),
    ),
    table={
        ABSENT: ("processing",),
        "processing": ("activated", "failed"),
        "activated": ("processing",),
        "failed": ("processing",),
    },
)
