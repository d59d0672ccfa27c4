"""From deliveries straight to findings, with no read model in between and no store needed.

What is found of the sessions is ``projections.share``'s; what is found of the log as a whole comes to
it here, in the process that hears all of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import attrs

from projections.share import Judged, Part, Share
from tracker.bulk import bulk
from tracker.errors import LogError, TrackerError
from tracker.findings import Finding
from tracker.logs import STDIN, Log, Oddities
from tracker.rules import Rules
from tracker.session import Session, SessionState
from tracker.traffic import Traffic, consequence
from tracker.webhook import UNROUTED, Delivery


@attrs.define
class Audit:
    """What an audit found. ``newest`` is the newest receive time, at which all was settled.

    ``told`` gives the meeting and the state of each session with a finding.
    """

    findings: list[Finding] = attrs.field(factory=list)
    sessions: int = 0
    deliveries: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    told: dict[str, tuple[str | None, SessionState]] = attrs.field(factory=dict)


def audit(
    deliveries: Iterable[Delivery],
    rules: Rules,
    as_of: datetime | None = None,
    see: Callable[[Session], None] | None = None,
    others: Iterable[Callable[[], Judged]] = (),
) -> Audit:
    """Folds every session and settles it at the end of the log, or at ``as_of``.

    With ``as_of`` the log is cut there: what was received later is left out. A finding whose window
    is still open when the log ends is ``undecided``. ``see`` is given each session, settled; more than
    once where something comes after its last window. ``others`` wait for what other processes found in
    their parts of the sessions of the same log.
    """
    others = tuple(others)
    traffic, share = Traffic(), Share(rules, Part(0, 1 + len(others)), see)
    with bulk():
        for delivery in until(deliveries, as_of):
            traffic.hear(delivery, rules)
            share.hear(delivery)
        share.settle(as_of)
        for other in others:
            _add(share, other())
        share.overlap(as_of)
        return _audited(share.judged, traffic, rules)


def until(deliveries: Iterable[Delivery], as_of: datetime | None) -> Iterable[Delivery]:
    """What had been received by then, and all of which is not known when it was."""
    if as_of is None:
        return deliveries
    return (one for one in deliveries if one.received_at is None or one.received_at <= as_of)


def _add(share: Share, other: Judged) -> None:
    if other.deliveries != share.judged.deliveries:
        raise TrackerError("the log grew while it was read", hint="audit a copy of it, or leave out --jobs")
    share.add(other)


def _audited(judged: Judged, traffic: Traffic, rules: Rules) -> Audit:
    """What was found of the sessions, in the light of what is found of the whole log."""
    found = [*judged.alone, *traffic.findings(rules)]
    for ones in judged.found.values():
        found.extend(consequence(one, traffic, rules) for one in ones)
    found = [one for one in found if one.verdict != "retracted"]
    for one in found:
        if one.verdict == "provisional":
            one.verdict = "undecided"  # the log is over
    found.sort(key=lambda one: (one.position or 0, one.session_id or "", one.number))
    return Audit(found, judged.sessions, judged.deliveries, traffic.oldest, traffic.newest, judged.told)


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


def gathered(traffic: Traffic, rules: Rules, *found: Iterable[_Found]) -> Audit:
    """An audit of what was found elsewhere, stream by stream, and of the traffic of the whole log."""
    judged = Judged()
    for stream, meeting_id, state, ones in (entry for some in found for entry in some):
        if stream.startswith(UNROUTED):
            judged.alone.extend(ones)
            continue
        judged.found.setdefault(stream, []).extend(ones)
        if any(one.session_id is not None for one in ones):
            judged.told[stream] = meeting_id, state
    return _audited(judged, traffic, rules)
