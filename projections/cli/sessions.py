"""Commands about sessions: the list, the state of one, and what happened in it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projections.cli.messages import note
from projections.cli.options import LEVELS, MACHINE, TEXT, Name, Position, with_account, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import (
    known_code,
    meeting_named,
    nothing_of,
    refuse_no_account,
    refuse_no_position,
    refuse_pruned,
    refuse_two_moments,
    session_named,
)
from projections.cli.times import AsOf, GivenTime, Moment, with_tz

if TYPE_CHECKING:
    from tracker.judging.state import Session

STATES = ("live", "ended", "presumed-ended", "unknown")
ORDERS = ("last", "started", "people", "deliveries", "findings")


@click.command()
@click.argument("session", type=Name("session"))
@click.option(
    "--as-of",
    type=AsOf(),
    help="Show what was known then: a time, yesterday, now, -2h, or end (nothing more will come).",
)
@click.option("--at", type=Position(), help="Show the state right after this position.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole status as one JSON document.")
@with_tz
@with_store
def status(
    session: str, as_of: GivenTime | None, at: int | None, as_json: bool, data: Path | None, config: Path | None
) -> None:
    """Show the state of one session, now or in the past.

    SESSION is the id of a session, the beginning of one, or the id of a meeting, which stands for its latest
    session (of those that had begun by then). A time of day, such as 10:18, is of the day of the session.
    """
    from projections.explain import together
    from projections.read_models.sessions import seen
    from projections.views.publications import PUBLISHED_DB, withdrawn
    from tracker.bulk import bulk

    refuse_two_moments(as_of, at)
    settings = Settings(data, config)
    with bulk(), settings.store() as store, settings.views_now(store) as views:
        refuse_no_position(store, at)
        session = session_named(views, store, session, partial(settings.moment, as_of), at)
        asked = settings.moment(as_of, seen(views.db, session))
        until = asked if as_of is not None or at is not None else views.as_of

        def status_of(stream: str) -> Session:
            found = store.status(stream, as_of=until, at=at, rules=settings.rules, log=views.log)
            return views.completed(found, at=at, as_of=asked)

        found = together.found(views.db, session, status_of)
        pruned = store.pruned(session)
    if as_json:
        from projections.explain.status import status as values
        from projections.exports import data as machine

        write([machine.document(values(found, pruned))])
    else:
        from projections.reports import sessions as report
        from projections.reports.text import console

        is_now = as_of is None and at is None
        gone = withdrawn(settings.data / PUBLISHED_DB, found.stream) if is_now else []
        report.status(console(sys.stdout), found, asked, gone)


@click.command()
@click.option("--live", is_flag=True, help="Only sessions that have not ended.")
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="Only in this state; may be repeated."
)
@click.option(
    "--severity", type=click.Choice(LEVELS), help="Only where the gravest finding is at least so grave."
)
@click.option(
    "--person",
    type=Name("person"),
    metavar="ID|NAME",
    help="Only with this person: an id, or a part of a name.",
)
@click.option("--meeting", type=Name("meeting"), metavar="ID", help="Only sessions of this meeting.")
@with_account
@click.option(
    "--finding",
    type=Name("code"),
    metavar="CODE",
    multiple=True,
    help="Only sessions with this finding; may be repeated.",
)
@click.option(
    "--since", type=Moment(), help="Only sessions with a delivery since this time: 10:18, yesterday, -2h."
)
@click.option(
    "--sort",
    type=click.Choice(ORDERS),
    default="last",
    show_default=True,
    help="The order: by the last delivery, the start, or the number of people, deliveries or findings.",
)
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_tz
@with_store
def sessions(
    live: bool,
    states: tuple[str, ...],
    severity: str | None,
    person: str | None,
    meeting: str | None,
    account: str | None,
    finding: tuple[str, ...],
    since: GivenTime | None,
    sort: str,
    limit: int | None,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """List the sessions, the most recent first."""
    from projections.exports import data as machine
    from projections.read_models import links
    from projections.read_models import text as stamp
    from projections.read_models.sessions import find
    from projections.reports import sessions as report
    from projections.reports.text import console

    codes = [known_code(given).code for given in finding]
    settings = Settings(data, config)
    with settings.store() as store, settings.views_now(store) as views:
        meeting = meeting_named(views, store, meeting)
        received_since = stamp(settings.moment(since))
        rows = list(
            find(
                views.db,
                live=live,
                states=states,
                severities=LEVELS[LEVELS.index(severity) :] if severity else (),
                person=person,
                meeting=meeting,
                account=account,
                findings=codes,
                since=received_since,
                sort=sort,
                limit=-1 if limit is None else limit,
            )
        )
        refuse_no_account(views, settings, account)
        if not rows and not any(True for _ in find(views.db, limit=1)) and any(links.runs(views.db, limit=1)):
            note(
                "what is known belongs to no session", "tracker runs lists calls, agents and whatever else ran"
            )
        if format == TEXT:
            report.sessions(console(sys.stdout), rows)
        else:
            write(machine.write(rows, format))


@click.command()
@click.argument("session", type=Name("session"))
@with_account
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_tz
@with_store
def timeline(session: str, account: str | None, format: Any, data: Path | None, config: Path | None) -> None:
    """List every delivery of a session, and how it was read.

    SESSION is the id of a session, the beginning of one, the id of a meeting, which stands for its latest
    session, `unrouted` (what belongs to no session), or a stream of something else, as `call:ID` or `resource:ID`.
    """
    from projections.explain import together
    from projections.explain.status import moment
    from projections.explain.status import timeline as moments_of
    from projections.exports import data as machine
    from projections.reports import timeline as report
    from projections.reports.text import console

    settings = Settings(data, config)
    with settings.store() as store, settings.views_now(store) as views:
        if session == "unrouted":
            deliveries = store.unrouted()
        else:
            session = session_named(views, store, session)
            refuse_pruned(store, session)  # a call that was linked to it may be left
            deliveries = together.deliveries(store, views.db, session)
        refuse_no_account(views, settings, account)
        moments, settled = moments_of(deliveries, settings.rules, views.as_of, views.log, views.completed)
        if not moments and session != "unrouted":
            raise store.not_there(session)
        if session != "unrouted":
            settled = [together.together(session, settled)]
        if account is not None:
            moments = [one for one in moments if one.delivery.received.account == account]
            if not moments and session != "unrouted":
                raise nothing_of(account, session)
    if format == TEXT:
        report.timeline(console(sys.stdout), moments, settled)
    else:
        write(machine.write(map(moment, moments), format))
