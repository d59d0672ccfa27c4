"""``tracker config``: which settings are in force, and where each comes from."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projections.cli.messages import quantity
from projections.cli.options import MACHINE, TEXT, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.times import with_tz
from tracker.errors import without_secrets

if TYPE_CHECKING:
    from tracker.config import Config


@click.command()
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_tz
@with_store
def config(format: Any, data: Path | None, config: Path | None) -> None:
    """Show which settings are in force, and where each comes from.

    An option wins over the environment, and that over the file. Rules and prices are shown where they are not the
    usual ones. Secrets are not shown.
    """
    from projections.exports import data as machine
    from projections.reports.tables import settings as listed
    from projections.reports.text import console

    rows = [
        {"setting": name, "value": value, "from": origin}
        for name, value, origin in _settings(Settings(data, config))
    ]
    if format == TEXT:
        listed(console(sys.stdout), rows)
    else:
        write(machine.write(rows, format))


def _settings(settings: Settings) -> Iterator[tuple[str, str, str]]:
    yield from settings.origins()
    for name in ("TRACKER_TOKEN", "TRACKER_TOKEN_FILE", "TRACKER_MASKED_TOKEN_FILE"):
        if os.environ.get(name):
            shown = os.environ[name] if name.endswith("FILE") else "set"
            yield "token", shown, name
    file, usual = str(settings.file or ""), _usual_rules().written()
    yield from ((name, value, file) for name, value in _tables(settings.stated) if value)
    for name, value in settings.rules.written().items():
        if value != usual[name]:
            yield f"rules.{name}", value, file
    for code, severity in sorted(settings.rules.severity.items()):
        yield f"rules.severity.{code}", severity, file
    for name, price in sorted(settings.rules.prices.items()):
        yield f"prices.{name}", f"{price:g}", file
    if settings.rules.accept:
        yield "accept", quantity(len(settings.rules.accept), "entry", "entries"), file


def _usual_rules() -> Any:
    from tracker.rules import Rules

    return Rules()


def _tables(stated: Config) -> Iterator[tuple[str, str]]:
    """What is sent, asked for and forgotten: the name of each table, and in words what it says, without a secret."""
    from tracker.toml import host_of

    yield "alert", ", ".join(one.name for one in stated.alerts)
    yield "relay", ", ".join(one.name for one in stated.relays)
    yield "otel", host_of(stated.otel) or ""  # the path of it may be secret
    reconcile, retention = stated.reconcile, stated.retention
    base = without_secrets(reconcile.base) if reconcile.base else None
    asked = {
        "base": base,
        "budget": reconcile.budget,
        "api_key": reconcile.api_key,
        "api_secret": reconcile.api_secret,
    }
    yield "reconcile", _pairs(asked)
    ages = {"people": retention.people, "sessions": retention.sessions}
    kept = {name: f"{age / timedelta(days=1):g} d" for name, age in ages.items() if age}
    yield "retention", _pairs({**kept, "archive": retention.archive})


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
