"""The relay while something runs: one thread sweeps, and one for each entry sends.

The thread that sweeps looks whether the read models have moved. So it does not matter which process keeps them up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from projections.outbox.sending import Outgoing, Sender, Work
from projections.outbox.webhooks import Endpoint, Target, not_installed, webhooks
from projections.relay.database import queue_of
from projections.relay.sweep import has_due, sweep
from projections.views.database import VIEWS_DB, checkpoint_of
from projections.views.publications import Pruned
from tracker.errors import StoreError
from tracker.relay import Relay
from tracker.store.clock import wall_clock

PATIENCE = timedelta(minutes=10)
"""How long the read models may be made, or somebody be erased from them, until it is reported that nothing is relayed."""
SECRET = "TRACKER_RELAY_SECRET"  # noqa: S105 - the name of a variable


def target_of(relay: Relay, environment: Mapping[str, str]) -> Target:
    """Raises ``UsageError`` where a package is not installed, and ``RulesError`` where nothing can be sent so."""
    endpoint = Endpoint("relay", relay.name, relay.to, relay.secret, SECRET, relay.allow_private)
    try:
        return webhooks(endpoint, environment)
    except ImportError as error:
        raise not_installed(str(endpoint), "alerts", error) from error


def senders(data: Path, relays: Sequence[Relay], now: Callable[[], datetime] = wall_clock) -> list[Sender]:
    """Raises as ``target_of``."""
    queue = queue_of(data)
    return [Sender(queue, "relay", one.name, target_of(one, os.environ), now) for one in relays]


class Relays(Outgoing):
    """The threads. ``load`` reads the entries anew, ``pruned`` says which streams were pruned, ``last`` gives the store's last
    position: what is stored when the entries are read is the past of those that are new.
    """

    def __init__(
        self,
        data: Path,
        load: Callable[[], Sequence[Relay]],
        pruned: Pruned,
        last: Callable[[], int],
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        super().__init__("relays", partial(_work, data, load, pruned, last, now))


def _work(
    data: Path,
    load: Callable[[], Sequence[Relay]],
    pruned: Pruned,
    last: Callable[[], int],
    now: Callable[[], datetime],
) -> Work:
    relays, past = load(), last()
    end: int | None = None
    waiting: datetime | None = None

    def look() -> None:
        nonlocal end, waiting
        if end is None or _is_due(data, end, now()):
            end = sweep(data, relays, now(), pruned, past)
            waiting = None if end is not None else waiting or now()
            if waiting is not None and now() - waiting > PATIENCE:
                raise StoreError(
                    "nothing is relayed: the read models are not there, or still name somebody who is to be erased",
                    place=str(data / VIEWS_DB),
                    hint="tracker doctor says which; tracker erase --again ends an erasure",
                )

    return Work(senders(data, relays, now), look)


def _is_due(data: Path, end: int, moment: datetime) -> bool:
    path = data / VIEWS_DB
    if path.exists() and checkpoint_of(path)[0].position != end:
        return True
    with queue_of(data).file.to_read() as connection:
        return connection is None or has_due(connection, moment)
