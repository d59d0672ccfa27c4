"""What a path that somebody names is: a log, or an archive."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

from tracker.delivery.unwrap import Fields
from tracker.intake.archive import Archive, is_archive
from tracker.intake.logs import STDIN, USUAL, Log

if TYPE_CHECKING:
    from tracker.delivery.signature import Keyring

__all__ = ["source"]


def source(path: str, keys: Keyring | None = None, zone: tzinfo = UTC, fields: Fields = USUAL) -> Log:
    """What is read there. Raises ``LogError`` where nothing can be."""
    if path != STDIN and is_archive(path):
        return Archive(path, keys, zone, fields)
    return Log(path, keys, zone, fields)
