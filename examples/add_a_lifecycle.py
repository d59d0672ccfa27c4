"""A lifecycle of one's own: the backup recording that an application makes itself, and reports to the same log.

Copied as it is to ``tracker/lifecycles/backup_recording.py``, this file is all there is to do: routing,
typing, judging, rows, listings and diagrams are derived from the declaration. Each backup recording is
sent with an ``id``, so several may run at once; otherwise it goes the way of every recording, and
steps and table are the recording's.

Run as a program it shows what the declaration does, without installing it (``show_a_lifecycle.py``):

    python examples/add_a_lifecycle.py
"""

from __future__ import annotations

from tracker.lifecycle import Lifecycle
from tracker.lifecycles.recording import FILES, ONLY_THE_STOP_BRINGS_FILES, STEPS, TABLE, Recorded


class BackupRecording(Recorded):
    id: str | None = None


LIFECYCLE = Lifecycle(
    name="backup-recording",
    payload=BackupRecording,
    key=("id",),
    artefacts=FILES,
    contradicted=ONLY_THE_STOP_BRINGS_FILES,
    shared="C508",
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    steps=STEPS,
    table=TABLE,
)


if __name__ == "__main__":
    # A declaration imports nothing that runs, so what shows its effect is a program of its own.
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("show_a_lifecycle.py")), run_name="__main__")
