"""A session as a drawing: what is drawn is what was received, what was inferred looks so, and what is wrong is marked."""

import pytest
from story import deliveries, moment, session_from

from projections.web.pages import lanes
from projections.web.pages.lanes import MANY, OPENED, Crowd

RECORDED = ("0 session-started", "10 recording-starting", "20 recording-started", "40m recording-stopping")
RESTARTED = (*RECORDED[:3], "20m recording-starting", "1230 recording-started", "41m session-ended")


def draw(*lines, as_of="2h", **more):
    session = session_from(*lines, as_of=as_of)
    times, timeless = lanes.clockwork(deliveries(*lines))
    axis = lanes.scale(session, times, timeless=timeless, now=None if timeless else moment(as_of))
    return lanes.draw(session, axis, times, lanes.names_of(session), **more)


def lane(drawing, name):
    (found,) = [row for row in drawing.rows if row.name == name]
    return found


def bars(drawing, name):
    return [(bar.kind, bar.doubt) for bar in lane(drawing, name).bars]


def ends(drawing, name):
    return [(end.kind, end.doubt) for end in lane(drawing, name).ends]


def people(number):
    return [f"{at} participant-joined p{at}" for at in range(1, number + 1)]


def test_a_run_has_a_bar_for_each_state_and_an_end():
    drawing = draw(*RECORDED, "41m recording-stopped fileUrl=https://f", "41m session-ended")

    assert bars(drawing, "recording") == [("moving", ""), ("active", ""), ("moving", "")]
    assert ends(drawing, "recording") == [("done", "")]


def test_a_bar_ends_where_the_next_begins():
    first, second, third = lane(draw(*RECORDED), "recording").bars

    assert first.x + first.width == pytest.approx(second.x, abs=0.3)
    assert second.x + second.width == pytest.approx(third.x, abs=0.3)


def test_what_nobody_delivered_is_hatched_in_between():
    drawing = draw("0 session-started", "10 recording-starting", "40m recording-stopping")

    assert bars(drawing, "recording")[0] == ("moving", "inferred")


def test_what_must_have_begun_before_its_first_delivery_begins_with_a_hatched_stub():
    drawing = draw("0 session-started", "10m participant-left p")

    assert bars(drawing, "p") == [("done", "inferred")]
    assert ends(drawing, "p") == [("done", "")]


def test_a_lost_run_is_hatched_to_where_the_next_one_began():
    one, two = [bar for bar in lane(draw(*RESTARTED), "recording").bars if bar.kind == "active"][:2]

    assert (one.doubt, one.label, two.label) == ("inferred", "run 1 started", "run 2 started")
    assert ends(draw(*RESTARTED), "recording")[0] == ("lost", "inferred")


def test_a_visit_that_nobody_ended_is_hatched_to_the_end_of_the_session():
    drawing = draw("0 session-started", "1 participant-joined p", "30m session-ended")
    (bar,) = lane(drawing, "p").bars

    assert bar.doubt == "inferred"
    assert bar.x + bar.width == pytest.approx(drawing.axis.x(moment("30m")), abs=0.1)


def test_what_may_as_well_be_a_copy_is_dashed():
    run = ("0 recording-starting", "1 recording-started", "60 recording-stopping", "61 recording-stopped")
    lines = ("0 session-started", *run, "30m recording-starting")
    drawn = bars(draw(*lines, as_of="40m"), "recording")

    assert {doubt for _, doubt in drawn} == {"contested"}


def test_a_session_of_which_nothing_came_for_long_is_dashed_from_then_on():
    drawing = draw("0 session-started", "1m participant-joined p", as_of="25h")

    assert bars(drawing, "session") == [("active", ""), ("idle", "contested")]


def test_a_session_whose_start_never_came_has_a_lane():
    assert bars(draw("0 participant-joined p", "1m participant-left p"), "session") == [("active", "inferred")]


def test_every_finding_is_marked_in_its_lane():
    (mark,) = draw(*RESTARTED, as_of="41m").marks

    assert (mark.severity, mark.label.split()[1:]) == ("error", ["S207", "restarted-without-stop"])
    assert lane(draw(*RESTARTED, as_of="41m"), "recording").y < mark.y


def test_marks_at_one_place_are_one_that_names_the_gravest():
    lines = (
        "0 session-started",
        "1 recording-stopped",
        "1 hls-stopped",
        "1 recording-failed",
        "2h session-ended",
    )
    marks = [mark for mark in draw(*lines).marks if len(mark.numbers) > 1]

    assert [mark.severity for mark in marks] == ["error"]
    assert all("more" in mark.label for mark in marks)


def test_what_was_not_yet_received_is_behind_a_line():
    lines = (*RECORDED, "41m recording-stopped fileUrl=https://f")
    past = session_from(*lines[:3])
    times, _ = lanes.clockwork(deliveries(*lines))
    axis = lanes.scale(session_from(*lines, as_of="41m"), times, timeless=False)
    drawing = lanes.draw(past, axis, times, lanes.names_of(past), known_until=moment(20))

    assert drawing.known_until == axis.x(moment(20))
    assert all(bar.x <= drawing.known_until for row in drawing.rows for bar in row.bars)


def test_many_people_share_one_lane_until_it_is_opened():
    lines = ("0 session-started", *people(MANY + 1))
    drawing, opened = draw(*lines), draw(*lines, opened="participant")

    assert [type(row) for row in drawing.rows][1:] == [Crowd]
    assert (drawing.rows[1].most, drawing.rows[1].counts) == (MANY + 1, f"{MANY + 1} inside")
    assert [row.name for row in opened.rows[2:]] == [f"p{number}" for number in range(1, MANY + 2)]


def test_what_was_opened_is_shown_page_by_page_and_can_be_searched():
    lines = ("0 session-started", *people(OPENED + 5))
    pages = [draw(*lines, opened="participant", page=page).rows[2:] for page in (1, 2, 3)]

    assert [len(rows) for rows in pages] == [OPENED, 5, 0]
    assert [row.name for row in draw(*lines, opened="participant", who="P33").rows[2:]] == ["p33"]


def test_a_lane_of_somebody_is_called_by_the_name():
    lines = (
        "0 session-started",
        "1 participant-joined p participantName=Ann",
        "2 participant-recording-starting p",
        "3 participant-track-recording-starting p audio",
    )

    assert [row.name for row in draw(*lines).rows] == ["session", "Ann", "Ann audio", "Ann"]
