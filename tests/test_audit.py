"""An audit folds every session and settles it where the log ends."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import commands
import pytest
from meetings import LONG_AGO, line, webhook, write
from msgspec.structs import astuple
from story import NOON, deliveries, moment

from projections.audit import auditing, share
from projections.audit.auditing import Logs, audit
from projections.cli import main
from projections.cli.settings import Settings
from tracker.delivery.envelope import Received, encode
from tracker.delivery.webhook import parse
from tracker.intake.lines import MAX_LINE
from tracker.intake.logs import Log
from tracker.rules import Rules

LOST_STOP = ("0 session-started", "5 recording-starting", "7 recording-started", "60 session-ended")


def codes(*lines, as_of=None):
    return [(found.code, found.verdict) for found in audit(deliveries(*lines), Rules(), as_of).findings]


def test_what_rests_on_time_is_settled_by_the_newest_receive_time_of_the_whole_log():
    assert codes(*LOST_STOP) == [("X403", "undecided")]
    assert codes(*LOST_STOP, "1h session-started sessionId=other meetingId=N") == [("X403", "settled")]


def test_a_window_that_is_still_open_when_the_log_ends_leaves_its_finding_undecided():
    assert codes("0 session-started", "5 recording-started") == [("S201", "undecided")]


def test_a_log_cut_at_a_moment_is_judged_by_what_was_known_then():
    whole = ("0 session-started", "5 recording-started", "7 recording-starting", "9 hls-stopped")
    assert codes(*whole, as_of=moment(6)) == codes(*whole[:2])


def test_findings_come_in_the_order_of_their_positions():
    found = audit(deliveries("0 hls-stopped sessionId=b", "1 hls-stopped sessionId=a", "2 x"), Rules()).findings
    positions = [one.position or 0 for one in found]  # what is found of the whole log has none, and comes first
    assert positions == sorted(positions)


def test_an_audit_tells_how_much_it_has_read_and_from_when_to_when():
    result = audit(deliveries("0 session-started", "9 session-ended", "- recording-paused"), Rules())
    assert (result.deliveries, result.oldest, result.newest) == (3, NOON, moment(9))


def test_lines_are_counted_on_from_one_log_to_the_next_blank_and_refused_ones_too(tmp_path):
    (tmp_path / "one").write_bytes(b'\n{"webhookType": "a"}\n' + b"x" * (MAX_LINE + 1) + b"\n")
    (tmp_path / "two").write_bytes(b'{"webhookType": "b"}\n')
    logs = Logs([Log(str(tmp_path / "one")), Log(str(tmp_path / "two"))])
    assert [(one.position, one.type, one.unrouted) for one in logs.deliveries()] == [
        (2, "a", "C509"),
        (3, None, "C513"),
        (4, "b", "C509"),
    ]


@pytest.mark.parametrize("broken", [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd\x00"])
def test_a_log_that_breaks_off_is_remembered_and_the_next_one_is_read(tmp_path, broken):
    (tmp_path / "broken").write_bytes(broken)
    (tmp_path / "whole").write_bytes(b'{"webhookType": "b"}\n')
    logs = Logs([Log(str(tmp_path / "broken")), Log(str(tmp_path / "whole"))])
    assert [one.type for one in logs.deliveries()] == ["b"]
    assert [error.place for error in logs.errors] == [str(tmp_path / "broken")]


def test_what_was_received_at_the_very_moment_of_the_cut_is_judged():
    result = audit(deliveries("0 session-started", "6 hls-stopped", "7 hls-stopped"), Rules(), moment(6))
    assert result.deliveries == 2


def test_what_belongs_to_no_session_stands_alone():
    given = ("0 participant-joined -sessionId meetingId=A", "1 participant-joined -sessionId meetingId=B")
    result = audit(deliveries(*given), Rules())
    assert [(found.code, found.meeting_id) for found in result.findings] == [("C511", "A"), ("C511", "B")]


# What is spilled.


def meetings(count, *extra):
    """Sessions one after the other, each recorded and over within minutes; and lines of them that come later."""
    lines = []
    for n in range(count):
        whose, at = f"sessionId=s{n} meetingId=m{n % 3}", 2000 * n
        steps = [(5, "starting"), (7, "started"), (50, "stopping"), (55, f"stopped filePath=/{n}.mp4")]
        lines += [(at, f"session-started {whose}"), (at + 1, f"participant-joined p {whose}")]
        lines += [(at + offset, f"recording-{step} {whose}") for offset, step in steps if (n + offset) % 7]
        lines += [(at + 90, f"participant-left p {whose}")] if n % 4 else []
        lines += [(at + 100, f"session-ended {whose}")] if n % 5 else []
    return deliveries(*(f"{at} {line}" for at, line in sorted([*lines, *extra])))


def outcome(given, sweep, monkeypatch):
    monkeypatch.setattr(auditing, "SWEEP", sweep)
    monkeypatch.setattr(share, "KEPT", 0)
    result = audit(given, Rules())
    findings = [astuple(one) for one in result.findings]
    return findings, result.sessions, states(result)


def states(result):
    """The meeting and the state of each session with a finding."""
    return [(one.session_id, one.meeting_id, one.state) for one in result.findings.by_session()]


LATER = [
    [],
    [
        (30_000, "recording-stopped sessionId=s1 meetingId=m1"),
        (90_000, "session-ended sessionId=s0 meetingId=m0"),
    ],
    [(70_000, f"participant-joined q sessionId=s{n} meetingId=m{n % 3}") for n in range(6)],
    [
        (1900, "session-started sessionId=t meetingId=m1"),
        (40_000, "participant-joined p sessionId=t meetingId=m1"),
    ],
]


@pytest.mark.parametrize("extra", LATER)
def test_what_is_spilled_and_comes_back_is_judged_as_if_it_had_stayed(extra, monkeypatch):
    given = meetings(12, *extra)
    assert outcome(given, 1, monkeypatch) == outcome(given, 10**9, monkeypatch)


@pytest.mark.parametrize("begin", [(), ("0 session-started",)], ids=["records-first", "records-later"])
def test_after_so_many_deliveries_it_is_looked_once_who_is_over_though_they_are_records(begin, monkeypatch):
    given = deliveries(*begin, *(f'{60 + n} rest-session record={{"id":"S"}}' for n in range(20)))
    looked = []
    monkeypatch.setattr(auditing, "SWEEP", 5)
    monkeypatch.setattr(share.Share, "sweep", lambda _, now: looked.append(now))

    audit(given, Rules())
    assert len(looked) == len(given) // 5


def test_sessions_that_are_over_leave_the_memory(monkeypatch):
    monkeypatch.setattr(share, "KEPT", 0)
    run = share.Share(Rules())
    kept = []
    for delivery in meetings(60):
        run.observe(delivery)
        run.sweep(delivery.received_at)
        kept.append(len(run._sessions.observed))
    never_ended_within_idle_time = Rules().session_idle // timedelta(seconds=2000) // 5 + 2
    assert max(kept) <= never_ended_within_idle_time + 3


def test_a_session_whose_meeting_is_reported_only_later_is_spilled_like_any_other(monkeypatch):
    given = deliveries(
        *(
            f"{at} session-{step} sessionId=a {outcome}"
            for at, step, outcome in ((0, "started", "-meetingId"), (9, "ended", "meetingId=m"))
        ),
        *(f"{at} session-{step} sessionId=b -meetingId" for at, step in ((5000, "started"), (5009, "ended"))),
        "9900 session-started sessionId=c -meetingId",
        "30000 session-started sessionId=d meetingId=m",
    )
    assert outcome(given, 1, monkeypatch) == outcome(given, 10**9, monkeypatch)


def test_a_position_is_translated_back_to_file_and_line(tmp_path):
    for name, text in (
        ("one", '{"webhookType": "a"}\n\n{"webhookType": "b"}\n'),
        ("empty", ""),
        ("two", '{"webhookType": "c"}'),
    ):
        (tmp_path / name).write_text(text)
    logs = Logs([Log(str(tmp_path / name)) for name in ("one", "empty", "two")])
    places = [logs.place(one.position) for one in logs.deliveries()]
    assert places == [(str(tmp_path / name), line) for name, line in (("one", 1), ("one", 3), ("two", 1))]


def test_a_line_of_standard_input_is_in_no_file():
    logs = Logs([Log("-")], begins=[(0, "-")])
    assert logs.place(1) is None


# What the command makes of it.


@pytest.fixture
def tracker(tmp_path, capsys, monkeypatch):
    """Writes a log of these lines and audits it, or the store it is read into: the exit code, and what is found."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return ended.value.code

    def tracker(given, *options, store=False):
        write(tmp_path / "log", [encode(one.received) for one in given])
        if store:
            run("--data", "data", "ingest", "log")
            capsys.readouterr()
        of = ("--data", "data", "audit") if store else ("audit", "log")
        code = run(*of, "--format", "ndjson", *options)
        found = map(json.loads, capsys.readouterr().out.splitlines())
        return code, [(one["code"], one["verdict"]) for one in found if one["severity"] != "info"]

    return tracker


OPEN = [
    (LOST_STOP, [("X403", "undecided")]),
    (("0 session-started", "5 recording-started"), [("S201", "undecided")]),
    (("- session-started", "- recording-started"), [("S201", "undecided")]),
]


@pytest.mark.parametrize(("lines", "found"), OPEN)
def test_what_is_undecided_fails_only_where_it_is_strict(tracker, lines, found):
    given = deliveries(*lines)
    assert tracker(given) == (0, found)
    assert tracker(given, "--strict") == (1, found)
    assert tracker(given, "--strict", "--fail-on", "never") == (0, found)


@pytest.mark.parametrize(("options", "says"), [([], True), (["--as-of", "end"], False)])
def test_how_to_decide_what_is_undecided_is_said_beside_its_number(tmp_path, options, says):
    write(tmp_path / "log", [encode(one.received) for one in deliveries(*LOST_STOP)])
    out = commands.run("audit", "log", *options, cwd=tmp_path, text=True).stdout
    assert ("1 undecided, as the log ends too early: --as-of end decides" in out) == says


ROTATED = (
    "0 recording-stopping",
    "1 recording-stopped filePath=/1.mp4",
    "9 participant-left p",
    "10 session-ended",
)


@pytest.mark.parametrize(
    "start", ["", " start=2026-01-05T12:00:05Z"], ids=["no start", "a start after the first webhook"]
)
@pytest.mark.parametrize("options", [[], ["--as-of", "end"]])
def test_that_a_log_begins_too_late_to_know_is_said_beside_the_number_of_what_is_undecided(
    tmp_path, options, start
):
    *before, end = ROTATED
    write(tmp_path / "log", [encode(one.received) for one in deliveries(*before, end + start)])
    done = commands.run("audit", "log", *options, cwd=tmp_path, text=True)
    assert "; 3 undecided, as the log begins too late" in done.stdout
    assert "the log ends too early" not in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("store", [False, True])
def test_at_the_end_all_has_passed_of_a_log_and_of_a_store(tracker, store):
    assert tracker(deliveries(*LOST_STOP), "--as-of", "end", store=store) == (1, [("X403", "settled")])


def test_what_a_store_leaves_open_is_provisional_for_it_goes_on(tracker, monkeypatch):
    monkeypatch.setattr(Settings, "now", LONG_AGO)
    given = deliveries("0 session-started", "5 recording-started")
    assert tracker(given, store=True)[1] == [("S201", "provisional")]


@pytest.fixture
def lately():
    """A recording that hangs since three hours ago, and a stop of an hour ago that nothing came before."""
    past = [
        (3, webhook(kind, sessionId="S", meetingId="M")) for kind in ("session-started", "recording-starting")
    ]
    past.append((1, webhook("hls-stopped", sessionId="T", meetingId="N")))
    now = datetime.now(UTC)
    return [parse(Received(body, now - timedelta(hours=hours))) for hours, body in past]


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize(
    ("as_of", "codes"),
    [("-4h", []), ("-2h", ["T301"]), ("-179min", []), ("now", ["T301", "S205"]), ("end", ["T301", "S205"])],
)
def test_a_log_is_cut_at_now_at_an_age_or_not_at_all(tracker, lately, as_of, codes, store):
    found = tracker(lately, "--as-of", as_of, store=store)[1]
    assert [code for code, _ in found if code in ("T301", "S205")] == codes


def test_an_acceptance_has_not_expired_because_all_is_judged_as_of_the_end(tracker, tmp_path, capsys):
    (tmp_path / "tracker.toml").write_text(
        '[[accept]]\ncode = "X403"\nreason = "known"\nuntil = 2026-12-31', encoding="utf-8"
    )
    write(tmp_path / "log", [encode(one.received) for one in deliveries(*LOST_STOP)])
    with pytest.raises(SystemExit):
        main(["audit", "log", "--as-of", "end"])
    assert "expired" not in capsys.readouterr().err


@pytest.mark.parametrize("as_of", ["soon", "-2", "-2q", "--2h"])
def test_a_moment_that_is_none_is_refused_with_those_there_are(tracker, capsys, as_of):
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--as-of", as_of])
    outcome = capsys.readouterr().err
    assert (ended.value.code, "now, end or -2h" in outcome) == (2, True)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("name", "pack"), [("log", bytes), ("log.gz", gzip.compress), ("-", bytes)])
def test_a_last_line_that_is_still_being_written_is_noted_and_no_finding(tmp_path, name, pack, jobs):
    begun = [line(webhook(f"session-{step}", sessionId="s", meetingId="m"), 9) for step in ("started", "ended")]
    content = pack(b"\n".join([begun[0], b"", begun[1][:-5]]))
    (tmp_path / "log").write_bytes(content)
    (tmp_path / "log.gz").write_bytes(content)
    done = commands.run("audit", "--jobs", jobs, name, cwd=tmp_path, stdin=content, text=True)

    shown = "stdin" if name == "-" else name
    assert (done.returncode, done.stdout.splitlines()[0].split(", ")[:2]) == (0, ["1 delivery", "1 session"])
    assert done.stderr.splitlines() == [
        f"note: {shown}:3: the last line is incomplete, so it was not judged",
        "hint: run the command again when the line is complete; if it is, end it with a newline",
    ]


def test_a_last_line_that_is_cut_in_what_python_prints_of_a_dictionary_is_incomplete_wherever_it_is(tmp_path):
    whole = b"INFO got {'webhookType': 'session-ended', 'data': {'sessionId': 's', 'meetingId': 'm'}}"
    begin = whole.index(b"{") + 2
    for end in range(begin, len(whole) + 1):
        (tmp_path / "log").write_bytes(whole + b"\n" + whole[:end])
        logs = Logs([Log(str(tmp_path / "log"))])
        assert len(list(logs.deliveries())) == (2 if end == len(whole) else 1), whole[:end]


def test_behind_a_last_line_that_is_incomplete_the_lines_of_the_next_log_are_counted_on(tmp_path):
    begun = line(webhook("session-started", sessionId="s"), 9)
    (tmp_path / "one").write_bytes(begun + b"\n" + begun[:-5])
    write(tmp_path / "two", [begun])
    for as_given in (True, False):
        logs = Logs([Log(str(tmp_path / "one")), Log(str(tmp_path / "two"))], as_given)
        assert [one.position for one in logs.deliveries()] == [1, 3]
        assert logs.place(3) == (str(tmp_path / "two"), 1)
