"""The declaration of a lifecycle: data that checks itself, and nothing that runs.

A *lifecycle* says which webhooks belong together and in what order they should come. A *step* is
one webhook type of it; it reports one *state*. The *table* says, state by state, which steps may
come next. The row ``ABSENT`` is the state before the first step, so its steps are the starts.

    ABSENT ──starting──▶ starting ──started──▶ started ──stopping──▶ stopping ──stopped──▶ stopped
                             └──────────────failed─┴──────────────────────┘

Everything else (routing, judging, rows, diagrams) is derived from the declaration, so a mistake in
it would be a mistake everywhere. That is why a declaration that contradicts itself is refused when
its module is imported, and why a webhook, whatever it holds, never is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import Any

import attrs
import msgspec

ABSENT = ""
"""The state of an aggregate that has heard nothing yet."""

_OF_THE_SESSION = ("meeting_id", "session_id")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@cache
def camel_case(name: str) -> str:
    """The name VideoSDK sends for a field: ``participant_id`` -> ``participantId``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


CODE = "code"
"""In the metadata of a field of a declaration: it holds a code of the catalogue, or nothing."""


def _code(default: str = "") -> Any:
    return attrs.field(default=default, metadata={CODE: True})


def _codes_of(declared: Any) -> Iterable[str]:
    fields = attrs.fields(type(declared))
    return (getattr(declared, field.name) for field in fields if CODE in field.metadata)


class DeclarationError(Exception):
    """A lifecycle that contradicts itself; raised while its module is imported."""


@attrs.frozen
class Step:
    """One webhook type of a lifecycle. The codes are of the catalogue in ``tracker.findings``."""

    name: str
    """The suffix of the webhook type: ``starting`` in ``recording-starting``."""
    state: str = attrs.field()
    """The state it reports; by default the step's own name."""
    closes: bool = False
    """Whether a run is over after it."""
    skipped: str = _code()
    """The code when a later step came and this one had not; empty: not worth a finding."""
    missed: str = _code()
    """The code when a run closes in good order without this step, which may be left out."""
    orphan: str = _code()
    """The code when it comes and there is no run it could belong to; empty: it begins one."""
    conflict: str = _code("C504")
    """The code when it comes again with other data."""
    restarted: str = _code()
    """The code when it begins a run where none may begin: one is open, or all is over."""
    outcome: str = _code()
    """The code that tells of an outcome which is legal and still bad news."""
    limit: str = ""
    """The rule (a field of ``Rules``) that limits the stay in its state; empty: no limit."""
    overdue: str = _code()
    """The code when that limit has passed."""
    awaits: str = ""
    """The step that should have come by then, where not each that may come next would do."""
    stalls: bool = True
    """Whether a run that stays beyond the limit hangs, so that its end is not to be expected."""
    unasked: bool = False
    """Whether it is left out by a run that ends by itself."""
    brings: tuple[str, ...] = ()
    """Payload fields of which at least one must have a value (else C507)."""

    @state.default
    def _state(self) -> str:
        return self.name


@attrs.frozen(eq=False)
class Lifecycle:
    """How one thing in a meeting is supposed to go. See the module's text for the words."""

    name: str
    payload: type[Any]
    """The attrs class of the webhook's ``data``; its fields are the snake_case of the sent names."""
    steps: tuple[Step, ...]
    """In the order in which they should come; ends that exclude each other come last."""
    table: Mapping[str, tuple[str, ...]]
    """State -> names of the steps that may come next."""
    key: tuple[str, ...] = ()
    """Payload fields that tell the aggregates of one session apart; each must be sent."""
    optional_key: tuple[str, ...] = ()
    """Payload fields that do so where they are sent."""
    stream: str = ""
    """Prefix of the stream of what has no session: ``resource`` makes ``resource:<key>``."""
    frame: bool = False
    """Whether this is the lifecycle that the others must stay inside: the session's own."""
    visits: bool = False
    """Whether runs are a person's visits: a rejoin may overtake the left of the visit before."""
    label: str = ""
    """The payload field that names the aggregate for people."""
    artefacts: tuple[str, ...] = ()
    """Payload fields that hold what a run leaves behind: files, urls."""
    reusable: bool = False
    """Whether two runs may well bring the same artefact, as a room that has one url."""
    contradicted: str = _code()
    """The code when two steps of one run bring different values for one artefact."""
    shared: str = _code()
    """The code when two runs bring the same artefact."""
    times: tuple[str, ...] = ()
    """Payload fields that hold a clock time, in their order."""
    retimed: str = _code()
    """The code when two steps of one run bring different clock times for one of them."""
    subject: str = ""
    """The key field that names the person whom a run is of; who has visits by the same field."""
    subject_absent: str = _code()
    """The code when a run begins while that person is not inside."""
    deserted: str = _code()
    """The code when it ends and nobody was ever inside, where this is the frame."""
    deprecated: Mapping[str, str] = attrs.field(factory=dict)
    """Payload field that is no longer to be used -> the field that took its place."""
    outlives: Mapping[str, str] = attrs.field(factory=dict)
    """Payload field -> value: a run with that value may go on after the session."""
    after_end: str = _code()
    """The code when a run begins after the session has ended; empty: it may."""
    settled_after_end: str = _code()
    """The code when a run closes after the session has ended; empty: not worth a finding."""
    open_at_end: str = _code()
    """The code when a run is still open some time after the session has ended; empty: it may."""

    def __attrs_post_init__(self) -> None:
        problems = list(_problems(self)) or list(self._gaps())
        if problems:
            raise DeclarationError(f"lifecycle {self.name!r}: " + "; ".join(problems))

    def codes(self) -> set[str]:
        """Every code of the catalogue that the declaration names."""
        declared = (self, *self.steps)
        return {code for one in declared for code in _codes_of(one) if code}

    @cached_property
    def by_name(self) -> dict[str, Step]:
        """Step by its name."""
        return {step.name: step for step in self.steps}

    @cached_property
    def rank(self) -> dict[str, int]:
        """Place in the order, by the name of a step or of a state; ``ABSENT`` is -1."""
        ranks = {ABSENT: -1}
        for place, step in enumerate(self.steps):
            ranks[step.name] = ranks[step.state] = place
        return ranks

    @cached_property
    def starts(self) -> frozenset[str]:
        """Names of the steps with which a run may begin."""
        return frozenset(self.table[ABSENT])

    @cached_property
    def ends(self) -> frozenset[str]:
        """States in which a run is over."""
        return frozenset(step.state for step in self.steps if step.closes)

    @cached_property
    def endings(self) -> tuple[str, ...]:
        """Names of the steps that end a run in good order."""
        return tuple(step.name for step in self.steps if step.closes and not step.outcome)

    @cached_property
    def limits(self) -> tuple[Step, ...]:
        """The steps in whose state no run may stay for long."""
        return tuple(step for step in self.steps if step.limit)

    @cached_property
    def missed(self) -> tuple[Step, ...]:
        """The steps without which no run should end."""
        return tuple(step for step in self.steps if step.missed)

    @cached_property
    def data_fields(self) -> tuple[str, ...]:
        """The payload fields that say something of the run itself, not whose run it is."""
        whose = {*_OF_THE_SESSION, *self.key, *self.optional_key}
        return tuple(field.name for field in attrs.fields(self.payload) if field.name not in whose)

    @cached_property
    def first_two(self) -> set[str]:
        """The names of the first two steps."""
        return {step.name for step in self.steps[:2]}

    @cached_property
    def evident(self) -> tuple[str, ...]:
        """The sent names of the fields that can have their value only once: files, urls, clock times."""
        return tuple(map(camel_case, (*self.artefacts, *self.times)))

    def is_stopping(self, state: str) -> bool:
        """Whether nothing but its end can follow in a state."""
        return all(self.by_name[name].closes for name in self.table.get(state, ()))

    def is_identified(self, key: tuple[tuple[str, str], ...]) -> bool:
        """Whether the key names one run, so that no second one can begin."""
        return any(name in self.optional_key for name, _ in key)

    def says_it_outlives(self, data: bytes) -> bool:
        """Whether the data of a step says that the run may go on after the session."""
        said = _decode(data)
        return any(said.get(camel_case(name)) == value for name, value in self.outlives.items())

    def name_in(self, data: bytes) -> str:
        """What the data of a step calls the aggregate; empty where it does not."""
        name = _decode(data).get(self.label_sent)
        return name if isinstance(name, str) else ""

    @cached_property
    def label_sent(self) -> str:
        """The name by which the label is sent."""
        return camel_case(self.label)

    @cached_property
    def has_content(self) -> bool:
        """Whether there may be something to find in what a payload says, not only in that it came."""
        brings = any(step.brings for step in self.steps)
        return bool(brings or self.contradicted or self.deprecated or self.times)

    def brings_the_same(self, one: bytes, other: bytes) -> bool:
        """Whether the data of two steps name the same file or url."""
        this, that = _decode(one), _decode(other)
        names = map(camel_case, self.artefacts)
        return any(this.get(name) and this.get(name) == that.get(name) for name in names)

    def adds(self, before: bytes, after: bytes) -> bool:
        """Whether the data of a step says all that an earlier report of it said, and more."""
        one, other = _decode(before), _decode(after)
        return one != other and all(
            other.get(name) == value for name, value in one.items() if value is not None
        )

    @cached_property
    def states(self) -> tuple[str, ...]:
        """Every state a webhook can report, in order, each once."""
        return tuple(dict.fromkeys(step.state for step in self.steps))

    def webhook_type(self, step: str) -> str:
        return f"{self.name}-{step}"

    def expected(self, state: str) -> tuple[str, ...]:
        """The webhook types that may come next; none in a state of ours, like ``lost``."""
        return tuple(self.webhook_type(step) for step in self.table.get(state, ()))

    @cached_property
    def restarts(self) -> bool:
        """Whether a run may begin anew after another, and must not while one is open."""
        return not self.visits and any(self.starts & set(self.table[end]) for end in self.ends)

    def between(self, state: str, step: str) -> tuple[str, ...]:
        """The steps that are missing when ``step`` comes in ``state``: the shortest legal way.

        Empty when ``step`` may come there. Raises ``KeyError`` when no way leads to it.
        """
        return self._ways[state, step]

    def _gaps(self) -> Iterable[str]:
        """A step that comes too early makes judging supply those before it, so they must be known."""
        for state in (state for state in self.table if state not in self.ends):
            for step in self.steps:
                if self.rank[step.name] > self.rank[state] and (state, step.name) not in self._ways:
                    yield f"no way leads from row {state!r} to the step {step.name!r}, which comes later"

    @cached_property
    def _ways(self) -> dict[tuple[str, str], tuple[str, ...]]:
        ways: dict[tuple[str, str], tuple[str, ...]] = {}
        for origin in self.table:
            frontier: list[tuple[str, tuple[str, ...]]] = [(origin, ())]
            for state, passed in frontier:
                for name in self.table[state]:
                    if (origin, name) not in ways:
                        ways[origin, name] = passed
                        if not self.by_name[name].closes:
                            frontier.append((self.by_name[name].state, (*passed, name)))
        return ways


def _problems(lifecycle: Lifecycle) -> Iterable[str]:
    steps = {step.name: step for step in lifecycle.steps}
    if len(steps) != len(lifecycle.steps):
        yield "a step is declared twice"
    if not attrs.has(lifecycle.payload):
        yield f"the payload {lifecycle.payload!r} is not an attrs class"
        return
    fields = {field.name for field in attrs.fields(lifecycle.payload)}
    for role, names in _payload_fields(lifecycle):
        for name in sorted(set(names) - fields):
            yield f"{role} names {name!r}, which {lifecycle.payload.__name__} does not have"
    if ABSENT not in lifecycle.table:
        yield "the table has no row ABSENT, so nothing can begin"
        return
    for state, names in lifecycle.table.items():
        for name in names:
            if name not in steps:
                yield f"row {state!r} leads to the step {name!r}, which is not declared"
            elif steps[name].state not in lifecycle.table:
                yield f"step {name!r} reports {steps[name].state!r}, which has no row"
    reached = _reached(lifecycle, steps)
    for state in sorted(set(lifecycle.table) - reached):
        yield f"row {state!r} is never reached"
    for step in lifecycle.steps:
        if not any(step.name in row for row in lifecycle.table.values()):
            yield f"no row leads to the step {step.name!r}"
        if bool(step.limit) != bool(step.overdue):
            yield f"step {step.name!r} needs both a limit and the code when it has passed"
    if any(
        step.closes and set(lifecycle.table.get(step.state, ())) & set(lifecycle.table[ABSENT])
        for step in lifecycle.steps
    ):
        for name in lifecycle.table[ABSENT]:
            if name in steps and not steps[name].restarted:
                yield f"a run may begin anew, so step {name!r} needs the code for beginning one too many"
    if lifecycle.subject and lifecycle.subject not in lifecycle.key:
        yield f"the subject {lifecycle.subject!r} is no field of the key"
    if bool(lifecycle.subject) != bool(lifecycle.subject_absent):
        yield "it needs both a subject and the code when that one is absent"
    if lifecycle.visits and not (
        len(lifecycle.steps) == 2
        and lifecycle.table[ABSENT] == (lifecycle.steps[0].name,)
        and lifecycle.steps[1].closes
        and len(lifecycle.key) == 1
    ):
        yield "visits have two steps, coming and going, and one key field, whose visits they are"
    ends = {step.state for step in lifecycle.steps if step.closes or not lifecycle.table.get(step.state)}
    if not ends & reached:
        yield "no end can be reached from the start"


def _payload_fields(lifecycle: Lifecycle) -> Iterable[tuple[str, Iterable[str]]]:
    yield "the key", lifecycle.key
    yield "the optional key", lifecycle.optional_key
    yield "the subject", [lifecycle.subject] if lifecycle.subject else []
    yield "the label", [lifecycle.label] if lifecycle.label else []
    yield "artefacts", lifecycle.artefacts
    yield "times", lifecycle.times
    yield "deprecated", [*lifecycle.deprecated, *lifecycle.deprecated.values()]
    yield "outlives", lifecycle.outlives
    for step in lifecycle.steps:
        yield f"step {step.name!r} (brings)", step.brings


def _reached(lifecycle: Lifecycle, steps: Mapping[str, Step]) -> set[str]:
    reached = {ABSENT}
    frontier = [ABSENT]
    while frontier:
        for name in lifecycle.table.get(frontier.pop(), ()):
            if name in steps and steps[name].state not in reached:
                reached.add(steps[name].state)
                frontier.append(steps[name].state)
    return reached
