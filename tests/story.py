"""Stories, as ``tracker.testing`` has them: deliveries written as short lines, and what became of them."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict, replace

from projections.audit.auditing import audit
from tracker.findings import Finding
from tracker.judging.state import Judgement, Session
from tracker.rules import Rules
from tracker.testing import NOON, deliveries, delivery, given, moment, states
from tracker.testing import codes as standing
from tracker.testing import verdicts as findings

__all__ = [
    "NOON",
    "OF_THE_LOG",
    "RULES",
    "audited",
    "deliveries",
    "delivery",
    "findings",
    "judged",
    "moment",
    "readings",
    "session_from",
    "standing",
    "states",
    "value",
]

OF_THE_LOG = {"T308", "X406", "L601", "L602", "L603"}
"""Codes that no session alone can have; ``test_log`` has a story for each."""
RULES = Rules()


def session_from(*lines: str, as_of: str | None = None, rules: Rules = RULES) -> Session:
    """The session after these lines, as of the last one or of the moment given."""
    return given(*lines, rules=rules).as_of(as_of).session


def judged(*lines: str) -> list[Judgement]:
    """What each line was, with hindsight."""
    return given(*lines).judgements


def readings(*lines: str) -> list[str]:
    return [judgement.reading for judgement in judged(*lines)]


def audited(
    *lines: str, as_of: str | None = None, rules: Rules = RULES, sources: Sequence[str] = ()
) -> tuple[list[Finding], list[Session]]:
    """What an audit of a log finds in it, and its sessions as they stand when it ends. A line may name its own
    session (``sessionId=a``); ``sources`` are the files that the lines come from."""
    sessions: list[Session] = []
    received = deliveries(*lines)
    for one, source in zip(received, sources, strict=False):
        one.received = replace(one.received, source=f"{source}:{one.position}")
    result = audit(
        received, rules, moment(as_of) if as_of else None, lambda session, _: sessions.append(session)
    )
    return list(result.findings), sessions


def value(session: Session | None) -> Any:
    """All that is known of a session, to be compared."""
    if session is None:
        return None
    return (
        {name: held for name, held in asdict(session).items() if name not in ("aggregates", "findings")},
        [asdict(found) for found in session.findings],
        session.readings(),
        [
            (
                *(
                    aggregate.lifecycle.name,
                    aggregate.key,
                    aggregate.label,
                    aggregate.state,
                    aggregate.certainty,
                ),
                *((run.number, run.state, run.certainty, run.steps, run.data) for run in aggregate.runs),
            )
            for aggregate in session.aggregates.values()
        ],
    )
