"""The recording of one person, all tracks in one file; steps and table are the recording's."""

from __future__ import annotations

from tracker.lifecycle import Lifecycle
from tracker.lifecycles.recording import FILES, ONLY_THE_STOP_BRINGS_FILES, STEPS, TABLE, Recorded
from tracker.record import Records


class ParticipantRecording(Recorded):
    participant_id: str | None = None
    file_format: str | None = None


LIFECYCLE = Lifecycle(
    name="participant-recording",
    payload=ParticipantRecording,
    key=("participant_id",),
    subject="participant_id",
    subject_absent="X405",
    artefacts=FILES,
    contradicted=ONLY_THE_STOP_BRINGS_FILES,
    shared="C508",
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    records=Records(
        "/v2/recordings/participant",
        key={"participant_id": "participantId"},
        files=("files[].fileUrl", "files[].filePath"),
    ),
    steps=STEPS,
    table=TABLE,
)
