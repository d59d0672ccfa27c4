"""What a new lifecycle changes: the same webhooks, judged without it and with it.

Shows the lifecycle of ``add_a_lifecycle.py`` before it is installed. A registry with one declaration
more is all that parsing needs; judging follows from what was parsed, and the drawing is read off the
declaration.

    python examples/show_a_lifecycle.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import fill

from add_a_lifecycle import LIFECYCLE

from projections.explain.diagrams import mermaid
from projections.explain.status import timeline
from tracker.delivery.webhook import Delivery, parse
from tracker.lifecycles import REGISTRY, Registry
from tracker.rules import Rules

SESSION, FIRST, SECOND = "613731342f27f56e4fc4b6d0", "665fcf7f2abe9a2807e42701", "665fcf7f2abe9a2807e42702"
FILE = f"/encoded/videos/{FIRST}.mp4"
WEBHOOKS: tuple[tuple[str, dict[str, str | None]], ...] = (
    ("session-started", {"start": "2026-11-23T09:00:00.000+00:00"}),
    ("backup-recording-starting", {"id": FIRST}),
    ("backup-recording-started", {"id": FIRST}),
    ("backup-recording-starting", {"id": SECOND}),
    ("backup-recording-failed", {"id": SECOND, "message": "no space left"}),
    ("backup-recording-stopping", {"id": FIRST}),
    ("backup-recording-stopped", {"id": FIRST, "filePath": FILE, "fileUrl": None}),
)


def main() -> None:
    # Where the file has been copied into the package, it is among the installed ones already.
    without = Registry(lifecycle for lifecycle in REGISTRY.values() if lifecycle.name != LIFECYCLE.name)
    print(f"What {len(without)} lifecycles make of it:\n")
    replay(without)
    print(f"\nAnd with {LIFECYCLE.name} (01 and 02 are the ends of the ids):\n")
    replay(without.adding(LIFECYCLE))
    print(f"\nThe declaration, drawn:\n\n{mermaid(LIFECYCLE)}", end="")


def replay(registry: Registry) -> None:
    moments, sessions = timeline(deliveries(registry), Rules())
    for one in moments:
        judgement = one.judgement
        whose = "".join(value[-2:] for _, value in judgement.key)
        moved = f"{judgement.state_before or '-'} -> {judgement.state_after or '-'}"
        print(f"{one.delivery.position}  {one.delivery.topic:<28}  {whose:<2}  {judgement.reading:<8}  {moved}")
    for session in sessions:
        for finding in session.findings:
            words = f"{finding.code} {finding.severity}: {finding.message}"
            print(fill(words, 80, initial_indent="   ", subsequent_indent="     "))


def deliveries(registry: Registry) -> Iterator[Delivery]:
    for position, (webhook_type, more) in enumerate(WEBHOOKS, start=1):
        data = {"meetingId": "jvsg-8rjn-j304", "sessionId": SESSION, **more}
        body = json.dumps({"webhookType": webhook_type, "data": data}).encode()
        yield parse(body, position, registry)


if __name__ == "__main__":
    main()
