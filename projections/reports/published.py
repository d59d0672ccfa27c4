"""What changed in what is reported, for people: a line a finding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projections import zones
from projections.explain.status import doubt
from projections.reports.text import STYLES, Out, Text, say, shown, stamp, sum_up
from tracker.delivery.envelope import parse_time

__all__ = ["listed"]

MOVES = {
    "appeared": ("+ appeared  ", ""),
    "changed": ("~ changed   ", ""),
    "withdrawn": ("- taken back", "dim"),
}
HANG = 21
"""The column in which a finding's further lines begin: behind the time."""


def listed(out: Out, rows: Iterable[dict[str, Any]], nothing: str) -> None:
    """One line a finding, folded on a narrow terminal; ``nothing`` where there is none."""
    changes = list(rows)
    for row in changes:
        say(out, _line(row), HANG)
    if changes:
        sum_up(out, len(changes), "change")
    else:
        out.print(Text(nothing))


def _line(row: dict[str, Any]) -> Text:
    words, style = MOVES[row["change"]]
    where = " ".join([row["lifecycle"] or "", *row["key"].values()]).strip()
    line = Text.assemble(
        (f"{stamp(row['change_at'])}  ", "dim"),
        (f"{words}  ", style),
        (f"{row['severity']:<8} ", style or STYLES[row["severity"]]),
        (f"{row['code']} {row['slug']}", style or "bold"),
        f"  {shown(where)}" if where else "",
    )
    for name in ("session", "meeting"):
        if row[f"{name}_id"]:
            line.append(f"  {name} ", "dim").append(shown(row[f"{name}_id"]))
            break
    if certainty := _certainty(row):
        line.append(f"  ({certainty})", "dim")
    if row["change"] == "withdrawn":
        line.append(f"  was reported {stamp(row['again_at'] or row['published_at'])}", "dim")
    return line.append(f"  {shown(zones.sentence(row['message'], parse_time(row['at'] or '')))}", style)


def _certainty(row: dict[str, Any]) -> str:
    """How sure it is; of what changed always, as that is mostly what has."""
    settled = row["verdict"] == "settled" and row["change"] != "changed"
    return ", ".join(filter(None, ("" if settled else row["verdict"], doubt(row["confidence"]))))
