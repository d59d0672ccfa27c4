"""Other processes that judge a part of the sessions of a log.

The log is read once, by the first process, because only what a delivery says tells whose it is. It hands on, in
batches, the deliveries of the sessions that another process judges. A pipe that is full makes it wait, so none of
them has much before it. Who reads observes few of them; so when all is read, each of the others leaves it some of its
sessions to assess. These, and what the others find, come back in files.
"""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs
import msgspec

from projections.ending import cleared_by_sigterm
from tracker.delivery.envelope import UNVERIFIED, Received
from tracker.errors import TrackerError
from tracker.rules import Rules

if TYPE_CHECKING:
    from tracker.delivery.webhook import Delivery
    from tracker.judging.log import Habits, LogView

BATCH = 250
"""Deliveries that are handed on at once."""
WIDTH = 1 << 20
"""Bytes that a pipe holds, where it can be that many."""
Packed = tuple[int, bytes, datetime | None, str | None, bool, int | None, str | None]
"""A delivery as it is handed on: position, body, receive time, its text, refuted, size, account."""
_Batch = tuple[list[Packed], Literal["", "sweep", "habits", "assess"], datetime | None]
"""Deliveries, what is to be done when they are observed, and as of when. Behind ``assess`` the view of the log follows."""
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Batch).decode


def packed(position: int, received: Received) -> Packed:
    """A delivery, to be handed on."""
    refuted = received.verified_by == UNVERIFIED
    times = received.received_at, received.unread_time
    return position, received.body, *times, refuted, received.cut_from, received.account


def unpacked(
    position: int,
    body: bytes,
    at: datetime | None,
    unread_time: str | None,
    refuted: bool,  # noqa: FBT001 - as it was packed
    cut_from: int | None,
    account: str | None,
) -> tuple[int, Received]:
    """The position of a delivery, and what was received."""
    verified_by = UNVERIFIED if refuted else None
    return position, Received(body, at, "", verified_by, unread_time, cut_from, account=account)


@attrs.define
class Batches:
    """A part of the sessions that is judged elsewhere, by who is sent these messages."""

    send: Callable[[bytes], None]
    answer: Callable[[], Any]
    waiting: list[Packed] = attrs.field(factory=list)

    def observe(self, delivery: Delivery) -> None:
        self.waiting.append(packed(delivery.position, delivery.received))
        if len(self.waiting) == BATCH:
            self._send("", None)

    def sweep(self, now: datetime | None) -> None:
        self._send("sweep", now)

    def ask_habits(self) -> None:
        self._send("habits", None)

    def habits(self) -> tuple[Habits, str]:
        return cast("tuple[Habits, str]", self.answer())

    def assess(self, log: LogView, several: Container[str], as_of: datetime | None, *, over: bool) -> None:
        self._send("assess", as_of)
        self.send(pickle.dumps((log, several, over)))

    def left(self) -> str:
        return cast("str", self.answer())

    def judged(self) -> tuple[int, str]:
        return cast("tuple[int, str]", self.answer())

    def _send(self, then: str, at: datetime | None) -> None:
        self.send(_pack((self.waiting, then, at)))
        self.waiting = []


def judge_part(
    receive: Callable[[], bytes], answer: Callable[[object], None], rules: Rules, path: str, leaves: int
) -> tuple[int, str]:
    """Judges what it is sent: how many sessions that were, and the file in which their findings are then.

    One of so many sessions it ``leaves`` to the first process, and answers where.
    """
    from projections.audit.share import Share  # whoever starts it imports what judges meanwhile
    from tracker.bulk import bulk
    from tracker.delivery.webhook import parse

    share, then = Share(rules, path=path, leaves=leaves), ""
    with bulk(), closing(share.findings.db):
        while then != "assess":
            batch, then, at = _unpack(receive())
            for one in batch:
                position, received = unpacked(*one)
                share.observe(parse(received, position))
            if then == "sweep":
                share.sweep(at)
            elif then == "habits":
                answer(share.learned())
        log, several, over = pickle.loads(receive())  # noqa: S301 - it comes from the process that started this one
        answer(share.leave())
        share.assess(log, several, at, over=over)
    return share.count, path


@contextmanager
def others(jobs: int, rules: Rules) -> Iterator[Sequence[Batches]]:
    """The processes beside this one; they end with the block, whatever happens in it."""
    with cleared_by_sigterm(), ExitStack() as ends:
        room = ends.enter_context(TemporaryDirectory(prefix="tracker-"))
        paths = [str(Path(room, f"{number}.db")) for number in range(1, jobs)]
        processes = [ends.enter_context(_started(rules, path, jobs)) for path in paths]
        yield [Batches(one.send, one.answer) for one in processes]


@attrs.define
class _Process:
    """The ends of the pipes to and from another process that are here."""

    messages: Connection
    answers: Connection

    def send(self, message: bytes) -> None:
        """Waits while the other one has enough to do."""
        try:
            self.messages.send_bytes(message)
        except BrokenPipeError:
            self.answer()  # raises: it ended without being asked to

    def answer(self) -> object:
        """What it answers; waits for that."""
        try:
            outcome = self.answers.recv()
        except (EOFError, OSError) as error:
            hint = "see whether the memory was full"
            raise TrackerError("a process of the audit was ended before it was done", hint=hint) from error
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@contextmanager
def _started(rules: Rules, path: str, leaves: int) -> Iterator[_Process]:
    context = get_context("spawn")  # a fork would copy what other threads are about to do
    theirs, messages = context.Pipe(duplex=False)
    _widen(messages)
    answers, answer = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, answer, rules, path, leaves), daemon=True)
    with messages, answers:
        with theirs, answer, _not_interrupted():
            process.start()
        try:
            yield _Process(messages, answers)
        finally:
            process.terminate()
            process.join()


def _widen(pipe: Connection) -> None:
    """Makes it hold what is read while the other process still starts, where the system lets it."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, WIDTH)


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """Whoever is started in it gets no Ctrl-C: the first process does, and ends the others."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(messages: Connection, answer: Connection, rules: Rules, path: str, leaves: int) -> None:
    """What another process does. It ends as well when the first one is gone."""
    outcome: object
    try:
        outcome = judge_part(messages.recv_bytes, answer.send, rules, path, leaves)
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - it is raised again where somebody can read it
        error.add_note("".join(format_exception(error)))
        outcome = error
    messages.close()  # who is about to write to it need not wait any longer
    with suppress(BrokenPipeError):
        answer.send(outcome)
