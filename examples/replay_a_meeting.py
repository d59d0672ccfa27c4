"""One meeting replayed from its log: no store, no read models, just the fold.

Shows, delivery by delivery, what it was taken for, which state it found and left, and what it raised;
then what remains when all deadlines up to the end of the log have passed. A finding can be taken
back by a later delivery, so what is raised and what remains are not the same.

    python examples/replay_a_meeting.py
    python examples/replay_a_meeting.py examples/bad_monday.jsonl 6b040798714b151adf6e5384
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from tracker import envelope
from tracker.aggregate import Judgement
from tracker.findings import Finding
from tracker.logs import Log
from tracker.session import Session, judge, settle
from tracker.webhook import Delivery, parse

CLEAN = Path(__file__).with_name("clean_meeting.jsonl")
WIDTH = 80


def main(log: str = str(CLEAN), session_id: str = "") -> None:
    deliveries = [parse(envelope.decode(line.text), line.number) for line in Log(log).lines()]
    # Without an id it is the session that the log speaks of first.
    session_id = session_id or next(one.session_id for one in deliveries if one.session_id) or ""
    session = Session(session_id, session_id)
    print(columns("line", "received", "reading", "state", "what, and whose"))
    for delivery in deliveries:
        if delivery.stream == session_id:
            judgement = judge(session, delivery)
            print(row(session, delivery, judgement))
            for finding in judgement.findings:
                print(textwrap.indent(told(finding), " " * 6))

    # What depends on silence is decided by the newest receive time, never by the clock of this machine.
    newest = max((one.received_at for one in deliveries if one.received_at), default=None)
    settled = settle(session, newest)
    print(f"\nAt the end of the log the session is {settled.state} ({settled.certainty}).")
    findings = settled.all_findings()
    print("Its findings:" if findings else "Nothing to reproach it with.")
    for finding in findings:
        print(textwrap.indent(told(finding), "  "))


def row(session: Session, delivery: Delivery, judgement: Judgement) -> str:
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


def told(finding: Finding) -> str:
    text = f"{finding.code} {finding.severity}, {finding.verdict}: {finding.message}"
    return textwrap.fill(text, WIDTH - 6, subsequent_indent=" " * 5, break_on_hyphens=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
