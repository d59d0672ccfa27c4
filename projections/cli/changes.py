"""What changed in what is reported: findings that appeared, changed, or were taken back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from projections import zones
from projections.cli.messages import note
from projections.cli.options import LEVELS, MACHINE, TEXT, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import known_code, meeting_named, refuse_no_account
from projections.cli.times import GivenTime, with_tz
from projections.cli.wanted import with_narrowing


@click.command()
@with_narrowing("Only what changed since this time: 10:18, yesterday, -7d.", "-1d")
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_tz
@with_store
def changes(
    codes: tuple[str, ...],
    meeting: str | None,
    account: str | None,
    since: GivenTime,
    min_severity: str,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """List which findings appeared, changed or were taken back.

    One line a finding, the newest change first: `+` it appeared, `~` it changed, as from provisional to settled, `-` it was
    reported and does not hold any more. The times are those of the clock of the process that judged, not receive times.
    """
    from projections.answers.changes import changes as changes_of
    from projections.exports import data as machine
    from projections.reports.published import listed
    from projections.reports.text import console
    from projections.views.publications import PUBLISHED_DB, published_up_to

    chosen = [known_code(given).code for given in codes]
    settings = Settings(data, config)
    path = settings.data / PUBLISHED_DB
    asked = since.moment(settings.now, settings.shown_zone)
    with settings.store() as store:
        before = published_up_to(path)
        with settings.views_now(store) as views:
            meeting = meeting_named(views, store, meeting)
            refuse_no_account(views, settings, account)
        found = changes_of(
            path,
            asked,
            severities=LEVELS[LEVELS.index(min_severity) :],
            codes=chosen,
            meeting=meeting,
            account=account,
        )
    if before is None:
        hint = "what holds now counts as appeared now; from now on each command that judges, and tracker serve, keep it up"
        note("nothing had been published before", hint)
    if format == TEXT:
        listed(console(sys.stdout), found, f"nothing changed since {zones.dated(asked)}")
    else:
        write(machine.write(found, format))
