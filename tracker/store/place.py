"""Whether the open file is still the one of its name.

SQLite goes on writing to a file that was moved or removed under it, and whoever opens the name afterwards
gets another file. So what is committed after a ``mv`` or ``rm`` is in no store. The file, and the log
beside it, are known by device and inode: they are compared before and after each commit, and nothing is
acknowledged unless both are in their place.
"""

from __future__ import annotations

from pathlib import Path

from tracker.errors import StoreError

GONE = "has been moved, removed or replaced while it was open"
_HINT = "put the file back that was there, or restart: tracker verify then tells what is missing"

Identity = tuple[int, int]


class Place:
    """The file at a path. It is the one that was there when it was first opened."""

    def __init__(self, path: Path) -> None:
        self._path, self._log_path = path.absolute(), path.absolute().with_name(f"{path.name}-wal")
        self._file: Identity | None = None
        self._log: Identity | None = None

    @property
    def is_open(self) -> bool:
        """Whether it was opened before."""
        return self._file is not None

    @property
    def existing(self) -> str:
        """What SQLite is to open so that it makes no new file."""
        return f"{self._path.as_uri()}?mode=rw"

    def opened(self) -> None:
        """It was opened just now. Raises ``StoreError`` where it is another file than before."""
        self._file = self._file or identity(self._path)
        self.check()

    def check(self) -> None:
        """Raises ``StoreError`` where the file or its log is not in its place any more."""
        moved = self._file is not None and identity(self._path) != self._file
        if moved or (self._log is not None and identity(self._log_path) != self._log):
            raise StoreError(GONE, place=str(self._path), hint=_HINT)

    def committed(self) -> None:
        """Something was committed: from now on there is a log, as long as the file is open."""
        self._log = self._log or identity(self._log_path)
        self.check()


def identity(path: Path) -> Identity | None:
    """Device and inode of a file, ``None`` where there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
