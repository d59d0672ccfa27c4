"""A log that is dropped on a page, or posted to the API: judged as an audit does, and nothing of it stored."""

import gzip
import json

import pytest
from click.testing import CliRunner
from served import MONDAY, served

from projections.cli import tracker
from projections.web import dropped
from tracker.errors import UsageError
from tracker.rules import Rules

LOG = MONDAY.read_bytes()
BOUNDARY = "a-boundary"


def form(**parts):
    """The body of a form; a part that is a pair is a file with that name."""
    lines = b""
    for name, held in parts.items():
        file, body = held if isinstance(held, tuple) else (None, held)
        named = f'; filename="{file}"' if file else ""
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"{named}\r\n\r\n'
        lines += head.encode() + body + b"\r\n"
    return lines + f"--{BOUNDARY}--\r\n".encode()


def drop(server, **parts):
    headers = {"content_type": f"multipart/form-data; boundary={BOUNDARY}"}
    return server.ask("/audit", "POST", form(**parts), **headers)


@pytest.mark.parametrize("body", [LOG, gzip.compress(LOG)], ids=["plain", "compressed"])
def test_the_api_finds_in_a_log_what_the_command_finds(monday, body):
    answer = monday.ask("/api/audit", "POST", body)
    printed = (
        CliRunner().invoke(tracker, ["audit", str(MONDAY), "--format", "ndjson", "--fail-on", "never"]).stdout
    )
    assert answer.json["findings"] == [
        json.loads(line) for line in printed.splitlines() if line.startswith("{")
    ]
    assert (answer.json["deliveries"], answer.json["sessions"], answer.json["is_cut"]) == (235, 14, False)


@pytest.mark.parametrize(
    "parts", [{"log": ("monday.jsonl", LOG), "lines": b""}, {"log": ("", b""), "lines": LOG}]
)
def test_the_page_shows_what_is_wrong_in_the_log_that_came_with_its_form(monday, parts):
    shown = drop(monday, **parts).body.decode()
    assert "235 deliveries in 14 sessions" in shown
    assert "restarted-without-stop" in shown


def test_a_last_line_that_is_incomplete_is_named_and_not_judged(monday):
    begun = LOG.rstrip(b"\n") + b'\n{"webhookType": "session-'
    number = begun.count(b"\n") + 1
    answer = monday.ask("/api/audit", "POST", begun).json
    assert (answer["deliveries"], answer["incomplete"]) == (235, number)
    assert f"Line {number}, the last one, is incomplete" in drop(monday, lines=begun).body.decode()


def test_nothing_of_it_is_stored(monday):
    before = monday.tracker.last_position(), monday.get("/api/sessions?limit=100")["items"]
    monday.ask("/api/audit", "POST", LOG)
    assert (monday.tracker.last_position(), monday.get("/api/sessions?limit=100")["items"]) == before


@pytest.mark.parametrize(
    ("parts", "words"),
    [({"log": ("", b""), "lines": b""}, "no log was given"), ({}, "no log was given")],
)
def test_a_form_without_a_log_says_what_to_do(monday, parts, words):
    answer = drop(monday, **parts)
    assert (answer.status, words in answer.body.decode()) == (400, True)


def test_an_empty_log_is_refused_with_a_hint(monday):
    answer = monday.ask("/api/audit", "POST", b" \n")
    assert (answer.status, answer.json["hint"]) == (400, "give a log with a webhook on each line")


def test_markup_in_a_log_is_text(monday):
    line = b'{"webhookType": "<img src=x>", "data": {"sessionId": "<b>s</b>", "meetingId": "m"}}'
    shown = drop(monday, log=("<i>.jsonl", line)).body.decode()
    assert ("<img src=x>" in shown, "<b>s</b>" in shown, "<i>.jsonl" in shown) == (False, False, False)


def test_of_a_very_long_log_the_first_lines_are_judged(monkeypatch):
    monkeypatch.setattr(dropped, "MOST_DELIVERIES", 100)
    found = dropped.judged(LOG, Rules())
    assert (found["deliveries"], found["is_cut"]) == (100, True)


def test_a_log_that_is_too_long_is_refused(monday, monkeypatch):
    monkeypatch.setattr(dropped, "MOST_BYTES", 1000)
    assert monday.ask("/api/audit", "POST", LOG).status == 413


def test_one_log_is_judged_at_a_time():
    with dropped._judging, pytest.raises(UsageError, match="another log is being judged"):
        dropped.judged(LOG, Rules())


def test_who_has_no_token_audits_nothing(tmp_path):
    with served(tmp_path, token="sésame") as locked:
        shown = {"authorization": "Bearer wrong"}
        statuses = [locked.ask(path, "POST", LOG, **shown).status for path in ("/api/audit", "/audit")]
    assert statuses == [401, 401]


# The pages beside it


def test_what_belongs_to_no_session_is_listed(monday):
    shown = monday.ask("/events?session=unrouted").body.decode()
    positions = [one["position"] for one in monday.get("/api/sessions/unrouted/timeline")["items"]]
    assert all(f'href="/events/{position}"' in shown for position in positions)
    assert positions


def test_the_page_of_the_api_has_every_operation_with_its_parameters(monday):
    shown = monday.ask("/api").body.decode()
    described = monday.get("/api/openapi.json")["paths"]
    for path, methods in described.items():
        assert f"GET {path}" in shown
        assert all(one["name"] in shown for one in methods["get"]["parameters"])
