"""Findings about what the payloads say, and about single deliveries that show something by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache

from tracker import codes
from tracker.delivery.payload import read_fields, read_text, read_times, values_in
from tracker.delivery.webhook import PING
from tracker.findings import NO_PRICE, Code, Finding, codes_in
from tracker.judging.findings.maker import Assessment, Finder
from tracker.judging.hypothesis import PRECISION, Delivered
from tracker.judging.state import Aggregate, Run
from tracker.lifecycle import Lifecycle, camel_case

__all__ = ["finders", "of_deliveries", "shared"]


C501 = Code(
    "C501",
    "identity-conflict",
    "error",
    when="One session id came with two meeting ids. The first one is kept.",
    message="{type} names the meeting {value}, but this session belongs to {state}",
    example="two participant-joined with one sessionId and two meetingIds",
    advice="Look for a handler or a test that mixes up ids.",
    prices=NO_PRICE,
)
C509 = Code(
    "C509",
    "unknown-type",
    "warning",
    when="A webhook type that this program does not know. Reported once a type and session.",
    message="{value}",
    example="recording-paused",
    advice=(
        "If it is a new type of VideoSDK, declare it: one file in `tracker/lifecycles`. If it is a typing"
        " error, find the sender."
    ),
    prices=NO_PRICE,
)
C511 = Code(
    "C511",
    "missing-field",
    "error",
    when=(
        "A webhook lacks a field that says what it belongs to. It is kept among the unrouted. An info where"
        " somebody tried out the endpoint before the first webhook came."
    ),
    message="it is not known what {type} belongs to: {value}",
    example="participant-joined without a participantId",
    advice="Look at it with `tracker timeline unrouted`, or in the timeline of its session.",
    prices=NO_PRICE,
)
C513 = Code(
    "C513",
    "malformed-body",
    "error",
    when=(
        "What came is not JSON, or not an object. The bytes are kept. An info where somebody tried out the"
        " endpoint before the first webhook came."
    ),
    message="this is not a webhook: {value}",
    example="a body that ends with a trailing comma",
    advice="Find out who wrote it: the writer of the log, or a proxy that cut it off.",
    prices=NO_PRICE,
)
C514 = Code(
    "C514",
    "bad-signature",
    "error",
    when="A delivery was imported with a signature that does not fit its body. Reported once a session.",
    message="the signature of {type} does not fit its body",
    example="a log that keeps the signature, and of the body only what was parsed and written again",
    advice="Keep bodies as they came, byte for byte. If yours are, somebody else has sent this one.",
    prices=NO_PRICE,
)
C517 = Code(
    "C517",
    "two-accounts",
    "warning",
    when=(
        "Webhooks of one session came for two accounts. It counts as one of the account that came first. Reported once an"
        " account."
    ),
    message="webhooks of this session came for two accounts, {value}",
    example="session-started at /webhooks/acme, and its participant-joined at /webhooks/beta",
    advice=(
        "Look which webhooks of VideoSDK lead to both paths, or which logs were read for the wrong account."
        " `tracker timeline` with `--account` shows what came for each."
    ),
    prices=NO_PRICE,
)
ODD = codes_in(globals())
"""What a single delivery may show by itself, as it is observed."""


def of_deliveries(assessment: Assessment) -> Iterator[Finding]:
    """C501, C509, C511, C513, C514, C517: what single deliveries show by themselves."""
    for odd in assessment.observed.odd:
        words = {"type": odd.type, "value": odd.value, "state": assessment.observed.meeting_id or ""}
        is_mild = odd.is_mild or (odd.value == PING and assessment.observed.is_before_all)
        found = assessment.make(
            ODD[odd.code],
            words=words,
            at=odd.at,
            position=odd.position,
            type=odd.type,
            severity="info" if is_mild else None,
        )
        found.lifecycle, found.key = odd.lifecycle, dict(odd.key)
        yield found


C507 = Code(
    "C507",
    "missing-artefact",
    "warning",
    when="A webhook came without the file or url that it should bring, and none came later.",
    message="{type} came without {field}",
    example="recording-stopped with neither filePath nor fileUrl",
    advice="Look in your own storage, if recordings go there; otherwise ask VideoSDK with the session's id.",
    prices=NO_PRICE,
)


def _missing_artefacts(assessment: Assessment, aggregate: Aggregate) -> Iterator[Finding]:
    """C507: a step came without what it should bring, and nothing brought it later."""
    for run in aggregate.runs:
        for one in run.candidate.originals.values():
            names = one.step.brings
            if not names or one.evidence or any(read_fields(aggregate.lifecycle, one.data, names)):
                continue
            if not any(other.evidence for _, other in run.candidate.others):
                words = {"field": " or ".join(map(camel_case, names))}
                until = one.at + assessment.context.windows.lateness
                yield assessment.make(C507, words=words, where=one, aggregate=aggregate, run=run, until=until)


C510 = Code(
    "C510",
    "deprecated-field",
    "info",
    when="A webhook has a field that VideoSDK no longer documents.",
    message="{type} has {field}, and {value} took its place",
    example="hls-started with downstreamUrl",
    advice="Read the new field too, before the old one disappears.",
    prices=NO_PRICE,
)


def _deprecated(assessment: Assessment, aggregate: Aggregate) -> Iterator[Finding]:
    """C510: a field that is no longer documented; of each run the first webhook that has it."""
    for old, quoted, words in _sent_names(aggregate.lifecycle):
        for run in aggregate.runs:
            for one in run.candidate.originals.values():
                if quoted in one.data and any(read_fields(aggregate.lifecycle, one.data, [old])):
                    yield assessment.make(C510, words=words, where=one, aggregate=aggregate, run=run)
                    break


@cache
def _sent_names(lifecycle: Lifecycle) -> tuple[tuple[str, bytes, dict[str, str]], ...]:
    """Of each field that is deprecated its name, that as it stands in a body, and the words for it."""
    names = [(old, camel_case(old), camel_case(new)) for old, new in lifecycle.deprecated.items()]
    return tuple((old, b'"%s"' % sent.encode(), {"field": sent, "value": new}) for old, sent, new in names)


T305 = Code(
    "T305",
    "invalid-time",
    "warning",
    when="A clock time in a webhook is not a valid time. The text is kept, and no time is taken from it.",
    message="the {field} in {type} is not a valid time: {value}",
    example='"end": "2022-07-05T15:60:35.047+00:00" has a minute 60',
    advice="Use the receive time instead.",
    prices=NO_PRICE,
)
T306 = Code(
    "T306",
    "end-before-start",
    "error",
    when="The session's end lies before its start.",
    message="the {field} in {type} lies before the session's start: {value}",
    example='"start": "…T10:00:00Z", "end": "…T09:00:00Z"',
    advice="Use the receive times; how long the session took by its own clock is unknown.",
    prices=NO_PRICE,
)


def _times(assessment: Assessment, aggregate: Aggregate) -> Iterator[Finding]:
    """C503, T305, T306: the clock times that it says."""
    lifecycle = aggregate.lifecycle
    for run in aggregate.runs:
        known: dict[str, datetime] = {}
        for one in run.candidate.originals.values():
            earlier = None
            for name, text, time in read_times(lifecycle, one.data):
                code = None
                if time is None:
                    code = T305
                elif lifecycle.retimed and abs(known.setdefault(name, time) - time) > PRECISION:
                    code = codes.C503
                elif earlier is not None and time < earlier:
                    code = T306
                if code is not None:
                    words = {"field": name, "value": text}
                    yield assessment.make(code, words=words, where=one, aggregate=aggregate, run=run)
                earlier = time or earlier


C515 = Code(
    "C515",
    "ended-by-error",
    "warning",
    when="session-ended says that an error ended the session.",
    message="the session was ended by an error: {value}",
    example="session-ended with an error in its data",
    advice="Ask VideoSDK with the session's id, and tell the people who were cut off.",
    prices=NO_PRICE,
)


def _error(assessment: Assessment, aggregate: Aggregate) -> Iterator[Finding]:
    """C515: the session was ended by an error."""
    for run in aggregate.runs:
        for one in run.candidate.originals.values():
            if one.step.closes and b'"error"' in one.data and (error := read_text(one.data, "error")):
                yield assessment.make(C515, words={"value": error}, where=one, aggregate=aggregate, run=run)


C505 = Code(
    "C505",
    "renamed",
    "info",
    when="The same id came with another name.",
    message="{name} is now called {value}",
    example='participantName "Ann", later "Ann (phone)"',
    advice="Nothing to do. Do not use names as keys.",
    prices=NO_PRICE,
)


def _renamed(assessment: Assessment, aggregate: Aggregate) -> Iterable[Finding]:
    """C505: the same id came with another name."""
    said = {one.data for run in aggregate.runs for one in run.candidate.originals.values()}
    return _names_in_turn(assessment, aggregate) if len(said) > 1 else ()


def _names_in_turn(assessment: Assessment, aggregate: Aggregate) -> Iterator[Finding]:
    label = ""
    for run in aggregate.runs:
        for one in run.candidate.originals.values():
            name = aggregate.lifecycle.name_in(one.data)
            if label and name and name != label:
                words = {"name": label, "value": name}
                yield assessment.make(C505, words=words, where=one, aggregate=aggregate, run=run)
            label = name or label


def finders(lifecycle: Lifecycle) -> tuple[Finder, ...]:
    """What may find something in the payloads of one aggregate: C503, C505, C507, C510, C515, T305, T306."""
    found: dict[Finder, object] = {
        _missing_artefacts: any(step.brings for step in lifecycle.steps),
        _deprecated: lifecycle.deprecated,
        _times: lifecycle.times,
        _error: lifecycle.is_session,
        _renamed: lifecycle.is_presence and lifecycle.label,
    }
    return tuple(find for find, applies in found.items() if applies)


def shared(assessment: Assessment) -> Iterator[Finding]:
    """C508: two runs of one lifecycle brought the same file or url."""
    every = assessment.session.aggregates.values()
    runs = [(one, run) for one in every if one.lifecycle.shared for run in one.runs]
    if len(runs) < 2:
        return
    counted = Counter([aggregate.lifecycle.name for aggregate, _ in runs])
    owners: dict[tuple[str, str], tuple[Aggregate, Run]] = {}
    for aggregate, run in runs:
        lifecycle = aggregate.lifecycle
        for one in run.candidate.originals.values():
            if not one.evidence or counted[lifecycle.name] == 1:
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
        codes.C508,
        words={"field": text, "value": whose},
        where=one,
        aggregate=aggregate,
        run=run,
        evidence=(owner[1].candidate.last.position,),
        severity="info" if aggregate.lifecycle.reusable else None,
    )


def artefacts(lifecycle: Lifecycle, one: Delivered) -> Iterator[str]:
    """The files and urls that a delivery names."""
    for value in read_fields(lifecycle, one.data, lifecycle.artefacts):
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            for item in value:
                yield from (text for text in values_in(item) if isinstance(text, str))
