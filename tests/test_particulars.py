"""What messages about a run say of the other runs beside it."""

import pytest
from story import deliveries, session_from

from tracker.judging.findings.particulars import taken_otherwise
from tracker.judging.hypothesis import Candidate, Copy, Hypothesis
from tracker.judging.run import Run
from tracker.judging.session import observe_all
from tracker.judging.state import Aggregate
from tracker.lifecycles import REGISTRY

RECORDING = REGISTRY["recording"]


def said(code, *lines):
    """The messages of a code in a session."""
    session = session_from("0 session-started", "1 participant-joined p", *lines, as_of="9h")
    return [one.message for one in session.findings if one.code == code]


def two_runs(*of_second):
    """Two recordings, held so that these deliveries of the second, by place, are copies of the first one's."""
    steps = ("starting", "started", "stopping", "stopped")
    lines = (f"{begin + 60 * at} recording-{step}" for begin in (0, 900) for at, step in enumerate(steps))
    came = next(iter(observe_all(deliveries(*lines)).aggregates.values())).deliveries
    runs, copies = [Candidate.begun(1, RECORDING, came[0])], None
    for place, one in enumerate(came[1:], 1):
        if place in of_second:
            copies = copies, Copy(one, came[place - 4], certain=False, price=1.0, run=1)
        elif place >= 4 and len(runs) == 1:
            runs.append(Candidate.begun(2, RECORDING, one))
        else:
            runs[-1] = runs[-1].plus(RECORDING, one)
    held = Hypothesis(tuple(runs), copies=copies)
    return Aggregate(RECORDING, (), came, [Run(RECORDING, one) for one in runs], held)


@pytest.mark.parametrize(("place", "step", "at"), [(4, "starting", "12:15:00"), (6, "stopping", "12:17:00")])
def test_that_a_step_never_came_names_the_copy_of_another_run_that_came_then(place, step, at):
    aggregate = two_runs(place)
    where, begin = aggregate.deliveries[place + 1], aggregate.deliveries[4].at
    text = f"; the recording-{step} of {at} UTC probably belongs to run 1"
    assert taken_otherwise(aggregate, aggregate.runs[1], (step,), where, begin) == text
    assert taken_otherwise(aggregate, aggregate.runs[1], (step,), where, where.at - 1) == ""
    assert taken_otherwise(two_runs(), aggregate.runs[1], (step,), where, begin) == ""


def test_what_failed_without_a_start_is_not_what_was_running_then():
    begin = ("300 recording-starting", "303 recording-started")
    end = ("1800 recording-stopping", "1820 recording-stopped filePath=/1")
    running = "recording run 1, which was running then, is not what failed"
    assert said("S206", *begin, "600 recording-failed", *end) == [f"recording-failed came, but {running}"]
    nothing = "nothing was running that could fail"
    assert said("S206", "600 recording-failed") == [f"recording-failed came, but {nothing}"]


def test_a_stop_begins_no_run():
    (message,) = said(
        "S207",
        *("1131 recording-starting", "1136 recording-started", "1629 recording-stopping"),
        *("1958 recording-stopping", "2009 recording-stopped filePath=/1"),
        *("2461 recording-starting", "2564 recording-started", "6000 session-ended"),
    )
    assert message.endswith("; recording-stopping came first of the next run 5 min later")


def test_what_failed_says_what_it_did_until_then_or_that_nothing_else_of_it_came():
    begun = ("60 recording-starting", "63 recording-started", "90 recording-failed message=busy")
    assert said("S210", *begun) == ["recording failed while running: busy"]
    alone = "merge recording a failed: busy; nothing else of it came"
    assert said("S210", "60 merge-recording-failed id=a message=busy") == [alone]
