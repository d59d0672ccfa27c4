"""What really goes wrong in a meeting: something hangs, begins twice, ends alone, or says what cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random

import attrs

from tracker.simulate.delivery import RETRIES, Apply, complete_runs, followed
from tracker.simulate.losses import media_runs, stoppable
from tracker.simulate.parts import (
    KINDS,
    MEDIA,
    Data,
    Draft,
    Run,
    Webhook,
    beginning,
    hexes,
    media_run,
    person,
    room,
    said,
    settling,
    stream_url,
    uuid,
    visit,
)

GRACE = 600
"""Seconds after a session's end in which what is still open may end in good order."""
UNKNOWN = ("recording-paused", "hls-strated", "whiteboard-started", "participant-muted", "session-updated")


def _lasting(one: Draft) -> list[Run]:
    """The runs in good order after which their aggregate did nothing more."""
    last = one.last_runs()
    return [run for run in complete_runs(one) if run in last]


def stuck(step: str) -> Apply:
    def apply(one: Draft, dice: Random) -> bool:
        fit = [run for run in _lasting(one) if run.media and step in run]
        if not fit:
            return False
        run = dice.choice(fit)
        run[step].touched = True
        one.two_readings |= step == "starting" and _like_one_before(one, run[step])
        if "playable" not in run and run.lifecycle == "hls":
            one.outcomes["S204"] -= 1
        del run.webhooks[run.steps.index(step) + 1 :]
        return True

    return apply


def _like_one_before(one: Draft, webhook: Webhook) -> bool:
    """Whether it may as well be another one's copy: if nothing follows, nobody can tell."""
    earlier = (other for other in one.webhooks() if 0 < webhook.at - other.at < RETRIES[-1])
    return any(other.type == webhook.type and other.data == webhook.data for other in earlier)


def restart(one: Draft, dice: Random) -> bool:
    """Begins a second run while the first goes on; what was to end the first ends the second."""
    fit = [run for run in media_runs(one) if "stopping" in run and _room_for_another(run) > 0]
    if not fit:
        return False
    run = dice.choice(fit)
    place = run.steps.index("stopping")
    before, ending = run.webhooks[place - 1], run.webhooks[place:]
    at = dice.uniform(before.at + 30, before.at + 30 + _room_for_another(run))
    whose = {name: value for name, value in run.webhooks[0].data.items() if name in ("participantId", "kind")}
    again = media_run(one, dice, run.lifecycle, whose, beginning(dice, run.lifecycle, at))
    for webhook in again.webhooks[:2]:
        webhook.touched = True
    del run.webhooks[place:]
    again.webhooks += ending
    one.runs.insert(one.runs.index(run) + 1, again)
    return True


def _room_for_another(run: Run) -> float:
    """Seconds in which a second run can begin so that it has begun before the request to stop."""
    place = run.steps.index("stopping")
    return run.webhooks[place].at - run.webhooks[place - 1].at - 90


def _unused(one: Draft, dice: Random) -> tuple[str, Data]:
    """A kind of media that the meeting does not have, and whose it is."""
    lifecycle = dice.choice([name for name in MEDIA if name not in one.lifecycles] or ["livestream"])
    whose: Data = {}
    if lifecycle.startswith("participant"):
        whose["participantId"] = one.visits[0]["joined"].data["participantId"]
    if lifecycle == "participant-track-recording":
        whose["kind"] = dice.choice(KINDS)
    return lifecycle, whose


def alone(*steps: str) -> Apply:
    """Steps of something that had never begun, where its beginning would have come."""

    def apply(one: Draft, dice: Random) -> bool:
        lifecycle, whose = _unused(one, dice)
        reported = steps[dice.randrange(len(steps)) :]
        if (
            lifecycle in one.lifecycles
            or {f"{lifecycle}-{step}" for step in ("starting", *reported)} & one.plan.unsubscribed
        ):
            return False
        at = dice.uniform(one.begin + 20, one.end - 150)
        times = {step: at + place * dice.uniform(5, 120) for place, step in enumerate(reported)}
        run = media_run(one, dice, lifecycle, whose, times)
        run.webhooks[0].touched = True
        one.runs.append(run)
        return True

    return apply


def late_stop(one: Draft, dice: Random) -> bool:
    fit = [run for run in _lasting(one) if run in stoppable(one) and "stopped" in run]
    if not fit:
        return False
    stopped = dice.choice(fit)["stopped"]
    stopped.at = one.end + GRACE + dice.uniform(900, 7200)
    stopped.touched = True
    return True


def other_url(one: Draft, dice: Random) -> bool:
    fit = [run for run in media_runs(one) if "playable" in run]
    if not fit:
        return False
    run = dice.choice(fit)
    run["playable"].data["playbackHlsUrl"] = stream_url(dice)
    run["started"].touched = run["playable"].touched = True
    return True


def same_file(one: Draft, dice: Random) -> bool:
    """A run brings the file that the run before it had brought."""
    fit = [
        (before["stopped"], after["stopped"])
        for before, after in followed(one)
        if {"filePath", "fileDetails"} & set(before["stopped"].data)
    ]
    if not fit:
        return False
    before, after = dice.choice(fit)
    files = {name: value for name, value in before.data.items() if name.startswith("file")}
    after.data = after.data | files
    after.touched = True
    one.two_readings |= after.data == before.data
    return True


def minute_sixty(one: Draft, dice: Random) -> bool:
    if "ended" not in one.own_run:
        return False
    ended = one.own_run["ended"]
    ended.data["end"] = ended.data["end"][:14] + "60" + ended.data["end"][16:]
    ended.touched = True
    return True


def unknown_type(one: Draft, dice: Random) -> bool:
    at = dice.uniform(one.begin + 5, one.end - 5)
    one.extra.append(Webhook(at, dice.choice(UNKNOWN), one.base, touched=True))
    return True


def other_meeting(one: Draft, dice: Random) -> bool:
    """Neither the first nor the last that arrives, so that it is clear which meeting is the right one."""
    inner = [webhook for webhook in one.arrived()[2:] if webhook.type != "session-ended"]
    if not inner:
        return False
    webhook = dice.choice(inner)
    webhook.data = webhook.data | {"meetingId": room(dice)}
    webhook.touched = True
    return True


def after_end(one: Draft, dice: Random) -> bool:
    at = one.end + dice.uniform(30, 900)
    lifecycle, whose = _unused(one, dice)
    what = dice.choice(("participant", "transcription", "media"))
    if what == "participant":
        run = visit(one, person(dice), at, at + dice.uniform(20, 300))
    elif what == "transcription":
        data = one.base | {"id": uuid(dice), "type": "realtime"}
        stopped = at + dice.uniform(20, 300)
        reported = [said(what, "started", at, data), said(what, "stopped", stopped, data)]
        run = Run(what, (("id", str(data["id"])),), reported)
    elif lifecycle.startswith("participant") or lifecycle in one.lifecycles:
        return False
    else:
        times = beginning(dice, lifecycle, at)
        times["stopping"] = max(times.values()) + dice.uniform(20, 300)
        times["stopped"] = times["stopping"] + settling(dice, lifecycle)
        run = media_run(one, dice, lifecycle, whose, times)
    if any(webhook.type in one.plan.unsubscribed for webhook in run.webhooks):
        return False
    run.webhooks[0].touched = True
    one.runs.append(run)
    return True


def malformed(one: Draft, dice: Random) -> bool:
    """A body comes broken, and seconds later whole, before anything of its aggregate that follows it."""
    fit = [first for first, second in _steps(one) if second.at - first.at > 15]
    if not fit:
        return False
    webhook = dice.choice(fit)
    body = webhook.body
    broken = dice.choice((body[:-2] + b",}}", body[: dice.randrange(20, len(body))], b"[" + body, b"undefined"))
    one.extra.append(attrs.evolve(webhook, whole=broken, touched=True))
    webhook.at += dice.uniform(2, 10)
    return True


def _steps(one: Draft) -> Iterator[tuple[Webhook, Webhook]]:
    for run in complete_runs(one):
        if run is not one.own_run:
            yield from pairwise(run.webhooks)


def no_route(one: Draft, dice: Random) -> bool:
    """A webhook that lacks what would say where it belongs."""
    webhook = dice.choice(one.arrived())
    someone, nameless = person(dice), {"id": uuid(dice), "type": "realtime"}
    del someone["participantId"], nameless["id"]
    at = dice.uniform(one.begin + 5, one.end - 5)
    unrouted = dice.choice(
        (
            Webhook(at, "participant-joined", one.base | someone),
            Webhook(at, "transcription-failed", one.base | nameless),
            Webhook(at, webhook.type, {n: v for n, v in webhook.data.items() if n != "sessionId"}),
            Webhook(at, "", {}, whole=b'{"data":{"id":"%s"}}' % hexes(dice, 24).encode()),
        )
    )
    unrouted.touched = True
    one.extra.append(unrouted)
    return True


def never_ends(one: Draft, dice: Random) -> bool:
    """The room stays open for ever; in half of them somebody stays inside."""
    if one.stops_by_itself():
        return False
    del one.own_run.webhooks[1:]
    if dice.random() < 0.5:
        del one.visits[0].webhooks[1:]
    one.own_run["started"].touched = True
    return True
