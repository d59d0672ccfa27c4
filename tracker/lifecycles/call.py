"""A telephone call that comes in or goes out by SIP. It is known by its id, whatever rooms it passes through.

It rings, and somebody answers or nobody does: a call that was missed was never answered. Transfers and changes of
room go on beside it, and are lifecycles of their own in the same stream. Their payloads are documented nowhere.
"""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.step import BEGINS_A_RUN, IN_GOOD_ORDER, Step

OF_A_CALL = ("session_id", "room_id")
"""What says which meeting a call was for."""


class Call:
    call_id: str | None = None
    room_id: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    from_: str | None = None
    to: str | None = None
    timestamp: str | None = None


EACH_ITS_OWN = NoFinding("each webhook of a call says when it was sent")
NOT_EACH = NoFinding("not each call rings before somebody answers, and who calls may hang up before that")

LIFECYCLE = Lifecycle(
    name="call",
    payload=Call,
    evidence="inferred",
    key=("call_id",),
    stream="call",
    linked_by=OF_A_CALL,
    times=("timestamp",),
    retimed=EACH_ITS_OWN,
    steps=(
        Step("started", skipped="S201", missed=NOT_EACH),
        Step("ringing", missed=NOT_EACH),
        Step("answered", missed=NOT_EACH, orphan=BEGINS_A_RUN),
        Step("update", moves=False),
        Step(
            "missed",
            closes=True,
            excludes=("answered",),
            awaited=False,
            orphan=NoFinding("that it was missed may be all that is reported of a call"),
            outcome=IN_GOOD_ORDER,
        ),
        Step("hangup", closes=True, orphan="S205", outcome=IN_GOOD_ORDER),
    ),
    table={
        ABSENT: ("started", "ringing"),
        "started": ("ringing", "answered", "missed", "hangup"),
        "ringing": ("answered", "missed", "hangup"),
        "answered": ("hangup",),
        "missed": (),
        "hangup": (),
    },
)
