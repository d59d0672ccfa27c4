"""Commands about the relay: how far it is, what could not be delivered, and sending without a server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projections.cli.options import MACHINE, TEXT, with_store
from projections.cli.outgoing import list_dead, named, note_what_is_left, send_again, send_all, send_test, some
from projections.cli.settings import Settings
from projections.cli.streams import write

if TYPE_CHECKING:
    from tracker.relay import Relay

with_format = click.option(
    "--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True
)


@click.group()
def relay() -> None:
    """Relay what really happened: list, send, test and retry.

    What is relayed, and to which handler, stands in `[[relay]]` of the configuration file. `tracker serve` sends it by
    itself; `tracker relay send` does so without a server.
    """


@relay.command("list")
@with_format
@with_store
def list_(format: Any, data: Path | None, config: Path | None) -> None:
    """List the entries, and what of each waits or could not be sent."""
    from projections.exports import data as machine
    from projections.relay.listing import listed
    from projections.reports import relay as report
    from projections.reports.text import console

    found = listed(Settings(data, config).data)
    if format == TEXT:
        report.listed(console(sys.stdout), found)
    else:
        write(machine.write(found, format))


@relay.command()
@with_store
def send(data: Path | None, config: Path | None) -> None:
    """Judge what is new, and send what is due.

    For use without a server, as by a timer. What waits to be settled, or was not taken, is sent by a later run, when its time has
    come. It may run while a server does: nothing is sent twice by that.
    """
    from logging import NullHandler, getLogger

    from projections.relay.database import queue_of
    from projections.relay.running import senders
    from projections.relay.sweep import sweep
    from tracker.store.clock import wall_clock

    settings = Settings(data, config)
    relays = _relays(settings)
    sending = senders(settings.data, relays)
    getLogger("projections.outbox").addHandler(NullHandler())  # what is left is noted in the end
    with settings.store() as store:
        with settings.views_now(store):
            pass  # what rests on absence is held too
        sweep(settings.data, relays, wall_clock(), store.pruned_among)
    send_all(sending)
    note_what_is_left(queue_of(settings.data), "relay")


@relay.command()
@click.argument("name")
@with_store
def test(name: str, data: Path | None, config: Path | None) -> None:
    """Send a test message to a handler, signed as a real one."""
    from projections.outbox.queue import body
    from projections.read_models import text
    from projections.relay.running import target_of
    from tracker.store.clock import wall_clock

    target = target_of(_relay(Settings(data, config), name), os.environ)
    send_test(target, "relay", name, body("relay.test", text(wall_clock()) or "", {"relay": name}))


@relay.command()
@with_format
@with_store
def dead(format: Any, data: Path | None, config: Path | None) -> None:
    """List the messages that could not be delivered, the oldest first."""
    from projections.relay.database import queue_of

    list_dead(queue_of(Settings(data, config).data), format)


@relay.command()
@click.argument("name")
@with_store
def retry(name: str, data: Path | None, config: Path | None) -> None:
    """Send what could not be delivered to a handler again.

    What follows it in its session is sent after it. Also after the handler has answered that it wants no more (410), which stops all
    messages to it.
    """
    from projections.relay.database import queue_of

    settings = Settings(data, config)
    _relay(settings, name)
    send_again(queue_of(settings.data), name)


def _relays(settings: Settings) -> tuple[Relay, ...]:
    return some(settings.load_relays(), "relay", "name and to", settings.file)


def _relay(settings: Settings, name: str) -> Relay:
    return named(_relays(settings), "relay", name)
