"""What is recorded of deliveries that are wrong or gone; none of it changes what is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from projections.cli.messages import one_line
from projections.cli.options import with_store
from projections.cli.settings import Settings
from projections.progress import of_events


@click.command(short_help="Take a log back that was stored by mistake.")
@click.argument("log", required=False)
@click.option("--from", "first", type=click.IntRange(min=1), metavar="POSITION", help="Only from there.")
@click.option("--to", "last", type=click.IntRange(min=1), metavar="POSITION", help="Only up to there.")
@click.option("--undo", is_flag=True, help="Let it count again.")
@with_store
def withdraw(
    log: str | None,
    first: int | None,
    last: int | None,
    undo: bool,
    data: Path | None,
    config: Path | None,
) -> None:
    """Let the deliveries that came from LOG count no longer; nothing is deleted.

    LOG is the name that was given to `tracker ingest`. An event says that it was withdrawn, and all that is
    derived is made anew without it: sessions, findings, exports. What is read later from a log of the same
    name counts. Without LOG, --from and --to mean all deliveries between them, whatever they came from.
    """
    from tracker.withdrawing import withdraw as withdrawn

    settings = Settings(data, config)
    source = "stdin" if log == "-" else log
    with settings.store() as store:
        with of_events("looking") as progress:
            now = datetime.now(UTC)
            done = withdrawn(store, source, now, undo=undo, first=first, last=last, progress=progress)
        with settings.views(store):
            pass  # they are made anew, so nobody has to wait for that later
        of_what = f"{done.count:,} deliver{'ies' if done.count > 1 else 'y'}{f' of {source}' if source else ''}"
        click.echo(f"{store.owner}: {one_line(of_what)} count {'again' if undo else 'no longer'}")


@click.command("accept-loss", short_help="Go on although stored deliveries are gone.")
@with_store
def accept_loss(data: Path | None, config: Path | None) -> None:
    """Go on although the store lacks deliveries that the read models had seen.

    That they are gone, and when this was accepted, is recorded in the store, and their positions are not given
    again. The old read models are put aside beside the new ones: they still say what was known.
    """
    from projections.accepting import accept

    settings = Settings(data, config)
    with settings.store(create=True) as store:
        loss = accept(store)
        if loss is None:
            click.echo(f"{store.owner}: nothing is lost that the read models had seen")
            return
        click.echo(f"{store.owner}: {loss.recorded}")
        with settings.views(store) as views:
            aside = sorted(path.name for path in views.path.parent.glob(f"{views.path.name}.lost-*"))
        click.echo(f"the read models of before are kept in {', '.join(aside)}")


@click.command("mend-clock", short_help="Take back receive times of a wrong clock.")
@click.option(
    "--from", "first", type=click.IntRange(min=1), metavar="POSITION", help="The first one that is wrong."
)
@click.option(
    "--to", "last", type=click.IntRange(min=1), metavar="POSITION", help="The last one that is wrong."
)
@with_store
def mend_clock(first: int | None, last: int | None, data: Path | None, config: Path | None) -> None:
    """Take back the receive times that webhooks got from a wrong clock.

    Without options, those that lie ahead of the clock by now. What is stored stays as it is; that the times
    are wrong is recorded, and these deliveries are judged as such without a receive time.
    """
    from projections.clocks import ahead_of, named, take_back

    settings = Settings(data, config)
    with settings.store() as store:
        if first is None and last is None:
            with of_events("reading") as progress:
                ranges = list(ahead_of(store, datetime.now(UTC), progress))
        else:
            ranges = [named(store, first, last)]
        if not ranges:
            click.echo(f"{store.owner}: no receive time lies ahead of the clock")
            return
        take_back(store, ranges)
        count = sum(last - first + 1 for first, last in ranges)
        words = "1 receive time is" if count == 1 else f"{count:,} receive times are"
        places = ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in ranges)
        click.echo(f"{store.owner}: {words} taken back, at position {places}")
        with settings.views(store):
            pass  # they are made anew
