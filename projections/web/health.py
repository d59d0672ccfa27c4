"""``/readyz``: whether webhooks can be stored and judged here, with the reasons where not. Needs no token."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from shutil import disk_usage

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projections.web import contracts
from tracker.errors import StoreError
from tracker.store import Tracker, store_errors

LAG_LIMIT = 1000
"""Deliveries that may wait to be judged."""
ROOM = 16 << 20
"""Bytes that must be free for the store to grow."""
PATIENCE = 2
"""Seconds that another process may hold the store."""


async def readyz(request: Request) -> Response:
    state = request.app.state
    reasons = await run_in_threadpool(lambda: list(_reasons(state)))
    ready = {
        "ready": not reasons,
        "reasons": reasons,
        "position": state.live.checkpoint_position,
        "lag": state.live.lag,
    }
    body = contracts.encode(ready, contracts.Readiness)
    return Response(body, 503 if reasons else 200, {"cache-control": "no-store"}, "application/json")


def _reasons(state: State) -> Iterator[str]:
    if state.live.stopping:
        yield "the server stops"
    try:
        _try_to_write(state.tracker)
    except StoreError as error:
        yield f"the store: {error.message}"  # without its place: nobody needs a token to read this
    if not state.live.views_path.exists():
        yield "the read models are being made"
    if state.live.lag > LAG_LIMIT:
        yield f"{state.live.lag} deliveries wait to be judged, more than {LAG_LIMIT}"
    if state.live.problem:
        yield f"the read models: {state.live.problem}"


def _try_to_write(tracker: Tracker) -> None:
    """Raises ``StoreError`` where nothing could be stored. What failed before does not count: it may be over."""
    with store_errors(tracker.path):
        if disk_usage(tracker.path.parent).free < ROOM:
            raise StoreError("the disk is full")
        uri = f"{tracker.path.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                raise StoreError(f"another process has been writing for {PATIENCE} s") from error


routes = [Route("/readyz", readyz)]
