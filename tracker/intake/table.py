"""Rows of CSV or TSV as lines: each is an object with the names of the header.

Quotes are those of RFC 4180, or escaped by a backslash as MySQL does. A row that has not the cells of the header is
a line as it stands, so that what is in it can still be found. A quote that is never closed would take the rest
of the file: so where a row has not closed all quotes after ``MOST_LINES``, or has then not the cells of the header,
its first line is a line as it stands, and the next one begins a row.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from itertools import islice

import attrs
import msgspec
from msgspec.structs import replace

from tracker.intake.lines import KEPT, MAX_LINE, Element, Line, bounded

__all__ = ["Table", "header_of"]

MOST_LINES = 200
"""Lines of one row."""
DELIMITERS = (b"\t", b",", b";", b"|")
_NAME = re.compile(r"[A-Za-z_@$][\w@.$:-]*( [\w@.$:-]+)*")
_encode = msgspec.json.Encoder().encode


class UnclosedError(Exception):
    """A quote is not closed in this line."""


class Dialect(msgspec.Struct, frozen=True):
    """How cells are written."""

    delimiter: bytes
    quoted: re.Pattern[bytes]
    escaped: re.Pattern[bytes]

    @classmethod
    def of(cls, delimiter: bytes) -> Dialect:
        behind = rb"\s*(?=%s|\Z)" % re.escape(delimiter)
        return cls(
            delimiter,
            re.compile(rb'"((?:[^"]|"")*)"' + behind),
            re.compile(rb'"((?:[^"\\]|\\.|"")*)"' + behind, re.DOTALL),
        )

    def cells(self, row: bytes) -> list[bytes] | None:
        """The cells of a row, ``None`` where its quotes are broken. Raises ``UnclosedError``."""
        if b'"' not in row:
            return row.split(self.delimiter)
        found, place = list[bytes](), 0
        while True:
            if row[place : place + 1] == b'"':
                one = self.quoted.match(row, place)
                if one is not None:
                    found.append(one[1].replace(b'""', b'"'))
                elif (one := self.escaped.match(row, place)) is not None:
                    found.append(re.sub(rb'\\(.)|""', lambda it: it[1] or b'"', one[1]))
                elif row.count(b'"', place) % 2:
                    raise UnclosedError
                else:
                    return None
                place = one.end()
            else:
                end = row.find(self.delimiter, place)
                found.append(row[place : end if end >= 0 else len(row)])
                place = end if end >= 0 else len(row)
            if place >= len(row):
                return found
            place += len(self.delimiter)


def header_of(first: bytes, second: bytes) -> tuple[list[str], Dialect] | None:
    """The names in the first line of a table; ``None`` where it is none."""
    for delimiter in DELIMITERS:
        dialect = Dialect.of(delimiter)
        try:
            names = [name.decode(errors="replace") for name in dialect.cells(first) or ()]
        except UnclosedError:
            continue
        if len(names) < 2 or len(set(names)) < len(names) or not all(map(_NAME.fullmatch, names)):
            continue
        try:
            row = dialect.cells(second)
        except UnclosedError:
            return names, dialect
        if not second or (row is not None and len(row) == len(names)):
            return names, dialect
    return None


@attrs.define
class Table:
    """Cuts a table into lines.

    Attributes:
        names: Of the header.
        dialect: How cells are written.
        number: Of the last line.
        line: The line of the file that the first one of ``waiting`` is.
        waiting: Lines of the file that are not yet a row.
        rest: What has come of the next one, and
        dropped: how much of it was let go of, because it is too long.
    """

    names: list[str]
    dialect: Dialect
    number: int = 0
    line: int = 1
    waiting: deque[bytes] = attrs.field(factory=deque)
    rest: bytes = b""
    dropped: int = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that are whole with this chunk."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            yield from self._take(line)
        self.rest += rest
        if self.dropped or len(self.rest) > MAX_LINE:
            self.dropped += len(rest) if self.dropped else len(self.rest)
            self.rest = self.rest[:KEPT]

    def end(self) -> Iterator[Line]:
        """What is left where the file ends. Its last row may not be all of it."""
        is_ended = not self.rest
        if self.dropped:
            yield from self._take(b"")
        elif self.rest:
            self.waiting.append(self.rest.removesuffix(b"\r"))
        while self.waiting:
            cells, lines = self._first_row()
            is_open = not lines and not self._are_rows(list(islice(self.waiting, 1, None)))
            is_last = not is_ended and len(self.waiting) == max(lines, 1)
            is_short = cells is not None and len(cells) < len(self.names)
            if is_open or (is_last and is_short):
                text = b"\n".join(self.waiting)
                yield replace(self._as_it_stands(text), ended=False, is_unfinished=True)
                return
            for line in self._next(cells, lines):
                yield replace(line, ended=not is_last)

    def _are_rows(self, lines: list[bytes]) -> bool:
        """Whether these are rows, so that a quote before them is not that of a row which goes on."""
        try:
            return bool(lines) and all(len(self.dialect.cells(one) or ()) == len(self.names) for one in lines)
        except UnclosedError:
            return False

    def _take(self, line: bytes) -> Iterator[Line]:
        whole, self.rest = self.rest + line, b""
        if self.dropped or len(whole) > MAX_LINE:
            size, self.dropped = self.dropped + len(line) if self.dropped else len(whole), 0
            yield from self._rows(over=True)
            yield self._as_it_stands(whole, size)
            return
        self.waiting.append(whole.removesuffix(b"\r"))
        yield from self._rows(over=len(self.waiting) > MOST_LINES)

    def _rows(self, *, over: bool) -> Iterator[Line]:
        """The rows of what waits; where it is ``over``, also of what is not yet whole."""
        while self.waiting:
            cells, lines = self._first_row()
            if not lines and not over:
                return
            yield from self._next(cells, lines)

    def _next(self, cells: list[bytes] | None, lines: int) -> Iterator[Line]:
        """The first row of what waits, or its first line."""
        if cells is not None and len(cells) == len(self.names):
            yield from self._row(cells, lines)
        elif self.waiting[0].strip():
            yield self._as_it_stands(self.waiting.popleft())
        else:
            self.waiting.popleft()
            self.line += 1

    def _first_row(self) -> tuple[list[bytes] | None, int]:
        """The cells of the first row, and how many lines it has: none where its quotes are not closed."""
        try:
            return self.dialect.cells(self.waiting[0]), 1
        except UnclosedError:
            quotes = 0
        for lines, text in enumerate(self.waiting, 1):
            quotes += text.count(b'"')
            if lines > 1 and text.count(b'"') % 2 and quotes % 2 == 0:
                try:
                    return self.dialect.cells(b"\n".join(islice(self.waiting, lines))), lines
                except UnclosedError:
                    return None, lines
        return None, 0

    def _row(self, cells: list[bytes], lines: int) -> Iterator[Line]:
        row = b"\n".join(self.waiting.popleft() for _ in range(lines))
        begins_at, self.line = self.line, self.line + lines
        try:
            named = dict(zip(self.names, (cell.decode() for cell in cells), strict=True))
        except UnicodeDecodeError:
            named = {}
        if named and list(named) == list(
            named.values()
        ):  # the header again, of another table behind the first one
            return
        self.number += 1
        yield Element.of(bounded(self.number, _encode(named) if named else row), begins_at)

    def _as_it_stands(self, text: bytes, size: int = 0) -> Element:
        self.number, self.line = self.number + 1, self.line + 1
        return Element.of(bounded(self.number, text, size), self.line - 1)
