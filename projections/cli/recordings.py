"""What was recorded or streamed: where the files are, and which of them are missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from projections.cli.options import MACHINE, TEXT, Name, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import session_named
from projections.cli.times import GivenTime, Time, with_tz

STATES = ("starting", "started", "playable", "stopping", "stopped", "failed", "lost")


@click.command()
@click.option(
    "--session",
    type=Name(),
    metavar="SESSION",
    help="Only of this session: its id, the beginning of it, or its meeting's id.",
)
@click.option("--meeting", type=Name(), metavar="ID", help="Only of sessions of this meeting.")
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="Only in this state; may be repeated."
)
@click.option("--missing", is_flag=True, help="Only what is over and brought neither a file nor a url.")
@click.option("--since", type=Time(), help="Only what a webhook came of since this time.")
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_tz
@with_store
def recordings(
    session: str | None,
    meeting: str | None,
    states: tuple[str, ...],
    missing: bool,
    since: GivenTime | None,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """List what was recorded or streamed, with its files.

    One line a run of a recording, a recording of a person, an HLS stream, a transcription and the like; the one
    that began last comes first.
    """
    from projections.exports import data as machine
    from projections.read_models import runs
    from projections.read_models import text as stamp
    from projections.reports.recordings import listed
    from projections.reports.text import console

    settings = Settings(data, config)
    with settings.store() as store, settings.views_now(store) as views:
        if session is not None:
            session = session_named(views, store, session)
        rows = runs.recordings(
            views.db,
            session=session,
            meeting=meeting,
            states=states,
            missing=missing,
            since=stamp(settings.moment(since)),
        )
        if format == TEXT:
            listed(console(sys.stdout), rows)
        else:
            write(machine.write(rows, format))
