"""Accepting a finding on a page: the lines to add, and the adding of them."""

import tomllib
from urllib.parse import urlencode

import pytest
from meetings import read_into
from served import EVENING, MONDAY, RESTARTED, served
from waiting import until

from projections.web.accepting import toml
from tracker.config import load_config

ASKED = {"code": "S207", "session": RESTARTED, "meeting": "h8sd-4kzo-y1fw", "lifecycle": "recording"}
FILLED = {**ASKED, "scope": "meeting", "reason": 'the "robot" restarts it', "until": "2026-12-31"}


@pytest.fixture
def accepting(tmp_path):
    """A server that may write its configuration file."""
    read_into(tmp_path / "data", MONDAY)
    file = tmp_path / "tracker.toml"
    file.write_text("# ours\n[rules]\nempty = '5 min'\n", "utf-8")
    with served(tmp_path / "data", now=EVENING) as server:
        server.live._load_rules = lambda: load_config(file).rules
        server.server.config.app.state.accept_file = file
        yield server, file


def post(server, given, **headers):
    headers.setdefault("content_type", "application/x-www-form-urlencoded")
    return server.ask("/accept", "POST", urlencode(given).encode(), **headers)


def test_a_finding_leads_to_the_form_that_accepts_it(monday):
    shown = monday.ask(f"/sessions/{RESTARTED}").body.decode()
    assert "/accept?code=S207&amp;session=" in shown
    form = monday.ask(f"/accept?{urlencode(ASKED)}").body.decode()
    assert all(words in form for words in ("in this session", "in this room", "everywhere"))


def test_the_lines_are_shown_where_the_file_cannot_be_written(monday):
    shown = monday.ask(f"/accept?{urlencode(FILLED)}").body.decode()
    for line in ("[[accept]]", "code = &#34;S207&#34;", "meeting = &#34;h8sd-4kzo-y1fw&#34;"):
        assert line in shown
    assert "without a configuration file" in shown
    assert 'formmethod="post"' not in shown


def test_what_is_written_is_read_back_as_it_was_given():
    entry = {"code": "S207", "reason": 'a "quoted" \\ word, ü, \n and more', "meeting": "m"}
    assert tomllib.loads(toml(entry)) == {"accept": [entry]}


def test_an_entry_is_added_to_the_file_and_judged_by(accepting):
    server, file = accepting
    answer = post(server, FILLED)
    assert (answer.status, answer.headers["location"]) == (303, "/findings?code=S207&verdict=accepted")
    text = file.read_text("utf-8")
    assert text.startswith("# ours\n[rules]\nempty = '5 min'\n\n[[accept]]\n")
    (entry,) = load_config(file).rules.accept
    assert (entry.code, entry.meeting, entry.session, entry.reason) == (
        "S207",
        ASKED["meeting"],
        None,
        FILLED["reason"],
    )
    until(lambda: [one["verdict"] for one in server.get("/api/findings?code=S207")["items"]] == ["accepted"])


@pytest.mark.parametrize("wrong", [{"reason": " "}, {"until": "soon"}])
def test_what_is_no_entry_is_refused_and_the_file_stays(accepting, wrong):
    server, file = accepting
    before = file.read_bytes()
    assert post(server, {**FILLED, **wrong}).status == 400
    assert (file.read_bytes(), list(file.parent.glob("tracker.toml.*"))) == (before, [])


def test_a_form_of_another_site_changes_nothing(accepting):
    server, file = accepting
    before = file.read_bytes()
    assert post(server, FILLED, origin="https://evil.example").status == 403
    assert file.read_bytes() == before
    here = f"http://127.0.0.1:{server.port}"
    assert post(server, FILLED, origin=here).status == 303


def test_without_a_file_nothing_can_be_added(monday):
    assert post(monday, FILLED).status == 409


def test_a_code_that_is_none_is_not_found(monday):
    assert monday.ask("/accept?code=S999").status == 404
    assert monday.ask("/accept").headers["location"] == "/findings"


def test_who_has_no_token_accepts_nothing(tmp_path):
    with served(tmp_path, token="sésame") as locked:
        assert post(locked, FILLED, authorization="Bearer wrong").status == 401
