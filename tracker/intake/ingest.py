"""From logs into the store, each line exactly once, whatever happens in between.

A log is known by what it says, not by what it is called. Every thousand lines, and where the log
ends, the digest of all lines so far is recorded in the transaction that stores them. So what was
read before is recognised in a file that has grown, was renamed, packed or is piped in, and after a
crash the next run goes on behind the last commit. Two processes that read the same log notice each
other in the transaction: whoever comes second looks again at what is there.

A log that grows while it is read is also stored at each pause. Then the mark of how far it was read
takes the place of the one of the pause before, so that there are no more marks than of other logs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import attrs
from eventsourcing.persistence import Tracking

from tracker.bulk import bulk
from tracker.delivery.webhook import Delivery
from tracker.errors import LogError
from tracker.intake.logs import PAUSE, STDIN, Line, Log, Oddities
from tracker.lifecycles import REGISTRY
from tracker.store.application import PAGE, Tracker
from tracker.store.recorder import ConcurrentReadError, Seen
from tracker.store.withdrawals import Withdrawals

_SOURCE = "log:"


class Target(Protocol):
    """What a log is read into: a ``Tracker``, or a ``Rehearsal``."""

    def append(
        self,
        deliveries: Iterable[Delivery],
        tracking: Tracking | None = None,
        seen: Seen | None = None,
        replaces: str = "",
    ) -> Sequence[int]: ...

    def trackings(self, prefix: str) -> list[tuple[str, int]]: ...


class Rehearsal:
    """Stands for a store, of which there may be none yet, and keeps only what would be stored in numbers."""

    def __init__(self, store: Tracker | None) -> None:
        self._store = store
        self._streams: set[str] = set()
        self.types: Counter[str] = Counter()
        self.first: datetime | None = None
        self.last: datetime | None = None

    @property
    def deliveries(self) -> int:
        return self.types.total()

    @property
    def sessions(self) -> int:
        return len(self._streams)

    def append(
        self,
        deliveries: Iterable[Delivery],
        tracking: Tracking | None = None,  # noqa: ARG002 - it is recorded nowhere
        seen: Seen | None = None,  # noqa: ARG002 - nobody else can come in between
        replaces: str = "",  # noqa: ARG002 - as above
    ) -> Sequence[int]:
        for one in deliveries:
            self.types[one.topic] += 1
            if one.session_id is not None:
                self._streams.add(one.stream)
            if one.received_at is not None:
                self.first = min(self.first or one.received_at, one.received_at)
                self.last = max(self.last or one.received_at, one.received_at)
        return ()

    def trackings(self, prefix: str) -> list[tuple[str, int]]:
        return self._store.trackings(prefix) if self._store else []

    def withdrawn(self) -> Withdrawals:
        return self._store.withdrawn() if self._store else Withdrawals()


@attrs.define
class Ingested:
    """What became of a log's lines. Of those ``too_long`` only the beginning is stored; the line
    with the number ``cut`` is not finished and waits for the next run."""

    log: Log
    read: int = 0
    stored: int = 0
    already_there: int = 0
    blank: int = 0
    unrouted: int = 0
    odd: Oddities = attrs.field(factory=Oddities)
    too_long: list[Line] = attrs.field(factory=list)
    cut: int = 0
    first: int = 0
    """The first position at which something was stored, 0 where nothing was."""
    last: int = 0
    """The last one. Those between belong to others where they stored at the same time."""
    pausing: bool = False
    """Whether nothing more is there for now; what came is stored."""


Known = dict[int, set[str]]
"""Line number -> names of the logs that were once read exactly that far."""


def ingest(tracker: Target, log: Log, known: Known | None = None) -> Iterator[Ingested]:
    """Stores what is new in a log; yields the growing account after each transaction.

    ``known`` saves looking up what was read before, where many logs are read one after the other: give
    each the same one from ``known_logs``. Raises ``LogError`` where the log cannot be read any further,
    after storing what came before.
    """
    account = Ingested(log)
    source = _Source(tracker, account, known_logs(tracker) if known is None else known)
    with bulk():
        try:
            yield from _follow(source, log)
        except LogError:
            source.finish()
            yield account
            raise
        source.finish()
        yield account


def _follow(source: _Source, log: Log) -> Iterator[Ingested]:
    """Stores page after page; the lines behind the last full one wait."""
    account = source.account
    for line in log.lines():
        if not line.ended and line.cut and log.path != STDIN:
            account.cut = line.number
            continue
        if line is PAUSE:
            source.pause()
            account.pausing = True
            yield account
            account.pausing = False
            continue
        account.read += 1
        source.waiting.append(line)
        if line.number % PAGE == 0:
            source.store()
            yield account
        elif line.number in source.known:
            source.skip()


@attrs.define
class _Source:
    """How far a log has been followed, and the lines behind that which wait for the next commit."""

    tracker: Target
    account: Ingested
    known: Known
    followed: int = 0
    digest: Any = attrs.field(factory=lambda: blake2b(digest_size=16))
    waiting: list[Line] = attrs.field(factory=list)
    pause_mark: str = ""
    """The mark that the last pause left, where nothing was followed since."""

    def skip(self) -> bool:
        """Whether the lines that wait were stored before; if so, they wait no longer."""
        if not self.waiting:
            return True
        number = self.waiting[-1].number
        if number not in self.known:
            return False
        digest = self._digest()
        if _SOURCE + digest.hexdigest() not in self.known[number]:
            return False
        self.account.already_there += sum(not line.blank for line in self.waiting)
        self._follow(number, digest)
        return True

    def store(self) -> str:
        """Stores the lines that wait, unless they were stored before; gives the mark it leaves, if any."""
        mark = ""
        while not self.skip():
            number, digest = self.waiting[-1].number, self._digest()
            mark, seen = _SOURCE + digest.hexdigest(), self._seen(number)
            try:
                _store(self.tracker, self.account, self.waiting, Tracking(mark, number), seen, self.pause_mark)
            except ConcurrentReadError:
                mark = ""
                self._look_again()
            else:
                self.known.get(self.followed, set()).discard(self.pause_mark)
                self.known.setdefault(number, set()).add(mark)
                self._follow(number, digest)
        return mark

    def pause(self) -> None:
        """Stores the lines that wait, though more will come; the mark of a full page stays."""
        mark = self.store()
        if mark and self.followed % PAGE:
            self.pause_mark = mark

    def finish(self) -> None:
        """Stores the last lines. One without an end may grow, so those before it get their own commit."""
        if not self.skip() and not self.waiting[-1].ended:
            last = self.waiting.pop()
            self.store()
            self.waiting.append(last)
        self.store()

    def _seen(self, number: int) -> Seen:
        names = (self.known.get(place, ()) for place in range(self.followed + 1, number + 1))
        return Seen(_SOURCE, self.followed, number, frozenset(name for found in names for name in found))

    def _look_again(self) -> None:
        """Another process has read this log, or one that begins like it, since we looked."""
        self.known.clear()  # a mark may be gone: another took its place
        self.known.update(known_logs(self.tracker))
        lines, self.waiting = self.waiting, []
        for line in lines:
            self.waiting.append(line)
            if line.number in self.known:
                self.skip()

    def _digest(self) -> Any:
        digest = self.digest.copy()
        digest.update(b"".join(map(_hashed, self.waiting)))
        return digest

    def _follow(self, number: int, digest: Any) -> None:
        self.followed, self.digest = number, digest
        self.waiting, self.pause_mark = [], ""


def known_logs(tracker: Target) -> Known:
    """Which logs the store has read, and how far."""
    known: Known = {}
    for name, number in tracker.trackings(_SOURCE):
        known.setdefault(number, set()).add(name)
    return known


def refuse_other_file(log: Log, known: Known) -> None:
    """Raises ``LogError`` where most of the first lines of a file are no webhooks, unless they are stored already."""
    if not Path(log.path).is_file():  # what comes through a pipe cannot be looked at beforehand
        return
    looked, others, digest = 0, 0, blake2b(digest_size=16)
    with suppress(LogError):  # where it cannot be read is told when it is read
        for line in islice(Log(log.path).lines(), PAGE):
            digest.update(_hashed(line))
            if _SOURCE + digest.hexdigest() in known.get(line.number, ()):
                return
            if not (line.blank or line.cut):
                looked += 1
                others += not _is_webhook(log.delivery(line, line.number))
    if 2 * others > looked:
        raise LogError(
            f"{others:,} of its first {looked:,} lines are no webhooks",
            place=log.name,
            hint="check that it is the log you mean; tracker audit only looks, --force stores it all the same",
        )


def _is_webhook(delivery: Delivery) -> bool:
    """Whether it is one, known or new: other logs have a ``type`` too, but neither ``data`` nor our name for it."""
    named = bool(delivery.said) or b'"webhookType"' in delivery.body
    return delivery.type in REGISTRY.routes or bool(delivery.type and named)


def _hashed(line: Line) -> bytes:
    return line.text + b"\x00%d\n" % line.too_long if line.too_long else line.text + b"\n"


def _store(
    tracker: Target, account: Ingested, lines: list[Line], tracking: Tracking, seen: Seen, replaces: str
) -> None:
    deliveries = [account.log.delivery(line, line.number) for line in lines if not line.blank]
    positions = tracker.append(deliveries, tracking, seen, replaces)
    if positions:
        account.first, account.last = account.first or positions[0], positions[-1]
    account.stored += len(deliveries)
    account.blank += len(lines) - len(deliveries)
    account.too_long.extend(line for line in lines if line.too_long)
    for delivery in deliveries:
        account.unrouted += delivery.lifecycle is None
        account.odd.look_at(delivery, delivery.position)
