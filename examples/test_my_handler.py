"""Does my handler of webhooks believe what is true?

    pytest examples/test_my_handler.py

Each made-up meeting had some trouble on its way: two webhooks in the wrong
order, one that came late, one that came again. Nothing is wrong with the
meeting, and what became of its recording is known. ``LastWriteWins`` is the
handler that one writes first; its tests fail where a late webhook overwrites a
newer state. ``Folded`` keeps what came and asks what it comes to.

Try your own: write a class with ``handle`` and ``recording`` that calls it.
"""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from tracker import audit
from tracker.testing import Meeting, MeetingLog

TROUBLE = ("swapped", "late", "redelivered-minutes")
MEETINGS = [(fault, seed) for fault in TROUBLE for seed in range(1, 13)]
NAMES = [f"{fault} {seed}" for fault, seed in MEETINGS]


class LastWriteWins:
    """Takes the last word for the state."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}

    def handle(self, body: bytes, _received_at: datetime | None) -> None:
        webhook = json.loads(body)
        lifecycle, _, step = webhook["webhookType"].rpartition("-")
        if lifecycle == "recording":
            self.states[webhook["data"]["sessionId"]] = step

    def recording(self, session_id: str) -> str | None:
        return self.states.get(session_id)


class Folded:
    """Keeps every webhook, and asks what they come to."""

    def __init__(self) -> None:
        self.log = MeetingLog()

    def handle(self, body: bytes, received_at: datetime | None) -> None:
        self.log.add(body, received_at)

    def recording(self, session_id: str) -> str | None:
        runs = audit(self.log, as_of="end").sessions[session_id].recordings
        states = [run.state for run in runs if run.lifecycle.name == "recording"]
        return states[-1] if states else None


def true_recording(meeting: Meeting) -> str | None:
    """What became of the meeting's recording; ``None`` if there was none."""
    things = meeting.truth.aggregates
    return next((one.state for one in things if one.lifecycle == "recording"), None)


@pytest.mark.parametrize("handler", [LastWriteWins, Folded])
@pytest.mark.parametrize("meeting", MEETINGS, ids=NAMES, indirect=True)
def test_what_the_handler_believes_is_true(handler: type[LastWriteWins | Folded], meeting: Meeting) -> None:
    mine = handler()
    for webhook in meeting.webhooks:
        mine.handle(webhook.body, webhook.received_at)
    believed = mine.recording(meeting.truth.session_id)
    assert believed == true_recording(meeting)
