"""A file that is no log of webhooks is refused before anything of it is stored."""

from pathlib import Path

import commands
import meetings
import pytest
from meetings import read_into, stored, write

LICENSE = Path(__file__).parents[1] / "LICENSE"
FOREIGN = b'{"level":"info","message":"started","type":"server"}'


def webhooks(count):
    return [
        meetings.line(meetings.webhook("session-started", sessionId=f"s{number}"), number)
        for number in range(count)
    ]


@pytest.fixture
def run(tmp_path):
    def call(*arguments, stdin=b""):
        done = commands.run(*arguments, cwd=tmp_path, stdin=stdin, text=True)
        return done.returncode, done.stdout, done.stderr

    return call


def test_a_file_of_something_else_is_refused_and_not_even_a_store_is_made(run, tmp_path):
    code, out, complaint = run("ingest", LICENSE)
    assert (code, out, (tmp_path / "tracker-data").exists()) == (2, "", False)
    assert complaint.startswith(f"error: {LICENSE}: ")
    assert "are no webhooks\nhint: " in complaint
    assert run("ingest", "--force", LICENSE)[0] == 0
    lines = LICENSE.read_bytes().splitlines()
    assert stored(tmp_path / "tracker-data") == [line for line in lines if line.strip()]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([FOREIGN] * 3 + webhooks(3), 0),
        ([FOREIGN] * 4 + webhooks(3), 2),
        ([b""] * 9 + webhooks(1), 0),
        ([FOREIGN], 2),
        ([b'{"webhookType":"a-new-type","data":{"sessionId":"s"}}'], 0),
        ([b'{"webhookType":"session-started","data":"?"}'], 0),
        (webhooks(501) + [FOREIGN] * 900, 0),
        ([], 0),
    ],
)
def test_a_file_is_refused_when_most_of_its_first_thousand_lines_are_no_webhooks(run, tmp_path, lines, code):
    assert run("ingest", write(tmp_path / "log", lines))[0] == code


def test_a_last_line_that_is_still_being_written_is_not_counted(run, tmp_path):
    (tmp_path / "log").write_bytes(webhooks(1)[0][:-5])
    assert run("ingest", "log")[0] == 0


def test_of_several_files_the_others_are_stored(run, tmp_path):
    write(tmp_path / "log", webhooks(3))
    code, out, complaint = run("ingest", LICENSE, "log")
    assert (code, "3 stored" in out, str(LICENSE) in complaint) == (2, True, True)
    assert len(stored(tmp_path / "tracker-data")) == 3


def test_a_file_whose_beginning_is_stored_is_read_on(run, tmp_path):
    log = write(tmp_path / "log", [FOREIGN] * 5)
    read_into(tmp_path / "tracker-data", log)
    write(log, [FOREIGN] * 6)
    assert run("ingest", "log")[0] == 0


def test_a_pipe_is_not_looked_at(run, tmp_path):
    assert run("ingest", "-", stdin=FOREIGN)[0] == 0


def test_a_rehearsal_says_what_would_be_stored_and_stores_nothing(run, tmp_path):
    write(tmp_path / "log", [*webhooks(7), FOREIGN])
    code, out, _ = run("ingest", "--dry-run", "log", "log")
    assert (code, (tmp_path / "tracker-data").exists()) == (0, False)
    assert out.splitlines() == [
        "log: 8 read, 8 would be stored, 0 already there, 1 unrouted",
        "log: 8 read, 0 would be stored, 8 already there, 0 unrouted",
        "7 sessions, 2026-03-02 09:00:00 UTC to 2026-03-02 09:00:06 UTC",
        "      7  session-started",
        "      1  server",
        "nothing was stored",
    ]
    run("ingest", "log")
    write(tmp_path / "log", [*webhooks(7), FOREIGN, *webhooks(9)[7:]])
    assert run("ingest", "--dry-run", "log")[1].startswith(
        "log: 10 read, 2 would be stored, 8 already there, 0 unrouted\n2 sessions"
    )
    assert len(stored(tmp_path / "tracker-data")) == 8


def test_what_would_be_refused_is_refused_in_a_rehearsal(run, tmp_path):
    assert run("ingest", "--dry-run", LICENSE)[0] == 2
    assert run("ingest", "--dry-run", "--follow", LICENSE)[0] == 2


@pytest.mark.parametrize("command", [("audit",), ("audit", "--jobs", 2), ("calibrate",)])
def test_a_file_without_any_webhook_is_not_judged(run, tmp_path, command):
    write(tmp_path / "log", [b"", b"root:x:0:0", b"daemon:x:1:1"])
    code, out, complaint = run(*command, "log")
    assert (code, out) == (2, "")
    assert complaint.splitlines() == [
        "error: log: none of its 2 lines is a webhook; line 2: it is not JSON: invalid character at column 1",
        "hint: check that it is the log you mean; if so, say where a line has the webhook by --webhook-field",
    ]


def test_beside_a_file_without_any_webhook_the_other_logs_are_judged(run, tmp_path):
    write(tmp_path / "log", webhooks(3))
    write(tmp_path / "other", [FOREIGN])
    code, out, complaint = run("audit", "other", "log")
    assert (code, out.splitlines()[0].split(", ")[0]) == (2, "3 deliveries")
    assert "error: other: its only line is not a webhook; line 1: server is not a known type" in complaint


def test_a_damaged_log_is_judged_where_any_line_is_a_webhook_and_a_pipe_always(run, tmp_path):
    write(tmp_path / "log", [b"damaged"] * 1_500 + webhooks(1))
    code, out, _ = run("audit", "log")
    assert (code, "1,501 deliveries, " in out) == (1, True)
    assert run("audit", "-", stdin=b"damaged")[0] == 1


@pytest.mark.parametrize("how", [(), ("--jobs", 2), ("--format", "junit")])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the log is empty"),
        (b"\n \n", "the log is empty"),
        (b'{"webhookType": "sess', "no webhook is in it"),
    ],
)
def test_an_audit_of_nothing_fails_because_nothing_was_judged(run, tmp_path, how, content, problem):
    (tmp_path / "log").write_bytes(content)
    for name in ("log", "-"):
        code, out, complaint = run("audit", *how, name, stdin=content)
        assert (code, out) == (2, "")
        assert f"error: {'stdin' if name == '-' else name}: {problem}\nhint: nothing was judged" in complaint


def test_of_several_logs_an_empty_one_is_named_and_the_others_are_judged(run, tmp_path):
    write(tmp_path / "log", webhooks(3))
    (tmp_path / "empty").touch()
    code, _, said = run("audit", "empty", "log")
    assert (code, "note: empty: the log is empty\nhint: " in said) == (0, True)


def test_an_empty_store_is_in_good_order(run, tmp_path):
    (tmp_path / "log").touch()
    run("ingest", "log")
    assert run("audit")[0] == 0
