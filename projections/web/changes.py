"""The stream of changes: one server-sent event for each session that changed, with what it is now.

Nothing is queued for anybody. Each stream knows how far it has sent, and asks the read models for what is newer when
they have moved. So a slow client delays only itself, and one that comes back goes on where it was: an event's id is a
position, and what happened behind that is sent again. What time alone decides has no position of its own; it is sent
with the id of the delivery before it, and ahead of the deliveries after it, so that it is not lost either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from time import monotonic

import attrs
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from projections.read_models import text
from projections.web import answers, contracts, parameters
from projections.web.problems import ConflictError
from projections.web.snapshot import snapshot
from projections.web.tokens import is_masked
from tracker.errors import StoreError
from tracker.rules import WINDOWS, Rules
from tracker.store.application import Tracker
from tracker.store.reading import PAGE

HEARTBEAT = 15.0
"""Seconds of silence after which a comment says that the stream is alive."""
TICK = 1.0
"""Seconds after which to look for what time alone has changed."""
PAUSE = 0.1
"""Seconds between two looks, so that a session that changes often is sent once."""
BATCH = 500
MOST = 100
"""Streams at a time: each holds one of the server's connections."""
AFTER = parameters.whole("after", "Begin behind this position, and not behind what is there now.", least=0)
LAST_EVENT_ID = attrs.evolve(
    AFTER, name="Last-Event-ID", about="As `after`; sent by who comes back.", place="header"
)
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@attrs.frozen
class Sent:
    """How far a stream has sent: up to a position, and what time had decided up to a moment."""

    position: int
    as_of: datetime | None


class _Stream(StreamingResponse):
    """A stream that has been counted, until it is over, however it ends."""

    def __init__(self, state: State, sent: Sent, *, masked: bool) -> None:
        super().__init__(_said(state, sent, masked=masked), headers=HEADERS, media_type="text/event-stream")
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._state.streams -= 1


async def changes(request: Request) -> StreamingResponse:
    """Every session that changes, as it is then, as server-sent events; an event's id is a position."""
    state = request.app.state
    asked = parameters.values((AFTER,), request.query_params.multi_items(), {})
    given = request.headers.get(LAST_EVENT_ID.name)
    after = LAST_EVENT_ID.value(given) if given else asked[AFTER.name]
    if state.streams >= MOST:
        raise StoreError(f"{MOST} streams are open", hint="ask again later, or /api/sessions now and then")
    state.streams += 1  # before anything is waited for, while others come
    try:
        sent = await run_in_threadpool(_begin, state, after)
    except BaseException:
        state.streams -= 1
        raise
    return _Stream(state, sent, masked=is_masked(request))


async def _said(state: State, sent: Sent, *, masked: bool) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    spoke = monotonic()
    while not state.live.stopping:
        try:
            found, sent = await run_in_threadpool(_look, state, sent, masked)
        except StoreError:
            found = []  # the next look finds them
            await asyncio.sleep(TICK)
        if found:
            yield b"".join(found)
        elif monotonic() - spoke >= HEARTBEAT:
            yield b": nothing new\n\n"
        else:
            await state.live.wait_for(sent.position + 1, TICK)
            continue
        spoke = monotonic()
        await asyncio.sleep(PAUSE)


def _begin(state: State, after: int | None) -> Sent:
    with snapshot(state) as of:
        if after is None:
            return Sent(of.checkpoint.position, of.as_of)
    ends = state.tracker.last_position()
    if after > ends:
        hint = "the store is another one now: read /api/sessions anew"
        raise ConflictError(f"the store ends at position {ends}", place=f"after {after}", hint=hint)
    return Sent(after, _received(state.tracker, after))


def _received(tracker: Tracker, position: int) -> datetime | None:
    """A receive time not later than what was the newest at a position."""
    page = tracker.page(max(0, position - PAGE), PAGE, position)
    return next((one.received_at for one, _ in reversed(page) if one.received_at is not None), None)


def _look(state: State, sent: Sent, masked: bool) -> tuple[list[bytes], Sent]:  # noqa: FBT001 - run_in_threadpool hands it on by place
    """The events that bring a client from what it was sent to what is there now, in portions."""
    if sent == Sent(state.live.checkpoint_position, state.live.as_of):
        return [], sent
    with snapshot(state, masked=masked) as of:
        now = Sent(of.checkpoint.position, of.as_of)
        if now.position < sent.position:
            return [], sent
        decided = answers.decided(of, sent.position, sent.as_of, _horizon(sent.as_of, of.rules))
        events = [_event(change, sent.position) for change in decided]
        changed = list(answers.received(of, sent.position, BATCH))
    events += [_event(change, change["last_position"]) for change in changed]
    if len(changed) == BATCH:
        now = attrs.evolve(now, position=changed[-1]["last_position"])
    return events, now


def _horizon(as_of: datetime | None, rules: Rules) -> str:
    """What got its last delivery earlier has no deadline after ``as_of``."""
    longest: timedelta = max(getattr(rules, name) for name in WINDOWS)
    return "" if as_of is None else text(as_of - longest) or ""


def _event(change: parameters.Values, position: int) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (position, contracts.encode(change, contracts.Change))
