"""A story in sentences, and as plain values for programs."""

from __future__ import annotations

from collections.abc import Iterable

from projections.status import Values, finding
from projections.story import Chapter, Fault, Reading, Story
from tracker.aggregate import delay
from tracker.envelope import isoformat
from tracker.findings import Finding
from tracker.lifecycles import REGISTRY


def told(story: Story, reading: Reading) -> list[str]:
    """What has happened by this reading, one sentence a fault."""
    if reading.faults:
        return [sentence(story, fault) for fault in _in_order(reading)]
    return [f"it is as it looks: {found.message}" for found in _standing(reading)]


def counterfactual(reading: Reading) -> str:
    """What would be if the faults had not been; empty where there are none."""
    if not reading.faults:
        return ""
    copies = [f"#{fault.position}" for fault in _in_order(reading) if fault.kind == "redelivered"]
    had = [f"{_row(copies)} not come"] if copies else []
    others = [fault for fault in _in_order(reading) if fault.kind != "redelivered"]
    had += [_had(fault, alone=len(reading.faults) == 1) for fault in others]
    codes = " and no ".join(dict.fromkeys(found.code for found in _standing(reading)))
    if codes:
        return f"had {' and '.join(had)} there would be no {codes}"
    codes = _row(dict.fromkeys(found.code for found in reading.removes))
    return f"had {' and '.join(had)}, {codes} would not have been raised and taken back"


def sentence(story: Story, fault: Fault) -> str:
    """One fault, with the positions that it is about."""
    what = _subject(story, fault)
    if fault.kind == "lost":
        return f"{what} {'was' if len(fault.types) == 1 else 'were'} lost {_where(story, fault)}"
    what = f"{what} {_place(story, fault.position)}"
    other = fault.before if fault.before is not None else fault.after
    if other is None:
        return f"{what} came late"
    beside, came = story.deliveries[other], story.deliveries[fault.position or 0]
    since = delay(beside.received_at, came.received_at)
    if fault.kind == "redelivered":
        return f"{what} is a copy of #{other}, {since} later"
    return f"{what} came late, {since} after {beside.topic} #{other}"


def values(story: Story) -> Values:
    """The whole story with the names that other programs rely on."""
    session = story.session
    return {
        "session_id": session.session_id,
        "meeting_id": session.meeting_id,
        "state": session.state,
        "chapters": [_chapter(story, chapter) for chapter in story.chapters],
        "untold": [finding(found) for found in story.untold],
        "others": [finding(found) for found in story.others],
    }


def _chapter(story: Story, chapter: Chapter) -> Values:
    return {
        "harmless": chapter.harmless,
        "exhaustive": chapter.exhaustive,
        "findings": [finding(found) for found in chapter.findings],
        "readings": [_reading(story, reading) for reading in chapter.readings],
    }


def _reading(story: Story, reading: Reading) -> Values:
    return {
        "cost": reading.cost,
        "faults": [_fault(fault) for fault in reading.faults],
        "told": told(story, reading),
        "counterfactual": counterfactual(reading) or None,
        "removes": [{"code": found.code, "position": found.position} for found in reading.removes],
    }


def _fault(fault: Fault) -> Values:
    return {
        "fault": fault.kind,
        "types": list(fault.types),
        "key": dict(fault.key),
        "position": fault.position,
        "after": fault.after,
        "before": fault.before,
        "by": isoformat(fault.by) if fault.by else None,
        "cost": fault.cost,
    }


def _standing(reading: Reading) -> list[Finding]:
    return [found for found in reading.removes if found.verdict != "retracted"]


def _subject(story: Story, fault: Fault) -> str:
    lifecycle, _ = REGISTRY.routes[fault.types[0]]
    aggregate = story.session.aggregates.get((lifecycle.name, fault.key))
    whose = aggregate.label if aggregate and lifecycle.visits else ""
    whose = whose or " ".join(value for _, value in fault.key)
    return f"{_row(fault.types)} of {whose}" if whose else _row(fault.types)


def _row(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _in_order(reading: Reading) -> list[Fault]:
    """The faults as they are told: in the order of the log. They are undone in the order of the reading."""
    return sorted(reading.faults, key=lambda fault: fault.position or fault.after or fault.before or 0)


def _where(story: Story, fault: Fault) -> str:
    after, before = _place(story, fault.after), _place(story, fault.before)
    if after and before:
        return f"between {after} and {before}"
    return f"after {after}" if after else f"before {before}"


def _place(story: Story, position: int | None) -> str:
    """A position with its time."""
    at = story.deliveries[position].received_at if position is not None else None
    time = f" ({at:%H:%M:%S})" if at is not None else ""
    return "" if position is None else f"#{position}{time}"


def _had(fault: Fault, *, alone: bool) -> str:
    if fault.kind == "lost":
        plural = len(fault.types) > 1
        return f"{'they' if plural else 'it'} come" if alone else f"{_row(fault.types)} come"
    if fault.by is not None:
        return f"#{fault.position} come by {fault.by:%H:%M:%S}"
    place = f"before #{fault.before}" if fault.before is not None else f"soon after #{fault.after}"
    return f"#{fault.position} come {place}"
