"""Losses that somebody has accepted: which positions are gone, and when that was recorded.

They are kept among the positions of sources, so they are in the store, in its backups and in its copies.
A position that was given once is not given again: whoever holds it would be answered with another delivery.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

PREFIX = "loss:"
_NAME = re.compile(r"loss:(\d+)-(\d+):([0-9a-f]*):(.*)")


class Accepted(msgspec.Struct, frozen=True):
    """That what had been seen up to ``seen`` is not there any more behind ``ends``.

    ``digest`` is of the event that had been seen last, ``at`` the moment of the record in ISO 8601.
    """

    ends: int
    seen: int
    digest: str
    at: str

    @property
    def name(self) -> str:
        """By which it is recorded."""
        return f"{PREFIX}{self.ends}-{self.seen}:{self.digest}:{self.at}"

    @property
    def text(self) -> str:
        if self.ends == self.seen:
            return (
                f"other events came into the place of those up to position {self.seen}; accepted at {self.at}"
            )
        return (
            f"{self.seen - self.ends} deliveries from position {self.ends + 1} to {self.seen} are gone; "
            f"accepted at {self.at}"
        )

    def covers(self, position: int, digest: str, *, is_there: bool) -> bool:
        """Whether this accepts that the event with this digest, seen at this position, is gone."""
        return digest == self.digest or (not is_there and self.ends < position <= self.seen)


def accepted(trackings: Iterable[tuple[str, int]]) -> list[Accepted]:
    """Those among the recorded positions of sources, by position."""
    found = (_NAME.fullmatch(name) for name, _ in trackings)
    return sorted(
        (Accepted(int(one[1]), int(one[2]), one[3], one[4]) for one in found if one),
        key=lambda one: (one.ends, one.seen),
    )
