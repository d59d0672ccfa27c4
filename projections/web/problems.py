"""What went wrong, as problem details (RFC 9457) with a hint about what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import attrs
import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from projections.web.mount import root, url
from tracker.errors import NotFoundError, StoreError, TrackerError, UsageError

MEDIA_TYPE = "application/problem+json"
STATUS: Mapping[type[TrackerError], HTTPStatus] = {
    UsageError: HTTPStatus.BAD_REQUEST,
    NotFoundError: HTTPStatus.NOT_FOUND,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""What an error of ours is in HTTP; the nearest class above it counts."""
HINTS = {
    HTTPStatus.NOT_FOUND: "{}/api/openapi.json tells what there is",
    HTTPStatus.METHOD_NOT_ALLOWED: "Allow tells which methods there are",
}
STATUSES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.CONFLICT,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""What an operation may answer instead."""
CLOSE = {"connection": "close"}
"""Headers for where the rest of the request may still be on its way, or cannot be trusted."""
RETRY_AFTER = "1"
"""Seconds after which it is worth asking again when the store was out of reach."""


class ConflictError(TrackerError):
    """It was asked rightly, and the store is not such that it could be answered."""


class ForbiddenError(TrackerError):
    """Who asks may not do that."""


class UnknownError(NotFoundError):
    """A session or a room that nothing came of. Without a hint that it brings, the list of the sessions is the way on."""


@attrs.frozen(slots=False)
class Problem:
    """What went wrong, and what to do about it."""

    title: str
    status: int
    detail: str
    hint: str
    type: str = "about:blank"


def problem(
    status: int, detail: str = "", hint: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """A response that tells one problem."""
    title = HTTPStatus(status).phrase
    body = Problem(title, status, detail or title, hint or HINTS.get(HTTPStatus(status), "").format(root()))
    return Response(msgspec.json.encode(body), status, headers, MEDIA_TYPE)


def of_http(error: HTTPException) -> Response:
    """A request that is none that can be answered: the wrong path, the wrong method."""
    return problem(error.status_code, error.detail, headers=error.headers)


def problem_of(error: TrackerError) -> Problem:
    """An error of ours as a problem."""
    own = {ConflictError: HTTPStatus.CONFLICT, ForbiddenError: HTTPStatus.FORBIDDEN}
    status = own.get(type(error), HTTPStatus.CONFLICT)
    if type(error) not in own:
        kinds = (kind for kind in type(error).__mro__ if kind in STATUS)
        status = STATUS[next(kinds, StoreError)]
    return Problem(status.phrase, status, str(error), error.hint)


def _of_ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, TrackerError)
    found = problem_of(error)
    if isinstance(error, UnknownError) and not found.hint:
        found = attrs.evolve(found, hint=f"{url('api', 'sessions')} lists all sessions")
    again = {"retry-after": RETRY_AFTER} if found.status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem(found.status, found.detail, found.hint, again)


def _of_nobody(_: Request, error: Exception) -> Response:
    headers = {"x-content-type-options": "nosniff"}  # this is made outside of all that adds it
    return problem(500, "something is wrong in this program", "its log says more; please report it", headers)


HANDLERS: dict[Any, Callable[[Request, Exception], Response]] = {
    TrackerError: _of_ours,
    Exception: _of_nobody,
}
"""For ``Starlette(exception_handlers=…)``."""
