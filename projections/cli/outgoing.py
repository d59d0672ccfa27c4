"""What commands share that send something to others: messages out of a queue, or traces."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from projections.cli.messages import not_installed, note, quantity
from projections.cli.options import TEXT
from projections.cli.settings import Settings
from projections.cli.streams import write
from tracker.errors import TrackerError, UsageError

if TYPE_CHECKING:
    from projections.outbox.queue import Queue
    from projections.outbox.sending import Sender
    from projections.outbox.webhooks import Target
    from projections.traces.collector import Collector


class Entry(Protocol):
    """An entry of the configuration by which something is sent."""

    @property
    def name(self) -> str: ...


E = TypeVar("E", bound=Entry)


def some(entries: tuple[E, ...], kind: str, needs: str, file: Path | None) -> tuple[E, ...]:
    """The entries of a kind. Raises ``UsageError`` where there is none, with what one needs."""
    if not entries:
        hint = f"write [[{kind}]] into tracker.toml, with {needs}"
        raise UsageError(f"the configuration has no {kind}", place=str(file or ""), hint=hint)
    return entries


def named(entries: Sequence[E], kind: str, name: str) -> E:
    """The entry with a name. Raises ``UsageError`` where there is none."""
    from tracker.toml import refuse_unknown

    found = {one.name: one for one in entries}
    refuse_unknown(name, list(found), kind)
    return found[name]


def collector_at(url: str) -> Collector:
    """Raises ``UsageError`` where the exporter is not installed, or that is no address."""
    from tracker.sending import refuse_no_url

    refuse_no_url(url)
    try:
        from projections.traces.collector import Collector
    except ImportError as error:
        raise not_installed(error, "otel") from error
    return Collector(url)


def could_be_sent(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """Whether each entry could be sent, for the doctor: what ``tracker serve`` refuses at its start is a problem."""
    from projections.alerts import targets
    from projections.relay import running

    alerts = [("alert", one.name, partial(targets.target_of, one)) for one in settings.load_alerts()]
    relays = [("relay", one.name, partial(running.target_of, one)) for one in settings.load_relays()]
    for kind, name, target_of in (*alerts, *relays):
        try:
            target_of(os.environ).close()
            entry = _entry(kind, name, settings.data)
        except TrackerError as error:
            yield kind, "problem", str(error), error.hint
        else:
            yield _taken(kind, name, entry)
    if (collector := settings.load_otel()) is not None:
        try:
            collector_at(collector).close()
        except TrackerError as error:
            yield "traces", "problem", str(error), error.hint
        else:
            yield "traces", "ok", "can be exported", ""


def _entry(kind: str, name: str, data: Path) -> dict[str, Any] | None:
    """What is known of an entry that is armed. Raises ``StoreError``."""
    from projections.alerts import listing as of_alerts
    from projections.relay import listing as of_relay

    found = of_alerts.listed(data, limit=0)["rules"] if kind == "alert" else of_relay.listed(data)
    return next((one for one in found if one["name"] == name), None)


def _taken(kind: str, name: str, entry: dict[str, Any] | None) -> tuple[str, str, str, str]:
    """Whether the receiver takes what is sent, as far as that was tried."""
    problem = entry and (entry["disabled"] or entry["problem"])
    if not entry or not problem:
        return kind, "ok", f"{name}: can be sent", ""
    family = "alerts" if kind == "alert" else "relay"
    words = f"{name}: {quantity(entry['pending'], 'message')} to send; last problem: {problem}"
    again = f", tracker {family} retry {name} sends again" if entry["disabled"] else ""
    return kind, "note", words, f"tracker {family} test {name} tries the receiver{again}"


def send_all(sending: Iterable[Sender]) -> None:
    """Sends what is due."""
    taken = 0
    for one in sending:
        while not one.rests and (is_taken := one.send_one()) is not None:
            taken += is_taken
        one.target.close()
    click.echo(f"{quantity(taken, 'message')} sent")


def send_test(target: Target, kind: str, name: str, body: str) -> None:
    """Sends a message that is made up. Raises ``TrackerError`` where it is not taken."""
    from secrets import token_hex

    from projections.outbox.queue import Message
    from projections.outbox.webhooks import NotTakenError
    from tracker.store.clock import wall_clock

    message = Message(f"msg_{token_hex(16)}", f"{kind}.test", body, 1)
    try:
        target.send(message, wall_clock())
    except NotTakenError as error:
        hint = "check the address and the receiver; nothing is tried again"
        raise TrackerError(f"the message {error.problem}", place=f"{kind} {name}", hint=hint) from error
    finally:
        target.close()
    click.echo(f"{name}: the receiver has taken the message {message.id}")


def list_dead(queue: Queue, format: Any) -> None:
    from projections.exports import data as machine
    from projections.reports import alerts as report
    from projections.reports.text import console

    found = queue.listed(dead=True)
    if format == TEXT:
        report.dead(console(sys.stdout), found)
    else:
        write(machine.write(found, format))


def send_again(queue: Queue, name: str) -> None:
    from tracker.store.clock import wall_clock

    click.echo(f"{name}: {quantity(queue.retry(name, wall_clock()), 'message')} will be sent again")


def note_what_is_left(queue: Queue, family: str) -> None:
    waiting, dead = queue.counts()
    if waiting:
        problems = dict.fromkeys(
            f"{one['rule']} {one['problem']}" for one in queue.listed(dead=False) if one["problem"]
        )
        because = f": {', '.join(problems)}" if problems else ""
        note(
            f"{quantity(waiting, 'message')} will be sent later{because}",
            f"run it again, or see tracker {family} list",
        )
    if dead:
        note(f"{quantity(dead, 'message')} could not be delivered", f"tracker {family} dead lists them")
