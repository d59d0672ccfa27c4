"""The livestream to other platforms (RTMP); it leaves no file, and its steps are the recording's."""

from __future__ import annotations

from msgspec.structs import replace

from tracker.lifecycle import Lifecycle
from tracker.lifecycles.recording import STEPS, TABLE
from tracker.record import Records


class Livestream:
    meeting_id: str | None = None
    session_id: str | None = None
    message: str | None = None


LIFECYCLE = Lifecycle(
    name="livestream",
    payload=Livestream,
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    records=Records("/v2/livestreams", ids=("id", "composerId"), secret=("outputs",)),
    steps=tuple(replace(step, brings=()) for step in STEPS),
    table=TABLE,
)
