"""Made-up meetings with known faults, to try a handler or a judge on.

``simulate`` draws meetings, does one named fault to some of them, and gives the log line by line, as
it would have been received. What is true of each meeting is known and given with its last line. It
shares no code with the judging: it knows the declared lifecycles and nothing else, so that it can
prove the judging wrong.

Everything comes from the seed: the same arguments give the same log, byte for byte.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import Any

import attrs
import msgspec

from tracker.envelope import Received
from tracker.errors import UsageError
from tracker.lifecycles import REGISTRY
from tracker.simulate.faults import FAULTS, Fault
from tracker.simulate.meetings import draft
from tracker.simulate.parts import Draft, Key, Plan, Run, Webhook, hexes, room

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
"""How many rooms have two webhook urls, so that all is told twice."""
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


@attrs.frozen
class State:
    """How an aggregate ended up: how many runs it had, and the state of the last. ``key`` is (field, value)."""

    lifecycle: str
    key: Key
    runs: int
    state: str


@attrs.define(eq=False)
class Truth:
    """What is true of one session.

    ``expected`` are the codes of which any is a right answer to the fault, ``told`` the codes (and how
    often) that report something legal, ``positions`` the lines that the fault touched. The states are
    what has happened; whether the log can tell them says ``knowable``: every webhook came, and no other
    meeting would have sent the same.
    """

    session_id: str
    meeting_id: str
    fault: str | None
    kind: str | None
    expected: tuple[str, ...]
    told: dict[str, int]
    oddities: tuple[str, ...]
    knowable: bool
    positions: list[int]
    state: str
    inside: tuple[str, ...]
    aggregates: tuple[State, ...]


@attrs.frozen
class Line:
    """One delivery at its position in the log (from 1). ``truth`` is its meeting's, complete with the ``last``."""

    position: int
    received: Received
    truth: Truth | None
    last: bool


def simulate(
    meetings: int,
    seed: int,
    faults: float = 0.05,
    names: Collection[str] = (),
    start: datetime = START,
    unheard: Collection[str] | None = None,
    *,
    stable_urls: bool = False,
    cut: float = 0,
) -> Iterator[Line]:
    """The lines of a log in receive order.

    ``faults`` is the share of the sessions in which something goes wrong, ``names`` the faults to draw
    from, each as often as the others (all when empty). ``unheard`` are webhook types that never come
    because nobody subscribed to them; ``None`` draws one in a log of many meetings. With ``stable_urls``
    all hls of a room is played back at one url. The first ``cut`` seconds are missing, as in a log that
    begins in the middle of the day: what began before then has no beginning, and what ended before then
    no line and no truth. Raises ``UsageError`` for a share that is none and for a name that is no fault's.
    """
    if not 0 <= faults <= 1:
        raise UsageError(f"a share of {faults} is none", hint="give a number from 0 to 1, like 0.05")
    for name in names:
        if name not in FAULTS:
            raise UsageError(f"no fault {name!r}", hint="tracker simulate --list names them")
    dice = Random(f"{seed}")
    drawn = [dice.choice(RARELY_SUBSCRIBED)] if meetings >= MANY else []
    silent = frozenset(drawn if unheard is None else unheard)
    plans = _plans(meetings, dice, faults, list(names) or list(FAULTS), silent, cut)
    if stable_urls:
        plans = [attrs.evolve(plan, stable_url=True) for plan in plans]
    return _lines(plans, seed, start.astimezone(UTC), cut)


def as_json(truth: Truth) -> bytes:
    """One line of the file that stands beside a log."""
    values: dict[str, Any] = attrs.asdict(truth)
    for state in values["aggregates"]:
        state["key"] = dict(state["key"])
    return msgspec.json.encode(values)


def _plans(
    meetings: int, dice: Random, share: float, names: list[str], unheard: frozenset[str], cut: float
) -> list[Plan]:
    """The sessions in the order in which they begin."""
    span = cut + max(SHORTEST, meetings * PACE)
    faulty = dict(zip(dice.sample(range(meetings), round(meetings * share)), _dealt(dice, names), strict=False))
    plans: list[Plan] = []
    for number in range(meetings):
        fault = FAULTS.get(faulty.get(number, ""))
        plan = _plan(number, fault, dice, (cut, span), unheard)
        before = plans[-1] if plans else None
        if before and not before.fault and not fault and dice.random() < AGAIN:
            # In a room that was used before, and after that session has ended.
            begin = before.begin + before.length + before.night + dice.uniform(60, 1800)
            plan = attrs.evolve(plan, meeting_id=before.meeting_id, begin=begin)
        plans.append(plan)
    return sorted(plans, key=lambda plan: plan.begin)


def _dealt(dice: Random, names: list[str]) -> Iterator[str]:
    """The names for ever, each as often as the others."""
    while True:
        yield from dice.sample(names, len(names))


def _plan(
    number: int, fault: Fault | None, dice: Random, within: tuple[float, float], unheard: frozenset[str]
) -> Plan:
    """What goes wrong goes wrong in a session that is told from its beginning on."""
    cut, span = within
    length = min(7200.0, max(180.0, dice.lognormvariate(7.3, 0.9)))
    if fault is None:
        night = dice.uniform(8, 16) * 3600 if dice.random() < OVERNIGHT else 0
        return Plan(number, room(dice), dice.uniform(0, span), length, unheard=unheard, night=night)
    latest = span - (ROOM_AFTER_ENDLESS if fault.name in ENDLESS else ROOM_AFTER)
    begin, length = dice.uniform(cut, latest), max(length, 1200.0)
    return Plan(number, room(dice), begin, length, fault.name, fault.must, fault.with_ids, unheard)


def _lines(plans: list[Plan], seed: int, start: datetime, cut: float) -> Iterator[Line]:
    """Merges the meetings; only those are in memory that have begun and are not over."""
    waiting: list[tuple[int, int, int, bytes, bool, Truth | None, bool]] = []
    position = 0
    for place, plan in enumerate(plans):
        for entry in _deliveries(plan, Random(f"{seed}/{plan.number}"), start, cut):
            heappush(waiting, entry)
        # Nothing is received before its session begins.
        until = plans[place + 1].begin * 1000 if place + 1 < len(plans) else float("inf")
        while waiting and waiting[0][0] < until:
            position += 1
            milliseconds, _, _, body, touched, truth, last = heappop(waiting)
            if touched and truth is not None:
                truth.positions.append(position)
            at = start + timedelta(milliseconds=milliseconds)
            yield Line(position, Received(body, at), truth, last)


def _deliveries(
    plan: Plan, dice: Random, start: datetime, cut: float
) -> Iterator[tuple[int, int, int, bytes, bool, Truth | None, bool]]:
    """All that is received because of one session: when, a tie-breaker, the body, and what is true of it."""
    one = _with_fault(plan, dice, start)
    heard = _heard(one, dice)
    machines = list(_machines(one, dice))
    if heard[0].at < cut:
        heard = [webhook for webhook in heard if webhook.at >= cut]
        machines = [webhook for webhook in machines if webhook.at >= cut]
        _begun_before(one, heard)
    truth = _truth(one)
    for place, webhook in enumerate(heard):
        last = place == len(heard) - 1
        yield round(webhook.at * 1000), plan.number, place, webhook.body, webhook.touched, truth, last
    for place, webhook in enumerate(machines, len(heard)):
        yield round(webhook.at * 1000), plan.number, place, webhook.body, False, None, False


def _heard(one: Draft, dice: Random) -> list[Webhook]:
    """What is told of the session, in order; in some rooms all of it twice."""
    heard = list(one.webhooks())
    if dice.random() < TWO_CHANNELS and "two-channels" not in one.oddities:
        one.oddities.add("two-channels")
        sent = [webhook for webhook in heard if webhook not in one.extra]
        heard += [attrs.evolve(webhook, at=webhook.at + dice.uniform(0.02, 0.9)) for webhook in sent]
    return sorted(heard, key=lambda webhook: webhook.at)


def _begun_before(one: Draft, heard: list[Webhook]) -> None:
    """The log lacks the beginning of the session, so what the session had been, nobody knows."""
    one.oddities.add("begun-before")
    one.two_readings = True
    if all(webhook.type != "session-started" for webhook in heard):
        one.told["X401"] += 1


def _with_fault(plan: Plan, dice: Random, start: datetime) -> Draft:
    fault = FAULTS.get(plan.fault)
    for _ in range(TRIES):
        one = draft(plan, dice, start)
        if fault is None or fault.apply(one, dice):
            return one
    raise AssertionError(f"{plan.fault}: {TRIES} meetings and none in which it could be")


def _machines(one: Draft, dice: Random) -> Iterator[Webhook]:
    """The machine that was made ready for a recording or a stream; it belongs to no session."""
    for run in one.runs:
        if run.lifecycle in ("recording", "hls") and dice.random() < 0.3:
            data = {"id": hexes(dice, 24), "type": run.lifecycle}
            begin = max(one.begin, run.webhooks[0].at - dice.uniform(0.5, 20))
            end = run.webhooks[-1].at + dice.uniform(1, 60)
            yield Webhook(begin, "resource-acquired", data)
            yield Webhook(end, "resource-released", data)


def _truth(one: Draft) -> Truth:
    fault = FAULTS.get(one.plan.fault)
    ended = "ended" in one.frame
    inside = {run.key[0][1] for run in one.visits if "left" not in run}
    return Truth(
        session_id=one.session_id,
        meeting_id=one.plan.meeting_id,
        fault=fault.name if fault else None,
        kind=fault.kind if fault else None,
        expected=fault.codes if fault else (),
        told={code: count for code, count in one.told.items() if count > 0},
        oddities=tuple(sorted(one.oddities)),
        knowable=(fault is None or fault.arrived) and not one.two_readings,
        positions=[],
        state="ended" if ended else "presumed-ended",
        inside=tuple(sorted(inside)),
        aggregates=tuple(_states(one)),
    )


def _states(one: Draft) -> Iterator[State]:
    by_aggregate: dict[tuple[str, Key], list[Run]] = {}
    for run in one.runs:
        if run.lifecycle not in ("session", "participant"):
            by_aggregate.setdefault(run.aggregate, []).append(run)
    for (lifecycle, key), runs in sorted(by_aggregate.items()):
        last = REGISTRY[lifecycle].by_name[runs[-1].webhooks[-1].step]
        # What is still open when its session has ended never comes to its end.
        yield State(lifecycle, key, len(runs), last.state if last.closes else "lost")
