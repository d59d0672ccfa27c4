"""Whoever is erased is in no file of the data directory any more, and everything that was found stays."""

import json
import os
import shutil
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta

import commands
import pytest
import stores
from killing import NEVER, Mortal, dying
from meetings import MORNING, line, opened, read_into, webhook, write
from published import outbox
from served import served
from traffic import serving
from waiting import until

from projections.alerts import erasing as of_alerts
from projections.alerts.sweep import sweep
from projections.cli import main
from projections.erasing import erase, outstanding
from projections.views import follow, rebuild
from projections.views.follow import Views
from projections.views.publications import PUBLISHED_DB, published_file
from projections.views.verify import verify
from tracker.alert import Alert, When
from tracker.delivery import envelope
from tracker.delivery.webhook import parse
from tracker.errors import NotFoundError
from tracker.intake import erasing as intake
from tracker.intake.copying import copy
from tracker.intake.erasing import carry_out, is_behind, of_older, of_participant, of_session, why_behind
from tracker.intake.reconciling import Asked, reconcile
from tracker.intake.vendor import Saved
from tracker.rules import Rules
from tracker.simulate import simulate
from tracker.simulate.vendor import Lists
from tracker.store.application import Tracker
from tracker.store.ledger import Ledger

NOW = datetime(2026, 11, 26, 14, tzinfo=UTC)
SAME = (
    *("stream", "code", "severity", "verdict", "confidence", "session_id", "meeting_id", "lifecycle", "run"),
    *("position", "evidence", "at", "state_before", "state_after", "expected", "cause", "deadline", "missing"),
)
"""What is found, but for names."""


def silent(_done, _total):
    pass


def forget(store, plan):
    done = erase(store, plan, Rules(), NOW, silent)
    assert done.problem == ""
    return done.events


def participant(store, person, session=None):
    return of_participant(store, person, session, NOW, silent)


def found(store):
    """What is held of a store, and what was published and is not."""
    with Views.open(store) as views:
        held = Counter(views.connection.execute(f"SELECT {', '.join(SAME)} FROM findings").fetchall())
    with published_file(store.data / PUBLISHED_DB).to_read() as connection:
        gone = connection.execute(
            "SELECT code, stream FROM publications WHERE NOT held ORDER BY 1, 2"
        ).fetchall()
        moved = connection.execute("SELECT COUNT(*) FROM publications WHERE changed_at IS NOT NULL").fetchone()
    return held, gone, moved


def names_of(store, person):
    return [
        name
        for one in store.deliveries()
        if one.said.get("participantId") == person
        if (name := one.said.get("participantName"))
    ]


def holding(data, *texts):
    """The files of a data directory that hold one of these texts."""
    files = [path for path in data.rglob("*") if path.is_file()]
    return sorted(
        path.name for path in files for text in texts if text.lower().encode() in path.read_bytes().lower()
    )


def visits(session, person, name, at=0, **more):
    """A person who comes, leaves without having come, and is recorded."""
    said = {"meetingId": "room", "sessionId": session, "participantId": person, "participantName": name}
    files = {"filePath": f"/{session}/{person}/{name.replace(' ', '_')}.webm"}
    kinds = [("participant-joined", {}), ("participant-left", {}), ("participant-left", {})]
    kinds += [
        (f"participant-recording-{step}", files if step == "stopped" else {}) for step in ("started", "stopped")
    ]
    return [
        line(webhook(kind, **said, **brought, **more), at + 10 * number)
        for number, (kind, brought) in enumerate(kinds)
    ]


@pytest.fixture
def two(store, tmp_path):
    """A store in which Zacharias and Quentina were in two sessions, with read models and what is beside them."""
    lines = [
        line(webhook("session-started", meetingId="room", sessionId="one"), 0),
        *visits("one", "zz-17", "Zacharias Ypsilon", 1),
        *visits("one", "qq-23", "Quentina", 2),
        line(webhook("chat-opened", sessionId="one", text="zacharias ypsilon says hello"), 60),
        line(webhook("session-ended", meetingId="room", sessionId="one"), 100),
        *visits("two", "zz-17", "Zacharias Ypsilon", 2000),
        line(b'{"webhookType":"participant-joined","data":{"participantId":"zz-17",,', 2100),
    ]  # fmt: skip
    store.append([parse(envelope.decode(one, f"log.jsonl:{number}")) for number, one in enumerate(lines, 1)])
    Views.open(store).close()
    return store, lines


def test_whoever_is_erased_is_in_no_file_and_all_findings_stay(two):
    store, _ = two
    alert = Alert(
        "all", "https://hooks.example.org", When("info"), include=("message", "key"), wait=timedelta()
    )
    sweep(store.data, [alert], NOW, backfill=timedelta(days=999))
    before, sent = found(store), len(outbox(store.data))
    assert sent > 3
    assert {"published.db", "alerts.db", "views.db"} <= set(holding(store.data, "zz-17"))

    assert forget(store, participant(store, "zz-17")) == 12

    store.close()
    assert holding(store.data, "zz-17", "zacharias", "ypsilon") == []
    assert "views.db" in holding(store.data, "quentina")
    with closing(stores.opened(store.data)) as again:
        assert found(again) == before
        assert verify(again, Rules()).problems == []
        sweep(store.data, [alert], NOW)
        assert len(outbox(store.data)) == sent


@pytest.mark.slow_on_postgres
@pytest.mark.parametrize("by_the_sweep", [False, True])
def test_no_alert_changes_where_everybody_is_erased(two, by_the_sweep):
    store, _ = two
    alert = Alert("all", "https://hooks.example.org", When("info"), wait=timedelta())
    sweep(store.data, [alert], NOW, backfill=timedelta(days=999))
    sent = len(outbox(store.data))
    plan = of_older(store, NOW, NOW, silent)
    if by_the_sweep:  # as a server that follows does it
        carry_out(store, plan, NOW, silent)
        Views.open(store).close()
    else:
        forget(store, plan)
    sweep(store.data, [alert], NOW)
    assert len(outbox(store.data)) == sent > 3


@pytest.mark.slow_on_postgres
@pytest.mark.parametrize("whom", ["person", "session"])
def test_the_name_of_a_log_that_names_somebody_goes_from_all_that_came_from_it(store, whom):
    lines = [
        line(webhook("session-started", meetingId="room", sessionId="one"), 1000),
        *visits("one", "zz-17", "Zacharias Ypsilon", 1001),
        line(webhook("session-started", meetingId="room", sessionId="two"), 500),  # the clock goes back
        *visits("two", "qq-23", "Quentina", 501),
    ]

    def brought():
        return [
            parse(envelope.decode(one, f"Zacharias Ypsilon.jsonl:{number}"))
            for number, one in enumerate(lines, 1)
        ]

    store.append(brought())
    before = found(store)
    assert "T308" in {one[1] for one in before[0]}
    plan = participant(store, "zz-17") if whom == "person" else of_session(store, "one", NOW, silent)
    assert forget(store, plan) == plan.events == len(lines)
    assert found(store) == before
    assert verify(store, Rules()).problems == []
    store.append(brought())
    assert len({one.received.source.rpartition(":")[0] for one in store.deliveries()}) == 1
    assert holding(store.data, "zacharias") == []


def test_in_a_session_that_is_erased_nobody_is_left(two):
    store, _ = two
    before = found(store)
    assert forget(store, of_session(store, "one", NOW, silent)) == 11
    assert found(store) == before
    assert verify(store, Rules()).problems == []
    held = b"".join(one.body.lower() for one in store.history("one"))
    assert not any(text in held for text in (b"zz-17", b"qq-23", b"quentina", b"zacharias"))
    assert names_of(store, "zz-17") == ["Zacharias Ypsilon"] * 5


def test_status_and_page_say_when_people_were_erased(two):
    store, _ = two
    plan = participant(store, "qq-23")
    forget(store, plan)
    store.close()
    with served(store.data) as server:
        erased = [server.get(f"/api/sessions/{one}")["erased_at"] for one in ("one", "two")]
        pages = [server.ask(f"/sessions/{one}").body.decode() for one in ("one", "two")]
    said = commands.run("status", "one", *stores.arguments(store.data), text=True).stdout
    assert (erased[0][:4].isdigit(), erased[1]) == (True, None)
    assert ["people were erased from it" in page for page in pages] == [True, False]
    assert f"erased     {erased[0][:10]}" in said


@pytest.mark.sqlite
def test_a_ledger_that_is_put_there_later_is_heeded_when_the_follower_looks_next(two):
    store, _ = two
    carry_out(store, participant(store, "zz-17"), NOW, silent)
    aside = store.ledger.path.rename(store.data / "aside.db")
    with Views.open(store) as views:
        assert "published.db" in holding(store.data, "zz-17")
        aside.rename(store.ledger.path)
        views.catch_up(store)
        assert holding(store.data, "zz-17") == []
        problems = verify(store, Rules()).problems
    assert problems == []


def test_a_person_may_be_erased_in_one_session_only(two):
    store, _ = two
    assert forget(store, participant(store, "zz-17", "two")) == 5
    assert {one.session_id for one in store.deliveries() if b"zz-17" in one.body} == {"one", None}


@pytest.mark.slow_on_postgres
@pytest.mark.parametrize("whom", ["person", "session", "older"])
def test_all_findings_of_a_store_stay_whoever_is_erased(store, whom):
    store.append([parse(one.received) for one in simulate(25, seed=3)])
    before = found(store)
    people = Counter(one.said["participantId"] for one in store.deliveries() if "participantId" in one.said)
    session = Counter(one.session_id for one in store.deliveries() if one.session_id).most_common(1)[0][0]
    plan = {
        "person": lambda: participant(store, people.most_common(1)[0][0]),
        "session": lambda: of_session(store, session, NOW, silent),
        "older": lambda: of_older(store, NOW, NOW, silent),
    }[whom]()

    assert forget(store, plan) == plan.events > 0

    assert found(store) == before
    assert verify(store, Rules()).problems == []


@pytest.mark.slow_on_postgres
def test_what_the_vendor_says_otherwise_is_still_found_and_its_records_are_not_stored_again(store):
    lists, received = Lists(), []
    for line_ in simulate(12, 5, 0.0, unsubscribed=()):
        received.append(line_.received)
        if line_.draft is not None:
            lists.add(line_.draft)
    store.append([parse(one) for number, one in enumerate(received) if number % 5])  # some are lost
    api, now = Saved(json.loads(lists.as_json())), received[-1].received_at + timedelta(hours=12)

    def asked():
        return list(reconcile(store, api, Asked(datetime(2026, 1, 1, tzinfo=UTC)), lambda: now))[-1].stored

    assert asked() > 10
    before = found(store)
    assert {one[1] for one in before[0]} & {"R601", "R602", "R603", "R604", "R608"}
    forget(store, of_older(store, NOW, NOW, silent))
    assert found(store) == before
    assert asked() == 0


def a_record(session, begin, end, **more):
    """VideoSDK's own record of a session in which one person was."""
    times = {"start": begin.isoformat(), "end": end.isoformat()}
    person = {"participantId": "zz-17", "name": "Zacharias Ypsilon", **({"timelog": [times]} | more)}
    return {"id": session, "roomId": "room", "start": MORNING.isoformat(), "participants": [person]}


def test_a_record_brings_nobody_back_who_came_before_the_erasure(two):
    store, _ = two
    store.append(
        [parse(envelope.decode(line(webhook("session-started", sessionId=one), 3000))) for one in "abc"]
    )
    forget(store, participant(store, "zz-17"))
    later = NOW + timedelta(hours=1)
    records = [
        a_record("a", MORNING, NOW),
        a_record("b", NOW + timedelta(minutes=1), later),
        a_record("c", MORNING, NOW, timelog=None),
    ]
    for _ in reconcile(store, Saved({"/v2/sessions": records}), Asked(MORNING), lambda: later):
        pass
    named = [one.session_id for one in store.deliveries() if b"Zacharias" in one.body]
    assert named == ["b"]  # who came again later


@pytest.mark.slow_on_postgres
def test_a_record_that_is_asked_for_later_makes_no_session_younger(two):
    store, _ = two
    later = NOW + timedelta(hours=1)
    records = [a_record("one", MORNING, MORNING), a_record("alone", MORNING, MORNING)]
    for _ in reconcile(store, Saved({"/v2/sessions": records}), Asked(MORNING), lambda: later):
        pass
    assert of_older(store, NOW, NOW, silent).streams == ("one", "two")
    assert "alone" in of_older(store, later + timedelta(hours=1), NOW, silent).streams
    forget(store, of_older(store, NOW, NOW, silent))
    assert not any(b"Zacharias" in one.body for one in store.history("one"))


@pytest.mark.slow
@pytest.mark.sqlite
def test_all_findings_of_a_large_store_stay(store):
    store.append([parse(one.received) for one in simulate(1000, seed=8)])
    before = found(store)
    forget(store, of_older(store, NOW, NOW, silent))
    assert found(store) == before


def test_a_late_copy_gets_the_same_pseudonyms_whatever_it_is_of(two):
    store, lines = two
    forget(store, participant(store, "zz-17"))
    end = store.last_position()
    bodies = {one.position: one.body for one in store.deliveries()}

    store.append([parse(envelope.decode(one)) for one in lines])  # the log cut otherwise
    store.receive([parse(one.received) for one in map(parse, map(envelope.decode, lines[1:3]))])
    unknown = visits("three", "zz-17", "Zacharias Ypsilon", 3000)  # a session that was not there
    store.append([parse(envelope.decode(one)) for one in unknown])

    again = [one.body for one in store.deliveries() if one.position > end]
    assert again[: len(lines)] == [*bodies.values()]
    assert not any(text in body.lower() for body in again for text in (b"zz-17", b"zacharias"))


@pytest.mark.slow_on_postgres
def test_who_comes_again_later_is_a_new_person_except_in_a_session_that_is_known(two):
    store, _ = two
    forget(store, participant(store, "zz-17"))
    later = (NOW - MORNING).total_seconds() + 60
    store.append([parse(envelope.decode(one)) for one in visits("later", "zz-17", "Zacharias Ypsilon", later)])
    store.append([parse(envelope.decode(one)) for one in visits("two", "zz-17", "Renamed Now", later)])
    assert names_of(store, "zz-17") == ["Zacharias Ypsilon"] * 5
    assert not any(b"Renamed" in one.body for one in store.history("two"))


def test_the_mark_goes_through_an_export_and_back_and_nothing_is_verified_again(tmp_path):
    signed = envelope.Received(
        webhook("participant-joined", sessionId="s", participantId="zz-17"),
        MORNING,
        "w",
        "key",
        signature="sig",
    )
    with opened(tmp_path / "one", create=True) as store:
        store.append([parse(signed)])
        forget(store, participant(store, "zz-17"))
    exported = commands.run("export", *stores.arguments(tmp_path / "one")).stdout
    write(tmp_path / "log.jsonl", exported.splitlines())
    read_into(tmp_path / "two", tmp_path / "log.jsonl")
    with opened(tmp_path / "two") as store:
        (one,) = store.deliveries()
        assert (one.received.erased_at, one.received.signature, one.received.verified_by) == (NOW, None, "key")


@pytest.mark.parametrize("whom", ["person", "person there", "session", "older"])
def test_what_is_stored_while_somebody_is_asked_is_erased_as_well(two, whom):
    store, _ = two
    plan = {
        "person": lambda: participant(store, "zz-17"),
        "person there": lambda: participant(store, "zz-17", "two"),
        "session": lambda: of_session(store, "two", NOW, silent),
        "older": lambda: of_older(store, NOW, NOW, silent),
    }[whom]()
    new = {"person there": "two", "session": "two"}.get(whom, "new")
    lines = visits(new, "zz-17", "Zelda", 4000)
    if whom == "session":
        call = {"callId": "c", "sessionId": new, "from": "Zelda", "to": "+49 30 1"}
        lines.append(line(webhook("call-started", **call), 4100))
    if whom == "older":
        lines.append(line(b'{"webhookType":"participant-joined","data":{"participantName":"Zelda"}}', 4200))
    store.append([parse(envelope.decode(one)) for one in lines])

    forget(store, plan)

    assert not any(b"Zelda" in one.body for one in store.deliveries())
    assert not is_behind(store)


@pytest.mark.slow_on_postgres
def test_what_another_command_asks_for_meanwhile_is_not_taken_for_done(two, monkeypatch):
    store, _ = two
    asked, other = Ledger.request, participant(store, "zz-17", "two")

    def after_another(ledger, *given, **named):
        monkeypatch.setattr(Ledger, "request", asked)
        other.request(store.ledger, NOW)  # and it is killed
        return asked(ledger, *given, **named)

    plan = participant(store, "zz-17", "one")
    monkeypatch.setattr(Ledger, "request", after_another)
    forget(store, plan)
    assert (names_of(store, "zz-17"), is_behind(store)) == ([], False)


@pytest.mark.slow_on_postgres
def test_while_another_erasure_goes_on_no_alert_is_taken_back_and_no_name_stays(two, monkeypatch):
    store, _ = two
    alert = Alert(
        "all", "https://hooks.example.org", When("info"), include=("message", "key"), wait=timedelta()
    )
    sweep(store.data, [alert], NOW, backfill=timedelta(days=999))
    sent, other = len(outbox(store.data)), participant(store, "qq-23")
    record = type(store).record_erasure

    def before_another(tracker, requests, at):
        record(tracker, requests, at)
        monkeypatch.setattr(type(store), "record_erasure", record)
        other.request(tracker.ledger, NOW)

    monkeypatch.setattr(type(store), "record_erasure", before_another)
    forget(store, participant(store, "zz-17"))
    sweep(store.data, [alert], NOW)
    assert len(outbox(store.data)) == sent
    outstanding(store, Rules(), NOW, silent)
    sweep(store.data, [alert], NOW)
    assert len(outbox(store.data)) == sent
    assert b"zz-17" not in (store.data / "alerts.db").read_bytes()
    assert b"qq-23" not in (store.data / "alerts.db").read_bytes()


@pytest.mark.slow_on_postgres
def test_a_ledger_that_was_lost_begins_behind_what_the_store_knows(two):
    store, _ = two
    other = participant(store, "qq-23")
    forget(store, participant(store, "zz-17"))
    store.ledger.path.unlink()
    assert other.request(store.ledger, NOW, store.erased()) == store.erased() + 1


@pytest.mark.slow_on_postgres
def test_a_log_whose_name_is_learned_later_is_erased_by_what_is_outstanding(store):
    def read(log, *lines):
        store.append([parse(envelope.decode(one, f"{log}:{number}")) for number, one in enumerate(lines, 1)])

    read("Zacharias.jsonl", *visits("two", "p", "Pia"))
    read("log.jsonl", *visits("one", "zz-17", "Zacharias"))
    Views.open(store).close()
    forget(store, participant(store, "zz-17"))
    read("Zacharias.jsonl", *visits("one", "zz-17", "Zacharias", 500)[:1])
    assert is_behind(store)
    by_log = why_behind(store)
    assert by_log.startswith("a log was read whose name names somebody who was erased")
    newer = participant(store, "p").request(store.ledger, NOW)
    store.record_erasure(newer, NOW)  # and there it breaks off
    assert why_behind(store).endswith("one broke off, or a backup was put back")
    outstanding(store, Rules(), NOW, silent)
    assert not any("acharias" in one.received.source for one in store.deliveries())
    assert not is_behind(store)


@pytest.mark.slow_on_postgres
def test_what_has_no_session_stays_erased_wherever_it_comes_from_again(two):
    store, _ = two
    body = b'{"webhookType":"participant-joined","data":{"participantName":"Nobody"}}'
    early, late = (parse(envelope.decode(line(body, at))) for at in (2200, 2400))
    store.append([early, late])
    before = MORNING + timedelta(seconds=2300)

    def named():
        return [one.position for one in store.deliveries() if b"Nobody" in one.body]

    plan = of_older(store, before, NOW, silent)
    plan.request(store.ledger, NOW)  # and it is killed
    assert (len(named()), is_behind(store)) == (2, True)
    outstanding(store, Rules(), NOW, silent)
    assert (len(named()), is_behind(store)) == (1, False)
    store.append([early])  # of a log that is read again
    assert len(named()) == 1
    assert of_older(store, before, NOW, silent).events == 0


@pytest.mark.sqlite
def test_what_is_found_of_what_has_no_session_names_nobody_and_is_reported_once(two):
    pytest.importorskip("httpx2")
    store, _ = two
    body = b'{"webhookType":"participant-joined","data":{"participantId":"uu-5","participantName":"Ulrika"}}'
    store.append([parse(envelope.decode(line(body, 2200)))])
    before, alert = found(store), Alert("all", "https://hooks.example.org", When("info"), wait=timedelta())
    sweep(store.data, [alert], NOW, backfill=timedelta(days=9999))
    sent = len(outbox(store.data))
    assert {"published.db", "alerts.db"} <= set(holding(store.data, "uu-5"))
    forget(store, of_older(store, NOW, NOW, silent))
    sweep(store.data, [alert], NOW)
    assert (found(store), len(outbox(store.data))) == (before, sent)
    store.close()
    assert holding(store.data, "uu-5", "ulrika") == []


@pytest.mark.sqlite
def test_a_ledger_of_the_first_format_is_gone_on_with(two):
    store, _ = two
    forget(store, participant(store, "zz-17"))
    with closing(sqlite3.connect(store.ledger.path)) as ledger, ledger:
        ledger.execute("DROP TABLE older")
        ledger.execute("DROP TABLE sources")
        ledger.execute("ALTER TABLE requests DROP COLUMN finished")
        ledger.execute("PRAGMA user_version = 1")
    assert (store.ledger.requests, store.ledger.entries().knows("zz-17"), is_behind(store)) == (1, True, True)
    said = commands.run("doctor", "--data", str(store.data), text=True).stdout
    assert "erasures.db was written by an older version" in said
    forget(store, of_older(store, NOW, NOW, silent))
    assert (store.ledger.requests, store.ledger.entries().older, is_behind(store)) == (2, (NOW, NOW), False)


def test_what_is_older_than_any_webhook_can_be_is_nothing(two):
    store, _ = two
    assert of_older(store, datetime(1937, 1, 1, tzinfo=UTC), NOW, silent).events == 0


@pytest.mark.slow_on_postgres
def test_nobody_is_erased_who_is_not_there(two):
    store, _ = two
    with pytest.raises(NotFoundError, match="no such participant"):
        participant(store, "nobody")
    with pytest.raises(NotFoundError, match="no such session"):
        of_session(store, "nothing", NOW, silent)
    assert Ledger(store.data).requests == 0


@pytest.mark.slow_on_postgres
def test_whoever_was_erased_is_planned_again_without_anything_to_do(two):
    store, _ = two
    forget(store, participant(store, "zz-17"))
    assert participant(store, "zz-17").events == 0


def test_what_is_older_is_erased_once(two):
    store, _ = two
    assert of_older(store, MORNING, NOW, silent).events == 0
    before = found(store)
    forget(store, of_older(store, MORNING + timedelta(seconds=1000), NOW, silent))
    assert {one.session_id for one in store.deliveries() if b"zz-17" in one.body} == {"two", None}
    forget(store, of_older(store, NOW, NOW, silent))
    assert not any(b"zz-17" in one.body for one in store.deliveries())
    assert found(store) == before
    assert of_older(store, NOW, NOW, silent).events == 0


@pytest.mark.sqlite
def test_a_copy_of_a_store_has_the_pseudonyms_and_not_the_ledger(two, tmp_path):
    store, _ = two
    forget(store, participant(store, "zz-17"))
    with closing(stores.opened(tmp_path / "copy", create=True)) as target:
        copy(store, target, silent)
        assert verify(target, Rules()).problems == []
        assert not any(b"zz-17" in one.body for one in target.deliveries())
    assert not (tmp_path / "copy" / "erasures.db").exists()


@pytest.mark.sqlite
def test_the_doctor_says_what_is_not_carried_out_and_that_the_ledger_is_gone(two):
    store, _ = two

    def said():
        listed = commands.run("doctor", "--data", str(store.data), "--format", "ndjson").stdout.splitlines()
        return [one["state"] for one in map(json.loads, listed) if one["check"] == "erasures"]

    plan = participant(store, "zz-17")
    assert said() == []
    plan.request(store.ledger, NOW)
    assert said() == ["problem"]
    outstanding(store, Rules(), NOW, silent)
    assert said() == ["ok"]
    store.ledger.path.unlink()
    assert said() == ["problem"]


@pytest.mark.sqlite
def test_a_backup_that_is_put_back_is_erased_again(two, tmp_path):
    store, _ = two
    before = found(store)
    with (
        closing(sqlite3.connect(store.data / "events.db")) as live,
        closing(sqlite3.connect(tmp_path / "b.db")) as backup,
    ):
        live.backup(backup)
    forget(store, participant(store, "zz-17"))
    store.close()
    for name in ("views.db", "events.mark", "events.db-wal", "events.db-shm"):
        (store.data / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "b.db", store.data / "events.db")
    with closing(stores.opened(store.data)) as restored:
        assert is_behind(restored)
        before_that = commands.run("sessions", "--data", str(store.data), text=True).stderr
        assert "not all erasures are carried out" in before_that
        assert outstanding(restored, Rules(), NOW, silent).events == 12
        assert not is_behind(restored)
        assert found(restored) == before
        assert holding(store.data, "zz-17", "zacharias") == []


@pytest.mark.sqlite
def test_without_a_ledger_nothing_is_erased_again_and_nothing_is_stored(two):
    store, _ = two
    end = store.last_position()
    done = commands.run("erase", "--again", "--data", str(store.data), text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == f"error: {store.data}/erasures.db: there is no such file"
    assert "hint: nobody was ever erased here" in done.stderr
    forget(store, participant(store, "zz-17"))
    store.ledger.path.unlink()
    assert "hint: put it back" in commands.run("erase", "--again", "--data", str(store.data), text=True).stderr
    assert store.last_position() == end + 1
    assert verify(store, Rules()).problems == []


def test_an_archive_follows_where_it_is_named(two, tmp_path):
    pytest.importorskip("pyarrow")
    store, _ = two
    archive, later = tmp_path / "archive", tmp_path / "later"
    commands.run("export", *stores.arguments(store.data), "--format", "parquet", "--out", str(archive))
    before = commands.run("audit", str(archive), "--format", "ndjson").stdout.splitlines()
    where = [*stores.arguments(store.data), "--yes", "--archive", str(archive)]

    done = commands.run("erase", *where, "--participant", "zz-17", text=True)

    assert done.stdout.splitlines()[1] == f"{archive}: 12 deliveries have pseudonyms now"
    commands.run("export", *stores.arguments(store.data), "--format", "parquet", "--out", str(later))
    assert sorted(lines_of(archive)) == sorted(lines_of(later))
    after = commands.run("audit", str(archive), "--format", "ndjson").stdout.splitlines()
    assert [json.loads(one)["code"] for one in after] == [json.loads(one)["code"] for one in before]
    assert len(list(archive.rglob("*"))) == len(list(later.rglob("*")))


def lines_of(archive):
    from pyarrow import parquet

    return [
        line for path in archive.rglob("*.parquet") for line in parquet.read_table(path)["line"].to_pylist()
    ]


@pytest.mark.sqlite
def test_what_is_no_archive_is_refused_before_anybody_is_erased(two, tmp_path):
    store, _ = two
    where = [*stores.arguments(store.data), "--yes", "--archive", str(tmp_path)]
    done = commands.run("erase", *where, "--participant", "zz-17", text=True)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"error: {tmp_path}: is no archive")
    assert names_of(store, "zz-17")


# Beside a server


@pytest.mark.slow
def test_a_running_server_goes_on_and_writes_nobody_back(tmp_path):
    data = tmp_path / "data"
    said = {"meetingId": "room", "sessionId": "one", "participantId": "zz-17", "participantName": "Zacharias"}
    with serving(data, "--insecure-no-verify") as server:
        for kind in ("session-started", "participant-joined", "participant-left", "participant-left"):
            assert server.ask("/webhooks", "POST", webhook(kind, **said)).status == 204
        until(lambda: len(server.items("/api/findings")) > 0)
        before = server.items("/api/findings")

        done = commands.run("erase", *stores.arguments(data), "--participant", "zz-17", "--yes", text=True)
        assert (done.returncode, done.stdout) == (0, f"{data}: 4 deliveries have pseudonyms now\n"), done

        def is_followed():
            return [one["code"] for one in server.items("/api/findings")] == [one["code"] for one in before]

        until(lambda: is_followed() and "zz-17" not in json.dumps(server.items("/api/findings")))
        assert (
            server.ask("/webhooks", "POST", webhook("participant-joined", **said)).status == 204
        )  # a late copy
        until(lambda: server.ask("/api/sessions/one").json["deliveries"] == 5)
        assert "zz-17" not in server.ask("/api/sessions/one").body.decode()
        assert server.stop() == 0
    with closing(opened(data)) as store:
        assert verify(store, Rules()).problems == []
    assert holding(data, "zz-17", "zacharias") == []


# Crashes


def erase_by_command(data, *whom):
    """`tracker erase`, stream by stream; it ends the process."""
    intake.STREAMS = 1
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    main(["--data", data, "erase", *whom, "--yes"])


MORTAL = Mortal(
    erase_by_command,
    [
        (Ledger, "request"),
        *((Tracker, name) for name in ("erase", "record_erasure", "clean")),
        (rebuild, "_swap"),
        (follow, "publish"),
        *((of_alerts, name) for name in ("erase", "compact")),
        (Ledger, "finish"),
    ],
    behind=True,
)


@pytest.mark.slow
@pytest.mark.sqlite
def test_wherever_the_command_is_killed_the_same_or_again_ends_it(two, tmp_path):
    store, _ = two
    before = found(store)
    store.close()
    with dying(__name__) as run:
        ends = []
        while 0 not in ends:
            kill_at = len(ends)  # behind a step, and before the next one, which is the same
            again = ["--again"] if kill_at % 2 else ["--participant", "zz-17"]
            data = tmp_path / str(kill_at)
            shutil.copytree(store.data, data)
            with closing(
                opened(data)
            ) as beside:  # as a server has it open, so that nobody else empties the log
                beside.last_position()
                ends.append(run(kill_at, data, "--participant", "zz-17"))
                is_asked = Ledger(data).requests > 0
                ended = run(NEVER, data, *again)
                assert ended == (
                    2 if again == ["--again"] and not is_asked else 0
                )  # of nothing there is no again
                assert holding(data, "zz-17", "zacharias") == [] or not is_asked
                assert not is_behind(beside)
            if is_asked:
                with closing(opened(data)) as done:
                    assert found(done) == before
                    assert verify(done, Rules()).problems == []
    assert set(ends) == {-signal.SIGKILL, 0}
    assert len(ends) > 18
