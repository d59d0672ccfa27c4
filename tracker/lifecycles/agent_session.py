"""An AI agent at work. Its ``sessionId`` is its own, ``session-<uuid>``, and none of a meeting.

Until 2026 the types began with ``ai-deployment-session``; it is the same thing. Steps and table are those of a
recording that is made once and leaves no file.
"""

from __future__ import annotations

from msgspec.structs import replace

from tracker.lifecycle import Lifecycle
from tracker.lifecycles.recording import STEPS, TABLE


class AgentSession:
    session_id: str | None = None
    agent_id: str | None = None
    room_id: str | None = None
    message: str | None = None


LIFECYCLE = Lifecycle(
    name="agent-session",
    formerly=("ai-deployment-session",),
    payload=AgentSession,
    evidence="inferred",
    key=("session_id",),
    stream="agent",
    linked_by=("room_id",),
    steps=tuple(replace(step, brings=(), restarted="") for step in STEPS),
    table={**TABLE, "stopped": (), "failed": ()},
)
