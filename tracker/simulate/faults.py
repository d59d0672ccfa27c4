"""The faults: what can go wrong with a meeting, or only with the delivery of its webhooks.

Each has a name, the codes that would be a right answer, and a function that does it to a draft. That
returns whether the draft allowed it; if not, another is drawn. A fault touches as little as it can,
so that whatever else is found in its meeting is found wrongly. Where a fault could not be told from
what is legal by anybody (a lost request to stop just before a session ends), it is not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from random import Random

import attrs

from tracker.simulate import delivery
from tracker.simulate.delivery import Apply, followed, heard
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


@attrs.frozen
class Fault:
    """One way in which a meeting goes wrong.

    ``kind`` is ``delivery`` where only the network is to blame and nothing may be reproached above
    info, else ``real``. ``codes`` are the right answers, any of them. ``arrived`` says whether every
    webhook came at last, so that every final state can be known. ``must`` is what a meeting needs
    for it, ``with_ids`` whether its runs carry ids (``None``: as drawn).
    """

    name: str
    kind: str
    codes: tuple[str, ...]
    summary: str
    apply: Apply
    arrived: bool = True
    must: tuple[str, ...] = ()
    with_ids: bool | None = None


def _lasting(one: Draft) -> list[Run]:
    """Those of them after which their aggregate did nothing more."""
    last = one.last_runs()
    return [run for run in heard(one) if run in last]


# -- webhooks that never came ----------------------------------------------------------------------


def _lose(run: Run, step: str) -> bool:
    """Loses a step; what stands beside it in the log is what the loss touches."""
    place = run.steps.index(step)
    run.webhooks[place].lost = True
    for beside in (*run.webhooks[max(0, place - 1) : place], *run.webhooks[place + 1 : place + 2]):
        beside.touched = True
    return True


def _dropped(step: str, runs: Callable[[Draft], Iterable[Run]]) -> Apply:
    def apply(one: Draft, dice: Random) -> bool:
        fit = [run for run in runs(one) if step in run and len(run.webhooks) > 1]
        return bool(fit) and _lose(dice.choice(fit), step)

    return apply


def _lose_second_start(one: Draft, dice: Random) -> bool:
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


def _the_frame(one: Draft) -> list[Run]:
    return [one.frame]


def _frame_of_what_was_stopped(one: Draft) -> list[Run]:
    """Where something stops by itself, that tells of the end that was not told."""
    return [] if one.stops_by_itself() else [one.frame]


def _media_runs(one: Draft) -> list[Run]:
    return [run for run in heard(one) if run.media]


def _startable(one: Draft) -> list[Run]:
    return [run for run in heard(one) if run.media or run.lifecycle == "transcription"]


def _stoppable(one: Draft) -> list[Run]:
    """A ``post`` transcription may run for ever: nobody could miss its end."""
    return [run for run in _startable(one) if not run.post]


def _stopped_early(one: Draft) -> list[Run]:
    """Near the end of a session everything may stop without a request."""
    return [run for run in _media_runs(one) if run["stopped"].at < one.end - 90]


def _playable(one: Draft) -> list[Run]:
    """With another that legally never became playable, the right answer would be there anyway."""
    return [] if one.told["S204"] else _media_runs(one)


# -- what really went wrong ------------------------------------------------------------------------


def _stuck(step: str) -> Apply:
    def apply(one: Draft, dice: Random) -> bool:
        fit = [run for run in _lasting(one) if run.media and step in run]
        if not fit:
            return False
        run = dice.choice(fit)
        run[step].touched = True
        one.two_readings = step == "starting" and _like_one_before(one, run[step])
        if "playable" not in run and run.lifecycle == "hls":
            one.told["S204"] -= 1
        del run.webhooks[run.steps.index(step) + 1 :]
        return True

    return apply


def _like_one_before(one: Draft, webhook: Webhook) -> bool:
    """Whether it may as well be another one's copy: if nothing follows, nobody can tell."""
    earlier = (other for other in one.webhooks() if 0 < webhook.at - other.at < delivery.RETRIES[-1])
    return any(other.type == webhook.type and other.data == webhook.data for other in earlier)


def _restart(one: Draft, dice: Random) -> bool:
    """Begins a second run while the first goes on; what was to end the first ends the second."""
    fit = [run for run in _media_runs(one) if "stopping" in run and _room_for_another(run) > 0]
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


def _alone(*steps: str) -> Apply:
    """Steps of something that had never begun."""

    def apply(one: Draft, dice: Random) -> bool:
        lifecycle, whose = _unused(one, dice)
        told = steps[dice.randrange(len(steps)) :]
        if lifecycle in one.lifecycles or {f"{lifecycle}-{step}" for step in told} & one.plan.unheard:
            return False
        at = dice.uniform(one.begin + 20, one.end - 150)
        times = {step: at + place * dice.uniform(5, 120) for place, step in enumerate(told)}
        run = media_run(one, dice, lifecycle, whose, times)
        run.webhooks[0].touched = True
        one.runs.append(run)
        return True

    return apply


def _late_stop(one: Draft, dice: Random) -> bool:
    fit = [run for run in _lasting(one) if run in _stoppable(one) and "stopped" in run]
    if not fit:
        return False
    stopped = dice.choice(fit)["stopped"]
    stopped.at = one.end + GRACE + dice.uniform(900, 7200)
    stopped.touched = True
    return True


def _other_url(one: Draft, dice: Random) -> bool:
    fit = [run for run in _media_runs(one) if "playable" in run]
    if not fit:
        return False
    run = dice.choice(fit)
    run["playable"].data["playbackHlsUrl"] = stream_url(dice)
    run["started"].touched = run["playable"].touched = True
    return True


def _minute_sixty(one: Draft, dice: Random) -> bool:
    ended = one.frame["ended"]
    ended.data["end"] = ended.data["end"][:14] + "60" + ended.data["end"][16:]
    ended.touched = True
    return True


def _unknown_type(one: Draft, dice: Random) -> bool:
    at = dice.uniform(one.begin + 5, one.end - 5)
    one.extra.append(Webhook(at, dice.choice(UNKNOWN), one.base, touched=True))
    return True


def _other_meeting(one: Draft, dice: Random) -> bool:
    """Neither the first nor the last that is heard, so that it is clear which meeting is the right one."""
    inner = [webhook for webhook in one.arrived()[2:] if webhook.type != "session-ended"]
    if not inner:
        return False
    webhook = dice.choice(inner)
    webhook.data = webhook.data | {"meetingId": room(dice)}
    webhook.touched = True
    return True


def _after_end(one: Draft, dice: Random) -> bool:
    at = one.end + dice.uniform(30, 900)
    lifecycle, whose = _unused(one, dice)
    what = dice.choice(("participant", "transcription", "media"))
    if what == "participant":
        run = visit(one, person(dice), at, at + dice.uniform(20, 300))
    elif what == "transcription":
        data = one.base | {"id": uuid(dice), "type": "realtime"}
        stopped = at + dice.uniform(20, 300)
        told = [said(what, "started", at, data), said(what, "stopped", stopped, data)]
        run = Run(what, (("id", str(data["id"])),), told)
    elif lifecycle.startswith("participant") or lifecycle in one.lifecycles:
        return False
    else:
        times = beginning(dice, lifecycle, at)
        times["stopping"] = max(times.values()) + dice.uniform(20, 300)
        times["stopped"] = times["stopping"] + settling(dice, lifecycle)
        run = media_run(one, dice, lifecycle, whose, times)
    if any(webhook.type in one.plan.unheard for webhook in run.webhooks):
        return False
    run.webhooks[0].touched = True
    one.runs.append(run)
    return True


def _malformed(one: Draft, dice: Random) -> bool:
    """A body comes broken, and seconds later whole, before anything of its aggregate that follows it."""
    fit = [first for first, second in _steps(one) if second.at - first.at > 15]
    if not fit:
        return False
    webhook = dice.choice(fit)
    body = webhook.body
    broken = dice.choice(
        (body[:-2] + b",}}", body[: dice.randrange(20, len(body))], b"[" + body + b"]", b"undefined")
    )
    one.extra.append(attrs.evolve(webhook, whole=broken, touched=True))
    webhook.at += dice.uniform(2, 10)
    return True


def _steps(one: Draft) -> Iterator[tuple[Webhook, Webhook]]:
    for run in heard(one):
        if run is not one.frame:
            yield from pairwise(run.webhooks)


def _no_route(one: Draft, dice: Random) -> bool:
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


def _never_ends(one: Draft, dice: Random) -> bool:
    """The room stays open for ever; in half of them somebody stays inside."""
    if one.stops_by_itself():
        return False
    del one.frame.webhooks[1:]
    if dice.random() < 0.5:
        del one.visits[0].webhooks[1:]
    one.frame["started"].touched = True
    return True


def _delivery(name: str, code: str, summary: str, apply: Apply, must: tuple[str, ...] = ()) -> Fault:
    return Fault(name, "delivery", (code,), summary, apply, must=must)


def _drop(
    what: str,
    codes: tuple[str, ...],
    step: str,
    runs: Callable[[Draft], Iterable[Run]],
    must: tuple[str, ...] = (),
) -> Fault:
    return Fault(f"dropped-{what}", "real", codes, f"{what} never came", _dropped(step, runs), False, must)


def _real(
    name: str,
    codes: tuple[str, ...],
    summary: str,
    apply: Apply,
    must: tuple[str, ...] = (),
    *,
    with_ids: bool | None = None,
) -> Fault:
    return Fault(name, "real", codes, summary, apply, must=must, with_ids=with_ids)


RECORDED = ("recording",)
SHORT_RUNS = ("short-runs",)

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        _delivery(
            "redelivered-seconds", "D101", "a webhook came again 1 to 10 s later", delivery.again_after_seconds
        ),
        _delivery(
            "redelivered-minutes",
            "D101",
            "a webhook came again as a retry, 1, 5 or 20 min later",
            delivery.again_after_minutes,
        ),
        _delivery(
            "redelivered-burst", "D101", "3 to 6 webhooks came again 1 to 5 min later", delivery.burst_again
        ),
        _delivery("swapped", "D102", "two consecutive steps came in the wrong order", delivery.swap),
        _delivery("late", "D102", "a step came after one that follows it, up to 2 min late", delivery.late),
        _delivery(
            "overtaken-left", "D103", "a left came after the person had joined again", delivery.overtaken
        ),
        _delivery(
            "overtaken-near-left",
            "D103",
            "a left came over 1 min late, just before the next left",
            delivery.overtaken_near,
            ("restless",),
        ),
        _delivery(
            "stray-copy-seconds",
            "D101",
            "a webhook came again within the next run, 10 to 120 s later",
            delivery.stray_copy(10, 120),
            SHORT_RUNS,
        ),
        _delivery(
            "stray-copy-minutes",
            "D101",
            "a webhook came again within the next run, 2 to 20 min later",
            delivery.stray_copy(120, delivery.OLDEST),
            SHORT_RUNS,
        ),
        _delivery(
            "stop-in-next-run",
            "D102",
            "stopping or stopped came 5 to 100 s late, within the next run",
            delivery.stop_in_next_run,
            SHORT_RUNS,
        ),
        _delivery(
            "stop-swapped",
            "D102",
            "stopped and the next starting came in the wrong order",
            delivery.stop_swapped,
            SHORT_RUNS,
        ),
        _delivery(
            "run-copied", "D101", "all of a run came again 2 to 20 min later", delivery.run_copied, RECORDED
        ),
        _delivery(
            "run-copied-burst",
            "D101",
            "all of a run came again at once, minutes after its end",
            delivery.run_copied_burst,
            RECORDED,
        ),
        _delivery(
            "two-channels-steady",
            "D101",
            "all came twice, 1 s to 15 min apart, give or take 5 s",
            delivery.second_channel(5),
        ),
        _delivery(
            "two-channels-uneven",
            "D101",
            "all came twice, 1 s to 15 min apart, give or take 1 min",
            delivery.second_channel(60),
        ),
        _drop("session-started", ("X401",), "started", _the_frame),
        _drop("session-ended", ("T304",), "ended", _frame_of_what_was_stopped),
        _drop("joined", ("S212", "X405"), "joined", lambda one: one.visits),
        _drop("left", ("S213", "X404"), "left", lambda one: one.visits),
        _drop("starting", ("S201",), "starting", _media_runs, RECORDED),
        Fault(
            "dropped-second-starting",
            "real",
            ("S201",),
            "the starting of a second run never came",
            _lose_second_start,
            False,
            SHORT_RUNS,
        ),
        _drop("started", ("S202", "S205"), "started", _startable, RECORDED),
        _drop("playable", ("S204",), "playable", _playable, ("hls",)),
        _drop("stopping", ("S203",), "stopping", _stopped_early, RECORDED),
        _drop("stopped", ("T302", "X403", "S207"), "stopped", _stoppable, RECORDED),
        _real(
            "stuck-starting",
            ("T301", "X403"),
            "it was starting and nothing more was heard",
            _stuck("starting"),
            RECORDED,
        ),
        _real(
            "stuck-stopping",
            ("T302", "X403"),
            "it was stopping and nothing more was heard",
            _stuck("stopping"),
            RECORDED,
        ),
        _real(
            "restarted",
            ("S207",),
            "a second run began while the first went on",
            _restart,
            RECORDED,
            with_ids=False,
        ),
        _real(
            "stopped-alone", ("S205",), "something stopped that had never begun", _alone("stopping", "stopped")
        ),
        _real("failed-alone", ("S206",), "something failed that had never begun", _alone("failed")),
        _real(
            "late-stop",
            ("X403", "T302"),
            "stopped came 25 min to 2 h after the session's end",
            _late_stop,
            RECORDED,
        ),
        _real(
            "conflicting-url",
            ("C502",),
            "hls became playable at another url than it started with",
            _other_url,
            ("hls",),
        ),
        _real("bad-time", ("T305",), "the session ended at minute 60", _minute_sixty),
        _real("unknown-type", ("C509",), "a webhook of a type that nobody knows", _unknown_type),
        _real("other-meeting", ("C501",), "one webhook names another meeting", _other_meeting),
        _real("after-end", ("X402",), "something began after the session had ended", _after_end),
        _real("malformed", ("C513",), "a body came broken, and whole seconds later", _malformed),
        _real("missing-field", ("C511",), "a webhook lacks what says where it belongs", _no_route),
        _real("never-ended", ("T304",), "the session never ended", _never_ends),
    )
}
"""Every fault by its name; those of the delivery come first."""
