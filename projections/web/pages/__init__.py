"""The pages: what an operator looks at. Rendered here, and readable without any script.

Each page is a function of a snapshot and of what was asked for, which gives the values of one template. It asks what
the API asks, ``projections.web.answers`` and the read models, and judges nothing by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from projections.web import parameters
from projections.web import paths as paths
from projections.web.mount import url
from projections.web.pages import (
    alerts,
    deliveries,
    event,
    findings,
    html,
    lifecycles,
    listing,
    overview,
    people,
    recordings,
    reference,
    search,
    session,
    visits,
    why,
)
from projections.web.parameters import Parameter, Values
from projections.web.snapshot import Snapshot, snapshot
from projections.web.tokens import LOGIN, is_masked, login, logout, page_is_open, read_form
from tracker.errors import TrackerError


@attrs.frozen
class Page:
    """One page: where it is, what may be asked, and what fills its template."""

    path: str
    template: str
    fill: Callable[[Snapshot, Values], Values]
    parameters: Sequence[Parameter] = ()
    remembers: bool = False
    """Whether it says what is new since the last visit: it is then asked for ``visited``, when that was."""


PAGES = (
    Page("/", "overview.html", overview.fill, overview.PARAMETERS, remembers=True),
    Page("/sessions", "sessions.html", listing.fill, listing.PARAMETERS),
    Page("/sessions/{session:id}", "session.html", session.fill, session.PARAMETERS),
    Page("/recordings", "recordings.html", recordings.fill, recordings.PARAMETERS),
    Page("/findings", "findings.html", findings.fill, findings.PARAMETERS),
    Page("/alerts", "alerts.html", alerts.fill, alerts.PARAMETERS),
    Page("/meetings/{meeting:id}", "room.html", people.fill_room, people.OF_ROOM),
    Page("/people/{person:id}", "person.html", people.fill_person, people.OF_PERSON),
    Page("/why", "why.html", why.fill, why.PARAMETERS),
    Page("/search", "search.html", search.fill, search.PARAMETERS),
    Page("/api", "reference.html", reference.fill),
    Page("/events", "deliveries.html", deliveries.fill, deliveries.PARAMETERS),
    Page("/events/{position}", "event.html", event.fill, event.PARAMETERS),
    Page("/lifecycles", "lifecycles.html", lifecycles.fill_all),
    Page("/lifecycles/{name}", "lifecycle.html", lifecycles.fill, lifecycles.PARAMETERS),
)


def _endpoint(page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not await page_is_open(request):
            return html.login_form(request, str(request.url.replace(scheme="", netloc="")))
        return await run_in_threadpool(_respond, page, request)

    return endpoint


def _respond(page: Page, request: Request) -> Response:
    # What a form leaves empty is not asked for.
    query = [(name, value) for name, value in request.query_params.multi_items() if value]
    try:
        asked = parameters.values(page.parameters, query, request.path_params)
        with snapshot(request.app.state, masked=is_masked(request)) as of:
            if page.remembers:
                asked["visited"] = visits.before(request, of.now)
            values = page.fill(of, asked)
    except TrackerError as error:
        return html.problem(request, error)
    response = html.response(request, page.template, values)
    if page.remembers:
        visits.remember(request, response, request.app.state.live.now())
    return response


async def _login(request: Request) -> Response:
    if request.method != "POST":
        return RedirectResponse(url())  # which asks for the token where it must
    given = await read_form(request)
    return await login(request, given) or html.login_form(request, given.get("to", url()), wrong=True)


async def _logout(request: Request) -> Response:
    return await run_in_threadpool(logout, request)


routes: list[BaseRoute] = [
    *(Route(page.path, _endpoint(page), name=page.template) for page in PAGES),
    Route(LOGIN, _login, methods=["GET", "POST"]),
    Route("/logout", _logout, methods=["POST"]),
    Mount("/static", StaticFiles(directory=html.STATIC)),
]
