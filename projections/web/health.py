"""``/readyz``: whether webhooks can be stored and judged here, with the reasons where not. Needs no token."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projections.web import contracts
from projections.web.snapshot import Live
from projections.web.watch import Watch
from tracker.errors import StoreError

AGE_LIMIT = 30
"""Seconds that a delivery may wait to be judged."""
PATIENCE = 2
"""Seconds that another process may hold the store."""


async def readyz(request: Request) -> Response:
    state = request.app.state
    reasons = await run_in_threadpool(lambda: list(_reasons(state)))
    live = state.live
    ready = {
        "ready": not reasons,
        "reasons": reasons,
        "position": live and live.checkpoint_position,
        "lag": live and await run_in_threadpool(lambda: live.lag),
    }
    body = contracts.encode(ready, contracts.Readiness)
    return Response(body, 503 if reasons else 200, {"cache-control": "no-store"}, "application/json")


def _reasons(state: State) -> Iterator[str]:
    watch: Watch = state.watch
    watch.look()
    try:
        if state.receiver is None:
            state.tracker.last_position()
        else:
            state.tracker.try_to_write(PATIENCE)
    except StoreError as error:
        yield f"the store: {error.message}"  # without its place: nobody needs a token to read this
    if watch.loss is not None:
        yield watch.loss.text
    if state.receiver is not None and state.receiver.clock.is_far_behind:
        seconds = f"{state.receiver.clock.behind:.0f} s behind the newest receive time"
        yield f"the clock is {seconds}; set it right, or tracker mend-clock takes wrong times back"
    if state.live is not None:
        yield from _not_following(state.live, watch)


def _not_following(live: Live, watch: Watch) -> Iterator[str]:
    if live.stopping:
        yield "the server stops"
    if not watch.is_following:
        yield "the follower has ended; restart the server"
    if watch.loss is not None:
        return  # nothing is judged before it is accepted
    if not live.views_path.exists():
        yield "the read models are being made"
    if (waited := watch.waited) > AGE_LIMIT:
        yield f"the oldest delivery that is not judged has waited for {waited:.0f} s, more than {AGE_LIMIT} s"
    if live.problem:
        yield f"the read models: {live.problem}"


routes = [Route("/readyz", readyz)]
