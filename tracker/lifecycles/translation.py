"""A translation that goes on while the meeting does, like a realtime transcription."""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.step import IN_GOOD_ORDER, Step
from tracker.values import frozen


@frozen
class Translation:
    meeting_id: str | None = None
    session_id: str | None = None
    id: str | None = None
    message: str | None = None


ENDS_WHAT_RUNS = NoFinding("a failure while one is running is the end of that one")

LIFECYCLE = Lifecycle(
    name="translation",
    payload=Translation,
    evidence="inferred",
    optional_key=("id",),
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    steps=(
        Step("started", restarted="S207"),
        Step("stopped", closes=True, orphan="S205", outcome=IN_GOOD_ORDER),
        Step("failed", closes=True, restarted=ENDS_WHAT_RUNS, outcome="S210"),
    ),
    table={
        ABSENT: ("started", "failed"),
        "started": ("stopped", "failed"),
        "stopped": ("started",),
        "failed": ("started",),
    },
)
