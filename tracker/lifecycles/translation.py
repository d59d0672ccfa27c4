"""A translation that goes on while the meeting does, like a realtime transcription."""

from __future__ import annotations

from tracker.lifecycle import ABSENT, Lifecycle
from tracker.step import IN_GOOD_ORDER, Step


class Translation:
    meeting_id: str | None = None
    session_id: str | None = None
    id: str | None = None
    message: str | None = None


LIFECYCLE = Lifecycle(
    name="translation",
    payload=Translation,
    evidence="inferred",
    optional_key=("id",),
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    steps=(
        Step("started"),
        Step("stopped", closes=True, orphan="S205", outcome=IN_GOOD_ORDER),
        Step("failed", closes=True, outcome="S210"),
    ),
    table={
        ABSENT: ("started", "failed"),
        "started": ("stopped", "failed"),
        "stopped": (),
        "failed": (),
    },
)
