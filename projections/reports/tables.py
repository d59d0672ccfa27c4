"""Short tables for people: what a check saw, and which settings are in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from projections.reports.text import Out, Table, Text, counted, say, shown

__all__ = ["checks", "rows", "settings"]

MARKS = {
    "ok": ("✓", "green"),
    "note": ("!", "yellow"),
    "problem": ("✗", "bold red"),
    "missing": ("✗", "bold red"),
    "damaged": ("✗", "bold red"),
}


def checks(out: Out, rows: Iterable[dict[str, Any]]) -> None:
    """A line each, wrapped at words on a narrow terminal, and under it what to do."""
    for row in rows:
        mark, style = MARKS[row["state"]]
        check = f"{row['check']:<13}"
        hang = len(f"{mark} {check}")
        say(out, Text.assemble((f"{mark} ", style), (check, "bold"), shown(row["seen"])), hang)
        if row["hint"]:
            say(out, Text(f"{'':<{hang}}hint: {shown(row['hint'])}", "dim"))


def settings(out: Out, rows: Iterable[dict[str, Any]]) -> None:
    """A line each: name, value, and where it comes from."""
    listed = list(rows)
    width = max((len(row["setting"]) for row in listed), default=0)
    for row in listed:
        line = Text.assemble(
            (f"{row['setting']:<{width}}  ", "bold"), shown(row["value"]), (f"  ({shown(row['from'])})", "dim")
        )
        say(out, line, width + 2)


def rows(out: Out, columns: Sequence[str], found: Iterable[dict[str, Any]]) -> None:
    """Any rows, a line each; what is nested is JSON."""
    listed = Table(*columns)
    for row in found:
        listed.add_row(*(Text(_cell(value)) for value in row.values()))
    if columns:
        out.print(listed)
    out.print(Text(counted(len(listed.rows), "row"), "dim"))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return shown(msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value)
