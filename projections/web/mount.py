"""Where the application stands: at the root of its server, or mounted under a path of another application.

ASGI says so in ``root_path``, which Starlette and FastAPI set when they mount, and which a router written by hand sets
(as in front of Django). Every address that is given to a browser is made by ``url``, which begins with that path. It
is kept in a context variable, as Django keeps its script prefix: a template, a link in a row and a redirect need it,
and none of them should have to hand it on.
"""

from __future__ import annotations

from contextvars import ContextVar
from urllib.parse import quote, urlencode

import attrs
from starlette.types import ASGIApp, Receive, Scope, Send

_root: ContextVar[str] = ContextVar("root", default="")


@attrs.frozen
class Mounted:
    """The middleware that goes before all others.

    A router in front may leave the path as it came, as ASGI has it, or cut off what it matched; a proxy may have cut
    off what stands before that. Behind this middleware ``scope["path"]`` begins with ``scope["root_path"]`` in any case.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        root = scope.get("root_path", "").rstrip("/")
        path = root + _rest(root, scope["path"])
        before = _root.set(quote(f"/{root.lstrip('/')}" if root else ""))
        try:
            await self.app({**scope, "root_path": root, "path": path}, receive, send)
        finally:
            _root.reset(before)


def _rest(root: str, path: str) -> str:
    """What stands behind the mount in a path that begins with all of it, with the end of it, or with none of it."""
    while root and path != root and not path.startswith(f"{root}/"):
        _, slash, left = root[1:].partition("/")
        root = slash + left
    return path.removeprefix(root)


def root() -> str:
    """The path under which the application is mounted, as it stands in a link; empty where it is not mounted."""
    return _root.get()


def own_path(scope: Scope) -> str:
    """The path of a request within the application, wherever that is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def url(*parts: object, **query: object) -> str:
    """A path of these parts, each of which may hold anything, and a query of what is not ``None``."""
    asked = urlencode({name: value for name, value in query.items() if value is not None}, doseq=True)
    return f"{root()}/" + "/".join(quote(str(part), safe="") for part in parts) + (f"?{asked}" if asked else "")
