"""Several logs read into the store at once: one order by receive time, and every line once, whatever happens."""

import gzip
import random
from contextlib import closing

import meetings
import pytest
import stores
from click.testing import CliRunner
from meetings import MORNING, bodies, stored, write
from stores import opened

from projections.cli import tracker as command
from projections.exports.lines import jsonl
from projections.views.follow import Views
from tracker.errors import LogError
from tracker.intake.ingest import ingest_together
from tracker.intake.logs import Log
from tracker.intake.progress import known_logs
from tracker.store.reading import PAGE

INGEST = """
import sys
from pathlib import Path
import tracker.intake.ingest
import tracker.intake.progress
from tracker.intake.logs import Log
from stores import opened
#go
data, tracker.intake.progress.PAGE, logs = Path(sys.argv[1]), int(sys.argv[2]), [Log(path) for path in sys.argv[3:]]
store = opened(data, create=True)
for accounts in tracker.intake.ingest.ingest_together(store, logs):
    pass
store.close()
"""
TELLING = meetings.telling(INGEST, "sum(one.stored for one in accounts)")
YEAR = 366 * 86_400

pytestmark = pytest.mark.usefixtures("each_store")


def line(second, who="p", session="s"):
    body = meetings.webhook(
        "participant-joined", sessionId=session, meetingId="m", participantId=f"{who}{second}"
    )
    return meetings.line(body, second)


def dealt(count, parts=2, session="s"):
    """So many lines of one session, dealt to logs by turns of different length; and all of them."""
    lines, logs, dice = (
        [line(second, session=session) for second in range(count)],
        [[] for _ in range(parts)],
        0,
    )
    for place, one in enumerate(lines):
        dice = (dice * 7 + place // 3) % parts
        logs[dice].append(one)
    return logs, lines


def read(data, *paths):
    """Ingests these logs at once; returns their accounts."""
    with closing(opened(data, create=True)) as tracker:
        *_, accounts = ingest_together(tracker, [Log(str(path)) for path in paths])
    return accounts


def counts(accounts):
    return [(one.read, one.stored, one.already_there) for one in accounts]


@pytest.fixture
def room(tmp_path):
    """Writes logs of such lines, named by their places."""

    def written(*logs):
        return [write(tmp_path / f"{place}.jsonl", lines) for place, lines in enumerate(logs)]

    return written


@pytest.mark.parametrize("count", [0, 1, 57, PAGE, 2 * PAGE + 57, 3 * PAGE])
@pytest.mark.parametrize("parts", [2, 5])
def test_logs_that_are_read_together_are_stored_by_receive_time_and_once(tmp_path, room, count, parts):
    logs, whole = dealt(count, parts)
    paths = room(*logs)

    accounts = [read(tmp_path / "data", *paths), read(tmp_path / "data", *reversed(paths))]

    assert counts(accounts[0]) == [(len(log), len(log), 0) for log in logs]
    assert counts(accounts[1]) == [(len(log), 0, len(log)) for log in reversed(logs)]
    assert stored(tmp_path / "data") == bodies(whole)


def test_each_delivery_keeps_its_log_and_its_line(tmp_path, room):
    (a, b), _ = dealt(40)
    paths = room(a, b)
    read(tmp_path / "data", *paths)
    with closing(opened(tmp_path / "data")) as tracker:
        found = {(one.received.source, one.body) for one in tracker.deliveries()}
    assert found == {
        (f"{path}:{number}", body)
        for path, log in zip(paths, (a, b), strict=True)
        for number, body in enumerate(bodies(log), 1)
    }


def test_what_was_read_alone_is_recognised_among_others_and_the_other_way_round(tmp_path, room):
    (a, b), whole = dealt(2500)
    first, second = room(a, b)
    meetings.read_into(tmp_path / "data", first)
    assert counts(read(tmp_path / "data", first, second)) == [(len(a), 0, len(a)), (len(b), len(b), 0)]
    assert meetings.read_into(tmp_path / "data", second).already_there == len(b)
    assert sorted(stored(tmp_path / "data")) == sorted(bodies(whole))


@pytest.mark.parametrize(("first", "then"), [(30, 90), (PAGE - 5, PAGE + 5), (PAGE, 3 * PAGE + 1)])
def test_of_logs_that_have_grown_only_what_is_new_is_stored_by_receive_time(tmp_path, room, first, then):
    logs, whole = dealt(2 * then)
    begun = [[one for one in log if one in set(whole[: 2 * first])] for log in logs]
    read(tmp_path / "data", *room(*begun))
    accounts = read(tmp_path / "data", *room(*logs))
    assert [one.already_there for one in accounts] == [len(log) for log in begun]
    assert stored(tmp_path / "data") == bodies(whole)


def test_a_copy_of_a_log_among_the_others_is_recognised(tmp_path, room):
    (a, b), whole = dealt(2200)
    first, second = room(a, b)
    copy = tmp_path / "copy.gz"
    copy.write_bytes(gzip.compress(first.read_bytes()))
    accounts = read(tmp_path / "data", first, second, copy)
    assert counts(accounts) == [(len(a), len(a), 0), (len(b), len(b), 0), (len(a), 0, len(a))]
    assert stored(tmp_path / "data") == bodies(whole)


def test_two_logs_that_begin_alike_are_stored_from_where_they_part(tmp_path, room):
    _, whole = dealt(1500)
    other = [*whole[:PAGE], *(line(second, "other") for second in range(PAGE, 1200))]
    accounts = read(tmp_path / "data", *room(whole, other))
    assert counts(accounts) == [(1500, 1500, 0), (1200, 200, PAGE)]


def test_blank_lines_and_a_last_line_without_an_end_are_counted_as_in_a_log_alone(tmp_path, room):
    (a, b), whole = dealt(60)
    paths = room([*a[:10], b"", b"  ", *a[10:], b""], b)
    paths[1].write_bytes(paths[1].read_bytes().removesuffix(b"\n"))
    accounts = read(tmp_path / "data", *paths)
    assert (accounts[0].blank, accounts[0].stored, accounts[1].stored) == (3, len(a), len(b))
    assert stored(tmp_path / "data") == bodies(whole)
    again = read(tmp_path / "data", *paths)
    assert [one.stored for one in again] == [0, 0]


def test_a_thousand_blank_lines_between_two_others_hold_nobody_up(tmp_path, room):
    lines = [line(0), *[b""] * (2 * PAGE), line(10)]
    accounts = read(tmp_path / "data", *room(lines, [line(5, "q")]))
    assert [(one.stored, one.blank) for one in accounts] == [(2, 2 * PAGE), (1, 0)]
    assert stored(tmp_path / "data") == bodies([line(0), line(5, "q"), line(10)])


def test_a_log_that_breaks_off_hinders_no_other_and_is_gone_on_with_later(tmp_path, room):
    (a, b), whole = dealt(6000)
    first, second = room(a, b)
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(first.read_bytes(), 0)[:300_000])
    broken, sound = read(tmp_path / "data", packed, second)
    assert (isinstance(broken.error, LogError), sound.error, sound.stored) == (True, None, len(b))
    packed.write_bytes(gzip.compress(first.read_bytes()))
    again = read(tmp_path / "data", packed, second)
    assert (again[0].stored, again[0].already_there) == (len(a) - broken.stored, broken.stored)
    assert sorted(stored(tmp_path / "data")) == sorted(bodies(whole))


def test_there_are_no_more_marks_than_those_of_full_pages_and_of_the_end(tmp_path, room):
    (a, b), _ = dealt(4500)
    read(tmp_path / "data", *room(a, b))
    with closing(opened(tmp_path / "data")) as tracker:
        marks = sorted(known_logs(tracker))
    assert marks == sorted({PAGE, 2 * PAGE, len(a), len(b)})


@pytest.mark.slow
def test_readers_killed_at_any_moment_leave_a_store_where_the_next_one_goes_on(tmp_path, room):
    """Twenty times SIGKILL in the midst of merged logs, then one run to the end: every line is there once."""
    dice, size = random.Random(3), 10
    logs, whole = dealt(6000, 3)
    paths, data = room(*logs), tmp_path / "data"
    for _ in range(20):
        meetings.kill_somewhere(meetings.start(TELLING, data, size, *paths), dice)
    process = meetings.start(INGEST, data, size, *paths)
    meetings.go(process)

    assert meetings.finish(process) == [""]
    assert stored(data) == bodies(whole)
    with closing(opened(data)) as tracker:
        assert list(tracker.integrity()) == []


@pytest.mark.slow
def test_processes_that_read_the_same_logs_at_once_store_every_line_once(tmp_path, room):
    logs, whole = dealt(1500, 3)
    paths, data = room(*logs), tmp_path / "data"
    given = [paths, paths[::-1], paths[:1]]
    processes = [meetings.start(INGEST, data, 20, *some) for some in given]
    meetings.go(*processes)

    assert meetings.finish(*processes) == [""] * 3
    assert sorted(stored(data)) == sorted(bodies(whole))


# -- receive times that cannot be true -------------------------------------------------------------


def received(data):
    with closing(opened(data)) as tracker:
        return [(round((one.received_at - MORNING).total_seconds()), one.received.wrong_time) for one in
                tracker.deliveries()]  # fmt: skip


def wrong(second, who):
    """A line that was received then, and says another year."""
    body = meetings.webhook("participant-joined", sessionId="s", meetingId="m", participantId=who)
    return meetings.line(body, second + YEAR)


def test_a_wrong_time_is_stored_beside_the_one_that_is_believed(tmp_path, room):
    read(tmp_path / "data", *room([line(0), line(1), wrong(2, "w"), line(3)]))
    times = received(tmp_path / "data")
    assert [second for second, _ in times] == [0, 1, 1, 3]
    assert [said is not None for _, said in times] == [False, False, True, False]


def test_a_wrong_line_right_behind_what_was_read_before_is_recognised_by_that(tmp_path, room):
    lines = [line(second) for second in range(10)]
    read(tmp_path / "data", *room(lines))
    read(tmp_path / "data", *room([*lines, wrong(10, "w"), line(11)]))
    assert received(tmp_path / "data")[10][0] == 9


def test_what_was_exported_is_read_again_as_it_was(tmp_path, room):
    read(tmp_path / "data", *room([line(0), line(1), wrong(2, "w"), line(3)]))
    with closing(opened(tmp_path / "data")) as tracker:
        copy = write(tmp_path / "copy", [one.removesuffix(b"\n") for one in jsonl(tracker.deliveries())])
    read(tmp_path / "other", copy)
    assert received(tmp_path / "other") == received(tmp_path / "data")


def test_the_store_finds_it_as_the_audit_of_the_log_does(tmp_path, room):
    read(tmp_path / "data", *room([line(0), line(1), wrong(2, "w"), line(3)]))
    with closing(opened(tmp_path / "data")) as tracker, Views.open(tracker) as views:
        ((position, message),) = views.connection.execute(
            "SELECT position, message FROM findings WHERE code = 'T308'"
        ).fetchall()
    assert position == 3
    assert "line 3 says" in message


# -- the command -----------------------------------------------------------------------------------


def run(data, *arguments):
    return CliRunner().invoke(command, [*map(str, arguments), *stores.arguments(data)])


def test_the_command_merges_logs_and_with_as_given_it_does_not(tmp_path, room):
    (a, b), whole = dealt(30)
    paths = room(a, b)
    merged, given = tmp_path / "merged", tmp_path / "given"
    assert run(merged, "ingest", *paths).exit_code == run(given, "ingest", "--as-given", *paths).exit_code == 0
    assert (stored(merged), stored(given)) == (bodies(whole), bodies([*a, *b]))


def test_the_command_says_of_each_log_what_became_of_it(tmp_path, room):
    (a, b), _ = dealt(30)
    paths = room(a, b)
    said = run(tmp_path / "data", "ingest", *paths).output
    for path, log in zip(paths, (a, b), strict=True):
        assert f"{path}: {len(log)} read, {len(log)} stored, 0 already there" in said
    assert "nothing was stored" in run(tmp_path / "other", "ingest", "--dry-run", *paths).output
