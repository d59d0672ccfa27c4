"""What the API answers: the classes that its description is made from, and that every body goes through.

Names are promises, those of ``tracker status --json``, ``audit`` and ``timeline``. A time is ISO 8601 in UTC.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tracker.findings import Severity, Verdict
from tracker.judging.state import Certainty, Reading, SessionState

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Position = Annotated[int, Meta(description="The place of a delivery in the store, from 1.")]
Confidence = Annotated[float, Meta(description="How probable it is that it is so, from 0 to 1.", ge=0, le=1)]
Next = Annotated[str | None, Meta(description="The cursor of the next page; null on the last one.")]
UpTo = Annotated[
    int, Meta(description="The read models were at this position; /api/changes goes on from there.")
]


class Contract(msgspec.Struct, gc=False):
    """What a body holds; its fields come in the order in which they are declared, and it holds no cycles."""


def encode(values: Any, of: type) -> bytes:
    """A body of this class. Raises ``msgspec.ValidationError`` where the values are not what it promises."""
    return msgspec.json.encode(msgspec.convert(values, of))


class Alternative(Contract):
    """What may have happened instead, in words; which codes would be found then, each at which position."""

    message: str
    codes: list[str]
    positions: list[int]
    confidence: Confidence


class Judged(Contract):
    """What is wrong, where, and how sure that is: the same of a finding and of an alert about it."""

    code: str
    slug: str
    severity: Severity
    verdict: Verdict
    confidence: Confidence
    session_id: str | None
    meeting_id: str | None
    lifecycle: str | None
    key: dict[str, str]
    run: int | None
    position: Position | None


class Finding(Judged):
    """One finding: what is wrong, where, how sure that is, what else may have happened, and what to do."""

    evidence: list[int]
    at: Time | None
    state_before: str | None
    state_after: str | None
    expected: list[str]
    message: str
    advice: str
    alternatives: list[Alternative]
    cause: str | None
    account: str | None


class Visit(Contract):
    joined_at: Time | None
    left_at: Time | None


class Participant(Contract):
    """One person, by id."""

    participant_id: str
    name: str | None
    state: str
    certainty: Certainty
    visits: list[Visit]


class Step(Contract):
    """A step of a run; an inferred one was never delivered."""

    step: str
    at: Time | None
    position: int | None
    inferred: bool


class Run(Contract):
    """One pass through a lifecycle: what its payloads say in ``data``, and the files that they brought."""

    run: int
    state: str
    certainty: Certainty
    steps: list[Step]
    data: dict[str, Any]
    files: list[dict[str, Any]]


class Aggregate(Contract):
    """One thing in the session that has a state."""

    lifecycle: str
    key: dict[str, str]
    state: str | None
    certainty: Certainty
    runs: list[Run]


class Link(Contract):
    """Which session or which room something was for that has a stream of its own, as far as it says so."""

    session_id: str | None
    meeting_id: str | None


class Pruned(Contract):
    """When a session was pruned, and the archives that hold what came before."""

    at: Time
    archives: list[str]


class Status(Contract):
    """The state of one session with what it had beside it, now or at a moment before.

    ``minutes`` are those of all visits added up, ``peak`` how many people were inside at once at most, first at ``peak_at``.
    ``erased_at`` is when people were last erased from it. If it was ``pruned``, this is only what came later.
    """

    session_id: str | None
    meeting_id: str | None
    state: SessionState
    certainty: Certainty
    started_at: Time | None
    ended_at: Time | None
    first_seen_at: Time | None
    last_seen_at: Time | None
    deliveries: int
    last_position: int | None
    minutes: float
    peak: int
    peak_at: Time | None
    participants: list[Participant]
    aggregates: list[Aggregate]
    findings: list[Finding]
    links: list[Link]
    account: str | None
    erased_at: Time | None
    pruned: Pruned | None


class Session(Contract):
    """One session in the list. ``severity`` is the gravest of its findings that have settled."""

    session_id: str
    meeting_id: str | None
    state: SessionState
    certainty: Certainty
    started_at: Time | None
    ended_at: Time | None
    first_seen_at: Time | None
    last_seen_at: Time | None
    deliveries: int
    last_position: int
    participants: int
    inside: int
    severity: Severity | None
    errors: int
    warnings: int
    provisional: int
    account: str | None


class Sessions(Contract):
    """A page of sessions, the most recent delivery first."""

    items: list[Session]
    next: Next
    position: UpTo


class Findings(Contract):
    """A page of findings, the newest delivery's first."""

    items: list[Finding]
    next: Next
    position: UpTo


class Withdrawn(Contract):
    """A finding that was published and is not held any more, as it was published last."""

    code: str
    slug: str
    severity: Severity
    verdict: Verdict
    confidence: Confidence
    lifecycle: str | None
    key: dict[str, str]
    run: int | None
    position: int | None
    message: str
    at: Time | None
    published_at: Time
    changed_at: Time | None
    withdrawn_at: Time


class Withdrawals(Contract):
    """What was published of a session and is not held any more, the one withdrawn last first."""

    items: list[Withdrawn]


class Moment(Contract):
    """One delivery, and what it was taken for; ``findings`` are codes."""

    position: Position
    received_at: Time | None
    type: str | None
    lifecycle: str | None
    key: dict[str, str]
    run: int | None
    reading: Reading
    state_before: str | None
    state_after: str | None
    findings: list[str]


class Timeline(Contract):
    """A page of a session's deliveries in order."""

    items: list[Moment]
    next: Next


class MomentOfStream(Moment):
    """The same, the stream that it is in (a session's id, or `resource:ID`, `unrouted:REASON` and the like), and its account."""

    stream: str
    account: str | None


class Events(Contract):
    """A page of deliveries, the newest first."""

    items: list[MomentOfStream]
    next: Next
    position: UpTo


class Event(Contract):
    """One delivery as it came, and what it did.

    The body is in ``body``, or in ``body_base64`` where it is no text. ``problem`` is why it belongs nowhere.
    """

    position: Position
    received_at: Time | None
    source: str
    verified_by: str | None
    account: str | None
    type: str | None
    session_id: str | None
    meeting_id: str | None
    body: str | None
    body_base64: str | None
    lifecycle: str | None
    key: dict[str, str]
    run: int | None
    reading: Reading
    state_before: str | None
    state_after: str | None
    problem: str | None
    findings: list[Finding]


class LifecycleStep(Contract):
    """A webhook type of a lifecycle, the state it reports, and the code of each thing that can go wrong with it."""

    step: str
    type: str
    state: str
    closes: bool
    limit: str | None
    brings: list[str]
    codes: dict[str, str]


class Movement(Contract):
    """A type that may come in a state, and the state after it; null is the state before anything came."""

    state_before: str | None
    type: str
    state_after: str


class Lifecycle(Contract):
    """How one kind of thing is supposed to go. ``fields`` are those of the payload, with what each is for."""

    lifecycle: str
    key: list[str]
    optional_key: list[str]
    fields: dict[str, list[str]]
    steps: list[LifecycleStep]
    movements: list[Movement]


class Lifecycles(Contract):
    """All of them."""

    items: list[Lifecycle]


class Worst(Contract):
    """The gravest of a session's findings that have settled."""

    code: str
    slug: str
    severity: Severity


class Change(Contract):
    """What an event of the stream holds: a session that changed, as it is now. ``worst`` is null below warning."""

    session_id: str
    meeting_id: str | None
    state: SessionState
    last_position: Position
    worst: Worst | None


class Readiness(Contract):
    """Whether webhooks can be stored and judged, and why not. Who only receives judges nothing."""

    ready: bool
    reasons: list[str]
    position: int | None
    lag: int | None
