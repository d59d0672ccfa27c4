"""The one maker of findings, and what is known of the session that is assessed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from tracker.findings import Alternative, Code, Finding, Severity, Verdict
from tracker.judging.context import Context
from tracker.judging.hypothesis import Delivered, micros, moment
from tracker.judging.presence import Presence
from tracker.judging.session import AggregateKey, Link, Observed
from tracker.judging.state import Aggregate, Run, Session
from tracker.judging.words import clock, listed
from tracker.rules import Rules

__all__ = ["Assessment", "Finder", "make"]


def make(
    code: Code,
    rules: Rules,
    words: Mapping[str, str],
    *,
    severity: Severity | None = None,
    position: int | None = None,
    at: datetime | None = None,
    type: str | None = None,
) -> Finding:
    """A settled finding about the log as a whole. What it is about in particular is filled in by who asks for it.

    Args:
        code: The entry; its message is filled in with ``words``.
        severity: How grave it is, if that is not what the entry says; the user's rules come first.
    """
    return Finding(
        number=0,
        code=code.code,
        slug=code.slug,
        severity=rules.severity.get(code.code) or severity or code.severity,
        verdict="settled",
        session_id=None,
        meeting_id=None,
        lifecycle=None,
        key={},
        run=None,
        position=position,
        evidence=() if position is None else (position,),
        at=at,
        state_before=None,
        state_after=None,
        expected=(),
        message=code.message.format_map(words),
        advice=code.advice,
        type=type,
    )


class Assessment(msgspec.Struct, eq=False):
    """One session being assessed: what came, what is held, and as of when.

    Attributes:
        observed: What came.
        session: What is held so far; its aggregates are complete.
        context: The rules, the session's end, and what the log says.
        over: Whether nothing more will come, so that what a window leaves open stays undecided.
        changes: Moments (microseconds) at which time alone will change something.
        begun_before: Whether the begin of a run is missing that may have come before the log began: so may that of the
            session.
        searched: The aggregates of which other hypotheses were kept.
        presence: When somebody was inside.
        known: The people of whom is held what was held before; where they are gone, nothing is found of them.
    """

    observed: Observed
    session: Session
    context: Context
    over: bool = False
    begun_before: bool = False
    changes: list[int] = msgspec.field(default_factory=list)
    searched: list[Aggregate] = msgspec.field(default_factory=list)
    presence: Presence = msgspec.field(default_factory=Presence)
    known: Mapping[AggregateKey, Aggregate] = msgspec.field(default_factory=dict)

    @property
    def about(self) -> Link:
        """The session and the meeting that a finding is about: of what has a stream of its own, those it was for."""
        links = self.observed.links
        return links[0] if links else (self.observed.session_id, self.observed.meeting_id)

    def passed(self, at: int) -> bool:
        """Whether a moment has passed; if it has not, it is noted as one at which something will change."""
        if self.context.as_of is not None and at <= self.context.as_of:
            return True
        self.changes.append(at)
        return False

    def log_begins(self, seen: Delivered) -> int | None:
        """When the log begins, where what is missing before a delivery may have come before that; else ``None``.

        It cannot have where the session says by its own clock that it began later, as its session-ended does; but it
        began by the first that came of it.
        """
        begin, session, first = self.context.log.habits.oldest, self.session, self.observed.first_at
        if begin is None or session.started or not seen.timed or first is None:
            return None
        began = begin if session.started_at is None else min(micros(session.started_at), first)
        return begin if began <= begin <= seen.at < begin + _REACH else None

    def make(
        self,
        code: Code,
        *,
        words: dict[str, str],
        where: Delivered | None = None,
        at: int | None = None,
        position: int | None = None,
        aggregate: Aggregate | None = None,
        run: Run | None = None,
        before: str | None = None,
        missing: Iterable[str] = (),
        since: int | None = None,
        evidence: Iterable[int] = (),
        until: int | None = None,
        undecided: bool = False,
        log_begins: int | None = None,
        confidence: float = 1.0,
        alternatives: tuple[Alternative, ...] = (),
        severity: Severity | None = None,
        type: str | None = None,
    ) -> Finding:
        """A finding.

        Args:
            code: The entry; its message is filled in with ``words``.
            where: The delivery that raised it, if one did; else it has ``at`` and ``position``.
            missing: Webhook types that should have come since ``since``.
            until: When a window closes that may still explain it; ``None``: it needs none.
            undecided: Whether it became neither true nor false before the log ended.
            log_begins: When the log begins, where what is missing may have come before that, so that nobody can know.
            severity: How grave it is, if that is not what the entry says; the user's rules come first.
        """
        if where is not None:
            at, position = where.at if self.observed.first_at is not None else None, where.position
        kind = where.step.name if where is not None else None
        lifecycle = aggregate.lifecycle if aggregate is not None else None
        webhook_type = lifecycle.webhook_type(kind) if lifecycle is not None and kind is not None else type
        missing = tuple(missing)
        shown = set(evidence) if position is None else {position, *evidence}
        if run is not None and len(run.candidate.originals) <= _MOST_EVIDENCE:
            shown |= {one.position for one in run.candidate.originals.values()}
        expected = missing
        if lifecycle is not None and before is not None and not missing:
            expected = lifecycle.expected(before)
            expected = () if webhook_type in expected else expected
        filled = {
            "type": webhook_type or (lifecycle.name if lifecycle else ""),
            "lifecycle": lifecycle.name if lifecycle else "",
            "name": aggregate.name if aggregate else "",
            "what": _named(aggregate, run) if aggregate else "",
            "missing": listed(missing),
            "value": "",
            **words,
        }
        if confidence < _SURE and not (undecided or self.over) and self.observed.last_at is not None:
            raised = at if at is not None else self.observed.last_at
            until = max(until or 0, raised + self.context.windows.redelivery)
        verdict, deadline = self._verdict(until, undecided=undecided)
        if log_begins is not None:
            verdict, deadline = "undecided", None
        if lifecycle is not None and not lifecycle.is_documented:
            severity = "info"
        when = moment(at) if at is not None and self.observed.first_at is not None else None
        found = make(
            code, self.context.rules, filled, severity=severity, position=position, at=when, type=webhook_type
        )
        if log_begins is not None:
            found.message += f"; the log begins only at {clock(log_begins, at)}"
        found.verdict = verdict
        found.session_id, found.meeting_id = self.about
        found.account = self.observed.account
        if aggregate is not None:
            found.lifecycle, found.key = aggregate.lifecycle.name, dict(aggregate.key)
        if run is not None:
            found.run, found.state_after = run.number, run.state or None
        found.evidence = tuple(sorted(shown))
        found.state_before = before or None
        found.expected, found.missing = expected, missing
        found.confidence, found.alternatives = round(confidence, 3), alternatives
        found.cause = self._cause(missing, since, at)
        found.deadline = moment(deadline) if deadline is not None else None
        found.since = moment(since) if since is not None and self.observed.first_at is not None else None
        return found

    def _verdict(self, until: int | None, *, undecided: bool) -> tuple[Verdict, int | None]:
        if undecided:
            return "undecided", until
        if until is None or self.passed(until):
            return "settled", None
        if self.observed.first_at is None:
            return "undecided", None
        return ("undecided" if self.over else "provisional"), until

    def _cause(self, missing: tuple[str, ...], since: int | None, at: int | None) -> str | None:
        """The silence of the log in which what is missing could have come."""
        silences = self.context.log.silences
        if not missing or not silences or at is None or self.observed.first_at is None:
            return None
        since = since if since is not None else self.observed.first_at - _REACH
        silence = self.context.log.silence_between(since, at)
        return None if silence is None else f"L601 #{silence.position}"

    def runs(self) -> Iterator[tuple[Aggregate, Run]]:
        """Every run, the session's own too."""
        for aggregate in self.session.aggregates.values():
            yield from ((aggregate, run) for run in aggregate.runs)


Finder = Callable[[Assessment, Aggregate], Iterable[Finding]]
"""Finds something of one aggregate."""


def _named(aggregate: Aggregate, run: Run | None) -> str:
    """What a sentence is about: ``recording run 2``, ``transcription post``; of a person's visit, the name."""
    lifecycle = aggregate.lifecycle
    if lifecycle.is_presence:
        return aggregate.name
    words = [lifecycle.name.replace("-", " ")]
    if aggregate.name != lifecycle.name:
        words.append(aggregate.name)
    if run is not None and len(aggregate.runs) > 1:
        words.append(f"run {run.number}")
    return " ".join(words)


_SURE = 0.95
"""What is less probable may still change while copies can come: `redelivery` after what raised it."""
_REACH = 2 * 3600 * 1_000_000
"""So long before its first webhook a session may have begun whose start is not known."""
_MOST_EVIDENCE = 20
