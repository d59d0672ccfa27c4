"""Reading streams of messages: NATS JetStream and Redis streams, each message exactly once.

A stream keeps its messages, and each has an offset that grows. So nothing has to be acknowledged, and the broker keeps
nothing for us: how far a stream was read is recorded in the transaction that stores what was read. What a broker, or
another process that reads the same stream, delivers twice is not behind that offset and is passed over; after a crash
the next run goes on behind the last commit.

A message is what a line is in a log, and is read as one: bare, as an envelope, or in any shape that a line may have.
Where it names no receive time, it has that at which the broker took it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

import attrs
from eventsourcing.persistence import Tracking
from msgspec.structs import replace

from tracker.delivery.unwrap import USUAL, Fields
from tracker.delivery.webhook import UNROUTED, Delivery
from tracker.intake.ingest import refuse_others
from tracker.intake.lines import bounded
from tracker.intake.logs import Log
from tracker.intake.progress import Ingested
from tracker.intake.streams import Address, Batch, Broker, Message
from tracker.intake.tail import Waiting
from tracker.store.application import Tracker
from tracker.store.recorder import MOST, ConcurrentReadError, Seen, SourcePosition

if TYPE_CHECKING:
    from tracker.delivery.signature import Keyring

__all__ = ["Consumed", "Stream", "consume"]

PREFIX = "stream:"
WAIT = 0.5
"""Seconds to wait for a message where there is none."""


@attrs.define(eq=False, kw_only=True)
class Stream(Log):
    """A stream to read."""

    broker: Broker

    def __attrs_post_init__(self) -> None:
        self._set_up()

    @classmethod
    def at(
        cls,
        address: Address,
        keys: Mapping[str | None, Keyring] | None = None,
        zone: tzinfo = UTC,
        fields: Fields = USUAL,
        account: str | None = None,
    ) -> Stream:
        """Raises ``LogError`` where it cannot be read, or its package is not installed."""
        return cls(address.name, keys or {}, zone, fields, account, broker=_broker(address))

    @property
    def mark(self) -> str:
        """The name of the tracking that holds the offset; no other one begins with it."""
        return f"{PREFIX}{self.broker.identity}#"

    def delivered(self, message: Message) -> Delivery:
        """What a message delivers."""
        one = self.delivery(bounded(message.offset, message.text), message.offset)
        received = one.received
        if received.received_at is None and received.unread_time is None:
            received = replace(received, received_at=message.at)
        if received.source == f"{self.name}:{message.offset}":
            received = replace(received, source=f"{self.name}:{self.broker.name_of(message.offset)}")
        one.received = received
        return one


@attrs.define(kw_only=True)
class Consumed(Ingested):
    """What became of a stream's messages; ``gone`` is what was removed before it was read."""

    log: Stream
    gone: list[str] = attrs.field(factory=list)


def consume(
    tracker: Tracker,
    account: Consumed,
    stopping: Callable[[], bool],
    *,
    once: bool = False,
    force: bool = False,
) -> Iterator[Consumed]:
    """Stores what is new in a stream; yields its account, which grows, after each transaction and at pauses.

    It ends when it is to stop, or with ``once`` where nothing more is there. Raises ``LogError`` where the stream cannot
    be read any further, or where most of what it begins with are no webhooks, unless it is to ``force`` them in.
    """
    stream, waiting = account.log, Waiting()
    after = _offset(tracker, stream.mark)
    while not stopping():
        batch = stream.broker.read(after, 0 if once else WAIT)
        if batch.gone:
            account.gone.append(batch.gone)
        if batch.reached > after:
            after = _store(tracker, account, batch, after, force=force)
            waiting.begin()
        elif once:
            return
        account.pausing = not batch.full and waiting.end()
        yield account
        account.pausing = False


def _broker(address: Address) -> Broker:
    if address.scheme in ("nats", "tls"):
        from tracker.intake.jetstream import JetStream

        return JetStream(address)
    from tracker.intake.redis_streams import RedisStream

    return RedisStream(address)


def _offset(tracker: Tracker, mark: str) -> int:
    """How far a stream was read; 0 where it never was."""
    return max((offset for name, offset in tracker.trackings(mark) if name == mark), default=0)


def _store(tracker: Tracker, account: Consumed, batch: Batch, after: int, *, force: bool) -> int:
    """Stores a batch but for what another process has stored since; returns the offset up to which all is stored."""
    stream = account.log
    numbered = [(one.offset, stream.delivered(one)) for one in batch.messages if one.text.strip()]
    if not (after or force):
        refuse_others([one for _, one in numbered], stream.name, "messages")
    while after < batch.reached:
        new = [one for offset, one in numbered if offset > after]
        seen = Seen(stream.mark, after, MOST, frozenset())
        position = SourcePosition(Tracking(stream.mark, batch.reached), seen, stream.mark)
        try:
            positions = tracker.append(new, position)
        except ConcurrentReadError:
            after = _offset(tracker, stream.mark)
            continue
        _add(account, batch, after, new, positions)
        return batch.reached
    _add(account, batch, after, (), ())
    return after


def _add(
    account: Consumed, batch: Batch, after: int, new: Sequence[Delivery], positions: Sequence[int]
) -> None:
    """Adds to the account what was stored."""
    behind = [one for one in batch.messages if one.offset > after]
    account.read += len(batch.messages)
    account.already_there += len(batch.messages) - len(behind)
    account.stored += len(new)
    account.blank += len(behind) - len(new)
    account.unrouted += sum(one.stream.startswith(UNROUTED) for one in new)
    lines = (bounded(one.offset, one.text) for one in behind)
    account.too_long += [line for line in lines if line.too_long]
    for one in new:
        account.odd.look_at(one, one.position)
    if positions:
        account.first, account.last = account.first or positions[0], positions[-1]
