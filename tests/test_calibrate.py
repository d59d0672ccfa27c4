"""What a log suggests is measured on what the judging has not decided, and it is careful."""

import json
import tomllib
from datetime import timedelta

import pytest
from msgspec.structs import replace
from story import RULES, deliveries

import projections.explain.calibrate
from projections.cli import main
from projections.explain.calibrate import (
    AFTER_END,
    COPIES,
    ENOUGH,
    EQUAL,
    JOINED_AGAIN,
    LATE,
    OVERTAKEN,
    Calibration,
)
from projections.reports import calibration
from tracker.config import load_config
from tracker.delivery.envelope import encode
from tracker.simulate import simulate


def measured(*story):
    found = Calibration(RULES)
    found.measure(deliveries(*story))
    return found


def seen(measure, *story):
    histogram = measured(*story).measures[measure]
    return histogram.total, histogram.largest


FILE = "fileUrl=https://files/a.mp4"


@pytest.mark.parametrize(
    ("measure", "story", "expected"),
    [
        (EQUAL, ("0 recording-starting", "7 recording-starting"), (1, 7)),
        (EQUAL, ("0 recording-starting", "7 recording-starting message=x"), (0, 0)),
        (COPIES, ("0 recording-starting", "7 recording-starting"), (0, 0)),
        (COPIES, ("0 session-started", "7 session-started"), (1, 7)),
        (COPIES, (f"0 recording-stopped {FILE}", f"9 recording-stopped {FILE}"), (1, 9)),
        (JOINED_AGAIN, ("0 participant-joined p", "4 participant-joined p"), (1, 4)),
        (JOINED_AGAIN, ("0 participant-joined p", "2 participant-left p", "4 participant-joined p"), (0, 0)),
        (LATE, ("0 recording-started", "3 recording-starting"), (1, 3)),
        (LATE, ("0 recording-starting", "3 recording-started"), (0, 0)),
        (LATE, ("0 participant-joined p", "3 session-started"), (1, 3)),
        (AFTER_END, ("0 recording-started", "10 session-ended", "15 recording-stopped"), (1, 5)),
        (AFTER_END, ("0 recording-started", "8 recording-stopped", "10 session-ended"), (0, 0)),
        (AFTER_END, ("0 recording-starting", "10 session-ended", "12 recording-started"), (0, 0)),
    ],
)
def test_a_measure_counts_what_it_is_about(measure, story, expected):
    assert seen(measure, *story) == expected


REJOINED = ("0 participant-joined p", "100 participant-joined p", "103 participant-left p")


def test_a_left_is_overtaken_only_if_the_person_leaves_once_more():
    assert (seen(OVERTAKEN, *REJOINED), seen(OVERTAKEN, *REJOINED, "900 participant-left p")) == (
        (0, 0),
        (1, 3),
    )


def test_a_copy_of_a_left_proves_no_other_visit():
    assert seen(OVERTAKEN, *REJOINED, "104 participant-left p") == (0, 0)


def test_the_time_in_a_state_that_has_a_limit_is_measured_by_lifecycle_and_run():
    story = ("0 recording-starting", "3 recording-started", "9 recording-stopping", "20 recording-stopped")
    again = ("30 recording-starting", "35 recording-failed", "40 hls-starting", "41 hls-started")
    found = {where: (one.total, one.largest) for (_, where), one in measured(*story, *again).steps.items()}
    assert found == {"recording starting": (2, 5), "recording stopping": (1, 11), "hls starting": (1, 1)}


def test_what_has_no_receive_time_tells_nothing():
    found = measured("- recording-starting", "- recording-starting", "3 {")
    assert (found.deliveries, found.timed, list(found.histograms())) == (3, 1, [])


def copies(number, gap):
    return [f"{at + gap * late} session-started sessionId=s{at}" for at in range(number) for late in (0, 1)]


def suggested(rule, *story):
    return next(one for one in measured(*story).suggestions() if one.rule == rule)


def test_too_few_samples_suggest_nothing_and_say_so():
    few = suggested("redelivery", *copies(ENOUGH - 1, 90))
    assert (few.suggested, few.why) == (None, f"too few samples: {ENOUGH - 1} of {ENOUGH}")


@pytest.mark.parametrize(("gap", "minutes"), [(0.5, 1), (90, 3), (200, 10), (9000, 60)])
def test_a_suggestion_is_a_percentile_with_a_margin_between_two_ends_and_human(gap, minutes):
    assert suggested("redelivery", *copies(ENOUGH, gap)).suggested == timedelta(minutes=minutes)


def test_memory_holds_a_bounded_number_of_sessions(monkeypatch):
    monkeypatch.setattr(projections.explain.calibrate, "MEMORY", 3)
    found = measured(*copies(10, 0.1))
    assert len(found._sessions) == 3


def test_the_delay_profile_says_how_old_copies_are_and_how_probable_one_is():
    again = [f"{at} recording-starting sessionId=s{at}" for at in range(2000, 2010)]
    learned = measured(*copies(400, 90), *again, *(line.replace("20", "29", 1) for line in again)).profile()
    assert (learned.bodies, learned.copies, learned.enough, learned.lacks) == (400, 400, True, "")
    (one,) = [one for one in learned.ages if one.certain]
    assert (one.begin, one.end, one.certain, one.doubtful) == (60, 120, 400, 0)


def test_what_is_too_little_for_a_profile_is_said():
    learned = measured(*copies(3, 90)).profile()
    assert (learned.enough, learned.lacks) == (False, "3 of 100 webhooks that can come only once")
    assert (learned.lateness, learned.lacks_steps) == (None, "0 of 1,000 steps")


def test_how_late_steps_are_is_learned():
    lines = []
    for at in range(0, 12_000, 10):
        steps = ("starting", "started") if at % 1000 else ("started", "starting")
        lines += [f"{at + late} recording-{step} sessionId=s{at}" for late, step in enumerate(steps)]
    learned = measured(*lines).profile()
    assert (learned.steps, learned.overtaken) == (1200, 12)
    assert timedelta(0) < learned.lateness < timedelta(minutes=1)


@pytest.fixture(scope="module")
def log():
    """The bytes of a log of made-up meetings."""
    return b"".join(encode(line.received) + b"\n" for line in simulate(150, 5))


@pytest.fixture
def tracker(log, tmp_path, monkeypatch):
    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        return ended.value.code

    monkeypatch.chdir(tmp_path)
    (tmp_path / "log").write_bytes(log)
    return call


def test_the_table_can_be_pasted_and_holds_what_has_enough_samples(tracker, capsys, tmp_path):
    assert tracker("calibrate", "log", "--format", "toml") == 0
    table = capsys.readouterr().out
    (tmp_path / "rules.toml").write_text(table, "utf-8")
    assert tracker("calibrate", "log", "--format", "json") == 0
    printed = {one["rule"]: one["suggested"] for one in json.loads(capsys.readouterr().out)["rules"]}
    rules = load_config(tmp_path / "rules.toml").rules
    assert {name: getattr(rules, name).total_seconds() for name in tomllib.loads(table)["rules"]} == {
        name: seconds for name, seconds in printed.items() if seconds is not None
    }
    assert "stuck_starting" in tomllib.loads(table)["rules"]


def test_the_store_says_what_the_log_says(tracker, capsys):
    tracker("calibrate", "log")
    of_the_log = capsys.readouterr().out
    tracker("ingest", "log")
    capsys.readouterr()
    tracker("calibrate")
    assert capsys.readouterr().out == of_the_log


def test_people_read_it_within_eighty_columns(tracker, capsys):
    tracker("calibrate", "log")
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert [line for line in lines if line.startswith("stuck_starting ")] != []


def test_a_log_that_can_be_read_only_once_is_refused(tracker, capsys):
    assert tracker("calibrate", "-") == 2
    assert (
        capsys.readouterr().err
        == "error: stdin: calibrate reads a log more than once\nhint: save it to a file first\n"
    )


def test_the_table_of_an_empty_log_changes_nothing():
    table = calibration.toml(Calibration(RULES)).decode()
    assert tomllib.loads(table) == {"rules": {}}
    assert Calibration(RULES).suggested_rules() == replace(RULES)
