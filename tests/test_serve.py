"""``tracker serve`` as its senders meet it: a process of its own, real HTTP, real signatures, real signals."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from threading import Thread

import commands
import keys
import pytest
import stores
from meetings import line, rows, stored, webhook, write
from stores import opened
from traffic import (
    SPEED,
    Answers,
    bodies,
    contradictions,
    end_under_load,
    environment,
    numbered,
    post,
    request,
    serving,
)
from waiting import BOUND, until

from projections.views.rebuild import rebuild
from projections.web.server import MOST_HEADER, listen
from tracker.delivery import envelope
from tracker.delivery.webhook import parse
from tracker.intake.ingest import ingest
from tracker.intake.logs import Log
from tracker.intake.receiver import MAX_BODY, MAX_DISCARDED, RETRY_AFTER, SOURCE
from tracker.store.application import Tracker

BODY = webhook("session-started", sessionId="s", meetingId="m")
SHORT = "[rules]\nsession_idle = '1 s'\n"


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return keys.write_public(tmp_path_factory.mktemp("keys") / "key.pem")


@pytest.fixture(scope="module", params=["speed", pytest.param("plain", marks=pytest.mark.slow)])
def server(request, key, tmp_path_factory):
    """A server that all tests of requests share, with what the extra ``speed`` brings, and without."""
    without = SPEED if request.param == "plain" else ()
    with serving(tmp_path_factory.mktemp("served"), "--key", key, without=without) as running:
        yield running


@pytest.fixture
def data(each_store, tmp_path):
    return tmp_path / "data"


def position(server):
    return server.metric("tracker_webhooks_stored_total")


def head(*lines, path="/webhooks", method="POST"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: localhost", *lines, "", ""]).encode()


def signed(body, *lines):
    return head(f"videosdk-signature: {keys.sign(body)}", *lines)


def locked(data):
    """Another process that writes, until it is closed."""
    return stores.locked(data)


def posting(server, answers, count):
    """Threads that post and wait for their answers, ``None`` where there is none; all of them are in the queue."""

    def one():
        answer = server.exchange(request(BODY))
        answers.append(answer and answer.status)

    threads = [Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    until(lambda: server.metric("tracker_webhooks_queued") == count)
    return threads


def finish(threads):
    for thread in threads:
        thread.join()


# What is stored


def test_a_signed_webhook_is_stored_and_the_answer_names_its_position(key, data):
    with serving(data, "--key", key) as server:
        answers = [server.post(BODY) for _ in range(3)]

    assert [answer.status for answer in answers] == [204] * 3
    assert [answer.headers["tracker-position"] for answer in answers] == ["1", "2", "3"]
    assert stored(data) == [BODY] * 3


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"[1]", b"\x00\xff\xfe", b'{"a":' * 5000, b'{"webhookType": 7}', b" " * MAX_BODY],
    ids=["empty", "no json", "no object", "no text", "deep", "no type", "as long as may be"],
)
def test_whatever_is_signed_is_stored_byte_for_byte(server, body):
    at = server.post(body).headers["tracker-position"]
    event = server.answered(f"/api/events/{at}?wait={at}").json

    assert (event["body"] or "") == ("" if event["body_base64"] else body.decode())
    assert server.ask(f"/api/events/{at}").json["source"] == SOURCE


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", "\u00e9", ""])
def test_the_content_type_does_not_matter(server, kind):
    assert server.post(BODY, content_type=kind.encode("latin-1")).status == 204


def test_a_body_in_chunks_is_stored_as_it_was_signed(server):
    half = len(BODY) // 2
    parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:half], BODY[half:], b"")]

    assert server.exchange(signed(BODY, "transfer-encoding: chunked"), *parts).status == 204


def test_who_asks_before_sending_a_body_gets_a_100_continue(server):
    wanted = signed(BODY, f"content-length: {len(BODY)}", "expect: 100-continue")
    with closing(socket.create_connection(server.address, timeout=BOUND)) as connection:
        connection.sendall(wanted)
        said = connection.recv(1000)
        connection.sendall(BODY)
        answered = connection.recv(1000)

    assert [text.split(b"\r\n")[0] for text in (said, answered)] == [
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 204 No Content",
    ]


# What is refused


REFUSED = {
    "another method": (405, head(method="GET")),
    "one that deletes": (405, head(method="DELETE")),
    "another path": (404, head("content-length: 0", path="/webhook")),
    "compressed": (415, signed(BODY, "content-encoding: gzip", f"content-length: {len(BODY)}") + BODY),
    "compressed twice": (415, signed(BODY, "content-encoding: identity, br", "content-length: 0")),
    "too long": (413, signed(b"", f"content-length: {MAX_BODY + 1}") + bytes(MAX_BODY + 1)),
    "far too long": (413, signed(b"", f"content-length: {10**12}")),
    "too long in chunks": (
        413, signed(b"", "transfer-encoding: chunked") + b"".join(
            b"%x\r\n%s\r\n" % (size, bytes(size)) for size in (MAX_BODY, 1, 0))),
    "endless": (
        413, signed(b"", "transfer-encoding: chunked") + b"%x\r\n" % 10**9 + bytes(MAX_DISCARDED + 1)),
    "no length": (400, signed(b"", "content-length: many")),
    "a length below nothing": (400, signed(b"", "content-length: -1")),
    "a length without end": (400, signed(b"", f"content-length: {'9' * 5000}")),
    "two lengths": (400, signed(b"", "content-length: 1", "content-length: 2")),
    "no HTTP": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "sent"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_webhook_is_refused_and_nothing_of_it_stored(server, status, sent):
    before = position(server)
    answer = server.exchange(sent)

    assert (answer.status, position(server)) == (status, before)
    assert server.post(BODY).status == 204


@pytest.mark.parametrize(
    "signature",
    [
        keys.sign(BODY, 1),
        keys.sign(BODY + b" "),
        "",
        "none",
        "not base64!",
        "\u00e9",
        keys.sign(BODY)[:-4],
        None,
    ],
    ids=["another key", "another body", "empty", "short", "not base64", "not ascii", "cut", "missing"],
)
def test_whatever_is_wrong_with_a_signature_the_answer_is_the_same_and_counted(server, signature):
    failed, before = server.metric("tracker_signature_failures_total"), position(server)
    headers = {} if signature is None else {"videosdk-signature": signature.encode("latin-1")}
    answer = server.ask("/webhooks", "POST", BODY, **headers)

    assert (answer.status, answer.json) == (401, {"status": 401, "detail": "The signature does not verify."})
    assert (server.metric("tracker_signature_failures_total"), position(server)) == (failed + 1, before)


def test_a_header_of_a_megabyte_is_refused_and_nobody_else_notices(server):
    answer = server.exchange(head("x: " + "x" * 1_000_000))

    assert answer is None or answer.status == 400
    assert server.post(BODY).status == 204


def test_a_header_that_just_fits_is_accepted(server):
    body = b"x"
    sent = signed(body, "x: " + "x" * (MOST_HEADER - 1000), "content-length: 1")

    assert server.exchange(sent, body).status == 204


def test_a_body_that_breaks_off_is_not_stored_and_counted(server):
    refused = 'tracker_webhooks_refused_total{reason="disconnected"}'
    before, had = server.metric(refused), position(server)
    with closing(socket.create_connection(server.address)) as connection:
        connection.sendall(request(BODY)[:-1])
    until(lambda: server.metric(refused) == before + 1)

    assert position(server) == had


def test_a_connection_lives_on_after_what_was_refused(server):
    connection = socket.create_connection(server.address, timeout=BOUND)
    with closing(connection), connection.makefile("rb") as answers:
        statuses = []
        for sent in (request(BODY, ""), request(BODY), request(BODY, path="/nothing"), request(BODY)):
            connection.sendall(sent)
            statuses.append(answers.readline().split()[1])
            length = [int(text.split()[1]) for text in iter(answers.readline, b"\r\n") if b"-length" in text]
            answers.read(sum(length))

    assert statuses == [b"401", b"204", b"404", b"204"]


def test_those_who_send_nothing_or_not_all_keep_nobody_waiting(server):
    with ExitStack() as slow:
        for number in range(100):
            connection = slow.enter_context(closing(socket.create_connection(server.address)))
            connection.sendall(request(BODY)[: number * 5])
        assert [server.post(BODY).status for _ in range(10)] == [204] * 10


@pytest.mark.slow
def test_who_says_nothing_is_let_go_and_who_sends_half_a_body_gets_a_408(server):
    half = request(BODY)
    with ExitStack() as slow:
        connections = [slow.enter_context(closing(socket.create_connection(server.address))) for _ in range(4)]
        for connection, sent in zip(connections, (b"", b"POST", half[:60], half[:-1]), strict=True):
            connection.settimeout(BOUND)
            connection.sendall(sent)
        arrived = [connection.recv(100).split(b"\r\n")[0] for connection in connections]

    assert arrived == [b"", b"", b"", b"HTTP/1.1 408 Request Timeout"]


def test_a_connection_sends_what_it_has_at_once():
    with closing(listen("127.0.0.1", 0)) as listening:
        with closing(socket.create_connection(listening.getsockname())):
            accepted, _ = listening.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.slow_on_postgres
def test_types_that_nobody_knows_do_not_make_the_metrics_grow(data):
    def traffic(first, last):
        for number in range(first, last):
            body = webhook(f"unknown-{number}", sessionId="s")
            yield body, request(body, "")

    with serving(data, "--insecure-no-verify") as server:
        sizes, answers = [], Answers()
        for first, last in ((0, 1), (1, 300)):
            asyncio.run(post(server.address, traffic(first, last), answers))
            server.answered(f"/api/sessions?wait={len(answers.stored)}")
            sizes.append(len(server.ask("/metrics").body.splitlines()))

    assert (answers.statuses, sizes[1]) == ({204: 300}, sizes[0])


@pytest.mark.slow_on_postgres
def test_the_log_tells_each_failure_in_a_line_and_a_flood_in_few_and_nothing_of_what_was_sent(data, key):
    secret = webhook("participant-joined", participantName="Ruth-the-secret")
    with serving(data, "--key", key) as server:
        for _ in range(200):
            server.ask("/webhooks", "POST", secret, videosdk_signature="c2VjcmV0")
        server.ask("/" + "x" * 5000 + "%0A%1b")
        server.stop()
    printed = "".join(server.printed[1:])

    assert [printed.count(words) for words in ("Ruth", "c2VjcmV0", "\x1b", "x" * 100)] == [0] * 4
    assert 'event="request failed" method=POST path=/webhooks status=401 reason=signature' in printed
    more = [int(text.split()[0]) for text in printed.split("more=")[1:]]
    assert sum(more) + printed.count('event="request failed"') == 201
    assert printed.count("\n") < 50


# Bad days


def test_a_full_disk_is_answered_with_503_and_said_and_all_goes_on_when_there_is_room(small_disk, key):
    body = webhook("recording-stopped", sessionId="s", fileUrl="x" * 100_000)
    with serving(small_disk / "data", "--key", key) as server:
        statuses = []
        while not statuses or statuses[-1] == 204:
            statuses.append((refused := server.post(body)).status)
        said = server.ask("/readyz").json
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        again = server.post(BODY)
        server.has_printed("the store is back")
        printed = "".join(server.printed)
        until(lambda: server.ask("/readyz").status == 200)
        server.stop()

    assert (refused.status, refused.headers["retry-after"]) == (503, str(RETRY_AFTER))
    assert ('event="not stored" error="the disk is full"' in printed, said["ready"]) == (True, False)
    assert again.status == 204
    assert stored(small_disk / "data") == [body] * (len(statuses) - 1) + [BODY]


def test_who_comes_while_another_process_writes_is_stored_once_that_is_done(data, key):
    with serving(data, "--key", key) as server:
        answers = []
        with locked(data):
            waiting = posting(server, answers, 9)
            assert (answers, server.ask("/healthz").status) == ([], 200)
        finish(waiting)

    assert (answers, stored(data)) == ([204] * 9, [BODY] * 9)


@pytest.mark.slow_on_postgres
def test_a_log_may_be_ingested_while_webhooks_come(data, key, tmp_path):
    log = [line(body, 0) for body in bodies(3)]
    with serving(data, "--key", key) as server:
        with closing(opened(data)) as store:
            for _ in ingest(store, Log(str(write(tmp_path / "log", log)))):
                server.post(BODY)
            last = store.last_position()
        items = server.answered(f"/api/sessions?wait={last}&limit=1000").json["items"]

    assert sum(one["deliveries"] for one in items) + unrouted(data) == last


def unrouted(data):
    with closing(opened(data)) as store:
        return sum(1 for _ in store.unrouted())


def test_receive_times_do_not_go_back_over_a_restart_when_the_clock_has(data, key):
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=4)
    with closing(opened(data, create=True)) as store:
        store.append([parse(envelope.Received(BODY, ahead, SOURCE), 0)])
    with serving(data, "--key", key) as server:
        server.post(BODY)
        server.has_printed("the clock is behind")
    with closing(opened(data)) as store:
        assert [one.received_at for one in store.deliveries()] == [ahead, ahead]


@pytest.mark.slow_on_postgres
def test_what_rests_on_absence_is_settled_by_the_clock_when_nothing_comes(data, key, tmp_path):
    (tmp_path / "tracker.toml").write_text(SHORT)
    with serving(data, "--key", key, cwd=tmp_path) as server:
        server.post(BODY)
        until(lambda: server.items("/api/findings?code=T304"))
        (session,) = server.ask("/api/sessions").json["items"]

    assert (session["state"], session["deliveries"]) == ("presumed-ended", 1)


def test_the_state_is_there_for_who_waits_for_what_they_wrote(server):
    at = server.post(webhook("session-started", sessionId="awaited")).headers["tracker-position"]
    (first, *_) = server.answered(f"/api/sessions?wait={at}").json["items"]

    assert (first["session_id"], first["last_position"]) == ("awaited", int(at))


# Signals


@pytest.mark.slow_on_postgres
def test_keys_are_exchanged_by_sighup_and_a_broken_file_leaves_the_old_ones(data, tmp_path):
    file = keys.write_public(tmp_path / "key.pem")
    with serving(data, "--key", file) as server:
        statuses = [[server.post(BODY, number).status for number in (0, 1)]]
        for written, said in (
            (keys.pem(1), "the keys were read again"),
            (b"half a fi", "the keys stay as they were"),
            (keys.pem(0) + keys.pem(1), "keys=2"),
        ):
            file.write_bytes(written)
            server.process.send_signal(signal.SIGHUP)
            server.has_printed(said)
            statuses.append([server.post(BODY, number).status for number in (0, 1)])

    assert statuses == [[204, 401], [401, 204], [401, 204], [204, 204]]


@pytest.mark.slow_on_postgres
def test_rules_are_exchanged_by_sighup_and_a_broken_file_leaves_the_old_ones(data, key, tmp_path):
    file = tmp_path / "tracker.toml"
    file.write_text("")
    with serving(data, "--key", key, cwd=tmp_path) as server:
        server.post(BODY)
        until(lambda: server.items("/api/sessions"))
        file.write_text("[rules]\nsession_idle = 'long'\n")
        server.process.send_signal(signal.SIGHUP)
        server.has_printed("the rules stay as they were")
        assert server.items("/api/findings") == []
        file.write_text(SHORT)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: [one["code"] for one in server.items("/api/findings")] == ["T304"])


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_gentle_stop_stores_what_was_begun_and_all_that_was_acknowledged_is_there(data, key, sent):
    requests = numbered(bodies(8))
    answers, code = end_under_load(data, key, requests, sent=sent, enough=400)

    assert (code, set(answers.statuses), len(answers.stored) >= 400) == (0, {204}, True)
    assert (contradictions(data, 0, answers), len(stored(data))) == ([], len(answers.stored))


@pytest.mark.slow_on_postgres
def test_what_waits_when_the_server_is_to_stop_is_still_stored_and_answered(data, key):
    with serving(data, "--key", key) as server:
        answers = []
        with locked(data):
            waiting = posting(server, answers, 2)
            server.process.send_signal(signal.SIGTERM)
            until(lambda: is_closed(server.address))
        code = server.process.wait(timeout=BOUND)
        finish(waiting)

    assert (code, answers, stored(data)) == (0, [204] * 2, [BODY] * 2)


@pytest.mark.slow_on_postgres
def test_a_second_signal_stops_at_once(data, key):
    with serving(data, "--key", key) as server, locked(data):
        waiting = posting(server, answers := [], 2)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: is_closed(server.address))
        code = server.stop()
        finish(waiting)

    assert (code, answers, stored(data)) == (128 + signal.SIGTERM, [None] * 2, [])


def is_closed(address):
    try:
        socket.create_connection(address).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.slow
def test_whatever_was_acknowledged_before_a_kill_is_stored_exactly_once(data, key):
    requests = numbered(bodies(8))
    with closing(opened(data, create=True)):
        pass
    for _ in range(3):
        before = len(stored(data))
        answers, code = end_under_load(data, key, requests, enough=400)

        assert (code, len(answers.stored) >= 400) == (-signal.SIGKILL, True)
        assert contradictions(data, before, answers) == []


# How it is started


@pytest.mark.slow_on_postgres
def test_that_nothing_is_verified_is_said_and_can_be_seen(data):
    with serving(data, "--insecure-no-verify") as server:
        server.has_printed("signatures are not verified")
        assert server.ask("/webhooks", "POST", BODY).status == 204
        assert server.metric("tracker_signatures_verified") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "there is no key to verify signatures with"),
        (["--key", "KEY", "--insecure-no-verify"], "contradict each other"),
        (["--key", "nowhere.pem"], "nowhere.pem: cannot be read"),
        (["--key", "KEY", "--host", "0.0.0.0"], "other machines can reach this address, and there is no token"),
        (
            ["--insecure-no-verify", "--host", "::"],
            "other machines can reach this address, and there is no token",
        ),
        (["--key", "KEY", "--host", "no such host", "--token", "t" * 16], "cannot listen"),
        (["--key", "KEY", "--port", "70000"], "70000 is not in the range"),
    ],
)
@pytest.mark.slow_on_postgres
def test_what_cannot_be_served_is_refused_with_a_hint(data, key, arguments, words):
    said = printed_without_serving(data, *(str(key) if one == "KEY" else one for one in arguments))

    assert (said.returncode, words in said.stderr, "hint: " in said.stderr) == (2, True, True)


def test_a_port_that_is_taken_is_named(server, data, key):
    host, port = server.address
    said = printed_without_serving(data, "--key", str(key), "--port", str(port))

    assert (said.returncode, f"{host}:{port}: cannot listen" in said.stderr) == (2, True)


def printed_without_serving(data, *arguments):
    return commands.run("serve", "--data", data, *arguments, cwd=data.parent, text=True)


@pytest.mark.slow_on_postgres
def test_with_a_token_it_is_reached_from_elsewhere_and_webhooks_need_none(data, key):
    with serving(data, "--key", key, "--host", "0.0.0.0", TRACKER_TOKEN="a secret of some length") as server:
        statuses = [
            server.post(BODY).status,
            server.ask("/api/sessions?wait=1").status,
            server.answered("/api/sessions?wait=1", authorization="Bearer a secret of some length").status,
        ]

    assert statuses == [204, 401, 200]


@pytest.mark.slow_on_postgres
def test_keys_may_come_from_the_environment(data, key, tmp_path):
    other = keys.write_document(tmp_path / "other.json", 1)
    with serving(data, TRACKER_KEYS=f"{key}{os.pathsep}{other}") as server:
        assert [server.post(BODY, number).status for number in (0, 1, 2)] == [204, 204, 401]


# Several of them


@pytest.mark.slow
def test_any_number_receive_and_any_number_answer_of_the_same_store(data, key, tmp_path):
    with ExitStack() as running:
        started = [
            running.enter_context(serving(data, "--role", "receiver", "--key", key, views=tmp_path / "none"))
            for _ in range(2)
        ]
        readers = [
            running.enter_context(serving(data, "--role", "reader", views=tmp_path / name)) for name in "ab"
        ]
        bodies = [webhook("session-started", sessionId=f"s{number}", meetingId="m") for number in range(20)]
        for number, body in enumerate(bodies):
            assert started[number % 2].post(body).headers["tracker-position"] == str(number + 1)
        arrived = [one.answered("/api/sessions?wait=20&limit=100").json["items"] for one in readers]
        until(lambda: [one.ask("/readyz").status for one in (*started, *readers)] == [200] * 4)

        assert arrived[0] == arrived[1]
        assert {one["session_id"] for one in arrived[0]} == {f"s{number}" for number in range(20)}
        assert [one.metric("tracker_lag_deliveries") for one in readers] == [0, 0]
        assert [one.metric("tracker_webhooks_stored_total") for one in started] == [10, 10]
        assert (readers[0].post(BODY).status, started[0].ask("/api/sessions").status) == (404, 404)
        assert [one.stop() for one in (*started, *readers)] == [0] * 4


def test_a_reader_makes_no_store_and_takes_no_key(data, key):
    missing = printed_without_serving(data, "--role", "reader")
    given = printed_without_serving(data, "--role", "reader", "--key", str(key))

    assert (missing.returncode, "there is no store" in missing.stderr) == (3, True)
    assert (given.returncode, "--role reader receives no webhooks" in given.stderr) == (2, True)


# What is sent is judged as what is ingested


@pytest.mark.slow
def test_what_simulate_sends_is_judged_as_its_log_received_then(data, key, tmp_path):
    """The receive times are those of the sending, so the log it is compared with has these."""
    private, log = keys.write_private(tmp_path / "private.pem"), tmp_path / "log.jsonl"
    simulated = ("simulate", "--meetings", "12", "--faults", "0.5", "--out", log, "--key", private)
    with serving(data, "--key", key) as server:
        tracker(*simulated, "--send", f"{server.url}/webhooks")
    sent = [one.received("").body for one in Log(str(log)).lines()]
    assert stored(data) == sent

    received = tmp_path / "received.jsonl"
    received.write_bytes(tracker("export", *stores.arguments(data)))
    tracker("ingest", received, "--data", tmp_path / "other")
    with closing(opened(data)) as one, closing(Tracker.open(tmp_path / "other")) as other:
        assert rows(rebuild(one, path=tmp_path / "one.db")) == rows(rebuild(other, path=tmp_path / "two.db"))


def tracker(*arguments):
    command = [sys.executable, "-m", "projections", *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, check=True).stdout
