"""From deliveries straight to findings, with no read model in between and no store needed.

What is found of the sessions is ``projections.share``'s; what is found of the log as a whole comes to
it here, in the process that hears all of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Protocol
from zlib import crc32

import attrs

from projections.found import Findings, disk_errors
from projections.share import Share
from tracker.bulk import bulk
from tracker.errors import LogError
from tracker.findings import Finding
from tracker.logs import STDIN, Log, Oddities
from tracker.rules import Rules
from tracker.session import Session, SessionState
from tracker.traffic import Traffic, consequence
from tracker.webhook import UNROUTED, Delivery

SWEEP = 10_000
"""Deliveries after which is looked who can be put aside."""
SLOTS = 100
"""In so many parts of equal size are the sessions, of which a process judges some."""
READING = 25
"""Reading a log and handing it on takes as long as judging so many slots of it, as measured: from 10 to 30 the clock
shows no difference, beyond it does. What is cheaper to judge wants more."""


@attrs.define
class Audit:
    """What an audit found. ``newest`` is the newest receive time, at which all was settled."""

    findings: Findings
    sessions: int = 0
    deliveries: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    live: int = 0
    """Sessions that had not ended, """
    open_runs: int = 0
    """and runs that had not, when the log did."""


class Part(Protocol):
    """A part of the sessions, judged here or elsewhere. It hears the deliveries of its sessions, in order."""

    def hear(self, delivery: Delivery, /) -> None: ...
    def sweep(self, now: datetime | None, /) -> None:
        """Puts aside who is over; ``now`` is the newest receive time of the whole log."""

    def settle(self, at: datetime | None, /) -> None:
        """Nothing more will be heard."""


class Elsewhere(Part, Protocol):
    """A part that another process judges."""

    def judged(self) -> tuple[int, str]:
        """Waits until all is settled: how many sessions it had, and the file in which they are put aside."""


def audit(
    deliveries: Iterable[Delivery],
    rules: Rules,
    as_of: datetime | None = None,
    see: Callable[[Session], None] | None = None,
    others: Sequence[Elsewhere] = (),
) -> Audit:
    """Folds every session and settles it at the end of the log, or at ``as_of``.

    With ``as_of`` the log is cut there: what was received later is left out. A finding whose window
    is still open when the log ends is ``undecided``. ``see`` is given each session, settled; more than
    once where something comes after its last window. ``others`` judge a part of the sessions each. Raises
    ``TrackerError`` where the disk is full of what is put aside.
    """
    with bulk(), disk_errors():
        traffic, share, count = Traffic(), Share(rules, see), 0
        parts: tuple[Part, ...] = (share, *others)
        part_of = _dealt(parts)
        for delivery in until(deliveries, as_of):
            traffic.hear(delivery, rules)
            part_of(delivery.stream).hear(delivery)
            count += 1
            if count % SWEEP == 0:
                for part in parts:
                    part.sweep(traffic.newest)
        at = as_of or traffic.newest
        for part in reversed(parts):  # the others while this one does
            part.settle(at)
        for other in others:
            share.add(*other.judged())
        share.overlap(at)
        return _audited(share.aside.findings, share.count, count, traffic, rules)


def until(deliveries: Iterable[Delivery], as_of: datetime | None) -> Iterable[Delivery]:
    """What had been received by then, and all of which is not known when it was."""
    if as_of is None:
        return deliveries
    return (one for one in deliveries if one.received_at is None or one.received_at <= as_of)


def shared(parts: int) -> list[int]:
    """Whose each slot is. The first part has fewer, for it reads the log as well."""
    own = max(0, (SLOTS - READING * (parts - 1)) // parts)
    return [0] * own + [1 + slot % (parts - 1) for slot in range(SLOTS - own) if parts > 1]


def _dealt(parts: Sequence[Part]) -> Callable[[str], Part]:
    """Which part a stream belongs to; what belongs to no session is the first one's."""
    first, slots = parts[0], [parts[number] for number in shared(len(parts))]

    def part_of(stream: str) -> Part:
        if stream.startswith(UNROUTED):
            return first
        return slots[crc32(stream.encode(errors="replace")) % SLOTS]

    return part_of if len(parts) > 1 else lambda _: first


def _audited(findings: Findings, sessions: int, deliveries: int, traffic: Traffic, rules: Rules) -> Audit:
    """What was found of the sessions, in the light of what is found of the whole log."""

    def told(one: Finding) -> Finding:
        found = consequence(one, traffic, rules)
        # The log is over.
        return attrs.evolve(found, verdict="undecided") if found.verdict == "provisional" else found

    findings.put(traffic.findings(rules))
    findings.revise(told)
    return Audit(findings, sessions, deliveries, traffic.oldest, traffic.newest)


@attrs.define
class Logs:
    """Several logs as one: positions are line numbers, counted on from one file to the next.

    After the reading, ``errors`` holds what kept a log from being read to its end, and ``odd`` what is
    worth a word, by the log's name.
    """

    logs: list[Log]
    odd: dict[str, Oddities] = attrs.field(factory=dict)
    errors: list[LogError] = attrs.field(factory=list)
    lines: int = 0
    begins: list[tuple[int, str]] = attrs.field(factory=list)
    """How many lines stood before each log, and its path."""

    def place(self, position: int) -> tuple[str, int] | None:
        """The file and the line in it of a position; ``None`` where that is no file."""
        before, path = self.begins[bisect_left(self.begins, (position, "")) - 1]
        return None if path == STDIN else (path, position - before)

    def deliveries(self) -> Iterator[Delivery]:
        for log in self.logs:
            before, odd = self.lines, self.odd.setdefault(log.name, Oddities())
            self.begins.append((before, log.path))
            try:
                for line in log.lines():
                    self.lines = before + line.number
                    if not line.blank:
                        delivery = log.delivery(line, self.lines)
                        odd.look_at(delivery, line.number)
                        yield delivery
            except LogError as error:
                self.errors.append(error)


_Found = tuple[str, str | None, SessionState, list[Finding]]
"""A stream, its meeting and its state, and what was found in it."""


def gathered(traffic: Traffic, rules: Rules, sessions: int, deliveries: int, *found: Iterable[_Found]) -> Audit:
    """An audit of what was found elsewhere, stream by stream, and of the traffic of the whole log."""
    with disk_errors():
        findings = Findings.none()
        for _, meeting_id, state, ones in (entry for some in found for entry in some):
            findings.put(ones, meeting_id, state)
        return _audited(findings, sessions, deliveries, traffic, rules)
