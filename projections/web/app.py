"""The application that ``tracker serve`` runs: the receiver, and beside it the routes that answer questions.

What a route finds in ``request.app.state``:

    tracker   the open ``Tracker``; its methods may be called from any thread
    live      ``projections.views.live.Following``, which keeps the read models up with the store; ``None`` where it only receives:
              ``checkpoint_position``  the position up to which they go
              ``lag``                  deliveries that are stored and not yet judged
              ``await wait_for(position, timeout)``  True once they go that far; ``timeout`` in seconds
              ``views_path``           their file; not there before the first rebuild is done; open it read-only,
                                       anew for each request, for a rebuild puts another file in its place
              ``rules``                by which they are judged now
              ``as_of``                the moment at which they are settled, ``None`` before there is one
              ``now()``                the time by which they are settled when something is due
              ``problem``              why they cannot follow, or ``""``
              ``readings``             (webhook type, reading) -> how often it was judged so since the start
              ``stopping``             True once the server is to stop: a stream must end then (``wait_for`` returns)
    beside    what begins and ends with the server beside these (``Beside``)
    receiver  ``tracker.intake.receiver.Receiver``, ``None`` where it only answers: ``insecure`` (nothing is
              verified), ``queued``, ``problem`` (why the store cannot be written, or ``""``), ``stats``
    streams   how many streams of changes are open
    watch     ``projections.web.watch.Watch``: ``loss`` (what the read models were built from and the store lacks, or
              ``None``), ``waited`` (seconds, of the oldest delivery that is not judged), ``is_following``
    token     ``str | None``, what pages and API ask for; they compare it in constant time
    masked_token  ``str | None``, what shows them with names masked
    accounts  the names of the accounts that are configured
    accept_file  ``Path | None``, to which the pages add what is accepted
    logins    for each of the two tokens that there is (``whole``, ``masked``) ``projections.web.logins.Logins``, the
              cookies of those who showed it

``receiver.stats`` are plain numbers: ``stored``, ``refused`` (reason -> count; the reasons are a closed set),
``batch_sizes`` and ``append_seconds`` (``Histogram`` with ``bounds``, ``counts``, ``sum``; the counts are not
cumulative, and the last one, behind all bounds, is the overflow).
A route that fails in a way of its own may put a word of why into ``scope["tracker.reason"]`` for the log.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, tzinfo
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import attrs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from projections import zones
from projections.views.live import Following, Live
from projections.web import accepting, api, dropped, health, metrics, owning, pages
from projections.web.admission import WEBHOOKS, Admission, named
from projections.web.connections import MOST_CONNECTIONS
from projections.web.logins import ENDED, Logins
from projections.web.mount import Mounted, own_path
from projections.web.pages import html
from projections.web.problems import HANDLERS, of_http
from projections.web.watch import Watch
from tracker.intake.receiver import REASON, SOURCE, Keys, Receiver
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.clock import Clock

WEBHOOK_PATHS = (WEBHOOKS, f"{WEBHOOKS}/{{account}}")
NOSNIFF = (b"x-content-type-options", b"nosniff")
LONGEST_PATH = 80
"""Characters of a path in the log."""

log = logging.getLogger("projections.web")


class Beside(Protocol):
    """A thread that begins and ends with the server: alerts, relays, traces, what asks VideoSDK, retention."""

    @property
    def name(self) -> str: ...

    @property
    def problem(self) -> str:
        """Why its last attempt failed; empty where it did not."""

    def start(self) -> None:
        """Begins; called in the event loop."""

    async def stop(self) -> None:
        """Ends; what is under way by then is done at the next start."""


def receiver_and_follower(
    tracker: Tracker,
    load_rules: Callable[[], Rules],
    keys: Keys,
    *,
    answers: bool = True,
    follow: Callable[[Tracker, Callable[[], Rules], Callable[[], datetime]], Following] = Live,
) -> tuple[Receiver | None, Following | None]:
    """Who stores what comes, and who keeps the read models up with it. They share a clock, and the one wakes the other.

    Without ``keys`` of any account nobody stores anything. ``follow`` makes the follower.
    """
    clock = Clock(tracker.newest_from(SOURCE), ahead=tracker.latest_from(SOURCE))
    live = follow(tracker, load_rules, clock.now) if answers else None
    wake = live.wake if live else lambda: None
    return Receiver(tracker.receive, keys, clock, wake) if keys else None, live


def create_app(
    tracker: Tracker,
    receiver: Receiver | None,
    live: Following | None,
    *,
    token: str | None = None,
    masked_token: str | None = None,
    hosts: Iterable[str] = (),
    most_connections: int = MOST_CONNECTIONS,
    routes: Sequence[BaseRoute] = (),
    accept_file: Path | None = None,
    zone: tzinfo = UTC,
    beside: Sequence[Beside] = (),
    accounts: Iterable[str] = (),
) -> Starlette:
    """The receiver, what tells how the server is, the API, the pages and ``routes``; receiving and following begin and end with the server.

    ``masked_token`` opens what ``token`` opens, with initials in the place of names. Without ``receiver`` it only answers, without ``live`` it only receives. ``hosts`` are the names by which it may be
    asked beside those of this machine. ``accept_file`` is the configuration file to which findings that are accepted on
    the pages are added, ``zone`` is the time zone of times on pages,
    ``beside`` is what else begins and ends with the server,
    ``accounts`` are the accounts that pages offer though nothing came of them.
    """
    watch = Watch(tracker, receiver, live)
    app = Starlette(
        routes=[
            *(Route(path, receiver, methods=["POST"]) for path in WEBHOOK_PATHS if receiver is not None),
            Route("/healthz", healthz),
            *health.routes,
            *metrics.routes,
            *(
                [*api.routes, *dropped.routes, *accepting.routes, *owning.routes, *routes, *pages.routes]
                if live
                else []
            ),
        ],
        middleware=[
            Middleware(Mounted),
            Middleware(Zoned, zone=zone),
            Middleware(Failures),
            Middleware(Admission, most=max(1, most_connections * 4 // 5), hosts=named(hosts)),
        ],
        exception_handlers={**HANDLERS, HTTPException: _elsewhere},
        lifespan=_lifespan,
    )
    tokens = {"whole": token, "masked": masked_token}
    app.state.logins = {
        which: Logins(one, live.views_path.with_name(ENDED)) for which, one in tokens.items() if one and live
    }
    app.state.masked_token = masked_token
    app.state.streams, app.state.most_connections = 0, most_connections
    app.state.watch, app.state.accept_file = watch, accept_file
    app.state.beside = beside
    app.state.accounts = frozenset(accounts)
    app.state.tracker, app.state.live, app.state.receiver, app.state.token = tracker, live, receiver, token
    return app


def start(app: Starlette) -> None:
    """Begins to receive and to follow; to be called in the event loop."""
    for part in _parts(app):
        part.start()


async def stop(app: Starlette) -> None:
    """Stores what waits, and ends what ``start`` began."""
    for part in _parts(app):
        await part.stop()


def _parts(app: Starlette) -> list[Any]:
    state = app.state
    return [one for one in (state.watch, state.receiver, state.live, *state.beside) if one is not None]


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    start(app)
    yield
    await stop(app)


def _elsewhere(request: Request, error: Exception) -> Response:
    """What answers a path at which there is nothing: a page to a browser, problem details to a program."""
    assert isinstance(error, HTTPException)
    is_page = request.method == "GET" and not own_path(request.scope).startswith("/api/")
    asks_for_one = "text/html" in request.headers.get("accept", "")
    if error.status_code == HTTPStatus.NOT_FOUND and is_page and asks_for_one and request.app.state.live:
        return html.not_found(request)
    return of_http(error)


async def healthz(_: Request) -> PlainTextResponse:
    """The process runs and answers; whether it can store and follow is another question."""
    return PlainTextResponse("ok\n")


@attrs.frozen
class Failures:
    """Logs each request that failed: the method, the path, the status, and why; never what was sent.

    And tells browsers to take every answer for what it says it is.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), NOSNIFF]
                if message["status"] >= 400:
                    _log(scope, message["status"])
            await send(message)

        await self.app(scope, receive, watched)


@attrs.frozen
class Zoned:
    """Shows times in this zone while a request is answered."""

    app: ASGIApp
    zone: tzinfo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        undo = zones.use(lambda: self.zone)
        try:
            await self.app(scope, receive, send)
        finally:
            undo()


def _log(scope: Scope, status: int) -> None:
    fields = {"method": scope["method"][:10], "path": scope["path"][:LONGEST_PATH], "status": status}
    log.warning("request failed", extra={"fields": {**fields, "reason": scope.get(REASON, "")}})
