"""A stream of JSON cut into lines: where brackets close, and without parsing it.

What stands at the top is a line, or an array, and then each of its elements is one. An object at the top may be a
document that holds its lines in an array (``shapes.BATCHES``); what stands beside that array is no line. An
object that has a webhook itself is never such a document.

A string never goes over the end of a line. So where one is not closed the JSON is broken, and it is given up as far as
the next line that begins with a bracket and is indented no deeper than the one in which it began.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import msgspec
from msgspec.structs import replace

from tracker.delivery.envelope import BODY_NAMES
from tracker.delivery.shapes import BATCHES
from tracker.errors import LogError
from tracker.intake.lines import KEPT, MAX_ENVELOPE, Element, Line, bounded

__all__ = ["Values"]

_STRING = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_TOKEN = re.compile(_STRING + rb'|[{}\[\],:"]|[^\s"{}\[\],:]+')
_BRACKET = re.compile(_STRING + rb'|[{}\[\]"]')
_REST_OF_STRING = re.compile(rb'[^"\\\n]*+(?:\\.[^"\\\n]*+)*+')
_ELEMENT = re.compile(rb'[{\[]|"[{\[]')
_SPACE = re.compile(rb"[ \t\r\n]*")
_INDENT = re.compile(rb"[ \t]*")
_NOT_SEARCHED = frozenset(name.encode() for name in ("webhookType", *BODY_NAMES))
_IS_WEBHOOK = rb'"(?:%b)"' % b"|".join(sorted(_NOT_SEARCHED))
_FIELD = _STRING + rb'\s*+:\s*+(?:%b|[^\s"{}\[\],:]++)\s*+(?:,\s*+)?+' % _STRING
_SEARCHED_IN_VAIN = re.compile(rb"\{\s*+(?:(?!%b)%b)*+(?:%b\s*+:|\})" % (_IS_WEBHOOK, _FIELD, _IS_WEBHOOK))
"""How an object begins in which nothing can hold lines before it is known to be a webhook, or ends."""
_LEVELS = 5
"""Objects and arrays in each other of a value that is found whole; a webhook in an envelope has three, or four."""


def _whole(levels: int) -> bytes:
    """The pattern of an object whose brackets close."""
    found = inside = rb"(?!)"
    for _ in range(levels):
        inside = rb'(?:[^"{}\[\]]++|%b|%b)*+' % (_STRING, found)
        found = rb"\{%b\}|\[%b\]" % (inside, inside)
    return rb"\{%b\}" % inside


_WHOLE = re.compile(_whole(_LEVELS))

Trie = Mapping[bytes, Any]
"""Ways to arrays, by their first name."""


def _trie(ways: Sequence[Sequence[str]]) -> Trie:
    found: dict[bytes, Any] = {}
    for way in ways:
        here = found
        for name in way:
            here = here.setdefault(name.encode(), {})
    return found


_BATCHES = _trie(BATCHES)


class _Open(msgspec.Struct):
    """An array whose elements are lines, or an object in which such an array is looked for.

    Attributes:
        trie: The ways on.
        is_array: Which of both it is.
        is_line: Whether it is a line, unless such an array is found in it.
        key: The name of the field that is read.
        has_colon: Whether its value comes next.
    """

    trie: Trie
    is_array: bool = False
    is_line: bool = False
    key: bytes = b""
    has_colon: bool = False

    def done(self) -> None:
        """The value of its field, or its element, is over."""
        self.key, self.has_colon = b"", False


@attrs.define
class Values:
    """Cuts a stream of JSON into lines.

    Attributes:
        name: Of the log.
        number: Of the last line.
        data: What is not yet read, from the beginning of a line of the log that is not yet whole;
        pos: how far that was looked at.
        line: The line of the file at
        counted: this place of ``data``.
        column: How far inside its line of the file ``data`` begins.
        open: The arrays and objects around ``pos``.
        start: Where the line of the log begins that is not yet whole,
        begins_at: in which line of the file, and
        indent: how far inside that.
        depth: The brackets that are open, in a value that is not looked into.
        is_broken: Whether it is given up.
        head: Its beginning, where so much of it was let go of as
        dropped: says.
        in_string: Whether ``data`` begins in a string.
        waits_for_quote: Whether it ends in one.
        unrolled: Whether a document with its lines in an array was found.
    """

    name: str
    number: int = 0
    data: bytes = b""
    pos: int = 0
    line: int = 1
    counted: int = 0
    column: int = 0
    open: list[_Open] = attrs.field(factory=lambda: [_Open(_BATCHES, is_array=True)])
    start: int | None = None
    begins_at: int = 0
    indent: int = 0
    depth: int = 0
    is_broken: bool = False
    head: bytes = b""
    dropped: int = 0
    in_string: bool = False
    waits_for_quote: bool = False
    unrolled: bool = False

    def feed(self, chunk: bytes, *, over: bool = False) -> Iterator[Line]:
        """The lines that are whole with this chunk."""
        self.data += chunk
        while over or not self.waits_for_quote or b'"' in chunk or b"\n" in chunk:
            self.waits_for_quote = False
            found = self._step(over=over)
            if found is None:
                break
            if found is not _ON:
                yield found
        self._let_go()

    def end(self) -> Iterator[Line]:
        """What is left where the file ends. Raises ``LogError`` where an array is not closed."""
        yield from self.feed(b"", over=True)
        if self.start is not None and self.is_broken:
            yield self._line(len(self.data))
        if len(self.open) > 1 and any(one.is_array for one in self.open[1:]):
            raise LogError(
                f"breaks off after line {self._line_at(len(self.data))}: its array is not closed",
                place=self.name,
                hint=f"all {self.number:,} elements before that were read; fetch the whole file and run it again",
            )
        if self.start is not None:
            yield replace(self._line(len(self.data)), ended=False)

    def _step(self, *, over: bool) -> Line | None:
        """The next line, ``_ON`` where something was read, ``None`` where more must come."""
        if self.is_broken:
            return self._given_up()
        if self.in_string:
            return self._rest_of_string()
        found = (_BRACKET if self.depth else _TOKEN).search(self.data, self.pos)
        if found is None:
            self.pos = len(self.data)
            return None
        token = found[0]
        if token == b'"':
            if b"\n" not in self.data[found.start() :]:
                self.pos, self.waits_for_quote = found.start(), True
                return None
            self._begin(found.start())
            self.is_broken, self.depth = True, 0
            while not self.open[-1].is_array:
                self.open.pop()
            return _ON
        if found.end() == len(self.data) and not over and token[:1] not in b'{}[],:"':
            self.pos = found.start()  # it may go on
            return None
        if self.depth:
            self.pos = found.end()
            self.depth += (token in b"{[") - (token in b"}]")
            return self._value_over() if not self.depth else _ON
        return self._in_array(found) if self.open[-1].is_array else self._in_object(found)

    # -- where a line begins, and what it is -------------------------------------------------------

    def _in_array(self, found: re.Match[bytes]) -> Line | None:
        token, here = found[0], self.open[-1]
        self.pos = found.end()
        if token == b",":
            return _ON
        if token == b"]" and len(self.open) > 1:
            self.open.pop()
            self.open[-1].done()
            return _ON
        if token == b"[" and len(self.open) == 1:
            self.open.append(_Open(here.trie, is_array=True))
            return _ON
        self._begin(found.start())
        whole = self._whole_at(found.start(), here.trie) if token == b"{" else None
        if whole is not None:
            self.pos = whole
            return self._line(whole)
        if token == b"{" and here.trie:
            self.open.append(_Open(here.trie, is_line=True))
            return _ON
        if token in (b"{", b"["):
            self.depth = 1
            return _ON
        if len(self.open) == 1:  # text between values is a line like others
            self.is_broken = True
            return _ON
        return self._line(found.end())

    def _whole_at(self, place: int, trie: Trie) -> int | None:
        """Where an object ends that is a line, where that can be seen at once: it is much faster."""
        if trie and _SEARCHED_IN_VAIN.match(self.data, place) is None:
            return None
        found = _WHOLE.match(self.data, place)
        return None if found is None else found.end()

    def _in_object(self, found: re.Match[bytes]) -> Line | None:
        token, here = found[0], self.open[-1]
        self.pos = found.end()
        if token == b"}":
            self.open.pop()
            if here.is_line and self.start is not None:
                return self._line(found.end())
            self.open[-1].done()
            return _ON
        if not here.has_colon:
            if token == b":":
                here.has_colon = True
            elif token[:1] == b'"':
                here.key = token[1:-1]
                if here.key in _NOT_SEARCHED:
                    here.trie = {}
            return _ON
        if token not in (b"{", b"["):
            here.done()
            return _ON
        within: Trie | None = here.trie.get(here.key)
        if token == b"{" and within:
            self.open.append(_Open(within))
            return _ON
        if token == b"[" and within is not None:
            space = _SPACE.match(self.data, self.pos)
            after = space.end() if space is not None else self.pos
            if after + 1 >= len(self.data):
                self.pos = found.start()
                return None
            if _ELEMENT.match(self.data, after):
                self.open.append(_Open(within, is_array=True))
                self.start, self.unrolled = None, True
                return _ON
        self.depth = 1
        return _ON

    def _value_over(self) -> Line:
        here = self.open[-1]
        if here.is_array:
            return self._line(self.pos)
        here.done()
        return _ON

    # -- what is broken, or too long ---------------------------------------------------------------

    def _given_up(self) -> Line | None:
        """Goes on to the next line of the file that may begin a line of the log."""
        end = self.data.find(b"\n", self.pos)
        if end < 0:
            self.pos = len(self.data)
            return None
        indent = _INDENT.match(self.data, end + 1)
        place = indent.end() if indent is not None else end + 1
        if place >= len(self.data):
            self.pos = end
            return None
        self.pos = end + 1
        is_text = len(self.open) == 1 and self.data[place : place + 1] not in (b" ", b"\t")
        if place - end - 1 > self.indent or not (is_text or self.data[place : place + 1] in b"{[]"):
            return _ON
        self.is_broken = False
        return self._line(end)

    def _rest_of_string(self) -> Line | None:
        found = _REST_OF_STRING.match(self.data, self.pos)
        self.pos = found.end() if found is not None else self.pos
        if self.pos >= len(self.data) - (self.data[-1:] == b"\\"):
            return None
        self.in_string = False
        self.is_broken = self.data[self.pos : self.pos + 1] != b'"'
        self.pos += not self.is_broken
        return _ON

    def _let_go(self) -> None:
        """Keeps of what was read only what is not yet whole, and of that only the beginning where it is too long."""
        start = self.pos if self.start is None else self.start
        if len(self.data) - start > MAX_ENVELOPE:
            self.in_string = self.in_string or self.data[self.pos : self.pos + 1] == b'"'
            self.head = self.head or self.data[start : start + KEPT]
            end = len(self.data) if not self.in_string else self.pos + 1
            end = len(self.data) if self.in_string and self.data[-1:] != b"\\" else end
            self.dropped += end - start
            self._cut(end)
            self.start, self.pos = 0, 0
            return
        self._cut(start)
        self.pos -= start
        self.start = None if self.start is None else 0

    def _cut(self, place: int) -> None:
        self._line_at(place)
        line_begin = self.data.rfind(b"\n", 0, place) + 1
        self.column = place - line_begin + (0 if line_begin else self.column)
        self.data, self.counted = self.data[place:], 0

    def _begin(self, place: int) -> None:
        if self.start is not None:
            return
        line_begin = self.data.rfind(b"\n", 0, place) + 1
        self.start, self.begins_at = place, self._line_at(place)
        self.indent = place - line_begin + (0 if line_begin else self.column)

    def _line_at(self, place: int) -> int:
        if place > self.counted:
            self.line += self.data.count(b"\n", self.counted, place)
            self.counted = place
        return self.line

    def _line(self, end: int) -> Line:
        assert self.start is not None, "a line has begun"
        self.number += 1
        text = self.data[self.start : end]
        size = self.dropped + len(text) if self.dropped else 0
        line = bounded(self.number, self.head if size else text.rstrip(b", \t\r\n"), size)
        found = Element.of(line, self.begins_at)
        self.start, self.head, self.dropped, self.depth = None, b"", 0, 0
        return found


_ON = Line(-1, b"")
"""In place of a line: something was read, and no line is whole by that."""
