"""``tracker watch`` and ``tracker open``: a session as it happens, on the terminal or in the browser."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from projections.cli.options import Name, Number, with_account, with_store
from projections.cli.settings import Settings
from projections.cli.subjects import refuse_no_account, session_named
from projections.cli.times import with_tz
from tracker.errors import UsageError

if TYPE_CHECKING:
    from projections.views.follow import Views
    from tracker.store.application import Tracker

Show = Callable[[Any], None]
"""Prints something to a console."""
LEAST = 0.2
"""Seconds between two looks at the store."""


@click.command()
@click.argument("session", type=Name("session"), required=False, metavar="[SESSION]")
@click.option(
    "--every",
    type=Number(LEAST),
    default=1.0,
    show_default=True,
    help="Seconds between two looks at the store.",
)
@click.option("--once", is_flag=True, help="Show it once, and end.")
@with_account
@with_tz
@with_store
def watch(
    session: str | None,
    every: float,
    once: bool,
    account: str | None,
    data: Path | None,
    config: Path | None,
) -> None:
    """Watch a session, or all that is live, as it happens.

    SESSION is the id of a session, the beginning of one, or the id of a meeting. Without it, the overview of today and
    the sessions that are live are shown. On a terminal the view stays in its place; in a pipe it is printed anew when it
    changes. Interrupt it to end.
    """
    from projections.reports.live import follow
    from projections.reports.text import console

    if session is not None and account is not None:
        raise UsageError(
            "a session is of one account", place=f"--account {account}", hint="leave it out, or the session"
        )
    settings = Settings(data, config)
    out = console(sys.stdout)
    with settings.store() as store, settings.views(store) as views:
        refuse_no_account(views, settings, account)
        named = session_named(views, store, session) if session else None
        if named is not None and not any(True for _ in store.history(named)):
            raise store.not_there(named)
        show = _of_session(settings, store, views, named) if named else _of_all(settings, store, views, account)
        if once:
            show(out)
        else:
            follow(out, show, every)


def _of_session(settings: Settings, store: Tracker, views: Views, session: str) -> Show:
    from projections.reports.sessions import status

    def show(out: Any) -> None:
        now = settings.fresh_now()
        views.follow(store)
        views.bring_to(store, now)
        found = store.status(session, as_of=views.as_of, rules=settings.rules, log=views.log)
        views.completed(found)
        status(out, found)

    return show


def _of_all(settings: Settings, store: Tracker, views: Views, account: str | None) -> Show:
    from projections.answers.overview import overview as overview_of
    from projections.read_models.sessions import find
    from projections.reports.overview import overview
    from projections.reports.sessions import sessions

    def show(out: Any) -> None:
        now = settings.fresh_now()
        views.follow(store)
        views.bring_to(store, now)
        overview(out, overview_of(views.db, now, account=account, zone=settings.shown_zone))
        out.print()
        sessions(out, find(views.db, live=True, account=account, limit=20))

    return show


@click.command("open")
@click.argument("session", type=Name("session"), required=False, metavar="[SESSION]")
@click.option("--at", type=click.IntRange(min=1), help="As it was known right after this position.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Where tracker serve answers.")
@click.option("--print", "only_print", is_flag=True, help="Only print the address.")
@with_store
def open_page(
    session: str | None, at: int | None, url: str, only_print: bool, data: Path | None, config: Path | None
) -> None:
    """Open the page of a session in the browser.

    SESSION is the id of a session, the beginning of one, or the id of a meeting; without it, the overview is opened. The
    pages are those of a `tracker serve` that runs.
    """
    address = f"{url.rstrip('/')}/"
    if session is not None:
        settings = Settings(data, config)
        with settings.store() as store, settings.views(store) as views:
            named = session_named(views, store, session)
            if not any(True for _ in store.history(named)):
                raise store.not_there(named)
        address += f"sessions/{quote(named, safe='')}" + (f"?at={at}" if at else "")
    click.echo(address)
    if not only_print:
        click.launch(address)
