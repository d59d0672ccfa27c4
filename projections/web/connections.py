"""Time limits on connections, and which connection is closed when too many are open.

Most of the time a server waits for its client: for the head of a request, for its body, or for the client to read the
answer. Each of the three has a time limit, whatever the request is for. The server checks all connections once a
second (``Patient.look``), which takes about a millisecond for a thousand of them.

At most ``MOST_CONNECTIONS`` are open. When another one comes, the server closes the one for whose client it has waited
the longest. So clients that connect and send nothing cannot keep others out, however many they are: a client that
sends its whole request at once is never waited for. Only when every connection is being answered does a new one get 503.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from projections.web.problems import problem
from tracker.intake.receiver import BODY_TIMEOUT, RETRY_AFTER

MOST_CONNECTIONS = 1000
HEADER_TIMEOUT = 10.0
"""Seconds in which the head of a request must come."""
BODY_LIMIT = BODY_TIMEOUT + 5
"""Seconds in which its body must come. The routes that read a body answer 408 before that."""
WRITE_TIMEOUT = 10.0
"""Seconds in which the client must read ``LEAST_TAKEN`` of an answer, or what is left of it."""
LEAST_TAKEN = 16 << 10
"""Bytes."""
OWN_FILES = 200
"""Open files that are no connections: those of the store and of the read models, for each thread."""

MALFORMED = b"\r\n".join(
    (
        b"HTTP/1.1 400 Bad Request",
        b"content-type: text/plain; charset=utf-8",
        b"content-length: 31",
        b"x-content-type-options: nosniff",
        b"connection: close",
        b"",
        b"Invalid HTTP request received.\n",
    )
)

Phase = tuple[str, RequestResponseCycle | None]
HEAD, BODY, WORK = "head", "body", "work"


@attrs.define
class Reading:
    """How a client reads what it is sent.

    Attributes:
        went_on: set when so much was read that the answer could go on; this counts as progress.

    """

    went_on: bool = False
    _owed: int = 0
    _since: float = 0.0

    def is_stuck(self, owed: int, now: float) -> bool:
        """Whether the client read less than ``LEAST_TAKEN`` for ``WRITE_TIMEOUT``; ``owed`` bytes are not yet sent."""
        if not (owed and self._owed) or self.went_on or owed <= self._owed - LEAST_TAKEN:
            self._owed, self.went_on, self._since = owed, False, now
        return owed > 0 and now - self._since > WRITE_TIMEOUT


if TYPE_CHECKING:  # in truth the protocol comes behind it
    _Protocol = H11Protocol
else:
    _Protocol = object


class Patient(_Protocol):
    """A protocol of the library, with time limits.

    Attributes:
        given_up: whether the connection was closed at once, without waiting for anything.

    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # With a limit of its own the library would refuse the newest client, and count idle ones.
        self._most, self.limit_concurrency = self.limit_concurrency or MOST_CONNECTIONS, None
        self._phase: Phase = (HEAD, None)
        self._since = monotonic()
        self._reading = Reading()
        self.given_up = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._most and not _make_room(self._others(), self._most):
            self.app = OVERLOADED

    def resume_writing(self) -> None:
        self._reading.went_on = True
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the library's signature
        """Answers as the library does, with ``nosniff``, unless another answer has begun."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(MALFORMED)
        self.transport.close()

    def look(self, now: float) -> None:
        """Closes the connection if its client took too long; to be called every second."""
        phase = self._now()
        if phase != self._phase:
            self._phase, self._since = phase, now
        limit = {HEAD: HEADER_TIMEOUT, BODY: BODY_LIMIT}.get(phase[0])
        owed = self.transport.get_write_buffer_size()
        if self._reading.is_stuck(owed, now) or (limit is not None and now - self._since > limit):
            self.give_up()

    def give_up(self) -> None:
        self.given_up = True
        self.transport.abort()

    def waited_for(self, now: float) -> float | None:
        """For how many seconds the server has waited for the client; ``None`` where the client waits."""
        phase = self._now()
        if phase[0] == WORK:
            return None
        return now - self._since if phase == self._phase else 0.0

    def _now(self) -> Phase:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            return HEAD, cycle
        return (BODY if cycle.more_body else WORK), cycle

    def _others(self) -> list[Patient]:
        return [one for one in self.connections if isinstance(one, Patient) and one is not self]


class PatientH11(Patient, H11Protocol):
    """Written in Python; always there."""


def _make_room(connections: Iterable[Patient], most: int) -> bool:
    """Closes the connection that was waited for the longest, if ``most`` are open. Returns whether there is room now."""
    open_ones = [one for one in connections if not one.given_up]
    if len(open_ones) < most:
        return True
    now = monotonic()
    waited = [(seconds, one) for one in open_ones if (seconds := one.waited_for(now)) is not None]
    if waited:
        max(waited, key=lambda found: found[0])[1].give_up()
    return bool(waited)


OVERLOADED = problem(
    503,
    "too many connections are open",
    "send it again",
    {"retry-after": str(RETRY_AFTER), "connection": "close"},
)
"""The application that answers on a connection for which there is no room."""


def files_at_most() -> int:
    """How many files the process may have open; the limit is raised to what is wanted where it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft


def most_connections() -> int:
    """How many connections there may be, as the system limits the files."""
    files = files_at_most()
    return min(MOST_CONNECTIONS, max(files - OWN_FILES, files // 2))
