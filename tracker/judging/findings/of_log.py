"""Findings about the log as a whole: L601, L602, L603 and T308."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tracker.findings import CATALOGUE, Finding, Severity
from tracker.judging.hypothesis import micros
from tracker.judging.log import Backwards, LogView, Silence, Wrong
from tracker.judging.words import clock, duration
from tracker.rules import Rules

__all__ = ["STREAM", "of_log"]

STREAM = "log:"
"""In place of a session's stream, for what is found about the log."""


def of_log(log: LogView, rules: Rules) -> Iterator[Finding]:
    """What is found about the log itself, numbered from 1."""
    for number, found in enumerate(_found(log, rules), 1):
        found.number = -number  # those of sessions count upwards, so two at one position differ
        yield found


def _found(log: LogView, rules: Rules) -> Iterator[Finding]:
    for one in log.backwards:
        words = {"value": one.source or "the log", "type": _backwards(one)}
        yield _make("T308", rules, words, position=one.position, at=one.at)
    for row in log.wrong:
        words = {"value": row.place.rpartition(":")[0] or "the log", "type": _wrong(row)}
        found = _make("T308", rules, words, position=row.first, at=row.at)
        found.evidence = (row.first,) if row.first == row.last else (row.first, row.last)
        yield found
    for silence in log.silences:
        delay = f"nothing came for {duration(micros(silence.until) - micros(silence.since))}"
        yield _silence(silence, delay, rules)
    if log.lasting is not None:
        yield _silence(log.lasting, f"nothing has come since {clock(micros(log.lasting.since))}", rules)
    for replay in log.replays():
        words = {"value": f"{replay.deliveries:,}", "type": f"#{replay.last}", "delay": duration(replay.age)}
        yield _make("L602", rules, words, position=replay.first)
    for missing in log.unsubscribed:
        words = {"type": missing.type, "value": f"in {missing.sessions:,} sessions"}
        severity: Severity | None = "warning" if missing.is_end else None
        yield _make("L603", rules, words, lifecycle=missing.lifecycle, type=missing.type, severity=severity)
    for webhook_type, rooms in sorted(log.rooms_without().items()):
        words = {"type": webhook_type, "value": f"in {rooms:,} {'room' if rooms == 1 else 'rooms'}"}
        yield _make("L603", rules, words, type=webhook_type)


def _silence(silence: Silence, delay: str, rules: Rules) -> Finding:
    words = {"value": str(silence.live), "type": str(silence.of), "delay": delay}
    found = _make("L601", rules, words, position=silence.position, at=silence.until)
    found.since = silence.since
    return found


def _backwards(one: Backwards) -> str:
    if one.is_newest_first:
        return "the newest line stands first: the receive times go back throughout"
    delay = duration(micros(one.before) - micros(one.at))
    return f"{one.type} was received {delay} before what stands in front of it"


def _wrong(row: Wrong) -> str:
    """Which lines are wrong, what they say, and what is believed instead."""
    first, last = (one.rpartition(":")[2] for one in (row.place, row.end))
    said, at = micros(row.said), micros(row.at)
    if first == last:
        words = (
            f"line {first} says {clock(said, at)}, which cannot be true; {clock(at, said)} is believed instead"
        )
    else:
        ends = clock(micros(row.said_last), at), clock(micros(row.until), said)
        words = f"lines {first} to {last} say {clock(said, at)} to {ends[0]}, which cannot be true"
        words += f"; {clock(at, said)} to {ends[1]} is believed instead"
    return f"{words}; {row.more:,} more lines behind it have such times" if row.more else words


def _make(
    code: str,
    rules: Rules,
    words: dict[str, str],
    *,
    position: int | None = None,
    at: datetime | None = None,
    lifecycle: str | None = None,
    type: str | None = None,
    severity: Severity | None = None,
) -> Finding:
    entry = CATALOGUE[code]
    return Finding(
        number=0,
        code=code,
        slug=entry.slug,
        severity=rules.severity.get(code) or severity or entry.severity,
        verdict="settled",
        session_id=None,
        meeting_id=None,
        lifecycle=lifecycle,
        key={},
        run=None,
        position=position,
        evidence=() if position is None else (position,),
        at=at,
        state_before=None,
        state_after=None,
        expected=(),
        message=entry.message.format_map(words),
        advice=entry.advice,
        type=type,
    )
