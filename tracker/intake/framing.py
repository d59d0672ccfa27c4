"""What one line of a log is, where the file is no lines of JSON: elements of an array, objects over several lines,
objects without a line end between them, rows of a table.

THE PROBLEM. Whoever exports from a log store gets one document with an array in it, pretty or not, which may be
larger than memory; whoever exports from a database gets a table. ``Line`` is what everything behind this knows.

THE IDEA. How a file is framed is decided by its beginning, once, and never changes in it: so the lines of a file that
has grown are the same lines. A stream of JSON is cut where brackets close, without being parsed. An array at its top is
unrolled, and the arrays in which exports hold their lines (``shapes.BATCHES``). A row becomes an object with the
names of the header.

A text with webhooks in it, as the log of a web application, has other lines between them (``Beside``).

WHAT FOLLOWS. Only what is not yet whole is in memory. Each line knows in which line of the file it begins, and what
is broken goes as far as the next line that begins as this one did; it is kept, and the lines behind it are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Protocol

import msgspec

from tracker.delivery.shapes import BATCHES
from tracker.delivery.unwrap import find
from tracker.errors import LogError
from tracker.intake.lines import MAX_LINE, PAUSE, Beside, Line, breaks_off, broken_off, split
from tracker.intake.packing import UNPACKING
from tracker.intake.table import Table, header_of
from tracker.intake.values import Values

__all__ = ["counted", "framed"]

LOOK = 1 << 16
"""Bytes by which a file is known, if its first lines are longer."""
_SPACE = b" \t\r\n"
_BATCH_BEGINS = re.compile(rb'"(?:%s)"\s*:\s*[\[{]' % b"|".join(way[0].encode() for way in BATCHES))
_json = msgspec.json.Decoder()


class _Framing(Protocol):
    """Cuts what comes into lines."""

    def feed(self, chunk: bytes, /) -> Iterator[Line]: ...
    def end(self) -> Iterator[Line]:
        """What is left where the file ends. Raises ``LogError`` where it breaks off."""


def framed(
    chunks: Iterator[bytes], name: str, is_over: Callable[[], bool] = lambda: True
) -> tuple[bool, Iterator[Line]]:
    """Whether a text is plain lines, and the lines of it, however it is framed.

    Where no chunk comes any more, but the text is not over, it may go on later: then what is not yet whole is left.
    Raises ``LogError``, there and later, where the text cannot be unpacked or breaks off.
    """
    try:
        framing, chunks = _recognised(chunks, name)
    except UNPACKING as error:
        raise broken_off(error, 0, name) from error
    return framing is None, _of_text(split(chunks, name)) if framing is None else _fed(
        framing, chunks, name, is_over
    )


def _of_text(lines: Iterator[Line]) -> Iterator[Line]:
    """The same lines. Where the first webhook stands behind other text, those that hold none are ``Beside`` it.

    What comes before that one waits for it, so far as it is not longer than a webhook.
    """
    first, size, is_text, error = list[Line](), 0, False, None
    try:
        for line in lines:
            if line is PAUSE:
                yield line
                continue
            first.append(line)
            size += len(line.text)
            is_json = line.text.lstrip().startswith((b"{", b'"{'))
            is_text = not is_json and find(line.text).body is not None
            if is_json or is_text or size > MAX_LINE:
                break
    except LogError as caught:
        error = caught
    is_text = is_text and b"{" in first[-1].text
    yield from map(_beside, chain(first, lines)) if is_text else chain(first, lines)
    if error is not None:
        raise error


def _beside(line: Line) -> Line:
    is_beside = not (line.blank or line.too_long or b"{" in line.text or find(line.text).body is not None)
    return Beside.of(line) if is_beside else line


def counted(chunks: Iterator[bytes], name: str) -> int:
    """How many lines a text has, as far as it can be unpacked: one that breaks off is none. Never raises."""
    count, last = 0, b"\n"
    with suppress(LogError, *UNPACKING):
        framing, chunks = _recognised(chunks, name)
        if framing is not None:
            for _ in _fed(framing, chunks, name, lambda: True):
                count += 1
            return count
        for chunk in chunks:
            count, last = count + chunk.count(b"\n"), chunk[-1:]
        return count + (last != b"\n")  # the last line has no end
    return count


def _fed(framing: _Framing, chunks: Iterator[bytes], name: str, is_over: Callable[[], bool]) -> Iterator[Line]:
    number = 0
    try:
        for chunk in chunks:
            if not chunk:
                yield PAUSE
            for line in framing.feed(chunk):
                number = line.number
                yield line
    except UNPACKING as error:
        raise broken_off(error, number, name) from error
    if is_over():
        yield from framing.end()


def _recognised(chunks: Iterator[bytes], name: str) -> tuple[_Framing | None, Iterator[bytes]]:
    """How a text is framed, ``None`` for lines, and the text."""
    begin = b""
    for chunk in chunks:
        begin += chunk
        found = _framings(begin, name, over=len(begin) >= LOOK) if chunk else None
        if found is not None:
            return next(iter(found), None), chain([begin], chunks)
    found = _framings(begin, name, over=True) or ()
    return next(iter(found), None), iter([begin] if begin else [])


def _framings(begin: bytes, name: str, *, over: bool) -> Sequence[_Framing] | None:
    """How a file is framed that begins so: nothing where it is lines, ``None`` where more must be seen."""
    text = begin.lstrip(_SPACE)
    first, ended, rest = text.partition(b"\n")
    if not text or not (ended or over or text[:1] == b"["):
        return () if over else None
    if text[:1] == b"[":
        after = text[1:].lstrip(_SPACE)
        if len(after) < 2 and not over:
            return None
        return [Values(name)] if after[:1] in (b"{", b"[", b"]", b"") or after[:2] == b'"{' else ()
    if text[:1] == b"{":
        return _of_objects(first, rest, name, over=over)
    second, ended, _ = rest.lstrip(_SPACE).partition(b"\n")
    if not (ended or over):
        return None
    header = header_of(first.rstrip(b"\r"), second.rstrip(b"\r"))
    return [Table(*header)] if header is not None else ()


def _of_objects(first: bytes, rest: bytes, name: str, *, over: bool) -> Sequence[_Framing] | None:
    if _BATCH_BEGINS.search(first) and _unrolls(first):
        return [Values(name)]
    if breaks_off(first):
        second, ended, _ = rest.partition(b"\n")
        if not (ended or over):
            return None
        both = first + b"\n" + second
        goes_on = bool(second.strip()) and (breaks_off(both) or _is_whole(both))
        return [Values(name)] if goes_on else ()
    return [Values(name)] if _begins_another(first) else ()


def _unrolls(line: bytes) -> bool:
    """Whether it is a document that holds its lines in an array."""
    values = Values("")
    for _ in values.feed(line):
        pass
    return values.unrolled


def _is_whole(text: bytes) -> bool:
    try:
        _json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _begins_another(line: bytes) -> bool:
    """Whether an object follows another one in the same line."""
    found = list(Values("").feed(line))
    return len(found) > 1 or bool(found and line.rstrip()[len(found[0].text) :].lstrip(b", ")[:1] == b"{")
