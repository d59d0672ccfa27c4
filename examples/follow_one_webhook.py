"""One delivery from the line of a log to the status of its session, hop by hop.

Shows what each stage hands to the next: the bytes of the line, the body that the envelope held, the
delivery that it was parsed to, the event that was stored, what it was judged to be, the rows that
followed, and the status one can ask for. Everything it writes goes into a temporary directory.

    python examples/follow_one_webhook.py
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from projections.views.follow import Views
from tracker.delivery import envelope
from tracker.delivery.webhook import Delivery, parse
from tracker.intake.logs import Log
from tracker.judging.assess import assess
from tracker.judging.session import Observed
from tracker.store.application import Tracker

LOG = Path(__file__).with_name("clean_meeting.jsonl")
FOLLOWED = "recording-started"
WIDTH = 80
ROWS = {
    "sessions": "meeting_id, state, deliveries, last_position, inside, severity",
    "participants": "participant_id, visit, name, state, joined_at",
    "runs": "lifecycle, run, state, certainty, steps",
}
"""Table of views.db -> the columns to show of its first row."""


def main() -> None:
    lines = [line.text for line in Log(str(LOG)).lines()]
    place = next(number for number, line in enumerate(lines) if FOLLOWED.encode() in line)
    with TemporaryDirectory() as data, Tracker.open(Path(data), create=True) as tracker:
        print(f"A {FOLLOWED}, line {place + 1} of {LOG.name}, from the log to the status.")
        # What a delivery means depends on what came before it, so that is stored first.
        tracker.append(list(deliveries(lines[:place])))

        hop(1, "a line of the log", "the bytes as somebody's log holds them")
        line = lines[place]
        show("bytes", line.decode())

        hop(2, "tracker.delivery.envelope.decode", "the body, untouched, and when it came")
        received = envelope.decode(line, source=f"{LOG.name}:{place + 1}")
        show("received_at", received.received_at and envelope.isoformat(received.received_at))
        show("source", received.source)
        show("body", received.body.decode())

        hop(3, "tracker.delivery.webhook.parse", "what the body says, and where it belongs")
        delivery = parse(received)
        assert delivery.lifecycle is not None
        assert delivery.step is not None
        show("stream", delivery.stream)
        show("lifecycle", f"{delivery.lifecycle.name}, step {delivery.step.name}")
        show("payload", delivery.payload)

        hop(4, "tracker.store.application.Tracker.append", "one event more in events.db")
        (position,) = tracker.append([delivery])
        (stored,) = tracker.recorder.select_notifications(position, 1)
        show("position", position)
        show("version", f"{stored.originator_version} in the stream {stored.originator_id}")
        show("topic", stored.topic)
        show("state", stored.state.decode())

        hop(5, "tracker.judging: observe, then assess", "what it was, by all that has come")
        observed = Observed(delivery.stream, delivery.session_id)
        for one in tracker.history(delivery.stream):
            observed.observe(one)
        session = assess(observed)
        judgement = session.readings()[position]
        show("reading", judgement.reading)
        show("state", f"{judgement.state_before} -> {judgement.state_after}")
        show("findings", [found.code for found in session.findings if found.position == position] or "none")

        hop(6, "projections.views.follow.Views", "rows of views.db, which can be made anew")
        with Views.open(tracker) as views:
            for table, columns in ROWS.items():
                row = next(
                    views.db.query(f"SELECT {columns} FROM {table} WHERE session_id = ?", [delivery.session_id])
                )
                show(table, ", ".join(f"{column}={value}" for column, value in row.items()))
            show("checkpoint", f"position {views.checkpoint.position}")

        hop(7, "tracker.store.application.Tracker.status", "the session folded from its stream")
        status = tracker.status(delivery.stream)
        show("as a whole", f"{status.state} ({status.certainty}), {status.deliveries} deliveries")
        for aggregate in status.aggregates.values():
            show(aggregate.lifecycle.name, f"{aggregate.name}: {aggregate.state} ({aggregate.certainty})")


def deliveries(lines: list[bytes]) -> Iterator[Delivery]:
    for number, line in enumerate(lines, start=1):
        yield parse(envelope.decode(line, f"{LOG.name}:{number}"))


def hop(number: int, stage: str, gives: str) -> None:
    print(f"\n{number}. {stage}: {gives}")


def show(name: str, value: object) -> None:
    indent = " " * 18
    wrapped = textwrap.wrap(str(value), WIDTH - len(indent), break_on_hyphens=False) or [""]
    print(f"   {name:<14} {wrapped[0]}")
    for more in wrapped[1:]:
        print(indent + more)


if __name__ == "__main__":
    main()
