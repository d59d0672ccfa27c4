"""The records that VideoSDK's REST API would have of a made-up meeting: what was, whether or not its webhooks came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import msgspec

from tracker.lifecycles import REGISTRY
from tracker.simulate.parts import FILMED, Draft, Run, Webhook

__all__ = ["PATHS", "Lists", "records"]

PATHS = {name: one.records.path for name, one in REGISTRY.items() if one.records is not None}
"""Lifecycle -> the path of the list of its records."""
Record = dict[str, Any]


@attrs.frozen
class Lists:
    """The records of many meetings, by the path of the list that they are in."""

    found: dict[str, list[Record]] = attrs.field(factory=lambda: {path: [] for path in PATHS.values()})

    def add(self, one: Draft) -> None:
        """Adds those of a meeting."""
        for path, record in records(one):
            self.found[path].append(record)

    def as_json(self) -> bytes:
        """As a file holds them, a record a line."""
        encode = msgspec.json.encode
        lists = (
            b"%s: [\n%s\n]" % (encode(path), b",\n".join(map(encode, ones)))
            for path, ones in self.found.items()
            if ones
        )
        return b"{%s}\n" % b",\n".join(lists)


def records(one: Draft) -> Iterator[tuple[str, Record]]:
    """The records of a meeting, each with the path of the list that it is in."""
    yield PATHS["session"], _session(one)
    for number, run in enumerate(one.runs):
        if run.lifecycle in PATHS and run is not one.own_run:
            yield PATHS[run.lifecycle], _record(one, run, number)


def _session(one: Draft) -> Record:
    run = one.own_run
    ended = "ended" in run
    visits = [webhook for visit in one.visits for webhook in visit.webhooks]
    return {
        "id": one.session_id,
        "roomId": one.plan.meeting_id,
        "start": run["started"].data.get("start", one.clock(run["started"].sent)),
        "end": run["ended"].data.get("end", one.clock(run["ended"].sent)) if ended else None,
        "status": "ended" if ended else "ongoing",
        "participants": list(_people(one, ended=ended)),
        "webhook": _tally(one, [*run.webhooks, *visits]),
    }


def _people(one: Draft, *, ended: bool) -> Iterator[Record]:
    people: dict[str, Record] = {}
    for visit in sorted(one.visits, key=lambda visit: visit["joined"].sent):
        said = visit["joined"].data
        person = people.setdefault(
            said["participantId"],
            {"participantId": said["participantId"], "name": said.get("participantName"), "timelog": []},
        )
        left = visit["left"].sent if "left" in visit else one.end if ended else None
        end = None if left is None else one.clock(left)
        person["timelog"].append({"start": one.clock(visit["joined"].sent), "end": end})
    yield from people.values()


def _record(one: Draft, run: Run, number: int) -> Record:
    last = run.webhooks[-1]
    end = one.clock(last.sent) if run.last.closes else None
    said = run.webhooks[0].data
    record: Record = {
        "id": said.get("id") or f"{one.session_id[:8]}{number:016x}",
        "roomId": one.plan.meeting_id,
        "sessionId": one.session_id,
        "start": one.clock(run.webhooks[0].sent),
        "end": end,
        "createdAt": one.clock(run.webhooks[0].sent),
        "webhook": _tally(one, run.webhooks),
    }
    record |= {name: said[name] for name in ("participantId", "kind") if name in said}
    return record | _brought(run, last)


def _brought(run: Run, last: Webhook) -> Record:
    """Its files and urls, and what else is of its lifecycle alone."""
    if run.lifecycle == "recording" and "fileUrl" in last.data:
        return {"file": {name: last.data.get(name) for name in ("fileUrl", "filePath")}}
    if run.lifecycle in FILMED and last.data.get("fileDetails"):
        return {"files": last.data["fileDetails"]}
    if run.lifecycle == "hls":
        urls = (webhook.data.get("playbackHlsUrl") for webhook in run.webhooks)
        return {"playbackHlsUrl": next(filter(None, urls), None)}
    if run.lifecycle == "livestream":
        return {"outputs": [{"url": "rtmp://example.org/live", "streamKey": f"key-{run.webhooks[0].at:.0f}"}]}
    if run.lifecycle == "transcription":
        status = "completed" if run.last.closes else "started"
        own = {"roomId": run.webhooks[0].data["meetingId"], "sessionId": run.webhooks[0].data["sessionId"]}
        return {"status": status, "extension": {"extensionConfig": own}}
    return {}


def _tally(one: Draft, webhooks: list[Webhook]) -> Record:
    """What was sent, and whether that was accepted. Half of what was lost was lost on its way, and half behind the endpoint."""
    sent = [webhook for webhook in webhooks if not webhook.unsubscribed]
    behind = int(one.session_id[:8], 16) % 2 == 0
    data = [{"type": webhook.type, "success": not webhook.lost or behind} for webhook in sent]
    taken = sum(each["success"] is True for each in data)
    return {"totalCount": len(data), "successCount": taken, "data": data}
