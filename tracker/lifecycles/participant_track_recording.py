"""The recording of one track (audio, video, screen) of one person; steps and table are the recording's.

The track may come back several times within one run, each time with a file of its own.
"""

from __future__ import annotations

from tracker.lifecycle import Lifecycle
from tracker.lifecycles.recording import FILES, ONLY_THE_STOP_BRINGS_FILES, STEPS, TABLE, Recorded
from tracker.record import Records


class ParticipantTrackRecording(Recorded):
    participant_id: str | None = None
    kind: str | None = None


LIFECYCLE = Lifecycle(
    name="participant-track-recording",
    payload=ParticipantTrackRecording,
    key=("participant_id", "kind"),
    subject="participant_id",
    subject_absent="X405",
    artefacts=FILES,
    contradicted=ONLY_THE_STOP_BRINGS_FILES,
    shared="C508",
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    records=Records(
        "/v2/recordings/participant/track",
        key={"participant_id": "participantId", "kind": "kind"},
        files=("files[].fileUrl", "files[].filePath"),
    ),
    steps=STEPS,
    table=TABLE,
)
