"""What a PostgreSQL server complains of, as errors of ours that say what to do. None quotes a password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from eventsourcing.persistence import PersistenceError
from psycopg.errors import LockNotAvailable

from tracker.errors import StoreDamagedError, StoreError
from tracker.store import recorder


@contextmanager
def postgres_errors(place: str) -> Iterator[None]:
    """Turns what the server complains of into an error that says what to do, and quotes no password."""
    try:
        yield
    except (psycopg.Error, PersistenceError) as error:
        raise postgres_error(place, error) from error


_ADDRESS = "check host and port in --store, and that the server runs"
_GIVE_IT = "put it into the URL (%40 for @), into PGPASSWORD, or into ~/.pgpass"
_REFUSED = (
    ("password authentication failed", "the password or the user is wrong", _GIVE_IT),
    ("no password supplied", "it asks for a password", _GIVE_IT),
    ("role .* does not exist", "there is no such user", "createuser NAME, or name another one in the URL"),
    ("database .* does not exist", "there is no such database", "createdb NAME, or name another one in the URL"),
    ("no encryption", "it lets nobody in without TLS", "add ?sslmode=require to the URL"),
    ("does not support SSL", "the URL asks for TLS, and the server has none", "set ssl = on there, or drop sslmode"),
    ("certificate|SSL error", "its certificate is not accepted", "check sslmode and sslrootcert in the URL"),
    ("no pg_hba.conf entry", "it does not let this user in from here", "allow it in the server's pg_hba.conf"),
    ("permission denied for database", "this user may not connect", "GRANT CONNECT ON DATABASE … TO …"),
    ("too many|connection slots", "it has no connection left", "raise max_connections there, or start fewer"),
    ("starting up|shutting down|recovery mode", "the server is starting or stopping", "wait a moment"),
    ("could not translate host name|resolve host", "there is no such host", _ADDRESS),
)  # fmt: skip
"""Words in what a server says that lets nobody in; such an error has no code."""
_FAILED = {
    "53100": ("the disk of the server is full", "make room there; what was committed is kept"),
    "53300": ("it has no connection left", "raise max_connections there, or start fewer"),
    "42501": (
        "this user may not do that",
        "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA … TO …; to make the tables, CREATE ON SCHEMA",
    ),
    "57014": (
        "the server cancelled the statement: it took too long, or somebody stopped it",
        "raise statement_timeout for this user: ALTER ROLE … SET statement_timeout = 0",
    ),
    "57P01": ("the server ended the connection", "somebody did, or it stops: wait a moment"),
    "25P03": (
        "the server ended a transaction in which nothing was done",
        "the machine is overloaded, or raise idle_in_transaction_session_timeout there",
    ),
    "25006": ("cannot be written", "it is a standby, or the user is read-only: name the primary in --store"),
}
_AWAY = ("08", "57P")
"""How the codes begin of a server that does not answer, or not yet."""
_DAMAGED = {"42P01", "42703", "XX001", "XX002", "22021"}


def _is_away(code: str | None) -> bool:
    """Whether it gave no code: then it said nothing, or let nobody in."""
    return code is None or code.startswith(_AWAY)


def postgres_error(place: str, error: Exception) -> StoreError:
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    code = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    if isinstance(cause, LockNotAvailable):
        message = f"another process has been writing for {recorder.LOCK_TIMEOUT} s"
        return StoreError(message, place=place, hint="wait for it, or stop it")
    if code in _DAMAGED:
        return StoreDamagedError(
            "is not a store of this program, or is damaged", place=place, hint="restore it from a backup"
        )
    if code in _FAILED:
        message, hint = _FAILED[code]
        return StoreError(message, place=place, hint=hint)
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError) and _is_away(code):
        for words, message, hint in _REFUSED:
            if re.search(words, str(cause)):
                return StoreError(message, place=place, hint=hint)
        return StoreError("cannot be reached", place=place, hint=_ADDRESS)
    primary = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return StoreError(primary or str(error), place=place, hint="tracker verify checks the store")
