"""What was recorded or streamed: where the files are, and which of them are missing."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click

from projections.cli.options import MACHINE, TEXT, Name, with_account, with_kinds, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import meeting_named, refuse_no_account, refuse_no_session, session_named
from projections.cli.times import GivenTime, with_period, with_tz


def _states() -> Iterable[str]:
    from projections.read_models.runs import STATES

    return STATES


def _media() -> Iterable[str]:
    from projections.read_models.runs import MEDIA

    return MEDIA


@click.command()
@click.option(
    "--session",
    type=Name("session"),
    metavar="SESSION",
    help="Only of this session: its id, the beginning of it, or its meeting's id.",
)
@click.option("--meeting", type=Name("meeting"), metavar="ID", help="Only of sessions of this meeting.")
@with_account
@with_kinds(_states, _media)
@click.option(
    "--missing", is_flag=True, help="Only what is over, or should be, and brought neither a file nor a url."
)
@click.option(
    "--person",
    type=Name("person"),
    metavar="ID|NAME",
    help="Only of this person, or with this person inside: an id, or a part of a name.",
)
@click.option(
    "--file",
    type=Name(),
    metavar="FILE",
    help="Only what brought this file: its url, path or id, or how one of them or the file's name begins.",
)
@with_period
@click.option(
    "--people", is_flag=True, help="Also say who was inside while it ran, and who still was at its end."
)
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_tz
@with_store
def recordings(
    session: str | None,
    meeting: str | None,
    account: str | None,
    states: tuple[str, ...],
    lifecycles: tuple[str, ...],
    missing: bool,
    person: str | None,
    file: str | None,
    since: GivenTime | None,
    until: GivenTime | None,
    people: bool,
    limit: int | None,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """List what was recorded or streamed, with its files.

    One line a run of a recording, a recording of a person, an HLS stream and whatever else brings files or urls; the
    one that began last comes first.
    """
    from projections.answers.presence import with_people
    from projections.exports import data as machine
    from projections.read_models import runs
    from projections.read_models import text as stamp
    from projections.reports.recordings import listed
    from projections.reports.text import console

    settings = Settings(data, config)
    with settings.store() as store, settings.views_now(store) as views:
        if session is not None:
            session = session_named(views, store, session)
            refuse_no_session(views, store, session)
        meeting = meeting_named(views, store, meeting)
        refuse_no_account(views, settings, account)
        chosen = partial(
            runs.recordings,
            views.db,
            session=session,
            meeting=meeting,
            account=account,
            states=states,
            lifecycles=lifecycles,
            person=person,
            file=file,
            since=stamp(settings.moment(since)),
            until=stamp(settings.moment(until)),
        )
        rows: Iterable[dict[str, Any]] = chosen(missing=missing, limit=-1 if limit is None else limit)
        if people:
            rows = with_people(views.db, list(rows))
        if format == TEXT:
            rows = list(rows)
            listed(console(sys.stdout), rows, len(list(chosen(missing=False))) if missing and not rows else 0)
        else:
            write(machine.write(map(_published, rows), format))


def _published(row: dict[str, Any]) -> dict[str, Any]:
    """The row without what only the reports need."""
    return {name: row[name] for name in row if name not in ("stopping_at", "position")}
