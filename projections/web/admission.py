"""The checks that every request passes before it is routed.

Refused are heads that are too long, requests with two lengths, and browsers that came under the name of another site.
Requests for anything but webhooks and ``/healthz`` may use four fifths of the connections. The rest is kept, so that
webhooks are stored and ``/healthz`` answers however many pages are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import attrs
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from projections.web.mount import own_path
from projections.web.problems import CLOSE, problem
from tracker.intake.receiver import REASON, RETRY_AFTER

MOST_HEADER = 32 << 10
"""Bytes of the head of a request."""
WEBHOOKS = "/webhooks"
HEALTHZ = "/healthz"
ANY_HOST = (HEALTHZ, "/readyz", "/metrics")
"""Answered under any name: programs ask for these, and they tell nothing of people."""
READING = ("GET", "HEAD")
ANY = "*"


@attrs.define(eq=False)
class Admission:
    """The middleware.

    Attributes:
        app: the application behind it.
        most: how many requests for anything else than webhooks and ``/healthz`` may be answered at a time.
        hosts: names under which the server answers, besides ``localhost`` and its address; ``*`` for any.

    """

    app: ASGIApp
    most: int
    hosts: frozenset[str]
    _others: int = attrs.field(default=0, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = _malformed(scope) or _elsewhere(scope, self.hosts)
        if refused is not None:
            await refused(scope, receive, send)
        elif is_reserved(own_path(scope)):
            await self.app(scope, receive, send)
        elif self._others >= self.most:
            scope[REASON] = "busy"
            hint = "ask again"
            busy = problem(
                503, "too much is asked for at a time", hint, {"retry-after": str(RETRY_AFTER), **CLOSE}
            )
            await busy(scope, receive, send)
        else:
            self._others += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self._others -= 1


def is_webhooks(path: str) -> bool:
    """Whether webhooks are received there: all of them, or those of one account."""
    return path == WEBHOOKS or path.startswith(f"{WEBHOOKS}/")


def is_reserved(path: str) -> bool:
    """Whether it is answered however many pages are asked for."""
    return path == HEALTHZ or is_webhooks(path)


def _malformed(scope: Scope) -> Response | None:
    """The answer to a head that is too long, or that a proxy might read differently; ``None`` if it is neither."""
    headers = scope["headers"]
    size = len(scope.get("raw_path", b"")) + len(scope["query_string"])
    if size + sum(len(name) + len(value) + 4 for name, value in headers) > MOST_HEADER:
        scope[REASON] = "head"
        return problem(431, f"the head of the request has more than {MOST_HEADER} bytes", headers=CLOSE)
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}:
        scope[REASON] = "two-lengths"
        return problem(400, "content-length and transfer-encoding contradict each other", headers=CLOSE)
    return None


def _elsewhere(scope: Scope, hosts: frozenset[str]) -> Response | None:
    """The answer to a browser that asks under the name of another site, or for a page of one; ``None`` for all others.

    Signed webhooks are not checked: no page can sign.
    """
    path, state = own_path(scope), scope["app"].state
    is_signed = is_webhooks(path) and (state.receiver is None or not state.receiver.insecure)
    if path in ANY_HOST or is_signed:
        return None
    headers = Headers(scope=scope)
    host = _name(f"//{headers.get('host', '')}")
    if not _is_ours(host, scope, hosts):
        scope[REASON] = "host"
        hint = (
            "ask for it by its address or by localhost, or allow this name: --allow-host, or hosts= of asgi_app"
        )
        return problem(421, f"this server is not called {host!r}", hint, CLOSE)
    origin = headers.get("origin")
    if scope["method"] not in READING and origin is not None and not _is_ours(_name(origin), scope, hosts):
        scope[REASON] = "origin"
        return problem(403, "pages of other sites may not send anything here", headers=CLOSE)
    return None


def _name(url: str) -> str:
    """The host that a URL names, without its port; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_ours(name: str, scope: Scope, hosts: frozenset[str]) -> bool:
    if ANY in hosts or name in hosts or name == "localhost" or name.endswith(".localhost"):
        return True
    address, here = _address(name), _address((scope.get("server") or ("",))[0])
    return address is not None and (address.is_loopback or address == here)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def named(hosts: Iterable[str]) -> frozenset[str]:
    """Names as they are compared."""
    return frozenset(ANY if host == ANY else _name(f"//{host}") for host in hosts)
