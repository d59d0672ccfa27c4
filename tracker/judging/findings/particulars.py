"""What only some of the messages about a run say: that its file came, which fields differ, what other runs did meanwhile."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from operator import attrgetter

import msgspec

from tracker import codes
from tracker.judging.hypothesis import Delivered
from tracker.judging.sequence import Assumption
from tracker.judging.state import Aggregate, Run
from tracker.judging.words import activity, clock, duration

__all__ = ["particulars", "taken_otherwise"]

_decode = msgspec.json.Decoder(dict[str, object]).decode
Words = dict[str, str]


def particulars(aggregate: Aggregate, run: Run, one: Assumption, lateness: int) -> Words:
    """What the message about what a run assumes says beside when and where; ``lateness`` is in microseconds."""
    add = _WORDS.get(one.code)
    words = add(aggregate, run, one) if add else {}
    if one.code in _NEVER_CAME and one.missing:
        begin = min(run.candidate.began, one.where.at - lateness)
        words["value"] = words.get("value", "") + taken_otherwise(aggregate, run, one.missing, one.where, begin)
    return words


def taken_otherwise(
    aggregate: Aggregate, run: Run, missing: Collection[str], where: Delivered, begin: int
) -> str:
    """That a step that a run lacks came all the same, from ``begin`` on and before ``where``, and of which run it is held to be."""
    for other in _before(aggregate, where):
        if other.at < begin:
            break
        number = aggregate.run_of.get(other.position) if other.step.name in missing else None
        if number is not None and number != run.number:
            webhook_type = aggregate.lifecycle.webhook_type(other.step.name)
            when = f" of {clock(other.at, where.at)}" if other.timed else ""
            return f"; the {webhook_type}{when} probably belongs to run {number}"
    return ""


def _before(aggregate: Aggregate, where: Delivered) -> Iterator[Delivered]:
    """What came of it before a delivery, the latest first."""
    came = aggregate.deliveries
    for place in range(bisect_left(came, where.order, key=attrgetter("order")) - 1, -1, -1):
        yield came[place]


def _whether_its_file_came(aggregate: Aggregate, run: Run, one: Assumption) -> Words:
    """That nothing is missing but the webhook, where the run has brought its file."""
    lifecycle = aggregate.lifecycle
    if lifecycle.reusable or not lifecycle.artefacts:
        return {}
    came = any(each.evidence for each in run.candidate.originals.values())
    return {"value": "; its file came all the same" if came else ""}


def _which_fields(aggregate: Aggregate, run: Run, one: Assumption) -> Words:
    """Which fields differ: ``"filePath /a.mp4, then /b.mp4"``."""
    if one.since is None:
        return {}
    before, after = _decode(one.since.data), _decode(one.where.data)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    differing = [f"{name} {_shown(before.get(name))}, then {_shown(after.get(name))}" for name in names[:3]]
    return {"value": "; ".join(differing)}


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_LONGEST = 80


def _which_url(aggregate: Aggregate, run: Run, one: Assumption) -> Words:
    """Which url differs, and what it is now."""
    since = one.since
    name = aggregate.lifecycle.differing(since.data, one.where.data) if since is not None else ""
    return {"field": name, "value": str(_decode(one.where.data).get(name))}


def _what_it_had(aggregate: Aggregate, run: Run, one: Assumption) -> Words:
    before = one.since.step.state if one.since is not None else run.candidate.state.state
    return {"state": before}


def _how_the_next_run_began(aggregate: Aggregate, run: Run, one: Assumption) -> Words:
    """When the next run began, beside the last that came of this one, which may have come later."""
    step, since = one.where.step, one.since
    webhook_type = aggregate.lifecycle.webhook_type(step.name)
    is_stop = step.closes or aggregate.lifecycle.is_stopping(step.state)
    is_earlier = since is not None and one.where.order < since.order
    apart = duration(abs(one.where.at - since.at) if since is not None and one.where.timed else None)
    begin = f"{'had begun' if is_earlier else 'began'} the next run"
    if is_stop:
        begin = f"{'had come' if is_earlier else 'came'} first of the next run"
    return {"value": f"{webhook_type} {begin} {apart} {'before that' if is_earlier else 'later'}"}


def _what_was_running(aggregate: Aggregate, run: Run, one: Assumption) -> Words:
    """What was running when something stopped or failed that had not begun: another run, or nothing."""
    verb = "failed" if one.where.step.outcome else "stopped"
    going = _going_on(aggregate, run, one.where)
    if going is None:
        return {"state": f"nothing was running that {'could fail' if verb == 'failed' else 'it could stop'}"}
    other, doing = going
    name = f"{aggregate.lifecycle.name.replace('-', ' ')} run {other.number}"
    return {"state": f"{name}, which was {doing} then, is not what {verb}"}


def _going_on(aggregate: Aggregate, run: Run, where: Delivered) -> tuple[Run, str] | None:
    """The run that had begun last when something of another one came, if it had not ended, and what it was doing."""
    begun = aggregate.begun
    place = bisect_left(begun, where.order, key=lambda other: other.candidate.first.order) - 1
    if place < 0 or begun[place] is run:
        return None
    rank, other = aggregate.lifecycle.rank, begun[place]
    came = [one for one in other.candidate.originals.values() if one.order < where.order]
    last = max(came, key=lambda one: rank[one.step.name])
    return None if last.step.closes else (other, activity(last.step.state))


def _what_was_stopped(aggregate: Aggregate, run: Run, one: Assumption) -> Words:
    return _what_was_running(aggregate, run, one) | _whether_its_file_came(aggregate, run, one)


_WORDS: dict[str, Callable[[Aggregate, Run, Assumption], Words]] = {
    codes.S201.code: _whether_its_file_came,
    codes.S202.code: _whether_its_file_came,
    codes.S205.code: _what_was_stopped,
    codes.S206.code: _what_was_running,
    codes.S207.code: _how_the_next_run_began,
    codes.S209.code: _what_it_had,
    codes.S214.code: _which_fields,
    codes.C502.code: _which_url,
    codes.C504.code: _which_fields,
    codes.C516.code: _which_fields,
}
"""What only some of the messages say."""

_NEVER_CAME = {codes.S201.code, codes.S202.code, codes.S203.code}
