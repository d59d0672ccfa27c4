"""What the configuration sends to others: ``[[alert]]``, ``[[relay]]`` and ``[otel]``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args
from urllib.parse import urlsplit

import attrs

from tracker.alert import APPRISE, INCLUDED, Alert, When
from tracker.errors import RulesError
from tracker.findings import SEVERITIES, Verdict
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.relay import Relay
from tracker.toml import duration, each, host_of, is_path, listed, refuse_unknown

_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)
_COLLECTOR = "http://localhost:4318"
S = TypeVar("S", Alert, Relay)


def alerts_in(value: Any, directory: Path, accounts: Collection[str]) -> tuple[Alert, ...]:
    def read(table: dict[str, Any]) -> Alert:
        return _alert(table, directory, accounts)

    return _named("alert", each("alert", value, 'name = "recordings" and to = "https://…"', read))


def relays_in(value: Any, directory: Path, accounts: Collection[str]) -> tuple[Relay, ...]:
    def read(table: dict[str, Any]) -> Relay:
        values = _sent(Relay, table, directory)
        if "lifecycle" in table:
            values["lifecycle"] = listed("lifecycle", table["lifecycle"], _lifecycles())
        if "account" in table:
            values["account"] = _of_accounts(table["account"], accounts)
        return Relay(**values)

    return _named("relay", each("relay", value, 'name = "app" and to = "https://…"', read))


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
        values["include"] = listed("include", table["include"], INCLUDED)
    if "pages" in table and not host_of(table["pages"]):
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
    times: dict[str, Any] = {name: duration(name, table[name]) for name in durations if name in table}
    if "secret" in table and not is_path(table["secret"]):
        raise RulesError(f"secret is {table['secret']!r}", hint='write secret = "hooks.secret"')
    secret = {"secret": directory / table["secret"]} if "secret" in table else {}
    return {**table, **times, **secret}


def _refuse_target(to: str, others: str, *, private: bool) -> None:
    """Raises ``RulesError`` for what nothing can or should be sent to; says nothing of the path, which may be secret."""
    if others and to.startswith(others):
        return
    host = host_of(to)
    if not host:
        hint = 'write to = "https://…"' + (f', or "{others}" and a URL of Apprise' if others else "")
        raise RulesError("to is no address to send to", hint=hint)
    if urlsplit(to).scheme == "http" and not private:
        raise RulesError(
            f"to is not encrypted: http://{host}",
            hint="write https://, or allow_private = true for a host of yours",
        )


def _of_accounts(given: Any, accounts: Collection[str]) -> tuple[str, ...]:
    """Names of accounts; where none is configured, logs may still name theirs."""
    return listed("account", given, accounts or ([given] if isinstance(given, str) else given))


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
            values[name] = listed(name, table[name], known)
    if "account" in table:
        values["account"] = _of_accounts(table["account"], accounts)
    if not isinstance(table.get("meeting", ""), str):
        raise RulesError(f"meeting is {table['meeting']!r}", hint='write meeting = "abc-*"')
    confidence = table.get("confidence", 0)
    if not isinstance(confidence, int | float) or isinstance(confidence, bool) or not 0 <= confidence <= 1:
        raise RulesError(f"confidence is {confidence!r}", hint="write a number from 0 to 1")
    return When(**values)


def collector_in(table: Any) -> str | None:
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
    if not host_of(url):
        raise RulesError("that is no address of a collector", hint=f"write {_COLLECTOR}")


def _lifecycles() -> Iterable[str]:
    from tracker.lifecycles import REGISTRY  # takes long, and few have such an entry

    return REGISTRY
