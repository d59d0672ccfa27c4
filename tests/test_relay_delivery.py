"""What is relayed reaches the handler: once under one id, in order within each session, also after a crash; and the commands."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import attrs
import pytest
from commands import run
from dribbling import dribbling
from killing import NEVER, Mortal, dying
from meetings import deliveries, line, webhook
from receiving import KEY, receiving
from relaying import ROOM, at, outbox, relaying
from served import served
from standardwebhooks import Webhook
from waiting import until

from projections.cli.outgoing import send_all as send_all_due
from projections.outbox import sending, webhooks
from projections.outbox.queue import DELAYS, LEASE, Queue
from projections.outbox.sending import Outgoing, Sender, Work
from projections.outbox.webhooks import Webhooks
from projections.relay import sweep as sweeping
from projections.relay.database import queue_of
from projections.relay.running import SECRET, Relays, senders
from projections.views import live
from tracker.errors import TrackerError
from tracker.relay import Relay

CONFIG = """
[[relay]]
name = "app"
to = "http://127.0.0.1:{port}/x"
secret = "hooks.secret"
allow_private = true
"""


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv(SECRET, KEY)


@attrs.define
class Clock:
    now: datetime = attrs.Factory(lambda: datetime.now(UTC))  # what is signed long ago is refused

    def __call__(self):
        return self.now


def entry(receiver, **more):
    return Relay("app", f"http://127.0.0.1:{receiver.port}/x", allow_private=True, **more)


@contextmanager
def handling(data, *statuses):
    """What is relayed, and a handler that answers so; with the one who sends, and his clock."""
    with receiving(*statuses) as receiver, relaying(data, entry(receiver)) as relayed:
        clock = Clock()
        (sender,) = senders(data, relayed.relays, clock)
        try:
            yield relayed, receiver, sender, clock
        finally:
            sender.target.close()


def send_all(sender):
    return list(iter(sender.send_one, None))


def came(receiver):
    """Session, type and number of each message in the order in which it was taken, and was not before."""
    bodies = {headers["webhook-id"]: json.loads(body) for headers, body in receiver.came}
    return [(one["data"]["stream"], one["type"], one["data"]["sequence"]) for one in bodies.values()]


# In order, at least once


def test_what_is_relayed_is_signed_for_the_handler(tmp_path):
    with handling(tmp_path / "data") as (relayed, receiver, sender, _):
        relayed.come(0, "session-started")
        ((id, _),) = relayed.messages
        assert send_all(sender) == [True]
        ((headers, body),) = receiver.came
    assert headers["webhook-id"] == id
    assert Webhook(KEY).verify(body, headers)["type"] == "session.started"


def test_what_is_not_taken_holds_back_its_session_and_no_other(tmp_path):
    with handling(tmp_path / "data", 503) as (relayed, receiver, sender, clock):
        relayed.come(0, "session-started")
        relayed.come(1, "participant-joined", participantId="p")
        relayed.come(1, "participant-left", participantId="p")
        relayed.come(2, "session-started", sessionId="other", meetingId="o")
        assert send_all(sender) == [False, True]
        clock.now += timedelta(seconds=10)
        assert send_all(sender) == [True] * 3
        taken = [one for one in came(receiver) if one[0] == "s"]
    assert taken == [
        ("s", "session.started", 1),
        ("s", "participant.joined", 2),
        ("s", "participant.left", 3),
    ]
    ids = [headers["webhook-id"] for headers, _ in receiver.came]
    assert (len(ids), len(set(ids))) == (5, 4)


@pytest.mark.parametrize(("status", "tried"), [(500, 4), (404, 4), (503, 2)])
def test_only_where_the_receiver_is_busy_do_the_other_sessions_rest(tmp_path, monkeypatch, status, tried):
    monkeypatch.setattr(sending, "POLL", 0.01)
    with handling(tmp_path / "data", *[status] * 3) as (relayed, receiver, sender, _):
        for session in ("a", "b", "c", "d"):
            relayed.come(0, "session-started", sessionId=session, meetingId=session)
        outgoing = Outgoing("relays", lambda: Work([sender], lambda: None))
        outgoing.start()
        until(lambda: len(receiver.came) == tried)
        outgoing.end()
    assert len(receiver.came) == tried
    assert sender.rests == (status == 503)


@pytest.mark.parametrize("status", [503, 410])
def test_it_is_failing_from_a_message_that_was_not_taken_until_the_next_one_is(tmp_path, monkeypatch, status):
    monkeypatch.setattr(sending, "POLL", 0.01)
    with handling(tmp_path / "data", status) as (relayed, receiver, sender, clock):
        outgoing = Outgoing("relays", lambda: Work([sender], lambda: None))
        assert outgoing.problem == ""
        relayed.come(0, "session-started")
        outgoing.start()
        until(lambda: outgoing.problem)
        assert str(status) in outgoing.problem
        clock.now += timedelta(minutes=1)
        assert queue_of(relayed.data).retry("app", clock.now) == (status == 410)
        until(lambda: not outgoing.problem)
        outgoing.end()
    assert len(receiver.came) == 2


def test_one_session_that_is_never_taken_holds_back_no_other_one_also_without_a_server(tmp_path):
    with handling(tmp_path / "data", 503, 204, 204, 204) as (relayed, receiver, sender, _):
        for session in ("a", "b", "c", "d"):
            relayed.come(0, "session-started", sessionId=session, meetingId=session)
        send_all_due([sender])
    assert [session for session, _, _ in came(receiver)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b""])
def test_who_answers_a_line_now_and_then_has_not_taken_it(tmp_path, monkeypatch, head):
    with dribbling(head, b"x: y\r\n") as url, relaying(tmp_path / "data") as relayed:
        relayed.relays[:] = [Relay("app", url, allow_private=True)]
        relayed.come(0, "session-started")
        (sender,) = senders(relayed.data, relayed.relays)
        monkeypatch.setattr(webhooks, "TIMEOUT", 0.1)
        assert send_all(sender) == [False]
        sender.target.close()
        assert "did not answer within 0.1 s" in queue_of(relayed.data).listed(dead=False)[0]["problem"]


def test_a_message_is_held_for_less_than_its_lease():
    assert timedelta(seconds=2 * webhooks.TIMEOUT) < LEASE


def test_what_is_dead_holds_back_its_session_until_it_is_sent_again(tmp_path):
    with handling(tmp_path / "data", *[500] * 10) as (relayed, receiver, sender, clock):
        relayed.come(0, "session-started")
        relayed.come(1, "participant-joined", participantId="p")
        for delay in (timedelta(), *DELAYS):
            clock.now += delay * 1.3
            assert send_all(sender) == [False]
        clock.now += timedelta(days=9)
        assert send_all(sender) == []
        queue = queue_of(relayed.data)
        assert (queue.counts(), queue.retry("app", clock.now)) == ((1, 1), 1)
        assert send_all(sender) == [True, True]
        assert [kind for _, kind, _ in came(receiver)] == ["session.started", "participant.joined"]


# Crashes


def sweep_and_send(data, to, swept_at, now):
    """Sweeps at a moment, and sends at another one."""
    relay = Relay("app", to, allow_private=True)
    sweeping.sweep(Path(data), [relay], datetime.fromisoformat(swept_at), lambda _: ())
    (sender,) = senders(Path(data), [relay], lambda: datetime.fromisoformat(now))
    while sender.send_one() is not None:
        pass


MORTAL = Mortal(
    sweep_and_send,
    [
        *((Queue, name) for name in ("take", "delivered", "post")),
        *((sweeping, name) for name in ("write", "sweep")),
        (Webhooks, "send"),
        (Sender, "send_one"),
    ],
)


@pytest.mark.slow
def test_wherever_it_is_killed_each_fact_is_sent_once_and_in_order(tmp_path):
    with dying(__name__) as run:
        for step in count():
            if not tried(tmp_path / f"{step}", run, step):
                break
    assert step > 6


def tried(data, run, step):
    """Kills at a step what relays a begin, and what relays the end; whether there was such a step."""
    killed, clock = 0, Clock()
    with receiving() as receiver, relaying(data, entry(receiver)) as relayed:
        for seconds, *kinds in ((0, "session-started", "recording-started"), (60, "recording-stopped")):
            relayed.store.append(deliveries([line(webhook(kind, **ROOM), seconds) for kind in kinds]))
            relayed.views.catch_up(relayed.store)
            relayed.now = at(seconds + 3600)
            relayed.views.bring_to(relayed.store, relayed.now)
            to, swept_at = relayed.relays[0].to, relayed.now.isoformat()
            killed += run(step, data, to, swept_at, clock.now.isoformat()) != 0
            clock.now += LEASE * 1.1
            relayed.now += timedelta(minutes=2)
            assert run(NEVER, data, to, relayed.now.isoformat(), clock.now.isoformat()) == 0
        assert came(receiver) == [
            ("s", "session.started", 1),
            ("s", "recording.started", 2),
            ("s", "recording.ended", 3),
        ]
        assert outbox(data) == []
    return killed


# While it is served


def test_a_server_relays_what_it_receives_from_its_first_moment_on(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "SETTLE", 0.05)
    monkeypatch.setattr(sending, "POLL", 0.05)
    with receiving() as receiver:
        relays = Relays(tmp_path, lambda: [entry(receiver)], lambda _: (), lambda: 0)
        with served(tmp_path, beside=[relays]) as server:
            for kind in ("session-started", "recording-starting", "recording-started", "recording-started"):
                server.post(kind, **ROOM)
            until(lambda: len(came(receiver)) == 2)
            server.post("recording-stopping", **ROOM)
            server.post("recording-stopped", **ROOM, fileUrl="https://files/1.mp4")
            until(lambda: len(came(receiver)) == 4)
            metrics = server.ask("/metrics").body.decode()
    assert [kind for _, kind, _ in came(receiver)] == [
        "session.started",
        "recording.started",
        "recording.ended",
        "recording.file",
    ]
    assert "tracker_relay_dead 0.0" in metrics
    assert 'tracker_failing{part="relays"} 0.0' in metrics


# The commands


@pytest.fixture
def place(tmp_path):
    (tmp_path / "hooks.secret").write_text(KEY)
    return tmp_path


def relay(place, *arguments, port=1):
    (place / "tracker.toml").write_text(CONFIG.format(port=port))
    return run("relay", *arguments, cwd=place, text=True)


def store(place, *kinds):
    """These webhooks are received now."""
    now = datetime.now(UTC).isoformat()
    lines = [json.dumps({"received_at": now, "webhook": json.loads(webhook(kind, **ROOM))}) for kind in kinds]
    (place / "log.jsonl").write_text("\n".join(lines))
    done = run("ingest", "log.jsonl", cwd=place, text=True)
    assert done.returncode == 0, done.stderr


def test_without_a_server_the_command_relays_what_came_since_its_first_run(place):
    store(place, "session-started")
    with receiving() as receiver:
        assert relay(place, "send", port=receiver.port).stdout == "0 messages sent\n"
        store(place, "recording-starting", "recording-started", "recording-stopping", "recording-stopped")
        assert relay(place, "send", port=receiver.port).stdout == "2 messages sent\n"
        shown = relay(place, "list", port=receiver.port)
    assert [kind for _, kind, _ in came(receiver)] == ["recording.started", "recording.ended"]
    assert shown.stdout == "app  0 not settled, 0 messages to send, 0 dead\n1 relay\n"


def test_what_is_not_taken_is_noted_and_sent_later(place):
    store(place, "session-started")
    relay(place, "send")
    store(place, "recording-starting")
    done = relay(place, "send")
    assert done.stderr.splitlines() == [
        "note: 1 message will be sent later: app cannot be reached (ConnectError)",
        "hint: run it again, or see tracker relay list",
    ]
    (row,) = json.loads(relay(place, "list", "--format", "json").stdout)
    assert (row["name"], row["pending"], row["dead"]) == ("app", 1, 0)
    assert (row["problem"], bool(row["next_at"])) == ("cannot be reached (ConnectError)", True)
    listed = relay(place, "list").stdout
    assert "1 message to send, 0 dead  last problem: cannot be reached (ConnectError), next try " in listed
    looked = run("doctor", cwd=place, text=True).stdout
    assert "! relay        app: 1 message to send; last problem: cannot be reached" in looked
    assert relay(place, "dead").stdout == "0 dead messages\n"
    assert relay(place, "retry", "app").stdout == "app: 0 messages will be sent again\n"


def test_a_test_message_is_signed(place):
    with receiving(204, 503) as receiver:
        done, failed = (relay(place, "test", "app", port=receiver.port) for _ in range(2))
    assert done.stdout.startswith("app: the receiver has taken the message msg_")
    assert failed.stderr.splitlines()[0] == "error: relay app: the message was answered with 503"
    assert receiver.taken == ["relay.test"] * 2


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        (("send",), "", "tracker.toml: the configuration has no relay"),
        (("test", "ap"), CONFIG.format(port=1), "no relay 'ap'"),
        (
            ("test", "app"),
            CONFIG.replace("hooks", "no").format(port=1),
            "no.secret: the secret of relay app cannot be read: No such file or directory",
        ),
    ],
)
def test_what_cannot_be_relayed_is_refused(place, arguments, text, said):
    (place / "tracker.toml").write_text(text)
    done = run("relay", *arguments, cwd=place, text=True)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"error: {said}")


def test_the_doctor_says_whether_it_could_be_sent(place):
    store(place, "session-started")
    (place / "tracker.toml").write_text(CONFIG.format(port=1).replace("hooks", "no"))
    done = run("doctor", cwd=place, text=True)
    assert "the secret of relay app cannot be read" in done.stdout + done.stderr


def test_a_damaged_file_is_refused(place):
    store(place, "session-started")
    (place / "tracker-data" / "relay.db").write_bytes(b"no database" * 999)
    done = relay(place, "send")
    assert (done.returncode, "restore it from a backup" in done.stderr) == (3, True), done.stderr
    with pytest.raises(TrackerError):
        queue_of(place / "tracker-data").counts()
