"""A room and a person across their sessions, for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projections import zones
from projections.reports.overview import issues
from projections.reports.text import STYLES, Out, Text, counted, say, shown, stamp
from tracker.delivery.envelope import parse_time

__all__ = ["person", "room"]

MOST = 20
"""Lines of each kind; the JSON has more."""


def room(out: Out, found: dict[str, Any]) -> None:
    """A room: its numbers, its newest sessions, what is wrong in it."""
    recorded = ", ".join(f"{number:,} {name}" for name, number in found["recordings"].items() if number)
    peak = f"{found['peak']:,} at once, at {stamp(found['peak_at'])}" if found["peak_at"] else "nobody"
    _facts(
        out,
        f"meeting {shown(found['meeting_id'])}",
        (
            ("sessions", f"{found['sessions']:,}, {found['live']:,} of them live"),
            ("from", f"{_time(found['first_at'])} to {_time(found['last_at'])}, in {zones.name()}"),
            ("people", f"{found['people']:,}; {found['minutes']:,.0f} participant-minutes"),
            ("peak", peak),
            ("recorded", recorded or "nothing"),
        ),
    )
    out.print()
    for one in found["items"][:MOST]:
        line = Text.assemble(("  ", ""), (f"{one['state']:<15}", STYLES.get(one["state"], "")))
        line.append(f"{_time(one['started_at'] or one['first_seen_at'])}  {shown(one['session_id'])}")
        line.append(
            f"  {counted(one['participants'], 'person', 'people')}, {one['minutes']:,.0f} min, peak {one['peak']:,}"
        )
        say(out, line.append(_wrong(one), "yellow"))
    _more(out, len(found["items"]), found["sessions"])
    out.print()
    issues(out, found["issues"])


def person(out: Out, found: dict[str, Any]) -> None:
    """A person: their numbers, visits, recordings and findings, the newest first."""
    names = " ".join(map(shown, found["names"]))
    inside = f"; inside now in {', '.join(map(shown, found['inside']))}" if found["inside"] else ""
    _facts(
        out,
        f"person {shown(found['participant_id'])}  {names}".rstrip(),
        (
            ("sessions", f"{found['sessions']:,} in {counted(found['rooms'], 'room')}{inside}"),
            ("visits", f"{found['visits']:,}; {found['minutes']:,.0f} minutes"),
            ("from", f"{_time(found['first_at'])} to {_time(found['last_at'])}, in {zones.name()}"),
        ),
    )
    out.print()
    for one in found["items"][:MOST]:
        length = (
            ""
            if one["seconds"] is None
            else f"  {'' if one['is_known'] else 'about '}{one['seconds'] / 60:,.0f} min"
        )
        times = f"{_time(one['joined_at'])} – {_time(one['left_at'])}"
        room = f"  meeting {shown(one['meeting_id'])}" if one["meeting_id"] else ""
        say(out, Text(f"  {one['state']:<4} {times}{length}{room}  session {shown(one['session_id'])}"))
    _more(out, min(len(found["items"]), MOST), found["visits"])
    _recordings(out, found["recordings"])
    _findings(out, found["findings"])


def _recordings(out: Out, runs: list[dict[str, Any]]) -> None:
    own = [one for one in runs if one["own"]]
    if not runs:
        return
    out.print()
    out.print(
        Text.assemble(
            ("recordings", "bold"),
            (f"  {len(own)} of the person, {len(runs) - len(own)} with them inside", "dim"),
        )
    )
    for one in runs[:MOST]:
        files = "with a file" if one["files"] else "no file"
        time = _time(one["started_at"] or one["stopped_at"])
        say(
            out,
            Text(
                f"  {one['state']:<9} {one['lifecycle']}  {time}  {files}  session {shown(one['session_id'])}"
            ),
        )


def _findings(out: Out, found: list[dict[str, Any]]) -> None:
    out.print()
    if not found:
        out.print(Text("nothing is wrong that is about this person"))
        return
    out.print(Text("findings", "bold"))
    for one in found[:MOST]:
        line = Text.assemble(
            "  ", (f"{one['severity']:<8}", STYLES.get(one["severity"], "")), f"{one['code']} {one['slug']}"
        )
        say(out, line.append(f"  {_time(one['at'])}  session {shown(one['session_id'])}"))
        say(out, Text(f"          {shown(zones.sentence(one['message'], parse_time(one['at'] or '')))}"))


def _facts(out: Out, head: str, facts: Iterable[tuple[str, str]]) -> None:
    say(out, Text(head, "bold"))
    for name, words in facts:
        say(out, Text.assemble((f"  {name:<11}", "dim"), words))


def _more(out: Out, shown_: int, number: int) -> None:
    if number > shown_:
        out.print(Text(f"  and {number - shown_:,} more", "dim"))


def _wrong(one: dict[str, Any]) -> str:
    counts = ((one["errors"], "error"), (one["warnings"], "warning"))
    return "".join(f"  {counted(number, word)}" for number, word in counts if number)


def _time(time: str | None) -> str:
    return stamp(time) if time else "?"
