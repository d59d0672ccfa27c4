"""What ran, in a meeting or beside it: calls, agents, transcriptions, recordings, resources."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from projections.cli.options import MACHINE, TEXT, Name, with_account, with_kinds, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import (
    meeting_meant,
    meeting_named,
    refuse_no_account,
    refuse_no_session,
    session_named,
)
from projections.cli.times import GivenTime, with_period, with_tz


def _lifecycles() -> Iterable[str]:
    from tracker.lifecycles import REGISTRY

    return (name for name, one in REGISTRY.items() if not (one.is_session or one.is_presence))


def _states() -> Iterable[str]:
    from tracker.judging.state import LOST
    from tracker.lifecycles import REGISTRY

    return dict.fromkeys((*(state for name in _lifecycles() for state in REGISTRY[name].states), LOST))


@click.command()
@with_kinds(_states, _lifecycles)
@click.option(
    "--session",
    type=Name(),
    metavar="SESSION",
    help="Only in this session or for it: its id, the beginning of it, or its meeting's id.",
)
@click.option("--meeting", type=Name(), metavar="ID", help="Only in this room or for it.")
@with_account
@with_period
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_tz
@with_store
def runs(
    lifecycles: tuple[str, ...],
    states: tuple[str, ...],
    session: str | None,
    meeting: str | None,
    account: str | None,
    since: GivenTime | None,
    until: GivenTime | None,
    limit: int | None,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """List calls, agents, recordings and whatever else ran.

    One line a run of anything that is neither a session nor a visit, in a session or with a stream of its own; the
    one that began last comes first. `tracker status` takes the stream of a run, as `call:ID`.
    """
    from projections.exports import data as machine
    from projections.read_models import links
    from projections.read_models import text as stamp
    from projections.reports.runs import listed
    from projections.reports.text import console

    settings = Settings(data, config)
    with settings.store() as store, settings.views_now(store) as views:
        named = None if session is None else session_named(views, store, session)
        meeting = meeting_meant(views, meeting)
        rows = list(
            links.runs(
                views.db,
                lifecycles=lifecycles,
                states=states,
                session=named,
                meeting=meeting,
                account=account,
                since=stamp(settings.moment(since)),
                until=stamp(settings.moment(until)),
                limit=limit or -1,
            )
        )
        if not rows:
            meeting_named(views, store, meeting)
            refuse_no_account(views, settings, account)
            if named is not None:
                refuse_no_session(views, store, named)
    if format == TEXT:
        listed(console(sys.stdout), rows)
    else:
        write(machine.write(rows, format))
