"""Searching everything: by the beginning of an id, a part of a name, a file, a code."""

import json
import sys

import pytest
from click.testing import CliRunner
from served import RESTARTED
from sqlite_utils import Database

from projections.answers.search import MOST, number_found, search
from projections.cli import tracker
from projections.reports.search import found_list
from projections.reports.text import console

FILE = "5036e7f61d69e94a9ec18e6a"


@pytest.fixture(scope="module")
def db(monday):
    return Database(monday.live.views_path)


def ids(rows):
    return [next(iter(row.values())) for row in rows]


def test_the_command_below_what_was_found_holds_nothing_that_moves_a_terminal(capsys):
    session = {"session_id": "\x1b[31mred", "state": "live", "meeting_id": None}
    kinds = dict.fromkeys(("rooms", "things", "people", "files", "codes"), ())
    found_list(console(sys.stdout), {**kinds, "sessions": [session]})
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "kind", "found"),
    [
        ("h8sd", "rooms", ["h8sd-4kzo-y1fw"]),
        (RESTARTED[:12], "sessions", [RESTARTED]),
        ("1tkg", "people", ["1tkgqo"]),
        ("ruth", "people", ["1tkgqo"]),
        (f"{FILE}.mp4", "files", [f"/encoded/videos/{FILE}.mp4", f"https://cdn.videosdk.live/encoded/videos/{FILE}.mp4"]),
        (f"/encoded/videos/{FILE}", "files", [f"/encoded/videos/{FILE}.mp4", f"https://cdn.videosdk.live/encoded/videos/{FILE}.mp4"]),
        ("s207", "codes", ["S207"]),
        ("without-stop", "codes", ["S207"]),
    ],
)  # fmt: skip
def test_each_kind_is_found_by_what_one_has_of_it(db, words, kind, found):
    assert ids(search(db, words)[kind]) == found


@pytest.mark.parametrize("words", ["%", "_", "8sd", "zzzz", "'", "\\"])
def test_what_nothing_begins_with_is_not_found(db, words):
    assert number_found(search(db, words)) == 0


@pytest.mark.parametrize(
    ("words", "position"), [("82", 82), ("#82", 82), ("0", None), ("236", None), ("٣", None)]
)
def test_a_number_is_the_position_of_a_delivery_that_is_there(db, words, position):
    assert search(db, words, last_position=235)["position"] == position


def test_of_each_kind_only_a_few_are_given(db):
    assert {len(search(db, "6b0")["sessions"]), len(search(db, "e")["codes"])} == {MOST}


def test_who_begins_with_it_comes_before_who_only_contains_it(db):
    assert search(db, "an")["people"][0]["name"] == "Anna"


def test_the_command_and_the_api_find_the_same(monday):
    printed = CliRunner().invoke(
        tracker, ["--data", str(monday.tracker.data), "find", "re", "--format", "json"]
    )
    assert json.loads(printed.stdout) == monday.get("/api/search?q=re")


def test_under_each_result_stands_a_command_that_works(monday):
    run = CliRunner().invoke
    data = ["--data", str(monday.tracker.data)]
    for words in ("h8sd", RESTARTED, "ruth", f"{FILE}.mp4", "S207"):
        printed = run(tracker, [*data, "find", words]).stdout
        commands = [line.split()[1:] for line in printed.splitlines() if line.startswith("         tracker ")]
        assert [run(tracker, [*data, *command]).exit_code for command in commands] == [0] * len(commands) != []


def test_nothing_found_is_an_error_with_a_hint(monday):
    done = CliRunner().invoke(tracker, ["--data", str(monday.tracker.data), "find", "zzzz"])
    assert (done.exit_code, "nothing begins so" in str(done.exception)) == (1, True)


def test_the_page_leads_to_what_it_has_found(monday):
    shown = monday.ask("/search?q=h8sd").body.decode()
    assert ("1 result for" in shown, 'href="/meetings/h8sd-4kzo-y1fw"' in shown) == (True, True)
    assert "Nothing begins like that" in monday.ask("/search?q=zzzz").body.decode()
    assert monday.ask("/search").status == 200


# Why


def test_the_api_explains_a_session_as_the_command_does(monday):
    printed = (
        CliRunner().invoke(tracker, ["--data", str(monday.tracker.data), "explain", RESTARTED, "--json"]).stdout
    )
    command, answer = json.loads(printed), monday.get(f"/api/sessions/{RESTARTED}/explain")
    assert {**command, "as_of": None} == {**answer, "as_of": None}


@pytest.mark.parametrize("past", ["at=82", "as_of=2026-11-23T10:18:31Z"])
def test_the_past_is_explained_as_it_was_known_then(monday, past):
    now, then = (
        monday.get(f"/api/sessions/{RESTARTED}/explain"),
        monday.get(f"/api/sessions/{RESTARTED}/explain?{past}"),
    )
    assert (now["state"], then["state"]) == ("ended", "live")


def test_the_page_says_why_with_its_alternatives(monday):
    shown = monday.ask(f"/why?session={RESTARTED}").body.decode()
    reasons = monday.get(f"/api/sessions/{RESTARTED}/explain")["aggregates"]
    assert all(one["words"] in shown for reason in reasons for one in reason["held"]["assumed"] if one["code"])
    assert all(
        each["words"] in shown
        for reason in reasons
        for one in reason["alternatives"]
        for each in one["differs"]
    )
    assert monday.ask("/why?session=nobody").status == monday.ask("/why").status == 404


def test_of_codes_only_those_are_given_of_which_something_is_found_or_one_that_is_named(db):
    assert all(one["count"] for one in search(db, "a")["codes"])
    (named,) = search(db, "r604")["codes"]
    assert (named["code"], named["count"]) == ("R604", 0)
