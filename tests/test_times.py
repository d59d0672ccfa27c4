"""Times on the command line: of which day, and in which zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import meetings
import pytest
from click import BadParameter
from click.testing import CliRunner
from served import MONDAY, RESTARTED

from projections.cli import tracker
from projections.cli.settings import Settings
from projections.cli.times import AsOf, Time
from projections.given import THE_END
from tracker.config import load_config
from tracker.errors import RulesError

NOW = datetime(2026, 11, 26, 1, 30, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")  # there it is the evening of the 25th, four or five hours behind UTC
OVER_MIDNIGHT = datetime(2026, 11, 23, 22, 40, 30, tzinfo=UTC), datetime(2026, 11, 24, 1, 10, tzinfo=UTC)


def moment(text, zone=UTC, span=None):
    return AsOf().convert(text, None, None).moment(NOW, zone, span).isoformat().removesuffix("+00:00")


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("10:18", UTC, "2026-11-26T10:18:00"),
        ("9:05:01.5", UTC, "2026-11-26T09:05:01.500000"),
        ("10:18", NEW_YORK, "2026-11-25T15:18:00"),
        ("10:18Z", NEW_YORK, "2026-11-26T10:18:00"),
        ("2026-07-01T10:18", NEW_YORK, "2026-07-01T14:18:00"),
        ("2026-07-01", NEW_YORK, "2026-07-01T04:00:00"),
        ("2026-07-01T10:18:00+02:00", NEW_YORK, "2026-07-01T08:18:00"),
        ("1764061200", NEW_YORK, "2025-11-25T09:00:00"),
        ("now", NEW_YORK, "2026-11-26T01:30:00"),
        ("today", UTC, "2026-11-26T00:00:00"),
        ("yesterday", UTC, "2026-11-25T00:00:00"),
        ("yesterday", NEW_YORK, "2026-11-24T05:00:00"),
        ("-2h", NEW_YORK, "2026-11-25T23:30:00"),
        ("end", NEW_YORK, THE_END.isoformat().removesuffix("+00:00")),
    ],
)
def test_a_time_that_names_no_day_is_of_today_and_one_that_names_no_zone_is_in_that_of_the_command(
    text, zone, expected
):
    assert moment(text, zone) == expected


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("23:00", UTC, "2026-11-23T23:00:00"),
        ("22:40", UTC, "2026-11-23T22:40:00"),
        ("00:30", UTC, "2026-11-24T00:30:00"),
        ("02:00", UTC, "2026-11-24T02:00:00"),
        ("19:00", NEW_YORK, "2026-11-24T00:00:00"),
        ("08:00", NEW_YORK, "2026-11-23T13:00:00"),
    ],
)
def test_a_time_of_day_is_of_the_day_of_the_session_or_of_the_next_one_where_it_ran_over_midnight(
    text, zone, expected
):
    assert moment(text, zone, OVER_MIDNIGHT) == expected


@pytest.mark.parametrize("text", ["24:00", "10:78", "10:1", "tomorrow", "", "2026-13-01", "-2", "-99999999h"])
def test_what_is_no_time_is_refused_with_what_could_be_written(text):
    with pytest.raises(
        BadParameter, match=r"write 2026-11-23T09:00:00Z, 10:18, yesterday, now, end or -2h"
    ) as refused:
        AsOf().convert(text, None, None)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("text", ["now", "end", "-2h"])
def test_only_what_is_judged_as_of_a_moment_takes_words_and_ages(text):
    with pytest.raises(BadParameter):
        Time().convert(text, None, None)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with the bad Monday, in the current directory; gives a function that runs a command on it."""
    meetings.read_into(tmp_path / "tracker-data", MONDAY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Settings, "now", NOW)
    return lambda *arguments, **variables: CliRunner().invoke(tracker, arguments, env=variables)


@pytest.mark.parametrize("command", [("status",), ("explain",)])
def test_a_time_of_day_shows_a_session_as_it_was_known_then_on_its_own_day(store, command):
    by_day = store(*command, RESTARTED, "--as-of", "2026-11-23T10:18:00Z")
    assert by_day.exit_code == 0
    assert store(*command, RESTARTED, "--as-of", "10:18").stdout == by_day.stdout
    there = "--tz", "America/New_York"
    shown = store(*command, RESTARTED, "--as-of", "2026-11-23T10:18:00Z", *there).stdout
    assert store(*command, RESTARTED, "--as-of", "05:18", *there).stdout == shown


@pytest.mark.parametrize("command", [("status",), ("explain",)])
def test_a_moment_before_the_session_is_refused_with_when_it_began(store, command):
    error = store(*command, RESTARTED, "--as-of", "09:00").exception
    assert (error.message, error.exit_code) == ("no delivery of this session had come by then", 2)
    assert error.hint.startswith("its first delivery is at position 64, received 2026-11-23T10:00:00")


def test_the_zone_of_the_command_wins_over_the_environment_and_that_over_the_file(store, tmp_path):
    def ends(*arguments, **variables):
        return store("status", RESTARTED, "--as-of", "10:18", "--json", *arguments, **variables).stdout

    utc, london, azores = (ends("--tz", zone) for zone in ("UTC", "Europe/London", "Atlantic/Azores"))
    assert (utc == london, utc == azores) == (True, False)
    (tmp_path / "tracker.toml").write_text('tz = "Atlantic/Azores"\n', encoding="utf-8")
    assert ends() == azores
    assert ends(TRACKER_TZ="Europe/London") == london
    assert ends("--tz", "Atlantic/Azores", TRACKER_TZ="Europe/London") == azores


def test_sessions_since_a_time_of_day_are_those_since_then_today(store, monkeypatch):
    monkeypatch.setattr(Settings, "now", datetime(2026, 11, 23, 20, tzinfo=UTC))
    today = store("sessions", "--since", "2026-11-23T10:18:00Z", "--format", "ndjson").stdout
    assert today == store("sessions", "--since", "10:18", "--format", "ndjson").stdout != ""
    monkeypatch.setattr(Settings, "now", datetime(2026, 11, 24, 20, tzinfo=UTC))
    assert store("sessions", "--since", "10:18", "--format", "ndjson").stdout == ""


FAR = ("../etc/passwd", "Mars/Base", "CET+1", "GMT+1", "UTC+1", "AEST", "Springfield")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Berlin", "did you mean Europe/Berlin?"),
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("new york", "did you mean America/New_York?"),
        ("cet", "did you mean CET?"),
        *((name, "write an IANA name, such as Europe/Berlin") for name in FAR),
    ],
)
def test_a_zone_that_nobody_knows_is_refused_with_the_nearest_one(store, name, hint):
    for done in (
        store("sessions", "--since", "10:18", "--tz", name),
        store("sessions", "--since", "10:18", TRACKER_TZ=name),
    ):
        assert (done.exception.message, done.exception.hint) == (f"no time zone {name!r}", hint)


def test_a_zone_in_the_file_is_text(tmp_path):
    (tmp_path / "tracker.toml").write_text("tz = 1\n", encoding="utf-8")
    with pytest.raises(RulesError, match="tz is no time zone"):
        load_config(tmp_path / "tracker.toml")


def test_an_age_is_counted_from_the_moment_of_the_command():
    assert AsOf().convert("-90min", None, None).moment(NOW, UTC) == NOW - timedelta(minutes=90)
