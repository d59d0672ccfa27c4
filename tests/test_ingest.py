import csv
import gzip
import io
import random
import sqlite3
import sys
from contextlib import closing
from itertools import zip_longest

import meetings
import pytest
from meetings import MORNING, bodies, read_into, stored, write
from stores import opened

from tracker.errors import LogError
from tracker.intake.ingest import ingest
from tracker.intake.lines import KEPT, MAX_LINE
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
data, log, tracker.intake.progress.PAGE = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = opened(data, create=True)
for account in tracker.intake.ingest.ingest(store, Log(log)):
    pass
store.close()
"""
TELLING = meetings.telling(INGEST, "account.stored")


def many(count, session="s"):
    """Lines of one long session."""
    return [
        meetings.line(
            meetings.webhook("participant-joined", sessionId=session, meetingId="m", participantId=str(number)),
            number,
        )
        for number in range(count)
    ]


pytestmark = pytest.mark.usefixtures("each_store")


def counts(account):
    return account.read, account.stored, account.already_there


@pytest.mark.parametrize("count", [0, 1, 57, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 57])
def test_a_log_read_twice_is_stored_once(tmp_path, count):
    log = write(tmp_path / "a.jsonl", many(count))

    accounts = [read_into(tmp_path / "data", log) for _ in range(2)]

    assert [(count, count, 0), (count, 0, count)] == [counts(account) for account in accounts]
    assert bodies(many(count)) == stored(tmp_path / "data")


@pytest.mark.parametrize(("first", "then"), [(3, 5), (PAGE - 1, PAGE + 1), (PAGE, PAGE + 3), (1500, 2600)])
def test_of_a_log_that_has_grown_only_what_is_new_is_stored(tmp_path, first, then):
    read_into(tmp_path / "data", write(tmp_path / "a.jsonl", many(first)))

    account = read_into(tmp_path / "data", write(tmp_path / "a.jsonl", many(then)))

    assert (then, then - first, first) == counts(account)
    assert bodies(many(then)) == stored(tmp_path / "data")


def test_a_log_that_grows_in_the_middle_of_lines_is_stored_line_by_line(tmp_path):
    whole = b"".join(line + b"\n" for line in meetings.lines(1, sessions=1))
    log = tmp_path / "a.jsonl"
    for size in range(0, len(whole) + 97, 97):
        log.write_bytes(whole[:size])
        read_into(tmp_path / "data", log)

    assert bodies(meetings.lines(1, sessions=1)) == stored(tmp_path / "data")


def test_a_log_that_breaks_off_behind_an_inner_brace_waits_for_the_rest_of_the_line(tmp_path):
    log, lines = tmp_path / "a.jsonl", many(3)
    log.write_bytes(b"\n".join(lines)[:-1])
    first = read_into(tmp_path / "data", log)
    log.write_bytes(b"\n".join(lines))
    second = read_into(tmp_path / "data", log)

    assert [(account.read, account.cut) for account in (first, second)] == [(2, 3), (3, 0)]
    assert bodies(lines) == stored(tmp_path / "data")


def test_a_last_line_that_is_text_and_grows_does_not_bring_back_the_lines_before_it(tmp_path):
    log, lines = tmp_path / "a.jsonl", many(5)
    log.write_bytes(b"\n".join([*lines, b"hello wo"]))
    read_into(tmp_path / "data", log)
    read_into(tmp_path / "data", write(log, [*lines, b"hello world"]))

    assert [*bodies(lines), b"hello wo", b"hello world"] == stored(tmp_path / "data")


def test_the_last_line_counts_as_the_same_with_and_without_its_end(tmp_path):
    log, lines = tmp_path / "a.jsonl", many(5)
    for content in (b"\n".join(lines), b"\n".join(lines) + b"\n", b"\n".join(lines)):
        log.write_bytes(content)
        read_into(tmp_path / "data", log)
    other = tmp_path / "other"
    for content in (b"\n".join(lines) + b"\n", b"\n".join(lines)):
        log.write_bytes(content)
        read_into(other, log)

    assert [bodies(lines)] * 2 == [stored(tmp_path / "data"), stored(other)]


def test_a_log_is_recognised_under_another_name_packed_and_with_other_line_ends(tmp_path):
    lines = many(1200)
    read_into(tmp_path / "data", write(tmp_path / "a.jsonl", lines))
    packed, crlf = tmp_path / "b.gz", tmp_path / "c.jsonl"
    packed.write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines)))
    crlf.write_bytes(b"\xef\xbb\xbf" + b"".join(line + b"\r\n" for line in lines))

    accounts = [read_into(tmp_path / "data", log) for log in (packed, crlf)]

    assert [counts(account) for account in accounts] == [(1200, 0, 1200)] * 2


def test_a_log_that_shares_only_the_beginning_is_stored_from_where_they_part(tmp_path):
    begin, one, other = many(1500), many(200, "one"), many(200, "other")
    for lines in (begin, begin + one, begin + other, begin + one):
        account = read_into(tmp_path / "data", write(tmp_path / "a.jsonl", lines))

    assert counts(account) == (1700, 0, 1700)
    assert bodies(begin + one + other) == stored(tmp_path / "data")


def test_a_log_that_differs_early_is_another_log(tmp_path):
    read_into(tmp_path / "data", write(tmp_path / "a.jsonl", many(20)))

    account = read_into(tmp_path / "data", write(tmp_path / "b.jsonl", many(20)[1:]))

    assert counts(account) == (19, 19, 0)


def test_what_counts_as_unrouted_is_what_belongs_to_no_session(tmp_path):
    lines = [*many(1), b'{"webhookType":"session-paused","data":{"sessionId":"a"}}', b"{}", b"nonsense"]
    account = read_into(tmp_path / "data", write(tmp_path / "a.jsonl", lines))
    with closing(opened(tmp_path / "data")) as store:
        assert account.unrouted == len(list(store.unrouted())) == 2


def test_blank_lines_are_reported_and_of_too_long_ones_the_beginning_is_stored(tmp_path):
    lines = [*many(2), b"", b"x" * (MAX_LINE + 1), b"nonsense"]

    account = read_into(tmp_path / "data", write(tmp_path / "a.jsonl", lines))

    assert (account.read, account.stored, account.blank) == (5, 4, 1)
    assert [(line.number, line.too_long) for line in account.too_long] == [(4, MAX_LINE + 1)]
    assert (account.unrouted, account.odd.malformed.count, account.odd.malformed.first) == (2, 2, 4)
    assert [*bodies(many(2)), b"x" * KEPT, b"nonsense"] == stored(tmp_path / "data")


def test_every_line_before_a_log_breaks_off_is_stored_and_the_whole_log_goes_on_there(tmp_path):
    log, lines = tmp_path / "a.jsonl.gz", meetings.lines(3, sessions=150)
    packed = gzip.compress(b"".join(line + b"\n" for line in lines))
    log.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(LogError, match="breaks off after line"):
        read_into(tmp_path / "data", log)
    before = stored(tmp_path / "data")
    log.write_bytes(packed)
    read_into(tmp_path / "data", log)

    assert bodies(lines)[: len(before)] == before
    assert len(before) > 500
    assert bodies(lines) == stored(tmp_path / "data")


def test_each_delivery_knows_its_line_and_when_it_was_received(tmp_path):
    log = write(tmp_path / "a.jsonl", many(2))
    read_into(tmp_path / "data", log)

    with closing(opened(tmp_path / "data")) as tracker:
        first = next(tracker.deliveries()).received
    assert (f"{log}:1", MORNING) == (first.source, first.received_at)


def test_two_readers_that_take_turns_store_every_line_once(tmp_path):
    log = write(tmp_path / "a.jsonl", many(5 * PAGE + 5))
    with (
        closing(opened(tmp_path / "data", create=True)) as one,
        closing(opened(tmp_path / "data")) as other,
    ):
        for _ in zip_longest(ingest(one, Log(str(log))), ingest(other, Log(str(log)))):
            pass

    assert bodies(many(5 * PAGE + 5)) == stored(tmp_path / "data")


class Interrupted(Log):
    """A log in the midst of which something else happens."""

    def __init__(self, path, number, act):
        super().__init__(path)
        self.number, self.act = number, act

    def lines(self):
        for line in super().lines():
            if line.number == self.number:
                self.act()
            yield line


def test_lines_that_another_has_stored_since_they_were_read_are_not_stored_again(tmp_path):
    short, long = write(tmp_path / "short", many(700)), write(tmp_path / "long", many(PAGE))
    with closing(opened(tmp_path / "data", create=True)) as tracker:
        log = Interrupted(str(long), 800, lambda: read_into(tmp_path / "data", short))
        *_, account = ingest(tracker, log)

    assert counts(account) == (PAGE, PAGE - 700, 700)
    assert bodies(many(PAGE)) == stored(tmp_path / "data")


def as_array(lines):
    return b"[\n" + b",\n".join(lines) + b"\n]\n"


def as_table(lines):
    text = io.StringIO()
    csv.writer(text).writerows([["id", "line"], *enumerate(one.decode() for one in lines)])
    return text.getvalue().encode()


@pytest.mark.parametrize("framed", [as_array, as_table])
def test_an_array_and_a_table_are_stored_once_wherever_their_reader_was_stopped(tmp_path, framed):
    lines = many(2 * PAGE + 5)
    (tmp_path / "log").write_bytes(framed(lines))

    def stop():
        raise KeyboardInterrupt

    with closing(opened(tmp_path / "data", create=True)) as tracker:
        for number in (PAGE + 1, 2 * PAGE + 4):
            with pytest.raises(KeyboardInterrupt):
                list(ingest(tracker, Interrupted(str(tmp_path / "log"), number, stop)))
        *_, account = ingest(tracker, Log(str(tmp_path / "log")))
        sources = [one.received.source for one in tracker.deliveries()]

    assert (counts(account)[2] >= PAGE, bodies(lines)) == (True, stored(tmp_path / "data"))
    assert sources == [f"{tmp_path / 'log'}:{number + 2}" for number in range(2 * PAGE + 5)]


@pytest.mark.slow
def test_processes_that_read_the_same_log_at_once_store_every_line_once(tmp_path):
    log, data = write(tmp_path / "a.jsonl", many(600)), tmp_path / "data"
    processes = [meetings.start(INGEST, data, log, size) for size in (20, 20, 20)]
    meetings.go(*processes)

    assert meetings.finish(*processes) == [""] * 3
    assert bodies(many(600)) == stored(data)


@pytest.mark.slow
def test_processes_that_read_different_logs_at_once_store_every_line_once(tmp_path):
    data, names = tmp_path / "data", ("a", "b", "c")
    processes = [meetings.start(INGEST, data, write(tmp_path / name, many(600, name)), 20) for name in names]
    meetings.go(*processes)

    assert meetings.finish(*processes) == [""] * 3
    assert sorted(bodies(many(600, "a") + many(600, "b") + many(600, "c"))) == sorted(stored(data))


@pytest.mark.slow
def test_a_reader_killed_at_any_moment_leaves_a_store_where_the_next_goes_on(tmp_path):
    """Twenty times SIGKILL, then one run to the end: every line is there once, in order."""
    dice = random.Random(20)
    log, data = write(tmp_path / "a.jsonl", many(6000)), tmp_path / "data"
    for _ in range(20):
        meetings.kill_somewhere(meetings.start(TELLING, data, log, 10), dice)
    process = meetings.start(INGEST, data, log, 10)
    meetings.go(process)

    assert meetings.finish(process) == [""]
    assert bodies(many(6000)) == stored(data)
    with closing(opened(data)) as tracker:
        assert list(tracker.integrity()) == []


def test_standard_input_is_stored_like_the_file_it_comes_from(tmp_path, monkeypatch):
    log = write(tmp_path / "a.jsonl", many(1200))
    with log.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        piped = read_into(tmp_path / "data", "-")

    assert [counts(piped), counts(read_into(tmp_path / "data", log))] == [(1200, 1200, 0), (1200, 0, 1200)]


def test_a_last_line_with_half_an_emoji_that_grows_is_stored_once(tmp_path):
    log = tmp_path / "a.jsonl"
    whole = rb'{"webhookType":"x","data":{"name":"\ud83d","more":1}}'
    for size in (len(whole) - 2, len(whole)):
        log.write_bytes(whole[:size])
        read_into(tmp_path / "data", log)

    assert stored(tmp_path / "data") == [whole]


def test_of_many_logs_what_is_known_is_looked_up_once(tmp_path, monkeypatch):
    begin = many(20)
    logs = [write(tmp_path / str(number), begin + many(number, str(number))) for number in range(5)]
    with closing(opened(tmp_path / "data", create=True)) as tracker:
        known = known_logs(tracker)
        monkeypatch.setattr(tracker, "trackings", None)
        for log in [*logs, *logs]:
            *_, account = ingest(tracker, Log(str(log)), known)

            assert account.read == account.stored + account.already_there
    separate = tmp_path / "separate"
    for log in logs:
        read_into(separate, log)
    assert stored(separate) == stored(tmp_path / "data")


def test_what_another_has_read_since_it_was_looked_up_is_noticed(tmp_path):
    log = write(tmp_path / "a.jsonl", many(20))
    with closing(opened(tmp_path / "data", create=True)) as tracker:
        known = known_logs(tracker)
        read_into(tmp_path / "data", log)
        *_, account = ingest(tracker, Log(str(log)), known)

    assert counts(account) == (20, 0, 20)


@pytest.mark.sqlite
def test_what_somebody_wrote_among_the_logs_that_were_read_hinders_no_reading(tmp_path):
    log = write(tmp_path / "a.jsonl", many(20))
    read_into(tmp_path / "data", log)
    with closing(sqlite3.connect(tmp_path / "data" / "events.db")) as db:
        db.execute("INSERT INTO tracking VALUES ('log:x', 'text'), (x'ff', 10)")
        db.commit()

    assert counts(read_into(tmp_path / "data", write(log, many(30)))) == (30, 10, 20)
