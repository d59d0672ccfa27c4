"""``/accept``: a finding that is known is accepted, with a reason and until when.

What is accepted stands in ``[[accept]]`` of the configuration file, where a person reads it. The page shows the lines to
add. Where the server knows the file and may write it, it also adds them, and judges by them from then on.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from projections.web.mount import url
from projections.web.pages import html
from projections.web.parameters import Values
from projections.web.problems import ConflictError, ForbiddenError, problem_of
from projections.web.tokens import is_masked, page_is_open, read_form
from tracker.config import load_config, read_entries
from tracker.errors import NotFoundError, TrackerError, did_you_mean
from tracker.judging.findings.catalogue import CATALOGUE

FIELDS = ("code", "session", "meeting", "lifecycle", "reason", "until")
"""What may be given, in the order in which it is written."""
SCOPES = {"session": "in this session", "meeting": "in this room", "": "everywhere"}

FIRST = "log out, and log in with the token that shows names"

_writing = threading.Lock()


async def accept(request: Request) -> Response:
    """The form, the lines to add, and with POST the adding of them."""
    if not await page_is_open(request):
        return html.login_form(request, str(request.url.replace(scheme="", netloc="")))
    if is_masked(request):
        return html.problem(request, ForbiddenError("with this token nothing can be accepted", hint=FIRST))
    file: Path | None = request.app.state.accept_file
    values = dict(request.query_params)
    if request.method == "GET" and not values.get("code"):
        return RedirectResponse(url("findings"))
    problem = None
    if request.method == "POST":
        refuse_elsewhere(request)
        values = await read_form(request)
        try:
            await run_in_threadpool(_add, file, _entry(values))
            request.app.state.live.reload()
            return RedirectResponse(
                url("findings", code=values.get("code"), verdict="accepted"), status_code=303
            )
        except TrackerError as error:
            problem = problem_of(error)
    try:
        shown = _page(values, file, problem)
    except TrackerError as error:
        return html.problem(request, error)
    return html.response(request, "accept.html", shown, status=problem.status if problem else 200)


def _page(given: dict[str, str], file: Path | None, problem: Any) -> Values:
    code = given.get("code", "")
    if code not in CATALOGUE:
        raise NotFoundError(
            "no such code", place=code or "code", hint=did_you_mean(code, CATALOGUE) or "give a code"
        )
    chosen = given.get(
        "scope", "session" if given.get("session") else "meeting" if given.get("meeting") else ""
    )
    lines, wrong = "", problem
    if given.get("reason", "").strip() and problem is None:
        try:
            lines = toml(_entry(given))
        except TrackerError as error:
            wrong = problem_of(error)
    return {
        "title": f"Accept {code}",
        "entry": CATALOGUE[code],
        "given": {name: given.get(name, "") for name in FIELDS},
        "scopes": [
            (name, words, given.get(name, ""), name == chosen)
            for name, words in SCOPES.items()
            if not name or given.get(name)
        ],
        "lines": lines,
        "file": file,
        "can_write": file is not None and os.access(file if file.exists() else file.parent, os.W_OK),
        "problem": wrong,
    }


def _entry(given: dict[str, str]) -> dict[str, str]:
    """What was filled in, as an entry. Raises ``RulesError`` where it is none."""
    scope = given.get("scope")
    left_out = {name for name in ("session", "meeting") if scope is not None and name != scope}
    entry = {
        name: given[name].strip() for name in FIELDS if given.get(name, "").strip() and name not in left_out
    }
    read_entries([entry])
    return entry


def toml(entry: dict[str, str]) -> str:
    """An entry as the configuration file has it."""
    lines = [f"{name} = {json.dumps(entry[name], ensure_ascii=False)}" for name in FIELDS if name in entry]
    return "\n".join(["[[accept]]", *lines]) + "\n"


def _add(file: Path | None, entry: dict[str, str]) -> None:
    """Adds the entry to the file, which is as it was where that fails. Raises ``ConflictError`` and ``RulesError``."""
    if file is None:
        hint = "start it with --config FILE, or add the lines by hand"
        raise ConflictError("the server was started without a configuration file", hint=hint)
    with _writing:
        beside = file.with_name(f"{file.name}.{token_hex(4)}")
        try:
            before = file.read_text("utf-8") if file.exists() else ""
            beside.write_text(f"{before.rstrip()}\n\n{toml(entry)}".lstrip(), "utf-8")
            if file.exists():
                beside.chmod(file.stat().st_mode & 0o777)
            load_config(beside)
            beside.replace(file)
        except OSError as error:
            hint = "add the lines by hand"
            raise ConflictError(f"cannot be written: {error.strerror}", place=str(file), hint=hint) from error
        finally:
            beside.unlink(missing_ok=True)


def refuse_elsewhere(request: Request) -> None:
    """Raises ``HTTPException`` for a form that another site sends in the name of whoever looks at it."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "this form was sent by another site")


routes = [Route("/accept", accept, methods=["GET", "POST"])]
