"""``tracker alerts ack``: somebody looks after an alert, or after a finding that no rule is about."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from projections.cli.options import Name, with_store
from projections.cli.settings import Settings
from projections.cli.subjects import known_code, session_named
from projections.cli.times import GivenTime, ToCome, with_tz
from tracker.errors import NotFoundError, UsageError


@click.command()
@click.argument("alert", type=int, required=False, metavar="[ID]")
@click.option("--session", type=Name("session"), metavar="ID", help="Of this session, with --code.")
@click.option("--code", type=Name("code"), metavar="CODE", help="The findings of this code, by code or slug.")
@click.option("--by", "who", metavar="NAME", help="Who looks after it.")
@click.option(
    "--until",
    type=ToCome(),
    help="Until this time, or for so long: 18:00, 2h, 3d.",
    show_default="until it is over",
)
@click.option("--undo", is_flag=True, help="Nobody looks after it any more.")
@with_tz
@with_store
def ack(
    alert: int | None,
    session: str | None,
    code: str | None,
    who: str | None,
    until: GivenTime | None,
    undo: bool,
    data: Path | None,
    config: Path | None,
) -> None:
    """Record that somebody looks after an open alert, or after findings.

    From then on only the end of an alert is sent, and no change. ID is the first column of `tracker alerts list`. Findings
    are named by --session and --code, whether or not a rule is about them; those about the whole log have the session
    `log:`. When --until is over, an alert that is still open is sent as changed.
    """
    if undo == bool(who):
        raise UsageError("nobody is named", hint="give --by NAME, or --undo")
    if (alert is None) != (session is not None and code is not None):
        raise UsageError("it is not said what", hint="give the ID of an alert, or --session and --code")
    settings = Settings(data, config)
    end = settings.to_come(until)
    by = None if undo else who
    if alert is not None:
        what = f"alert {alert}"
        _own_alert(settings, alert, by, end)
    else:
        what = _own_findings(settings, session or "", known_code(code or "").code, by, end)
    click.echo(f"{what}: {'nobody' if by is None else by} looks after it")


def _own_alert(settings: Settings, alert: int, by: str | None, until: datetime | None) -> None:
    """Raises ``NotFoundError`` where there is no such open alert."""
    from projections.alerts.database import alerts_file
    from projections.read_models import text

    file, changed = alerts_file(settings.data), 0
    if file.path.exists():
        with file.to_write() as connection:
            update = (
                "UPDATE alerts SET acknowledged_by = ?, acknowledged_until = ? WHERE id = ? AND state = 'open'"
            )
            changed = connection.execute(update, (by, text(until), alert)).rowcount
    if not changed:
        raise NotFoundError("no such open alert", place=str(alert), hint="tracker alerts list shows them")


def _own_findings(settings: Settings, session: str, code: str, by: str | None, until: datetime | None) -> str:
    """Returns what they are. Raises ``NotFoundError`` where there is none."""
    from projections.alerts.owners import look_after
    from tracker.judging.findings.of_log import STREAM

    with settings.store() as store, settings.views_now(store) as views:
        session = session_named(views, store, session)
    if not look_after(settings.data, session, code, settings.now, by=by, until=until):
        of_log = session == STREAM
        asked = "tracker issues" if of_log else f"tracker status {session}"
        place = "the log" if of_log else session
        raise NotFoundError(f"no {code} is found there", place=place, hint=f"{asked} shows what is found there")
    return f"{code} in {session}"
