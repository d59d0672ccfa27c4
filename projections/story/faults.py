"""The delivery faults in which a story is told, and how a log would read without one.

A webhook can be *late*, *redelivered* or *lost*. ``undo`` gives the log as it would have been received
had the one fault not been; judging that is the whole proof that the fault explains a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import attrs
import msgspec

from tracker.aggregate import gap
from tracker.envelope import Received
from tracker.lifecycle import Lifecycle, Step
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules
from tracker.webhook import Delivery, camel_case, parse

Kind = Literal["late", "redelivered", "lost"]
Key = tuple[tuple[str, str], ...]

PROMPT, DELAYED, FAR = 1, 2, 5
"""What a fault costs by how long it took: as usual, a retry's time, longer than any window."""
LOSS = 3
"""What each webhook costs that never came. A little more than a retry: both are told where both fit."""


@attrs.frozen
class Fault:
    """One thing that went wrong with the delivery.

    ``types`` are the webhook types: one, or those of a row that was lost, in their order. ``position``
    is the delivery that was late or came twice. ``after`` and ``before`` are positions: of a copy, the
    original (``after``); else between what it should have come, as far as that is known. ``by`` is the
    last moment for it where only the moment counts.
    """

    kind: Kind
    types: tuple[str, ...]
    cost: int
    key: Key = ()
    position: int | None = None
    after: int | None = None
    before: int | None = None
    by: datetime | None = None

    @property
    def shape(self) -> tuple[object, ...]:
        """What it is, whichever delivery it happened to and however the log is put right."""
        return (self.kind, self.types, self.key)

    @property
    def is_real(self) -> bool:
        """Whether it names only what was delivered, and nothing that was put in to see what would be."""
        return all(place is None or place >= 0 for place in (self.position, self.after, self.before))


def copied(copy: Delivery, original: Delivery, rules: Rules) -> Fault:
    """The second of two equal deliveries is a mere copy."""
    age = gap(original.received_at, copy.received_at)
    cost = PROMPT if age <= rules.fast_redelivery else DELAYED if age <= rules.redelivery else FAR
    return Fault("redelivered", (copy.topic,), cost, copy.key, copy.position, after=original.position)


def late(
    delivery: Delivery,
    rules: Rules,
    *,
    after: Delivery | None = None,
    before: Delivery | None = None,
    by: datetime | None = None,
) -> Fault:
    """It should have come right after or before another delivery, or by some moment."""
    beside = after or before
    due = beside.received_at if beside else by
    usual = gap(due, delivery.received_at) <= max(rules.lateness, rules.overtaken)
    cost = PROMPT if usual else FAR
    places = _position(after), _position(before)
    return Fault("late", (delivery.topic,), cost, delivery.key, delivery.position, *places, by)


def lost(
    types: tuple[str, ...],
    key: Key,
    *,
    after: Delivery | None = None,
    before: Delivery | None = None,
    by: datetime | None = None,
) -> Fault:
    """Webhooks that never came: by some moment, else right before a delivery, else right after one."""
    return Fault("lost", types, LOSS * len(types), key, None, _position(after), _position(before), by)


def _position(delivery: Delivery | None) -> int | None:
    return delivery.position if delivery else None


def undo(log: Sequence[Delivery], fault: Fault) -> list[Delivery]:
    """The log without the fault. What is put in has a position below zero."""
    rest = [one for one in log if one.position != fault.position]
    if fault.kind == "redelivered":
        return rest
    place, at = _place(rest, fault)
    if fault.kind == "late":
        (moved,) = (one for one in log if one.position == fault.position)
        due = attrs.evolve(moved, received=attrs.evolve(moved.received, received_at=at or moved.received_at))
        return [*rest[:place], due, *rest[place:]]
    new = min(0, *(one.position for one in log)) - 1
    made = [_made_up(log, place, kind, fault.key, at, new - n) for n, kind in enumerate(fault.types)]
    return [*rest[:place], *made, *rest[place:]]


def undo_all(log: Sequence[Delivery], faults: Iterable[Fault]) -> list[Delivery]:
    """The log without any of them."""
    undone = list(log)
    for fault in faults:
        undone = undo(undone, fault)
    return undone


def _place(log: Sequence[Delivery], fault: Fault) -> tuple[int, datetime | None]:
    """Where it should have been received, and when."""
    if fault.by is not None:
        due = fault.by
        later = (n for n, one in enumerate(log) if one.received_at is not None and one.received_at > due)
        return next(later, len(log)), due
    anchor = fault.before if fault.before is not None else fault.after
    place, beside = next((n, one) for n, one in enumerate(log) if one.position == anchor)
    return place + (fault.before is None), beside.received_at


def _made_up(
    log: Sequence[Delivery], place: int, kind: str, key: Key, at: datetime | None, position: int
) -> Delivery:
    """A webhook as it may have been: with the data of its siblings, and what it should bring."""
    lifecycle, step = REGISTRY.routes[kind]
    kin = [one for one in log if one.lifecycle is lifecycle and one.key == key]
    nearest = sorted(kin, key=lambda one: abs(log.index(one) - place + 0.5))
    data: dict[str, Any] = {camel_case(name): value for name, value in key}
    data |= {"sessionId": log[0].session_id, "meetingId": _meeting(log)}
    data |= _of_the_run(lifecycle, nearest[0]) if nearest else {}
    if step.brings:
        data |= _brought(lifecycle, step, nearest, position)
    body = msgspec.json.encode({"webhookType": kind, "data": data})
    return parse(Received(body, at), position)


def _meeting(log: Iterable[Delivery]) -> str | None:
    return next((one.meeting_id for one in log if one.meeting_id), None)


def _of_the_run(lifecycle: Lifecycle, sibling: Delivery) -> Mapping[str, Any]:
    """What a step's data has in common with its sibling's: not what only that step brings or tells."""
    own = {*lifecycle.artefacts, *lifecycle.times, *lifecycle.deprecated, "message", "reason"}
    said = msgspec.json.decode(sibling.data)
    return {name: value for name, value in said.items() if name not in map(camel_case, own)}


def _brought(lifecycle: Lifecycle, step: Step, kin: Iterable[Delivery], position: int) -> Mapping[str, Any]:
    """The url that its siblings name too, else a file or url of its own."""
    for sibling in kin if lifecycle.contradicted else ():
        said = msgspec.json.decode(sibling.data)
        held = {name: said[name] for name in map(camel_case, step.brings) if said.get(name)}
        if held:
            return held
    return {camel_case(step.brings[0]): f"lost:{-position}"}


def before(moment: datetime | None) -> datetime | None:
    """The last moment before a deadline."""
    return None if moment is None else moment - timedelta.resolution
