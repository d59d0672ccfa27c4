"""A file that is written anew: it takes its place when it is complete, and never that of another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracker.errors import UsageError
from tracker.store.private import PRIVATE_FILE

_HINT = "choose another --out FILE"


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """An empty file beside ``out``, to be filled. Raises ``UsageError`` where that is there already or cannot be made."""
    if out.exists():
        raise UsageError("is there already", place=str(out), hint=f"{_HINT}, or remove it")
    beside = out.with_name(f"{out.name}.part-{os.getpid()}")
    try:
        beside.touch(PRIVATE_FILE)
        try:
            yield beside
            beside.replace(out)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", place=str(out), hint=_HINT) from error
