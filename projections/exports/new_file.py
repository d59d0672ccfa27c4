"""A file that is written anew: it takes its place when it is complete, and never that of another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from projections.ending import cleared_by_sigterm
from tracker.errors import UsageError
from tracker.store.private import PRIVATE_FILE

_HINT = "choose another file"


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """An empty file beside ``out``, to be filled. Raises ``UsageError`` where that is there already or cannot be made."""
    if out.exists():
        raise UsageError("is there already", place=str(out), hint=f"{_HINT}, or remove it")
    beside = out.with_name(f"{out.name}.part-{os.getpid()}")
    try:
        with cleared_by_sigterm(), _removed(beside):
            yield beside
            beside.replace(out)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", place=str(out), hint=_HINT) from error


@contextmanager
def _removed(path: Path) -> Iterator[None]:
    """A file for the time being."""
    try:
        path.touch(PRIVATE_FILE)
        yield
    finally:
        path.unlink(missing_ok=True)
