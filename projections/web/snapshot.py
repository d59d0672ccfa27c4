"""One moment of the read models, for the length of one answer.

The connection is opened by name for each answer, because a rebuild puts another file in the place of the old one, and
closed as soon as its rows are read, because the follower cannot commit before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol, cast

import attrs
from starlette.datastructures import State

from projections.read_models import ReadModels
from projections.read_models.sessions import accounts
from projections.views.database import Checkpoint, read_checkpoint, read_log, views_errors
from projections.views.meeting import completed
from projections.web import masking
from tracker.errors import StoreError
from tracker.judging.log import LogView
from tracker.judging.state import Session
from tracker.rules import Rules
from tracker.store.application import Tracker

PATIENCE = 5
"""Seconds to wait while the follower writes."""


class Live(Protocol):
    """What the answers need of whoever keeps the read models up."""

    @property
    def views_path(self) -> Path: ...

    @property
    def rules(self) -> Rules: ...

    @property
    def checkpoint_position(self) -> int: ...

    @property
    def as_of(self) -> datetime | None: ...

    @property
    def now(self) -> Callable[[], datetime]: ...

    @property
    def lag(self) -> int: ...

    @property
    def problem(self) -> str: ...

    @property
    def is_alive(self) -> bool: ...

    @property
    def stopping(self) -> bool: ...

    async def wait_for(self, position: int, timeout: float) -> Any:  # noqa: ASYNC109 - who waits knows how long
        """Returns when the read models have got there, or when so many seconds have passed."""


@attrs.frozen
class Health:
    """How the server does.

    Attributes:
        lag: Deliveries that are stored and not yet judged.
        waited: Seconds that the oldest of them has waited.
        signature_failures: Webhooks whose signature was not right, since the start; ``None`` where nothing is received.
        verifies: Whether signatures are verified; ``None`` where nothing is received.
        problem: Why the store cannot be written or followed, or ``""``.
    """

    lag: int = 0
    waited: float = 0.0
    signature_failures: int | None = None
    verifies: bool | None = None
    problem: str = ""


@attrs.frozen
class Snapshot:
    """The store, and the read models as they are at one moment. ``log`` is what the whole log says by then."""

    tracker: Tracker
    rules: Rules
    db: ReadModels
    checkpoint: Checkpoint
    log: LogView
    now: datetime
    """By the clock of the server; ``as_of`` stands still where time changes nothing."""
    health: Health = Health()
    masked: bool = False
    """Whether it holds initials in the place of names (``projections.web.masking``)."""
    configured: Collection[str] = ()
    """The accounts that are configured, whether or not anything came of them."""

    @property
    def accounts(self) -> list[str]:
        """The accounts that may be asked for, in order."""
        return sorted({*self.configured, *accounts(self.db)})

    def text(self, words: str, session: str | None) -> str:
        """What was written elsewhere of a session, as the reader may see it."""
        if session is None or not isinstance(self.tracker, masking.MaskedStore):
            return words
        return self.tracker.text(words, session)

    @property
    def as_of(self) -> datetime | None:
        """The moment up to which time has passed in them."""
        return self.checkpoint.as_of

    def completed(self, session: Session, *, at: int | None = None, as_of: datetime | None = None) -> Session:
        """A session with what others of its meeting say of it, and what is accepted marked; it is changed.

        It is as it is now, as it was right after the position ``at``, or at the moment ``as_of``.
        """
        completed(self.db.conn, self.rules, session, self.as_of, at=at, as_of=as_of)
        return session


@contextmanager
def snapshot(state: State, *, masked: bool = False) -> Iterator[Snapshot]:
    """With ``masked``, as who holds the second token sees it. Raises ``StoreError`` where they cannot be read."""
    live: Live = state.live
    path = live.views_path.resolve()
    if not path.exists():
        raise StoreError("the read models are being made", hint="ask again")
    with views_errors(path):
        try:
            with closing(_connect(path)) as connection:
                tracker = masked_store(state.tracker, connection) if masked else state.tracker
                connection.execute("BEGIN")
                checkpoint, _ = read_checkpoint(connection)
                _, _, log = read_log(connection)
                health = _health(state)
                yield Snapshot(
                    tracker,
                    live.rules,
                    ReadModels(connection),
                    checkpoint,
                    log,
                    live.now(),
                    health,
                    masked,
                    state.accounts,
                )
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise StoreError("the read models are being written", hint="ask again") from error


def masked_store(tracker: Tracker, connection: sqlite3.Connection) -> Tracker:
    """The store, read with names masked, as the tables of the connection are from now on."""
    masking.views(connection)
    names_of = cache(partial(masking.names_of, tracker, connection))
    return cast("Tracker", masking.MaskedStore(tracker, names_of))


def _health(state: State) -> Health:
    receiver, live = state.receiver, state.live
    problem = live.problem or (receiver.problem if receiver is not None else "")
    if receiver is None:
        return Health(live.lag, state.watch.waited, problem=problem)
    failures = receiver.stats.refused["signature"]
    return Health(live.lag, state.watch.waited, failures, not receiver.insecure, problem)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=PATIENCE)
