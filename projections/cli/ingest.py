"""``tracker ingest``: from logs into the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projections import zones
from projections.cli.intake import Judging, in_store, in_words, stopping_by_signal, too_long
from projections.cli.logs import note_incomplete, note_oddities, note_read_before, open_logs
from projections.cli.messages import AHEAD_HINT, ahead_in_words, note, one_line, quantity, raise_all
from projections.cli.options import with_as_given, with_fields, with_keys, with_store
from projections.cli.settings import Settings
from projections.cli.times import with_tz
from projections.progress import of_bytes
from tracker.errors import StoreError, TrackerError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from tracker.intake.progress import Ingested, Known
    from tracker.intake.rehearsal import Rehearsal
    from tracker.store.application import Tracker


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option(
    "--follow", is_flag=True, help="Keep reading while the LOG grows or is rotated, until Ctrl-C or SIGTERM."
)
@click.option("--force", is_flag=True, help="Store a LOG even if most of its lines are not webhooks.")
@click.option("--dry-run", "dry_run", is_flag=True, help="Only show what would be stored.")
@click.option("--account", metavar="NAME", help="The account of webhooks that name none.")
@with_as_given
@with_fields
@with_tz
@with_keys
@with_store
def ingest(
    logs: tuple[str, ...],
    follow: bool,
    force: bool,
    dry_run: bool,
    account: str | None,
    as_given: bool,
    keys: tuple[Path, ...],
    data: Path | None,
    config: Path | None,
) -> None:
    """Store what is new in logs, then judge it.

    A LOG is lines of JSON, an array, CSV, or an archive in Parquet. It may be compressed (gzip, zstd, zip) and in an
    object store (s3://, gs://, az://), and - is stdin. A webhook is found wherever a line has it, and what was
    recognised is said once.

    You may give the same log again at any time: lines that were read before are recognised, even if the file
    has grown, was renamed or was compressed since. Several LOGs are merged by receive time; if one of them is
    a pipe, they are read one after the other.

    With --follow, and with a pipe that stays open (-), lines are stored and judged after one second in which no
    new line came. Their receive times are taken as they are: a wrong one shows only by the lines behind it.
    """
    from projections.read_models.types import newest
    from projections.views.accepting import refuse_loss
    from tracker.intake.progress import known_logs
    from tracker.intake.tail import files

    if follow and (len(logs) > 1 or "-" in logs):
        hint = "start one process for each file; a pipe (-) is followed without --follow"
        raise UsageError("--follow takes one LOG, and it must be a file", hint=hint)
    if follow and dry_run:
        raise UsageError("--dry-run and --follow cannot be used together", hint="leave out one of them")
    settings = Settings(data, config)
    rings, account = settings.keyrings_of_logs(keys), settings.account(account)
    with stopping_by_signal(heed=follow or "-" in logs) as stopping:
        opened, complaints = open_logs(logs, settings, rings, stopping, follow=follow, account=account)
        opened = _without_other_files(settings, opened, complaints, force=force)
        if dry_run:
            _rehearse(settings, _together(opened, as_given=as_given), complaints)
            return
        with settings.store(create=True) as store, ExitStack() as stack:
            refuse_loss(store)
            judging = Judging(settings, store, stack)
            known = known_logs(store)
            rotated = ([log] for log in files(opened[0])) if follow else _together(opened, as_given=as_given)
            for group in rotated:
                complaints.extend(_ingest(store, group, known, judging.catch_up, done=judging.accounts))
                if complaints and isinstance(complaints[-1], StoreError):
                    raise_all(complaints)
            views = judging.catch_up()
            for ingested in judging.accounts:
                note_read_before(store, views, ingested)
            click.echo(in_store(store, views))
            if any(ingested.stored for ingested in judging.accounts):
                _note_ahead(settings, newest(views.db))
    raise_all(complaints)


def _without_other_files(
    settings: Settings, logs: list[Any], complaints: list[TrackerError], *, force: bool
) -> list[Any]:
    """The logs that hold webhooks, or with ``force`` anything that can be read.

    The others are added to ``complaints``, and no store is made for them.
    """
    from tracker.intake.ingest import refuse_other_file
    from tracker.intake.progress import known_logs

    with settings.store_if_there() as store:
        is_new, known = store is None, known_logs(store) if store else {}
    found = []
    for log in logs:
        try:
            if not force:
                refuse_other_file(log, known)
            if is_new and (force or not log.is_repeatable):
                log.begin()
            found.append(log)
        except TrackerError as error:
            complaints.append(error)
    if not found:
        raise_all(complaints)
    return found


def _together(logs: list[Any], *, as_given: bool) -> list[list[Any]]:
    """The logs in groups that are read together."""
    return [[log] for log in logs] if as_given else [logs]


def _rehearse(settings: Settings, groups: list[list[Any]], complaints: list[TrackerError]) -> None:
    from tracker.intake.progress import known_logs
    from tracker.intake.rehearsal import Rehearsal

    with settings.store_if_there() as store:
        rehearsal = Rehearsal(store)
        known = known_logs(rehearsal)
        for logs in groups:
            complaints.extend(_ingest(rehearsal, logs, known, lambda: None, stored="would be stored"))
    if rehearsal.deliveries:
        words = quantity(rehearsal.sessions, "session")
        first, last = rehearsal.first, rehearsal.last
        if first and last:
            words += f", {zones.dated(first)} to {zones.dated(last)}"
        click.echo(words)
    for webhook_type, count in rehearsal.types.most_common():
        click.echo(f"{count:>7,}  {one_line(webhook_type)}")
    click.echo("nothing was stored")
    _note_ahead(settings, rehearsal.last)
    raise_all(complaints)


def _note_ahead(settings: Settings, newest: datetime | None) -> None:
    """Notes that something came later than it is now: the log may be of another zone, or of a wrong clock."""
    if words := ahead_in_words(newest, settings.fresh_now()):
        note(words, AHEAD_HINT)


def _ingest(
    store: Tracker | Rehearsal,
    logs: list[Any],
    known: Known,
    catch_up: Callable[[], object],
    stored: str = "stored",
    done: list[Ingested] | None = None,
) -> Iterator[TrackerError]:
    """Reads logs into the store, together, and prints an account of each, which is added to ``done``; yields what went wrong."""
    from tracker.intake.ingest import ingest_together

    accounts, broken = list["Ingested"](), None
    try:
        with of_bytes(logs) as progress:
            for accounts in ingest_together(store, logs, known):
                progress(sum(log.consumed for log in logs))
                if any(one.pausing for one in accounts):
                    catch_up()
    except TrackerError as error:
        broken = error
    if done is not None:
        done.extend(accounts)
    for account in accounts:
        if account.read or (broken is None and account.error is None):
            click.echo(in_words(account, stored))
            _notes(account)
            _note_withdrawn(store, account)
            if account.too_long:
                yield too_long(account)
        if account.error is not None:
            yield account.error
    if broken is not None:
        yield broken


def _notes(account: Ingested) -> None:
    name = account.log.name
    if not account.read and not account.cut:
        note(f"{name}: the log is empty", "nothing was stored; check that it is the log you mean")
    note_oddities(name, account.odd)
    if account.cut:
        note_incomplete(name, account.cut, "left for the next run")


def _note_withdrawn(store: Tracker | Rehearsal, account: Ingested) -> None:
    """A log that was withdrawn is already there, so the account alone would look as if it counted."""
    if account.already_there and account.log.name in store.withdrawn().sources:
        hint = f"tracker withdraw --undo {account.log.name} makes it count again"
        note(f"{account.log.name}: what was already there was withdrawn, so it does not count", hint)
