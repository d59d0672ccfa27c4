"""A transcription, identified by its id. ``realtime`` ends with the session, ``post`` runs after it.

``failed`` may be the first and only webhook of one. So may ``completed``, which comes when a recording was asked
for with a transcription; it says which room it was in, and no session.
"""

from __future__ import annotations

from tracker.lifecycle import ABSENT, Lifecycle
from tracker.record import Records
from tracker.step import IN_GOOD_ORDER, Step


class Transcription:
    meeting_id: str | None = None
    session_id: str | None = None
    id: str | None = None
    type: str | None = None
    room_id: str | None = None


LIFECYCLE = Lifecycle(
    name="transcription",
    payload=Transcription,
    key=("id",),
    stream_without_session="transcription",
    linked_by=("room_id",),
    label="type",
    outlives={"type": "post"},
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    records=Records(
        "/ai/v1/realtime-transcriptions",
        listed_as=("transcriptions", "data"),
        key={"id": "id"},
        session=("extension.extensionConfig.sessionId", "sessionId"),
        meeting=("extension.extensionConfig.roomId", "roomId"),
        files=("transcriptionFilePaths",),
    ),
    steps=(
        Step("started"),
        Step("stopped", closes=True, orphan="S205", outcome=IN_GOOD_ORDER),
        Step("completed", closes=True, awaited=False, outcome=IN_GOOD_ORDER),
        Step("failed", closes=True, outcome="S210"),
    ),
    table={
        ABSENT: ("started", "completed", "failed"),
        "started": ("stopped", "completed", "failed"),
        "stopped": (),
        "completed": (),
        "failed": (),
    },
)
