"""A receive time from a wrong clock holds the later ones for five minutes at most, and can be taken back."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import stores
from click.testing import CliRunner
from meetings import rows, webhook
from served import served, until
from stores import opened

from projections.cli import tracker as command
from projections.exports.lines import jsonl
from projections.views.database import VIEWS_DB
from projections.views.follow import Views
from projections.views.verify import verify
from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse
from tracker.intake.receiver import SOURCE
from tracker.rules import Rules
from tracker.store.clock import PIN, Clock, WrongTimes

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
YEAR = timedelta(days=400)
BODY = webhook("session-started", sessionId="s", meetingId="m")


def received(at, body=BODY, source=SOURCE):
    return parse(Received(body, at, source))


def times(store):
    return [one.received_at for one in store.deliveries()]


class Source:
    """A clock that is set by hand."""

    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now


# The clock


def test_a_clock_that_goes_back_a_little_stays_at_the_newest_time():
    source = Source()
    clock = Clock(NOON + PIN, source)
    assert (clock.now(), clock.now()) == (NOON + PIN, NOON + PIN)
    source.now += PIN + timedelta(seconds=1)
    assert clock.now() == source.now


def test_a_clock_that_goes_back_by_more_is_used_as_it_is():
    source = Source()
    clock = Clock(NOON + YEAR, source)
    assert clock.now() == NOON
    source.now += timedelta(seconds=3)
    assert clock.now() == source.now
    assert clock.behind == (YEAR - timedelta(seconds=3)).total_seconds()


def test_how_far_a_clock_is_behind_is_known_until_the_wrong_time_is_taken_back():
    clock = Clock(NOON, Source(NOON), ahead=NOON + YEAR)
    before = clock.behind
    clock.correct(NOON)
    assert (before, clock.behind) == (YEAR.total_seconds(), 0)


# The store


@pytest.fixture
def poisoned(store):
    """One webhook that was received while the clock was ahead by more than a year."""
    store.receive([received(NOON)])
    store.receive([received(NOON + YEAR)])
    return store


def test_a_stored_time_that_is_far_ahead_moves_no_later_one(poisoned):
    for second in range(1, 4):
        poisoned.receive([received(NOON + timedelta(seconds=second))])
    assert times(poisoned)[2:] == [NOON + timedelta(seconds=second) for second in range(1, 4)]


def test_the_newest_receive_time_of_a_source_is_found_wherever_it_stands(poisoned):
    poisoned.receive([received(NOON + timedelta(seconds=9))])
    poisoned.append([received(NOON + 2 * YEAR, source="log:1"), parse(Received(BODY, None, SOURCE))])
    assert poisoned.latest_from(SOURCE) == NOON + YEAR
    assert poisoned.latest_from("nobody") is None


def test_a_time_that_is_taken_back_counts_as_none_and_is_exported_as_none(poisoned):
    before = poisoned.digest(2)
    poisoned.take_back(WrongTimes(2, 2, "2026-11-24T00:00:00+00:00"))
    assert (times(poisoned), poisoned.digest(2)) == ([NOON, None], before)
    assert [b"received_at" in one for one in jsonl(poisoned.deliveries())] == [True, False]
    assert [one.received_at for one in poisoned.history("s")] == [NOON, None]
    assert poisoned.latest_from(SOURCE) == NOON


def test_the_read_models_live_in_the_right_time_again_and_agree_with_the_store(poisoned):
    later = NOON + timedelta(hours=1)
    with Views.open(poisoned, now=lambda: later) as views:
        assert views.checkpoint.as_of == NOON + YEAR
    (poisoned.data / VIEWS_DB).unlink()
    poisoned.take_back(WrongTimes(2, 2, "2026-11-24T00:00:00+00:00"))
    with Views.open(poisoned, now=lambda: later) as views:
        assert views.checkpoint.as_of == later
    assert verify(poisoned, Rules()).problems == []


# The command


def run(data, *arguments):
    return CliRunner().invoke(command, [*map(str, arguments), *stores.arguments(data)])


@pytest.fixture
def ahead(store):
    """Of five webhooks those at positions 2 and 4 were received by a clock that was ahead; 3 is from a log."""
    now = datetime.now(UTC)
    store.receive([received(now)])
    for source in (SOURCE, "log:1", SOURCE):
        store.append([received(now + YEAR, source=source)])
    store.receive([received(now)])
    Views.open(store).close()
    return store


def test_the_command_takes_back_what_lies_ahead_of_the_clock(ahead):
    done = run(ahead.data, "mend-clock")
    assert (done.exit_code, [one is None for one in times(ahead)]) == (0, [False, True, False, True, False])
    assert "2 receive times" in done.output
    assert "no receive time" in run(ahead.data, "mend-clock").output
    assert run(ahead.data, "verify").exit_code == 0


def test_the_command_takes_back_the_positions_that_are_named(ahead):
    done = run(ahead.data, "mend-clock", "--from", 3, "--to", 5)
    assert (done.exit_code, [one is None for one in times(ahead)]) == (0, [False, False, True, True, True])
    assert rows(ahead.data / VIEWS_DB) != []


@pytest.mark.parametrize("given", [["--from", "3"], ["--from", "3", "--to", "2"], ["--from", "1", "--to", "9"]])
def test_positions_that_are_none_are_refused(ahead, given):
    done = run(ahead.data, "mend-clock", *given)
    assert (done.exception.exit_code, None in times(ahead)) == (2, False)


# Served


def test_a_server_whose_clock_is_far_behind_says_so_until_the_times_are_taken_back(each_store, tmp_path):
    data = tmp_path / "data"
    with closing(opened(data, create=True)) as store:
        store.append([received(datetime.now(UTC) + YEAR)])
        with served(data) as server:
            server.receiver.clock.correct(store.latest_from(SOURCE))
            ready, printed = server.ask("/readyz"), server.ask("/metrics").body.decode()
            assert run(data, "mend-clock").exit_code == 0
            until(lambda: server.ask("/readyz").status == 200)
            gauge = "tracker_clock_behind_seconds 0.0"
            assert gauge in server.ask("/metrics").body.decode()
    assert (ready.status, len(ready.json["reasons"]), gauge in printed) == (503, 1, False)
    assert "behind the newest receive time" in ready.json["reasons"][0]
