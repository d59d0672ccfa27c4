"""A person's visits. The same id may come and go any number of times.

A second device with the same id throws the first one out, and the ``left`` of the first may arrive
after the ``joined`` of the second: the person is inside all the while.
"""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.step import IN_GOOD_ORDER, Step


class Participant:
    meeting_id: str | None = None
    session_id: str | None = None
    participant_id: str | None = None
    participant_name: str | None = None
    reason: str | None = None


LIFECYCLE = Lifecycle(
    name="participant",
    payload=Participant,
    key=("participant_id",),
    label="participant_name",
    is_presence=True,
    after_end="X402",
    settled_after_end=NoFinding("the end makes people leave, so their lefts often come a moment after it"),
    open_at_end="X404",
    steps=(
        Step("joined", state="in", restarted="S213"),
        Step("left", state="out", closes=True, orphan="S212", outcome=IN_GOOD_ORDER),
    ),
    table={
        ABSENT: ("joined",),
        "in": ("left",),
        "out": ("joined",),
    },
)
