"""What ``alerts.db`` says, for people and programs: the rules that are armed, and the alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from projections.alerts.database import MUTES, Known, alerts_file, known_in
from projections.alerts.messages import SENT
from projections.outbox.queue import LAST_PROBLEM
from projections.read_models import short

_RULES = f"""
SELECT armed.rule, disabled, swept_at, COALESCE(SUM(NOT dead), 0), COALESCE(SUM(dead), 0),
    (SELECT problem FROM outbox {LAST_PROBLEM}), (SELECT due_at FROM outbox {LAST_PROBLEM})
FROM armed LEFT JOIN outbox ON outbox.rule = armed.rule GROUP BY armed.rule ORDER BY armed.rule
"""
_OF_RULE = ("name", "disabled", "swept_at", "pending", "dead", "problem", "next_at")
_OF_ACCOUNT = "({0} IS NULL OR json_extract(found, '$.account') = {0})"
_NEWEST = (
    "(?1 OR state != 'closed') AND (?2 IS NULL OR acknowledged_by = ?2)"
    f" AND {_OF_ACCOUNT.format('?4')}"
    " AND (reported OR state = 'waiting' OR acknowledged_by IS NOT NULL) "
    "ORDER BY state = 'closed', opened_at DESC, id DESC LIMIT ?3"
)


def listed(
    data: Path, *, closed: bool = False, by: str | None = None, account: str | None = None, limit: int = -1
) -> dict[str, Any]:
    """The rules, and the alerts that wait or are open, the newest first; with ``closed`` those that are over too.

    ``by`` leaves only those that this person looks after, ``account`` those of an account. What was true before its rule was armed is left out. Raises ``StoreError``.
    """
    with alerts_file(data).to_read() as connection:
        if connection is None:
            return {"rules": [], "items": []}
        mutes = connection.execute(f"SELECT {', '.join(MUTES.columns)} FROM mutes").fetchall()
        rows = connection.execute(_RULES).fetchall()
        known = known_in(connection, _NEWEST, closed, by, limit, account)
    rules = [dict(zip(_OF_RULE, row, strict=True)) for row in rows]
    for rule in rules:
        rule |= {name: short(rule[name]) for name in ("swept_at", "next_at")}
        rule["mutes"] = [
            {"code": code or None, "until": short(until), "reason": reason}
            for name, code, until, reason in mutes
            if name == rule["name"]
        ]
    return {"rules": rules, "items": [_item(one) for one in known]}


def looked_after(data: Path, account: str | None = None) -> dict[str, int]:
    """Who looks after open alerts -> after how many; with ``account`` of those of it. Raises ``StoreError``."""
    with alerts_file(data).to_read() as connection:
        if connection is None:
            return {}
        rows = connection.execute(
            "SELECT acknowledged_by, COUNT(*) FROM alerts WHERE state = 'open' AND acknowledged_by IS NOT NULL"
            f" AND {_OF_ACCOUNT.format('?1')} GROUP BY acknowledged_by ORDER BY acknowledged_by",
            (account,),
        )
        return dict(rows.fetchall())


def _item(known: Known) -> dict[str, Any]:
    found = known.found
    state = known.ending or known.state if known.state == "closed" else known.state
    times = {
        name: short(getattr(known, name)) for name in ("due_at", "opened_at", "closed_at", "acknowledged_until")
    }
    about = {name: found[name] or None for name in SENT} | {
        "confidence": found["confidence"],
        "at": short(found["at"]),
    }
    return {
        "id": known.id,
        "rule": known.rule or None,
        "state": state,
        **about,
        "key": msgspec.json.decode(found["key"]),
        "message": found["message"],
        **times,
        "times": known.times,
        "acknowledged_by": known.acknowledged_by,
    }
