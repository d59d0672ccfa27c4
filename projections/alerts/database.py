"""The file ``alerts.db``: the rules that are armed, the alerts that are known, the outbox, and what is muted."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import msgspec

from projections.outbox.queue import outbox
from projections.read_models import Table, make_tables
from projections.views.publications import IDENTITY, SHOWN, Publication
from tracker.store.kept import Kept

ALERTS_DB = "alerts.db"

State = Literal["waiting", "open", "closed"]
Ending = Literal["retracted", "resolved"]
Found = Mapping[str, Any]
"""What is published of a finding: a value for each column of ``IDENTITY`` and ``SHOWN``."""
Identity = tuple[Any, ...]

ARMED = Table(
    name="armed",
    columns={
        "rule": str,
        "fingerprint": str,
        "judged_by": str,
        "swept_at": str,
        "target": str,
        "disabled": str,
        "rests_until": str,
    },
    pk=("rule",),
)
"""``fingerprint`` changes when other findings match, ``judged_by`` when the past was judged anew; ``rests_until`` is when something
may be sent again after a digest; ``disabled`` is why nothing is sent to ``target`` any more."""
ALERTS = Table(
    name="alerts",
    columns={
        "id": int,
        "rule": str,
        **IDENTITY,
        "state": str,
        "found": str,
        "reported": int,
        "times": int,
        "due_at": str,
        "opened_at": str,
        "closed_at": str,
        "ending": str,
        "acknowledged_by": str,
        "acknowledged_until": str,
    },
    pk=("id",),
    indexes=(("stream",), ("state", "due_at"), ("state", "closed_at"), ("rule", "code", "opened_at")),
)
"""``rule`` is empty where somebody looks after a finding that no rule is about."""
OUTBOX = outbox("alert")
MUTES = Table(
    name="mutes", columns={"rule": str, "code": str, "until": str, "reason": str}, pk=("rule", "code")
)
"""``code`` is empty where everything is muted."""
ESCALATIONS = Table(name="escalations", columns={"rule": str, "code": str, "at": str}, pk=("rule", "code"))
"""When it was last reported that a code is found much more often than usual."""
UPGRADES = (
    (
        "ALTER TABLE alerts ADD COLUMN acknowledged_until TEXT",
        "UPDATE alerts SET closed_at = COALESCE(closed_at, opened_at, '') WHERE state = 'closed'",
        "CREATE INDEX alerts_state_closed_at ON alerts (state, closed_at)",
        "CREATE INDEX alerts_rule_code_opened_at ON alerts (rule, code, opened_at)",
        "CREATE TABLE escalations (rule TEXT, code TEXT, at TEXT, PRIMARY KEY (rule, code))",
    ),
)
"""The second format has until when somebody looks after an alert, and what has escalated."""


@attrs.frozen
class Known:
    """What is known of one finding that matches a rule, or did.

    Attributes:
        state: ``waiting`` until it has matched for long enough and is not muted; then ``open``; in the end ``closed``.
        found: What was published of it last.
        reported: Whether somebody was sent that it is open.
        times: How often it was opened.
        due_at: When it is opened, while it waits.
        ending: ``retracted`` where it is not held any more, ``resolved`` where it is, and no longer matches.
        acknowledged_by, acknowledged_until: Who looks after it, and until when, where that was said.
        id, rule: Its number in the file, and the name of the rule; ``None`` before it is there.
    """

    state: State
    found: Found
    reported: bool = False
    times: int = 0
    due_at: str | None = None
    opened_at: str | None = None
    closed_at: str | None = None
    ending: Ending | None = None
    acknowledged_by: str | None = None
    acknowledged_until: str | None = None
    id: int | None = None
    rule: str | None = None


COLUMNS = tuple(field.name for field in attrs.fields(Known))


def alerts_file(data: Path) -> Kept:
    hint = "restore it from a backup; without it, nobody is sent the end of what was reported before"
    return Kept(data / ALERTS_DB, _make, hint, UPGRADES)


def identity_of(found: Found) -> Identity:
    return tuple(found[name] for name in IDENTITY)


def found_of(one: Publication) -> Found:
    return dict(zip((*IDENTITY, *SHOWN), (*one.identity, *one.shown), strict=True))


def known_in(connection: sqlite3.Connection, condition: str, *values: Any) -> list[Known]:
    """The alerts for which a condition holds."""
    select = f"SELECT {', '.join(COLUMNS)} FROM alerts WHERE {condition}"
    return [_known(row) for row in connection.execute(select, values)]


def write(connection: sqlite3.Connection, rule: str, known: Known) -> int:
    """Writes an alert; returns its id."""
    values = attrs.asdict(known, recurse=False) | {"found": msgspec.json.encode(known.found).decode()}
    row = {**values, "rule": rule, **{name: known.found[name] for name in IDENTITY}}
    insert = ALERTS.insert.replace("INSERT", "INSERT OR REPLACE", 1)
    written = connection.execute(insert, [row[name] for name in ALERTS.columns]).lastrowid
    assert written is not None, "a row was written"
    return written


def _known(row: tuple[Any, ...]) -> Known:
    values = dict(zip(COLUMNS, row, strict=True))
    found = dict.fromkeys(SHOWN) | msgspec.json.decode(values["found"])  # an older version may have known less
    return Known(**{**values, "found": found, "reported": bool(values["reported"])})


def _make(connection: sqlite3.Connection) -> None:
    make_tables(connection, (ARMED, ALERTS, OUTBOX, MUTES, ESCALATIONS))
    connection.execute(f"CREATE UNIQUE INDEX alerts_identity ON alerts (rule, {', '.join(IDENTITY)})")
