"""Between a delivery and the stored event that holds it; knows the old formats so that nobody else must.

A stored event's topic is the webhook type; its state is ``tracker.delivery.envelope``'s line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from eventsourcing.persistence import Mapper, StoredEvent

from tracker.delivery import envelope
from tracker.delivery.envelope import Received
from tracker.delivery.plain import plain
from tracker.delivery.webhook import Delivery, parse
from tracker.store.ledger import Ledger
from tracker.store.recorder import Event, StoredRow

Upcaster = Callable[[bytes], bytes]


def _without_signature(state: bytes) -> bytes:
    """Format 2 has the signature of the sender; what is of format 1 has none, and is read as it is."""
    return state


def _without_account(state: bytes) -> bytes:
    """Format 3 has the account; what is older has none, and is read as it is."""
    return state


def _without_erasure(state: bytes) -> bytes:
    """Format 4 says whether somebody was erased; in what is older nobody was, and it is read as it is."""
    return state


UPCASTERS: tuple[Upcaster, ...] = (_without_signature, _without_account, _without_erasure)
"""The oldest first. Each turns a state of its format into the next one's and leaves newer ones alone,
for a store that a newer program goes on with holds states of several formats."""


class WebhookReceived(msgspec.Struct, frozen=True):
    """The one domain event: a webhook was received. Everything else is derived from it."""

    originator_id: str
    originator_version: int
    topic: str
    received: Received


class EnvelopeMapper(Mapper[str]):
    """Between ``WebhookReceived`` and what is stored."""

    def __init__(self) -> None:
        """Needs neither transcoder nor cipher: the state is a line of text."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        event = domain_event
        state = envelope.encode(event.received)
        return StoredEvent(event.originator_id, event.originator_version, event.topic, state)

    def stored(self, stream: str, topic: str, received: Received) -> Event:
        """Something received that has no version yet."""
        return stream, 0, topic, envelope.encode(received)

    def to_store(self, deliveries: Iterable[Delivery]) -> list[Event]:
        """Deliveries that have no versions yet."""
        encode = envelope.encode
        return [(one.stream, 0, one.topic, encode(one.received, is_json=one.is_plain)) for one in deliveries]

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        received = self.to_received(stored_event.state)
        return WebhookReceived(
            str(stored_event.originator_id), stored_event.originator_version, stored_event.topic, received
        )

    def erased(self, event: Event, ledger: Ledger) -> Event:
        """The same event without those whom the ledger says to forget."""
        stream, version, topic, state = event
        if not ledger.concerns(stream):
            return event
        received = self.to_received(state)
        new = ledger.erase(received, stream)
        return event if new is received else (stream, version, topic, envelope.encode(new))

    def changes(self, rows: Sequence[StoredRow], ledger: Ledger) -> Iterator[tuple[int, bytes]]:
        """The positions and new states of those stored events from which the ledger says to erase somebody."""
        read = [(position, stream, self.to_received(state)) for position, stream, state in rows]
        by_stream: dict[str, list[Received]] = {}
        for _, stream, received in read:
            by_stream.setdefault(stream, []).append(received)
        ledger.learn(by_stream)
        for position, stream, received in read:
            new = ledger.erase(received, stream)
            if new is not received:
                yield position, envelope.encode(new)

    def to_received(self, state: bytes) -> Received:
        return envelope.decode(_upcast(state))

    def to_delivery(self, state: bytes, position: int) -> Delivery:
        """What a stored state delivers, at its position; never raises."""
        state = _upcast(state)
        return plain(state, position) or parse(envelope.decode(state), position)


def _upcast(state: bytes) -> bytes:
    for upcast in UPCASTERS:
        state = upcast(state)
    return state


def says_source(name: str) -> bytes:
    """How the envelope of a delivery from a source says so."""
    return b',"source":%s' % msgspec.json.encode(name)
