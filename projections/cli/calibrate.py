"""``tracker calibrate``: suggests time windows for the rules, measured on deliveries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projections.cli.logs import open_webhooks
from projections.cli.messages import raise_all
from projections.cli.options import TEXT, with_store
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.progress import counted, of_events
from tracker.errors import TrackerError, UsageError

if TYPE_CHECKING:
    from projections.explain.calibrate import Calibration
    from projections.views.diff import Summary as DiffSummary
    from tracker.delivery.webhook import Delivery
    from tracker.rules import Rules


@click.command()
@click.argument("logs", nargs=-1, metavar="[LOG...]")
@click.option("--format", "format", type=click.Choice([TEXT, "json", "toml"]), default=TEXT, show_default=True)
@with_store
def calibrate(logs: tuple[str, ...], format: str, data: Path | None, config: Path | None) -> None:
    """Suggest time windows for the rules, measured on a log.

    The command measures how late webhooks come and how old their copies are, in the store or in LOGs. It
    shows how many findings the suggested windows would change. With --format toml it prints a [rules] table for tracker.toml.

    LOGs are read more than once, so none of them can be stdin.
    """
    from projections.audit.auditing import Logs
    from projections.reports import calibration, text

    if "-" in logs:
        raise UsageError("calibrate reads a log more than once", place="stdin", hint="save it to a file first")
    settings = Settings(data, config)
    complaints: list[TrackerError] = []
    if logs:
        opened, complaints = open_webhooks(logs, settings, {})
        first = Logs(opened)
        passes = iter([first])
        found, total = _calibrated(settings.rules, lambda: next(passes, Logs(opened)).deliveries())
        complaints.extend(first.errors)
    else:
        with settings.store() as store:
            found, total = _calibrated(settings.rules, store.deliveries)
    if format == TEXT:
        calibration.text(text.console(sys.stdout), found, total)
    else:
        write([calibration.toml(found) if format == "toml" else calibration.json(found, total)])
    raise_all(complaints)


def _calibrated(rules: Rules, deliveries: Callable[[], Iterable[Delivery]]) -> tuple[Calibration, DiffSummary]:
    """The measurements, and what the rules that they suggest would change."""
    from projections.audit.auditing import audit as judged
    from projections.explain.calibrate import Calibration, changed
    from projections.views.diff import Summary, of_findings

    found, total = Calibration(rules), Summary()
    with of_events("measuring") as progress:
        found.measure(counted(deliveries(), progress, 0))
    if changed(found.suggestions()):
        with of_events("comparing") as progress:
            now, then = (
                judged(counted(deliveries(), progress, found.deliveries), each).findings
                for each in (rules, found.suggested_rules())
            )
        for _ in total.count(of_findings(now, then)):
            pass
    return found, total
