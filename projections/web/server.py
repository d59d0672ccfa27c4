"""The server: one port, and what its signals do.

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
from time import monotonic
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from projections.views.live import Following
from projections.web.admission import MOST_HEADER
from projections.web.connections import Patient
from projections.web.fast import event_loop, protocol
from projections.web.logs import Handler
from tracker.bulk import bulk
from tracker.errors import UsageError

BACKLOG = 2048
LOOK = 1.0
"""Seconds between two looks at all connections."""
STOP_TIMEOUT = 90
"""Seconds for what was begun to end in a gentle stop; longer than the store waits for another writer."""


class Server(uvicorn.Server):
    """Stops gently at the first signal and at once at the second, and ends without raising it again."""

    def __init__(self, app: Starlette, handler: Handler, root_path: str = "") -> None:
        config = uvicorn.Config(
            app,
            root_path=root_path,
            http=protocol(),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            limit_concurrency=app.state.most_connections,
            h11_max_incomplete_event_size=MOST_HEADER,
            timeout_graceful_shutdown=STOP_TIMEOUT,
        )
        super().__init__(config)
        self._live: Following | None = app.state.live
        self._handler = handler
        self._looking: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the library's signature
        if self.should_exit:
            self._handler.flush_floods(over=True)
            os._exit(128 + sig)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """What is due every second, also while it stops."""
        while True:
            await asyncio.sleep(LOOK)
            self._handler.flush_floods()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Patient):
                    connection.look(monotonic())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._live is not None:
            self._live.let_go()
        await super().shutdown(sockets)
        if self._looking is not None:
            self._looking.cancel()
        self._handler.flush_floods(over=True)


def serve(
    app: Starlette,
    listening: socket.socket,
    handler: Handler,
    reload: Callable[[], None],
    root_path: str = "",
) -> None:
    """Serves until a signal stops it; ``root_path`` is the path under which a proxy has it."""
    server = Server(app, handler, root_path)

    async def run() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        await server.serve(sockets=[listening])

    with bulk(), asyncio.Runner(loop_factory=event_loop()) as runner:
        runner.run(run())


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
