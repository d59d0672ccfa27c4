"""Other processes that judge a part of the sessions of the same log.

Each process reads the whole log, because only what a delivery says tells whose it is, and judges the
sessions that are its own. So nothing is passed between them but what they found, and the judging is
the very same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from projections.audit import Logs, until
from projections.share import Judged, Part, Share
from tracker.bulk import bulk
from tracker.errors import TrackerError
from tracker.logs import Log
from tracker.rules import Rules
from tracker.store import Tracker
from tracker.webhook import Delivery

Source = Callable[[], Iterable[Delivery]]
"""Begins to read the log; it is called in another process."""


@contextmanager
def others(
    jobs: int, source: Source, rules: Rules, as_of: datetime | None
) -> Iterator[Sequence[Callable[[], Judged]]]:
    """The processes beside this one: each waits, when called, for what it found in its part."""
    if jobs == 1:
        yield ()
        return
    context = get_context("spawn")  # a fork would copy what other threads are about to do
    with TemporaryDirectory(prefix="tracker-") as room, ProcessPoolExecutor(jobs - 1, context) as pool:
        parts = [(Part(number, jobs), str(Path(room, f"{number}.db"))) for number in range(1, jobs)]
        futures = [pool.submit(judge_part, source, rules, as_of, part, over) for part, over in parts]
        yield [partial(_result, future) for future in futures]


def judge_part(source: Source, rules: Rules, as_of: datetime | None, part: Part, over: str) -> Judged:
    """What there is to find in one part of the sessions; when each of them was is left in the file ``over``."""
    share = Share(rules, part, judged=Judged(over=over))
    with bulk(), closing(share.aside.db):
        for delivery in until(source(), as_of):
            share.hear(delivery)
        return share.settle(as_of)


def of_logs(paths: Sequence[str], keys: Sequence[Path]) -> Iterator[Delivery]:
    """What these logs hold; why one cannot be read to its end, the first process tells."""
    keyring = None
    if keys:
        from tracker.signature import Keyring

        keyring = Keyring(keys)
    return Logs([Log(path, keyring) for path in paths]).deliveries()


def of_store(data: Path, url: str | None, last: int) -> Iterator[Delivery]:
    """What a store holds up to a position."""
    with Tracker.open(data, url) as tracker:
        yield from tracker.deliveries(last)


def _result(future: Future[Judged]) -> Judged:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise TrackerError(
            "a process of the audit was ended before it was done", hint="see whether the memory was full"
        ) from error
