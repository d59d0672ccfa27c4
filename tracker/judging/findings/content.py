"""Findings about what the payloads say, and about single deliveries that show something by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from tracker.delivery.envelope import parse_time
from tracker.delivery.webhook import read_payload
from tracker.findings import Finding
from tracker.judging.findings.maker import Assessment
from tracker.judging.hypothesis import Delivered
from tracker.judging.state import Aggregate, Run
from tracker.lifecycle import Lifecycle, camel_case

__all__ = ["of_deliveries", "of_payloads", "renamed", "shared"]


def of_deliveries(assessment: Assessment) -> Iterator[Finding]:
    """C501, C509, C511, C513, C514: what single deliveries show by themselves."""
    for odd in assessment.observed.odd:
        words = {"type": odd.type, "value": odd.value, "state": assessment.observed.meeting_id or ""}
        found = assessment.make(odd.code, words=words, at=odd.at, position=odd.position, type=odd.type)
        found.lifecycle, found.key = odd.lifecycle, dict(odd.key)
        yield found


def of_payloads(assessment: Assessment, aggregate: Aggregate, run: Run) -> Iterator[Finding]:
    """C502, C503, C507, C510, C515, T305, T306: what the payloads of one run say."""
    lifecycle = aggregate.lifecycle
    if lifecycle.contradicted:
        yield from _two_urls(assessment, aggregate, run)
    for one in run.candidate.originals.values():
        yield from _missing_artefact(assessment, aggregate, run, one)
        yield from _deprecated(assessment, aggregate, run, one)
    if lifecycle.times:
        yield from _times(assessment, aggregate, run)


def _missing_artefact(
    assessment: Assessment, aggregate: Aggregate, run: Run, one: Delivered
) -> Iterator[Finding]:
    """C507: a step came without what it should bring, and nothing brought it later."""
    names = one.step.brings
    if not names or one.evidence or any(other.evidence for _, other in run.candidate.others):
        return
    payload = read_payload(aggregate.lifecycle, one.data)
    if not any(getattr(payload, name) for name in names):
        words = {"field": " or ".join(map(camel_case, names))}
        yield assessment.make("C507", words=words, where=one, aggregate=aggregate, run=run)


def _deprecated(assessment: Assessment, aggregate: Aggregate, run: Run, one: Delivered) -> Iterator[Finding]:
    """C510: a field that is no longer documented."""
    for old, new in aggregate.lifecycle.deprecated.items():
        name = camel_case(old)
        if b'"' + name.encode() + b'"' in one.data and getattr(
            read_payload(aggregate.lifecycle, one.data), old
        ):
            before = [other for other in run.candidate.originals.values() if other.order < one.order]
            if not any(getattr(read_payload(aggregate.lifecycle, other.data), old) for other in before):
                words = {"field": name, "value": camel_case(new)}
                yield assessment.make("C510", words=words, where=one, aggregate=aggregate, run=run)


def _two_urls(assessment: Assessment, aggregate: Aggregate, run: Run) -> Iterator[Finding]:
    """C502: two steps of one run brought two urls."""
    lifecycle, held = aggregate.lifecycle, dict[str, Any]()
    bringing = [one for one in run.candidate.originals.values() if one.evidence]
    for one in bringing if len(bringing) > 1 else ():
        payload = read_payload(lifecycle, one.data)
        for name in lifecycle.artefacts:
            value = getattr(payload, name)
            if value is not None and held.setdefault(name, value) != value:
                words = {"field": camel_case(name), "value": str(value)}
                yield assessment.make(
                    lifecycle.contradicted, words=words, where=one, aggregate=aggregate, run=run
                )
                return


def _times(assessment: Assessment, aggregate: Aggregate, run: Run) -> Iterator[Finding]:
    """C503, C515, T305, T306: the session's own clock times, and why it ended."""
    lifecycle, known = aggregate.lifecycle, dict[str, Any]()
    for one in run.candidate.originals.values():
        payload, earlier = read_payload(lifecycle, one.data), None
        for name in lifecycle.times:
            text = getattr(payload, name)
            time = parse_time(text) if text is not None else None
            words = {"field": name, "value": str(text)}
            code = ""
            if text is not None and time is None:
                code = "T305"
            elif time is not None and lifecycle.retimed and known.setdefault(name, time) != time:
                code = lifecycle.retimed
            elif earlier is not None and time is not None and time < earlier:
                code = "T306"
            if code:
                yield assessment.make(code, words=words, where=one, aggregate=aggregate, run=run)
            earlier = time or earlier
        error = getattr(payload, "error", None)
        if error and one.step.closes:
            yield assessment.make("C515", words={"value": error}, where=one, aggregate=aggregate, run=run)


def renamed(assessment: Assessment, aggregate: Aggregate) -> Iterator[Finding]:
    """C505: the same id came with another name."""
    lifecycle = aggregate.lifecycle
    if not lifecycle.visits or not lifecycle.label:
        return
    label, said = "", b""
    for run in aggregate.runs:
        for one in run.candidate.originals.values():
            if one.data == said:
                continue
            said = one.data
            name = lifecycle.name_in(one.data)
            if label and name and name != label:
                words = {"name": label, "value": name}
                yield assessment.make("C505", words=words, where=one, aggregate=aggregate, run=run)
            label = name or label


def shared(assessment: Assessment) -> Iterator[Finding]:
    """C508: two runs of one lifecycle brought the same file or url."""
    owners: dict[tuple[str, str], tuple[Aggregate, Run]] = {}
    for aggregate, run in assessment.runs():
        lifecycle = aggregate.lifecycle
        if not lifecycle.shared:
            continue
        for one in run.candidate.originals.values():
            if not one.evidence:
                continue
            again = [
                (text, owner)
                for text in artefacts(lifecycle, one)
                if (owner := owners.setdefault((lifecycle.name, text), (aggregate, run)))[1] is not run
            ]
            if again:
                yield _shared(assessment, aggregate, run, one, *again[0])
                break


def _shared(
    assessment: Assessment,
    aggregate: Aggregate,
    run: Run,
    one: Delivered,
    text: str,
    owner: tuple[Aggregate, Run],
) -> Finding:
    whose = " ".join((str(owner[1].number), *(word for _, word in owner[0].key)))
    return assessment.make(
        aggregate.lifecycle.shared,
        words={"field": text, "value": whose},
        where=one,
        aggregate=aggregate,
        run=run,
        evidence=(owner[1].candidate.last.position,),
        severity="info" if aggregate.lifecycle.reusable else None,
    )


def artefacts(lifecycle: Lifecycle, one: Delivered) -> Iterator[str]:
    """The files and urls that a delivery names."""
    payload = read_payload(lifecycle, one.data)
    for name in lifecycle.artefacts:
        value = getattr(payload, name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            for item in value:
                yield from (text for text in attrs.astuple(item) if isinstance(text, str))
