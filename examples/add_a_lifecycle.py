"""The composite recording, one of the types that came after the thirty-four of the first page.

Nine lifecycles are declared; this is the tenth. Copied as it is to
``tracker/lifecycles/composite_recording.py``, this file is all there is to do: routing, typing,
judging, rows, listings and diagrams are derived from the declaration. Each composite recording is
sent with an ``id``, so several may run at once; otherwise it goes the way of every recording, and
steps and table are the recording's.

Run as a program it shows what the declaration does, without installing it:

    python examples/add_a_lifecycle.py
"""

from __future__ import annotations

import attrs

from tracker.lifecycle import Lifecycle
from tracker.lifecycles.recording import FILES, STEPS, TABLE, File


@attrs.frozen
class CompositeRecording:
    meeting_id: str | None = None
    session_id: str | None = None
    id: str | None = None
    file_path: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    file_details: tuple[File, ...] | None = None
    message: str | None = None


LIFECYCLE = Lifecycle(
    name="composite-recording",
    payload=CompositeRecording,
    key=("id",),
    artefacts=FILES,
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    steps=STEPS,
    table=TABLE,
)


if __name__ == "__main__":
    # A declaration knows nothing of what is built on it; only this demonstration does.
    import json

    from projections.diagrams import mermaid
    from tracker.lifecycles import REGISTRY, Registry
    from tracker.session import Session, judge, settle
    from tracker.webhook import parse

    session_id, first, second = (
        "613731342f27f56e4fc4b6d0",
        "665fcf7f2abe9a2807e42701",
        "665fcf7f2abe9a2807e42702",
    )
    file = f"/encoded/videos/{first}.mp4"
    webhooks: tuple[tuple[str, dict[str, str | None]], ...] = (
        ("session-started", {"start": "2026-11-23T09:00:00.000+00:00"}),
        ("composite-recording-starting", {"id": first}),
        ("composite-recording-started", {"id": first}),
        ("composite-recording-starting", {"id": second}),
        ("composite-recording-failed", {"id": second, "message": "no source to compose"}),
        ("composite-recording-stopping", {"id": first}),
        ("composite-recording-stopped", {"id": first, "filePath": file, "fileUrl": None}),
    )

    def replay(registry: Registry) -> None:
        session = Session(session_id, session_id)
        for position, (webhook_type, more) in enumerate(webhooks, start=1):
            data = {"meetingId": "jvsg-8rjn-j304", "sessionId": session_id, **more}
            body = json.dumps({"webhookType": webhook_type, "data": data}).encode()
            judgement = judge(session, parse(body, position, registry))
            whose = "".join(value[-2:] for _, value in judgement.key)
            moved = f"{judgement.state_before or '-'} -> {judgement.state_after or '-'}"
            print(f"{position}  {webhook_type:<28}  {whose:<2}  {judgement.reading:<8}  {moved}")
        for finding in settle(session, None).all_findings():
            print(f"   {finding.code} {finding.severity}: {finding.message}")

    print(f"What the {len(REGISTRY)} lifecycles that are installed make of it:\n")
    replay(REGISTRY)
    print(f"\nAnd with {LIFECYCLE.name} (01 and 02 are the ends of the ids):\n")
    replay(REGISTRY.adding(LIFECYCLE))
    print(f"\nThe declaration, drawn:\n\n{mermaid(LIFECYCLE)}", end="")
