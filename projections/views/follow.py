"""Keeping ``views.db`` up with the event store.

``catch_up`` goes on at the checkpoint, page after page. Where the file was made by other rules, other
declarations or another program than ours, or of events that the store has no longer, it is rebuilt first.
"""

from __future__ import annotations

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
from projections.views.pages import Pages
from projections.views.rebuild import rebuild
from tracker.bulk import bulk
from tracker.errors import StoreDamagedError
from tracker.rules import Rules
from tracker.store.application import PAGE, Tracker
from tracker.store.clock import PIN


class Views(Pages):
    """The read models of one data directory."""

    @classmethod
    def open(cls, tracker: Tracker, rules: Rules | None = None, progress: Progress | None = None) -> Views:
        """The live read models, caught up; rebuilt first where they are missing, damaged or of other rules."""
        rules = rules or Rules()
        path = tracker.data / VIEWS_DB
        refuse_what_is_no_file(path)
        current = _is_current(path, rules, tracker)
        refuse_marked_loss(tracker)
        if current:
            try:
                return cls._caught_up(tracker, rules, progress)
            except StoreDamagedError as error:
                if error.place != str(path):
                    raise
        rebuild(tracker, rules, progress)
        return cls._caught_up(tracker, rules, progress)

    @classmethod
    def _caught_up(cls, tracker: Tracker, rules: Rules, progress: Progress | None) -> Views:
        views = cls(tracker.data / VIEWS_DB, rules)
        try:
            with bulk():
                views.catch_up(tracker, progress)
        except BaseException:
            views.close()
            raise
        return views

    def bring_to(self, tracker: Tracker, now: datetime) -> None:
        """Lets time pass up to ``now``; rows of a later moment, which a wrong clock told, are made anew."""
        latest = max(filter(None, (now, self.traffic.newest)))
        if self.checkpoint.as_of is not None and self.checkpoint.as_of > latest + PIN and self.can_be_written:
            rebuild(tracker, self.rules, as_of=latest)
            with views_errors(self.path):
                self._reconnect()
                self._reload()
        super().bring_to(tracker, now)

    def catch_up(
        self,
        tracker: Tracker,
        progress: Progress | None = None,
        page_size: int = PAGE,
        *,
        stop: int | None = None,
    ) -> None:
        """Judges what is new in the store, up to its end or to the position ``stop``."""
        with views_errors(self.path):
            if not self._is_live():
                self._reconnect()
            self._reload()
        if not (fits(self.checkpoint, tracker, self.path) and self.checkpoint.heeds(tracker)):
            rebuild(tracker, self.rules, progress)
            with views_errors(self.path):
                self._reconnect()
                self._reload()
        self.follow(tracker, progress, page_size, stop=stop)


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
