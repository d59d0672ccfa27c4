"""Findings as marks on a drawing; those at one place are one mark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs

from projections import zones
from projections.web.pages.bars import Ruler
from tracker.findings import SEVERITIES, Finding, Severity

NEAR = 0.9
"""Marks of a lane that are nearer are one, in percent."""


@attrs.frozen
class Mark:
    """Findings at one place: ``label`` is short, ``sentence`` is one, ``numbers`` are theirs, the gravest first."""

    x: float
    y: int
    severity: Severity
    label: str
    sentence: str
    numbers: tuple[int, ...]


def marks(ruler: Ruler, found: Iterable[Finding], y: int) -> Iterator[Mark]:
    """The marks of a lane, from left to right."""
    placed = [(ruler.axis.x(at), one) for one in found if (at := _at(ruler, one)) is not None]
    group: list[Finding] = []
    begin = 0.0
    for x, one in sorted(placed, key=lambda pair: (pair[0], pair[1].number)):
        if group and x - begin > NEAR:
            yield _mark(ruler, group, begin, y)
            group = []
        begin = begin if group else x
        group.append(one)
    if group:
        yield _mark(ruler, group, begin, y)


def _mark(ruler: Ruler, group: list[Finding], x: float, y: int) -> Mark:
    worst, *others = sorted(group, key=lambda one: -SEVERITIES.index(one.severity))
    label = f"{worst.code} {worst.slug}" + (f" and {len(others)} more" if others else "")
    time = ruler.clock(_at(ruler, worst))
    sentence = ", ".join(filter(None, (label, time, zones.sentence(worst.message, worst.at))))
    numbers = tuple(one.number for one in (worst, *others))
    return Mark(
        x, y, worst.severity, "  ".join(filter(None, (time, label))), f"{worst.severity}: {sentence}", numbers
    )


def _at(ruler: Ruler, one: Finding) -> datetime | None:
    return ruler.when(one.position, None) if ruler.axis.timeless or one.at is None else one.at
