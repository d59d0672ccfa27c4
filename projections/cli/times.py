"""Times on the command line, and which moment each of them is.

A time of day (``10:18``) is of the day of the session that the command names, else of today. Without a zone of its
own, a time is in the zone of ``--tz``. So the moment is known only when the command runs (``Settings.moment``);
what is no time at all is refused before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple, TypeVar

import click

from projections.zones import zone_named
from tracker.errors import UsageError

ZONE = "tracker.tz"
"""Where a context keeps --tz."""
DAYS = {"today": 0, "yesterday": 1}
"""Words for the midnight at which a day began -> how many days ago that was."""
_OF_DAY = r"\d{1,2}:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?"
F = TypeVar("F", bound=Callable[..., Any])
Value = datetime | time | timedelta | str


class GivenTime(NamedTuple):
    """A time as it was given.

    Attributes:
        value: A moment (without a zone: in that of ``--tz``), a time of day, how long it is until then, or text of
            which ``projections.given.moment`` knows the moment, or one of ``DAYS``.
    """

    value: Value

    def moment(self, now: datetime, zone: tzinfo, span: tuple[datetime, datetime] | None = None) -> datetime:
        """The moment in UTC. ``span``: when the session that the command names got its first and its last delivery."""
        value = self.value
        if isinstance(value, timedelta):
            return now + value
        if isinstance(value, str):
            if value in DAYS:
                day = now.astimezone(zone).date() - timedelta(days=DAYS[value])
                return datetime.combine(day, time(), zone).astimezone(UTC)
            from projections import given

            return given.moment(value, now)
        if isinstance(value, time):
            own = value.tzinfo or zone
            value = datetime.combine(_day(value, own, span or (now, now)), value, own)
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def _day(of_day: time, zone: tzinfo, span: tuple[datetime, datetime]) -> date:
    """The first day of the span; the next one where the time is before the span on that day, and it goes on."""
    first, last = (one.astimezone(zone) for one in span)
    is_before = of_day.replace(tzinfo=None) < first.time().replace(second=0, microsecond=0)
    return first.date() + timedelta(days=int(is_before and first.date() < last.date()))


class Time(click.ParamType[GivenTime]):
    """A time: ISO 8601, an epoch, or a time of day."""

    name = "time"
    examples = "2026-11-23T09:00:00Z or 10:18"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> GivenTime:
        if isinstance(value, GivenTime):
            return value
        found = self._read(str(value))
        if found is None:
            self.fail(f"{value!r} is not a valid time; write {self.examples}", param, ctx)
        return GivenTime(found)

    def _read(self, text: str) -> Value | None:
        from tracker.delivery.envelope import parse_time

        if re.fullmatch(_OF_DAY, text):
            try:
                return time.fromisoformat(text.zfill(len(text) + (text[1] == ":")))
            except ValueError:
                return None
        moment = parse_time(text)
        if moment is None or "-" not in text:  # an epoch
            return moment
        as_written = datetime.fromisoformat(text)
        return as_written if as_written.tzinfo is None else moment


class ToCome(Time):
    """A time, or how long it is until then, such as ``2h``."""

    examples = "2026-11-23T18:00:00Z, 18:00, or 2h for in two hours"

    def _read(self, text: str) -> Value | None:
        from tracker.rules import seconds_of

        seconds = seconds_of(text)
        return super()._read(text) if seconds is None else timedelta(seconds=seconds)


class Moment(Time):
    """A time, or one that is known only when the command runs: ``now``, ``today``, ``yesterday``, or an age like ``-2h``."""

    examples = "2026-11-23T09:00:00Z, 10:18, yesterday, now or -2h"
    refused: tuple[str, ...] = ("end",)

    def _read(self, text: str) -> Value | None:
        from projections import given

        found = super()._read(text)
        if found is not None or text in DAYS:
            return found or text
        if text in self.refused:
            return None
        try:
            given.moment(text, datetime.now(UTC))
        except UsageError:
            return None
        return text


class AsOf(Moment):
    """A moment to judge as of: also ``end``, when everything has passed."""

    examples = "2026-11-23T09:00:00Z, 10:18, yesterday, now, end or -2h"
    refused = ()


def with_period(command: F) -> F:
    """Adds --since and --until, of runs."""
    since = "Only what a webhook came of since this time: 10:18, yesterday, -2h."
    until = "Only what had begun by this time."
    command = click.option("--until", type=Moment(), help=until)(command)
    return click.option("--since", type=Moment(), help=since)(command)


def with_tz(command: F) -> F:
    """Adds --tz, the time zone of times that name none, and of those that are shown."""
    words = "The time zone of times that name none, and of those shown: an IANA name, such as Europe/Berlin."

    def keep(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.meta[ZONE] = zone_named(value, "--tz")

    option = click.option(
        "--tz",
        metavar="ZONE",
        expose_value=False,
        callback=keep,
        show_default="UTC; TZ for what is shown",
        help=words,
    )
    return option(command)


def zone_of_machine() -> tzinfo:
    """The time zone that the environment variable TZ names; UTC where it names none."""
    try:
        return zone_named(os.environ.get("TZ", "").removeprefix(":") or "UTC", "TZ")
    except UsageError:  # POSIX has other ways to write a zone, such as CET-1CEST
        return UTC
