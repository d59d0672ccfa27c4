"""From deliveries straight to findings, with no read model in between and no store needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs

from projections.status import standing
from tracker import envelope
from tracker.envelope import Received
from tracker.errors import LogError
from tracker.findings import Finding
from tracker.logs import MAX_LINE, Log
from tracker.rules import Rules
from tracker.session import Session, conclude, judge
from tracker.webhook import MALFORMED, Delivery, parse


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
    for delivery in deliveries:
        at = delivery.received_at
        if as_of is not None and at is not None and at > as_of:
            continue
        if at is not None:
            result.newest = at if result.newest is None else max(at, result.newest)
            result.oldest = at if result.oldest is None else min(at, result.oldest)
        result.deliveries += 1
        session = sessions.get(delivery.stream)
        if session is None:
            session = sessions[delivery.stream] = Session(delivery.stream, delivery.session_id)
        judge(session, delivery, rules)
    for session in sessions.values():
        settled = conclude(session, as_of or result.newest, rules)
        result.sessions.append(settled)
        for found in standing(settled.all_findings()):
            if found.verdict == "provisional":
                found = attrs.evolve(found, verdict="undecided")  # noqa: PLW2901 - the log is over
            result.findings.append(found)
    result.findings.sort(key=lambda found: (found.position or 0, found.session_id or "", found.number))
    return result


@attrs.define
class Logs:
    """Several logs as one: positions are line numbers, counted on from one file to the next.

    What kept a log from being read to its end is in ``errors`` after the reading.
    """

    logs: list[Log]
    errors: list[LogError] = attrs.field(factory=list)
    lines: int = 0

    def deliveries(self) -> Iterator[Delivery]:
        for log in self.logs:
            before = self.lines
            try:
                for line in log.lines():
                    self.lines = before + line.number
                    source = f"{log.name}:{line.number}"
                    if line.too_long:
                        yield _too_long(line.too_long, self.lines, source)
                    elif not line.blank:
                        yield parse(envelope.decode(line.text, source), self.lines)
            except LogError as error:
                self.errors.append(error)


def _too_long(size: int, position: int, source: str) -> Delivery:
    problem = f"its line has {size:,} bytes, and no webhook has more than {MAX_LINE:,}"
    return Delivery(
        Received(b"", source=source), position, "unrouted:malformed", unrouted=MALFORMED, problem=problem
    )
