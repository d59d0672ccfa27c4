"""``tracker doctor``, ``config``, ``watch``, ``open`` and the completion of the shell."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import commands
import pytest
from click.testing import CliRunner
from meetings import read_into, webhook
from receiving import KEY
from served import MONDAY, RESTARTED

from projections.cli import main, tracker
from projections.cli.messages import AHEAD_HINT
from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse
from tracker.store.application import Tracker


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    read_into(place, MONDAY)
    CliRunner().invoke(tracker, ["--data", str(place), "sessions"])  # so that there are read models
    return place


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """A directory without settings."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TRACKER_")]:
        monkeypatch.delenv(name)
    return tmp_path


def checks(data, *more):
    done = CliRunner().invoke(tracker, ["--data", str(data), *more, "doctor", "--format", "json"])
    return done.exit_code, {one["check"]: one for one in json.loads(done.stdout)}


def test_a_sound_store_is_said_to_be_sound(data, at_home):
    code, found = checks(data)
    assert code == 0
    assert {name: found[name]["state"] for name in ("store", "read models", "clock", "disk")} == dict.fromkeys(
        ("store", "read models", "clock", "disk"), "ok"
    )
    assert "235 events" in found["store"]["seen"]


def test_what_never_came_is_named(data, at_home):
    _, found = checks(data)
    assert "resource-released" in found["subscription"]["seen"]
    assert "recording-failed" not in found["subscription"]["seen"]


def test_without_a_key_one_is_asked_for(data, at_home):
    assert (checks(data)[1]["keys"]["state"], "TRACKER_KEYS" in checks(data)[1]["keys"]["hint"]) == (
        "note",
        True,
    )


def test_where_there_is_no_store_it_says_so_and_is_fine(tmp_path, at_home):
    code, found = checks(tmp_path / "nowhere")
    assert (code, found["store"]["state"]) == (0, "missing")


def test_a_store_that_lost_deliveries_is_damaged(data, tmp_path, at_home):
    lost = tmp_path / "lost"
    shutil.copytree(data, lost)
    for left in lost.glob("events.db*"):
        left.unlink()
    with Tracker.open(lost, create=True) as store:
        store.append([parse(Received(webhook("session-started", sessionId="s", meetingId="m")), 1)])
    code, found = checks(lost)
    assert (code, found["store"]["state"]) == (3, "damaged")
    assert "accept-loss" in found["store"]["hint"]


def test_read_models_that_are_damaged_are_made_anew_and_no_damage(data, tmp_path, at_home):
    spoilt = tmp_path / "spoilt"
    shutil.copytree(data, spoilt)
    (spoilt / "views.db").write_bytes(b"no database, but long enough to be taken for one" * 100)
    code, found = checks(spoilt)
    assert (code, found["read models"]["state"]) == (0, "ok")


def test_a_receive_time_ahead_of_the_clock_is_a_problem(tmp_path, at_home):
    with Tracker.open(tmp_path / "data", create=True) as store:
        ahead = Received(
            webhook("session-started", sessionId="s", meetingId="m"), datetime(2999, 1, 1, tzinfo=UTC)
        )
        store.append([parse(ahead, 1)])
    assert checks(tmp_path / "data")[1]["clock"]["state"] == "problem"


def ingested(place, later, *how):
    """What is said when a log is read whose one webhook came so much later than now."""
    at = (datetime.now(UTC) + later).isoformat()
    body = webhook("session-started", sessionId="s", meetingId="m").decode()
    (place / "day.jsonl").write_text(json.dumps({"received_at": at, "body": body}) + "\n")
    return commands.run("ingest", "day.jsonl", *how, cwd=place, text=True).stderr


@pytest.mark.parametrize("how", [(), ("--dry-run",)])
def test_ingest_says_that_what_it_stored_is_ahead_of_the_clock(at_home, how):
    words = f"note: the newest receive time is 2 d ahead of now\nhint: {AHEAD_HINT}\n"
    assert words in ingested(at_home, timedelta(days=2, minutes=10), *how)


def test_ingest_says_nothing_of_what_is_not_ahead(at_home):
    assert "ahead of now" not in ingested(at_home, timedelta(0))


def test_ingest_says_it_once_and_not_of_what_was_there(at_home):
    ingested(at_home, timedelta(days=2))
    assert "ahead of now" not in commands.run("ingest", "day.jsonl", cwd=at_home, text=True).stderr


def test_the_overview_marks_a_newest_receive_time_that_is_ahead_of_the_clock(at_home):
    ingested(at_home, timedelta(days=2, minutes=10))
    assert (
        ", 2 d ahead of now: tracker doctor says what to do"
        in commands.run("overview", cwd=at_home, text=True).stdout
    )


def test_each_alert_is_checked_as_the_server_does_at_its_start(data, at_home):
    entry = '[[alert]]\nname = "grave"\nto = "https://hooks.example.org"\nsecret = "hooks.secret"\n'
    (at_home / "tracker.toml").write_text(entry)
    found = checks(data)[1]["alert"]
    assert (found["state"], "the secret of alert grave cannot be read" in found["seen"]) == ("problem", True)
    (at_home / "hooks.secret").write_text(KEY)
    assert checks(data)[1]["alert"]["state"] == "ok"


@pytest.mark.parametrize(
    ("people", "state", "seen"),
    [("1 h", "note", "people of {} sessions are to be erased"), ("90 y", "ok", "nothing is due")],
)
def test_what_retention_has_to_do_is_counted(data, at_home, people, state, seen):
    (at_home / "tracker.toml").write_text(f'[retention]\npeople = "{people}"\n')
    found = checks(data)[1]["retention"]
    listed = json.loads(run(data, "sessions", "--format", "json").stdout)
    assert (found["state"], found["seen"]) == (state, seen.format(len(listed)))


# config


def in_force(*given):
    rows = json.loads(CliRunner().invoke(tracker, [*given, "config", "--format", "json"]).stdout)
    return {row["setting"]: (row["value"], row["from"]) for row in rows}


def test_without_settings_the_usual_ones_are_in_force(at_home):
    assert in_force() == {
        "config": ("none", "there is no tracker.toml here"),
        "data": ("tracker-data", "the default"),
        "store": ("tracker-data", "the default"),
        "tz": ("UTC", "the default"),
        "keys": ("none", "the default"),
    }


def test_an_option_wins_over_the_environment_and_that_over_the_file(at_home, monkeypatch):
    (at_home / "tracker.toml").write_text('data = "of-file"\ntz = "Europe/Berlin"\n[rules]\nempty = "5 min"\n')
    assert in_force()["data"] == ("of-file", "tracker.toml")
    monkeypatch.setenv("TRACKER_DATA", "of-environment")
    assert in_force()["data"] == ("of-environment", "TRACKER_DATA")
    found = in_force("--data", "of-option")
    assert found["data"] == ("of-option", "an option")
    assert (found["tz"], found["rules.empty"]) == (("Europe/Berlin", "tracker.toml"), ("5 min", "tracker.toml"))


def test_what_is_sent_asked_for_and_forgotten_is_in_force_without_a_secret(at_home):
    target = 'name = "grave"\nto = "https://hooks.example.org/a-secret"\n'
    (at_home / "tracker.toml").write_text(
        f"[[alert]]\n{target}[[relay]]\n{target}"
        '[otel]\nendpoint = "https://otel.example.org/a-secret"\n[reconcile]\nbudget = 30\napi_key = "k"\n'
        '[retention]\npeople = "180 d"\nsessions = "2 y"\narchive = "old"\n'
    )
    shown = in_force()
    assert {name: shown[name][0] for name in ("alert", "relay", "otel", "reconcile", "retention")} == {
        "alert": "grave",
        "relay": "grave",
        "otel": "otel.example.org",
        "reconcile": "budget 30, api_key k",
        "retention": "people 180 d, sessions 730 d, archive old",
    }


def test_no_secret_is_shown(at_home, monkeypatch):
    monkeypatch.setenv("TRACKER_TOKEN", "a token that nobody guesses")
    monkeypatch.setenv("TRACKER_STORE", "postgresql://somebody:secret@host/database")
    shown = in_force()
    assert (shown["token"], shown["store"][0]) == (
        ("set", "TRACKER_TOKEN"),
        "postgresql://…@host/database",
    )


# watch, open


def run(data, *words):
    return CliRunner().invoke(tracker, ["--data", str(data), *words])


def test_watching_once_shows_the_status_or_the_overview(data):
    assert run(data, "watch", RESTARTED, "--once").stdout == run(data, "status", RESTARTED).stdout.replace(
        seen_as_of(run(data, "status", RESTARTED).stdout), ""
    )
    assert "live now" in run(data, "watch", "--once").stdout


def seen_as_of(shown):
    return next((f"{line}\n" for line in shown.splitlines() if "seen as of" in line), "")


def test_watching_in_a_pipe_prints_anew_what_has_changed(tmp_path):
    one = {"sessionId": "s", "meetingId": "m"}
    with Tracker.open(tmp_path, create=True) as store:
        store.append([parse(Received(webhook("session-started", **one)), 1)])
        command = [
            sys.executable,
            "-m",
            "projections",
            "--data",
            str(tmp_path),
            "watch",
            "s",
            "--every",
            "0.2",
        ]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as watching:
            until_says(watching, "nothing is wrong")
            store.append(
                [
                    parse(
                        Received(
                            webhook("participant-joined", participantId="p", participantName="Ann", **one)
                        ),
                        2,
                    )
                ]
            )
            until_says(watching, "Ann")
            watching.terminate()


def until_says(process, words):
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"it ended without {words}")


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ((), "http://127.0.0.1:8000/\n"),
        ((RESTARTED[:10], "--at", "82"), f"http://127.0.0.1:8000/sessions/{RESTARTED}?at=82\n"),
        (("h8sd-4kzo-y1fw", "--url", "https://t.example/x/"), f"https://t.example/x/sessions/{RESTARTED}\n"),
    ],
)
def test_the_address_of_a_page_is_printed(data, words, address):
    assert run(data, "open", "--print", *words).stdout == address


@pytest.mark.parametrize("command", ["watch", "open"])
def test_a_session_that_is_not_there_is_refused(data, command):
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(data), command, "nobody"])
    assert ended.value.code == 2


# Completion


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("reb", ["rebuild"]),
        ("status 6b040ea", [RESTARTED]),
        ("status h8", ["h8sd-4kzo-y1fw"]),
        ("meeting h8", ["h8sd-4kzo-y1fw"]),
        ("person 1tk", ["1tkgqo"]),
        ("audit --code x403", ["X403"]),
        ("sessions --state pre", ["presumed-ended"]),
        ("recordings --state pl", ["playable"]),
        ("simulate --fault dropped-stop", ["dropped-stopping", "dropped-stopped"]),
        ("status zzz", []),
    ],
)
def test_the_shell_completes_commands_ids_codes_and_faults(data, words, completed):
    from click.shell_completion import ShellComplete

    given = ["--data", str(data), *words.split()]
    complete = ShellComplete(tracker, {}, "tracker", "_TRACKER_COMPLETE")
    assert [one.value for one in complete.get_completions(given[:-1], given[-1])] == completed


def test_without_read_models_no_id_is_completed_and_nothing_is_made(tmp_path):
    from click.shell_completion import ShellComplete

    complete = ShellComplete(tracker, {}, "tracker", "_TRACKER_COMPLETE")
    assert complete.get_completions(["--data", str(tmp_path / "none"), "status"], "x") == []
    assert list(tmp_path.iterdir()) == []
