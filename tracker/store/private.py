"""Files and directories that only their owner may read."""

from __future__ import annotations

from pathlib import Path

from tracker.errors import StoreError

PRIVATE_FILE, PRIVATE_DIRECTORY = 0o600, 0o700
"""Names of people are in what is stored."""


def refuse_file(data: Path) -> None:
    """Raises ``StoreError`` where a data directory is something else."""
    if data.exists() and not data.is_dir():
        raise StoreError("is a file, not a directory", place=str(data), hint="choose another --data DIR")


def make_directory(data: Path) -> None:
    """Makes a data directory, where there is none. Raises ``StoreError``."""
    refuse_file(data)
    try:
        data.mkdir(PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot be made: {error.strerror}", place=str(data), hint="choose another --data DIR"
        ) from error
