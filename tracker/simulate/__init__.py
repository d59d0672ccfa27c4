"""Made-up meetings with known faults, to try a handler or a judge on.

``simulate`` draws meetings, does one named fault to some of them, and gives the log line by line, as
it would have been received. What is true of each meeting is known and given with its last line. It
shares no code with the judging: it knows the declared lifecycles and nothing else, so that it can
prove the judging wrong.

Everything comes from the seed: the same arguments give the same log, byte for byte.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import TypeVar

import attrs

from tracker.delivery.envelope import Received
from tracker.errors import UsageError
from tracker.simulate.faults import FAULTS, Fault
from tracker.simulate.habits import HABITS, Habit
from tracker.simulate.meetings import draft
from tracker.simulate.network import Way
from tracker.simulate.parts import Draft, Plan, Webhook, hexes, room
from tracker.simulate.rooms import one_at_a_time
from tracker.simulate.telephony import TELEPHONE, ring
from tracker.simulate.truth import Observer, Truth, as_json, begun

__all__ = ["HABITS", "START", "Line", "Truth", "as_json", "simulate"]

START = datetime(2026, 1, 5, tzinfo=UTC)
"""When a log begins unless it is said."""
SHORTEST = 36 * 3600
"""Seconds over which the sessions of a log begin: what never ends must be given time to show it."""
PACE = 10
"""Seconds from one session's begin to the next, on average, when there are many."""
ROOM_AFTER = 5 * 3600
"""Seconds before the last sessions begin in which no session goes wrong: the log must outlast the fault."""
ROOM_AFTER_ENDLESS = 20 * 3600
"""The same for a session that never ends."""
ENDLESS = ("never-ended", "dropped-session-ended")
AGAIN = 0.04
"""How many sessions are followed by another one of the same meeting."""
TWO_CHANNELS = 0.03
"""How many rooms have two webhook urls, so that every webhook comes twice."""
OVERNIGHT = 0.003
"""How many sessions somebody forgets to leave."""
RARELY_SUBSCRIBED = (
    "livestream-starting",
    "livestream-stopping",
    "participant-recording-starting",
    "participant-recording-stopping",
    "participant-track-recording-starting",
    "participant-track-recording-stopping",
)
MANY = 2000
"""Meetings from which on a log may lack a type: in fewer nobody could tell that from a loss."""
TRIES = 500
INSTEAD = 3
"""How many sets of faults are tried where meetings have habits, before one goes without a fault."""
TRIES_INSTEAD = 40
SHARE = 0.05
"""How many sessions have a fault, unless it is said."""
LASTING = 1200.0
"""Seconds that a session lasts at least in which something goes wrong."""
LONGER = 72 * 3600
"""Seconds over which the sessions of a log begin whose meetings have habits."""
TROUBLE = {
    "second-device",
    "two-channels",
    "failed",
    "failed-first",
    "not-playable",
    "stop-without-request",
    "overnight",
    "restless",
    "short-runs",
}
"""Oddities for which there may be a finding, if only an info."""
UNHARMED = 5
"""Seconds: what comes later than that is late because of its way."""

T = TypeVar("T")


@attrs.frozen
class Line:
    """One delivery at its position in the log (from 1). ``truth`` is its meeting's, complete with the ``last``.

    ``receiver`` is the one (from 0) that received it; the lines of one stand before those of the next.
    ``draft`` is the meeting as it was drawn, with the ``last`` line of it.
    """

    position: int
    received: Received
    truth: Truth | None
    last: bool
    receiver: int = 0
    draft: Draft | None = None


def simulate(
    meetings: int,
    seed: int,
    faults: float | None = None,
    names: Collection[str] = (),
    start: datetime = START,
    unsubscribed: Collection[str] | None = None,
    *,
    stable_urls: bool = False,
    cut: float = 0,
    habits: Collection[str] = (),
) -> Iterator[Line]:
    """The lines of a log in receive order.

    ``faults`` is the share of the sessions in which something goes wrong (as the habits have it, or one in
    twenty), ``names`` the faults to draw
    from, each as often as the others (all when empty, the
    rare ones only with habits). ``unsubscribed`` are webhook types that never come
    because nobody subscribed to them; ``None`` draws one in a log of many meetings. With ``stable_urls``
    all hls of a room is played back at one url. The first ``cut`` seconds are missing, as in a log that
    begins in the middle of the day: what began before then has no beginning, and what ended before then
    no line and no truth. Raises ``UsageError`` for a share that is none and for a name that is no fault's.
    """
    chosen = [_named(name, HABITS, "habit", "--habit list") for name in habits]
    for name in names:
        _named(name, FAULTS, "fault", "--list")
    share = next((one.share for one in chosen if one.share is not None), SHARE) if faults is None else faults
    if not 0 <= share <= 1:
        raise UsageError(f"a share of {share} is none", hint="give a number from 0 to 1, like 0.05")
    dice = Random(f"{seed}")
    drawn = [dice.choice(RARELY_SUBSCRIBED)] if meetings >= MANY else []
    silent = frozenset(drawn if unsubscribed is None else unsubscribed)
    usual = [fault.name for fault in FAULTS.values() if chosen or not fault.rare]
    asked = _Asked(meetings, share, list(names) or usual, silent, cut)
    plans = _plans_of(chosen, asked, dice) if chosen else _plans(asked, dice)
    if stable_urls:
        plans = [attrs.evolve(plan, stable_url=True) for plan in plans]
    origin = start.astimezone(UTC)
    return _written(_sent(_in_order(plans, seed, origin, cut), chosen, seed), chosen, seed, origin)


def _named(name: str, table: Mapping[str, T], what: str, where: str) -> T:
    if name not in table:
        raise UsageError(f"no {what} {name!r}", hint=f"tracker simulate {where} names them")
    return table[name]


# -- the plans -------------------------------------------------------------------------------------


@attrs.frozen
class _Asked:
    """What is asked of a log."""

    meetings: int
    share: float
    names: list[str]
    unsubscribed: frozenset[str]
    cut: float


def _plans(asked: _Asked, dice: Random) -> list[Plan]:
    """The sessions in the order in which they begin."""
    meetings, cut = asked.meetings, asked.cut
    span = cut + max(SHORTEST, meetings * PACE)
    chosen = dice.sample(range(meetings), round(meetings * asked.share))
    faulty = dict(zip(chosen, _dealt(dice, asked.names), strict=False))
    plans: list[Plan] = []
    for number in range(meetings):
        fault = FAULTS.get(faulty.get(number, ""))
        plan = _plan(number, fault, dice, (cut, span), asked.unsubscribed)
        before = plans[-1] if plans else None
        if before and not before.faults and not fault and dice.random() < AGAIN:
            # In a room that was used before, and after that session has ended.
            begin = before.begin + before.length + before.night + dice.uniform(60, 1800)
            plan = attrs.evolve(plan, meeting_id=before.meeting_id, begin=begin)
        plans.append(plan)
    return sorted(plans, key=lambda plan: plan.begin)


def _plans_of(habits: list[Habit], asked: _Asked, dice: Random) -> list[Plan]:
    """The same for meetings with habits: first when they are, then what goes wrong."""
    plans = _plans(attrs.evolve(asked, share=0), dice)
    span = max(LONGER, asked.meetings * PACE) / max(SHORTEST, asked.meetings * PACE)
    plans = [attrs.evolve(plan, begin=plan.begin * span, length=max(plan.length, LASTING)) for plan in plans]
    for ask in (habit.ask for habit in habits if habit.ask):
        plans = [ask(plan, dice) for plan in plans]
    arranges = [habit.arrange for habit in habits if habit.arrange]
    if plans:
        plans = (arranges or [one_at_a_time])[-1](plans, dice)
    plans.sort(key=lambda plan: plan.begin)
    for subscribe in (habit.subscribe for habit in habits if habit.subscribe):
        plans = [subscribe(plan, dice) for plan in plans]
    return _gone_wrong(plans, habits, asked, dice)


def _gone_wrong(plans: list[Plan], habits: list[Habit], asked: _Asked, dice: Random) -> list[Plan]:
    """Deals the faults to sessions that the log outlasts by enough, and plainness to the others."""
    each, plain = max(habit.faults for habit in habits), max(habit.plain for habit in habits)
    names, last = _dealt(dice, asked.names), plans[-1].begin if plans else 0.0
    fit = [
        place
        for place, plan in enumerate(plans)
        if asked.cut <= plan.begin <= last - ROOM_AFTER and not plan.partial
    ]
    chosen = dice.sample(fit, min(len(fit), round(len(plans) * asked.share)))
    found = [_plain(plan) if plain and dice.random() < plain else plan for plan in plans]
    for place in chosen:
        plan = plans[place]
        late = plan.begin > last - ROOM_AFTER_ENDLESS
        for _ in range(INSTEAD):
            plan = attrs.evolve(_with_faults(plans[place], _some(names, each, late=late)), instead=plan)
        found[place] = plan
    return found


def _plain(plan: Plan) -> Plan:
    return attrs.evolve(plan, plain=True, night=0, instead=plan)


def _some(names: Iterator[str], count: int, *, late: bool) -> list[str]:
    """The next few names, each once; where it is too late for it, none of a session that never ends."""
    found: list[str] = []
    for _ in range(TRIES):
        name = next(names)
        if name not in found and not (late and name in ENDLESS):
            found.append(name)
        if len(found) == count:
            break
    return found


def _with_faults(plan: Plan, names: list[str]) -> Plan:
    faults = [FAULTS[name] for name in names]
    must = dict.fromkeys((*plan.must, *(what for fault in faults for what in fault.must)))
    with_ids = next((fault.with_ids for fault in faults if fault.with_ids is not None), plan.with_ids)
    return attrs.evolve(plan, faults=tuple(names), must=tuple(must), with_ids=with_ids, night=0)


def _dealt(dice: Random, names: list[str]) -> Iterator[str]:
    """The names for ever, each as often as the others."""
    while True:
        yield from dice.sample(names, len(names))


def _plan(
    number: int, fault: Fault | None, dice: Random, within: tuple[float, float], unsubscribed: frozenset[str]
) -> Plan:
    """What goes wrong goes wrong in a session that the log has from its beginning on."""
    cut, span = within
    length = min(7200.0, max(180.0, dice.lognormvariate(7.3, 0.9)))
    if fault is None:
        night = dice.uniform(8, 16) * 3600 if dice.random() < OVERNIGHT else 0
        return Plan(number, room(dice), dice.uniform(0, span), length, unsubscribed=unsubscribed, night=night)
    latest = span - (ROOM_AFTER_ENDLESS if fault.name in ENDLESS else ROOM_AFTER)
    begin, length = dice.uniform(cut, latest), max(length, LASTING)
    return Plan(number, room(dice), begin, length, (fault.name,), fault.must, fault.with_ids, unsubscribed)


# -- the log ---------------------------------------------------------------------------------------


@attrs.frozen(order=False)
class _Entry:
    """One delivery on its way to the log. ``by`` are the habits that touched it."""

    milliseconds: int
    order: tuple[int, int]
    webhook: Webhook
    observer: Observer | None
    by: tuple[str, ...] = ()

    def __lt__(self, other: _Entry) -> bool:
        return (self.milliseconds, self.order) < (other.milliseconds, other.order)


def _in_order(plans: list[Plan], seed: int, start: datetime, cut: float) -> Iterator[_Entry]:
    """Merges the meetings; only those are in memory that have begun and are not over."""
    waiting: list[_Entry] = []
    for place, plan in enumerate(plans):
        for entry in _deliveries(plan, Random(f"{seed}/{plan.number}"), start, cut):
            heappush(waiting, entry)
        # Nothing is received before its session begins.
        until = plans[place + 1].begin * 1000 if place + 1 < len(plans) else float("inf")
        while waiting and waiting[0].milliseconds < until:
            yield heappop(waiting)


def _sent(entries: Iterator[_Entry], habits: list[Habit], seed: int) -> Iterator[_Entry]:
    """What arrives of them, and when: a way makes deliveries later and more, never earlier or fewer."""
    ways = [(habit.name, habit.way(f"{seed}")) for habit in habits if habit.way]
    if not ways:
        yield from entries
        return
    dice, waiting = Random(f"{seed}/network"), list[_Entry]()
    for entry in entries:
        while waiting and waiting[0].milliseconds < entry.milliseconds:
            yield heappop(waiting)
        arrivals = [entry]
        for name, way in ways:
            arrivals = [one for before in arrivals for one in _arriving(before, name, way, dice)]
        for arrival in arrivals:
            heappush(waiting, arrival)
        if entry.observer:
            entry.observer.left += len(arrivals) - 1
    while waiting:
        yield heappop(waiting)


def _arriving(entry: _Entry, name: str, way: Way, dice: Random) -> Iterator[_Entry]:
    at = entry.milliseconds / 1000
    times = way(at, str(entry.webhook.data.get("meetingId", "")), dice)
    for place, time in enumerate(times):
        by = (*entry.by, name) if place or time > at + UNHARMED else entry.by
        yield attrs.evolve(entry, milliseconds=round(time * 1000), by=by)


def _written(entries: Iterator[_Entry], habits: list[Habit], seed: int, start: datetime) -> Iterator[Line]:
    """Gives each its line. What the second receiver got stands behind all that the first one got."""
    receivers = next((habit for habit in habits if habit.receivers > 1), None)
    dice, position, others = Random(f"{seed}/receivers"), 0, list[_Entry]()
    skew = dice.uniform(0.5, 1) * dice.choice((-1, 1)) * receivers.skew if receivers else 0.0
    for entry in entries:
        one = attrs.evolve(entry, by=(*entry.by, receivers.name)) if receivers else entry
        if receivers and dice.random() < 0.5:
            others.append(attrs.evolve(one, milliseconds=one.milliseconds + round(skew * 1000)))
            continue
        position += 1
        yield _line(one, position, start, 0)
    for entry in others:
        position += 1
        yield _line(entry, position, start, 1)


def _line(entry: _Entry, position: int, start: datetime, receiver: int) -> Line:
    received = Received(entry.webhook.body, start + timedelta(milliseconds=entry.milliseconds))
    if entry.observer is None:
        return Line(position, received, None, last=False, receiver=receiver)
    last = entry.observer.see(entry.webhook, received, position, entry.by)
    return Line(position, received, entry.observer.truth, last, receiver, entry.observer.one if last else None)


def _deliveries(plan: Plan, dice: Random, start: datetime, cut: float) -> Iterator[_Entry]:
    """All that is received because of one session, and who watches over what is true of it."""
    one = _with_fault(plan, dice, start)
    if TELEPHONE in plan.must:
        ring(one, dice)
    arriving = _in_order_of_arrival(one, dice)
    machines = list(_machines(one, dice))
    if arriving[0].at < cut:
        arriving = [webhook for webhook in arriving if webhook.at >= cut]
        machines = [webhook for webhook in machines if webhook.at >= cut]
        _begun_before(one, arriving)
    observer = Observer(one, begun(one), len(arriving))
    for place, webhook in enumerate(arriving):
        yield _Entry(round(webhook.at * 1000), (plan.number, place), webhook, observer)
    for place, webhook in enumerate(machines, len(arriving)):
        yield _Entry(round(webhook.at * 1000), (plan.number, place), webhook, None)


def _in_order_of_arrival(one: Draft, dice: Random) -> list[Webhook]:
    """What arrives of the session, in order; in some rooms all of it twice."""
    arriving = list(one.webhooks())
    if dice.random() < TWO_CHANNELS and not one.plan.plain and "two-channels" not in one.oddities:
        one.oddities.add("two-channels")
        sent = [webhook for webhook in arriving if webhook not in one.extra]
        arriving += [webhook.again(webhook.at + dice.uniform(0.02, 0.9)) for webhook in sent]
    return sorted(arriving, key=lambda webhook: webhook.at)


def _begun_before(one: Draft, arriving: list[Webhook]) -> None:
    """The log lacks the beginning of the session, so what the session had been, nobody knows."""
    one.oddities.add("begun-before")
    one.two_readings = True
    if all(webhook.type != "session-started" for webhook in arriving):
        one.outcomes["X401"] += 1


def _with_fault(plan: Plan, dice: Random, start: datetime) -> Draft:
    """A draft to which its faults could be done, each to another thing."""
    for _ in range(TRIES_INSTEAD if plan.instead else TRIES):
        one = draft(plan, dice, start)
        if plan.plain and one.oddities & TROUBLE:
            continue
        if all(FAULTS[name].inject(one, dice) for name in plan.faults) and _apart(one):
            return one
    if plan.instead:
        return _with_fault(plan.instead, dice, start)
    raise AssertionError(f"{plan.faults}: {TRIES} meetings and none in which it could be")


def _apart(one: Draft) -> bool:
    """Whether no two faults are about one thing."""
    about = [what.run.aggregate for what in one.injected if what.run]
    return len(about) == len(set(about))


def _machines(one: Draft, dice: Random) -> Iterator[Webhook]:
    """The machine that was made ready for a recording or a stream; it belongs to no session."""
    for run in one.runs:
        if run.lifecycle in ("recording", "hls") and dice.random() < 0.3:
            data = {"id": hexes(dice, 24), "type": run.lifecycle}
            begin = max(one.begin, run.webhooks[0].at - dice.uniform(0.5, 20))
            end = run.webhooks[-1].at + dice.uniform(1, 60)
            yield Webhook(begin, "resource-acquired", data)
            yield Webhook(end, "resource-released", data)
