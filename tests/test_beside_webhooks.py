"""A text in which webhooks stand, as the log of a web application: what is between them is passed over, and counted."""

import json
from contextlib import closing

import commands
import pytest
from meetings import MORNING, opened, stored, webhook, write

from projections.audit.auditing import Logs
from tracker.intake.ingest import ingest
from tracker.intake.logs import Log

NOISE = b"POST /webhooks 204 3.1 ms"


def logged(step, minute):
    """A line of a text with a webhook in it."""
    body = webhook(f"session-{step}", sessionId="s", meetingId="m")
    return f"[{MORNING.replace(minute=minute).isoformat()}] webhook body: ".encode() + body


STARTED, ENDED = logged("started", 1), logged("ended", 40)
LINES = [b"listening on 3000", b"", STARTED, NOISE, ENDED, NOISE, NOISE]


@pytest.fixture
def run(tmp_path):
    write(tmp_path / "app.log", LINES)

    def call(*arguments, stdin=b""):
        done = commands.run(*arguments, cwd=tmp_path, stdin=stdin, text=True)
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.mark.parametrize("how", [("app.log",), ("--jobs", 2, "app.log"), ("-",)])
def test_an_audit_passes_over_what_stands_between_webhooks_and_counts_it(run, how):
    code, out, said = run("audit", *how, stdin=b"\n".join([*LINES, b""]))
    name = "stdin" if how == ("-",) else "app.log"
    assert (code, out.splitlines()[0].split(", ")[:2]) == (0, ["2 deliveries", "1 session"])
    assert f"note: {name}: 4 lines without a webhook were passed over; the first is line 1\nhint: " in said


def test_what_stands_between_webhooks_is_not_stored_and_the_log_is_known_again(run, tmp_path):
    code, out, said = run("ingest", "app.log")
    assert (code, out.splitlines()[0]) == (
        0,
        "app.log: 7 read, 2 stored, 0 already there, 0 unrouted, 1 blank, at positions 1 to 2",
    )
    assert "note: app.log: 4 lines without a webhook were passed over" in said
    write(tmp_path / "app.log", [*LINES, NOISE, logged("started", 50)])
    code, out, said = run("ingest", "app.log")
    assert out.splitlines()[0] == "app.log: 9 read, 1 stored, 2 already there, 0 unrouted, at position 3"
    assert "note: app.log: 1 line without a webhook was passed over; the first is line 8" in said
    assert len(stored(tmp_path / "tracker-data")) == 3


def test_however_often_reading_is_interrupted_each_webhook_is_stored_once(tmp_path):
    lines = [NOISE] * 700 + [STARTED] + [NOISE] * 1_500 + [ENDED] + [NOISE]
    log = write(tmp_path / "app.log", lines)
    for _ in range(4):
        with closing(opened(tmp_path / "data", create=True)) as store:
            next(ingest(store, Log(str(log))), None)
    assert len(stored(tmp_path / "data")) == 2


def codes(tmp_path, *lines):
    logs = Logs([Log(str(write(tmp_path / "log", lines)))])
    return [one.unrouted for one in logs.deliveries()], logs.odd[str(tmp_path / "log")].beside.count


BARE = webhook("session-started", sessionId="s")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ((STARTED, NOISE), ([""], 1)),
        ((STARTED, b"in {braces"), (["", "C513"], 0)),
        ((b'config {"port": 3000}', NOISE, STARTED), (["C513", ""], 1)),
        ((BARE, NOISE, STARTED), (["", "C513", ""], 0)),
        ((NOISE, BARE, STARTED), (["C513", "", ""], 0)),
        ((NOISE, NOISE), (["C513", "C513"], 0)),
        ((*[b"x" * 600_000] * 2, NOISE, STARTED), (["C513", "C513", "C513", ""], 0)),
        ((json.dumps(BARE.decode()).encode(), NOISE), (["", "C513"], 0)),
    ],
)
def test_only_lines_without_a_brace_are_passed_over_and_only_where_the_first_webhook_is_in_a_text(
    tmp_path, lines, found
):
    assert codes(tmp_path, *lines) == found
