"""Reading logs: where a line begins and ends, whatever the file is packed in.

A log is JSON lines, plain, gzip or zstd (told by their first bytes, not by the name), or ``-`` for
standard input. Lines are numbered from 1 and blank ones count, so a number is where an editor shows
it. What makes a log unreadable raises ``LogError`` after every line before it has been given.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import attrs
import msgspec

from tracker import envelope
from tracker.envelope import UNREADABLE, Received
from tracker.errors import LogError
from tracker.webhook import MALFORMED, Delivery

STDIN = "-"
MAX_LINE = 1 << 20
"""Bytes of a line; no webhook is longer."""
KEPT = 1024
"""Bytes that are kept of a longer one."""

_CHUNK = 1 << 18
_BOM = b"\xef\xbb\xbf"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_OTHERS = {
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_json = msgspec.json.Decoder()


@attrs.define
class Line:
    """One line, without its end. Where it is too long, ``too_long`` is its size and ``text`` its beginning."""

    number: int
    text: bytes
    ended: bool = True
    too_long: int = 0

    @property
    def blank(self) -> bool:
        return not self.text.strip() and not self.too_long

    def received(self, source: str) -> Received:
        """What it holds, with where it stood."""
        if self.too_long:
            return Received(self.text, source=source, cut_from=self.too_long)
        return envelope.decode(self.text, source)

    @property
    def cut(self) -> bool:
        """Whether it breaks off inside JSON: its writer has not finished it, or never will."""
        if self.ended or not self.text.lstrip().startswith(b"{"):
            return False
        try:
            _json.decode(self.text)
        except UNREADABLE as error:
            reason = str(error)
            return "truncated" in reason or f"invalid number (byte {len(self.text)})" in reason
        return False


@attrs.define
class Oddity:
    """How many lines of a log are odd in one way, and the first of them."""

    count: int = 0
    first: int = 0
    example: str = ""

    def add(self, line: int, example: str) -> None:
        if not self.count:
            self.first, self.example = line, example
        self.count += 1


@attrs.define
class Oddities:
    """What in a log deserves a word to whoever reads it in, though nothing of it is an error."""

    deliveries: int = 0
    malformed: Oddity = attrs.field(factory=Oddity)
    untyped: Oddity = attrs.field(factory=Oddity)
    timeless: Oddity = attrs.field(factory=Oddity)
    unread_time: Oddity = attrs.field(factory=Oddity)

    def look_at(self, delivery: Delivery, line: int) -> None:
        self.deliveries += 1
        if delivery.unrouted == MALFORMED:
            self.malformed.add(line, delivery.problem)
        elif delivery.type is None:
            self.untyped.add(line, delivery.problem)
        if delivery.received.unread_time is not None:
            self.unread_time.add(line, delivery.received.unread_time)
        elif delivery.received_at is None and delivery.type is not None:
            self.timeless.add(line, "")


@attrs.define(eq=False)
class Log:
    """One log to read. ``size`` and ``consumed`` are bytes of the file as it is on disk."""

    path: str
    size: int = 0
    consumed: int = 0

    def __attrs_post_init__(self) -> None:
        if self.path == STDIN:
            return
        file = Path(self.path)
        if file.is_dir():
            raise LogError("is a directory", place=self.path, hint=f"name the logs in it: {self.path}/*.jsonl")
        try:
            self.size = file.stat().st_size
            file.open("rb").close()
        except FileNotFoundError as error:
            raise LogError("there is no such file", place=self.path, hint="check the path") from error
        except OSError as error:
            raise LogError(
                f"cannot be read: {error.strerror}", place=self.path, hint="check its permissions"
            ) from error

    @property
    def name(self) -> str:
        return "stdin" if self.path == STDIN else self.path

    def lines(self) -> Iterator[Line]:
        """Its lines in order. Raises ``LogError`` where it cannot be read any further."""
        with _open(self.path) as file:
            yield from self._lines(file)

    def _lines(self, file: IO[bytes]) -> Iterator[Line]:
        number, rest, dropped = 0, b"", 0
        chunks = self._chunks(file)
        try:
            for chunk in chunks:
                first, *more = chunk.split(b"\n")
                if dropped:
                    dropped += len(first)
                else:
                    rest += first
                for following in more:
                    number += 1
                    yield _line(number, rest, dropped)
                    rest, dropped = following, 0
                if not dropped and len(rest) > MAX_LINE:
                    rest, dropped = rest[:KEPT], len(rest)
        except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
            reason = "breaks off" if isinstance(error, EOFError) else f"cannot be read any further: {error}"
            raise LogError(
                f"{reason} after line {number}",
                place=self.name,
                hint="all lines before that were read; fetch the whole file and run it again",
            ) from error
        if rest or dropped:
            yield attrs.evolve(_line(number + 1, rest, dropped), ended=False)

    def _chunks(self, file: IO[bytes]) -> Iterator[bytes]:
        begin = file.read(_CHUNK) if self.path != STDIN else _read_available(file)
        self.consumed += len(begin)
        if begin.startswith(_GZIP):
            yield from self._unpacked(_Joined(begin, file, self), _gunzip)
        elif begin.startswith(_ZSTD):
            yield from self._unpacked(_Joined(begin, file, self), _unzstd)
        else:
            self._refuse_binary(begin)
            yield begin.removeprefix(_BOM)
            while chunk := _read_available(file):
                self.consumed += len(chunk)
                yield chunk

    def _unpacked(self, file: _Joined, unpack: Callable[[_Joined], Iterator[bytes]]) -> Iterator[bytes]:
        chunks = unpack(file)
        for first in chunks:
            self._refuse_binary(first)
            yield first.removeprefix(_BOM)
            break
        yield from chunks

    def _refuse_binary(self, begin: bytes) -> None:
        kind = next((kind for magic, kind in _OTHERS.items() if begin.startswith(magic)), "")
        if kind or b"\x00" in begin[:1024]:
            raise LogError(
                f"is {kind or 'binary'}, not JSON lines",
                place=self.name,
                hint="give JSON lines in UTF-8, plain, gzip or zstd",
            )


class _Joined:
    """A file whose first bytes have been read already."""

    def __init__(self, begin: bytes, file: IO[bytes], log: Log) -> None:
        self._begin, self._file, self._log = begin, file, log

    def read(self, size: int = _CHUNK) -> bytes:
        if self._begin:
            begin, self._begin = self._begin[:size], self._begin[size:]
            return begin
        chunk = self._file.read(size)
        self._log.consumed += len(chunk)
        return chunk


def _gunzip(file: _Joined) -> Iterator[bytes]:
    unpacked = gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[call-overload]
    while chunk := unpacked.read1(_CHUNK):
        yield chunk


def _unzstd(file: _Joined) -> Iterator[bytes]:
    import zstandard

    unpacker: Any = None
    packed = b""
    try:
        while packed or (packed := file.read()):
            unpacker = unpacker or zstandard.ZstdDecompressor().decompressobj()
            if chunk := unpacker.decompress(packed):
                yield chunk
            packed = b""
            if unpacker.eof:
                packed, unpacker = unpacker.unused_data, None
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from error
    if unpacker is not None:
        raise EOFError("the last frame is not complete")


def _line(number: int, text: bytes, dropped: int) -> Line:
    size = dropped or len(text)
    if size > MAX_LINE:
        return Line(number, text[:KEPT], too_long=size)
    return Line(number, text[:-1] if text.endswith(b"\r") else text)


def _open(path: str) -> IO[bytes]:
    return sys.stdin.buffer if path == STDIN else Path(path).open("rb")


def _read_available(file: Any) -> bytes:
    chunk: bytes = file.read1(_CHUNK)
    return chunk
