"""``tracker alerts``: what was reported is listed, and what could not be delivered is sent again."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from commands import run
from meetings import read_into
from published import Published, finding
from receiving import KEY, receiving
from served import MONDAY, served
from test_alerts import NOON, RULE

from projections.alerts.sweep import sweep
from tracker.rules import DURATIONS

CONFIG = """
[[alert]]
name = "grave"
when = {{severity = "error"}}
to = "http://127.0.0.1:{port}/x"
secret = "hooks.secret"
allow_private = true
"""
NO_DURATION = f"""error: Invalid value for '--backfill': 'soon' is no duration; write {DURATIONS}
hint: tracker alerts send --help shows what can be given
"""
OVER = """error: --until is 2020-01-01 00:00:00 UTC, which is over
hint: give a time to come, or leave it out
"""
LONG_AGO = ("--backfill", "3650d")


@pytest.fixture
def place(tmp_path):
    """A directory with the store of a bad Monday."""
    (tmp_path / "hooks.secret").write_text(KEY)
    (tmp_path / "tracker-data").mkdir()
    read_into(tmp_path / "tracker-data", MONDAY)
    return tmp_path


def alerts(place, *arguments, port=1):
    (place / "tracker.toml").write_text(CONFIG.format(port=port))
    return run("alerts", *arguments, cwd=place, text=True)


def rows(place, *arguments):
    return json.loads(alerts(place, *arguments, "--format", "json").stdout)


def test_what_is_due_is_sent_without_a_server_and_listed(place):
    with receiving() as receiver:
        done = alerts(place, "send", *LONG_AGO, port=receiver.port)
        open_ones = rows(place, "list")
    assert done.stdout == f"{len(open_ones)} messages sent\n"
    assert receiver.taken == ["finding.opened"] * len(open_ones)
    assert {(one["state"], one["severity"]) for one in open_ones} == {("open", "error")}


def test_without_backfill_nothing_of_the_past_is_sent_or_listed(place):
    assert alerts(place, "send").stdout == "0 messages sent\n"
    assert rows(place, "list") == []


def test_what_is_not_taken_waits_and_what_is_dead_is_sent_again(place):
    done = alerts(place, "send", *LONG_AGO)
    assert "messages will be sent later: grave cannot be reached (ConnectError)\n" in done.stderr
    assert done.stderr.count("\n") == 2
    assert alerts(place, "dead").stdout == "0 dead messages\n"
    with receiving(410) as receiver:
        assert alerts(place, "retry", "grave").stdout == "grave: 0 messages will be sent again\n"
        assert alerts(place, "send", port=receiver.port).returncode == 0


def test_a_test_message_is_signed_and_says_what_came_of_it(place):
    with receiving(204, 503) as receiver:
        done = alerts(place, "test", "grave", port=receiver.port)
        failed = alerts(place, "test", "grave", port=receiver.port)
    assert done.stdout.startswith("grave: the receiver has taken the message msg_")
    assert receiver.taken == ["alert.test"] * 2
    assert (failed.returncode, failed.stderr.splitlines()[0]) == (
        3,
        "error: alert grave: the message was answered with 503",
    )


def test_who_looks_after_an_alert_is_listed(place):
    alerts(place, "send", *LONG_AGO)
    first = rows(place, "list")[0]["id"]
    assert alerts(place, "ack", first, "--by", "Ann").stdout == f"alert {first}: Ann looks after it\n"
    assert rows(place, "list")[0]["acknowledged_by"] == "Ann"
    assert "acknowledged by Ann" in alerts(place, "list").stdout


def test_muting_says_until_when(place):
    given = ["mute", "grave", "--reason", "a test", "--tz", "UTC"]
    assert alerts(place, *given).stdout == "grave: everything is muted until further notice\n"
    until = alerts(place, *given, "--until", "2999-01-01 18:00")
    assert until.stdout == "grave: everything is muted until 2999-01-01 18:00:00 UTC\n"


def test_until_may_be_a_duration_from_now_on(place):
    alerts(place, "send", *LONG_AGO)
    first = rows(place, "list")[0]["id"]
    alerts(place, "ack", first, "--by", "Ann", "--until", "2w")
    until = datetime.fromisoformat(rows(place, "list")[0]["acknowledged_until"])
    assert timedelta(days=13) < until - datetime.now(UTC) <= timedelta(weeks=2)
    muted = alerts(place, "mute", "grave", "--reason", "a test", "--until", "3 d")
    assert (muted.returncode, muted.stdout[:32]) == (0, "grave: everything is muted until")


def test_alerts_of_one_account_are_listed_alone(tmp_path):
    published = Published(tmp_path)
    published.hold()
    sweep(tmp_path, [RULE], NOON)
    published.hold(finding(account="acme"), finding(position=2, account="beta"), finding(position=3))
    sweep(tmp_path, [RULE], NOON + timedelta(minutes=1))
    listed = json.loads(
        run("alerts", "list", "--account", "acme", "--format", "json", "--data", str(tmp_path)).stdout
    )
    with served(tmp_path, accounts=["acme", "beta"]) as server:
        api, page = (
            server.get("/api/alerts?account=acme")["items"],
            server.ask("/alerts?account=acme").body.decode(),
        )
    assert [one["position"] for one in listed] == [one["position"] for one in api] == [1]
    assert (page.count("data-row"), 'account=acme" aria-current="true">acme</a>' in page) == (1, True)


def test_what_is_not_found_of_the_log_is_shown_by_a_command_that_knows_the_log(place):
    done = alerts(place, "ack", "--session", "log:", "--code", "C516", "--by", "Ann")
    assert (
        done.stderr
        == "error: the log: no C516 is found there\nhint: tracker issues shows what is found there\n"
    )


def test_what_is_muted_is_not_sent_until_it_is_undone(place):
    alerts(place, "send")
    for code in ("C513", "S210"):
        alerts(place, "mute", "grave", "--code", code, "--reason", "a known robot")
    assert "S210 muted until further notice: a known robot" in alerts(place, "list").stdout
    assert (
        alerts(place, "mute", "grave", "--code", "S210", "--undo").stdout == "grave: S210 is reported again\n"
    )
    assert "S210" not in alerts(place, "list").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("test", "gave"), "error: no alert 'gave'\nhint: did you mean grave?\n"),
        (("ack", "9", "--by", "Ann"), "error: 9: no such open alert\nhint: tracker alerts list shows them\n"),
        (("mute", "grave"), 'error: no reason is given\nhint: give --reason "…", or --undo\n'),
        (("mute", "grave", "--until", "2020-01-01", "--reason", "x"), OVER),
        (("send", "--backfill", "soon"), NO_DURATION),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_write(place, arguments, message):
    done = alerts(place, *arguments)
    assert (done.returncode, done.stderr) == (2, message)


def test_without_an_entry_there_is_nothing_to_send(tmp_path):
    done = run("alerts", "send", cwd=tmp_path, text=True)
    assert done.stderr.startswith("error: the configuration has no alert\n")


def test_before_anything_was_swept_the_list_is_empty(tmp_path):
    assert run("alerts", "list", cwd=tmp_path, text=True).stdout == "0 alerts\n"
