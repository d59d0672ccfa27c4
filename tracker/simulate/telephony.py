"""Meetings by telephone: some people call in, an agent may answer, and a call may go on to somebody else.

What happens on the telephone is added when all else of a meeting is made up, so no fault touches it. It
has streams of its own, and a call begins before whoever calls is in the room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

import msgspec

from tracker.simulate.parts import Data, Draft, Run, Webhook, hexes, said, uuid

TELEPHONE = "telephone"
"""The name in ``Plan.must``."""
CALLERS = 3
"""How many people of a meeting call in at most."""
MISSED, TRANSFERRED, FAILED, UPDATED, AGENT, SUMMED_UP = 0.25, 0.3, 0.15, 0.3, 0.5, 0.7
"""How many meetings have a call that nobody answers; how many calls are transferred, of these how many in vain, and how many
calls are updated; how many meetings have an agent, and how many of their calls end with a summary."""

_encode = msgspec.json.Encoder().encode


def ring(one: Draft, dice: Random) -> None:
    """Adds the calls and the agent of a meeting."""
    callers = [visit for visit in one.visits if "left" in visit and visit["joined"].at > one.begin + 30]
    dice.shuffle(callers)
    has_agent = dice.random() < AGENT
    for visit in callers[: dice.randint(1, CALLERS)]:
        came, left = visit["joined"].at, visit["left"].at
        whose = _call(one, dice, visit["joined"].data.get("participantName", ""))
        begun = came - dice.uniform(8, 25)
        times = {
            "started": begun,
            "ringing": begun + dice.uniform(0.5, 2),
            "answered": came + dice.uniform(0.1, 2),
        }
        _add(one, "call", whose, times | {"hangup": left + dice.uniform(0.1, 1)})
        if dice.random() < UPDATED:
            data = whose | {"status": "on-hold"}
            one.extra.append(said("call", "update", dice.uniform(came + 2, left), data))
        if left - came > 120 and dice.random() < TRANSFERRED:
            _transfer(one, dice, whose, dice.uniform(came + 20, left - 60))
        if has_agent and dice.random() < SUMMED_UP:
            one.extra.append(_summary(one, whose, left + dice.uniform(2, 20)))
    if dice.random() < MISSED:
        begun = dice.uniform(one.begin + 5, max(one.begin + 6, one.leaving - 40))
        times = {
            "started": begun,
            "ringing": begun + dice.uniform(0.5, 2),
            "missed": begun + dice.uniform(20, 35),
        }
        _add(one, "call", _call(one, dice, ""), times)
    if has_agent:
        _agent(one, dice)


def _call(one: Draft, dice: Random, name: str) -> Data:
    numbers = {"from": f"+1555{dice.randrange(10**7):07}", "to": f"+1555{dice.randrange(10**7):07}"}
    base = {"callId": f"call_{hexes(dice, 12)}", "roomId": one.plan.meeting_id, "sessionId": one.session_id}
    return base | numbers | {"metaData": {"caller": name} if name else {}}


def _transfer(one: Draft, dice: Random, whose: Data, begin: float) -> None:
    times = {"initiated": begin, "transferring": begin + dice.uniform(0.5, 2)}
    times["ringing"] = times["transferring"] + dice.uniform(0.5, 2)
    end = "failed" if dice.random() < FAILED else "transferred"
    one.outcomes["S210"] += end == "failed"
    _add(one, "call-transfer", whose, times | {end: times["ringing"] + dice.uniform(2, 25)})


def _agent(one: Draft, dice: Random) -> None:
    """An agent is in the room from its beginning to shortly before its end, under an id of its own."""
    whose = {"sessionId": f"session-{uuid(dice)}", "roomId": one.plan.meeting_id}
    begin, end = one.begin + dice.uniform(0.5, 3), one.leaving - dice.uniform(2, 20)
    times = {"starting": begin, "started": begin + dice.uniform(0.5, 5), "stopping": end}
    _add(one, "agent-session", whose, times | {"stopped": end + dice.uniform(0.2, 2)})


def _add(one: Draft, lifecycle: str, whose: Data, times: Mapping[str, float]) -> None:
    field, sent = ("session_id", "sessionId") if lifecycle == "agent-session" else ("call_id", "callId")
    steps = list(_steps(one, lifecycle, whose, times))
    one.runs.append(Run(lifecycle, ((field, whose[sent]),), steps))


def _steps(one: Draft, lifecycle: str, whose: Data, times: Mapping[str, float]) -> Iterator[Webhook]:
    for step, at in times.items():
        stamp = {} if lifecycle == "agent-session" else {"timestamp": one.clock(at)}
        yield said(lifecycle, step, at, whose | stamp)


def _summary(one: Draft, whose: Data, at: float) -> Webhook:
    """It has no type, and says which session it was for in a place of its own."""
    body = {
        "call-summary": {"call_status": "completed"},
        "customer-data": {"callId": whose["callId"]},
        "room-data": {"session-id": one.session_id, "meeting-id": one.plan.meeting_id},
    }
    return Webhook(at, "", {}, whole=_encode(body))
