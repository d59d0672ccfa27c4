"""What people and rooms do now and then: all of it is legal, and all of it looks like a fault.

Each leaves its name among the oddities of the meeting, so that the truth tells it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import exp, log
from random import Random

from tracker.simulate.parts import (
    FILMED,
    KINDS,
    MEDIA,
    Data,
    Draft,
    Run,
    beginning,
    media_run,
    settling,
    uuid,
)

TOGETHER = (("recording", "livestream"), ("recording", "hls"), ("recording", "hls", "livestream"))
"""What one button records and streams."""
SETTLES = 130
"""Seconds before the session's end after which nothing is begun or asked to stop: a file needs its time."""
ALIKE = 4
"""Seconds: if all steps of a run follow those of the run before so equally, it may as well be its copy."""


def apart(dice: Random, least: float, most: float) -> float:
    """Seconds, as often from one to two minutes as from half an hour to an hour."""
    return exp(dice.uniform(log(least), log(most)))


def in_step(one: Draft, dice: Random) -> None:
    """Media that one button starts and stops together, several times, each in its own equal time."""
    fit = [together for together in TOGETHER if not one.lifecycles & set(together)]
    if not fit:
        return
    together = dice.choice(fit)
    paces = {lifecycle: _pace(dice, lifecycle) for lifecycle in together}
    exact, begin = dice.random() < 0.5, one.begin + dice.uniform(5, 60)
    length, gap = _round(one, dice)
    one.slowest = dice.choice((0.3, one.slowest))
    runs: list[Run] = []
    for _ in range(dice.choice((2, 2, 3, 4))):
        if begin + length > one.leaving - SETTLES:
            break
        runs += (_played(one, dice, name, pace, (begin, length)) for name, pace in paces.items())
        begin += length + max(pace["stopped"] for pace in paces.values()) + gap
        if not exact:
            length, gap = _round(one, dice)
    if len(runs) > len(together):
        one.oddities.add("in-step-exactly" if exact else "in-step")
    one.runs += runs


def _round(one: Draft, dice: Random) -> tuple[float, float]:
    """How long it goes on, and how long it pauses after that."""
    return apart(dice, 60, max(90.0, min(1800.0, 0.4 * one.plan.length))), apart(dice, 3, 3600)


def _pace(dice: Random, lifecycle: str) -> dict[str, float]:
    """Seconds from the button to each step; of the last two, from the second time it is pressed."""
    times = beginning(dice, lifecycle, dice.uniform(0.5, 3))
    times["stopping"] = dice.uniform(0.5, 3)
    times["stopped"] = times["stopping"] + settling(dice, lifecycle)
    return times


def _played(
    one: Draft, dice: Random, lifecycle: str, pace: dict[str, float], button: tuple[float, float]
) -> Run:
    begin, length = button
    times = {
        step: begin + after + dice.uniform(-0.5, 0.5) + (length if step in ("stopping", "stopped") else 0)
        for step, after in pace.items()
    }
    return media_run(one, dice, lifecycle, whose(one, dice, lifecycle), times)


def whose(one: Draft, dice: Random, lifecycle: str) -> Data:
    """What tells the run of a whole meeting apart from others of its kind: an id, where they have one."""
    return {"id": uuid(dice)} if one.with_ids and lifecycle != "livestream" else {}


def short_runs(one: Draft, dice: Random) -> None:
    """Something is stopped and begun again within two minutes, and soon stopped again."""
    free = [name for name in MEDIA if name not in one.lifecycles]
    lifecycle = dice.choice(free) if free else ""
    begin, end, data = one.begin + 20, one.leaving - SETTLES, {}
    if lifecycle in FILMED:
        stay = max(one.visits, key=lambda visit: visit["left"].at - visit["joined"].at)
        begin, end = stay["joined"].at + 3, min(end, stay["left"].at - SETTLES)
        data = {"participantId": stay["joined"].data["participantId"]}
        if lifecycle == FILMED[1]:
            data["kind"] = dice.choice(KINDS)
    runs = list(_one_after_the_other(one, dice, lifecycle, data, (begin, end))) if free else []
    if len(runs) > 1:
        one.oddities.add("short-runs")
    one.two_readings |= any(may_be_its_copy(*pair) for pair in pairwise(runs))
    one.runs += runs


def _one_after_the_other(
    one: Draft, dice: Random, lifecycle: str, data: Data, within: tuple[float, float]
) -> Iterator[Run]:
    begin, end = within
    begin = dice.uniform(begin, begin + 0.3 * max(0.0, end - begin))
    for _ in range(dice.choice((2, 2, 2, 3, 4))):
        times = beginning(dice, lifecycle, begin)
        times["stopping"] = max(times.values()) + apart(dice, 5, 600)
        times["stopped"] = times["stopping"] + settling(dice, lifecycle)
        if times["stopping"] > end:
            return
        named = data or whose(one, dice, lifecycle)
        yield media_run(one, dice, lifecycle, named, times)
        begin = times["stopped"] + apart(dice, 2, 120)


def may_be_its_copy(before: Run, after: Run) -> bool:
    """Whether a run says what the one before said, and each step is as much younger."""
    if [webhook.data for webhook in before.webhooks] != [webhook.data for webhook in after.webhooks]:
        return False
    ages = [second.at - first.at for first, second in zip(before.webhooks, after.webhooks, strict=True)]
    return max(ages) - min(ages) < ALIKE


def restless(one: Draft, dice: Random, came: float, left: float) -> Iterator[tuple[float, float]]:
    """The visits of somebody who goes and comes back soon, and hardly stays."""
    one.oddities.add("restless")
    for _ in range(dice.randint(2, 6)):
        out = came + dice.uniform(30, 120)
        if out > left - 30:
            break
        if dice.random() < 0.1:
            one.oddities.add("second-device")
            yield came, out + dice.uniform(0.3, 5)
            came = out
            continue
        yield came, out
        came = out + dice.choice((dice.uniform(1, 15), dice.uniform(15, 180)))
    if came < left - 30:
        yield came, left
