"""The token that opens what can be read, and a second one that opens it with names masked.

The webhooks are opened by their signatures instead.

A program shows it as a bearer token. A person types it once into a form, and the browser keeps a cookie that is signed
with the token and does not tell it: it opens for a month, until the person logs out or the token is another one. It may
come with a link from elsewhere (``SameSite=Lax``), so the link in a chat works; browsers leave it out of a form that another
site sends, and only a form can change something (what is accepted). The answer to a wrong token is delayed; what makes guessing hopeless is the length of a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from projections.web.logins import DAYS
from projections.web.mount import url
from projections.web.problems import CLOSE, problem
from tracker.errors import UsageError
from tracker.intake.receiver import BODY_TIMEOUT

LOGIN = "/login"
COOKIE = "tracker"
CREDENTIAL = "tracker-token"
"""The name of the token among the credentials that systemd hands over."""
LEAST = 16
"""Characters of a token."""
DELAY = 1.0
"""Seconds that who shows a wrong token waits."""
MOST_FORM = 16 << 10
"""Bytes of the form."""


Access = Literal["whole", "masked"]
"""How much a reader sees: everything, or initials in the place of names."""


class RequireToken:
    """Lets through who shows one of the two tokens as a bearer token, or its cookie; everybody, where there is none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if access(HTTPConnection(scope)) is not None:
            await self.app(scope, receive, send)
            return
        shown = Headers(scope=scope).get("authorization")
        if shown:
            await _delay()
        await _refusal(shown)(scope, receive, send)


GUARDED = [Middleware(RequireToken)]
"""For ``Route(middleware=…)``."""


def access(connection: HTTPConnection) -> Access | None:
    """What who asks may see; ``None``: nothing. A token that is right decides, else the cookie; without a token everybody sees all."""
    state = connection.app.state
    if state.token is None:
        return "whole"
    shown = connection.headers.get("authorization", "")
    cookie = connection.cookies.get(COOKIE, "")
    tokens = {"whole": state.token, "masked": state.masked_token}
    by_token = [which for which, token in tokens.items() if token is not None and _is_token(shown, token)]
    by_cookie = [which for which, logins in state.logins.items() if logins.is_open(cookie)]
    return next(iter((*by_token, *by_cookie)), None)


def is_masked(connection: HTTPConnection) -> bool:
    """Whether who asks sees initials in the place of names."""
    return access(connection) == "masked"


async def page_is_open(request: Request) -> bool:
    """Whether a page may be shown: by the cookie, by a token, or because there is none."""
    if access(request) is not None:
        return True
    if request.headers.get("authorization"):
        await _delay()
    return False


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


async def login(request: Request, form: Mapping[str, str]) -> Response | None:
    """Gives the cookie and leads to where the person wanted to go; ``None`` where it is not the token."""
    state, given = request.app.state, form.get("token", "").strip()
    tokens = {"whole": state.token, "masked": state.masked_token}
    which = next((one for one, token in tokens.items() if token is not None and _same(given, token)), None)
    if state.token is not None and which is None:
        await _delay()
        return None
    answer = RedirectResponse(_here(form.get("to", "")), status_code=303)
    if which is not None:
        answer.set_cookie(
            COOKIE,
            state.logins[which].begin(),
            max_age=DAYS * 86400,
            path=url(),
            httponly=True,
            samesite="lax",
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
        )
    return answer


def logout(request: Request) -> Response:
    """Takes the cookie back, so that it opens no more, whoever has a copy of it."""
    for logins in request.app.state.logins.values():
        logins.end(request.cookies.get(COOKIE, ""))
    answer = RedirectResponse(url(), status_code=303)
    answer.delete_cookie(COOKIE, path=url())
    return answer


def read_token(given: str | None, file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token from the command, from the environment or from systemd; ``None`` where none is given.

    Raises ``UsageError`` where it cannot be read, is given twice or is too short.
    """
    if given and file:
        raise UsageError("--token and --token-file are both given", hint="give one of them")
    if not given and file is None:
        given, file = environment.get("TRACKER_TOKEN"), _token_file(environment)
    token = given or (_token_in(file) if file is not None else None)
    if token is not None and len(token) < LEAST:
        hint = "openssl rand -hex 16 makes one that nobody guesses"
        raise UsageError(f"the token has fewer than {LEAST} characters", place=str(file or ""), hint=hint)
    return token


def read_masked_token(token: str | None, file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The second token, from a file; ``None`` where none is named. Raises ``UsageError`` as ``read_token``."""
    named = file or (Path(name) if (name := environment.get("TRACKER_MASKED_TOKEN_FILE")) else None)
    return second_token(token, read_token(None, named, {}) if named else None, str(named))


def second_token(token: str | None, masked: str | None, place: str) -> str | None:
    """The second token. Raises ``UsageError`` at ``place`` where it would hide nothing."""
    if masked is not None and token is None:
        hint = "give the first one too: --token-file or TRACKER_TOKEN"
        raise UsageError("without a token everybody reads every name", place=place, hint=hint)
    if masked is not None and masked == token:
        raise UsageError("both tokens are the same", place=place, hint="make another: openssl rand -hex 16")
    return masked


def _token_file(environment: Mapping[str, str]) -> Path | None:
    if named := environment.get("TRACKER_TOKEN_FILE"):
        return Path(named)
    credential = Path(environment.get("CREDENTIALS_DIRECTORY", ""), CREDENTIAL)
    return credential if credential.is_absolute() and credential.exists() else None


def _token_in(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(
            f"the token cannot be read: {reason}", place=str(file), hint="give a file with it"
        ) from error


async def _delay() -> None:
    await asyncio.sleep(DELAY)


def _here(to: str) -> str:
    """A page of this application, whatever was given."""
    path = "/" + quote(to.lstrip("/\\"), safe="/?&=%:;,+~-._!*'()@")
    return path if to.startswith("/") and path.startswith(url()) else url()


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
