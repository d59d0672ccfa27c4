"""A transcription, identified by its id. ``realtime`` ends with the session, ``post`` runs after it.

``failed`` may be the first and only webhook of one.
"""

from __future__ import annotations

from tracker.lifecycle import ABSENT, Lifecycle
from tracker.step import IN_GOOD_ORDER, Step
from tracker.values import frozen


@frozen
class Transcription:
    meeting_id: str | None = None
    session_id: str | None = None
    id: str | None = None
    type: str | None = None


LIFECYCLE = Lifecycle(
    name="transcription",
    payload=Transcription,
    key=("id",),
    label="type",
    outlives={"type": "post"},
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
