"""What is written holds names of people, so nobody else on the machine may read it, whatever the umask."""

import os
import stat
from contextlib import closing

import commands
import pytest
from meetings import read_into, webhook
from served import MONDAY
from traffic import serving

from projections.views.rebuild import rebuild
from tracker.store.application import Tracker


@pytest.fixture(autouse=True)
def open_to_all():
    """As careless as an umask can be."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(*places):
    """What of these, and of all inside, somebody else may do something with."""
    found = [one for place in places for one in (place, *place.rglob("*"))]
    assert found
    return [(one.name, oct(one.stat().st_mode)) for one in found if stat.S_IMODE(one.stat().st_mode) & 0o077]


def tracker(*arguments, cwd):
    assert commands.run(*arguments, cwd=cwd).returncode == 0


def test_a_store_and_its_read_models_are_private(tmp_path):
    data = tmp_path / "data"
    read_into(data, MONDAY)
    with closing(Tracker.open(data)) as store:
        rebuild(store)
        rebuild(store)
        store.last_position()

        assert open_to_others(data) == []


def test_what_a_server_writes_is_private_while_it_runs(tmp_path):
    data = tmp_path / "deep" / "data"
    token = "a token that nobody guesses"
    with serving(data, "--insecure-no-verify", TRACKER_TOKEN=token) as server:
        server.ask("/webhooks", "POST", webhook("session-started", sessionId="s", meetingId="m"))
        server.answered("/api/sessions?wait=1", authorization=f"Bearer {token}")
        cookie = server.ask("/login", "POST", f"token={token.replace(' ', '+')}").headers["set-cookie"]
        assert server.ask("/logout", "POST", cookie=cookie.partition(";")[0]).status == 303

        names = {one.name for one in data.iterdir()}
        assert {"events.db", "events.db-wal", "views.db", "ended-logins"} <= names
        assert open_to_others(data.parent) == []


def test_what_commands_write_is_private(tmp_path):
    out = tmp_path / "out"
    out.mkdir(0o700)
    tracker("ingest", MONDAY, "--data", out / "data", cwd=out)
    tracker("simulate", "--meetings", 1, "--out", out / "log.jsonl", "--truth", out / "truth.jsonl", cwd=out)
    tracker("copy", "--from", out / "data", "--to", out / "other", cwd=out)
    tracker("verify", "--data", out / "data", cwd=out)

    assert open_to_others(out) == []


def test_what_is_open_to_others_by_somebodys_wish_stays_so(tmp_path):
    data = tmp_path / "data"
    data.mkdir(0o750)
    read_into(data, MONDAY)
    (data / "events.db").chmod(0o640)
    with closing(Tracker.open(data)):
        found = {one.name: oct(stat.S_IMODE(one.stat().st_mode)) for one in (data, data / "events.db")}

    assert found == {"data": "0o750", "events.db": "0o640"}
