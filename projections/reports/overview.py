"""How everything is, and what is wrong grouped by code and cause, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from projections import zones
from projections.reports.text import STYLES, Out, Text, counted, say, shown, stamp
from tracker.delivery.envelope import parse_time

__all__ = ["issues", "overview", "sparkline"]

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(numbers: Sequence[int]) -> str:
    """One character a number; a blank for none, and the highest fills its character."""
    most = max([*numbers, 1])
    return "".join(BLOCKS[(number * len(BLOCKS) - 1) // most] if number else " " for number in numbers)


def overview(out: Out, found: dict[str, Any]) -> None:
    """The overview at a glance: a line for each thing that is asked of it, then what is wrong."""
    live, received = found["live"], found["deliveries"]
    errors, warnings, before = (
        sum(hour[name] for hour in found["hours"]) for name in ("errors", "warnings", "day_before")
    )
    outcomes = ", ".join(f"{number:,} {name}" for name, number in found["recordings"].items() if number)
    wrong = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}; the day before {before:,} of both"
    day, day_before = received["day"], received["day_before"]
    came = f"{counted(day['number'], 'delivery', 'deliveries')}; the day before {day_before['number']:,}"
    lines = (
        ("day", f"{found['day']}, in {zones.name()}"),
        (
            "live now",
            f"{counted(live['sessions'], 'session')}, {counted(live['people'], 'person', 'people')} inside",
        ),
        ("running", counted(live["running"], "recording or stream", "recordings and streams")),
        (
            "recorded",
            f"{counted(sum(found['recordings'].values()), 'run')} began"
            + (f": {outcomes}" if outcomes else ""),
        ),
        ("found", wrong),
        *(("", words) for words in _without_time(found["without_time"])),
        *_by_hour([hour["errors"] + hour["warnings"] for hour in found["hours"]]),
        ("received", came),
        *_by_hour(day["hours"]),
        ("twice", f"{_percent(day['twice'])}; the day before {_percent(day_before['twice'])}"),
        ("late", f"{_percent(day['late'])}; the day before {_percent(day_before['late'])}"),
        ("last", _last(found)),
    )
    for name, words in lines:
        line = Text.assemble((f"{name:<10}", "dim"), words)
        line.rstrip()
        say(out, line)
    for run in live["longest"]:
        length = f"{run['seconds'] / 60:,.0f} min" if run["seconds"] is not None else "?"
        words = f"  {run['state']:<9} {run['lifecycle']}  {length}  session {shown(run['session_id'])}"
        say(out, Text(words))
    if found["issues"]:
        out.print()
        issues(out, found["issues"])


def _by_hour(numbers: Sequence[int]) -> Iterator[tuple[str, str]]:
    """The line of a sparkline, where there is anything to draw."""
    if any(numbers):
        yield "by hour", sparkline(numbers)


def _without_time(numbers: dict[str, int]) -> Iterator[str]:
    errors, warnings = numbers["errors"], numbers["warnings"]
    which = [counted(number, name) for number, name in ((errors, "error"), (warnings, "warning")) if number]
    if which:
        yield f"and {' and '.join(which)} without a time, of no day: tracker issues lists all"


def _last(found: dict[str, Any]) -> str:
    """When something came last, and whether that is ahead of the clock; where nothing came on the day that is shown, also how to see that day."""
    if not found["last_at"]:
        return "nothing has come in yet"
    last = f"{stamp(found['last_at'])} {zones.name()}"
    newest, now = parse_time(found["last_at"]), parse_time(found["now"])
    if newest and now and (ahead := zones.ahead(newest, now)):
        last += f", {ahead}: tracker doctor says what to do"
    if found["deliveries"]["day"]["number"]:
        return last
    return f"{last}; tracker overview --day {stamp(found['last_at'])[:10]} shows that day"


def issues(out: Out, found: Iterable[dict[str, Any]], nothing: str = "nothing is wrong") -> None:
    """What is wrong: a line an issue with how often and where, then when, and what to do; ``nothing`` where there is none."""
    count = 0
    for one in found:
        count += 1
        trend = "" if one["trend"] == "known" else f"  {one['trend']}"
        if one["trend"] == "back":
            trend += f", first seen {stamp(one['first_ever_at'])}"
        cause = f"  because of {shown(one['cause'])}" if one["cause"] else ""
        of = f"  {', '.join(one['lifecycles'])}" if one["lifecycles"] else ""
        line = Text.assemble(
            (f"{one['severity']:<8}", STYLES.get(one["severity"], "")),
            f"{one['code']} {one['slug']}{of}{cause}",
            (trend, "bold"),
        )
        say(out, line)
        before = f" ({one['before']:,} in the period before)" if one["before"] else ""
        where = (
            f" in {counted(one['sessions'], 'session')} and {counted(one['rooms'], 'room')}"
            if one["sessions"]
            else ""
        )
        say(out, Text(f"        {one['count']:,} ×{where}{before}"))
        if one["first_at"]:
            first, last = stamp(one["first_at"]), stamp(one["last_at"])
            times = f"        {first if first == last else f'{first} to {last}'}  {sparkline(one['buckets'])}"
            say(out, Text(times.rstrip(), "dim"))
        say(out, Text(f"        do: {one['advice']}"))
    if not count:
        out.print(Text(nothing))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
