from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker import audit
from tracker.delivery.times import NO_ZONE, is_ambiguous, local, read_time, time_in
from tracker.intake.logs import Log, Oddities

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


@pytest.mark.parametrize(("hour", "there"), [(1, True), (2, False), (3, True)])
@pytest.mark.parametrize(
    "day",
    [datetime(2026, 3, 29, tzinfo=NO_ZONE), datetime(2026, 10, 25, tzinfo=NO_ZONE)],
    ids=["spring", "autumn"],
)
def test_an_hour_that_a_clock_shows_twice_or_never_is_no_time(day, hour, there):
    assert (local(day.replace(hour=hour, minute=30), BERLIN) is not None) == there


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
    assert odd.unread_time.example == "2026-10-25 02:30:00, which Europe/Berlin has twice or never"
