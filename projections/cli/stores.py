"""Commands about the store as a whole: create it, copy it."""

from __future__ import annotations

from pathlib import Path

import click

from projections.cli.messages import quantity
from projections.cli.options import with_store
from projections.cli.settings import Settings
from projections.progress import of_events
from tracker.errors import UsageError


@click.command("init-store")
@with_store
def init_store(data: Path | None, config: Path | None) -> None:
    """Create the store where there is none.

    A store that exists stays as it is. On PostgreSQL, whoever creates the tables owns them. `ingest` and
    `serve` create them too, but need fewer privileges if the tables exist.
    """
    settings = Settings(data, config)
    with settings.store(create=True) as store:
        click.echo(f"{store.owner}: {quantity(store.count(), 'event')}")


@click.command()
@click.option(
    "--from",
    "source",
    metavar="STORE",
    required=True,
    help="The store to copy: a data directory, or a PostgreSQL URL.",
)
@click.option(
    "--to", "target", metavar="STORE", required=True, help="The store to copy it to; created if there is none."
)
def copy(source: str, target: str) -> None:
    """Copy a store into another one.

    Every event keeps its position, and at the end both stores are compared. You may run the same command
    again at any time: it resumes a copy that was interrupted, and adds what was stored since. Read models are
    not copied; they are built from the copy when a command needs them.
    """
    from tracker.intake.copying import copy as copied
    from tracker.store.application import POSTGRES, Tracker

    def opened(place: str, *, create: bool) -> Tracker:
        if place.startswith(POSTGRES):
            return Tracker.open(Path(), place, create=create)
        if "://" in place:
            hint = "give a directory, or postgresql://USER@HOST/DATABASE"
            scheme = place.partition("://")[0]  # and no more, as the rest may hold a password
            raise UsageError(f"a URL of {scheme}:// is not a store", hint=hint)
        return Tracker.open(Path(place), create=create)

    with opened(source, create=False) as here, opened(target, create=True) as there:
        with of_events("copying") as progress:
            done = copied(here, there, progress)
        counts = f"{quantity(done.events, 'event')} copied, {done.already_there:,} already there"
        click.echo(f"{there.owner}: {counts}, all equal to those of {here.owner}")
