"""The timeline of a session in words: a line a delivery, and a lane for each thing that has a state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from projections import zones
from tracker.findings import SEVERITIES
from tracker.judging.state import Aggregate, Session
from tracker.record import RECORD

if TYPE_CHECKING:  # who shows a session needs no audit
    from projections.explain.status import Moment

from projections.reports.findings import style
from projections.reports.text import STYLES, Out, Text, counted, say, shown

MOST_BODY = 60
"""Bytes of an unrouted body that are shown; ``tracker export`` has all."""
LANES = 18
"""Lanes that fit on a terminal; with more, people share one."""


def timeline(out: Out, moments: Sequence[Moment], sessions: Sequence[Session]) -> None:
    """Every delivery, one line each, with a lane for each thing that has a state."""
    lanes = _Lanes(sessions[0], moments) if len(sessions) == 1 else None
    if lanes:
        for line in lanes.legend():
            say(out, line)
        out.print()
    day = None
    width = max((len(str(one.delivery.position)) for one in moments), default=1)
    for one in moments:
        at = one.delivery.received_at
        if at is not None and zones.date(at) != day:
            day = zones.date(at)
            out.print(Text(f"{day} ({zones.name()})", "bold"))
        line = Text.assemble(
            (zones.clock(at) if at is not None else "   –    ", "dim"),
            f"  {one.delivery.position:>{width}}  ",
            lanes.draw(one) if lanes else "",
            "  " if lanes else "",
        )
        hang = len(str(line))  # no glyph is wide
        line.append(shown(one.delivery.type or one.delivery.problem))
        line.append(shown(lanes.name(one) if lanes else ""))
        reading = one.judgement.reading
        if reading not in ("advanced", "new-run") and reading not in (found.slug for found in one.findings):
            line.append(f"  {reading}", "dim")
        for found in one.findings:
            line.append(f"  {found.code} {found.slug}", style(found))
            line.append("  accepted" if found.verdict == "accepted" else "", "dim")
        say(out, line, hang)
        if one.delivery.stream.startswith("unrouted:"):
            body = one.delivery.body[:MOST_BODY].decode(errors="replace")
            say(out, Text(f"    {shown(one.delivery.received.source)}  {shown(body)}", "dim"))
    records = sum(one.delivery.step is RECORD for one in moments)
    words = counted(len(moments) - records, "delivery", "deliveries")
    out.print(Text(f"{words} and {counted(records, 'record')} of VideoSDK's" if records else words, "dim"))


class _Lanes:
    """A column for each thing of a session that something is listed of, drawn through the rows while it is under way."""

    def __init__(self, session: Session, moments: Sequence[Moment]) -> None:
        listed = {one.place for one in moments}
        self.aggregates = {n: one for n, one in enumerate(session.aggregates.values()) if n in listed}
        if len(self.aggregates) > LANES:
            others = [n for n, one in self.aggregates.items() if not one.lifecycle.is_presence]
            self.lane_of = {
                n: len(others) if one.lifecycle.is_presence else others.index(n)
                for n, one in self.aggregates.items()
            }
        else:
            self.lane_of = {n: lane for lane, n in enumerate(self.aggregates)}
        self.lanes = max(self.lane_of.values(), default=-1) + 1
        self.under_way: list[set[int]] = [set() for _ in range(self.lanes)]

    def legend(self) -> list[Text]:
        members: list[list[Aggregate]] = [[] for _ in range(self.lanes)]
        for place, aggregate in self.aggregates.items():
            members[self.lane_of[place]].append(aggregate)
        lines = []
        for lane, ones in enumerate(members):
            first, shared = ones[0], len(ones) > 1
            name = f"{len(ones)} people" if shared else first.name
            kind = "" if shared or name == first.lifecycle.name else f"{first.lifecycle.name} "
            state = sum(not one.runs[-1].closed for one in ones) if shared else first.state
            bars = "│" * lane + "┌" + "─" * (self.lanes - lane)
            inside = f"  {state} inside" if shared else f"  {state}"
            lines.append(Text.assemble((bars, "dim"), f" {kind}{shown(name)}", (inside, "dim")))
        return lines

    def name(self, one: Moment) -> str:
        """Whom a delivery is about, where people share a lane; two blanks before it."""
        if one.place is None or self.lanes == len(self.aggregates):
            return ""
        aggregate = self.aggregates[one.place]
        return f"  {aggregate.name}" if aggregate.lifecycle.is_presence else ""

    def draw(self, one: Moment) -> Text:
        """The lanes at one delivery; the deliveries are drawn in their order."""
        moved = None if one.place is None else self.lane_of[one.place]
        if one.place is not None:
            members = self.under_way[self.lane_of[one.place]]
            members.add(one.place) if one.under_way else members.discard(one.place)
        drawn = Text()
        for lane, members in enumerate(self.under_way):
            if lane == moved:
                drawn.append(_glyph(one), _glyph_style(one))
            else:
                drawn.append("│" if members else " ", "dim")
        return drawn


def _glyph(one: Moment) -> str:
    reading, after = one.judgement.reading, one.judgement.state_after
    if reading in ("redelivered", "repeated", "noted"):
        return "·"
    if reading in ("orphan", "conflict"):
        return "!"
    if after in ("failed", "lost"):
        return "✗"
    if not one.under_way:
        return "└"
    return "├" if one.judgement.state_before else "┌"


def _glyph_style(one: Moment) -> str:
    worst = max((found.severity for found in one.findings), key=SEVERITIES.index, default="info")
    return "bold" if worst == "info" else STYLES[worst]
