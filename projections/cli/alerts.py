"""Commands about alerts: what was reported, what could not be, and what is not to be."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projections import zones
from projections.cli.acknowledging import ack
from projections.cli.options import MACHINE, TEXT, Duration, Name, with_account, with_store
from projections.cli.outgoing import list_dead, named, note_what_is_left, send_again, send_all, send_test, some
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import known_code, refuse_no_account
from projections.cli.times import GivenTime, ToCome, with_tz
from tracker.errors import UsageError

if TYPE_CHECKING:
    from tracker.alert import Alert

with_format = click.option(
    "--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True
)


@click.group()
def alerts() -> None:
    """Show, send, test, mute and retry alerts.

    Which findings are alerts, and to whom they are sent, stands in `[[alert]]` of the configuration file. `tracker serve`
    sends them by itself; `tracker alerts send` does so without a server.
    """


@alerts.command("list")
@click.option("--all", "closed", is_flag=True, help="Also those that were retracted or resolved.")
@click.option("--by", metavar="NAME", help="Only those that this person looks after.")
@with_account
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@with_format
@with_tz
@with_store
def list_(
    closed: bool,
    by: str | None,
    account: str | None,
    limit: int | None,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """List the alerts that wait or are open, the newest first.

    In text also the rules, with how many messages are yet to be sent or could not be delivered, and what is muted.
    """
    from projections.alerts.listing import listed
    from projections.exports import data as machine
    from projections.reports import alerts as report
    from projections.reports.text import console

    settings = Settings(data, config)
    found = listed(settings.data, closed=closed, by=by, account=account, limit=limit or -1)
    if account is not None and not found["items"]:
        with settings.store() as store, settings.views_now(store) as views:
            refuse_no_account(views, settings, account)
    if format == TEXT:
        report.listed(console(sys.stdout), found["rules"], found["items"])
    else:
        write(machine.write(found["items"], format))


@alerts.command()
@click.option(
    "--backfill",
    type=Duration(),
    default=timedelta(),
    show_default="nothing",
    help="What a rule that is new also sends of the past: 1h, 2d.",
)
@with_store
def send(backfill: timedelta, data: Path | None, config: Path | None) -> None:
    """Judge what is new, and send what is due.

    For use without a server, as by a timer. A message that is not taken is tried again by a later run, when its time has
    come. It may run while a server does: nothing is sent twice by that.
    """
    from logging import NullHandler, getLogger

    from projections.alerts.outbox import queue_of
    from projections.alerts.running import senders
    from projections.alerts.sweep import sweep
    from tracker.store.clock import wall_clock

    settings = Settings(data, config)
    rules = _rules(settings)
    sending = senders(settings.data, rules)
    getLogger("projections.outbox").addHandler(NullHandler())  # what is left is noted in the end
    with settings.store() as store, settings.views_now(store):
        pass  # what rests on absence is published too
    sweep(settings.data, rules, wall_clock(), backfill=backfill)
    send_all(sending)
    note_what_is_left(queue_of(settings.data), "alerts")


@alerts.command()
@click.argument("name")
@with_store
def test(name: str, data: Path | None, config: Path | None) -> None:
    """Send a test message to a receiver, signed as a real one."""
    from projections.alerts.messages import about_rule
    from projections.alerts.targets import target_of
    from projections.read_models import text
    from tracker.store.clock import wall_clock

    target = target_of(_rule(Settings(data, config), name), os.environ)
    send_test(target, "alert", name, about_rule("test", name, text(wall_clock()) or ""))


alerts.add_command(ack)


@alerts.command()
@click.argument("name")
@click.option("--code", type=Name("code"), metavar="CODE", help="Only this code, by code or slug.")
@click.option(
    "--until",
    type=ToCome(),
    help="Until this time, or for so long: 18:00, 2h, 3d.",
    show_default="until it is undone",
)
@click.option("--reason", help="Why; whoever lists the alerts will read it.")
@click.option("--undo", is_flag=True, help="Report again what was muted.")
@with_tz
@with_store
def mute(
    name: str,
    code: str | None,
    until: GivenTime | None,
    reason: str | None,
    undo: bool,
    data: Path | None,
    config: Path | None,
) -> None:
    """Report nothing new of a rule for a while.

    What is open stays open, and its end is sent. What begins to match is reported when the time is over, if it still
    matches then. A finding that is known for good belongs into `[[accept]]` of the configuration file instead.
    """
    from projections.alerts.database import MUTES, alerts_file
    from projections.read_models import text

    settings = Settings(data, config)
    _rule(settings, name)
    if not undo and not reason:
        raise UsageError("no reason is given", hint='give --reason "…", or --undo')
    end = None if undo else settings.to_come(until)
    muted = "" if code is None else known_code(code).code
    with alerts_file(settings.data).to_write() as connection:
        connection.execute("DELETE FROM mutes WHERE rule = ? AND code = ?", (name, muted))
        if not undo:
            connection.execute(MUTES.insert, (name, muted, text(end), reason))
    how_long = "until further notice" if end is None else f"until {zones.dated(end)}"
    click.echo(f"{name}: {muted or 'everything'} is {'reported again' if undo else f'muted {how_long}'}")


@alerts.command()
@with_format
@with_store
def dead(format: Any, data: Path | None, config: Path | None) -> None:
    """List the messages that could not be delivered, the oldest first."""
    from projections.alerts.outbox import queue_of

    list_dead(queue_of(Settings(data, config).data), format)


@alerts.command()
@click.argument("name")
@with_store
def retry(name: str, data: Path | None, config: Path | None) -> None:
    """Send what could not be delivered for a rule again.

    Also after its receiver has answered that it wants no more (410), which stops all messages to it.
    """
    from projections.alerts.outbox import queue_of

    settings = Settings(data, config)
    _rule(settings, name)
    send_again(queue_of(settings.data), name)


def _rules(settings: Settings) -> tuple[Alert, ...]:
    return some(settings.load_alerts(), "alert", "name, to and when", settings.file)


def _rule(settings: Settings, name: str) -> Alert:
    return named(_rules(settings), "alert", name)
