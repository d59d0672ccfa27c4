"""Findings about the log as a whole: L601, L602, L603 and T308."""

from __future__ import annotations

from collections.abc import Iterator

from tracker.findings import NO_PRICE, Code, Finding, Severity
from tracker.judging.findings.maker import make
from tracker.judging.hypothesis import micros
from tracker.judging.log import Backwards, LogView, Silence, Unsubscribed, Wrong
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
    yield from _backwards(log, rules)
    yield from _silences(log, rules)
    yield from _replays(log, rules)
    yield from _never_seen(log, rules)


L601 = Code(
    "L601",
    "delivery-gap",
    "error",
    when=(
        "No webhook came for far longer than usual, while many sessions were live. What is missing because"
        " of that is reported as well, and names this as its cause. A silence that lasts is reported while it does."
    ),
    message="{delay}, while {value} of {type} sessions were live",
    example="a hundred deliveries a minute, and then none for an hour",
    advice="Check whether your endpoint was down. Ask VideoSDK to send again what it could not deliver.",
    prices=NO_PRICE,
)


def _silences(log: LogView, rules: Rules) -> Iterator[Finding]:
    for silence in log.silences:
        delay = f"nothing came for {duration(micros(silence.until) - micros(silence.since))}"
        yield _silence(silence, delay, rules)
    if log.lasting is not None:
        yield _silence(log.lasting, f"nothing has come since {clock(micros(log.lasting.since))}", rules)


def _silence(silence: Silence, delay: str, rules: Rules) -> Finding:
    words = {"value": str(silence.live), "type": str(silence.of), "delay": delay}
    found = make(L601, rules, words, position=silence.position, at=silence.until)
    found.since = silence.since
    return found


L602 = Code(
    "L602",
    "replay",
    "info",
    when="A part of the log repeats an earlier part. Nothing in it changes a state.",
    message="the {value} deliveries up to {type} repeat earlier ones, {delay} later",
    example="an hour of webhooks, and the same hour once more on the next day",
    advice="Find out who sent them again: a queue that was stuck, or somebody who replayed a log.",
    prices=NO_PRICE,
)


def _replays(log: LogView, rules: Rules) -> Iterator[Finding]:
    for replay in log.replays():
        words = {"value": f"{replay.deliveries:,}", "type": f"#{replay.last}", "delay": duration(replay.age)}
        yield make(L602, rules, words, position=replay.first)


L603 = Code(
    "L603",
    "never-seen-type",
    "info",
    when=(
        "A type never came, in the whole log, of an account or in a room, though sessions there went on to what follows"
        " it. That it is missing is reported here once, and not in each session. Where it is an end, that is a"
        " warning, and it is asked of the whole log and of an account only: three sessions or more ended without it in which"
        " something had begun that nothing else ended in good order, or should have ended themselves."
    ),
    message="{type} never came, though {value}",
    example="a thousand recordings, and not one recording-stopping; or no session-ended, though all left ten minutes ago",
    advice="Add the type to your webhook at VideoSDK, if you want to know of it.",
    prices=NO_PRICE,
)


def _never_seen(log: LogView, rules: Rules) -> Iterator[Finding]:
    yield from (_never_seen_of(None, missing, rules) for missing in log.unsubscribed)
    for account, types in log.of_accounts.items():
        yield from (_never_seen_of(account, missing, rules) for missing in types)
    for webhook_type, rooms in sorted(log.rooms_without().items()):
        words = {
            "type": webhook_type,
            "value": f"what should follow it came in {rooms:,} {'room' if rooms == 1 else 'rooms'}",
        }
        found = make(L603, rules, words, type=webhook_type)
        found.missing = (webhook_type,)
        yield found


def _never_seen_of(account: str | None, missing: Unsubscribed, rules: Rules) -> Finding:
    """What never came, in the whole log or of an account."""
    of_it = "" if account is None else f" of account {account}"
    came = "it should have come" if missing.is_end else "what should follow it came"
    words = {"type": f"{missing.type}{of_it}", "value": f"{came} in {missing.sessions:,} sessions"}
    severity: Severity | None = "warning" if missing.is_end else None
    found = make(L603, rules, words, type=missing.type, severity=severity)
    found.lifecycle, found.missing, found.account = missing.lifecycle, (missing.type,), account
    return found


T308 = Code(
    "T308",
    "receive-time-backwards",
    "warning",
    when=(
        "The receive times of a log go back by a second or more, which is reported once a log; or a line, or a row of"
        " lines, has a receive time that cannot be true."
    ),
    message="in {value}, {type}",
    example="a line of 10:05, and behind it a line of 10:02",
    advice=(
        "Sort the log by receive time, or find out whose clock was set back. What rests on times is not"
        " reliable there."
    ),
    prices=NO_PRICE,
)


def _backwards(log: LogView, rules: Rules) -> Iterator[Finding]:
    for one in log.backwards:
        words = {"value": one.source or "the log", "type": _what_goes_back(one)}
        yield make(T308, rules, words, position=one.position, at=one.at)
    for row in log.wrong:
        words = {"value": row.place.rpartition(":")[0] or "the log", "type": _wrong(row)}
        found = make(T308, rules, words, position=row.first, at=row.at)
        found.evidence = (row.first,) if row.first == row.last else (row.first, row.last)
        yield found


def _what_goes_back(one: Backwards) -> str:
    if one.is_newest_first:
        return "the newest line stands first: the receive times go back throughout"
    delay = duration(micros(one.before) - micros(one.at))
    return f"{one.type} was received {delay} earlier than the line before it"


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
