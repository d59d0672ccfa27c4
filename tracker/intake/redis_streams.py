"""A stream of Redis, read by the ids of its entries.

An id is a time in milliseconds and a number, ``1795428242000-0``; both go into one offset. An entry with one field is
what that holds; one with several is an object of them, so ``XADD webhooks * body … received_at …`` is an envelope. A
stream is known by host, port, database and key: ``redis://host/webhooks?db=2`` is the key ``webhooks`` of database 2.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec

from tracker.errors import LogError, UsageError, without_secrets
from tracker.intake.streams import BATCH, Address, Batch, Message

__all__ = ["RedisStream"]

TIMEOUT = 10
"""Seconds in which the server must answer."""
BITS = 20
"""Bits of an offset for the number; those for the time last until the year 2248."""
MOST_TIME = 2 ** (63 - BITS)
_REAL = 1_000_000_000_000
"""Milliseconds; an id below was not made by a clock."""
_HINT = "check the address, the password, and that the server runs; run it again to go on behind what is stored"
_json = msgspec.json.Encoder().encode


class RedisStream:
    """One of them. Raises ``LogError``."""

    def __init__(self, address: Address) -> None:
        try:
            import redis
        except ImportError as error:
            hint = "run pip install '.[redis]' in the directory of the source"
            raise LogError(
                "is on Redis, and redis-py is not installed", place=address.name, hint=hint
            ) from error
        self._address, self._errors = address, (redis.RedisError, OSError)
        self._db = _database(address)
        self._client = redis.Redis.from_url(
            f"{address.server}/{self._db}",
            username=address.user or None,
            password=address.password,
            socket_timeout=TIMEOUT,
            protocol=2,
        )
        try:
            with self._as_ours():
                if not self._client.exists(address.stream):
                    hint = "check its key; the first XADD makes it"
                    raise LogError("there is no such stream", place=address.name, hint=hint)
        except LogError:
            self.close()
            raise
        self._may_be_behind = True

    @property
    def identity(self) -> str:
        return f"redis:{self._address.place}/{self._db}/{self._address.key}"

    def name_of(self, offset: int) -> str:
        return f"{offset >> BITS}-{offset & ((1 << BITS) - 1)}"

    def read(self, after: int, wait: float) -> Batch:
        with self._as_ours():
            begin, block = self.name_of(after), int(wait * 1000) or None
            answer: Any = self._client.xread({self._address.stream: begin}, BATCH, block)
            entries = answer[0][1] if answer else []
            if not entries and self._may_be_behind:
                self._refuse_another(after)
            gone = self._gone(after) if entries else ""
        self._may_be_behind = len(entries) == BATCH
        if not entries:
            return Batch((), after)
        messages = [self._message(*entry) for entry in entries]
        return Batch(messages, messages[-1].offset, self._may_be_behind, gone)

    def close(self) -> None:
        self._client.close()

    def _message(self, entry: bytes, fields: Mapping[bytes, bytes]) -> Message:
        name = entry.decode()
        time = int(name.partition("-")[0])
        at = datetime.fromtimestamp(time / 1000, UTC) if time >= _REAL else None
        return Message(offset_of(name, self._address.name), _text(fields), at)

    def _refuse_another(self, after: int) -> None:
        """Raises ``LogError`` where the stream never had what was read of it: it was deleted and begun anew."""
        newest = self._client.xinfo_stream(self._address.stream)["last-generated-id"].decode()
        if offset_of(newest, self._address.name) < after:
            raise LogError(
                f"was begun anew: it ends at {newest}, and was read up to {self.name_of(after)}",
                place=self._address.name,
                hint="RENAME its key: under another one it is read from its begin",
            )

    def _gone(self, after: int) -> str:
        """In words, whether entries behind an offset may have been removed: what was read last is not there any more.

        It is asked only where there may be many behind.
        """
        name = self.name_of(after)
        if not (after and self._may_be_behind) or self._client.xrange(self._address.stream, name, name):
            return ""
        return "some of its messages may have been"

    @contextmanager
    def _as_ours(self) -> Iterator[None]:
        """Raises what the server says as a ``LogError`` that names the address."""
        try:
            yield
        except self._errors as error:
            raise LogError(
                f"cannot be read: {str(error) or 'no answer'}", place=self._address.name, hint=_HINT
            ) from error


def offset_of(name: str, place: str) -> int:
    """The offset of an id. Raises ``LogError`` where none can hold it."""
    time, _, number = name.partition("-")
    if int(time) >= MOST_TIME or int(number) >= 1 << BITS:
        hint = "let Redis make the ids: XADD KEY *"
        raise LogError(f"the id {name} is too high", place=place, hint=hint)
    return int(time) << BITS | int(number)


def _text(fields: Mapping[bytes, bytes]) -> bytes:
    if len(fields) == 1:
        return next(iter(fields.values()))
    held: dict[str, str] = {}
    for name, value in fields.items():
        key = name.decode(errors="replace")
        try:
            held[key] = value.decode()
        except UnicodeDecodeError:
            held[f"{key}_base64"] = b64encode(value).decode()
    return _json(held)


def _database(address: Address) -> int:
    """The number of the database, as in ``?db=2``. Raises ``UsageError``."""
    query = parse_qs(address.url.query)
    number = query.pop("db", ["0"])[0]
    if query or not number.isdecimal():
        hint = "write redis://HOST/STREAM?db=2"
        raise UsageError("is no address of a stream", place=without_secrets(address.name), hint=hint)
    return int(number)
