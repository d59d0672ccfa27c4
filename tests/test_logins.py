"""Logging in and out, and where the token comes from."""

import asyncio
import select
import socket
import stat
from contextlib import closing
from pathlib import Path
from threading import Event
from urllib.parse import quote

import pytest
from meetings import webhook
from served import served
from traffic import serving

from projections.web import tokens
from projections.web.logins import DAYS, ENDED, Logins
from projections.web.tokens import CREDENTIAL, LEAST, read_token
from tracker.errors import UsageError

TOKEN = "a token that nobody guesses"
NOON = 1_800_000_000


def logins(place, token=TOKEN, days=0):
    return Logins(token, place / ENDED, lambda: NOON + days * 86400)


# The cookie


def test_a_cookie_opens_until_it_is_a_month_old(tmp_path):
    cookie = logins(tmp_path).begin()

    assert [logins(tmp_path, days=days).is_open(cookie) for days in (0, DAYS - 0.1, DAYS)] == [
        True,
        True,
        False,
    ]


def test_every_cookie_is_another_one_and_tells_nothing_of_the_token(tmp_path):
    cookies = {logins(tmp_path).begin() for _ in range(10)}

    assert (len(cookies), [one for one in cookies if TOKEN in one]) == (10, [])


@pytest.mark.parametrize("change", [lambda one: "0" + one[1:], lambda one: one.replace(".1", ".2"),
    lambda one: one[:-1], lambda one: one + "0", lambda one: one.rpartition(".")[0], lambda one: one + ".\u00e9",
    lambda _: "", lambda _: "..", lambda _: "a.\u0661.b", lambda _: f"a.{'9' * 5000}.b"])  # fmt: skip
def test_a_cookie_that_was_changed_opens_nothing(tmp_path, change):
    changed = change("1" + logins(tmp_path).begin())

    assert not logins(tmp_path).is_open(changed)


def test_another_token_makes_every_cookie_worthless(tmp_path):
    assert not logins(tmp_path, "another token").is_open(logins(tmp_path).begin())


def test_a_cookie_that_was_taken_back_opens_nothing_also_after_a_restart_and_beside(tmp_path):
    beside, one = logins(tmp_path), logins(tmp_path)
    kept, ended = one.begin(), one.begin()
    assert beside.is_open(ended)
    one.end(ended)

    assert [found.is_open(ended) for found in (one, beside, logins(tmp_path))] == [False] * 3
    assert [found.is_open(kept) for found in (one, beside, logins(tmp_path))] == [True] * 3


def test_what_has_ended_by_itself_is_forgotten(tmp_path):
    for days in (0, DAYS + 1):
        one = logins(tmp_path, days=days)
        one.end(one.begin())

    assert len((tmp_path / ENDED).read_text().splitlines()) == 1


def test_only_cookies_of_our_own_are_remembered_and_nobody_else_reads_them(tmp_path):
    one = logins(tmp_path)
    for cookie in ("", "a.1.b", logins(tmp_path, "another").begin(), one.begin()):
        one.end(cookie)
    file = tmp_path / ENDED

    assert (len(file.read_text().splitlines()), stat.S_IMODE(file.stat().st_mode)) == (1, 0o600)


def test_a_file_that_cannot_be_read_or_written_keeps_nobody_in_or_out(tmp_path, caplog):
    (tmp_path / ENDED).mkdir()
    one = logins(tmp_path)
    kept, ended = one.begin(), one.begin()
    one.end(ended)

    assert [one.is_open(cookie) for cookie in (kept, ended)] == [True, False]
    assert {"the logouts cannot be read", "a logout is not remembered"} == set(caplog.messages)


# Over HTTP


@pytest.fixture
def locked(tmp_path):
    with served(tmp_path / "data", token=TOKEN) as running:
        yield running


def log_in(server, token=TOKEN):
    return server.ask("/login", "POST", f"token={quote(token)}", authorization="")


def cookie_of(answer):
    return {"authorization": "", "cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_who_logs_out_has_logged_out_at_the_server_too_and_nobody_else(locked):
    mine, other = cookie_of(log_in(locked)), cookie_of(log_in(locked))
    assert locked.ask("/logout", "POST", **mine).status == 303

    assert [locked.ask("/api/sessions", **one).status for one in (mine, other)] == [401, 200]


@pytest.mark.parametrize(
    "wrong",
    [
        b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 11\r\n\r\ntoken=guess",
        b"GET /api/sessions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer guess\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer guess\r\n\r\n",
    ],
    ids=["form", "API", "page"],
)
def test_who_shows_a_wrong_token_waits_and_keeps_nobody_else_waiting(locked, monkeypatch, wrong):
    waits, over = Event(), Event()

    async def delay():
        waits.set()
        await asyncio.to_thread(over.wait)

    monkeypatch.setattr(tokens, "_delay", delay)
    with closing(socket.create_connection(("127.0.0.1", locked.port))) as guesser:
        guesser.sendall(wrong)
        waits.wait()
        statuses = [log_in(locked).status, locked.ask("/").status, locked.ask("/", authorization="").status]
        answered = select.select([guesser], [], [], 0)[0]
        over.set()
        printed = guesser.recv(12)

    assert (statuses, answered, printed) == ([303, 200, 401], [], b"HTTP/1.1 401")


def test_who_shows_a_wrong_token_is_locked_out_in_the_end(locked, monkeypatch):
    monkeypatch.setattr(tokens, "DELAY", 0.01)

    assert [log_in(locked, "guess").status, locked.ask("/", authorization="Bearer guess").status] == [401, 401]


# Where the token comes from


@pytest.fixture
def written(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


def test_the_token_is_the_commands_or_the_environments_or_one_that_systemd_hands_over(written):
    handed = written.parent / CREDENTIAL
    handed.write_text("handed over by systemd")
    environment = {"CREDENTIALS_DIRECTORY": str(written.parent)}

    assert read_token(None, None, {}) is None
    assert read_token(None, None, environment) == "handed over by systemd"
    environment["TRACKER_TOKEN_FILE"] = str(written)
    assert read_token(None, None, environment) == TOKEN
    environment["TRACKER_TOKEN"] = "that of the environment"
    assert read_token(None, None, environment) == "that of the environment"
    assert read_token(None, written, environment) == TOKEN
    assert read_token("that of the command", None, environment) == "that of the command"


@pytest.mark.parametrize(
    ("given", "content", "words"),
    [
        ("x" * (LEAST - 1), None, "the token has fewer than 16 characters"),
        (None, b" \n", "the token has fewer than 16 characters"),
        (None, None, "the token cannot be read: No such file"),
        (None, b"\xff" * 20, "the token cannot be read: it is not text"),
        (TOKEN, b"another token of length", "both given"),
    ],
)
def test_a_token_that_is_none_is_refused_with_a_hint(tmp_path, given, content, words):
    file = None if given and content is None else tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        read_token(given, file, {})

    assert caught.value.hint


def test_a_server_takes_its_token_from_a_file(tmp_path, written):
    with serving(tmp_path / "data", "--insecure-no-verify", "--token-file", written) as server:
        assert server.ask("/webhooks", "POST", webhook("session-started", sessionId="s")).status == 204
        statuses = [
            server.ask("/api/openapi.json", authorization=f"Bearer {one}").status for one in (TOKEN, "no")
        ]
        seen = Path("/proc", str(server.process.pid), "cmdline").read_bytes()

        assert (statuses, TOKEN.encode() in seen) == ([200, 401], False)
