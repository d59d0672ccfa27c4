"""What the server does about those who hold connections: real sockets, and limits that a test can wait for."""

import asyncio
import json
import resource
import socket
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from threading import Thread, Timer
from time import sleep

import pytest
from meetings import webhook
from served import PATIENCE, until
from stores import opened
from traffic import SPEED, Served, environment

from projections.views.live import Live
from projections.web import connections, fast, logs, server, tokens
from projections.web.admission import MOST_HEADER
from projections.web.app import create_app
from tracker.intake import receiver
from tracker.rules import Rules

BODY = webhook("session-started", sessionId="s", meetingId="m")
LOGIN = b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n"
FOREVER = 1000.0


@pytest.fixture(autouse=True, params=["speed", "plain"])
def protocol(request, monkeypatch):
    """With what the extra ``speed`` brings, and without."""
    if request.param == "plain":
        for name in SPEED:
            monkeypatch.setitem(sys.modules, name, None)
    return request.param


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """Nobody is waited for less than for ever, unless a test says so."""
    for module, name in (
        (connections, "HEADER_TIMEOUT"),
        (connections, "BODY_LIMIT"),
        (connections, "WRITE_TIMEOUT"),
        (receiver, "BODY_TIMEOUT"),
        (tokens, "BODY_TIMEOUT"),
    ):
        monkeypatch.setattr(module, name, FOREVER)
    monkeypatch.setattr(server, "LOOK", 0.02)


@contextmanager
def serving(data, most=connections.MOST_CONNECTIONS, token=None):
    """The server of ``tracker serve`` in a thread."""
    with closing(opened(data, create=True)) as tracker, closing(server.listen("127.0.0.1", 0)) as listening:
        live = Live(tracker, Rules, lambda: datetime.now(UTC))
        app = create_app(
            tracker, receiver.Receiver(tracker.append, {None: None}), live, token=token, most_connections=most
        )
        running = server.Server(app, logs.Handler(sys.stderr))

        def run():
            with asyncio.Runner(loop_factory=fast.event_loop()) as runner:
                runner.run(running.serve(sockets=[listening]))

        thread = Thread(target=run)
        thread.start()
        try:
            until(lambda: running.started and live.views_path.exists())
            yield Served(server.url(listening), running)
        finally:
            running.should_exit = True
            thread.join()


@contextmanager
def sockets(served, count, sent=b""):
    """Connections over which this is sent, and nothing more."""
    with ExitStack() as held:
        found = [held.enter_context(closing(socket.create_connection(served.address))) for _ in range(count)]
        for one in found:
            one.sendall(sent)
        yield found


def connected(served):
    return len(served.process.server_state.connections)


def is_over(connection):
    """Waits for the end of what the server sends, and gives it, also where a reset is behind it."""
    connection.settimeout(PATIENCE)
    came = []
    with suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            came.append(piece)
    return b"".join(came)


def posted(served):
    return served.ask("/webhooks", "POST", BODY).status


# How long somebody is waited for


@pytest.mark.parametrize("sent", [b"", b"GET / HT", LOGIN[:-4]])
def test_who_does_not_send_the_head_of_a_request_is_let_go(tmp_path, monkeypatch, sent):
    monkeypatch.setattr(connections, "HEADER_TIMEOUT", 0.1)
    with serving(tmp_path) as served, sockets(served, 2, sent) as held:
        assert [is_over(one) for one in held] == [b""] * 2


@pytest.mark.parametrize("path", ["/login", "/webhooks"])
def test_who_does_not_send_the_body_gets_a_408_and_is_let_go(tmp_path, monkeypatch, path):
    monkeypatch.setattr(tokens, "BODY_TIMEOUT", 0.1)
    monkeypatch.setattr(receiver, "BODY_TIMEOUT", 0.1)
    with serving(tmp_path) as served, sockets(served, 1, LOGIN.replace(b"/login", path.encode())) as (one,):
        answer = is_over(one)

    assert (answer.split()[1], b"connection: close" in answer) == (b"408", True)


@pytest.mark.parametrize("path", ["/login", "/webhooks", "/api/changes"])
def test_whatever_is_asked_for_its_body_is_not_waited_for_for_ever(tmp_path, monkeypatch, path):
    monkeypatch.setattr(connections, "BODY_LIMIT", 0.1)
    method = b"GET" if path == "/api/changes" else b"POST"
    sent = LOGIN.replace(b"POST /login", method + b" " + path.encode())
    with serving(tmp_path) as served, sockets(served, 3, sent):
        until(lambda: connected(served) == 0)


@pytest.mark.parametrize("sent", [b"GET /", b"GET / HTTP/1.1\r\nx-long: "], ids=["path", "header"])
def test_a_head_that_does_not_end_is_refused(tmp_path, sent):
    with serving(tmp_path) as served, sockets(served, 1, sent) as (one,):
        with suppress(ConnectionError):
            for _ in range(2 * MOST_HEADER // 1000):
                one.sendall(b"x" * 1000)
                sleep(0.001)
        assert is_over(one).split(b" ", 2)[1:2] in (
            [],
            [b"400"],
        )  # where it is still sent, its answer may be lost


def test_requests_that_are_sent_at_once_are_answered_in_their_order(tmp_path):
    ask = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    post = b"POST /webhooks HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(BODY)
    with serving(tmp_path) as served, sockets(served, 1, (ask + post + BODY) * 3 + ask[:-4]) as (one,):
        until(
            lambda: (
                b"HTTP/1.1 204" in (found := one.recv(1 << 16, socket.MSG_PEEK))
                and found.count(b"HTTP/1.1") == 6
            )
        )
        statuses = [line.split()[1] for line in one.recv(1 << 16).splitlines() if line.startswith(b"HTTP")]

    assert statuses == [b"200", b"204"] * 3


def test_nobody_believes_that_what_stands_behind_an_upgrade_was_taken(tmp_path, protocol):
    post = b"POST /webhooks HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n" % len(BODY)
    first = post + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n" + BODY
    last = post + b"connection: close\r\n\r\n" + BODY
    with serving(tmp_path) as served, sockets(served, 1, first + last) as (one,):
        with suppress(ConnectionError):
            one.sendall(b"GET")
        answers = is_over(one).lower().split(b"http/1.1 ")[1:]
    said = [(answer[:3], b"connection: close" in answer) for answer in answers]
    assert said == ([] if protocol == "speed" else [(b"204", False)]) + [(b"204", True)]


def test_the_server_reads_and_loops_by_what_is_installed(protocol):
    fast_one = protocol == "speed"
    assert (fast.protocol() is not connections.PatientH11, fast.event_loop() is not asyncio.new_event_loop) == (
        fast_one,
        fast_one,
    )


def test_who_breaks_off_a_form_is_no_error_of_the_program(tmp_path, capsys):
    with serving(tmp_path) as served, sockets(served, 1, LOGIN + b"to"):
        pass

    assert "Exception" not in capsys.readouterr().err


def test_who_does_not_take_the_answer_is_let_go(tmp_path, monkeypatch):
    asked = b"GET /static/htmx.min.js HTTP/1.1\r\nhost: localhost\r\n\r\n" * 400
    with serving(tmp_path) as served, small(served) as one:
        one.sendall(asked)
        until(lambda: connected(served) == 1)
        monkeypatch.setattr(connections, "WRITE_TIMEOUT", 0.5)
        until(lambda: connected(served) == 0)


@pytest.mark.parametrize(
    ("owed", "stuck"),
    [
        ([0, 0, 0, 0], False),
        ([90_000] * 4, True),
        ([90_000, 100_000, 110_000, 120_000], True),
        ([90_000, 89_000, 88_000, 87_000], True),
        ([90_000, 70_000, 50_000, 30_000], False),
        ([9_000, 9_000, 0, 9_000], False),
        ([9_000, 8_000, 7_000, 6_000], True),
    ],
)
def test_who_reads_at_least_something_in_the_time_is_waited_for(monkeypatch, owed, stuck):
    """Looked at every six seconds; ten may pass."""
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", 10)
    reading = connections.Reading()

    assert [reading.is_stuck(size, 6 * place) for place, size in enumerate(owed)][-1] is stuck


def test_an_answer_that_goes_on_is_read(monkeypatch):
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", 10)
    reading, found = connections.Reading(), []
    for place in range(4):
        reading.went_on = True
        found.append(reading.is_stuck(60_000, 6 * place))

    assert found == [False] * 4


@contextmanager
def small(served):
    """A connection that takes little at a time."""
    with closing(socket.socket()) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(served.address)
        yield one


# How many there may be


@pytest.mark.parametrize("sent", [b"", b"GET / HT", LOGIN, LOGIN.replace(b"/login", b"/webhooks")])
def test_however_many_are_waited_for_webhooks_are_stored_and_the_server_is_said_to_live(tmp_path, sent):
    with serving(tmp_path, most=10) as served, sockets(served, 40, sent):
        answers = [(posted(served), served.ask("/healthz").status) for _ in range(5)]

        assert answers == [(204, 200)] * 5
        until(lambda: connected(served) <= 11)


def test_those_who_were_waited_for_the_longest_go_first(tmp_path):
    with serving(tmp_path, most=4) as served, sockets(served, 3) as early:
        until(lambda: connected(served) == 3)
        with sockets(served, 3) as late:
            gone = [is_over(one) for one in early[:2]]
            late[-1].sendall(LOGIN[:-2] + b"connection: close\r\n\r\ntoken=abc")
            answer = is_over(late[-1])

    assert (gone, answer.split()[1]) == ([b""] * 2, b"303")


def test_where_all_are_at_work_one_more_is_refused_with_a_retry_after(tmp_path):
    streams = b"GET /api/changes HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with serving(tmp_path, most=2) as served:
        with sockets(served, 1, streams) as (one,):
            one.recv(100)
            refused = served.ask("/api/changes")
            stored = posted(served)
        until(lambda: connected(served) == 0)
        again = served.ask("/api/sessions").status

    assert (refused.status, refused.headers["retry-after"], refused.headers["connection"]) == (
        503,
        "5",
        "close",
    )
    assert (stored, again) == (204, 200)


def test_a_connection_for_which_there_is_no_room_gets_a_503(tmp_path, monkeypatch):
    monkeypatch.setattr(connections.Patient, "waited_for", lambda *_: None)
    with serving(tmp_path, most=2) as served, sockets(served, 2):
        until(lambda: connected(served) == 2)
        answer = served.ask("/healthz")

    assert (answer.status, answer.headers["retry-after"], answer.json["title"]) == (
        503, "5", "Service Unavailable")  # fmt: skip


# As many as the system lets there be


def limited(soft, hard):
    """What is said of connections, and how many files may be open then, in a process that begins with these limits."""
    program = (
        "import json, resource\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from projections.web.connections import most_connections\n"
        "print(json.dumps([most_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment()
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(64, 64, [32, 64]), (64, 900, [700, 900]), (256, 4096, [1000, 1200]), (4096, 4096, [1000, 4096])],
)
def test_there_are_as_many_connections_as_files_may_be_open(soft, hard, expected):
    assert limited(soft, hard) == expected


def test_that_too_few_files_may_be_open_is_said_at_the_start(tmp_path):
    command = [sys.executable, "-m", "projections", "serve", "--data", tmp_path, "--insecure-no-verify"]
    process = subprocess.Popen(
        [*map(str, command), "--port", "0"],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)),  # noqa: PLW1509 - no threads yet
    )
    with process:
        late = Timer(PATIENCE, process.kill)
        late.start()
        said = next((line for line in process.stderr if "this process may open" in line), "")
        late.cancel()
        process.kill()

    assert (
        said
        == "note: this process may open 128 files, so it accepts 64 connections at a time instead of 1,000\n"
    )
