"""How probable a finding is, by the share of the hypotheses that were kept which find it as well.

Two questions are asked one after the other: whether anything is wrong at all, as against a webhook that was sent twice;
and if something is, whether it is this. Where hypotheses find different things they mostly differ only in which step
shows it. What is said is how often what such a share says has been right (``prices.calibrated``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from operator import itemgetter

from msgspec.structs import replace

from tracker.findings import Alternative
from tracker.judging import prices
from tracker.judging.context import Context
from tracker.judging.hypothesis import Hypothesis
from tracker.judging.search import priced_as_of
from tracker.judging.sequence import assumptions
from tracker.lifecycle import Lifecycle

__all__ = ["FACT", "Shares", "confidence_that_over"]

FACT = 0.9
"""What is less probable is not said as a fact."""
_WORTH_A_WORD = 0.02
_MOST_ALTERNATIVES = 3
NOTHING_MISSING = "a webhook was sent twice, and nothing is missing"
"""What happened where a hypothesis finds nothing instead: there must be a copy in it."""
_Found = tuple[str, int]
"""A code, and the position of the delivery that raises it."""


def confidence_that_over(hypotheses: Sequence[Hypothesis]) -> float:
    """How probable it is that nothing of an aggregate goes on: that somebody is gone. The held one is the first."""
    if len(hypotheses) == 1:
        return 1.0
    weights = prices.shares([one.price for one in hypotheses])
    over = zip(hypotheses, weights, strict=True)
    share = min(1.0, sum([weight for one, weight in over if one.runs[-1].closed]))
    return prices.calibrated(share, prices.CONFIDENCE_IN_COPIES)


class Shares:
    """How probable what the held hypothesis says is, by the prices of those that were kept beside it.

    ``kept`` are the hypotheses, the held one first.
    """

    def __init__(self, lifecycle: Lifecycle, kept: Sequence[Hypothesis], context: Context) -> None:
        self._lifecycle, self._context = lifecycle, context
        self._all = kept

    def as_of(self, at: int) -> Shares:
        """The same as of a later moment, if nothing comes until then; in microseconds."""
        if len(self._all) == 1:
            return self
        context = replace(self._context, as_of=at)
        return Shares(self._lifecycle, priced_as_of(self._lifecycle, self._all, context), context)

    def of(self, code: str, position: int) -> tuple[float, tuple[Alternative, ...]]:
        """How probable this finding is, and what the likeliest of the other hypotheses find instead."""
        share, instead = self.share_of(code, position), dict[tuple[_Found, ...], float]()
        if share == 1:
            return 1.0, ()
        pairs = zip(self._findings, self._weights, strict=True)
        wrong = max(share, min(1.0, sum([weight for found, weight in pairs if found])))
        confidence = prices.calibrated(wrong, prices.CONFIDENCE_IN_COPIES)
        confidence *= prices.calibrated(share / wrong if wrong else 0.0, prices.CONFIDENCE_IN_FAULTS)
        scale = (1 - confidence) / (1 - share)
        for found, other, weight in zip(self._findings, self._instead, self._weights, strict=True):
            if (code, position) not in found:
                instead[other] = instead.get(other, 0.0) + weight * scale
        likeliest = sorted(instead.items(), key=lambda one: -one[1])[:_MOST_ALTERNATIVES]
        return confidence, tuple(
            [self._in_words(other, weight) for other, weight in likeliest if weight >= _WORTH_A_WORD]
        )

    def share_of(self, code: str, position: int) -> float:
        """The share of the hypotheses that find this there."""
        if len(self._all) == 1:
            return 1.0
        pairs = zip(self._findings, self._weights, strict=True)
        return min(1.0, sum([weight for found, weight in pairs if (code, position) in found]))

    def of_copy(self, position: int) -> float:
        """How probable it is that this is a copy: that it is no step of a run, nor at odds with one."""
        pairs = zip(self._own, self._weights, strict=True)
        share = min(1.0, sum([weight for own, weight in pairs if position not in own]))
        return prices.calibrated(share, prices.CONFIDENCE_IN_COPIES)

    @cached_property
    def _weights(self) -> Sequence[float]:
        return prices.shares([one.price for one in self._all])

    @cached_property
    def _findings(self) -> list[dict[_Found, str]]:
        return [dict(self._findings_of(one)) for one in self._all]

    @cached_property
    def _instead(self) -> list[tuple[_Found, ...]]:
        """What each of them finds first that the held one does not."""
        others = (found.keys() - self._findings[0].keys() for found in self._findings)
        return [tuple(sorted(one, key=itemgetter(1, 0))[:_MOST_ALTERNATIVES]) for one in others]

    @cached_property
    def _own(self) -> list[set[int]]:
        """The deliveries of their runs: those that are no copies, for each of them."""
        return [{own.position for run in one.all_runs() for own in run.every} for one in self._all]

    def _in_words(self, found: tuple[_Found, ...], weight: float) -> Alternative:
        """What happened where this is found, by what has to be assumed for it."""
        names = {one: name for each in self._findings for one, name in each.items()}
        said = dict.fromkeys(prices.PRICES[names[one]].assumed for one in found)
        message = "; and ".join(said) or NOTHING_MISSING
        codes, positions = zip(*found, strict=True) if found else ((), ())
        return Alternative(message, codes, positions, round(weight, 3))

    def _findings_of(self, held: Hypothesis) -> Iterator[tuple[_Found, str]]:
        """The codes that a hypothesis would find, and where, with the name of what is assumed there."""
        for _, one in assumptions(self._lifecycle, held.all_runs(), self._context):
            if one.code:
                yield (one.code, one.where.position), one.name
