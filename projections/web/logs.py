"""One line an event on stderr, in logfmt, and of a flood one line a second.

    time=2026-11-23T10:04:02.000Z level=warning event="request failed" path=/webhooks status=401 more=311

``more`` is how many like it were left out since the last one; like it are those with the same event,
status and reason. No line holds a body, or an exception's text, which could quote one.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from datetime import UTC, datetime
from time import monotonic
from traceback import extract_tb
from typing import IO, Any

APART = 1.0
"""Seconds between two lines that are alike."""
KINDS = 1000
"""Kinds of lines that are counted separately."""

_BARE = re.compile(r"[\w./:+@-]+", re.ASCII)
_Kind = tuple[Any, ...]


def start(stream: IO[str] | None = None) -> Handler:
    """Sends what this program and its server log to stderr."""
    handler = Handler(stream or sys.stderr)
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.WARNING
    return handler


class Handler(logging.Handler):
    """Writes lines. ``flush_floods`` counts those left out that no later line has counted."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream = stream
        self._last: dict[_Kind, float] = {}
        self._more: Counter[_Kind] = Counter()
        self._latest: dict[_Kind, logging.LogRecord] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind, now = _kind(record), monotonic()
        if now - self._last.get(kind, -APART) < APART:
            self._more[kind] += 1
            self._latest[kind] = record
            return
        if len(self._last) >= KINDS:
            self._last.clear()
        self._last[kind] = now
        self._write(record, self._more.pop(kind, 0))
        self._latest.pop(kind, None)

    def flush_floods(self, *, over: bool = False) -> None:
        """Writes a line for each kind of which some were left out a while ago, or at all if it is ``over``."""
        with self.lock:  # type: ignore[union-attr]  # there is one, since the handler was made
            for kind in list(self._latest):
                if over or monotonic() - self._last.get(kind, 0) >= APART:
                    self._last[kind] = monotonic()
                    self._write(self._latest.pop(kind), self._more.pop(kind) - 1)

    def _write(self, record: logging.LogRecord, more: int) -> None:
        try:
            self._stream.write(line(record, more) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any more, which must not keep us from storing
            pass


def line(record: logging.LogRecord, more: int = 0) -> str:
    """A record in logfmt."""
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    fields: dict[str, Any] = {
        "time": time.removesuffix("+00:00") + "Z",
        "level": record.levelname.lower(),
        "event": record.getMessage().strip(),
        **getattr(record, "fields", {}),
        **(_raised(record.exc_info[1]) if record.exc_info and record.exc_info[1] else {}),
        "more": more or "",
    }
    return " ".join(f"{name}={_value(value)}" for name, value in fields.items() if value != "")


def _kind(record: logging.LogRecord) -> _Kind:
    fields = getattr(record, "fields", {})
    return record.name, record.msg, fields.get("status"), fields.get("reason"), fields.get("error")


def _raised(error: BaseException) -> dict[str, str]:
    """Which error, and where it was raised; not what it says."""
    where = extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "at": f"{where[-1].filename.rpartition('/')[2]}:{where[-1].lineno}" if where else "",
    }


def _value(value: object) -> str:
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value))
    if _BARE.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
