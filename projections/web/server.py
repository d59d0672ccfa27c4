"""The server: one process, one port, and what its signals do.

The first SIGTERM or SIGINT stops it gently: no new request, what was begun is answered, what waits is
stored. The second one stops it at once, and what was not answered with 204 will be sent again. SIGHUP
reads keys and rules again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from ipaddress import ip_address
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from projections.live import Live
from projections.web.logs import Handler
from tracker.errors import UsageError

BACKLOG = 2048
MOST_CONNECTIONS = 1000
"""Beyond them a request is answered with 503."""
HEADER_TIMEOUT = 10.0
"""Seconds in which the head of a request must come."""
MOST_HEADER = 32 << 10
"""Bytes of the head of a request."""
STOP_TIMEOUT = 90
"""Seconds for what was begun to end in a gentle stop; longer than the store waits for another writer."""


class Patient(H11Protocol):
    """The library's protocol, patient only for so long with somebody who connects and says nothing, or not all."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_busy():
            self._expect_nothing()
        elif self._late is None:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def _is_busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(HEADER_TIMEOUT, self._give_up)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if not self._is_busy():
            self.transport.close()


class Server(uvicorn.Server):
    """Stops gently at the first signal and at once at the second, and ends without raising it again."""

    def __init__(self, config: uvicorn.Config, live: Live | None, handler: Handler) -> None:
        super().__init__(config)
        self._live, self._handler = live, handler

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the library's signature
        if self.should_exit:
            self._handler.flush_floods(over=True)
            os._exit(128 + sig)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._live is not None:
            self._live.let_go()
        await super().shutdown(sockets)
        self._handler.flush_floods(over=True)


def serve(app: Starlette, listening: socket.socket, handler: Handler, reload: Callable[[], None]) -> None:
    """Serves until a signal stops it."""

    async def tell_floods() -> None:
        handler.flush_floods()

    config = uvicorn.Config(
        app,
        http=Patient,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=MOST_HEADER,
        timeout_graceful_shutdown=STOP_TIMEOUT,
        callback_notify=tell_floods,
        timeout_notify=1,
    )
    server = Server(config, app.state.live, handler)

    async def run() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        await server.serve(sockets=[listening])

    asyncio.run(run())


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address. Raises ``UsageError``."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        listening = socket.create_server(address, family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        hint = "choose another --host or --port; --port 0 takes a free one"
        raise UsageError(
            f"cannot listen: {getattr(error, 'strerror', '') or error}", place=f"{host}:{port}", hint=hint
        ) from error
    # Connections inherit it. Without, the body of an answer waits 40 ms for the client's word on its head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server at this address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url(listening: socket.socket) -> str:
    """Where a socket listens, as somebody would write it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
