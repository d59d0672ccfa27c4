"""``POST /webhooks``: what is signed is stored, and 204 means that it is on the disk.

Who runs several accounts of VideoSDK gives each a path of its own, ``/webhooks/NAME``, with keys of its own. What
comes there is verified with these only, and the name is stored with it.

A request is read, verified and queued in the event loop. One thread takes whatever waits, up to
``BATCH``, parses it, and commits it in one transaction: alone, a webhook waits for nothing but its own commit;
under load the cost of a commit is shared. The answer to a webhook that is stored carries its position
in ``Tracker-Position``.

The receive time is the clock's at the moment when the body was there. Where the clock goes back a little,
it stays at the newest one given, also over a restart (``tracker.store.clock``). The address of a sender is not stored.

Everything that verifies is stored, whether it is JSON or not. What does not is refused with the same
words whatever the reason, and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Thread
from time import perf_counter
from typing import Any

import attrs
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tracker.delivery.envelope import SIGNATURE_HEADER, Received
from tracker.delivery.signature import Keyring
from tracker.delivery.webhook import Delivery, parse
from tracker.errors import StoreError
from tracker.store.clock import Clock

SOURCE = "webhooks"
"""The source of what was received here."""
MAX_BODY = 256 << 10
"""Bytes of a body."""
MAX_DISCARDED = 2 << 20
"""Bytes of a longer body that are read and thrown away, so that its sender receives the reason for the refusal."""
BATCH = 512
"""Deliveries in one transaction."""
MAX_SIGNATURE = 1024
"""Characters."""
MAX_QUEUED = 4096
MAX_QUEUED_BYTES = 64 << 20
BODY_TIMEOUT = 10.0
"""Seconds in which a body must come."""
RETRY_AFTER = 5
"""Seconds after which a sender is asked to try again."""
REASON = "tracker.reason"
"""Where in the scope a word stands of why a request was refused."""

Keys = Mapping[str | None, Keyring | None]
"""The keys of each account; those of ``/webhooks`` itself under ``None``. In place of keys ``None``: nothing is verified."""

REFUSALS = {
    "account": (404, "No account receives webhooks at this path."),
    "signature": (401, "The signature does not verify."),
    "timeout": (408, f"The body did not come within {BODY_TIMEOUT:g} s."),
    "too-large": (413, f"The body has more than {MAX_BODY} bytes."),
    "encoding": (415, "The body is compressed; send it as it was signed."),
    "queue-full": (503, "Too many webhooks wait to be stored; send it again."),
    "store": (503, "It could not be stored; send it again."),
    "stopping": (503, "The server stops; send it again."),
    "disconnected": (400, "The body broke off."),
}
"""Reason -> status and what is said of it. The reasons by which refusals are counted are these."""
HINTS = {"account": "[accounts] of tracker.toml names the accounts, and keys are those of /webhooks itself"}
_CLOSING = {"too-large", "timeout", "disconnected"}
"""Where the rest of the request may still be on its way."""

log = logging.getLogger("tracker.intake.receiver")


class Refused(Exception):  # noqa: N818 - an answer, no error of ours
    """A request that is not accepted, for one of ``REFUSALS``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@attrs.define
class Histogram:
    """How many values were at most each bound, and in the last count how many were above all."""

    bounds: tuple[float, ...]
    counts: list[int] = attrs.field(init=False)
    sum: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        place = next((place for place, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        self.counts[place] += 1
        self.sum += value


@attrs.define
class Stats:
    """What was received since the start. ``refused`` has the reasons of ``REFUSALS`` as its only keys."""

    stored: int = 0
    refused: Counter[str] = attrs.field(factory=lambda: Counter(dict.fromkeys(REFUSALS, 0)))
    batch_sizes: Histogram = attrs.field(factory=lambda: Histogram((1, 2, 4, 8, 16, 32, 64, 128, 256, 512)))
    append_seconds: Histogram = attrs.field(
        factory=lambda: Histogram((0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60))
    )


@attrs.define(eq=False)
class _Waiting:
    received: Received
    stored: asyncio.Future[int]


Append = Callable[[list[Delivery]], Sequence[int]]


class Writer:
    """The one thread that appends. ``append`` stores deliveries in one transaction, and gives their positions.

    ``committed`` is called from the thread after each transaction.
    """

    def __init__(self, append: Append, stats: Stats, committed: Callable[[], None] = lambda: None) -> None:
        self._append, self._stats, self._committed = append, stats, committed
        self._waiting: deque[_Waiting] = deque()
        self._bytes = self._in_hand = 0
        self._changed = Condition()
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=self._run, name="writer", daemon=True)
        self.problem = ""
        """Why the last transaction failed; empty after one that did not."""

    @property
    def queued(self) -> int:
        """How many wait or are being stored."""
        return len(self._waiting) + self._in_hand

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def put(self, received: Received) -> asyncio.Future[int]:
        """Queues what was received; the future is its position once it is committed. Raises ``Refused``."""
        assert self._loop is not None, "it has been started"
        size = len(received.body)
        with self._changed:
            if self._stopping:
                raise Refused("stopping")
            if len(self._waiting) >= MAX_QUEUED or self._bytes + size > MAX_QUEUED_BYTES:
                raise Refused("queue-full")
            waiting = _Waiting(received, self._loop.create_future())
            self._waiting.append(waiting)
            self._bytes += size
            self._changed.notify()
        return waiting.stored

    async def stop(self) -> None:
        """Takes nothing more, stores what waits, and ends the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while batch := self._take():
            self._store(batch)

    def _take(self) -> list[_Waiting]:
        """What waits, as much as goes into one transaction; nothing once it is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._bytes -= sum(len(one.received.body) for one in batch)
            self._in_hand = len(batch)
        return batch

    def _store(self, batch: list[_Waiting]) -> None:
        begun = perf_counter()
        try:
            positions = self._append([parse(one.received, 0) for one in batch])
        except Exception as error:  # noqa: BLE001 - nothing may end the thread that stores
            self._fail(batch, error)
            return
        finally:
            self._in_hand = 0
        self._stats.append_seconds.observe(perf_counter() - begun)
        self._stats.batch_sizes.observe(len(batch))
        self._stats.stored += len(batch)
        if self.problem:
            log.warning("the store is back", extra={"fields": {"stored": len(batch)}})
            self.problem = ""
        self._answer(_confirm, batch, positions)
        self._committed()

    def _fail(self, batch: list[_Waiting], error: Exception) -> None:
        self.problem = error.message if isinstance(error, StoreError) else type(error).__name__
        fields = {"error": self.problem, "hint": getattr(error, "hint", ""), "webhooks": len(batch)}
        log.error("not stored", extra={"fields": fields})
        self._answer(_refuse, batch)

    def _answer(self, answer: Callable[..., None], *what: Any) -> None:
        assert self._loop is not None, "it has been started"
        try:
            self._loop.call_soon_threadsafe(answer, *what)
        except RuntimeError:  # the loop was closed: nobody waits for an answer any more
            log.warning("nobody waits for the answer", extra={"fields": {}})


def _confirm(batch: list[_Waiting], positions: Sequence[int]) -> None:
    for one, position in zip(batch, positions, strict=True):
        if not one.stored.done():
            one.stored.set_result(position)


def _refuse(batch: list[_Waiting]) -> None:
    for one in batch:
        if not one.stored.done():
            one.stored.set_exception(Refused("store"))


class Receiver:
    """The ASGI application behind ``POST /webhooks`` and ``POST /webhooks/{account}``."""

    def __init__(
        self,
        append: Append,
        keys: Keys,
        clock: Clock | None = None,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self.stats = Stats()
        self.clock = clock or Clock()
        self._keys = keys
        self._writer = Writer(append, self.stats, committed)

    @property
    def insecure(self) -> bool:
        """Whether nothing is verified."""
        return None in self._keys.values()

    @property
    def queued(self) -> int:
        """How many deliveries wait to be stored, those included that are being stored."""
        return self._writer.queued

    @property
    def problem(self) -> str:
        """Why the store cannot be written, or nothing."""
        return self._writer.problem

    def start(self) -> None:
        """Begins to store; to be called in the event loop."""
        self._writer.start()

    async def stop(self) -> None:
        """Stores what waits and takes nothing more."""
        await self._writer.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            position = await self._receive(Request(scope, receive))
        except Refused as refused:
            self.stats.refused[refused.reason] += 1
            scope[REASON] = refused.reason
            await _refusal(refused.reason)(scope, receive, send)
        else:
            stored = {"status": 204, "headers": [(b"tracker-position", b"%d" % position)]}
            await send({"type": "http.response.start", **stored})
            await send({"type": "http.response.body"})

    async def _receive(self, request: Request) -> int:
        account = request.path_params.get("account")
        if account not in self._keys:
            raise Refused("account")
        if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
            raise Refused("encoding")
        body = await _body(request)
        key, signature = None, request.headers.get(SIGNATURE_HEADER)
        ring = self._keys[account]
        if ring is not None:
            key = ring.verify(body, (signature or "").encode("latin-1"))
            if key is None:
                raise Refused("signature")
        received = Received(body, self.clock.now(), SOURCE, key, signature=_bounded(signature), account=account)
        return await self._writer.put(received)


def _bounded(signature: str | None) -> str | None:
    """A signature to be kept; of a key of 4,096 bits it has 684 characters, and what is longer is none."""
    return signature if signature is None or len(signature) <= MAX_SIGNATURE else ""


async def _body(request: Request) -> bytes:
    """The body. Raises ``Refused`` when it is too long, too slow, or breaks off."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > MAX_DISCARDED:
        raise Refused("too-large")
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= MAX_BODY:
                    body += chunk
                elif size > MAX_DISCARDED:
                    break
    except TimeoutError:
        raise Refused("timeout") from None
    except ClientDisconnect:
        raise Refused("disconnected") from None
    if size > MAX_BODY:
        raise Refused("too-large")
    return bytes(body)


def _refusal(reason: str) -> Response:
    """Problem details as RFC 9457 has them."""
    status, detail = REFUSALS[reason]
    headers = {"connection": "close"} if reason in _CLOSING else {}
    if status == 503:
        headers["retry-after"] = str(RETRY_AFTER)
    said = {"status": status, "detail": detail}
    if reason in HINTS:
        said["hint"] = HINTS[reason]
    return JSONResponse(said, status, headers, media_type="application/problem+json")
