"""Keeping ``views.db`` up with the event store.

``catch_up`` goes on at the checkpoint, page after page. Where the file was made by other rules, other
declarations or another program than ours, or of events that the store has no longer, it is rebuilt first.
What is held after each page is published (``projections.views.publications``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from projections.progress import Progress
from projections.views.database import (
    VIEWS_DB,
    checkpoint_of,
    fingerprint,
    fits,
    refuse_what_is_no_file,
    views_errors,
)
from projections.views.loss import refuse_marked_loss
from projections.views.pages import BULK, Pages
from projections.views.publications import PUBLISHED_DB, Mark, Rewritten, publish
from projections.views.rebuild import rebuild
from tracker.bulk import bulk
from tracker.errors import StoreDamagedError
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.clock import PIN, wall_clock

Now = Callable[[], datetime]


class Views(Pages):
    """The read models of one data directory. ``now`` is the clock by which findings are published."""

    def __init__(self, path: Path, rules: Rules, now: Now = wall_clock) -> None:
        super().__init__(path, rules)
        self._clock = now
        self._published: tuple[Mark, int] | None = None
        """Up to where all is published, and up to which request of the ledger people were erased from it, as far as we know."""

    @classmethod
    def open(
        cls,
        tracker: Tracker,
        rules: Rules | None = None,
        progress: Progress | None = None,
        now: Now = wall_clock,
    ) -> Views:
        """The live read models, caught up; rebuilt first where they are missing, damaged or of other rules."""
        rules = rules or Rules()
        path = tracker.data / VIEWS_DB
        refuse_what_is_no_file(path)
        current = _is_current(path, rules, tracker)
        refuse_marked_loss(tracker)
        if current:
            try:
                return cls._caught_up(tracker, rules, progress, now)
            except StoreDamagedError as error:
                if error.place != str(path):
                    raise
        rebuild(tracker, rules, progress, now=now)
        return cls._caught_up(tracker, rules, progress, now)

    @classmethod
    def _caught_up(cls, tracker: Tracker, rules: Rules, progress: Progress | None, now: Now) -> Views:
        views = cls(tracker.data / VIEWS_DB, rules, now)
        try:
            with bulk():
                views.catch_up(tracker, progress)
        except BaseException:
            views.close()
            raise
        return views

    def bring_to(self, tracker: Tracker, now: datetime) -> None:
        """Lets time pass up to ``now``; rows of a later moment, which a wrong clock gave, are computed again."""
        if self.can_be_written:
            self.go_back_to(tracker, now)
        super().bring_to(tracker, now)

    def go_back_to(self, tracker: Tracker, now: datetime, progress: Progress | None = None) -> None:
        """Computes the rows again if they are of a moment later than ``now``: a clock was ahead."""
        latest = max(filter(None, (now, self.traffic.newest)))
        if self.checkpoint.as_of is not None and self.checkpoint.as_of > latest + PIN:
            self._rebuild(tracker, progress, as_of=latest)
            self._publish(tracker)

    def catch_up(
        self,
        tracker: Tracker,
        progress: Progress | None = None,
        page_size: int = BULK,
        *,
        stop: int | None = None,
    ) -> None:
        """Judges what is new in the store, up to its end or to the position ``stop``."""
        with views_errors(self.path):
            self._read_live(self._reload)
        if not (fits(self.checkpoint, tracker, self.path) and self.checkpoint.heeds(tracker)):
            self._rebuild(tracker, progress)
        self._publish(
            tracker
        )  # a process that was killed, or that has rebuilt, may have left something to publish
        self.follow(tracker, progress, page_size, stop=stop)

    def _rebuild(
        self, tracker: Tracker, progress: Progress | None = None, *, as_of: datetime | None = None
    ) -> None:
        """Puts a new file in the place of ours, and goes on with that."""
        rebuild(tracker, self.rules, progress, as_of=as_of, now=self._clock)
        with views_errors(self.path):
            self._reconnect()
            self._reload()

    def settle(self, tracker: Tracker, as_of: datetime) -> None:
        super().settle(tracker, as_of)
        self._publish(tracker)

    def _follow_page(self, tracker: Tracker, page_size: int, stop: int | None, last_known: int) -> bool:
        if not super()._follow_page(tracker, page_size, stop, last_known):
            return False
        self._publish(tracker)
        return True

    def _publish(self, tracker: Tracker) -> None:
        """Publishes what is held now, unless somebody is being erased from it: then it is published afterwards.

        Whoever has put another file in the place of ours publishes that; where nothing can be written, nothing is.
        """
        ((number,),) = self.connection.execute("PRAGMA user_version").fetchall()
        made_by = f"{self.fingerprint} {number}"
        after = (self.checkpoint, made_by)
        ledger = tracker.ledger.entries()
        if ledger.requests and (ledger.requests > tracker.erased() or not self.checkpoint.heeds(tracker)):
            return
        if (after, ledger.requests) != self._published and self.can_be_written and self._is_live():
            page = Rewritten((self.before, made_by), after, self.rewritten)
            path = self.path.with_name(PUBLISHED_DB)
            moment, pruned = self._clock(), tracker.pruned_among
            mark = publish(path, self.connection, page, moment, ledger, pruned, self._is_live)
            if mark is not None:
                self._published = mark, ledger.requests


def _is_current(path: Path, rules: Rules, tracker: Tracker) -> bool:
    """Whether the file is there, whole, judged by these rules, and of what the store still has."""
    if not path.exists():
        return False
    try:
        checkpoint, made_by = checkpoint_of(path)
    except StoreDamagedError:
        return False
    current = fits(checkpoint, tracker, path) and checkpoint.heeds(tracker)
    return current and made_by == fingerprint(rules)
