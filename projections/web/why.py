"""Why a session is judged as it is: what the API answers, and the classes of it. As ``projections.web.answers``."""

from __future__ import annotations

from functools import partial

from projections.explain.explanation import Explanation, values
from projections.explain.explanation import explain as explained
from projections.web.answers import unknown
from projections.web.contracts import Contract, Finding, Position, Time
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.judging.state import SessionState


def explain(of: Snapshot, asked: Values) -> Values:
    """Why a session is judged as it is: what is held, what that assumes and costs, and what else may have happened."""
    return values(explanation_of(of, asked))


def explanation_of(of: Snapshot, asked: Values) -> Explanation:
    """The explanation of a session, now, at a moment (``as_of``) or right after a position (``at``)."""
    name, as_of, at = asked["session"], asked["as_of"], asked["at"]
    deliveries = list(of.tracker.history(name, at=at, as_of=as_of))
    if not deliveries:
        raise unknown(of, name)
    until = of.as_of if at is None and as_of is None else as_of
    completed = partial(of.completed, at=at, as_of=as_of)
    found = explained(deliveries, of.rules, until, of.log.known_by(at, as_of), completed)
    assert found is not None
    return found


class Assumed(Contract):
    """One thing that is assumed, what it costs, and the webhook types that are then missing."""

    name: str
    code: str
    price: float
    words: str
    positions: list[Position]
    missing: list[str]


class CodeAt(Contract):
    code: str
    position: Position


class StepAt(Contract):
    step: str
    position: Position
    at: Time | None


class HeldRun(Contract):
    run: int
    state: str
    lost: bool
    steps: list[StepAt]
    contradictions: list[StepAt]


class Copy(Contract):
    """A delivery that is held for a copy of another one."""

    position: Position
    of: Position
    run: int
    certain: bool
    price: float


class Held(Contract):
    """The hypothesis that is held: what it costs, how probable it is, and what it makes of the deliveries."""

    price: float
    probability: float
    assumed: list[Assumed]
    findings: list[CodeAt]
    runs: list[HeldRun]
    copies: list[Copy]


class Difference(Contract):
    positions: list[Position]
    words: str


class AlternativeHypothesis(Contract):
    """Another hypothesis, and in what it differs."""

    price: float
    probability: float
    assumed: list[Assumed]
    findings: list[CodeAt]
    differs: list[Difference]


class Reason(Contract):
    """One thing in the session that has a finding or an alternative."""

    lifecycle: str
    key: dict[str, str]
    name: str
    findings: list[Finding]
    held: Held
    alternatives: list[AlternativeHypothesis]
    counterfactual: str | None


class Explained(Contract):
    """Why a session is judged as it is; ``others`` are the findings that are about no single thing."""

    session_id: str | None
    meeting_id: str | None
    state: SessionState
    as_of: Time | None
    aggregates: list[Reason]
    others: list[Finding]
