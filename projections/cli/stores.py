"""The store as a whole: it is made, and copied."""

from __future__ import annotations

from pathlib import Path

import click

from projections.cli.options import with_store
from projections.cli.settings import Settings
from projections.progress import of_events
from tracker.errors import UsageError


@click.command("init-store", short_help="Make the store, where there is none.")
@with_store
def init_store(data: Path | None, config: Path | None) -> None:
    """Make the store, where there is none. What is stored stays as it is.

    Whoever makes the tables of a PostgreSQL database owns them: `ingest` and `serve` make them too, but need
    less of a right where they are there.
    """
    settings = Settings(data, config)
    with settings.store(create=True) as store:
        click.echo(f"{store.owner}: {store.count():,} events")


@click.command(short_help="Copy a store into another one.")
@click.option(
    "--from", "source", metavar="STORE", required=True, help="A data directory, or the URL of a database."
)
@click.option("--to", "target", metavar="STORE", required=True, help="Likewise; made where there is none.")
def copy(source: str, target: str) -> None:
    """Copy every event of a store into another one, at the position it has, and compare both.

    Give the same command again whenever you like: a copy that broke off goes on, and what was stored since
    is added. The read models are not copied: they are made anew where they are wanted.
    """
    from tracker.copying import copy as copied
    from tracker.store import POSTGRES, Tracker

    def opened(place: str, *, create: bool) -> Tracker:
        if place.startswith(POSTGRES):
            return Tracker.open(Path(), place, create=create)
        if "://" in place:
            hint = "give a directory, or postgresql://USER@HOST/DATABASE"
            raise UsageError("--from and --to name no store", hint=hint)
        return Tracker.open(Path(place), create=create)

    with opened(source, create=False) as here, opened(target, create=True) as there:
        with of_events("copying") as progress:
            done = copied(here, there, progress)
        counts = f"{done.events:,} events copied, {done.already_there:,} already there"
        click.echo(f"{there.owner}: {counts}, all equal to those of {here.owner}")
