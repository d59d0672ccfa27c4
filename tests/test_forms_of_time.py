import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import commands
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import opened

from tracker import audit
from tracker.delivery.times import NO_ZONE, instants, is_ambiguous, read_time, time_in
from tracker.intake.ingest import ingest
from tracker.intake.logs import Log, Oddities
from tracker.intake.receive_times import believed

AT = datetime(2026, 11, 23, 10, 0, 5, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T10:00:05Z",
        "2026-11-23 10:00:05+00",
        "2026-11-23 10:00:05 UTC",
        "2026-11-23 12:00:05.000000000 +0200 CEST",
        "2026/11/23 10:00:05 +0000",
        "Mon, 23 Nov 2026 10:00:05 GMT",
        "23 Nov 2026 11:00:05 +0100",
        "23/Nov/2026:10:00:05 +0000",
        "[23/Nov/2026:05:00:05 -0500]",
        "Mon Nov 23 2026 10:00:05 GMT+0000 (Coordinated Universal Time)",
        "Mon Nov 23 10:00:05 UTC 2026",
        "11/23/2026, 10:00:05 AM UTC",
        "23/11/2026 10:00:05 Z",
        "1795428005",
        "1795428005000000000",
    ],
)
def test_each_form_of_a_time_is_read(text):
    assert read_time(text) == AT


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23 10:00:05",
        "2026-11-23T10:00:05,000",
        "11/23/2026, 10:00:05 AM",
        "11/23/2026, 10:00:05\u202fAM",
        "23.11.2026, 10:00:05",
        "Mon Nov 23 10:00:05 2026",
    ],
)
def test_a_time_that_names_no_zone_says_so(text):
    found = read_time(text)
    assert (found, found.tzinfo) == (AT, NO_ZONE)


@pytest.mark.parametrize(
    "text",
    [
        "05/06/2026, 10:00:00 AM",
        "Nov 23 10:00:05",
        "Mon Nov 23 10:00:05 PST 2026",
        "13/13/2026, 10:00:00",
        "11/23/2026, 13:00:00 PM",
        "30/Feb/2026:10:00:00 +0000",
        "23/Nov/0999:10:00:00 +0000",
        "2026-11-23 10:00:00 +99:00",
        "2026-11-23T10:00:00+24:00",
        "23/Nov/2026:10:00:00 +0575",
        "10:00:05",
        "",
    ],
)
def test_what_is_no_time_or_may_be_two_is_not_read(text):
    assert (read_time(text), is_ambiguous(text)) == (None, text.startswith("05"))


def test_of_a_text_the_first_time_counts():
    text = "web-1 [23/Nov/2026:10:00:05 +0000] took until 2026-11-23T10:00:06Z"
    assert time_in(text) == (AT, "23/Nov/2026:10:00:05 +0000")
    assert (time_in("1795428005.5 GET"), time_in("nothing 17")) == (
        (AT.replace(microsecond=500_000), "1795428005.5"),
        (None, ""),
    )


@pytest.mark.parametrize(
    ("month", "day", "hour", "found"),
    [
        *((3, 29, 1, ["00:30"]), (3, 29, 2, []), (3, 29, 3, ["01:30"])),
        *((10, 25, 1, ["23:30"]), (10, 25, 2, ["00:30", "01:30"]), (10, 25, 3, ["02:30"])),
    ],
)
def test_a_clock_shows_a_time_once_twice_or_never(month, day, hour, found):
    there = instants(datetime(2026, month, day, hour, 30, tzinfo=NO_ZONE), BERLIN)
    assert [f"{one:%H:%M}" for one in there] == found


@given(st.text() | st.from_regex(r"\d{1,4}[-/. ]\w{1,3}[-/. ]\d{2,4}[, :T]\d\d:\d\d:\d\d( ?[AP]M)?"))
def test_reading_a_time_never_raises(text):
    for found in (read_time(text), time_in(text)[0]):
        assert found is None or 1970 <= found.year < 9000


def test_such_a_time_is_kept_as_it_was_written_and_counted(tmp_path):
    body = '{"webhookType":"session-started","data":{"sessionId":"s"}}'
    times = ["2026-10-25 02:30:00", "05/06/2026, 10:00:00 AM", "2026-10-25 12:00:00"]
    (tmp_path / "log").write_text("".join(f'{{"time":"{at}","body":{body}}}\n' for at in times), "utf-8")
    log = Log(str(tmp_path / "log"), zone=BERLIN)
    found = [log.delivery(line, line.number) for line in log.lines()]

    assert [one.received_at for one in found] == [None, None, datetime(2026, 10, 25, 11, tzinfo=UTC)]
    odd = audit(tmp_path / "log").oddities[str(tmp_path / "log")]
    assert (odd.unread_time.count, odd.zoneless.count) == (1, 2)
    assert odd.unread_time.example == "05/06/2026, 10:00:00 AM, which may be two days"
    assert found[0].received.unread_time == "2026-10-25 02:30:00"
    odd = Oddities()
    odd.look_at(found[0], 1)
    assert odd.unread_time.example == "2026-10-25 02:30:00, which Europe/Berlin has twice"


def berlin(path, times):
    """A log of the night in which summer time ends, with lines at these local times."""
    body = {"webhookType": "participant-joined", "data": {"sessionId": "s"}}
    lines = (
        {
            "received_at": f"2026-10-25 {at}",
            "webhook": {**body, "data": {**body["data"], "participantId": f"p{place}"}},
        }
        for place, at in enumerate(times.split())
    )
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return Log(str(path), zone=BERLIN)


HOURS = {
    "both times": (
        "01:59:00 02:10:00 02:59:00 02:01:00 02:50:00 03:01:00",
        "23:59 00:10 00:59 01:01 01:50 02:01",
    ),
    "it alone": ("02:30:00 02:45:00 02:20:00", "00:30 00:45 01:20"),
    "the newest first": (
        "03:03:00 03:01:00 02:50:00 02:20:00 02:59:00 01:58:00",
        "02:03 02:01 01:50 01:20 00:59 23:58",
    ),
    "a line of before it, late": (
        "01:58:00 02:00:01 01:59:59 02:59:00 02:00:00",
        "23:58 00:00 23:59 00:59 01:00",
    ),
    "a line of its own, late": ("02:30:00 02:29:00 02:50:00 02:00:00", "00:30 00:29 00:50 01:00"),
    "perhaps once": ("01:59:00 02:10:00 02:50:00 03:01:00", "23:59 - - 02:01"),
    "no order": ("01:59:00 02:50:00 02:20:00 02:40:00 02:10:00 03:01:00", "23:59 - - - - 02:01"),
}


@pytest.mark.parametrize(("times", "found"), HOURS.values(), ids=HOURS)
def test_the_order_of_the_lines_tells_which_of_the_two_hours_it_was(tmp_path, times, found):
    log = berlin(tmp_path / "log", times)
    read = believed(log.delivery(line, line.number) for line in log.lines())
    there = [one.received_at for one in read]
    assert [f"{at:%H:%M}" if at else "-" for at in there] == found.split()


@pytest.mark.parametrize("times", [times for times, _ in HOURS.values()], ids=HOURS)
def test_the_store_knows_the_times_that_an_audit_knows_and_no_others(tmp_path, times):
    log = berlin(tmp_path / "log", times)
    known = [one.received_at for one in believed(log.delivery(line, line.number) for line in log.lines())]
    commands.run("ingest", "log", "--tz", "Europe/Berlin", cwd=tmp_path)
    lines = commands.run("export", cwd=tmp_path, text=True).stdout.splitlines()
    (tmp_path / "again").write_text("\n".join(lines), "utf-8")
    again = Log(str(tmp_path / "again"))
    assert [again.delivery(line, line.number).received_at for line in again.lines()] == known


@pytest.mark.parametrize("cuts", [(), (541, 800, 801), (541, 920), (700, 1000)], ids=str)
def test_behind_the_time_at_which_the_clock_was_set_back_it_does_not_matter_how_a_log_was_cut(tmp_path, cuts):
    path, begin = tmp_path / "log", datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    known = [begin + timedelta(seconds=10 * place) for place in range(1100)]
    known[924] = known[898]  # a writer held it back for four minutes
    local = [f"{at.astimezone(BERLIN):%H:%M:%S}" for at in known]
    log = berlin(path, " ".join(local))
    lines = path.read_text("utf-8").splitlines(keepends=True)
    with opened(tmp_path / "data", create=True) as store:
        for cut in (*cuts, len(lines)):
            path.write_text("".join(lines[:cut]), "utf-8")
            assert list(ingest(store, log.anew()))
        assert [one.received_at for one in store.deliveries()] == known
