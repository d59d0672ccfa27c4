"""Commands on a store judge as of the clock on the wall, and say the same as a server of that store at that moment."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import islice

import meetings
import pytest
import stores
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple
from served import MONDAY, served
from tries import tries

from projections.cli import tracker
from projections.cli.settings import Settings
from projections.views.verify import verify
from tracker.delivery import envelope
from tracker.delivery.webhook import parse
from tracker.judging import hypothesis
from tracker.judging.assess import assess
from tracker.judging.sessions import Sessions
from tracker.rules import Rules
from tracker.simulate import simulate

AFTERWARDS = [timedelta(0), timedelta(minutes=3), timedelta(minutes=25), timedelta(hours=5), timedelta(days=2)]
EVENING = datetime(2026, 11, 23, 20, tzinfo=UTC)
ENDLESS = "6b03c940d6909d4585e48b7f"
"""A session of the bad Monday that has no end; something came of it last at 06:03."""


@pytest.fixture
def at(monkeypatch):
    """Sets the clock of commands."""
    return lambda moment: monkeypatch.setattr(Settings, "now", moment)


def run(data, *arguments):
    return CliRunner().invoke(tracker, ["--data", str(data), *map(str, arguments)])


def printed(data, *arguments):
    done = run(data, *arguments)
    assert done.exit_code in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def status(data, session):
    return json.loads(run(data, "status", session, "--json").stdout)


def counted(rows):
    """What the rows of sessions say beside times."""
    return {one["session_id"]: {k: v for k, v in one.items() if not k.endswith("_at")} for one in rows}


def same(findings):
    """Findings in any order, as what they say; ``number`` and the like are of the rows."""
    names = [
        "session_id",
        "code",
        "lifecycle",
        "run",
        "severity",
        "verdict",
        "confidence",
        "position",
        "evidence",
    ]
    names += ["at", "message", "cause"]
    return sorted(repr([one[name] for name in names]) for one in findings)


def of_a_morning(data, seed):
    """A store with the beginning of a simulated log; returns the newest receive time in it."""
    lines = list(simulate(14, seed, 0.6))
    received = [one.received for one in islice(lines, len(lines) * 2 // 3)]
    meetings.read_into(data, meetings.write(data.with_suffix(".jsonl"), map(envelope.encode, received)))
    return max(one.received_at for one in received if one.received_at is not None)


@pytest.mark.parametrize("later", AFTERWARDS, ids=str)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_status_sessions_audit_and_server_say_the_same_at_one_moment(tmp_path, at, seed, later):
    newest = of_a_morning(tmp_path / "a", seed)
    of_a_morning(tmp_path / "b", seed)
    at(newest + later)

    found = printed(tmp_path / "a", "audit", "--format", "ndjson")
    rows = printed(tmp_path / "a", "sessions", "--format", "ndjson")
    states = {row["session_id"]: status(tmp_path / "a", row["session_id"]) for row in rows}
    marked = {(one["session_id"], one["position"], one["code"]) for one in found if one["session_id"]}
    moments = {one: printed(tmp_path / "a", "timeline", one, "--format", "ndjson") for one in states}
    with served(tmp_path / "b", now=newest + later) as server:
        api = {one: server.get(f"/api/sessions/{one}") for one in states}
        api_rows = server.get("/api/sessions?limit=1000")["items"]
        api_found = server.get("/api/findings?limit=1000")["items"]

    minutes = {one: state.pop("minutes") for one, state in api.items()}
    # Those who are inside stay there while the server is asked.
    assert minutes == pytest.approx({one: state.pop("minutes") for one, state in states.items()}, abs=5)
    assert api == states
    assert {one for one in marked if one[1] is not None} == {
        (one, moment["position"], code)
        for one, line in moments.items()
        for moment in line
        for code in moment["findings"]
    }
    assert counted(api_rows) == counted(rows)
    assert {row["session_id"]: row["state"] for row in rows} == {one: states[one]["state"] for one in states}
    assert same(api_found) == same(found) != []
    assert same(one for one in found if one["session_id"]) == same(
        one for state in states.values() for one in state["findings"]
    )


def test_a_session_that_was_live_when_the_store_was_last_read_has_ended_a_day_of_silence_later(tmp_path, at):
    meetings.read_into(tmp_path, MONDAY)
    at(datetime(2026, 11, 23, 20, tzinfo=UTC))
    before = status(tmp_path, ENDLESS)["state"]
    assert ENDLESS in run(tmp_path, "sessions", "--live").stdout
    at(datetime(2026, 11, 24, 20, tzinfo=UTC))
    assert (before, status(tmp_path, ENDLESS)["state"]) == ("live", "presumed-ended")
    assert ENDLESS not in run(tmp_path, "sessions", "--live").stdout


def test_a_clock_that_stands_before_the_newest_delivery_makes_nothing_earlier(tmp_path, at):
    meetings.read_into(tmp_path, MONDAY)
    at(datetime(2026, 11, 20, tzinfo=UTC))
    early = printed(tmp_path, "sessions", "--format", "ndjson")
    at(datetime(2026, 11, 23, 18, 8, 20, tzinfo=UTC))
    assert early == printed(tmp_path, "sessions", "--format", "ndjson")


def test_what_was_shown_by_a_clock_that_was_wrong_is_taken_back_when_it_is_right(tmp_path, at):
    meetings.read_into(tmp_path, MONDAY)
    states = []
    for year in (2026, 2031, 2026):
        at(EVENING.replace(year=year))
        states.append(status(tmp_path, ENDLESS)["state"])
        assert (ENDLESS in run(tmp_path, "sessions", "--live").stdout) == (year == 2026)
    assert states == ["live", "presumed-ended", "live"]


def test_an_audit_of_a_log_goes_by_its_newest_receive_time_whatever_the_clock_says(tmp_path, at):
    at(datetime(2026, 11, 23, 18, 9, tzinfo=UTC))
    then = printed(tmp_path, "audit", MONDAY, "--format", "ndjson")
    at(datetime(2026, 12, 23, tzinfo=UTC))
    assert printed(tmp_path, "audit", MONDAY, "--format", "ndjson") == then


def test_read_models_that_a_command_brought_to_now_are_those_that_the_events_make(tmp_path, at):
    meetings.read_into(tmp_path, MONDAY)
    at(datetime(2026, 12, 23, tzinfo=UTC))
    run(tmp_path, "sessions")
    with meetings.opened(tmp_path) as store:
        assert verify(store, Rules()).problems == []


def test_where_time_alone_changes_nothing_a_reader_writes_nothing(tmp_path, at):
    meetings.read_into(tmp_path, MONDAY)
    at(datetime(2026, 12, 23, tzinfo=UTC))
    run(tmp_path, "sessions")
    before = (tmp_path / "views.db").stat().st_mtime_ns
    at(datetime(2027, 12, 23, tzinfo=UTC))
    run(tmp_path, "sessions")
    assert (tmp_path / "views.db").stat().st_mtime_ns == before


def test_a_store_that_cannot_be_written_is_read_as_it_is_now(small_disk, at):
    data = small_disk / "data"
    meetings.read_into(data, MONDAY)
    at(EVENING)
    run(data, "sessions")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    at(EVENING + timedelta(days=1))
    assert not os.access(data, os.W_OK)
    assert (
        {row["session_id"]: row["state"] for row in printed(data, "sessions", "--format", "ndjson")}[ENDLESS]
        == status(data, ENDLESS)["state"]
        == "presumed-ended"
    )


def test_readers_of_one_store_with_read_models_of_their_own_say_the_same(tmp_path, at, postgres, monkeypatch):
    monkeypatch.setenv(stores.ON_A_SERVER, postgres.url(user=stores.UNASKED))
    newest = of_a_morning(tmp_path / "data", 1)

    def rows(reader):
        given = stores.arguments(tmp_path / "data", tmp_path / reader)
        return CliRunner().invoke(tracker, [*given, "sessions", "--format", "ndjson"]).stdout

    at(newest)
    before = rows("one")
    at(newest + timedelta(days=2))
    assert before != rows("one") == rows("other") != ""


def test_what_is_not_settled_fails_an_audit_of_a_store_or_a_log_only_where_it_is_strict(tmp_path, at):
    kinds = {"session-started": 0, "recording-starting": 5, "recording-stopping": 60, "recording-stopped": 61}
    file = {"recording-stopped": {"filePath": "a.mp4"}}
    log = meetings.write(
        tmp_path / "log",
        [
            meetings.line(meetings.webhook(kind, sessionId="s", meetingId="m", **file.get(kind, {})), when)
            for kind, when in kinds.items()
        ],
    )
    meetings.read_into(tmp_path / "data", log)
    at(meetings.MORNING + timedelta(seconds=61))
    verdicts = [
        {one["verdict"] for one in printed(tmp_path / "data", "audit", *of, "--format", "ndjson")}
        for of in ([], [log])
    ]
    codes = [
        run(tmp_path / "data", "audit", *of, *strict).exit_code
        for of in ([], [log])
        for strict in ([], ["--strict"])
    ]
    assert (verdicts, codes) == ([{"provisional"}, {"undecided"}], [0, 1, 0, 1])


@given(seed=st.integers(0, 40), cut=st.floats(0.1, 1), waited=st.floats(0, 2e5), share=st.floats(0, 1))
@tries(40)
def test_between_two_moments_at_which_time_changes_something_every_finding_says_the_same(
    seed, cut, waited, share
):
    """So no message holds a duration up to now, and rows need no writing while they stay true."""
    received = [parse(one.received, place) for place, one in enumerate(simulate(6, seed, 0.7), 1)]
    for session in grouped(received[: max(1, int(len(received) * cut))]):
        at = (session.last_at or 0) + int(waited * 1_000_000)
        now = assess(session, hypothesis.moment(at))
        until = now.next_change or now.as_of + timedelta(days=400)
        later = assess(session, now.as_of + share * (until - now.as_of - timedelta(microseconds=1)))
        assert (later.state, *map(astuple, later.findings)) == (
            now.state,
            *map(astuple, now.findings),
        )


def grouped(deliveries):
    """The sessions of these deliveries, observed."""
    sessions = Sessions(Rules())
    for one in deliveries:
        if one.session_id is not None:
            sessions.observe(one)
    return list(sessions.observed.values())
