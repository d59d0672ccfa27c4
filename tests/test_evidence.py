"""What copies show of each other, and what the order in which steps come shows of the sender."""

import pytest
from story import session_from, standing, states

from tracker.judging.hypothesis import micros
from tracker.judging.log import Habits, LogView
from tracker.testing import moment

BEGUN = ("0 session-started", "1 participant-joined p", "2 participant-joined q")
OVER = ("3000 participant-left p", "3001 participant-left q", "3002 session-ended")
RUN = (
    "100 recording-starting",
    "110 recording-started",
    "400 recording-stopping",
    "420 recording-stopped filePath=/1",
)


def meeting(*lines):
    """The session in which these came, long after it has ended."""
    lines = sorted((*BEGUN, *lines, *OVER), key=lambda line: float(line.split()[0]))
    return session_from(*lines, as_of="48h")


def wrong(session):
    return [one.code for one in session.findings if one.severity != "info"]


def test_steps_of_two_aggregates_that_come_again_after_the_same_time_are_copies():
    again = ("300 recording-starting", "310.4 recording-started", "202 participant-joined q")
    session = meeting(*RUN, *again)
    assert (states(session, "recording"), wrong(session)) == (["stopped"], [])


MEDIA = ("hls", "recording", "livestream")


def by_one_click(at, *media, lasting=200):
    """These are started at the same time, and stopped at the same time; each takes its time to do it."""
    lines = []
    for place, name in enumerate(media):
        steps = (at + 0.4 * place, at + 3 + 4 * place, at + lasting + 0.3 * place, at + lasting + 5 + 3 * place)
        brought = {"recording": f"filePath=/{at}", "hls": ""}.get(name, "")
        lines += [f"{steps[0]} {name}-starting", f"{steps[1]} {name}-started", f"{steps[2]} {name}-stopping"]
        lines += [f"{steps[3]} {name}-stopped {brought}".rstrip()]
        lines += [f"{steps[1] + 2} hls-playable playbackHlsUrl=u{at}"] * (name == "hls")
    return lines


def test_what_one_click_starts_again_together_is_no_copy_though_it_is_equally_old():
    hangs = "500.8 livestream-starting"
    session = meeting(*by_one_click(20, *MEDIA), *by_one_click(500, "hls", "recording", lasting=320), hangs)
    (found,) = [one for one in session.findings if one.lifecycle == "livestream"]
    assert (found.code, [one.message for one in found.alternatives], len(states(session, "hls"))) == (
        "D105",
        ["it is a step of its own: other webhooks of its run were lost, or another one is the copy"],
        2,
    )


def test_what_may_not_come_again_is_a_copy_where_it_comes_with_others_at_once():
    left = [f"{at} participant-left {name}" for at, name in ((500, "a"), (500.2, "b"), (500.4, "c"))]
    joined = [f"{at} participant-joined {name}" for at, name in ((10, "a"), (12, "b"), (14, "c"))]
    session = meeting(*joined, *left, *(line.replace("500", "900") for line in left))
    assert wrong(session) == []


@pytest.mark.parametrize("after", [60, 300])
def test_that_one_webhook_came_twice_hides_no_restart(after):
    restart = ("1500.4 recording-starting", "1504.9 recording-started")
    end = ("2400 recording-stopping", "2440 recording-stopped filePath=/2")
    session = meeting(*RUN[:2], f"{100 + after} recording-starting", *restart, *end)
    assert wrong(session) == ["S207"]


def test_that_the_first_two_steps_came_again_in_the_wrong_order_is_no_restart():
    session = meeting(*RUN[:2], "340 recording-started", "396 recording-starting", *RUN[2:])
    assert (states(session, "recording"), wrong(session)) == (["stopped"], [])


@pytest.mark.parametrize("again", [(150,), (150, 390)])
def test_a_failure_that_comes_again_while_the_next_recording_runs_is_no_other_one(again):
    failed = (RUN[0], RUN[1], "120 recording-failed", "125 recording-starting", "129 recording-started")
    told = [f"{at} recording-failed" for at in again]
    session = meeting(*failed, *told, *RUN[2:])
    assert (states(session, "recording"), wrong(session)) == (["failed", "stopped"], ["S210"])


@pytest.mark.parametrize(("first", "codes"), [(600, ["S212"]), (2200, [])])
def test_who_leaves_with_all_others_when_the_session_ends_was_inside_unless_the_left_came_just_before(
    first, codes
):
    session = meeting("50 participant-joined r", f"{first} participant-left r", "3001.5 participant-left r")
    assert wrong(session) == codes


def test_two_steps_of_one_recording_that_come_again_are_another_one():
    session = meeting(*RUN, "300 recording-starting", "317 recording-started")
    assert wrong(session) == ["S207"]


def test_all_of_a_run_that_comes_again_in_one_burst_is_no_other_run():
    again = ("900 recording-starting", "901 recording-started", "902.5 recording-stopping")
    session = meeting(*RUN, *again, "904 recording-stopped filePath=/1")
    assert (states(session, "recording"), wrong(session)) == (["stopped"], [])


def test_a_stop_of_which_all_else_was_lost_is_a_run_of_its_own_beside_the_one_that_goes_on():
    session = meeting(
        *RUN[:2], "150 recording-stopped filePath=/0", "1400 recording-stopping", RUN[3].replace("420", "1420")
    )
    assert (states(session, "recording"), wrong(session)) == (["stopped", "stopped"], ["S205"])
    assert [run.delivered("stopped").data.count(b"/1") for run in session.aggregates["recording", ()].runs] == [
        1,
        0,
    ]


def test_a_step_is_as_late_as_the_first_one_that_overtook_it_is_old():
    lines = (
        "100 recording-started",
        "1000 recording-stopping",
        "1001 recording-starting",
        "1010 recording-started",
    )
    session = meeting(
        *lines,
        "1030 recording-stopped filePath=/1",
        "1500 recording-stopping",
        "1520 recording-stopped filePath=/2",
    )
    (found,) = [one for one in session.findings if one.severity != "info"]
    assert (found.code, found.position) == ("S201", 4)


def test_what_comes_between_the_end_of_a_session_and_its_start_was_overtaken_and_is_no_activity_after_the_end():
    late = ("10 session-ended", "20 participant-joined p", "60 participant-left p", "90 session-started")
    assert (wrong(session_from(*late)), wrong(session_from(*late, "100 livestream-starting"))) == ([], ["X402"])


def seen(late, in_order):
    """What a log says in which so many steps came late within five minutes, and so many in order."""
    habits = Habits()
    for place in range(late + in_order):
        habits.saw_step(micros(moment("600")) + place, 60_000_000 if place < late else None)
    return LogView(habits)


def test_the_sender_is_catching_up_where_a_tenth_of_the_steps_is_late():
    at = micros(moment("700"))
    assert [seen(*steps).is_catching_up(at) for steps in ((5, 45), (4, 0), (5, 46))] == [True, False, False]
    assert not seen(5, 45).is_catching_up(micros(moment("2h")))


def test_jitter_is_no_catching_up():
    habits = Habits()
    for place in range(20):
        habits.saw_step(micros(moment("600")) + place, 200_000 if place % 2 else None)
    assert not LogView(habits).is_catching_up(micros(moment("600")))


def test_a_recording_that_begins_after_the_end_is_no_copy_however_long_after():
    over = (
        "0 session-started",
        "1 participant-joined p",
        *RUN,
        "1795 participant-left p",
        "1800 session-ended",
    )
    for begin in (2100, 2410, 5400):
        session = session_from(
            *over, f"{begin} recording-starting", f"{begin + 17} recording-started", as_of="48h"
        )
        assert "X402" in wrong(session)


# -- what one plain reading explains, and two accidents do as well ----------------------------------


def recording(begin, *after, stopped):
    """A recording that begins at a second, with its other steps so many seconds after that."""
    steps = zip((0, *after), ("starting", "started", "stopping", "stopped"), strict=True)
    lines = [f"{begin + at} recording-{step}" for at, step in steps]
    return [*lines[:-1], f"{lines[-1]} {stopped}".strip()]


FIRST = recording(300, 3, 840, 860, stopped="filePath=/1")


def test_a_file_that_comes_again_just_when_the_next_run_waits_for_its_own_is_of_both():
    session = meeting(*FIRST, *recording(1300, 5, 480, 484, stopped="filePath=/1"))
    assert (states(session, "recording"), wrong(session)) == (["stopped", "stopped"], ["C508"])


def test_a_file_that_comes_a_third_time_is_a_copy_of_the_run_that_wrote_it():
    runs = [*FIRST, *recording(1300, 2, 100, 105, stopped="filePath=/2")]
    third = recording(1537, 5, 140, 155, stopped="filePath=/3")
    again = ("1688 recording-stopped filePath=/2", "1900 recording-stopped filePath=/2")
    session = meeting(*runs, *third, *again)
    copies = [one for one in session.readings().values() if one.reading == "redelivered"]
    assert [one.run for one in copies] == [2, 2]


def test_a_file_that_comes_again_before_the_next_run_brings_its_own_is_a_copy():
    second = recording(1300, 5, 480, 560, stopped="filePath=/2")
    session = meeting(*FIRST, *second, "1820 recording-stopped filePath=/1")
    assert (states(session, "recording"), wrong(session)) == (["stopped", "stopped"], [])


@pytest.mark.parametrize("late", [(300, 340, 310, 290), (250, 320, 300, 270)])
def test_a_file_that_comes_through_both_channels_is_of_one_run(late):
    once = ("0 session-started", *recording(30, 3, 90, 120, stopped="filePath=/1"), "900 session-ended")
    ages = iter((300, *late, 315))
    again = [f"{int(at) + next(ages)} {line}" for at, line in (one.split(maxsplit=1) for one in once)]
    lines = sorted((*once, *again), key=lambda line: float(line.split()[0]))
    session = session_from(*lines, as_of="48h")
    assert (states(session, "recording"), wrong(session)) == (["stopped"], [])


def test_of_three_short_recordings_the_first_lost_its_end_and_the_others_are_no_copies():
    session = meeting(
        *recording(300, 6, 18, 22, stopped="")[:3],
        *recording(332, 5, 12, 16, stopped="filePath=/2"),
        *recording(360, 5, 20, 24, stopped="filePath=/3"),
    )
    assert (states(session, "recording"), wrong(session)) == (["lost", "stopped", "stopped"], ["S207"])


@pytest.mark.parametrize(("delay", "code"), [(15, "S209"), (107, "S206")])
def test_a_failure_after_a_run_has_stopped_in_order_does_not_tear_it_apart(delay, code):
    second = recording(1300, 5, 300, 314, stopped="filePath=/2")
    failed = f"{1614 + delay} recording-failed"
    lines = ("0 session-started", *FIRST, *second, "1640 session-ended", failed)
    session = session_from(*sorted(lines, key=lambda line: float(line.split()[0])), as_of="48h")
    (one,) = [found for found in session.findings if found.severity == "error" and found.code != "S210"]
    assert (one.code, states(session, "recording")[:2]) == (code, ["stopped", "stopped"])


@pytest.mark.parametrize(("as_of", "codes"), [("24h", []), ("26h", ["X403"])])
def test_a_transcription_that_may_go_on_after_the_session_does_not_go_on_for_ever(as_of, codes):
    session = session_from(
        "0 session-started", "600 session-ended", "820 transcription-started a type=post", as_of=as_of
    )
    assert wrong(session) == codes


def test_how_long_after_the_session_it_still_ran_is_counted_from_the_end_of_the_session():
    session = session_from(
        "0 session-started", "600 session-ended", "30h transcription-started a type=post", as_of="72h"
    )
    (found,) = [one for one in session.findings if one.code == "X403"]
    assert "was still running 2 d 6 h after the session ended" in found.message


def test_people_who_come_and_go_do_not_show_that_others_were_copied():
    """Somebody changes the device twice, and somebody else is away for as long as lies between."""
    changes = ("3000 participant-joined p", "3002 participant-left p", "8430 participant-joined p")
    away = ("4000 participant-left q", "5000 participant-joined q", "9431 participant-left q")
    lines = ("0 session-started", "1 participant-joined p", "2 participant-joined q", *changes, *away)
    lines = (*lines, "8432 participant-left p", "12000 participant-left p", "12010 session-ended")
    session = session_from(*sorted(lines, key=lambda line: float(line.split()[0])), as_of="48h")
    visits = {dict(one.key)["participant_id"]: len(one.runs) for one in session.participants}
    assert visits == {"p": 3, "q": 2}


# -- which of two runs a step belongs to ------------------------------------------------------------


@pytest.mark.parametrize("late", [5, 15, 60, 110])
@pytest.mark.parametrize("as_of", ["1500", "48h"])
def test_a_stopping_that_comes_when_the_next_run_has_begun_is_of_the_run_that_lacks_it(late, as_of):
    first = recording(300, 3, 890, 900, stopped="filePath=/1")
    first[2] = f"{1200 + late} recording-stopping"
    second = recording(1210, 3, 400, 420, stopped="filePath=/2")
    lines = sorted([*BEGUN, *first, *second, *OVER], key=lambda line: float(line.split()[0]))
    session = session_from(*lines[: None if as_of == "48h" else -5], as_of=as_of)
    assert wrong(session) == []
    assert recording_of(session, 1) == ["starting", "started", "stopped", "stopping"]


def recording_of(session, number):
    """The steps that came of a recording, in the order of arrival."""
    run = session.aggregates["recording", ()].runs[number - 1]
    return [one.step.name for one in run.candidate.originals.values()]


@pytest.mark.parametrize("as_of", ["1481", "2400"])
def test_the_end_of_a_recording_is_of_the_one_that_began_last_also_while_the_session_is_live(as_of):
    begun = [*recording(300, 3, 0, 0, stopped="")[:2], *recording(900, 2, 570, 580, stopped="filePath=/2")]
    session = session_from(*BEGUN, *begun, as_of=as_of)
    assert (states(session, "recording"), wrong(session)) == (["lost", "stopped"], ["S207"])


def test_a_machine_that_is_acquired_twice_and_released_once_was_lost_once():
    session = session_from("0 resource-acquired r", "1h resource-acquired r", "70m resource-released r")
    assert (states(session, "resource"), wrong(session)) == (["lost", "released"], ["S215"])


@pytest.mark.parametrize("minutes", [13, 17, 33])
def test_a_start_that_comes_again_with_its_confirmation_is_no_copy_beyond_doubt(minutes):
    """They are as old as each other where the recorder takes as long as before, to the second."""
    again = recording(300 + 60 * minutes, 3, 0, 0, stopped="")[:2]
    session = meeting(*recording(300, 3, 60, 70, stopped="filePath=/1"), *again)
    found = [one for one in session.findings if one.code in ("X403", "D105")]
    assert found
    assert all(one.confidence < 0.9 for one in found)


URL = "playbackHlsUrl=https://cdn/room.m3u8"


@pytest.mark.parametrize("late", [5, 25])
def test_what_comes_just_when_a_run_waits_for_it_is_no_copy_of_the_run_before(late):
    """Not where the room is always played from the same url either."""
    first = (f"303 hls-started {URL}", f"333 hls-playable {URL}", "900 hls-stopping", "903 hls-stopped")
    second = ("1300 hls-starting", f"{1303 + late} hls-started {URL}", f"{1333 + late} hls-playable {URL}")
    session = meeting("300 hls-starting", *first, *second)
    assert (states(session, "hls"), wrong(session)) == (["stopped", "lost"], ["X403"])


def test_a_second_start_that_is_refused_while_a_run_goes_on_is_only_a_warning():
    lines = recording(300, 3, 2000, 2010, stopped="filePath=/1")
    session = meeting(*lines[:2], "900 recording-starting", "902 recording-failed message=busy", *lines[2:])
    assert (states(session, "recording"), wrong(session)) == (["stopped", "failed"], ["S210"])
    assert weight(session, "S210") == "warning"


def weight(session, code):
    (one,) = [found for found in session.findings if found.code == code]
    return one.severity


@pytest.mark.parametrize("delay", [1, 30])
def test_two_lefts_within_a_minute_are_one_however_much_they_say(delay):
    for first, second in (("", "reason=LEFT"), ("reason=LEFT", ""), ("reason=LEFT", "reason=CLOSED")):
        left = f"900 participant-left r {first}".strip(), f"{900 + delay} participant-left r {second}".strip()
        session = meeting("5 participant-joined r", *left)
        assert wrong(session) == []
        assert len(session.aggregates["participant", (("participant_id", "r"),)].runs) == 1


def test_who_left_and_came_again_did_so_once_where_the_same_was_sent_three_times():
    end = ("1000 recording-stopping", "1012 recording-stopped filePath=/1")
    back = ("1005 participant-left r", "1025 participant-joined r")
    thrice = [
        f"{float(at) + more} {line}"
        for at, line in (one.split(maxsplit=1) for one in (*end, *back))
        for more in (0, 30, 60)
    ]
    session = meeting(
        "40 participant-joined r", *recording(300, 2, 0, 0, stopped="")[:2], *thrice, "2990 participant-left r"
    )
    assert len(session.aggregates["participant", (("participant_id", "r"),)].visits) == 2
    assert wrong(session) == []


def test_a_file_whose_url_is_signed_anew_is_the_same_file():
    lines = recording(300, 3, 600, 620, stopped="filePath=/1 fileUrl=s3/1?sig=1")
    session = meeting(*lines, "1040 recording-stopped filePath=/1 fileUrl=s3/1?sig=2")
    assert (states(session, "recording"), wrong(session)) == (["stopped"], [])


def test_what_a_failure_says_is_said_whichever_of_two_reports_has_it():
    failed = ("310 recording-failed", "311 recording-failed message=busy")
    (begun,) = [
        one for one in meeting("300 recording-starting message=soon", failed[1]).findings if one.code == "S210"
    ]
    assert begun.message.endswith("busy")
    for lines in (
        failed,
        [f"{at} {failed[not place].split(' ', 1)[1]}" for place, at in enumerate((310, 311))],
    ):
        (found,) = [one for one in meeting("300 recording-starting", *lines).findings if one.code == "S210"]
        assert found.message.endswith("busy")


STOPPED_AND_STARTED = (
    *recording(300, 3, 900, 0, stopped="")[:3],
    "1203 recording-starting",
    "1206 recording-started",
)


@pytest.mark.parametrize(
    ("as_of", "state", "verdict"), [("1206", "stopping", "provisional"), ("31m", "lost", "settled")]
)
def test_a_recording_that_is_processed_when_the_next_one_begins_may_still_bring_its_file(as_of, state, verdict):
    session = session_from(*BEGUN, *STOPPED_AND_STARTED, as_of=as_of)
    (found,) = [one for one in session.findings if one.code == "S207"]
    assert (states(session, "recording"), found.verdict) == ([state, "started"], verdict)
    late = session_from(*BEGUN, *STOPPED_AND_STARTED, "1241 recording-stopped filePath=/1", as_of=as_of)
    assert (states(late, "recording"), wrong(late)) == (["stopped", "started"], [])


def test_that_the_left_of_a_visit_was_lost_is_no_fact_while_it_may_come():
    back = ("40m participant-joined r", "5 participant-joined r")
    lines = sorted((*BEGUN, *back), key=lambda line: line.endswith("r") and line.startswith("40m"))
    found = [one for one in session_from(*lines, as_of="2401").findings if one.code == "S213"]
    assert [one.verdict for one in found] == ["provisional"]


def test_a_lone_failure_while_a_recording_goes_on_is_of_another_attempt():
    lines = recording(300, 3, 1500, 1520, stopped="filePath=/1")
    session = meeting(*lines[:2], "600 recording-failed message=busy", *lines[2:])
    assert (states(session, "recording"), sorted(wrong(session))) == (["stopped", "failed"], ["S206"])


def test_what_failed_was_not_asked_to_stop():
    session = meeting(
        *recording(300, 3, 0, 0, stopped="")[:2], "900 recording-failed", "903 recording-stopped filePath=/1"
    )
    assert sorted(wrong(session)) == ["S209", "S210"]


@pytest.mark.parametrize("begins", [310, 311])
def test_short_runs_that_follow_each_other_at_once_keep_their_files(begins):
    """What was stopped is being processed: that the next one begins soon is no sign that the two go on at once."""
    runs = (
        recording(300, 1, 9, 13, stopped="filePath=/1"),
        recording(begins, 1, 10, 12, stopped="filePath=/2"),
    )
    session = meeting(*runs[0], *runs[1], *recording(begins + 11, 1, 18, 20, stopped="filePath=/3"))
    files = [run.data["file_path"] for run in session.aggregates["recording", ()].runs]
    assert (files, wrong(session)) == (["/1", "/2", "/3"], [])


@pytest.mark.parametrize(
    "again",
    [
        "0.4 session-started start=2026-01-05T12:00:00+00:00",
        "0.4 session-started start=2026-01-05T12:00:00.120Z",
        "0.4 session-started",
    ],
)
def test_a_session_starts_once_however_its_time_is_written(again):
    session = session_from("0 session-started start=2026-01-05T12:00:00Z", again, "9 participant-joined p")
    assert standing(session, "warning") == []


def test_a_time_without_fractions_is_the_same_time():
    session = session_from(
        "0 session-started start=2026-01-05T12:00:00.900Z",
        "60 session-ended start=2026-01-05T12:00:00Z end=2026-01-05T12:01:00Z",
    )
    assert "C503" not in standing(session, "warning")


def test_a_url_with_another_token_is_the_same_url():
    hls = [
        f"{300 + at} hls-{step} playbackHlsUrl=u.m3u8?token={at}"
        for at, step in ((3, "started"), (30, "playable"))
    ]
    session = meeting("300 hls-starting", *hls, "900 hls-stopping", "903 hls-stopped")
    assert wrong(session) == []


@pytest.mark.parametrize("name", ["participantName", "metaData"])
def test_a_person_whose_joined_came_twice_at_once_came_once(name):
    come = (f"900 participant-joined r {name}=a", f"900.4 participant-joined r {name}=b")
    session = meeting(*come, "1800 participant-left r")
    assert wrong(session) == []
    assert len(session.aggregates["participant", (("participant_id", "r"),)].runs) == 1


def test_a_failure_that_is_told_in_two_ways_is_one():
    lines = ("300 recording-starting", "303 recording-failed message=a", "304 recording-failed message=b")
    session = meeting(*lines)
    assert (states(session, "recording"), wrong(session)) == (["failed"], ["S210"])


def test_three_starts_of_which_one_was_stopped_are_no_fact():
    starts = ((300, 3), (1061, 3.4), (1745, 2.3))
    pairs = [
        line for at, more in starts for line in (f"{at} livestream-starting", f"{at + more} livestream-started")
    ]
    session = meeting(*pairs, "2400 livestream-stopping", "2402 livestream-stopped")
    assert {one.code for one in session.findings} & {"S207", "D105"}


def test_what_a_receiver_wrote_once_more_in_one_burst_is_no_further_visit():
    came = ("300 participant-left q", "340 participant-joined q", "400 recording-stopping")
    file = "recording-stopped filePath=/a.mp4"
    begun = ("0 session-started", "1 participant-joined p", "2 participant-joined q")
    recorded = ("10 recording-starting", "12 recording-started", *came, f"420 {file}")
    again = [
        f"{600 + 0.04 * place} {line.split(' ', 1)[1]}" for place, line in enumerate((*came, f"420 {file}"))
    ]
    ended = ("900 participant-left p", "901 participant-left q", "902 session-ended")
    session = session_from(*begun, *recorded, *again, *ended, as_of="48h")
    assert {one.code for one in session.findings} == {"D101"}
    assert len(session.aggregates["participant", (("participant_id", "q"),)].runs) == 2
