"""A lifecycle as a drawing: every way of the table is there, and no line lies on another."""

import re
from itertools import combinations, pairwise

import pytest
from story import session_from

from projections.explain.status import finding
from projections.web.pages.graph import Highlight, graph, highlight_of
from tracker.lifecycle import ABSENT
from tracker.lifecycles import REGISTRY

RECORDING = REGISTRY["recording"]
every_lifecycle = pytest.mark.parametrize("lifecycle", REGISTRY.values(), ids=lambda one: one.name)


def everything_refused(lifecycle):
    """A highlight on each way between two states that there could be."""
    states = [ABSENT, *lifecycle.states, "lost"]
    return [
        Highlight(before, after, "S207", "error", 12)
        for before in states
        for after in states[1:]
        if before != after
    ]


def level_lines(way):
    """The long level pieces of a way: height, left and right."""
    points = [
        tuple(map(float, piece.split()[-2:])) for piece in re.split("[MLQ]", way.path)[1:] if "H" not in piece
    ]
    for (x, y), (to_x, to_y) in pairwise(points):
        if y == to_y and abs(x - to_x) > 20:
            yield y, min(x, to_x), max(x, to_x)


@every_lifecycle
def test_every_entry_of_the_table_is_a_way(lifecycle):
    drawn = {(way.before, way.after) for way in graph(lifecycle).ways}

    assert drawn == {
        (before, lifecycle.by_name[name].state) for before, names in lifecycle.table.items() for name in names
    }


@every_lifecycle
def test_the_boxes_stand_apart_and_inside(lifecycle):
    drawing = graph(lifecycle, {"lost": "now"}, {}, everything_refused(lifecycle))

    for one, other in combinations(drawing.nodes, 2):
        assert abs(one.x - other.x) > 92 or abs(one.y - other.y) > 34
    assert all(46 < node.x < drawing.width - 46 and 17 < node.y < drawing.height - 17 for node in drawing.nodes)


@every_lifecycle
def test_no_way_above_the_line_lies_on_another(lifecycle):
    drawing = graph(lifecycle, None, {}, everything_refused(lifecycle))
    line = drawing.dot[1] - 17
    tracks = [piece for way in drawing.ways for piece in level_lines(way) if piece[0] < line]

    assert tracks or len(lifecycle.states) < 3
    for (y, left, right), (other_y, other_left, other_right) in combinations(tracks, 2):
        assert y != other_y or right <= other_left or other_right <= left


def test_where_something_is_now_is_lit():
    assert [node.lit for node in graph(RECORDING, {"started": "now"}).nodes] == ["", "now", "", "", ""]


def test_a_way_says_how_often_it_was_gone():
    drawing = graph(RECORDING, None, {("starting", "started"): 1234})

    assert [way.number for way in drawing.ways if way.number] == ["1,234"]


def test_a_finding_on_a_legal_way_stands_beside_it_and_refuses_nothing():
    drawing = graph(RECORDING, None, None, [Highlight("started", "failed", "S210", "warning", 2)])

    assert [(way.codes, way.refused) for way in drawing.ways if way.codes] == [("S210 ×2", False)]


def highlights(*lines, as_of="2h"):
    rows = [{**finding(one), "type": one.type} for one in session_from(*lines, as_of=as_of).findings]
    return [(one.before, one.after, one.code) for row in rows if (one := highlight_of(RECORDING, row))]


def test_a_restart_is_refused_where_it_came_and_not_where_it_led():
    lines = ("0 recording-starting", "1 recording-started", "20m recording-starting", "1210 recording-started")

    assert ("started", "starting", "S207") in highlights("0 session-started", *lines)


def test_what_never_ended_is_lost_from_where_it_was():
    lines = ("0 session-started", "1 recording-starting", "2 recording-started", "3 session-ended")

    assert highlights(*lines) == [("started", "lost", "X403")]


def test_an_info_refuses_nothing():
    assert highlights("0 session-started", "1 recording-starting", "2 recording-starting", as_of="3") == []


def test_what_a_payload_lacks_is_on_no_way():
    lines = ("1 recording-starting", "2 recording-started", "60 recording-stopping", "61 recording-stopped")

    assert highlights("0 session-started", *lines) == []
