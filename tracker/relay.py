"""What the user wants to be relayed: what really happened, once and in order, and to whom.

    [[relay]]
    name = "app"
    to = "https://app.example.org/videosdk"
    lifecycle = ["recording", "participant"]
    wait = "1 min"

These are values; ``config`` reads them from a file.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import attrs


@attrs.frozen
class Relay:
    """One entry.

    Attributes:
        name: Its name, which no other entry has.
        to: Where it is sent: a URL that takes Standard Webhooks.
        lifecycle: Of which lifecycles runs are sent, `participant` for visits; by default of all.
        account: Of which accounts of VideoSDK, where several are received; by default of all.
        secret: The file with the secret that signs what is sent; without it, `TRACKER_RELAY_SECRET` has the secret.
        wait: How long something waits whose reading is not settled, and what follows it in its session; by default a minute.
        within: What was received longer ago than that is not sent, unless nothing ran in between; by default a day.
        allow_private: Whether the target may have a private address, or one without TLS.
    """

    name: str
    to: str
    lifecycle: tuple[str, ...] = ()
    account: tuple[str, ...] = ()
    secret: Path | None = None
    wait: timedelta = timedelta(minutes=1)
    within: timedelta = timedelta(days=1)
    allow_private: bool = False

    def takes(self, lifecycle: str, account: str | None) -> bool:
        """Whether what a run of this lifecycle does is sent, in a session of this account."""
        return (not self.lifecycle or lifecycle in self.lifecycle) and (
            not self.account or account in self.account
        )

    def fingerprint(self) -> str:
        """Changes when other things are sent; without accounts it is that of before there were any."""
        given = sorted(self.lifecycle)
        return _digest(repr((given, sorted(self.account)) if self.account else given))

    def target(self) -> str:
        """Changes with where it is sent, and says nothing of that, because a token may be in it."""
        return _digest(self.to)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
