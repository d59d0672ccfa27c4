"""Why a session is judged as it is: the hypotheses that are held, what they assume, and their alternatives.

Nothing is judged here. The assessment has the hypotheses of each aggregate with their prices; this module
says of each in words which delivery is which step of which run, which are copies, and what had to be
assumed. A *counterfactual* is checked: the webhooks that are missing are put into the log, and the session is
assessed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import attrs
import msgspec

from projections import zones
from projections.explain.status import Values, finding
from tracker.delivery.envelope import Received, isoformat
from tracker.delivery.webhook import Delivery, parse
from tracker.findings import SEVERITIES, Finding
from tracker.judging.assess import assess_all, assessment_of
from tracker.judging.context import Context
from tracker.judging.copies import two_steps_again
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.hypothesis import Candidate, Copy, Delivered, Hypothesis, moment
from tracker.judging.log import NOTHING_KNOWN, LogView
from tracker.judging.prices import PRICES, shares
from tracker.judging.sequence import Assumption, assumptions
from tracker.judging.session import observe_all
from tracker.judging.state import Aggregate, Session
from tracker.judging.words import duration, listed
from tracker.lifecycle import Lifecycle, camel_case
from tracker.rules import Rules

__all__ = ["Account", "Assumed", "Difference", "Explained", "Explanation", "explain", "price_table", "values"]

MOST_ALTERNATIVES = 3
"""Alternatives that are shown,"""
LEAST = 0.005
"""and how probable they must be."""
MOST_CHECKED = 20_000
"""Deliveries that are judged anew to check counterfactuals: each check is another assessment of the session."""
MOST_STEPS = 200
"""Deliveries of an aggregate of which each is named; of more, only the runs with findings are."""
TWO_NUMBERS = (
    "A confidence is how often such a finding was right, measured on meetings of which the truth is known;"
    " a probability is the share of one explanation among those that were kept."
)
"""Why the confidence of a finding is another number than the probability of what is held."""
_ROUNDING = 0.005


@attrs.frozen
class Assumed:
    """One thing that a hypothesis assumes.

    Attributes:
        name: Its name in the price table.
        code: The code by which it is found; empty: it is not worth a finding.
        price: What it costs.
        words: What is assumed.
        positions: The deliveries that it is about.
        missing: Webhook types that are assumed to be lost, or not to have been sent.
    """

    name: str
    code: str
    price: float
    words: str
    positions: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()


@attrs.frozen
class Difference:
    """What an alternative says of deliveries, where that is not what the held hypothesis says."""

    positions: tuple[int, ...]
    words: str


@attrs.frozen
class Account:
    """One hypothesis.

    Attributes:
        price: What all of it costs.
        probability: Beside the others that were kept.
        assumed: What it assumes.
        finds: What is found by it: codes, each with a position.
        differs: In what it differs from the held one; empty for that one.
    """

    price: float
    probability: float
    assumed: tuple[Assumed, ...]
    finds: tuple[tuple[str, int], ...]
    differs: tuple[Difference, ...] = ()


@attrs.frozen
class Explained:
    """One aggregate: its findings, the held hypothesis, its alternatives.

    Attributes:
        aggregate: With its runs, as they are held.
        findings: All of its findings.
        held: The hypothesis of the lowest price.
        alternatives: Others worth a word, the lowest price first.
        counterfactual: What would be found if what is missing had come; empty where that is not simple.
    """

    aggregate: Aggregate
    findings: tuple[Finding, ...]
    held: Account
    alternatives: tuple[Account, ...]
    counterfactual: str = ""

    @property
    def gravity(self) -> int:
        """How grave its gravest finding is: 0 for an info or none, 2 for an error."""
        return max((SEVERITIES.index(found.severity) for found in self.findings), default=0)


@attrs.frozen
class Explanation:
    """A session, its aggregates with a finding or an alternative, and the findings that are of no aggregate."""

    session: Session
    aggregates: tuple[Explained, ...]
    others: tuple[Finding, ...]


def explain(
    deliveries: Iterable[Delivery],
    rules: Rules,
    as_of: datetime | None = None,
    log: LogView = NOTHING_KNOWN,
    completed: Callable[[Session], Session] = lambda session: session,
) -> Explanation | None:
    """Why the session of these deliveries is judged as it is; ``None`` if there are none.

    ``log`` is what the whole log says; ``completed`` adds what sessions say of each other.
    """
    received = list(deliveries)
    observed = observe_all(received)
    if observed is None:
        return None
    made = assessment_of(observed, as_of, rules, log)
    session, checked = completed(made.session), _Checked(received, rules, as_of, log)
    by_aggregate: dict[tuple[str, frozenset[tuple[str, str]]], list[Finding]] = {}
    others: list[Finding] = []
    keys = {(name, frozenset(key)) for name, key in session.aggregates}
    for each in session.findings:
        where = (each.lifecycle or "", frozenset(each.key.items()))
        (by_aggregate.setdefault(where, []) if where in keys else others).append(each)
    explained = []
    for (name, key), aggregate in session.aggregates.items():
        found = tuple(by_aggregate.get((name, frozenset(key)), ()))
        one = _explained(aggregate, found, made.context, checked)
        if one.findings or one.alternatives:
            explained.append(one)
    explained.sort(key=lambda one: -one.gravity)
    return Explanation(session, tuple(explained), tuple(others))


def price_table(rules: Rules) -> list[Values]:
    """The price table in force: name, price and what is assumed; ``catalogue`` is the price without a rule."""
    prices = rules.price_list
    return [
        {"name": one.name, "price": prices[one.name], "catalogue": one.value, "assumed": one.words}
        for one in PRICES.values()
    ]


# -- one aggregate -----------------------------------------------------------------------------------


def _explained(
    aggregate: Aggregate, found: tuple[Finding, ...], context: Context, checked: _Checked
) -> Explained:
    every = (aggregate.held, *aggregate.alternatives)
    probable = shares([one.price for one in every])
    held = _account(aggregate.lifecycle, aggregate.held, probable[0], context)
    alternatives = [
        _account(aggregate.lifecycle, one, share, context, aggregate.held)
        for one, share in zip(every[1 : MOST_ALTERNATIVES + 1], probable[1:], strict=False)
        if share >= LEAST
    ]
    counterfactual = checked.without(aggregate, held) if found else ""
    return Explained(aggregate, found, held, tuple(alternatives), counterfactual)


def _account(
    lifecycle: Lifecycle, one: Hypothesis, probability: float, context: Context, held: Hypothesis | None = None
) -> Account:
    assumed = tuple(_assumed(lifecycle, one, context))
    assumed += tuple(_of_all(lifecycle, one, context, one.price - sum(each.price for each in assumed)))
    finds = tuple((each.code, each.positions[-1]) for each in assumed if each.code and each.positions)
    differs = tuple(_differences(one, held)) if held is not None else ()
    return Account(one.price, probability, assumed, finds, differs)


def _of_all(lifecycle: Lifecycle, held: Hypothesis, context: Context, rest: float) -> Iterator[Assumed]:
    """What is paid for several deliveries together: that the first two steps came again, and what is no copy."""
    again = two_steps_again(lifecycle, held.recent, context)
    by_chance = "no copy" if context.two_channels else "as old by chance"
    for name, price in (again, (by_chance, rest - again[1])):
        if price > _ROUNDING:
            yield Assumed(name, "", price, PRICES[name].assumed)


def _assumed(lifecycle: Lifecycle, held: Hypothesis, context: Context) -> Iterator[Assumed]:
    """All that a hypothesis assumes and pays for."""
    for _, one in assumptions(lifecycle, held.all_runs(), context):
        if one.price or one.code in CATALOGUE:
            yield _of_sequence(lifecycle, one)
    for copy in held.all_copies():
        if copy.price:
            yield _of_copy(copy, context)


def _of_sequence(lifecycle: Lifecycle, one: Assumption) -> Assumed:
    positions = (one.where.position,) if one.since is None else (one.since.position, one.where.position)
    if len(set(positions)) == 1:
        positions = positions[:1]
    code = one.code if one.code in CATALOGUE else ""
    missing = tuple(map(lifecycle.webhook_type, one.missing))
    return Assumed(one.name, code, one.price, PRICES[one.name].assumed, positions, missing)


def _of_copy(copy: Copy, context: Context) -> Assumed:
    """A copy, by the price that was paid for it."""
    prices, price = context.prices, copy.price
    if context.two_channels and price < 0:
        price += prices["no copy"]  # which its original had paid
    name = _name_of_copy(copy, price, context)
    words = PRICES[name].assumed
    if name == "copy" and context.log.profile.enough:
        words = "a copy, by how old copies are in this log"
    return Assumed(name, "", price, words, (copy.original.position, copy.delivered.position))


def _name_of_copy(copy: Copy, price: float, context: Context) -> str:
    names = ["copy at once", "copy with others"]
    if context.two_channels and copy.age > context.windows.fast_redelivery:
        names.insert(0, "copy through two channels")
    same = (name for name in names if copy.certain and abs(price - context.prices[name]) < _ROUNDING)
    return next(same, "copy")


def _roles(one: Hypothesis) -> dict[int, tuple[str, int]]:
    """Position -> what a delivery is: a step of a run, a copy of a delivery, a contradiction of a run's step."""
    roles: dict[int, tuple[str, int]] = {}
    for run in one.all_runs():
        roles |= {each.position: ("step", run.number) for each in run.originals.values()}
        roles |= {each.position: ("other data", run.number) for _, each in run.others}
    return roles | {copy.delivered.position: ("copy", copy.original.position) for copy in one.all_copies()}


def _differences(one: Hypothesis, held: Hypothesis) -> Iterator[Difference]:
    """What an alternative says otherwise, one run of equal words after the other."""
    ours, theirs = _roles(held), _roles(one)
    copies, steps = [], dict[tuple[str, int], list[int]]()
    for position in sorted(theirs):
        role = theirs[position]
        if role == ours.get(position):
            continue
        if role[0] == "copy":
            copies.append((position, role[1]))
        else:
            steps.setdefault(role, []).append(position)
    if copies:
        pairs = listed([f"{_place(copy)} of {_place(original)}" for copy, original in copies])
        yield Difference(tuple(copy for copy, _ in copies), f"a copy: {pairs}")
    for (what, run), positions in steps.items():
        of = f"of run {run}" if what == "step" else f"of a step of run {run}, with other data"
        plural = "steps" if len(positions) > 1 else "a step"
        words = f"{plural} {of}" if what == "step" else f"another report {of}"
        yield Difference(tuple(positions), f"{words}: {listed(list(map(_place, positions)))}")


def _place(position: int) -> str:
    return f"#{position}"


# -- in words ------------------------------------------------------------------------------------------


def run_in_words(run: Candidate, lifecycle: Lifecycle, *, lost: bool) -> str:
    """``starting #4 12:00:20, started #5 12:00:23; its end never came``."""
    steps, before = [], None
    for one in run.in_order(lifecycle):
        steps.append(f"{one.step.name} {_place(one.position)}{_clock(one, before)}")
        before = one
    others = [
        f"{one.step.name} again with other data {_place(one.position)}{_clock(one, before)}"
        for _, one in run.others
    ]
    words = ", ".join([*steps, *others])
    if run.closed:
        return words
    return f"{words}; its end never came" if lost else f"{words}; it is open"


def copy_in_words(copy: Copy) -> str:
    """``#6 is a copy of #4, 4 min 40 s later``."""
    age = "" if not copy.delivered.timed else f", {duration(copy.age)} later"
    return f"{_place(copy.delivered.position)} is a copy of {_place(copy.original.position)}{age}"


def _clock(one: Delivered, before: Delivered | None) -> str:
    """When it came, with the date where the step before it came on another day."""
    if not one.timed:
        return ""
    at, other = moment(one.at), moment(before.at) if before is not None else None
    same_day = other is None or zones.date(at) == zones.date(other)
    return f" {zones.clock(at)}" if same_day else f" {zones.date(at)} {zones.clock(at)}"


# -- counterfactuals -----------------------------------------------------------------------------------


@attrs.define
class _Checked:
    """Checks what would be found if something had come."""

    deliveries: Sequence[Delivery]
    rules: Rules
    as_of: datetime | None
    log: LogView
    left: int = MOST_CHECKED

    def without(self, aggregate: Aggregate, held: Account) -> str:
        """``had recording-stopped come after #5, S207 would not be found``; empty where it is not so simple."""
        lost = [one for one in held.assumed if one.missing and one.code]
        if len(lost) != 1 or self.left <= 0:
            return ""
        self.left -= len(self.deliveries)
        (one,) = lost
        after = one.positions[0] if len(one.positions) > 1 or one.name.startswith(("X", "T")) else None
        log = self._with(aggregate, one.missing, after, one.positions[-1])
        session = assess_all(log, self.as_of, self.rules, self.log)
        there = session.aggregates.get((aggregate.lifecycle.name, aggregate.key)) if session else None
        if there is None or any(found.code == one.code for run in there.runs for found in run.findings):
            return ""
        where = f"after {_place(after)}" if after is not None else f"before {_place(one.positions[-1])}"
        return f"had {listed(one.missing)} come {where}, {one.code} would not be found"

    def _with(
        self, aggregate: Aggregate, types: Sequence[str], after: int | None, before: int
    ) -> Iterator[Delivery]:
        """The log with one more webhook of each type, at a place; positions are counted anew."""
        place = next(number for number, one in enumerate(self.deliveries) if one.position == (after or before))
        beside_it = self.deliveries[place]
        made = [_webhook(beside_it, aggregate, webhook_type) for webhook_type in types]
        place += after is not None
        for number, one in enumerate([*self.deliveries[:place], *made, *self.deliveries[place:]], 1):
            yield parse(one.received, number)


def _webhook(beside_it: Delivery, aggregate: Aggregate, webhook_type: str) -> Delivery:
    data = {"sessionId": beside_it.session_id, "meetingId": beside_it.meeting_id}
    data |= {camel_case(name): value for name, value in aggregate.key}
    body = msgspec.json.encode({"webhookType": webhook_type, "data": data})
    return parse(Received(body, beside_it.received_at), 0)


# -- values --------------------------------------------------------------------------------------------


def values(explanation: Explanation) -> Values:
    """The whole explanation with the names that other programs rely on."""
    session = explanation.session
    return {
        "session_id": session.session_id,
        "meeting_id": session.meeting_id,
        "state": session.state,
        "as_of": isoformat(session.as_of) if session.as_of else None,
        "aggregates": [_aggregate(one) for one in explanation.aggregates],
        "others": [finding(one) for one in explanation.others],
    }


def _aggregate(one: Explained) -> Values:
    held = one.aggregate.held
    return {
        "lifecycle": one.aggregate.lifecycle.name,
        "key": dict(one.aggregate.key),
        "name": one.aggregate.name,
        "findings": [finding(found) for found in one.findings],
        "held": {
            **_values(one.held),
            "runs": [
                {
                    "run": run.number,
                    "state": run.state,
                    "lost": run.lost,
                    "steps": [_step(step) for step in run.candidate.in_order(one.aggregate.lifecycle)],
                    "contradictions": [_step(other) for _, other in run.candidate.others],
                }
                for run in one.aggregate.runs
            ],
            "copies": [
                {
                    "position": copy.delivered.position,
                    "of": copy.original.position,
                    "run": copy.run,
                    "certain": copy.certain,
                    "price": round(copy.price, 3),
                }
                for copy in held.all_copies()
            ],
        },
        "alternatives": [
            {**_values(alternative), "differs": [attrs.asdict(each) for each in alternative.differs]}
            for alternative in one.alternatives
        ],
        "counterfactual": one.counterfactual or None,
    }


def _step(one: Delivered) -> Values:
    return {
        "step": one.step.name,
        "position": one.position,
        "at": isoformat(moment(one.at)) if one.timed else None,
    }


def _values(account: Account) -> Values:
    return {
        "price": round(account.price, 3),
        "probability": round(account.probability, 3),
        "assumed": [attrs.asdict(one) | {"price": round(one.price, 3)} for one in account.assumed],
        "findings": [{"code": code, "position": position} for code, position in account.finds],
    }
