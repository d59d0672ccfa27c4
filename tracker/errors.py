"""Every error a caller can meet, and the exit code each one ends the command with.

    TrackerError                 3
    ├── UsageError               2   what was asked cannot be done as asked
    │   ├── LogError             2   a log that cannot be read, or not to its end
    │   ├── RulesError           2   a rules file that is not one
    │   └── KeyFileError         2   a file without a key to verify signatures with
    ├── NotFoundError            2   no such session, code or lifecycle
    └── StoreError               3   the store is out of reach or damaged
        ├── StoreMissingError    3   there is no store there
        ├── StoreVersionError    3   written by a newer version of this program
        └── StoreDamagedError    3   not a database, or a database that contradicts itself

A webhook is never the cause of an error: whatever came in is kept and judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def nearest(given: str, names: Iterable[str], likeness: float = 0.6) -> str:
    """The name that is written most like it; empty where none is as like it (1 is the same)."""
    from difflib import get_close_matches  # who makes no mistake needs not wait for it

    return next(iter(get_close_matches(given, list(names), n=1, cutoff=likeness)), "")


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """A hint that names the nearest one; empty where there is none."""
    near = nearest(given, names)
    return f"did you mean {near}?" if near else ""


def without_secrets(address: str) -> str:
    """What may be shown of a URL: nothing before its last ``@``, and nothing behind ``?`` or ``#``. A path stays as it is.

    Where a ``?`` or ``#`` stands before an ``@``, it is not known which of them belongs to a password, so only the scheme is shown.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    before, at, place = rest.rpartition("@")
    if "?" in before or "#" in before:
        return f"{scheme}://…"
    return f"{scheme}://{'…@' if at else ''}" + re.sub(r"(?s)([?#]).*", r"\1…", place)


class TrackerError(Exception):
    """An error that is reported in one line, with a hint about what to do.

    ``place`` says where (a path, ``path:line``, a session's id), ``hint`` what to do next.
    """

    exit_code = 3

    def __init__(self, message: str, *, place: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class UsageError(TrackerError):
    exit_code = 2


class LogError(UsageError):
    pass


class RulesError(UsageError):
    """``word`` is the name at fault, as it stands in the file; ``entry`` the ``[[table]]``: its name, its number, how many there are."""

    word: str = ""
    entry: tuple[str, int, int] | None = None


class KeyFileError(UsageError):
    pass


class NotFoundError(TrackerError):
    exit_code = 2


class StoreError(TrackerError):
    exit_code = 3


class StoreMissingError(StoreError):
    pass


class StoreVersionError(StoreError):
    pass


class StoreDamagedError(StoreError):
    pass
