"""A call goes from one room to another, any number of times; it remains the same call."""

from __future__ import annotations

from tracker.lifecycle import ABSENT, Lifecycle
from tracker.lifecycles.call import EACH_ITS_OWN, OF_A_CALL, Call
from tracker.step import IN_GOOD_ORDER, Step

LIFECYCLE = Lifecycle(
    name="switch-room",
    payload=Call,
    evidence="inferred",
    key=("call_id",),
    stream="call",
    linked_by=OF_A_CALL,
    times=("timestamp",),
    retimed=EACH_ITS_OWN,
    steps=(
        Step("initiated", restarted="S207"),
        Step("completed", closes=True, orphan="S205", outcome=IN_GOOD_ORDER),
        Step("failed", closes=True, orphan="S206", outcome="S210"),
    ),
    table={
        ABSENT: ("initiated",),
        "initiated": ("completed", "failed"),
        "completed": ("initiated",),
        "failed": ("initiated",),
    },
)
