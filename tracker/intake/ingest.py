"""From logs into the store, each line exactly once, whatever happens in between.

A log is known by what it says, not by what it is called. Every thousand lines, and where the log
ends, the digest of all lines so far is recorded in the transaction that stores them. So what was
read before is recognised in a file that has grown, was renamed, packed or is piped in, and after a
crash the next run goes on behind the last commit. Two processes that read the same log notice each
other in the transaction: whoever comes second looks again at what is there.

Several logs are merged by receive time (``merging``). A page of lines then holds lines of several of them, and
how far each was read is recorded in the one transaction of the page. A log that begins like another one may be
a copy of it, packed or renamed: it is read behind the others, so that what is there is recognised.

Where a log is read only to a place within a thousand lines, the mark of that takes the place of the one before,
so that there are no more marks than a thousand lines make: with merged logs, and at each pause of a log that
grows while it is read. Of the latter, lines are stored as they come: nothing is known of those behind them, so
no receive time is doubted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, Protocol

import attrs
from eventsourcing.persistence import Tracking

from tracker.blake2b import blake2b
from tracker.bulk import bulk
from tracker.delivery.webhook import UNROUTED, Delivery
from tracker.errors import LogError
from tracker.intake.lines import PAUSE, Line
from tracker.intake.logs import STDIN, Log, Oddities, is_usual
from tracker.intake.merging import can_be_merged, merged
from tracker.intake.receive_times import WINDOW, believed, needed
from tracker.lifecycles import REGISTRY
from tracker.store.reading import PAGE
from tracker.store.recorder import ConcurrentReadError, Seen, SourcePosition

_SOURCE = "log:"
MOST = 10 * PAGE
"""Lines of one page, where it holds those of many logs."""
_APART = 20
"""Of the last lines that were there already, one of so many is looked at to tell how many are needed."""


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


def ingest(tracker: Target, log: Log, known: Known | None = None) -> Iterator[Ingested]:
    """Stores what is new in a log; yields the growing account after each transaction.

    ``known`` saves looking up what was read before, where many logs are read one after the other: give
    each the same one from ``known_logs``. Raises ``LogError`` where the log cannot be read any further,
    after storing what came before.
    """
    account = Ingested(log)
    for (account,) in ingest_together(tracker, [log], known):
        yield account
    if account.error is not None:
        raise account.error


def ingest_together(
    tracker: Target, logs: Sequence[Log], known: Known | None = None
) -> Iterator[list[Ingested]]:
    """Stores what is new in several logs, by receive time; yields the growing accounts, one for each log.

    What keeps a log from being read to its end stands in its account; the others are read all the same. Logs
    that cannot be read twice are read one after the other.
    """
    known = known_logs(tracker) if known is None else known
    sources = [_Source(Ingested(log), known) for log in logs]
    page = _Page(tracker, known, sources)
    accounts = [source.account for source in sources]
    with bulk():
        for group in _rounds(sources):
            for _ in _read(page, group):
                yield accounts
            page.finish(group)
            yield accounts


def _rounds(sources: Sequence[_Source]) -> Iterator[list[_Source]]:
    """The logs that are read together, in turn: those that begin alike are not."""
    if not can_be_merged([source.account.log for source in sources]):
        yield from ([source] for source in sources)
        return
    begins: dict[bytes, list[_Source]] = {}
    for source in sources:
        begins.setdefault(_first_line(source.account.log), []).append(source)
    while group := [same.pop(0) for same in begins.values() if same]:
        yield group


def _first_line(log: Log) -> bytes:
    with suppress(LogError):  # where it cannot be read is reported when it is read
        return next((line.text for line in log.anew().lines() if not line.blank), b"")
    return b""


def _read(page: _Page, group: Sequence[_Source]) -> Iterator[None]:
    """Puts what is new in these logs into the page; yields after each transaction."""
    if len(group) == 1 and group[0].grows:
        yield from _follow(page, group[0])
        return
    if len(group) == 1:
        for one in group[0].deliveries():
            if page.add(group[0], one):
                yield
        return
    logs = [source.account.log for source in group]
    for place, one in merged(logs, lambda place: group[place].deliveries()):
        if page.add(group[place], one):
            yield


def _follow(page: _Page, source: _Source) -> Iterator[None]:
    """Stores what comes of a log that grows, full pages and at each pause."""
    account = source.account
    for line in source.new_lines():
        if line is PAUSE:
            page.finish([source])
            account.pausing = True
            yield
            account.pausing = False
        elif not line.blank and page.add(source, account.log.delivery(line, line.number)):
            yield


@attrs.define(eq=False)
class _Source:
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

    def look_ahead(self) -> None:
        """Up to which line each can just wait for its commit."""
        self.ahead = self.followed - self.followed % PAGE + PAGE
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
                digest.update(_hashed(islice(lines, number - at)))
                at = number
                if _SOURCE + digest.hexdigest() in self.known[number]:
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
        digest.update(_hashed(self.waiting[: self.upto - self.waiting[0].number + 1]))
        end = -(-self.upto // PAGE) * PAGE
        names = (self.known.get(place, ()) for place in range(self.followed + 1, end + 1))
        seen = Seen(_SOURCE, self.followed, end, frozenset(name for found in names for name in found))
        return SourcePosition(Tracking(_SOURCE + digest.hexdigest(), self.upto), seen, self.mark), digest

    def pass_by(self, read: SourcePosition, digest: Any, stored: int) -> None:
        """What was to be stored is stored now: so many deliveries."""
        account, mark = self.account, read.tracking.application_name
        lines = self._pop(self.upto)
        account.blank += len(lines) - stored
        account.too_long.extend(line for line in lines if line.too_long)
        self.known.get(self.followed, set()).discard(read.replaces)
        self.known.setdefault(self.upto, set()).add(mark)
        self.followed, self.digest = self.upto, digest
        self.mark = mark if self.upto % PAGE else ""
        self.look_ahead()


@attrs.define
class _Page:
    """The deliveries that are stored with the next commit, of one log or of several.

    Attributes:
        tracker: Into which they are stored.
        known: The marks of all logs there.
        sources: The logs that are read.
        waiting: The deliveries in their order, each with its log.
    """

    tracker: Target
    known: Known
    sources: Sequence[_Source]
    waiting: list[tuple[_Source, Delivery]] = attrs.field(factory=list)

    def add(self, source: _Source, one: Delivery) -> bool:
        """Takes in the next delivery of a log; returns whether something was stored."""
        number, has_stored = one.position, False
        if source.followed < number < source.ahead and len(self.waiting) < MOST - 1:  # as nearly all are
            self.waiting.append((source, one))
            source.upto = number
            return False
        while number > (boundary := source.followed - source.followed % PAGE + PAGE):
            has_stored |= self._store_up_to(source, boundary)
        last = source.waiting[-1] if source.waiting else None
        if last is not None and not last.ended and number == last.number:
            has_stored |= self._store_up_to(
                source, number - 1
            )  # it may grow: those before it get their own commit
            source.mark = ""
        if number <= source.followed:
            return has_stored
        self.waiting.append((source, one))
        source.upto = number
        if number % PAGE == 0 or len(self.waiting) >= MOST:
            self.store()
            has_stored = True
        return has_stored

    def finish(self, group: Sequence[_Source]) -> None:
        """Stores what was read of these logs to its end."""
        for source in group:
            if source.waiting:
                last = source.waiting[-1]
                if not last.ended and source.upto < last.number:
                    self._store_up_to(source, last.number - 1)
                    source.mark = ""
                source.upto = last.number
        self.store()

    def store(self) -> None:
        """Stores what waits, unless another process has done so since it was looked at."""
        while True:
            sources = [source for source in self.sources if source.upto > source.followed]
            if not sources:
                break
            read = [source.position() for source in sources]
            new = [(source, one) for source, one in self.waiting if one.position > source.followed]
            try:
                positions = self.tracker.append([one for _, one in new], *(one for one, _ in read))
            except ConcurrentReadError:
                self._look_again()
                continue
            _account(new, positions)
            stored = Counter(source for source, _ in new)
            for source, passed in zip(sources, read, strict=True):
                source.pass_by(*passed, stored[source])
        self.waiting = []

    def _store_up_to(self, source: _Source, upto: int) -> bool:
        if upto <= source.followed:
            return False
        source.upto = upto
        self.store()
        return True

    def _look_again(self) -> None:
        """Another process has read one of these logs, or one that begins like it, since we looked."""
        self.known.clear()  # a mark may be gone: another took its place
        self.known.update(known_logs(self.tracker))
        for source in self.sources:
            source.skip()


def _account(stored: Sequence[tuple[_Source, Delivery]], positions: Sequence[int]) -> None:
    """These were stored at these positions; a rehearsal gives none."""
    place = 0
    for source, some in groupby(stored, itemgetter(0)):
        account, deliveries = source.account, [one for _, one in some]
        if positions:
            account.first = account.first or positions[place]
            account.last = positions[place + len(deliveries) - 1]
        place += len(deliveries)
        account.stored += len(deliveries)
        odd = [one for one in deliveries if not is_usual(one)]
        account.odd.deliveries += len(deliveries) - len(odd)
        for one in odd:
            account.unrouted += one.lifecycle is None and one.stream.startswith(UNROUTED)
            account.odd.look_at(one, account.log.line_at(one.position))


def known_logs(tracker: Target) -> Known:
    """Which logs the store has read, and how far."""
    known: Known = {}
    for name, number in tracker.trackings(_SOURCE):
        known.setdefault(number, set()).add(name)
    return known


def refuse_other_file(log: Log, known: Known) -> None:
    """Raises ``LogError`` where nothing of a file can be read, or most of its first lines are no webhooks and not stored yet."""
    if not log.is_repeatable:  # what comes through a pipe cannot be looked at beforehand
        return
    looked, digest = list[Delivery](), blake2b(digest_size=16)
    try:
        for line in islice(log.anew().lines(), PAGE):
            digest.update(_hashed([line]))
            if _SOURCE + digest.hexdigest() in known.get(line.number, ()):
                return
            if not (line.blank or line.cut):
                looked.append(log.delivery(line, line.number))
    except LogError:
        if not looked:
            raise  # else it is reported where it is read that far
    refuse_others(looked, log.name)


def refuse_others(looked: Sequence[Delivery], name: str, what: str = "lines") -> None:
    """Raises ``LogError`` where most of what a log begins with are no webhooks."""
    others = sum(not _is_webhook(one) for one in looked)
    if 2 * others > len(looked):
        raise LogError(
            f"{others:,} of its first {len(looked):,} {what} are no webhooks",
            place=name,
            hint="check that it is the log you mean: tracker audit only looks, --webhook-field says where a line has"
            " the webhook, --force stores it all the same",
        )


def _is_webhook(delivery: Delivery) -> bool:
    """Whether it is one, known or new: other logs have a ``type`` too, but neither ``data`` nor our name for it."""
    named = bool(delivery.said) or b'"webhookType"' in delivery.body
    return delivery.type in REGISTRY.routes or bool(delivery.type and named)


def _hashed(lines: Iterable[Line]) -> bytes:
    """What of some lines goes into the digest by which a log is known."""
    texts = [line.text + b"\x00%d" % line.too_long if line.too_long else line.text for line in lines]
    return b"\n".join([*texts, b""])
