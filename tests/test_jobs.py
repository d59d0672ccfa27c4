"""However many processes judge, what they find is the same, and it is reported in the same order."""

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from queue import Queue
from threading import Thread

import attrs
import msgspec
import pytest
from msgspec.structs import astuple, replace
from story import deliveries
from test_audit import states
from traffic import until
from waiting import BOUND

from projections.audit import auditing, jobs, share
from projections.audit.auditing import audit
from projections.audit.share import Share
from projections.cli import main
from tracker.delivery import envelope
from tracker.delivery.webhook import parse
from tracker.errors import TrackerError
from tracker.rules import Rules
from tracker.simulate import simulate

RULES = Rules()
TRACKER = [sys.executable, "-m", "projections"]
OVERLAPPING = [
    f"{at} {webhook} sessionId=beside-{at} meetingId=beside"
    for at in range(0, 90, 10)
    for webhook in ("session-started", "participant-joined participantId=p")
]
TIMELESS = [
    f"- {step} sessionId=open-{place}"
    for place in range(9)
    for step in ("session-started", "recording-started", "session-ended")
]


@pytest.fixture(scope="module")
def made_up():
    """Meetings with every kind of fault, sessions of one meeting that overlap, and what belongs nowhere.

    Of some no receive time is known, so that what is found of them is undecided.
    """
    lines = [line.received for line in simulate(100, seed=3, faults=0.6, unsubscribed=["recording-starting"])]
    alone = [parse(b"{"), parse(b'{"webhookType": "recording-paused"}')]
    received = [*map(parse, lines), *deliveries(*OVERLAPPING, *TIMELESS), *alone, *alone]
    return [parse(one.received, position) for position, one in enumerate(received, 1)]


@pytest.fixture(scope="module")
def whole(made_up):
    """What an audit in one piece says of them."""
    return said(audit(made_up, RULES))


@pytest.fixture
def log(made_up, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(envelope.encode(one.received) + b"\n" for one in made_up))
    return path


def here(path, count):
    """Another part of an audit, judged in a thread of this process."""
    messages, answers = Queue(), Queue()

    def judge():
        answers.put(jobs.judge_part(messages.get, answers.put, RULES, str(path), count))

    Thread(target=judge, daemon=True).start()
    return jobs.Batches(messages.put, answers.get)


def in_parts(given, count, tmp_path):
    return audit(given, RULES, others=[here(tmp_path / f"{number}", count) for number in range(1, count)])


def said(result):
    """All that an audit says, in its order."""
    findings = [astuple(one) for one in result.findings]
    counted = attrs.asdict(attrs.evolve(result, findings=None, log=None))
    habits = replace(result.log.habits, bursts=sorted(result.log.habits.bursts))
    undecided = result.findings.at_least("info").undecided()
    return findings, states(result), counted, undecided, replace(result.log, habits=habits)


def printed(capsys, *arguments):
    with pytest.raises(SystemExit):
        main(["audit", "--format", "json", *map(str, arguments)])
    return capsys.readouterr()


@pytest.mark.parametrize("batch", [1, 10**9])
@pytest.mark.parametrize("sweep", [50, 10**9])
@pytest.mark.parametrize("count", [2, 3, 9])
def test_an_audit_in_parts_finds_what_one_in_a_piece_does(
    made_up, whole, count, sweep, batch, monkeypatch, tmp_path
):
    monkeypatch.setattr(auditing, "SWEEP", sweep)
    monkeypatch.setattr(share, "KEPT", 0)
    monkeypatch.setattr(jobs, "BATCH", batch)
    assert said(in_parts(made_up, count, tmp_path)) == whole
    assert whole[3]


def test_what_two_parts_or_the_whole_log_show_is_among_it(made_up, tmp_path):
    found = {one.code for one in in_parts(made_up, 2, tmp_path).findings}
    assert found >= {"X406", "C513", "C509", "L603"}


@pytest.mark.parametrize("count", [2, 3])
def test_each_process_assesses_about_as_many_sessions(count, made_up, tmp_path, monkeypatch):
    assessed, assess = Counter(), Share._assess

    def counted(share, sessions, *log, **how):
        sessions = list(sessions)
        assessed[share.path] += len(sessions)
        assess(share, sessions, *log, **how)

    monkeypatch.setattr(Share, "_assess", counted)
    in_parts(made_up, count, tmp_path)
    assert len(assessed) == count
    assert min(assessed.values()) > sum(assessed.values()) / (count + 2)


@pytest.mark.parametrize(("count", "few"), [(2, True), (3, False)])
def test_who_reads_observes_some_sessions_where_there_is_one_other_process(
    count, few, made_up, tmp_path, monkeypatch
):
    handed_on, observe = set(), jobs.Batches.observe

    def noted(batches, delivery):
        handed_on.add(delivery.stream)
        observe(batches, delivery)

    monkeypatch.setattr(jobs.Batches, "observe", noted)
    in_parts(made_up, count, tmp_path)
    sessions = {one.stream for one in made_up if one.session_id is not None}
    kept = len(sessions - handed_on) / len(sessions)
    assert (0.1 < kept < 0.25) == few
    assert kept == 0 or few


@pytest.mark.slow
def test_of_a_log_one_process_and_several_print_the_same(log, capsys):
    alone = printed(capsys, log)
    for count in (1, 2, 3, 4):
        assert printed(capsys, log, "--jobs", count) == alone


@pytest.mark.slow
def test_of_a_store_which_goes_on_one_process_and_several_print_the_same(log, tmp_path, capsys):
    data = tmp_path / "data"
    with pytest.raises(SystemExit):
        main(["--data", str(data), "ingest", str(log)])
    capsys.readouterr()
    alone = printed(capsys, "--data", data)
    for count in (1, 2, 3, 4):
        assert printed(capsys, "--data", data, "--jobs", count).out == alone.out


@pytest.mark.slow
def test_what_can_be_read_only_once_is_judged_in_several_processes_too(log, capsys):
    alone = printed(capsys, log, "--as-of", "2026-01-06").out.replace(str(log), "stdin")
    command = [*TRACKER, "audit", "-", "--jobs", "2", "--format", "json", "--as-of", "2026-01-06"]
    with log.open() as file:
        assert subprocess.run(command, stdin=file, capture_output=True, text=True, check=False).stdout == alone


def endless(made_up):
    while True:
        yield from made_up


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_audit_with_a_word(made_up):
    with jobs.others(3, RULES) as others:
        os.kill(active_children()[0].pid, signal.SIGKILL)
        with pytest.raises(TrackerError, match="was ended before it was done"):
            audit(endless(made_up), RULES, others=others)
    assert active_children() == []


@pytest.mark.slow
def test_what_stops_another_process_is_raised_here_also_while_its_pipe_is_full(made_up):
    with jobs.others(2, RULES) as others:
        others[0].send(b"\x01")
        with pytest.raises(msgspec.ValidationError) as raised:
            audit(endless(made_up), RULES, others=others)
    assert "judge_part" in raised.value.__notes__[0]


@pytest.mark.slow
def test_what_stops_the_first_process_ends_the_others(made_up):
    def broken():
        yield from made_up
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), jobs.others(3, RULES) as others:
        audit(broken(), RULES, others=others)
    assert active_children() == []


@contextmanager
def under_way(log, **environment):
    """An audit in two processes of a log that does not end, in a group of its own; and the second of them."""
    command = [*TRACKER, "audit", "-", "--jobs", "2"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    # Whoever runs tests in the background may ignore Ctrl-C, and a new process inherits that.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    env = {**os.environ, **environment}
    with subprocess.Popen(command, **pipes, start_new_session=True, preexec_fn=heed, env=env) as audit:  # noqa: PLW1509
        audit.stdin.write(log.read_bytes())
        audit.stdin.flush()
        children = Path(f"/proc/{audit.pid}/task/{audit.pid}/children")
        yield audit, lambda: [int(pid) for pid in children.read_text().split()]
        audit.kill()


@pytest.mark.slow
def test_ctrl_c_is_one_word_from_all_processes(log):
    with under_way(log) as (audit, _):
        os.killpg(audit.pid, signal.SIGINT)
        _, complaint = audit.communicate(timeout=BOUND)
    hint = "hint: what was committed is kept; run it again to go on"
    assert (audit.returncode, complaint.decode().split("\n")) == (130, ["", "error: interrupted", hint, ""])


@pytest.mark.slow
def test_sigterm_ends_all_processes_and_leaves_no_file(log, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with under_way(log, TMPDIR=str(scratch)) as (audit, children):
        until(lambda: children() and any(scratch.iterdir()))
        others = children()
        audit.terminate()
        assert audit.communicate(timeout=BOUND) == (b"", b"")
        assert (audit.returncode, list(scratch.iterdir())) == (-signal.SIGTERM, [])
        until(lambda: not any(map(is_running, others)))


@pytest.mark.slow
def test_the_others_end_when_the_first_process_is_killed(log):
    with under_way(log) as (audit, children):
        others = children()
        audit.kill()
        audit.wait()
        assert others
        until(lambda: not any(map(is_running, others)))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
