"""What commands share that store what comes: how they end, how the read models follow, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from projections.cli.messages import deliveries, quantity
from projections.cli.settings import Settings
from tracker.errors import TrackerError

if TYPE_CHECKING:
    from projections.views.follow import Views
    from tracker.intake.progress import Ingested
    from tracker.store.application import Tracker


class Judging:
    """The read models while logs are read; they are opened when they are first needed."""

    def __init__(self, settings: Settings, store: Tracker, stack: ExitStack) -> None:
        self._settings, self._store, self._stack = settings, store, stack
        self._views: Views | None = None
        self.accounts: list[Ingested] = []
        """What became of the logs that were read."""

    def catch_up(self) -> Views:
        if self._views is None:
            self._views = self._stack.enter_context(self._settings.views(self._store))
        else:
            self._views.catch_up(self._store)
        return self._views


@contextmanager
def stopping_by_signal(*, heed: bool) -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether SIGINT or SIGTERM has come; the second signal ends the process.

    Without ``heed`` the first signal ends it too.
    """
    from signal import SIGINT, SIGTERM, getsignal, signal

    came: list[int] = []
    before = {number: getsignal(number) for number in (SIGINT, SIGTERM)} if heed else {}

    def restore() -> None:
        for number, handler in before.items():
            signal(number, handler)

    def stop(number: int, _: object) -> None:
        came.append(number)
        restore()

    for number in before:
        signal(number, stop)
    try:
        yield lambda: bool(came)
    finally:
        restore()


def in_store(store: Tracker, views: Views) -> str:
    """What is in the store now, in words."""
    gone = store.withdrawn()
    events = views.checkpoint.position - store.gaps().count - len(gone) - gone.events
    ((sessions,),) = views.connection.execute("SELECT COUNT(*) FROM sessions").fetchall()
    counts = [quantity(events, "event"), quantity(sessions, "session")]
    if gone:
        counts.append(deliveries(len(gone), "withdrawn"))
    return f"{store.owner}: {', '.join(counts)}"


def in_words(account: Ingested, stored: str) -> str:
    words = [
        f"{account.read:,} read",
        f"{account.stored:,} {stored}",
        f"{account.already_there:,} already there",
    ]
    words.append(f"{account.unrouted:,} unrouted")
    if account.blank:
        words.append(f"{account.blank:,} blank")
    if account.last:
        words.append(
            f"at position {account.first:,}"
            if account.first == account.last
            else f"at positions {account.first:,} to {account.last:,}"
        )
    return f"{account.log.name}: {', '.join(words)}"


def too_long(account: Ingested, what: str = "line", place: Callable[[int], str] = str) -> TrackerError:
    from tracker.errors import LogError
    from tracker.intake.lines import MAX_LINE

    first, more = account.too_long[0], len(account.too_long) - 1
    return LogError(
        f"the {what} has {first.too_long:,} bytes, so only its beginning was stored"
        + (f"; the same holds for {quantity(more, f'more {what}')}" if more else ""),
        place=f"{account.log.name}:{place(first.at)}",
        hint=f"no webhook has more than {MAX_LINE:,} bytes, so a newline is probably missing",
    )
