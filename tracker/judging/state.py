"""A session as it stands at a moment: values for whoever asks, derived from the hypotheses that are held.

``assess`` makes them and fills in the findings. Whatever costs time and not everybody asks for (the payload of
a run, the reading of each delivery) is derived when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Literal

import msgspec

from tracker.delivery.payload import read_text
from tracker.findings import Finding
from tracker.judging.hypothesis import Candidate, Delivered, Hypothesis
from tracker.judging.records import RecordsOf
from tracker.judging.run import LOST, Certainty, Run, StepTaken
from tracker.judging.sequence import is_orphan
from tracker.judging.session import AggregateKey, Key, Link, Note
from tracker.lifecycle import ABSENT, Lifecycle

__all__ = [
    "LOST",
    "Aggregate",
    "Certainty",
    "Judgement",
    "Reading",
    "Run",
    "Session",
    "SessionState",
    "StepTaken",
    "Visit",
]

Reading = Literal[
    "advanced",
    "skipped-ahead",
    "late",
    "redelivered",
    "repeated",
    "conflict",
    "new-run",
    "overtaken",
    "orphan",
    "noted",
    "unrouted",
]
SessionState = Literal["live", "ended", "presumed-ended", "unknown"]

AS_GOOD = 1.0
"""Two hypotheses are as good as each other that differ by no more."""


class Judgement(msgspec.Struct, frozen=True):
    """What a delivery was, with hindsight, and the state of its run before and after it."""

    reading: Reading
    lifecycle: str | None = None
    key: Key = ()
    run: int | None = None
    state_before: str | None = None
    state_after: str | None = None


class Visit(msgspec.Struct, frozen=True):
    """One run of a person's: when they came and went, as far as that was delivered, and the reason that was given.

    Of a joined that was received after the left nobody knows when it happened: ``joined_at`` is then ``None``, and
    ``joined_received_at`` says when it was received.
    """

    number: int
    state: str
    certainty: Certainty
    joined_at: datetime | None
    left_at: datetime | None
    reason: str | None
    joined_received_at: datetime | None


class Aggregate(msgspec.Struct, eq=False, dict=True):
    """One instance of a lifecycle in one session, which ``key`` distinguishes from the others.

    Attributes:
        lifecycle, key: Which one it is.
        deliveries: All that came of it, in the order of arrival.
        runs: In the order in which they began.
        held: The hypothesis that is held.
        alternatives: The others that were kept, the lowest price first; empty in the ordinary case.
        is_in_order: Whether every run came to its end, nothing came again, and nothing has to be assumed for that.
    """

    lifecycle: Lifecycle
    key: Key
    deliveries: Sequence[Delivered]
    runs: list[Run]
    held: Hypothesis
    alternatives: Sequence[Hypothesis] = ()
    is_in_order: bool = False

    @cached_property
    def label(self) -> str:
        """What people call it: the name that came last."""
        said = b""
        for one in reversed(self.deliveries) if self.lifecycle.label else ():
            if one.data != said and (name := read_text(one.data, self.lifecycle.label_sent)):
                return name
            said = one.data
        return ""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name by which people called it."""
        said = dict.fromkeys(one.data for one in self.deliveries) if self.lifecycle.label else {}
        names = (read_text(data, self.lifecycle.label_sent) for data in said)
        return tuple(dict.fromkeys(name for name in names if name))

    @cached_property
    def visits(self) -> list[Visit]:
        """The runs of a person."""
        coming, going = [step.name for step in self.lifecycle.steps]
        found = []
        for run in self.runs:
            came, went = run.candidate.originals.get(coming), run.candidate.originals.get(going)
            received_at = came.received_at if came is not None else None
            left_at = went.received_at if went is not None else None
            is_late = received_at is not None and left_at is not None and received_at > left_at
            times = None if is_late else received_at, left_at
            found.append(Visit(run.number, run.state, run.certainty, *times, run.said("reason"), received_at))
        return found

    @cached_property
    def last_file(self) -> tuple[int, int]:
        """When a run last brought a file or url, and its position; ``(0, 0)`` if none did."""
        every = (one for run in self.runs for one in run.candidate.originals.values())
        return max((one.order for one in every if one.evidence), default=(0, 0))

    @property
    def run(self) -> Run:
        """The latest run."""
        return self.runs[-1]

    @property
    def state(self) -> str:
        return self.runs[-1].state

    @property
    def certainty(self) -> Certainty:
        return self.runs[-1].certainty

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return self.label or " ".join(value for _, value in self.key) or self.lifecycle.name

    @cached_property
    def inside(self) -> list[tuple[int, int | None]]:
        """From when to when a person was inside, the last time first; ``None`` where no end of the last one is known."""
        found: list[tuple[int, int | None]] = []
        until: int | None = None
        for run in reversed(self.runs):
            joined = left = None
            for one in run.candidate.originals.values():
                if one.step.closes:
                    left = one.at if left is None else left
                else:
                    joined = one.at if joined is None else joined
            come, gone = joined or 0, left if left is not None else until
            if joined is not None and left is not None and left < joined:  # the joined came late
                come, gone = left, joined
            found.append((come, gone))
            until = run.candidate.began
        return found

    @cached_property
    def begun(self) -> list[Run]:
        """The runs of which more than an end came."""
        return [run for run in self.runs if not is_orphan(self.lifecycle, run.candidate)]

    @cached_property
    def run_of(self) -> dict[int, int]:
        """Position -> the number of the run that the delivery is of, or a copy of which."""
        return self.held.run_of()

    @cached_property
    def readings(self) -> list[tuple[int, Judgement]]:
        """Position -> what each of its deliveries was, with hindsight."""
        return list(self._readings())

    def _readings(self) -> Iterator[tuple[int, Judgement]]:
        states: dict[int, dict[int, tuple[str, str]]] = {}
        runs = {run.number: run for run in self.held.all_runs()}
        for run in runs.values():
            states[run.number] = _states(self.lifecycle, run)
            for name, one in run.originals.items():
                reading = self._reading_of(run, name, one, runs.get(run.number + 1))
                yield one.position, self._judgement(reading, run.number, states[run.number][one.position])
            for code, one in run.others:
                before = _state_at(run, states[run.number], one)
                reading = "advanced" if code == "supplement" else "conflict"
                yield one.position, self._judgement(reading, run.number, (before, before))
        for copy in self.held.all_copies():
            before = _state_at(runs[copy.run], states[copy.run], copy.delivered)
            reading = "redelivered" if copy.certain or copy.age < OLD else "repeated"
            yield copy.delivered.position, self._judgement(reading, copy.run, (before, before))

    def _judgement(self, reading: Reading, run: int, states: tuple[str, str]) -> Judgement:
        return Judgement(reading, self.lifecycle.name, self.key, run, *states)

    def _reading_of(self, run: Candidate, name: str, one: Delivered, following: Candidate | None) -> Reading:
        lifecycle = self.lifecycle
        if one is run.first:
            if name not in lifecycle.starts:
                return "orphan" if one.step.orphan else "skipped-ahead"
            return "new-run" if run.number > 1 else "advanced"
        rank, order, highest = lifecycle.rank, one.order, run.first
        for other_name, other in run.originals.items():
            if rank[other_name] > rank[highest.step.name] and other.order < order:
                highest = other
        if rank[name] < rank[highest.step.name] or highest.step.closes:
            return "conflict" if one.step.closes and highest.step.closes else "late"
        if following is not None and following.first.position < one.position:
            return "overtaken" if lifecycle.is_presence else "late"
        return "advanced" if name in lifecycle.table[highest.step.state] else "skipped-ahead"


OLD = 6 * 3600 * 1_000_000
"""Microseconds after which a copy without evidence is no mere redelivery."""


def _states(lifecycle: Lifecycle, run: Candidate) -> dict[int, tuple[str, str]]:
    """The state of a run before and after each of its originals, by position."""
    found = {}
    state, rank, closed = ABSENT, -1, False
    for one in run.originals.values():
        before = state
        if not closed and (one.step.closes or lifecycle.rank[one.step.name] > rank):
            state, rank, closed = one.step.state, lifecycle.rank[one.step.name], one.step.closes
        found[one.position] = before, state
    return found


def _state_at(run: Candidate, states: Mapping[int, tuple[str, str]], delivered: Delivered) -> str:
    before = [one for one in run.originals.values() if one.order < delivered.order]
    return states[before[-1].position][1] if before else ABSENT


class Session(msgspec.Struct, eq=False):
    """What is held of one session (or other stream) as of a moment.

    Attributes:
        stream: Where its deliveries are stored.
        aggregates: By lifecycle and key, in the order in which they appeared.
        findings: Everything found, in the order of the deliveries.
        first_seen_at, last_seen_at: Receive times.
        begun_at: When it began: by the clock of its session-started, or by ours where that is earlier.
        started_at, ended_at: The session's own clock times where it sent valid ones, else receive times.
        end_received_at: When its session-ended was received.
        idle: Times in which nothing came for so long that it was presumed to have ended.
        as_of: The moment; ``None`` where no time is known.
        next_change: When time alone will change something, if nothing comes before.
        presence_known: Whether it is known who is inside: both joined and left are subscribed to.
        notes: Deliveries that move nothing.
        links: Which sessions and meetings it was for, where the stream is not a session's.
        in_doubt: Whether what is held depends on what the log says of other sessions.
        account: The account of VideoSDK that it is of, where several are received.
        erased_at: When people were last erased from what came of it.
        records: VideoSDK's own records of it, where it was asked for them.
        recorded: Whether they say that it has ended, which no webhook did.
    """

    stream: str
    session_id: str | None = None
    meeting_id: str | None = None
    aggregates: dict[AggregateKey, Aggregate] = msgspec.field(default_factory=dict)
    findings: list[Finding] = msgspec.field(default_factory=list)
    deliveries: int = 0
    first_position: int | None = None
    last_position: int | None = None
    end_position: int | None = None
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    started: bool = False
    ended: bool = False
    presumed_ended: bool = False
    active: bool = False
    begun_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end_received_at: datetime | None = None
    idle: list[tuple[datetime, datetime]] = msgspec.field(default_factory=list)
    as_of: datetime | None = None
    next_change: datetime | None = None
    presence_known: bool = True
    in_doubt: bool = False
    notes: Sequence[Note] = ()
    links: Sequence[Link] = ()
    account: str | None = None
    erased_at: datetime | None = None
    records: RecordsOf | None = None
    recorded: bool = False

    @property
    def state(self) -> SessionState:
        if self.ended:
            return "ended"
        if self.presumed_ended:
            return "presumed-ended"
        return "live" if self.active else "unknown"

    @property
    def certainty(self) -> Certainty:
        if self.presumed_ended:
            return "inferred" if self.recorded else "contested"
        return "sure" if self.started else "inferred"

    @property
    def participants(self) -> list[Aggregate]:
        """The people, in the order in which they appeared; their runs are their visits."""
        return [one for one in self.aggregates.values() if one.lifecycle.is_presence]

    @property
    def recordings(self) -> list[Run]:
        """Every run of what leaves files or urls behind, in the order in which they appeared."""
        ones = (one for one in self.aggregates.values() if one.lifecycle.artefacts)
        return [run for one in ones for run in one.runs]

    def readings(self) -> dict[int, Judgement]:
        """Position -> what the delivery there was, with hindsight. What is unrouted is left out."""
        found: dict[int, Judgement] = {}
        for aggregate in self.aggregates.values():
            found.update(aggregate.readings)
        found.update((one.position, self._noted(one)) for one in self.notes)
        return found

    def _noted(self, note: Note) -> Judgement:
        """What a delivery that moves nothing was: the run that it tells of, and its state."""
        aggregate = self.aggregates.get((note.lifecycle, note.key))
        before: tuple[Run, Delivered] | None = None
        for run in aggregate.runs if aggregate is not None else ():
            for one in run.candidate.originals.values():
                if one.position < note.position and (before is None or one.position > before[1].position):
                    before = run, one
        if before is None:
            return Judgement("noted", note.lifecycle, note.key)
        run, one = before
        state = _states(run.lifecycle, run.candidate)[one.position][1]
        return Judgement("noted", note.lifecycle, note.key, run.number, state, state)

    def open_runs(self) -> Iterator[tuple[Aggregate, Run]]:
        """The runs that have not come to an end, of what should end with the session."""
        for aggregate in self.aggregates.values():
            if aggregate.lifecycle.open_at_end:
                yield from ((aggregate, run) for run in aggregate.runs if not run.closed and not run.outlives)
