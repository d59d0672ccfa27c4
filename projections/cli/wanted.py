"""Which findings are asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from projections.cli.messages import note
from projections.cli.options import LEVELS, Name, with_account
from projections.cli.subjects import known_code
from projections.cli.times import Moment

if TYPE_CHECKING:
    from projections.audit.found import Findings
    from tracker.findings import Finding

F = TypeVar("F", bound=Callable[..., Any])


_code = click.option(
    "--code",
    "codes",
    type=Name("code"),
    metavar="CODE",
    multiple=True,
    help="Only this code, by code or slug; may be repeated.",
)


def with_wanted(command: F) -> F:
    """Adds --session, --meeting, --account, --code and --since."""
    for option in (
        click.option(
            "--since", type=Moment(), help="Only what became true since this time: 10:18, yesterday, -2h."
        ),
        _code,
        with_account,
        click.option("--meeting", type=Name("meeting"), metavar="ID", help="Only findings of this meeting."),
        click.option(
            "--session",
            type=Name("session"),
            metavar="ID",
            help="Only findings of this session: its id, the beginning of it, or its meeting's id.",
        ),
    ):
        command = option(command)
    return command


def with_narrowing(since: str, default: str | None = None) -> Callable[[F], F]:
    """Adds --code, --meeting, --account, --since and --min-severity; ``since`` is the help of that one."""

    def add(command: F) -> F:
        for option in (
            click.option(
                "--min-severity",
                type=click.Choice(LEVELS),
                default="warning",
                show_default=True,
                help="Leave out findings below this severity.",
            ),
            click.option("--since", type=Moment(), default=default, show_default=True, help=since),
            with_account,
            click.option(
                "--meeting", type=Name("meeting"), metavar="ID", help="Only in sessions of this meeting."
            ),
            _code,
        ):
            command = option(command)
        return command

    return add


def wanted_by(
    session: str | None,
    meeting: str | None,
    account: str | None,
    codes: tuple[str, ...],
    since: datetime | None,
) -> Callable[[Finding], bool] | None:
    """Says of a finding whether it is asked for; ``None`` where all are. Raises ``NotFoundError`` for an unknown code."""
    known = {known_code(one).code for one in codes}
    if not known and {session, meeting, account, since} == {None}:
        return None

    def wanted(one: Finding) -> bool:
        ids = [one.session_id or "", one.meeting_id or ""]
        is_here = session is None or ids[0].startswith(session) or ids[1] == session
        is_in_room = meeting is None or ids[1].startswith(meeting)
        is_of_it = account is None or one.account == account
        is_new = since is None or (one.at is not None and one.at >= since)
        return is_here and is_in_room and is_of_it and is_new and (not known or one.code in known)

    return wanted


def note_nothing(asked: str | None, findings: Findings, hint: str) -> None:
    """Of a session in good order nothing is found, and of one that is not there neither."""
    if asked is not None and not any(True for _ in findings):
        hint = hint or "check the id: what is not in what was read has no findings either"
        note(f"{asked}: nothing was found", hint)
