"""From logs into the store, each line exactly once, whatever happens in between.

A log is known by what it says, not by what it is called. Every thousand lines, and where the log
ends, the digest of all lines so far is recorded in the transaction that stores them. So what was
read before is recognised in a file that has grown, was renamed, packed or is piped in, and after a
crash the next run goes on behind the last commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import attrs
from eventsourcing.persistence import Tracking

from tracker import envelope
from tracker.logs import STDIN, Line, Log
from tracker.store import PAGE, AlreadyStoredError, Tracker
from tracker.webhook import MALFORMED, Delivery, parse

_SOURCE = "log:"


@attrs.define
class Ingested:
    """What became of a log's lines. ``refused`` and ``cut`` hold line numbers; those are not stored."""

    log: Log
    read: int = 0
    stored: int = 0
    already_there: int = 0
    blank: int = 0
    unrouted: int = 0
    malformed: int = 0
    first_malformed: int = 0
    without_time: int = 0
    refused: list[Line] = attrs.field(factory=list)
    cut: int = 0


def ingest(tracker: Tracker, log: Log) -> Iterator[Ingested]:
    """Stores what is new in a log; yields the growing account after each transaction."""
    account = Ingested(log)
    known = _known(tracker)
    digest = blake2b(digest_size=16)
    waiting: list[Line] = []

    def reached(number: int) -> None:
        """All lines up to ``number`` are read: they were stored before, or are now."""
        digest.update(b"".join(_hashed(line) for line in waiting))
        name = _SOURCE + digest.hexdigest()
        if name not in known.get(number, ()):
            try:
                _store(tracker, account, waiting, Tracking(name, number))
                waiting.clear()
                return
            except AlreadyStoredError:  # by another process, since we looked
                known.clear()
                known.update(_known(tracker))
        account.already_there += sum(not line.blank and not line.too_long for line in waiting)
        waiting.clear()

    for line in log.lines():
        if line.cut and log.path != STDIN:
            account.cut = line.number
            continue
        account.read += 1
        waiting.append(line)
        if line.number % PAGE == 0:
            reached(line.number)
            yield account
        elif line.number in known:
            partial = digest.copy()
            partial.update(b"".join(_hashed(line) for line in waiting))
            if _SOURCE + partial.hexdigest() in known[line.number]:
                reached(line.number)
    if waiting:
        reached(waiting[-1].number)
    yield account


def _known(tracker: Tracker) -> dict[int, set[str]]:
    """Line number -> names of the logs that were once read exactly that far."""
    known: dict[int, set[str]] = {}
    for name, number in tracker.trackings(_SOURCE):
        known.setdefault(number, set()).add(name)
    return known


def _hashed(line: Line) -> bytes:
    return (b"\x00%d" % line.too_long if line.too_long else line.text) + b"\n"


def _store(tracker: Tracker, account: Ingested, lines: list[Line], tracking: Tracking) -> None:
    deliveries = [_delivery(account.log, line) for line in lines if not line.blank and not line.too_long]
    tracker.append(deliveries, tracking)
    account.stored += len(deliveries)
    account.blank += sum(line.blank for line in lines)
    account.refused.extend(line for line in lines if line.too_long)
    for delivery in deliveries:
        account.unrouted += delivery.lifecycle is None
        account.without_time += delivery.received_at is None
        if delivery.unrouted == MALFORMED:
            account.malformed += 1
            account.first_malformed = account.first_malformed or delivery.position


def _delivery(log: Log, line: Line) -> Delivery:
    return parse(envelope.decode(line.text, f"{log.name}:{line.number}"), line.number)
