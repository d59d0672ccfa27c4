"""Small logs after cases that people have reported, and what must and may be found in each.

A case is its lines, the codes at warning or above that must be found, those that may be, and the states
of the runs: ``"recording stopped stopped"``. What is undecided when a log ends does not count.
"""

import attrs
import pytest
from story import audited, moment

FILE, OTHER = "filePath=/a.mp4", "filePath=/b.mp4"
URL = "playbackHlsUrl=https://x/h.m3u8"
START, END = "start=2026-01-05T12:00:00Z", "start=2026-01-05T12:00:00Z end=2026-01-05T{}Z"
BEGUN = (f"0 session-started {START}", "2 participant-joined ann participantName=Ann")


def over(minute, second=0):
    """Ann leaves, and the session ends."""
    at = 60 * minute + second
    return (
        f"{at} participant-left ann participantName=Ann",
        f"{at + 5} session-ended {END.format(f'{12 + minute // 60}:{minute % 60:02}:05')}",
    )


def recorded(begin, end, stopped, file=FILE, key=""):
    """A recording, its steps in order; times are in seconds."""
    steps = (f"{begin} recording-starting", f"{begin + 3} recording-started", f"{end} recording-stopping")
    return tuple(f"{step} {key}".strip() for step in (*steps, f"{stopped} recording-stopped {file}"))


def in_order(*lines):
    return tuple(sorted(lines, key=lambda line: moment(line.split(" ")[0])))


def room(number, *lines):
    """The same lines in a session and a meeting of their own."""
    return tuple(f"{line} sessionId=s{number} meetingId=m{number}" for line in lines)


def later(hours, *lines):
    """The same lines so many hours later, in one burst."""
    return tuple(f"{hours * 3600 + 0.04 * place} {line.split(' ', 1)[1]}" for place, line in enumerate(lines))


@attrs.frozen
class Case:
    lines: tuple[str, ...]
    must: str = ""
    may: str = ""
    runs: tuple[str, ...] = ()
    infos: str = ""


TWO_PEOPLE = (*BEGUN, "60 participant-joined bob participantName=Bob")
DAY = (
    *TWO_PEOPLE,
    *recorded(120, 2400, 2430)[:2],
    "1200 participant-left bob participantName=Bob",
    "1260 participant-joined bob participantName=Bob",
    *recorded(120, 2400, 2430)[2:],
    "2460 participant-left ann participantName=Ann",
    "2462 participant-left bob participantName=Bob",
    f"2465 session-ended {END.format('12:41:05')}",
)
CASES = {
    "01: all left, the recording goes on, no end, and the log goes on for hours": Case(
        (
            *TWO_PEOPLE,
            *recorded(120, 0, 0)[:2],
            "1800 participant-left bob participantName=Bob",
            "1810 participant-left ann participantName=Ann",
            *room(2, "4h session-started", "14402 participant-joined cy", "15000 participant-left cy"),
            *room(2, "15005 session-ended"),
        ),
        must="T307",
    ),
    "02: all dropped for some seconds, and the recording stopped": Case(
        (
            *TWO_PEOPLE,
            *recorded(70, 0, 0)[:2],
            "1200 participant-left ann participantName=Ann",
            "1201 participant-left bob participantName=Bob",
            "1203 recording-stopping",
            "1215 participant-joined ann participantName=Ann",
            "1218 participant-joined bob participantName=Bob",
            f"1270 recording-stopped {FILE}",
            "3600 participant-left bob participantName=Bob",
            *over(60, 2),
        ),
        runs=("recording stopped", "participant out out", "participant out out"),
    ),
    "04: the end of the recorder never came, and three later starts were refused": Case(
        (
            *BEGUN,
            *recorded(60, 0, 0)[:2],
            *("30m recording-starting", "1802 recording-failed", "41m recording-starting"),
            *("2462 recording-failed", "55m recording-starting", "3302 recording-failed"),
            *over(60),
            "90m resource-acquired r1 type=recording",
        ),
        must="S210",
        may="X403 S207",
    ),
    "06: the start signal never came, and it failed after minutes": Case(
        (*BEGUN, "60 recording-starting", "362 recording-failed", *over(50)),
        must="S210",
        runs=("recording failed",),
    ),
    "07: five tries failed, and then it ran": Case(
        (
            *BEGUN,
            *(
                f"{60 + 12 * place + second} recording-{step}"
                for place in range(5)
                for second, step in ((0, "starting"), (8, "failed"))
            ),
            *recorded(130, 2400, 2430),
            *over(50),
        ),
        must="S210",
        runs=("recording failed failed failed failed failed stopped",),
    ),
    "08: the old connection's stop came after the new start": Case(
        (
            *BEGUN,
            *("60 livestream-starting", "63 livestream-started", "30m livestream-starting"),
            *("1802 livestream-started", "1807 livestream-stopped"),
            *("58m livestream-stopping", "3484 livestream-stopped"),
            *over(60),
        ),
        may="S203",
        runs=("livestream stopped stopped",),
    ),
    "10: playable came minutes after stopped, with the run's own url": Case(
        (
            *BEGUN,
            *("60 hls-starting", f"65 hls-started {URL}", "3m hls-stopping", "184 hls-stopped"),
            f"340 hls-playable {URL} livestreamUrl=https://x/h.m3u8",
            *over(20),
        ),
        runs=("hls stopped",),
    ),
    "11: playable came after six minutes": Case(
        (
            *BEGUN,
            *("60 hls-starting", f"65 hls-started {URL}", f"450 hls-playable {URL}"),
            *("40m hls-stopping", "2404 hls-stopped"),
            *over(50),
        ),
        runs=("hls stopped",),
        infos="T303",
    ),
    "12: an hour after it started it is not playable": Case(
        (
            *BEGUN,
            *("60 hls-starting", f"65 hls-started {URL}"),
            *("30m participant-joined bob", "60m participant-left bob"),
        ),
        must="T311",
        runs=("hls started",),
    ),
    "14: restarted at the limit of two hours, and the first file came late": Case(
        (
            *BEGUN,
            *("5 recording-starting", "9 recording-started", "7209 recording-stopping"),
            *("7211 recording-starting", "7215 recording-started", f"7770 recording-stopped {FILE}"),
            *("190m recording-stopping", f"195m recording-stopped {OTHER}"),
            *over(200),
        ),
        runs=("recording stopped stopped",),
    ),
    "16: the file came 25 minutes after the end": Case(
        (
            *BEGUN,
            *("5 recording-starting", "9 recording-started"),
            *over(110),
            *("6608 recording-stopping", f"8120 recording-stopped {FILE}"),
        ),
        runs=("recording stopped",),
        infos="D104",
    ),
    "17: asked 15 minutes after the end, when the file had not come": Case(
        (
            *BEGUN,
            *("5 recording-starting", "9 recording-started"),
            *over(110),
            "6608 recording-stopping",
            *room(9, "125m participant-joined zoe"),
        ),
        may="X403",
    ),
    "19: one stopped with its file was sent again six hours later": Case(
        (*BEGUN, *recorded(120, 2400, 2430), *over(41), f"24000 recording-stopped {FILE}"),
        runs=("recording stopped",),
        infos="D101",
    ),
    "20: only six types are subscribed to": Case(
        tuple(
            f"{3600 * number + second} {line} sessionId=s{number} meetingId=m{number}"
            for number in range(3)
            for second, line in (
                (0, "session-started"),
                (2, f"participant-joined ann{number}"),
                (60, f"participant-joined bob{number}"),
                (300, "recording-started"),
                (2700, f"recording-stopped filePath=/{number}.mp4"),
                (2760, f"participant-left ann{number}"),
                (2763, f"participant-left bob{number}"),
                (2765, "session-ended"),
            )
        ),
        infos="L603",
    ),
    "21: only recording-stopped is subscribed to": Case(
        tuple(
            f"{number}h recording-stopped filePath=/{number}.mp4 sessionId=s{number} meetingId=m{number}"
            for number in range(1, 5)
        ),
        infos="L603",
    ),
    "22: the end of a room's session came after its next one had begun": Case(
        (
            *TWO_PEOPLE,
            *("30m participant-left bob", "1802 participant-left ann"),
            "1809 session-started sessionId=T",
            *("1810 participant-joined ann sessionId=T", "1812 participant-joined bob sessionId=T"),
            "1822 session-ended",
            *("60m participant-left ann sessionId=T", "3602 participant-left bob sessionId=T"),
            "3622 session-ended sessionId=T",
        ),
    ),
    "24: three devices of one person, whose lefts came minutes late": Case(
        (
            BEGUN[0],
            "2 participant-joined bob",
            *("60 participant-joined ann", "5m participant-joined ann", "490 participant-left ann"),
            *("540 participant-joined ann", "740 participant-left ann"),
            *("40m participant-left bob", "41m participant-left ann", "2463 session-ended"),
        ),
    ),
    "26: in and out of a waiting room": Case(
        (
            BEGUN[0],
            *("2 participant-joined host", "30 participant-joined ann", "10m participant-left ann"),
            *("12m participant-joined ann", "724 participant-left ann", "729 participant-joined ann"),
            *("40m participant-left ann", "2403 participant-left host", "2405 session-ended"),
        ),
        runs=("participant out", "participant out out out"),
    ),
    "28: a transcription was left open, and one after the session failed": Case(
        (
            *BEGUN,
            *("60 transcription-failed t3 type=realtime", "2m transcription-started t4 type=realtime"),
            *over(40),
            *("41m transcription-started t5 type=post", "90m transcription-failed t5 type=post"),
        ),
        must="S210 X403",
    ),
    "34: two hooks, some copies 20 to 95 seconds later": Case(
        in_order(
            *BEGUN,
            *recorded(120, 2400, 2431),
            "144 recording-started",
            f"2526 recording-stopped {FILE}",
            *over(43),
            f"2605 session-ended {END.format('12:43:05')}",
        ),
        runs=("recording stopped",),
    ),
    "36: a storage of one's own, with a path and no url": Case(
        (*BEGUN, *recorded(120, 3000, 3030, "filePath=dir/a.mp4 fileUrl=null", key="c1"), *over(52)),
        runs=("recording stopped",),
    ),
    "37: stopped without a file, and minutes later with it": Case(
        (
            *BEGUN,
            *recorded(120, 3000, 3005, "filePath=null fileUrl=null"),
            *over(52),
            f"3510 recording-stopped {FILE}",
        ),
        runs=("recording stopped",),
    ),
    "38: ended twice within two seconds": Case(
        (
            *BEGUN,
            "52m participant-left ann participantName=Ann",
            f"3123 session-ended {END.format('12:52:02')} reason=api",
            f"3125 session-ended {END.format('12:52:04')} reason=empty",
        ),
        infos="C504",
    ),
    "39: two recordings at once, without an id": Case(
        in_order(
            *BEGUN,
            *recorded(120, 3000, 3030),
            *recorded(300, 3001, 3041, OTHER),
            *over(52),
        ),
        runs=("recording stopped stopped",),
    ),
    "40: the whole log was sent again six hours later": Case(
        (*DAY, *later(6, *DAY)),
        runs=("recording stopped", "participant out", "participant out out"),
    ),
    "43: the clock was not set for the first lines": Case(
        (
            *(
                f"{line - 26 * 365 * 24}h {rest}"
                for line, rest in enumerate(("session-started", "participant-joined ann"))
            ),
            "-227758h recording-starting",
            *recorded(120, 2400, 2430)[1:],
            *over(41),
        ),
        may="T308",
        runs=("recording stopped",),
    ),
    "46: an empty room was recorded for hours": Case(
        (
            *BEGUN,
            *recorded(120, 7323, 7500)[:2],
            "30m participant-left ann participantName=Ann",
            *recorded(120, 7323, 7500)[2:],
            f"8h session-ended {END.format('20:00:00')}",
        ),
        must="T307",
        runs=("recording stopped",),
    ),
    "47: a resource was acquired, released, and acquired again": Case(
        (
            *("0 resource-acquired r1 type=recording", "3h resource-released r1 type=recording"),
            *("181m resource-acquired r1 type=recording", "4h resource-released r2 type=hls"),
        ),
        runs=("resource released acquired", "resource released"),
    ),
    "93: the lefts came 22 minutes after the end": Case(
        (
            *TWO_PEOPLE,
            f"3605 session-ended {END.format('13:00:05')}",
            "82m participant-left ann participantName=Ann",
            "4920.1 participant-left bob participantName=Bob",
        ),
        runs=("participant out", "participant out"),
    ),
    "94: it failed with a message": Case(
        (
            *BEGUN,
            *("120 recording-starting c1", "123 recording-started c1"),
            '30m recording-failed c1 message="denied"',
            *over(52),
        ),
        must="S210",
        runs=("recording failed",),
    ),
    "97: a twin session of the room that never ends": Case(
        (
            *BEGUN,
            "3 session-started sessionId=T",
            *over(9),
            "5h session-started sessionId=U meetingId=N",
        ),
        must="X406",
        may="T304 T307",
    ),
    "98: two steps were minutes late by a retry": Case(
        (
            *BEGUN,
            *("123 recording-started", "310 recording-starting"),
            *(f"2430 recording-stopped {FILE}", "2610 recording-stopping"),
            *over(52),
        ),
        runs=("recording stopped",),
        infos="D102",
    ),
    "100: the hook was switched off while three sessions were live": Case(
        in_order(
            *(
                line
                for number in range(3)
                for line in room(
                    number,
                    f"{60 * number} session-started",
                    f"{60 * number + 2} participant-joined a{number}",
                    f"{60 * number + 600} recording-starting",
                    f"{60 * number + 603} recording-started",
                )
            ),
            *room(9, "21h session-started", "75603 participant-joined zoe"),
        ),
        may="L601 T304 T307",
    ),
}


def counted(found):
    """The codes that count: at warning or above, and decided."""
    return {one.code for one in found if one.severity != "info" and one.verdict != "undecided"}


def states(sessions):
    """``recording stopped lost``, for each aggregate but the session's own."""
    return sorted(
        " ".join((one.lifecycle.name, *(run.state for run in one.runs)))
        for session in sessions
        for one in session.aggregates.values()
        if not one.lifecycle.is_session
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_must_be_found_is_found_and_nothing_that_may_not_be(case):
    found, sessions = audited(*case.lines)
    must, may = set(case.must.split()), set(case.may.split())
    assert must <= counted(found) <= must | may
    assert set(case.infos.split()) <= {one.code for one in found}
    held = states(sessions)
    assert [line for line in case.runs if line not in held] == []
    named = {line.split()[0] for line in case.runs}
    assert sorted(case.runs) == [line for line in held if line.split()[0] in named]


def test_04_each_start_that_was_refused_is_found():
    found, _ = audited(
        *CASES["04: the end of the recorder never came, and three later starts were refused"].lines
    )
    assert [one.code for one in found if one.severity != "info"] == ["S210"] * 3


def test_both_files_of_two_recordings_at_once_are_shown():
    _, (session,) = audited(*CASES["39: two recordings at once, without an id"].lines)
    (recording,) = [one for one in session.aggregates.values() if one.lifecycle.name == "recording"]
    assert [run.files for run in recording.runs] == [[{"file_path": "/a.mp4"}], [{"file_path": "/b.mp4"}]]


def test_the_file_that_came_with_the_second_stopped_is_shown():
    _, (session,) = audited(*CASES["37: stopped without a file, and minutes later with it"].lines)
    (recording,) = [one for one in session.aggregates.values() if one.lifecycle.name == "recording"]
    assert [run.files for run in recording.runs] == [[{"file_path": "/a.mp4"}]]


def test_why_it_failed_is_shown():
    found, _ = audited(*CASES["94: it failed with a message"].lines)
    assert [one.message for one in found if one.code == "S210"] == ["recording c1 failed while running: denied"]


POD_A = (
    BEGUN[0],
    "20 participant-joined bob",
    *("123 recording-started", "16m participant-joined bob", f"1530 recording-stopped {FILE}"),
    *("3003 recording-started", f"4830 recording-stopped {OTHER}", "4862 participant-left bob"),
)
POD_B = (
    "2 participant-joined ann",
    *("120 recording-starting", "15m participant-left bob", "25m recording-stopping"),
    *("50m recording-starting", "80m recording-stopping", "81m participant-left ann", "4865 session-ended"),
)


def test_91_the_logs_of_two_pods_one_after_the_other_are_held_in_the_order_of_time():
    found, sessions = audited(*POD_A, *POD_B, sources=["a"] * len(POD_A) + ["b"] * len(POD_B))
    assert counted(found) == set()
    assert states(sessions) == ["participant out", "participant out out", "recording stopped stopped"]


def test_17_asked_in_between_the_recording_is_still_processed():
    lines = CASES["17: asked 15 minutes after the end, when the file had not come"].lines
    asked = [*lines[:-1], *room(9, "119m participant-joined zoe")]
    found, sessions = audited(*asked)
    assert "recording stopping" in states(sessions)
    assert counted(found) - {"X401"} == set()


def test_93_the_lefts_were_missed_until_they_came():
    lines = CASES["93: the lefts came 22 minutes after the end"].lines[:-2]
    found, _ = audited(*lines, *room(9, "80m session-started"))
    assert counted(found) == {"X404"}
