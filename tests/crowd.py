"""A meeting of many people, for pages that must stay usable with them, and people with trying names."""

from meetings import line, webhook

SESSION, MEETING = "town/hall 2026", "all hands"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>&amp;'\""
FILE = "https://files.example/town-hall.mp4"


def crowd(people=500):
    """The lines of the log: all come, a tenth come twice, one has markup for a name, one never leaves."""
    one = {"meetingId": MEETING, "sessionId": SESSION}
    said = [(0, "session-started", {}), (60, "recording-starting", {}), (63, "recording-started", {})]
    said += [(4000, "recording-stopping", {}), (4020, "recording-stopped", {"fileUrl": FILE})]
    for number in range(people):
        name = MARKUP if number == 1 else f"Guest {number + 1:03}"
        whose = {"participantId": f"p/{number}", "participantName": name}
        came, left = 5 + number * 1.7, 3600 + number * 0.6
        said.append((came, "participant-joined", whose))
        if number % 10 == 3:
            said += [(came + 600, "participant-left", whose), (came + 900, "participant-joined", whose)]
        if number != 7:
            said.append((left, "participant-left", whose))
    said.append((4100, "session-ended", {}))
    return [line(webhook(kind, **one, **data), at) for at, kind, data in sorted(said, key=lambda each: each[0])]
