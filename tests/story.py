"""Stories: deliveries written as short lines, and what became of them.

A line says when (seconds; ``5m`` or ``2h``; ``-`` for a log without receive times), which webhook, and
what its data holds:

    "3 participant-joined p1"               bare words are the lifecycle's key, in order
    "60 recording-stopped filePath=/a.mp4"  the sent name of a field; JSON values are read as JSON
    "60 recording-stopped -sessionId"       a field that is not sent
    "5 session-started forged"              a signature that does not verify
    "5 {not json"                           anything that begins otherwise is the body itself

Session ``S`` and meeting ``M`` are meant unless a line says otherwise.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from projections.audit import audit
from tracker.envelope import Received
from tracker.findings import SEVERITIES, Finding
from tracker.judging.assess import assess_all
from tracker.judging.state import Judgement, Session
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules
from tracker.webhook import Delivery, camel_case, parse

OF_THE_LOG = {"T308", "X406", "L601", "L602", "L603"}
"""Codes that no session alone can have; ``test_log`` has a story for each."""
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
RULES = Rules()
FORGED = " forged"
_UNITS = {"m": 60, "h": 3600}


def moment(when: str | float) -> datetime | None:
    """``"90"``, ``"5m"`` and ``"2h"`` after noon; ``None`` for ``"-"``."""
    text = str(when)
    if text == "-":
        return None
    size = _UNITS.get(text[-1], 1)
    return NOON + timedelta(seconds=float(text.rstrip("mh")) * size)


def delivery(line: str, position: int = 1) -> Delivery:
    when, _, rest = line.partition(" ")
    verified_by = "" if rest.endswith(FORGED) else None
    received = Received(body(rest.removesuffix(FORGED)), moment(when), verified_by=verified_by)
    return parse(received, position)


def body(rest: str) -> bytes:
    webhook_type, *words = rest.split(" ")
    if not webhook_type.replace("-", "").isalpha():
        return rest.encode()
    data: dict[str, Any] = {"sessionId": "S", "meetingId": "M"}
    lifecycle = REGISTRY.routes[webhook_type][0] if webhook_type in REGISTRY.routes else None
    keys = iter(lifecycle.key + lifecycle.optional_key if lifecycle else ())
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            data[name] = _value(value)
        elif name.startswith("-"):
            del data[name[1:]]
        else:
            data[camel_case(next(keys))] = word
    return json.dumps({"webhookType": webhook_type, "data": data}).encode()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def deliveries(*lines: str) -> list[Delivery]:
    """The deliveries of these lines, at the positions 1, 2, 3…"""
    return [delivery(line, position) for position, line in enumerate(lines, 1)]


def told(*lines: str, as_of: str | None = None, rules: Rules = RULES) -> Session:
    """The session after these lines, as of the last one or of the moment given."""
    session = assess_all(deliveries(*lines), moment(as_of) if as_of else None, rules)
    assert session is not None
    return session


def judged(*lines: str) -> list[Judgement]:
    """What each line was, with hindsight."""
    readings = told(*lines).readings()
    return [readings.get(place, Judgement("unrouted")) for place in range(1, len(lines) + 1)]


def readings(*lines: str) -> list[str]:
    return [judgement.reading for judgement in judged(*lines)]


def audited(
    *lines: str, as_of: str | None = None, rules: Rules = RULES, sources: Sequence[str] = ()
) -> tuple[list[Finding], list[Session]]:
    """What an audit of a log finds in it, and its sessions as they stand when it ends. A line may name its own
    session (``sessionId=a``); ``sources`` are the files that the lines come from."""
    sessions: list[Session] = []
    heard = deliveries(*lines)
    for one, source in zip(heard, sources, strict=False):
        one.received.source = f"{source}:{one.position}"
    result = audit(heard, rules, moment(as_of) if as_of else None, lambda session, _: sessions.append(session))
    return list(result.findings), sessions


def findings(session: Session, at_least: str = "info") -> dict[str, str]:
    """Code -> verdict of what is worth at least so much, in order."""
    grave = SEVERITIES[SEVERITIES.index(at_least) :]
    return {found.code: found.verdict for found in session.findings if found.severity in grave}


def standing(session: Session, at_least: str = "info") -> list[str]:
    """The codes that are worth at least so much, in order."""
    grave = SEVERITIES[SEVERITIES.index(at_least) :]
    return [found.code for found in session.findings if found.severity in grave]


def states(session: Session, lifecycle: str) -> list[str]:
    """The states of the runs of the one aggregate of this lifecycle."""
    (aggregate,) = [found for (name, _), found in session.aggregates.items() if name == lifecycle]
    return [run.state for run in aggregate.runs]


def value(session: Session | None) -> Any:
    """All that is known of a session, to be compared."""
    if session is None:
        return None
    return (
        {
            name: held
            for name, held in attrs.asdict(session, recurse=False).items()
            if name not in ("aggregates", "findings")
        },
        [attrs.asdict(found) for found in session.findings],
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
