"""The read models follow the store while it is served: by themselves, by the clock, and after what went wrong."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from meetings import lines, read_into, rows, webhook, write
from served import PATIENCE
from stores import arguments, opened
from traffic import environment

from projections.views.database import VIEWS_DB
from projections.views.follow import Views
from projections.views.live import Live
from projections.views.rebuild import rebuild
from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse
from tracker.errors import RulesError
from tracker.rules import Rules

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@attrs.define
class World:
    """What is outside of a follower: the time, and the rules that stand in the file."""

    now: datetime = NOON
    rules: Rules | Exception = attrs.field(factory=Rules)

    def load_rules(self):
        if isinstance(self.rules, Exception):
            raise self.rules
        return self.rules


@asynccontextmanager
async def following(store, world=None):
    world = world or World()
    live = Live(store, world.load_rules, lambda: world.now)
    live.start()
    try:
        yield live
    finally:
        await live.stop()


def follows(check):
    """Runs a test in an event loop."""

    def test(store):
        asyncio.run(asyncio.wait_for(check(store), PATIENCE))

    test.__name__ = check.__name__
    return test


def joined(session="s", at=NOON):
    return parse(Received(webhook("participant-joined", sessionId=session, participantId="p"), at))


def started(session="s", at=NOON):
    return parse(Received(webhook("session-started", sessionId=session, meetingId="m"), at))


def found(store, what="code", table="findings"):
    with closing(sqlite3.connect(store.data / VIEWS_DB)) as views:
        return [value for (value,) in views.execute(f"SELECT {what} FROM {table} ORDER BY 1")]


async def come_true(what):
    while not what():  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.01)


@follows
async def test_what_this_process_commits_is_waited_for_and_found(store):
    async with following(store) as live:
        for number in range(20):
            (position,) = store.append([started(f"s{number:02}")])
            live.wake()
            assert await live.wait_for(position, PATIENCE)
            assert found(store, "session_id", "sessions")[-1] == f"s{number:02}"
        assert (live.checkpoint_position, live.lag) == (20, 0)


@follows
async def test_what_another_process_commits_is_found_without_a_word(store):
    async with following(store) as live:
        with closing(opened(store.data)) as other:
            (position,) = other.append([started()])
        assert await live.wait_for(position, PATIENCE)


@follows
async def test_who_waits_for_what_does_not_come_is_reported_so(store):
    async with following(store) as live:
        assert not await live.wait_for(1, 0.01)


@follows
async def test_who_waits_is_let_go_when_the_server_stops(store):
    async with following(store) as live:
        waiting = asyncio.create_task(live.wait_for(1, PATIENCE))
        await asyncio.sleep(0)
        live.let_go()
        assert not await waiting


@follows
async def test_what_rests_on_absence_is_settled_by_the_clock_when_nothing_comes(store):
    world = World()
    async with following(store, world) as live:
        (position,) = store.append([started()])
        assert await live.wait_for(position, PATIENCE)
        assert found(store) == []
        world.now += timedelta(days=1)
        await come_true(lambda: found(store) == ["T304"])
        await come_true(lambda: live.as_of == world.now)


@follows
async def test_what_a_clock_that_was_ahead_has_settled_is_taken_back(store):
    store.append([started(), joined()])
    async with following(store, World(now=NOON + timedelta(days=3))) as live:
        assert await live.wait_for(store.last_position(), PATIENCE)
        await come_true(lambda: "T304" in found(store))
    async with following(store, World(now=NOON + timedelta(minutes=1))) as live:
        await come_true(lambda: live.as_of and live.as_of < NOON + timedelta(days=1))
        assert "T304" not in found(store)


@follows
async def test_read_models_that_another_holds_are_a_problem_until_they_are_free(store):
    async with following(store) as live:
        await come_true(live.views_path.exists)
        with closing(sqlite3.connect(live.views_path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            (position,) = store.append([started()])
            assert not await live.wait_for(position, 0.3)
        assert await live.wait_for(position, PATIENCE)
        assert live.problem == ""


@follows
async def test_other_rules_judge_anew_and_broken_ones_change_nothing(store):
    world = World(now=NOON + timedelta(minutes=5))
    async with following(store, world) as live:
        (position,) = store.append([started()])
        assert await live.wait_for(position, PATIENCE)
        for rules, codes in (
            (Rules(session_idle=timedelta(minutes=1)), ["T304"]),
            (RulesError("is broken"), ["T304"]),
            (Rules(), []),
        ):
            world.rules = rules
            live.reload()
            await come_true(lambda: not live._reload.is_set())
            await come_true(lambda: found(store) == codes)  # noqa: B023 - it is called here


@follows
async def test_read_models_that_were_thrown_away_are_made_anew(store):
    async with following(store) as live:
        (position,) = store.append([started()])
        assert await live.wait_for(position, PATIENCE)
        files = live.views_path.parent.glob(f"{VIEWS_DB}*")
        for path in sorted(
            files, reverse=True
        ):  # the main file last: what is made anew after that is not ours to remove
            path.unlink(missing_ok=True)  # a journal is gone by itself when its transaction ends
        store.append([joined()])
        await come_true(live.views_path.exists)
        await come_true(lambda: found(store, "participant_id", "participants") == ["p"])


async def rebuilt_by_a_command(store):
    """In a process of its own: two rebuilds of one process would take the same file."""
    command = (sys.executable, "-m", "projections", "rebuild", *arguments(store.data))
    process = await asyncio.create_subprocess_exec(*command, env=environment(), stdout=subprocess.DEVNULL)
    assert await process.wait() == 0


@pytest.mark.slow_on_postgres
@follows
async def test_a_rebuild_by_a_command_is_followed(store):
    async with following(store) as live:
        for number in range(2):
            (position,) = store.append([started(f"s{number}")])
            await rebuilt_by_a_command(store)
            assert await live.wait_for(position, PATIENCE)
        (position,) = store.append([started("last")])
        assert await live.wait_for(position, PATIENCE)
        await come_true(lambda: found(store, "session_id", "sessions")[0] == "last")


def test_what_a_stopped_server_left_is_taken_up_by_the_next_and_is_what_a_rebuild_makes(each_store, tmp_path):
    read_into(tmp_path, write(tmp_path / "log", lines(3, sessions=6)))
    with closing(opened(tmp_path)) as store:

        async def run():
            for _ in range(3):
                async with following(store, World(now=NOON + timedelta(days=300))) as live:
                    assert await live.wait_for(store.last_position(), PATIENCE)
                    store.append([started()])
            async with following(store, World(now=NOON + timedelta(days=300))) as live:
                assert await live.wait_for(store.last_position(), PATIENCE)
                await come_true(lambda: live.as_of)

        asyncio.run(run())
        followed = rows(tmp_path / VIEWS_DB)
        with Views.open(store, Rules()) as views:
            as_of = views.checkpoint.as_of
        rebuild(store, Rules())
        with Views.open(store, Rules()) as views:
            views.settle(store, as_of)
        assert rows(tmp_path / VIEWS_DB) == followed
