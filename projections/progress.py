"""Bars on stderr, for work that takes long and has a terminal to tell."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.intake.logs import Log

PATIENCE = 0.5
"""Seconds after which a person wants to see that something goes on."""
EACH = 1000
"""Things after which a bar moves."""
Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


@contextmanager
def bar(label: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr with rate and time left, for work that takes long and has a terminal to tell."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    count: Any = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        count,
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(label, total=None, rate="")
    begun = monotonic()

    def show(done: int, total: int) -> None:
        spent = monotonic() - begun
        if spent < PATIENCE:
            return
        bar.start()
        rate = f"{done / spent / 1e6:.1f} MB/s" if unit == "bytes" else f"{done / spent:,.0f}/s"
        bar.update(task, completed=done, total=total or None, rate=rate)

    try:
        yield show
    finally:
        bar.stop()


@contextmanager
def of_events(label: str) -> Iterator[Progress]:
    with bar(label, "events") as show:
        yield show


@contextmanager
def of_bytes(logs: list[Log]) -> Iterator[Callable[[int], None]]:
    name, total = logs[0].name if len(logs) == 1 else f"{len(logs)} logs", sum(log.size for log in logs)
    with bar(name, "bytes") as show:
        yield lambda done: show(done, total)


@contextmanager
def of_logs(logs: list[Log]) -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    total = sum(log.size for log in logs)
    with bar("judging", "bytes") as show:

        def watch(items: Iterable[Any]) -> Iterator[Any]:
            return counted(items, lambda _done, _total: show(sum(log.consumed for log in logs), total), total)

        yield watch


def counted(items: Iterable[Any], progress: Progress, total: int) -> Iterator[Any]:
    rest = iter(items)
    for number, item in zip(count(step=EACH), rest, strict=False):
        progress(number, total)
        yield item
        yield from islice(rest, EACH - 1)  # as fast as without a count
