"""How everything is: the overview of a day, and what is wrong grouped by code and cause."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projections import zones
from projections.cli.options import LEVELS, MACHINE, TEXT, OneOf, with_account, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import known_code, meeting_named, refuse_no_account
from projections.cli.times import GivenTime, Moment, with_tz
from projections.cli.wanted import with_narrowing

if TYPE_CHECKING:
    from collections.abc import Iterable


def _sorts() -> Iterable[str]:
    from projections.answers.issues import SORTS

    return SORTS


@click.command()
@click.option(
    "--day",
    type=Moment(),
    help="The day that this time is of: 2026-11-23, yesterday.",
    show_default="today",
)
@with_account
@click.option("--format", "format", type=click.Choice([TEXT, "json"]), default=TEXT, show_default=True)
@with_tz
@with_store
def overview(
    day: GivenTime | None, account: str | None, format: str, data: Path | None, config: Path | None
) -> None:
    """Show what is live, and how a day went.

    The day's recordings, findings and deliveries: beside each number stands that of the day before. `twice` and
    `late` are the shares of deliveries that were copies, and that came after a webhook which should follow them.
    """
    from projections.answers.overview import overview as overview_of
    from projections.exports import data as machine
    from projections.reports import overview as report
    from projections.reports.text import console

    settings = Settings(data, config)
    with settings.store() as store, settings.views_now(store) as views:
        refuse_no_account(views, settings, account)
        asked = settings.moment(day)
        this = asked and asked.astimezone(settings.shown_zone).date()
        found = overview_of(views.db, settings.now, this, account, settings.shown_zone)
    if format == "json":
        write([machine.document(found)])
    else:
        report.overview(console(sys.stdout), found)


@click.command()
@with_narrowing("Only what was found since this time: 10:18, yesterday, -7d.")
@click.option(
    "--sort",
    type=OneOf("order", _sorts),
    default="severity",
    show_default=True,
    help="The order: severity, count, sessions, last or first.",
)
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_tz
@with_store
def issues(
    codes: tuple[str, ...],
    meeting: str | None,
    account: str | None,
    since: GivenTime | None,
    min_severity: str,
    sort: Any,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """List what is wrong, grouped by code and cause.

    Of each: how often it was found, in how many sessions and rooms, when first and last, and what to do. With --since
    all that is of the period since then, which is compared with the one of the same length before: `new` was never
    found before, `back` not in that period.
    """
    from projections.answers.issues import issues as issues_of
    from projections.exports import data as machine
    from projections.reports import overview as report
    from projections.reports.text import console, say_zone

    chosen = [known_code(given).code for given in codes]
    settings = Settings(data, config)
    with settings.store() as store, settings.views_now(store) as views:
        meeting = meeting_named(views, store, meeting)
        refuse_no_account(views, settings, account)
        found = issues_of(
            views.db,
            settings.now + timedelta(seconds=1),
            since=settings.moment(since),
            severities=LEVELS[LEVELS.index(min_severity) :],
            codes=chosen,
            meeting=meeting,
            account=account,
            sort=sort,
        )
    if format == TEXT:
        asked = settings.moment(since)
        nothing = f"nothing was found since {zones.dated(asked)}" if asked else "nothing is wrong"
        report.issues(out := console(sys.stdout), found, nothing)
        if found:
            say_zone(out)
    else:
        write(machine.write(found, format))
