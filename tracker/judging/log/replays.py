"""Replays: a stretch of the log that repeats an earlier one.

Somebody sends the webhooks of yesterday again, or a queue that was stuck delivers twice. Each of these copies
is recognised by itself; this is about saying *once* what happened. The log is cut into stretches of a few
deliveries. ``Habits`` counts for each how many of its deliveries equal one that is older than any redelivery.
Neighbouring stretches in which enough of them do are a replay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tracker.judging.log.habits import SOME, STRETCH, repeated

__all__ = ["Replay", "replays"]

SHARE = 6
"""So many deliveries of each stretch must repeat an earlier one on the average,"""
REPLAYED = 10
"""and so many in all, of which one in so many is certain: who comes and goes, or records again, repeats himself, too."""
_BEHIND_ALL = 1 << 62


class Replay(msgspec.Struct, frozen=True):
    """A stretch of the log that repeats an earlier one, ``age`` microseconds later on the average.

    ``first`` and ``last`` are positions; ``deliveries`` of those between repeat an earlier one.
    """

    first: int
    last: int
    deliveries: int
    age: int


def replays(repeats: Mapping[int, int]) -> Iterator[Replay]:
    """The replays, in the order of the log, each as long as it is; see ``Habits.repeats``."""
    run: list[int] = []
    counts = {place: found for place, total in repeats.items() if (found := repeated(total))[0] >= SOME}
    for stretch in [*sorted(counts), _BEHIND_ALL]:
        if run and stretch > run[-1] + 1:
            replay = _replay(run, counts)
            certain = sum(counts[place][2] for place in run)
            enough = max(REPLAYED, (len(run) - 1) * SHARE)
            if replay.deliveries >= enough and certain * REPLAYED >= replay.deliveries:
                yield replay
            run = []
        run.append(stretch)


def _replay(stretches: list[int], counts: Mapping[int, tuple[int, int, int]]) -> Replay:
    count = sum(counts[place][0] for place in stretches)
    ages = sum(counts[place][1] for place in stretches)
    first, last = stretches[0] * STRETCH, stretches[-1] * STRETCH + STRETCH - 1
    return Replay(first, last, count, ages // max(1, count))
