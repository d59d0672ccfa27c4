"""Posting to a handler that closes its connections: nothing is lost, and nothing comes twice without a word of it."""

import socket
import threading
from collections import Counter
from contextlib import closing, contextmanager

import pytest
from waiting import BOUND

from projections.exports import send
from projections.exports.send import Sent
from tracker.delivery.envelope import Received
from tracker.errors import UsageError

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
WEBHOOKS = [Received(b'{"number":%d}' % number) for number in range(4)]


class Handler:
    """Does with each request what comes next in its list: to answer, or to close before or after that."""

    def __init__(self, *plan):
        self.plan, self.bodies, self.closed = list(plan), [], threading.Semaphore(0)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/"

    def run(self):
        while self.plan:
            with closing(self.listening.accept()[0]) as connection:
                self.serve(connection)
            self.closed.release()

    def serve(self, connection):
        while self.plan:
            if not self.read(connection):
                return
            todo = self.plan.pop(0)
            if todo != "leave":
                connection.sendall(ANSWER)
            if todo != "answer":
                return

    def read(self, connection):
        """Whether there was a request, which then is among the bodies."""
        request = b""
        while not request.endswith(b"}"):
            request += connection.recv(1 << 16) or b"}"
        if request != b"}":
            self.bodies.append(request.rpartition(b"\r\n\r\n")[2])
        return request != b"}"


@contextmanager
def handler(*plan):
    handling = Handler(*plan)
    thread = threading.Thread(target=handling.run, daemon=True)
    thread.start()
    yield handling
    thread.join(BOUND)
    handling.listening.close()
    assert not thread.is_alive()


def sent(handling, webhooks=WEBHOOKS):
    return send.send(webhooks, handling.url, lambda _: "signature")


def after(closed, webhooks):
    """The webhooks, each once the connection of the one before it is closed."""
    for number, webhook in enumerate(webhooks):
        if number:
            assert closed.acquire(timeout=BOUND)
        yield webhook


def test_over_a_connection_that_stays_each_webhook_is_posted_once():
    with handler(*["answer"] * 4) as handling:
        assert sent(handling) == Sent(4)
    assert handling.bodies == [one.body for one in WEBHOOKS]


def test_where_the_handler_has_closed_the_connection_meanwhile_another_is_made_and_nothing_comes_twice():
    with handler(*["close"] * 4) as handling:
        assert sent(handling, after(handling.closed, WEBHOOKS)) == Sent(4)
    assert handling.bodies == [one.body for one in WEBHOOKS]


def test_where_a_used_connection_breaks_without_an_answer_the_webhook_is_sent_again_and_that_is_counted():
    with handler("answer", "leave", "answer", "answer", "answer") as handling:
        assert sent(handling) == Sent(4, again=1)
    assert Counter(handling.bodies) == Counter(one.body for one in [*WEBHOOKS, WEBHOOKS[1]])


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch):
    monkeypatch.setattr(send, "IDLE", -1)
    monkeypatch.setattr(Handler, "serve", one_request)
    with handler(*["answer"] * 4) as handling:
        assert sent(handling) == Sent(4)
    assert handling.bodies == [one.body for one in WEBHOOKS]


def one_request(handling, connection):
    """Answers one request, then waits until the other side has closed."""
    handling.read(connection)
    handling.plan.pop(0)
    connection.sendall(ANSWER)
    assert connection.recv(1) == b""


def test_a_handler_that_answers_nothing_on_a_new_connection_is_reported():
    with (
        handler("answer", "leave", "leave") as handling,
        pytest.raises(UsageError, match="no answer") as caught,
    ):
        sent(handling)
    assert caught.value.hint.startswith("1 webhooks were posted before")


def test_an_address_at_fault_is_refused_without_its_password():
    with pytest.raises(UsageError) as caught:
        send.send(WEBHOOKS, "ftp://me:secret@host/x?token=secret", None)
    assert caught.value.place == "ftp://…@host/x?…"
