"""What was found, for people: a line each, with the command that shows more of it."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import Any

from projections.reports.text import Out, Text, counted, shown

__all__ = ["found_list"]


def found_list(out: Out, found: dict[str, Any]) -> None:
    """A line for each: what it is, its id, a word about it, and under it the command."""
    for kind, name, about, command in _lines(found):
        out.print(
            Text.assemble((f"{kind:<8} ", "bold"), shown(name), (f"  {shown(about)}".rstrip(), "dim")),
            soft_wrap=True,
        )
        out.print(Text(f"         tracker {shown(command)}", "dim"), soft_wrap=True)


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for one in found["rooms"]:
        yield (
            "room",
            one["meeting_id"],
            counted(one["sessions"], "session"),
            f"meeting {quote(one['meeting_id'])}",
        )
    for one in found["sessions"]:
        about = " ".join(filter(None, (one["state"], one["meeting_id"] and f"in {one['meeting_id']}")))
        yield "session", one["session_id"], about, f"status {quote(one['session_id'])}"
    for one in found["things"]:
        about = " ".join(filter(None, (one["state"], one["meeting_id"] and f"for {one['meeting_id']}")))
        yield one["lifecycle"], " ".join(one["key"].values()), about, f"status {quote(one['stream'])}"
    for one in found["people"]:
        about = " ".join(filter(None, (one["name"], f"in {counted(one['sessions'], 'session')}")))
        yield "person", one["participant_id"], about, f"person {quote(one['participant_id'])}"
    for one in found["files"]:
        about = f"{one['lifecycle']} in session {one['session_id']}"
        yield "file", one["value"], about, f"recordings --file {quote(one['value'])}"
    for one in found["codes"]:
        yield "code", f"{one['code']} {one['slug']}", counted(one["count"], "finding"), f"explain {one['code']}"
