"""``tracker reconcile`` and ``serve --reconcile``, as their users have them."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
from commands import run
from meetings import webhook
from served import served
from test_reconcile import made_up
from vendor import KEY, vendor
from waiting import until

from projections.reconciling import Reconciling
from tracker.delivery.envelope import Received, encode
from tracker.intake.vendor import Videosdk
from tracker.record import RECORD
from tracker.simulate.vendor import PATHS
from tracker.store.application import Tracker

NO_KEY = """error: there is no VIDEOSDK_API_KEY
hint: set VIDEOSDK_API_KEY, or write api_key = "FILE" below [reconcile] of tracker.toml
"""
CONFIG = """
[reconcile]
base = "{base}"
api_key = "videosdk.key"
api_secret = "videosdk.secret"
budget = 100000
"""
ALL = ("--since", "2026-01-01")
FROM = (*ALL, "--from", "records.json")


@pytest.fixture
def place(tmp_path):
    """A directory with a store, the records of its meetings, and files with a key and its secret."""
    received, records = made_up(5)
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(map(encode, received)) + b"\n")
    (tmp_path / "records.json").write_bytes(records)
    (tmp_path / "videosdk.key").write_text(f"{KEY.key}\n")
    (tmp_path / "videosdk.secret").write_text(f"{KEY.secret}\n")
    assert run("ingest", "log.jsonl", cwd=tmp_path).returncode == 0
    return tmp_path


def reconciled(place, *arguments, **environment):
    return run("reconcile", *arguments, cwd=place, text=True, **environment)


def change(place, path, **fields):
    """Changes the first record of a list, and returns its id."""
    lists = json.loads((place / "records.json").read_text())
    lists[path][0] |= fields
    (place / "records.json").write_text(json.dumps(lists))
    return lists[path][0]["id"]


def test_records_of_a_file_are_stored_once_and_say_nothing_else(place):
    first, again = reconciled(place, *FROM), reconciled(place, *FROM)
    assert (first.returncode, again.returncode) == (0, 0)
    count = first.stdout.split()[1]
    assert f"{count} records read, {count} new or changed" in first.stdout
    assert f"{count} records read, 0 new or changed" in again.stdout
    assert again.stdout.endswith("VideoSDK's records say nothing else than the webhooks that came\n")


def test_what_they_say_otherwise_is_listed_with_what_to_do(place):
    change(place, PATHS["session"], start="2026-01-04T00:00:00Z")
    done = reconciled(place, *FROM)
    assert "info    R607 other-times" in done.stdout
    assert "        do: Nothing to do, unless you charge by the minute" in done.stdout


def test_a_record_is_shown_beside_the_webhooks_and_counted_as_none(place):
    name = json.loads((place / "records.json").read_text())[PATHS["session"]][0]["id"]
    before = run("timeline", name, cwd=place, text=True).stdout.splitlines()
    reconciled(place, *FROM)
    after = run("timeline", name, cwd=place, text=True).stdout.splitlines()
    (shown,) = [line for line in after if "rest-session" in line]
    assert shown.endswith("rest-session  noted")
    assert (
        " and VideoSDK's own records; the last of all at position "
        in run("status", name, cwd=place, text=True).stdout
    )
    assert after[-1].startswith(f"{before[-1]} and ")


def test_one_session_is_asked_for_with_all_that_was_in_it(place):
    with vendor(json.loads((place / "records.json").read_text())) as playing:
        (place / "tracker.toml").write_text(CONFIG.format(base=playing.base))
        name = playing.lists[PATHS["session"]][0]["id"]
        assert reconciled(place, "--session", name).returncode == 0
        paths = [path for path, _ in playing.asked]
    assert paths[0] == f"/v2/sessions/{name}"
    assert set(PATHS.values()) - {"/v2/sessions"} <= set(paths)
    assert {asked.get("sessionId", name) for _, asked in playing.asked} == {name}


@pytest.mark.parametrize("alone", ["bare", "object", "list"])
def test_what_is_live_here_is_asked_for_with_what_runs_in_it_and_may_have_ended_there(place, alone):
    now = datetime.now(UTC)
    line = encode(Received(webhook("recording-started", sessionId="s-1"), now))
    run("ingest", "-", cwd=place, stdin=line + b"\n")
    session = {"id": "s-1", "start": now.isoformat(), "end": now.isoformat(), "status": "ended"}
    with vendor({PATHS["session"]: [session], PATHS["recording"]: []}, alone=alone) as playing:
        (place / "tracker.toml").write_text(CONFIG.format(base=playing.base))
        assert reconciled(place, "--live").returncode == 0
        assert [path for path, _ in playing.asked] == ["/v2/sessions/s-1", PATHS["recording"]]
    shown = run("status", "s-1", cwd=place, text=True).stdout
    assert shown.startswith("presumed-ended (inferred)  session s-1")


def test_records_are_in_no_count_and_no_export_and_are_withdrawn_like_webhooks(place):
    select = (
        "SELECT * FROM types UNION ALL SELECT hour, account, deliveries, 0, 0, 0, 0, 0 FROM hours ORDER BY 1"
    )
    asked = ("sql", select), ("export", "--format", "xes", "--out")
    before = [run(*asked[0], cwd=place).stdout, run(*asked[1], "1.xes", cwd=place).returncode]
    change(place, PATHS["session"], start="2026-01-04T00:00:00Z")
    reconciled(place, *FROM)
    assert [run(*asked[0], cwd=place).stdout, run(*asked[1], "2.xes", cwd=place).returncode] == before
    assert (place / "1.xes").read_bytes().count(b"<event>") == (place / "2.xes").read_bytes().count(b"<event>")
    assert "R607" in run("issues", "--min-severity", "info", cwd=place, text=True).stdout
    with Tracker.open(place / "tracker-data") as store:
        first = next(one.position for one in store.deliveries() if one.step is RECORD)
        last = store.last_position()
    assert run("withdraw", "--from", first, "--to", last, cwd=place).returncode == 0
    assert "R607" not in run("issues", "--min-severity", "info", cwd=place, text=True).stdout
    assert run("verify", cwd=place).returncode == 0


def test_records_go_along_with_an_export_and_with_a_copy(place):
    change(place, PATHS["session"], start="2026-01-04T00:00:00Z")
    before = reconciled(place, *FROM).stdout.splitlines()[2:]
    exported = run("export", cwd=place).stdout
    assert run("--data", "other", "ingest", "-", cwd=place, stdin=exported).returncode == 0
    assert run("copy", "--from", "tracker-data", "--to", "copied", cwd=place).returncode == 0
    for data in ("other", "copied"):
        done = run("--data", data, "reconcile", *FROM, cwd=place, text=True)
        assert "0 new or changed" in done.stdout
        assert done.stdout.splitlines()[2:] == before


def test_the_key_comes_from_files_or_from_the_environment_and_is_never_shown(place):
    with vendor({PATHS["session"]: []}) as playing:
        (place / "tracker.toml").write_text(CONFIG.format(base=playing.base))
        assert reconciled(place).returncode == 0
        wrong = reconciled(place, VIDEOSDK_API_KEY="k", VIDEOSDK_API_SECRET="not-it")
    assert (wrong.returncode, "not accepted" in wrong.stderr) == (3, True)
    assert not any(word in wrong.stderr + wrong.stdout for word in ("not-it", KEY.secret))
    (place / "videosdk.secret").unlink()
    assert "videosdk.secret: cannot be read" in reconciled(place).stderr


def test_what_was_pruned_or_withdrawn_is_not_asked_for_again(place):
    assert run("prune", "--before", "2026-02-01", "--archive", "archive", cwd=place).returncode == 0
    done = reconciled(place, *FROM)
    assert "note: " in done.stderr
    assert "of sessions that were pruned or withdrawn: passed over" in done.stderr
    assert done.stdout.endswith("VideoSDK's records say nothing else than the webhooks that came\n")


def test_two_sessions_of_which_no_webhook_came_are_in_nobodys_way(place):
    lists = json.loads((place / "records.json").read_text())
    one = lists[PATHS["session"]][0]
    lists[PATHS["session"]] += [{**one, "id": name, "start": "2026-01-06T00:00:00Z"} for name in "ab"]
    (place / "records.json").write_text(json.dumps(lists))
    reconciled(place, *FROM)
    for command in (["audit"], ["issues"]):
        printed = run(*command, cwd=place, text=True).stdout
        assert ("R601" in printed, "X406" in printed) == (True, False)


def test_where_nothing_can_be_stored_only_the_error_is_printed(place):
    with closing(sqlite3.connect(place / "tracker-data" / "events.db")) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON stored_events BEGIN SELECT RAISE(ABORT, 'full'); END")
    done = reconciled(place, *FROM)
    assert (done.returncode, done.stdout, done.stderr.count("error: ")) == (3, "", 1), done


def test_records_may_begin_with_a_byte_order_mark(place):
    records = (place / "records.json").read_bytes()
    (place / "records.json").write_bytes(b"\xef\xbb\xbf" + records)
    done = reconciled(place, *FROM)
    assert (done.returncode, "is not JSON" in done.stderr) == (0, False)


@pytest.mark.parametrize("command", [("reconcile",), ("serve", "--insecure-no-verify", "--reconcile", "15min")])
def test_without_a_key_it_says_how_to_give_one(place, command):
    done = run(*command, cwd=place, text=True)
    assert (done.returncode, done.stderr) == (2, NO_KEY)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--base", "ftp://x"), "ftp://x: base is no address"),
        (("--base", "http://example.org"), "http://example.org: the address is not encrypted"),
        (("--live", "--since", "yesterday"), "--live and other sessions were asked for"),
        (("--from", "log.jsonl"), "log.jsonl: is not JSON"),
        (("--from", "none.json"), "none.json: cannot be read"),
    ],
)
def test_what_cannot_be_asked_so_is_refused(place, arguments, says):
    done = reconciled(place, *arguments, VIDEOSDK_API_KEY="k", VIDEOSDK_API_SECRET="s")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {says}")
    assert "\nhint: " in done.stderr


@pytest.mark.parametrize("given", ["budget = 0", "base = 1", 'api_key = ""', "other = 1"])
def test_a_setting_that_is_none_is_refused(place, given):
    (place / "tracker.toml").write_text(f"[reconcile]\n{given}\n")
    done = reconciled(place)
    assert (done.returncode, given.split()[0] in done.stderr) == (2, True)


def test_a_server_asks_by_itself_and_finds_what_no_webhook_said(tmp_path):
    now = datetime.now(UTC)
    session = {"id": "s-1", "roomId": "M", "start": now.isoformat(), "end": now.isoformat(), "status": "ended"}
    with served(tmp_path) as running, vendor({PATHS["session"]: []}, broken=0.2) as playing:
        running.post("session-started", sessionId="s-1")
        running.caught_up()
        playing.lists[PATHS["session"]].append(session)
        asking = Reconciling(
            running.tracker, running.live, 0.05, lambda sleep: closing_videosdk(playing.base, sleep)
        )
        asking.start()
        until(lambda: running.get("/api/sessions/s-1")["state"] == "presumed-ended")
        asyncio.run(asking.stop())
        running.server.config.app.state.beside = [asking]
        assert b'tracker_failing{part="reconciling"} 0.0' in running.ask("/metrics").body
    assert asking.problem == ""


def closing_videosdk(base, sleep):
    return closing(Videosdk.at(base, KEY, 1_000_000, sleep=lambda seconds: sleep(min(seconds, 0.01))))


def test_a_file_that_only_videosdk_has_is_named_where_files_are_listed(place):
    log = (place / "log.jsonl").read_bytes().splitlines(keepends=True)
    cut = max(number for number, line in enumerate(log) if b"recording-stopped" in line)
    (place / "cut.jsonl").write_bytes(b"".join(log[:cut] + log[cut + 1 :]))
    for words in (("ingest", "cut.jsonl"), ("reconcile", *FROM)):
        assert run("--data", "cut", *words, cwd=place).returncode == 0
    (row,) = json.loads(run("--data", "cut", "recordings", "--missing", "--format", "json", cwd=place).stdout)
    says = "no webhook brought it; VideoSDK has"
    assert (row["files"], row["videosdk_file"][:8]) == ([], "https://")
    shown = run("--data", "cut", "recordings", "--missing", cwd=place, text=True).stdout
    assert f"          {says} {row['videosdk_file']}\n" in shown
    with served(place / "cut") as server:
        for page in ("/recordings", f"/sessions/{row['session_id']}"):
            assert says in server.ask(page).body.decode()


def test_of_sessions_that_are_asked_for_only_their_own_differences_are_shown_and_where_more_is(place):
    name = change(place, PATHS["session"], start="2026-01-04T00:00:00Z")
    others = [one["id"] for one in json.loads((place / "records.json").read_text())[PATHS["session"]][1:]]
    of_one = reconciled(place, "--session", name, "--from", "records.json").stdout
    assert "1 × in 1 session" in of_one
    assert of_one.endswith("tracker sessions --finding R607 lists where, tracker status ID shows one\n")
    assert "R607" not in reconciled(place, "--session", others[0], "--from", "records.json").stdout


def test_a_session_that_neither_side_knows_is_an_error(place):
    done = reconciled(place, "--session", "nosuch", "--from", "records.json")
    assert done.returncode == 2
    assert "error: neither VideoSDK nor the store knows session nosuch\nhint: " in done.stderr
