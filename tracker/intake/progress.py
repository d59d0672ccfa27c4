"""How far a log is in the store: its marks there, and the lines behind them that are new.

A mark is recorded as the position of a source: its name is the digest of all lines of a log up to one of them, its
number that of the line. A log is in the store up to the last line at which a mark has the digest of its own
lines. So nothing but what a log says is compared, and a log that begins like another one shares its marks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any, Protocol

import attrs
from eventsourcing.persistence import Tracking

from tracker.blake2b import blake2b
from tracker.delivery.webhook import Delivery
from tracker.errors import LogError
from tracker.intake.lines import PAUSE, Beside, Line
from tracker.intake.logs import STDIN, Log, Oddities
from tracker.intake.receive_times import WINDOW, believed, needed
from tracker.store.reading import PAGE
from tracker.store.recorder import Seen, SourcePosition

__all__ = ["MARK", "Ingested", "Known", "Source", "Target", "hashed", "known_logs"]

MARK = "log:"
"""What the name of a mark begins with; the digest follows."""
_APART = 20
"""Of the last lines that were there already, one of so many is looked at to tell how many are needed."""
_position = attrgetter("position")


class Target(Protocol):
    """What a log is read into: a ``Tracker``, or a ``Rehearsal`` that gives no positions."""

    def append(self, deliveries: Iterable[Delivery], *read: SourcePosition) -> Sequence[int]: ...

    def trackings(self, prefix: str) -> list[tuple[str, int]]: ...


@attrs.define
class Ingested:
    """What became of a log's lines. Of those ``too_long`` only the beginning is stored; the line
    with the number ``cut`` is not finished and waits for the next run. ``unrouted`` are those of no session."""

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
    error: LogError | None = None
    """Why the log could not be read to its end."""


Known = dict[int, set[str]]
"""Line number -> names of the logs that were once read exactly that far."""


@attrs.define(eq=False)
class Source:
    """A log, how far it is in the store, and the lines behind that which were read and wait for a commit.

    Attributes:
        account: What became of its lines.
        known: The marks of all logs in the store.
        followed: The last line that is in the store,
        digest: and that of all lines up to there.
        waiting: The lines behind, whose numbers follow each other.
        upto: The last of them that is to be stored next.
        ahead: The first line, of those before which none needs to be looked at: there a page ends, or one begins
            that may grow.
        mark: The mark that the last commit left, where the next one takes its place.
        before: The last lines that were there already; they show which times of the next ones are right.
    """

    account: Ingested
    known: Known
    followed: int = 0
    digest: Any = attrs.field(factory=lambda: blake2b(digest_size=16))
    waiting: list[Line] = attrs.field(factory=list)
    upto: int = 0
    ahead: int = 0
    mark: str = ""
    before: list[Line] = attrs.field(factory=list)

    @property
    def grows(self) -> bool:
        """Whether it may pause before it ends."""
        log = self.account.log
        return log.path == STDIN or log.grows

    @property
    def page_ends(self) -> int:
        """The line at which the next mark is recorded at the latest."""
        return self.followed - self.followed % PAGE + PAGE

    def deliveries(self) -> Iterator[Delivery]:
        """What is new in it, with the receive times that are believed."""
        log, lines = self.account.log, self.new_lines()
        first = next(lines, None)
        if first is None:
            return iter(())
        there = list(log.deliveries(self.before))
        return believed(log.deliveries(chain([first], lines)), there)

    def new_lines(self) -> Iterator[Line]:
        """The lines that are not in the store, page by page, and the pauses between them."""
        account, page = self.account, list[Line]()
        try:
            for line in account.log.lines():
                if line is PAUSE:
                    yield from self._new_among(page)
                    page = []
                    yield line
                elif not line.ended and line.cut and account.log.path != STDIN:
                    account.cut = line.at
                else:
                    page.append(line)
                    if line.number % PAGE == 0:
                        yield from self._new_among(page)
                        page = []
        except LogError as error:
            account.error = error
        yield from self._new_among(page)

    def _new_among(self, lines: list[Line]) -> list[Line]:
        self.account.read += len(lines)
        self.waiting.extend(lines)
        self.skip()
        self.look_ahead()
        return lines[max(0, self.followed - lines[0].number + 1) :] if lines else lines

    def new_among(self, some: list[Delivery]) -> list[Delivery]:
        """Those of some deliveries, in their order, that are not in the store yet."""
        there = bisect_right(some, self.followed, key=_position)
        return some[there:] if there else some

    def look_ahead(self) -> None:
        """Up to which line each can just wait for its commit."""
        self.ahead = self.page_ends
        if self.waiting and not self.waiting[-1].ended:
            self.ahead = min(self.ahead, self.waiting[-1].number)

    def _pop(self, upto: int) -> list[Line]:
        """Takes those out that wait up to a line."""
        count = max(0, upto - self.waiting[0].number + 1) if self.waiting else 0
        lines, self.waiting = self.waiting[:count], self.waiting[count:]
        return lines

    def skip(self) -> None:
        """Lets go of the lines that were stored before, as far as a mark in the store says so."""
        if not self.waiting:
            return
        first, last = self.waiting[0].number, self.waiting[-1].number
        lines, digest, at, found = iter(self.waiting), self.digest.copy(), first - 1, 0
        for number in range(first, last + 1):
            if number in self.known:
                digest.update(hashed(islice(lines, number - at)))
                at = number
                if MARK + digest.hexdigest() in self.known[number]:
                    found, self.digest = number, digest.copy()
        if found:
            there = self._pop(found)
            self.account.already_there += sum(not line.blank for line in there)
            self._remember(there)
            self.followed, self.mark = found, ""

    def _remember(self, there: Sequence[Line]) -> None:
        """Keeps as many of the last lines as are needed to tell the times of the next ones."""
        log = self.account.log
        some = (log.delivery(one, one.number) for one in there[: -WINDOW - 1 : -_APART] if not one.blank)
        self.before = [*self.before, *there][-needed(some, log.zone) :]

    def position(self) -> tuple[SourcePosition, Any]:
        """How far it will have been read with the next commit, and the digest of that."""
        digest = self.digest.copy()
        digest.update(hashed(self.waiting[: self.upto - self.waiting[0].number + 1]))
        end = -(-self.upto // PAGE) * PAGE
        names = (self.known.get(place, ()) for place in range(self.followed + 1, end + 1))
        seen = Seen(MARK, self.followed, end, frozenset(name for found in names for name in found))
        return SourcePosition(Tracking(MARK + digest.hexdigest(), self.upto), seen, self.mark), digest

    def pass_by(self, read: SourcePosition, digest: Any, stored: int) -> None:
        """What was to be stored is stored now: so many deliveries."""
        account, mark = self.account, read.tracking.application_name
        lines = self._pop(self.upto)
        beside = [line for line in lines if type(line) is Beside]
        for line in beside:
            account.odd.beside.add(line.at, "")
        account.blank += len(lines) - stored - len(beside)
        account.too_long.extend(line for line in lines if line.too_long)
        self.known.get(self.followed, set()).discard(read.replaces)
        self.known.setdefault(self.upto, set()).add(mark)
        self.followed, self.digest = self.upto, digest
        self.mark = mark if self.upto % PAGE else ""
        self.look_ahead()


def known_logs(tracker: Target) -> Known:
    """Which logs the store has read, and how far."""
    known: Known = {}
    for name, number in tracker.trackings(MARK):
        known.setdefault(number, set()).add(name)
    return known


def hashed(lines: Iterable[Line]) -> bytes:
    """What of some lines goes into the digest by which a log is known."""
    texts = [line.text + b"\x00%d" % line.too_long if line.too_long else line.text for line in lines]
    return b"\n".join([*texts, b""])
