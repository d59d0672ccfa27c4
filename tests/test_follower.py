"""The follower is a process of its own: what holds when it, or the server that started it, is ended."""

import asyncio
import os
import signal
import subprocess
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from threading import Event

import pytest
from meetings import webhook
from served import PATIENCE
from stores import address, opened
from test_live import come_true, found, started
from traffic import serving
from waiting import until

from projections.web import follower
from projections.web.follower import ENDED, NOT_STARTED, Follower
from tracker.rules import Rules

pytestmark = [pytest.mark.usefixtures("each_store"), pytest.mark.slow_on_postgres]


def begun(session="s"):
    return webhook("session-started", sessionId=session, meetingId="m")


def processes(parent):
    """The processes that a process has started."""
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,ppid=,args=", "-A"], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return {int(pid): args for pid, of, args in rows if int(of) == parent}


def followers(server):
    return [pid for pid, args in processes(server.process.pid).items() if "spawn_main" in args]


def is_there(pid):
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(shown.stdout.strip("Z+s \n<lN"))


@asynccontextmanager
async def following(store):
    live = Follower(store, Rules, lambda: datetime.now(UTC), address(store.data))
    live.start()
    try:
        yield live
    finally:
        await live.stop()


def test_it_follows_what_is_committed_and_another_one_goes_on_after_it_was_killed(store, monkeypatch):
    monkeypatch.setattr(follower, "RETRY", 0.01)
    start, may_start = follower._start, Event()
    may_start.set()

    def start_when_the_end_was_seen(task):
        assert may_start.wait(PATIENCE)
        return start(task)

    monkeypatch.setattr(follower, "_start", start_when_the_end_was_seen)

    async def check():
        async with following(store) as live:
            (position,) = store.append([started("first")])
            assert await live.wait_for(position, PATIENCE)
            judged, pid = sum(live.readings.values()), live.pid
            for number in range(3):
                (position,) = store.append([started(f"s{number}")])
                live.wake()
                assert await live.wait_for(position, PATIENCE)
                if number == 1:
                    may_start.clear()
                    os.kill(live.pid, signal.SIGKILL)
                    await come_true(lambda: live.problem == ENDED)
                    may_start.set()
            assert found(store, "session_id", "sessions") == ["first", "s0", "s1", "s2"]
            assert (live.lag, live.problem, sum(live.readings.values())) == (0, "", judged + 3)
            assert live.pid != pid
        assert not is_there(live.pid)

    asyncio.run(check())


def test_one_that_cannot_be_started_is_tried_again_and_the_server_says_so(store, monkeypatch):
    monkeypatch.setattr(follower, "RETRY", 0.01)
    start, is_full = follower._start, [True]

    def start_where_there_is_room(task):
        if is_full:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return start(task)

    monkeypatch.setattr(follower, "_start", start_where_there_is_room)

    async def check():
        async with following(store) as live:
            await come_true(lambda: live.problem == NOT_STARTED)
            is_full.clear()
            (position,) = store.append([started()])
            assert await live.wait_for(position, PATIENCE)
            await come_true(lambda: live.problem == "")

    asyncio.run(check())


def test_one_that_was_halted_keeps_nobody_from_storing_or_stopping(store, monkeypatch):
    monkeypatch.setattr(follower, "LAST", 0.1)

    async def check():
        async with following(store) as live:
            (position,) = store.append([started()])
            assert await live.wait_for(position, PATIENCE)
            os.kill(live.pid, signal.SIGSTOP)
            for _ in range(20_000):  # more than a pipe holds
                live.wake()
        assert not is_there(live.pid)

    asyncio.run(check())


@pytest.mark.slow
def test_while_it_is_away_webhooks_are_stored_and_readiness_says_so(tmp_path):
    with serving(tmp_path / "data", "--insecure-no-verify") as server:
        until(lambda: server.ask("/readyz").status == 200)
        assert len(followers(server)) == 1

        def is_said():
            for pid in followers(server):  # the next one as well, where this one is slower than it
                os.kill(pid, signal.SIGKILL)
            return server.ask("/readyz").json["reasons"] == [f"the read models: {ENDED}"]

        until(is_said)
        assert server.ask("/webhooks", "POST", begun()).status == 204
        until(lambda: server.ask("/readyz").json == {"ready": True, "reasons": [], "position": 1, "lag": 0})
        server.has_printed('event="the follower has ended" code=-9')


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "code"), [((signal.SIGTERM,), 0), ((signal.SIGINT,), 0), ((signal.SIGKILL,), -signal.SIGKILL)]
)
def test_whatever_ends_the_server_ends_all_its_processes(tmp_path, sent, code):
    with serving(tmp_path / "data", "--insecure-no-verify", start_new_session=True) as server:
        until(lambda: server.ask("/readyz").status == 200)
        assert server.ask("/webhooks", "POST", begun()).status == 204
        others = processes(server.process.pid)
        assert others
        for one in sent:
            os.killpg(server.process.pid, one) if one == signal.SIGINT else server.process.send_signal(one)
        assert server.process.wait(PATIENCE) == code
        until(lambda: not any(map(is_there, others)))
    assert [line for line in server.printed if "Traceback" in line or "level=error" in line] == []
    with closing(opened(tmp_path / "data")) as store:
        assert store.last_position() == 1
