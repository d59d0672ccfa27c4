"""``tracker consume``: from a stream of messages into the store."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projections.cli.intake import Judging, in_store, in_words, stopping_by_signal, too_long
from projections.cli.logs import note_oddities
from projections.cli.messages import note, raise_all
from projections.cli.options import with_fields, with_keys, with_store
from projections.cli.settings import Settings
from projections.cli.times import with_tz
from projections.progress import bar
from tracker.errors import LogError, TrackerError

if TYPE_CHECKING:
    from tracker.intake.consuming import Consumed


@click.command()
@click.argument("stream", metavar="STREAM")
@click.option("--once", is_flag=True, help="Stop when nothing more is there.")
@click.option(
    "--force", is_flag=True, help="Store a STREAM even if most of its first messages are not webhooks."
)
@click.option("--account", metavar="NAME", help="The account of webhooks that name none.")
@with_fields
@with_tz
@with_keys
@with_store
def consume(
    stream: str,
    once: bool,
    force: bool,
    account: str | None,
    keys: tuple[Path, ...],
    data: Path | None,
    config: Path | None,
) -> None:
    """Store what is new in a stream of NATS or Redis, and follow it.

    STREAM is nats://HOST/STREAM (JetStream) or redis://HOST/STREAM. A message is read as a line of a log is. How far the
    stream was read is stored with what was read, so each message is stored once, whatever happens in between: after a
    stop or a crash the same command goes on where it was.

    What comes is stored at once, and judged within a second or two, until Ctrl-C or SIGTERM. It needs the extra `nats` or
    `redis`: pip install '.[nats]'.
    """
    from projections.views.accepting import refuse_loss
    from tracker.intake.consuming import Consumed, Stream
    from tracker.intake.consuming import consume as consumed
    from tracker.intake.streams import address_of

    settings = Settings(data, config)
    how = settings.keyrings_of_logs(keys), settings.zone, settings.fields, settings.account(account)
    complaints: list[TrackerError] = []
    with ExitStack() as stack:
        stopping = stack.enter_context(stopping_by_signal(heed=True))
        opened = Stream.at(address_of(stream), *how)
        stack.enter_context(closing(opened.broker))
        store = stack.enter_context(settings.store(create=True))
        refuse_loss(store)
        judging = Judging(settings, store, stack)
        done = Consumed(log=opened)
        try:
            _follow(consumed(store, done, stopping, once=once, force=force), done, judging)
        except LogError as error:
            complaints.append(error)
        click.echo(in_words(done, "stored"))
        note_oddities(opened.name, done.odd, "message", opened.broker.name_of)
        if done.too_long:
            complaints.append(too_long(done, "message", opened.broker.name_of))
        click.echo(in_store(store, judging.catch_up()))
    raise_all(complaints)


def _follow(steps: Iterable[Consumed], account: Consumed, judging: Judging) -> None:
    """Reads a stream until it is to stop."""
    said = 0
    with bar(account.log.name, "messages") as show:
        for _ in steps:
            show(account.read, 0)
            for gone in account.gone[said:]:
                note(
                    f"{account.log.name}: {gone} removed before they were read",
                    "they are not in the store; let the stream keep more, or run tracker consume all the time",
                )
            said = len(account.gone)
            if account.pausing:
                judging.catch_up()
