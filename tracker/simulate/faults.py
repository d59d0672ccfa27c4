"""The faults: what can go wrong with a meeting, or only with the delivery of its webhooks.

Each has a name, the codes that would be a right answer, and a function that does it to a draft. That
returns whether the draft allowed it; if not, another is drawn. A fault touches as little as it can,
so that whatever else is found in its meeting is found wrongly. Where a fault could not be distinguished from
what is legal by anybody (a lost request to stop just before a session ends), it is not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import Random

import attrs

from tracker.simulate import delivery, failures, losses
from tracker.simulate.delivery import Apply
from tracker.simulate.parts import Draft, Injected, Run, Webhook

EFFECTS = {"D101": "redelivered", "D102": "reordered", "D103": "reordered", "D104": "delayed"}
"""What a fault of the delivery does, by its first code."""
BROKEN = {"C511", "C513", "T305"}
"""The codes of webhooks that are not whole."""


@attrs.frozen
class Fault:
    """One way in which a meeting goes wrong.

    ``kind`` is ``delivery`` where only the network is at fault and nothing may be reported above
    info, else ``real``. ``codes`` are the right answers, any of them. ``arrived`` says whether every
    webhook came at last, so that every final state can be known. ``must`` is what a meeting needs
    for it, ``with_ids`` whether its runs carry ids (``None``: as drawn). ``also`` are codes that are right
    beside the answer, and no answer alone. A ``rare`` one is dealt only where it is named or where meetings have
    habits.
    """

    name: str
    kind: str
    codes: tuple[str, ...]
    summary: str
    apply: Apply
    arrived: bool = True
    must: tuple[str, ...] = ()
    with_ids: bool | None = None
    also: tuple[str, ...] = ()
    rare: bool = False

    @property
    def effect(self) -> str:
        """What it does, in the words of the truth."""
        if self.kind == "delivery":
            return EFFECTS[self.codes[0]]
        return "lost" if not self.arrived else "broken" if set(self.codes) & BROKEN else "wrong"

    def inject(self, one: Draft, dice: Random) -> bool:
        """Does it to a draft and notes there what it is about; says whether the draft allowed it."""
        before = {webhook for webhook in _all(one) if webhook.touched or webhook.lost}
        if not self.apply(one, dice):
            return False
        lost = [webhook for webhook in _all(one) if webhook.lost and webhook not in before]
        touched = [webhook for webhook in _all(one) if webhook.touched and webhook not in before]
        if not (lost or touched):
            return False
        runs = [_run_of(one, webhook) for webhook in lost or touched]
        about = (lost or touched)[0]
        alone = len({run.aggregate if run else None for run in runs}) == 1
        one.injected.append(
            Injected(self.name, about.type if alone else "", runs[0] if alone else None, touched)
        )
        return True


def _all(one: Draft) -> Iterator[Webhook]:
    for run in one.runs:
        yield from run.webhooks
    yield from one.extra


def _run_of(one: Draft, webhook: Webhook) -> Run | None:
    first = webhook.first or webhook
    return next((run for run in one.runs if first in run.webhooks), None)


def _delivery(name: str, code: str, summary: str, apply: Apply, must: tuple[str, ...] = ()) -> Fault:
    return Fault(name, "delivery", (code,), summary, apply, must=must)


def _drop(
    what: str,
    codes: tuple[str, ...],
    step: str,
    runs: Callable[[Draft], Iterable[Run]],
    must: tuple[str, ...] = (),
) -> Fault:
    return Fault(
        f"dropped-{what}", "real", codes, f"{what} never came", losses.dropped(step, runs), False, must
    )


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
ENDLESS = ("T304", "T307", "X406")
"""The end of a session may be missed by the clock, in the empty room, or when the next session begins."""

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
        _drop("session-started", ("X401",), "started", losses.the_frame),
        _drop("session-ended", ENDLESS, "ended", losses.own_run_where_none_stops_by_itself),
        _drop("joined", ("S212", "X405"), "joined", lambda one: one.visits),
        _drop("left", ("S213", "X404"), "left", lambda one: one.visits),
        _drop("starting", ("S201",), "starting", losses.media_runs, RECORDED),
        Fault(
            "dropped-second-starting",
            "real",
            ("S201",),
            "the starting of a second run never came",
            losses.lose_second_start,
            False,
            SHORT_RUNS,
        ),
        _drop("started", ("S202", "S205"), "started", losses.startable, RECORDED),
        _drop("playable", ("S204", "T311"), "playable", losses.playable, ("hls",)),
        _drop("stopping", ("S203",), "stopping", losses.stopped_early, RECORDED),
        _drop("stopped", ("T302", "X403", "S207"), "stopped", losses.stoppable, RECORDED),
        _real(
            "stuck-starting",
            ("T301", "X403"),
            "it was starting and nothing more came",
            failures.stuck("starting"),
            RECORDED,
        ),
        _real(
            "stuck-stopping",
            ("T302", "X403"),
            "it was stopping and nothing more came",
            failures.stuck("stopping"),
            RECORDED,
        ),
        _real(
            "restarted",
            ("S207",),
            "a second run began while the first went on",
            failures.restart,
            RECORDED,
            with_ids=False,
        ),
        _real(
            "stopped-alone",
            ("S205",),
            "something stopped that had never begun",
            failures.alone("stopping", "stopped"),
        ),
        Fault(
            "failed-alone",
            "real",
            ("S206",),
            "something failed that had never begun",
            failures.alone("failed"),
            also=("S210",),
        ),
        Fault(
            "late-stop",
            "delivery",
            # Once it came it was only slow; that it was missed for so long may still stand there.
            ("D104", "T303", "X403", "T302"),
            "stopped came 25 min to 2 h after the session's end",
            failures.late_stop,
            must=RECORDED,
        ),
        _real(
            "conflicting-url",
            ("C502",),
            "hls became playable at another url than it started with",
            failures.other_url,
            ("hls",),
        ),
        _real("bad-time", ("T305",), "the session ended at minute 60", failures.minute_sixty),
        _real("unknown-type", ("C509",), "a webhook of a type that nobody knows", failures.unknown_type),
        _real("other-meeting", ("C501",), "one webhook names another meeting", failures.other_meeting),
        _real("after-end", ("X402",), "something began after the session had ended", failures.after_end),
        _real("malformed", ("C513",), "a body came broken, and whole seconds later", failures.malformed),
        _real("missing-field", ("C511",), "a webhook lacks what says where it belongs", failures.no_route),
        Fault(
            "never-ended",
            "real",
            ENDLESS,
            "the session never ended",
            failures.never_ends,
            # Who was still inside may be named as well.
            also=("X404",),
        ),
        Fault(
            "same-file",
            "real",
            # Without an id its stopped is the first one's word for word: then the second has lost its own.
            ("C508", "T302", "X403", "S207"),
            "a second run brought the file of the first",
            failures.same_file,
            must=SHORT_RUNS,
            rare=True,
        ),
        Fault(
            "only-stopped",
            "real",
            ("S205", "S201"),
            "of a second run only stopped came, with a file of its own",
            losses.only_stopped,
            False,
            SHORT_RUNS,
            rare=True,
        ),
        Fault(
            "only-failed",
            "real",
            ("S206",),
            "of a second run only failed came",
            losses.only_failed,
            False,
            SHORT_RUNS,
            also=("S210",),
            rare=True,
        ),
    )
}
"""Every fault by its name; most of the delivery's come first."""
