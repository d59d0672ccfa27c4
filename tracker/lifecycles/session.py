"""The session: one call in a room, from the first person in to the last one out.

``ended`` is final. The two clock times are the only ones VideoSDK sends; its own example ends at
minute 60, so they are kept as the text that came.
"""

from __future__ import annotations

from tracker.lifecycle import ABSENT, Lifecycle, Step
from tracker.values import frozen


@frozen
class Session:
    meeting_id: str | None = None
    session_id: str | None = None
    start: str | None = None
    end: str | None = None
    reason: str | None = None
    error: str | None = None


LIFECYCLE = Lifecycle(
    name="session",
    payload=Session,
    frame=True,
    times=("start", "end"),
    retimed="C503",
    deserted="X407",
    steps=(
        Step("started", state="live", restarted="S214", conflict="S214"),
        Step("ended", state="ended", closes=True),
    ),
    table={
        ABSENT: ("started",),
        "live": ("ended",),
        "ended": (),
    },
)
