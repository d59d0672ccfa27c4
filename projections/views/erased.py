"""Erasing people from what is kept beside the read models, which nothing makes anew: publications, alerts, messages.

The ledger of the data directory says who is to be erased in which stream. A finding names people in its key, which gets
the pseudonyms that the bodies got, so that it stays the same finding; and in its message. That of a finding which is held
is taken from the read models, when they are made anew. Of others the words of people are replaced; where everybody is
erased, the rule takes the place of the message, for nobody knows any more which of its words were a name.

Each file remembers up to which request of the ledger it was done. It is done by whoever writes the file next, before
anything is compared: so no finding is published or reported anew because somebody was erased from it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from tracker.delivery.envelope import parse_time
from tracker.delivery.people import is_person_id
from tracker.delivery.pseudonyms import Scope
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.findings.of_log import STREAM as LOG
from tracker.store.ledger import Entries

__all__ = ["found_without", "heeded", "key_without", "remember", "scope_of", "streams_naming"]

_MAKE = "CREATE TABLE IF NOT EXISTS erased (requests INTEGER NOT NULL)"


def heeded(connection: sqlite3.Connection) -> int:
    """Up to which request of the ledger people were erased from a file."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'erased'").fetchone():
        return 0
    return max((requests for (requests,) in connection.execute("SELECT requests FROM erased")), default=0)


def remember(connection: sqlite3.Connection, requests: int) -> None:
    """People were erased from a file up to this request of the ledger."""
    connection.execute(_MAKE)
    connection.execute("DELETE FROM erased")
    connection.execute("INSERT INTO erased VALUES (?)", (requests,))


def scope_of(ledger: Entries, stream: str, at: str | None) -> Scope | None:
    """Who is to be forgotten in a finding of a stream and a time, if anybody is: those of the log name logs, which may name somebody."""
    if stream == LOG and ledger.sources:
        return Scope(ledger.key, stream, max(ledger.sources.values()), whole=True)
    return ledger.scope(stream, parse_time(at) if at else None)


def found_without(found: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """What is published of a finding, without those who are to be forgotten in its stream."""
    changed = dict(found)
    if isinstance(found.get("key"), str):
        key = msgspec.json.decode(found["key"])
        new = key_without(key, scope)
        changed["key"] = found["key"] if new == key else msgspec.json.encode(new).decode()
    if found.get("message"):
        rule = CATALOGUE[found["code"]].when if found["code"] in CATALOGUE else ""
        names = changed.get("key") != found.get(
            "key"
        )  # by a name that nothing may have said, if the session was pruned
        changed["message"] = rule if scope.whole or names else scope.without_words(found["message"])
    return changed


def key_without(key: Mapping[str, str], scope: Scope) -> dict[str, str]:
    """The key of a finding with pseudonyms."""
    return {
        name: scope.pseudonym(value) if is_person_id(name) and (scope.whole or scope.has(value)) else value
        for name, value in key.items()
    }


def streams_naming(published: sqlite3.Connection, person: str) -> set[str]:
    """The streams of which a finding was published whose key names a person by this id."""
    rows = published.execute("SELECT DISTINCT stream, key FROM publications WHERE key != '{}'").fetchall()
    keys = ((stream, msgspec.json.decode(key)) for stream, key in rows)
    return {
        stream
        for stream, key in keys
        if any(is_person_id(name) and value == person for name, value in key.items())
    }
