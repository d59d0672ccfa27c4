"""The declaration of a lifecycle: data that checks itself, and nothing that runs.

A *lifecycle* says which webhooks belong together and in what order they should come. A *step* is
one webhook type of it; it reports one *state*. The *table* says, state by state, which steps may
come next. The row ``ABSENT`` is the state before the first step, so its steps are the starts.

    ABSENT ──starting──▶ starting ──started──▶ started ──stopping──▶ stopping ──stopped──▶ stopped
                             └──────────────failed─┴──────────────────────┘

Everything else (routing, judging, rows, diagrams) is derived from the declaration, so a mistake in
it would be a mistake everywhere. That is why a declaration that contradicts itself is refused when
its module is imported, and why a webhook, whatever it holds, never is.

What is found when something is not as declared is declared too: some fields hold a code of the
catalogue. Each has a *role* (``tracker.roles``), which says to which steps it applies. Where it applies
it must be given: a code, or ``NoFinding("why not")``. So nothing goes unjudged because somebody forgot it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any, ClassVar, Literal

import msgspec

from tracker.codes import codes_for
from tracker.findings import NoFinding
from tracker.record import Records
from tracker.roles import OF_A_LIFECYCLE, Role, roles_in
from tracker.step import Step
from tracker.table import ABSENT, problems_of_table, reached, ways

__all__ = ["ABSENT", "DeclarationError", "Lifecycle", "Untyped", "camel_case"]

_OF_THE_SESSION = ("meeting_id", "session_id")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@cache
def camel_case(name: str) -> str:
    """The name VideoSDK sends for a field: ``participant_id`` -> ``participantId``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_LINKS = ("session_id", "meeting_id", "room_id")
_OWN_STREAMS = ("unrouted", "log")


class Untyped(msgspec.Struct, frozen=True):
    """How a webhook is known that comes without a type, and without ``data``."""

    by: str
    """A name at the top of its body that no other webhook has."""
    fields: Mapping[str, str]
    """Payload field -> where its value stands in the body, with dots: ``room-data.session-id``."""


class DeclarationError(Exception):
    """A lifecycle that contradicts itself, or leaves something open; raised while its module is imported."""


class Lifecycle(msgspec.Struct, frozen=True, eq=False, dict=True):
    """How one thing in a meeting is supposed to go. See the module's text for the words, and ``Step`` for roles."""

    name: str
    payload: type[Any]
    """A class with a field for each name of the webhook's ``data``, in snake_case: ``session_id: str | None = None``."""
    steps: tuple[Step, ...]
    """In the order in which they should come; ends that exclude each other come last."""
    table: Mapping[str, tuple[str, ...]]
    """State -> names of the steps that may come next."""
    key: tuple[str, ...] = ()
    """Payload fields that tell the aggregates of one session apart; each must be sent."""
    optional_key: tuple[str, ...] = ()
    """Payload fields that do so where they are sent."""
    formerly: tuple[str, ...] = ()
    """The names that it had before: what its webhook types began with."""
    evidence: Literal["documented", "inferred"] = "documented"
    """Where its steps are known from. Of what nobody has documented every finding is an info."""
    stream: str = ""
    """Prefix of the stream of what has no session: ``resource`` makes ``resource:<key>``."""
    stream_without_session: str = ""
    """The same for a lifecycle of sessions, of which a webhook may come without the session's id."""
    linked_by: tuple[str, ...] = ()
    """Payload fields that say which session, or which room, something with a stream of its own was for."""
    untyped: Untyped | None = None
    """How a webhook of it is known that has no type."""
    records: Records | None = None
    """Where VideoSDK's REST API has its own records of it."""
    is_session: bool = False
    """Whether this is the lifecycle that the others must stay inside: the session's own."""
    is_presence: bool = False
    """Whether runs are a person's visits: a rejoin may overtake the left of the visit before."""
    label: str = ""
    """The payload field that names the aggregate for people."""
    artefacts: tuple[str, ...] = ()
    """Payload fields that hold what a run leaves behind: files, urls."""
    reusable: bool = False
    """Whether two runs may well bring the same artefact, as a room that has one url."""
    contradicted: str = ""
    shared: str = ""
    times: tuple[str, ...] = ()
    """Payload fields that hold a clock time, in their order."""
    retimed: str = ""
    subject: str = ""
    """The key field that names the person whom a run is of; who has visits by the same field."""
    subject_absent: str = ""
    empty: str = ""
    deprecated: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Payload field that is no longer to be used -> the field that took its place."""
    outlives: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Payload field -> value: a run with that value may go on after the session."""
    after_end: str = ""
    settled_after_end: str = ""
    open_at_end: str = ""

    ROLES: ClassVar[Mapping[str, Role]] = OF_A_LIFECYCLE

    def __post_init__(self) -> None:
        problems = list(_problems(self)) or [*self._gaps(), *_unsaid(self)]
        if problems:
            raise DeclarationError(f"lifecycle {self.name!r}: " + "; ".join(problems))

    def codes(self) -> set[str]:
        """Every code of the catalogue that can be found because the declaration names it."""
        return {code for _, _, code in self.roles() if code}

    def roles(self) -> Iterator[tuple[Step | Lifecycle, str, str]]:
        """The roles that apply: whose they are, their name, and what was declared for them."""
        for declared, name, role in roles_in(self, *self.steps):
            if role.applies(self, declared):
                yield declared, name, getattr(declared, name)

    @cached_property
    def may_be_skipped(self) -> frozenset[str]:
        """The names of the steps that a run may turn out to lack before a later one that begins no run."""
        gaps = (
            missing
            for (state, name), missing in self._ways.items()
            if state not in self.ends and not (state == ABSENT and self.by_name[name].orphan)
        )
        return frozenset(name for missing in gaps for name in missing)

    def may_do_without(self, step: Step) -> bool:
        """Whether the table leads to a good end by a way without this step."""
        rows = reached(self.table, self.by_name, without=step.name)
        return not step.closes and any(name in self.table[row] for row in rows for name in self.endings)

    @cached_property
    def is_documented(self) -> bool:
        """Whether what is found of it may be graver than an info."""
        return self.evidence == "documented"

    @cached_property
    def in_a_session(self) -> bool:
        """Whether its runs belong to a session, and are not the session itself."""
        return not (self.is_session or self.stream)

    @cached_property
    def begins_anew(self) -> bool:
        """Whether a run may begin after another."""
        return self.is_presence or self.restarts

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
        return tuple(step.name for step in self.steps if step.closes and step.awaited and not step.outcome)

    @cached_property
    def limits(self) -> tuple[Step, ...]:
        """The steps in whose state no run may stay for long."""
        return tuple(step for step in self.steps if step.limit)

    @cached_property
    def missed(self) -> tuple[Step, ...]:
        """The steps without which no run should end."""
        return tuple(step for step in self.steps if step.missed)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields of the payload class: name -> type, as it is written there."""
        every = (getattr(one, "__annotations__", {}) for one in reversed(getattr(self.payload, "__mro__", ())))
        return {name: of_one[name] for of_one in every for name in of_one}

    @cached_property
    def data_fields(self) -> tuple[str, ...]:
        """The payload fields that say something of the run itself, not whose run it is."""
        whose = {*_OF_THE_SESSION, *self.key, *self.optional_key}
        return tuple(name for name in self.fields if name not in whose)

    @cached_property
    def first_two(self) -> tuple[str, ...]:
        """The names of the first two steps."""
        return tuple([step.name for step in self.steps[:2]])

    @cached_property
    def tells_copies(self) -> bool:
        """Whether the same data once more, with such a field, can only be the same event."""
        return bool(self.times or (self.artefacts and not self.reusable))

    @cached_property
    def evident(self) -> tuple[str, ...]:
        """The sent names of the fields that can have their value only once: files, urls, clock times."""
        return tuple(map(camel_case, (*self.artefacts, *self.times)))

    def is_stopping(self, state: str) -> bool:
        """Whether a run that went on has come to where nothing but its end can follow."""
        if any(self.by_name[name].state == state for name in self.starts):
            return False
        return all(self.by_name[name].closes for name in self.table.get(state, ()))

    def is_identified(self, key: tuple[tuple[str, str], ...]) -> bool:
        """Whether the key names one run, so that no second one can begin."""
        return bool(self.optional_key) and any(name in self.optional_key for name, _ in key)

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

    def brings_the_same(self, one: bytes, other: bytes) -> bool:
        """Whether the data of two steps name the same file or url."""
        this, that = _decode(one), _decode(other)
        names = map(camel_case, self.artefacts)
        return any(this.get(name) and _unsigned(this[name]) == _unsigned(that.get(name)) for name in names)

    def differing(self, one: bytes, other: bytes) -> str:
        """The first file or url, as it is sent, that the data of two steps name and that differs; empty: none."""
        this, that = _decode(one), _decode(other)
        names = map(camel_case, self.artefacts)
        both = (name for name in names if this.get(name) is not None and that.get(name) is not None)
        return next((name for name in both if _unsigned(this[name]) != _unsigned(that[name])), "")

    def agrees(self, one: bytes, other: bytes) -> bool:
        """Whether the data of two reports of a step differ only in what one of them leaves out."""
        this, that = _decode(one), _decode(other)
        if this == that:
            return False
        both = (name for name in this.keys() & that.keys() if this[name] is not None and that[name] is not None)
        return all(this[name] == that[name] for name in both if name not in self.times)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """Every state a webhook can report, in order, each once."""
        return tuple(dict.fromkeys(step.state for step in self.steps if step.moves))

    def webhook_type(self, step: str) -> str:
        """The webhook type that reports a step."""
        return self.by_name[step].type or f"{self.name}-{step}"

    @cached_property
    def types(self) -> frozenset[str]:
        """The webhook types of all steps."""
        return frozenset(self.webhook_type(step.name) for step in self.steps)

    def webhook_types(self, step: str) -> tuple[str, ...]:
        """The webhook types that report a step: the one of today, and those that it had before."""
        before = () if self.by_name[step].type else self.formerly
        return (self.webhook_type(step), *(f"{name}-{step}" for name in before))

    def expected(self, state: str) -> tuple[str, ...]:
        """The webhook types that may come next; none in a state of ours, like ``lost``."""
        return tuple(self.webhook_type(step) for step in self.table.get(state, ()))

    @cached_property
    def restarts(self) -> bool:
        """Whether a run may begin anew after another, and must not while one is open."""
        return not self.is_presence and any(self.starts & set(self.table[end]) for end in self.ends)

    def between(self, state: str, step: str) -> tuple[str, ...]:
        """The steps that are missing when ``step`` comes in ``state``: the shortest legal way.

        Empty when ``step`` may come there. Raises ``KeyError`` when no way leads to it.
        """
        return self._ways[state, step]

    def _gaps(self) -> Iterable[str]:
        """A step that comes too early makes judging supply those before it, so they must be known."""
        for state in (state for state in self.table if state not in self.ends):
            for step in (step for step in self.steps if step.moves and not self.is_excluded(state, step)):
                if self.rank[step.name] > self.rank[state] and (state, step.name) not in self._ways:
                    yield f"no way leads from row {state!r} to the step {step.name!r}, which comes later"
        for step in self.steps:
            for name in step.excludes:
                pairs = (self.by_name[name].state, step.name), (step.state, name)
                if any(pair in self._ways for pair in pairs):
                    yield f"step {step.name!r} excludes {name!r}, and a way leads from one to the other"

    def is_excluded(self, state: str, step: Step) -> bool:
        """Whether no run that was in a state has this step as well."""
        beside = {self.by_name[name].state for name in step.excludes}
        return state in beside or any(step.name in one.excludes for one in self.steps if one.state == state)

    @cached_property
    def _ways(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return ways(self.table, self.by_name)


def _problems(lifecycle: Lifecycle) -> Iterable[str]:
    steps = {step.name: step for step in lifecycle.steps}
    if len(steps) != len(lifecycle.steps):
        yield "a step is declared twice"
    if not lifecycle.fields:
        yield f"the payload {lifecycle.payload!r} is not a class with fields"
        return
    if hasattr(lifecycle.payload, "__attrs_attrs__"):
        yield f"the payload {lifecycle.payload.__name__} is a class of attrs already; leave out what makes it one"
    for role, names in _payload_fields(lifecycle):
        for name in sorted(set(names) - lifecycle.fields.keys()):
            yield f"{role} names {name!r}, which {lifecycle.payload.__name__} does not have"
    if ABSENT not in lifecycle.table:
        yield "the table has no row ABSENT, so nothing can begin"
        return
    yield from problems_of_table(lifecycle.table, steps)
    yield from _problems_of_streams(lifecycle)
    yield from _problems_of_people(lifecycle)


def _problems_of_people(lifecycle: Lifecycle) -> Iterable[str]:
    if lifecycle.subject and lifecycle.subject not in lifecycle.key:
        yield f"the subject {lifecycle.subject!r} is no field of the key"
    if lifecycle.is_presence and not (
        len(lifecycle.steps) == 2
        and lifecycle.table[ABSENT] == (lifecycle.steps[0].name,)
        and lifecycle.steps[1].closes
        and len(lifecycle.key) == 1
    ):
        yield "visits have two steps, coming and going, and one key field, whose visits they are"


def _problems_of_streams(lifecycle: Lifecycle) -> Iterable[str]:
    """What is said of where its webhooks are kept, and how they are known, and cannot be."""
    streams = [name for name in (lifecycle.stream, lifecycle.stream_without_session) if name]
    if len(streams) > 1:
        yield "it has a stream of its own in any case, so stream_without_session is never used"
    if streams and not lifecycle.key:
        yield f"the stream {streams[0]!r} needs a key, by which one is distinguished from another"
    yield from (f"the stream {name!r} is one of the store's own" for name in streams if name in _OWN_STREAMS)
    yield from (f"the stream {name!r} has a colon in its name" for name in streams if ":" in name)
    if lifecycle.linked_by and not streams:
        yield "linked_by is for what has a stream of its own; what is in a session needs no link"
    for name in lifecycle.linked_by:
        if name not in _LINKS or name in lifecycle.key:
            yield f"linked_by names {name!r}, which says neither which session nor which room it was for"
    for name in lifecycle.formerly:
        if name == lifecycle.name:
            yield f"it is formerly {name!r}, which is its name today"
    if lifecycle.untyped is not None and len(lifecycle.steps) != 1:
        yield "a webhook without a type must be of the only step"


def _payload_fields(lifecycle: Lifecycle) -> Iterable[tuple[str, Iterable[str]]]:
    yield "the key", lifecycle.key
    yield "the optional key", lifecycle.optional_key
    yield "the subject", [lifecycle.subject] if lifecycle.subject else []
    yield "the label", [lifecycle.label] if lifecycle.label else []
    yield "artefacts", lifecycle.artefacts
    yield "times", lifecycle.times
    yield "deprecated", [*lifecycle.deprecated, *lifecycle.deprecated.values()]
    yield "outlives", lifecycle.outlives
    yield "linked_by", lifecycle.linked_by
    yield "untyped", lifecycle.untyped.fields if lifecycle.untyped is not None else ()
    for step in lifecycle.steps:
        yield f"step {step.name!r} (brings)", step.brings


def _unsaid(lifecycle: Lifecycle) -> Iterator[str]:
    """Roles that apply and were left out, that do not and were given, or that hold a code of something else."""
    for declared, name, role in roles_in(lifecycle, *lifecycle.steps):
        whose = "" if declared is lifecycle else f"step {declared.name!r}: "
        yield from (whose + one for one in _problems_of_role(lifecycle, declared, name, role))


def _problems_of_role(lifecycle: Lifecycle, declared: Step | Lifecycle, name: str, role: Role) -> Iterator[str]:
    value, applies = getattr(declared, name), role.applies(lifecycle, declared)
    is_silent = isinstance(value, NoFinding)
    if value in codes_for(name) if applies else value == role.usual and not is_silent:
        return  # nearly always, so the words below are not made
    choice = " or ".join(f'{name}="{code}"' for code in codes_for(name))
    if not applies:
        yield f"{name} is given, and is only for {role.where}; leave it out"
    elif not value and not (is_silent and role.may_be_silent):
        choice += f' or {name}=NoFinding("why not")' if role.may_be_silent else ""
        yield f"{name} {'is silent' if is_silent else 'is left out'}, the code when {role.when}; write {choice}"
    elif value:
        yield f"{name}={value!r} is no code for that; write {choice}"


def _unsigned(value: object) -> object:  # the query of a url is signed anew each time
    return value.partition("?")[0] if isinstance(value, str) else value
