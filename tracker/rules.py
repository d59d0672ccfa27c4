"""The rules by which deliveries are judged: windows, limits, severities; and what of it is accepted.

All windows are measured between receive times, so that a replay judges as the live run did. A
delivery without a receive time counts as inside every window.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs

from tracker.accept import Acceptance, read_entries, refuse_unknown
from tracker.errors import RulesError
from tracker.findings import CATALOGUE, SEVERITIES, Severity
from tracker.judging.prices import PRICES

MICROSECONDS = timedelta(microseconds=1)
_UNITS = {"ms": 0.001, "s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 365 * 86400
MOST = 100
"""No price is higher."""
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def _minutes(value: float) -> Any:
    return attrs.field(default=timedelta(minutes=value))


@attrs.frozen
class Rules:
    """Windows and limits. In a rules file a duration is written ``"20 min"``, ``"10 s"``, ``"12 h"``."""

    redelivery: timedelta = _minutes(20)
    """An equal copy within it is a redelivery."""
    fast_redelivery: timedelta = _minutes(1 / 6)
    """The same for a joined while inside: later it is a rejoin."""
    lateness: timedelta = _minutes(2)
    """A step that comes after its successor within it explains the gap."""
    grace: timedelta = _minutes(10)
    """After session-ended: what is still open when it has passed never finished."""
    overtaken: timedelta = _minutes(1.5)
    """A left within it after a rejoin belongs to the visit before."""
    stuck_starting: timedelta = _minutes(2)
    stuck_stopping: timedelta = _minutes(10)
    not_playable: timedelta = _minutes(2)
    """HLS that has started should be playable by then."""
    session_idle: timedelta = _minutes(24 * 60)
    """A session of which nothing is heard for so long is presumed to have ended."""
    empty: timedelta = _minutes(10)
    """A session in which nobody is inside should end by then."""
    alone: timedelta = _minutes(60)
    """Somebody who is the only one inside for longer may have been forgotten."""
    silence: timedelta = _minutes(5)
    """A shorter time in which nothing comes is no silence of the log, whatever its rate."""
    self_stop: timedelta = _minutes(1)
    """A stop without stopping this near the session's end needs no explanation."""
    severity: Mapping[str, Severity] = attrs.field(factory=dict)
    """Code -> severity, where it is not the catalogue's."""
    prices: Mapping[str, float] = attrs.field(factory=dict)
    """Assumption -> price, where it is not that of ``tracker.judging.prices``."""
    accept: tuple[Acceptance, ...] = ()
    """What is not to be reproached. Nothing is judged by it: it is marked on what is told."""

    @cached_property
    def windows(self) -> Windows:
        """The windows and limits in microseconds."""
        return Windows(**{name: getattr(self, name) // MICROSECONDS for name in WINDOWS})

    @cached_property
    def price_list(self) -> Mapping[str, float]:
        """Assumption -> price, of all assumptions."""
        return {name: price.value for name, price in PRICES.items()} | dict(self.prices)

    def severity_of(self, code: str) -> Severity:
        return self.severity.get(code) or CATALOGUE[code].severity

    def or_accept(self, entries: tuple[Acceptance, ...]) -> Rules:
        """These rules; where they accept nothing, with what these entries accept."""
        return self if self.accept else attrs.evolve(self, accept=entries)

    def written(self) -> dict[str, str]:
        """The windows and limits as a rules file has them: ``{"redelivery": "20 min"}``."""
        windows = {name: value for name, value in attrs.asdict(self).items() if isinstance(value, timedelta)}
        return {name: written(value.total_seconds()) for name, value in windows.items()}

    def fingerprint(self) -> str:
        """Sixteen hex digits that change when a rule does."""
        accept = [attrs.evolve(entry, reason="") for entry in self.accept]  # which changes nothing
        said = {**attrs.asdict(self), "accept": accept}
        said |= {"severity": sorted(self.severity.items()), "prices": sorted(self.prices.items())}
        return sha256(repr(said).encode()).hexdigest()[:16]


@attrs.frozen
class Windows:
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


@attrs.frozen
class Config:
    """What a ``tracker.toml`` says: ``data``, where the store is, ``store``, the address of one on a server,
    ``keys``, files of public keys, ``[rules]`` and ``[[accept]]``."""

    data: Path | None = None
    rules: Rules = Rules()
    keys: tuple[Path, ...] = ()
    store: str | None = None


_NAMES = [field.name for field in attrs.fields(Rules) if field.name not in ("accept", "prices")]
WINDOWS = frozenset(_NAMES) - {"severity"}
"""The names of the windows and limits."""


def load_config(path: Path) -> Config:
    """Reads a TOML file. Raises ``RulesError`` that names the file and the key at fault."""
    import tomllib  # takes long, and few have such a file

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in document:
            refuse_unknown(name, ["data", "store", "keys", "rules", "prices", "accept"], "setting")
        data, rules, keys = document.get("data"), document.get("rules", {}), document.get("keys", [])
        prices = _prices(document.get("prices", {}))
        store = document.get("store")
        if data is not None and not _is_path(data):
            raise RulesError("data is no path", hint='write data = "/var/lib/tracker"')
        if store is not None and not isinstance(store, str):
            raise RulesError("store is no address", hint='write store = "postgresql://USER@HOST/DATABASE"')
        if not isinstance(keys, list) or not all(map(_is_path, keys)):
            raise RulesError("keys is no list of paths", hint='write keys = ["videosdk.pem"]')
        if not isinstance(rules, dict):
            raise RulesError("rules is no table", hint='write [rules] and below it redelivery = "20 min"')
        accept = read_entries(document.get("accept", []))
        files = tuple(path.parent / name for name in keys)
        rules = attrs.evolve(_rules(rules), accept=accept, prices=prices)
        return Config(path.parent / data if data else None, rules, files, store)
    except FileNotFoundError as error:
        raise RulesError("there is no such file", place=str(path), hint="check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"cannot be read: {error}", place=str(path), hint="give a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise RulesError(
            f"is not TOML: {error}", place=str(path), hint='write data = "…" or [rules]'
        ) from error
    except RulesError as error:
        error.place = str(path)
        raise


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and "\x00" not in value


def _rules(table: dict[str, Any]) -> Rules:
    values: dict[str, Any] = {}
    for name, value in table.items():
        refuse_unknown(name, _NAMES, "rule")
        values[name] = _severities(value) if name == "severity" else _duration(name, value)
    return Rules(**values)


def seconds_of(text: str) -> float | None:
    """A duration as a rules file has it, in seconds; ``None`` if it is none."""
    found = _DURATION.fullmatch(text)
    return float(found[1]) * _UNITS[found[2]] if found and found[2] in _UNITS else None


def _duration(name: str, value: Any) -> timedelta:
    seconds: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str):
        seconds = seconds_of(value)
    if seconds is None or not 0 <= seconds <= _LONGEST:
        raise RulesError(
            f"{name} = {value!r} is no duration up to 365 d",
            hint='write "20 min", "10 s", "12 h" or a number of seconds',
        )
    return timedelta(seconds=seconds)


def written(seconds: float) -> str:
    """A duration as a rules file has it."""
    for unit in ("h", "min"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g} {unit}"
    return f"{seconds:g} s"


def _severities(value: Any) -> dict[str, Severity]:
    if not isinstance(value, dict):
        raise RulesError("severity is no table", hint='write [rules.severity] and below it S203 = "info"')
    for code, severity in value.items():
        refuse_unknown(code, list(CATALOGUE), "code")
        if severity not in SEVERITIES:
            raise RulesError(f"severity of {code} is {severity!r}", hint=f"choose {', '.join(SEVERITIES)}")
    return dict(value)


def _prices(table: Any) -> dict[str, float]:
    if not isinstance(table, dict):
        raise RulesError("prices is no table", hint="write [prices] and below it S207 = 8")
    for name, value in table.items():
        refuse_unknown(name, list(PRICES), "price")
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MOST:
            raise RulesError(f"the price of {name} is {value!r}", hint=f"write a number from 0 to {MOST}")
    return {name: float(value) for name, value in table.items()}
