"""The configuration: a ``tracker.toml`` read, with an error that names the key at fault and what to write.

What it may say is known elsewhere: the windows in ``rules``, the prices in ``judging.prices``, the codes in
the catalogue. Here the names in the file are compared with those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, TypeVar, get_args
from urllib.parse import urlsplit

import attrs

from tracker.accept import Acceptance
from tracker.alert import APPRISE, INCLUDED, Alert, When
from tracker.delivery.envelope import ACCOUNT_HINT, is_account
from tracker.errors import RulesError, did_you_mean
from tracker.findings import SEVERITIES, Severity, Verdict
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.prices import PRICES
from tracker.relay import Relay
from tracker.retention import Retention, retention_of
from tracker.rules import WINDOWS, Rules, seconds_of

_LONGEST = 365 * 86400
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
_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)
_COLLECTOR = "http://localhost:4318"
INTAKE = ("webhook_field", "time_field")
T = TypeVar("T")
S = TypeVar("S", Alert, Relay)
_FIELDS = [field.name for field in attrs.fields(Acceptance)]
_NAMES = [field.name for field in attrs.fields(Rules) if field.name in {*WINDOWS, "severity"}]


@attrs.frozen
class Reconcile:
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


@attrs.frozen
class Config:
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
    accounts: Mapping[str, tuple[Path, ...]] = attrs.field(factory=dict)
    alerts: tuple[Alert, ...] = ()
    otel: str | None = None
    reconcile: Reconcile = Reconcile()
    relays: tuple[Relay, ...] = ()
    retention: Retention = Retention()


def load_config(path: Path) -> Config:
    """Reads a TOML file. Raises ``RulesError`` that names the file and the key at fault."""
    import tomllib  # takes long, and few have such a file

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in document:
            refuse_unknown(name, SETTINGS, "setting")
        data, rules, keys = document.get("data"), document.get("rules", {}), document.get("keys", [])
        prices = _prices(document.get("prices", {}))
        store = document.get("store")
        if data is not None and not _is_path(data):
            raise RulesError("data is no path", hint='write data = "/var/lib/tracker"')
        if store is not None and not isinstance(store, str):
            raise RulesError("store is no address", hint='write store = "postgresql://USER@HOST/DATABASE"')
        tz = document.get("tz")
        if tz is not None and not (isinstance(tz, str) and tz):
            raise RulesError("tz is no time zone", hint='write tz = "Europe/Berlin"')
        if not _are_paths(keys):
            raise RulesError("keys is no list of paths", hint='write keys = ["videosdk.pem"]')
        accounts = _accounts(document.get("accounts", {}), path.parent)
        if not isinstance(rules, dict):
            raise RulesError("rules is no table", hint='write [rules] and below it redelivery = "20 min"')
        intake = _intake(document.get("intake", {}))
        accept = read_entries(document.get("accept", []))
        files = tuple(path.parent / name for name in keys)
        rules = attrs.evolve(_rules(rules), accept=accept, prices=prices)
        alerts = _alerts(document.get("alert", []), path.parent, accounts)
        otel, relays = _otel(document.get("otel")), _relays(document.get("relay", []), path.parent)
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
        error.place = str(path)
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


def _otel(table: Any) -> str | None:
    """The address of the collector; ``None`` where there is no such table."""
    if table is None:
        return None
    if not isinstance(table, dict) or not isinstance(table.get("endpoint"), str):
        raise RulesError("otel gives no endpoint", hint=f'write [otel] and below it endpoint = "{_COLLECTOR}"')
    for name in table:
        refuse_unknown(name, ("endpoint",), "setting of otel")
    refuse_no_url(table["endpoint"])
    return str(table["endpoint"])


def refuse_no_url(url: str) -> None:
    """Raises ``RulesError`` where that is no address of a collector; says nothing of the path, which may be secret."""
    if not _host_of(url):
        raise RulesError("that is no address of a collector", hint=f"write {_COLLECTOR}")


def _reconcile(table: Any, beside: Path) -> Reconcile:
    hint = 'write [reconcile] and below it api_key = "videosdk.key" and api_secret = "videosdk.secret"'
    if not isinstance(table, dict):
        raise RulesError("reconcile is no table", hint=hint)
    for name in table:
        refuse_unknown(name, [field.name for field in attrs.fields(Reconcile)], "setting of reconcile")
    base, budget = table.get("base"), table.get("budget")
    if base is not None and not isinstance(base, str):
        raise RulesError("base is no address", hint='write base = "https://api.videosdk.live"')
    if budget is not None and (type(budget) is not int or budget < 1):
        raise RulesError(f"budget = {budget!r} is no number of requests a minute", hint="write budget = 60")
    files = {name: table[name] for name in ("api_key", "api_secret") if name in table}
    for name, value in files.items():
        if not _is_path(value):
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
        if not _are_paths(paths):
            raise RulesError(f"the keys of account {name} are no paths", hint=hint)
        found[name] = tuple(beside / one for one in paths)
    return found


def _are_paths(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_path, value))


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "\x00" not in value


def _rules(table: dict[str, Any]) -> Rules:
    values: dict[str, Any] = {}
    for name, value in table.items():
        refuse_unknown(name, _NAMES, "rule")
        values[name] = _severities(value) if name == "severity" else _duration(name, value)
    return Rules(**values)


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
    return _each("accept", value, 'code = "S203" and reason = "…"', _entry)


def _each(name: str, value: Any, example: str, read: Callable[[dict[str, Any]], T]) -> tuple[T, ...]:
    """What is read of each of the tables ``[[name]]``. Raises ``RulesError`` that names the entry at fault."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise RulesError(f"{name} is no list of tables", hint=f"write [[{name}]] and below it {example}")
    entries = []
    for number, table in enumerate(value, 1):
        try:
            entries.append(read(table))
        except RulesError as error:
            error.message = f"{name} entry {number}: {error.message}"
            raise
    return tuple(entries)


def refuse_unknown_lifecycles(entries: Iterable[Acceptance], lifecycles: Iterable[str]) -> None:
    """Raises ``RulesError`` for an entry that could never cover anything."""
    known = list(lifecycles)
    for number, entry in enumerate(entries, 1):
        if entry.lifecycle is not None:
            refuse_unknown(entry.lifecycle, known, f"lifecycle in accept entry {number},")


def refuse_unknown(name: str, names: Sequence[str], what: str) -> None:
    """Raises ``RulesError`` with the nearest of the ``names`` where ``name`` is none of them."""
    if name not in names:
        hint = did_you_mean(name, names) or f"known: {', '.join(names)}"
        raise RulesError(f"no {what} {name!r}", hint=hint)


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


def _alerts(value: Any, directory: Path, accounts: Collection[str]) -> tuple[Alert, ...]:
    def read(table: dict[str, Any]) -> Alert:
        return _alert(table, directory, accounts)

    return _named("alert", _each("alert", value, 'name = "recordings" and to = "https://…"', read))


def _relays(value: Any, directory: Path) -> tuple[Relay, ...]:
    def read(table: dict[str, Any]) -> Relay:
        values = _sent(Relay, table, directory)
        if "lifecycle" in table:
            values["lifecycle"] = _listed("lifecycle", table["lifecycle"], _lifecycles())
        return Relay(**values)

    return _named("relay", _each("relay", value, 'name = "app" and to = "https://…"', read))


def _named(what: str, entries: tuple[S, ...]) -> tuple[S, ...]:
    """Raises ``RulesError`` where two have one name."""
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise RulesError(f"two {what}s are named {name!r}", hint="give each a name of its own")
    return entries


def _alert(table: dict[str, Any], directory: Path, accounts: Collection[str]) -> Alert:
    values = _sent(Alert, table, directory, APPRISE)
    if "when" in table:
        values["when"] = _when(table["when"], accounts)
    if "include" in table:
        values["include"] = _listed("include", table["include"], INCLUDED)
    if "pages" in table and not _host_of(table["pages"]):
        raise RulesError(f"pages is {table['pages']!r}", hint='write pages = "https://tracker.example.org"')
    return Alert(**values)


def _sent(cls: type, table: dict[str, Any], directory: Path, others: str = "") -> dict[str, Any]:
    """The values of an entry that is sent somewhere, as far as all such have them; ``others`` begins what is no URL."""
    for name in table:
        refuse_unknown(name, [field.name for field in attrs.fields(cls)], "key")
    for name, example in (("name", "recordings"), ("to", "https://hooks.example.org/tracker")):
        if not isinstance(table.get(name), str):
            raise RulesError(f"gives no {name}", hint=f'write {name} = "{example}"')
    if not _NAME.fullmatch(table["name"]):
        raise RulesError(f"name is {table['name']!r}", hint="write up to 64 letters, digits, - and _")
    private = table.get("allow_private", False)
    if not isinstance(private, bool):
        raise RulesError(f"allow_private is {private!r}", hint="write allow_private = true")
    _refuse_target(table["to"], others, private=private)
    durations = ("wait", "within", "digest")
    times: dict[str, Any] = {name: _duration(name, table[name]) for name in durations if name in table}
    if "secret" in table and not _is_path(table["secret"]):
        raise RulesError(f"secret is {table['secret']!r}", hint='write secret = "hooks.secret"')
    secret = {"secret": directory / table["secret"]} if "secret" in table else {}
    return {**table, **times, **secret}


def _refuse_target(to: str, others: str, *, private: bool) -> None:
    """Raises ``RulesError`` for what nothing can or should be sent to; says nothing of the path, which may be secret."""
    if others and to.startswith(others):
        return
    host = _host_of(to)
    if not host:
        hint = 'write to = "https://…"' + (f', or "{others}" and a URL of Apprise' if others else "")
        raise RulesError("to is no address to send to", hint=hint)
    if urlsplit(to).scheme == "http" and not private:
        raise RulesError(
            f"to is not encrypted: http://{host}",
            hint="write https://, or allow_private = true for a host of yours",
        )


def _host_of(url: Any) -> str:
    """The host of an http or https URL; empty where it is none."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        _ = parts.port  # which may be none
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.scheme in ("https", "http") else ""


def _when(table: Any, accounts: Collection[str]) -> When:
    if not isinstance(table, dict):
        raise RulesError("when is no table", hint='write when = {severity = "error"}')
    for name in table:
        refuse_unknown(name, [field.name for field in attrs.fields(When)], "key of when")
    values = dict(table)
    if table.get("severity", "error") not in SEVERITIES:
        raise RulesError(f"severity is {table['severity']!r}", hint=f"choose {', '.join(SEVERITIES)}")
    for name, known in (("code", CATALOGUE), ("lifecycle", _lifecycles()), ("verdict", get_args(Verdict))):
        if name in table:
            values[name] = _listed(name, table[name], known)
    if "account" in table:  # where none is configured, logs may still name theirs
        given = table["account"]
        values["account"] = _listed(
            "account", given, accounts or ([given] if isinstance(given, str) else given)
        )
    if not isinstance(table.get("meeting", ""), str):
        raise RulesError(f"meeting is {table['meeting']!r}", hint='write meeting = "abc-*"')
    confidence = table.get("confidence", 0)
    if not isinstance(confidence, int | float) or isinstance(confidence, bool) or not 0 <= confidence <= 1:
        raise RulesError(f"confidence is {confidence!r}", hint="write a number from 0 to 1")
    return When(**values)


def _lifecycles() -> Iterable[str]:
    from tracker.lifecycles import REGISTRY  # takes long, and few have such an entry

    return REGISTRY


def _listed(name: str, value: Any, known: Iterable[str]) -> tuple[str, ...]:
    """One word or a list of words, each of them known."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RulesError(f"{name} is {value!r}", hint=f'write {name} = "…" or {name} = ["…", "…"]')
    for word in words:
        refuse_unknown(word, list(known), name)
    return tuple(words)
