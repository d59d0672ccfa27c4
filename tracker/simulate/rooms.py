"""When and in which rooms the meetings of a log are, and what is asked of each.

An *arrangement* takes the sessions of a log, each at a time of its own, and puts them where they belong.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from random import Random

import attrs

from tracker.simulate.parts import NAMES, Plan, room
from tracker.simulate.telephony import TELEPHONE

Arrange = Callable[[list[Plan], Random], list[Plan]]
"""Gives the sessions anew, in any order."""
Ask = Callable[[Plan, Random], Plan]
"""Asks something more of one session."""

HOUR, DAY = 3600, 86400
OFFICE = (8.0, 17.5)
"""The hours at which meetings begin."""
SLOTS = (600, 7200)
"""Seconds: the shortest and the longest pause between two sessions of a room that is used all day."""
PARTIAL = 1 / 3
"""How many rooms subscribe to fewer types."""
_RUNS = ("recording", "participant-recording", "participant-track-recording", "hls", "livestream")
_STEPS = ("starting", "started", "playable", "stopping", "stopped", "failed")
FEWER: tuple[frozenset[str], ...] = (
    # No people; nothing but what has stopped or failed; no requests; no start of the session; the room only.
    frozenset({"participant-joined", "participant-left"}),
    frozenset(f"{run}-{step}" for run in _RUNS for step in _STEPS[:4]),
    frozenset(f"{run}-{step}" for run in _RUNS for step in ("starting", "stopping")),
    frozenset({"session-started"}) | {f"{run}-stopping" for run in _RUNS},
    frozenset(f"{run}-{step}" for run in _RUNS for step in _STEPS),
)
"""What such a room may lack."""


# -- when and where --------------------------------------------------------------------------------


def office(plans: list[Plan], dice: Random) -> list[Plan]:
    """They begin about the half hour in office hours, 20 to 90 minutes long, most in a room of every day."""
    days = _days(plans)
    rooms = [room(dice) for _ in range(ceil(len(plans) / days))]
    slots = [dice.randrange(int((OFFICE[1] - OFFICE[0]) * 2)) / 2 + OFFICE[0] for _ in rooms]
    found = []
    for place, plan in enumerate(plans):
        day, where = place % days, place // days
        begin = day * DAY + slots[where] * HOUR + max(-600.0, min(900.0, dice.gauss(0, 120)))
        length = dice.choice((1200, 1800, 1800, 2700, 3600, 3600, 5400)) * dice.uniform(0.8, 1.2)
        found.append(attrs.evolve(plan, meeting_id=rooms[where], begin=begin, length=length, night=0))
    return found


def reused(plans: list[Plan], dice: Random) -> list[Plan]:
    """Few rooms, each with one session after the other from morning to evening, some only minutes apart."""
    rooms = max(1, ceil(len(plans) / (_days(plans) * 12)))
    found = []
    for number in range(rooms):
        name, at = room(dice), 7 * HOUR + dice.uniform(0, HOUR)
        for plan in plans[number::rooms]:
            if at % DAY > 20 * HOUR:
                at = (at // DAY + 1) * DAY + 7 * HOUR + dice.uniform(0, HOUR)
            found.append(attrs.evolve(plan, meeting_id=name, begin=at, night=0))
            at += plan.length + dice.choice((dice.uniform(90, 600), dice.uniform(*SLOTS)))
    return found


def midnight(plans: list[Plan], dice: Random) -> list[Plan]:
    """All of them begin late in the evening and end on the next day."""
    found = []
    for plan in plans:
        before = dice.uniform(300, 5400)
        begin = (plan.begin // DAY + 1) * DAY - before
        length = before + dice.uniform(900, 7200)
        found.append(attrs.evolve(plan, meeting_id=room(dice), begin=begin, length=length, night=0))
    return found


def breakouts(plans: list[Plan], dice: Random) -> list[Plan]:
    """One room in four is left for the three others in between, and all come back."""
    found = []
    for place in range(0, len(plans), 4):
        main, *others = (attrs.evolve(plan, meeting_id=room(dice)) for plan in plans[place : place + 4])
        guests = tuple(_guest(dice) for _ in range(dice.randint(7, 19)))
        length = dice.uniform(4200, 7200)
        away = main.begin + dice.uniform(900, 1500), main.begin + length - dice.uniform(900, 1500)
        asked = (*main.must, "party")
        found.append(
            attrs.evolve(main, length=length, guests=guests, away=away if others else None, must=asked, night=0)
        )
        for number, other in enumerate(others, 1):
            found.append(
                attrs.evolve(
                    other,
                    begin=away[0] + dice.uniform(0.1, 3),
                    length=away[1] - away[0] - dice.uniform(1, 5),
                    guests=guests[number :: len(others)],
                    must=(*other.must, "party"),
                    night=0,
                )
            )
    return found


def _guest(dice: Random) -> tuple[str, str]:
    return room(dice).replace("-", "")[:6], dice.choice(NAMES)


def _days(plans: list[Plan]) -> int:
    return max(1, int(max(plan.begin for plan in plans) // DAY))


def one_at_a_time(plans: list[Plan], dice: Random) -> list[Plan]:
    """Moves what would begin in a room before the session there has ended."""
    free: dict[str, float] = {}
    found = []
    for plan in sorted(plans, key=lambda plan: plan.begin):
        begin = plan.begin
        if begin < free.get(plan.meeting_id, 0.0):
            begin = free[plan.meeting_id] + dice.uniform(0, 1800)
        free[plan.meeting_id] = begin + plan.length + plan.night + 60
        found.append(attrs.evolve(plan, begin=begin))
    return found


# -- what is asked of each -------------------------------------------------------------------------


def webinar(plan: Plan, dice: Random) -> Plan:
    media = dice.choice((("recording",), ("recording", "livestream"), ("recording", "hls"), ("hls",)))
    return attrs.evolve(plan, must=(*plan.must, "webinar", *media), length=dice.uniform(2400, 5400))


def short_runs(plan: Plan, dice: Random) -> Plan:
    return attrs.evolve(plan, must=(*plan.must, "shorts"))


def quarter(plan: Plan, dice: Random) -> Plan:
    """Without ids, so that all parts but their files are reported in equal bodies."""
    length = max(plan.length, dice.uniform(3000, 7200))
    return attrs.evolve(plan, must=(*plan.must, "quarter"), length=length, with_ids=False)


def by_telephone(plan: Plan, dice: Random) -> Plan:
    return attrs.evolve(plan, must=(*plan.must, TELEPHONE), night=0)


def of_2026(plan: Plan, dice: Random) -> Plan:
    return attrs.evolve(plan, modern=True, with_ids=True)


def partial(plan: Plan, dice: Random) -> Plan:
    """A third of the rooms subscribe to fewer types; which, the room's name decides. Nothing goes wrong there."""
    whose = Random(plan.meeting_id)
    if whose.random() >= PARTIAL:
        return plan
    return attrs.evolve(plan, unsubscribed=plan.unsubscribed | whose.choice(FEWER), partial=True)
