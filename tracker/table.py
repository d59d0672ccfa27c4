"""The table of a lifecycle: which step may come in which state, and the ways that lead through it.

It is walked once, when a lifecycle is declared; judging asks only for what was found then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tracker.step import Step

__all__ = ["ABSENT", "problems_of_table", "reached", "ways"]

ABSENT = ""
"""The state of an aggregate of which nothing has come yet."""

Table = Mapping[str, tuple[str, ...]]
"""State -> names of the steps that may come next."""


def reached(table: Table, steps: Mapping[str, Step], without: str = "") -> set[str]:
    """The states that a run can come to, by ways on which one step does not stand."""
    found = {ABSENT}
    frontier = [ABSENT]
    while frontier:
        for name in table.get(frontier.pop(), ()):
            if name in steps and name != without and steps[name].state not in found:
                found.add(steps[name].state)
                frontier.append(steps[name].state)
    return found


def ways(table: Table, steps: Mapping[str, Step]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(State, step) -> the steps on the shortest way from the one to the other; no way leads past an end."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for origin in table:
        frontier: list[tuple[str, tuple[str, ...]]] = [(origin, ())]
        for state, passed in frontier:
            for name in table[state]:
                if (origin, name) not in found:
                    found[origin, name] = passed
                    if not steps[name].closes:
                        frontier.append((steps[name].state, (*passed, name)))
    return found


def problems_of_table(table: Table, steps: Mapping[str, Step]) -> Iterable[str]:
    """What is wrong with a table, in words: ends that lead nowhere, rows and steps that nothing leads to."""
    yield from _wrong_entries(table, steps)
    found = reached(table, steps)
    for state in sorted(set(table) - found):
        yield f"row {state!r} is never reached"
    moving = [step for step in steps.values() if step.moves]
    for step in moving:
        if not any(step.name in row for row in table.values()):
            yield f"no row leads to the step {step.name!r}"
        yield from (
            f"step {step.name!r} excludes {name!r}, which is not declared or moves nothing"
            for name in step.excludes
            if name not in steps or not steps[name].moves
        )
    ends = {step.state for step in moving if step.closes or not table.get(step.state)}
    if moving and not ends & found:
        yield "no end can be reached from the start"


def _wrong_entries(table: Table, steps: Mapping[str, Step]) -> Iterable[str]:
    for state, names in table.items():
        for name in names:
            if name not in steps:
                yield f"row {state!r} leads to the step {name!r}, which is not declared"
            elif not steps[name].moves:
                yield f"row {state!r} leads to the step {name!r}, which moves nothing"
            elif steps[name].state not in table:
                yield f"step {name!r} reports {steps[name].state!r}, which has no row"
