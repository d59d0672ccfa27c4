"""What the API answers of many sessions at once; as ``projections.web.contracts``."""

from __future__ import annotations

from typing import Any, Literal

from projections.web.contracts import Contract, Next, Session, Time, UpTo
from tracker.findings import Severity, Verdict
from tracker.judging.state import Certainty, SessionState


class Present(Contract):
    """Somebody who was inside during a run. ``at_end`` is null where the run has no known end."""

    participant_id: str
    name: str | None
    at_end: bool | None


class MediaRun(Contract):
    """A run of what leaves files behind, and its state."""

    session_id: str
    meeting_id: str | None
    lifecycle: str
    key: dict[str, str]
    run: int
    state: str
    certainty: Certainty


class Recording(MediaRun):
    """One run of what leaves files behind; ``findings`` are codes, ``people`` those who were inside meanwhile.

    ``videosdk_file`` is a file that VideoSDK's own record has and no webhook brought.
    """

    began_at: Time | None
    started_at: Time | None
    stopped_at: Time | None
    files: list[dict[str, Any]]
    findings: list[str]
    account: str | None
    videosdk_file: str | None
    people: list[Present]


class Recordings(Contract):
    """A page of recordings, the one that began last first."""

    items: list[Recording]
    next: Next
    position: UpTo


class Issue(Contract):
    """One code with one cause: how often it was found, and where. ``buckets`` are equal parts of the period.

    ``first_at`` and ``last_at`` are those in the period; ``first_ever_at`` may be before it.
    """

    code: str
    slug: str
    severity: Severity
    cause: str | None
    lifecycles: list[str]
    count: int
    before: int | None
    sessions: int
    rooms: int
    first_at: Time | None
    last_at: Time | None
    first_ever_at: Time | None
    trend: Literal["new", "back", "known"]
    buckets: list[int]
    when: str
    advice: str


class Issues(Contract):
    """What is wrong, grouped by code and cause."""

    items: list[Issue]
    position: UpTo


class Running(MediaRun):
    """A recording or a stream that is under way; ``seconds`` for how long."""

    began_at: Time | None
    seconds: int | None


class Live(Contract):
    """What is there now: sessions, people inside, recordings under way, and those that run longest."""

    sessions: int
    people: int
    running: int
    longest: list[Running]


class Hour(Contract):
    """Errors and warnings of an hour, and how many of both there were in the same hour the day before."""

    hour: str
    errors: int
    warnings: int
    day_before: int


class WithoutTime(Contract):
    """Errors and warnings of which nobody knows when they happened: they belong to no day."""

    errors: int
    warnings: int


class Received(Contract):
    """How many deliveries came on a day, hour by hour, and which share of them came twice or late."""

    number: int
    twice: float | None
    late: float | None
    hours: list[int]


class Deliveries(Contract):
    day: Received
    day_before: Received


class Health(Contract):
    """How the server does: what is not judged yet and for how many seconds, and what was not signed rightly."""

    lag: int
    waited: float
    signature_failures: int | None
    verifies: bool | None
    problem: str


class Overview(Contract):
    """How everything is now, and a day in UTC beside the day before. ``recordings`` are numbers by what became of them."""

    now: Time
    day: str
    zone: str
    live: Live
    recordings: dict[str, int]
    hours: list[Hour]
    without_time: WithoutTime
    issues: list[Issue]
    deliveries: Deliveries
    last_at: Time | None
    health: Health
    position: UpTo


class RoomDay(Contract):
    """A day in UTC on which a session of the room began; null for those without a time."""

    day: str | None
    sessions: int
    minutes: float
    peak: int
    errors: int
    warnings: int


class RoomSession(Session):
    """A session of the room, as in the list of sessions, with its minutes and its peak."""

    minutes: float
    peak: int
    peak_at: Time | None


class Room(Contract):
    """One room (meeting id): numbers of all its sessions, its days, and its newest sessions."""

    meeting_id: str
    sessions: int
    live: int
    first_at: Time | None
    last_at: Time | None
    people: int
    minutes: float
    peak: int
    peak_at: Time | None
    recordings: dict[str, int]
    issues: list[Issue]
    zone: str
    days: list[RoomDay]
    items: list[RoomSession]


class PersonVisit(Contract):
    """One visit; ``seconds`` are an estimate where ``is_known`` is false, because one end of it was not reported."""

    session_id: str
    meeting_id: str | None
    visit: int
    name: str | None
    state: str
    certainty: Certainty
    reason: str | None
    joined_at: Time | None
    left_at: Time | None
    seconds: int | None
    is_known: bool


class PersonRecording(MediaRun):
    """A recording of the person (``own``), or one during which they were inside."""

    files: list[dict[str, Any]]
    findings: list[str]
    started_at: Time | None
    stopped_at: Time | None
    own: bool


class PersonFinding(Contract):
    """A finding that is about the person."""

    code: str
    slug: str
    severity: Severity
    verdict: Verdict
    session_id: str
    meeting_id: str | None
    lifecycle: str | None
    at: Time | None
    message: str
    advice: str


class Person(Contract):
    """One person by id. ``inside`` are the sessions in which they are now; the lists have the newest first."""

    participant_id: str
    names: list[str]
    sessions: int
    rooms: int
    visits: int
    minutes: float
    first_at: Time | None
    last_at: Time | None
    inside: list[str]
    items: list[PersonVisit]
    recordings: list[PersonRecording]
    findings: list[PersonFinding]


class FoundRoom(Contract):
    meeting_id: str
    sessions: int
    live: int


class FoundSession(Contract):
    session_id: str
    meeting_id: str | None
    state: SessionState
    severity: Severity | None


class FoundThing(Contract):
    """A run of what has a stream of its own, as a call or an agent has."""

    stream: str
    lifecycle: str
    key: dict[str, str]
    run: int
    state: str
    meeting_id: str | None


class FoundPerson(Contract):
    participant_id: str
    name: str | None
    sessions: int


class FoundFile(Contract):
    """A url, a path or an id of a file, and the run that brought it."""

    value: str
    session_id: str
    meeting_id: str | None
    lifecycle: str
    run: int


class FoundCode(Contract):
    code: str
    slug: str
    severity: Severity
    count: int


class Found(Contract):
    """What begins like the query, a few of each kind. ``position`` is the delivery that a number stands for."""

    query: str
    position: int | None
    rooms: list[FoundRoom]
    sessions: list[FoundSession]
    things: list[FoundThing]
    people: list[FoundPerson]
    files: list[FoundFile]
    codes: list[FoundCode]
