"""Which of VideoSDK's own records are worth asking for, by what is known of the sessions; and what they say otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from projections.answers.issues import issues
from projections.read_models import ReadModels, text
from projections.read_models.sessions import LIVE
from tracker.findings import SEVERITIES
from tracker.intake.reconciling import LOOK_BACK, Asked
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.lifecycle import Lifecycle
from tracker.lifecycles import REGISTRY

CONTESTED_FOR = timedelta(days=30)
"""A session that has not ended is asked for as long as something came of it within this time."""
CODES = [code for code in CATALOGUE if code.startswith("R")]
"""What records may say otherwise."""
_UNEXPLAINED = (
    "SELECT session_id FROM findings WHERE code IN ('S201', 'S202', 'S203', 'S204', 'X401') AND cause IS NULL"
)
"""The sessions in which something is missing that the subscription of the room may explain."""


def of_sessions(db: ReadModels, names: Iterable[str], account: str | None) -> Asked:
    """All records of these sessions, and to what their rooms subscribe."""
    every = [one for one in REGISTRY.values() if one.records is not None and not one.is_session]
    sessions = dict.fromkeys(names, every)
    rooms = {name: meeting for name in sessions for meeting in _meeting(db, name)}
    return Asked(sessions=sessions, rooms=rooms, lists=False, account=account)


def of_live(db: ReadModels, account: str | None) -> Asked:
    """The sessions that are live here, with the records of what is in them."""
    rows = db.query(f"SELECT session_id FROM sessions WHERE {LIVE} AND {_OF}", {"account": account})
    sessions = {row["session_id"]: _lifecycles(db, row["session_id"]) for row in rows}
    return Asked(sessions=sessions, lists=False, account=account)


def of_all(db: ReadModels, since: datetime | None, now: datetime, account: str | None) -> Asked:
    """The sessions that are not known to have ended, and the lists since a moment."""
    values = {
        "account": account,
        "since": text(since or now - LOOK_BACK),
        "contested": text(now - CONTESTED_FOR),
    }
    open_ones = db.query(
        f"SELECT session_id FROM sessions WHERE ({LIVE} OR (certainty = 'contested' AND last_seen_at >= :contested)) AND {_OF}",
        values,
    )
    sessions: dict[str, Sequence[Lifecycle]] = {row["session_id"]: () for row in open_ones}
    unexplained = db.query(
        f"SELECT session_id, meeting_id FROM sessions WHERE session_id IN ({_UNEXPLAINED}) AND meeting_id IS NOT NULL"
        f" AND last_seen_at >= :since AND {_OF}",
        values,
    )
    rooms = {row["session_id"]: row["meeting_id"] for row in unexplained}
    return Asked(since, sessions, rooms, account=account)


_OF = "(:account IS NULL OR account = :account)"


def _meeting(db: ReadModels, name: str) -> list[str]:
    rows = db.query("SELECT meeting_id FROM sessions WHERE session_id = ? AND meeting_id IS NOT NULL", (name,))
    return [row["meeting_id"] for row in rows]


def _lifecycles(db: ReadModels, name: str) -> list[Lifecycle]:
    rows = db.query("SELECT DISTINCT lifecycle FROM runs WHERE session_id = ? ORDER BY lifecycle", (name,))
    found = [REGISTRY[row["lifecycle"]] for row in rows if row["lifecycle"] in REGISTRY]
    return [one for one in found if one.records is not None and not one.is_session]


def differences(db: ReadModels, now: datetime, sessions: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What the records say otherwise than the webhooks, grouped; of these sessions, or of all."""
    until = now + timedelta(seconds=1)
    return issues(db, until, severities=SEVERITIES, codes=CODES, sessions=sessions)
