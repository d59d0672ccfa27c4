"""The session: one call in a room, from the first person in to the last one out.

``ended`` is final. The two clock times are the only ones VideoSDK sends; its own example ends at
minute 60, so they are kept as the text that came.
"""

from __future__ import annotations

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.record import Records
from tracker.step import BEGINS_A_RUN, IN_GOOD_ORDER, Step


class Session:
    meeting_id: str | None = None
    session_id: str | None = None
    start: str | None = None
    end: str | None = None
    reason: str | None = None
    error: str | None = None


SAID_ONCE = NoFinding("X401 says once a session that its start never came")

LIFECYCLE = Lifecycle(
    name="session",
    payload=Session,
    is_session=True,
    times=("start", "end"),
    records=Records("/v2/sessions", session=("id",), start=("start",), since="startDate"),
    retimed="C503",
    empty="X407",
    steps=(
        Step("started", state="live", skipped=SAID_ONCE, conflict="S214"),
        Step("ended", state="ended", closes=True, orphan=BEGINS_A_RUN, outcome=IN_GOOD_ORDER),
    ),
    table={
        ABSENT: ("started",),
        "live": ("ended",),
        "ended": (),
    },
)
