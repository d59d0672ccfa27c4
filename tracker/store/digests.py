"""Digests beside the events: of each block of positions one, and of the last block up to its end.

They are written in the transaction that stores the events, and kept among the positions of sources:

    digest:<first>-<last>:<hex>        at the position <last>

A digest is chained from event to event, so that of the block that grows goes on with what is new. Each block
begins anew, so that of one nothing needs to be known of the others. It tells accidents, and an end that was cut
off; whoever can change the file on purpose can change the digests too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from tracker.blake2b import blake2b

BLOCK = 1000
"""Positions of a block."""
PREFIX = "digest:"
_NAME = re.compile(r"digest:(\d+)-(\d+):((?:[0-9a-f]{2})+)")
_SIZE = 16
_EMPTY = blake2b(digest_size=_SIZE)
NOTHING = bytes(_SIZE)
"""The digest of a block of which nothing is left."""

Row = tuple[int, str, str, bytes]
"""Position, stream, topic, state."""


class Block(msgspec.Struct, frozen=True):
    """The digest of the events at these positions."""

    first: int
    last: int
    digest: bytes

    @property
    def name(self) -> str:
        """By which it is recorded."""
        return f"{PREFIX}{self.first}-{self.last}:{self.digest.hex()}"


def blocks(trackings: Iterable[tuple[str, int]]) -> list[Block]:
    """Those among the recorded positions of sources, in their order."""
    found = (_NAME.fullmatch(name) for name, _ in trackings)
    return sorted(
        (Block(int(one[1]), int(one[2]), bytes.fromhex(one[3])) for one in found if one),
        key=lambda one: (one.first, one.last),
    )


def begin(position: int) -> int:
    """The first position of the block of a position."""
    return (position - 1) // BLOCK * BLOCK + 1


def chained(digest: bytes, rows: Iterable[Row]) -> bytes:
    """The digest after further events."""
    for position, stream, topic, state in rows:
        head = f"{position}\0{stream}\0{topic}\0".encode("utf-8", "replace")
        one = _EMPTY.copy()  # costs less than a new one
        one.update(digest + head + state)
        digest = one.digest()
    return digest
