"""Deliveries that may be read in two ways: what is told of them, and when another story takes its place."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import deliveries, findings, judged, readings, standing, states, told, value

from tracker.doubt import MOST_STORIES
from tracker.rules import Rules
from tracker.session import Session, fold, judge

RULES = Rules()
BEGUN = ("0 session-started", "1 participant-joined p")
OVER = ("3000 participant-left p", "3001 session-ended")
STEPS = ("starting", "started", "stopping", "stopped")


def run(medium, *times, stopped=""):
    """The four webhooks of a run at these times."""
    steps = [f"{time} {medium}-{step}" for time, step in zip(times, STEPS, strict=True)]
    return [*steps[:-1], f"{steps[-1]} {stopped}".rstrip()]


def in_order(*lines):
    return sorted(lines, key=lambda line: float(line.split()[0]))


def meeting(*lines):
    """The session in which these came, long after it has ended."""
    return told(*in_order(*BEGUN, *lines, *OVER), as_of="48h")


ONE, TWO = "filePath=/1.mp4", "filePath=/2.mp4"
WELL = {
    "two media restarted by one button, just as long after": (
        ("recording", "livestream"),
        [
            *run("recording", 100, 105, 400, 406, stopped=ONE),
            *run("livestream", 101, 104, 401, 404),
            *run("recording", 700, 705, 1000, 1006, stopped=TWO),
            *run("livestream", 701, 704, 1001, 1004),
        ],
    ),
    "a copy of a stop without a file while the next run is open": (
        ("livestream",),
        [*run("livestream", 100, 105, 300, 305), *run("livestream", 320, 326, 900, 905), "381 livestream-stopped"],
    ),
    "a copy of a stopping long before the next run stops": (
        ("livestream",),
        [*run("livestream", 100, 105, 300, 305), *run("livestream", 320, 326, 2400, 2405), "700 livestream-stopping"],
    ),
    "a copy of a playable with its url while the next run is open": (
        ("hls",),
        [
            *run("hls", 160, 168, 207, 216),
            "189 hls-playable playbackHlsUrl=u1",
            *run("hls", 280, 301, 455, 467),
            "309 hls-playable playbackHlsUrl=u1",
            "325 hls-playable playbackHlsUrl=u2",
        ],
    ),
    "a stopped that the next starting overtook": (
        ("recording",),
        [*run("recording", 100, 105, 180, 200, stopped=ONE), *run("recording", 199, 206, 400, 404, stopped=TWO)],
    ),
    "a stopped that comes half a minute after the next run began": (
        ("livestream",),
        [*run("livestream", 100, 105, 258, 308), *run("livestream", 280, 286, 600, 604)],
    ),
    "a stopping that comes after the next run began, of a run that was reproached for want of it": (
        ("livestream",),
        [*run("livestream", 225, 243, 277, 265), *run("livestream", 270, 275, 285, 292)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("media", "lines"), WELL.values(), ids=WELL)
def test_two_runs_are_told_as_two_without_a_warning(media, lines):
    session = meeting(*lines)
    assert standing(session, "warning") == []
    assert {medium: states(session, medium) for medium in media} == {
        medium: ["stopped", "stopped"] for medium in media
    }


COPIED = {
    "a whole recording, with its file": run("recording", 100, 105, 400, 406, stopped=ONE),
    "a whole stream, with its url": [*run("hls", 100, 105, 400, 406), "110 hls-playable playbackHlsUrl=u1"],
}


@pytest.mark.parametrize("delay", [420, 600, 1100])
@pytest.mark.parametrize("lines", COPIED.values(), ids=COPIED)
def test_a_run_that_came_again_with_its_file_or_url_is_one_run(lines, delay):
    again = [f"{int(line.split()[0]) + delay + n % 3} {line.partition(' ')[2]}" for n, line in enumerate(lines)]
    session = meeting(*lines, *again)
    assert (standing(session, "warning"), states(session, lines[0].split()[1].partition("-")[0])) == (
        [],
        ["stopped"],
    )


@pytest.mark.parametrize("gap", [100, 700, 1100])
def test_a_second_run_whose_start_was_lost_is_told_as_that_however_long_it_lasted(gap):
    first = run("recording", 100, 105, 400, 406, stopped=ONE)
    second = run("recording", 0, 406 + gap, 406 + gap + 300, 410 + gap + 300, stopped=TWO)[1:]
    session = meeting(*first, *second)
    assert (states(session, "recording"), standing(session, "warning")) == (["stopped", "stopped"], ["S201"])
    (found,) = [one for one in session.all_findings() if one.code == "S201" and one.verdict != "retracted"]
    assert found.missing == ("recording-starting",)


def test_a_second_run_without_start_and_file_is_told_when_three_steps_came_in_order_but_not_alike():
    lines = [*run("livestream", 287, 299, 371, 388), *run("livestream", 0, 410, 710, 731)[1:]]
    session = meeting(*lines)
    assert (states(session, "livestream"), standing(session, "warning")) == (["stopped", "stopped"], ["S201"])


def test_a_stop_that_was_taken_for_a_copy_ends_its_run_when_the_session_is_over():
    lines = [*run("livestream", 100, 105, 300, 305), *run("livestream", 320, 326, 0, 381)]
    lost = [line for line in lines if not line.startswith("0 ")]
    until = told(*in_order(*BEGUN, *lost), as_of="400")
    assert (states(until, "livestream"), standing(until, "warning")) == (["stopped", "started"], [])
    session = meeting(*lost)
    assert (states(session, "livestream"), standing(session, "warning")) == (["stopped", "stopped"], ["S203"])


def test_what_only_the_story_told_before_reproached_is_kept_as_retracted():
    lines = [*run("livestream", 100, 105, 258, 308), *run("livestream", 280, 286, 600, 604)]
    session = told(*in_order(*BEGUN, *lines), as_of="2h")
    assert findings(session)["S207"] == "retracted"
    numbers = [found.number for found in session.all_findings()]
    assert sorted(set(numbers)) == numbers


def test_a_run_is_contested_while_another_story_is_as_good():
    lines = [*run("livestream", 100, 105, 300, 305), *run("livestream", 320, 326, 900, 905)]
    session = told(*BEGUN, *lines[:-2], "381 livestream-stopped")
    assert session.aggregates["livestream", ()].certainty == "contested"
    assert meeting(*lines, "381 livestream-stopped").aggregates["livestream", ()].certainty == "sure"


def test_the_reading_told_of_a_delivery_is_that_of_the_story_told():
    lines = [*run("livestream", 100, 105, 300, 305), "320 livestream-starting", "326 livestream-started"]
    assert readings(*BEGUN, *lines, "381 livestream-stopped")[-1] == "redelivered"
    assert [found.code for found in judged(*BEGUN, *lines, "381 livestream-stopped")[-1].findings] == ["D101"]


def test_in_a_session_in_which_all_comes_twice_a_pair_is_no_restart():
    once = [
        "0 session-started",
        "3 participant-joined p",
        "9 participant-joined q",
        *run("livestream", 100, 106, 900, 904),
    ]
    twice = [f"{int(line.split()[0]) + 31} {line.partition(' ')[2]}" for line in once]
    session = told(*in_order(*once, *twice), as_of="1h")
    assert (states(session, "livestream"), standing(session, "warning")) == (["stopped"], [])


# -- what holds of any meeting in which everything goes well ---------------------------------------

seconds = st.integers(1, 40).map(float)
media = st.sampled_from(["recording", "livestream", "hls", "participant-recording p"])


@st.composite
def meetings(draw):
    """The lines of a meeting: each of some media has several runs, short and long, and all is told in order."""
    lines = []
    for medium in sorted(draw(st.sets(media, min_size=1, max_size=3))):
        at = draw(st.integers(2, 60)) + 0.0
        name, _, key = medium.partition(" ")
        for number in range(draw(st.integers(1, 3))):
            times = [at, at + draw(seconds)]
            times.append(times[1] + 3 + draw(st.sampled_from([20.0, 70.0, 300.0, 800.0])) + draw(seconds))
            times.append(times[2] + draw(seconds))
            artefact = "" if name in ("livestream", "hls") else f"filePath=/{number}.mp4"
            lines += [f"{line} {key}".rstrip() if key else line for line in run(name, *times)[:-1]]
            lines.append(" ".join(filter(None, (f"{times[3]} {name}-stopped", key, artefact))))
            if name == "hls":
                lines.append(f"{times[1] + 1} hls-playable playbackHlsUrl=u{number}")
            at = times[3] + draw(st.sampled_from([5.0, 30.0, 200.0, 900.0])) + draw(seconds)
    return in_order(*BEGUN, *lines, *("9000 participant-left p", "9001 session-ended"))


def _ends(session):
    return {key: [run.state for run in found.runs] for key, found in session.aggregates.items()}


@given(meetings())
def test_several_runs_in_order_are_as_many_and_nothing_is_reproached(lines):
    begun = [
        line.split()[1].removesuffix("-starting") for line in lines if line.split()[1].endswith("-starting")
    ]
    session = told(*lines, as_of="48h")
    assert standing(session, "warning") == []
    assert {key[0]: len(ends) for key, ends in _ends(session).items() if key[0] in begun} == {
        name: begun.count(name) for name in begun
    }


@given(meetings(), st.data(), st.floats(1, 1199))
def test_any_copy_within_the_window_adds_nothing_above_info_and_moves_no_end(lines, data, later):
    line = data.draw(st.sampled_from(lines))
    at, rest = line.split(" ", 1)
    session = told(*in_order(*lines, f"{float(at) + later} {rest}"), as_of="48h")
    assert standing(session, "warning") == []
    ends = {key: found.state for key, found in session.aggregates.items()}
    assert ends == {key: found.state for key, found in told(*lines, as_of="48h").aggregates.items()}


@given(meetings(), st.data(), st.floats(0, 119))
def test_a_delivery_that_comes_late_within_the_lateness_changes_no_final_state(lines, data, later):
    line = data.draw(st.sampled_from(lines))
    at, rest = line.split(" ", 1)
    late = in_order(*(one for one in lines if one is not line), f"{float(at) + later} {rest}")
    ends = {key: found.state for key, found in told(*late, as_of="48h").aggregates.items()}
    assert ends == {key: found.state for key, found in told(*lines, as_of="48h").aggregates.items()}


@given(meetings(), st.data())
def test_the_stories_followed_are_few_and_a_copied_session_goes_on_alike(lines, data):
    copies = data.draw(st.lists(st.tuples(st.sampled_from(lines), st.floats(11, 1199)), max_size=4))
    again = [f"{float(line.split()[0]) + later} {line.split(' ', 1)[1]}" for line, later in copies]
    heard = deliveries(*in_order(*lines, *again))
    session = Session(heard[0].stream, heard[0].session_id)
    for place, each in enumerate(heard):
        judge(session, each)
        for aggregate in session.aggregates.values():
            assert len(aggregate.others) < MOST_STORIES
        if place == len(heard) // 2:
            copied = session.copy()
            for later in heard[place + 1 :]:
                judge(copied, later)
    assert value(copied) == value(session) == value(fold(heard))


def test_prices_do_not_hang_on_the_severities_of_the_user():
    lines = [*run("livestream", 100, 105, 258, 308), *run("livestream", 280, 286, 600, 604)]
    loud = attrs.evolve(RULES, severity={"D101": "error", "D102": "error", "S207": "info"})
    heard = in_order(*BEGUN, *lines, *OVER)
    assert _ends(told(*heard, as_of="48h", rules=loud)) == _ends(told(*heard, as_of="48h"))


@pytest.mark.parametrize("times", [1200, 2400])
def test_however_often_all_is_begun_again_and_told_again_it_is_judged(times):
    lines = [f"{11 * n} livestream-{STEPS[n % 2]}" for n in range(times)]
    session = told(*BEGUN, *lines)
    assert session.deliveries == times + len(BEGUN)
    (stream,) = [found for found in session.aggregates.values() if found.lifecycle.name == "livestream"]
    assert (len(stream.runs), stream.others) == (times // 2, ())


def test_time_that_passes_for_one_story_does_not_for_another_before_it_is_told_on():
    again = [f"{at} resource-acquired id=r type=hls" for at in (11, 70, 81, 92, 1291)]
    began = ["0 resource-acquired id=r", "11 resource-acquired id=r", "11 resource-released id=r"]
    story = deliveries(*began, *again)
    session = Session(story[0].stream)
    for each in story:
        session = session.copy()
        judge(session, each)
    assert value(session) == value(fold(story))
