"""Recordings of one session that are merged into one file, mostly after it. Only how that ended is reported, and no file."""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.record import Records
from tracker.step import IN_GOOD_ORDER, Step

AFTERWARDS = NoFinding("what is merged has been recorded, so it is merged when the session is over")


class MergeRecording:
    meeting_id: str | None = None
    session_id: str | None = None
    id: str | None = None
    message: str | None = None


LIFECYCLE = Lifecycle(
    name="merge-recording",
    payload=MergeRecording,
    key=("id",),
    after_end=AFTERWARDS,
    settled_after_end=AFTERWARDS,
    open_at_end=AFTERWARDS,
    records=Records(
        "/v2/recordings/participant/merge",
        listed_as=("data", "recordings"),
        key={"id": "id"},
        files=("file.fileUrl", "file.filePath"),
    ),
    steps=(
        Step("completed", closes=True, outcome=IN_GOOD_ORDER),
        Step("failed", closes=True, outcome="S210"),
    ),
    table={
        ABSENT: ("completed", "failed"),
        "completed": (),
        "failed": (),
    },
)
