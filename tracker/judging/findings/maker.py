"""The one maker of findings, and what it knows of the session that is assessed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from tracker.findings import CATALOGUE, Finding, Severity, Verdict
from tracker.judging.context import Context
from tracker.judging.hypothesis import Delivered, moment
from tracker.judging.session import Observed
from tracker.judging.state import Aggregate, Run, Session
from tracker.judging.words import listed

__all__ = ["SURE", "Assessment"]


@attrs.define(eq=False)
class Assessment:
    """One session being assessed: what came, what is held, and as of when.

    Attributes:
        observed: What came.
        session: What is held so far; its aggregates are complete.
        context: The rules, the session's end, and what the log says.
        over: Whether nothing more will come, so that what a window leaves open stays undecided.
        changes: Moments (microseconds) at which time alone will change something.
    """

    observed: Observed
    session: Session
    context: Context
    over: bool = False
    changes: list[int] = attrs.field(factory=list)

    def passed(self, at: int) -> bool:
        """Whether a moment has passed; if it has not, it is noted as one at which something will change."""
        if self.context.as_of is not None and at <= self.context.as_of:
            return True
        self.changes.append(at)
        return False

    def make(
        self,
        code: str,
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
        confidence: float = 1.0,
        alternatives: tuple[str, ...] = (),
        severity: Severity | None = None,
        type: str | None = None,
    ) -> Finding:
        """A finding.

        Args:
            code: Which entry of the catalogue; its message is filled in with ``words``.
            where: The delivery that raised it, if one did; else it has ``at`` and ``position``.
            missing: Webhook types that should have come since ``since``.
            until: When a window closes that may still explain it; ``None``: it needs none.
            undecided: Whether it became neither true nor false before the log ended.
            severity: What it weighs, if that is not what the catalogue says; the user's rules come first.
        """
        entry, rules = CATALOGUE[code], self.context.rules
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
            "run": str(run.number) if run else "",
            "missing": listed(missing),
            "value": "",
            **words,
        }
        verdict, deadline = self._verdict(until, confidence, undecided=undecided)
        told = moment(at) if at is not None and self.observed.first_at is not None else None
        return Finding(
            number=0,
            code=code,
            slug=entry.slug,
            severity=rules.severity.get(code) or severity or entry.severity,
            verdict=verdict,
            session_id=self.observed.session_id,
            meeting_id=self.observed.meeting_id,
            lifecycle=lifecycle.name if lifecycle else None,
            key=dict(aggregate.key) if aggregate else {},
            run=run.number if run else None,
            position=position,
            evidence=tuple(sorted(shown)),
            at=told,
            state_before=before or None,
            state_after=(run.state or None) if run else None,
            expected=expected,
            message=entry.message.format_map(filled),
            confidence=round(confidence, 3),
            advice=entry.advice,
            alternatives=alternatives,
            cause=self._cause(missing, since, at),
            deadline=moment(deadline) if deadline is not None else None,
            missing=missing,
            since=moment(since) if since is not None and self.observed.first_at is not None else None,
            type=webhook_type,
        )

    def _verdict(self, until: int | None, confidence: float, *, undecided: bool) -> tuple[Verdict, int | None]:
        if undecided:
            return "undecided", until
        if self.observed.first_at is None:
            return ("undecided" if until is not None else "settled"), None
        last = self.observed.last_at
        if until is None and confidence < SURE and last is not None:
            until = last + self.context.windows.redelivery
        if until is None or self.passed(until):
            return "settled", None
        return ("undecided" if self.over else "provisional"), until

    def _cause(self, missing: tuple[str, ...], since: int | None, at: int | None) -> str | None:
        """The silence of the log in which what is missing could have come."""
        silences = self.context.log.silences
        if not missing or not silences or at is None or self.observed.first_at is None:
            return None
        since = since if since is not None else self.observed.first_at - _REACH
        silence = self.context.log.silence_between(moment(since), moment(at))
        return None if silence is None else f"L601 #{silence.position}"

    def types(self, aggregate: Aggregate, steps: Iterable[str]) -> tuple[str, ...]:
        """The webhook types of steps of an aggregate."""
        return tuple([aggregate.lifecycle.webhook_type(name) for name in steps])

    def runs(self) -> Iterator[tuple[Aggregate, Run]]:
        """Every run, the session's own too."""
        for aggregate in self.session.aggregates.values():
            yield from ((aggregate, run) for run in aggregate.runs)


SURE = 0.9
"""What is less probable may still change while evidence can come, and a copy is not said as a fact."""
_REACH = 2 * 3600 * 1_000_000
"""Before the first that is heard of a session whose start is not known, it may have begun."""
_MOST_EVIDENCE = 20
