"""Logs that grow while they are read: a pipe that is left open, and a file that is rotated."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import meetings
import pytest
from meetings import bodies, stored, write
from stores import arguments, opened
from waiting import BOUND, until

from tracker.errors import LogError
from tracker.intake import tail
from tracker.intake.ingest import ingest
from tracker.store.reading import PAGE

pytestmark = pytest.mark.usefixtures("each_store")


def many(count, session="s"):
    """Lines of one long session."""
    return [
        meetings.line(
            meetings.webhook("participant-joined", sessionId=session, participantId=str(number)), number
        )
        for number in range(count)
    ]


def text(lines):
    return b"".join(line + b"\n" for line in lines)


def append(path, content):
    with path.open("ab") as file:
        file.write(content)


@contextmanager
def ingesting(data, *given):
    """``tracker ingest`` as a process that goes on; it is killed if it does not end by itself."""
    command = [sys.executable, "-m", "projections", "ingest", *arguments(data), *map(str, given)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process, number=signal.SIGTERM):
    """The exit code and what was printed, after a signal."""
    process.send_signal(number)
    out, complaints = process.communicate(timeout=BOUND)
    return process.returncode, out.decode(), complaints.decode()


def holds(data, lines):
    """Whether exactly these lines are stored, in order."""

    def look():
        with opened(data, create=True) as store:
            return [one.body for one in store.deliveries()] == bodies(lines)

    return look


def judged(data):
    """How far the read models of a data directory go; 0 where there are none."""
    return meetings.rows(data / "views.db")["checkpoint"][0][0] if (data / "views.db").exists() else 0


class Turns:
    """``stopping`` for a reader in this process: after each act it may look three times, then it is to stop."""

    def __init__(self, *acts):
        self.turns = iter([step for act in acts for step in (act, None, None)])

    def __call__(self):
        act = next(self.turns, self)
        if act not in (self, None):
            act()
        return act is self


@pytest.fixture
def hasty(monkeypatch):
    """Every look that finds nothing new is a pause, and what was rotated is left at once."""
    for name in ("QUIET", "TICK", "GRACE"):
        monkeypatch.setattr(tail, name, 0)


def follow(data, path, *acts):
    """Reads a log that grows by these acts; gives the accounts of its files."""
    turns, accounts = Turns(*acts), []
    with opened(data, create=True) as store:
        for log in tail.files(tail.Followed(path=str(path), stopping=turns)):
            *_, account = ingest(store, log)
            accounts.append(account)
    return accounts


@pytest.mark.sqlite
def test_a_pipe_that_is_left_open_is_stored_and_judged_after_a_second_of_quiet(tmp_path):
    data, lines = tmp_path / "data", many(7)
    with ingesting(data, "-") as process:
        process.stdin.write(text(lines[:3]))
        process.stdin.flush()
        until(holds(data, lines[:3]), every=0.1)
        until(lambda: judged(data) == 3, every=0.1)
        process.stdin.write(text(lines[3:]))
        process.stdin.flush()
        until(holds(data, lines), every=0.1)
        out, complaints = process.communicate(timeout=BOUND)
    assert (process.returncode, complaints) == (0, b"")
    assert b"stdin: 7 read, 7 stored" in out


@pytest.mark.sqlite
def test_half_a_line_in_a_pipe_waits_for_the_rest_of_it(tmp_path):
    data, lines = tmp_path / "data", many(3)
    with ingesting(data, "-") as process:
        process.stdin.write(text(lines)[:-20])
        process.stdin.flush()
        until(holds(data, lines[:2]), every=0.1)
        process.stdin.write(text(lines)[-20:])
        process.communicate(timeout=BOUND)
    assert holds(data, lines)()


@pytest.mark.sqlite
def test_a_pipe_that_ends_by_a_signal_keeps_what_came(tmp_path):
    data, lines = tmp_path / "data", many(3)
    with ingesting(data, "-") as process:
        process.stdin.write(text(lines[:2]))
        process.stdin.flush()
        until(holds(data, lines[:2]), every=0.1)
        assert ended(process, signal.SIGINT)[0] == 0
    assert holds(data, lines[:2])()


@pytest.mark.sqlite
def test_a_log_is_followed_over_a_rename_and_over_a_copy_that_cuts_it(tmp_path):
    data, log, lines = tmp_path / "data", tmp_path / "log", many(40)
    write(log, lines[:10])
    with ingesting(data, "--follow", log) as process:
        until(holds(data, lines[:10]), every=0.1)
        append(log, text(lines[10:15]))
        log.rename(tmp_path / "log.1")
        append(tmp_path / "log.1", text(lines[15:20]))  # its writer has not noticed yet
        write(log, lines[20:25])
        until(holds(data, lines[:25]), every=0.1)
        shutil.copy(log, tmp_path / "log.2")
        os.truncate(log, 0)
        append(log, text(lines[25:]))
        until(holds(data, lines), every=0.1)
        until(lambda: judged(data) == 40, every=0.1)
        code, out, complaints = ended(process)
    assert (code, complaints) == (0, "")
    assert [line.split(": ")[1].split(",")[0] for line in out.splitlines()] == [
        "20 read", "5 read", "15 read", "40 events",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_follower_that_was_killed_goes_on_where_it_was_and_rotated_files_are_recognised(tmp_path):
    data, log, lines = tmp_path / "data", tmp_path / "log", many(PAGE + 60)
    write(log, lines[:30])
    with ingesting(data, "--follow", log) as process:
        until(holds(data, lines[:30]), every=0.1)
        append(log, text(lines[30 : PAGE + 20]))
        until(holds(data, lines[: PAGE + 20]), every=0.1)
    append(log, text(lines[PAGE + 20 : PAGE + 40]))
    log.rename(tmp_path / "log.1")
    write(log, lines[PAGE + 40 :])

    meetings.read_into(data, tmp_path / "log.1")
    with ingesting(data, "--follow", log) as process:
        until(holds(data, lines), every=0.1)
        assert ended(process)[0] == 0


def test_pauses_leave_one_mark_of_how_far_a_log_was_read(tmp_path, hasty):
    log, lines = write(tmp_path / "log", many(5)), many(9)
    grow = [lambda line=line: append(log, text([line])) for line in lines[5:]]
    follow(tmp_path / "data", log, *grow)

    with opened(tmp_path / "data") as store:
        assert [number for _, number in store.trackings("log:")] == [9]
    assert stored(tmp_path / "data") == bodies(lines)


def test_two_who_follow_the_same_log_store_every_line_once(tmp_path, hasty):
    log, lines, data = write(tmp_path / "log", many(1)), many(60), tmp_path / "data"
    with opened(data, create=True) as one, opened(data) as other:
        turns = iter(lines[1:])

        def stopping():
            line = next(turns, None)
            append(log, text([line]) if line else b"")
            return line is None

        both = [ingest(store, tail.Followed(path=str(log), stopping=stopping)) for store in (one, other)]
        while both:
            both = [reader for reader in both if next(reader, None) is not None]
    assert stored(data) == bodies(lines)


def test_a_log_that_was_cut_and_has_grown_beyond_what_was_read_is_read_anew(tmp_path, hasty):
    log, old, new = write(tmp_path / "log", many(5)), many(5), many(50, "another")

    follow(tmp_path / "data", log, lambda: None, lambda: log.write_bytes(text(new)), *[lambda: None] * 3)

    assert stored(tmp_path / "data") == bodies(old + new)


def test_half_a_line_at_which_a_follower_is_stopped_is_left_for_the_next(tmp_path, hasty):
    log, lines = tmp_path / "log", [*many(2), b"no JSON at all"]
    log.write_bytes(text(lines)[:-9])
    follow(tmp_path / "data", log, lambda: None)
    assert stored(tmp_path / "data") == bodies(lines[:2])

    log.write_bytes(text(lines))
    follow(tmp_path / "data", log, lambda: None)
    assert stored(tmp_path / "data") == bodies(lines)


def test_a_log_that_is_gone_for_a_while_is_waited_for(tmp_path, hasty):
    log, lines = write(tmp_path / "log", many(3)), many(6)
    acts = [lambda: log.rename(tmp_path / "log.1"), lambda: None, lambda: write(log, lines[3:])]

    follow(tmp_path / "data", log, *acts, *[lambda: None] * 3)

    assert stored(tmp_path / "data") == bodies(lines)


@pytest.mark.sqlite
def test_a_packed_log_is_not_followed(tmp_path, hasty):
    (tmp_path / "log").write_bytes(b"\x1f\x8b" + bytes(20))
    with pytest.raises(LogError, match="is packed"):
        follow(tmp_path / "data", tmp_path / "log", lambda: None)


@pytest.mark.sqlite
@pytest.mark.parametrize("given", [("-",), ("one", "two"), ("gone",)])
def test_what_cannot_be_followed_is_refused(tmp_path, given):
    for name in ("one", "two"):
        write(tmp_path / name, many(1))
    with ingesting(
        tmp_path / "data", "--follow", *(tmp_path / one if one != "-" else one for one in given)
    ) as run:
        _, complaints = run.communicate(timeout=BOUND)
    assert (run.returncode, complaints.startswith(b"error: ")) == (2, True)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("missing", [3, 0])
@pytest.mark.parametrize("framed", ["array", "table", "pretty"])
def test_what_is_no_lines_is_followed_element_by_element(tmp_path, hasty, framed, missing):
    log, lines = tmp_path / "log", many(6)
    written = {
        "array": [b"[\n", *(line + b",\n" for line in lines)],
        "table": [b"id,line\n", *(b'7,"%s"\n' % line.replace(b'"', b'""') for line in lines)],
        "pretty": [b"", *(line.replace(b"{", b"{\n", 1) + b"\n" for line in lines)],
    }[framed]
    log.write_bytes(b"".join(written[:3]))
    half = len(written[3]) - missing
    grow = [written[3][:half], written[3][half:], *written[4:]]
    follow(tmp_path / "data", log, *(lambda part=part: append(log, part) for part in grow))

    assert stored(tmp_path / "data") == bodies(lines)
