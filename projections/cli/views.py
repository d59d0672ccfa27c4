"""Commands about the read models: rebuild them, compare them under other rules, check them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from projections.cli.messages import note, quantity, show_software
from projections.cli.options import LEVELS, TEXT, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.progress import of_events
from tracker.errors import UsageError


@click.command()
@click.option(
    "--rules", type=click.Path(path_type=Path), help="With --diff: the TOML file whose [rules] to compare with."
)
@click.option("--diff", is_flag=True, help="Only show what the rules of --rules would change.")
@click.option(
    "--min-severity",
    type=click.Choice(LEVELS),
    show_default="warning in text, else info",
    help="With --diff: leave out what is below this severity.",
)
@click.option(
    "--format",
    "format",
    type=click.Choice([TEXT, "json", "ndjson"]),
    show_default=TEXT,
    help="With --diff: the output format.",
)
@with_store
def rebuild(
    rules: Path | None,
    diff: bool,
    min_severity: str | None,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """Rebuild the read models, or show what other rules would change.

    The new read models are built beside the old ones, and replace them when they are complete.

    With --rules FILE --diff nothing is replaced: the command shows which states would be different, and which
    findings would appear or disappear, if everything were judged by the rules of FILE.
    """
    from projections.views.rebuild import rebuild as make

    settings = Settings(data, config)
    if diff or rules is not None:
        _diff(settings, Settings(data, config, rules), diff and rules is not None, min_severity, format or TEXT)
        return
    if min_severity or format:
        raise UsageError(
            "--min-severity and --format work only with --diff", hint="tracker rebuild --rules FILE --diff"
        )
    with settings.store() as store:
        with of_events("rebuilding") as progress:
            path = make(store, settings.rules, progress)
        with settings.views(store):
            pass  # what is held otherwise now is published
        click.echo(f"{path}: {quantity(store.count(), 'event')} judged")


def _diff(settings: Settings, others: Settings, complete: bool, min_severity: Any, format: Any) -> None:
    from projections.exports import data as machine
    from projections.reports import changes, text
    from projections.views.diff import Summary, of_store

    if not complete:
        hint = "to change the rules of the read models, edit tracker.toml and run tracker rebuild"
        raise UsageError("--rules and --diff need each other", hint=hint)
    least: Any = min_severity or ("warning" if format == TEXT else "info")
    summary = Summary()
    rules = others.rules
    with settings.store() as store:
        with settings.views(store):
            pass  # they are up with the store now
        with of_events("comparing") as progress:
            changed = (one for one in summary.count(of_store(store, rules, progress)) if one.at_least(least))
            if format == TEXT:
                changes.text(text.console(sys.stdout), changed)
            else:
                write(machine.write(map(machine.values, changed), format))
    changes.summary(text.console(sys.stdout if format == TEXT else sys.stderr), summary, least)


@click.command()
@with_store
def verify(data: Path | None, config: Path | None) -> None:
    """Check the store and the read models.

    The positions and versions in the store must be complete, and the read models must be what the store's
    events give when they are judged again. What they hold must be what is published.
    """
    from projections.views.accepting import find
    from projections.views.verify import verify as problems_of
    from tracker.errors import StoreDamagedError

    settings = Settings(data, config)
    with settings.store() as store:
        with of_events("verifying") as progress:
            found = problems_of(store, settings.rules, progress)
        problems = found.problems
        show_software(store)
        for remark in found.notes:
            note(remark, "tracker rebuild builds new read models, and publishes what they hold")
        for record in found.records:
            note(record, "this is recorded and is not a problem")
        for problem in problems:
            click.echo(f"{problem.place}: {problem.text}")
        if problems:
            raise StoreDamagedError(
                f"{quantity(len(problems), 'problem')} found",
                place=store.owner,
                hint="restore events from a backup or from the logs, or run tracker accept-loss to go on without them"
                if find(store)
                else "tracker rebuild repairs views.db; restore events from a backup or from the logs",
            )
        gone = store.withdrawn()
        withdrawn = f", {len(gone):,} of them withdrawn" if gone else ""
        click.echo(f"{store.owner}: {quantity(store.count(), 'event')}{withdrawn}, no problem found")
