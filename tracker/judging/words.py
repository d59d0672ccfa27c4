"""Times and durations in the sentences of findings."""

from __future__ import annotations

from collections.abc import Sequence

from tracker.judging.hypothesis import moment

__all__ = ["activity", "clock", "duration", "listed"]


def duration(microseconds: int | None) -> str:
    """How long something took, in at most two units and rounded: ``"1 h 4 min"``, ``"12.5 s"``."""
    if microseconds is None:
        return "some time"
    seconds = max(0.0, microseconds / 1_000_000)
    if float(words := f"{seconds:.3g}") < 60:
        return f"{words} s"
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if minutes < 60:
        return f"{minutes} min"
    is_short = minutes < 24 * 60
    whole, rest = divmod(minutes, 60) if is_short else divmod(hours, 24)
    unit, part = ("h", "min") if is_short else ("d", "h")
    return f"{whole} {unit} {rest} {part}" if rest else f"{whole} {unit}"


def clock(at: int | None, beside: int | None = None) -> str:
    """``14:29:52 UTC``; with its date where ``beside``, in the same sentence, is on another day."""
    if at is None:
        return "an unknown time"
    time = moment(at)
    other = moment(beside) if beside is not None else None
    same_day = other is None or time.date() == other.date()
    return f"{time:%H:%M:%S} UTC" if same_day else f"{time:%Y-%m-%d %H:%M:%S} UTC"


def activity(state: str) -> str:
    """What a run does in a state, behind *while* or *was still*: ``running``, where its state is ``started``."""
    return _ACTIVITIES.get(state, state)


_ACTIVITIES = {"started": "running", "playable": "playing"}


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if not names:
        return ""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
