"""What is long past in doubt stays in doubt: other accounts of runs of which nothing more is decided.

Two hypotheses go on alike when their last runs are the same, and then only the one with the lower price is kept:
whatever comes, the other costs as much more. That is why a search stays narrow. But what the other one said of the
runs before is as likely as it was, so it is kept beside the winner as a mere account of them, with what it costs more.
When all has been read, each account makes a hypothesis again, which has the winner's later runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

import msgspec

from tracker.judging.hypothesis import Candidate, Copy, Hypothesis, Linked, Merged

__all__ = ["every_account", "merge"]

MOST = 8
"""Other accounts that a hypothesis has, the likeliest ones,"""
DOUBT = 5.0
"""and by how much more they may cost: one in 150 is no doubt."""
NEAR = 32
"""Runs, and copies, within which two doubts are combined with each other; farther apart each is one for itself."""


def merge(kept: Hypothesis, dropped: Hypothesis) -> None:
    """Notes what a hypothesis that is dropped, because it goes on as another does, says of the runs before."""
    more = dropped.price - kept.price
    if more > DOUBT or _are_alike(kept.settled, dropped.settled):
        return
    accounts = [(dropped.settled, dropped.copies, more)]
    accounts += [
        (*both, more + one.more)
        for one in dropped.merged
        if more + one.more <= DOUBT and (both := _combined(dropped, one, NEAR)) is not None
    ]
    others = [Merged(*account, kept.settled, kept.copies) for account in accounts]
    kept.merged = tuple(sorted([*kept.merged, *others], key=attrgetter("more"))[:MOST])


def every_account(kept: Iterable[Hypothesis]) -> Iterator[Hypothesis]:
    """These hypotheses, each followed by those that differ from it in what they say of runs long past."""
    for one in kept:
        yield one
        for other in one.merged:
            both = _combined(one, other)
            assert both is not None, "all of it may be looked at"
            by = _count(both[0]) - _count(one.settled)
            runs = tuple([_renumbered(run, by) for run in one.runs])
            made = Hypothesis(runs, *both, one.recent, one.paid + other.more)
            made.price, made.most = one.price + other.more, one.most + other.more
            yield made


def _are_alike(settled: Linked, other: Linked) -> bool:
    """Whether two lists hold the same runs."""
    while settled is not other:
        if settled is None or other is None or _shape(settled[1]) != _shape(other[1]):
            return False
        settled, other = settled[0], other[0]
    return True


def _shape(run: Candidate) -> tuple[int, ...]:
    return run.shape or run.shaped()


def _combined(one: Hypothesis, account: Merged, most: int | None = None) -> tuple[Linked, Linked] | None:
    """The account, and behind it what the hypothesis has settled and copied since; ``None`` where that is more than ``most``."""
    runs = _behind(one.settled, account.since, most)
    copied = _behind(one.copies, account.copies_since, most)
    if runs is None or copied is None:
        return None
    by = _count(account.settled) - _count(account.since)
    settled, copies = account.settled, account.copies
    for run in runs:
        settled = settled, _renumbered(run, by)
    for copy in copied:
        copies = copies, _of_run(copy, by)
    return settled, copies


def _behind(linked: Linked, since: Linked, most: int | None) -> list[Any] | None:
    """What a list holds behind another one that it began with; ``None`` where that is more than ``most``."""
    found: list[Any] = []
    while linked is not since and linked is not None:
        if len(found) == most:
            return None
        linked, last = linked
        found.append(last)
    found.reverse()
    return found


def _count(settled: Linked) -> int:
    return 0 if settled is None else settled[1].number


def _renumbered(run: Candidate, by: int) -> Candidate:
    return msgspec.structs.replace(run, number=run.number + by) if by else run


def _of_run(copy: Copy, by: int) -> Copy:
    return msgspec.structs.replace(copy, run=copy.run + by) if by else copy
