"""Who holds the second token sees initials: on every page, in every answer of the API, in what came, in the search."""

import json
import re
from html import unescape
from urllib.parse import quote

import crowd
import pytest
from click.testing import CliRunner
from meetings import read_into, write
from served import EVENING, MONDAY, RESTARTED, served

from projections.cli import tracker
from projections.web.api import OPERATIONS
from projections.web.masking import MaskedStore, initials, masked_text
from projections.web.pages import PAGES
from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse

FIRST, SECOND = "the first token of both", "the second token of both"
NAMES = {
    name
    for line in MONDAY.read_text("utf-8").splitlines()
    for name in re.findall(r'"participantName\\?":\s*\\?"([^"\\]+)', line)
}
A_NAME = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, sorted(NAMES)))})(?!\w)")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    data = tmp_path_factory.mktemp("masked")
    read_into(data, MONDAY)
    with served(data, now=EVENING, token=FIRST, masked_token=SECOND) as running:
        yield running


def shown(server, path, token=SECOND):
    answer = server.ask(path, authorization=f"Bearer {token}".encode())
    assert answer.status == 200, (path, answer.body)
    return unescape(answer.body.decode())


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Ruth", "R."),
        ("Ruth Miller", "R. M."),
        ("R. M.", "R. M."),
        ("élodie d'Arc", "é. d."),
        ("+1 555 0100", "–"),
        (" ", "–"),
    ],
)
def test_initials_are_the_first_letters_and_those_of_initials_the_same(name, short):
    assert initials(name) == short


def test_a_name_in_a_text_is_replaced_where_it_is_a_word_and_the_longer_one_first():
    names = ["Ann", "Ann Lee", ""]
    assert (
        masked_text("Ann Lee saw Ann, and Annabel saw nobody", names) == "A. L. saw A., and Annabel saw nobody"
    )


BODIES = {
    b'{"webhookType":"x","data":{"sessionId":"s","participantName":"Ann Lee"}}': b'"participantName":"A. L."',
    b'{"message":"POST {\\"data\\":{\\"participantName\\":\\"Ann Lee\\"}}"}': rb"\"participantName\":\"A. L.\"",
    b'{"webhookType":"x","data":{"sessionId":"s","note":"for Bo"}}': b'"note":"for B."',
    b'{"data":{"sessionId":"s","participantId":"Bo"}}': b'"participantId":"Bo"',
    b'{"participantName":"Ann L': b'{"xxxxxxxxxxxxxxx":"xxx x',
    b"\xff\xfeAnn": b"xxxxx",
}


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_what_came_is_masked_wherever_a_name_is(body):
    store = MaskedStore(None, lambda session: ["Bo"] if session == "s" else [])
    masked = store.masked(parse(Received(body, None), 1)).body
    assert BODIES[body] in masked
    assert b"Ann" not in masked


def rows(server, table, column):
    return [row[column] for row in shown_of(server, table)]


def shown_of(server, path):
    return json.loads(shown(server, path))["items"]


def paths(server):
    """Every page and every answer of the API, of all sessions, rooms and people and of many deliveries."""
    sessions = shown_of(server, "/api/sessions?limit=1000")
    people = {
        one["participant_id"]
        for row in sessions
        for one in json.loads(shown(server, f"/api/sessions/{row['session_id']}"))["participants"]
    }
    values = {
        "session": [row["session_id"] for row in sessions],
        "meeting": [row["meeting_id"] for row in sessions],
        "person": sorted(people)[::4],
        "position": [*range(1, 235, 15), 89, 154],
        "name": ["participant", "recording"],
    }
    for path in [*(one.path for one in PAGES), *(one.path for one in OPERATIONS)]:
        (name,) = re.findall(r"{(\w+)", path) or [""]
        for value in values.get(name, [""]):
            yield re.sub(r"{.*}", quote(str(value), safe=""), path)
    yield from (f"/why?session={one}" for one in values["session"])
    for query in ("ruth", "R.", "#82", RESTARTED[:6]):
        yield f"/search?q={quote(query)}"
        yield f"/api/search?q={quote(query)}"
    yield from ("/findings?severity=all&view=each", "/api/findings?limit=1000", "/events?session=unrouted")
    yield from ("/api/events?limit=1000", "/recordings?missing=true", "/api/recordings?limit=1000")


def test_no_page_and_no_answer_holds_a_name(server):
    asked = [path for path in paths(server) if path != "/why"]
    leaks = {path: A_NAME.findall(shown(server, path)) for path in asked}
    assert len(NAMES) > 20
    assert {path: found for path, found in leaks.items() if found} == {}


def test_who_holds_the_first_token_sees_the_names(server):
    for path in (
        f"/sessions/{RESTARTED}",
        f"/api/sessions/{RESTARTED}",
        "/api/events/78",
        "/findings?severity=all&view=each",
    ):
        assert A_NAME.search(shown(server, path, FIRST)), path


def test_the_second_token_shows_the_same_states_and_findings(server):
    def judged(token):
        found = json.loads(shown(server, f"/api/sessions/{RESTARTED}", token))
        return (
            [(one["code"], one["position"]) for one in found["findings"]],
            found["deliveries"],
            found["state"],
        )

    assert judged(FIRST) == judged(SECOND)
    assert "R. left" not in shown(server, f"/sessions/{RESTARTED}", FIRST)


def test_a_name_is_not_found_by_who_may_not_see_it(server):
    assert json.loads(shown(server, "/api/search?q=Ruth"))["people"] == []
    assert json.loads(shown(server, "/api/search?q=Ruth", FIRST))["people"] != []


def test_a_stream_of_changes_has_initials(server):
    with server.stream("/api/changes?after=150", authorization=f"Bearer {SECOND}") as stream:
        lines = [stream.readline().decode() for _ in range(24)]
    assert "data: " in "".join(lines)
    assert A_NAME.findall("".join(lines)) == []


def test_the_second_token_logs_in_and_says_what_it_hides_and_logs_out(server):
    form = {"authorization": "", "content-type": "application/x-www-form-urlencoded"}
    answer = server.ask("/login", "POST", f"token={quote(SECOND)}", **form)
    cookie = answer.headers["set-cookie"].partition(";")[0]
    page = server.ask(f"/sessions/{RESTARTED}", authorization="", cookie=cookie)
    assert (page.status, A_NAME.search(page.body.decode())) == (200, None)
    assert "You see initials in the place of names" in page.body.decode()
    server.ask("/logout", "POST", authorization="", cookie=cookie)
    assert server.ask("/", authorization="", cookie=cookie).status == 401


def test_the_second_token_accepts_nothing(server):
    for method in ("GET", "POST"):
        answer = server.ask("/accept?code=S207", method, authorization=f"Bearer {SECOND}".encode())
        assert (answer.status, b"nothing can be accepted" in answer.body) == (403, True)


def test_a_crowded_room_is_masked_too(tmp_path):
    read_into(tmp_path, write(tmp_path / "log", crowd.crowd(60)))
    with served(tmp_path, token=FIRST, masked_token=SECOND) as running:
        page = shown(running, f"/sessions/{quote(crowd.SESSION, safe='')}?open=participant")
        assert not re.search(r"Guest|Person \d", page)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["--masked-token-file", "second"], "without a token everybody reads every name"),
        (["--token-file", "second", "--masked-token-file", "second"], "both tokens are the same"),
        (["--token-file", "second", "--masked-token-file", "nowhere"], "the token cannot be read"),
    ],
)
def test_a_second_token_that_protects_nothing_is_refused(tmp_path, monkeypatch, tokens, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "second").write_text(SECOND)
    done = CliRunner().invoke(tracker, ["serve", "--insecure-no-verify", *tokens])
    assert words in str(done.exception)
