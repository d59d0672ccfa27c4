"""The recording of one person, all tracks in one file; steps and table are the recording's."""

from __future__ import annotations

import attrs

from tracker.lifecycle import Lifecycle
from tracker.lifecycles.recording import FILES, STEPS, TABLE, File


@attrs.frozen
class ParticipantRecording:
    meeting_id: str | None = None
    session_id: str | None = None
    participant_id: str | None = None
    file_format: str | None = None
    file_path: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    file_details: tuple[File, ...] | None = None
    message: str | None = None


LIFECYCLE = Lifecycle(
    name="participant-recording",
    payload=ParticipantRecording,
    key=("participant_id",),
    artefacts=FILES,
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    steps=STEPS,
    table=TABLE,
)
