"""Testing with meetings: of a handler of webhooks, of a log, and of a lifecycle that one has declared.

A handler is tried with made-up meetings. ``made_up`` makes one, with a fault if one is named, and knows the truth of
it: ``examples/test_my_handler.py``. A log is asserted to have no findings. A declaration is tried with a few lines,
which ``given`` makes deliveries of:

    given("0 session-started", "3 recording-starting").when("60 recording-stopped fileUrl=https://f/a.mp4").then(
        states={"recording": ["stopped"]}, readings=["skipped-ahead"], findings=["S202"]
    )

A line says when (seconds; ``5m`` or ``2h``; ``-`` for a log without receive times), which webhook, and what its data
holds:

    "3 participant-joined p1"               bare words are the lifecycle's key, in order
    "60 recording-stopped filePath=/a.mp4"  the sent name of a field; JSON values are read as JSON
    "60 recording-stopped -sessionId"       a field that is not sent
    "5 session-started forged"              a signature that does not verify
    "5 session-started @acme"               the account that it came for
    "5 {not json"                           anything that begins otherwise is the body itself

Session ``S`` and meeting ``M`` are meant unless a line says otherwise. In pytest, the fixtures ``meeting``,
``meeting_log`` and ``assert_no_findings`` are there wherever this package is installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

import tracker
from tracker.delivery.envelope import Received, encode
from tracker.delivery.webhook import Delivery, parse
from tracker.errors import UsageError
from tracker.findings import SEVERITIES, Finding, Severity
from tracker.judging.assess import assess_all
from tracker.judging.state import Judgement, Session
from tracker.lifecycle import Lifecycle, camel_case
from tracker.lifecycles import REGISTRY, Registry
from tracker.rules import Rules
from tracker.simulate import Truth, simulate

__all__ = [
    "NOON",
    "Meeting",
    "MeetingLog",
    "Scenario",
    "assert_no_findings",
    "codes",
    "deliveries",
    "delivery",
    "given",
    "made_up",
    "moment",
    "states",
    "verdicts",
]

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""The moment 0 of every line."""
FORGED = " forged"
RULES = Rules()
_UNITS = {"m": 60, "h": 3600}


# -- meetings, for handlers --------------------------------------------------------------------------


@attrs.frozen
class Meeting:
    """A made-up meeting.

    Attributes:
        webhooks: In the order in which a handler gets them: ``.body`` and ``.received_at``.
        truth: What is true of it: what went wrong, and what became of everything.
    """

    webhooks: tuple[Received, ...] = attrs.field(repr=False)
    truth: Truth

    @property
    def lines(self) -> list[bytes]:
        """The log of it, a line for each webhook with its receive time."""
        return [encode(one) for one in self.webhooks]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.lines)


def made_up(fault: str | None = None, seed: int = 1) -> Meeting:
    """A meeting with this fault (``tracker simulate --list`` names them), or with none; the same for the same seed.

    Raises ``UsageError`` where no fault is called so.
    """
    made = list(simulate(1, seed, 0 if fault is None else 1, () if fault is None else (fault,)))
    truth = next(line.truth for line in made if line.last and line.truth is not None)
    return Meeting(tuple(line.received for line in made), truth)


# -- logs --------------------------------------------------------------------------------------------


@attrs.define
class MeetingLog:
    """A log that a test writes: what it sent, or what its program received."""

    lines: list[bytes] = attrs.field(factory=list)

    def add(self, body: bytes | str | Mapping[str, Any], at: datetime | None = None) -> None:
        """Adds a webhook that was received at a moment; ``None`` where that is not known."""
        if isinstance(body, Mapping):
            body = json.dumps(body)
        raw = body.encode() if isinstance(body, str) else body
        self.lines.append(encode(Received(raw, at if at is None or at.tzinfo else at.replace(tzinfo=UTC))))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.lines)


def assert_no_findings(
    log: Any,
    ignore: Iterable[str] = (),
    as_of: str | datetime | None = "end",
    *,
    at_least: Severity = "warning",
    rules: Any = None,
) -> None:
    """Fails with what was found in a log, if that is as grave as ``at_least`` and its code is not one to ``ignore``.

    ``log``, ``as_of`` and ``rules`` are those of ``tracker.audit``; a ``Meeting`` and a ``MeetingLog`` are logs too. By
    default the log is complete: what has not come by its end will not come. A log in which nothing is fails as well.
    """
    ignored, grave = {ignore} if isinstance(ignore, str) else set(ignore), _grave(at_least)
    judged = tracker.audit(log, as_of, rules)
    if not judged.summary.deliveries:
        raise AssertionError("nothing was judged: no webhook is in the log")
    found = [
        one
        for one in judged.findings
        if one.severity in grave and one.verdict != "accepted" and not {one.code, one.slug} & ignored
    ]
    if found:
        count = "1 finding" if len(found) == 1 else f"{len(found)} findings"
        raise AssertionError("\n".join([f"{count}:", *map(_in_words, found)]))


def _in_words(found: Finding) -> str:
    where = f"line {found.position}: " if found.position is not None else ""
    advice = f"\n    do: {found.advice}" if found.advice else ""
    return f"  {where}{found.code} {found.slug} ({found.severity}): {found.message}{advice}"


# -- lines, for declarations -------------------------------------------------------------------------


def moment(when: str | float) -> datetime | None:
    """``"90"``, ``"5m"`` and ``"2h"`` after noon; ``None`` for ``"-"``."""
    text = str(when)
    if text == "-":
        return None
    size = _UNITS.get(text[-1], 1)
    return NOON + timedelta(seconds=float(text.rstrip("mh")) * size)


def delivery(line: str, position: int = 1, registry: Registry = REGISTRY) -> Delivery:
    """What a line delivers. Raises ``UsageError`` where it is not written as the top of this module says."""
    when, _, rest = line.partition(" ")
    verified_by = "" if rest.endswith(FORGED) else None
    rest, _, account = rest.removesuffix(FORGED).partition(" @")
    try:
        received = Received(
            _body(rest, registry), moment(when), verified_by=verified_by, account=account or None
        )
        return parse(received, position, registry)
    except ValueError as error:
        raise UsageError(f"{line!r} is no line: {error}", hint='write "60 recording-stopped"') from error


def deliveries(*lines: str, registry: Registry = REGISTRY) -> list[Delivery]:
    """The deliveries of these lines, at the positions 1, 2, 3…"""
    return [delivery(line, position, registry) for position, line in enumerate(lines, 1)]


def _body(rest: str, registry: Registry) -> bytes:
    webhook_type, *words = rest.split(" ")
    if not webhook_type.replace("-", "").isalpha():
        return rest.encode()
    data: dict[str, Any] = {"sessionId": "S", "meetingId": "M"}
    lifecycle = registry.routes[webhook_type][0] if webhook_type in registry.routes else None
    keys = iter(lifecycle.key + lifecycle.optional_key if lifecycle else ())
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            data[name] = _value(value)
        elif name.startswith("-"):
            data.pop(name[1:], None)
        else:
            key = next(keys, None)
            if key is None:
                raise ValueError(f"{webhook_type} has no more key fields for {word!r}")
            data[camel_case(key)] = word
    return json.dumps({"webhookType": webhook_type, "data": data}).encode()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@attrs.frozen
class Scenario:
    """Deliveries of one session, and what they come to.

    Attributes:
        lines: What came, in order.
        since: The place of the first line of ``when``.
        at: The moment as of which is judged; ``None``: that of the last line.
    """

    lines: tuple[str, ...]
    rules: Rules = RULES
    registry: Registry = REGISTRY
    since: int = 0
    at: str | None = None

    def when(self, *lines: str) -> Scenario:
        """The same scenario, with more lines; ``then`` looks at the readings of these."""
        return attrs.evolve(self, lines=(*self.lines, *lines), since=len(self.lines))

    def as_of(self, when: str | None) -> Scenario:
        """The same scenario, judged as of a moment, which is written as in a line."""
        return attrs.evolve(self, at=when)

    @property
    def session(self) -> Session:
        """The session as it stands. Raises ``UsageError`` where nothing came."""
        at = moment(self.at) if self.at is not None else None
        found = assess_all(deliveries(*self.lines, registry=self.registry), at, self.rules)
        if found is None:
            raise UsageError("there is no line", hint='given("0 recording-starting")')
        return found

    @property
    def judgements(self) -> list[Judgement]:
        """What each line was, with hindsight."""
        found = self.session.readings()
        return [found.get(position, Judgement("unrouted")) for position in range(1, len(self.lines) + 1)]

    def then(
        self,
        states: Mapping[str, Sequence[str]] | None = None,
        *,
        readings: Sequence[str] | None = None,
        findings: Sequence[str] | Mapping[str, str] | None = None,
        at_least: Severity = "info",
    ) -> Scenario:
        """Fails where it is otherwise; what is ``None`` is not looked at. Returns the scenario, to go on with.

        ``states`` are, by lifecycle, those of its runs, ``readings`` those of the lines of ``when``, ``findings`` the
        codes of at least this severity in the order of the deliveries, or code -> verdict.
        """
        session = self.session
        differences = [
            _difference(f"the states of {name}", list(expected), _states_of(session, name))
            for name, expected in (states or {}).items()
        ]
        if readings is not None:
            found = [one.reading for one in self.judgements[self.since :]]
            differences.append(_difference("the readings", list(readings), found))
        if isinstance(findings, Mapping):
            differences.append(_difference("the findings", dict(findings), verdicts(session, at_least)))
        elif findings is not None:
            differences.append(_difference("the findings", list(findings), codes(session, at_least)))
        if any(differences):
            raise AssertionError(
                "\n".join([*filter(None, differences), "after", *(f"  {one}" for one in self.lines)])
            )
        return self


def given(*lines: str, rules: Rules = RULES, lifecycle: Lifecycle | None = None) -> Scenario:
    """A scenario that begins with these lines. ``lifecycle`` is one to try that is not among those of this package."""
    registry = REGISTRY if lifecycle is None else REGISTRY.adding(lifecycle)
    return Scenario(lines, rules, registry)


def codes(session: Session, at_least: Severity = "info") -> list[str]:
    """The codes of the findings that are at least so grave, in order."""
    return [found.code for found in session.findings if found.severity in _grave(at_least)]


def verdicts(session: Session, at_least: Severity = "info") -> dict[str, str]:
    """Code -> verdict of the findings that are at least so grave, in order."""
    return {found.code: found.verdict for found in session.findings if found.severity in _grave(at_least)}


def states(session: Session, lifecycle: str) -> list[str]:
    """The states of the runs of the one aggregate of this lifecycle."""
    (aggregate,) = [found for (name, _), found in session.aggregates.items() if name == lifecycle]
    return [run.state for run in aggregate.runs]


def _states_of(session: Session, lifecycle: str) -> list[str]:
    return [
        run.state for (name, _), found in session.aggregates.items() if name == lifecycle for run in found.runs
    ]


def _difference(what: str, expected: object, found: object) -> str:
    return "" if expected == found else f"{what}: expected {expected}, found {found}"


def _grave(at_least: Severity) -> tuple[Severity, ...]:
    return SEVERITIES[SEVERITIES.index(at_least) :]
