"""One meeting as it could have been: who came, what ran, and the webhooks that tell of it in order.

A *plan* fixes when a session is and what is asked of it, ``draft`` draws all else with the dice it is
given. Everything drawn here is legal, the oddities too, so whoever is alarmed by it is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

from tracker.simulate import gatherings, oddities
from tracker.simulate.parts import (
    FILMED,
    KINDS,
    Draft,
    Key,
    Plan,
    Run,
    Webhook,
    beginning,
    hexes,
    media_run,
    person,
    said,
    settling,
    uuid,
    visit,
)

OFTEN: Mapping[str, float] = {
    "recording": 0.45,
    "hls": 0.15,
    "livestream": 0.08,
    "participant-recording": 0.1,
    "participant-track-recording": 0.1,
    "realtime": 0.15,
    "post": 0.1,
    "in-step": 0.02,
    "short-runs": 0.02,
    "restless": 0.02,
}
"""How many of all meetings have it; the two kinds of transcription are named by their type."""
FAILS = 0.04
"""How many runs end in ``failed``, which is legal."""


def draft(plan: Plan, dice: Random, origin: datetime) -> Draft:
    """A meeting in which nothing is wrong and every webhook arrives once, in its aggregate's order."""
    began = int((origin + timedelta(seconds=plan.begin)).timestamp())
    one = Draft(plan, f"{began:08x}{hexes(dice, 16)}", origin)
    one.with_ids = dice.random() < 0.3 if plan.with_ids is None else plan.with_ids
    _frame(one)
    next((gatherings.PEOPLE[asked] for asked in plan.must if asked in gatherings.PEOPLE), _people)(one, dice)
    for does in (gatherings.MEDIA[asked] for asked in plan.must if asked in gatherings.MEDIA):
        does(one, dice)
    _runs(one, dice)
    if plan.stable_url and "hls" in one.lifecycles:
        one.oddities.add("stable-url")
    if plan.night:
        one.oddities.add("overnight")
    if plan.modern:
        gatherings.of_2026(one, dice)
    _unsubscribe(one)
    _deliver(one, dice)
    return one


def _runs(one: Draft, dice: Random) -> None:
    """What is recorded, streamed and transcribed."""
    for odd, does in (("in-step", oddities.in_step), ("short-runs", oddities.short_runs)):
        if _drawn(one, dice, odd):
            does(one, dice)
    had = one.lifecycles
    for lifecycle in ("recording", "hls", "livestream"):
        if _drawn(one, dice, lifecycle) and lifecycle not in had:
            _media(one, dice, lifecycle)
    for lifecycle in FILMED:
        if _drawn(one, dice, lifecycle) and lifecycle not in had:
            _filmed(one, dice, lifecycle)
    for kind in ("realtime", "post"):
        if _drawn(one, dice, kind):
            _transcription(one, dice, kind)


def _drawn(one: Draft, dice: Random, what: str) -> bool:
    return dice.random() < OFTEN[what] or what in one.plan.must


def _frame(one: Draft) -> None:
    start, end = one.clock(one.begin), one.clock(one.end)
    reported = [
        said("session", "started", one.begin, one.base | {"start": start}),
        said("session", "ended", one.end, one.base | {"start": start, "end": end}),
    ]
    one.runs.append(Run("session", (), reported))


def _people(one: Draft, dice: Random) -> None:
    """The first one opens the session, and the last one out ends it."""
    host = person(dice)
    one.runs.append(visit(one, host, one.begin + dice.uniform(0.1, 1), one.end - dice.uniform(0.2, 1)))
    others = min(11, int(dice.expovariate(0.4)))
    restless = dice.randrange(max(1, others)) if _drawn(one, dice, "restless") else -1
    for number in range(max(others, restless + 1)):
        whose = person(dice)
        came = one.begin + dice.uniform(1, 0.4 * one.plan.length)
        left = one.leaving - dice.uniform(0.3, 0.3 * one.plan.length)
        stays = oddities.restless if number == restless else _stays
        one.runs.extend(visit(one, whose, *stay) for stay in stays(one, dice, came, left))


def _stays(one: Draft, dice: Random, came: float, left: float) -> Iterator[tuple[float, float]]:
    """When one person is inside: most once, some go and come back, some change to a second device."""
    while left - came > 240 and dice.random() < 0.3:
        out = dice.uniform(came + 30, left - 90)
        if dice.random() < 0.15:
            # The second device throws the first one out, whose left comes after the joined.
            one.oddities.add("second-device")
            yield came, out + dice.uniform(0.3, 5)
            came = out
            continue
        back = out + dice.choice((dice.uniform(5, 60), dice.uniform(60, 1200), dice.uniform(1200, 3600)))
        if back > left - 60:
            break
        yield came, out
        came = back
    yield came, left


def _media(one: Draft, dice: Random, lifecycle: str) -> None:
    """One, two or three runs one after the other, none begun before the last has stopped."""
    runs = dice.choice((1, 1, 1, 2, 2, 3)) if lifecycle == "recording" else dice.choice((1, 1, 1, 1, 2))
    part = (one.plan.length - 60) / runs
    for number in range(runs):
        begin = one.begin + 30 + number * part
        _pass(one, dice, lifecycle, (begin, begin + part), last=number == runs - 1)
    if sum(run.lifecycle == lifecycle for run in one.runs) > 1:
        one.oddities.add("again-with-ids" if one.with_ids and lifecycle != "livestream" else "again")


def _pass(one: Draft, dice: Random, lifecycle: str, part: tuple[float, float], *, last: bool) -> None:
    """One run in its part of the session; what is last may go on until the session ends."""
    begin, end = part
    if end - begin < 300:
        return
    whose = oddities.whose(one, dice, lifecycle)
    times = beginning(dice, lifecycle, begin + dice.uniform(0, (end - begin) * 0.3))
    if lifecycle == "hls" and dice.random() < 0.08:
        one.outcomes["S204"] += 1
        one.oddities.add("not-playable")
        del times["playable"]
    _ending(one, dice, lifecycle, times, end, last=last)
    one.runs.append(media_run(one, dice, lifecycle, whose, times))


def _ending(
    one: Draft, dice: Random, lifecycle: str, times: dict[str, float], end: float, *, last: bool
) -> None:
    """Adds how it ended: it failed, was stopped, was stopped as all left, or stopped with the session."""
    latest = max(times.values())
    if dice.random() < FAILS:
        _failing(one, dice, times, end)
        return
    how = dice.random() if last else 0
    if how < 0.6:
        times["stopping"] = dice.uniform(latest + 10, max(latest + 20, end - 130))
    elif how < 0.75:
        times["stopping"] = one.end - dice.uniform(1, 20)
    else:
        one.oddities.add("stop-without-request")
    times["stopped"] = times.get("stopping", one.end) + settling(dice, lifecycle)


def _failing(one: Draft, dice: Random, times: dict[str, float], end: float) -> None:
    one.outcomes["S210"] += 1
    one.oddities.add("failed")
    phase = dice.choice(("starting", "started", "stopping"))
    if phase == "starting":
        del times["started"]
        times.pop("playable", None)
    latest = max(times.values())
    if phase == "stopping":
        latest = times["stopping"] = dice.uniform(latest + 10, max(latest + 20, end - 130))
    times["failed"] = latest + dice.uniform(2, 60)


def _filmed(one: Draft, dice: Random, lifecycle: str) -> None:
    """The recording of one person, or of one of their tracks, while that person is inside."""
    stays = [stay for stay in one.visits if stay["left"].at - stay["joined"].at > 300]
    if not stays:
        return
    stay = dice.choice(stays)
    begin, end = stay["joined"].at + 3, stay["left"].at - 5
    whose = {"participantId": stay["joined"].data["participantId"]}
    if lifecycle == FILMED[1]:
        whose["kind"] = dice.choice(KINDS)
    times = beginning(dice, lifecycle, dice.uniform(begin, begin + 0.4 * (end - begin)))
    if dice.random() < FAILS:
        _failing(one, dice, times, end)
    else:
        times["stopping"] = dice.uniform(times["started"] + 20, end)
        times["stopped"] = times["stopping"] + settling(dice, lifecycle)
    one.runs.append(media_run(one, dice, lifecycle, whose, times))


def _transcription(one: Draft, dice: Random, kind: str) -> None:
    data = one.base | {"id": uuid(dice), "type": kind}
    begin, end = one.begin + dice.uniform(5, 0.4 * one.plan.length), one.end - dice.uniform(0, 20)
    if kind == "post":
        begin = one.end + dice.uniform(10, 300)
        end = begin + dice.uniform(30, 1800)
        one.oddities.add("post-transcription")
    last, steps = dice.random(), {"started": begin, "stopped": end}
    if last < FAILS:
        one.oddities.add("failed-first")
        steps = {"failed": begin}
    elif last < 2 * FAILS:
        one.oddities.add("failed")
        steps = {"started": begin, "failed": dice.uniform(begin + 5, end)}
    one.outcomes["S210"] += "failed" in steps
    reported = [said("transcription", step, at, data) for step, at in steps.items()]
    one.runs.append(Run("transcription", (("id", str(data["id"])),), reported))


def _unsubscribe(one: Draft) -> None:
    for run in one.runs:
        for webhook in run.webhooks:
            if webhook.type in one.plan.unsubscribed:
                webhook.lost = webhook.unsubscribed = True
                one.oddities.add("unsubscribed")


def _deliver(one: Draft, dice: Random) -> None:
    """Gives each webhook its way through the network; no way overtakes another of its aggregate."""
    by_aggregate: dict[tuple[str, Key], list[Webhook]] = {}
    for run in one.runs:
        by_aggregate.setdefault(run.aggregate, []).extend(run.webhooks)
    for webhooks in by_aggregate.values():
        webhooks.sort(key=lambda webhook: webhook.at)
        for webhook in webhooks:
            webhook.left = webhook.at
            webhook.at += dice.uniform(0.05, one.slowest)
        for before, after in pairwise(webhooks):
            after.at = max(after.at, before.at + 0.01)
