"""Finding hypotheses: the ordinary case equals the search, two runs are held as two, and long stays take little time."""

import inspect
import sys
from random import Random

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from story import deliveries, findings, moment, readings, session_from, standing, states

from tracker.delivery.webhook import same_data
from tracker.judging import search
from tracker.judging.assess import assess, assess_all
from tracker.judging.context import Context
from tracker.judging.copies import separated
from tracker.judging.hypothesis import Delivered, micros
from tracker.judging.ordinary import ordinary
from tracker.judging.prices import CONFIDENCE_IN_COPIES, CONFIDENCE_IN_FAULTS, calibrated
from tracker.judging.session import observe_all
from tracker.judging.state import LOST
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules

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
    return session_from(*in_order(*BEGUN, *lines, *OVER), as_of="48h")


# -- the ordinary case is a shortcut of the search -------------------------------------------------

NAMES = [name for name, lifecycle in REGISTRY.items() if not lifecycle.is_session]
TIMES = [0, 1, 3, 5, 10, 11, 30, 61, 121, 299, 601, 1201, 4000]
KEYS = {"participant": "p", "participant-recording": "p", "participant-track-recording": "p audio"}


@st.composite
def walks(draw, name, copies):
    """Mostly lawful deliveries of one aggregate, ``(second, line)``: now and then a step is another, or twice."""
    lifecycle = REGISTRY[name]
    at, state, number, lines = draw(st.integers(1, 60)), "", 0, []
    for _ in range(draw(st.integers(1, 12))):
        following = lifecycle.table[state]
        if not following:
            break
        any_step = lines and draw(st.integers(0, 9)) == 0
        step = draw(
            st.sampled_from([one.name for one in lifecycle.steps if one.moves] if any_step else list(following))
        )
        number += step in lifecycle.starts
        words = [lifecycle.webhook_type(step), *KEYS.get(name, "k" if lifecycle.key else "").split()]
        if step == "stopped" and "file_path" in lifecycle.artefacts:
            words.append(f"filePath=/{number}.mp4")
        if name == "hls" and step in ("started", "playable"):
            words.append(f"playbackHlsUrl=u{number}")
        lines.append((at, " ".join(words)))
        if copies and draw(st.integers(0, 6)) == 0:
            lines.append((at + draw(st.sampled_from([0, 1, 5, 9, 10, 11])), lines[-1][1]))
        state, at = lifecycle.by_name[step].state, at + draw(st.sampled_from(TIMES))
    return lines


@st.composite
def sessions(draw, *, copies):
    """The lines of a session with some such aggregates, which may have an end."""
    lines = [(0, "session-started")]
    for name in sorted(draw(st.sets(st.sampled_from(NAMES), min_size=1, max_size=3))):
        lines += draw(walks(name, copies))
    if draw(st.booleans()):
        last = max(at for at, _ in lines)
        lines.append((max(0, last + draw(st.sampled_from([-200, -1, 0, 1, 10, 100]))), "session-ended"))
    return [f"{at} {line}" for at, line in sorted(lines, key=lambda line: line[0])]


def runs_of(held):
    """Which delivery is which step of which run, and which is a copy of which."""
    return [
        (one.number, sorted((name, each.position) for name, each in one.originals.items()))
        for one in held.all_runs()
    ], sorted((copy.delivered.position, copy.original.position) for copy in held.all_copies())


def compared(lines, as_of, end=None, lacking=frozenset()):
    """For each aggregate that is ordinary: what the shortcut and what the search holds, with the prices."""
    observed = observe_all(deliveries(*lines))
    for one in observed.aggregates.values():
        if one.lifecycle.is_session:
            continue
        over = (0, 0) if end is None else (end, 0)
        context = Context(RULES, lacking=lacking, end=end, over=over, as_of=as_of)
        rest, _, due = separated(one.lifecycle, one.deliveries, once=one.is_once)
        held = None if due else ordinary(one.lifecycle, rest, context, once=one.is_once)
        if held is not None:
            yield held, search.search(one.lifecycle, rest, context, once=one.is_once)[0]


moments = st.sampled_from([0, 121, 601, 3600, 100_000])
ends = st.none() | st.integers(0, 9000)


def is_equal_to_the_search(lines, later, end, lacking=frozenset()):
    last = micros(moment(lines[-1].split(" ")[0]))
    end = None if end is None else micros(moment(end))
    for held, found in compared(lines, last + later * 1_000_000, end, lacking):
        assert found.price >= held.price
        assert runs_of(found) == runs_of(held)


@given(sessions(copies=False), moments, ends)
def test_where_the_case_is_ordinary_the_search_finds_no_lower_price_and_the_same_runs(lines, later, end):
    is_equal_to_the_search(lines, later, end)


@given(sessions(copies=True), moments, ends)
def test_that_holds_too_where_copies_came_at_once(lines, later, end):
    is_equal_to_the_search(lines, later, end)


@given(sessions(copies=True), moments, ends, st.data())
def test_that_holds_too_where_nobody_subscribes_to_some_types(lines, later, end, data):
    types = sorted({line.split(" ")[1] for line in lines} - {"session-started", "session-ended"})
    lacking = frozenset(data.draw(st.sets(st.sampled_from(types), max_size=4)) if types else ())
    rest = [line for line in lines if line.split(" ")[1] not in lacking]
    is_equal_to_the_search(rest, later, end, lacking)


def test_a_step_that_comes_again_when_its_run_is_over_is_not_ordinary():
    transfer = ("1 call-transfer-initiated k", "1 call-transferring k", "1 call-transferred k")
    again = ("2 call-transferring k", "2 call-transferred k", "4 call-transfer-initiated k")
    is_equal_to_the_search([*transfer, *again, again[-1]], 0, None)


def found_in(session):
    return (
        session.state,
        {key: [run.state for run in one.runs] for key, one in session.aggregates.items()},
        [(one.code, one.severity, one.verdict, one.position, one.run) for one in session.findings],
    )


MEDIA = [name for name in NAMES if REGISTRY[name].restarts and {*STEPS} <= {*REGISTRY[name].by_name}]


@st.composite
def restarts(draw):
    """A medium that is begun anew again and again, each time before the end of the run before has come."""
    name, at, lines = draw(st.sampled_from(MEDIA)), 60, []
    begun, stops = f"{name}-{{}} {KEYS.get(name, '')}".rstrip(), []
    for number in range(draw(st.integers(2, 6))):
        lines += [f"{at} {begun.format('starting')}", f"{at + 4} {begun.format('started')}"]
        at += draw(st.sampled_from([301, 601, 907, 1800]))
        lines.append(f"{at - 1} {begun.format('stopping')}")
        stops.append(f"{at + draw(st.integers(5, 110))} {begun.format('stopped')} filePath=/{number}.mp4")
    return in_order("0 session-started", *lines, *stops)


@given(restarts(), moments)
def test_that_holds_too_where_a_run_begins_before_the_end_of_the_one_before_has_come(lines, later):
    assert list(compared(lines, micros(moment(lines[-1].split(" ")[0]))))
    is_equal_to_the_search(lines, later, None)


COMES_AND_GOES_AT_ONCE = [f"{at} participant-{step} p" for at in (1, 2) for step in ("joined", "left")]


@example(["0 session-started", *COMES_AND_GOES_AT_ONCE, "3 recording-starting", "3 recording-starting"], 601)
@given(sessions(copies=True), moments)
def test_what_is_found_is_the_same_where_everything_is_searched(lines, later):
    as_of = moment(float(lines[-1].split(" ")[0]) + later)
    shortcut = found_in(assess_all(deliveries(*lines), as_of))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search, "ordinary", lambda *_, **__: None)
        assert found_in(assess_all(deliveries(*lines), as_of)) == shortcut


@pytest.mark.parametrize(
    "lines",
    [
        ("59 participant-joined p", "59 participant-left p", "64 participant-joined p"),
        (
            "59 participant-joined p",
            "62 participant-left p",
            "63 participant-joined p",
            "65 participant-left p",
        ),
        ("1 recording-starting", "2 recording-failed", "6 recording-starting", "8 recording-failed"),
    ],
)
def test_what_may_begin_a_run_of_its_own_at_once_is_no_copy_of_the_run_before(lines):
    session = session_from("0 session-started", *lines)
    assert standing(session) == [code for code in ("S210",) * 2 if "failed" in lines[1]]
    (key,) = [key for key in session.aggregates if key[0] != "session"]
    assert len(session.aggregates[key].runs) == 2


def test_two_devices_that_join_and_leave_are_held_alike_by_the_shortcut_and_the_search():
    lines = (
        "5 participant-joined p",
        "9 participant-joined p",
        "30 participant-left p",
        "31 participant-left p",
    )
    is_equal_to_the_search(["0 session-started", *lines], 0, None)


def test_a_resource_that_was_released_twice_at_once_is_held_alike_by_the_shortcut_and_the_search():
    lines = ("1 resource-acquired k", "5 resource-released k", "6 resource-released k")
    is_equal_to_the_search(["0 session-started", *lines], 0, None)


def test_a_copy_that_came_at_once_beside_another_is_a_copy_of_the_run_that_is_open():
    first = ("10 recording-starting", "20 recording-started", "30 recording-stopped filePath=/1.mp4")
    second = ("5000 recording-starting", "5003 recording-started")
    session = session_from(*BEGUN, *first, *second, "5006 recording-starting", "5007 recording-started")
    copies = [found for found in session.findings if found.code == "D101"]
    assert [(found.position, found.run) for found in copies] == [(8, 2), (9, 2)]


# -- what came of several runs ---------------------------------------------------------------------

ONE, TWO = "filePath=/1.mp4", "filePath=/2.mp4"
WELL = {
    "two media restarted by one button": (
        ("recording", "livestream"),
        [
            *run("recording", 100, 105, 400, 406, stopped=ONE),
            *run("livestream", 101, 104, 401, 404),
            *run("recording", 700, 705, 1000, 1006, stopped=TWO),
            *run("livestream", 701, 706, 1003, 1004),
        ],
    ),
    "a copy of a stop without a file while the next run is open": (
        ("livestream",),
        [
            *run("livestream", 100, 105, 300, 305),
            *run("livestream", 320, 326, 900, 905),
            "381 livestream-stopped",
        ],
    ),
    "a copy of a stopping long before the next run stops": (
        ("livestream",),
        [
            *run("livestream", 100, 105, 300, 305),
            *run("livestream", 320, 326, 2400, 2405),
            "700 livestream-stopping",
        ],
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
        [
            *run("recording", 100, 105, 180, 200, stopped=ONE),
            *run("recording", 199, 206, 400, 404, stopped=TWO),
        ],
    ),
    "a stopped that comes half a minute after the next run began": (
        ("livestream",),
        [*run("livestream", 100, 105, 258, 308), *run("livestream", 280, 286, 600, 604)],
    ),
    "a stopping that comes after the next run began, of a run that has a finding for want of it": (
        ("livestream",),
        [*run("livestream", 225, 243, 277, 265), *run("livestream", 270, 275, 285, 292)],
    ),
}


@pytest.mark.parametrize(("media", "lines"), WELL.values(), ids=WELL)
def test_two_runs_are_held_as_two_without_a_warning(media, lines):
    session = meeting(*lines)
    assert standing(session, "warning") == []
    assert {medium: states(session, medium) for medium in media} == {
        medium: ["stopped", "stopped"] for medium in media
    }


def again_after(delay, lines):
    """The same lines, so many seconds later or a little more."""
    return [f"{int(line.split()[0]) + delay + n % 3} {line.partition(' ')[2]}" for n, line in enumerate(lines)]


@pytest.mark.parametrize("delay", [420, 600, 1100, 86_400])
def test_a_recording_that_came_again_with_its_file_is_one_run(delay):
    lines = run("recording", 100, 105, 400, 406, stopped=ONE)
    session = meeting(*lines, *again_after(delay, lines))
    assert (standing(session, "warning"), states(session, "recording")) == ([], ["stopped"])


STREAMED = [*run("hls", 100, 105, 400, 406), "110 hls-playable playbackHlsUrl=u1"]


@pytest.mark.parametrize("delay", [420, 600, 1100])
def test_a_whole_stream_that_came_again_with_its_url_is_another_run(delay):
    session = meeting(*STREAMED, *again_after(delay, STREAMED))
    assert (states(session, "hls"), standing(session)) == (["stopped", "stopped"], ["C508"])


def test_a_whole_stream_that_came_again_after_the_session_has_ended_is_none():
    session = meeting(*STREAMED, *again_after(86_400, STREAMED))
    assert (states(session, "hls"), standing(session, "warning")) == (["stopped"], [])


@pytest.mark.parametrize("gap", [100, 700, 1100])
def test_a_second_run_whose_start_was_lost_is_found_as_that_however_long_it_lasted(gap):
    first = run("recording", 100, 105, 400, 406, stopped=ONE)
    second = run("recording", 0, 406 + gap, 406 + gap + 300, 410 + gap + 300, stopped=TWO)[1:]
    session = meeting(*first, *second)
    assert (states(session, "recording"), standing(session, "warning")) == (["stopped", "stopped"], ["S201"])
    (found,) = [one for one in session.findings if one.code == "S201"]
    assert found.missing == ("recording-starting",)


def test_a_second_run_without_start_and_file_is_found_when_three_steps_came_in_order_but_not_alike():
    lines = [*run("livestream", 287, 299, 371, 388), *run("livestream", 0, 410, 710, 731)[1:]]
    session = meeting(*lines)
    assert (states(session, "livestream"), standing(session, "warning")) == (["stopped", "stopped"], ["S201"])


def test_a_stop_that_was_taken_for_a_copy_ends_its_run_when_the_session_is_over():
    lines = [*run("livestream", 100, 105, 300, 305), *run("livestream", 320, 326, 0, 381)]
    lost = [line for line in lines if not line.startswith("0 ")]
    until = session_from(*in_order(*BEGUN, *lost), as_of="400")
    assert (states(until, "livestream"), standing(until, "warning")) == (["stopped", "started"], [])
    session = meeting(*lost)
    assert (states(session, "livestream"), standing(session, "warning")) == (["stopped", "stopped"], ["S203"])


def test_what_only_the_hypothesis_held_before_found_is_found_no_more():
    lines = in_order(*BEGUN, *run("livestream", 100, 105, 258, 308), *run("livestream", 280, 286, 600, 604))
    before = [line for line in lines if float(line.split()[0]) < 308]
    assert "S207" in findings(session_from(*before))
    assert "S207" not in findings(session_from(*lines, as_of="2h"))


def test_a_run_is_contested_while_another_hypothesis_is_as_good():
    lines = [*run("livestream", 100, 105, 300, 305), *run("livestream", 320, 326, 900, 905)]
    session = session_from(*BEGUN, *lines[:-2], "381 livestream-stopped")
    assert session.aggregates["livestream", ()].certainty == "contested"
    assert meeting(*lines, "381 livestream-stopped").aggregates["livestream", ()].certainty == "sure"


def test_the_reading_of_a_delivery_is_that_of_the_hypothesis_held():
    lines = [*run("livestream", 100, 105, 300, 305), "320 livestream-starting", "326 livestream-started"]
    assert readings(*BEGUN, *lines, "381 livestream-stopped")[-1] == "redelivered"


def test_in_a_session_in_which_all_comes_twice_a_pair_is_no_restart():
    once = [
        "0 session-started",
        "3 participant-joined p",
        "9 participant-joined q",
        *run("livestream", 100, 106, 900, 904),
    ]
    twice = [f"{int(line.split()[0]) + 31} {line.partition(' ')[2]}" for line in once]
    session = session_from(*in_order(*once, *twice), as_of="1h")
    assert (states(session, "livestream"), standing(session, "warning")) == (["stopped"], [])


@pytest.mark.parametrize("age", [1000, 1199])
def test_a_pair_that_came_again_just_as_old_is_no_restart_also_where_a_run_began_in_between(age):
    first = run("recording", 30, 36, 700, 730, stopped=ONE)
    second = run("recording", 900, 911, 1500, 1560, stopped=TWO)
    again = (f"{30 + age}.2 recording-starting", f"{36 + age}.2 recording-started")
    session = meeting(*first, *second, *again)
    assert (standing(session, "warning"), states(session, "recording")) == ([], ["stopped", "stopped"])


def test_a_pair_that_came_again_just_as_old_does_not_go_on_when_the_recording_has_stopped():
    once = run("recording", 30, 33, 600, 610, stopped=ONE)
    lines = in_order(
        *BEGUN, *once, "330.2 recording-starting", "333.2 recording-started", "700 participant-left p"
    )
    session = session_from(*lines, as_of="30m")
    assert states(session, "recording") == ["stopped"]
    assert standing(session, "error") == []


def test_whose_joined_came_late_is_not_inside_for_ever():
    others = ("1 participant-joined q", "1800 participant-left q", "1802 session-ended")
    late = (
        "900 participant-left p",
        "903 participant-left p",
        "910 participant-joined p",
        "1200 participant-left p",
    )
    session = session_from("0 session-started", *late, *others, as_of="5h")
    assert session.aggregates["participant", (("participant_id", "p"),)].state == "out"
    assert "T310" not in standing(session, "info")


TWO_DEVICES = (
    "1 participant-joined p",
    "2 participant-joined q",
    "60 participant-joined p",
    "65 participant-left p",
)


def test_somebody_of_whom_one_of_two_devices_has_left_is_still_inside():
    session = session_from(BEGIN, *TWO_DEVICES, "3h participant-left p", "4h participant-left q", as_of="4h")
    assert "T310" not in standing(session, "info")


def test_who_comes_with_a_second_device_has_not_been_alone_for_less_long():
    alone = ("1 participant-joined p", "50m participant-joined p", "51m participant-left p")
    assert "T310" in standing(session_from(BEGIN, *alone, as_of="90m"), "info")


# -- how a delivery is read, and what its runs are then ---------------------------------------------

URL, FILE = "playbackHlsUrl=https://x/1.m3u8", "filePath=/1.mp4"
BEGIN = "0 session-started"
STARTED = ("1 recording-starting", "2 recording-started")
STOPPED = (*STARTED, "60 recording-stopping", f"61 recording-stopped {FILE}")
IN, OUT = "1 participant-joined p", "60 participant-left p"
READ = {
    # a run that lacks the step
    "the first step": (["1 recording-starting"], "advanced", ["starting"], []),
    "the next step": (STARTED, "advanced", ["started"], []),
    "a step behind": (["1 recording-started", "121 recording-starting"], "late", ["started"], ["D102"]),
    "a step behind, much later": (
        ["1 recording-started", "1h recording-starting"],
        "late",
        ["started"],
        ["D102"],
    ),
    "a step ahead": (["1 recording-starting", "2 recording-stopping"], "skipped-ahead", ["stopping"], ["S202"]),
    "two steps ahead are one finding": (
        ["1 recording-starting", f"2 recording-stopped {FILE}"],
        "skipped-ahead",
        ["stopped"],
        ["S202"],
    ),
    "the first that arrives is in the middle": (
        ["1 recording-started"],
        "skipped-ahead",
        ["started"],
        ["S201"],
    ),
    "a step that may be left out": (
        ["1 hls-starting", f"2 hls-started {URL}", "3 hls-stopping"],
        "advanced",
        ["stopping"],
        [],
    ),
    # a run that has the step
    "an equal copy": ([*STARTED, "1202 recording-started"], "redelivered", ["started"], ["D101"]),
    "a copy that differs": (
        ["1 hls-starting", f"2 hls-started {URL}", "3 hls-started playbackHlsUrl=https://x/2.m3u8"],
        "conflict",
        ["started"],
        ["C504"],
    ),
    "starting alone is a copy": ([*STARTED, "600 recording-starting"], "redelivered", ["started"], ["D101"]),
    "starting and started again, just as old, are rather copies": (
        [*STARTED, "600.2 recording-starting", "601.2 recording-started"],
        "redelivered",
        ["started"],
        ["D105", "D105"],
    ),
    "starting and started again, just as old to a whole second, are rather a restart": (
        [*STARTED, "600 recording-starting", "601 recording-started"],
        "advanced",
        ["lost", "started"],
        ["S207"],
    ),
    "starting and started again, not as old, are a restart": (
        [*STARTED, "600 recording-starting", "605 recording-started"],
        "advanced",
        ["lost", "started"],
        ["S207"],
    ),
    # a run that is closed
    "a step it lacks": (
        [*STARTED, f"60 recording-stopped {FILE}", "61 recording-stopping"],
        "late",
        ["stopped"],
        ["D102"],
    ),
    "a step it has": ([*STOPPED, f"90 recording-stopped {FILE}"], "redelivered", ["stopped"], ["D101"]),
    "another end": ([*STOPPED, "75 recording-failed"], "conflict", ["stopped"], ["S209"]),
    "an end with another file": (
        [*STOPPED, "90 recording-stopped filePath=/2.mp4"],
        "conflict",
        ["stopped"],
        ["C516"],
    ),
    "an end with another file, later": (
        [*STOPPED, "300 recording-stopped filePath=/2.mp4"],
        "orphan",
        ["stopped", "stopped"],
        ["S205"],
    ),
    "starting again soon is a run, perhaps": (
        [*STOPPED, "120 recording-starting"],
        "new-run",
        ["stopped", "starting"],
        [],
    ),
    "starting again after the session is a copy": (
        [*STOPPED, "100 session-ended", "120 recording-starting"],
        "redelivered",
        ["stopped"],
        ["D101"],
    ),
    "a stop with the same file, hours later": (
        [*STOPPED, f"2h recording-stopped {FILE}"],
        "redelivered",
        ["stopped"],
        ["D101"],
    ),
    "a stop of nothing": (["1 hls-stopped"], "orphan", ["stopped"], ["S205"]),
    "a failure of nothing": (["1 hls-failed"], "orphan", ["failed"], ["S206"]),
    "a failure from started": ([*STARTED, "3 recording-failed"], "advanced", ["failed"], ["S210"]),
    "a failure may be the first of a transcription": (
        ["1 transcription-failed t"],
        "advanced",
        ["failed"],
        ["S210"],
    ),
    "a transcription does not begin again": (
        ["1 transcription-started t", "2 transcription-stopped t", "2h transcription-started t"],
        "redelivered",
        ["stopped"],
        ["D101"],
    ),
    # a person
    "joined twice at once": ([IN, "11 participant-joined p"], "redelivered", ["in"], ["D101"]),
    "joined while inside": ([IN, "12 participant-joined p"], "redelivered", ["in"], ["D105"]),
    "joined while inside by another name": (
        [f"{IN} participantName=Al", "12 participant-joined p participantName=Bo"],
        "new-run",
        ["out", "in"],
        ["C505", "S213"],
    ),
    "the left of the visit before": (
        [IN, "60 participant-joined p", "150 participant-left p"],
        "overtaken",
        ["out", "in"],
        ["D103"],
    ),
    "the left after that is the person's own": (
        [IN, "60 participant-joined p", "61 participant-left p", "72 participant-left p"],
        "advanced",
        ["out", "out"],
        ["D103"],
    ),
    "a rejoin": ([IN, OUT, "90 participant-joined p"], "new-run", ["out", "in"], []),
    "a left of somebody who is outside": (
        [IN, OUT, "2h participant-left p reason=timeout"],
        "orphan",
        ["out", "out"],
        ["S212"],
    ),
    "left, then joined": (["1 participant-left p", "2 participant-joined p"], "late", ["out"], ["D102"]),
}


@pytest.mark.parametrize(("lines", "reading", "runs", "codes"), READ.values(), ids=READ)
def test_a_delivery_is_read_and_its_runs_are_as_the_table_says(lines, reading, runs, codes):
    session = session_from(BEGIN, *lines)
    lifecycle = deliveries(lines[-1])[0].lifecycle.name
    assert readings(BEGIN, *lines)[-1] == reading
    assert states(session, lifecycle) == runs
    assert [code for code in standing(session) if code[0] != "T"] == codes


def recording(*lines, as_of=None):
    return session_from(BEGIN, *lines, as_of=as_of).aggregates["recording", ()]


def test_a_skip_names_every_step_that_is_missing_and_rests_on_what_came():
    (found,) = session_from(BEGIN, "1 recording-starting", f"2 recording-stopped {FILE}").findings
    assert found.message == (
        "recording-stopped came, but recording-started and recording-stopping never did;"
        " its file came all the same"
    )
    assert found.missing == ("recording-started", "recording-stopping")
    assert (found.evidence, found.state_before, found.state_after) == ((2, 3), "starting", "stopped")


def test_a_step_that_must_have_been_is_inferred_until_it_comes():
    skipped = recording("1 recording-started")
    assert (skipped.certainty, skipped.run.steps["starting"].inferred) == ("inferred", True)
    filled = recording("1 recording-started", "2 recording-starting")
    assert (filled.certainty, filled.run.steps["starting"].at) == ("sure", moment("2"))


def test_of_two_missing_steps_one_is_not_enough():
    lines = ("1 recording-starting", f"2 recording-stopped {FILE}", "3 recording-stopping")
    assert sorted(standing(session_from(BEGIN, *lines))) == ["D102", "S202"]
    assert standing(session_from(BEGIN, *lines, "4 recording-started")) == ["D102", "D102"]


def test_a_stop_of_nothing_is_inferred_and_a_late_start_makes_it_sure():
    assert recording("1 recording-failed").certainty == "inferred"
    assert not recording("1 recording-failed", "2 recording-starting").run.inferred


def test_a_starting_that_nothing_followed_was_a_copy():
    assert [run.state for run in recording(*STOPPED, "120 recording-starting").runs] == ["stopped", "starting"]
    session = session_from(BEGIN, *STOPPED, "120 recording-starting", as_of="30m")
    assert (states(session, "recording"), standing(session)) == (["stopped"], ["D105"])


def test_three_recordings_alike_are_three_though_two_began_as_long_after_the_one_before():
    lines = [f"{place} recording-{step}" for place, step in ((0, "starting"), (3, "started"), (9, "stopping"))]
    thrice = [f"{900 * n + int(line.split()[0])} {line.split()[1]}" for n in range(3) for line in lines]
    ends = [f"{900 * n + 60} recording-stopped filePath=/{n}.mp4" for n in range(3)]
    session = session_from(BEGIN, *in_order(*thrice, *ends), as_of="3h")
    assert (states(session, "recording"), standing(session)) == (["stopped"] * 3, [])


def test_copies_as_old_as_one_with_evidence_end_no_later_run():
    first = (
        "10 recording-starting",
        "11 recording-started",
        "20 recording-stopping",
        f"25 recording-stopped {FILE}",
    )
    second = ("250 recording-starting", "256 recording-started")
    copies = ("310 participant-joined p", "320 recording-stopping", f"325 recording-stopped {FILE}")
    session = session_from(BEGIN, "10 participant-joined p", *first, *second, *copies, as_of="1h")
    assert (states(session, "recording"), states(session, "participant")) == (["stopped", "started"], ["in"])
    assert [code for code in standing(session) if code != "T310"] == ["D101", "D101", "D101"]


PAIR = ["livestream-starting", "livestream-started", "livestream-stopping", "livestream-stopped"]
TWO_OUTPUTS = (600, 605, 900, 906, 2700, 2701, 2704, 2706)


def test_what_else_of_the_same_pair_came_again_is_no_fact_where_a_copy_is_doubtful_and_the_likelier_one_is_named():
    lines = [f"{at} {step}" for at, step in zip((600, 605, 900, 905.1), PAIR[:2] * 2, strict=True)]
    lines += [f"2700 {PAIR[2]}", f"2704 {PAIR[3]}"]
    session = session_from("0 session-started", *lines, "3000 session-ended", as_of="9h")
    again = [one for one in session.findings if "came again" in one.message]
    assert [one.code for one in again] == ["D105"] * 2
    assert all(("more probably a step" in one.message) == (one.confidence < 0.5) for one in again)


def test_two_streams_that_go_on_at_once_and_are_stopped_together_are_two():
    steps = [*PAIR[:2], *PAIR[:2], PAIR[2], PAIR[2], PAIR[3], PAIR[3]]
    lines = (f"{at} {step}" for at, step in zip(TWO_OUTPUTS, steps, strict=True))
    session = session_from("0 session-started", *lines, "3000 session-ended", as_of="9h")
    assert (states(session, "livestream"), standing(session, "warning")) == (["stopped", "stopped"], [])


def test_a_copy_that_is_likelier_than_a_step_is_said_to_be_probably_one():
    session = session_from("0 session-started", IN, "25m participant-joined p", "40m session-ended", as_of="9h")
    (found,) = (one for one in session.findings if one.code == "D105")
    assert (found.confidence > 0.5, "probably a copy" in found.message) == (True, True)


LAST = "participant-left p"
LEFT = {
    "a left that came before the joined of its visit": (
        [IN, f"60 {LAST}", f"900 {LAST}", "1000 participant-joined p"],
        ["D102"],
    ),
    "a left that came at once after the one it overtook": (
        [IN, "25m participant-joined p", f"1560 {LAST}", f"1566 {LAST}"],
        ["D103"],
    ),
    "a joined that came again just before the person left": (
        [IN, "10m participant-joined p", f"610 {LAST}"],
        ["D105"],
    ),
    "a rejoin that was a copy": ([IN, OUT, "90 participant-joined p"], ["D105"]),
}


@pytest.mark.parametrize(("lines", "codes"), LEFT.values(), ids=LEFT)
def test_when_the_session_has_ended_nobody_is_inside_who_left(lines, codes):
    session = session_from(BEGIN, *lines, "30m session-ended", as_of="1h")
    assert (set(states(session, "participant")), standing(session)) == ({"out"}, codes)


def test_a_rejoin_that_is_no_copy_is_missed_when_the_session_ends():
    rejoined = "90 participant-joined p participantName=Bo"
    session = session_from(BEGIN, IN, OUT, rejoined, "30m session-ended", as_of="1h")
    assert (states(session, "participant"), standing(session)) == (["out", "out"], ["X404"])


def test_a_restart_with_a_url_of_its_own_is_no_conflict():
    other = "61 hls-started playbackHlsUrl=https://x/2.m3u8"
    session = session_from(
        BEGIN, "1 hls-starting", f"2 hls-started {URL}", "60 hls-starting", other, as_of="30m"
    )
    assert (states(session, "hls"), standing(session, "error")) == (["lost", "started"], ["S207"])


def test_a_url_of_its_own_begins_a_run_though_its_start_was_lost():
    first = (
        "1 hls-starting",
        f"2 hls-started {URL}",
        f"3 hls-playable {URL}",
        "60 hls-stopping",
        "61 hls-stopped",
    )
    session = session_from(BEGIN, *first, "300 hls-started playbackHlsUrl=https://x/2.m3u8")
    assert (states(session, "hls"), standing(session)) == (["stopped", "started"], ["S201"])


def test_a_late_playable_belongs_to_the_run_whose_url_it_names():
    first = ("10 hls-starting", "14 hls-started playbackHlsUrl=a", "40 hls-stopping", "45 hls-stopped")
    begun = ("60 hls-starting", "65 hls-started playbackHlsUrl=b", "75 hls-playable playbackHlsUrl=a")
    ended = ("90 hls-playable playbackHlsUrl=b", "120 hls-stopping", "125 hls-stopped")
    session = session_from(BEGIN, *first, *begun, *ended)
    urls = [one.steps["playable"].position for one in session.aggregates["hls", ()].runs]
    assert urls == [8, 9]
    assert standing(session, "warning") == []


def test_where_two_deliveries_differ_the_first_counts_and_both_are_evidence():
    lines = ("1 hls-starting", f"2 hls-started {URL}", "3 hls-started playbackHlsUrl=https://x/2.m3u8")
    session = session_from(BEGIN, *lines)
    assert session.aggregates["hls", ()].run.data == {"playback_hls_url": "https://x/1.m3u8"}
    assert session.findings[0].evidence == (2, 3, 4)


def test_what_carries_an_id_is_distinguished_by_it():
    session = session_from(BEGIN, "1 recording-starting a", "2 recording-starting b", "3 recording-started b")
    assert {dict(found.key)["id"]: found.state for found in session.aggregates.values() if found.key} == {
        "a": "starting",
        "b": "started",
    }


def test_a_restart_takes_the_starting_that_was_taken_for_a_copy():
    aggregate = recording(*STARTED, "600 recording-starting", "605 recording-started")
    assert {name: taken.position for name, taken in aggregate.run.steps.items()} == {
        "starting": 4,
        "started": 5,
    }
    assert [run.certainty for run in aggregate.runs] == ["inferred", "sure"]


def test_without_receive_times_everything_came_at_once():
    lines = ["- recording-starting", "- recording-started", "- recording-started", "- recording-starting"]
    assert readings("- session-started", *lines) == ["advanced"] * 3 + ["redelivered"] * 2


def test_lost_is_no_state_that_a_webhook_can_report():
    assert all(LOST not in lifecycle.states for lifecycle in REGISTRY.values())


# -- what holds of any meeting in which everything goes well ---------------------------------------

seconds = st.integers(1, 40).map(float)
media = st.sampled_from(["recording", "livestream", "hls", "participant-recording p"])


@st.composite
def meetings(draw):
    """The lines of a meeting: each of some media has several runs, short and long, and all came in order.

    No two of one medium take the same times to a second or two: those are as well copies that came together.
    """
    lines = []
    for medium in sorted(draw(st.sets(media, min_size=1, max_size=3))):
        at = draw(st.integers(2, 60)) + 0.0
        name, _, key = medium.partition(" ")
        taken = []
        for number in range(draw(st.integers(1, 3))):
            times = [at, at + draw(seconds)]
            times.append(times[1] + 3 + draw(st.sampled_from([20.0, 70.0, 300.0, 800.0])) + draw(seconds))
            times.append(times[2] + draw(seconds))
            lasted = [time - at for time in times]
            assume(all(max(abs(a - b) for a, b in zip(lasted, one, strict=True)) > 2 for one in taken))
            taken.append(lasted)
            artefact = "" if name in ("livestream", "hls") else f"filePath=/{number}.mp4"
            lines += [f"{line} {key}".rstrip() if key else line for line in run(name, *times)[:-1]]
            lines.append(" ".join(filter(None, (f"{times[3]} {name}-stopped", key, artefact))))
            if name == "hls":
                lines.append(f"{times[1] + 1} hls-playable playbackHlsUrl=u{number}")
            at = times[3] + draw(st.sampled_from([5.0, 30.0, 200.0, 900.0])) + draw(seconds)
    return in_order(*BEGUN, *lines, *("9000 participant-left p", "9001 session-ended"))


def ends_of(session):
    return {key: [run.state for run in found.runs] for key, found in session.aggregates.items()}


@given(meetings())
def test_several_runs_in_order_are_as_many_and_nothing_is_found(lines):
    begun = [
        line.split()[1].removesuffix("-starting") for line in lines if line.split()[1].endswith("-starting")
    ]
    session = session_from(*lines, as_of="48h")
    assert standing(session, "warning") == []
    assert {key[0]: len(ends) for key, ends in ends_of(session).items() if key[0] in begun} == {
        name: begun.count(name) for name in begun
    }


@given(meetings(), st.data(), st.floats(1, 1199))
def test_any_copy_within_the_window_adds_nothing_above_info_and_moves_no_end(lines, data, later):
    line = data.draw(st.sampled_from(lines))
    at, rest = line.split(" ", 1)
    session = session_from(*in_order(*lines, f"{float(at) + later} {rest}"), as_of="48h")
    assert standing(session, "warning") == []
    ends = {key: found.state for key, found in session.aggregates.items()}
    assert ends == {key: found.state for key, found in session_from(*lines, as_of="48h").aggregates.items()}


@given(meetings(), st.data(), st.floats(0, 119))
def test_a_delivery_that_comes_late_within_the_lateness_changes_no_final_state(lines, data, later):
    line = data.draw(st.sampled_from(lines))
    at, rest = line.split(" ", 1)
    late = in_order(*(one for one in lines if one is not line), f"{float(at) + later} {rest}")
    ends = {key: found.state for key, found in session_from(*late, as_of="48h").aggregates.items()}
    assert ends == {key: found.state for key, found in session_from(*lines, as_of="48h").aggregates.items()}


def later(line, seconds):
    at, rest = line.split(" ", 1)
    return f"{float(at) + seconds} {rest}"


def one_of_many(chance):
    """A meeting as above, by chance."""
    lines = []
    for medium in chance.sample(
        ["recording", "livestream", "hls", "participant-recording p"], chance.randint(1, 3)
    ):
        at = float(chance.randint(2, 60))
        name, _, key = medium.partition(" ")
        for number in range(chance.randint(1, 3)):
            begun = at + chance.randint(1, 40)
            stopping = begun + chance.choice([60, 120, 300, 800]) + chance.randint(1, 40)
            times = (at, begun, stopping, stopping + chance.randint(1, 40))
            file = "" if name in ("livestream", "hls") else f"filePath=/{number}.mp4"
            lines += [f"{line} {key}".rstrip() for line in run(name, *times)[:-1]]
            lines.append(" ".join(filter(None, (f"{times[3]} {name}-stopped", key, file))))
            if name == "hls":
                lines.append(f"{begun + 1} hls-playable playbackHlsUrl=u{number}")
            at = times[3] + chance.choice([60, 200, 900]) + chance.randint(1, 40)
    return in_order(*BEGUN, *lines, *("9000 participant-left p", "9001 session-ended"))


def two_channels(lines, chance):
    return [*lines, *(later(line, chance.uniform(0, 90)) for line in lines)]


def twice_at_once(lines, chance):
    return [*lines, *(later(line, chance.uniform(0, 9)) for line in lines if chance.random() < 0.5)]


def late(lines, chance):
    return [later(line, chance.uniform(0, 100) if chance.random() < 0.2 else 0) for line in lines]


def replayed(lines, chance):
    return [*lines, *(later(line, 30_000 + chance.random()) for line in lines)]


def in_one_burst(lines, _chance):
    return [*lines, *(f"{20_000 + place / 20} {line.split(' ', 1)[1]}" for place, line in enumerate(lines))]


FIRST_RUN = "in a burst all copies of a step go to the first run, so the others seem to have none"


@pytest.mark.parametrize(
    "fault",
    [
        two_channels,
        twice_at_once,
        late,
        replayed,
        in_one_burst,
    ],
)
@pytest.mark.parametrize("meetings", [20, pytest.param(80, marks=pytest.mark.slow)])
def test_a_mere_fault_of_the_delivery_raises_hardly_any_finding_and_moves_hardly_anything(fault, meetings):
    chance, wrong = Random(5), 0
    for _ in range(meetings):
        lines = one_of_many(chance)
        session = session_from(*in_order(*fault(lines, chance)), as_of="48h")
        unmoved = ends_of(session) == ends_of(session_from(*lines, as_of="48h"))
        wrong += bool(standing(session, "warning")) or not unmoved
    assert wrong <= meetings // 40


def test_three_runs_that_come_again_in_one_burst_are_three():
    runs = [
        *run("livestream", 33, 56, 206, 217),
        *run("livestream", 438, 461, 1264, 1289),
        *run("livestream", 1386, 1400, 2234, 2262),
    ]
    session = session_from(*in_one_burst(in_order(*BEGUN, *runs, *OVER), None), as_of="48h")
    assert states(session, "livestream") == ["stopped"] * 3


def test_short_runs_that_come_again_in_one_burst_are_as_they_were():
    lines = [
        *(*run("recording", 2, 3, 27, 28, stopped="filePath=/0.mp4"), *run("livestream", 2, 3, 27, 28)),
        *run("recording", 34, 35, 59, 60, stopped=ONE),
        *run("recording", 66, 67, 91, 92, stopped=TWO),
    ]
    lines = in_order(*BEGUN, *lines, "9000 participant-left p", "9001 session-ended")
    session = session_from(*in_one_burst(lines, None), as_of="48h")
    assert standing(session, "warning") == []


@given(meetings(), st.data())
def test_few_hypotheses_are_kept_and_the_held_one_has_the_lowest_price(lines, data):
    copies = data.draw(st.lists(st.tuples(st.sampled_from(lines), st.floats(11, 1199)), max_size=4))
    again = [f"{float(line.split()[0]) + later} {line.split(' ', 1)[1]}" for line, later in copies]
    for aggregate in session_from(*in_order(*lines, *again)).aggregates.values():
        prices = [round(one.price, 9) for one in (aggregate.held, *aggregate.alternatives)]
        assert len(prices) <= search.WIDTH
        assert prices == sorted(prices)


def test_what_is_held_does_not_hang_on_the_severities_of_the_user():
    lines = [*run("livestream", 100, 105, 258, 308), *run("livestream", 280, 286, 600, 604)]
    loud = Rules(severity={"D101": "error", "D102": "error", "S207": "info"})
    received = in_order(*BEGUN, *lines, *OVER)
    assert ends_of(session_from(*received, as_of="48h", rules=loud)) == ends_of(
        session_from(*received, as_of="48h")
    )


@pytest.mark.parametrize("curve", [CONFIDENCE_IN_FAULTS, CONFIDENCE_IN_COPIES])
def test_what_more_hypotheses_say_is_never_said_with_less_confidence(curve):
    said = [calibrated(share / 200, curve) for share in range(201)]
    assert said == sorted(said)
    assert (said[0], said[-1]) == (curve[0][1], 1.0)


@given(
    lines=st.lists(
        st.sampled_from(["recording-starting", "recording-started", "recording-stopped"]), max_size=8
    )
)
def test_a_finding_and_what_else_may_have_happened_are_at_most_certain_together(lines):
    session = session_from(BEGIN, *(f"{200 * place} {line}" for place, line in enumerate(lines, 1)), as_of="9h")
    for one in session.findings:
        assert one.confidence + sum(other.confidence for other in one.alternatives) <= 1.003


def test_what_is_held_hangs_on_the_prices_of_the_user():
    lines = (*BEGUN, "10m participant-joined p")
    expensive = Rules(prices={"copy": 20})
    assert states(session_from(*lines, as_of="1h"), "participant") == ["in"]
    assert states(session_from(*lines, as_of="1h", rules=expensive), "participant") == ["out", "in"]


# -- long ------------------------------------------------------------------------------------------


def spread(number, *steps, every=1300):
    """So many times these steps, ``(second, line)``, as far apart as people are and never the same."""
    random = Random(7)
    for place in range(number):
        at = every * place + random.randint(0, every // 3)
        yield from (f"{at + second} {line.format(place)}" for second, line in steps)


RECORDED = ((0, "recording-starting"), (5, "recording-started"), (100, "recording-stopping"))
LONG = {
    "restarts": RECORDED[:2],
    "stuck runs": RECORDED[:1],
    "rejoins": ((0, "participant-joined p"), (700, "participant-left p")),
    "lost lefts": ((0, "participant-joined p"),),
    "lost joineds": ((0, "participant-left p"),),
    "names": ((0, "participant-joined p participantName=n{}"), (700, "participant-left p")),
    "failures": ((0, "recording-starting"), (5, "recording-failed")),
    "files": (*RECORDED, (110, "recording-stopped filePath=/{}.mp4")),
    "people": ((0, "participant-joined p{}"), (700, "participant-left p{}")),
    "ids": ((0, "recording-starting id{}"), (9, "recording-stopping id{}")),
    "recorded visits": (
        (0, "participant-joined p"),
        (1, "participant-recording-starting p"),
        (2, "participant-recording-started p"),
        (300, "participant-recording-stopping p"),
        (301, "participant-recording-stopped p filePath=/{}.mp4"),
        (700, "participant-left p"),
    ),
}


def work(lines):
    """How many functions and generators were entered to assess a session."""
    observed = observe_all(deliveries(*BEGUN, *lines))
    entered = 0

    def count(_frame, event, _argument):
        nonlocal entered
        entered += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        assess(observed, moment("2000h"))
    finally:
        sys.setprofile(before)
    return entered


SEARCHED = {"restarts", "stuck runs", "lost lefts", "lost joineds"}
"""Where the search goes through all, so that the first hundreds cost less than those that follow."""


def times_the_work(name, few):
    """How much more work four times as many deliveries are than ``few``."""
    steps = LONG[name]
    number = few // len(steps)
    work(spread(1, *steps))  # what is made once and kept
    return work(spread(4 * number, *steps)) / work(spread(number, *steps))


@pytest.mark.parametrize("name", LONG)
def test_four_times_as_many_deliveries_cost_four_times_the_work(name):
    few, most = (50, 6) if name in SEARCHED else (100, 5)
    assert times_the_work(name, few) <= most


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_that_is_so_of_long_sessions_too(name):
    few, most = (200, 6) if name in SEARCHED else (400, 4.5)
    assert times_the_work(name, few) <= most


def begun_again(times):
    """The session in which a livestream begins this often, and all comes again."""
    session = session_from(*BEGUN, *(f"{11 * n} livestream-{STEPS[n % 2]}" for n in range(times)))
    return len(session.readings()), session.deliveries, times + len(BEGUN)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1200, 2400])
def test_however_often_all_is_begun_again_and_comes_again_every_delivery_is_read(times):
    read, counted, came = begun_again(times)
    assert read == counted == came


def test_the_stack_does_not_grow_with_the_session():
    limit, here = sys.getrecursionlimit(), len(inspect.stack(0))
    sys.setrecursionlimit(here + 60)
    try:
        read, counted, came = begun_again(200)
    finally:
        sys.setrecursionlimit(limit)
    assert read == counted == came


def test_an_original_is_equal_to_its_copies_and_belongs_to_the_run_named():
    lines = [*run("livestream", 100, 105, 300, 305), "400 livestream-starting", "381 livestream-stopped"]
    held = meeting(*lines).aggregates["livestream", ()].held
    runs = {one.number: one for one in held.all_runs()}
    for copy in held.all_copies():
        assert isinstance(copy.delivered, Delivered)
        assert same_data(copy.delivered.data, copy.original.data)
        assert copy.original in runs[copy.run].originals.values()
