"""How a store is backed up while webhooks come, and what is no backup: the README says the same."""

import shutil
import sqlite3
import subprocess
import sys
import sysconfig
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import commands
import pytest
from meetings import webhook
from served import served
from traffic import environment
from waiting import until

from projections.views.follow import Views
from projections.views.verify import verify
from tracker.intake.copying import copy
from tracker.rules import Rules
from tracker.store.application import Tracker

PARTS = 20
MOST = 500
"""Webhooks; SQLite begins a backup anew whenever somebody writes meanwhile, and would never end if that went on for ever."""


def by_copy(data, backup):
    with Tracker.open(data) as source, Tracker.open(backup, create=True) as target:
        copy(source, target, lambda _done, _total: None)


def by_command(data, backup):
    command = [sys.executable, "-m", "projections", "copy", "--from", str(data), "--to", str(backup)]
    subprocess.run(command, env=environment(), check=True, capture_output=True)


def by_sqlite(data, backup):
    backup.mkdir(exist_ok=True)
    with (
        closing(sqlite3.connect(data / "events.db")) as live,
        closing(sqlite3.connect(backup / "events.db")) as target,
    ):
        live.backup(target, pages=PARTS)


@pytest.mark.parametrize("back_up", [by_copy, by_command, by_sqlite])
def test_a_backup_that_is_made_while_webhooks_come_has_all_that_were_acknowledged_before(tmp_path, back_up):
    data, backup, over, sent = tmp_path / "data", tmp_path / "backup", Event(), []
    with served(data) as server:

        def post():
            while not over.is_set() and len(sent) < MOST:
                sent.append(server.post("session-started", sessionId=f"s{len(sent)}", meetingId="m"))

        thread = Thread(target=post)
        thread.start()
        until(lambda: len(sent) >= 50)
        acknowledged = list(sent)
        back_up(data, backup)
        over.set()
        thread.join()
    with Tracker.open(backup) as store:
        there = [one.session_id for one in store.deliveries()]
        Views.open(store).close()
        assert verify(store, Rules()).problems == []
    assert there[: len(acknowledged)] == [f"s{number}" for number in range(len(acknowledged))]


def test_a_second_copy_brings_the_first_one_up(tmp_path):
    with served(tmp_path / "data") as server:
        for number in range(3):
            server.post("session-started", sessionId=f"s{number}", meetingId="m")
            by_copy(tmp_path / "data", tmp_path / "backup")
    with Tracker.open(tmp_path / "backup") as store:
        assert store.count() == 3


def test_a_copy_of_the_file_alone_lacks_what_is_in_its_log_and_beside_the_read_models_that_is_reported(
    tmp_path,
):
    data, backup = tmp_path / "data", tmp_path / "backup"
    with served(data) as server:
        for number in range(30):
            server.post("session-started", sessionId=f"s{number}", meetingId="m")
        server.caught_up()
        server.live.stopping = True
        until(lambda: not server.live.is_alive)  # or a journal of its read models is gone before it is copied
        shutil.copytree(data, backup, ignore=shutil.ignore_patterns("events.db-*"))
        lived = server.tracker.count()
    with Tracker.open(backup, create=True) as store:
        there, printed = store.count(), [one.text for one in verify(store, Rules()).problems]
    assert there < lived
    assert printed == [
        f"the store ends at position {there}, but the read models go up to 30: {30 - there} deliveries are gone"
    ]


def test_a_backup_that_is_put_back_beside_newer_read_models_is_reported_and_goes_on_once_accepted(tmp_path):
    data, backup = tmp_path / "data", tmp_path / "backup"
    with served(data) as server:
        server.post("session-started", sessionId="before", meetingId="m")
        by_sqlite(data, backup)
        server.post("session-started", sessionId="after", meetingId="m")
        server.caught_up()
    shutil.copy(backup / "events.db", data / "events.db")
    with served(data, caught_up=False) as server:
        assert "1 delivery is gone" in server.ask("/readyz").json["reasons"][0]
        assert server.post("session-started", sessionId="later", meetingId="m") == 3


def test_the_body_of_a_webhook_is_the_same_in_a_backup(tmp_path):
    body = webhook("session-started", sessionId="s", meetingId="m", pad="é\u2028")
    with served(tmp_path / "data") as server:
        assert server.ask("/webhooks", "POST", body).status == 204
        by_sqlite(tmp_path / "data", tmp_path / "backup")
    with Tracker.open(tmp_path / "backup") as store:
        assert [one.body for one in store.deliveries()] == [body]


def litestream(*given):
    program = Path(sysconfig.get_path("scripts")) / "litestream"
    if not program.exists():
        pytest.skip("litestream is not installed")
    return subprocess.run([program, *map(str, given)], check=True, capture_output=True)


@pytest.mark.slow
def test_what_litestream_replicates_while_webhooks_come_is_restored_and_whoever_was_erased_since_is_erased(
    tmp_path,
):
    data, restored, replica = tmp_path / "data", tmp_path / "restored", f"file://{tmp_path / 'replica'}"
    with served(data) as server:
        for number in range(30):
            server.post(
                "participant-joined", sessionId=f"s{number}", participantId="zz-17", participantName="Ann"
            )
            if number % 10 == 9:
                litestream("replicate", "-once", data / "events.db", replica)
    done = commands.run("erase", "--data", str(data), "--participant", "zz-17", "--yes", text=True)
    assert ".events.db-litestream may still name people" in done.stderr
    restored.mkdir()
    litestream("restore", "-o", restored / "events.db", replica)
    shutil.copy(data / "erasures.db", restored)
    assert commands.run("erase", "--data", str(restored), "--again", text=True).stdout == (
        f"{restored}: 30 deliveries have pseudonyms now\n"
    )
    with Tracker.open(restored) as store, Tracker.open(data) as source:
        assert [one.body for one in store.deliveries()] == [one.body for one in source.deliveries()]
        assert verify(store, Rules()).problems == []
