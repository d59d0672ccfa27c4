"""What ran, for people: a line a run, with the session or the room that it was for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projections.reports.recordings import from_to
from projections.reports.text import STYLES, Out, Text, say, shown, sum_up

__all__ = ["listed"]


def listed(out: Out, rows: Iterable[dict[str, Any]]) -> None:
    """One line a run, folded on a narrow terminal; no id is ever cut."""
    runs = list(rows)
    wide = max((len(row["state"]) for row in runs), default=0)
    for row in runs:
        number = f"run {row['run']}" if row["run"] > 1 else ""
        what = " ".join(filter(None, (row["lifecycle"], *row["key"].values(), number)))
        line = Text.assemble((f"{row['state']:<{wide}}  ", STYLES.get(row["state"], "")), shown(what))
        line.append(f"  {from_to(row['began_at'], row['ended_at'])}", "dim")
        for name in ("session", "meeting"):
            if row[f"{name}_id"]:
                line.append(f"  {name} ", "dim").append(shown(row[f"{name}_id"]))
        line.append(f"  {' '.join(dict.fromkeys(row['findings']))}", "yellow")
        line.rstrip()
        say(out, line, wide + 2)
    sum_up(out, len(runs), "run")
