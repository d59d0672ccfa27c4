"""``tracker reconcile``: VideoSDK's own records are asked for, stored, and compared with what came."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import sleep as wall_sleep
from typing import TYPE_CHECKING

import click

from projections.cli.intake import Judging, in_store
from projections.cli.messages import note, quantity
from projections.cli.options import Name, with_store
from projections.cli.settings import Settings
from projections.cli.times import GivenTime, Moment, with_tz
from projections.progress import bar
from tracker.errors import NotFoundError, TrackerError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from projections.views.follow import Views
    from tracker.config import Reconcile
    from tracker.intake.reconciling import Asked, Reconciled
    from tracker.intake.vendor import Api, Credentials, Videosdk
    from tracker.store.application import Tracker

KEY, SECRET = "VIDEOSDK_API_KEY", "VIDEOSDK_API_SECRET"
MOST_NAMED = 5
"""Sessions that a note names; of more it says how many."""


@click.command()
@click.option(
    "--since",
    type=Moment(),
    show_default="-1d, or the last run",
    help="What was there since this time: yesterday, -7d.",
)
@click.option(
    "--session",
    "sessions",
    type=Name("session"),
    metavar="ID",
    multiple=True,
    help="Only this session; may be repeated.",
)
@click.option("--live", is_flag=True, help="Only the sessions that are live here.")
@click.option("--account", metavar="NAME", help="The account of VideoSDK that the key is of.")
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    show_default="60",
    help="Requests a minute, at most.",
)
@click.option(
    "--base", metavar="URL", show_default="https://api.videosdk.live", help="The address of the REST API."
)
@click.option(
    "--from",
    "saved",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read the records from this file, and ask nobody.",
)
@with_tz
@with_store
def reconcile(
    since: GivenTime | None,
    sessions: tuple[str, ...],
    live: bool,
    account: str | None,
    budget: int | None,
    base: str | None,
    saved: Path | None,
    data: Path | None,
    config: Path | None,
) -> None:
    """Compare what came with VideoSDK's own records.

    VideoSDK's REST API says which sessions, visits, recordings and streams there were, with which files, and which webhooks
    were sent. What is new or changed of that is stored beside the webhooks of each session; it moves no state, and is
    evidence: R601 to R609 say where it differs, and what it explains is settled.

    The API key and its secret come from VIDEOSDK_API_KEY and VIDEOSDK_API_SECRET, or from the files that [reconcile] of
    tracker.toml names. A run that was stopped goes on where it was.
    """
    from projections.views.accepting import refuse_loss
    from tracker.intake.reconciling import Reconciled
    from tracker.intake.reconciling import reconcile as reconciled

    if live and (sessions or since):
        raise UsageError(
            "--live and other sessions were asked for", hint="leave out --live, or --session and --since"
        )
    settings = Settings(data, config)
    account = settings.account(account)
    with ExitStack() as stack:
        api = stack.enter_context(_api(settings.reconcile, saved, base, budget))
        store = stack.enter_context(settings.store())
        refuse_loss(store)
        judging = Judging(settings, store, stack)
        begin = settings.moment(since)
        asked = which(judging.catch_up(), begin, settings.now, sessions, live=live, account=account)
        done, broken = Reconciled(), None
        with bar("VideoSDK", "records") as show:
            try:
                for done in reconciled(store, api, asked, settings.fresh_now):
                    show(done.done, done.total)
            except TrackerError as error:
                broken = error
        if broken is not None and not done.read:
            raise broken
        click.echo(_in_words(done, saved))
        _notes(done)
        views = judging.catch_up()
        click.echo(in_store(store, views))
        if broken is not None:
            raise broken
        _show_differences(settings, store, views, sessions)
        nobodys = [one for one in done.missing if one in sessions and not store.is_stored(one)]
    if nobodys:
        raise NotFoundError(
            f"neither VideoSDK nor the store knows {named(nobodys)}",
            hint="tracker sessions lists those of the store",
        )


def named(sessions: list[str]) -> str:
    """``session A``, ``sessions A, B``, or the first of them and how many more there are."""
    first, more = ", ".join(sessions[:MOST_NAMED]), len(sessions) - MOST_NAMED
    word = "session" if len(sessions) == 1 else "sessions"
    return f"{word} {first}{f' and {more:,} more' if more > 0 else ''}"


def which(
    views: Views,
    since: datetime | None,
    now: datetime,
    sessions: tuple[str, ...],
    *,
    live: bool,
    account: str | None,
) -> Asked:
    """What to ask for, by what is known of the sessions."""
    from projections.answers import records

    if sessions:
        return records.of_sessions(views.db, sessions, account)
    return records.of_live(views.db, account) if live else records.of_all(views.db, since, now, account)


@contextmanager
def _api(stated: Reconcile, saved: Path | None, base: str | None, budget: int | None) -> Iterator[Api]:
    """Where the records come from. Raises ``UsageError``."""
    from tracker.intake import vendor

    if saved is not None:
        yield vendor.Saved.read(_bytes_of(saved), str(saved))
        return
    with closing(videosdk(stated, credentials(stated), base, budget)) as api:
        yield api


def videosdk(
    stated: Reconcile,
    credentials: Credentials,
    base: str | None = None,
    budget: int | None = None,
    sleep: Callable[[float], None] = wall_sleep,
) -> Videosdk:
    """VideoSDK's API, as it is given and as the configuration file has it. Raises ``UsageError``."""
    from tracker.intake import vendor

    at, per_minute = base or stated.base or vendor.BASE, budget or stated.budget or vendor.BUDGET
    return vendor.Videosdk.at(at, credentials, per_minute, sleep=sleep)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", place=str(file), hint="check the path") from error


def credentials(stated: Reconcile) -> Credentials:
    """The API key and its secret, of the environment or of the files that are named. Raises ``UsageError``."""
    from tracker.intake.vendor import Credentials

    return Credentials(_value(KEY, stated.api_key), _value(SECRET, stated.api_secret))


def _value(name: str, file: Path | None) -> str:
    value = os.environ.get(name, "").strip()
    if not value and file is not None:
        value = _bytes_of(file).decode(errors="replace").strip()
    if not value:
        field = name.removeprefix("VIDEOSDK_").lower()
        hint = f'set {name}, or write {field} = "FILE" below [reconcile] of tracker.toml'
        raise UsageError(f"there is no {name}", hint=hint)
    return value


def _in_words(done: Reconciled, saved: Path | None) -> str:
    where = str(saved) if saved is not None else "VideoSDK"
    return f"{where}: {quantity(done.read, 'record')} read, {done.stored:,} new or changed"


def _notes(done: Reconciled) -> None:
    if done.resumed:
        note(
            f"an earlier run was stopped at {done.resumed}",
            "this one went on there, and then asked for what has come since that one began",
        )
    if done.earlier:
        what = quantity(done.earlier, "record")
        note(
            f"{what} of what began before the first webhook came: passed over",
            "no webhook of these can be expected",
        )
    if done.gone:
        what = quantity(done.gone, "record")
        note(
            f"{what} of sessions that were pruned or withdrawn: passed over",
            "an archive is compared with nothing",
        )
    if done.astray:
        note(
            f"{quantity(done.astray, 'record')} without the id of a session: passed over",
            "they belong to nothing here",
        )
    if done.missing:
        note(
            f"VideoSDK does not know {named(done.missing)}",
            "check the account: each API key knows the sessions of its own only",
        )


def _show_differences(settings: Settings, store: Tracker, views: Views, sessions: tuple[str, ...]) -> None:
    """What the records say otherwise, of these sessions or of all, as ``tracker issues`` has it; and how to see where."""
    from projections.answers import records
    from projections.reports import overview as report
    from projections.reports.text import console

    views.bring_to(store, settings.now)
    nothing = "VideoSDK's records say nothing else than the webhooks that came"
    found = records.differences(views.db, settings.now, sessions)
    report.issues(console(sys.stdout), found, nothing)
    if found:
        click.echo(f"tracker sessions --finding {found[0]['code']} lists where, tracker status ID shows one")
