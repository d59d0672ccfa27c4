"""Whatever somebody has in hand: a room, a session, a call, a person, a file, a code or a position, found by how it begins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from projections.answers.presence import OF_ACCOUNT
from projections.read_models import ReadModels, begins, escaped, files, like
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.lifecycles import REGISTRY

Values = dict[str, Any]
MOST = 8
"""Of each kind that are found."""


def search(db: ReadModels, words: str, last_position: int = 0, account: str | None = None) -> Values:
    """What begins so, at most ``MOST`` of each kind; of a person's name and a code's slug any part will do.

    ``position`` is the delivery that is meant by a number, with or without ``#``, up to ``last_position``. With
    ``account`` only what is of that account is found and counted.
    """
    asked = {
        "begin": words,
        "part": like(words),
        "start": f"{escaped(words)}%",
        "limit": MOST,
        "account": account,
        **files.asked(words),
    }
    number = words.removeprefix("#")
    position = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0
    return {
        "query": words,
        "position": position if 0 < position <= last_position else None,
        "rooms": list(db.query(_ROOMS, asked)),
        "sessions": list(db.query(_SESSIONS, asked)),
        "things": [{**row, "key": msgspec.json.decode(row["key"])} for row in db.query(_THINGS, asked)],
        "people": list(db.query(_PEOPLE, asked)),
        "files": list(db.query(_FILES, asked)),
        "codes": list(islice(_of_codes(db, words, account), MOST)),
    }


def number_found(found: Values) -> int:
    """How many there are of all kinds."""
    lists = ("rooms", "sessions", "things", "people", "files", "codes")
    return sum(len(found[name]) for name in lists) + (found["position"] is not None)


_ROOMS = (
    "SELECT meeting_id, COUNT(*) AS sessions, SUM(state = 'live') AS live FROM sessions s"
    f" WHERE {begins('meeting_id', 'begin')} AND {OF_ACCOUNT} GROUP BY meeting_id ORDER BY meeting_id LIMIT :limit"
)
_SESSIONS = (
    "SELECT session_id, meeting_id, state, severity FROM sessions s"
    f" WHERE {begins('session_id', 'begin')} AND {OF_ACCOUNT} ORDER BY session_id LIMIT :limit"
)
_STREAMS = " OR ".join(
    f"(r.stream >= '{one}' || :begin AND r.stream < '{one}' || :begin || char(0x10ffff))"
    for one in ("", *REGISTRY.prefixes)
)
_THINGS = (
    "SELECT r.stream, r.lifecycle, r.key, r.run, r.state, (SELECT l.meeting_id FROM links l WHERE l.stream = r.stream"
    " AND l.meeting_id IS NOT NULL LIMIT 1) AS meeting_id FROM runs r"
    f" WHERE ({_STREAMS}) AND r.session_id IS NULL AND (:account IS NULL OR r.account = :account)"
    " ORDER BY r.stream, r.lifecycle, r.key, r.run DESC LIMIT :limit"
)
"""What has a stream of its own, as a call or an agent has: by its id, or as `call:ID`."""
_PEOPLE = (
    "SELECT participant_id, MAX(name) AS name, COUNT(DISTINCT session_id) AS sessions FROM participants"
    f" WHERE ({begins('participant_id', 'begin')} OR name LIKE :part ESCAPE '\\')"
    f" AND (:account IS NULL OR session_id IN (SELECT session_id FROM sessions s WHERE {OF_ACCOUNT}))"
    " GROUP BY participant_id ORDER BY MAX(name LIKE :start ESCAPE '\\') DESC, sessions DESC, participant_id LIMIT :limit"
)
_FILES = (
    "SELECT f.value, f.session_id, s.meeting_id, f.lifecycle, f.run FROM files f JOIN sessions s USING (session_id)"
    f" WHERE (f.session_id, f.lifecycle, f.key, f.run) IN ({files.BEGINS})"
    f" AND ({begins('f.value', 'file')} OR {begins('f.name', 'name')}) AND {OF_ACCOUNT}"
    " ORDER BY f.value LIMIT :limit"
)


def _codes(words: str) -> list[str]:
    lower = words.lower()
    if not lower:
        return []
    return [one.code for one in CATALOGUE.values() if one.code.lower().startswith(lower) or lower in one.slug]


def _of_codes(db: ReadModels, words: str, account: str | None) -> Iterator[Values]:
    """The codes of which something is found, and one that is named whole."""
    select = "SELECT COUNT(*) AS number FROM findings WHERE code = :code AND (:account IS NULL OR account = :account)"
    for code in _codes(words):
        (row,) = db.query(select, {"code": code, "account": account})
        entry = CATALOGUE[code]
        if row["number"] or words.lower() in (code.lower(), entry.slug):
            yield {"code": code, "slug": entry.slug, "severity": entry.severity, "count": row["number"]}
