"""The recording of the whole meeting: one at a time, any number one after the other.

``STEPS`` and ``TABLE`` are those of everything that is started and stopped on request and leaves
files behind. ``stopped`` comes when the file is there, often after the session has ended.
"""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.record import Records
from tracker.step import BEGINS_A_RUN, IN_GOOD_ORDER, Step

FILES = ("file_path", "file_url", "file_id", "file_details")

FILE = ("file.fileUrl", "file.filePath")
"""Where a record has its one file."""

ONLY_THE_STOP_BRINGS_FILES = NoFinding("only the stop brings files, and a second stop with others is C516")

STEPS = (
    Step("starting", skipped="S201", restarted="S207", limit="stuck_starting", overdue="T301"),
    Step("started", skipped="S202", orphan=BEGINS_A_RUN),
    Step("stopping", skipped="S203", unasked=True, orphan="S205", limit="stuck_stopping", overdue="T302"),
    Step("stopped", closes=True, orphan="S205", outcome=IN_GOOD_ORDER, brings=FILES),
    Step("failed", closes=True, orphan="S206", outcome="S210"),
)

TABLE = {
    ABSENT: ("starting",),
    "starting": ("started", "failed"),
    "started": ("stopping", "failed"),
    "stopping": ("stopped", "failed"),
    "stopped": ("starting",),
    "failed": ("starting",),
}


class File:
    file_path: str | None = None
    file_url: str | None = None


class Recorded:
    """What every kind of recording may send."""

    meeting_id: str | None = None
    session_id: str | None = None
    file_path: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    file_details: tuple[File, ...] | None = None
    message: str | None = None


class Recording(Recorded):
    id: str | None = None


LIFECYCLE = Lifecycle(
    name="recording",
    payload=Recording,
    optional_key=("id",),
    artefacts=FILES,
    contradicted=ONLY_THE_STOP_BRINGS_FILES,
    shared="C508",
    deprecated={"file_id": "file_url"},
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    records=Records("/v2/recordings", files=FILE),
    steps=STEPS,
    table=TABLE,
)
