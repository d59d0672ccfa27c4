"""When somebody looked last: kept in a cookie of their browser, and nowhere else.

A visit goes on while the next look comes within ``GAP``, so that a page that follows the store by itself is one visit. The
cookie has two times in seconds since 1970: when the visit before this one ended, and the last look.
"""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from projections.web.mount import url

COOKIE = "tracker-visit"
GAP = 30 * 60
"""Seconds without a look after which the next one is another visit."""
KEPT = 90 * 86400
"""Seconds for which the browser keeps it."""
_LATEST = 2**40


def before(request: Request, now: datetime) -> datetime | None:
    """When the visit before this one ended; ``None`` for who has not been here before."""
    ended, last = _read(request)
    if last is not None and now.timestamp() - last > GAP:
        ended = last
    return None if ended is None else datetime.fromtimestamp(ended, UTC)


def remember(request: Request, response: Response, now: datetime) -> None:
    """Notes this look."""
    ended = before(request, now)
    value = f"{'' if ended is None else int(ended.timestamp())}.{int(now.timestamp())}"
    response.set_cookie(COOKIE, value, max_age=KEPT, path=url(), httponly=True, samesite="lax")


def _read(request: Request) -> tuple[int | None, int | None]:
    ended, _, last = request.cookies.get(COOKIE, "").partition(".")
    return _seconds(ended), _seconds(last)


def _seconds(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) < len(str(_LATEST))
    return int(text) if is_number else None
