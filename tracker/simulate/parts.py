"""What a made-up meeting consists of: webhooks, the runs they tell of, and the draft that holds all.

Times are seconds since the log began; a webhook's ``at`` is the moment in which it is received.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any

import attrs
import msgspec

from tracker.lifecycles import REGISTRY
from tracker.step import Step

Data = dict[str, Any]
Key = tuple[tuple[str, str], ...]

MEDIA = ("recording", "participant-recording", "participant-track-recording", "hls", "livestream")
FILMED = MEDIA[1:3]
"""Media that film one person, and so lie within one visit of that person."""
NAMES = ("Amara", "Jonas", "Mei", "Zoë", "Kenji", "Ruth", "Ali", "Marta", "Łukasz", "Priya", "Noor", "美咲")
KINDS = ("audio", "video", "screen_audio", "screen_video")

_encode = msgspec.json.Encoder().encode


@attrs.define(eq=False)
class Webhook:
    """One webhook on its way.

    ``lost`` ones never arrive, those that are ``unsubscribed`` because nobody subscribed to their type; ``whole`` is
    the body where type and data are not; ``first`` is what this one is a copy of, ``left`` when it was sent.
    """

    at: float
    type: str
    data: Data
    step: str = ""
    lost: bool = False
    touched: bool = False
    whole: bytes = b""
    first: Webhook | None = None
    unsubscribed: bool = False
    left: float | None = None

    @property
    def sent(self) -> float:
        """When it was sent; what takes no time to arrive, when it was received."""
        return self.at if self.left is None else self.left

    def again(self, at: float) -> Webhook:
        """A copy of it, received at that time."""
        return attrs.evolve(self, at=at, whole=self.body, first=self.first or self)

    @property
    def body(self) -> bytes:
        return self.whole or _encode({"webhookType": self.type, "data": self.data})


@attrs.define(eq=False)
class Run:
    """The webhooks of one pass of an aggregate, in order."""

    lifecycle: str
    key: Key
    webhooks: list[Webhook]

    @property
    def aggregate(self) -> tuple[str, Key]:
        return self.lifecycle, self.key

    @property
    def steps(self) -> list[str]:
        return [webhook.step for webhook in self.webhooks]

    @property
    def last(self) -> Step:
        return REGISTRY[self.lifecycle].by_name[self.webhooks[-1].step]

    @property
    def media(self) -> bool:
        return self.lifecycle in MEDIA

    @property
    def post(self) -> bool:
        """Whether it may go on after the session."""
        return self.webhooks[0].data.get("type") == "post"

    def __getitem__(self, step: str) -> Webhook:
        return next(webhook for webhook in self.webhooks if webhook.step == step)

    def __contains__(self, step: str) -> bool:
        return any(webhook.step == step for webhook in self.webhooks)


@attrs.frozen
class Plan:
    """When a session is, and what is asked of it. ``must`` names what it has whatever the dice say."""

    number: int
    meeting_id: str
    begin: float
    length: float
    faults: tuple[str, ...] = ()
    must: tuple[str, ...] = ()
    with_ids: bool | None = None
    unsubscribed: frozenset[str] = frozenset()
    """Webhook types that nobody subscribed to."""
    partial: bool = False
    """Whether that is so in this room only."""
    night: float = 0
    """Seconds that somebody stays on after all others have left."""
    stable_url: bool = False
    """Whether the room's hls is always played back at the same url."""
    guests: tuple[tuple[str, str], ...] = ()
    """(participantId, participantName) of those who come, where that is fixed; the first stays to the end."""
    away: tuple[float, float] | None = None
    """When all guests but the first are in other rooms."""
    modern: bool = False
    """Whether the payloads have the fields that were added up to 2026."""
    plain: bool = False
    """Whether nothing of it looks like trouble."""
    instead: Plan | None = None
    """What is drawn where the faults cannot be in such a meeting."""

    @property
    def url(self) -> str:
        """That url, if it is."""
        return f"https://cdn.videosdk.live/meetings-hls/{self.meeting_id}/index.m3u8" if self.stable_url else ""


@attrs.define(eq=False)
class Injected:
    """One fault that was done to a draft, and what it is about: a webhook type, and where there is one the run."""

    fault: str
    type: str
    run: Run | None
    webhooks: list[Webhook]


@attrs.define(eq=False)
class Draft:
    """One session with all its webhooks. ``extra`` belongs to no run: copies, and what was never sent so.

    ``outcomes`` counts the codes that report a legal outcome, ``oddities`` names what is unusual here.
    ``two_readings`` says that another meeting would have sent the very same.
    """

    plan: Plan
    session_id: str
    origin: datetime
    with_ids: bool = False
    runs: list[Run] = attrs.field(factory=list)
    extra: list[Webhook] = attrs.field(factory=list)
    injected: list[Injected] = attrs.field(factory=list)
    outcomes: Counter[str] = attrs.field(factory=Counter)
    oddities: set[str] = attrs.field(factory=set)
    two_readings: bool = False
    slowest: float = 1.5
    """Seconds that a webhook may take through the network."""

    @property
    def begin(self) -> float:
        return self.plan.begin

    @property
    def end(self) -> float:
        return self.leaving + self.plan.night

    @property
    def leaving(self) -> float:
        """When people go home."""
        return self.plan.begin + self.plan.length

    @property
    def base(self) -> Data:
        return {"meetingId": self.plan.meeting_id, "sessionId": self.session_id}

    @property
    def own_run(self) -> Run:
        """The session's own run."""
        return self.runs[0]

    @property
    def visits(self) -> list[Run]:
        return [run for run in self.runs if run.lifecycle == "participant"]

    @property
    def lifecycles(self) -> set[str]:
        return {run.lifecycle for run in self.runs}

    def webhooks(self) -> Iterator[Webhook]:
        """All that arrives, in no order."""
        for run in self.runs:
            yield from (webhook for webhook in run.webhooks if not webhook.lost)
        yield from self.extra

    def arrived(self) -> list[Webhook]:
        """All that arrives, in the order of its arrival."""
        return sorted(self.webhooks(), key=lambda webhook: webhook.at)

    def clock(self, at: float) -> str:
        """A moment as VideoSDK writes it."""
        return (self.origin + timedelta(seconds=at)).isoformat(timespec="milliseconds")

    def last_runs(self) -> list[Run]:
        """The last run of every aggregate."""
        return list({run.aggregate: run for run in self.runs}.values())

    def stops_by_itself(self) -> bool:
        """Whether something stopped only because the session ended."""
        return any(run.media and "stopping" not in run and "stopped" in run for run in self.runs)


def hexes(dice: Random, digits: int) -> str:
    return f"{dice.getrandbits(4 * digits):0{digits}x}"


def uuid(dice: Random) -> str:
    text = hexes(dice, 32)
    return "-".join((text[:8], text[8:12], "4" + text[13:16], "a" + text[17:20], text[20:]))


def room(dice: Random) -> str:
    """A meeting id, like ``jvsg-8rjn-j304``."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    return "-".join("".join(dice.choices(letters, k=4)) for _ in range(3))


def said(lifecycle: str, step: str, at: float, data: Data) -> Webhook:
    return Webhook(at, REGISTRY[lifecycle].webhook_type(step), data, step)


def visit(one: Draft, whose: Data, came: float, left: float) -> Run:
    data = one.base | whose
    steps = [said("participant", "joined", came, data), said("participant", "left", left, data)]
    return Run("participant", (("participant_id", whose["participantId"]),), steps)


def person(dice: Random) -> Data:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    return {"participantId": "".join(dice.choices(letters, k=6)), "participantName": dice.choice(NAMES)}


def payload(lifecycle: str, step: str, dice: Random, url: str = "") -> Data:
    """What a webhook says beyond whose it is."""
    if step == "failed":
        return {"message": "Something went wrong, please try again."} if dice.random() < 0.5 else {}
    if lifecycle == "participant-recording" and step != "stopped":
        return {"fileFormat": "webm"}
    if lifecycle == "hls":
        return {"playbackHlsUrl": url} if step in ("started", "playable") else {}
    if step == "stopped" and lifecycle == "recording":
        return _file(dice)
    if step == "stopped" and lifecycle in FILMED:
        # A track gets a new file each time it comes back.
        tracks = dice.choice((1, 1, 2, 3)) if lifecycle == FILMED[1] else 1
        return {"fileDetails": [_file(dice) for _ in range(tracks)]}
    return {}


def stream_url(dice: Random) -> str:
    return f"https://cdn.videosdk.live/meetings-hls/{uuid(dice)}/index.m3u8"


def media_run(one: Draft, dice: Random, lifecycle: str, whose: Data, times: Mapping[str, float]) -> Run:
    """A run that tells its steps at these times. ``whose`` holds what tells the aggregate apart."""
    url = one.plan.url or stream_url(dice) if lifecycle == "hls" else ""
    steps = [
        said(lifecycle, step, at, one.base | whose | payload(lifecycle, step, dice, url))
        for step, at in sorted(times.items(), key=lambda entry: entry[1])
    ]
    names = {"id": "id", "participantId": "participant_id", "kind": "kind"}
    return Run(lifecycle, tuple((names[name], str(value)) for name, value in whose.items()), steps)


def beginning(dice: Random, lifecycle: str, begin: float) -> dict[str, float]:
    """When a run begins: its steps up to the one from which on it simply goes on."""
    times = {"starting": begin, "started": begin + dice.uniform(1, 20)}
    if lifecycle == "hls":
        times["playable"] = times["started"] + dice.uniform(3, 30)
    return times


def settling(dice: Random, lifecycle: str) -> float:
    """Seconds from the request to stop until it has stopped: a file needs longer than a stream."""
    return dice.uniform(2, 30) if lifecycle in ("hls", "livestream") else dice.uniform(5, 120)


def _file(dice: Random) -> Data:
    path = f"/encoded/videos/{hexes(dice, 24)}.mp4"
    return {"filePath": path, "fileUrl": f"https://cdn.videosdk.live{path}"}
