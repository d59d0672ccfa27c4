"""What the network does to the webhooks of a meeting: they come again, late, or in another order.

Nothing is lost and nothing made up, so no finding above info may come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random

from tracker.simulate.parts import Draft, Key, Run, Webhook

LATE = 118
"""Seconds: what comes later than two minutes is late by other words."""
RETRIES = (60, 300, 1200)
"""Seconds after which webhooks are commonly sent again."""
OLDEST = 1190
"""Seconds: a copy that is older than twenty minutes is none by other words."""
CHANNELS = (1, 30, 300, 900)
"""Seconds by which the second of two webhook urls may be slower."""

Apply = Callable[[Draft, Random], bool]
"""Does one thing to a draft; says whether the draft allowed it."""


def complete_runs(one: Draft) -> list[Run]:
    """The runs of which everything was subscribed to, that ended in good order and to which nothing was done."""
    wrong = {what.run.aggregate for what in one.injected if what.run}
    return [
        run
        for run in one.runs
        if run.aggregate not in wrong
        and not any(webhook.lost for webhook in run.webhooks)
        and "failed" not in run
    ]


def _left(one: Draft) -> list[Run]:
    """The visits that have ended."""
    return [visit for visit in one.visits if "left" in visit]


def _copy(one: Draft, webhook: Webhook, delay: float) -> None:
    webhook.touched = True
    one.extra.append(webhook.again(webhook.at + delay))


def again_after_seconds(one: Draft, dice: Random) -> bool:
    _copy(one, dice.choice(one.arrived()), dice.uniform(1, 10))
    return True


def again_after_minutes(one: Draft, dice: Random) -> bool:
    _copy(one, dice.choice(one.arrived()), dice.choice(RETRIES) - dice.uniform(0.5, 15))
    return True


def burst_again(one: Draft, dice: Random) -> bool:
    arrived, size, delay = one.arrived(), dice.randint(3, 6), dice.uniform(60, 300)
    place = dice.randrange(max(1, len(arrived) - size))
    for number, webhook in enumerate(arrived[place : place + size]):
        _copy(one, webhook, delay + number * dice.uniform(0, 0.2))
    return True


def _neighbours(one: Draft, within: float) -> Iterator[tuple[Webhook, Webhook]]:
    """Consecutive steps of one aggregate that came shortly after each other.

    Of a person only those of one visit: a left that comes after the next joined is a fault of its own.
    """
    groups: dict[object, list[Webhook]] = {}
    for run in complete_runs(one):
        group: object = id(run) if run.lifecycle == "participant" else run.aggregate
        groups.setdefault(group, []).extend(run.webhooks)
    for webhooks in groups.values():
        yield from (pair for pair in pairwise(webhooks) if pair[1].at - pair[0].at < within)


def swap(one: Draft, dice: Random) -> bool:
    pairs = list(_neighbours(one, LATE))
    if not pairs:
        return False
    _exchange(*dice.choice(pairs))
    return True


def _exchange(first: Webhook, second: Webhook) -> None:
    first.at, second.at = second.at, first.at
    first.touched = second.touched = True


def late(one: Draft, dice: Random) -> bool:
    """The session's own start can be late as well: then the first person is there before it."""
    pairs = [*_neighbours(one, LATE - 8), (one.own_run["started"], one.visits[0]["joined"])]
    late, after = dice.choice(pairs)
    late.at = dice.uniform(after.at + 0.2, late.at + LATE)
    late.touched = True
    return True


def overtaken(one: Draft, dice: Random) -> bool:
    """A left arrives after the joined of the next visit, and before the left of that."""
    visits = _left(one)
    back = [
        (before["left"], after)
        for before, after in pairwise(visits)
        if before.key == after.key and 0 < after["joined"].at - before["left"].at < 60
    ]
    if not back:
        return False
    left, after = dice.choice(back)
    left.at = after["joined"].at + dice.uniform(0.3, 85)
    left.touched = True
    return left.at < after["left"].at


def overtaken_near(one: Draft, dice: Random) -> bool:
    """As before, over a minute late and just before the person leaves again: two lefts side by side."""
    fit = []
    for before, after in pairwise(_left(one)):
        left, joined, at = before["left"], after["joined"].at, after["left"].at - dice.uniform(0.3, 5)
        if before.key == after.key and 60 < at - left.at < LATE and 0 < at - joined < 89 and left.at < joined:
            fit.append((left, at))
    if not fit:
        return False
    left, left.at = dice.choice(fit)
    left.touched = True
    return True


# -- between two runs ------------------------------------------------------------------------------


def followed(one: Draft) -> Iterator[tuple[Run, Run]]:
    """A run and the next of its aggregate, both of media and in good order."""
    whole, before = complete_runs(one), dict[tuple[str, Key], Run]()
    for run in one.runs:
        earlier = before.get(run.aggregate)
        if run.media and earlier in whole and run in whole:
            yield earlier, run
        before[run.aggregate] = run


def stray_copy(least: float, most: float) -> Apply:
    """A webhook comes again so late that the next run goes on already."""

    def apply(one: Draft, dice: Random) -> bool:
        fit = []
        for before, after in followed(one):
            for webhook in before.webhooks:
                earliest = max(after.webhooks[0].at, webhook.at + least)
                latest = min(after.webhooks[-1].at, webhook.at + most)
                if earliest < latest:
                    fit.append((webhook, dice.uniform(earliest, latest) - webhook.at))
        if fit:
            _copy(one, *dice.choice(fit))
        return bool(fit)

    return apply


def stop_in_next_run(one: Draft, dice: Random) -> bool:
    """What ends a run comes when the next one is starting or has started."""
    fit = []
    for before, after in followed(one):
        until = after["stopping"].at if "stopping" in after else after.webhooks[-1].at
        for webhook in before.webhooks[-2:]:
            earliest, latest = max(after.webhooks[0].at, webhook.at + 5), min(until, webhook.at + 100)
            if webhook.step in ("stopping", "stopped") and earliest < latest:
                fit.append((webhook, dice.uniform(earliest, latest)))
    if not fit:
        return False
    webhook, webhook.at = dice.choice(fit)
    webhook.touched = True
    return True


def stop_swapped(one: Draft, dice: Random) -> bool:
    """The end of a run and the beginning of the next come in the wrong order."""
    pairs = [(before.webhooks[-1], after.webhooks[0]) for before, after in followed(one)]
    near = [(first, second) for first, second in pairs if second.at - first.at < LATE]
    if near:
        _exchange(*dice.choice(near))
    return bool(near)


def run_copied(one: Draft, dice: Random) -> bool:
    """All of a run comes again, each webhook as late as the others but for two seconds."""
    run, delay = dice.choice(_media(one) or [None]), dice.uniform(120, OLDEST)
    if run is None:
        return False
    latest = 0.0
    for webhook in list(run.webhooks):
        latest = max(latest + 0.01, webhook.at + delay + dice.uniform(0, 2))
        _copy(one, webhook, latest - webhook.at)
    one.two_readings |= not _tells_itself_apart(one, run)
    return True


def run_copied_burst(one: Draft, dice: Random) -> bool:
    """All of a run comes again at once, in order, some minutes after its end."""
    fit = [run for run in _media(one) if run.webhooks[-1].at - run.webhooks[0].at < OLDEST - 130]
    if not fit:
        return False
    run = dice.choice(fit)
    at = dice.uniform(run.webhooks[-1].at + 120, run.webhooks[0].at + OLDEST - 8)
    for webhook in list(run.webhooks):
        _copy(one, webhook, at - webhook.at)
        at += dice.uniform(0.01, 2)
    one.two_readings |= not _tells_itself_apart(one, run)
    return True


def _media(one: Draft) -> list[Run]:
    return [run for run in complete_runs(one) if run.media]


def _tells_itself_apart(one: Draft, run: Run) -> bool:
    """Whether it names a file, a url or an id that no other run has."""
    names = {"filePath", "fileDetails", "id"} | (set() if one.plan.stable_url else {"playbackHlsUrl"})
    return any(names & set(webhook.data) for webhook in run.webhooks)


def second_channel(jitter: float) -> Apply:
    """Every webhook comes twice, the second time by a webhook url that is slower by about as much each time."""

    def apply(one: Draft, dice: Random) -> bool:
        delay = dice.choice(CHANNELS)
        for webhook in list(one.webhooks()):
            _copy(one, webhook, delay + dice.uniform(0, jitter))
        one.oddities |= {"two-channels", f"apart-{delay}s"}
        return True

    return apply
