"""The relay: what really happened is sent once and in order, and what turns out otherwise is withdrawn."""

import random
from collections import Counter
from datetime import timedelta

import attrs
import meetings
import pytest
from meetings import MORNING, deliveries, line, webhook
from relaying import ROOM, at, outbox, relaying

from projections.erasing import erase, outstanding
from projections.outbox.queue import KEPT
from projections.pruning import prune
from projections.relay.database import queue_of
from projections.relay.facts import facts_of
from projections.relay.sweep import sweep
from projections.views.follow import Views
from projections.views.rebuild import rebuild
from tracker.config import load_config
from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse
from tracker.errors import RulesError
from tracker.intake.erasing import of_participant
from tracker.intake.pruning import plan
from tracker.intake.withdrawing import withdraw
from tracker.relay import Relay
from tracker.rules import Rules

APP = Relay("app", "https://app.example.org")
RECORDING = ("recording-starting", "recording-started", "recording-stopping")
PERSON = {"participantId": "p", "participantName": "Ann"}
FILE = {"fileUrl": "https://files/1.mp4"}


@pytest.fixture
def relayed(tmp_path):
    with relaying(tmp_path / "data", APP) as found:
        yield found


def data_of(relayed, kind):
    return [message["data"] for _, message in relayed.messages if message["type"] == kind]


# What is sent


def test_of_a_clean_session_each_fact_is_sent_in_order(relayed):
    relayed.come(0, "session-started")
    relayed.come(1, "participant-joined", **PERSON)
    relayed.come(2, *RECORDING)
    relayed.come(50, "recording-stopped", **FILE)
    relayed.come(60, "participant-left", **PERSON)
    relayed.come(61, "session-ended")
    assert relayed.sent == [
        "session.started",
        "participant.joined",
        "recording.started",
        "recording.ended",
        "recording.file",
        "participant.left",
        "session.ended",
    ]
    assert [message["data"]["sequence"] for _, message in relayed.messages] == list(range(1, 8))
    ((_, file),) = [one for one in relayed.messages if one[1]["type"] == "recording.file"]
    (ended,) = data_of(relayed, "recording.ended")
    assert file["data"]["file"] == {"file_url": "https://files/1.mp4"}
    assert (ended["state"], ended["certainty"], ended["position"]) == ("stopped", "sure", 6)
    assert (
        data_of(relayed, "participant.joined")[0].items()
        >= {
            "relay": "app",
            "session_id": "s",
            "meeting_id": "m",
            "participant_id": "p",
            "name": "Ann",
            "at": "2026-03-02T09:00:01.000000Z",
        }.items()
    )


@pytest.mark.parametrize("past", [0, 2])
def test_a_new_entry_sends_what_was_stored_after_it_was_read_though_nobody_has_looked_yet(tmp_path, past):
    with relaying(tmp_path / "data", APP, armed=False) as relayed:
        relayed.past = past
        lines = [line(webhook(kind, **ROOM, **PERSON), 1) for kind in ("session-started", "participant-joined")]
        relayed.store.append(deliveries(lines))
        relayed.come(2, "participant-left", **PERSON)
    assert relayed.sent == ["session.started", "participant.joined", "participant.left"][past:]


@pytest.mark.parametrize("kinds", [("joined", "left"), ("left", "joined"), ("left",)])
def test_who_came_is_in_also_where_that_is_sent_after_they_left(tmp_path, kinds):
    with relaying(tmp_path / "data", attrs.evolve(APP, wait=timedelta())) as relayed:
        relayed.come(0, "session-started")
        relayed.come(1, *(f"participant-{kind}" for kind in kinds), **PERSON)
        relayed.pass_to(4000)
        (came,), (left,) = (data_of(relayed, f"participant.{kind}") for kind in ("joined", "left"))
    assert (came["state"], left["state"]) == ("in", "out")


def test_a_copy_is_not_sent(relayed):
    for seconds in (0, 3):
        relayed.come(seconds, "session-started", "participant-joined", **PERSON)
    for seconds in (30, 33):
        relayed.come(seconds, "participant-left", **PERSON)
    assert relayed.sent == ["session.started", "participant.joined", "participant.left"]


def test_who_comes_again_with_an_equal_webhook_is_sent_again(relayed):
    for seconds in (0, 600):
        relayed.come(seconds, "participant-joined", **PERSON)
        relayed.come(seconds + 300, "participant-left", **PERSON)
    assert relayed.sent[-4:] == ["participant.joined", "participant.left"] * 2


def test_an_end_that_overtakes_its_beginning_waits_for_it(relayed):
    relayed.come(0, "session-started")
    relayed.come(50, "recording-stopped", **FILE)
    assert relayed.sent == ["session.started"]
    relayed.come(55, *RECORDING)
    assert relayed.sent == ["session.started", "recording.started", "recording.ended", "recording.file"]


def test_what_is_not_settled_waits_no_longer_than_the_entry_says_and_the_order_is_kept(relayed):
    relayed.come(0, "session-started")
    relayed.come(50, "recording-stopped", **FILE)
    relayed.come(60, "participant-joined", **PERSON)
    relayed.pass_to(109)
    assert relayed.sent == ["session.started"]
    relayed.pass_to(110)
    assert relayed.sent[1:] == ["recording.started", "recording.ended", "recording.file", "participant.joined"]
    assert data_of(relayed, "recording.started")[0]["certainty"] == "inferred"


def test_without_a_wait_all_is_sent_at_once(tmp_path):
    with relaying(tmp_path / "data", attrs.evolve(APP, wait=timedelta())) as relayed:
        relayed.come(50, "recording-stopped", **FILE)
        assert "recording.ended" in relayed.sent


def test_an_end_that_never_comes_is_sent_when_it_must_have_been(relayed):
    relayed.come(0, "session-started", "participant-joined", **PERSON)
    relayed.come(60, "session-ended")
    relayed.pass_to(24 * 3600)
    relayed.pass_to(25 * 3600)
    assert relayed.sent == ["session.started", "participant.joined", "session.ended", "participant.left"]
    assert "at" in (left := data_of(relayed, "participant.left")[0])
    assert (left["at"], left["position"], left["certainty"]) == (None, None, "inferred")


def test_only_the_lifecycles_that_are_asked_for_are_sent(tmp_path):
    entries = [attrs.evolve(APP, lifecycle=("recording",)), Relay("b", APP.to, ("participant", "session"))]
    with relaying(tmp_path / "data", *entries) as relayed:
        relayed.come(0, "session-started", "participant-joined", *RECORDING, **PERSON)
        found = {(message["data"]["relay"], message["type"]) for _, message in relayed.messages}
    assert found == {("app", "recording.started"), ("b", "session.started"), ("b", "participant.joined")}


def test_only_the_accounts_that_are_asked_for_are_sent(tmp_path):
    with relaying(tmp_path / "data", attrs.evolve(APP, account=("acme",))) as relayed:
        for account in ("acme", "other", None):
            body = meetings.webhook("session-started", sessionId=f"of-{account}", meetingId="m")
            relayed.store.append([parse(Received(body, MORNING, account=account))])
        relayed.views.catch_up(relayed.store)
        relayed.pass_to(1)
        assert [message["data"]["session_id"] for _, message in relayed.messages] == ["of-acme"]


def test_an_entry_that_sends_less_withdraws_nothing(relayed):
    relayed.come(0, "session-started", "participant-joined", **PERSON)
    relayed.relays = [attrs.evolve(APP, lifecycle=("recording",))]
    relayed.come(60, "participant-left", **PERSON)
    assert relayed.sent == ["session.started", "participant.joined"]


# What turns out otherwise


def test_what_turns_out_otherwise_is_withdrawn_before_what_is_so_instead(relayed):
    relayed.come(0, "session-started", *RECORDING)
    relayed.come(60, "session-ended")
    relayed.pass_to(3600)
    relayed.pass_to(3700)
    (lost,) = [id for id, message in relayed.messages if message["data"].get("state") == "lost"][-1:]
    relayed.come(3800, "recording-stopped", **FILE)
    relayed.pass_to(3900)
    assert relayed.sent[-3:] == ["recording.withdrawn", "recording.ended", "recording.file"]
    (withdrawn,) = data_of(relayed, "recording.withdrawn")
    assert withdrawn["withdraws"] == {"id": lost, "type": "recording.ended"}
    assert (withdrawn["session_id"], withdrawn["meeting_id"]) == ("s", "m")
    assert withdrawn["run"] == data_of(relayed, "recording.started")[0]["run"]


def test_what_was_withdrawn_and_is_so_after_all_is_sent_again_under_another_id(relayed):
    relayed.come(0, "session-started", "participant-joined", **PERSON)
    for day in (2, 5):
        relayed.pass_to(day * 86400)
        relayed.pass_to(day * 86400 + 100)
        relayed.come((day + 1) * 86400, "participant-left", "participant-joined", **PERSON)
    ids = [id for id, message in relayed.messages if message["type"] == "session.ended"]
    assert relayed.sent.count("session.withdrawn") == len(ids) == len(set(ids)) == 2


def pruned(relayed, now, archive):
    """All that is over is pruned."""
    pytest.importorskip("pyarrow")
    planned = plan(relayed.store, now, now, Rules(), lambda *_: None)
    assert prune(relayed.store, planned, archive, Rules(), now, lambda *_: None).sessions == 1


def waiting(relayed):
    with queue_of(relayed.data).file.to_read() as connection:
        return connection.execute("SELECT COUNT(*) FROM facts WHERE due_at IS NOT NULL").fetchone()[0]


def met(relayed):
    """A session that is closed out."""
    relayed.come(0, "session-started", "participant-joined", **PERSON)
    relayed.come(60, "participant-left", **PERSON)
    relayed.come(61, "session-ended")


@pytest.mark.parametrize("late", ["participant-left", "recording-started"])
def test_of_a_session_that_is_pruned_nothing_is_sent_or_withdrawn_also_when_something_comes_late(
    relayed, tmp_path, late
):
    met(relayed)
    sent, now = relayed.sent, at(3600)
    pruned(relayed, now, tmp_path / "archive")
    relayed.come(3600, late, **PERSON)
    for minutes in (2, 4, 60 * 24 * 9):
        relayed.pass_to(3600 + 60 * minutes)
    assert relayed.sent == sent


def test_of_a_session_that_is_pruned_nothing_waits(relayed, tmp_path):
    met(relayed)
    relayed.come(62, "recording-stopped", **FILE)
    sent = relayed.sent
    assert waiting(relayed) > 0
    pruned(relayed, at(9 * 86400), tmp_path / "archive")
    relayed.sweep()
    assert (waiting(relayed), relayed.sent) == (0, sent)


def come_from(relayed, log, **room):
    """A recording whose session is closed out, out of a log."""
    kinds = ["session-started", *RECORDING, "recording-stopped", "session-ended"]
    bodies = [meetings.webhook(kind, **{**ROOM, **room}) for kind in kinds]
    relayed.store.append(
        [parse(Received(body, at(number), f"{log}:{number}")) for number, body in enumerate(bodies)]
    )
    relayed.views.catch_up(relayed.store)
    relayed.pass_to(60)


def take_back(relayed, log, seconds, *, undo=False):
    """`tracker withdraw` at a moment."""
    withdraw(relayed.store, log, at(seconds), undo=undo)
    Views.open(relayed.store).close()
    relayed.pass_to(seconds)


def left(relayed):
    """The types of what was sent and not withdrawn; all of it is withdrawn once at most."""
    withdrawn = Counter(
        one["data"]["withdraws"]["id"] for _, one in relayed.messages if "withdraws" in one["data"]
    )
    assert set(withdrawn.values()) <= {1}
    return [
        one["type"] for id, one in relayed.messages if id not in withdrawn and "withdraws" not in one["data"]
    ]


@pytest.mark.parametrize("days", [0, 3])
def test_what_came_of_a_log_that_is_withdrawn_is_withdrawn_however_long_ago_its_session_ended(relayed, days):
    come_from(relayed, "right")
    sent = left(relayed)
    come_from(relayed, "wrong", sessionId="wrong")
    assert left(relayed) == sent * 2
    relayed.pass_to(days * 86400 + 3600)
    take_back(relayed, "wrong", days * 86400 + 3601)
    assert left(relayed) == sent
    relayed.pass_to(days * 86400 + 7200)
    assert relayed.sent.count("session.withdrawn") == 2


def test_what_counts_again_is_sent_again(relayed):
    come_from(relayed, "right")
    sent = left(relayed)
    for seconds, undo, now in [(100, False, []), (200, True, sent)]:
        take_back(relayed, "right", seconds, undo=undo)
        assert left(relayed) == now


def test_what_another_log_says_too_is_sent_instead_of_what_is_withdrawn(relayed):
    for log in ("one", "another"):
        come_from(relayed, log)
    sent = left(relayed)
    take_back(relayed, "one", 3 * 86400)
    assert left(relayed) == sent


# Once


def test_a_rebuild_another_sweep_and_another_process_send_nothing_twice(relayed):
    relayed.come(0, "session-started", *RECORDING)
    before = relayed.messages
    rebuild(relayed.store)
    with Views.open(relayed.store) as views:
        views.bring_to(relayed.store, at(200))
        for _ in range(2):
            sweep(relayed.data, relayed.relays, at(200), relayed.store.pruned_among)
    assert relayed.messages == before


def test_the_ids_follow_from_what_is_said(tmp_path):
    found = []
    for name in ("a", "b"):
        with relaying(tmp_path / name, APP) as relayed:
            relayed.come(0, "session-started", *RECORDING)
            found.append([id for id, _ in relayed.messages])
    assert found[0] == found[1]
    assert len(set(found[0])) == 2


@pytest.mark.parametrize("seed", range(3))
def test_in_whatever_pages_a_log_comes_what_was_sent_in_the_end_is_what_is_held(tmp_path, seed):
    dice = random.Random(seed)
    given = list(meetings.lines(seed, sessions=5))
    with relaying(tmp_path / "data", attrs.evolve(APP, within=timedelta(days=99))) as relayed:
        while given:
            relayed.store.append(
                deliveries([given.pop(0) for _ in range(min(len(given), dice.choice([1, 5, 30])))])
            )
            relayed.views.catch_up(relayed.store)
            relayed.pass_to((relayed.views.checkpoint.as_of - MORNING).total_seconds())
        for hours in range(3, 60, 3):
            relayed.pass_to(hours * 3600)
        views = relayed.views.connection
        held = {
            (stream, fact.type, fact.data["run"], fact.data["state"])
            for (stream,) in views.execute("SELECT DISTINCT stream FROM deliveries").fetchall()
            for fact in facts_of(views, stream, anchors(relayed.data, stream))
            if fact.at is not None or fact.position is None
        }
        messages = relayed.messages
    withdrawn = {one["data"]["withdraws"]["id"] for _, one in messages if "withdraws" in one["data"]}
    left = [
        (one["data"]["stream"], one["type"], one["data"]["run"])
        for id, one in messages
        if id not in withdrawn and "withdraws" not in one["data"]
    ]
    assert sorted(left) == sorted(one[:3] for one in held)
    assert in_order(messages)


def anchors(data, stream):
    with queue_of(data).file.to_read() as connection:
        select = "SELECT anchor FROM facts JOIN sessions ON id = session WHERE stream = ?"
        return {anchor for (anchor,) in connection.execute(select, (stream,))}


def in_order(messages):
    """Whether the messages of each session are numbered, and no end stands before its beginning."""
    numbers, begun = {}, set()
    for _, message in messages:
        data, what = message["data"], message["type"].rpartition(".")[2]
        numbers[data["stream"]] = numbers.get(data["stream"], 0) + 1
        if data["sequence"] != numbers[data["stream"]]:
            return False
        if what in ("started", "joined"):
            begun.add((data["stream"], data["run"]))
        elif (data["stream"], data["run"]) not in begun:
            return False
    return True


def test_who_is_erased_is_in_no_message_and_nothing_is_sent_anew(relayed):
    person = {"participantId": "zz-17", "participantName": "Zacharias"}
    relayed.come(0, "session-started", "participant-joined", **person)
    relayed.come(1, *RECORDING)
    relayed.come(2, "recording-stopped", fileUrl="https://files/zacharias.mp4")
    relayed.come(3, "participant-left", **person)
    sent = relayed.sent
    assert b"zacharias" in queue_of(relayed.data).file.path.read_bytes().lower()
    plan = of_participant(relayed.store, "zz-17", None, at(9), lambda *_: None)
    erase(relayed.store, plan, Rules(), at(9), lambda *_: None)
    relayed.views.catch_up(relayed.store)
    relayed.pass_to(86400)
    assert relayed.sent == sent
    file = queue_of(relayed.data).file.path.read_bytes().lower()
    assert [text for text in (b"zz-17", b"zacharias") if text in file] == []


def test_until_the_read_models_forget_who_is_erased_nothing_more_is_sent_of_them(relayed):
    relayed.come(0, "session-started")
    person = {"participantId": "zz-17", "participantName": "Zacharias"}
    lines = [meetings.webhook("participant-joined", **ROOM, **person)]
    relayed.store.append(deliveries([meetings.line(one, 1) for one in lines]))
    relayed.views.catch_up(relayed.store)
    plan = of_participant(relayed.store, "zz-17", None, at(9), lambda *_: None)
    plan.request(relayed.store.ledger, at(9))  # and there it is killed
    relayed.pass_to(10)
    assert relayed.sent == ["session.started"]
    outstanding(relayed.store, Rules(), at(11), lambda *_: None)
    relayed.views.catch_up(relayed.store)
    relayed.pass_to(12)
    assert relayed.sent == ["session.started", "participant.joined"]
    file = queue_of(relayed.data).file.path.read_bytes().lower()
    assert [text for text in (b"zz-17", b"zacharias") if text in file] == []


# What is the past


def test_the_first_start_sends_nothing_of_the_past_but_the_ends_that_come(tmp_path):
    with relaying(tmp_path / "data", APP, armed=False) as relayed:
        relayed.store.append(
            deliveries(
                [
                    meetings.line(meetings.webhook(kind, sessionId="s", meetingId="m"), 0)
                    for kind in RECORDING[:2]
                ]
            )
        )
        relayed.views.catch_up(relayed.store)
        relayed.pass_to(1)
        assert relayed.sent == []
        relayed.come(50, "recording-stopping", "recording-stopped", **FILE)
        assert relayed.sent == ["recording.ended", "recording.file"]


def test_an_entry_that_sends_more_sends_nothing_of_the_past(tmp_path):
    with relaying(tmp_path / "data", attrs.evolve(APP, lifecycle=("recording",))) as relayed:
        relayed.come(0, "session-started", "participant-joined", **PERSON)
        relayed.relays = [APP]
        relayed.sweep()
        relayed.come(9, "participant-left", **PERSON)
        assert relayed.sent == ["participant.left"]


def test_an_old_log_is_not_sent(relayed):
    relayed.pass_to(9 * 86400)
    relayed.store.append(deliveries(meetings.lines(0)))
    relayed.views.catch_up(relayed.store)
    relayed.sweep()
    relayed.pass_to(9 * 86400 + 3600)
    assert relayed.sent == []


def test_what_came_while_nothing_ran_is_sent_however_long_that_was(relayed):
    relayed.store.append(deliveries(meetings.lines(0)))
    relayed.views.catch_up(relayed.store)
    relayed.pass_to(9 * 86400)
    assert "session.started" in relayed.sent


def test_a_file_of_the_first_format_goes_on(relayed):
    relayed.come(0, "session-started", *RECORDING)
    sent = relayed.sent
    with queue_of(relayed.data).file.to_write() as connection:
        connection.execute("ALTER TABLE armed DROP COLUMN withdrawn")
        connection.execute("DROP INDEX sessions_rule_closed_at")
        connection.execute("ALTER TABLE sessions DROP COLUMN closed_at")
        connection.execute("PRAGMA user_version = 1")
    relayed.come(10, "participant-joined", **PERSON)
    assert relayed.sent == [*sent, "participant.joined"]


def test_what_was_sent_is_known_until_90_days_after_the_end_or_while_a_message_of_it_waits(relayed):
    ends = ("session-started", *RECORDING, "recording-stopped", "session-ended")
    for session in ("done", "waits"):
        relayed.come(0, *ends, sessionId=session)
    taken(relayed, "done")
    known = []
    for days in (1, KEPT.days - 1, KEPT.days + 2):
        relayed.pass_to(days * 86400)
        known.append(sessions_known(relayed))
    assert known == [{"done", "waits"}, {"done", "waits"}, {"waits"}]


def test_of_what_is_not_known_any_more_only_what_is_new_is_sent_and_its_order_goes_on(relayed):
    ends = ("session-started", "session-ended")
    relayed.come(0, *ends)
    (*_, last) = (one["data"]["sequence"] for _, one in relayed.messages)
    taken(relayed, "s")
    relayed.pass_to((KEPT.days + 2) * 86400)
    relayed.come((KEPT.days + 3) * 86400, "session-ended", "participant-joined", **PERSON)
    assert [(one["type"], one["data"]["sequence"]) for _, one in relayed.messages] == [
        ("participant.joined", last + 1),
        ("participant.left", last + 2),
    ]


def test_of_a_session_of_which_nothing_is_sent_nothing_is_kept_and_what_comes_later_is_sent(tmp_path):
    with relaying(tmp_path / "data", attrs.evolve(APP, lifecycle=("recording",))) as relayed:
        relayed.come(0, "session-started", sessionId="other")
        assert rows_of_sessions(relayed) == ["other"]
        relayed.come(10, "session-ended", sessionId="other")
        relayed.pass_to(86400)
        assert rows_of_sessions(relayed) == []
        relayed.come(86410, *RECORDING, sessionId="other")
        assert [one["data"]["sequence"] for _, one in relayed.messages] == [1, 2]


def rows_of_sessions(relayed):
    with queue_of(relayed.data).file.to_read() as connection:
        return [stream for (stream,) in connection.execute("SELECT stream FROM sessions")]


def taken(relayed, session):
    """All messages of a session were taken."""
    with queue_of(relayed.data).file.to_write() as connection:
        these = "SELECT id FROM sessions WHERE stream = ?"
        connection.execute(f"DELETE FROM outbox WHERE session IN ({these})", (session,))


def sessions_known(relayed):
    with queue_of(relayed.data).file.to_read() as connection:
        rows = connection.execute("SELECT DISTINCT stream FROM sessions JOIN facts ON session = id")
        return {stream for (stream,) in rows}


def test_an_entry_that_is_removed_sends_no_more(relayed):
    relayed.come(0, "session-started")
    relayed.relays = [attrs.evolve(APP, name="other")]
    relayed.sweep()
    (dead,) = queue_of(relayed.data).listed(dead=True)
    assert (dead["rule"], dead["problem"]) == ("app", "no [[relay]] has this name")


def test_without_read_models_nothing_is_done(tmp_path):
    assert sweep(tmp_path, [APP], MORNING, lambda _: ()) is None
    assert outbox(tmp_path) == []


# What is written in tracker.toml


def loaded(tmp_path, text):
    (tmp_path / "tracker.toml").write_text(text)
    return load_config(tmp_path / "tracker.toml").relays


def test_an_entry_is_read(tmp_path):
    text = '[[relay]]\nname = "app"\nto = "https://x.example"\nlifecycle = "hls"\naccount = "acme"\nwait = "2 min"\nsecret = "s"'
    wanted = Relay("app", "https://x.example", ("hls",), ("acme",), tmp_path / "s", timedelta(minutes=2))
    assert loaded(tmp_path, text) == (wanted,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "gives no to"),
        ('to = "apprise:json://x"', "to is no address to send to"),
        ('to = "http://x"', "to is not encrypted: http://x"),
        ('to = "https://x"\nlifecycle = "recordin"', "no lifecycle 'recordin'"),
        ('to = "https://x"\nwait = "soon"', "wait = 'soon' is no duration up to 365 d"),
        ('to = "https://x"\ndigest = "1 h"', "no key 'digest'"),
        ('to = "https://x"\n[[relay]]\nname = "app"\nto = "https://y"', "two relays are named 'app'"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path, text, said):
    with pytest.raises(RulesError) as error:
        loaded(tmp_path, f'[[relay]]\nname = "app"\n{text}')
    assert error.value.message.removeprefix("relay entry 1: ") == said
