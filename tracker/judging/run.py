"""A run as it stands at a moment: its state, its steps and what its payloads say.

Whatever costs time and not everybody asks for is derived when it is first asked for.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import msgspec

from tracker.delivery.payload import read_fields, read_text
from tracker.findings import Finding
from tracker.judging.hypothesis import Candidate, Delivered, moment
from tracker.judging.sequence import is_orphan, outlives
from tracker.judging.session import Key
from tracker.lifecycle import Lifecycle

__all__ = ["LOST", "Certainty", "Run", "StepTaken"]

Certainty = Literal["sure", "inferred", "contested"]
LOST = "lost"
"""The state of a run whose end will not come."""


class StepTaken(msgspec.Struct, frozen=True):
    """A step of a run. An inferred one was never delivered: it has no time, position or data."""

    step: str
    at: datetime | None = None
    position: int | None = None
    inferred: bool = True
    data: bytes = b""


class Run(msgspec.Struct, eq=False, dict=True):
    """One pass through a lifecycle; a person's run is a visit.

    Attributes:
        lifecycle, key: What it is a run of.
        candidate: Its deliveries, as the hypothesis that is held has them.
        lost: Whether its end will not come.
        contested: Whether another hypothesis is as good that ends in another state.
        recorded: Whether VideoSDK's own record says of it what is held: that it goes on, or has ended.
        findings: What is found of it.
    """

    lifecycle: Lifecycle
    candidate: Candidate
    key: Key = ()
    lost: bool = False
    contested: bool = False
    recorded: bool = False
    findings: list[Finding] = msgspec.field(default_factory=list)

    @property
    def number(self) -> int:
        return self.candidate.number

    @property
    def closed(self) -> bool:
        return self.candidate.closed or self.lost

    @property
    def state(self) -> str:
        if not self.lost:
            return self.candidate.state.state
        return self.lifecycle.by_name[self.lifecycle.endings[0]].state if self.lifecycle.is_presence else LOST

    @property
    def inferred(self) -> bool:
        """Whether its beginning, or the end of a visit, was never reported."""
        return self.lost or is_orphan(self.lifecycle, self.candidate)

    @property
    def since(self) -> datetime | None:
        """When it got into its state, as far as that was reported."""
        return self.candidate.since.received_at

    @property
    def began_at(self) -> datetime | None:
        """When the first of its steps came, of those that have a time; it may be the end."""
        times = [one.at for one in self.candidate.originals.values() if one.timed]
        return moment(min(times)) if times else None

    @property
    def last_at(self) -> datetime | None:
        """When the last of its steps came, of those that have a time."""
        times = [one.at for one in self.candidate.originals.values() if one.timed]
        return moment(max(times)) if times else None

    @property
    def ended_at(self) -> datetime | None:
        """When its end came, whatever came later; ``None`` where it has not come."""
        return self.end.at if self.end is not None else None

    @property
    def outlives(self) -> bool:
        return outlives(self.lifecycle, self.candidate)

    @property
    def certainty(self) -> Certainty:
        if self.recorded:
            return "sure"
        if self.contested:
            return "contested"
        return "inferred" if self.inferred or self._has_gaps else "sure"

    @cached_property
    def _has_gaps(self) -> bool:
        """Whether a step between two others was never reported."""
        return any(True for _ in self.candidate.gaps(self.lifecycle))

    @cached_property
    def steps(self) -> dict[str, StepTaken]:
        """Its steps in order; those that must have been and were not reported are inferred."""
        steps = {name: _taken(one) for name, one in self.candidate.originals.items()}
        for _, _, missing in self.candidate.gaps(self.lifecycle):
            steps.update((name, StepTaken(name)) for name in missing)
        if self.lost and self.lifecycle.is_presence:
            steps.update((name, StepTaken(name)) for name in self.lifecycle.endings if name not in steps)
        return steps

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the payloads say of the run; where two differ the first counts."""
        data: dict[str, Any] = {}
        names = self.lifecycle.data_fields
        for one in self.candidate.every:
            for name, value in zip(names, read_fields(self.lifecycle, one.data, names), strict=True):
                if value is not None and data.get(name) is None:
                    data[name] = value
        return data

    @cached_property
    def artefacts(self) -> dict[str, Any]:
        """The same of its files and urls alone, in the order in which they are declared."""
        found = {}
        for name, *values in zip(self.lifecycle.artefacts, *self._brought, strict=True):
            value = next((one for one in values if one is not None), None)
            if value is not None:
                found[name] = value
        return found

    @cached_property
    def _brought(self) -> list[tuple[Any, ...]]:
        """What each of its payloads says of the files and urls, in the order in which they are declared."""
        names = self.lifecycle.artefacts
        return [read_fields(self.lifecycle, one.data, names) for one in self.candidate.every] if names else []

    @cached_property
    def files(self) -> list[dict[str, Any]]:
        """The files and urls that it brought, one entry for each delivery that brought some."""
        found: list[dict[str, Any]] = []
        names = self.lifecycle.artefacts
        for values in self._brought:
            brought = {name: value for name, value in zip(names, values, strict=True) if value}
            if brought and brought not in found:
                found.append(brought)
        return found

    @property
    def end(self) -> StepTaken | None:
        """Its end as it was delivered; ``None`` where none was."""
        return self.delivered(self.candidate.state.name) if self.candidate.closed else None

    def delivered(self, step: str) -> StepTaken | None:
        """The step as it was delivered; ``None`` where it never was."""
        one = self.candidate.originals.get(step)
        return None if one is None else _taken(one)

    def said(self, name: str, step: str | None = None) -> str | None:
        """What ``data`` has of one field that holds a text and is sent by this name; the others are not read.

        ``step``: only what reports that step is asked.
        """
        for one in self.candidate.every:
            if step in (None, one.step.name) and (text := read_text(one.data, name)) is not None:
                return text
        return None


def _taken(one: Delivered) -> StepTaken:
    return StepTaken(one.step.name, one.received_at, one.position, False, one.data)
