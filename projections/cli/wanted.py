"""Which findings are asked for, and which of an audit are accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from projections import zones
from projections.cli.messages import note
from projections.cli.options import LEVELS, Name, with_account
from projections.cli.subjects import known_code
from projections.cli.times import Moment
from tracker.errors import NotFoundError, TrackerError

if TYPE_CHECKING:
    from projections.audit.found import Findings
    from projections.cli.settings import Settings
    from tracker.accept import Acceptance
    from tracker.delivery.webhook import Delivery
    from tracker.findings import Finding

MOST_NAMED = 3
"""Ids that a hint names."""
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
        is_here = session is None or _is_of_session(session, one.session_id, one.meeting_id)
        is_in_room = meeting is None or _is_of_meeting(meeting, one.meeting_id)
        is_of_it = account is None or one.account == account
        is_new = since is None or (one.at is not None and one.at >= since)
        return is_here and is_in_room and is_of_it and is_new and (not known or one.code in known)

    return wanted


def _is_of_session(asked: str, session_id: str | None, meeting_id: str | None) -> bool:
    return (session_id or "").startswith(asked) or meeting_id == asked


def _is_of_meeting(asked: str, meeting_id: str | None) -> bool:
    return (meeting_id or "").startswith(asked)


@attrs.define
class Asked:
    """The session and the meeting that an audit is asked for, until something of them comes: nothing is found of one in
    good order, nor of one that is not there.
    """

    session: str | None
    meeting: str | None

    def among(self, deliveries: Iterable[Delivery], as_of: datetime | None) -> Iterable[Delivery]:
        """The same deliveries; looks whether those up to a moment are of what is asked for, if anything is."""
        if self.session is None and self.meeting is None:
            return deliveries
        from tracker.delivery.webhook import until  # the help needs none

        return self._looked_at(until(deliveries, as_of))

    def _looked_at(self, deliveries: Iterable[Delivery]) -> Iterator[Delivery]:
        for one in deliveries:
            if self.session is not None or self.meeting is not None:
                self.meet(one.session_id, one.meeting_id)
                self.meet(*(one.link or (None, None)))
            yield one

    def meet(self, session_id: str | None, meeting_id: str | None) -> None:
        """Something came of these."""
        if self.session is not None and _is_of_session(self.session, session_id, meeting_id):
            self.session = None
        if self.meeting is not None and _is_of_meeting(self.meeting, meeting_id):
            self.meeting = None

    def missing(self, hint: str) -> Iterator[TrackerError]:
        """An error for each of them of which nothing came."""
        hint = hint or "check the id: what was read has none that begins so"
        for what, asked in (("session", self.session), ("meeting", self.meeting)):
            if asked is not None:
                yield NotFoundError(f"no such {what}", place=asked, hint=hint)


def note_accepts(
    settings: Settings, unused: Sequence[Acceptance], findings: Findings, as_of: datetime | None
) -> None:
    """Notes the entries that have expired, and the others that are ``unused``, because they match none of the findings."""
    for number, entry in enumerate(settings.rules.accept, 1):
        names = (("session", entry.session), ("meeting", entry.meeting))
        what = ", ".join([entry.code, *(f"{name} {one}" for name, one in names if one)])
        if entry.until is not None and entry.expired(as_of):
            note(
                f"{settings.accept_in}: accept entry {number} ({entry.code}) expired at {zones.dated(entry.until)}",
                "what came later is reported again: fix the cause, or set a later date",
            )
        elif any(entry is one for one in unused):
            whole = findings.named(entry)
            hint = f"an entry names an id in full: {', '.join(whole[:MOST_NAMED])}" if whole else ""
            note(
                f"{settings.accept_in}: accept entry {number} ({what}) matches nothing here",
                hint or "check what it names; if what it accepted is over, remove it",
            )
