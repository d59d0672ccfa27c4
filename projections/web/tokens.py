"""The one token that opens what can be read. The webhooks are opened by their signatures instead.

A program shows it as a bearer token. A person types it once into a form, and the browser keeps a cookie that is made
from the token: it opens as long as the token is the same one, and does not tell it. Nothing can be changed through
what the cookie opens, so it may come with a link from elsewhere (``SameSite=Lax``): the link in a chat works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest, new
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from projections.web.problems import CLOSE, problem
from tracker.receiver import BODY_TIMEOUT

LOGIN = "/login"
COOKIE = "tracker"
DAYS = 30
MOST_FORM = 16 << 10
"""Bytes of the form."""


class RequireToken:
    """Lets through who shows ``app.state.token`` as a bearer token, or its cookie; everybody, where there is none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token: str | None = scope["app"].state.token
        shown = Headers(scope=scope).get("authorization")
        if token is None or (_is_token(shown, token) if shown else _has_cookie(HTTPConnection(scope), token)):
            await self.app(scope, receive, send)
        else:
            await _refusal(shown)(scope, receive, send)


GUARDED = [Middleware(RequireToken)]
"""For ``Route(middleware=…)``."""


def page_is_open(request: Request) -> bool:
    """Whether a page may be shown: by the cookie, by the token, or because there is none."""
    token: str | None = request.app.state.token
    shown = request.headers.get("authorization")
    return token is None or _has_cookie(request, token) or (shown is not None and _is_token(shown, token))


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; none where it is far too long. Raises ``HTTPException`` where it does not come."""
    body = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_FORM:
                    return {}
    except TimeoutError:
        raise HTTPException(408, f"the form did not come within {BODY_TIMEOUT:g} s", CLOSE) from None
    except ClientDisconnect:
        raise HTTPException(400, "the form broke off", CLOSE) from None
    return {name: values[0] for name, values in parse_qs(body.decode("latin-1"), encoding="utf-8").items()}


def login(request: Request, form: Mapping[str, str]) -> Response | None:
    """Gives the cookie and leads to where the person wanted to go; ``None`` where it is not the token."""
    token: str | None = request.app.state.token
    if token is not None and not _same(form.get("token", "").strip(), token):
        return None
    answer = RedirectResponse(_here(form.get("to", "/")), status_code=303)
    if token is not None:
        answer.set_cookie(
            COOKIE,
            _cookie(token),
            max_age=DAYS * 86400,
            httponly=True,
            samesite="lax",
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
        )
    return answer


def logout() -> Response:
    """Takes the cookie away."""
    answer = RedirectResponse("/", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


def _here(to: str) -> str:
    """A path of this server, whatever was given."""
    path = to if to.startswith("/") else "/"
    return "/" + quote(path.lstrip("/\\"), safe="/?&=%:;,+~-._!*'()@")


def _has_cookie(connection: HTTPConnection, token: str) -> bool:
    return _same(connection.cookies.get(COOKIE, ""), _cookie(token))


def _cookie(token: str) -> str:
    return new(token.encode(), b"the pages of meeting-tracker", sha256).hexdigest()


def _is_token(shown: str, token: str) -> bool:
    scheme, _, given = shown.partition(" ")
    # A header is bytes, and Starlette reads them as Latin-1.
    return scheme.lower() == "bearer" and _same(given.strip(), token.encode().decode("latin-1"))


def _same(given: str, expected: str) -> bool:
    # Digests are of one length, so that the time it takes does not tell the token's.
    one, other = (sha256(text.encode()).digest() for text in (given, expected))
    return compare_digest(one, other)


def _refusal(shown: str | None) -> ASGIApp:
    challenge = 'Bearer realm="tracker"' + (', error="invalid_token"' if shown else "")
    detail = "this is not the token" if shown else "this needs the token of the server"
    hint = "send it as Authorization: Bearer TOKEN"
    return problem(401, detail, hint, {"www-authenticate": challenge})
