"""The codes that a lifecycle chooses or a hypothesis assumes: the entry of each, with its roles and its price.

One function makes the findings of all runs that lack a step, another those of all runs that are open for too long.
Such a function knows no code: it takes the code from a field of the lifecycle's declaration (``roles`` names the
fields), and its price from the entry. So a new code of this kind is an entry here, and its name in a lifecycle.
Every other code stands beside the function that raises it, in ``tracker.judging.findings``.
"""

from __future__ import annotations

from functools import cache

from tracker.findings import NO_PRICE, Code, codes_in

D102 = Code(
    "D102",
    "late",
    "info",
    when="A step came after one that should follow it. The longer after `lateness`, the less likely that is.",
    message="{type} came late: {delay} after a step that should follow it",
    example="hls-started, then hls-starting",
    advice="Nothing to do. Do not rely on the order in which webhooks come.",
    prices=("late",),
)
D103 = Code(
    "D103",
    "overtaken",
    "info",
    when=(
        "The left of a visit came after the joined of the same person's next visit. Within `overtaken` that"
        " is usual."
    ),
    message=(
        "{name} joined again {delay} before the left of the earlier visit came; that left does not end the"
        " new visit"
    ),
    example="joined, joined from a second device, then the left of the first device",
    advice="Nothing to do. A handler that marks the person as gone at this left is wrong.",
    prices=("overtaken",),
)
D104 = Code(
    "D104",
    "settled-after-end",
    "info",
    roles=("settled_after_end",),
    when="A run that was open when the session ended came to its end afterwards.",
    message="{what} came to its end {delay} after the session: {type}",
    example="session-ended, and recording-stopped two minutes later, when the file was there",
    advice="Nothing to do: files are processed after the meeting.",
    prices=NO_PRICE,
)
S201 = Code(
    "S201",
    "skipped-starting",
    "warning",
    roles=("skipped",),
    price=5,
    assumed="the starting of a run was lost",
    when="A run went on, and its starting never came.",
    message="{type} came, but {missing} never did{value}",
    example="recording-started is the first webhook of a recording",
    advice=(
        "Check that your webhook at VideoSDK subscribes to this type. If it does, one delivery was lost;"
        " the run itself is not affected."
    ),
)
S202 = Code(
    "S202",
    "skipped-started",
    "warning",
    roles=("skipped",),
    price=5,
    assumed="the started of a run was lost",
    when="A run went on or ended, and its started never came.",
    message="{type} came, but {missing} never did{value}",
    example="recording-starting, then recording-stopping",
    advice="Check that the file is complete, or that viewers saw the stream. If so, only a delivery was lost.",
)
S203 = Code(
    "S203",
    "skipped-stopping",
    "warning",
    roles=("skipped",),
    price=5,
    assumed="the stopping of a run was lost",
    when=(
        "A run stopped, and its stopping never came. Only an info near the session's end (`self_stop`), while nobody was"
        " inside, or just after the person left whom it is of, because things stop by themselves then."
    ),
    message="{type} came, but {missing} never did: it stopped by itself, or a webhook was lost{value}",
    example="recording-started, then recording-stopped in the middle of a meeting",
    advice="If nobody stopped it, look for a time limit or an error that did.",
    prices=("S203", "unasked"),
)
S204 = Code(
    "S204",
    "never-playable",
    "warning",
    roles=("missed",),
    price=0,
    assumed="HLS ended in good order and never became playable",
    when="HLS stopped in good order and had never become playable.",
    message="{what} ended with {type} and had never become playable",
    example="hls-started, hls-stopping, hls-stopped",
    advice="Viewers saw nothing. Check how long the stream ran, and the encoder.",
)
S205 = Code(
    "S205",
    "stopped-before-started",
    "error",
    roles=("orphan",),
    price=8,
    assumed="all of a run was lost but its stop",
    when="A stop came, and there was no run that it could belong to. No start came late.",
    message="{type} came, but {state}{value}",
    example="hls-stopped in a session in which no hls was started",
    advice=(
        "Either all earlier webhooks of this run were lost, or something was stopped twice. Ask VideoSDK"
        " with the session's id whether it ran."
    ),
)
S206 = Code(
    "S206",
    "failed-without-start",
    "error",
    roles=("orphan",),
    price=7,
    assumed="all of a run was lost but its failure",
    when="A failure came, and there was no run that could fail.",
    message="{type} came, but {state}",
    example="recording-failed is the first webhook of a recording",
    advice="Somebody asked for it and got nothing. Read the message in the webhook, then look at the request.",
)
S207 = Code(
    "S207",
    "restarted-without-stop",
    "error",
    roles=("restarted",),
    price=8,
    prices=("S207", "only its end"),
    assumed="the end of a run was lost, or it hung, and the next run began",
    when=(
        "A new run began while an earlier one was open, and the end of that one never came. A lone starting"
        " may be a copy; the started after it shows that the run is new."
    ),
    message="{what} was {state} at {since} and never reported its end; {value}",
    example="recording-starting, recording-started, and both again while nothing was stopped",
    advice=(
        "Look for the file of the run that never ended: it may exist though no webhook reported it."
        " VideoSDK finds it by the session's id."
    ),
)
S209 = Code(
    "S209",
    "conflicting-outcome",
    "error",
    price=6,
    assumed="one run had two ends",
    more="more by how much later than `fast_redelivery` the second came",
    when="One run reported two ends: it stopped, and it failed.",
    message="{type} came, but {what} had already {state}",
    example="recording-stopped with a file, then recording-failed",
    advice="Try to play the file before you believe either report.",
)
S210 = Code(
    "S210",
    "run-failed",
    "error",
    roles=("outcome",),
    when="A run failed. Only a warning where a later run of the session brought a file.",
    message="{what} failed{state}{value}",
    example="recording-starting, then recording-failed",
    advice="Tell the people who wait for the recording or the stream; the message of the webhook, if it has one, says why.",
    prices=NO_PRICE,
)
S212 = Code(
    "S212",
    "left-without-join",
    "warning",
    roles=("orphan",),
    price=5,
    assumed="the joined of a visit was lost",
    when="Somebody left, and the joined of that visit never came.",
    message="{name} left, but no joined came for this visit",
    example="participant-left is the first webhook of a person",
    advice=(
        "One delivery was lost: nobody knows when this visit began, so the person's attendance is incomplete."
    ),
)
S213 = Code(
    "S213",
    "rejoined-without-left",
    "warning",
    roles=("restarted",),
    price=5,
    assumed="the left of a visit was lost, and the person joined again",
    when="Somebody who was inside joined again, and the left of the earlier visit never came.",
    message="{name} joined at {since} and again {delay} later, and no left came in between",
    example="joined, joined again two hours later, left once",
    advice=(
        "One delivery was lost: nobody knows how long the first visit was. Take it as ended when the second"
        " began."
    ),
)
S214 = Code(
    "S214",
    "session-restarted",
    "error",
    roles=("conflict",),
    price=8,
    assumed="a session started twice",
    when="session-started came again for the same session, with other data.",
    message="{type} came again {delay} later with other data: {value}",
    example="session-ended, then session-started with the same session id",
    advice=(
        "A session id should be used once: look for a log that was replayed or edited, or for a test that"
        " uses real ids."
    ),
)
S215 = Code(
    "S215",
    "acquired-again",
    "warning",
    roles=("conflict", "restarted"),
    price=5,
    assumed="a resource was acquired twice and not released in between",
    when="A resource was acquired again, and no released came in between.",
    message="resource {name} was acquired again {delay} later, and not released in between",
    example="resource-acquired twice for the same id, an hour apart",
    advice="Look for a recording or a stream that was requested twice.",
)
T301 = Code(
    "T301",
    "stuck-starting",
    "error",
    roles=("overdue",),
    price=5.5,
    assumed="a run hung while it was starting",
    when=(
        "A run was starting for longer than `stuck_starting`, and nothing came of it. Becomes T303 if it"
        " starts after all."
    ),
    message="{what} reported at {since} that it was starting, and nothing after that",
    example="recording-starting, and then nothing",
    advice="It is not recording or streaming. Start it again, and tell the people who rely on it.",
)
T302 = Code(
    "T302",
    "stuck-stopping",
    "error",
    roles=("overdue",),
    price=5.5,
    assumed="a run hung while it was stopping",
    when=(
        "A run was stopping for longer than `stuck_stopping`, and its end did not come. Becomes T303 if it"
        " comes after all."
    ),
    message="{what} reported at {since} that it was stopping, and its end has not come",
    example="recording-stopping, and then nothing",
    advice="Its file may be lost. Ask VideoSDK with the session's id.",
)
T311 = Code(
    "T311",
    "not-playable",
    "warning",
    roles=("overdue",),
    price=3,
    assumed="HLS ran and did not become playable",
    when="HLS started and did not become playable within `not_playable`. Withdrawn when hls-playable comes.",
    message="{what} started at {since} and has not become playable",
    example="hls-started, and ten minutes later no hls-playable",
    advice="Check whether viewers see it: they may be waiting for a stream that does not come.",
)
X402 = Code(
    "X402",
    "activity-after-end",
    "error",
    roles=("after_end",),
    price=8,
    assumed="something began after the session had ended",
    when="Something began after the session had ended, by more than two seconds: what is sent at once overtakes each other.",
    message="{type} came {delay} after the session had ended",
    example="session-ended, then participant-joined",
    advice=(
        "Find out whether the session had really ended: its end was reported too early, or somebody uses a"
        " room that is over."
    ),
)
X403 = Code(
    "X403",
    "unfinished-at-end",
    "error",
    roles=("open_at_end",),
    price=8,
    assumed="the session ended, and the end of a run was lost",
    when=(
        "A run was open when the session ended, and its end did not come within `grace`; of what may go on after"
        " the session, like a transcription of type `post`, within `session_idle`."
    ),
    message="{what} was still {state} {when} the session {ended} at {value}, and its end has not come",
    example="recording-started, session-ended, and no recording-stopped",
    advice="Look for the file by hand, or ask VideoSDK with the session's id: no webhook will report it.",
)
X404 = Code(
    "X404",
    "present-at-end",
    "warning",
    roles=("open_at_end",),
    price=5,
    assumed="the session ended, and the left of a person was lost",
    when="Somebody was inside when the session ended, and no left came within `grace`.",
    message="{name} was still inside when the session {ended} at {value}, and no left has come",
    example="participant-joined, session-ended, and no participant-left",
    advice="Take the session's end as the end of the visit.",
)
X405 = Code(
    "X405",
    "subject-absent",
    "warning",
    roles=("subject_absent",),
    when="The recording of a person began, and that person was not inside.",
    message="{type} came for {name}, who was not inside",
    example="participant-recording-starting for somebody who left ten minutes ago",
    advice="A joined was lost, or the wrong person is recorded: check who is in the file.",
    prices=NO_PRICE,
)
X407 = Code(
    "X407",
    "empty-session",
    "info",
    roles=("empty",),
    when="The session ended, and nobody had ever joined.",
    message="the session ended, and nobody had ever joined",
    example="session-started, then session-ended",
    advice="Nothing to do if rooms are opened ahead of time; otherwise find out who could not get in.",
    prices=NO_PRICE,
)
C502 = Code(
    "C502",
    "conflicting-url",
    "error",
    roles=("contradicted",),
    price=8,
    assumed="one run brought two urls",
    when="Two steps of one HLS run brought two playback urls. Both are in the log; the first one counts.",
    message="{type} brought another {field} than the step before: {value}",
    example="hls-started with one playbackHlsUrl, hls-playable with another",
    advice="Try which of the two plays before you send viewers there.",
)
C503 = Code(
    "C503",
    "conflicting-session-time",
    "error",
    roles=("retimed",),
    when="session-ended names another start than session-started did.",
    message="{type} names another {field} than session-started did: {value}",
    example="session-started with start 10:00, session-ended with start 10:07",
    advice="Take the start of session-started, and the receive times for the duration.",
    prices=NO_PRICE,
)
C504 = Code(
    "C504",
    "conflicting-repeat",
    "error",
    roles=("conflict",),
    price=8,
    assumed="one step was reported twice with different data",
    when="A step came again with other data. Both are kept; the first one counts.",
    message="{type} came again {delay} later with other data: {value}",
    example="hls-started twice with two playback urls",
    advice="Compare both bodies; `tracker export` prints them.",
)
C508 = Code(
    "C508",
    "shared-artefact",
    "error",
    roles=("shared",),
    when=(
        "Two runs brought the same file or url. Only an info where that is usual, as with the url of an HLS"
        " stream."
    ),
    message="{type} brought the same file or url as run {value}: {field}",
    example="two recordings of one session with the same filePath",
    advice=(
        "Play it and see which of the two it is: one has overwritten the other, or a webhook names the"
        " wrong file."
    ),
    prices=NO_PRICE,
)
C516 = Code(
    "C516",
    "two-files",
    "warning",
    price=4,
    assumed="one run brought two files within a minute",
    when="The end of a run was reported twice within a minute, with two files. Both are kept.",
    message="{type} came again {delay} later with another file: {value}",
    example="recording-stopped with one filePath, and three seconds later with another",
    advice="Look at both files before you delete one.",
)


@cache
def codes_for(role: str) -> tuple[str, ...]:
    """The codes that may stand in a field of a declaration."""
    return tuple(entry.code for entry in CODES.values() if role in entry.roles)


CODES = codes_in(globals())
"""Code -> its entry."""
