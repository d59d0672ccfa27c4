"""The relay for people: a line an entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projections.reports.alerts import not_taken
from projections.reports.text import Out, Text, counted, say

__all__ = ["listed"]


def listed(out: Out, entries: Iterable[dict[str, Any]]) -> None:
    rows = list(entries)
    for row in rows:
        waits = f"{row['waiting']:,} not settled, {counted(row['pending'], 'message')} to send, {row['dead']:,} dead"
        say(out, Text.assemble((row["name"], "bold"), f"  {waits}", not_taken(row)))
    out.print(Text(counted(len(rows), "relay"), "dim"))
