"""What was recorded or streamed, for people: a line a run, and under it where its files are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from projections.read_models.runs import is_missing
from projections.reports.text import STYLES, Out, Text, counted, say, shown, stamp, sum_up

__all__ = ["listed"]

HANG = 10
"""Columns of a state, behind which everything else stands."""
MOST_NAMED = 12
"""People named of one run; the machine formats have all."""


def listed(out: Out, rows: Iterable[dict[str, Any]], with_files: int = 0) -> None:
    """What was recorded, a line each, and under it where its files are; no id and no file is ever cut.

    ``with_files`` is how many runs there are that are not listed, because only those without a file were asked for.
    """
    runs = list(rows)
    for row in runs:
        number = f"run {row['run']}" if row["run"] > 1 else ""
        what = " ".join(filter(None, (row["lifecycle"], *row["key"].values(), number)))
        line = Text.assemble((f"{row['state']:<9} ", STYLES.get(row["state"], "")), f"{shown(what)}  ")
        line.append(f"{from_to(row['began_at'], row['stopped_at'])}  session {shown(row['session_id'])}")
        line.append(f"  {' '.join(dict.fromkeys(row['findings']))}", "yellow")
        line.rstrip()
        say(out, line, HANG)
        for place in dict.fromkeys(_places(row["files"])):
            out.print(Text(f"          {shown(place)}"), soft_wrap=True)
        if "people" in row:
            say(out, Text(f"          {_inside(row['people'])}"))
        if not row["files"]:
            out.print(Text(f"          {_without(row)}", "dim"), soft_wrap=True)
    if not runs:
        none = f"{counted(with_files, 'run')}, none without a file"
        out.print(Text(none if with_files else "no such recording or stream"))
        return
    missing = sum(map(is_missing, runs))
    sum_up(out, len(runs), "run", f", {missing:,} without a file")


def _without(row: dict[str, Any]) -> str:
    """What is said of a run that brought no file."""
    if row["videosdk_file"]:
        return f"no webhook brought it; VideoSDK has {shown(row['videosdk_file'])}"
    return "no file" if is_missing(row) else "no file yet"


def from_to(began: str | None, ended: str | None) -> str:
    """From when to when, with the day once where it is the same."""
    if began == ended:
        began = None  # only its end came
    first, last = (stamp(one) if one else "?" for one in (began, ended))
    same_day = began and ended and first[:10] == last[:10]
    return f"{first} – {last[11:] if same_day else last}"


def _inside(people: list[dict[str, Any]]) -> str:
    """Who was inside while it ran; at its end, where that is known."""
    if not people:
        return "nobody was inside"
    still = [one for one in people if one["at_end"]]
    if all(one["at_end"] is None for one in people):
        return f"inside: {_names(people)}"
    gone = [one for one in people if not one["at_end"]]
    words = f"inside at its end: {_names(still)}" if still else "nobody was inside at its end"
    return f"{words}; had left: {_names(gone)}" if gone else words


def _names(people: list[dict[str, Any]]) -> str:
    names = [shown(one["name"] or one["participant_id"]) for one in people[:MOST_NAMED]]
    more = len(people) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def _places(value: Any) -> Iterator[str]:
    """The paths and urls in what a run brought."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _places(one)
    elif isinstance(value, str) and "/" in value:
        yield value
