"""Who holds the second token sees initials: on every page, in every answer of the API, in what came, in the search."""

import json
import re
from html import unescape
from urllib.parse import quote

import crowd
import pytest
from click.testing import CliRunner
from commands import run
from meetings import line, read_into, webhook, write
from served import EVENING, MONDAY, RESTARTED, served
from waiting import until

from projections.cli import tracker
from projections.views.database import TABLES
from projections.web.api import OPERATIONS
from projections.web.masking import MASKED, MaskedStore, initials, masked_text
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


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ANN LEE left", "A. L. left"),
        ("Ann\n Lee left", "A. L. left"),
        ("/rec/ann%20lee.mp4", "/rec/a. l..mp4"),
        ("/for%20Ann+Lee/a.mp4", "/for%20A. L./a.mp4"),
    ],
)
def test_a_name_in_a_text_is_known_in_any_case_and_with_any_blanks(text, masked):
    assert masked_text(text, [" Ann  Lee "]) == masked


BODIES = {
    b'{"webhookType":"x","data":{"sessionId":"s","participantName":"Ann Lee"}}': b'"participantName":"A. L."',
    b'{"message":"POST {\\"data\\":{\\"participantName\\":\\"Ann Lee\\"}}"}': rb"\"participantName\":\"A. L.\"",
    b'{"webhookType":"x","data":{"sessionId":"s","note":"for Bo"}}': b'"note":"for B."',
    b'{"data":{"sessionId":"s","participantId":"Bo"}}': b'"participantId":"Bo"',
    b'{"data":{"participantName":{"x":"Ann Lee","id":["Ann"]}}}': b'{"x":"A. L.","id":["A."]}',
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


PEOPLE = ("Ruth Miller", "Zaphod Beeblebrox", "Ada Byron", "Hannah Arendt")
LEAKED = re.compile("|".join(word for name in PEOPLE for word in name.split()), re.IGNORECASE)


@pytest.fixture(scope="module")
def renamed(tmp_path_factory):
    """People who got another name while they were inside, and a file and a reason that hold names."""
    data, one = tmp_path_factory.mktemp("renamed"), {"meetingId": "M", "sessionId": "S"}
    file = "/rec/Ada Byron/a.mp4"
    came = [
        ("session-started", {}),
        *(("participant-joined", {"participantId": name[0], "participantName": name}) for name in PEOPLE),
        ("recording-started", {}),
        ("recording-stopped", {"filePath": file, "fileUrl": f"https://x.example{quote(file)}"}),
        ("participant-left", {"participantId": "A", "reason": "ADA  BYRON was kicked by Ruth Miller"}),
        ("participant-left", {"participantId": "R", "participantName": "Guest"}),
        ("participant-left", {"participantId": "Z", "participantName": "Guest"}),
        ("session-ended", {}),
    ]
    lines = [line(webhook(kind, **one, **more), at) for at, (kind, more) in enumerate(came)]
    read_into(data, write(data / "log", lines))
    with served(data, token=FIRST, masked_token=SECOND) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "in_clear"),
    [
        ("/api/findings?code=C505", "Ruth Miller is now called Guest"),
        ("/findings?severity=all&view=each", "Ruth Miller"),
        ("/people/R", ""),
        ("/api/people/A", "was kicked by"),
        ("/people/A", ""),
        ("/api/events/9", "Ruth Miller"),
        ("/events/9", "Ruth Miller"),
        ("/api/search?q=/rec", "/rec/Ada Byron/a.mp4"),
        ("/search?q=/rec", "/rec/Ada Byron/a.mp4"),
        ("/api/recordings", "/rec/Ada Byron/a.mp4"),
        ("/recordings", "/rec/Ada"),
        ("/api/sessions/S", "was kicked by"),
    ],
)
def test_neither_an_old_name_nor_one_in_a_file_or_a_reason_is_shown(renamed, path, in_clear):
    assert in_clear in shown(renamed, path, FIRST)
    assert LEAKED.findall(shown(renamed, path)) == []


def test_a_file_is_not_found_by_a_name_in_it(renamed):
    assert json.loads(shown(renamed, f"/api/search?q={quote('/rec/Ada')}"))["files"] == []
    assert json.loads(shown(renamed, f"/api/search?q={quote('/rec/Ada')}", FIRST))["files"] != []


def test_an_old_name_is_not_shown_in_what_was_taken_back(tmp_path):
    with served(tmp_path, token=FIRST, masked_token=SECOND) as running:

        def taken_back(token):
            return [
                one["message"]
                for one in json.loads(shown(running, "/api/sessions/S/withdrawn", token))["items"]
            ]

        def post(kind, **data):
            running.post(kind, meetingId="M", sessionId="S", **data)

        post("session-started")
        post("participant-left", participantId="Z", participantName="Zaphod Beeblebrox")
        until(lambda: "Zaphod Beeblebrox" in shown(running, "/api/findings", FIRST))
        post("participant-joined", participantId="Z", participantName="Guest")
        until(lambda: any("Zaphod Beeblebrox" in one for one in taken_back(FIRST)))
        assert [one for one in taken_back(SECOND) if LEAKED.search(one)] == []


def test_a_name_that_only_a_withdrawn_log_has_is_not_shown_in_what_was_taken_back(tmp_path):
    left = webhook(
        "participant-left", meetingId="M", sessionId="S", participantId="Z", participantName="Zaphod Beeblebrox"
    )
    begun = webhook("session-started", meetingId="M", sessionId="S")
    read_into(tmp_path, write(tmp_path / "right.jsonl", [line(begun, 0)]))
    read_into(tmp_path, write(tmp_path / "wrong.jsonl", [line(left, 600)]))
    run("sessions", "--data", tmp_path)  # which publishes what is held
    run("withdraw", str(tmp_path / "wrong.jsonl"), "--data", tmp_path)
    run("sessions", "--data", tmp_path)
    with served(tmp_path, token=FIRST, masked_token=SECOND) as running:
        clear, masked = (shown(running, "/api/sessions/S/withdrawn", token) for token in (FIRST, SECOND))

    assert ("Zaphod Beeblebrox" in clear, "Z. B." in masked, LEAKED.findall(masked)) == (True, True, [])


def test_a_guest_who_is_called_as_a_key_or_a_type_changes_neither():
    body = webhook("participant-left", sessionId="s", reason="Reason", participantId="1")
    masked = MaskedStore(None, lambda _: ["Reason", "Data", "Participant"]).masked(
        parse(Received(body, None), 1)
    )
    assert json.loads(masked.body) == json.loads(body.replace(b'"Reason"', b'"R."'))


FREE_OF_NAMES = {
    *(
        "session_id",
        "participant_id",
        "meeting_id",
        "stream",
        "account",
        "account_then",
        "lifecycle",
        "key",
        "type",
        "code",
        "slug",
    ),
    *(
        "state",
        "state_before",
        "state_after",
        "certainty",
        "severity",
        "verdict",
        "cause",
        "reading",
    ),
    *("evidence", "expected", "missing", "advice", "steps", "findings", "occupied", "idle"),
    *("at", "deadline", "hour", "began", "last_seen", "received_at", "end_received_at", "begun_at"),
    *("started_at", "stopping_at", "stopped_at", "ended_at", "joined_at", "left_at"),
    *("first_step_at", "last_step_at", "first_seen_at", "last_seen_at"),
}
"""Ids, codes, words of the declarations, times and positions."""


def test_every_text_of_the_read_models_is_masked_or_free_of_names():
    rest = [
        (table.name, column)
        for table in TABLES
        for column, kind in table.columns.items()
        if kind is str and column not in MASKED.get(table.name, {})
    ]
    assert [one for one in rest if one[1] not in FREE_OF_NAMES] == []
    assert {column for _, column in rest} == FREE_OF_NAMES


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


def test_a_name_that_only_a_record_of_videosdk_brings_is_not_shown(tmp_path):
    person = {"participantId": "q", "name": "Zora Quell", "timelog": [{"start": "2026-01-05T12:00:01Z"}]}
    session = {
        "id": "S",
        "roomId": "M",
        "status": "ended",
        "end": "2026-01-05T13:00:00Z",
        "participants": [person],
    }
    file = {"fileUrl": "https://x.example/Zora Quell.mp4"}
    recording = {"id": "r", "roomId": "M", "sessionId": "S", "file": file}
    records = {"/v2/sessions": [session], "/v2/recordings": [recording]}
    read_into(
        tmp_path, write(tmp_path / "log", [line(webhook("session-started", meetingId="M", sessionId="S"), 0)])
    )
    (tmp_path / "records.json").write_text(json.dumps(records))
    run("--data", tmp_path, "reconcile", "--from", tmp_path / "records.json")
    with served(tmp_path, token=FIRST, masked_token=SECOND) as running:
        for path in ("/api/findings", "/api/sessions/S", "/sessions/S", "/api/events/2", "/api/events/3"):
            assert "Zora Quell" in shown(running, path, FIRST), path
            assert "Quell" not in shown(running, path), path
