"""What a hypothesis pays for each thing that it assumes: the one table.

A price is the negative natural logarithm of how likely the assumption is, so prices of independent
assumptions add up: 3 is one in 20, 5 one in 150, 8 one in 3,000. Only differences matter: the
hypothesis that costs least is held. A price named like a code of the catalogue is paid where that
code would be found, and stands in its entry (``tracker.codes``); the others have names of their own.
``tracker.toml`` may change each of them in its table ``[prices]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, log

import msgspec

from tracker.codes import CODES

__all__ = [
    "CONFIDENCE_IN_COPIES",
    "CONFIDENCE_IN_FAULTS",
    "HIGHEST",
    "PRICES",
    "Price",
    "by_age",
    "by_delay",
    "by_share",
    "calibrated",
    "shares",
]

HIGHEST = 9.0
"""No copy costs more, and a hypothesis that costs as much more than the best is dropped."""


class Price(msgspec.Struct, frozen=True):
    """One row of the table: what is assumed, and what that costs.

    Attributes:
        value: What it costs, at least.
        assumed: What happened then, in words.
        more: When it costs more, or less.
    """

    name: str
    value: float
    assumed: str
    more: str = ""

    @property
    def words(self) -> str:
        """What is assumed, with when it costs more."""
        return "; ".join(filter(None, (self.assumed, self.more)))


PRICES: dict[str, Price] = {
    price.name: price
    for price in (
        *(
            Price(entry.code, entry.price, entry.assumed, entry.more)
            for entry in CODES.values()
            if entry.price is not None
        ),
        Price(
            "unasked",
            1,
            "nobody stopped it: the room was empty, whom it is of had left, or the session was about to end",
        ),
        Price("supplement", 0.5, "a step was reported again with what had been missing"),
        Price("unseen", 3, "a webhook was lost whose absence is not worth a finding"),
        Price("late", 1, "a step was overtaken by one that follows it", "more by how long"),
        Price("processed", 0.5, "the next run began while the one before was processed", "more by how long"),
        Price("only its end", 5, "nothing but the end of a run was lost, and the next run began"),
        Price("two at once", 3.5, "two runs of one thing went on at once"),
        Price(
            "one of two",
            5,
            "of two runs that went on at once the first one was stopped, and the second goes on",
        ),
        Price(
            "overtaken", 1.3, "somebody joined a second time before leaving", "more by how late the left came"
        ),
        Price("shared file", 9, "two runs wrote the same file"),
        Price("shared url", 3, "two runs were played from the same url"),
        Price("certain copy", 0, "a copy, and its content shows that it is one"),
        Price("copy at once", 0.4, "a copy within `fast_redelivery`"),
        Price("copy with others", 0.5, "a copy as old as another one, or sent together with others"),
        Price(
            "copy through two channels",
            1,
            "a copy in a session in which everything comes twice, as late as others",
        ),
        Price("no copy", 2, "a webhook came once in a session in which everything comes twice"),
        Price(
            "copy",
            4,
            "a lone copy",
            "where the log has shown too few copies; more when older than `redelivery`",
        ),
        Price(
            "as old by chance",
            2,
            "a step was reported anew, just as old as copies of this session are, or with them",
        ),
        Price(
            "copy when due",
            3,
            "a lone copy came just where a run waited for that step, or a timer would begin one",
        ),
        Price("two steps again", 6, "the first two steps were repeated, and it was no restart"),
        Price(
            "two steps as long after",
            3,
            "the first two steps were repeated, as long after the first time as each other, and it was no restart",
            "more where all times are whole seconds",
        ),
    )
}


def shares(prices: Sequence[float]) -> list[float]:
    """How probable hypotheses of these prices are beside each other; the first has the lowest price."""
    weights = [exp(prices[0] - price) for price in prices]
    total = sum(weights)
    return [weight / total for weight in weights]


Curve = tuple[tuple[float, float], ...]
"""What share of the hypotheses says so -> how often it is right, between which a straight line is drawn."""
CONFIDENCE_IN_COPIES: Curve = (
    (0.0, 0.0),
    (0.5, 0.5),
    (0.65, 0.53),
    (0.75, 0.66),
    (0.86, 0.82),
    (0.925, 0.87),
    (0.96, 0.93),
    (0.975, 0.98),
    (0.99, 0.993),
    (1.0, 1.0),
)
"""That a webhook is a copy, or that something is wrong where another hypothesis says that it is one."""
CONFIDENCE_IN_FAULTS: Curve = (
    (0.0, 0.75),
    (0.4, 0.87),
    (0.6, 0.9),
    (0.85, 0.94),
    (0.97, 0.96),
    (0.995, 0.98),
    (1.0, 1.0),
)
"""That it is this which is wrong, of those that find something."""


def calibrated(share: float, curve: Curve) -> float:
    """How often what such a share of the hypotheses says is right: 0 to 1, never less for a greater share.

    The curves were measured on simulated meetings of all habits, one in ten with a fault; the benchmark of the
    judging, on other meetings, shows how well they hold.
    """
    for (low, at_low), (high, at_high) in pairwise(curve):
        if share <= high:
            return at_low + (at_high - at_low) * (share - low) / (high - low)
    return 1.0


def by_delay(price: float, delay: float, window: float) -> float:
    """What a step costs that was overtaken: ``delay`` and ``window`` in the same unit; at most 5 more."""
    return price if delay <= window else price + min(5.0, 1.2 * log(delay / max(window, 1)))


def by_share(price: float, share: float) -> float:
    """What a step costs that was overtaken, where such a share of all is as late: at most 3.5 more.

    So what came, however late, costs less than that it was lost and a copy of another came in its place.
    """
    return min(price + 3.5, max(price, -log(share)))


def by_age(price: float, age: float, window: float) -> float:
    """What a lone copy costs that says nothing of itself, where the log has shown too little; at most 3 more."""
    return price if age <= window else price + min(3.0, 1.5 * log(age / max(window, 1)))
