"""What reading logs into a store would do, in numbers: nothing is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from tracker.delivery.webhook import Delivery
from tracker.store.application import Tracker
from tracker.store.recorder import SourcePosition
from tracker.store.withdrawals import Withdrawals


class Rehearsal:
    """Stands for a store, of which there may be none yet, and keeps only what would be stored in numbers."""

    def __init__(self, store: Tracker | None) -> None:
        self._store = store
        self._streams: set[str] = set()
        self.types: Counter[str] = Counter()
        self.first: datetime | None = None
        self.last: datetime | None = None

    @property
    def deliveries(self) -> int:
        return self.types.total()

    @property
    def sessions(self) -> int:
        return len(self._streams)

    def append(
        self,
        deliveries: Iterable[Delivery],
        *read: SourcePosition,  # noqa: ARG002 - it is recorded nowhere, and nobody else can come in between
    ) -> Sequence[int]:
        for one in deliveries:
            self.types[one.topic] += 1
            if one.session_id is not None:
                self._streams.add(one.stream)
            if one.received_at is not None:
                self.first = min(self.first or one.received_at, one.received_at)
                self.last = max(self.last or one.received_at, one.received_at)
        return ()

    def trackings(self, prefix: str) -> list[tuple[str, int]]:
        return self._store.trackings(prefix) if self._store else []

    def withdrawn(self) -> Withdrawals:
        return self._store.withdrawn() if self._store else Withdrawals()
