"""From values to a page: the templates, what they may call, and the headers that keep a page to itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from projections import zones
from projections.explain.status import doubt
from projections.web.mount import own_path, url
from projections.web.problems import UnknownError, problem_of
from projections.web.tokens import is_masked
from tracker.delivery.envelope import isoformat, parse_time
from tracker.errors import NotFoundError, TrackerError

_HERE = Path(__file__).parents[1]
STATIC = _HERE / "static"
HEADERS = {
    "cache-control": "no-store",  # people's names are in it
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "referrer-policy": "same-origin",
}
MONTH = 30 * 86400
"""Seconds after which a date says more than how long ago it was."""
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def response(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """The page; every one of them says how the server is."""
    state = request.app.state
    receiver = state.receiver  # a reader has none
    server = {
        "insecure": receiver is not None and receiver.insecure,
        "problem": state.live.problem or (receiver is not None and receiver.problem),
        "masked": is_masked(request),
        "entered": state.token is not None and status != 401,
    }
    given = {"server": server, "path": own_path(request.scope), "now": state.live.now(), **values}
    body = ENVIRONMENT.get_template(template).render(given)
    return HTMLResponse(body, status, HEADERS)


def problem(request: Request, error: TrackerError) -> HTMLResponse:
    """What is wrong with what was asked, on a page."""
    found = problem_of(error)
    if isinstance(error, UnknownError) and not found.hint:
        found = attrs.evolve(
            found, hint="the search finds what begins so, and the list of the sessions has all"
        )
    return response(request, "problem.html", {"title": found.title, "problem": found}, status=found.status)


def not_found(request: Request) -> HTMLResponse:
    """That there is no such page, and where the others are."""
    hint = "the menu leads to every page, the search to rooms, sessions, people, files and codes"
    return problem(request, NotFoundError("there is no such page", hint=hint))


def login_form(request: Request, to: str, *, wrong: bool = False) -> HTMLResponse:
    """The form that asks for the token and leads back to where the person wanted to go."""
    return response(request, "login.html", {"title": "Log in", "to": to, "wrong": wrong}, status=401)


def static(name: str) -> str:
    """The address of a file; another one when the file has changed."""
    return f"{url('static', name)}?{_DIGESTS[name]}"


def moment(time: datetime | str | None) -> datetime | None:
    """A time that a row or an answer holds."""
    return parse_time(time) if isinstance(time, str) else time


def said(message: str, at: datetime | str | None) -> str:
    """What a finding says, with its times in the zone of the page."""
    return zones.sentence(message, moment(at))


def span(length: timedelta | float) -> str:
    """A length of time in the two units that matter: ``1 h 2 min``."""
    left = int(length.total_seconds() if isinstance(length, timedelta) else length)
    if left < 1:
        return "0 s"
    found: list[tuple[int, str]] = []
    for unit, seconds in _UNITS:
        number, left = divmod(left, seconds)
        if number or found:
            found.append((number, unit))
    return " ".join(f"{number} {unit}" for number, unit in found[:2] if number)


def ago(time: datetime, now: datetime) -> str:
    """How long ago a time was, in the one unit that matters: ``5 min ago``; its date where that is a month or more."""
    seconds = (now - time).total_seconds()
    if abs(seconds) < 1:
        return "now"
    if abs(seconds) >= MONTH:
        return zones.date(time)
    length = span(abs(seconds)).split(" ")
    words = " ".join(length[:2])
    return f"{words} ago" if seconds > 0 else f"in {words}"


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


_DIGESTS = {file.name: sha256(file.read_bytes()).hexdigest()[:12] for file in STATIC.iterdir()}

ENVIRONMENT = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals.update(url=url, static=static, counted=counted, zone_name=zones.name)
ENVIRONMENT.filters.update(
    moment=moment,
    iso=isoformat,
    clock=zones.clock,
    date=zones.date,
    dated=zones.dated,
    said=said,
    span=span,
    doubt=doubt,
    ago=ago,
)
for _name in ENVIRONMENT.list_templates():
    ENVIRONMENT.get_template(_name)  # so that the first page does not wait for it
