"""``tracker erase``: forgets people, and keeps what was found."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import attrs
import click

from projections.cli.messages import deliveries, not_installed, note, quantity, say
from projections.cli.options import Duration, Name, with_store
from projections.cli.settings import Settings
from projections.ending import cleared_by_sigterm
from projections.progress import of_events
from tracker.errors import UsageError

if TYPE_CHECKING:
    from tracker.intake.erasing import Plan
    from tracker.store.application import Tracker


@click.command()
@click.option(
    "--participant", type=Name("person"), metavar="ID", help="Erase the person with this participantId."
)
@click.option(
    "--session",
    type=Name("session"),
    metavar="ID",
    help="Erase everybody in this session, or with --participant only there.",
)
@click.option(
    "--older-than", "age", type=Duration(), help="Erase everybody in sessions that had no webhook for so long."
)
@click.option("--again", is_flag=True, help="Do all erasures again, after a backup was restored.")
@click.option(
    "--archive",
    type=click.Path(path_type=Path),
    help="Erase in this archive in Parquet as well, or in those that tracker prune wrote there; may be repeated.",
    multiple=True,
)
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_store
def erase(
    participant: str | None,
    session: str | None,
    age: timedelta | None,
    again: bool,
    archive: tuple[Path, ...],
    dry_run: bool,
    yes: bool,
    data: Path | None,
    config: Path | None,
) -> None:
    """Erase people, and keep what was found.

    In the stored webhooks, ids and names of people and the files that belong to them are replaced by pseudonyms. They are
    equal where the originals were equal, so states and findings stay the same. Read models, publications and
    alerts follow. An erasure cannot be undone.

    On a terminal, the command shows what would change and asks. Without a terminal it needs --yes: nobody would see the
    question, and nothing brings back what was erased. Log files that were read stay as they are.
    """
    from projections.erasing import erase as erased
    from projections.erasing import kept_aside, outstanding
    from tracker.intake.erasing import is_behind

    _refuse_unclear(participant, session, age, again=again)
    archives = _archives(archive)
    settings = Settings(data, config)
    with settings.store() as store:
        first = _Archives(archives, store)
        if again:
            with of_events("erasing") as progress:
                done = outstanding(store, settings.rules, settings.now, progress, first.erase)
        else:
            plan = _planned(store, settings, participant, session, age, archives)
            behind = is_behind(store)
            rest = "; what was asked for before is to be ended" if behind else ""
            (click.echo if dry_run else say)(f"{store.owner}: {_in_words(plan)}{rest}")
            if plan.gone and not archives:
                note(
                    "what was pruned is only in the archive, and so are most of the names",
                    "give that with --archive",
                )
            if dry_run or not (plan.events or plan.gone or archives or behind) or not _is_meant(yes=yes):
                return
            with of_events("erasing") as progress:
                done = erased(store, plan, settings.rules, settings.fresh_now(), progress, first.erase)
        have = "has a pseudonym" if done.events == 1 else "have pseudonyms"
        click.echo(f"{store.owner}: {deliveries(done.events)} {have} now")
        first.show()
        if done.problem:
            note(f"{store.place}: {done.problem}", "what was there before is still in its files until then")
        for name, hint in kept_aside(store.data):
            note(f"{store.data / name} may still name people", hint)
        note(
            "log files, exports and backups stay as they were",
            "erase there too; what is read or restored from them gets the same pseudonyms, as long as erasures.db is there",
        )


def _refuse_unclear(
    participant: str | None, session: str | None, age: timedelta | None, *, again: bool
) -> None:
    given = [bool(participant or session), age is not None, again]
    if sum(given) != 1:
        raise UsageError(
            "it is not clear whom to erase" if any(given) else "nothing says whom to erase",
            hint='give --participant ID, --session ID, --older-than "180 d", or --again',
        )


def _archives(given: tuple[Path, ...]) -> list[Path]:
    """The archives that are given, by themselves or by the directory that `tracker prune` was given."""
    from tracker.intake.archive import archives

    found = list[Path]()
    for place in given:
        there = archives(str(place))
        if not there:
            hint = "give what tracker export --format parquet or tracker prune wrote"
            raise UsageError("is no archive", place=str(place), hint=hint)
        found += map(Path, there)
    return found


def _in_parquet() -> ModuleType:
    """What erases from archives. Raises ``UsageError`` where the package is not installed."""
    try:
        from projections.exports import erasing
    except ImportError as error:
        raise not_installed(error, "parquet") from error
    return erasing


@attrs.define
class _Archives:
    """Archives to erase from, and from how many deliveries of each it was done."""

    places: list[Path]
    store: Tracker
    counts: list[int] = attrs.field(factory=list)

    def erase(self) -> None:
        for place in self.places:
            with of_events("erasing") as progress:
                self.counts.append(_in_parquet().erase(place, self.store.ledger, progress))

    def show(self) -> None:
        for place, count in zip(self.places, self.counts, strict=True):
            click.echo(f"{place}: {deliveries(count)} {'has' if count == 1 else 'have'} pseudonyms now")


def _planned(
    store: Tracker,
    settings: Settings,
    participant: str | None,
    session: str | None,
    age: timedelta | None,
    archives: list[Path],
) -> Plan:
    from projections.erasing import beside
    from tracker.intake.erasing import of_older, of_participant, of_session

    with cleared_by_sigterm(), of_events("searching") as progress:
        if age is not None:
            before = settings.now - age
            there = set[str]().union(*(_in_parquet().older(one, before) for one in archives))
            return of_older(store, before, settings.now, progress, there)
        if participant is not None:
            there = beside(store.data, participant).union(
                *(_in_parquet().naming(one, participant) for one in archives)
            )
            return of_participant(store, participant, session, settings.now, progress, there)
        assert session is not None, "one of them was given"
        return of_session(store, session, settings.now, progress)


def _in_words(plan: Plan) -> str:
    gone = f"; {quantity(plan.gone, 'session')} outside the store" if plan.gone else ""
    if not plan.events:
        return f"{plan.what}: nothing is there to erase{gone}"
    are = "delivery gets" if plan.events == 1 else "deliveries get"
    return f"{plan.what}: {plan.events:,} {are} pseudonyms, in {quantity(plan.sessions, 'session')}{gone}"


def _is_meant(*, yes: bool) -> bool:
    """Whether somebody has said so. Raises ``UsageError`` where nobody can be asked."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "nothing was erased: there is no terminal to ask on", hint="give --yes; it cannot be undone"
        )
    return click.confirm("Erase them? This cannot be undone.", err=True)
