"""The JSON API: what can be asked for, by which parameters, and how it is answered.

An answer is made in a thread, on a short-lived connection of its own; the event loop only waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import get_args

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projections.answers.issues import SORTS
from projections.read_models.runs import MEDIA, STATES
from projections.web import alerts, answers, answers_across, contracts, contracts_across, parameters, why
from projections.web import paths as paths  # noqa: PLC0414 - it makes `:id` known
from projections.web.changes import AFTER, LAST_EVENT_ID, changes
from projections.web.openapi import JSON, Operation, document
from projections.web.parameters import Parameter, Values
from projections.web.problems import ConflictError
from projections.web.snapshot import snapshot
from projections.web.tokens import GUARDED, is_masked
from tracker.errors import StoreError
from tracker.findings import SEVERITIES, Verdict
from tracker.judging.findings.catalogue import CODES
from tracker.judging.state import Reading, SessionState
from tracker.lifecycles import REGISTRY

WAIT = 5.0
"""Seconds that ``wait`` may take,"""
SHORTLY = 1.0
"""and that is waited for what is stored and not judged yet where nobody asked for that."""
HEADERS = {"cache-control": "no-store"}  # people's names are in it

AT_LEAST = {str(severity): SEVERITIES[place:] for place, severity in enumerate(SEVERITIES)}

SESSION = parameters.text("session", "The session's id.", place="path")
MEETING = parameters.text("meeting", "The meeting's id.", place="path")
PERSON = parameters.text("person", "The participant's id.", place="path")
QUERY = parameters.text("q", "How an id, a file or a code begins, or a part of a person's name.", default="")
OF_SESSION = parameters.text("session", "Only of this session.")
OF_MEETING = parameters.text("meeting", "Only of this meeting.")
OF_ACCOUNT = parameters.text("account", "Only what is of this account of VideoSDK.")
SINCE = parameters.time("since", "Only what was received, or became true, since then.")
LIMIT = parameters.whole("limit", "At most so many items.", most=1000, default=100)
WAIT_FOR = parameters.whole(
    "wait",
    f"A position. Answer when the read models have got there, or after {WAIT:g} s with a 503; one behind the store's end is a 409.",
)
DAY = parameters.time("day", "The day, in UTC; by default today.")
RECORDINGS = (
    OF_SESSION,
    OF_MEETING,
    OF_ACCOUNT,
    parameters.choice("state", "Only in one of these states; repeatable.", parameters.words(STATES), many=True),
    parameters.choice(
        "lifecycle", "Only of one of these lifecycles; repeatable.", parameters.words(MEDIA), many=True
    ),
    parameters.flag("missing", "Only what is over and brought neither a file nor a url."),
    parameters.text("person", "Only of this person, or with this person inside: an id, or a part of a name."),
    parameters.text("file", "Only what brought this file: a url, path, id or name, or how one begins."),
    parameters.time("since", "Only what a webhook came of since then."),
    parameters.time("until", "Only what had begun by then."),
)


def _cursor(numbers: int) -> Parameter:
    shape = r"\.-?".join(["[0-9]{1,18}"] * numbers)
    return parameters.cursor("cursor", "Where the page begins: `next` of the one before.", shape)


OPERATIONS = (
    Operation(
        "/api/sessions",
        answers.sessions,
        contracts.Sessions,
        (
            parameters.flag("live", "Only sessions that have not ended."),
            parameters.choice(
                "state",
                "Only in one of these states; repeatable.",
                parameters.words(get_args(SessionState)),
                many=True,
            ),
            parameters.choice("severity", "Only where the gravest finding is at least so grave.", AT_LEAST),
            parameters.text("person", "Only with this person: an id, or a part of a name."),
            OF_MEETING,
            OF_ACCOUNT,
            parameters.choice("finding", "Only with one of these findings; repeatable.", CODES, many=True),
            SINCE,
            _cursor(1),
            LIMIT,
            WAIT_FOR,
        ),
    ),
    Operation(
        "/api/sessions/{session:id}/timeline",
        answers.timeline,
        contracts.Timeline,
        (SESSION, OF_ACCOUNT, _cursor(1), LIMIT, WAIT_FOR),
        is_of_now=True,
    ),
    Operation(
        "/api/sessions/{session:id}/withdrawn", answers.withdrawn, contracts.Withdrawals, (SESSION, WAIT_FOR)
    ),
    Operation(
        "/api/sessions/{session:id}/explain",
        why.explain,
        why.Explained,
        (
            SESSION,
            parameters.time("as_of", "Why it was judged so, as it was known then."),
            parameters.whole("at", "Why it was judged so right after this position."),
            WAIT_FOR,
        ),
    ),
    Operation(
        "/api/sessions/{session:id}",
        answers.session,
        contracts.Status,
        (
            SESSION,
            parameters.time("as_of", "The state as it was known then."),
            parameters.whole("at", "The state right after this position."),
            WAIT_FOR,
        ),
    ),
    Operation(
        "/api/findings",
        answers.findings,
        contracts.Findings,
        (
            parameters.choice("code", "Only this one, by code or slug; repeatable.", CODES, many=True),
            parameters.choice("severity", "Only what is at least so grave.", AT_LEAST),
            OF_SESSION,
            OF_MEETING,
            OF_ACCOUNT,
            parameters.choice("lifecycle", "Only of this lifecycle.", parameters.words(REGISTRY)),
            parameters.choice("verdict", "Only with this verdict.", parameters.words(get_args(Verdict))),
            SINCE,
            _cursor(2),
            LIMIT,
            WAIT_FOR,
        ),
    ),
    Operation(
        "/api/recordings",
        answers_across.recordings,
        contracts_across.Recordings,
        (*RECORDINGS, _cursor(2), LIMIT, WAIT_FOR),
    ),
    Operation(
        "/api/issues",
        answers_across.issues,
        contracts_across.Issues,
        (
            parameters.choice("code", "Only this one, by code or slug; repeatable.", CODES, many=True),
            parameters.choice(
                "severity", "Only what is at least so grave; by default from warning on.", AT_LEAST
            ),
            parameters.choice("lifecycle", "Only of this lifecycle.", parameters.words(REGISTRY)),
            OF_SESSION,
            OF_MEETING,
            OF_ACCOUNT,
            parameters.choice(
                "within", "Only of the last day, week or month.", parameters.words(answers_across.WITHIN)
            ),
            parameters.time("since", "Only of the time since then."),
            parameters.choice("sort", "The order.", parameters.words(SORTS), default="severity"),
            WAIT_FOR,
        ),
    ),
    Operation(
        "/api/alerts",
        alerts.alerts,
        alerts.Alerts,
        (
            parameters.flag("closed", "Also alerts that were retracted or resolved."),
            parameters.text("by", "Only those that this person looks after."),
            OF_ACCOUNT,
            LIMIT,
            WAIT_FOR,
        ),
    ),
    Operation(
        "/api/meetings/{meeting:id}",
        answers_across.meeting,
        contracts_across.Room,
        (MEETING, OF_ACCOUNT, WAIT_FOR),
    ),
    Operation(
        "/api/people/{person:id}",
        answers_across.person,
        contracts_across.Person,
        (PERSON, OF_ACCOUNT, WAIT_FOR),
    ),
    Operation("/api/search", answers_across.search, contracts_across.Found, (QUERY, OF_ACCOUNT, WAIT_FOR)),
    Operation("/api/overview", answers_across.overview, contracts_across.Overview, (DAY, OF_ACCOUNT, WAIT_FOR)),
    Operation(
        "/api/events",
        answers.events,
        contracts.Events,
        (
            parameters.text("type", "Only of this webhook type; repeatable.", many=True),
            parameters.choice(
                "reading",
                "Only what was taken for this; repeatable.",
                parameters.words(get_args(Reading)),
                many=True,
            ),
            parameters.choice("lifecycle", "Only of this lifecycle.", parameters.words(REGISTRY)),
            parameters.choice("code", "Only what raised this, by code or slug.", CODES),
            parameters.text("session", "Only of this session; `unrouted`: of none; or `resource:ID`."),
            OF_MEETING,
            OF_ACCOUNT,
            parameters.time("since", "Only what was received since then."),
            parameters.time("until", "Only what was received by then."),
            _cursor(1),
            LIMIT,
            WAIT_FOR,
        ),
    ),
    Operation(
        "/api/events/{position}",
        answers.event,
        contracts.Event,
        (parameters.whole("position", "The place of the delivery in the store.", place="path"), WAIT_FOR),
        is_of_now=True,
    ),
    Operation("/api/lifecycles", answers.lifecycles, contracts.Lifecycles),
)
CHANGES = Operation(
    "/api/changes", changes, contracts.Change, (LAST_EVENT_ID, AFTER), media_type="text/event-stream"
)


async def openapi(request: Request) -> Response:
    token = request.app.state.token is not None
    return Response(msgspec.json.encode(document((*OPERATIONS, CHANGES), token=token)), media_type=JSON)


def _endpoint(operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await _respond(operation, request)

    return endpoint


async def _respond(operation: Operation, request: Request) -> Response:
    asked = parameters.values(operation.parameters, request.query_params.multi_items(), request.path_params)
    await _wait(request.app.state, asked.pop("wait", None))
    if operation.is_of_now:
        state = request.app.state
        await state.live.wait_for(await run_in_threadpool(state.tracker.last_position), SHORTLY)
    body = await run_in_threadpool(_answer, operation, request.app.state, asked, is_masked(request))
    return Response(body, headers=HEADERS, media_type=JSON)


def _answer(operation: Operation, state: State, asked: Values, masked: bool) -> bytes:  # noqa: FBT001 - run_in_threadpool hands it on by place
    with snapshot(state, masked=masked) as of:
        answer = operation.answer(of, asked)
    return contracts.encode(answer, operation.body)


async def _wait(state: State, position: int | None) -> None:
    """Until the read models have got to a position. Raises where there is no such position, or it takes too long."""
    if position is None or position <= state.live.checkpoint_position:
        return
    ends = await run_in_threadpool(state.tracker.last_position)
    if position > ends:
        hint = "wait for a position that has been stored"
        raise ConflictError(f"the store ends at position {ends}", place=f"wait {position}", hint=hint)
    await state.live.wait_for(position, WAIT)
    if position > state.live.checkpoint_position:
        got = f"after {WAIT:g} s the read models are at position {state.live.checkpoint_position}"
        raise StoreError(got, place=f"wait {position}", hint="ask again, or without wait")


routes = [
    *(Route(one.path, _endpoint(one), name=one.name, middleware=GUARDED) for one in OPERATIONS),
    Route(CHANGES.path, changes, name=CHANGES.name, middleware=GUARDED),
    Route("/api/openapi.json", openapi, middleware=GUARDED),
]
