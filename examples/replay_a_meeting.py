"""One meeting replayed from its log: no store, no read models, just observing and assessing.

Shows after each delivery what it is taken for by then, which state it found and left, and how the findings
have changed: what is found now (+), and what no longer holds (-), because a later delivery made another
explanation the likelier one. Then what is held at the end of the log.

    python examples/replay_a_meeting.py
    python examples/replay_a_meeting.py examples/bad_monday.jsonl 6b040798714b151adf6e5384
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from tracker.delivery import envelope
from tracker.delivery.webhook import Delivery, parse
from tracker.findings import Finding
from tracker.intake.logs import Log
from tracker.judging.assess import assess
from tracker.judging.session import Observed
from tracker.judging.state import Judgement, Session

CLEAN = Path(__file__).with_name("clean_meeting.jsonl")
WIDTH = 80


def main(log: str = str(CLEAN), session_id: str = "") -> None:
    deliveries = [parse(envelope.decode(line.text), line.number) for line in Log(log).lines()]
    # Without an id it is the session that the log speaks of first.
    session_id = session_id or next(one.session_id for one in deliveries if one.session_id) or ""
    observed, before = Observed(session_id, session_id), dict[str, str]()
    print(columns("line", "received", "reading", "state", "what, and whose"))
    for delivery in deliveries:
        if delivery.stream == session_id:
            observed.observe(delivery)
            session = assess(observed, delivery.received_at)
            print(row(session, delivery))
            before = show_changes(before, session)

    # What depends on silence is decided by the newest receive time, never by the clock of this machine.
    newest = max((one.received_at for one in deliveries if one.received_at), default=None)
    session = assess(observed, newest)
    print(f"\nAt the end of the log the session is {session.state} ({session.certainty}).")
    print("Its findings:" if session.findings else "Nothing is found.")
    for finding in session.findings:
        print(wrapped(in_words(finding), "  "))


def show_changes(before: dict[str, str], session: Session) -> dict[str, str]:
    """Prints what is found now and was not, and the other way round; returns what is found now."""
    now = {f"{one.code} {one.position}": in_words(one) for one in session.findings}
    for name, text in before.items():
        if name not in now:
            print(wrapped(f"- {text}", " " * 6))
    for name, text in now.items():
        if name not in before:
            print(wrapped(f"+ {text}", " " * 6))
    return now


def row(session: Session, delivery: Delivery) -> str:
    judgement = session.readings().get(delivery.position, Judgement("unrouted"))
    at = delivery.received_at.strftime("%H:%M:%S") if delivery.received_at else "-"
    what, moved = delivery.type or "-", judgement.state_after or "-"
    if judgement.lifecycle is not None:
        aggregate = session.aggregates[judgement.lifecycle, judgement.key]
        what += f" {aggregate.name}" if aggregate.key else ""
        what += f" #{judgement.run}" if judgement.run != 1 else ""
    if judgement.state_before != judgement.state_after:
        moved = f"{judgement.state_before or '-'} -> {moved}"
    return columns(str(delivery.position), at, judgement.reading, moved, what)


def columns(line: str, received: str, reading: str, state: str, what: str) -> str:
    return f"{line:>4} {received:<8}  {reading:<13} {state:<20} {what}"


def in_words(finding: Finding) -> str:
    return f"{finding.code} {finding.severity}, {finding.verdict}: {finding.message}"


def wrapped(text: str, indent: str) -> str:
    more = f"{indent}     "
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=more, break_on_hyphens=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
