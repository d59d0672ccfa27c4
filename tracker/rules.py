"""The rules by which deliveries are judged: windows, limits, severities; and what of it is accepted.

These are values; ``config`` reads them from a file. All windows are measured between receive times, so
that a replay judges as the live run did. A delivery without a receive time counts as inside every window.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property

import msgspec
from msgspec.structs import asdict, replace

from tracker.accept import Acceptance
from tracker.blake2b import blake2b
from tracker.findings import Code, Severity
from tracker.judging.prices import PRICES

MICROSECONDS = timedelta(microseconds=1)
_DAY = 86400
_UNITS = {
    "ms": 0.001,
    "s": 1,
    "sec": 1,
    "min": 60,
    "m": 60,
    "h": 3600,
    "d": _DAY,
    "w": 7 * _DAY,
    "y": 365 * _DAY,
}
DURATIONS = '"10 s", "20 min", "12 h", "1 d", "2 w" or "1 y"'
"""What to write, with each unit."""
_LONGEST = 1000 * _UNITS["y"]
_DURATION = r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*"


class Rules(msgspec.Struct, frozen=True, dict=True):
    """Windows and limits. A duration is written as ``seconds_of`` reads it: ``"20 min"``."""

    redelivery: timedelta = timedelta(minutes=20)
    """An older copy costs more, until the log itself shows how old copies are."""
    fast_redelivery: timedelta = timedelta(seconds=10)
    """An equal copy within it needs no explanation."""
    lateness: timedelta = timedelta(minutes=2)
    """A step that comes later than that after one that follows it costs more."""
    grace: timedelta = timedelta(minutes=10)
    """How long after the session's end a run may still end; what is open then never finished."""
    overtaken: timedelta = timedelta(seconds=90)
    """A left within it after a rejoin belongs to the visit before."""
    stuck_starting: timedelta = timedelta(minutes=2)
    """A run that is starting for longer hangs."""
    stuck_stopping: timedelta = timedelta(minutes=10)
    """A run that is stopping for longer hangs."""
    not_playable: timedelta = timedelta(minutes=2)
    """HLS that has started should be playable by then."""
    session_idle: timedelta = timedelta(hours=24)
    """A session of which nothing comes for so long is presumed to have ended."""
    empty: timedelta = timedelta(minutes=10)
    """A session in which nobody is inside should end by then."""
    alone: timedelta = timedelta(minutes=60)
    """Somebody who is the only one inside for longer may have been forgotten."""
    silence: timedelta = timedelta(minutes=5)
    """A shorter time without any delivery is no silence of the log, whatever its rate."""
    self_stop: timedelta = timedelta(minutes=1)
    """A stop without stopping this near the session's end needs no explanation."""
    severity: Mapping[str, Severity] = msgspec.field(default_factory=dict)
    """Code -> severity, where it is not the catalogue's."""
    prices: Mapping[str, float] = msgspec.field(default_factory=dict)
    """Assumption -> price, where it is not that of ``tracker.judging.prices``."""
    accept: tuple[Acceptance, ...] = ()
    """What is known and has a reason. Nothing is judged by it: it is marked on what was found."""

    @cached_property
    def windows(self) -> Windows:
        """The windows and limits in microseconds."""
        return Windows(**{name: getattr(self, name) // MICROSECONDS for name in WINDOWS})

    @cached_property
    def price_list(self) -> Mapping[str, float]:
        """Assumption -> price, of all assumptions."""
        return {name: price.value for name, price in PRICES.items()} | dict(self.prices)

    def severity_of(self, code: Code) -> Severity:
        """How grave its findings are, where the case does not decide it."""
        return self.severity.get(code.code) or code.severity

    def or_accept(self, entries: tuple[Acceptance, ...]) -> Rules:
        """These rules; where they accept nothing, with what these entries accept."""
        return self if self.accept else replace(self, accept=entries)

    def written(self) -> dict[str, str]:
        """The windows and limits as a rules file has them: ``{"redelivery": "20 min"}``."""
        windows = {name: value for name, value in asdict(self).items() if isinstance(value, timedelta)}
        return {name: written(value.total_seconds()) for name, value in windows.items()}

    def fingerprint(self) -> str:
        """Sixteen hex digits that change when a rule does."""
        accept = [replace(entry, reason="") for entry in self.accept]  # which changes nothing
        said = {**asdict(self), "accept": accept}
        said |= {"severity": sorted(self.severity.items()), "prices": sorted(self.prices.items())}
        return blake2b(repr(said).encode(), digest_size=8).hexdigest()


class Windows(msgspec.Struct, frozen=True):
    """The windows and limits of ``Rules`` in microseconds."""

    redelivery: int
    fast_redelivery: int
    lateness: int
    grace: int
    overtaken: int
    stuck_starting: int
    stuck_stopping: int
    not_playable: int
    session_idle: int
    empty: int
    alone: int
    silence: int
    self_stop: int


WINDOWS = frozenset(Rules.__struct_fields__) - {"severity", "prices", "accept"}
"""The names of the windows and limits."""


def seconds_of(text: str) -> float | None:
    """A duration in seconds, as it is written everywhere (``DURATIONS``, with or without the blank).

    ``None`` if it is none, or longer than any calendar goes back.
    """
    found = re.fullmatch(_DURATION, text)
    seconds = float(found[1]) * _UNITS[found[2]] if found and found[2] in _UNITS else None
    return None if seconds is None or seconds > _LONGEST else seconds


def written(seconds: float) -> str:
    """A duration as a rules file has it."""
    for unit in ("h", "min"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g} {unit}"
    return f"{seconds:g} s"
