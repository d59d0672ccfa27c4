"""Commands about a room and about a person, across their sessions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projections.cli.messages import note, quantity
from projections.cli.options import TEXT, Name, with_account, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import meeting_named, nothing_of, refuse_no_account, refuse_pruned
from projections.cli.times import with_tz
from tracker.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from projections.read_models import ReadModels
    from tracker.store.application import Tracker

FORMATS = (TEXT, "json")


@click.command()
@click.argument("meeting", type=Name("meeting"), metavar="ID")
@with_account
@click.option("--format", "format", type=click.Choice(FORMATS), default=TEXT, show_default=True)
@with_tz
@with_store
def meeting(meeting: str, account: str | None, format: str, data: Path | None, config: Path | None) -> None:
    """Show a room: its sessions, people, recordings and findings.

    ID is the id of a meeting, or of one of its sessions. Minutes are those of all visits added up; the peak is how many
    people were inside at once at most.
    """
    from projections.answers.rooms import room
    from projections.read_models import sessions
    from projections.reports import people as report

    settings = Settings(data, config)
    with settings.store() as store, settings.views_now(store) as views:
        refuse_no_account(views, settings, account)
        found = room(
            views.db,
            sessions.meeting_of(views.db, meeting) or meeting,
            settings.now,
            account,
            settings.shown_zone,
        )
        if found is None:
            refuse_pruned(store, meeting)
            known = meeting_named(views, store, meeting) or meeting
            found = room(views.db, known, settings.now, account, settings.shown_zone)
    if found is None:
        raise nothing_of(account, meeting)
    _print(found, format, report.room)


@click.command()
@click.argument("person", type=Name("person"), metavar="ID|NAME")
@with_account
@click.option("--format", "format", type=click.Choice(FORMATS), default=TEXT, show_default=True)
@with_tz
@with_store
def person(person: str, account: str | None, format: str, data: Path | None, config: Path | None) -> None:
    """Show a person: visits, minutes, recordings and findings.

    A person is known by the participant's id. A name will do, or a part of one, where only one id has it.
    """
    from projections.answers.people import person as person_of
    from projections.reports import people as report

    settings = Settings(data, config)
    with settings.store() as store, settings.views_now(store) as views:
        refuse_no_account(views, settings, account)
        found = person_of(views.db, person, settings.now, account)
        if found is None:
            elsewhere = account is not None and person_of(views.db, person, settings.now) is not None
            if elsewhere:
                raise nothing_of(account, person)
            found = person_of(views.db, _id_of(views.db, store, person, account), settings.now, account)
    assert found is not None
    _print(found, format, report.person)


def _id_of(db: ReadModels, store: Tracker, name: str, account: str | None) -> str:
    """The id of the only person of a name. Raises ``NotFoundError`` where there is none, ``UsageError`` where several."""
    from projections.answers.people import named

    people = named(db, name, account)
    if not people:
        hint = store.perhaps_pruned(name) or "give a participant's id, or a part of a name"
        raise NotFoundError("no such person", place=name, hint=hint)
    if len(people) > 1:
        ids = ", ".join(f"{one['participant_id']} ({one['name']})" for one in people[:5])
        what = f"{quantity(len(people), 'person has', 'people have')} such a name"
        raise UsageError(what, place=name, hint=f"give one of the ids: {ids}")
    found = people[0]
    note(
        f"{name} is the name of one person, {found['name']}",
        f"the participant's id is {found['participant_id']}",
    )
    return str(found["participant_id"])


def _print(found: dict[str, Any], format: str, report: Any) -> None:
    from projections.exports import data as machine
    from projections.reports.text import console

    if format == "json":
        write([machine.document(found)])
    else:
        report(console(sys.stdout), found)
