"""How far a store went, kept beside it: ``events.mark``.

Nothing inside a file can show that its newest events are gone, for whatever counted them is gone too: so it
is with a log that was lost and with an older file that was put back. After each commit the last position and the
digest of the event there are written to a file of its own. It is not forced to the disk, because it may be behind
the store, and never is ahead of it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import msgspec

from tracker.blake2b import blake2b

_LINE = re.compile(rb"(\d{19}) ([0-9a-f]{32})\n")


class Mark(msgspec.Struct, frozen=True):
    """The last event that was committed: its position, and its digest."""

    position: int
    digest: str

    def write(self, path: Path) -> None:
        """In place of the one before. What cannot be marked is stored all the same."""
        with suppress(OSError):
            file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(file, f"{self.position:019} {self.digest}\n".encode(), 0)
            finally:
                os.close(file)


def read(path: Path) -> Mark | None:
    """The mark in a file; ``None`` where there is none."""
    try:
        found = _LINE.match(path.read_bytes())
    except OSError:
        return None
    return Mark(int(found[1]), found[2].decode()) if found else None


def digest(stream: object, version: object, state: object) -> str:
    """What tells an event from any other."""
    return blake2b(repr((stream, version, state)).encode(), digest_size=16).hexdigest()
