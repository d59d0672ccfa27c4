"""The subject of a command: a session, a code, a moment in the past; and what was meant if it is not found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from projections import zones
from projections.cli.messages import note, quantity
from tracker.errors import NotFoundError, UsageError, did_you_mean

if TYPE_CHECKING:
    from projections.cli.settings import Settings
    from projections.views.follow import Views
    from tracker.findings import Code
    from tracker.store.application import Tracker


Past = Callable[[tuple[datetime, datetime] | None], datetime | None]
"""The moment that is asked about, by when a session got its first and its last delivery; ``None``: now."""


def session_named(
    views: Views, store: Tracker, given: str, past: Past | None = None, at: int | None = None
) -> str:
    """The session that is meant, as ``_meant`` has it; it is said where only what came late is left of it."""
    session = _meant(views, store, given, past, at)
    note_pruned(store, session)
    return session


def note_pruned(store: Tracker, session: str) -> None:
    """Says where the rest of a session is that was pruned, and of which only what came later is left."""
    pruned = store.pruned(session)
    if pruned is not None and any(True for _ in store.history(session)):
        when = zones.sentence(pruned.when, None)
        note(
            f"{session} was pruned at {when}, and this is only what came later",
            f"what came before is in {' and '.join(pruned.archives)}",
        )


def _meant(views: Views, store: Tracker, given: str, past: Past | None, at: int | None) -> str:
    """The session that is meant by its id or by its meeting's, or by the beginning of one of them.

    Of a meeting that is the session that began last, with a note where it has several; where a moment of the ``past`` or
    the position ``at`` is asked about, the one that had begun last by then. What is none of these is given back as it is,
    since a stream that is no session may have that name. Raises ``UsageError`` where several ids begin so, and ``NotFoundError`` for a
    room of which only calls and the like are known.
    """
    from projections.read_models import links, sessions

    db = views.db
    if sessions.is_there(db, given) or any(True for _ in store.history(given)) or links.beside(db, given):
        return given
    found = sessions.beginning_with(db, given)
    if not found:
        given = meeting_meant(views, given) or given
    if of_meeting := sessions.of_meeting(db, given):
        begun = (one for one in of_meeting if _had_begun(views, store, one, past, at))
        latest, count = next(begun, of_meeting[-1]), len(of_meeting)
        which = f"the latest of its {count:,} sessions"
        if latest != of_meeting[0]:
            which += " that had begun by then"
        if count > 1:
            note(
                f"{given} is a meeting, and {latest} is {which}",
                f"tracker sessions --meeting {given} lists all",
            )
        return latest
    if len(found) > 1:
        what = f"{quantity(len(found), 'session')} have an id that begins so"
        raise UsageError(what, place=given, hint=f"give more of it: {sessions.some(found)}")
    if not found and any(True for _ in links.runs(db, meeting=given, limit=1)):
        hint = f"tracker runs --meeting {given} lists what was for it"
        raise NotFoundError("no session is known of this room", place=given, hint=hint)
    return found[0] if found else given


def _had_begun(views: Views, store: Tracker, session: str, past: Past | None, at: int | None) -> bool:
    """Whether something had come of a session by then."""
    from projections.read_models.sessions import seen

    first = next(store.history(session), None)
    if first is None or (at is not None and first.position > at):
        return False
    moment = past(seen(views.db, session)) if past is not None else None
    return moment is None or first.received_at is None or first.received_at <= moment


def refuse_two_moments(as_of: object, at: int | None) -> None:
    if as_of is not None and at is not None:
        raise UsageError("--as-of and --at cannot be used together", hint="give one of them")


def refuse_no_position(store: Tracker, at: int | None) -> None:
    """Raises ``UsageError`` for a position behind the end of the store."""
    if at is not None and at > store.last_position():
        end = store.last_position()
        raise UsageError(f"the store ends at position {end}", place=f"--at {at}", hint=f"give one up to {end}")


def code_named(given: str) -> Code | None:
    from tracker.judging.findings.catalogue import CATALOGUE

    for entry in CATALOGUE.values():
        if given.lower() in (entry.code.lower(), entry.slug):
            return entry
    return None


def known_code(given: str) -> Code:
    entry = code_named(given)
    if entry is None:
        hint = near_code(given) or "tracker explain lists all codes"
        raise NotFoundError("no such code", place=given, hint=hint)
    return entry


def near_code(given: str) -> str:
    from tracker.judging.findings.catalogue import CATALOGUE

    names = [*CATALOGUE, *(entry.slug for entry in CATALOGUE.values())]
    return did_you_mean(given, names)


def meeting_meant(views: Views, given: str | None) -> str | None:
    """The meeting that is meant by its id, or by the beginning of its id; what is none is given back as it is.

    Raises ``UsageError`` where several ids begin so.
    """
    from projections.read_models import sessions

    if given is None or sessions.of_meeting(views.db, given):
        return given
    found = sessions.meetings_beginning_with(views.db, given)
    if len(found) > 1:
        what = f"{quantity(len(found), 'meeting')} have an id that begins so"
        raise UsageError(what, place=given, hint=f"give more of it: {sessions.some(found)}")
    return found[0] if found else given


def meeting_named(views: Views, store: Tracker, given: str | None) -> str | None:
    """The same. Raises ``NotFoundError`` where there is no session of it."""
    from projections.read_models import sessions

    meeting = meeting_meant(views, given)
    if meeting is not None and not sessions.of_meeting(views.db, meeting):
        hint = store.perhaps_pruned(meeting) or "tracker sessions lists all meetings"
        raise NotFoundError("no such meeting", place=meeting, hint=hint)
    return meeting


def refuse_no_account(views: Views, settings: Settings, account: str | None) -> None:
    """Raises ``NotFoundError`` where an account is named that is not configured, and of which nothing came."""
    from projections.read_models.sessions import accounts

    if account is not None and account not in (known := sorted({*settings.accounts, *accounts(views.db)})):
        hint = did_you_mean(account, known) or (
            f"known: {', '.join(known)}" if known else "nothing that is stored names its account"
        )
        raise NotFoundError("nothing came of such an account", place=account, hint=hint)


def nothing_of(account: str | None, given: str) -> NotFoundError:
    return NotFoundError(f"nothing of account {account} is known here", place=given, hint="leave --account out")


def refuse_no_session(views: Views, store: Tracker, session: str) -> None:
    """Raises ``NotFoundError`` where nothing is known of a session, or no session has that name."""
    from projections.read_models.sessions import is_there

    if not is_there(views.db, session):
        if any(True for _ in store.history(session)):
            hint = "tracker sessions lists all sessions"
            raise NotFoundError("no such session", place=session, hint=hint)
        raise store.not_there(session)


def perhaps_pruned(store: Tracker, session: str | None, meeting: str | None) -> str:
    """A hint for where nothing is found of a session or of a meeting; empty where nothing was pruned.

    Raises ``NotFoundError`` where the session was pruned, and says it where only what came later is left of it.
    """
    if session is not None:
        refuse_pruned(store, session)
        note_pruned(store, session)
    asked = session or meeting
    return store.perhaps_pruned(asked) if asked else ""


def refuse_pruned(store: Tracker, session: str) -> None:
    """Raises ``NotFoundError`` where this is a session that was pruned, and nothing of it came later."""
    if store.pruned(session) is not None and not any(True for _ in store.history(session)):
        raise store.not_there(session)
