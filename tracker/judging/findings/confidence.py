"""How probable a finding is: the share of the hypotheses that were kept which find it as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from tracker.findings import Alternative, Code
from tracker.judging import prices
from tracker.judging.context import Context
from tracker.judging.hypothesis import Hypothesis
from tracker.judging.search import priced_as_of
from tracker.judging.sequence import assumptions
from tracker.lifecycle import Lifecycle

__all__ = ["Shares"]

_WORTH_A_WORD = 0.02
_MOST_ALTERNATIVES = 3
NOTHING_MISSING = "a webhook was sent twice, and nothing is missing"
"""What happened where a hypothesis finds nothing instead: there must be a copy in it."""
_Found = tuple[str, int]
"""A code, and the position of the delivery that raises it."""


class Shares:
    """How probable what the held hypothesis says is, by the prices of those that were kept beside it.

    ``kept`` are the hypotheses, the held one first; ``codes`` are the entries of the codes that a hypothesis may find.
    """

    def __init__(
        self, lifecycle: Lifecycle, kept: Sequence[Hypothesis], context: Context, codes: Mapping[str, Code]
    ) -> None:
        self._lifecycle, self._context, self._codes = lifecycle, context, codes
        self._all = kept
        self._weights = prices.shares([one.price for one in self._all])
        self._found: list[dict[_Found, str]] | None = None
        self._instead: list[tuple[_Found, ...]] = []
        self._copies: list[set[int]] | None = None

    def as_of(self, at: int) -> Shares:
        """The same as of a later moment, if nothing comes until then; in microseconds."""
        if len(self._all) == 1:
            return self
        context = attrs.evolve(self._context, as_of=at)
        return Shares(self._lifecycle, priced_as_of(self._lifecycle, self._all, context), context, self._codes)

    def of(self, code: str, position: int) -> tuple[float, tuple[Alternative, ...]]:
        """The share of those that find this there, and what the likeliest of the others find instead."""
        if len(self._all) == 1:
            return 1.0, ()
        if self._found is None:
            self._found = [dict(self._findings_of(one)) for one in self._all]
            self._instead = [self._other(found.keys() - self._found[0].keys()) for found in self._found]
        share, instead = 0.0, dict[tuple[_Found, ...], float]()
        for found, other, weight in zip(self._found, self._instead, self._weights, strict=True):
            if (code, position) in found:
                share += weight
            else:
                instead[other] = instead.get(other, 0.0) + weight
        likeliest = sorted(instead.items(), key=lambda one: -one[1])[:_MOST_ALTERNATIVES]
        return share, tuple(
            [self._in_words(other, weight) for other, weight in likeliest if weight >= _WORTH_A_WORD]
        )

    def of_copy(self, position: int) -> float:
        """The share of those that take this for a copy."""
        if self._copies is None:
            self._copies = [{copy.delivered.position for copy in one.all_copies()} for one in self._all]
        pairs = zip(self._weights, self._copies, strict=True)
        return sum(weight for weight, copies in pairs if position in copies)

    def _other(self, found: set[_Found]) -> tuple[_Found, ...]:
        """What another hypothesis finds first that the held one does not."""
        return tuple(sorted(found, key=lambda one: (one[1], one[0]))[:_MOST_ALTERNATIVES])

    def _in_words(self, found: tuple[_Found, ...], weight: float) -> Alternative:
        """What happened where this is found, by what has to be assumed for it."""
        names = {one: name for each in self._found or () for one, name in each.items()}
        said = dict.fromkeys(prices.PRICES[names[one]].assumed for one in found)
        message = "; and ".join(said) or NOTHING_MISSING
        codes, positions = zip(*found, strict=True) if found else ((), ())
        return Alternative(message, codes, positions, round(weight, 3))

    def _findings_of(self, held: Hypothesis) -> Iterator[tuple[_Found, str]]:
        """The codes that a hypothesis would find, and where, with the name of what is assumed there."""
        for _, one in assumptions(self._lifecycle, held.all_runs(), self._context):
            if one.code in self._codes:
                yield (one.code, one.where.position), one.name
