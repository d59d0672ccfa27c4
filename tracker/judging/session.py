"""Observing: every delivery is put behind its aggregate, with the few facts of its session.

Nothing is judged here, so that nothing has to be taken back: which run a delivery belongs to is
decided when somebody asks (``assess``). What a log learns of its sessions (``log.Habits``) is seen
here too, because here is what came before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from tracker.delivery.envelope import UNVERIFIED, parse_time
from tracker.delivery.webhook import MALFORMED, MISSING_FIELD, UNKNOWN_TYPE, Delivery, Key, same_data
from tracker.judging.hypothesis import Delivered, micros
from tracker.judging.log import ENDS, Habits, Types, bit_of, due_minute, types_of
from tracker.judging.records import Name, Record, take_in
from tracker.lifecycle import Lifecycle
from tracker.record import RECORD
from tracker.step import Step

__all__ = ["AggregateKey", "Key", "Link", "Note", "Observed", "ObservedAggregate", "Oddity", "observe_all"]

AggregateKey = tuple[str, Key]
_LOOK_BACK = 64
"""Deliveries of an aggregate among which an equal one is looked for, for the habits of the log."""
TWO_CHANNELS = 0.75
"""The share of what can come only once that must have come twice for a session to have two channels."""
_IDLE = 3600 * 1_000_000
"""Silences of a session that are remembered, in microseconds; the rules say which of them count."""


class ObservedAggregate(msgspec.Struct, eq=False):
    """What came of one aggregate, in the order of arrival.

    Attributes:
        steps: The steps that came, as bits.
        is_once: Whether it can have one run only.
    """

    lifecycle: Lifecycle
    key: Key
    deliveries: list[Delivered] = msgspec.field(default_factory=list)
    steps: int = 0
    is_once: bool = False

    def __post_init__(self) -> None:
        self.is_once = not self.lifecycle.begins_anew or self.lifecycle.is_identified(self.key)


class Oddity(msgspec.Struct, frozen=True):
    """What a single delivery shows by itself: its code, and the words for it. ``is_mild``: it is no more than an info."""

    code: str
    position: int
    at: int
    type: str
    value: str
    lifecycle: str | None = None
    key: Key = ()
    is_mild: bool = False


class Note(msgspec.Struct, frozen=True):
    """A delivery that moves nothing: of which lifecycle and key it tells, where it stands and when it came."""

    lifecycle: str
    key: Key
    position: int
    at: int


Link = tuple[str | None, str | None]
"""The ids of a session and of a meeting, as far as they are known."""


class Observed(msgspec.Struct, eq=False):
    """All that came of one session, or of another stream.

    Attributes:
        stream: Where its deliveries are stored.
        session_id: The session's id; ``None`` where the stream is not a session's.
        meeting_id: The first meeting that a delivery named.
        account: The first account that one came from, where several are received.
        erased_at: When people were last erased from what came.
        aggregates: What came, by lifecycle and key.
        odd: What single deliveries show by themselves.
        notes: Those that move nothing.
        records: VideoSDK's own records, each with all that is known of it.
        links: Which sessions and meetings it was for, where the stream is not a session's.
        deliveries: How many came.
        first_at, last_at: The earliest and the newest receive time in microseconds; ``None`` where none is known.
        begun: When it began: by the clock of its session-started, or by ours where that is earlier or there is none.
        backwards: Whether the receive times are not in order.
        idle: Hours and longer in which nothing came: from when to when.
        types: The webhook types that came, as bits.
        repeated: Whether a step came twice of one aggregate, so that there may be copies.
        active: Whether something of a lifecycle came that is documented.
        named: What was found in this stream and is found once only.
        once: How many webhooks came that can come only once.
        usual: How many others came that equal none before.
        ages: How old their copies were.
        doubtful: How old others were that equal an earlier one.
        two_channels: Whether the log left these out, because everything comes twice here, through two channels.
        is_before_all: Whether no webhook of a session had come in the log before.
        counted: The types, as bits, that were counted for the account.
        inside: Of how many people the last that came is no left.
        left_at: When the last left came.
        due, due_of_account: The minute by which it should have ended, as the log and the account have counted it.
    """

    stream: str
    session_id: str | None = None
    meeting_id: str | None = None
    deliveries: int = 0
    first_position: int | None = None
    last_position: int | None = None
    first_at: int | None = None
    last_at: int | None = None
    begun: int | None = None
    backwards: bool = False
    types: int = 0
    repeated: bool = False
    active: bool = False
    once: int = 0
    usual: int = 0
    ages: list[int] = msgspec.field(default_factory=list)
    doubtful: list[int] = msgspec.field(default_factory=list)
    two_channels: bool = False
    is_before_all: bool = False
    account: str | None = None
    erased_at: datetime | None = None
    counted: int = 0
    inside: int = 0
    left_at: int | None = None
    due: int | None = None
    due_of_account: int | None = None
    aggregates: dict[AggregateKey, ObservedAggregate] = msgspec.field(default_factory=dict)
    odd: list[Oddity] = msgspec.field(default_factory=list)
    notes: list[Note] = msgspec.field(default_factory=list)
    links: list[Link] = msgspec.field(default_factory=list)
    records: dict[Name, Record] = msgspec.field(default_factory=dict)
    idle: list[tuple[int, int]] = msgspec.field(default_factory=list)
    named: set[str] = msgspec.field(default_factory=set)

    def observe(self, delivery: Delivery, habits: Habits | None = None) -> None:
        """Takes in the next delivery. Never raises, whatever was delivered."""
        lifecycle, step, received = delivery.lifecycle, delivery.step, delivery.received
        if received.erased_at is not None:
            self.erased_at = max(self.erased_at or received.erased_at, received.erased_at)
        if step is RECORD:
            self._observe_record(delivery, habits)
            return
        at = self._observe_time(received.received_at)
        self.deliveries += 1
        self.last_position = delivery.position
        if self.first_position is None:
            self.first_position = delivery.position
        if self.meeting_id is None and delivery.meeting_id is not None:
            self._observe_meeting(delivery.meeting_id, habits)
        if received.account is not None and received.account != self.account:
            self._observe_account(delivery, received.account, at)
        if received.verified_by == UNVERIFIED:
            self._name("C514", delivery, at, "")
        if lifecycle is None or step is None:
            self._observe_unrouted(delivery, at)
        else:
            self._observe_step(delivery, lifecycle, step, at, habits)

    def _observe_meeting(self, meeting_id: str, habits: Habits | None) -> None:
        self.meeting_id = meeting_id
        if habits is not None and self.session_id is not None:
            habits.saw_session(meeting_id)
        self._learn_begin(habits)

    def _observe_account(self, delivery: Delivery, account: str, at: int) -> None:
        if self.account is None:
            self.account = account
        else:
            self._name("C517", delivery, at, f"{self.account} and {account}")

    def _observe_record(self, delivery: Delivery, habits: Habits | None) -> None:
        """Keeps a record of VideoSDK's, which is no webhook: nothing was delivered, and no time passes by it."""
        lifecycle, at = delivery.lifecycle, delivery.received_at
        assert lifecycle is not None, "a step is of a lifecycle"
        asked = micros(at) if at is not None else self.last_at or 0
        said = delivery.said.get("record")
        take_in(self.records, lifecycle, delivery.key, delivery.position, asked, said)
        self.notes.append(Note(lifecycle.name, delivery.key, delivery.position, asked))
        if self.meeting_id is None and delivery.meeting_id is not None:
            self._observe_meeting(delivery.meeting_id, habits)
        self.account = self.account or delivery.received.account

    def name_before(self, names: Iterable[str]) -> None:
        """Says what was found in this stream before, which is found once only."""
        self.named.update(names)

    def _observe_time(self, received_at: datetime | None) -> int:
        """The receive time; where the log does not say, that of the delivery before, or if none has one, of the next that has."""
        if received_at is None:
            return self.last_at or 0
        at = micros(received_at)
        if self.last_at is None or self.first_at is None:
            self.first_at = self.last_at = at
            if self.deliveries:
                self._date_what_came_before(at)
        elif at < self.last_at:
            self.backwards = True
            self.first_at = min(self.first_at, at)
        else:
            if at - self.last_at >= _IDLE:
                self.idle.append((self.last_at, at))
            self.last_at = at
        return at

    def _date_what_came_before(self, at: int) -> None:
        """Gives the first receive time that is known to all that came before it, of which none is."""
        for aggregate in self.aggregates.values():
            aggregate.deliveries = [replace(one, at=at) for one in aggregate.deliveries]
        self.odd = [replace(one, at=at) for one in self.odd]
        self.notes = [replace(one, at=at) for one in self.notes]

    def _observe_step(
        self, delivery: Delivery, lifecycle: Lifecycle, step: Step, at: int, habits: Habits | None
    ) -> None:
        """Puts a delivery behind its aggregate."""
        if self.session_id is not None:
            self.active = self.active or lifecycle.is_documented
            if lifecycle.is_documented and delivery.meeting_id and delivery.meeting_id != self.meeting_id:
                self._name("C501", delivery, at, delivery.meeting_id)
        elif delivery.link is not None and delivery.link not in self.links:
            self.links.append(delivery.link)
        key = lifecycle.name, delivery.key
        if not step.moves:
            self.notes.append(Note(*key, delivery.position, at))
            return
        aggregate = self.aggregates.get(key)
        if aggregate is None:
            aggregate = self.aggregates[key] = ObservedAggregate(lifecycle, delivery.key)
        said = delivery.said
        evidence = any(map(said.get, lifecycle.evident))
        timed = delivery.received.received_at is not None
        one = Delivered(step, at, delivery.position, delivery.data, evidence, timed)
        webhook_type, step_bit = delivery.type or "", 1 << lifecycle.rank[step.name]
        bit = bit_of(webhook_type)
        if not self.types & bit:
            self._observe_type(aggregate, one, webhook_type, bit, habits)
        if habits is not None and self.session_id is not None:
            self._learn(aggregate, one, bit, step_bit, habits)
        if self.begun is None and lifecycle.is_session and timed and step.name in lifecycle.starts:
            self.begun = min(at, _own_time(lifecycle, said) or at)
            self._learn_begin(habits)
        if aggregate.steps & step_bit:
            self.repeated = True
        aggregate.steps |= step_bit
        aggregate.deliveries.append(one)

    def _observe_unrouted(self, delivery: Delivery, at: int) -> None:
        if delivery.unrouted in (MALFORMED, MISSING_FIELD):
            self.odd.append(_oddity(delivery.unrouted, delivery, at, delivery.problem))
        elif delivery.unrouted == UNKNOWN_TYPE:
            self._name(UNKNOWN_TYPE, delivery, at, delivery.problem, delivery.topic)

    def _name(self, code: str, delivery: Delivery, at: int, value: str, what: str = "") -> None:
        """Notes what is found once only: of each type, each other meeting, each session."""
        name = f"{code} {what or value}"
        if name not in self.named:
            self.named.add(name)
            self.odd.append(_oddity(code, delivery, at, value))

    def _learn_begin(self, habits: Habits | None) -> None:
        """Tells when the session began, once that and its room are known."""
        if habits is not None and self.begun is not None and self.meeting_id is not None:
            habits.saw_begin(self.meeting_id, self.begun)

    def _learn(
        self, aggregate: ObservedAggregate, one: Delivered, bit: int, step_bit: int, habits: Habits
    ) -> None:
        """Tells the log's habits what came: a body that equals an earlier one, a step that is late."""
        if one.timed:
            habits.saw_time(one.at)
        if aggregate.lifecycle.is_presence:
            self._count_inside(aggregate, one)
        due = None
        if self.active and self.last_at is not None and not self.types & ENDS:
            due = due_minute(None if self.inside else self.left_at, self.last_at)
        if due != self.due:
            habits.saw_due(due, self.due)
            self.due = due
        if self.account is not None:
            self._learn_of_account(aggregate, one, bit, habits.of_account(self.account))
        evidence = aggregate.is_once or (one.evidence and not aggregate.lifecycle.reusable)
        if aggregate.steps & step_bit:
            age = _age_as_copy(aggregate, one)
            if age is not None:
                self._count_copy(one, age, habits, evidence=evidence)
                return
        elif aggregate.steps > step_bit and not one.step.closes:
            habits.saw_step(one.at, one.at - aggregate.deliveries[-1].at)
        elif aggregate.steps:
            habits.saw_step(one.at)
        if not evidence:
            self.usual += 1
            habits.others += not self.two_channels
        else:
            self.once += 1
            habits.bodies += not self.two_channels
            if self.two_channels:
                self._see_whether_two_channels(habits)

    def _observe_type(
        self, aggregate: ObservedAggregate, one: Delivered, webhook_type: str, bit: int, habits: Habits | None
    ) -> None:
        """A type came for the first time in the session."""
        self.types |= bit
        if habits is not None and self.session_id is not None:
            habits.saw_type(webhook_type)
            if self.meeting_id is not None:
                habits.saw_in_room(bit, self.meeting_id, self.account)
            if aggregate.lifecycle.is_session and one.step.closes:
                habits.saw_end(self.types)

    def _count_inside(self, aggregate: ObservedAggregate, one: Delivered) -> None:
        """Somebody came or went."""
        was_inside = bool(aggregate.deliveries) and not aggregate.deliveries[-1].step.closes
        self.inside += (not one.step.closes) - was_inside
        if one.step.closes:
            self.left_at = max(self.left_at or one.at, one.at)

    def _learn_of_account(self, aggregate: ObservedAggregate, one: Delivered, bit: int, learned: Types) -> None:
        """Counts a type for the session's account, and those that came before that was known."""
        if one.timed:
            learned.saw_time(one.at)
        new = self.types & ~self.counted
        self.counted |= new
        for name in types_of(new):
            learned.saw_type(name)
        if new & bit and aggregate.lifecycle.is_session and one.step.closes:
            learned.saw_end(self.types)
        if self.due != self.due_of_account:
            learned.saw_due(self.due, self.due_of_account)
            self.due_of_account = self.due

    def _count_copy(self, one: Delivered, age: int, habits: Habits, *, evidence: bool) -> None:
        habits.saw_equal(one.at, age, self.stream, one.position, evidence=evidence)
        (self.ages if evidence else self.doubtful).append(age)
        if self.two_channels:
            habits.count_equals([age], -1, evidence=evidence)
        elif evidence:
            self._see_whether_two_channels(habits)

    def _see_whether_two_channels(self, habits: Habits) -> None:
        """Where everything comes twice, through two channels, the copies say nothing of other sessions."""
        two_channels = self.once >= 2 and len(self.ages) >= TWO_CHANNELS * self.once
        if two_channels != self.two_channels:
            self.two_channels = two_channels
            by = -1 if two_channels else 1
            habits.bodies += by * self.once
            habits.others += by * self.usual
            habits.count_equals(self.ages, by, evidence=True)
            habits.count_equals(self.doubtful, by, evidence=False)


def observe_all(deliveries: Iterable[Delivery], habits: Habits | None = None) -> Observed | None:
    """What came of one stream; ``None`` if nothing did."""
    observed = None
    for delivery in deliveries:
        observed = observed or Observed(delivery.stream, delivery.session_id)
        observed.observe(delivery, habits)
    return observed


def _age_as_copy(aggregate: ObservedAggregate, one: Delivered) -> int | None:
    """How long before it the same came last; ``None`` where it never did."""
    for other in reversed(aggregate.deliveries[-_LOOK_BACK:]):
        if other.step is one.step and same_data(other.data, one.data):
            return max(0, one.at - other.at)
    return None


def _own_time(lifecycle: Lifecycle, said: Mapping[str, Any]) -> int | None:
    """When a session began by its own clock, in microseconds; what is delivered late says so by it."""
    text = said.get(lifecycle.times[0]) if lifecycle.times else None
    time = parse_time(text) if isinstance(text, str) else None
    return None if time is None else micros(time)


def _oddity(code: str, delivery: Delivery, at: int, value: str) -> Oddity:
    lifecycle = delivery.lifecycle.name if delivery.lifecycle else None
    is_mild = delivery.declared is not None and not delivery.declared.is_documented
    return Oddity(code, delivery.position, at, delivery.topic, value, lifecycle, delivery.key, is_mild)
