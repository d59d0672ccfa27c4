"""Erasures: events that say that people were erased, and up to which request of the ledger.

Such an event has a stream of its own, ``STREAM``, and the topic ``TOPIC``; it names nobody. It is stored when all bodies
are rewritten. Whoever reads the events in order, or keeps what was derived of them, knows by it that they were changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tracker.delivery import envelope
from tracker.delivery.envelope import UNREADABLE
from tracker.store import prunings, withdrawals

__all__ = ["OURS", "STREAM", "TOPIC", "body", "is_changed", "problem", "requests"]

STREAM = "log:erased"
TOPIC = "erased"
OURS = (withdrawals.STREAM, STREAM, prunings.STREAM)
"""The streams that say what we did."""


class _Erasure(msgspec.Struct):
    requests: int


_decode = msgspec.json.Decoder(_Erasure).decode


def body(requests: int) -> bytes:
    return msgspec.json.encode(_Erasure(requests))


def requests(states: Sequence[object]) -> int:
    """Up to which request of the ledger these events say that people were erased."""
    return max((_requests(state) for state in states), default=0)


def problem(state: object) -> str:
    """What is wrong with the state of such an event; empty if nothing is."""
    return "" if _requests(state) else "no erasure stands there"


def _requests(state: object) -> int:
    try:
        return _decode(envelope.decode(state).body if isinstance(state, bytes) else b"").requests
    except UNREADABLE:
        return 0


def is_changed(state: object) -> bool:
    """Whether a state is another one than what was stored: people were erased from it, or it was pruned."""
    if not isinstance(state, bytes):
        return False
    return prunings.is_tombstone(state) or envelope.decode(state).erased_at is not None
