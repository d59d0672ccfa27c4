"""Streams of NATS and Redis, on real servers: each message is stored once, whatever happens in between."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import keys
import ports
import pytest
from brokers import KINDS, broker
from commands import run, without_settings
from hypothesis import given
from hypothesis import strategies as st
from meetings import line, stored, webhook
from stores import opened
from waiting import BOUND, until

from tracker.errors import LogError, StoreError
from tracker.intake.consuming import Consumed, Stream, consume
from tracker.intake.redis_streams import BITS, RedisStream, offset_of
from tracker.intake.streams import address_of
from tracker.store.application import Tracker

NO_WEBHOOKS = [b"hello", b'{"level":"info"}', b"2026-11-23 started"]


def bodies(begin, end):
    return [
        webhook("participant-joined", sessionId=f"s{number}", participantId="p") for number in range(begin, end)
    ]


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory):
    with broker(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def hooks(server):
    """A stream in which nothing is."""
    return server.made()


@pytest.fixture(scope="module")
def nats(tmp_path_factory):
    with broker("nats", tmp_path_factory.mktemp("nats")) as running:
        yield running.made()


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with broker("redis", tmp_path_factory.mktemp("redis")) as running:
        yield running.made()


def consumed(hooks, home, *more, text=True):
    return run("consume", hooks.address, "--once", "--data", "data", *more, cwd=home, text=text)


def started(hooks, home):
    """``tracker consume`` in a process of its own."""
    command = [sys.executable, "-m", "projections", "consume", hooks.address, "--data", home / "data"]
    environment = {**without_settings(), "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    return subprocess.Popen(
        [*map(str, command)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def count(data):
    """How many events are stored, 0 where there is no store yet."""
    try:
        with closing(opened(data)) as store:
            return store.count()
    except StoreError:
        return 0


# What is stored


def test_each_message_is_stored_once_in_its_order_also_when_the_stream_grows(hooks, tmp_path):
    said = []
    for begin, end in ((0, 3), (3, 3), (3, 1200)):
        hooks.publish(bodies(begin, end))
        done = consumed(hooks, tmp_path)
        said.append(done.stdout.split("\n")[0].removeprefix(f"{hooks.address}: ").split(", at")[0])

    assert stored(tmp_path / "data") == bodies(0, 1200)
    assert [one.split(", ")[:2] for one in said] == [
        ["3 read", "3 stored"],
        ["0 read", "0 stored"],
        ["1,197 read", "1,197 stored"],
    ]


def test_a_message_without_a_receive_time_has_that_of_the_broker(hooks, tmp_path):
    hooks.publish([*bodies(0, 1), line(bodies(1, 2)[0], 7)])
    consumed(hooks, tmp_path)

    with closing(opened(tmp_path / "data")) as store:
        first, second = store.deliveries()
    assert abs(first.received_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert second.received_at == datetime(2026, 3, 2, 9, 0, 7, tzinfo=UTC)
    assert [one.received.source.rpartition(":")[0] for one in (first, second)] == [hooks.address] * 2


def test_the_signature_beside_a_message_is_verified(hooks, tmp_path):
    (body,) = bodies(0, 1)
    key = keys.write_public(tmp_path / "key.pem")
    for number in (0, 1):
        hooks.publish(
            [body], **{"videosdk-signature" if hooks.kind == "nats" else "signature": keys.sign(body, number)}
        )
    consumed(hooks, tmp_path, "--key", key, "--account", "acme")

    with closing(opened(tmp_path / "data")) as store:
        found = [(one.received.verified_by, one.received.account, one.body) for one in store.deliveries()]
    assert found == [(keys.name(key), "acme", body), ("", "acme", body)]


def test_messages_that_are_no_webhooks_are_kept_and_named(hooks, tmp_path):
    hooks.publish([*bodies(0, 5), *NO_WEBHOOKS[:1], b""])
    done = consumed(hooks, tmp_path)

    assert "1 of 6 messages is malformed; the first is message " in done.stderr
    assert "6 stored, 0 already there, 1 unrouted, 1 blank" in done.stdout
    assert stored(tmp_path / "data") == [*bodies(0, 5), b"hello"]


def test_a_stream_of_something_else_is_refused_unless_it_is_forced(hooks, tmp_path):
    hooks.publish(NO_WEBHOOKS)
    refused = consumed(hooks, tmp_path)
    assert (refused.returncode, "3 of its first 3 messages are no webhooks" in refused.stderr) == (2, True)
    assert stored(tmp_path / "data") == []

    assert consumed(hooks, tmp_path, "--force").returncode == 0
    assert len(stored(tmp_path / "data")) == 3


def test_what_was_removed_from_the_stream_before_it_was_read_is_named(hooks, tmp_path):
    hooks.publish(bodies(0, 2))
    assert "removed" not in consumed(hooks, tmp_path).stderr
    hooks.publish(bodies(2, 9))
    hooks.remove(2)
    done = consumed(hooks, tmp_path)

    assert "removed before they were read" in done.stderr
    assert stored(tmp_path / "data") == [*bodies(0, 2), *bodies(7, 9)]
    assert "removed" not in consumed(hooks, tmp_path).stderr


def test_a_stream_of_redis_that_was_begun_anew_under_the_same_key_is_refused(tmp_path, tmp_path_factory):
    with broker("redis", tmp_path_factory.mktemp("anew")) as running:
        hooks = running.made()
        hooks.publish(bodies(0, 2))
        assert consumed(hooks, tmp_path).returncode == 0
        with hooks.redis() as client:
            client.delete("hooks")
            client.xadd("hooks", {"body": bodies(2, 3)[0]}, "1-1")
        done = consumed(hooks, tmp_path)

    assert (done.returncode, "was begun anew: it ends at 1-1, and was read up to" in done.stderr) == (2, True)
    assert stored(tmp_path / "data") == bodies(0, 2)


def test_credentials_for_nats_must_be_a_file(nats, tmp_path, monkeypatch):
    monkeypatch.setenv("NATS_CREDS", str(tmp_path / "none"))
    done = consumed(nats, tmp_path)
    assert (done.returncode, f"{tmp_path / 'none'} is no file" in done.stderr) == (2, True)


def test_what_came_from_a_stream_can_be_withdrawn(hooks, tmp_path):
    hooks.publish(bodies(0, 2))
    consumed(hooks, tmp_path)
    done = run("withdraw", hooks.address, "--data", "data", cwd=tmp_path, text=True)

    assert (done.returncode, stored(tmp_path / "data")) == (0, [])


# Exactly once


@contextmanager
def stream_of(hooks):
    stream = Stream.at(address_of(hooks.address))
    with closing(stream.broker):
        yield stream


def read_all(store, stream):
    account = Consumed(log=stream)
    for _ in consume(store, account, lambda: False, once=True):
        pass
    return account


class Repeating:
    """A broker that delivers the last messages again each time."""

    def __init__(self, inner):
        self._inner, self.identity, self.name_of = inner, inner.identity, inner.name_of

    def close(self):
        self._inner.close()

    def read(self, after, wait):
        return self._inner.read(max(0, after - (2 << BITS)) if after >> BITS else max(0, after - 2), wait)


def test_what_the_broker_delivers_again_is_not_stored_again(each_store, hooks, tmp_path):
    with closing(opened(tmp_path, create=True)) as store, stream_of(hooks) as stream:
        stream.broker = Repeating(stream.broker)
        for begin in (0, 3):
            hooks.publish(bodies(begin, begin + 3))
            read_all(store, stream)
        assert [one.body for one in store.deliveries()] == bodies(0, 6)


def test_of_two_that_read_the_same_stream_one_passes_over_what_the_other_has_stored(
    each_store, hooks, tmp_path
):
    hooks.publish(bodies(0, 5))
    with closing(opened(tmp_path, create=True)) as store, stream_of(hooks) as slow, stream_of(hooks) as fast:
        read, others = slow.broker.read, []

        def overtaken(after, wait):
            batch = read(after, wait)
            others.append(read_all(store, fast).stored)
            return batch

        slow.broker.read = overtaken
        account = read_all(store, slow)
        assert [one.body for one in store.deliveries()] == bodies(0, 5)
    assert (others[0], account.stored, account.already_there) == (5, 0, 5)


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_stores_each_message_once(hooks, tmp_path):
    dice, published = random.Random(7), 0
    for _ in range(3):
        before = count(tmp_path / "data")
        hooks.publish(bodies(published, published + 1500))
        published += 1500
        process = started(hooks, tmp_path)
        until(lambda before=before: count(tmp_path / "data") > before)
        time.sleep(dice.uniform(0, 0.1))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    consumed(hooks, tmp_path)

    assert stored(tmp_path / "data") == bodies(0, published)
    assert run("verify", "--data", "data", cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_what_comes_is_stored_and_judged_until_sigterm_ends_it_gently(hooks, tmp_path):
    hooks.publish(bodies(0, 1))
    process = started(hooks, tmp_path)

    def sessions():
        listed = run("sessions", "--format", "json", "--data", "data", cwd=tmp_path).stdout
        return len(json.loads(listed or "[]"))

    until(lambda: sessions() == 1, every=0.2)
    hooks.publish(bodies(1, 3))
    until(lambda: sessions() == 3, every=0.2)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=BOUND)

    assert (process.returncode, f"{hooks.address}: 3 read, 3 stored" in said) == (0, True), said


def test_a_stream_of_nats_that_was_made_anew_is_another_one(nats, tmp_path):
    for begin in (0, 2):
        nats.made().publish(bodies(begin, begin + 2))
        consumed(nats, tmp_path)

    assert stored(tmp_path / "data") == bodies(0, 4)


def test_a_stream_of_nats_that_is_made_anew_while_it_is_read_ends_that(nats, tmp_path):
    nats.made().publish(bodies(0, 2))
    with Tracker.open(tmp_path, create=True) as store, stream_of(nats) as stream:
        read_all(store, stream)
        nats.made()
        with pytest.raises(LogError, match="was made anew"):
            read_all(store, stream)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**43 - 1), st.integers(0, 2**BITS - 1)), min_size=2, max_size=2, unique=True
    )
)
def test_offsets_of_redis_are_in_the_order_of_ids(pairs):
    offsets = [offset_of(f"{at}-{number}", "x") for at, number in pairs]

    assert (offsets[0] < offsets[1]) == (pairs[0] < pairs[1])
    assert [RedisStream.name_of(None, one) for one in offsets] == [f"{at}-{number}" for at, number in pairs]


# What cannot be read


@pytest.mark.parametrize("id", [f"{2**43}-0", f"0-{2**BITS}"])
def test_an_id_that_no_offset_holds_is_refused(id):
    with pytest.raises(LogError, match="is too high"):
        offset_of(id, "x")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("kafka://host/x", "is no address of a stream"),
        ("nats://host", "is no address of a stream"),
        ("nats:///x", "is no address of a stream"),
        ("hooks", "is no address of a stream"),
        ("redis://host:port/x", "is no address of a stream"),
        ("redis://me@host/x@y", "is no address of a stream"),
        ("nats://host/x?y=1", "is no address of a stream"),
        ("redis://host/x?db=a", "is no address of a stream"),
        ("redis://host/x?other=1", "is no address of a stream"),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_write(tmp_path, address, problem):
    done = run("consume", address, "--data", "data", cwd=tmp_path, text=True)

    assert (
        done.returncode,
        problem in done.stderr,
        "write redis://HOST" in done.stderr or "nats://HOST/STREAM" in done.stderr,
    ) == (2, True, True)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "address",
    [
        "redis://u:sEcret/PW@127.0.0.1/web",
        "redis://u:99/sEcret@127.0.0.1/web",
        "redis://u:99?sEcret@127.0.0.1/web",
        "redis://u:sEcret#PW@127.0.0.1/web",
        "redis://u:sEcret@127.0.0.1:99999/web",
        "redis://u:sEcret@[::1/web",
        "redis://127.0.0.1/web?password=sEcret",
        "redis://127.0.0.1/web?password=x@sEcret",
        "redis://127.0.0.1/web#sEcret",
        "nats://127.0.0.1/web?token=sEcret",
        "u:sEcret@127.0.0.1/web",
    ],
)
def test_an_address_at_fault_is_refused_without_its_password(tmp_path, address):
    done = run("consume", "--once", address, cwd=tmp_path, text=True)
    assert (done.returncode, "sEcret" in done.stderr, "hint: write " in done.stderr) == (2, False, True)


@pytest.mark.parametrize(
    ("kind", "options", "user"),
    [("nats", ["--user", "me", "--pass", "a/b#c?d@e"], "me"), ("redis", ["--requirepass", "a/b#c?d@e"], "")],
)
def test_a_password_may_have_any_character_written_with_a_percent_sign(tmp_path, kind, options, user):
    with broker(kind, tmp_path / "server", *options) as running:
        place = running.address.partition("://")[2]
        problems = [
            run("consume", "--once", f"{kind}://{user}:{password}@{place}", cwd=tmp_path, text=True).stderr
            for password in ("a%2Fb%23c%3Fd%40e", "another")
        ]
    assert ["no such stream" in one or "stream not found" in one for one in problems] == [True, False]


@pytest.mark.parametrize("kind", KINDS)
def test_where_no_server_answers_no_store_is_made_and_no_password_is_shown(tmp_path, kind):
    with ports.deaf() as port:
        address = f"{kind}://me:secret@127.0.0.1:{port}/hooks"
        done = run("consume", address, "--data", "data", cwd=tmp_path, text=True)

    assert (done.returncode, f"error: {kind}://127.0.0.1:{port}/hooks: cannot be read" in done.stderr) == (
        2,
        True,
    ), done.stderr
    assert ("secret" in done.stderr, (tmp_path / "data").exists()) == (False, False)


def test_a_stream_that_is_not_there_is_named(hooks, tmp_path):
    done = run("consume", hooks.address + "s", "--once", "--data", "data", cwd=tmp_path, text=True)

    assert (done.returncode, f"{hooks.address}s: " in done.stderr) == (2, True), done.stderr


def test_a_stream_of_nats_that_forgets_what_was_read_is_refused(nats, tmp_path):
    nats._nats(lambda js: js.add_stream(name="work", subjects=["work"], retention="workqueue"))
    done = run("consume", nats.address.replace("hooks", "work"), "--data", "data", cwd=tmp_path, text=True)

    assert (done.returncode, "has the retention workqueue" in done.stderr) == (2, True), done.stderr


def test_a_key_of_redis_that_is_no_stream_is_refused(redis, tmp_path):
    with redis.redis() as client:
        client.set("text", "x")
    done = run(
        "consume", redis.address.replace("hooks", "text"), "--once", "--data", "data", cwd=tmp_path, text=True
    )

    assert (done.returncode, "wrong kind of value" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(("kind", "package", "extra"), [("nats", "nats", "nats"), ("redis", "redis", "redis")])
def test_without_its_package_the_extra_is_named(tmp_path, monkeypatch, kind, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    done = run("consume", f"{kind}://127.0.0.1/hooks", "--data", "data", cwd=tmp_path, text=True)

    assert (done.returncode, f"pip install '.[{extra}]'" in done.stderr) == (2, True), done.stderr
