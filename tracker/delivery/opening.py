"""Opening what a line holds: a value of it, and the object or the list that it is, or holds as text.

Text may be JSON or Python's repr of it, also behind other text; a request; either of them in base64, with bytes escaped as nginx does, or
as in an URL. A list of numbers may be bytes, as Node.js and systemd write them.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import unquote_to_bytes

import attrs
import msgspec

from tracker.delivery.envelope import MAX_DEPTH, UNREADABLE, decode_json, is_deeper, members

__all__ = ["BOM", "Value", "opened"]

MOST_OPENED = 8
"""Texts in each other that are opened."""
_JSON_BEGINS = re.compile(rb"""\{\s*["']|"\{\s*\\"|\[\s*\{""")
_TRIES = 8
"""Places in a text at which JSON may begin."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_REQUEST = re.compile(rb"[A-Z]{3,7} \S+ HTTP/[0-9.]+\r?\n")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_ESCAPED_BYTE = re.compile(rb"\\x([0-9A-Fa-f]{2})")
PYTHON = "Python's repr"
BOM = b"\xef\xbb\xbf"
"""The byte order mark, with which some programs begin a text."""

_list = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_numbers = msgspec.json.Decoder(list[int])
_any = msgspec.json.Decoder()
_scan = json.JSONDecoder().raw_decode
Inner = Callable[[bytes, str], "Value"]
"""Makes a value of what a text holds, and of the text in front of it."""


@attrs.define(eq=False)
class Value:
    """A value of a line.

    Attributes:
        raw: As it stands there, or as it was opened.
        way: How one comes to it: names, numbers of elements.
        up: The value that it is in.
        depth: How far inside it is.
        before: The text in front of it, where it stands in a text.
        headers: Of the request that it is the body of.
        written_as: What it was made JSON of, where it was something else.
        is_document: Whether it is the line, or what a text holds.
        fields: Its fields, where it is an object,
        items: or its elements.
    """

    raw: bytes
    way: tuple[str, ...] = ()
    up: Value | None = None
    depth: int = 0
    before: str = ""
    headers: dict[str, str] | None = None
    written_as: str = ""
    is_document: bool = False
    fields: dict[str, bytes] = attrs.field(factory=dict)
    items: Sequence[bytes] = ()

    def inside(self, name: str, raw: bytes) -> Value:
        return Value(raw, (*self.way, name), self, self.depth + 1)

    def follow(self, way: Iterable[str]) -> Value | None:
        """The value at the end of a way, through objects, and texts that hold them."""
        here = self
        for name in way:
            here = opened(here)
            inner = here.fields.get(name)
            if inner is None and name.startswith("[") and name[1:-1].isdigit():
                place = int(name[1:-1])
                inner = here.items[place] if place < len(here.items) else None
            if inner is None:
                return None
            here = here.inside(name, inner)
        return here


def opened(value: Value) -> Value:
    """The object or the list that a value is, or holds as text; itself, where it is neither."""
    here = value
    for _ in range(MOST_OPENED):
        if here.fields or here.items:
            return here
        begin = here.raw[:1]
        try:
            if begin == b"{":
                here.fields = members(here.raw)
                return here
            if begin == b"[":
                here.items = [bytes(one) for one in decode_json(_list, here.raw)]
                text = _as_bytes(here)
                if text is None:
                    return here
            else:
                text = decode_json(_text, here.raw).encode() if begin == b'"' else here.raw
        except UNREADABLE:
            if not here.is_document:
                return here
            text = here.raw
        inner = _unpacked(text, here)
        if inner is None:
            return value
        here = inner
    return value


def _as_bytes(value: Value) -> bytes | None:
    """Bytes that were written as a list of numbers, as Node.js and systemd do."""
    if len(value.items) < 16 or not value.items[0].isdigit():
        return None
    try:
        return bytes(_numbers.decode(value.raw))
    except (*UNREADABLE, ValueError):
        return None


def _unpacked(text: bytes, held: Value) -> Value | None:
    """What a text holds: JSON, also behind other text, a request, or more text that is encoded."""
    text = text.strip().removeprefix(BOM).strip()
    if not text:
        return None

    def inner(raw: bytes, before: str = "", headers: dict[str, str] | None = None) -> Value:
        return Value(raw, held.way, held, held.depth, before, headers, is_document=True)

    if text[:1] in b'{["' and _is_json(text):
        return inner(text)
    if _REQUEST.match(text):
        head, *body = _BLANK_LINE.split(text, maxsplit=1)
        return inner(b"".join(body).strip(), headers=_headers(head))
    if _BASE64.fullmatch(text):
        raw = _from_base64(text)
        return inner(raw) if raw is not None else None
    if b"\\x22" in text:
        return inner(_ESCAPED_BYTE.sub(lambda found: bytes([int(found[1], 16)]), text))
    if b"%7B%22" in text or b"%7b%22" in text:
        return inner(unquote_to_bytes(text.replace(b"+", b" ")))
    return _behind_text(text, inner)


def _from_base64(text: bytes) -> bytes | None:
    for_urls = b"-_" if b"-" in text or b"_" in text else None
    try:
        return b64decode(text + b"=" * (-len(text) % 4), for_urls, validate=True)
    except (Base64Error, ValueError):
        return None


def _behind_text(text: bytes, inner: Inner) -> Value | None:
    """The JSON in a text, as in ``2026-11-23 10:00:00 INFO received {"webhookType": …} in 3 ms``, or Python's."""
    written = text.decode(errors="surrogateescape")
    for tries, begin in enumerate(_JSON_BEGINS.finditer(text)):
        if tries == _TRIES:
            break
        before = text[: begin.start()].decode(errors="surrogateescape")
        if begin[0].endswith(b"'"):
            if "'webhookType'" in before:
                return None  # which could not be read, or there are two
            if (made := from_python(written[len(before) :])) is not None:
                return attrs.evolve(inner(made, before), written_as=PYTHON)
            continue
        try:
            _, end = _scan(written, len(before))
        except (ValueError, RecursionError):
            continue
        raw = written[len(before) : end].encode(errors="surrogateescape")
        if b'"webhookType"' in text[begin.start() + len(raw) :]:
            return None  # another one behind it
        found: Value = inner(raw, before)
        return found
    return None


def from_python(text: str) -> bytes | None:
    """The JSON of a dictionary that a text begins with, as ``print`` and ``logging`` write one."""
    if is_deeper(text.encode(errors="replace"), MAX_DEPTH):
        return None
    with warnings.catch_warnings(action="ignore"):  # of what stands in a string
        try:
            return json.dumps(ast.literal_eval(text[: text.rfind("}") + 1]), separators=(",", ":")).encode()
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return None


def _is_json(text: bytes) -> bool:
    try:
        decode_json(_any, text)
    except UNREADABLE:
        return False
    return True


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").splitlines()[1:]
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
