"""However many processes judge, what they find is the same, and it is told in the same order."""

from functools import partial

import attrs
import pytest
from story import deliveries

from projections import jobs, share
from projections.audit import audit
from projections.cli import main
from projections.share import Part
from tracker import envelope
from tracker.errors import TrackerError
from tracker.rules import Rules
from tracker.simulate import simulate
from tracker.webhook import parse

RULES = Rules()
OVERLAPPING = [f"{at} session-started sessionId=beside-{at} meetingId=beside" for at in range(0, 90, 10)]


@pytest.fixture(scope="module")
def made_up():
    """Meetings with every kind of fault, sessions of one meeting that overlap, and what belongs nowhere."""
    lines = [line.received for line in simulate(300, seed=3, faults=0.6, unheard=["recording-starting"])]
    alone = [parse(b"{"), parse(b'{"webhookType": "recording-paused"}')]
    heard = [*map(parse, lines), *deliveries(*OVERLAPPING), *alone, *alone]
    return [parse(one.received, position) for position, one in enumerate(heard, 1)]


@pytest.fixture
def log(made_up, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(envelope.encode(one.received) + b"\n" for one in made_up))
    return path


def in_parts(given, count, tmp_path):
    """An audit in so many parts, one after the other in this process."""
    others = [
        partial(jobs.judge_part, lambda: given, RULES, None, Part(number, count), str(tmp_path / f"{number}"))
        for number in range(1, count)
    ]
    return audit(given, RULES, others=others)


def said(result):
    """All that an audit says, in its order."""
    findings = [attrs.astuple(one, recurse=False) for one in result.findings]
    return attrs.evolve(result, findings=findings)


def printed(capsys, *arguments):
    with pytest.raises(SystemExit):
        main(["audit", "--format", "json", *map(str, arguments)])
    return capsys.readouterr()


@pytest.mark.parametrize("sweep", [50, 10**9])
@pytest.mark.parametrize("count", [2, 3])
def test_an_audit_in_parts_finds_what_one_in_a_piece_does(made_up, count, sweep, monkeypatch, tmp_path):
    whole = said(audit(made_up, RULES))
    monkeypatch.setattr(share, "SWEEP", sweep)
    assert said(in_parts(made_up, count, tmp_path)) == whole


def test_what_two_parts_or_the_whole_log_show_is_among_it(made_up, tmp_path):
    found = {one.code for one in in_parts(made_up, 2, tmp_path).findings}
    assert found >= {"X406", "C513", "C509", "L603"}


def test_a_part_keeps_only_its_own_sessions_in_memory(made_up, monkeypatch):
    monkeypatch.setattr(share, "SWEEP", 50)
    most = {}
    for part in (Part(), Part(0, 2), Part(1, 2)):
        own = share.Share(RULES, part)
        most[part] = 0
        for delivery in made_up:
            own.hear(delivery)
            most[part] = max(most[part], len(own.sessions))
    assert max(most[Part(0, 2)], most[Part(1, 2)]) < most[Part()] < 300


def test_every_stream_is_in_one_part_and_what_has_no_session_in_the_first():
    streams = [f"session-{number}" for number in range(100)] + ["resource:a", "unrouted:malformed", "\udcff"]
    parts = [Part(number, 3) for number in range(3)]
    assert [sum(part.has(stream) for part in parts) for stream in streams] == [1] * len(streams)
    assert Part(0, 3).has("unrouted:malformed")


@pytest.mark.slow
def test_from_a_log_and_from_the_store_one_process_and_two_print_the_same(log, tmp_path, capsys):
    data = tmp_path / "data"
    with pytest.raises(SystemExit):
        main(["--data", str(data), "ingest", str(log)])
    capsys.readouterr()
    alone = printed(capsys, log)
    assert printed(capsys, log, "--jobs", 2) == alone
    for count in (1, 2):
        assert printed(capsys, "--data", data, "--jobs", count).out == alone.out


def test_a_log_that_grows_while_processes_read_it_is_not_half_judged(made_up, tmp_path):
    longer = partial(
        jobs.judge_part, lambda: [*made_up, made_up[0]], RULES, None, Part(1, 2), str(tmp_path / "1")
    )
    with pytest.raises(TrackerError, match="the log grew while it was read"):
        audit(made_up, RULES, others=[longer])


@pytest.mark.slow
def test_what_stops_another_process_is_told_here(tmp_path):
    source = partial(jobs.of_logs, [str(tmp_path / "gone.jsonl")], ())
    with (
        pytest.raises(TrackerError, match="there is no such file"),
        jobs.others(2, source, RULES, None) as others,
    ):
        audit([], RULES, others=others)


def test_what_can_be_read_only_once_is_not_read_by_several_processes(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["audit", "-", "--jobs", "2"])
    assert (ended.value.code, capsys.readouterr().err.splitlines()) == (
        2,
        [
            "error: stdin: with --jobs each process reads it, and it can be read only once",
            "hint: write it to a file first, or leave out --jobs",
        ],
    )
