"""Days as people have them: from midnight to midnight in a time zone, which are 23 to 25 hours where clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo

import attrs

from projections.read_models import text

__all__ = ["Day", "day_at"]

_HOUR = timedelta(hours=1)


@attrs.frozen
class Day:
    """A day of a time zone."""

    date: date
    zone: tzinfo = UTC

    @property
    def begin(self) -> datetime:
        """Its midnight, in UTC."""
        return datetime(self.date.year, self.date.month, self.date.day, tzinfo=self.zone).astimezone(UTC)

    @property
    def end(self) -> datetime:
        return self.after.begin

    @property
    def before(self) -> Day:
        return attrs.evolve(self, date=self.date - timedelta(days=1))

    @property
    def after(self) -> Day:
        return attrs.evolve(self, date=self.date + timedelta(days=1))

    @property
    def period(self) -> tuple[str, str]:
        """From when up to when, as the read models hold times."""
        return text(self.begin) or "", text(self.end) or ""

    @property
    def hours(self) -> list[datetime]:
        """When each of its hours begins, in UTC."""
        return [self.begin + number * _HOUR for number in range(-(-(self.end - self.begin) // _HOUR))]


def day_at(moment: datetime, zone: tzinfo) -> Day:
    """The day of a zone on which a moment is."""
    return Day(moment.astimezone(zone).date(), zone)
