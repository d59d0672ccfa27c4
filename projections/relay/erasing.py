"""Erasing people from ``relay.db``: from the messages that wait to be sent. The facts that it keeps name nobody.

A request is heeded up to which the read models are made anew: until then they still name who is erased, and so would a
message that is made of them. ``published.db`` says up to which one that is.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from projections.relay.database import queue_of
from projections.views.erased import heeded, remember
from projections.views.publications import PUBLISHED_DB, published_file
from tracker.delivery.people import is_person_id, is_person_name
from tracker.delivery.pseudonyms import Scope
from tracker.store.ledger import Entries, Ledger

__all__ = ["compact", "erase", "erase_from", "erased_up_to", "streams_naming"]

FREE = ("reason", "file")
"""What of a message may name people besides those under keys that say so."""


def erase(data: Path) -> None:
    """Erases from the file of a data directory whom its ledger says to forget. Raises ``StoreError``."""
    file = queue_of(data).file
    if file.path.exists():
        up_to = erased_up_to(data)  # first: by then the ledger has all names of that request
        with file.to_write() as connection:
            erase_from(connection, Ledger(data).entries(), up_to)


def erased_up_to(data: Path) -> int:
    """Up to which request of the ledger the read models were made without who is erased. Raises ``StoreError``."""
    with published_file(data / PUBLISHED_DB).to_read() as connection:
        return heeded(connection) if connection is not None else 0


def streams_naming(data: Path, person: str) -> set[str]:
    """The streams of the messages that wait to be sent and name a person by this id. Raises ``StoreError``."""
    with queue_of(data).file.to_read() as connection:
        rows = connection.execute("SELECT body FROM outbox") if connection is not None else ()
        sent = [msgspec.json.decode(body)["data"] for (body,) in rows]
    return {one["stream"] for one in sent if "stream" in one and _names(one, person)}


def _names(value: Any, person: str) -> bool:
    if isinstance(value, list):
        return any(_names(one, person) for one in value)
    if not isinstance(value, dict):
        return False
    return any(_names(one, person) or (is_person_id(name) and one == person) for name, one in value.items())


def compact(data: Path) -> None:
    """Leaves nothing of whom was erased in the file. Raises ``StoreError``."""
    queue_of(data).file.compact()


def erase_from(connection: sqlite3.Connection, ledger: Entries, up_to: int) -> None:
    """The same in a transaction, up to a request of the ledger."""
    if heeded(connection) >= up_to:
        return
    for number, body in connection.execute("SELECT number, body FROM outbox").fetchall():
        message = msgspec.json.decode(body)
        scope = ledger.scope(message["data"].get("stream", ""))
        if scope is not None:
            message["data"] = {name: _without(name, one, scope) for name, one in message["data"].items()}
            new = msgspec.json.encode(message).decode()
            connection.execute("UPDATE outbox SET body = ? WHERE number = ?", (new, number))
    remember(connection, up_to)


def _without(name: str, value: Any, scope: Scope) -> Any:
    if isinstance(value, dict):
        return {inner: _without(name, one, scope) for inner, one in value.items()}
    if isinstance(value, list):
        return [_without(name, one, scope) for one in value]
    if not isinstance(value, str):
        return value
    is_id, is_free = is_person_id(name), name in FREE or is_person_name(name)
    if is_id or is_free:
        if scope.whole or scope.has(value):
            return scope.pseudonym(value)
        return scope.without_words(value) if is_free else value
    return value
