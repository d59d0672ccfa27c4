"""The meetings of those who use VideoSDK in a way of their own: who comes, and what is recorded.

A name in ``Plan.must`` that stands in ``PEOPLE`` or ``MEDIA`` draws the people or adds the media of a meeting so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random

from tracker.simulate.oddities import may_be_its_copy, whose
from tracker.simulate.parts import Data, Draft, Run, Webhook, beginning, hexes, media_run, person, visit

Draw = Callable[[Draft, Random], None]

QUARTER = 900
"""Seconds after which a recording is stopped and begun again."""
CROWD = (150, 250)
"""How many people come to a webinar, at least and at most."""
DROPS = 0.05
"""How many people of a webinar lose their connection, and are back within half a minute."""
OWN_STORAGE = 0.2
"""How many sessions of 2026 have their files in a storage of their own, so that no url is sent."""
ENCRYPTED = 0.1
"""How many of the others encrypt their recordings."""
LEFT_REASONS = ("user-left", "user-left", "user-left", "connection-error", "UNKNOWN")


# -- people ----------------------------------------------------------------------------------------


def webinar(one: Draft, dice: Random) -> None:
    """One host, and a crowd that comes within minutes and leaves within minutes."""
    one.runs.append(visit(one, person(dice), one.begin + dice.uniform(0.1, 1), one.end - dice.uniform(0.2, 1)))
    for _ in range(dice.randint(*CROWD)):
        came = one.begin + 1 + min(0.3 * one.plan.length, dice.expovariate(1 / 120))
        stays = dice.random() < 0.8
        left = one.leaving - (dice.uniform(2, 90) if stays else dice.uniform(90, 0.5 * one.plan.length))
        who = person(dice)
        one.runs.extend(visit(one, who, *stay) for stay in _connected(dice, came, left))


def _connected(dice: Random, came: float, left: float) -> Iterator[tuple[float, float]]:
    if left - came > 240 and dice.random() < DROPS:
        out = dice.uniform(came + 60, left - 90)
        yield came, out
        came = out + dice.uniform(2, 30)
    yield came, left


def party(one: Draft, dice: Random) -> None:
    """The guests of the plan; while they are away only the first of them stays."""
    away = one.plan.away
    for place, (participant, name) in enumerate(one.plan.guests):
        who = {"participantId": participant, "participantName": name}
        if place == 0:
            came, left = one.begin + dice.uniform(0.1, 1), one.end - dice.uniform(0.2, 1)
        else:
            came, left = one.begin + dice.uniform(1, 60), one.leaving - dice.uniform(1.5, 30)
        if away is None or place == 0:
            one.runs.append(visit(one, who, came, left))
            continue
        one.runs.append(visit(one, who, came, away[0] + dice.uniform(0.5, 15)))
        one.runs.append(visit(one, who, away[1] + dice.uniform(2, 30), left))


PEOPLE: dict[str, Draw] = {"webinar": webinar, "party": party}


# -- media -----------------------------------------------------------------------------------------


def quarter(one: Draft, dice: Random) -> None:
    """Recorded from beginning to end in parts of fifteen minutes; a file often comes after the next starting."""
    begin, slowest = one.begin + dice.uniform(5, 60), dice.choice((0.5, 3))
    while begin + QUARTER < one.leaving - 150:
        begin = _recorded(one, dice, begin, QUARTER) + dice.uniform(0.3, slowest)
    rest = one.leaving - 140 - begin
    if rest > 60:
        _recorded(one, dice, begin, rest)
    one.oddities.add("quarter")


def _recorded(one: Draft, dice: Random, begin: float, seconds: float) -> float:
    """One part; gives when it was asked to stop."""
    stop = begin + seconds
    times = {
        "starting": begin,
        "started": begin + dice.uniform(1, 4),
        "stopping": stop,
        "stopped": stop + dice.uniform(1, 60),
    }
    one.runs.append(media_run(one, dice, "recording", whose(one, dice, "recording"), times))
    return stop


def shorts(one: Draft, dice: Random) -> None:
    """Two to six runs of six to forty seconds, one soon after the other, of one or two media."""
    for lifecycle in dice.sample(("recording", "hls", "livestream"), dice.choice((1, 1, 2))):
        begin = one.begin + dice.uniform(10, 120)
        runs: list[Run] = []
        for _ in range(dice.randint(2, 6)):
            times = beginning(dice, lifecycle, begin)
            times["started"] = begin + dice.uniform(0.5, 3)
            if "playable" in times:
                times["playable"] = times["started"] + dice.uniform(0.5, 2.5)
            times["stopping"] = times["started"] + dice.uniform(6, 40)
            times["stopped"] = times["stopping"] + dice.uniform(1, 10)
            if times["stopped"] > one.leaving - 130:
                break
            runs.append(media_run(one, dice, lifecycle, whose(one, dice, lifecycle), times))
            begin = times["stopped"] + dice.uniform(2, 180)
        one.two_readings |= any(may_be_its_copy(*pair) for pair in pairwise(runs))
        one.runs += runs
    one.oddities.add("shorts")


MEDIA: dict[str, Draw] = {"quarter": quarter, "shorts": shorts}


# -- payloads --------------------------------------------------------------------------------------


def of_2026(one: Draft, dice: Random) -> None:
    """Adds what newer payloads say: reasons, the second url, no url where the files are stored elsewhere."""
    own_storage, encrypted = dice.random() < OWN_STORAGE, dice.random() < ENCRYPTED
    for run in one.runs:
        for webhook in run.webhooks:
            _renew(webhook, dice, own_storage=own_storage, encrypted=encrypted)
        if run.lifecycle in ("recording", "hls") and run.key:
            composer = hexes(dice, 24)
            run.key = (("id", composer),)
            for webhook in run.webhooks:
                webhook.data["id"] = composer
    one.oddities.add("own-storage" if own_storage else "2026")


def _renew(webhook: Webhook, dice: Random, *, own_storage: bool, encrypted: bool) -> None:
    more: Data = {}
    if webhook.type == "participant-left":
        more = {"reason": dice.choice(LEFT_REASONS)}
    elif webhook.type == "session-ended":
        more = {"error": None, "reason": "Meeting Ended."}
    elif webhook.type == "hls-playable":
        more = {"livestreamUrl": webhook.data["playbackHlsUrl"].replace("index.m3u8", "live.m3u8")}
    elif webhook.type == "recording-stopped" and own_storage:
        more = {"fileUrl": None}
    elif webhook.type == "recording-stopped" and encrypted:
        keys = f"https://cdn.videosdk.live/keys/{hexes(dice, 24)}"
        more = {"encryption": {"keyUrl": keys, "metaUrl": f"{keys}/meta"}}
    webhook.data = webhook.data | more
