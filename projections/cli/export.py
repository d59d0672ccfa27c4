"""``tracker export``: writes the deliveries of a store to stdout, as an archive, or as an event log; or sends traces."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projections.cli.messages import deliveries, not_installed, note, note_loss, quantity
from projections.cli.options import Name, with_account, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.subjects import note_pruned, session_named
from projections.progress import counted, of_events
from tracker.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from projections.exports.xes import View
    from tracker.delivery.webhook import Delivery
    from tracker.store.application import Tracker
    from tracker.store.ranges import Hole

OUT = {"parquet": "DIR", "ocel": "FILE", "xes": "FILE"}
"""The formats that are written elsewhere than to stdout, and to what."""
MINED = ("ocel", "xes")
OTLP = "otlp"
FORMATS = ("jsonl", "csv", *OUT, OTLP)


@click.command()
@click.option("--format", "format", type=click.Choice(FORMATS), default="jsonl", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="With --format parquet the directory of the archive, with ocel and xes the file.",
)
@click.option("--to", metavar="URL", help="With --format otlp the collector, as http://localhost:4318.")
@click.option(
    "--by",
    type=click.Choice(["session", "run"]),
    help="With --format xes: whether a trace is all that came of a session (the default), or what moved a run.",
)
@click.option(
    "--session",
    type=Name(),
    metavar="SESSION",
    help="Only this session (its id, the beginning of it, or its meeting's id), or `unrouted`.",
)
@with_account
@with_store
def export(
    format: str,
    out: Path | None,
    to: str | None,
    by: View | None,
    session: str | None,
    account: str | None,
    data: Path | None,
    config: Path | None,
) -> None:
    """Write the deliveries to stdout or an archive, or send traces.

    `tracker ingest` reads jsonl back, with every body as it came in. parquet is an archive with one directory
    a day, which `tracker ingest` and `tracker audit` read back, also with --engine spark. ocel (OCEL 2.0, SQLite) and
    xes are event logs for process mining: how each delivery was read, without bodies and names. otlp sends each session
    that is closed out to a collector of OpenTelemetry, as a trace and only once.

    parquet and otlp need an extra: pip install '.[parquet]' and '.[otel]'.
    """
    _refuse_what_does_not_fit(format, out, by, session, account)
    settings = Settings(data, config)
    if format == OTLP or to is not None:
        _trace(settings, format, to, session)
        return
    if format in MINED and out is not None:
        _mine(settings, format, out, by or "session", session)
        return
    from projections.exports.lines import jsonl, table

    holes: list[Hole] = []
    with settings.store() as store:
        note_loss(store)
        if session is not None:
            session = _meant(settings, store, session)
        chosen = _chosen(store, session, holes)
        if session is None and (gone := store.withdrawn()):
            left_out = "is left out" if len(gone) == 1 else "are left out"
            note(
                f"{deliveries(len(gone), 'withdrawn')} {left_out}",
                "tracker copy copies everything that is stored",
            )
        with of_events("exporting") as progress:
            followed = _of_account(counted(chosen, progress, store.end()), account, settings.accounts)
            if out is not None:
                _archive(followed, out)
            else:
                write(jsonl(followed) if format == "jsonl" else table(followed))
        _refuse_holes(store, holes)


def _of_account(
    deliveries: Iterator[Delivery], account: str | None, configured: Container[str]
) -> Iterator[Delivery]:
    """Those of an account, all where none is named.

    Raises ``NotFoundError`` behind them where there are none and the account is not configured.
    """
    if account is None:
        yield from deliveries
        return
    found = False
    for one in deliveries:
        if one.received.account == account:
            found = True
            yield one
    if not found and account not in configured:
        hint = "tracker sessions shows the account of each session"
        raise NotFoundError("nothing came of such an account", place=account, hint=hint)


def _refuse_what_does_not_fit(
    format: str, out: Path | None, by: str | None, session: str | None, account: str | None
) -> None:
    if (format in OUT) != (out is not None):
        wanted, what = (format, OUT[format]) if format in OUT else ("parquet", OUT["parquet"])
        raise UsageError(
            f"--format {wanted} and --out need each other",
            hint=f"tracker export --format {wanted} --out {what}",
        )
    if by is not None and format != "xes":
        raise UsageError("--by is for --format xes", hint="leave it out, or add --format xes")
    if session is not None and format == "ocel":
        raise UsageError("--format ocel is of the whole store", hint="--format xes takes --session")
    if account is not None and format in (*MINED, OTLP):
        raise UsageError(f"--format {format} is of all accounts", hint="leave --account out")


def _mine(settings: Settings, format: str, out: Path, by: View, session: str | None) -> None:
    """Writes an event log of what the read models hold, now."""
    from projections.exports import ocel, xes

    with settings.store() as store, settings.views_now(store) as views:
        if session is not None and session != "unrouted":
            session = session_named(views, store, session)
            if not any(True for _ in store.history(session)):
                raise store.not_there(session)
        if format == "ocel":
            ocel.write(views.connection, out)
        else:
            xes.write(views.connection, out, by, session)


def _trace(settings: Settings, format: str, to: str | None, session: str | None) -> None:
    """Exports what is closed out by now, and says what was not exported and why."""
    if format != OTLP or to is None:
        hint = "tracker export --format otlp --to http://localhost:4318"
        raise UsageError("--format otlp and --to need each other", hint=hint)
    from projections.cli.outgoing import collector_at
    from projections.traces.exported import Exporter

    with settings.store() as store, settings.views_now(store) as views:
        if session is not None:
            session = session_named(views, store, session)
            if not any(True for _ in store.history(session)):
                raise store.not_there(session)
        collector = collector_at(to)
        try:
            counts = Exporter(settings.data, collector, settings.rules.redelivery).run(
                settings.now, session=session
            )
        finally:
            collector.close()
    before = f", {quantity(counts.before, 'other')} before" if counts.before else ""
    click.echo(f"{quantity(counts.exported, 'trace')} exported{before}")
    if counts.rejected:
        hint = "see its limits; what is rejected is not exported again, as the protocol has it"
        note(f"the collector rejected {counts.rejected}", hint)
    if counts.still_open:
        is_open = "is" if counts.still_open == 1 else "are"
        hint = "export again when they have ended and nothing of them is likely to change"
        note(f"{quantity(counts.still_open, 'session')} {is_open} not closed out yet", hint)
    if counts.timeless:
        hint = "a trace needs times: give the log's receive times, or see tracker ingest --help"
        note(f"{quantity(counts.timeless, 'session')} without any known time cannot be exported", hint)


def _archive(deliveries: Iterable[Delivery], out: Path) -> None:
    try:
        from projections.exports.parquet import write as write_archive
    except ImportError as error:
        raise not_installed(error, "parquet") from error
    write_archive(deliveries, out)


def _chosen(store: Tracker, session: str | None, holes: list[Hole]) -> Iterable[Delivery]:
    """The deliveries of the store, of one session, or the ``unrouted``; what cannot be read is added to ``holes``."""
    if session is None:
        return _readable(store, holes)
    found = list(_of_session(store, session))
    if not found and session != "unrouted":
        raise store.not_there(session)
    return found


def _meant(settings: Settings, store: Tracker, session: str) -> str:
    """The session that is meant. The read models, which ids and rooms are looked up in, are opened only if need be."""
    if any(True for _ in _of_session(store, session)):
        note_pruned(store, session)
        return session
    with settings.views(store) as views:
        return session_named(views, store, session)


def _of_session(store: Tracker, session: str) -> Iterator[Delivery]:
    return store.unrouted() if session == "unrouted" else store.history(session)


def _readable(store: Tracker, holes: list[Hole]) -> Iterator[Delivery]:
    from tracker.store.ranges import Hole

    for one in store.salvaged():
        if isinstance(one, Hole):
            holes.append(one)
        else:
            yield one


def _refuse_holes(store: Tracker, holes: list[Hole]) -> None:
    """Raises ``StoreDamagedError`` for what could not be read, after everything else was written."""
    if holes:
        from tracker.errors import StoreDamagedError

        lost = sum(hole.count for hole in holes)
        where = ", ".join(hole.place for hole in holes)
        raise StoreDamagedError(
            f"{deliveries(lost)}, at {where}, cannot be read, so the export is incomplete",
            place=store.owner,
            hint="everything else was written: tracker ingest reads it into an empty --data DIR; a backup may have the rest",
        )
