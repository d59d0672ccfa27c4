"""What a log is packed in: gzip, zstd or zip, recognised by its first bytes and not by its name.

A zip may hold several files: they are read one after the other, each from the beginning of a line.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

from tracker.delivery.opening import BOM
from tracker.errors import LogError

if TYPE_CHECKING:
    from zipfile import ZipFile

__all__ = ["CHUNK", "UNPACKING", "begun", "unpacked"]

CHUNK = 1 << 18
"""Bytes that are read at once."""
_STEP = 1 << 10
"""Packed bytes that are unpacked at once: zstd makes at most 32 MiB of them."""
_TELLING = 8
"""Bytes that tell what a log is packed in."""
_GZIP, _ZSTD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_OTHERS = {
    _ZIP: "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PAR1": "Parquet",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
UNPACKING = (EOFError, zlib.error, OSError)
"""What reading a file may raise that breaks off or is damaged."""


def unpacked(packed: Iterator[bytes], name: str, seekable: IO[bytes] | None, *, grows: bool) -> Iterator[bytes]:
    """The text of a log, however it is packed.

    ``seekable`` is the file itself, where one can go back in it. Raises ``LogError`` where it is no text, or packed
    though it ``grows``.
    """
    chunks = begun(packed)
    begin = next(chunks, b"")
    unpack: Callable[[Iterator[bytes]], Iterator[bytes]] | None = None
    if begin.startswith(_GZIP):
        unpack = _gunzip
    elif begin.startswith(_ZSTD):
        unpack = _unzstd
    elif begin.startswith(_ZIP) and seekable is not None:
        archive = seekable
        unpack = lambda _: _unzip(archive, name)  # noqa: E731 - a closure of one line
    if unpack is not None and grows:
        raise LogError("is packed", place=name, hint="leave out --follow: it is for a log that is written to")
    if unpack is not None:
        chunks = begun(unpack(chain([begin], chunks)))
        begin = next(chunks, b"")
    _refuse_binary(begin, name)
    if text := begin.removeprefix(BOM):
        yield text
    yield from chunks


def begun(chunks: Iterator[bytes], telling: int = _TELLING) -> Iterator[bytes]:
    """The same chunks, the first of them long enough to tell what it is, if there is that much."""
    begin = b""
    for chunk in chunks:
        begin += chunk
        if len(begin) >= telling:
            break
    yield begin
    yield from chunks


def _refuse_binary(begin: bytes, name: str) -> None:
    kind = next((kind for magic, kind in _OTHERS.items() if begin.startswith(magic)), "")
    if not kind and b"\x00" not in begin[:1024]:
        return
    hint = "give text in UTF-8, plain, gzip, zstd or zip"
    if kind == "zip":
        hint = "a zip cannot be read from a pipe: give its file, or unpack it (unzip -p)"
    raise LogError(f"is {kind or 'binary'}, not JSON lines", place=name, hint=hint)


class _Reader:
    """Chunks as a file that can be read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int) -> bytes:
        rest = self._rest or next(filter(None, self._chunks), b"")
        given, self._rest = rest[:size], rest[size:]
        return given


def _gunzip(packed: Iterator[bytes]) -> Iterator[bytes]:
    import gzip  # as zip below, few logs need it

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


def _unzip(file: IO[bytes], name: str) -> Iterator[bytes]:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(file) as archive:
            yield from _members(archive, name)
    except BadZipFile as error:
        raise OSError(str(error)) from error


def _members(archive: ZipFile, name: str) -> Iterator[bytes]:
    """The files of a zip, in its order."""
    for one in archive.infolist():
        if one.is_dir() or one.filename.startswith("__MACOSX/"):
            continue
        if one.flag_bits & 1:
            hint = "unpack it with its password, and give what is in it"
            raise LogError(f"holds {one.filename}, which is encrypted", place=name, hint=hint)
        with _member(archive, one) as member:
            last = b"\n"
            inside = f"{name}/{one.filename}"
            for chunk in unpacked(iter(lambda: member.read1(CHUNK), b""), inside, None, grows=False):
                yield chunk
                last = chunk[-1:]
        if last != b"\n":
            yield b"\n"


def _member(archive: ZipFile, one: Any) -> Any:
    try:
        return archive.open(one)
    except NotImplementedError as error:  # a method of packing that Python does not know
        raise OSError(f"{one.filename}: {error}") from error
