"""Reading logs: where a line begins and ends, whatever the file is packed in.

A log is JSON lines, plain, gzip or zstd (recognised by their first bytes, not by the name), or ``-`` for
standard input. Lines are numbered from 1 and blank ones count, so a number is where an editor shows
it. What makes a log unreadable raises ``LogError`` after every line before it has been given.

No webhook is longer than ``MAX_LINE``, and of a longer line only the beginning is kept. Our own
envelope may make more of a body than it had as a line: so a line that is what ``envelope.encode``
writes, around a body that is not too long, is read up to ``MAX_ENVELOPE``. Thus what was read once is
read again from an export.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

import attrs
import msgspec

from tracker.delivery import envelope
from tracker.delivery.envelope import UNREADABLE, UNVERIFIED, Received
from tracker.delivery.times import NO_ZONE, local
from tracker.delivery.unwrap import Fields, find
from tracker.delivery.webhook import MALFORMED, Delivery, ReadAs, parse
from tracker.errors import LogError

if TYPE_CHECKING:  # who has no keys needs not wait for what verifies
    from tracker.delivery.signature import Keyring

STDIN = "-"
MAX_LINE = 1 << 20
"""Bytes of a line; no webhook is longer."""
MAX_ENVELOPE = 8 * MAX_LINE
"""Bytes of a line of an export; what was one byte in a log has at most six there."""
KEPT = 1024
"""Bytes that are kept of a longer one."""

CHUNK = 1 << 18
"""Bytes that are read at once."""
_STEP = 1 << 10
"""Packed bytes that are unpacked at once: zstd makes at most 32 MiB of them."""
_TELLING = 8
"""Bytes that tell what a log is packed in."""
MOST_BESIDE = 48
"""Bytes that a webhook has beside its type and its data; where there are more, a time may be among them."""
USUAL = Fields()
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
_UNPACKING = (EOFError, zlib.error, gzip.BadGzipFile, OSError)
"""What reading a file may raise that breaks off or is damaged."""


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

    def received(self, source: str, zone: tzinfo = UTC) -> Received:
        """What it holds, with where it stood."""
        if self.too_long:
            return Received(self.text, source=source, cut_from=self.too_long)
        return envelope.decode(self.text, source, zone)

    @property
    def cut(self) -> bool:
        """Whether it breaks off inside JSON: its writer has not finished it, or never will."""
        if self.ended or not self.text.lstrip().startswith(b"{"):
            return False
        try:
            envelope.decode_json(_json, self.text)
        except UNREADABLE as error:
            reason = str(error)
            return "truncated" in reason or f"invalid number (byte {len(self.text)})" in reason
        return False


PAUSE = Line(0, b"")
"""In place of a line: nothing more is there for now. Only logs that grow (``tracker.intake.tail``) give it."""


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
    zoneless: Oddity = attrs.field(factory=Oddity)
    unclear: Oddity = attrs.field(factory=Oddity)
    shapes: dict[str, int] = attrs.field(factory=dict)
    """How many lines were read in each shape, in words."""

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
        if delivery.read_as is not None:
            self._look_at_shape(delivery.read_as, line)

    def _look_at_shape(self, read_as: ReadAs, line: int) -> None:
        if read_as.is_zoneless:
            self.zoneless.add(line, "")
        if read_as.problem:
            self.unclear.add(line, read_as.problem)
        if read_as.webhook:
            time = f"time in {read_as.time}" if read_as.time else "no time"
            shape = f"webhook in {read_as.webhook}, {time}" + (f" ({read_as.name})" if read_as.name else "")
            self.shapes[shape] = self.shapes.get(shape, 0) + 1


@attrs.define(eq=False)
class Log:
    """One log to read. ``size`` and ``consumed`` are bytes of the file as it is on disk.

    With ``keys``, the signatures that its lines have kept are verified. Receive times that name no zone are in
    ``zone``; ``fields`` says where webhook and time are, if they are not where they would be found.
    """

    grows: ClassVar[bool] = False
    """Whether it is a file that is written to while it is read."""

    path: str
    keys: Keyring | None = None
    zone: tzinfo = UTC
    fields: Fields = USUAL
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
            if file.is_file():  # the writer of a pipe would take the end of our look for the end of us
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

    def anew(self) -> Log:
        """The same log, to look at what it holds before it is read."""
        return Log(self.path, zone=self.zone, fields=self.fields)

    def delivery(self, line: Line, position: int) -> Delivery:
        """What one of its lines delivers, at a position."""
        source = f"{self.name}:{line.number}"
        delivery = parse(line.received(source, NO_ZONE), position)
        if not _is_plain(delivery, line) or self.fields != USUAL:
            delivery = self._unwrapped(delivery, line, source)
        if delivery.received_at is not None and delivery.received_at.tzinfo is NO_ZONE:
            self._give_zone(delivery, delivery.received_at)
        received = delivery.received
        if self.keys and received.signature is not None and received.body is not line.text:
            verified_by = self.keys.verify(received.body, received.signature) or UNVERIFIED
            delivery.received = attrs.evolve(received, verified_by=verified_by)
        return delivery

    def _unwrapped(self, plain: Delivery, line: Line, source: str) -> Delivery:
        """What a line delivers that is no plain one; ``plain`` is what it delivers as one."""
        received = plain.received
        if line.too_long or (received.source != source and envelope.encode(received) == line.text):
            return plain  # it was stored as it is
        found = find(line.text, self.fields)
        if found.problem:
            plain.problem, plain.read_as = found.problem, ReadAs(problem=found.problem)
        if found.body is None or (found.body == received.body and found.at == received.received_at):
            return plain
        received = Received(found.body, found.at, source, None, found.unread, signature=found.signature)
        delivery = parse(received, plain.position)
        delivery.read_as = ReadAs(found.webhook, found.time, found.name)
        return delivery

    def _give_zone(self, delivery: Delivery, time: datetime) -> None:
        """Gives a receive time that names no zone that of the log."""
        at, unread = local(time, self.zone), None
        if at is None:
            unread = f"{time.replace(tzinfo=None).isoformat(' ')}, which is no moment in {self.zone}, or two"
        delivery.received = attrs.evolve(delivery.received, received_at=at, unread_time=unread)
        delivery.received_at = at
        delivery.read_as = attrs.evolve(delivery.read_as or ReadAs(), is_zoneless=True)

    def count(self) -> int:
        """How many lines a file has, as far as it can be read; where it has been read is not changed."""
        log, count, last = Log(self.path), 0, b"\n"
        with suppress(LogError, *_UNPACKING), _open(self.path) as file:
            for chunk in log._chunks(file):
                count, last = count + chunk.count(b"\n"), chunk[-1:]
            count += last != b"\n"  # the last line has no end
        return count

    def lines(self) -> Iterator[Line]:
        """Its lines in order. Raises ``LogError`` where it cannot be read any further."""
        try:
            file = _open(self.path)
        except OSError as error:
            raise LogError(
                f"cannot be read: {error.strerror}", place=self.path, hint="check its permissions"
            ) from error
        with file:
            yield from self._lines(file)

    def _lines(self, file: IO[bytes]) -> Iterator[Line]:
        number, rest, dropped = 0, bytearray(), 0
        chunks = self._chunks(file)
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
                    yield _line(number, bytes(rest), dropped)
                    rest, dropped = bytearray(more.pop()), 0
                    for text in more:
                        number += 1
                        yield _line(number, text, 0)
                if not dropped and len(rest) > MAX_ENVELOPE:
                    rest, dropped = rest[:KEPT], len(rest)
        except _UNPACKING as error:
            reason = "breaks off" if isinstance(error, EOFError) else f"cannot be read any further: {error}"
            raise LogError(
                f"{reason} after line {number}",
                place=self.name,
                hint="all lines before that were read; fetch the whole file and run it again",
            ) from error
        if rest or dropped:
            yield attrs.evolve(_line(number + 1, bytes(rest), dropped), ended=False)

    def _chunks(self, file: IO[bytes]) -> Iterator[bytes]:
        chunks = _begun(self._packed(file))
        begin = next(chunks, b"")
        unpack = _gunzip if begin.startswith(_GZIP) else _unzstd if begin.startswith(_ZSTD) else None
        if unpack is not None and self.grows:
            hint = "leave out --follow: it is for a log that is written to"
            raise LogError("is packed", place=self.name, hint=hint)
        if unpack is not None:
            chunks = _begun(unpack(chain([begin], chunks)))
            begin = next(chunks, b"")
        self._refuse_binary(begin)
        if text := begin.removeprefix(_BOM):
            yield text
        yield from chunks

    def _packed(self, file: Any) -> Iterator[bytes]:
        """What the file holds, as it comes: a pipe may be slow. An empty chunk is a pause."""
        while chunk := file.read1(CHUNK):
            self.consumed += len(chunk)
            yield chunk

    def _refuse_binary(self, begin: bytes) -> None:
        kind = next((kind for magic, kind in _OTHERS.items() if begin.startswith(magic)), "")
        if kind or b"\x00" in begin[:1024]:
            raise LogError(
                f"is {kind or 'binary'}, not JSON lines",
                place=self.name,
                hint="give JSON lines in UTF-8, plain, gzip or zstd",
            )


def _is_plain(one: Delivery, line: Line) -> bool:
    """Whether a line is a webhook or an envelope, with a receive time if it could have one."""
    if one.lifecycle is None and (not one.said or b'"webhookType"' in one.data):
        return False
    if one.received_at is not None:
        return True
    others = len(line.text) - len(one.data) - len(one.type or "")
    return one.received.body is line.text and others < MOST_BESIDE


class _Reader:
    """Chunks as a file that can be read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int) -> bytes:
        rest = self._rest or next(filter(None, self._chunks), b"")
        given, self._rest = rest[:size], rest[size:]
        return given


def _begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, the first of them long enough to tell what it is, if there is that much."""
    begin = b""
    for chunk in chunks:
        begin += chunk
        if len(begin) >= _TELLING:
            break
    yield begin
    yield from chunks


def _gunzip(packed: Iterator[bytes]) -> Iterator[bytes]:
    unpacked = gzip.GzipFile(fileobj=_Reader(packed), mode="rb")  # type: ignore[call-overload]
    while chunk := unpacked.read1(CHUNK):
        yield chunk


def _unzstd(packed: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    file, unpacker = _Reader(packed), None
    rest = b""
    try:
        while rest or (rest := file.read(_STEP)):
            unpacker = unpacker or zstandard.ZstdDecompressor().decompressobj()
            if chunk := unpacker.decompress(rest):
                yield chunk
            rest = b""
            if unpacker.eof:
                rest, unpacker = unpacker.unused_data, None
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from error
    if unpacker is not None:
        raise EOFError("the last frame is not complete")


def _line(number: int, text: bytes, dropped: int) -> Line:
    if dropped or (len(text) > MAX_LINE and not _is_exported(text)):
        return Line(number, text[:KEPT], too_long=dropped or len(text))
    return Line(number, text.removesuffix(b"\r"))


def _is_exported(text: bytes) -> bool:
    """Whether a line is an envelope just as we write it."""
    found = envelope.decode(text.removesuffix(b"\r"))
    return len(found.body) <= MAX_LINE and envelope.encode(found) == text.removesuffix(b"\r")


def _open(path: str) -> IO[bytes]:
    return sys.stdin.buffer if path == STDIN else Path(path).open("rb")
