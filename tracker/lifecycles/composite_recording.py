"""A recording composed of chosen streams. Each has an id, so several may run at once; steps and table are the recording's."""

from __future__ import annotations

from tracker.lifecycle import Lifecycle
from tracker.lifecycles.recording import FILE, FILES, ONLY_THE_STOP_BRINGS_FILES, STEPS, TABLE, Recorded
from tracker.record import Records


class CompositeRecording(Recorded):
    id: str | None = None


LIFECYCLE = Lifecycle(
    name="composite-recording",
    payload=CompositeRecording,
    evidence="inferred",
    optional_key=("id",),
    artefacts=FILES,
    contradicted=ONLY_THE_STOP_BRINGS_FILES,
    shared="C508",
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    records=Records("/v2/recordings/composite", files=FILE),
    steps=STEPS,
    table=TABLE,
)
