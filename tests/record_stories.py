"""A story for each code of VideoSDK's own records: what raises it, and what nearly does."""

import json

BEGUN = "0 session-started"
RECORDING = ("1 recording-starting", "2 recording-started", "60 recording-stopping")
STOPPED = "90 recording-stopped filePath=/1.mp4"
WHOLE = (BEGUN, *RECORDING, STOPPED, "120 session-ended")
ONE, ANN = "participant-joined p", {"participantId": "p", "name": "Ann"}


def at(minutes):
    """So many minutes after noon, as VideoSDK writes it."""
    return f"2026-01-05T{12 + minutes // 60:02}:{minutes % 60:02}:00.000Z"


def record(when, lifecycle, **said):
    """A line with a record that was asked for then."""
    text = json.dumps({"id": "r", **said}, separators=(",", ":"))
    return f"{when} rest-{lifecycle} record={text}"


def tally(**types):
    """How often each type was sent and whether it was taken: ``recording_stopped=[False]``."""
    data = [
        {"type": name.replace("_", "-"), "success": taken} for name, each in types.items() for taken in each
    ]
    taken = sum(one["success"] for one in data)
    return {"totalCount": len(data), "successCount": taken, "data": data}


def of_session(when, status="ended", end=2, **said):
    """A line with the record of the session."""
    ended = at(end) if status == "ended" else None
    return record(when, "session", id="S", status=status, start=at(0), end=ended, **said)


def of_recording(when, **said):
    """A line with the record of a recording from the first to the second minute."""
    return record(when, "recording", start=at(0), end=at(1), **said)


FILE = {"file": {"fileUrl": "https://x/2.mp4", "filePath": "/2.mp4"}}
SAME = {"file": {"fileUrl": "https://x/1.mp4", "filePath": "/1.mp4"}}
INSIDE = [{**ANN, "timelog": [{"start": at(0), "end": at(1)}]}]
EVENTS = {"webhook": {"events": ["session-*", "recording-started", "recording-stop*"]}}
RAISED = {
    "R601": (of_session("1h"),),
    "R602": (BEGUN, "2m session-ended", of_session("30m", "ongoing")),
    "R603": (BEGUN, *RECORDING, "2m session-ended", of_recording("1h", **FILE)),
    "R604": (BEGUN, of_session("1h")),
    "R605": (BEGUN, *RECORDING[:2], STOPPED, of_recording("1h", webhook=tally(recording_stopping=[False]))),
    "R606": (BEGUN, *RECORDING[:2], STOPPED, of_recording("1h", webhook=tally(recording_stopping=[True]))),
    "R607": (
        f"0 session-started start={at(0)}",
        f"2m session-ended start={at(0)} end={at(2)}",
        of_session("1h", end=5),
    ),
    "R608": (
        BEGUN,
        "1 participant-joined q",
        "9 participant-left q",
        "2m session-ended",
        of_session("1h", participants=INSIDE),
    ),
    "R609": (BEGUN, RECORDING[1], RECORDING[2], STOPPED, "2m session-ended", of_session("1h", room=EVENTS)),
}
NEARLY = {
    "R601": (BEGUN, of_session("1h")),
    "R602": (BEGUN, "25m session-ended", of_session("30m", "ongoing")),
    "R603": (*WHOLE, of_recording("1h", **SAME)),
    "R604": (BEGUN, of_session("1h", "ongoing")),
    "R605": (*WHOLE, of_recording("1h", webhook=tally(recording_stopped=[False, True]))),
    "R606": (*WHOLE, of_recording("1h", webhook=tally(recording_stopped=[True]))),
    "R607": (
        f"0 session-started start={at(0)}",
        f"2m session-ended start={at(0)} end={at(2)}",
        of_session("1h", end=3),
    ),
    "R608": (
        BEGUN,
        f"1 {ONE}",
        "60 participant-left p",
        "2m session-ended",
        of_session("1h", participants=INSIDE),
    ),
    "R609": (*WHOLE, of_session("1h", room={"webhook": {"events": ["*"]}})),
}
