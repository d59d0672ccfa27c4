"""What the receiver promises, where a fault must be put in: a store that fails, a full queue, another clock."""

import asyncio
import socket
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest
import stores
from meetings import stored, webhook
from served import served
from waiting import until

import tracker.store.recorder
from tracker.delivery.envelope import Received
from tracker.errors import StoreError
from tracker.intake import receiver
from tracker.intake.receiver import Histogram, Refused, Stats, Writer
from tracker.store.clock import Clock

BODY = webhook("session-started", sessionId="s", meetingId="m")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ticking(*seconds):
    """A clock that shows these seconds after noon, one after the other."""
    shown = iter(seconds)
    return lambda: NOON + timedelta(seconds=next(shown))


class Store:
    """Where a writer appends: counts, and holds the first transaction back until it is let go."""

    def __init__(self, *errors):
        self.errors, self.sizes, self.last = list(errors), [], 0
        self.held, self.let_go = Event(), Event()

    def append(self, batch):
        self.held.set()
        self.let_go.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.sizes.append(len(batch))
        self.last += len(batch)
        return range(self.last - len(batch) + 1, self.last + 1)


def put(store, count, stats=None):
    """What becomes of one delivery, and of others that come while it is being stored."""

    async def run():
        writer = Writer(store.append, stats or Stats())
        writer.start()
        first = writer.put(Received(BODY))
        store.held.wait()
        others = [writer.put(Received(BODY)) for _ in range(count - 1)]
        store.let_go.set()
        await writer.stop()
        with pytest.raises(Refused, match="stopping"):
            writer.put(Received(BODY))
        return await asyncio.gather(first, *others, return_exceptions=True)

    return asyncio.run(run())


# The clock


def test_receive_times_never_go_back():
    clock = Clock(source=ticking(0, 5, 3, -9, 5, 6))

    assert [(clock.now() - NOON).total_seconds() for _ in range(6)] == [0, 5, 5, 5, 5, 6]


def test_a_clock_goes_on_from_the_newest_time_that_was_given_before():
    clock = Clock(NOON + timedelta(seconds=4), ticking(0, 5))

    assert [(clock.now() - NOON).total_seconds() for _ in range(2)] == [4, 5]


def test_that_the_clock_went_back_is_said_once_each_time(caplog):
    clock = Clock(source=ticking(5, 3, 2, 5, 9, 8.5))
    for _ in range(6):
        clock.now()

    assert [record.fields["seconds"] for record in caplog.records] == ["2.000", "0.500"]


# The writer


def test_one_alone_is_stored_at_once_and_what_waits_meanwhile_in_few_transactions_in_order():
    count = 2 * receiver.BATCH + 2
    store, stats = Store(), Stats()

    assert put(store, count, stats) == list(range(1, count + 1))
    assert store.sizes == [1, receiver.BATCH, receiver.BATCH, 1]
    assert (stats.stored, stats.batch_sizes.sum) == (count, count)


@pytest.mark.parametrize("error", [StoreError("the disk is full"), ZeroDivisionError("quotes a body")])
def test_a_transaction_that_fails_is_refused_as_a_whole_and_the_next_one_is_tried(error, caplog):
    stats = Stats()
    refused, *others = put(Store(error), 3, stats)
    printed = [(record.getMessage(), record.fields) for record in caplog.records]

    assert (refused.reason, others, stats.stored) == ("store", [1, 2], 2)
    assert [words for words, _ in printed] == ["not stored", "the store is back"]
    assert "quotes" not in str(printed)


def test_a_histogram_counts_each_value_at_the_first_bound_that_holds_it():
    histogram = Histogram((1, 2))
    for value in (0, 1, 1.5, 2, 3):
        histogram.observe(value)

    assert (histogram.counts, histogram.sum) == ([2, 2, 1], 7.5)


# Over HTTP


@pytest.fixture
def server(each_store, tmp_path):
    with served(tmp_path / "data") as running:
        yield running


@contextmanager
def locked(server):
    """While another connection writes."""
    with stores.locked(server.tracker.data):
        yield


def posting(server, count, answers):
    """Threads that post and wait for their answers; the first one is in hand, the others wait in the queue."""

    def one():
        answers.append(server.ask("/webhooks", "POST", BODY).status)

    threads = [Thread(target=one) for _ in range(count)]
    for number, thread in enumerate(threads):
        thread.start()
        until(lambda: (server.receiver.queued, len(server.receiver._writer._waiting)) == (number + 1, number))  # noqa: B023 - it is called here
    return threads


@pytest.mark.parametrize(("limit", "value"), [("MAX_QUEUED", 2), ("MAX_QUEUED_BYTES", 2 * len(BODY))])
def test_what_the_queue_does_not_take_is_sent_away_until_the_store_is_free_again(
    server, monkeypatch, limit, value
):
    monkeypatch.setattr(receiver, limit, value)
    answers = []
    with locked(server):
        threads = posting(server, 3, answers)
        refused = server.ask("/webhooks", "POST", BODY)
    for thread in threads:
        thread.join()

    assert (refused.status, refused.headers["retry-after"], answers) == (503, "5", [204] * 3)
    assert server.receiver.stats.refused["queue-full"] == 1
    assert server.ask("/webhooks", "POST", BODY).headers["tracker-position"] == "4"


def test_a_store_that_is_held_for_too_long_is_answered_with_503_and_said(
    each_store, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(tracker.store.recorder, "LOCK_TIMEOUT", 1)
    with served(tmp_path) as server:
        with locked(server):
            refused = server.ask("/webhooks", "POST", BODY)
            problem = server.receiver.problem
        again = server.ask("/webhooks", "POST", BODY)

    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert problem == "another process has been writing for 1 s"
    assert (again.status, server.receiver.problem) == (204, "")
    assert "not stored" in caplog.messages


def test_who_leaves_before_the_answer_is_stored_all_the_same(server, tmp_path):
    with locked(server), socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            b"POST /webhooks HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
        )
        until(lambda: server.receiver.queued)
    until(lambda: server.receiver.stats.stored)

    assert stored(tmp_path / "data") == [BODY]


def test_a_body_that_does_not_come_in_time_is_refused_and_the_connection_closed(server, monkeypatch):
    monkeypatch.setattr(receiver, "BODY_TIMEOUT", 0.1)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /webhooks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n12345678")
        answer = connection.makefile("rb").read()

    assert (answer.split()[1], b"connection: close" in answer) == (b"408", True)
    assert server.receiver.stats.refused["timeout"] == 1
