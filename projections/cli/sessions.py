"""Commands about sessions: the list, the state of one, and what happened in it."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from projections.cli.options import MACHINE, TEXT, AsOf, Name, Time, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import known_code, known_until, refuse_two_moments
from tracker.errors import NotFoundError


@click.command()
@click.argument("session", type=Name())
@click.option(
    "--as-of", type=AsOf(), help="Show what was known then: a time, now, -2h, or end (nothing more will come)."
)
@click.option("--at", type=click.IntRange(min=1), help="Show the state right after this position.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole status as one JSON document.")
@with_store
def status(
    session: str, as_of: datetime | None, at: int | None, as_json: bool, data: Path | None, config: Path | None
) -> None:
    """Show the state of one session, now or in the past.

    SESSION is the id of a session. Now is the time of the last delivery in the store; --as-of now goes by
    the clock.
    """
    from projections.explain.status import status as values
    from projections.read_models.sessions import near
    from projections.views.publications import PUBLISHED_DB, withdrawn

    refuse_two_moments(as_of, at)
    settings = Settings(data, config)
    with settings.store() as store, settings.views(store) as views:
        until = known_until(views, store, as_of, at)
        try:
            log = views.log
            found = store.status(session, as_of=until, at=at, rules=settings.rules, log=log)
        except NotFoundError as error:
            error.hint = near(views.db, session) or error.hint
            raise
        moment = as_of if at is None else found.last_seen_at
        views.completed(found, moment)
    if as_json:
        from projections.exports import data as machine

        write([machine.document(values(found))])
    else:
        from projections.reports import text

        is_now = as_of is None and at is None
        gone = withdrawn(settings.data / PUBLISHED_DB, found.stream) if is_now else []
        text.status(text.console(sys.stdout), found, as_of, gone)


@click.command()
@click.option("--live", is_flag=True, help="Only sessions that have not ended.")
@click.option("--meeting", type=Name(), metavar="ID", help="Only sessions of this meeting.")
@click.option(
    "--finding", metavar="CODE", multiple=True, help="Only sessions with this finding; may be repeated."
)
@click.option("--since", type=Time(), help="Only sessions with a delivery since this time.")
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_store
def sessions(
    live: bool,
    meeting: str | None,
    finding: tuple[str, ...],
    since: datetime | None,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """List the sessions, the most recent first."""
    from projections.exports import data as machine
    from projections.read_models import text as stamp
    from projections.read_models.sessions import find
    from projections.reports import text

    codes = [known_code(given).code for given in finding]
    settings = Settings(data, config)
    with settings.store() as store, settings.views(store) as views:
        rows = list(find(views.db, live=live, meeting=meeting, findings=codes, since=stamp(since)))
        if meeting is not None and not list(find(views.db, meeting=meeting)):
            raise NotFoundError("no such meeting", place=meeting, hint="tracker sessions lists all meetings")
        if format == TEXT:
            text.sessions(text.console(sys.stdout), rows)
        else:
            write(machine.write(rows, format))


@click.command()
@click.argument("session", type=Name())
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_store
def timeline(session: str, format: Any, data: Path | None, config: Path | None) -> None:
    """List every delivery of a session, and how it was read.

    SESSION is the id of a session, `unrouted` (what belongs to no session), or `resource:ID`.
    """
    from projections.explain.status import moment
    from projections.explain.status import timeline as moments_of
    from projections.exports import data as machine
    from projections.read_models.sessions import near
    from projections.reports import text

    settings = Settings(data, config)
    with settings.store() as store, settings.views(store) as views:
        deliveries = store.unrouted() if session == "unrouted" else store.history(session)
        as_of, log = views.checkpoint.as_of, views.log
        moments, settled = moments_of(deliveries, settings.rules, as_of, log, views.completed)
        if not moments and session != "unrouted":
            hint = near(views.db, session) or "tracker sessions lists all sessions"
            raise NotFoundError("no such session", place=session, hint=hint)
    if format == TEXT:
        text.timeline(text.console(sys.stdout), moments, settled)
    else:
        write(machine.write(map(moment, moments), format))
