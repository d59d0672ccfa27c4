"""What a delivery, a run or a session can be reproached with: the catalogue, and one reproach.

A code's letter says whose fault it is: **D** the delivery, **S** the sequence, **T** time, **X** two
aggregates that contradict each other, **C** the content, **L** the log as a whole. A code is never
given to something else. The lifecycle is a field of the finding and never part of the code.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

import attrs

Severity = Literal["info", "warning", "error"]
Verdict = Literal["provisional", "settled", "undecided", "accepted"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@attrs.frozen
class Code:
    """One entry of the catalogue. ``message`` is filled in with what the finding is about."""

    code: str
    slug: str
    severity: Severity
    when: str
    message: str
    example: str
    advice: str


@attrs.define(eq=False)
class Finding:
    """One reproach.

    ``position`` is the delivery that raised it, ``evidence`` every delivery it rests on. ``at`` is
    when it became true: the receive time, or the deadline that passed. ``deadline`` is when a
    provisional one settles; without one it cannot, and what was read from a log without receive
    times stays ``undecided``. ``missing`` names the webhook types that should have come since
    ``since`` (or at any time, where that is not known), and whose arrival may retract it. ``cause`` is
    what explains that they did not: a finding about the whole log.
    ``confidence`` is the probability, by the prices, that it is so; ``alternatives`` say what else may have
    happened, the likeliest first. ``advice`` is what to do.
    ``type`` is the webhook type of the delivery at ``position``, where that is known. ``accepted`` is the reason why
    the user accepts it.
    """

    number: int
    code: str
    slug: str
    severity: Severity
    verdict: Verdict
    session_id: str | None
    meeting_id: str | None
    lifecycle: str | None
    key: dict[str, str]
    run: int | None
    position: int | None
    evidence: tuple[int, ...]
    at: datetime | None
    state_before: str | None
    state_after: str | None
    expected: tuple[str, ...]
    message: str
    confidence: float = 1.0
    advice: str = ""
    alternatives: tuple[str, ...] = ()
    cause: str | None = None
    deadline: datetime | None = None
    missing: tuple[str, ...] = ()
    since: datetime | None = None
    type: str | None = None
    accepted: str | None = None


CATALOGUE: dict[str, Code] = {
    entry.code: entry
    for entry in (
        Code(
            "D101",
            "redelivered",
            "info",
            "The step was already there with equal data, and a copy is the likeliest explanation by far.",
            "{type} came again {delay} later: a redelivery, nothing moved",
            "recording-started, and the same body once more five minutes later",
            "Nothing. Make sure your own handler does not act twice on it.",
        ),
        Code(
            "D102",
            "late",
            "info",
            "A step came after one that follows it; within `lateness` that explains the gap.",
            "{type} came {delay} after a step that follows it",
            "hls-started, then hls-starting",
            "Nothing. Do not rely on the order of deliveries.",
        ),
        Code(
            "D103",
            "overtaken",
            "info",
            "A person's left arrived after the joined of their next visit, within `overtaken`.",
            "the left of the visit before came {delay} after {name} rejoined, who is still inside",
            "joined, joined from a second device, then the left of the first device",
            "Nothing. A handler that marks the person as gone here is wrong.",
        ),
        Code(
            "D104",
            "settled-after-end",
            "info",
            "A run that was open when the session ended came to its end after it.",
            "{type} came {delay} after the end of the session",
            "session-ended, and recording-stopped two minutes later, when the file was there",
            "Nothing. Files are processed after the meeting.",
        ),
        Code(
            "D105",
            "ambiguous-repeat",
            "info",
            "An equal copy that is more likely a redelivery than a step of its own, but not surely.",
            "{type} came again {delay} later: a redelivery, or another one whose end was not reported",
            "joined, joined five minutes later, left once",
            "Nothing, unless the number of visits or recordings matters: then ask the people.",
        ),
        Code(
            "S201",
            "skipped-starting",
            "warning",
            "A run went on, and its starting never came.",
            "{type} came without {missing}",
            "recording-started is the first that is heard of a recording",
            "See whether your webhook subscribes to the starting type; if it does, a delivery was lost.",
        ),
        Code(
            "S202",
            "skipped-started",
            "warning",
            "A run went on or ended, and its started never came.",
            "{type} came without {missing}",
            "recording-starting, then recording-stopping",
            "Check whether the file is complete; if it is, a delivery was lost.",
        ),
        Code(
            "S203",
            "skipped-stopping",
            "warning",
            "A run stopped, and its stopping never came. Only worth an info near the session's end,"
            " where things stop by themselves.",
            "{type} came without {missing}",
            "recording-started, then recording-stopped in the middle of a meeting",
            "Somebody's request to stop was not told, or it stopped by itself: look for a limit.",
        ),
        Code(
            "S204",
            "never-playable",
            "warning",
            "HLS stopped in good order and had never become playable.",
            "{type} came, and it never became playable",
            "hls-started, hls-stopping, hls-stopped",
            "Viewers saw nothing. Check the stream's length and the encoder.",
        ),
        Code(
            "S205",
            "stopped-before-started",
            "error",
            "A stop came, there was no run it could belong to, and no start came late.",
            "{type} came, and nothing was running",
            "hls-stopped in a session in which no hls was started",
            "The start was lost with all that followed it, or something stopped twice.",
        ),
        Code(
            "S206",
            "failed-without-start",
            "error",
            "A failure came, and there was no run that could fail.",
            "{type} came, and nothing was running",
            "recording-failed is the first that is heard of a recording",
            "Somebody asked for it and got nothing: look at the message, then at the request.",
        ),
        Code(
            "S207",
            "restarted-without-stop",
            "error",
            "A new run began while one was open; the old one is lost. A lone starting that came again may be a"
            " redelivery: it is the started after it that proves the new run.",
            "{type} began a new run while run {run} was {state}; that one is lost",
            "recording-starting, recording-started, and both again while nothing was stopped",
            "Look for the file of the lost run; it may exist and not have been told.",
        ),
        Code(
            "S208",
            "repeated",
            "info",
            "An equal copy without evidence came more than six hours later. Reported once a session.",
            "{type} came again {delay} later",
            "participant-left, and the same body seven hours later",
            "Find out who sends it again: a replay, a second channel, a queue that was stuck.",
        ),
        Code(
            "S209",
            "conflicting-outcome",
            "error",
            "One run has two ends: stopped and failed.",
            "{type} came, and run {run} had already {state}",
            "recording-stopped with a file, then recording-failed",
            "Look whether the file can be played before you believe either.",
        ),
        Code(
            "S210",
            "run-failed",
            "error",
            "It failed, as it may. A warning where a later run of the session brought a file.",
            "{lifecycle} failed while {state}{value}",
            "recording-starting, then recording-failed",
            "Look at the message in the payload; tell the people who wait for it.",
        ),
        Code(
            "S212",
            "left-without-join",
            "warning",
            "Somebody left who was not inside.",
            "{name} left without having joined",
            "participant-left is the first that is heard of a person",
            "A joined was lost: the attendance of this person is incomplete.",
        ),
        Code(
            "S213",
            "rejoined-without-left",
            "warning",
            "Somebody joined who was inside, and no left came for the visit before.",
            "{name} joined again while inside, and no left came for the visit before",
            "joined, joined ten minutes later, left once",
            "The first visit's length is unknown; take it as ended by the second.",
        ),
        Code(
            "S214",
            "session-restarted",
            "error",
            "A session started again with other data.",
            "{type} came again with other data: {value}",
            "session-ended, then session-started with the same session id",
            "Session ids should be used once: look for a replayed or edited log.",
        ),
        Code(
            "S215",
            "acquired-again",
            "warning",
            "A resource was acquired that had been acquired already.",
            "resource {name} was acquired again {delay} later",
            "resource-acquired twice for the same id, an hour apart",
            "Look for a recording that was requested twice.",
        ),
        Code(
            "T301",
            "stuck-starting",
            "error",
            "Starting for longer than `stuck_starting`. Retracted into T303 if it moves on after all.",
            "{lifecycle} has been starting since {since} and went no further",
            "recording-starting, and then nothing",
            "It is not recording. Start it again.",
        ),
        Code(
            "T302",
            "stuck-stopping",
            "error",
            "Stopping for longer than `stuck_stopping`. Retracted into T303 if it moves on after all.",
            "{lifecycle} has been stopping since {since} and went no further",
            "recording-stopping, and then nothing",
            "The file may be lost. Ask VideoSDK with the session's id.",
        ),
        Code(
            "T303",
            "slow-step",
            "info",
            "A step took longer than its limit, and then came.",
            "{type} came only after {delay}",
            "recording-starting, and recording-started five minutes later",
            "Nothing, unless it is always so.",
        ),
        Code(
            "T304",
            "never-ended",
            "warning",
            "The session has not ended, and nothing has been heard of it for `session_idle`.",
            "no session-ended, and nothing since {since}{value}",
            "the last participant-left, and then nothing",
            "Take it as ended at its last delivery.",
        ),
        Code(
            "T305",
            "invalid-time",
            "warning",
            "A clock time in the payload is not one. The text is kept; no time is taken from it.",
            "the {field} of {type} is no time: {value}",
            '"end": "2022-07-05T15:60:35.047+00:00" has a minute 60',
            "Use the receive time instead.",
        ),
        Code(
            "T306",
            "end-before-start",
            "error",
            "The session's end lies before its start.",
            "the {field} of {type} lies before its start: {value}",
            '"start": "…T10:00:00Z", "end": "…T09:00:00Z"',
            "Use the receive times; the duration is unknown.",
        ),
        Code(
            "T307",
            "end-overdue",
            "warning",
            "Nobody is inside, nobody came back within `empty`, and no session-ended came. An error while"
            " something records or streams.",
            "everybody had left at {since}, and {value}",
            "the last participant-left, and an hour later no session-ended",
            "Close the room. If something still records there, stop it: it costs money.",
        ),
        Code(
            "T308",
            "receive-time-backwards",
            "warning",
            "The receive times of one log go back by a second or more, which is reported once a log; or a line, "
            "or a row of lines, has a receive time that cannot be true, being far from those of the lines around it.",
            "in {value}, {type}",
            "a line of 10:05, and behind it a line of 10:02",
            "Sort the log by receive time, or find out whose clock was wrong: windows cannot be trusted there. A time that "
            "cannot be true is not believed; the message says what is, and the store keeps both.",
        ),
        Code(
            "T310",
            "alone",
            "info",
            "One person was the only one inside for longer than `alone`.",
            "{name} was alone from {since} on, for {delay}",
            "two people join, one leaves, and the other stays for two hours",
            "See whether a tab was forgotten: the session stays open, and recordings go on.",
        ),
        Code(
            "T311",
            "not-playable",
            "warning",
            "HLS has started and was not playable within `not_playable`. Withdrawn when playable comes.",
            "{lifecycle} started at {since} and is not playable yet",
            "hls-started, and ten minutes later no hls-playable",
            "Look whether viewers see it: they may be waiting for a stream that does not come.",
        ),
        Code(
            "X401",
            "session-not-started",
            "warning",
            "Something happened in a session whose start never came. Told once a session.",
            "{type} came, and session-started had not",
            "participant-joined is the first that is heard of a session",
            "session-started was lost, or the webhook was set up during the meeting.",
        ),
        Code(
            "X402",
            "activity-after-end",
            "error",
            "Something began after the session had ended.",
            "{type} came {delay} after the end of the session",
            "session-ended, then participant-joined",
            "The end came too early, or somebody is in a room that is over.",
        ),
        Code(
            "X403",
            "unfinished-at-end",
            "error",
            "The session ended, `grace` passed, and the run was still open: it is lost.",
            "{lifecycle} was still {state} when the session had ended",
            "recording-started, session-ended, and no recording-stopped",
            "Look for the file by hand; nobody will tell you of it.",
        ),
        Code(
            "X404",
            "present-at-end",
            "warning",
            "The session ended, `grace` passed, and nobody said that this person left.",
            "{name} was still inside when the session had ended",
            "participant-joined, session-ended, and no participant-left",
            "Take the session's end as the end of the visit.",
        ),
        Code(
            "X405",
            "subject-absent",
            "warning",
            "The recording of a person began, and that person was not inside.",
            "{type} came for {name}, who was not inside",
            "participant-recording-starting for somebody who left ten minutes ago",
            "A joined was lost, or the recording is of somebody else: look who is in it.",
        ),
        Code(
            "X406",
            "overlapping-sessions",
            "warning",
            "A session began while another one of its meeting was live, and went on beside it.",
            "the session {value} of the same meeting was still live",
            "two session-started with one meetingId, and no session-ended between them",
            "A room has one session at a time: people may have been in two rooms without knowing.",
        ),
        Code(
            "X407",
            "empty-session",
            "info",
            "The session ended, and nobody had come.",
            "the session ended and nobody had joined",
            "session-started, then session-ended",
            "Nothing, if rooms are opened ahead of time; else see who could not get in.",
        ),
        Code(
            "C501",
            "identity-conflict",
            "error",
            "One session id came with two meeting ids; the first is kept.",
            "{type} names the meeting {value}; this session belongs to {state}",
            "two participant-joined with one sessionId and two meetingIds",
            "Look for a handler or a test that mixes up ids.",
        ),
        Code(
            "C502",
            "conflicting-url",
            "error",
            "Two steps of one HLS run brought two urls to play it back. Both are in the log; the first counts.",
            "{type} brought another {field}: {value}",
            "hls-started with one playbackHlsUrl, hls-playable with another",
            "Find out which of the two plays before you send viewers there.",
        ),
        Code(
            "C503",
            "conflicting-session-time",
            "error",
            "session-ended names another start than session-started did.",
            "{type} names another {field}: {value}",
            "session-started with start 10:00, session-ended with start 10:07",
            "Take the start of session-started, and the receive times for the duration.",
        ),
        Code(
            "C504",
            "conflicting-repeat",
            "error",
            "The step was already there, with other data. Both are kept; the first counts.",
            "{type} came again {delay} later with other data: {value}",
            "hls-started twice with two playback urls",
            "Compare both bodies with `tracker export`.",
        ),
        Code(
            "C505",
            "renamed",
            "info",
            "The same id came with another name.",
            "{name} is now called {value}",
            'participantName "Ann", later "Ann (phone)"',
            "Nothing. Do not use names as keys.",
        ),
        Code(
            "C507",
            "missing-artefact",
            "warning",
            "It came without what it should bring: a file, a url.",
            "{type} came without {field}",
            "recording-stopped with neither filePath nor fileUrl",
            "Look in your own storage, if recordings go there.",
        ),
        Code(
            "C508",
            "shared-artefact",
            "error",
            "Two runs brought the same file or url.",
            "{type} brought what run {value} had brought: {field}",
            "two recordings of one session with the same filePath",
            "One of them has overwritten the other, or a webhook was sent for the wrong one.",
        ),
        Code(
            "C509",
            "unknown-type",
            "warning",
            "A webhook type that this program does not know. Told once a type and session.",
            "{value}",
            "recording-paused",
            "If VideoSDK has a new lifecycle, add a file for it; if it is a typo, find the sender.",
        ),
        Code(
            "C510",
            "deprecated-field",
            "info",
            "A field that VideoSDK no longer documents.",
            "{type} has {field}; {value} took its place",
            "hls-started with downstreamUrl",
            "Read the new field too, before the old one goes.",
        ),
        Code(
            "C511",
            "missing-field",
            "error",
            "A field without which it belongs nowhere is absent. It is kept among the unrouted.",
            "{type} cannot be routed: {value}",
            "participant-joined without a participantId",
            "Look at it with `tracker timeline unrouted`, or at the timeline of its session.",
        ),
        Code(
            "C513",
            "malformed-body",
            "error",
            "It is not JSON, or not an object. The bytes are kept.",
            "not a webhook: {value}",
            "a body that ends with a trailing comma",
            "Look who wrote it: the log's writer, or a proxy that cut it.",
        ),
        Code(
            "C514",
            "bad-signature",
            "error",
            "A delivery was imported with a signature that is not its own. Told once a session.",
            "the signature of {type} does not verify",
            "a log that keeps the signature, and of the body only what was parsed and written again",
            "Keep the body as it came, byte for byte; if it was kept, somebody else has sent this.",
        ),
        Code(
            "C515",
            "ended-by-error",
            "warning",
            "session-ended says that an error ended it.",
            "the session was ended by an error: {value}",
            "session-ended with an error in its data",
            "Ask VideoSDK with the session's id, and tell the people who were cut off.",
        ),
        Code(
            "C516",
            "two-files",
            "warning",
            "The end of a run was reported twice within a minute, with two files. Both are kept.",
            "{type} came again {delay} later with another file: {value}",
            "recording-stopped with one filePath, and three seconds later with another",
            "Look at both files before you delete one.",
        ),
        Code(
            "L601",
            "delivery-gap",
            "error",
            "The log falls silent while many sessions are live, far longer than its own rate allows; what did not come"
            " in the meantime has this as its cause. A silence that lasts is reported while it does.",
            "{delay}, while {value} of {type} sessions were live",
            "a hundred deliveries a minute, and then none for an hour",
            "Look whether the endpoint was down; ask VideoSDK to send again what it could not deliver.",
        ),
        Code(
            "L602",
            "replay",
            "info",
            "A stretch of the log repeats an earlier stretch. Nothing in it moves a state.",
            "the {value} deliveries up to {type} repeat earlier ones, {delay} later",
            "an hour of webhooks, and the same hour once more on the next day",
            "Find out who sent them again: a queue that was stuck, or somebody who replayed a log.",
        ),
        Code(
            "L603",
            "never-seen-type",
            "info",
            "A type never came, in the whole log or in a room, though sessions there went on to what follows it. That it"
            " is missing is reported here, and not each time. A warning where no end ever came.",
            "{type} never came, and what should follow it did {value}",
            "a thousand recordings, and not one recording-stopping",
            "Subscribe to the type, if you want to know of it.",
        ),
    )
}
