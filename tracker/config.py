"""The configuration: a ``tracker.toml`` read, with an error that names the key at fault and what to write.

What it may say is known elsewhere: the windows in ``rules``, the prices in ``judging.prices``, the codes in
the catalogue. Here the names in the file are compared with those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from tracker.accept import Acceptance
from tracker.delivery.envelope import ACCOUNT_HINT, is_account
from tracker.errors import RulesError
from tracker.findings import SEVERITIES, Severity
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.prices import PRICES
from tracker.retention import Retention, retention_of
from tracker.rules import WINDOWS, Rules
from tracker.toml import are_paths, duration, each, is_path, place_in, refuse_unknown

if TYPE_CHECKING:
    from tracker.alert import Alert
    from tracker.relay import Relay

MOST = 100
"""No price is higher."""
SETTINGS = (
    "data",
    "store",
    "tz",
    "keys",
    "accounts",
    "intake",
    "rules",
    "prices",
    "accept",
    "alert",
    "relay",
    "otel",
    "reconcile",
    "retention",
)
"""What a configuration file may hold."""
INTAKE = ("webhook_field", "time_field")
_FIELDS = Acceptance.__struct_fields__
_NAMES = [name for name in Rules.__struct_fields__ if name in {*WINDOWS, "severity"}]


class Reconcile(msgspec.Struct, frozen=True):
    """What ``[reconcile]`` says of VideoSDK's REST API.

    Attributes:
        base: The address of the API, as `--base`; by default VideoSDK's own.
        budget: How many requests a minute may be made, as `--budget`; by default 60.
        api_key: The file that holds the API key of the account.
        api_secret: The file that holds its secret.
    """

    base: str | None = None
    budget: int | None = None
    api_key: Path | None = None
    api_secret: Path | None = None


class Config(msgspec.Struct, frozen=True):
    """What a ``tracker.toml`` says: ``data``, where the store is, ``store``, the address of one on a server,
    ``keys``, files of public keys, ``accounts``, the same of each account, ``tz``, the time zone of times that name
    none, ``[rules]`` and ``[[accept]]``; ``intake`` says where logs have webhook and time, dotted, as
    ``("detail.raw", "")``; ``alerts`` are ``[[alert]]``, ``otel`` is where ``[otel]`` has traces sent,
    ``reconcile`` is ``[reconcile]``, ``relays`` are ``[[relay]]``, and ``retention`` is ``[retention]``."""

    data: Path | None = None
    rules: Rules = Rules()
    keys: tuple[Path, ...] = ()
    store: str | None = None
    tz: str | None = None
    intake: tuple[str, str] = ("", "")
    accounts: Mapping[str, tuple[Path, ...]] = msgspec.field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    otel: str | None = None
    reconcile: Reconcile = Reconcile()
    relays: tuple[Relay, ...] = ()
    retention: Retention = Retention()


def load_config(path: Path) -> Config:
    """Reads a TOML file. Raises ``RulesError`` that names the file, the key at fault, and the line where that is certain."""
    import tomllib  # takes long, as do those below, and few have such a file

    from tracker.sending import alerts_in, collector_in, relays_in

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in document:
            refuse_unknown(name, SETTINGS, "setting")
        data, rules, keys = document.get("data"), document.get("rules", {}), document.get("keys", [])
        prices = _prices(document.get("prices", {}))
        store = document.get("store")
        if data is not None and not is_path(data):
            raise RulesError("data is no path", hint='write data = "/var/lib/tracker"')
        if store is not None and not isinstance(store, str):
            raise RulesError("store is no address", hint='write store = "postgresql://USER@HOST/DATABASE"')
        tz = document.get("tz")
        if tz is not None and not (isinstance(tz, str) and tz):
            raise RulesError("tz is no time zone", hint='write tz = "Europe/Berlin"')
        if not are_paths(keys):
            raise RulesError("keys is no list of paths", hint='write keys = ["videosdk.pem"]')
        accounts = _accounts(document.get("accounts", {}), path.parent)
        if not isinstance(rules, dict):
            raise RulesError("rules is no table", hint='write [rules] and below it redelivery = "20 min"')
        intake = _intake(document.get("intake", {}))
        accept = read_entries(document.get("accept", []))
        files = tuple(path.parent / name for name in keys)
        rules = replace(_rules(rules), accept=accept, prices=prices)
        alerts = alerts_in(document.get("alert", []), path.parent, accounts)
        relays = relays_in(document.get("relay", []), path.parent, accounts)
        otel = collector_in(document.get("otel"))
        reconcile = _reconcile(document.get("reconcile", {}), path.parent)
        retention = retention_of(document.get("retention", {}), path.parent)
        place = path.parent / data if data else None
        return Config(
            place, rules, files, store, tz, intake, accounts, alerts, otel, reconcile, relays, retention
        )
    except FileNotFoundError as error:
        raise RulesError("there is no such file", place=str(path), hint="check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"cannot be read: {error}", place=str(path), hint="give a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise RulesError(
            f"is not TOML: {error}", place=str(path), hint='write data = "…" or [rules]'
        ) from error
    except RulesError as error:
        error.place = place_in(path, error)
        raise


def _intake(table: Any) -> tuple[str, str]:
    hint = 'write [intake] and below it webhook_field = "detail.raw"'
    if not isinstance(table, dict):
        raise RulesError("intake is no table", hint=hint)
    for name, value in table.items():
        refuse_unknown(name, INTAKE, "setting of intake")
        if not isinstance(value, str) or "" in value.split("."):
            raise RulesError(f"{name} is no field", hint=hint)
    webhook, time = (table.get(name, "") for name in INTAKE)
    return webhook, time


def _reconcile(table: Any, beside: Path) -> Reconcile:
    hint = 'write [reconcile] and below it api_key = "videosdk.key" and api_secret = "videosdk.secret"'
    if not isinstance(table, dict):
        raise RulesError("reconcile is no table", hint=hint)
    for name in table:
        refuse_unknown(name, Reconcile.__struct_fields__, "setting of reconcile")
    base, budget = table.get("base"), table.get("budget")
    if base is not None and not isinstance(base, str):
        raise RulesError("base is no address", hint='write base = "https://api.videosdk.live"')
    if budget is not None and (type(budget) is not int or budget < 1):
        raise RulesError(f"budget = {budget!r} is no number of requests a minute", hint="write budget = 60")
    files = {name: table[name] for name in ("api_key", "api_secret") if name in table}
    for name, value in files.items():
        if not is_path(value):
            raise RulesError(f"{name} is no path of a file", hint=hint)
    return Reconcile(base, budget, **{name: beside / value for name, value in files.items()})


def _accounts(table: Any, beside: Path) -> dict[str, tuple[Path, ...]]:
    hint = 'write [accounts] and below it acme = "acme.pem", or acme = [] where it has the keys of keys'
    if not isinstance(table, dict):
        raise RulesError("accounts is no table", hint=hint)
    found = {}
    for name, value in table.items():
        if not is_account(name):
            raise RulesError(f"{name!r} cannot be the name of an account", hint=ACCOUNT_HINT)
        paths = [value] if isinstance(value, str) else value
        if not are_paths(paths):
            raise RulesError(f"the keys of account {name} are no paths", hint=hint)
        found[name] = tuple(beside / one for one in paths)
    return found


def _rules(table: dict[str, Any]) -> Rules:
    values: dict[str, Any] = {}
    for name, value in table.items():
        refuse_unknown(name, _NAMES, "rule")
        values[name] = _severities(value) if name == "severity" else duration(name, value)
    return Rules(**values)


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


def read_entries(value: Any) -> tuple[Acceptance, ...]:
    """The ``[[accept]]`` tables of a TOML file. Raises ``RulesError`` that names the entry at fault."""
    return each("accept", value, 'code = "S203" and reason = "…"', _entry)


def refuse_unknown_lifecycles(entries: Sequence[Acceptance], lifecycles: Iterable[str], path: Path) -> None:
    """Raises ``RulesError`` for an entry of this file that could never cover anything."""
    known = list(lifecycles)
    for number, entry in enumerate(entries, 1):
        try:
            if entry.lifecycle is not None:
                refuse_unknown(entry.lifecycle, known, f"lifecycle in accept entry {number},")
        except RulesError as error:
            error.entry = "accept", number, len(entries)
            error.place = place_in(path, error)
            raise


def _entry(table: dict[str, Any]) -> Acceptance:
    for name in table:
        refuse_unknown(name, _FIELDS, "key")
    values = {name: value for name, value in table.items() if name != "until"}
    for name, value in values.items():
        if not isinstance(value, str) or not value.strip():
            raise RulesError(f"{name} is {value!r}", hint=f'write {name} = "…"')
    if "code" not in table:
        raise RulesError("names no code, so it would accept everything", hint='write code = "S203"')
    refuse_unknown(table["code"], list(CATALOGUE), "code")
    if "reason" not in table:
        raise RulesError("gives no reason", hint='write reason = "…": somebody will ask')
    return Acceptance(**values, until=_until(table.get("until")))


def _until(value: Any) -> datetime | None:
    """A moment in UTC, where a time names no zone; a date lasts until its end."""
    if isinstance(value, str):
        try:
            value = (
                date.fromisoformat(value) if len(value) == len("2026-12-31") else datetime.fromisoformat(value)
            )
        except ValueError:
            value = False
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time.max, UTC)
    if value is not None:
        raise RulesError(
            "until is no date and no time", hint="write until = 2026-12-31 or 2026-12-31T18:00:00Z"
        )
    return None
