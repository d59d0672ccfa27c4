"""What is unlikely about a run: each thing that a hypothesis assumes, with its code and its price.

``_alone`` says what a run assumes whatever stands beside it, ``_beside`` what it assumes because of the
runs that follow, and ``ending`` what time adds once a run has been open for too long. The search adds
up the prices, and the assessment makes findings of the same values, so what is found and what is paid
can never differ.

An *orphan* is a run of which only an end came. Nobody knows when it began, so it is no sign that the
run before it must have been over: what shows that is the next run that is seen to begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tracker.delivery.payload import read_text
from tracker.delivery.webhook import same_data
from tracker.judging.context import AT_ONCE, Context
from tracker.judging.hypothesis import Candidate, Delivered
from tracker.judging.prices import by_delay
from tracker.lifecycle import ABSENT, Lifecycle, camel_case

__all__ = [
    "Assumption",
    "Overdue",
    "assumptions",
    "cost_alone",
    "cost_beside",
    "cost_waiting",
    "ending",
    "endings",
    "is_of_its_own",
    "is_orphan",
    "may_end_until",
    "next_begun",
    "outlives",
    "second_url",
    "subject",
]


class Assumption(msgspec.Struct, frozen=True, gc=False):
    """One thing that a hypothesis assumes.

    Attributes:
        code: What is found by it; empty: nothing is worth a finding.
        price: What it costs.
        where: The delivery that shows it.
        since: The delivery before it that matters: since when something is missing, or what it contradicts.
        missing: The steps that should have come.
        state: The state before, where that is not the state before ``where``.
        paid: Its price by name, where that is not ``code``.
        by_time: Whether time alone shows it: the run has been open for too long.
    """

    code: str
    price: float
    where: Delivered
    since: Delivered | None = None
    missing: tuple[str, ...] = ()
    state: str | None = None
    paid: str = ""
    by_time: bool = False

    @property
    def name(self) -> str:
        """The name of its price."""
        return self.paid or self.code


class Overdue(msgspec.Struct, frozen=True, gc=False):
    """An open run will be overdue: from ``at`` on (microseconds), by ``code``. ``missing`` are steps."""

    at: int
    code: str
    missing: tuple[str, ...]


def assumptions(
    lifecycle: Lifecycle, runs: Sequence[Candidate], context: Context
) -> Iterator[tuple[Candidate, Assumption]]:
    """All that these runs assume as of the context's moment, each thing with the run that it is about."""
    for place, run in enumerate(runs):
        begun = next_begun(lifecycle, runs, place)
        yield from ((run, one) for one in _alone(lifecycle, run, context))
        if place + 1 < len(runs):
            yield from ((run, one) for one in _beside(lifecycle, run, runs[place + 1], begun, context))
    for run, overdue in endings(lifecycle, runs, context):
        if context.as_of is not None and overdue.at <= context.as_of:
            price = context.prices[overdue.code]
            yield run, Assumption(overdue.code, price, run.since, None, overdue.missing, by_time=True)


def endings(
    lifecycle: Lifecycle, runs: Sequence[Candidate], context: Context
) -> Iterator[tuple[Candidate, Overdue]]:
    """The runs that are open and may still end, and from when on each is overdue."""
    for place, run in enumerate(runs):
        if not run.closed and next_begun(lifecycle, runs, place) is None:
            overdue = ending(lifecycle, run, context)
            if overdue is not None:
                yield run, overdue


def next_begun(lifecycle: Lifecycle, runs: Sequence[Candidate], place: int) -> Candidate | None:
    """The next run behind a place that is seen to begin."""
    for later in range(place + 1, len(runs)):
        if not is_orphan(lifecycle, runs[later]):
            return runs[later]
    return None


def _alone(lifecycle: Lifecycle, run: Candidate, context: Context) -> Iterator[Assumption]:
    """What a run assumes whatever stands beside it."""
    prices = context.prices
    for code, other in run.others:
        original = run.originals[other.step.name]
        found = "" if code == "supplement" else code
        paid = code if code in prices else "C504"
        if lifecycle.is_presence or not found or _says_it_twice(original, other, context):
            delay = 0 if lifecycle.brings_the_same(original.data, other.data) else other.at - original.at
            price = by_delay(prices["supplement"], delay, context.windows.self_stop)
            yield Assumption(found, price, other, original, paid="supplement")
        else:
            yield Assumption(found, prices[paid], other, original, paid=paid)
    if not run.lawful:
        yield from _gaps(lifecycle, run, context)
        if len(run.originals) > 1:
            yield from _overtaken(lifecycle, run, context)
            yield from _two_ends(run, context)
            yield from _excluded(run, context)
    url = second_url(lifecycle, run)
    if url is not None:
        yield Assumption(lifecycle.contradicted, prices["C502"], url[1], url[0], paid="C502")
    if run.shared is not None:
        yield Assumption("", prices["shared file"], *run.shared, paid="shared file")
    if context.end is None:
        return
    yield from _long_after_end(lifecycle, run, context)
    if _begins_after_end(lifecycle, run, context):
        yield Assumption(lifecycle.after_end, prices["X402"], run.first, paid="X402")


def _says_it_twice(original: Delivered, other: Delivered, context: Context) -> bool:
    """Whether an end without a file came again soon: how it ended is said in two ways."""
    if not other.step.closes or (original.evidence and other.evidence):
        return False
    return other.at - original.at <= context.windows.self_stop


def _beside(
    lifecycle: Lifecycle, run: Candidate, following: Candidate, begun: Candidate | None, context: Context
) -> Iterator[Assumption]:
    """What a run assumes because of the one that follows it, and of the next one that is seen to begin."""
    if begun is not None:
        yield from _order(lifecycle, run, begun, context)
    if lifecycle.reusable:
        yield from _shared_url(run, following, context)


def _order(lifecycle: Lifecycle, run: Candidate, begun: Candidate, context: Context) -> Iterator[Assumption]:
    """The next run began, and the end of this one came later or never."""
    if run.closed and run.since.order < begun.first.order:
        return
    at_once = _at_once(lifecycle, run, begun, context)
    if at_once is not None:
        yield at_once
    if not run.closed:
        yield from _lost(lifecycle, run, begun, context)
    else:
        yield from _late_end(lifecycle, run, begun, context, at_once=at_once is not None)


def _late_end(
    lifecycle: Lifecycle, run: Candidate, begun: Candidate, context: Context, *, at_once: bool
) -> Iterator[Assumption]:
    """The end of a run came after the next one had begun.

    That is usual where the run had stopped and was being processed, and where a person had come again with another
    device. Else the webhook is late, or two runs of one thing went on at once, which is paid for where they began.
    """
    end, first = run.since, begun.first
    delay = end.at - first.at
    if lifecycle.is_presence:
        price = by_delay(context.prices["overtaken"], delay, context.windows.overtaken)
        yield Assumption("D103", price, end, first, paid="overtaken")
        return
    window = context.windows.lateness
    if at_once or _waits_for_its_end(lifecycle, run, first):
        paid = "late" if at_once else "processed"
        yield Assumption("", by_delay(context.prices[paid], delay, window), end, first, paid=paid)
        return
    price = context.log.late_price(context.prices["two at once"], end.at, delay, window)
    yield Assumption("", price, end, first, paid="two at once")
    if not begun.closed:
        yield Assumption("", context.prices["one of two"], end, first, paid="one of two")


def _waits_for_its_end(lifecycle: Lifecycle, run: Candidate, first: Delivered) -> bool:
    """Whether nothing but its end was to come of a run when the next one began."""
    before = [one for one in run.originals.values() if one.order < first.order]
    if not before:
        return False
    last = max(before, key=lambda one: lifecycle.rank[one.step.name])
    return lifecycle.is_stopping(last.step.state)


def _at_once(lifecycle: Lifecycle, run: Candidate, begun: Candidate, context: Context) -> Assumption | None:
    """The next run began as soon as this one had begun, and nobody had stopped this one."""
    one = run.originals.get(begun.first.step.name)
    if one is None or begun.first.at - one.at > context.windows.fast_redelivery:
        return None
    if _waits_for_its_end(lifecycle, run, begun.first):
        return None
    return Assumption("", context.prices["two at once"], begun.first, one, paid="two at once")


def ending(lifecycle: Lifecycle, run: Candidate, context: Context) -> Overdue | None:
    """From when on an open run is overdue, if nothing more comes of it; ``None``: never. Kept with the run."""
    if run.closed:
        return None
    if run.overdue is None:
        run.overdue = (_ending(lifecycle, run, context),)
    return run.overdue[0]


def _ending(lifecycle: Lifecycle, run: Candidate, context: Context) -> Overdue | None:
    if is_orphan(lifecycle, run):
        return None
    limit, end, windows = _limit(lifecycle, run, context), None, context.windows
    if context.end is not None and lifecycle.open_at_end and not _begins_after_end(lifecycle, run, context):
        if outlives(lifecycle, run):
            end = max(context.end, run.since.at) + windows.session_idle
        else:
            end = max(context.end + windows.grace, run.since.at)
        if limit is not None and limit.at > context.end and lifecycle.is_stopping(run.state.state):
            end, limit = max(end, limit.at), None
    unfinished = None
    if end is not None and not all(context.lacks(lifecycle, name) for name in lifecycle.endings):
        unfinished = Overdue(end, lifecycle.open_at_end, lifecycle.endings)
        if not run.state.stalls:
            limit = None  # that it never ends says more
    found = [one for one in (limit, unfinished) if one is not None]
    return min(found, key=lambda one: one.at, default=None)


def cost_alone(lifecycle: Lifecycle, run: Candidate, context: Context) -> float:
    """What a run costs whatever stands beside it; kept with the run."""
    if run.cost is None:
        run.cost = sum([one.price for one in _alone(lifecycle, run, context)])
    return run.cost


def cost_waiting(lifecycle: Lifecycle, run: Candidate, begun: Candidate, context: Context) -> float:
    """The least that an open run can cost because of the next one, so long as its end may still come."""
    price = context.prices["overtaken"]
    if not lifecycle.is_presence:
        usual = "processed" if _waits_for_its_end(lifecycle, run, begun.first) else "late"
        price = min(context.prices[usual], context.prices["two at once"])
    return price + (context.prices["two at once"] if _at_once(lifecycle, run, begun, context) else 0.0)


def cost_beside(
    lifecycle: Lifecycle, run: Candidate, following: Candidate, begun: Candidate | None, context: Context
) -> float:
    """What a run costs because of those that follow it; of the next one, only where it begins matters, and whether it ended."""
    cost = 0.0
    if begun is not None:
        begin = begun.first.position, begun.began, begun.closed
        known = run.before.get(begin)
        if known is None:
            known = run.before[begin] = sum([one.price for one in _order(lifecycle, run, begun, context)])
        cost = known
    if lifecycle.reusable:
        cost += sum([one.price for one in _shared_url(run, following, context)])
    return cost


def outlives(lifecycle: Lifecycle, run: Candidate) -> bool:
    """Whether the run may go on after the session."""
    if not lifecycle.outlives:
        return False
    return any(lifecycle.says_it_outlives(one.data) for one in run.originals.values())


def is_orphan(lifecycle: Lifecycle, run: Candidate) -> bool:
    """Whether the beginning of a run is missing and its first step that came is an end."""
    if run.orphan is None:
        first = run.in_order(lifecycle)[0].step
        run.orphan = bool(first.orphan) and first.name not in lifecycle.starts
    return run.orphan


def _gaps(lifecycle: Lifecycle, run: Candidate, context: Context) -> Iterator[Assumption]:
    """S201 to S206 and S212: what never came, by the first of each gap."""
    for before, one, missing in run.gaps(lifecycle):
        state = ABSENT if before is None else before.step.state
        absent = tuple([name for name in missing if not context.lacks(lifecycle, name)])
        if not absent or (run.failed and all(lifecycle.by_name[name].unasked for name in absent)):
            continue  # what failed was not asked to stop
        if state == ABSENT and one.step.orphan:
            price = context.prices[one.step.orphan]
            began = run.began - context.windows.grace
            if one.step.closes and context.is_after_end(began, run.first.position - 1):
                price += context.prices["X402"]  # it would have begun after the end as well
            yield Assumption(one.step.orphan, price, one, None, absent, ABSENT)
            continue
        codes = [code for name in absent if (code := lifecycle.by_name[name].skipped)]
        if codes:
            unasked = lifecycle.by_name[absent[0]].unasked and context.needs_no_stop(
                one.at, subject(lifecycle, one)
            )
            paid = "unasked" if unasked else codes[0]
            yield Assumption(codes[0], context.prices[paid], one, before, absent, state, paid)
        else:
            yield Assumption("", context.prices["unseen"], one, before, absent, state, "unseen")


def subject(lifecycle: Lifecycle, one: Delivered) -> str | None:
    """Whom a run is of, if it is of a person."""
    return read_text(one.data, camel_case(lifecycle.subject)) if lifecycle.subject else None


def _overtaken(lifecycle: Lifecycle, run: Candidate, context: Context) -> Iterator[Assumption]:
    """D102: a step came after one that follows it."""
    rank, window = lifecycle.rank, context.windows.lateness
    seen: list[Delivered] = []
    for one in run.originals.values():
        overtook = [other for other in seen if rank[other.step.name] > rank[one.step.name]]
        seen.append(one)
        overtook = [other for other in overtook if not (one.step.closes and other.step.closes)]
        if overtook:
            first = overtook[0]
            price = context.prices["late"]
            if not is_of_its_own(lifecycle, run, one):
                price = context.log.late_price(price, one.at, one.at - first.at, window)
            yield Assumption("D102", price, one, first, paid="late")


def second_url(lifecycle: Lifecycle, run: Candidate) -> tuple[Delivered, Delivered] | None:
    """The first two steps of a run that bring two urls, where one run has one."""
    if not lifecycle.contradicted:
        return None
    first, *others = [one for one in run.originals.values() if one.evidence] or [run.first]
    return next(((first, one) for one in others if lifecycle.differing(first.data, one.data)), None)


def is_of_its_own(lifecycle: Lifecycle, run: Candidate, one: Delivered) -> bool:
    """Whether it names the file or url of the run, so that it belongs to it however late it is."""
    if not one.evidence or not lifecycle.artefacts:
        return False
    return any(
        other is not one and other.evidence and lifecycle.brings_the_same(other.data, one.data)
        for other in run.originals.values()
    )


def _two_ends(run: Candidate, context: Context) -> Iterator[Assumption]:
    """S209: a run that had ended ended otherwise."""
    ends = [one for one in run.originals.values() if one.step.closes]
    for one in ends[1:]:  # two ends of one run come together; a later one is rather the end of another
        price = by_delay(context.prices["S209"], one.at - ends[0].at, context.windows.fast_redelivery)
        yield Assumption("S209", price, one, ends[0])


def _excluded(run: Candidate, context: Context) -> Iterator[Assumption]:
    """S209: a step came beside one that no run has with it."""
    for one in run.originals.values():
        for name in one.step.excludes:
            other = run.originals.get(name)
            if other is not None:
                first, last = sorted((one, other), key=lambda each: each.order)
                yield Assumption("S209", context.prices["S209"], last, first)


def _long_after_end(lifecycle: Lifecycle, run: Candidate, context: Context) -> Iterator[Assumption]:
    """An end that names nothing of its own is the less likely the longer after the session it comes."""
    if not run.closed or context.end is None or context.presumed or not lifecycle.open_at_end:
        return
    end = run.since
    late = end.at - context.end - context.windows.grace
    if late > 0 and not end.evidence and run.began <= context.end and not outlives(lifecycle, run):
        yield Assumption("", by_delay(0, late, context.windows.grace), end, paid="late")


def _begins_after_end(lifecycle: Lifecycle, run: Candidate, context: Context) -> bool:
    """X402: whether something began after the session had ended."""
    if not lifecycle.after_end:
        return False
    began = run.began
    if run.first.step.closes:  # what began it was overtaken, and an end may come so long after the session
        began -= context.windows.grace
    began -= AT_ONCE  # what is sent at once overtakes each other
    if not context.is_after_end(began, run.first.position) or context.log.is_catching_up(run.began):
        return False
    first = run.first if len(run.originals) == 1 else run.in_order(lifecycle)[0]
    return not first.step.closes and not first.step.orphan and not outlives(lifecycle, run)


def _lost(lifecycle: Lifecycle, run: Candidate, following: Candidate, context: Context) -> Iterator[Assumption]:
    """S207, S213, S215, T301, T302: the next run began, and the end of this one never came."""
    if all(context.lacks(lifecycle, name) for name in lifecycle.endings):
        return
    limit = _limit(lifecycle, run, context)
    if limit is not None and run.state.stalls and limit.at < following.began:
        yield Assumption(limit.code, context.prices[limit.code], run.since, run.since, limit.missing)
        return
    code = next((lifecycle.by_name[name].restarted for name in lifecycle.table[ABSENT]), "")
    if code:
        lone = "only its end" if _waits_for_its_end(lifecycle, run, following.first) else code
        paid = min(code, lone, key=context.prices.__getitem__)
        yield Assumption(code, context.prices[paid], following.first, run.since, lifecycle.endings, paid=paid)


def may_end_until(lifecycle: Lifecycle, run: Candidate, begun: Delivered, context: Context) -> int:
    """Until when the end of an open run may still come, though the next one has begun."""
    windows = context.windows
    if lifecycle.is_presence:
        return begun.at + windows.overtaken
    limit = _limit(lifecycle, run, context) if lifecycle.is_stopping(run.state.state) else None
    return max(begun.at + windows.lateness, limit.at if limit is not None else 0)


def _limit(lifecycle: Lifecycle, run: Candidate, context: Context) -> Overdue | None:
    """When a run has been in its state for too long."""
    step = run.state
    if not step.limit:
        return None
    missing = tuple([name for name in lifecycle.table[step.state] if not lifecycle.by_name[name].outcome])
    if step.awaits:
        missing = (step.awaits,)
    if all(context.lacks(lifecycle, name) for name in missing):
        return None
    return Overdue(run.since.at + getattr(context.windows, step.limit), step.overdue, missing)


def _shared_url(run: Candidate, following: Candidate, context: Context) -> Iterator[Assumption]:
    """C508: two runs brought the same url."""
    for name, one in following.originals.items():
        before = run.originals.get(name)
        if one.evidence and before is not None and same_data(before.data, one.data):
            yield Assumption("", context.prices["shared url"], one, before, paid="shared url")
            return
