"""A deadline for the whole of a request.

The timeouts of an HTTP client count for each step anew: to connect, to send, and each time that it reads. Who answers with
a byte now and then holds it for as long as he likes. So at the deadline the connection is shut down, and whatever waits for
it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from threading import Event, Timer
from typing import Any

__all__ = ["Deadline", "OverdueError", "Trace"]

Trace = Callable[[str, Mapping[str, Any]], None]
"""What httpx2 calls with each step of a request: the extension ``trace``."""
_CONNECTED = ("connect_tcp.complete", "start_tls.complete")


class OverdueError(Exception):
    """The whole of a request took too long."""


class Deadline:
    """That of the requests of one client, which come one after the other."""

    def __init__(self) -> None:
        self._stream: Any = None
        """The connection that was made last; a client that keeps one goes on with it."""

    @contextmanager
    def within(self, seconds: float) -> Iterator[Trace]:
        """Gives what the request is to be traced with. Raises ``OverdueError`` where it takes longer than this."""
        over = Event()

        def end() -> None:
            over.set()
            self._shut()

        def trace(step: str, about: Mapping[str, Any]) -> None:
            if step.endswith(_CONNECTED):
                self._stream = about["return_value"]
                if over.is_set():
                    self._shut()

        timer = Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield trace
        except Exception as error:
            if over.is_set():
                raise OverdueError from error
            raise
        finally:
            timer.cancel()
        if over.is_set():  # an answer without a length ends where its connection does
            raise OverdueError

    def _shut(self) -> None:
        if self._stream is not None:
            with suppress(OSError):  # it is closed already
                # Not by the method of a TLS socket, which would go on without encryption.
                socket.shutdown(self._stream.get_extra_info("socket"), SHUT_RDWR)
