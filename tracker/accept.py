"""What the user accepts: findings that are known, with the reason and how long that holds.

    [[accept]]
    code = "S203"
    meeting = "h8sd-4kzo-y1fw"
    reason = "the robot of this room hangs up without stopping"
    until = 2026-12-31

An accepted finding is still reported, and fails no audit. Judging knows nothing of this: what is
accepted is marked on findings that are ready to be reported. A finding whose moment is after ``until`` is not
accepted, and an entry whose ``until`` has passed is reported as expired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from tracker.findings import Finding


class Acceptance(msgspec.Struct, frozen=True):
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


def accepted(findings: Iterable[Finding], entries: Sequence[Acceptance]) -> Iterator[Finding]:
    """The same findings; of what an entry covers a copy with the verdict ``accepted`` and the reason."""
    for found in findings:
        entry = _covering(found, entries)
        yield found if entry is None else replace(found, verdict="accepted", accepted=entry.reason)


def accept_all(findings: list[Finding], entries: Sequence[Acceptance]) -> list[Finding]:
    """The same findings in the same order, the accepted ones marked."""
    return list(accepted(findings, entries)) if entries else findings


def _covering(found: Finding, entries: Sequence[Acceptance]) -> Acceptance | None:
    return next((entry for entry in entries if entry.covers(found)), None)
