"""Cookies of those who logged in: each holds the time at which it expires and is signed with the token.

Nothing is stored of a login. So every server with the same token accepts the cookie, also after a restart, and a new
token invalidates all cookies. A logout is stored, in a file of the data directory, until the cookie expires. Servers
that share the data directory share the file; a server with another data directory does not know of the logout.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest, new
from pathlib import Path
from secrets import token_hex
from time import time

from tracker.store.private import PRIVATE_FILE

ENDED = "ended-logins"
"""The file in the data directory."""
DAYS = 30

log = logging.getLogger("projections.web")


class Logins:
    """The cookies of one token. ``file`` holds the logouts, ``now`` returns seconds since 1970."""

    def __init__(self, token: str, file: Path, now: Callable[[], float] = time) -> None:
        self._key = sha256(b"the pages of meeting-tracker\0" + token.encode()).digest()
        self._file, self._now = file, now
        self._ended: dict[str, int] = {}
        """Name of a cookie that logged out -> when it expires."""
        self._read: object = None

    def begin(self) -> str:
        """A new cookie."""
        name, until = token_hex(16), int(self._now()) + DAYS * 86400
        return f"{name}.{until}.{self._signature(name, until)}"

    def is_open(self, cookie: str) -> bool:
        """Whether the cookie is signed with the token, has not expired and has not logged out."""
        name = self._name(cookie)
        if name is None:
            return False
        self._read_file()
        return name not in self._ended

    def end(self, cookie: str) -> None:
        """Logs a cookie out."""
        if (name := self._name(cookie)) is None:
            return
        self._read_file()
        self._ended[name] = int(cookie.split(".")[1])
        lines = [f"{one} {until}\n" for one, until in self._ended.items() if until > self._now()]
        try:
            self._write("".join(lines))
        except OSError as error:
            fields = {"error": error.strerror or "", "until": "the next start"}
            log.error("a logout is not remembered", extra={"fields": fields})  # noqa: TRY400 - one line says it

    def _name(self, cookie: str) -> str | None:
        """The name of a cookie that is signed and has not expired."""
        name, _, rest = cookie.partition(".")
        until, _, signature = rest.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < 20):
            return None
        if not compare_digest(signature.encode(), self._signature(name, int(until)).encode()):
            return None
        return name if int(until) > self._now() else None

    def _signature(self, name: str, until: int) -> str:
        return new(self._key, f"{name}.{until}".encode(), sha256).hexdigest()

    def _read_file(self) -> None:
        """Reads the file if it has changed."""
        try:
            found = self._file.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp == self._read:
                return
            pairs = [line.split(" ") for line in self._file.read_text("ascii").splitlines()]
            self._ended.update({name: int(until) for name, until in pairs})
            self._read = stamp
        except FileNotFoundError:
            pass
        except (OSError, ValueError):
            log.warning("the logouts cannot be read", extra={"fields": {"file": self._file.name}})

    def _write(self, text: str) -> None:
        beside = self._file.with_name(f"{ENDED}.{token_hex(4)}")
        try:
            beside.touch(PRIVATE_FILE, exist_ok=False)
            with beside.open("w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._file)
        finally:
            beside.unlink(missing_ok=True)
