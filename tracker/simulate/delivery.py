"""What the network does to the webhooks of a meeting: they come again, late, or in another order.

Nothing is lost and nothing made up, so nothing of it may be reproached above info.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random

import attrs

from tracker.simulate.parts import Draft, Run, Webhook

LATE = 118
"""Seconds: what comes later than two minutes is late by other words."""
RETRIES = (60, 300, 1200)
"""Seconds after which webhooks are commonly sent again."""


def heard(one: Draft) -> list[Run]:
    """The runs of which everything was subscribed to and that ended in good order."""
    return [
        run for run in one.runs if not any(webhook.lost for webhook in run.webhooks) and "failed" not in run
    ]


def _copy(one: Draft, webhook: Webhook, delay: float) -> None:
    webhook.touched = True
    copy = attrs.evolve(webhook, at=webhook.at + delay, whole=webhook.body)
    one.extra.append(copy)


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
    for run in heard(one):
        group: object = id(run) if run.lifecycle == "participant" else run.aggregate
        groups.setdefault(group, []).extend(run.webhooks)
    for webhooks in groups.values():
        yield from (pair for pair in pairwise(webhooks) if pair[1].at - pair[0].at < within)


def swap(one: Draft, dice: Random) -> bool:
    pairs = list(_neighbours(one, LATE))
    if not pairs:
        return False
    first, second = dice.choice(pairs)
    first.at, second.at = second.at, first.at
    first.touched = second.touched = True
    return True


def late(one: Draft, dice: Random) -> bool:
    """The session's own start can be late as well: then the first person is there before it."""
    pairs = [*_neighbours(one, LATE - 8), (one.frame["started"], one.visits[0]["joined"])]
    late, after = dice.choice(pairs)
    late.at = dice.uniform(after.at + 0.2, late.at + LATE)
    late.touched = True
    return True


def overtaken(one: Draft, dice: Random) -> bool:
    """A left arrives after the joined of the next visit, and before the left of that."""
    visits = one.visits
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
