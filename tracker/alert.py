"""What the user wants to be alerted of: findings by what they say, and to whom each is sent.

    [[alert]]
    name = "recordings"
    when = {severity = "error", lifecycle = ["recording", "hls"]}
    to = "https://hooks.example.org/tracker"
    secret = "hooks.secret"
    wait = "2 min"

These are values; ``config`` reads them from a file. Whether a finding matches follows from what is published of it and
from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs

from tracker.findings import SEVERITIES, Severity, Verdict

APPRISE = "apprise:"
"""How a target begins that is reached by the library of that name."""
INCLUDED = ("message", "key")
"""What of a finding may name people and files, and is sent only where it is asked for."""


@attrs.frozen
class When:
    """Which findings match: all that is given must hold.

    Attributes:
        severity: At least so grave; by default `warning`.
        code: One of these codes.
        lifecycle: About one of these lifecycles.
        meeting: The meeting's id is so; `*` stands for any text, `?` for one character.
        confidence: At least so probable, from 0 to 1.
        verdict: One of these verdicts; by default `settled`.
        account: Of one of these accounts of VideoSDK.
    """

    severity: Severity = "warning"
    code: tuple[str, ...] = ()
    lifecycle: tuple[str, ...] = ()
    meeting: str = "*"
    confidence: float = 0.0
    verdict: tuple[Verdict, ...] = ("settled",)
    account: tuple[str, ...] = ()

    @property
    def severities(self) -> tuple[Severity, ...]:
        """All that are so grave."""
        return SEVERITIES[SEVERITIES.index(self.severity) :]

    def matches(self, found: Mapping[str, Any]) -> bool:
        """Whether a finding matches that has these fields.

        Where it follows from another finding (its ``cause``), and that one would match too, only that one does.
        """
        return (
            found["severity"] in self.severities
            and (not self.code or found["code"] in self.code)
            and (not self.lifecycle or found["lifecycle"] in self.lifecycle)
            and fnmatchcase(found["meeting_id"] or "", self.meeting)
            and (not self.account or found["account"] in self.account)
            and found["confidence"] >= self.confidence
            and found["verdict"] in self.verdict
            and not (found["cause"] and self._matches_cause(found["cause"].split()[0]))
        )

    def _matches_cause(self, code: str) -> bool:
        """Whether a grave finding of this code about the whole log matches."""
        anywhere = not self.lifecycle and self.meeting == "*" and not self.account
        return anywhere and (not self.code or code in self.code)


@attrs.frozen
class Alert:
    """One entry.

    Attributes:
        name: Its name, which no other entry has.
        to: Where it is sent: a URL that takes Standard Webhooks, or `apprise:` and a URL of Apprise.
        when: Which findings it is about, below; by default all that are settled, from `warning` on.
        secret: The file with the secret that signs what is sent; without it, `TRACKER_ALERT_SECRET` has the secret.
        wait: How long a finding must have matched before it is sent.
        within: A finding that became true longer ago than that is not sent, unless nothing ran in between; by default a day.
        digest: Of more than five messages that are due at once one is made, and the next ones wait for so long; by default never.
        include: What is sent besides: `message` and `key`, in which people and files may be named.
        pages: The address of the pages of `tracker serve`; with it, what is sent has a link to the session's page.
        allow_private: Whether the target may have a private address, or one without TLS.
    """

    name: str
    to: str
    when: When = When()
    secret: Path | None = None
    wait: timedelta = timedelta()
    within: timedelta = timedelta(days=1)
    digest: timedelta = timedelta()
    include: tuple[str, ...] = ()
    pages: str | None = None
    allow_private: bool = False

    @property
    def is_webhook(self) -> bool:
        """Whether it is sent by HTTP as Standard Webhooks says."""
        return not self.to.startswith(APPRISE)

    def fingerprint(self) -> str:
        """Changes when other findings match."""
        return _digest(repr(self.when))

    def target(self) -> str:
        """Changes with where it is sent, and says nothing of that, because a token may be in it."""
        return _digest(self.to)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
