"""Several logs are one: merged by receive time, whatever order they are named in."""

import os
import threading
from collections import Counter
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from story import RULES, delivery, moment

from projections.audit.auditing import Logs, audit
from projections.cli import main
from tracker.delivery.envelope import encode
from tracker.intake.logs import Log
from tracker.simulate import simulate


def write(path, *lines):
    """A log of such lines as stories have."""
    states = (encode(delivery(line).received) for line in lines)
    path.write_bytes(b"".join(state + b"\n" for state in states))
    return path


def read(*paths, **options):
    """(second, position) of the deliveries of these logs, as they come."""
    logs = Logs([Log(str(path)) for path in paths], **options)
    noon = moment("0")
    return [
        ((one.received_at - noon).total_seconds() if one.received_at else None, one.position)
        for one in logs.deliveries()
    ]


def joined(*seconds):
    return [f"{second} participant-joined p" for second in seconds]


@pytest.fixture
def two(tmp_path):
    return write(tmp_path / "a", *joined(0, 20, 40)), write(tmp_path / "b", *joined(10, 30))


def test_the_earliest_line_of_all_logs_comes_first_at_its_line_number_over_all_files(two):
    assert read(*two) == [(0, 1), (10, 4), (20, 2), (30, 5), (40, 3)]


def test_as_given_one_log_comes_after_the_other(two):
    assert read(*two, as_given=True) == [(0, 1), (20, 2), (40, 3), (10, 4), (30, 5)]


def test_at_equal_times_the_order_in_which_the_logs_are_named_does_not_matter(tmp_path):
    a, b = write(tmp_path / "a", *joined(0, 5)), write(tmp_path / "b", *joined(0, 5))
    assert read(a, b) == [(0, 1), (0, 3), (5, 2), (5, 4)]
    assert read(b, a) == [(0, 3), (0, 1), (5, 4), (5, 2)]


seconds = st.lists(st.integers(0, 60) | st.just("-"), min_size=1, max_size=6)


@settings(max_examples=30)
@given(st.lists(seconds, min_size=2, max_size=4))
def test_all_lines_are_sorted_by_how_far_their_log_had_come_and_logs_by_where_they_begin(times):
    with TemporaryDirectory() as room:
        logs = [write(Path(room, str(place)), *joined(*each)) for place, each in enumerate(times)]
        begins = [next((time for time in each if time != "-"), -1) for each in times]
        keys, position = [], 0
        for place, each in enumerate(times):
            come = accumulate((begins[place] if one == "-" else one for one in each), max)
            for at in come:
                position += 1
                keys.append((at, begins[place], place, position))

        assert [found for _, found in read(*logs)] == [key[-1] for key in sorted(keys)]


def test_a_line_that_is_earlier_than_the_one_in_front_of_it_comes_right_behind_that(tmp_path):
    a, b = write(tmp_path / "a", *joined(0, 20, 15, 40)), write(tmp_path / "b", *joined(17, 30))
    assert [second for second, _ in read(a, b)] == [0, 17, 20, 15, 30, 40]


def test_lines_without_a_time_come_with_those_beside_them(tmp_path):
    a = write(tmp_path / "a", "- participant-joined p", *joined(20), "- participant-left p")
    b = write(tmp_path / "b", *joined(10, 30))
    assert [position for _, position in read(a, b)] == [4, 1, 2, 3, 5]


def test_a_wrong_time_does_not_put_a_line_in_another_place(tmp_path):
    a, b = write(tmp_path / "a", *joined(0, 9999999, 20)), write(tmp_path / "b", *joined(10, 30))
    assert [position for _, position in read(a, b)] == [1, 2, 4, 3, 5]


def test_logs_that_do_not_overlap_are_not_open_at_the_same_time(tmp_path, monkeypatch):
    paths = [write(tmp_path / str(day), *joined(*range(100 * day, 100 * day + 50))) for day in range(20)]
    opened, most = Counter(), 0

    def lines(log, given=Log.lines):
        nonlocal most
        opened[log.path] += 1
        most = max(most, opened.total())
        yield from given(log)
        opened[log.path] -= 1

    monkeypatch.setattr(Log, "lines", lines)
    found = read(*reversed(paths))
    assert [second for second, _ in found] == sorted(second for second, _ in found)
    assert most <= 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_where_one_of_them_is_a_pipe_one_comes_after_the_other(two, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(two[1].read_bytes()))
    writer.start()
    assert read(two[0], pipe) == [(0, 1), (20, 2), (40, 3), (10, 4), (30, 5)]
    writer.join()


def test_a_log_that_breaks_off_is_merged_as_far_as_it_goes(two, tmp_path):
    import gzip

    broken = tmp_path / "broken.gz"
    whole = gzip.compress(two[0].read_bytes() * 200)
    broken.write_bytes(whole[: len(whole) // 2])
    logs = Logs([Log(str(broken)), Log(str(two[1]))])
    found = list(logs.deliveries())
    assert [error.place for error in logs.errors] == [str(broken)]
    assert logs.place(found[-1].position)[0] in (str(broken), str(two[1]))
    assert len({one.position for one in found}) == len(found)


def test_a_line_that_a_log_has_got_since_its_lines_were_counted_waits_for_the_next_reading(two, monkeypatch):
    def count(log, given=Log.count):
        found = given(log)
        with Path(log.path).open("ab") as file:
            file.write(b"{}\n")
        return found

    monkeypatch.setattr(Log, "count", count)
    assert read(*two) == [(0, 1), (10, 4), (20, 2), (30, 5), (40, 3)]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_the_lines_of_a_log_are_counted_as_they_are_read(tmp_path, end):
    (tmp_path / "log").write_bytes(b"one\ntwo\n\nfour" + end)
    log = Log(str(tmp_path / "log"))
    assert log.count() == len(list(log.lines()))


# -- two receivers ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    """The logs of two receivers of one day, and the same lines by receive time as one log."""
    room = tmp_path_factory.mktemp("pods")
    made = list(simulate(150, seed=3, faults=0.3, habits=["two-receivers"]))
    paths = room / "a", room / "b", room / "both"
    for place in range(2):
        ours = [one for one in made if one.receiver == place]
        paths[place].write_bytes(b"".join(encode(one.received) + b"\n" for one in ours))
    together = sorted(made, key=lambda one: one.received.received_at)
    paths[2].write_bytes(b"".join(encode(one.received) + b"\n" for one in together))
    return paths


def found_in(*paths):
    """What is found in these logs; in place of each position, what stands there."""
    logs = Logs([Log(str(path)) for path in paths])
    texts = [line for path in paths for line in path.read_bytes().splitlines()]
    result = audit(logs.deliveries(), RULES)
    return sorted(
        (
            repr(replace(one, position=None, evidence=(), number=0, alternatives=())),
            texts[one.position - 1] if one.position else b"",
            sorted(texts[place - 1] for place in one.evidence),
            sorted((*sorted(other.codes), f"{other.confidence:.0%}") for other in one.alternatives),
        )
        for one in result.findings
    )


def test_the_logs_of_two_receivers_give_the_same_findings_in_any_order_and_as_one_log(pods):
    a, b, both = pods
    assert found_in(a, b) == found_in(b, a) == found_in(both)


def printed(capsys, *arguments):
    with pytest.raises(SystemExit):
        main(["audit", *map(str, arguments), "--format", "ndjson"])
    return capsys.readouterr().out


def test_several_processes_print_the_same_as_one_and_as_given_is_another_order(pods, capsys):
    one = printed(capsys, *pods[:2])
    assert printed(capsys, *pods[:2], "--jobs", 3) == one
    assert printed(capsys, *pods[:2], "--as-given") != one
