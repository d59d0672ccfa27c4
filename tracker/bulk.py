"""Work on very many deliveries, and Python's collector of cycles.

The collector looks again and again through all that is alive. What is made here lives long and holds
no cycles, so it would find nothing, and take a fifth of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 200_000
"""Objects made, and not let go of, before the collector looks: cycles that there are do not add up."""


@contextmanager
def bulk() -> Iterator[None]:
    """Within it the collector seldom comes, and leaves out what was there before."""
    often, *older = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(often and max(often, SELDOM), *older)
    try:
        yield
    finally:
        gc.set_threshold(often, *older)
        gc.unfreeze()
