"""``tracker audit``: reports what is wrong, in the store or in logs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projections.cli.logs import note_logs, open_webhooks
from projections.cli.messages import not_installed, note_loss, raise_all
from projections.cli.options import (
    LEVELS,
    MACHINE,
    TEXT,
    with_as_given,
    with_fields,
    with_keys,
    with_store,
)
from projections.cli.settings import Settings
from projections.cli.streams import as_far_as_somebody_reads, write
from projections.cli.subjects import perhaps_pruned
from projections.cli.times import AsOf, GivenTime, with_tz
from projections.cli.wanted import Asked, note_accepts, wanted_by, with_wanted
from projections.progress import counted, of_events, of_logs
from tracker.errors import TrackerError, UsageError

if TYPE_CHECKING:
    from projections.audit.auditing import Audit, Elsewhere, Logs
    from projections.audit.found import Findings
    from projections.reports.places import Place
    from tracker.findings import Finding
    from tracker.rules import Rules

OF_CI = ("junit", "github")


@click.command()
@click.argument("logs", nargs=-1, metavar="[LOG...]")
@click.option("--rules", type=click.Path(path_type=Path), help="Judge by the [rules] of this TOML file.")
@click.option(
    "--as-of",
    type=AsOf(),
    help="Judge what was known then: a time, yesterday, now, -2h, or end (nothing more will come).",
)
@click.option(
    "--strict", is_flag=True, help="Findings that are not settled (undecided or provisional) fail too."
)
@click.option(
    "--min-severity",
    type=click.Choice(LEVELS),
    show_default="warning in text, else info",
    help="Leave out findings below this severity.",
)
@with_wanted
@click.option(
    "--fail-on",
    type=click.Choice([*LEVELS, "never"]),
    default="warning",
    show_default=True,
    help="Exit with 1 if a finding has at least this severity.",
)
@click.option(
    "--format", "format", type=click.Choice([TEXT, *MACHINE, *OF_CI]), default=TEXT, show_default=True
)
@click.option(
    "--engine",
    type=click.Choice(["python", "spark"]),
    default="python",
    show_default=True,
    help="spark: judge on Apache Spark, which needs the extra `spark`; LOGs may be Parquet archives.",
)
@click.option("--master", metavar="URL", show_default="local[*]", help="With --engine spark: the cluster.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="With --engine spark: the directory for findings and sessions, as Parquet.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="The number of processes to judge in.",
)
@with_as_given
@with_fields
@with_tz
@with_keys
@with_store
def audit(
    logs: tuple[str, ...],
    rules: Path | None,
    as_of: GivenTime | None,
    min_severity: str | None,
    session: str | None,
    meeting: str | None,
    account: str | None,
    codes: tuple[str, ...],
    since: GivenTime | None,
    fail_on: str,
    format: Any,
    engine: str,
    master: str | None,
    out: Path | None,
    jobs: int,
    as_given: bool,
    strict: bool,
    keys: tuple[Path, ...],
    data: Path | None,
    config: Path | None,
) -> None:
    """Report what is wrong, in the store or in logs.

    With LOGs no store is needed, and a position is a line number, counted on from one file to the next. Several
    LOGs are merged by receive time; if one of them is a pipe, they are read one after the other. The store is
    judged as of now, LOGs as of their newest receive time.

    Everything is judged, whatever is asked for; --session, --meeting, --account, --code and --since choose what is reported.

    The exit code is 1 if there is a finding at or above --fail-on. The formats junit and github are for CI: a
    test report, and annotations at file and line.
    """
    from projections.reports import findings as report
    from projections.reports.places import nowhere
    from projections.reports.text import console

    settings = Settings(data, config, rules)
    complaints: list[TrackerError] = []
    place: Place = nowhere
    hint = ""
    _refuse(engine, bool(logs), bool(keys), jobs, master is not None or out is not None)
    until = settings.moment(as_of)
    asked = Asked(session, meeting)
    wanted = wanted_by(session, meeting, account, codes, settings.moment(since))
    if logs:
        if engine == "spark":
            result, read, complaints = _on_spark(logs, settings, until, asked, master, out, as_given=as_given)
        else:
            result, read, complaints = _of_logs(logs, settings, keys, until, asked, jobs, as_given=as_given)
        complaints.extend(read.errors)
        place = read.place
        complaints.extend(note_logs(read))
        if not any(odd.deliveries for odd in read.odd.values()):
            raise_all(complaints)  # that is why nothing could be judged
    else:
        result, hint = _of_store(settings, until, asked, jobs)
    if missing := list(asked.missing(hint)):
        raise_all([*complaints, *missing])
    unused = result.findings.accept(settings.rules.accept)
    note_accepts(settings, unused, result.findings, result.newest)
    if wanted is not None:
        result.findings.keep(wanted)
    if out is not None:
        from projections.exports.parquet import write_findings

        write_findings(result.findings, out / "findings" / "findings.parquet")
    least: Any = min_severity or ("warning" if format == TEXT else "info")
    fails = partial(_fails, fail_on, strict)
    with as_far_as_somebody_reads():
        if format == TEXT:
            report.audit(console(sys.stdout), result, least, narrowed=wanted is not None)
        else:
            findings = result.findings.at_least(least)
            write(_written_findings(findings, format, result.deliveries, place, fails))
    if format != TEXT:
        report.summary(console(sys.stderr), result, least, narrowed=wanted is not None)
    raise_all(complaints)
    if any(map(fails, result.findings)):
        sys.exit(1)


def _of_logs(
    paths: tuple[str, ...],
    settings: Settings,
    keys: tuple[Path, ...],
    as_of: datetime | None,
    asked: Asked,
    jobs: int,
    *,
    as_given: bool,
) -> tuple[Audit, Logs, list[TrackerError]]:
    with _others(jobs, settings.rules) as others:  # they start while this one imports
        from projections.audit.auditing import Logs
        from projections.audit.auditing import audit as judged

        opened, complaints = open_webhooks(paths, settings, settings.keyrings_of_logs(keys))
        read = Logs(opened, as_given)
        with of_logs(opened) as watch:
            came = asked.among(watch(read.deliveries()), as_of)
            return judged(came, settings.rules, as_of, others=others), read, complaints


def _of_store(settings: Settings, as_of: datetime | None, asked: Asked, jobs: int) -> tuple[Audit, str]:
    from projections.audit.auditing import audit as judged

    with settings.store() as store, of_events("judging") as progress:
        note_loss(store)
        hint = perhaps_pruned(store, asked.session, asked.meeting)
        last = store.last_position()
        followed = asked.among(counted(store.deliveries(last), progress, last), as_of)
        with _others(jobs, settings.rules) as others:
            return judged(followed, settings.rules, as_of, others=others, now=settings.now), hint


def _refuse(engine: str, logs: bool, keys: bool, jobs: int, of_spark: bool) -> None:
    """Raises ``UsageError`` for options that do not go together."""
    if keys and not logs:
        raise UsageError(
            "--key works only with a LOG",
            hint="name one, or leave out --key: what is in the store was verified when it came in, or never",
        )
    if engine == "python" and of_spark:
        raise UsageError("--master and --out work only with --engine spark", hint="add --engine spark")
    if engine == "spark" and (keys or not logs):
        raise UsageError(
            "--engine spark needs a LOG, and it verifies no signatures",
            hint="name logs or archives, and leave out --key",
        )
    if engine == "spark" and jobs > 1:
        raise UsageError("--jobs does not work with --engine spark", hint="give --master local[N] instead")


def _on_spark(
    paths: tuple[str, ...],
    settings: Settings,
    as_of: datetime | None,
    asked: Asked,
    master: str | None,
    out: Path | None,
    *,
    as_given: bool,
) -> tuple[Audit, Logs, list[TrackerError]]:
    try:
        from projections.audit.spark import audit as judged
        from projections.audit.spark import session
        from projections.audit.spark.reading import is_archive
        from projections.exports.parquet import refuse_what_is_there
    except ImportError as error:
        raise not_installed(error, "spark") from error
    from tracker.intake.archive import archives

    complaints: list[TrackerError] = []
    how = settings.zone, settings.fields
    paths = tuple(one for path in paths for one in (archives(path) or [path]))
    logs = [path for path in paths if not is_archive(path)]
    if logs:
        opened, complaints = open_webhooks(logs, settings, {})
        readable = {log.path for log in opened}
        paths = tuple(path for path in paths if is_archive(path) or path in readable)
    if out is not None:
        refuse_what_is_there(out)
    with session(master) as running:
        given = running, list(paths), settings.rules, as_of, out
        return *judged(*given, as_given=as_given, read_as=how, meet=asked.meet), complaints


@contextmanager
def _others(jobs: int, rules: Rules) -> Iterator[Sequence[Elsewhere]]:
    """The other processes that judge, none for one job."""
    if jobs == 1:
        yield ()
        return
    from projections.audit.jobs import others

    with others(jobs, rules) as started:
        yield started


def _written_findings(
    findings: Findings, format: Any, deliveries: int, place: Place, fails: Callable[[Finding], bool]
) -> Iterable[bytes]:
    from projections.explain.status import finding as values
    from projections.exports import data
    from projections.reports import github, junit

    if format == "junit":
        return junit.write(findings, deliveries, place, fails)
    if format == "github":
        return github.write(findings, place)
    return data.write(map(values, findings), format)


def _fails(fail_on: str, strict: bool, found: Finding) -> bool:
    """Whether an audit fails because of this finding; where it is ``strict``, also because of one that is not settled.

    A window that is still open makes a finding undecided in a log, and provisional in a store, which goes on.
    """
    if fail_on == "never" or found.verdict == "accepted" or (found.verdict != "settled" and not strict):
        return False
    return LEVELS.index(found.severity) >= LEVELS.index(fail_on)
