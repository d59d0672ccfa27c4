"""Text for people: golden output (``REGENERATE_GOLDEN=1`` writes it anew), and what must not happen in it."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console
from story import RULES, deliveries, session_from

from projections.audit.auditing import audit
from projections.explain.status import timeline
from projections.reports import findings, sessions, tables, text
from projections.reports import timeline as timelines
from tracker.judging.findings.catalogue import CATALOGUE

GOLDEN = Path(__file__).parent / "golden"
STORY = (
    "0 session-started",
    "3 participant-joined p participantName=Ann",
    "9 participant-joined q participantName=Bo",
    "20 recording-starting",
    "23 recording-started",
    "300 recording-starting",
    "320 recording-started",
    "400 hls-stopped",
    "500 recording-stopping",
    "560 recording-stopped fileUrl=https://files/a.mp4",
    "600 participant-left p participantName=Ann",
    "610 session-ended",
    "2h recording-paused",
)


def printed(show, *arguments, width=80):
    out = Console(file=io.StringIO(), width=width, highlight=False, no_color=True)
    show(out, *arguments)
    return out.file.getvalue()


def compare(name, output):
    file = GOLDEN / name
    if os.environ.get("REGENERATE_GOLDEN"):
        file.write_text(output, "utf-8")
    assert output == file.read_text("utf-8")


def test_a_status_is_understood_at_a_glance():
    compare("status.txt", printed(sessions.status, session_from(*STORY, as_of="3h")))


def test_what_was_running_when_the_session_ended_is_not_over_until_the_grace_is():
    lines = ("0 session-started", "1 recording-starting", "2 recording-started", "60m session-ended")
    open_, late = (printed(sessions.status, session_from(*lines, as_of=as_of)) for as_of in ("60m", "71m"))
    assert ("not yet over: recording was started" in open_, "nothing is wrong" in open_) == (True, False)
    assert ("not yet over" in late, "X403" in late) == (False, True)


def test_nothing_is_wrong_is_said_where_nothing_is_open_and_nothing_is_found():
    assert "nothing is wrong" in printed(
        sessions.status, session_from("0 session-started", "5 participant-joined p")
    )


def test_a_finding_says_how_sure_it_is_what_else_may_be_and_what_to_do():
    out = printed(
        sessions.status, session_from("0 session-started", "1 participant-joined p", "60m participant-joined p")
    )
    assert [
        words in out
        for words in ("confidence 53 %", "or: a webhook was sent twice, and nothing is missing (", "do: ")
    ] == [True, True, True]


def test_a_timeline_has_a_lane_for_each_thing_that_has_a_state():
    compare("timeline.txt", printed(timelines.timeline, *timeline(deliveries(*STORY), RULES)))


def test_an_audit_tells_what_where_when_expected_and_evidence():
    result = audit(deliveries(*STORY), RULES)
    compare("audit.txt", printed(findings.audit, result, "warning"))


def test_an_audit_says_what_is_still_open():
    received = deliveries("0 session-started", "1 recording-starting", "2 recording-started")
    out = " ".join(printed(findings.summary, audit(received, RULES), "warning").split())
    assert "; still open: 1 live session, 1 run in progress" in out


def test_many_people_share_a_lane():
    joined = [f"{number} participant-joined p{number}" for number in range(40)]
    moments, settled = timeline(deliveries("0 session-started", *joined), RULES)
    lines = printed(timelines.timeline, moments, settled).splitlines()
    assert ("40 people" in lines[1], max(map(len, lines)) <= 80) == (True, True)
    assert lines[-2].endswith("participant-joined  p39")  # whom it is about, as the lane does not say it


def test_every_code_is_explained_within_eighty_columns():
    for entry in CATALOGUE.values():
        lines = printed(findings.code, entry, "error", RULES.written(), RULES.price_list).splitlines()
        assert (len(lines) >= 4, max(map(len, lines)) <= 80) == (True, True), lines


@pytest.mark.parametrize(
    ("char", "expected"), [("\x1b", "\\x1b"), ("\n", "\\x0a"), ("\u202e", "\\x202e"), ("é", "é")]
)
def test_control_characters_are_made_visible(char, expected):
    assert text.shown(char) == expected


@pytest.mark.parametrize(
    ("width", "expected"), [(30, "  all of a run was lost but\n    its stop\n"), (80, None)]
)
def test_a_sentence_is_wrapped_at_words_where_the_terminal_is_narrow(width, expected):
    sentence = "  all of a run was lost but its stop"
    assert printed(text.say, text.Text(sentence), width=width) == (expected or f"{sentence}\n")


def test_what_is_wrapped_begins_in_the_column_that_is_asked_for():
    out = printed(
        text.say, text.Text("10:18:30   81  recording-starting  S207 restarted-without-stop"), 15, width=50
    )
    assert out.splitlines()[1] == " " * 15 + "restarted-without-stop"


def test_what_a_check_saw_is_wrapped_below_itself_on_a_terminal_and_is_one_line_in_a_pipe():
    row = {"check": "keys", "state": "note", "seen": "no public key is set, so signatures cannot be verified"}
    row["hint"] = "save VideoSDK's public key and name it in keys of tracker.toml"
    pipe, narrow = io.StringIO(), printed(tables.checks, [row], width=60)
    tables.checks(text.console(pipe), [row])
    assert pipe.getvalue().splitlines() == [f"! {'keys':<13}{row['seen']}", f"{'':<15}hint: {row['hint']}"]
    assert narrow.splitlines() == [
        "! keys         no public key is set, so signatures cannot be",
        "               verified",
        "               hint: save VideoSDK's public key and name",
        "                 it in keys of tracker.toml",
    ]


def test_a_line_has_the_same_words_in_a_pipe_and_on_a_terminal():
    line = text.Text("a", "bold").append(" [b]", "dim").append(text.Text.assemble(" c:d: ", ("e  ", "red")))
    line.rstrip()
    pipe = io.StringIO()
    text.console(pipe).print(line)
    assert pipe.getvalue() == printed(lambda out: out.print(line)) == "a [b] c:d: e\n"


def test_a_table_has_the_same_cells_in_a_pipe_and_on_a_terminal():
    grid = text.Table("name", "count", "state", right=("count",))
    grid.add_row("Ann 愛", "1,234", text.Text("in", "green"))
    grid.add_row("–", "5", "")
    pipe = io.StringIO()
    text.console(pipe).print(grid)
    drawn = [line.rstrip() for line in printed(lambda out: out.print(grid)).splitlines()]
    assert pipe.getvalue().splitlines() == drawn


OUTSIDE = {
    "none of 1 session": ("0 resource-acquired r", "1h resource-released r"),
    "none of 1 session, but outside any session": (
        *("0 resource-acquired r", "3h resource-acquired r", "6h resource-released r"),
    ),
}


@pytest.mark.parametrize(("end", "lines"), OUTSIDE.items(), ids=OUTSIDE)
def test_an_audit_says_that_something_is_wrong_outside_any_session(end, lines):
    meeting = "6h session-started", "6h participant-joined p", "7h participant-left p", "7h session-ended"
    result = audit(deliveries(*lines, *meeting), RULES)
    assert printed(findings.summary, result, "info", width=200).endswith(f"something is wrong with {end}\n")
