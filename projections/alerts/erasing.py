"""Erasing people from ``alerts.db``: from what is known of findings, and from the messages that wait to be sent."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import attrs
import msgspec

from projections.alerts.database import Identity, alerts_file, found_of, identity_of, known_in, write
from projections.views.erased import found_without, heeded, key_without, remember, scope_of
from projections.views.publications import PUBLISHED_DB, Reader, published_file, reader
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.store.ledger import Entries, Ledger

__all__ = ["compact", "erase", "erase_from"]


def erase(data: Path) -> None:
    """Erases from the file of a data directory whom its ledger says to forget, as far as that is published.

    Raises ``StoreError``.
    """
    file = alerts_file(data)
    if file.path.exists():
        with file.to_write() as connection, reader(data / PUBLISHED_DB) as published:
            entries = Ledger(data).entries()
            erase_from(connection, entries, published.erased if published else entries.requests, published)


def compact(data: Path) -> None:
    """Leaves nothing of whom was erased in the files of publications and alerts. Raises ``StoreError``."""
    published_file(data / PUBLISHED_DB).compact()
    alerts_file(data).compact()


def erase_from(connection: sqlite3.Connection, ledger: Entries, up_to: int, published: Reader | None) -> None:
    """The same in a transaction, up to a request of the ledger: as far as it was done in what is published.

    What is published by then says of a finding what is known of it from now on, so nobody is sent that it changed.
    """
    if heeded(connection) >= up_to:
        return
    scopes = [
        (one, scope_of(ledger, one.found["stream"], one.found["at"])) for one in known_in(connection, "1")
    ]
    alerts = [(one, scope) for one, scope in scopes if scope is not None]
    messages = _messages({one.found["stream"] for one, _ in alerts}, up_to, published)
    for known, scope in alerts:
        assert known.rule is not None, "it was read"
        found = found_without(known.found, scope)
        found["message"] = messages.get(identity_of(found), found["message"])
        write(connection, known.rule, attrs.evolve(known, found=found))
    streams = dict(connection.execute("SELECT id, stream FROM alerts").fetchall())
    for number, alert, body in connection.execute("SELECT number, alert, body FROM outbox").fetchall():
        message = msgspec.json.decode(body)
        if _erase_message(message, ledger, streams.get(alert)):
            new = msgspec.json.encode(message).decode()
            connection.execute("UPDATE outbox SET body = ? WHERE number = ?", (new, number))
    remember(connection, up_to)


def _messages(streams: set[str], up_to: int, published: Reader | None) -> dict[Identity, str]:
    """What the findings of some streams say that are held, as far as people were erased from them."""
    if published is None or published.erased < up_to:
        return {}
    those = (found_of(one) for one in published.of_streams(streams) if one.held)
    return {identity_of(found): found["message"] for found in those}


def _erase_message(message: dict[str, Any], ledger: Entries, stream: str | None) -> bool:
    """Erases people from a message, or from those in a digest; returns whether there was somebody to erase."""
    data = message.get("data", {})
    inside = [_erase_message(one, ledger, None) for one in data.get("messages", ())]
    scope = scope_of(ledger, stream or data.get("session_id") or "", data.get("at"))
    if scope is None:
        return any(inside)
    if "key" in data:
        data["key"] = key_without(data["key"], scope)
    if "message" in data:
        rule = CATALOGUE[data["code"]].when
        data["message"] = rule if scope.whole else scope.without_words(data["message"])
    return True
