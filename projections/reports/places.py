"""Where a finding is, for reports that point into files: ``bad_monday.jsonl:82``, or ``#82`` of the store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from projections.explain.status import doubt, instead
from tracker.findings import Finding

Place = Callable[[int], tuple[str, int] | None]
"""The file and line of a position; ``None`` where it is in no file."""
MOST_EVIDENCE = 6


def nowhere(position: int) -> None:
    """For what was read from the store: a position there is in no file."""


def at_place(position: int, place: Place) -> str:
    found = place(position)
    return f"#{position}" if found is None else f"{found[0]}:{found[1]}"


def reasons(found: Finding, place: Place) -> list[str]:
    """What a finding says, in short lines: what happened, how sure that is, what to do, what it rests on."""
    lines = [found.message]
    if found.accepted is not None:
        lines.insert(0, f"accepted: {found.accepted}")
    elif found.severity != "info":
        lines.extend(f"or: {instead(other, partial(at_place, place=place))}" for other in found.alternatives)
        lines.extend(
            filter(None, (doubt(found.confidence), f"do: {found.advice.rstrip('.')}" if found.advice else ""))
        )
    if found.expected:
        lines.append(f"expected {' or '.join(found.expected)}")
    if found.evidence:
        more = "… " if len(found.evidence) > MOST_EVIDENCE else ""
        rests = " ".join(at_place(position, place) for position in found.evidence[-MOST_EVIDENCE:])
        lines.append(f"evidence {more}{rests}")
    return lines
