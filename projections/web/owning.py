"""``/owner``: somebody looks after a finding, whether or not an alert was sent of it, or does so no more.

It is recorded in ``alerts.db``: ``projections.alerts.owners``.
"""

from __future__ import annotations

from datetime import datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from projections import zones
from projections.alerts.owners import look_after, owners_of
from projections.answers.days import Day
from projections.web import parameters
from projections.web.accepting import refuse_elsewhere
from projections.web.mount import url
from projections.web.pages import html
from projections.web.parameters import Values
from projections.web.problems import ForbiddenError
from projections.web.tokens import is_masked, page_is_open, read_form
from tracker.delivery.webhook import UNROUTED
from tracker.errors import NotFoundError, TrackerError, UsageError
from tracker.judging.findings.catalogue import CATALOGUE, CODES

LONGEST = 80
"""Characters of a name."""
PARAMETERS = (
    parameters.choice("code", "The code of the finding.", CODES),
    parameters.text("session", "The session that it is of, or another stream."),
    parameters.whole("position", "The position that it is about; 0: none.", least=0, default=0),
)


async def owner(request: Request) -> Response:
    """The form, and with POST the recording of what it says."""
    if not await page_is_open(request):
        return html.login_form(request, str(request.url.replace(scheme="", netloc="")))
    if is_masked(request):
        hint = "log out, and log in with the token that shows names"
        return html.problem(request, ForbiddenError("with this token nothing can be recorded", hint=hint))
    try:
        asked = parameters.values(PARAMETERS, request.query_params.multi_items(), {})
        for name in ("code", "session"):
            if asked[name] is None:
                raise UsageError("is not given", place=name, hint="follow the link beside the finding")
        if request.method == "POST":
            refuse_elsewhere(request)
            await run_in_threadpool(_record, request, asked, await read_form(request))
            return RedirectResponse(_back(asked), status_code=303)
        return html.response(request, "owner.html", await run_in_threadpool(_page, request, asked))
    except TrackerError as error:
        return html.problem(request, error)


def _page(request: Request, asked: Values) -> Values:
    known = owners_of(request.app.state.tracker.data, [asked["session"]])
    return {
        "title": f"Who looks after {asked['code']}",
        "entry": CATALOGUE[asked["code"]],
        "asked": asked,
        "by": known.get((asked["session"], asked["code"], asked["position"])) or "",
        "longest": LONGEST,
    }


def _record(request: Request, asked: Values, given: dict[str, str]) -> None:
    """Raises ``UsageError`` for what was not filled in rightly, ``NotFoundError`` where the finding is held no more."""
    by, until = given.get("by", "").strip() or None, given.get("until", "")
    if given.get("nobody"):
        by, until = None, ""
    elif by is None or len(by) > LONGEST:
        raise UsageError("nobody is named", place="by", hint=f"write a name of up to {LONGEST} characters")
    state = request.app.state
    end, now = _end_of(until), state.live.now()
    if end is not None and end <= now:
        raise UsageError("that day is over", place="until", hint="give a day to come, or none")
    session, code = asked["session"], asked["code"]
    where = {"position": asked["position"]}
    if not look_after(state.tracker.data, session, code, now, by=by, until=end, **where):
        raise NotFoundError(
            "this finding is held no more", place=f"{code} in {session}", hint="look at its session"
        )


def _end_of(day: str) -> datetime | None:
    """The end of a day that was filled in. Raises ``UsageError`` where it is none."""
    if not day:
        return None
    try:
        return Day(datetime.fromisoformat(day).date(), zones.shown_in()).end
    except ValueError as error:
        raise UsageError(f"{day!r} is not accepted", place="until", hint="write 2026-12-31") from error


def _back(asked: Values) -> str:
    outside = asked["session"].startswith((UNROUTED, "log:"))
    return url("findings", code=asked["code"]) if outside else url("sessions", asked["session"])


routes = [Route("/owner", owner, methods=["GET", "POST"])]
