"""The one token that opens what can be read. The webhooks are opened by their signatures instead."""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from projections.web.problems import problem


class RequireToken:
    """Lets through who shows ``app.state.token`` as a bearer token; everybody, where there is none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token: str | None = scope["app"].state.token
        shown = Headers(scope=scope).get("authorization")
        if token is None or (shown is not None and _is_token(shown, token)):
            await self.app(scope, receive, send)
        else:
            await _refusal(shown)(scope, receive, send)


GUARDED = [Middleware(RequireToken)]
"""For ``Route(middleware=…)``."""


def _is_token(shown: str, token: str) -> bool:
    scheme, _, given = shown.partition(" ")
    # Digests are of one length, so that the time it takes does not tell the token's.
    one, other = sha256(given.strip().encode("latin-1")), sha256(token.encode())
    return scheme.lower() == "bearer" and compare_digest(one.digest(), other.digest())


def _refusal(shown: str | None) -> ASGIApp:
    challenge = 'Bearer realm="tracker"' + (', error="invalid_token"' if shown else "")
    detail = "this is not the token" if shown else "this needs the token of the server"
    hint = "send it as Authorization: Bearer TOKEN"
    return problem(401, detail, hint, {"www-authenticate": challenge})
