"""Webhooks that never came, and the runs from which they can be taken so that it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from tracker.simulate.delivery import Apply, complete_runs, followed
from tracker.simulate.parts import Draft, Run

WHOSE = ("meetingId", "sessionId", "participantId", "kind", "id")
"""What a failure says, beside a message that it may have."""


def _lose(run: Run, step: str) -> bool:
    """Loses a step; what stands beside it in the log is what the loss touches."""
    place = run.steps.index(step)
    run.webhooks[place].lost = True
    for beside in (*run.webhooks[max(0, place - 1) : place], *run.webhooks[place + 1 : place + 2]):
        beside.touched = True
    return True


def dropped(step: str, runs: Callable[[Draft], Iterable[Run]]) -> Apply:
    def apply(one: Draft, dice: Random) -> bool:
        fit = [run for run in runs(one) if step in run and len(run.webhooks) > 1]
        return bool(fit) and _lose(dice.choice(fit), step)

    return apply


def lose_second_start(one: Draft, dice: Random) -> bool:
    """Of a second run that went on for over two minutes, in any of the media as often as in another."""
    fit = [
        after
        for _, after in followed(one)
        if "stopping" in after and after["stopping"].at - after["started"].at > 121
    ]
    names = sorted({run.lifecycle for run in fit})
    if not names or one.two_readings:
        return False
    lifecycle = dice.choice(names)
    return _lose(dice.choice([run for run in fit if run.lifecycle == lifecycle]), "starting")


def only_stopped(one: Draft, dice: Random) -> bool:
    """Of a later run nothing comes but that it has stopped, with a file of its own."""
    fit = [after for _, after in followed(one) if {"filePath", "fileDetails"} & set(after["stopped"].data)]
    if not fit or one.two_readings:
        return False
    run = dice.choice(fit)
    for webhook in run.webhooks[:-1]:
        webhook.lost = True
    run["stopped"].touched = True
    return True


def only_failed(one: Draft, dice: Random) -> bool:
    """A later run failed, and nothing comes of it but that."""
    fit = [after for _, after in followed(one) if after in one.last_runs()]
    if not fit:
        return False
    run = dice.choice(fit)
    last = run.webhooks[-1]
    last.type, last.step = f"{run.lifecycle}-failed", "failed"
    last.data = {name: value for name, value in last.data.items() if name in WHOSE}
    last.touched = True
    for webhook in run.webhooks[:-1]:
        webhook.lost = True
    return True


def the_frame(one: Draft) -> list[Run]:
    return [one.own_run]


def own_run_where_none_stops_by_itself(one: Draft) -> list[Run]:
    """The run of the session; none where something stops by itself, for that shows the end although it was not reported."""
    return [] if one.stops_by_itself() else [one.own_run]


def media_runs(one: Draft) -> list[Run]:
    return [run for run in complete_runs(one) if run.media]


def startable(one: Draft) -> list[Run]:
    return [run for run in complete_runs(one) if run.media or run.lifecycle == "transcription"]


def stoppable(one: Draft) -> list[Run]:
    """A ``post`` transcription may run for ever: nobody could miss its end."""
    return [run for run in startable(one) if not run.post]


def stopped_early(one: Draft) -> list[Run]:
    """Near the end of a session everything may stop without a request."""
    return [run for run in media_runs(one) if run["stopped"].at < one.end - 90]


def playable(one: Draft) -> list[Run]:
    """With another that legally never became playable, the right answer would be there anyway."""
    return [] if one.outcomes["S204"] else media_runs(one)
