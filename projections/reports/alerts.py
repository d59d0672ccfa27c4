"""Alerts for people: a line a rule, a line an alert."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projections import zones
from projections.reports.text import STYLES, Out, Text, counted, say, shown, stamp, sum_up
from tracker.delivery.envelope import parse_time

__all__ = ["dead", "listed", "not_taken"]


def listed(out: Out, rules: Iterable[dict[str, Any]], alerts: Iterable[dict[str, Any]]) -> None:
    for rule in rules:
        waits = f"{counted(rule['pending'], 'message')} to send, {rule['dead']:,} dead"
        line = Text.assemble((rule["name"], "bold"), f"  {waits}")
        say(out, line.append(not_taken(rule)))
        for mute in rule["mutes"]:
            until = f"until {stamp(mute['until'])}" if mute["until"] else "until further notice"
            say(out, Text(f"  {mute['code'] or 'all'} muted {until}: {shown(mute['reason'])}", "dim"))
    rows = list(alerts)
    for row in rows:
        say(out, _line(row), 2)
    sum_up(out, len(rows), "alert")


def not_taken(row: dict[str, Any]) -> Text:
    """Why nothing is sent to a receiver, or why it did not take a message and when that is tried again."""
    if row["disabled"]:
        return Text(f"  disabled: {row['disabled']}", "bold red")
    if row["problem"]:
        return Text(f"  last problem: {shown(row['problem'])}, next try {stamp(row['next_at'])}", "yellow")
    return Text()


def _line(row: dict[str, Any]) -> Text:
    line = Text.assemble((f"{row['id']:>4}  {row['state']:<9} ", ""), (row["code"], STYLES[row["severity"]]))
    line.append(f"  {stamp(row['opened_at'] or row['due_at'])}  ").append(
        shown(zones.sentence(row["message"], parse_time(row["at"] or "")))
    )
    where = " ".join(filter(None, (row["session_id"] or row["meeting_id"], row["rule"])))
    line.append(f"  {shown(where)}", "dim")
    if row["acknowledged_by"]:
        until = f" until {stamp(row['acknowledged_until'])}" if row["acknowledged_until"] else ""
        line.append(f"  acknowledged by {shown(row['acknowledged_by'])}{until}", "green")
    return line


def dead(out: Out, messages: Iterable[dict[str, Any]]) -> None:
    rows = list(messages)
    for row in rows:
        about = f"  alert {row['alert']}" if row.get("alert") is not None else ""
        line = Text(f"{stamp(row['created_at'])}  {row['type']}{about}  {row['rule']}  {row['id']}")
        say(out, line.append(f"  {row['problem']}, {counted(row['attempts'], 'attempt')}", "dim"))
    out.print(Text(counted(len(rows), "dead message"), "dim"))
