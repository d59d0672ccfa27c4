"""A lifecycle as a drawing of states and the ways between them, read off its declaration.

The states stand in a line in their order; what ends a run badly stands below. A way that the table does not have was
refused, and is drawn only where something took it. Places are in pixels; a template writes them as SVG.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from projections.web.pages.kinds import Kind, kind
from tracker.aggregate import LOST
from tracker.findings import SEVERITIES, Severity
from tracker.lifecycle import ABSENT, Lifecycle

WIDE, HIGH = 92, 34
"""A state's box."""
PITCH = 136
FIRST = 24
"""Where the dot is, at which a run begins."""
LINE, BELOW = 96, 196
OF_THE_SEQUENCE = "S"
"""The letter of the codes that say of a delivery that it may not come there."""
HALF_WIDE, HALF_HIGH = WIDE // 2, HIGH // 2


@attrs.frozen
class Node:
    """A state. ``lit`` tells what is in it now; empty: nothing."""

    name: str
    x: float
    y: int
    kind: Kind
    end: bool
    lit: str


@attrs.frozen
class Way:
    """From a state to a state by a webhook type. ``severity`` is set where something is reproached to it."""

    path: str
    x: float
    y: float
    label: str
    told: str
    refused: bool
    severity: Severity | None


@attrs.frozen
class Blame:
    """What was reproached on the way from one state to another, and how often."""

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
    dot: tuple[int, int] = (FIRST, LINE)


def graph(
    lifecycle: Lifecycle,
    lit: Mapping[str, str] | None = None,
    traffic: Mapping[tuple[str, str], int] | None = None,
    blames: Iterable[Blame] = (),
) -> Graph:
    """The drawing. ``lit``: state -> what is there now. ``traffic``: (state, step) -> how often it went that way."""
    lit, blames = lit or {}, _summed(blames)
    states = [*lifecycle.states]
    if LOST in lit or any(LOST in (one.before, one.after) for one in blames):
        states.append(LOST)
    places = _places(lifecycle, states)
    nodes = tuple(
        Node(name, *places[name], kind(lifecycle, name), name in lifecycle.ends, lit.get(name, ""))
        for name in states
    )
    below = any(node.y == BELOW for node in nodes)
    ways = tuple(_ways(lifecycle, places, traffic, blames))
    width = int(max(node.x for node in nodes)) + HALF_WIDE + 24
    return Graph(lifecycle.name, nodes, ways, width, BELOW + 40 if below else LINE + 44)


def _summed(blames: Iterable[Blame]) -> list[Blame]:
    found: dict[tuple[str, str, str], Blame] = {}
    for one in blames:
        place = one.before, one.after, one.code
        number = found[place].number if place in found else 0
        found[place] = attrs.evolve(one, number=number + one.number)
    return list(found.values())


def _places(lifecycle: Lifecycle, states: list[str]) -> dict[str, tuple[float, int]]:
    bad = [state for state in states if kind(lifecycle, state) in ("failed", "lost")]
    good = [state for state in states if state not in bad]
    line: dict[str, tuple[float, int]] = {
        state: (FIRST + 48 + HALF_WIDE + place * PITCH, LINE) for place, state in enumerate(good)
    }
    left, right = FIRST + 48 + HALF_WIDE, FIRST + 48 + HALF_WIDE + (len(good) - 1) * PITCH
    for place, state in enumerate(bad, 1):
        line[state] = (left + (right - left) * place / (len(bad) + 1), BELOW)
    return {ABSENT: (FIRST, LINE), **line}


def _ways(
    lifecycle: Lifecycle,
    places: Mapping[str, tuple[float, int]],
    traffic: Mapping[tuple[str, str], int] | None,
    blames: list[Blame],
) -> Iterator[Way]:
    legal = {
        (before, lifecycle.by_name[name].state): name for before, row in lifecycle.table.items() for name in row
    }
    for (before, after), name in legal.items():
        found = [one for one in blames if (one.before, one.after) == (before, after)]
        label = _codes(found)
        told = f"{lifecycle.webhook_type(name)}: {before or 'nothing'} to {after}"
        if traffic is not None:
            number = traffic.get((before, name), 0)
            label = " · ".join(filter(None, (f"{number:,}" if number else "", label)))
            told += f", {number:,} times"
        elif name not in (after, _plain(after)):
            label = label or name
        yield _way(places, before, after, label, f"{told}{_told(found)}", found, refused=False)
    refused = {(one.before, one.after) for one in blames} - legal.keys()
    for before, after in sorted(refused):
        found = [one for one in blames if (one.before, one.after) == (before, after)]
        if before in places and after in places:
            told = f"refused: {before or 'nothing'} to {after}{_told(found)}"
            yield _way(places, before, after, _codes(found), told, found, refused=True)


def _plain(state: str) -> str:
    return state.replace("-", " ")


def _codes(found: list[Blame]) -> str:
    return ", ".join(f"{one.code} ×{one.number:,}" if one.number > 1 else one.code for one in found)


def _told(found: list[Blame]) -> str:
    return f"; {_codes(found)}" if found else ""


def _way(
    places: Mapping[str, tuple[float, int]],
    before: str,
    after: str,
    label: str,
    told: str,
    found: list[Blame],
    *,
    refused: bool,
) -> Way:
    path, x, y = _path(places[before], places[after], dot=before == ABSENT, refused=refused)
    worst = max((one.severity for one in found), key=SEVERITIES.index, default=None)
    return Way(path, x, y, label, told, refused, worst)


Line = tuple[str, float, float]
"""A path, and where its label stands."""
Spot = tuple[float, int]


def _path(begin: Spot, end: Spot, *, dot: bool, refused: bool) -> Line:
    (x, y), (to_x, to_y) = begin, end
    if begin == end:
        top = y - HALF_HIGH
        return f"M{x - 14:g} {top}C{x - 34:g} {top - 40} {x + 34:g} {top - 40} {x + 14:g} {top}", x, top - 34
    if y == to_y:
        return _along(x, to_x, y, dot=dot, refused=refused)
    if y > to_y:
        return _up(begin, end)
    return _from_dot(begin, end) if dot else _down(begin, end, refused=refused)


def _down(begin: Spot, end: Spot, *, refused: bool) -> Line:
    """To a state below; a refused way leaves and arrives a little beside the one that may be there."""
    (x, y), (to_x, to_y) = begin, end
    lean = 16 if x < to_x else -16 if x > to_x else 0
    aside = 10 if refused else 0
    start, stop, foot = x + aside, to_x - lean - aside, to_y - HALF_HIGH
    middle = (y + HALF_HIGH + foot) / 2
    path = f"M{start:g} {y + HALF_HIGH}C{start:g} {middle + 8:g} {stop:g} {middle - 8:g} {stop:g} {foot - 1}"
    return path, (start + stop) / 2 + 8, middle + 2


def _from_dot(begin: Spot, end: Spot) -> Line:
    (x, y), (to_x, to_y) = begin, end
    stop = to_x - HALF_WIDE
    return f"M{x:g} {y + 7}C{x:g} {to_y} {x + 20:g} {to_y} {stop - 1:g} {to_y}", (x + stop) / 2, to_y - 8


def _up(begin: Spot, end: Spot) -> Line:
    (x, y), (to_x, to_y) = begin, end
    start = x - HALF_WIDE if to_x <= x else x + HALF_WIDE
    stop = to_x - 22 if to_x <= x else to_x + 22
    path = f"M{start:g} {y}C{stop:g} {y} {stop:g} {y} {stop:g} {to_y + HALF_HIGH + 1}"
    return path, stop + (start - stop) / 3, y - 2


def _along(x: float, to_x: float, y: int, *, dot: bool, refused: bool) -> Line:
    """A line between two places of one row: straight to the neighbour, over the others in an arc."""
    reach = round((to_x - x) / PITCH, 2)
    if 0 < reach <= 1.1 and not refused:
        start = x + (7 if dot else HALF_WIDE)
        return f"M{start:g} {y}H{to_x - HALF_WIDE - 1:g}", (start + to_x - HALF_WIDE) / 2, y - 8
    lift = (22 if reach > 0 else 30) + 11 * abs(reach)
    shift = 20 if reach > 0 else -20
    start, stop, top = (x if dot else x + shift), to_x - shift, y - (7 if dot else HALF_HIGH)
    foot = y - HALF_HIGH - 1
    path = f"M{start:g} {top}C{start + shift:g} {top - lift:g} {stop - shift:g} {foot - lift:g} {stop:g} {foot}"
    return path, (start + stop) / 2, top - 0.75 * lift - 5


def blame_of(lifecycle: Lifecycle, row: Mapping[str, Any], number: int = 1) -> Blame | None:
    """What a finding reproaches to a way; ``None`` where it is about no way, or only an info."""
    if row["severity"] == "info" or row["state_after"] is None:
        return None
    before, after = row["state_before"] or ABSENT, row["state_after"]
    step = lifecycle.by_name.get(str(row.get("type") or "").removeprefix(f"{lifecycle.name}-"))
    refused = step is not None and row["code"].startswith(OF_THE_SEQUENCE)
    if step is not None and refused and step.name not in lifecycle.table.get(before, ()):
        after = step.state  # what came, and not what was made of it
    elif before == after:
        return None
    return Blame(before, after, row["code"], row["severity"], number)
