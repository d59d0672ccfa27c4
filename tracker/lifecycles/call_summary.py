"""The summary that an agent's call ends with. It has no type and no ``data``, and moves nothing: it is only shown."""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle, Untyped
from tracker.step import Step


class CallSummary:
    session_id: str | None = None
    meeting_id: str | None = None
    call_id: str | None = None


MOVES_NOTHING = NoFinding("it moves nothing")

LIFECYCLE = Lifecycle(
    name="call-summary",
    payload=CallSummary,
    evidence="inferred",
    optional_key=("call_id",),
    untyped=Untyped(
        by="call-summary",
        fields={
            "session_id": "room-data.session-id",
            "meeting_id": "room-data.meeting-id",
            "call_id": "customer-data.callId",
        },
    ),
    after_end=MOVES_NOTHING,
    settled_after_end=MOVES_NOTHING,
    open_at_end=MOVES_NOTHING,
    steps=(Step("given", type="call-summary", moves=False),),
    table={ABSENT: ()},
)
