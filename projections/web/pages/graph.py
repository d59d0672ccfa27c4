"""A lifecycle as a drawing of states and the ways between them, read off its declaration.

The states stand in a line in their order; what ends a run badly stands below. A way that the table does not have was
refused, and is drawn only where something took it. A template writes it as SVG.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from projections.web.pages.kinds import Kind, kind
from projections.web.pages.tracks import HALF_WIDE, Plan, Way
from tracker.findings import SEVERITIES, Severity
from tracker.judging.state import LOST
from tracker.lifecycle import ABSENT, Lifecycle

OF_THE_SEQUENCE = "S"
"""The letter of the codes that say of a delivery that it may not come there."""


@attrs.frozen
class Node:
    """A state. ``lit`` tells what is in it now; empty: nothing."""

    name: str
    x: float
    y: float
    kind: Kind
    end: bool
    lit: str


@attrs.frozen
class Highlight:
    """What was found on the way from one state to another, and how often."""

    before: str
    after: str
    code: str
    severity: Severity
    number: int = 1


@attrs.frozen
class Graph:
    lifecycle: str
    nodes: tuple[Node, ...]
    ways: tuple[Way, ...]
    width: int
    height: int
    dot: tuple[float, float]


def graph(
    lifecycle: Lifecycle,
    lit: Mapping[str, str] | None = None,
    traffic: Mapping[tuple[str, str], int] | None = None,
    highlights: Iterable[Highlight] = (),
) -> Graph:
    """The drawing. ``lit``: state -> what is there now. ``traffic``: (state, step) -> how often it went that way."""
    lit, highlights = lit or {}, list(highlights)
    states = [*lifecycle.states] or [step.state for step in lifecycle.steps]
    if LOST in lit or any(LOST in (one.before, one.after) for one in highlights):
        states.append(LOST)
    known = {ABSENT, *states}
    ways = [one for one in _ways(lifecycle, traffic, highlights) if {one.before, one.after} <= known]
    plan = Plan(*_rows(lifecycle, states), ways)
    nodes = tuple(
        Node(name, *plan.places[name], kind(lifecycle, name), name in lifecycle.ends, lit.get(name, ""))
        for name in states
    )
    drawn = tuple(plan.drawn(one) for one in ways)
    reach = [node.x + HALF_WIDE for node in nodes]
    reach += [one.x + {"start": 1.0, "middle": 0.5, "end": 0.0}[one.anchor] * one.length for one in drawn]
    return Graph(lifecycle.name, nodes, drawn, int(max(reach)) + 24, plan.height, plan.places[ABSENT])


def _rows(lifecycle: Lifecycle, states: list[str]) -> tuple[list[str], list[str]]:
    bad = [state for state in states if kind(lifecycle, state) in ("failed", "lost")]
    good = [state for state in states if state not in bad]
    return (good, bad) if good else (bad, [])


def _ways(
    lifecycle: Lifecycle, traffic: Mapping[tuple[str, str], int] | None, highlights: list[Highlight]
) -> Iterable[Way]:
    legal = {
        (before, lifecycle.by_name[name].state): name for before, row in lifecycle.table.items() for name in row
    }
    for (before, after), name in legal.items():
        found = [one for one in highlights if (one.before, one.after) == (before, after)]
        title = f"{lifecycle.webhook_type(name)}: {before or 'nothing'} to {after}"
        number = name if traffic is None and name != after and not name.startswith(after[:3]) else ""
        if traffic is not None:
            times = traffic.get((before, name), 0)
            title += f", {times:,} times"
            number = f"{times:,}" if times else ""
        yield _way(before, after, number, title, found, refused=False)
    for before, after in sorted({(one.before, one.after) for one in highlights} - legal.keys()):
        found = [one for one in highlights if (one.before, one.after) == (before, after)]
        yield _way(before, after, "", f"refused: {before or 'nothing'} to {after}", found, refused=True)


def _way(before: str, after: str, number: str, title: str, found: list[Highlight], *, refused: bool) -> Way:
    codes: dict[str, int] = {}
    for one in found:
        codes[one.code] = codes.get(one.code, 0) + one.number
    words = ", ".join(f"{code} ×{times:,}" if times > 1 else code for code, times in sorted(codes.items()))
    worst = max((one.severity for one in found), key=SEVERITIES.index, default=None)
    return Way(before, after, number, words, f"{title}{words and '; '}{words}", refused, worst)


def highlight_of(lifecycle: Lifecycle, row: Mapping[str, Any], number: int = 1) -> Highlight | None:
    """On which way a finding is; ``None`` where it is on none, or only an info."""
    if row["severity"] == "info" or row["state_after"] is None:
        return None
    before, after = row["state_before"] or ABSENT, row["state_after"]
    step = lifecycle.by_name.get(str(row.get("type") or "").removeprefix(f"{lifecycle.name}-"))
    refused = step is not None and row["code"].startswith(OF_THE_SEQUENCE)
    if step is not None and refused and step.name not in lifecycle.table.get(before, ()):
        after = step.state  # what came, and not what was made of it
    elif before == after or (not before and not refused):
        return None  # it is about the run, and not about a step of it
    return Highlight(before, after, row["code"], row["severity"], number)
