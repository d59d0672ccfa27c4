"""What is known of events that are not there any more, or not as they were stored: lost, erased, pruned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from eventsourcing.application import Application

from tracker.errors import StoreDamagedError
from tracker.store import erasures, prunings
from tracker.store.losses import PREFIX as LOSS
from tracker.store.losses import Accepted, accepted
from tracker.store.prunings import Gaps, Tombstone
from tracker.store.recorder import Database, Recorder
from tracker.store.withdrawals import Span

__all__ = ["ChangesReader"]


_AT_ONCE = 500
"""Names in one SELECT."""
_LAST = "\U0010ffff"
"""No character sorts behind it."""


class ChangesReader(Application[str]):
    """What a store says of that. Raises ``StoreDamagedError`` or ``StoreError``."""

    _database: Database
    _archives: tuple[int, Sequence[str]] = (-1, ())
    """The newest event that changed something, and the archives that tombstones named then."""

    @property
    def _recorder(self) -> Recorder:
        assert isinstance(self.recorder, Recorder)
        return self.recorder

    def trackings(self, prefix: str) -> list[tuple[str, int]]:
        """Recorded source positions whose name begins with ``prefix``."""
        with self._database.errors():
            return self._recorder.trackings(prefix)

    def losses(self) -> list[Accepted]:
        """The losses that somebody has accepted, by position; none where what is recorded is damaged."""
        with suppress(StoreDamagedError):
            return accepted(self.trackings(LOSS))
        return []

    def erased(self) -> int:
        """Up to which request of a ledger people were erased; 0 where nobody ever was."""
        select = f"SELECT {self._recorder.state} FROM stored_events WHERE originator_id = ?"
        with self._database.errors():
            return erasures.requests([state for (state,) in self._recorder.rows(select, (erasures.STREAM,))])

    def is_changed(self, position: int) -> bool:
        """Whether another event stands at a position than what was stored there, and that is known: it was erased or pruned."""
        select = f"SELECT {self._recorder.state} FROM stored_events WHERE notification_id = ?"
        with self._database.errors():
            rows = self._recorder.rows(select, (position,))
        if not rows:
            return any(first <= position <= last for first, last in self._pruned_spans(tombstones=False))
        return any(erasures.is_changed(state) for (state,) in rows)

    def pruned(self, stream: str) -> Tombstone | None:
        """What stands in the place of a session that was pruned; ``None`` where it was not."""
        select = f"SELECT {self._recorder.state} FROM stored_events WHERE originator_id = ? AND topic = ?"
        with self._database.errors():
            rows = self._recorder.rows(select, (stream, prunings.TOPIC))
        return next((one for (state,) in rows if (one := prunings.tombstone(state))), None)

    def pruned_among(self, streams: Iterable[str]) -> set[str]:
        """Those of these streams that were pruned."""
        names, found = [f"{prunings.PREFIX}{stream}" for stream in streams], set[str]()
        for begin in range(0, len(names), _AT_ONCE):
            some = names[begin : begin + _AT_ONCE]
            marks = ",".join("?" * len(some))
            select = f"SELECT application_name FROM tracking WHERE application_name IN ({marks})"
            with self._database.errors():
                found.update(name for (name,) in self._recorder.rows(select, some))
        return {name.removeprefix(prunings.PREFIX) for name in found}

    def pruned_from(self, position: int) -> Tombstone | None:
        """What stands in the place of the session whose event stood at a position; ``None`` where none was pruned."""
        for at, one in self._tombstones():
            if one and (at == position or any(first <= position <= last for first, last in one.spans)):
                return one
        return None

    def perhaps_pruned(self, asked: str) -> str:
        """A hint for what is not found: where the sessions are that were pruned and whose ids begin so; of anything else,
        such as a room or a person, where all that was pruned is; empty if nothing was."""
        found = self._pruned_beginning_with(asked)
        if found:
            name, one = found[0]
            begin = f"{name} begins so and was pruned"
            if found[1:]:
                begin = f"{name} and {len(found) - 1:,} more begin so and were pruned"
            return f"{begin}: {prunings.reading(one.archives[-1])}"
        archives = self._all_archives()
        if not archives:
            return ""
        many = f" into one of {len(archives):,} archives, the last of which is this" if archives[1:] else ""
        return f"perhaps it was pruned{many}: {prunings.reading(archives[-1])}"

    def _pruned_beginning_with(self, asked: str) -> list[tuple[str, Tombstone]]:
        select = (
            f"SELECT originator_id, {self._recorder.state} FROM stored_events "
            "WHERE originator_id >= ? AND originator_id < ? AND topic = ? ORDER BY originator_id"
        )
        with self._database.errors():
            rows = self._recorder.rows(select, (asked, f"{asked}{_LAST}", prunings.TOPIC))
        read = ((name, prunings.tombstone(state)) for name, state in rows)
        return [(name, one) for name, one in read if one]

    def _all_archives(self) -> Sequence[str]:
        """The archives that tombstones name, the last one last.

        There may be very many tombstones, and a server may be asked very often, so they are read once for each event
        that changes what earlier ones say: one ends each pruning, and what was derived follows only then.
        """
        changed_at = self.changed_at()
        known_at, archives = self._archives
        if known_at != changed_at:
            found = sorted((one.at, one.archives) for _, one in self._tombstones() if one)
            archives = list(dict.fromkeys(where for _, places in found for where in places))
            self._archives = changed_at, archives
        return archives

    def rows_of(self, stream: str) -> list[prunings.Row]:
        """What is stored of a stream, by version."""
        with self._database.errors():
            return prunings.rows(self._recorder.rows(*self._recorder.all_of(stream)))

    def is_pruned_since(self) -> bool:
        """Whether sessions were pruned, and no event says so yet."""
        return self.moved() != self._said_of_prunings()

    def moved(self) -> int:
        """How many events were moved into archives."""
        return sum(one.events for _, one in self._tombstones() if one)

    def _said_of_prunings(self) -> int:
        select = f"SELECT {self._recorder.state} FROM stored_events WHERE originator_id = ?"
        with self._database.errors():
            return prunings.said([state for (state,) in self._recorder.rows(select, (prunings.STREAM,))])

    def gaps(self, *, tombstones: bool = False) -> Gaps:
        """The positions at which nothing stands and of which that is known; with those of tombstones, if asked for."""
        lost = [(one.ends + 1, one.seen) for one in self.losses() if one.ends < one.seen]
        return Gaps.of([*lost, *self._pruned_spans(tombstones=tombstones)])

    def _pruned_spans(self, *, tombstones: bool) -> list[Span]:
        found: list[Span] = []
        for position, one in self._tombstones():
            found += one.spans if one else ()
            found += [(position, position)] if tombstones else ()
        return found

    def _tombstones(self) -> list[tuple[int, Tombstone | None]]:
        """The position of each, and what it says; ``None`` where it is damaged."""
        with self._database.errors():
            rows = self._recorder.rows(*self._recorder.tombstones())
        return [(position, prunings.tombstone(state)) for position, state in rows]

    def changed_at(self) -> int:
        """The position of the newest event that changed what earlier ones say; 0 where none did."""
        marks = ",".join("?" * len(erasures.OURS))
        select = f"SELECT MAX(notification_id) FROM stored_events WHERE originator_id IN ({marks})"
        return self._number(select, erasures.OURS)

    def _number(self, select: str, values: Sequence[str]) -> int:
        with self._database.errors():
            rows = self._recorder.rows(select, values)
        return rows[0][0] or 0
