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

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from operator import attrgetter

import attrs

from tracker.blake2b import blake2b
from tracker.bulk import bulk
from tracker.delivery.webhook import UNROUTED, Delivery
from tracker.errors import LogError
from tracker.intake.lines import PAUSE
from tracker.intake.logs import Log, is_usual, is_webhook
from tracker.intake.merging import can_be_merged, merged
from tracker.intake.progress import MARK, Ingested, Known, Source, Target, hashed, known_logs
from tracker.store.reading import PAGE
from tracker.store.recorder import ConcurrentReadError

MOST = 10 * PAGE
"""Lines of one page, where it holds those of many logs."""
_AT_ONCE = 200
"""Deliveries of a log that are put into the page together."""
_position = attrgetter("position")


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
    sources = [Source(Ingested(log), known) for log in logs]
    page = _Page(tracker, known, sources)
    accounts = [source.account for source in sources]
    with bulk():
        for group in _rounds(sources):
            for _ in _read(page, group):
                yield accounts
            page.finish(group)
            yield accounts


def _rounds(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """The logs that are read together, in turn: those that begin alike are not."""
    if not can_be_merged([source.account.log for source in sources]):
        yield from ([source] for source in sources)
        return
    begins: dict[bytes, list[Source]] = {}
    for source in sources:
        begins.setdefault(_first_line(source.account.log), []).append(source)
    while group := [same.pop(0) for same in begins.values() if same]:
        yield group


def _first_line(log: Log) -> bytes:
    with suppress(LogError):  # where it cannot be read is reported when it is read
        return next((line.text for line in log.anew().lines() if not line.blank), b"")
    return b""


def _read(page: _Page, group: Sequence[Source]) -> Iterator[None]:
    """Puts what is new in these logs into the page; yields after each transaction."""
    if len(group) == 1 and group[0].grows:
        yield from _follow(page, group[0])
        return
    if len(group) == 1:
        deliveries = group[0].deliveries()
        while some := list(islice(deliveries, _AT_ONCE)):
            yield from page.add_some(group[0], some)
        return
    logs = [source.account.log for source in group]
    for place, one in merged(logs, lambda place: group[place].deliveries()):
        if page.add(group[place], one):
            yield


def _follow(page: _Page, source: Source) -> Iterator[None]:
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


@attrs.define
class _Page:
    """The deliveries that are stored with the next commit, of one log or of several.

    Attributes:
        tracker: Into which they are stored.
        known: The marks of all logs there.
        sources: The logs that are read.
        waiting: The deliveries in their order, those of one log that follow each other together.
        room: For how many more there is room.
    """

    tracker: Target
    known: Known
    sources: Sequence[Source]
    waiting: list[tuple[Source, list[Delivery]]] = attrs.field(factory=list)
    room: int = MOST

    def add_some(self, source: Source, some: list[Delivery]) -> Iterator[None]:
        """Takes in the next deliveries of a log; yields after each transaction."""
        while some:
            free = bisect_left(some, source.ahead, key=_position) if some[0].position > source.followed else 0
            if 0 < free < self.room:  # as nearly always
                self._wait(source, some[:free])
                some = some[free:]
            else:
                if self.add(source, some[0]):
                    yield
                del some[0]

    def add(self, source: Source, one: Delivery) -> bool:
        """Takes in the next delivery of a log; returns whether something was stored."""
        number, has_stored = one.position, False
        if source.followed < number < source.ahead and self.room > 1:  # as nearly all are
            self._wait(source, [one])
            return False
        while number > (boundary := source.page_ends):
            has_stored |= self._store_up_to(source, boundary)
        last = source.waiting[-1] if source.waiting else None
        if last is not None and not last.ended and number == last.number:
            has_stored |= self._store_up_to(
                source, number - 1
            )  # it may grow: those before it get their own commit
            source.mark = ""
        if number <= source.followed:
            return has_stored
        self._wait(source, [one])
        if number == source.page_ends or not self.room:
            self.store()
            has_stored = True
        return has_stored

    def _wait(self, source: Source, some: list[Delivery]) -> None:
        if self.waiting and self.waiting[-1][0] is source:
            self.waiting[-1][1].extend(some)
        else:
            self.waiting.append((source, some))
        self.room -= len(some)
        source.upto = some[-1].position

    def finish(self, group: Sequence[Source]) -> None:
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
        while sources := [source for source in self.sources if source.upto > source.followed]:
            read = [source.position() for source in sources]
            new = [(source, source.new_among(some)) for source, some in self.waiting]
            try:
                deliveries = chain.from_iterable(some for _, some in new)
                positions = self.tracker.append(deliveries, *(one for one, _ in read))
            except ConcurrentReadError:
                self._look_again()
                continue
            stored = _account(new, positions)
            for source, passed in zip(sources, read, strict=True):
                source.pass_by(*passed, stored[source])
        self.waiting, self.room = [], MOST

    def _store_up_to(self, source: Source, upto: int) -> bool:
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


def _account(stored: Sequence[tuple[Source, list[Delivery]]], positions: Sequence[int]) -> Counter[Source]:
    """These were stored at these positions; a rehearsal gives none. Returns how many of each log."""
    place, counts = 0, Counter[Source]()
    for source, some in stored:
        if not some:
            continue
        account = source.account
        counts[source] += len(some)
        if positions:
            account.first = account.first or positions[place]
            account.last = positions[place + len(some) - 1]
        place += len(some)
        account.stored += len(some)
        odd = [one for one in some if not is_usual(one)]
        account.odd.deliveries += len(some) - len(odd)
        for one in odd:
            account.unrouted += one.lifecycle is None and one.stream.startswith(UNROUTED)
            account.odd.look_at(one, account.log.line_at(one.position))
    return counts


def refuse_other_file(log: Log, known: Known) -> None:
    """Raises ``LogError`` where nothing of a file can be read, or most of its first lines are no webhooks and not stored yet."""
    if not log.is_repeatable:  # what comes through a pipe cannot be looked at beforehand
        return
    looked, digest = list[Delivery](), blake2b(digest_size=16)
    try:
        for line in islice(log.anew().lines(), PAGE):
            digest.update(hashed([line]))
            if MARK + digest.hexdigest() in known.get(line.number, ()):
                return
            if not (line.blank or line.cut):
                looked.append(log.delivery(line, line.number))
    except LogError:
        if not looked:
            raise  # else it is reported where it is read that far
    refuse_others(looked, log.name)


def refuse_others(looked: Sequence[Delivery], name: str, what: str = "lines") -> None:
    """Raises ``LogError`` where most of what a log begins with are no webhooks."""
    others = sum(not is_webhook(one) for one in looked)
    if 2 * others > len(looked):
        raise LogError(
            f"{others:,} of its first {len(looked):,} {what} are no webhooks",
            place=name,
            hint="check that it is the log you mean: tracker audit only looks, --webhook-field says where a line has"
            " the webhook, --force stores it all the same",
        )
