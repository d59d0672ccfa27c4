"""What a path that somebody names is: a log, one or several archives, or one or several logs in an object store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

from tracker.delivery.unwrap import USUAL, Fields
from tracker.intake.archive import Archive, archives
from tracker.intake.logs import STDIN, Log, refuse_url
from tracker.intake.remote import Remote, is_remote, objects

if TYPE_CHECKING:
    from tracker.delivery.signature import Keyring

__all__ = ["sources"]


def sources(
    path: str,
    keys: Mapping[str | None, Keyring] | None = None,
    zone: tzinfo = UTC,
    fields: Fields = USUAL,
    account: str | None = None,
) -> list[Log]:
    """What is read there. Raises ``LogError`` where nothing can be."""
    how = keys or {}, zone, fields, account
    if is_remote(path):
        return [Remote(one, *how) for one in objects(path)]
    refuse_url(path)
    found = archives(path) if path != STDIN else []
    return [Archive(one, *how) for one in found] or [Log(path, *how)]
