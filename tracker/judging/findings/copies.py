"""Findings about what came again: copies, and what is only probably one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracker.findings import Alternative, Code, Finding
from tracker.judging.findings.confidence import FACT, Shares
from tracker.judging.findings.maker import Assessment
from tracker.judging.hypothesis import Copy
from tracker.judging.state import OLD, Aggregate
from tracker.judging.words import duration

__all__ = ["of_copies"]

COPIES = ("certain copy", "copy at once", "copy with others", "copy through two channels", "copy")
"""What a copy may cost."""

OF_NO_COPY = "it is a step of its own: other webhooks of its run were lost, or another one is the copy"

D101 = Code(
    "D101",
    "redelivered",
    "info",
    when="The same step had come before with equal data, and this is most likely a copy of it.",
    message="{type} came again, {delay} after the first: it is a copy and changes nothing",
    example="recording-started, and the same body once more five minutes later",
    advice="Nothing to do. Make sure that your own handler does not act on it twice.",
    prices=COPIES,
)
D105 = Code(
    "D105",
    "ambiguous-repeat",
    "info",
    when="The same step came again with equal data. It may be a copy, but that is not sure.",
    message="{type} came again, {delay} after the first: {value} a step of another run",
    example="joined, joined five minutes later, left once",
    advice="Nothing to do, unless you count visits or recordings: then ask the people who were there.",
    prices=COPIES,
)
S208 = Code(
    "S208",
    "repeated",
    "info",
    when=(
        "A copy came more than six hours after the first, and nothing in it shows that it is one. Reported"
        " once for each recording, stream or person."
    ),
    message="{type} came again, {delay} after the first",
    example="participant-left, and the same body seven hours later",
    advice="Find out who sends it again: a replay, a second webhook, or a queue that was stuck.",
    prices=COPIES,
)


def of_copies(
    assessment: Assessment, aggregate: Aggregate, copies: Sequence[Copy], shares: Shares
) -> Iterator[Finding]:
    """D101, D105, S208: what came again."""
    old = False
    doubtful = any(not copy.certain and shares.of_copy(copy.delivered.position) < FACT for copy in copies)
    for copy in copies:
        # What shows that one is a copy may be another one, and that be no copy.
        is_certain = copy.certain and not doubtful
        confidence = 1.0 if is_certain else shares.of_copy(copy.delivered.position)
        code = D101 if confidence >= FACT else D105
        if not copy.certain and copy.age > OLD and not aggregate.lifecycle.is_session:
            if old:
                continue
            code, old = S208, True
        run = aggregate.runs[copy.run - 1]
        yield assessment.make(
            code,
            words={"delay": duration(copy.age), "state": run.state, "value": _likelier(confidence)},
            where=copy.delivered,
            aggregate=aggregate,
            run=run,
            evidence=(copy.original.position,),
            confidence=confidence,
            alternatives=()
            if code is D101
            else (Alternative(OF_NO_COPY, confidence=round(1 - confidence, 3)),),
        )


def _likelier(confidence: float) -> str:
    """How probable a copy is beside the other explanation."""
    if confidence < 0.5:
        return "it may be a copy, but is more probably"
    return "probably a copy, but it may be"
