"""The transfer of a call to somebody else. A call may be transferred any number of times, one after the other.

VideoSDK names two of its steps without the word in between: ``call-transferring`` and ``call-transferred``.
"""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.lifecycles.call import EACH_ITS_OWN, OF_A_CALL, Call
from tracker.step import BEGINS_A_RUN, IN_GOOD_ORDER, Step

NOT_EACH = NoFinding("which of these are reported depends on who carries the call")

LIFECYCLE = Lifecycle(
    name="call-transfer",
    payload=Call,
    evidence="inferred",
    key=("call_id",),
    stream="call",
    linked_by=OF_A_CALL,
    times=("timestamp",),
    retimed=EACH_ITS_OWN,
    steps=(
        Step("initiated", skipped="S201", restarted="S207"),
        Step("accepted", missed=NOT_EACH, orphan=BEGINS_A_RUN),
        Step("transferring", type="call-transferring", missed=NOT_EACH, orphan=BEGINS_A_RUN),
        Step("ringing", missed=NOT_EACH, orphan=BEGINS_A_RUN),
        Step("transferred", type="call-transferred", closes=True, orphan="S205", outcome=IN_GOOD_ORDER),
        Step("failed", closes=True, orphan="S206", outcome="S210"),
    ),
    table={
        ABSENT: ("initiated",),
        "initiated": ("accepted", "transferring", "ringing", "transferred", "failed"),
        "accepted": ("transferring", "ringing", "transferred", "failed"),
        "transferring": ("ringing", "transferred", "failed"),
        "ringing": ("transferred", "failed"),
        "transferred": ("initiated",),
        "failed": ("initiated",),
    },
)
