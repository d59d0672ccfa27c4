"""What a stream of messages is, and how its address is written; ``jetstream`` and ``redis_streams`` read one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from urllib.parse import SplitResult, quote, unquote, urlsplit

import attrs

from tracker.errors import UsageError, without_secrets

__all__ = ["BATCH", "SCHEMES", "Address", "Batch", "Broker", "Message", "address_of"]

BATCH = 500
"""Messages of one transaction."""
SCHEMES = {"nats": 4222, "tls": 4222, "redis": 6379, "rediss": 6379}
"""How an address begins, and the port where it names none; ``tls`` is NATS, and ``rediss`` Redis, over TLS."""
_HINT = (
    "write nats://HOST/STREAM or redis://HOST/STREAM, with %2F for /, %23 for #, %3F for ? and %40 for @ in a password; "
    "what another program prints is read by tracker ingest -"
)


@attrs.frozen
class Message:
    """One of a stream. ``at`` is when the broker took it."""

    offset: int
    text: bytes
    at: datetime | None = None


@attrs.frozen
class Batch:
    """Messages in their order, and the offset up to which these are all.

    ``full`` is whether there may be more at once; ``gone`` says what was removed from the stream before it was read:
    ``7 of its messages were``.
    """

    messages: Sequence[Message]
    reached: int
    full: bool = False
    gone: str = ""


class Broker(Protocol):
    """Where a stream is."""

    @property
    def identity(self) -> str:
        """What tells this stream from any other, whatever its address; no ``#`` is in it."""

    def name_of(self, offset: int) -> str:
        """An offset as the broker writes it."""

    def read(self, after: int, wait: float) -> Batch:
        """What is behind an offset, after so many seconds where nothing is. Raises ``LogError``."""

    def close(self) -> None: ...


@attrs.frozen
class Address:
    """Of a stream, as ``nats://host:4222/webhooks``; ``url`` may hold a password, ``name`` does not."""

    url: SplitResult
    stream: str

    @property
    def scheme(self) -> str:
        return self.url.scheme

    @property
    def place(self) -> str:
        """Host and port."""
        host = self.url.hostname or ""
        return f"{f'[{host}]' if ':' in host else host}:{self.url.port or SCHEMES[self.scheme]}"

    @property
    def key(self) -> str:
        """The name of the stream as a part of another name: nothing in it separates."""
        return quote(self.stream, safe="")

    @property
    def name(self) -> str:
        query = f"?{self.url.query}" if self.url.query else ""
        return f"{self.scheme}://{self.place}/{self.stream}{query}"

    @property
    def server(self) -> str:
        """The URL of the server, without user and password."""
        return f"{self.scheme}://{self.place}"

    @property
    def user(self) -> str | None:
        return None if self.url.username is None else unquote(self.url.username)

    @property
    def password(self) -> str | None:
        return None if self.url.password is None else unquote(self.url.password)


def address_of(given: str) -> Address:
    """An address that somebody wrote. Raises ``UsageError``."""
    shown = without_secrets(given) if "://" in given else given.rpartition("@")[2]
    refused = UsageError("is no address of a stream", place=shown, hint=_HINT)
    try:
        url = urlsplit(given)
        _ = url.port  # which may be none
    except ValueError:
        raise refused from None  # what it says may quote a password
    address = Address(url, unquote(url.path.removeprefix("/")))
    unread = "@" in url.path or url.fragment or (url.query and url.scheme not in ("redis", "rediss"))
    if url.scheme not in SCHEMES or not url.hostname or not address.stream or unread:
        raise refused
    return address
