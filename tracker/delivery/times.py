"""Times as programs write them into logs, beyond ISO 8601 and epochs (``envelope.parse_time``).

A form is read only where it has one meaning. ``05/06/2026`` is two days, ``PST`` is several zones, and
``Nov 23 10:00:00`` has no year: none of them is a time here, and whoever reads the log gets a note. A time
without a zone has the zone that the reader says (``--tz``, else UTC), and that is noted too; so such a time
carries ``NO_ZONE`` until ``instants`` says which times it may be.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache

from tracker.delivery.envelope import parse_time

__all__ = ["NO_ZONE", "instants", "is_ambiguous", "read_time", "time_in"]

NO_ZONE = timezone(timedelta(0), "no zone")
"""The zone of a time that names none, until it is given one; to be compared by identity."""

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_NAME = rf"(?P<name>{'|'.join(_MONTHS)})"
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
_ZONE = r"(?P<zone>Z|(?:GMT|UTC)?[+-]\d\d:?\d\d|GMT|UTC)"
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)$")
_FORMS = (
    # 2026-11-23 10:00:00 UTC (Ruby, BigQuery), 2026-11-23 10:00:00.5 +0000 UTC (Go), 2026/11/23 10:00:00
    rf"(?P<year>\d{{4}})[-/](?P<month>\d\d)[-/](?P<day>\d\d)[T ]{_CLOCK}(?: ?{_ZONE}(?: [A-Z]{{3,5}})?)?",
    # Mon, 23 Nov 2026 10:00:00 GMT (RFC 1123)
    rf"(?:[A-Z][a-z]{{2}}, )?(?P<day>\d{{1,2}}) {_NAME} (?P<year>\d{{4}}) {_CLOCK}(?: {_ZONE})?",
    # 23/Nov/2026:10:00:00 +0000 (Common Log Format)
    rf"(?P<day>\d{{1,2}})/{_NAME}/(?P<year>\d{{4}}):{_CLOCK}(?: {_ZONE})?",
    # Mon Nov 23 2026 10:00:00 GMT+0000 (Coordinated Universal Time) (JavaScript)
    rf"[A-Z][a-z]{{2}} {_NAME} (?P<day>\d{{1,2}}) (?P<year>\d{{4}}) {_CLOCK}(?: {_ZONE})?(?: \([^()]*\))?",
    # Mon Nov 23 10:00:00 UTC 2026 (C, date)
    rf"[A-Z][a-z]{{2}} {_NAME} +(?P<day>\d{{1,2}}) {_CLOCK}(?: {_ZONE})? (?P<year>\d{{4}})",
    # 23.11.2026, 10:00:00
    rf"(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}}),? {_CLOCK}(?: {_ZONE})?",
    # 11/23/2026, 10:00:00 AM or 23/11/2026, 10:00:00
    rf"(?P<one>\d{{1,2}})/(?P<other>\d{{1,2}})/(?P<year>\d{{4}}),? {_CLOCK}(?:\s?(?P<half>[AaPp][Mm]))?(?: {_ZONE})?",
)
_SECONDS = re.compile(r"\d{10}(?:\.\d{1,9})?(?!\S)|\d{13}(?!\S)")
_YEARS = range(1970, 9000)


@cache
def _forms() -> tuple[re.Pattern[str], ...]:
    """The forms, compiled where a log has times that are not written more simply."""
    return tuple(map(re.compile, _FORMS))


def read_time(text: str) -> datetime | None:
    """The time that is written there, in UTC, or with ``NO_ZONE``; ``None`` where it is none, or may be several."""
    time = parse_time(text, NO_ZONE)
    if time is not None:
        return time
    found = next(filter(None, (form.fullmatch(text.strip(" []\n")) for form in _forms())), None)
    return _time(found) if found is not None else None


def time_in(text: str) -> tuple[datetime | None, str]:
    """The first time in a text, and how it is written there; ``""`` where there is none."""
    epoch = _SECONDS.match(text)
    if epoch is not None:
        return parse_time(epoch[0]), epoch[0]
    found = [one for form in _forms() if (one := form.search(text)) is not None]
    if not found:
        return None, ""
    first = min(found, key=re.Match.start)
    return _time(first), first[0]


def is_ambiguous(text: str) -> bool:
    """Whether it is a day of which nobody can tell the month."""
    found = _forms()[-1].fullmatch(text.strip())
    return found is not None and _day_and_month(found) is None


def instants(time: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """When a clock in that zone shows a time that names none, in UTC: once, twice (the earlier one first), or never."""
    first, second = (time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return (first,)
    return (first, second) if first < second else ()  # it is skipped where the clock goes forward


def _time(found: re.Match[str]) -> datetime | None:
    day = _day_and_month(found)
    parts = found.groupdict()
    hour = int(parts["hour"])
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half[0] in "Pp")
    microsecond = int((parts["fraction"] or "").ljust(6, "0")[:6])
    if day is None or int(parts["year"]) not in _YEARS:
        return None
    try:
        time = datetime(
            *(int(parts["year"]), day[1], day[0]),
            *(hour, int(parts["minute"]), int(parts["second"]), microsecond),
            tzinfo=_zone(parts["zone"]),
        )
    except ValueError:
        return None
    return time if time.tzinfo is NO_ZONE else time.astimezone(UTC)


def _day_and_month(found: re.Match[str]) -> tuple[int, int] | None:
    parts = found.groupdict()
    if "name" in parts:
        return int(parts["day"]), _MONTHS[parts["name"]]
    if "one" not in parts:
        return int(parts["day"]), int(parts["month"])
    one, other = int(parts["one"]), int(parts["other"])
    if one <= 12 and other <= 12 and one != other:
        return None
    return (other, one) if other > 12 else (one, other)


def _zone(name: str | None) -> tzinfo:
    """The zone of that name, or ``NO_ZONE`` where none is named. Raises ``ValueError`` where there is no such zone."""
    if name is None:
        return NO_ZONE
    offset = _OFFSET.search(name)
    if offset is None:
        return UTC
    sign, hours, minutes = offset.groups()
    if int(minutes) >= 60:
        raise ValueError(name)
    ahead = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(ahead if sign == "+" else -ahead)  # which raises it from a day on
