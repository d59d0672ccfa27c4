"""What changed in what is reported: which findings appeared, changed and were withdrawn since a moment.

Of each the publications keep when it moved last in each way, so a finding is one change: how it stands now, compared
with how it stood then. What appeared and changed since has appeared.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from projections.read_models import among, listed, short, text
from projections.views.publications import PUBLICATIONS, TIMES, published_file, values_of

Values = dict[str, Any]

_APPEARED_AT = "COALESCE(again_at, published_at)"
_CHANGE = (
    f"CASE WHEN NOT held THEN 'withdrawn' WHEN {_APPEARED_AT} >= :since THEN 'appeared' ELSE 'changed' END"
)
_CHANGE_AT = f"CASE ({_CHANGE}) WHEN 'withdrawn' THEN withdrawn_at WHEN 'appeared' THEN {_APPEARED_AT} ELSE changed_at END"
_SELECT = (
    f"SELECT {', '.join(PUBLICATIONS.columns)}, {_CHANGE} AS change, {_CHANGE_AT} AS change_at FROM publications"
    " WHERE {} ORDER BY change_at DESC, stream, position, code"
)
_SHOWN = (
    *("severity", "code", "slug", "verdict", "confidence", "session_id", "meeting_id", "account"),
    *("lifecycle", "key", "run", "position", "message", "cause"),
)


def changes(
    path: Path,
    since: datetime,
    *,
    severities: Sequence[str],
    codes: Sequence[str] = (),
    meeting: str | None = None,
    account: str | None = None,
) -> list[Values]:
    """What changed since a moment in the publications, the newest change first.

    ``change`` is ``appeared``, ``changed`` or ``withdrawn``, and ``change_at`` when that was. What is accepted counts only
    where it has changed to that. Raises ``StoreError``.
    """
    conditions = [
        "change_at >= :since",
        "(verdict != 'accepted' OR change = 'changed')",
        among("severity", "severities"),
    ]
    values = {"since": text(since), "severities": listed(severities), "codes": listed(codes)}
    values |= {"meeting_id": meeting, "account": account}
    if codes:
        conditions.append(among("code", "codes"))
    conditions += [f"{name} = :{name}" for name in ("meeting_id", "account") if values[name] is not None]
    with published_file(path).to_read() as connection:
        if connection is None:
            return []
        rows = connection.execute(_SELECT.format(" AND ".join(conditions)), values).fetchall()
    return [_change(row) for row in rows]


def _change(row: tuple[Any, ...]) -> Values:
    *published, change, change_at = row
    found = values_of(tuple(published))
    shown = {name: found[name] for name in _SHOWN}
    return {"change": change, "change_at": short(change_at), **shown} | {
        name: short(found[name]) for name in ("at", *TIMES)
    }
