"""A stream of NATS JetStream, read by sequence numbers.

Each message is asked for by its number, many at a time: no consumer is made on the server, so none can be forgotten
there, time out, or deliver something twice. A stream is known by its name and the time at which it was made, so that it
is the same one at whatever address, and another one once it was made anew. Credentials may be in the address, or in the
file that ``NATS_CREDS`` names.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

from tracker.delivery import envelope
from tracker.delivery.envelope import Received, signature_among
from tracker.errors import LogError
from tracker.intake.streams import BATCH, Address, Batch, Message

__all__ = ["JetStream"]

TIMEOUT = 5
"""Seconds in which the server must answer."""
_KEPT = "limits"
"""The retention of a stream that keeps what was read."""
_HINT = (
    "check the address, the credentials, and that the server runs; run it again to go on behind what is stored"
)
T = TypeVar("T")


class JetStream:
    """One of them. Raises ``LogError``."""

    def __init__(self, address: Address) -> None:
        try:
            import nats
        except ImportError as error:
            hint = "run pip install '.[nats]' in the directory of the source"
            raise LogError("is on NATS, and nats-py is not installed", place=address.name, hint=hint) from error
        self._credentials = os.environ.get("NATS_CREDS") or None
        if self._credentials and not Path(self._credentials).is_file():
            hint = "NATS_CREDS must name a file of credentials"
            raise LogError(f"{self._credentials} is no file", place=address.name, hint=hint)
        self._address, self._runner = address, asyncio.Runner()
        self._errors: tuple[type[Exception], ...] = (nats.errors.Error, OSError, TimeoutError, ValueError)
        self._connection, self._noted = nats.NATS(), Exception()
        """What went wrong in the background last; it is said when the next thing that is asked for fails."""
        try:
            with self._as_ours():
                self._made = self._run(self._connect())
        except LogError:
            self.close()
            raise

    async def _connect(self) -> str:
        """Finds the stream; returns when it was made."""
        address = self._address
        await self._connection.connect(
            address.server,
            user=address.user,
            password=address.password,
            token=address.user if address.password is None else None,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0.2,
            connect_timeout=TIMEOUT,
            error_cb=self._note,
            user_credentials=self._credentials,
        )
        self._stream = self._connection.jetstream(timeout=TIMEOUT)
        info = await self._stream.stream_info(address.stream)
        if info.config.retention not in (None, _KEPT):
            hint = "make it with the retention limits, or a mirror of it that has these"
            problem = (
                f"has the retention {info.config.retention}, so it forgets messages before they are stored"
            )
            raise LogError(problem, place=address.name, hint=hint)
        return _made(info)

    @property
    def identity(self) -> str:
        return f"nats:{self._address.key}@{self._made}"

    def name_of(self, offset: int) -> str:
        return str(offset)

    def read(self, after: int, wait: float) -> Batch:
        with self._as_ours():
            info = self._run(self._stream.stream_info(self._address.stream))
            if _made(info) != self._made:
                hint = "run it again: it is another stream, and is read from its beginning"
                raise LogError("was made anew", place=self._address.name, hint=hint)
            state = info.state
            begin = max(after + 1, state.first_seq)
            end = min(state.last_seq, begin + BATCH - 1)
            if begin > end:
                sleep(wait)
                return Batch((), after)
            messages = self._run(self._between(begin, end))
        removed = begin - after - 1 if after else 0
        return Batch(
            messages, end, state.last_seq > end, f"{removed:,} of its messages were" if removed else ""
        )

    def close(self) -> None:
        with suppress(*self._errors):
            self._run(self._connection.close())
        self._run(asyncio.sleep(0))  # so that what is closed is gone
        self._runner.close()

    async def _between(self, begin: int, end: int) -> list[Message]:
        found = await asyncio.gather(*(self._message(number) for number in range(begin, end + 1)))
        return [one for one in found if one is not None]

    async def _message(self, number: int) -> Message | None:
        """The message with a number; ``None`` where it was deleted."""
        from nats.js.errors import NotFoundError

        try:
            found = await self._stream.get_msg(self._address.stream, seq=number)
        except NotFoundError:
            return None
        text, signature = found.data or b"", signature_among(found.headers)
        if signature is not None:
            text = envelope.encode(Received(text, found.time, signature=signature))
        return Message(number, text, found.time)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @contextmanager
    def _as_ours(self) -> Iterator[None]:
        """Raises what the server says as a ``LogError`` that names the address."""
        try:
            yield
        except self._errors as error:
            why = self._noted if isinstance(self._noted, OSError) else error  # it says more than: no server
            words = getattr(why, "description", None) or str(why).removeprefix("nats: ")
            raise LogError(
                f"cannot be read: {words or 'no answer'}", place=self._address.name, hint=_HINT
            ) from error

    async def _note(self, error: Exception) -> None:
        self._noted = error


def _made(info: Any) -> str:
    """When a stream was made; nobody else has one of its name that was made at the same microsecond."""
    return "" if info.created is None else info.created.isoformat()
