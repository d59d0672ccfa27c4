"""From deliveries straight to findings, with no read model in between and no store needed.

What is found of the sessions is ``projections.audit.share``'s; what is found of the log as a whole comes to
it here, in the process that sees all of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol
from zlib import crc32

import attrs
from msgspec.structs import replace

from projections.audit.found import Findings, disk_errors
from projections.audit.share import Share, is_left
from tracker.bulk import bulk
from tracker.delivery.webhook import UNROUTED, Delivery, until
from tracker.errors import LogError
from tracker.findings import Finding
from tracker.intake.logs import STDIN, Log, Oddities, is_usual, whole
from tracker.intake.merging import can_be_merged, merged
from tracker.intake.receive_times import believed
from tracker.judging.findings.of_log import of_log
from tracker.judging.log import NOTHING_KNOWN, Habits, LogView, Traffic, is_milestone, telling, view_of
from tracker.judging.session import Observed
from tracker.judging.state import Session, SessionState
from tracker.record import RECORD
from tracker.rules import Rules

SWEEP = 10_000
"""Deliveries after which is looked who can be spilled."""
OWN = 3
"""Of the sessions that the first of two processes assesses it observes one of so many as well; the second one the others."""


@attrs.define
class Audit:
    """What an audit found. ``newest`` is the newest receive time, and ``as_of`` the moment as of which was judged."""

    findings: Findings
    sessions: int = 0
    deliveries: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    as_of: datetime | None = None
    log: LogView = NOTHING_KNOWN
    live: int = 0
    """Sessions that had not ended, """
    open_runs: int = 0
    """and runs that had not, when the log did."""


class Part(Protocol):
    """A part of the sessions, judged here or elsewhere. It is given the deliveries of its sessions, in order."""

    def observe(self, delivery: Delivery, /) -> None: ...
    def sweep(self, now: datetime | None, /) -> None:
        """Spills sessions that are over to disk where there are many; ``now`` is the newest receive time of the whole log."""

    def assess(self, log: LogView, several: Container[str], as_of: datetime | None, /, *, over: bool) -> None:
        """Assesses all sessions; nothing more will come. ``several`` are the meetings that had more than one."""


class Elsewhere(Part, Protocol):
    """A part that another process judges."""

    def ask_habits(self) -> None:
        """Asks for what the log has learned of its sessions up to here."""

    def habits(self) -> tuple[Habits, str]:
        """What was asked for, without the rooms, and the file in which these are; waits for it."""

    def left(self) -> str:
        """The file in which it has left what it does not assess; waits for it."""

    def judged(self) -> tuple[int, str]:
        """Waits until all else is assessed: how many sessions it had, and the file in which their findings are."""


def audit(
    deliveries: Iterable[Delivery],
    rules: Rules,
    as_of: datetime | None = None,
    see: Callable[[Session, Observed], None] | None = None,
    others: Sequence[Elsewhere] = (),
    *,
    now: datetime | None = None,
) -> Audit:
    """Observes every session, and assesses each as of the end of the log, or of ``now``, or of ``as_of``.

    With ``as_of`` the log is cut there: what was received later is left out. What a window leaves open when the
    log ends is ``undecided``. With ``now``, the present moment, the log is a store's and will grow: so that is
    provisional, the store is judged as late as it is, and what the log says of other sessions is taken as of its
    last milestone, as in the read models. ``see`` is given each session once, and what came of it.
    ``others`` judge a part of the sessions each. Raises ``TrackerError`` where the disk is full.
    """
    with bulk(), disk_errors():
        traffic, share, count = Traffic(), Share(rules, see), 0
        growing = now is not None
        parts: tuple[Part, ...] = (share, *others)
        observe = _dealt(share, others)
        known = Habits() if growing else None
        for number, delivery in enumerate(until(deliveries, as_of), 1):
            traffic.observe(delivery, rules)
            share.has_begun = traffic.has_begun
            observe(delivery)
            count += delivery.step is not RECORD
            if number % SWEEP == 0:
                for part in parts:
                    part.sweep(traffic.newest)
            if growing and is_milestone(delivery.position):
                known = telling(_collected_habits(share, others))
        at = as_of or max(filter(None, (traffic.newest, now)), default=None)
        learned = _collected_habits(share, others)
        log = view_of(known if known is not None else learned, traffic, at, rules)
        log = replace(log, next_begin=learned.next_begin)
        several = set(learned.rooms)
        for part in reversed(parts):  # the others while this one does
            part.assess(log, several, at, over=not growing)
        for other in others:
            share.assess_left(other.left(), log, several, at, over=not growing)
        for other in others:
            share.add(*other.judged())
        share.overlap(at)
        share.findings.put(of_log(log, rules))
        if not growing:
            share.findings.revise(_decided)
        return Audit(
            share.findings, share.count, count, traffic.oldest, traffic.newest, at, log, *share.still_open()
        )


def _collected_habits(share: Share, others: Sequence[Elsewhere]) -> Habits:
    """What the log has learned of all sessions up to here, with the rooms that had several."""
    for other in others:
        other.ask_habits()
    habits, _ = share.learned()
    if others:
        total = Habits()
        total.add(habits)
        for other in others:
            one, rooms = other.habits()
            total.add(one)
            share.take_rooms(rooms)
        habits = total
    return replace(habits, rooms=share.rooms())


def _decided(found: Finding) -> Finding:
    """The log is over: what is provisional will not be decided any more."""
    return replace(found, verdict="undecided") if found.verdict == "provisional" else found


def _dealt(first: Part, others: Sequence[Part]) -> Callable[[Delivery], None]:
    """Gives a delivery to the part that its stream belongs to. Who reads for the others observes what belongs to no
    session, and of two also some sessions: reading a log and handing it on takes not quite as long as observing it."""
    if not others:
        return first.observe

    @lru_cache(maxsize=4096)
    def part_of(stream: str) -> Part:
        number, is_of_two = crc32(stream.encode(errors="replace")), len(others) == 1
        if stream.startswith(UNROUTED) or (is_of_two and number % OWN == 0 and is_left(stream, 2)):
            return first
        return others[number % len(others)]

    return lambda delivery: part_of(delivery.stream).observe(delivery)


@attrs.define
class Logs:
    """Several logs as one: positions are numbers of lines, counted on from one file to the next as they are given.

    The deliveries come by receive time; with ``as_given``, or where one of the logs is a pipe, one log after the
    other. After the reading, ``errors`` holds what kept a log from being read to its end, and ``odd`` what is
    worth a word, by the log's name.
    """

    logs: list[Log]
    as_given: bool = False
    odd: dict[str, Oddities] = attrs.field(factory=dict)
    errors: list[LogError] = attrs.field(factory=list)
    broken: set[str] = attrs.field(factory=set)
    """The names of those that were not read to their end."""
    lines: int = 0
    begins: list[tuple[int, str]] = attrs.field(factory=list)
    """How many lines stood before each log, and its path."""

    def add_error(self, name: str, error: LogError) -> None:
        self.errors.append(error)
        self.broken.add(name)

    def place(self, position: int) -> tuple[str, int] | None:
        """The file and the line in it of a position; ``None`` where that is no file."""
        which = bisect_left(self.begins, (position, "")) - 1
        before, path = self.begins[which]
        number = position - before
        return None if path == STDIN else (path, self.logs[which].line_at(number) if self.logs else number)

    def deliveries(self) -> Iterator[Delivery]:
        """Everything that the logs deliver, each at its position."""
        if self.as_given or not can_be_merged(self.logs):
            for log in self.logs:
                self.begins.append((self.lines, log.path))
                yield from self._believed(log, self.lines)
                self.lines += log.reached
            return
        counts = [log.count() for log in self.logs]
        for log, count in zip(self.logs, counts, strict=True):
            self.begins.append((self.lines, log.path))
            self.lines += count

        def read(place: int) -> Iterator[Delivery]:
            return self._believed(self.logs[place], self.begins[place][0], counts[place])

        for _, delivery in merged(self.logs, read):
            yield delivery

    def _believed(self, log: Log, before: int, most: int | None = None) -> Iterator[Delivery]:
        """What one log delivers, behind so many lines of others, with the receive times that are believed."""
        odd = self.odd.setdefault(log.name, Oddities())
        for one in believed(self._read(log, before, most, odd)):
            if is_usual(one):
                odd.deliveries += 1
            else:
                odd.look_at(one, log.line_at(one.position - before))
            yield one

    def _read(self, log: Log, before: int, most: int | None, odd: Oddities) -> Iterator[Delivery]:
        """What one log delivers, no more than it had when its lines were counted."""
        try:
            for one in log.deliveries(whole(log.lines(), odd), before):
                if most is not None and one.position > before + most:
                    return
                yield one
        except LogError as error:
            self.add_error(log.name, error)


_Found = tuple[str, str | None, SessionState, list[Finding]]
"""A stream, its meeting and its state, and what was found in it."""


def collected(
    log: LogView,
    traffic: Traffic,
    rules: Rules,
    *found: Iterable[_Found],
    as_of: datetime | None,
    sessions: int,
    deliveries: int,
    live: int,
    open_runs: int,
) -> Audit:
    """An audit of what was found elsewhere, stream by stream, and of what the whole log says."""
    with disk_errors():
        findings = Findings.none()
        for _, meeting_id, state, ones in (entry for some in found for entry in some):
            findings.put(ones, meeting_id, state)
        findings.put(of_log(log, rules))
        findings.revise(_decided)
        return Audit(
            findings, sessions, deliveries, traffic.oldest, traffic.newest, as_of, log, live, open_runs
        )
