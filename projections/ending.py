"""SIGTERM, where something has to be cleared away: a directory for the time being, a file that is half written."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

__all__ = ["cleared_by_sigterm"]


class _Terminated(BaseException):
    """SIGTERM has come."""


@contextmanager
def cleared_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, which clears away what is in it, and only then the process.

    Who has another handler for it, or ignores it, keeps that. Outside of the main thread nothing can be set, and nothing
    is.
    """
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    came = False

    def stop(number: int, _: object) -> None:
        nonlocal came
        came = True
        signal.signal(number, signal.SIG_IGN)  # a second one would end the clearing away
        raise _Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if came:  # also where somebody on the way has made another error of it
            signal.raise_signal(signal.SIGTERM)
