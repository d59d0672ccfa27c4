"""What is older than ``[retention]`` says loses its people by itself, while a server runs."""

import asyncio
from contextlib import closing
from datetime import timedelta

import pytest
from meetings import MORNING, line, opened, webhook
from served import served
from traffic import serving
from waiting import until

from projections.retaining import Retaining
from projections.views.follow import Views
from projections.views.verify import verify
from tracker.config import load_config
from tracker.delivery import envelope
from tracker.delivery.webhook import parse
from tracker.errors import RulesError
from tracker.intake.erasing import of_older
from tracker.retention import Retention
from tracker.rules import Rules

DAYS = 86_400
said = {"meetingId": "m", "participantId": "zz-17", "participantName": "Zacharias"}


@pytest.fixture
def filled(store):
    """Somebody was in a session long ago, and in one just now."""
    fill(store, old=0, new=300)
    return store


def fill(store, **sessions):
    """Somebody came and went in sessions so many days after that morning."""
    for session, days in sessions.items():
        bodies = [webhook(f"participant-{step}", sessionId=session, **said) for step in ("joined", "left")]
        store.append(
            [parse(envelope.decode(line(one, days * DAYS + number))) for number, one in enumerate(bodies)]
        )


def still_named(store):
    return [one.session_id for one in store.deliveries() if b"zz-17" in one.body]


def test_people_are_erased_once_they_are_old_enough_and_not_before(filled):
    now = [MORNING + timedelta(days=100)]
    settings = Retention(people=timedelta(days=180))
    turns = []

    def follow():
        turns.append(now[0])
        Views.open(filled).close()

    retaining = Retaining(filled, lambda: settings, Rules, follow, lambda: now[0])
    retaining.turn()
    assert (still_named(filled), turns) == (["old", "old", "new", "new"], [])
    now[0] += timedelta(days=100)
    retaining.turn()
    retaining.turn()
    assert (still_named(filled), len(turns)) == (["new", "new"], 1)
    assert verify(filled, Rules()).problems == []


def test_sessions_go_into_the_archive_once_they_are_old_enough(filled, tmp_path):
    pytest.importorskip("pyarrow")
    settings = Retention(sessions=timedelta(days=180), archive=tmp_path / "archive")
    now = MORNING + timedelta(days=200)
    retaining = Retaining(filled, lambda: settings, Rules, lambda: Views.open(filled).close(), lambda: now)
    retaining.turn()
    retaining.turn()
    assert still_named(filled) == ["new", "new"]
    assert filled.pruned("old").archives == (str(next((tmp_path / "archive").iterdir())),)
    assert verify(filled, Rules()).problems == []


def test_that_a_turn_failed_is_a_problem_of_the_server(tmp_path):
    def broken():
        raise RulesError("retention = 3 is no table", hint="")

    with served(tmp_path) as server:
        retaining = Retaining(server.tracker, broken, Rules, lambda: None)
        server.server.config.app.state.beside = [retaining]
        retaining.start()
        until(lambda: b'tracker_failing{part="retention"} 1.0' in server.ask("/metrics").body)
        asyncio.run(retaining.stop())
    assert retaining.problem == "retention = 3 is no table"


def test_what_broke_off_is_done_at_the_next_turn(filled):
    now = MORNING + timedelta(days=200)
    of_older(filled, MORNING + timedelta(days=20), now, lambda _done, _total: None).request(filled.ledger, now)
    Retaining(filled, Retention, Rules, lambda: Views.open(filled).close(), lambda: now).turn()
    assert still_named(filled) == ["new", "new"]


@pytest.mark.slow
@pytest.mark.sqlite
def test_a_server_does_it_by_itself(filled, tmp_path):
    fill(filled, ancient=-9000)
    filled.close()
    config = tmp_path / "tracker.toml"
    config.write_text('[retention]\npeople = "30 d"\n')
    with serving(filled.data, "--insecure-no-verify", "--config", config) as server:
        server.has_printed("people were erased")
        assert server.stop() == 0
    with closing(opened(filled.data)) as store:
        assert "ancient" not in still_named(store)
        assert verify(store, Rules()).problems == []


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('people = "soon"', "people is 'soon'"),
        ("people = 0", "people is 0"),
        ('people = "5000 y"', "people is '5000 y'"),
        ('people = "180 days"', "people is '180 days'"),
        ('sessions = "2 y"', "sessions and archive need each other"),
        ('archive = 3\nsessions = "2 y"', "archive is 3"),
        ('poeple = "2 y"', "no setting of retention 'poeple'"),
    ],
)
def test_what_is_no_retention_is_refused(tmp_path, table, problem):
    path = tmp_path / "tracker.toml"
    path.write_text(f"[retention]\n{table}\n")
    with pytest.raises(RulesError, match=problem) as caught:
        load_config(path)
    assert "retention" in str(caught.value).removeprefix(str(tmp_path))


def test_a_retention_is_read(tmp_path):
    path = tmp_path / "tracker.toml"
    path.write_text('[retention]\npeople = "180 d"\nsessions = "2 y"\narchive = "old"\n')
    assert load_config(path).retention == Retention(timedelta(180), timedelta(730), tmp_path / "old")
