"""The application as a part of another one: mounted in FastAPI or Starlette, or beside Django.

A mounted application gets no lifespan events. So it starts by itself, at the first request, and it finds out by itself
that it is to stop:

- Whatever runs beside the requests (the threads that store and follow) is held by one async generator of the event
  loop of the first request. An event loop that is closed in order closes its generators (``asyncio.run`` does, and so
  does every server that uses it). That stops the threads, after what waits has been stored, and closes the store.
- uvicorn lets every answer end before it closes the loop, and a stream of changes has no end. The handler of SIGTERM
  is then a method of uvicorn's server, whose ``should_exit`` says that the stream shall end. Other servers cut streams
  off after a time.

Where there are lifespan events, because a server runs the application on its own, they start and stop it. The
application around it may do so too, by ``start`` and ``stop`` in its own lifespan.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from projections import given
from projections.views.live import Following
from projections.web.admission import ANY, ANY_HOST, is_reserved
from projections.web.app import create_app, receiver_and_follower, start, stop
from projections.web.mount import own_path
from projections.web.problems import RETRY_AFTER, problem
from projections.web.tokens import read_token, second_token
from tracker.delivery.envelope import ACCOUNT_HINT, is_account
from tracker.delivery.signature import Keyring, Source
from tracker.errors import TrackerError, UsageError
from tracker.rules import Rules
from tracker.store.application import Tracker

PATIENCE = 5.0
"""Seconds that the first page waits for the read models to be made."""
LOOK = 0.25
"""Seconds between two looks at whether the server is to stop."""

log = logging.getLogger("projections.web")


def asgi_app(
    data: str | os.PathLike[str],
    *,
    store: str | None = None,
    keys: Source | Iterable[Source] | None = None,
    accounts: Mapping[str, Source | Iterable[Source]] | None = None,
    insecure: bool = False,
    token: str | None = None,
    masked_token: str | None = None,
    hosts: Iterable[str] | None = None,
    rules: Rules | str | os.PathLike[str] | None = None,
) -> Embedded:
    """The pages, the API and the receiver of ``tracker serve`` as an ASGI application, to be mounted under a path.

    ``app.mount("/tracker", asgi_app("./tracker-data", token=TOKEN))`` is all that FastAPI and Starlette need. It
    starts at the first request and stops with the event loop.

    ``data`` is the data directory, ``store`` the URL of a PostgreSQL database where the events are there. ``keys`` are
    VideoSDK's public keys, as text or as paths: with them signed webhooks are received at ``webhooks`` under the
    mount. ``accounts`` has the keys of each of several accounts by its name: they are received at ``webhooks/NAME``.
    ``insecure`` receives at ``webhooks`` whatever comes, whoever sent it. Without all of these nothing is received,
    and the store must be there. ``token`` is what pages and API ask for; without one, whoever reaches the mount reads
    everything, so the application around it has to guard it. ``masked_token`` is a second one, for readers who see
    initials in the place of names. ``hosts`` are the names under which it answers beside those of this machine;
    with a token any name, unless they are given. ``rules`` are the rules to judge by, or the path of their TOML file.

    Raises ``UsageError`` where keys, token or rules cannot be used. A store that cannot be opened is answered with
    503, and tried again at the next request.
    """
    if keys is not None and insecure:
        raise UsageError("keys and insecure contradict each other", hint="give one of them")
    rings: dict[str | None, Keyring | None] = {None: None} if insecure else {}
    if keys is not None:
        rings[None] = _keyring(keys)
    for name, theirs in (accounts or {}).items():
        if not is_account(name):
            raise UsageError(f"{name!r} cannot be the name of an account", hint=ACCOUNT_HINT)
        rings[name] = _keyring(theirs)
    token = read_token(token, None, {})
    masked_token = second_token(token, read_token(masked_token, None, {}), "masked_token")
    if hosts is None:
        hosts = (ANY,) if token else ()
    given.rules(rules)  # so that a mistake shows at once
    receives = bool(rings)

    def open_app() -> Starlette:
        tracker = Tracker.open(Path(data), store, create=receives)
        try:
            receiver, live = receiver_and_follower(tracker, lambda: given.rules(rules), rings)
            return create_app(
                tracker,
                receiver,
                live,
                token=token,
                masked_token=masked_token,
                hosts=hosts,
                accounts=filter(None, rings),
            )
        except BaseException:
            tracker.close()
            raise

    return Embedded(open_app)


def _keyring(keys: Source | Iterable[Source]) -> Keyring:
    return Keyring([keys] if isinstance(keys, bytes | str | os.PathLike) else keys)


class Embedded:
    """An ASGI application that opens another one when it is first asked for something.

    ``open_app`` opens the store and makes the application; it is called in a thread.
    """

    def __init__(self, open_app: Callable[[], Starlette]) -> None:
        self._open_app = open_app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = asyncio.Lock()
        self._running: AsyncGenerator[Starlette, None] | None = None
        self._app: Starlette | None = None
        self._is_ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._answer(scope, receive, send)

    async def start(self) -> Starlette:
        """The application, which runs from then on in this event loop. Raises ``TrackerError``."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._starting = loop, asyncio.Lock()
            self._running = self._app = None
        async with self._starting:
            if self._app is None:
                running = self._run()
                self._app = await anext(running)
                self._running = running
        return self._app

    async def stop(self) -> None:
        """Stores what waits and ends all threads. The next request starts it again."""
        if self._running is not None:
            await self._running.aclose()

    async def _run(self) -> AsyncGenerator[Starlette, None]:
        app = await asyncio.to_thread(self._open_app)
        leaving = asyncio.create_task(_let_go(app))
        try:
            start(app)
            yield app
        finally:
            self._app, self._running, self._is_ready = None, None, False
            leaving.cancel()
            await stop(app)
            app.state.tracker.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            app = await self.start()
        except TrackerError as error:
            fields = {"error": str(error), "hint": error.hint}
            log.error("it cannot start", extra={"fields": fields})  # noqa: TRY400 - one line says it
            refused = problem(503, error.message, error.hint, {"retry-after": RETRY_AFTER})
            await refused(scope, receive, send)
            return
        path = own_path(scope)
        if not (self._is_ready or is_reserved(path) or path in ANY_HOST):
            await _caught_up(app)
            self._is_ready = True
        await app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except TrackerError as error:
            await send({"type": "lifespan.startup.failed", "message": f"{error}\nhint: {error.hint}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


async def _caught_up(app: Starlette) -> None:
    """Until the read models are there and as far as the store, or have had their time."""
    live: Following = app.state.live
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await live.wait_for(await asyncio.to_thread(app.state.tracker.last_position), PATIENCE)
            while not (live.views_path.exists() or live.problem or live.stopping):  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.05)


async def _let_go(app: Starlette) -> None:
    """Ends all streams once uvicorn is to exit; where another server runs, there is nothing to be seen."""
    while not getattr(_server(), "should_exit", False):  # noqa: ASYNC110 - nor does a server
        await asyncio.sleep(LOOK)
    app.state.live.let_go()


def _server() -> Any:
    """Whose method handles SIGTERM."""
    return getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
