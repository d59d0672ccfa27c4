"""Commands that correct the past by recording something; they never change what is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from projections.cli.messages import deliveries, one_line
from projections.cli.options import with_store
from projections.cli.settings import Settings
from projections.progress import of_events


@click.command()
@click.argument("log", required=False)
@click.option(
    "--from", "first", type=click.IntRange(min=1), metavar="POSITION", help="The first position to withdraw."
)
@click.option(
    "--to", "last", type=click.IntRange(min=1), metavar="POSITION", help="The last position to withdraw."
)
@click.option("--undo", is_flag=True, help="Let the deliveries count again.")
@with_store
def withdraw(
    log: str | None,
    first: int | None,
    last: int | None,
    undo: bool,
    data: Path | None,
    config: Path | None,
) -> None:
    """Take back a log that was stored by mistake.

    The deliveries that came from LOG no longer count, but nothing is deleted: an event records the
    withdrawal, and sessions, findings and exports are derived again without these deliveries.

    LOG is the name that was given to `tracker ingest`. If a log of that name is read again later, its new
    lines count. Without LOG, --from and --to withdraw all deliveries between two positions.
    """
    from tracker.intake.withdrawing import withdraw as withdrawn

    settings = Settings(data, config)
    source = "stdin" if log == "-" else log
    with settings.store() as store:
        with of_events("searching") as progress:
            now = datetime.now(UTC)
            done = withdrawn(store, source, now, undo=undo, first=first, last=last, progress=progress)
        with settings.views(store):
            pass  # rebuilt now, so that the next command does not have to wait
        which = deliveries(done.count) + (f" of {one_line(source)}" if source else "")
        count = "counts" if done.count == 1 else "count"
        click.echo(
            f"{store.owner}: {which} {count} again" if undo else f"{store.owner}: {which} no longer {count}"
        )


@click.command("accept-loss")
@with_store
def accept_loss(data: Path | None, config: Path | None) -> None:
    """Record that stored deliveries are lost, and go on.

    This is for a store that lacks deliveries which the read models were built from. The store records what is lost
    and when you accepted that, and never uses these positions again. The old read models are kept beside the
    new ones, because they still show what was known.
    """
    from projections.views.accepting import accept

    settings = Settings(data, config)
    with settings.store(create=True) as store:
        loss = accept(store)
        if loss is None:
            click.echo(f"{store.owner}: no delivery is lost that the read models were built from")
            return
        click.echo(f"{store.owner}: {loss.recorded}")
        with settings.views(store) as views:
            renamed = sorted(path.name for path in views.path.parent.glob(f"{views.path.name}.lost-*"))
        click.echo(f"the old read models are kept in {', '.join(renamed)}")


@click.command("mend-clock")
@click.option(
    "--from",
    "first",
    type=click.IntRange(min=1),
    metavar="POSITION",
    help="The position of the first wrong time.",
)
@click.option(
    "--to", "last", type=click.IntRange(min=1), metavar="POSITION", help="The position of the last wrong time."
)
@with_store
def mend_clock(first: int | None, last: int | None, data: Path | None, config: Path | None) -> None:
    """Ignore receive times that came from a wrong clock.

    Without options, these are the receive times that lie in the future. What is stored does not change: the
    store records which times are wrong, and their deliveries are judged as if they had no receive time.
    """
    from projections.views.clocks import ahead_of, named, take_back

    settings = Settings(data, config)
    with settings.store() as store:
        if first is None and last is None:
            with of_events("reading") as progress:
                ranges = list(ahead_of(store, datetime.now(UTC), progress))
        else:
            ranges = [named(store, first, last)]
        if not ranges:
            click.echo(f"{store.owner}: no receive time lies in the future")
            return
        take_back(store, ranges)
        count = sum(last - first + 1 for first, last in ranges)
        times = "1 receive time is" if count == 1 else f"{count:,} receive times are"
        places = ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in ranges)
        where = f"position {places}" if count == 1 else f"positions {places}"
        click.echo(f"{store.owner}: {times} now ignored, at {where}")
        with settings.views(store):
            pass  # rebuilt now, so that the next command does not have to wait
