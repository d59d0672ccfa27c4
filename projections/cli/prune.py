"""``tracker prune``: moves sessions that are over into an archive."""

from __future__ import annotations

from pathlib import Path

import click

from projections.cli.messages import deliveries, not_installed, note, quantity
from projections.cli.options import with_store
from projections.cli.settings import Settings
from projections.cli.times import GivenTime, Moment, with_tz
from projections.progress import of_events


@click.command()
@click.option(
    "--before", type=Moment(), required=True, help="Move sessions of which no webhook was received since then."
)
@click.option(
    "--archive",
    type=click.Path(path_type=Path),
    required=True,
    help="The directory below which the archive in Parquet is written.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be moved.")
@with_tz
@with_store
def prune(before: GivenTime, archive: Path, dry_run: bool, data: Path | None, config: Path | None) -> None:
    """Move sessions that are over into an archive.

    Of each session one event stays in the store, which says where the session is now. What is found of it is not
    taken back, and no longer shown; `tracker audit ARCHIVE` judges it, and `tracker ingest ARCHIVE` reads it
    into another store. A webhook that comes later is kept.

    Sessions that go on stay, and those of which something was withdrawn. The archive is complete before
    anything is removed; if the command is killed, give it again. It needs the extra `parquet`: pip install '.[parquet]'.
    """
    from tracker.intake.pruning import plan

    try:
        from projections.pruning import prune as pruned
    except ImportError as error:
        raise not_installed(error, "parquet") from error
    settings = Settings(data, config)
    with settings.store() as store:
        moment = settings.moment(before)
        assert moment is not None, "it is required"
        with of_events("searching") as progress:
            planned = plan(store, moment, settings.now, settings.rules, progress)
        stay = f"; {quantity(planned.kept, 'old session')} stay" if planned.kept else ""
        what = f"{quantity(len(planned.digests), 'session')} with {deliveries(planned.events)}"
        if dry_run:
            click.echo(f"{store.owner}: {what} would be moved{stay}")
            return
        with of_events("pruning") as progress:
            done = pruned(store, planned, archive, settings.rules, settings.now, progress)
        where = f" into {done.archive}" if done.archive else ""
        click.echo(f"{store.owner}: {what} moved{where}{stay}")
        if (came := len(planned.digests) - done.sessions) > 0:
            note(f"{quantity(came, 'session')} stay, for something came meanwhile", "prune them later")
        if done.problem:
            note(f"{store.place}: {done.problem}", "the space is given back then")
