"""From deliveries straight to findings, with no read model in between and no store needed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs

from tracker.errors import LogError
from tracker.findings import Finding
from tracker.logs import STDIN, Log, Oddities
from tracker.rules import Rules
from tracker.session import Session, conclude, judge, standing
from tracker.store import UNROUTED
from tracker.webhook import Delivery


@attrs.define
class Audit:
    """What an audit found. ``newest`` is the newest receive time, at which all was settled."""

    findings: list[Finding] = attrs.field(factory=list)
    sessions: list[Session] = attrs.field(factory=list)
    deliveries: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None


def audit(deliveries: Iterable[Delivery], rules: Rules, as_of: datetime | None = None) -> Audit:
    """Folds every session and settles it at the end of the log, or at ``as_of``.

    With ``as_of`` the log is cut there: what was received later is left out. A finding whose window
    is still open when the log ends is ``undecided``.
    """
    result = Audit()
    sessions: dict[str, Session] = {}
    named: dict[str, set[str]] = {}
    for delivery in deliveries:
        at = delivery.received_at
        if as_of is not None and at is not None and at > as_of:
            continue
        if at is not None:
            result.newest = at if result.newest is None else max(at, result.newest)
            result.oldest = at if result.oldest is None else min(at, result.oldest)
        result.deliveries += 1
        if delivery.stream.startswith(UNROUTED):  # it stands alone; only what its stream named is known
            alone = Session(delivery.stream, named=named.setdefault(delivery.stream, set()))
            judge(alone, delivery, rules)
            result.findings.extend(alone.findings)
            continue
        session = sessions.get(delivery.stream)
        if session is None:
            session = sessions[delivery.stream] = Session(delivery.stream, delivery.session_id)
        judge(session, delivery, rules)
    for session in sessions.values():
        settled = conclude(session, as_of or result.newest, rules)
        result.sessions.append(settled)
        for found in standing(settled):
            if found.verdict == "provisional":
                found = attrs.evolve(found, verdict="undecided")  # noqa: PLW2901 - the log is over
            result.findings.append(found)
    result.findings.sort(key=lambda found: (found.position or 0, found.session_id or "", found.number))
    return result


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
