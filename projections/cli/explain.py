"""``tracker explain``: explains a code, or how a session was judged."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projections.cli.options import TEXT, Name, Position, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import (
    code_named,
    near_code,
    refuse_no_position,
    refuse_two_moments,
    session_named,
)
from projections.cli.times import AsOf, GivenTime, with_tz
from tracker.errors import NotFoundError, StoreMissingError, UsageError

if TYPE_CHECKING:
    from tracker.findings import Code
    from tracker.store.application import Tracker


@click.command()
@click.argument("subject", type=Name("session"), required=False, metavar="[CODE|SESSION]")
@click.option(
    "--as-of",
    type=AsOf(),
    help="Judge what was known then: a time, yesterday, now, -2h, or end (nothing more will come).",
)
@click.option("--at", type=Position(), help="Judge what was known right after this position.")
@click.option("--prices", is_flag=True, help="Show what each assumption costs.")
@click.option("--format", "format", type=click.Choice([TEXT, "json"]), default=TEXT, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@with_tz
@with_store
def explain(
    subject: str | None,
    as_of: GivenTime | None,
    at: int | None,
    prices: bool,
    format: str,
    as_json: bool,
    data: Path | None,
    config: Path | None,
) -> None:
    """Explain a code, or how a session was judged.

    A code may be given by its slug too. Without CODE or SESSION, all codes are listed. SESSION is the id of a
    session, the beginning of one, or the id of a meeting, which stands for its latest session.

    For a session: what most likely happened, which assumptions that needs, and what each of them costs (the
    negative logarithm of its probability); then what else may have happened, and how probable that is.
    """
    format = "json" if as_json else format
    settings = Settings(data, config)
    entry = code_named(subject) if subject is not None else None
    if prices:
        if subject is not None or as_of is not None or at is not None:
            raise UsageError("--prices always shows the whole table", hint="leave out the other arguments")
        _explain_prices(settings, format)
    elif subject is not None and entry is None:
        _explain_session(settings, subject, as_of, at, format)
    elif as_of is not None or at is not None:
        hint = "leave them out, or name a session"
        raise UsageError("--as-of and --at do not apply to codes", place=subject or "", hint=hint)
    else:
        _explain_codes(settings, entry, format)


def _explain_codes(settings: Settings, entry: Code | None, format: str) -> None:
    from msgspec.structs import asdict

    from projections.exports import data as machine
    from projections.reports import findings as report
    from projections.reports.text import console
    from tracker.judging.findings.catalogue import CATALOGUE

    out = console(sys.stdout)
    if format == "json":
        document = asdict(entry) if entry else [asdict(one) for one in CATALOGUE.values()]
        write([machine.document(document)])
    elif entry is None:
        report.codes(out, CATALOGUE.values())
    else:
        report.code(
            out, entry, settings.rules.severity_of(entry), settings.rules.written(), settings.rules.price_list
        )


def _explain_session(
    settings: Settings, session: str, as_of: GivenTime | None, at: int | None, format: str
) -> None:
    from projections.explain.explanation import explain as explained
    from projections.explain.explanation import values
    from projections.exports import data as machine
    from projections.read_models.sessions import seen
    from projections.reports import explain as report
    from projections.reports.text import console

    refuse_two_moments(as_of, at)
    try:
        with settings.store() as store, settings.views_now(store) as views:
            refuse_no_position(store, at)
            session = session_named(views, store, session, partial(settings.moment, as_of), at)
            asked = settings.moment(as_of, seen(views.db, session))
            until = asked if as_of is not None or at is not None else views.as_of
            deliveries = list(store.history(session, at=at, as_of=until))
            if not deliveries:
                raise _no_such_subject(store, session)
            log = views.log.known_by(at, asked)
            completed = partial(views.completed, at=at, as_of=asked)
            found = explained(deliveries, settings.rules, until, log, completed)
    except StoreMissingError as error:
        hint = near_code(session) or f"tracker explain lists all codes; for sessions: {error.hint}"
        what = "no such code, and there is no store that could hold such a session"
        raise NotFoundError(what, place=session, hint=hint) from error
    assert found is not None
    if format == "json":
        write([machine.document(values(found))])
    else:
        report.explanation(console(sys.stdout), found)


def _explain_prices(settings: Settings, format: str) -> None:
    from projections.explain.explanation import price_table
    from projections.exports import data as machine
    from projections.reports import explain as report
    from projections.reports.text import console

    table = price_table(settings.rules)
    if format == "json":
        write([machine.document(table)])
    else:
        report.prices(console(sys.stdout), table)


def _no_such_subject(store: Tracker, given: str) -> NotFoundError:
    if store.is_stored(given):
        return store.not_there(given)
    hint = (
        near_code(given)
        or store.perhaps_pruned(given)
        or "tracker explain lists the codes, tracker sessions the sessions"
    )
    return NotFoundError("no such code or session", place=given, hint=hint)
