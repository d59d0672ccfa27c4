"""One line of a log, and where a line begins and ends in a stream of bytes.

No webhook is longer than ``MAX_LINE``, and of a longer line only the beginning is kept. Our own
envelope may make more of a body than it had as a line: so a line that is what ``envelope.encode``
writes, around a body that is not too long, is read up to ``MAX_ENVELOPE``. Thus what was read once is
read again from an export.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, tzinfo
from itertools import count

import msgspec
from msgspec.structs import replace

from tracker.delivery import envelope
from tracker.delivery.envelope import UNREADABLE, Received
from tracker.errors import LogError
from tracker.intake.packing import UNPACKING

__all__ = [
    "KEPT",
    "MAX_ENVELOPE",
    "MAX_LINE",
    "PAUSE",
    "Beside",
    "Element",
    "Line",
    "bounded",
    "breaks_off",
    "broken_off",
    "split",
]

MAX_LINE = 1 << 20
"""Bytes of a line; no webhook is longer."""
MAX_ENVELOPE = 8 * MAX_LINE
"""Bytes of a line of an export; what was one byte in a log has at most six there."""
KEPT = 1024
"""Bytes that are kept of a longer one."""

_json = msgspec.json.Decoder()


_PYTHON_BEGINS = re.compile(rb"\{\s*'").match


class Line(msgspec.Struct, gc=False):  # nothing in it can refer to it
    """One line, without its end; or what is as good as one (``Element``).

    Attributes:
        number: Its place in the log, from 1.
        text: What it says.
        ended: Whether it is known to be whole.
        too_long: Its size where it is too long; ``text`` is then its beginning.
    """

    number: int
    text: bytes
    ended: bool = True
    too_long: int = 0

    @property
    def at(self) -> int:
        """The line of the file in which it begins, from 1."""
        return self.number

    @property
    def blank(self) -> bool:
        return not self.text.strip() and not self.too_long

    def received(self, source: str, zone: tzinfo = UTC) -> Received:
        """What it holds, with where it stood."""
        if self.too_long:
            return Received(self.text, source=source, cut_from=self.too_long)
        return envelope.decode(self.text, source, zone)

    @property
    def cut(self) -> bool:
        """Whether it breaks off inside JSON, or Python's repr of it: its writer has not finished it, or never will."""
        if self.ended:
            return False
        begin = self.text.find(b"{")
        if begin < 0 or not _PYTHON_BEGINS(self.text, begin):
            return begin >= 0 and breaks_off(self.text[begin:])
        from tracker.delivery.opening import from_python  # few logs need it

        return from_python(self.text[begin:].decode(errors="replace")) is None


class Element(Line, gc=False):
    """What is as good as a line: an element of an array, a row of a table, an object over several lines.

    Attributes:
        begins_at: The line of the file in which it begins.
        is_unfinished: Whether it is known to be only the beginning of one.
    """

    begins_at: int = 0
    is_unfinished: bool = False

    @property
    def at(self) -> int:
        return self.begins_at

    @property
    def cut(self) -> bool:
        return self.is_unfinished or super().cut

    @classmethod
    def of(cls, line: Line, begins_at: int) -> Element:
        return cls(line.number, line.text, line.ended, line.too_long, begins_at)


class Beside(Line, gc=False):
    """A line between the webhooks of a text. It holds none, and delivers nothing."""

    @property
    def blank(self) -> bool:
        return True

    @classmethod
    def of(cls, line: Line) -> Beside:
        return cls(line.number, line.text, line.ended)


PAUSE = Line(0, b"")
"""In place of a line: nothing more is there for now. Only logs that grow (``tracker.intake.tail``) give it."""


def breaks_off(text: bytes) -> bool:
    """Whether a text is the beginning of JSON, and not all of it."""
    try:
        envelope.decode_json(_json, text)
    except UNREADABLE as error:
        reason = str(error)
        return "truncated" in reason or f"invalid number (byte {len(text)})" in reason
    return False


def broken_off(error: Exception, number: int, name: str) -> LogError:
    """The error of a log that cannot be unpacked behind a line."""
    reason = "breaks off" if isinstance(error, EOFError) else f"cannot be read any further: {error}"
    hint = "all lines before that were read; fetch the whole file and run it again"
    return LogError(f"{reason} after line {number}", place=name, hint=hint)


def split(chunks: Iterator[bytes], name: str) -> Iterator[Line]:
    """The lines of a text. Where a chunk is empty there is a pause. Raises ``LogError`` where it cannot be unpacked."""
    number, rest, dropped = 0, bytearray(), 0
    try:
        for chunk in chunks:
            if not chunk:
                yield PAUSE
                continue
            first, *more = chunk.split(b"\n")
            if dropped:
                dropped += len(first)
            else:
                rest += first
            if more:
                number += 1
                yield bounded(number, bytes(rest), dropped)
                rest, dropped = bytearray(more.pop()), 0
                is_simple = b"\r" not in chunk and max(map(len, more), default=0) <= MAX_LINE
                yield from map(Line if is_simple else bounded, count(number + 1), more)
                number += len(more)
            if not dropped and len(rest) > MAX_ENVELOPE:
                rest, dropped = rest[:KEPT], len(rest)
    except UNPACKING as error:
        raise broken_off(error, number, name) from error
    if rest or dropped:
        yield replace(bounded(number + 1, bytes(rest), dropped), ended=False)


def bounded(number: int, text: bytes, size: int = 0) -> Line:
    """A line, of which only the beginning is kept where it is too long; ``size`` is then its size, if that is known."""
    if size or (len(text) > MAX_LINE and not _is_exported(text)):
        return Line(number, text[:KEPT], too_long=size or len(text))
    return Line(number, text.removesuffix(b"\r"))


def _is_exported(text: bytes) -> bool:
    """Whether a line is an envelope just as we write it."""
    found = envelope.decode(text.removesuffix(b"\r"))
    return len(found.body) <= MAX_LINE and envelope.encode(found) == text.removesuffix(b"\r")
