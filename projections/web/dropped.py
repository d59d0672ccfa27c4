"""``/audit``: a log that somebody drops on a page, or posts to the API, is judged by the rules of the server and forgotten.

Nothing of it is stored: it lies in a file without a name while it is judged. One log is judged at a time, and a log is
limited in bytes and in lines, so that nobody keeps the server from its work.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile

import attrs
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from projections.audit.auditing import Logs, audit
from projections.explain.status import finding
from projections.web import contracts
from projections.web.contracts import Contract, Finding, Time
from projections.web.openapi import JSON
from projections.web.pages import html
from projections.web.pages.html import moment
from projections.web.parameters import Values
from projections.web.problems import CLOSE, problem_of
from projections.web.tokens import GUARDED, page_is_open
from tracker.delivery.envelope import isoformat
from tracker.delivery.webhook import Delivery
from tracker.errors import TrackerError, UsageError
from tracker.findings import SEVERITIES
from tracker.intake.logs import Log
from tracker.rules import Rules

MOST_BYTES = 32 << 20
"""Of a log."""
MOST_DELIVERIES = 200_000
"""Of a log, which may be compressed."""
PATIENCE = 60.0
"""Seconds in which it must have come."""
MOST_SHOWN = 200
"""Findings on the page; the API has all."""

_judging = threading.Lock()


class Audited(Contract):
    """What is wrong in a log. A position is the number of a line; ``is_cut`` where only the first lines were judged.

    ``incomplete`` is the last line, where it is not complete: it was not judged.
    """

    deliveries: int
    sessions: int
    oldest: Time | None
    newest: Time | None
    is_cut: bool
    incomplete: int | None
    findings: list[Finding]


async def api(request: Request) -> Response:
    """Judges the log that is the body of the request."""
    body = await _read(request)
    found = await run_in_threadpool(judged, body, request.app.state.live.rules)
    return Response(contracts.encode(found, Audited), headers={"cache-control": "no-store"}, media_type=JSON)


async def page(request: Request) -> Response:
    """The form, and what was found in the log that came with it."""
    if not await page_is_open(request):
        return html.login_form(request, request.url.path)
    values: Values = {
        "title": "Audit a log",
        "found": None,
        "name": "",
        "problem": None,
        "most": MOST_BYTES >> 20,
    }
    if request.method == "POST":
        try:
            values["name"], body = _upload(request.headers.get("content-type", ""), await _read(request))
            found = await run_in_threadpool(judged, body, request.app.state.live.rules)
            values["found"] = _shown(found)
        except TrackerError as error:
            values["problem"] = problem_of(error)
    return html.response(request, "audit.html", values, status=400 if values["problem"] else 200)


def judged(body: bytes, rules: Rules) -> Values:
    """What is wrong in a log. Raises ``UsageError`` where it holds nothing, or another one is being judged."""
    if not body.strip():
        raise UsageError("the log is empty", hint="give a log with a webhook on each line")
    if not _judging.acquire(blocking=False):
        raise UsageError("another log is being judged", hint="try it again in a moment")
    try:
        with NamedTemporaryFile(prefix="tracker-audit-") as file:
            file.write(body)
            file.flush()
            return _judged(Path(file.name), rules)
    finally:
        _judging.release()


def _judged(path: Path, rules: Rules) -> Values:
    logs = Logs([Log(str(path))])
    cut = _Cut(logs.deliveries())
    found = audit(cut, rules)
    if logs.errors:
        error = logs.errors[0]
        raise UsageError(error.message, hint=error.hint)
    found.findings.accept(rules.accept)
    return {
        "deliveries": found.deliveries,
        "sessions": found.sessions,
        "oldest": found.oldest and isoformat(found.oldest),
        "newest": found.newest and isoformat(found.newest),
        "is_cut": cut.is_cut,
        "incomplete": next((odd.cut.first for odd in logs.odd.values() if odd.cut.count), None),
        "findings": [finding(one) for one in found.findings],
    }


@attrs.define
class _Cut:
    """The first deliveries of a log, and whether there were more."""

    deliveries: Iterator[Delivery]
    is_cut: bool = False

    def __iter__(self) -> Iterator[Delivery]:
        yield from islice(self.deliveries, MOST_DELIVERIES)
        self.is_cut = next(self.deliveries, None) is not None


def _shown(found: Values) -> Values:
    ordered = sorted(found["findings"], key=lambda one: -SEVERITIES.index(one["severity"]))
    shown = [{**one, "time": moment(one["at"])} for one in ordered[:MOST_SHOWN]]
    numbers = {name: sum(one["severity"] == name for one in ordered) for name in reversed(SEVERITIES)}
    times = {name: moment(found[name]) for name in ("oldest", "newest")}
    return {**found, **times, "shown": shown, "numbers": numbers, "more": len(ordered) - len(shown)}


def _upload(content_type: str, body: bytes) -> tuple[str, bytes]:
    """The name and the bytes of the file in a form, or of the text that was pasted into it."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    form = BytesParser(policy=HTTP).parsebytes(head + body)
    pasted = b""
    for part in form.iter_parts() if form.is_multipart() else ():
        held = part.get_payload(decode=True)
        if isinstance(held, bytes) and held.strip():
            if part.get_filename():
                return str(part.get_filename()), held
            pasted = held
    if not pasted:
        raise UsageError("no log was given", hint="choose a file, or paste lines of a log")
    return "what was pasted", pasted


async def _read(request: Request) -> bytes:
    """The body. Raises ``HTTPException`` where it is too long or does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"a log may have {MOST_BYTES >> 20} MiB here", CLOSE)
    except TimeoutError:
        raise HTTPException(408, f"the log did not come within {PATIENCE:g} s", CLOSE) from None
    except ClientDisconnect:
        raise HTTPException(400, "the log broke off", CLOSE) from None
    return bytes(body)


routes = [
    Route("/api/audit", api, methods=["POST"], middleware=GUARDED),
    Route("/audit", page, methods=["GET", "POST"]),
]
