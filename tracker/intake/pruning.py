"""Pruning: which sessions are over and old enough to be moved into an archive, and taking them out of the store.

A session is over when its state says so, and old when no webhook of it was received since a moment. One of which a delivery
is withdrawn stays: an archive cannot say that. The archive is written before anything is removed; a few sessions are
removed in one transaction, each only if what is stored of it is what was planned: nothing has come, and nobody was erased.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import attrs

from tracker.blake2b import blake2b
from tracker.delivery.webhook import UNROUTED, Delivery
from tracker.intake.erasing import newest_of
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.prunings import digest, is_tombstone

__all__ = ["Plan", "deliveries", "plan", "remove"]

STREAMS = 200
"""Sessions in one transaction."""
Progress = Callable[[int, int], None]


@attrs.frozen
class Plan:
    """What is to be pruned.

    Attributes:
        digests: Session -> the digest of what is stored of it.
        events: How many events there are of them.
        first, last: The positions between which these are.
        kept: How many sessions stay though they are old: they go on, or something of them is withdrawn.
    """

    digests: Mapping[str, bytes]
    events: int = 0
    first: int = 0
    last: int = 0
    kept: int = 0

    @property
    def name(self) -> str:
        """Of its directory in an archive; where anything else is stored of the sessions, it is another one."""
        summed = blake2b(digest_size=6)
        for session, what in self.digests.items():
            summed.update(b"%b %b\n" % (what, session.encode(errors="surrogatepass")))
        return f"pruned-{self.first}-{self.last}-{self.events}-{summed.hexdigest()}"


def plan(tracker: Tracker, before: datetime, now: datetime, rules: Rules, progress: Progress) -> Plan:
    """The sessions that were over before a moment."""
    others = (UNROUTED, *REGISTRY.prefixes)
    old = [
        one for one, at in newest_of(tracker, progress).items() if at < before and not one.startswith(others)
    ]
    digests: dict[str, bytes] = {}
    positions: list[int] = []
    withdrawn, kept = tracker.withdrawn(), 0
    for number, stream in enumerate(old):
        rows = tracker.rows_of(stream)
        found = [position for position, _, state in rows if not is_tombstone(state)]
        if any(position in withdrawn for position in found) or not _is_over(tracker, stream, now, rules):
            kept += 1
            continue
        digests[stream] = digest(rows)
        positions += found
        progress(number, len(old))
    if not positions:
        return Plan({}, kept=kept)
    return Plan(digests, len(positions), min(positions), max(positions), kept)


def _is_over(tracker: Tracker, stream: str, now: datetime, rules: Rules) -> bool:
    return tracker.status(stream, as_of=now, rules=rules).state != "live"


def deliveries(tracker: Tracker, planned: Plan) -> Iterator[Delivery]:
    """What is to be archived, by position."""
    return (one for one in tracker.deliveries(planned.last) if one.stream in planned.digests)


def remove(tracker: Tracker, planned: Plan, archive: str, now: datetime, progress: Progress) -> int:
    """Leaves a tombstone of each session that is planned; returns of how many."""
    streams, done = list(planned.digests), 0
    for begin in range(0, len(streams), STREAMS):
        some = {stream: planned.digests[stream] for stream in streams[begin : begin + STREAMS]}
        done += tracker.prune(some, now, archive)
        progress(begin, len(streams))
    return done
