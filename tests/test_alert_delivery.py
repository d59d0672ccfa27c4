"""Alerts reach their receiver: at least once, in order, under one id, and nobody else."""

import json
import re
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event

import attrs
import ports
import pytest
from killing import NEVER, Mortal, dying
from published import Published, events, finding, outbox
from receiving import KEY, Receiver, receiving
from served import served
from standardwebhooks import Webhook
from waiting import BOUND, until

from projections.alerts import sweep as sweeping
from projections.alerts.database import alerts_file
from projections.alerts.outbox import queue_of
from projections.alerts.running import Alerts, senders
from projections.alerts.sweep import sweep
from projections.alerts.targets import SECRET, target_of
from projections.outbox import sending as running
from projections.outbox import webhooks
from projections.outbox.queue import DELAYS, LEASE, Queue
from projections.outbox.sending import Sender
from projections.outbox.webhooks import Webhooks
from projections.views import live
from tracker.alert import Alert, When
from tracker.errors import RulesError, UsageError


@attrs.define
class Clock:
    now: datetime

    def __call__(self):
        return self.now

    def pass_by(self, time):
        self.now += time


@pytest.fixture
def clock():
    return Clock(datetime.now(UTC))  # what is signed long ago is refused


@pytest.fixture
def published(tmp_path, monkeypatch):
    monkeypatch.setenv(SECRET, KEY)
    published = Published(tmp_path)
    published.hold()
    return published


def rule_for(receiver, name="recordings", **more):
    return Alert(name, f"http://127.0.0.1:{receiver.port}/x", When("error"), allow_private=True, **more)


def at(clock, position=1, **differs):
    return finding(position=position, at=clock.now.isoformat(), **differs)


@contextmanager
def sending(published, rule, clock):
    """The sender of a rule that was armed an hour ago."""
    sweep(published.data, [rule], clock.now - timedelta(hours=1))
    (sender,) = senders(published.data, [rule], clock)
    try:
        yield sender
    finally:
        sender.target.close()


def hold(published, rule, clock, *found):
    published.hold(*found)
    sweep(published.data, [rule], clock.now)


def send_all(sender):
    """Sends what is due; whether each was taken."""
    return list(iter(sender.send_one, None))


def test_what_is_sent_is_signed_and_repeated_under_one_id(published, clock):
    with receiving(503, 503, 503) as receiver, sending(published, rule := rule_for(receiver), clock) as sender:
        hold(published, rule, clock, at(clock))
        for delay in (timedelta(), *DELAYS[:3]):
            clock.pass_by(delay * 1.3)
            send_all(sender)
        assert [headers["webhook-id"] for headers, _ in receiver.came] == [
            receiver.came[0][0]["webhook-id"]
        ] * 4
        assert outbox(published.data) == []
        clock.pass_by(timedelta(days=9))
        assert send_all(sender) == []


def test_each_attempt_is_signed_for_its_own_time(published, clock):
    with receiving(503) as receiver, sending(published, rule := rule_for(receiver), clock) as sender:
        hold(published, rule, clock, at(clock))
        send_all(sender)
        clock.pass_by(timedelta(seconds=10))
        send_all(sender)
        for headers, body in receiver.came:
            assert Webhook(KEY).verify(body, headers)["data"]["code"] == "T302"
        first, second = (int(headers["webhook-timestamp"]) for headers, _ in receiver.came)
        assert second == first + 10


def test_the_end_does_not_overtake_the_beginning(published, clock):
    with receiving(503, 503) as receiver, sending(published, rule := rule_for(receiver), clock) as sender:
        hold(published, rule, clock, at(clock))
        hold(published, rule, clock)
        assert send_all(sender) == [False]
        hold(published, rule, clock, at(clock, 2))
        assert send_all(sender) == [False]  # of another finding, which may come first
        clock.pass_by(timedelta(seconds=10))
        assert send_all(sender) == [True, True, True]
        assert sorted(receiver.taken) == ["finding.opened", "finding.opened", "finding.retracted"]


def test_a_receiver_that_is_gone_gets_nothing_more_until_somebody_says_so(published, clock):
    with receiving(410) as receiver, sending(published, rule := rule_for(receiver), clock) as sender:
        hold(published, rule, clock, at(clock), at(clock, 2))
        assert send_all(sender) == [False]
        clock.pass_by(timedelta(days=9))
        assert send_all(sender) == []
        queue_of(published.data).retry("recordings", clock.now)
        assert send_all(sender) == [True, True]


def test_what_is_refused_to_the_end_is_dead_and_holds_back_what_follows(published, clock):
    with receiving(*[500] * 10) as receiver, sending(published, rule := rule_for(receiver), clock) as sender:
        hold(published, rule, clock, at(clock))
        hold(published, rule, clock)
        for delay in (timedelta(), *DELAYS):
            clock.pass_by(delay * 1.3)
            assert send_all(sender) == [False]
        clock.pass_by(timedelta(days=9))
        assert send_all(sender) == []
        assert queue_of(published.data).counts() == (1, 1)
        assert queue_of(published.data).retry("recordings", clock.now) == 1
        assert send_all(sender) == [True, True]


def test_of_too_many_messages_one_is_made_and_the_next_ones_wait(published, clock):
    with receiving(503) as receiver:
        rule = rule_for(receiver, digest=timedelta(minutes=15))
        with sending(published, rule, clock) as sender:
            many = [at(clock, position) for position in range(1, 8)]
            hold(published, rule, clock, *many)
            assert send_all(sender) == [False]
            hold(published, rule, clock, *many[1:], at(clock, 9))
            assert send_all(sender) == []  # the end does not overtake the beginning, also in a digest
            clock.pass_by(timedelta(seconds=10))
            assert send_all(sender) == [True]
            assert send_all(sender) == []
            clock.pass_by(timedelta(minutes=15))
            assert send_all(sender) == [True, True]
        data = json.loads(receiver.came[0][1])["data"]
    assert (data["count"], data["counts"], len(data["messages"])) == (7, {"finding.opened T302": 7}, 5)
    assert receiver.taken == ["alert.digest", "finding.retracted", "finding.opened"]


def test_a_few_messages_are_sent_one_by_one_also_where_digests_are_asked_for(published, clock):
    with receiving() as receiver:
        rule = rule_for(receiver, digest=timedelta(minutes=15))
        with sending(published, rule, clock) as sender:
            hold(published, rule, clock, *(at(clock, position) for position in range(5)))
            assert send_all(sender) == [True] * 5


def test_a_redirect_is_not_followed(published, clock):
    with receiving(307) as receiver, sending(published, rule := rule_for(receiver), clock) as sender:
        hold(published, rule, clock, at(clock))
        assert send_all(sender) == [False]
        assert outbox(published.data)[0]["problem"] == "was answered with 307"
        assert len(receiver.came) == 1


def test_nothing_is_sent_to_a_private_address_that_is_not_allowed(published, clock):
    with receiving() as receiver:
        rule = attrs.evolve(rule_for(receiver), allow_private=False)
        with sending(published, rule, clock) as sender:
            hold(published, rule, clock, at(clock))
            assert send_all(sender) == [False]
            problem = outbox(published.data)[0]["problem"]
        assert (problem, receiver.came) == ("has a private address, which the alert does not allow", [])


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("169.254.169.254", True),
        ("::1", True),
        ("fe80::1%eth0", True),
        ("::ffff:10.0.0.1", True),
        ("::ffff:1.1.1.1", False),
        ("1.1.1.1", False),
        ("2606:4700::1111", False),
    ],
)
def test_what_others_do_not_reach_is_private(address, private):
    assert webhooks.is_private(address) is private


def test_a_receiver_that_is_not_there_is_tried_again(published, clock):
    with ports.deaf() as port, sending(published, rule := rule_for(Receiver(port)), clock) as sender:
        hold(published, rule, clock, at(clock))
        assert send_all(sender) == [False]
        assert outbox(published.data)[0]["problem"] == "cannot be reached (ConnectError)"


def test_a_receiver_that_does_not_answer_is_given_up(published, clock, monkeypatch):
    monkeypatch.setattr(webhooks, "TIMEOUT", 0.05)
    with receiving() as receiver, sending(published, rule := rule_for(receiver), clock) as sender:
        monkeypatch.setattr(receiver, "statuses", slow := Slow())
        hold(published, rule, clock, at(clock))
        assert send_all(sender) == [False]
        assert outbox(published.data)[0]["problem"] == "did not answer within 0.05 s"
        slow.given_up.set()


class Slow:
    """Answers only to somebody who has given up."""

    def __init__(self):
        self.given_up = Event()

    def pop(self, _):
        self.given_up.wait(BOUND)
        return 204


# Who signs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "the secret of alert a cannot be read: No such file or directory"),
        ("whsec_c2hvcnQ=", "the secret of alert a is not 32 characters of base64"),
        ("x", "the secret of alert a is not 32 characters of base64"),
        ("", "the secret of alert a is not 32 characters of base64"),
    ],
)
def test_a_secret_that_cannot_sign_is_refused(tmp_path, text, message):
    file = tmp_path / "hooks.secret"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RulesError) as error:
        target_of(Alert("a", "https://hooks.example.org", secret=file), {SECRET: KEY})
    assert error.value.message == message


def test_without_a_secret_nothing_is_sent():
    with pytest.raises(RulesError, match="alert a has no secret to sign with"):
        target_of(Alert("a", "https://hooks.example.org"), {})


# While it is served


@pytest.fixture
def hasty(monkeypatch):
    """So that a test need not wait for what is looked at twice a second."""
    monkeypatch.setenv(SECRET, KEY)
    monkeypatch.setattr(live, "SETTLE", 0.05)
    monkeypatch.setattr(running, "POLL", 0.05)


@pytest.mark.usefixtures("hasty")
def test_a_recording_that_hangs_rings_and_is_taken_back_when_it_moves_on(tmp_path):
    with receiving() as receiver:
        rule = rule_for(receiver)
        with served(tmp_path, beside=[Alerts(tmp_path, lambda: [rule])]) as server:
            for kind in ("session-started", "recording-started", "recording-stopping"):
                server.post(kind, sessionId="s", meetingId="m")
            server.now += timedelta(minutes=11)
            until(lambda: receiver.taken == ["finding.opened"])
            server.post("recording-stopped", sessionId="s", meetingId="m", fileUrl="https://files/1.mp4")
            until(lambda: receiver.taken == ["finding.opened", "finding.retracted"])
            until(
                lambda: b"tracker_alerts_pending 0.0" in server.ask("/metrics").body
            )  # it notes what was taken
            metrics = server.ask("/metrics").body.decode()
    assert 'tracker_failing{part="alerts"} 0.0' in metrics


@pytest.mark.usefixtures("hasty")
def test_rules_that_are_read_again_are_those_of_the_file_now(tmp_path):
    with receiving() as receiver:
        rules = []
        alerts = Alerts(tmp_path, lambda: rules)
        published = Published(tmp_path)
        published.hold()
        alerts.start()
        rules.append(rule_for(receiver))
        assert alerts.reload() == 1
        until(lambda: is_armed(tmp_path))
        published.hold(finding(at=datetime.now(UTC).isoformat()))
        until(lambda: receiver.taken == ["finding.opened"])
        alerts.end()


def is_armed(data):
    with alerts_file(data).to_read() as connection:
        return connection is not None and connection.execute("SELECT * FROM armed").fetchall()


# Crashes


def sweep_and_send(data, to, now):
    """Sweeps and sends at a moment."""
    rule, at = Alert("recordings", to, When("error"), allow_private=True), datetime.fromisoformat(now)
    sweeping.sweep(Path(data), [rule], at)
    (sender,) = senders(Path(data), [rule], lambda: at)
    while sender.send_one() is not None:
        pass


MORTAL = Mortal(
    sweep_and_send,
    [
        *((Queue, name) for name in ("take", "delivered", "failed", "post")),
        *((sweeping, name) for name in ("write", "sweep")),
        (Webhooks, "send"),
        (Sender, "send_one"),
    ],
)


@pytest.mark.slow
def test_wherever_it_is_killed_nothing_is_lost_and_a_repeat_has_the_same_id(tmp_path, clock, monkeypatch):
    monkeypatch.setenv(SECRET, KEY)
    with dying(__name__) as run:
        for step in count():
            if not tried(tmp_path / f"{step}", clock, run, step):
                break
    assert step > 6


def tried(data, clock, run, step):
    """Kills at a step what sends the beginning of an alert, and what sends its end; whether there was such a step."""
    data.mkdir()
    published, killed = Published(data), 0
    published.hold()
    with receiving() as receiver:
        rule = rule_for(receiver)
        sweep(data, [rule], clock.now - timedelta(hours=1))
        for held in ([at(clock)], []):
            published.hold(*held)
            killed += run(step, data, rule.to, clock.now.isoformat()) != 0
            clock.pass_by(LEASE * 1.1)
            assert run(NEVER, data, rule.to, clock.now.isoformat()) == 0
        assert receiver.taken == ["finding.opened", "finding.retracted"]
    assert events(data) == []
    return killed


# By Apprise


by_apprise = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
"""Which Apprise asks for."""


@by_apprise
def test_apprise_carries_a_message_to_its_service(published, clock):
    with receiving(500, 200, 200) as receiver:
        to = f"apprise:json://127.0.0.1:{receiver.port}/x"
        rule = Alert("chat", to, When("error"), allow_private=True)
        with sending(published, rule, clock) as sender:
            hold(published, rule, clock, at(clock))
            assert send_all(sender) == [False]
            clock.pass_by(timedelta(seconds=10))
            assert send_all(sender) == [True]
            hold(published, rule, clock)
            assert send_all(sender) == [True]
    sent = [json.loads(body) for _, body in receiver.came[1:]]
    assert [(one["title"], one["type"]) for one in sent] == [
        ("finding.opened T302 stuck-stopping", "failure"),
        ("finding.retracted T302 stuck-stopping", "success"),
    ]
    assert "code: T302" in sent[0]["message"]


@by_apprise
def test_an_address_that_apprise_does_not_know_is_refused():
    with pytest.raises(RulesError, match="Apprise knows no service at the address of alert a"):
        target_of(Alert("a", "apprise:nonsense"), {})


@by_apprise
@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("json://hooks.example.org/x", "is not encrypted: json://"),
        ("form://hooks.example.org/x", "is not encrypted: form://"),
        ("syslog://", "is not encrypted: syslog://"),
        ("jsons://127.0.0.1/x", "has a private address: 127.0.0.1"),
        ("xmls://[::1]/x", "has a private address: ::1"),
        ("jsons://2130706433/x", "has a private address: 2130706433"),
        ("jsons://localhost/x", "has a private address: localhost"),
        ("jsons://hooks.example.org/x, jsons://10.0.0.1/x", "has a private address: 10.0.0.1"),
    ],
)
def test_apprise_sends_to_no_private_address_and_nothing_without_tls_unless_allowed(url, problem):
    with pytest.raises(RulesError, match=re.escape(f"alert a {problem}")):
        target_of(Alert("a", f"apprise:{url}"), {})
    target_of(Alert("a", f"apprise:{url}", allow_private=True), {}).close()


@by_apprise
@pytest.mark.parametrize("url", ["jsons://hooks.example.org/x", f"tgram://12345:{'a' * 32}/1"])
def test_apprise_sends_to_others_by_tls(url):
    target_of(Alert("a", f"apprise:{url}"), {}).close()


@pytest.mark.parametrize(
    ("to", "package", "extra"),
    [("https://hooks.example.org", "httpx2", "alerts"), ("apprise:json://localhost", "apprise", "apprise")],
)
def test_a_package_that_is_not_installed_is_named_with_what_to_install(monkeypatch, to, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as error:
        target_of(Alert("a", to), {SECRET: KEY})
    assert error.value.hint == f"run pip install '.[{extra}]' in the directory of the source"
