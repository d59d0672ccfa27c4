"""What the user accepts: findings that are known, with the reason and how long that holds.

    [[accept]]
    code = "S203"
    meeting = "h8sd-4kzo-y1fw"
    reason = "the robot of this room hangs up without stopping"
    until = 2026-12-31

An accepted finding is still told, and is no reproach any more. Judging knows nothing of this: what
is accepted is marked on findings that are ready to be told. A finding dated after ``until`` is not
accepted, and an entry whose ``until`` has passed is told as expired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import attrs

from tracker.errors import RulesError
from tracker.findings import CATALOGUE, Finding


@attrs.frozen
class Acceptance:
    """One entry. What it names must all hold of a finding; ``type`` is the webhook type that raised it."""

    code: str
    reason: str
    session: str | None = None
    meeting: str | None = None
    type: str | None = None
    lifecycle: str | None = None
    until: datetime | None = None
    """The last moment of a finding that is accepted, in UTC; a date is meant to its end."""

    def covers(self, found: Finding) -> bool:
        """Whether it accepts this finding."""
        if found.code != self.code or self._ended(found.at):
            return False
        asked = (self.session, self.meeting, self.type, self.lifecycle)
        has = (found.session_id, found.meeting_id, found.type, found.lifecycle)
        return all(wanted is None or wanted == there for wanted, there in zip(asked, has, strict=True))

    def expired(self, as_of: datetime | None) -> bool:
        """Whether nothing new can be accepted by it any more."""
        return self._ended(as_of)

    def _ended(self, at: datetime | None) -> bool:
        return self.until is not None and at is not None and at > self.until


_FIELDS = [field.name for field in attrs.fields(Acceptance)]


def accepted(findings: Iterable[Finding], entries: Sequence[Acceptance]) -> Iterator[Finding]:
    """The same findings; of what an entry covers a copy with the verdict ``accepted`` and the reason."""
    for found in findings:
        entry = _covering(found, entries)
        yield found if entry is None else attrs.evolve(found, verdict="accepted", accepted=entry.reason)


def accept_all(findings: list[Finding], entries: Sequence[Acceptance]) -> list[Finding]:
    """The same findings in the same order, the accepted ones marked."""
    return list(accepted(findings, entries)) if entries else findings


def _covering(found: Finding, entries: Sequence[Acceptance]) -> Acceptance | None:
    return next((entry for entry in entries if entry.covers(found)), None)


def read_entries(value: Any) -> tuple[Acceptance, ...]:
    """The ``[[accept]]`` tables of a TOML file. Raises ``RulesError`` that names the entry at fault."""
    hint = 'write [[accept]] and below it code = "S203" and reason = "…"'
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise RulesError("accept is no list of tables", hint=hint)
    entries = []
    for number, table in enumerate(value, 1):
        try:
            entries.append(_entry(table))
        except RulesError as error:
            error.message = f"accept entry {number}: {error.message}"
            raise
    return tuple(entries)


def refuse_unknown_lifecycles(entries: Iterable[Acceptance], lifecycles: Iterable[str]) -> None:
    """Raises ``RulesError`` for an entry that could never cover anything."""
    known = list(lifecycles)
    for number, entry in enumerate(entries, 1):
        if entry.lifecycle is not None:
            refuse_unknown(entry.lifecycle, known, f"lifecycle in accept entry {number},")


def refuse_unknown(name: str, names: Sequence[str], what: str) -> None:
    """Raises ``RulesError`` with the nearest of the ``names`` where ``name`` is none of them."""
    if name not in names:
        from difflib import get_close_matches  # who makes no mistake needs not wait for it

        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
        raise RulesError(f"no {what} {name!r}", hint=hint)


def _entry(table: dict[str, Any]) -> Acceptance:
    for name in table:
        refuse_unknown(name, _FIELDS, "key")
    values = {name: value for name, value in table.items() if name != "until"}
    for name, value in values.items():
        if not isinstance(value, str) or not value.strip():
            raise RulesError(f"{name} is {value!r}", hint=f'write {name} = "…"')
    if "code" not in table:
        raise RulesError("names no code, so it would accept everything", hint='write code = "S203"')
    refuse_unknown(table["code"], list(CATALOGUE), "code")
    if "reason" not in table:
        raise RulesError("gives no reason", hint='write reason = "…": somebody will ask')
    return Acceptance(**values, until=_until(table.get("until")))


def _until(value: Any) -> datetime | None:
    """A moment in UTC, where a time names no zone; a date lasts until its end."""
    if isinstance(value, str):
        try:
            value = (
                date.fromisoformat(value) if len(value) == len("2026-12-31") else datetime.fromisoformat(value)
            )
        except ValueError:
            value = False
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time.max, UTC)
    if value is not None:
        raise RulesError(
            "until is no date and no time", hint="write until = 2026-12-31 or 2026-12-31T18:00:00Z"
        )
    return None
