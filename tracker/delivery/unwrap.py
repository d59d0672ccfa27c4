"""Finding the webhook in a line, whatever is around it, and the receive time that belongs to it.

THE PROBLEM. Log stores, gateways and queues put a webhook into objects of their own: as an object, as text, in
base64, as text in text, as a whole HTTP request, behind a date and a level. Each has another name for the time.

THE IDEA. A webhook is recognised by what it is, an object with a ``webhookType``, not by where it stands. So
the line is searched, the outer levels first, and whatever text, base64 or request is met is opened. Its time is the
nearest one: beside the webhook, in a neighbour of it, then the same one level farther out. Where a shape is known
(``shapes``), that says which of several times it is.

WHAT FOLLOWS. Nothing is guessed. Two different webhooks in one line are none, for only their writer knows which
was meant; a time that may be several is none; both are said (``Found.problem``). The body that is found is the
bytes as they came.

The search costs some microseconds, so who reads a log asks only where a line is no plain webhook (``intake.logs``).
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import attrs
import msgspec

from tracker.delivery.envelope import UNREADABLE, decode_json, members, signature_among
from tracker.delivery.shapes import shape_of
from tracker.delivery.times import read_time, time_in
from tracker.delivery.webhook import TYPE_NAMES, is_known

__all__ = ["TIME_NAMES", "Fields", "Found", "find"]

TIME_NAMES = (
    *("received_at", "receive_time", "received_time", "time_epoch", "request_time_epoch", "timestamp", "time"),
    *("ts", "time_unix_nano", "realtime_timestamp", "publish_time", "sent_timestamp"),
    *("approximate_arrival_timestamp", "event_time", "created_at", "created", "inserted_at", "ingested_at"),
    *("time_iso8601", "time_local", "msec", "datetime", "date", "asctime", "logged_at", "log_time"),
    *("occurred_at", "started_at", "started_date_time", "start", "request_time", "ts_ms", "ts_us", "ts_ns"),
    *("observed_time_unix_nano", "receive_timestamp", "ingestion_time", "ingest_time", "stored_at"),
)
"""Names of a time, of which the first counts; case, ``_``, ``-`` and ``@`` do not matter."""
HEADER_NAMES = ("headers", "request_headers", "multi_value_headers", "http_headers")
SIGNATURE_NAMES = ("signature", "videosdk_signature", "http_videosdk_signature")

MOST_VALUES = 2_000
"""Values of a line that are looked at."""
MOST_OPENED = 8
"""Texts in each other that are opened."""
BEFORE = "(before)"
"""In a way: the text in front of the value."""
_YEARS = range(1990, 2200)
"""In which a number is believed to be a time, and not a duration or a count."""
_JSON_BEGINS = re.compile(rb'\{\s*"|"\{\s*\\"|\[\s*\{')
_TRIES = 8
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_REQUEST = re.compile(rb"[A-Z]{3,7} \S+ HTTP/[0-9.]+\r?\n")
_ESCAPED_BYTE = re.compile(rb"\\x([0-9A-Fa-f]{2})")
_BOM = b"\xef\xbb\xbf"

_list = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_numbers = msgspec.json.Decoder(list[int])
_any = msgspec.json.Decoder()
_scan = json.JSONDecoder().raw_decode


@attrs.frozen
class Fields:
    """Where a line has its webhook and its time, where somebody has said so: names, from the outside in."""

    webhook: tuple[str, ...] = ()
    time: tuple[str, ...] = ()


@attrs.frozen
class Found:
    """The webhook that was found in a line.

    Attributes:
        body: Its bytes; ``None`` where there is none, or several.
        at: The receive time, with ``NO_ZONE`` where it names none.
        unread: The receive time as it is written there, where it could not be read.
        signature: Of whoever sent it.
        webhook, time: The ways to both in the line.
        name: Of the shape, where it is a known one.
        problem: Why there is none.
    """

    body: bytes | None = None
    at: datetime | None = None
    unread: str | None = None
    signature: str | None = None
    webhook: str = ""
    time: str = ""
    name: str = ""
    problem: str = ""


@attrs.define(eq=False)
class _Value:
    """A value of a line.

    Attributes:
        raw: As it stands there, or as it was opened.
        way: How one comes to it: names, numbers of elements.
        up: The value that it is in.
        depth: How far inside it is.
        before: The text in front of it, where it stands in a text.
        headers: Of the request that it is the body of.
        is_document: Whether it is the line, or what a text holds.
        fields: Its fields, where it is an object,
        items: or its elements.
    """

    raw: bytes
    way: tuple[str, ...] = ()
    up: _Value | None = None
    depth: int = 0
    before: str = ""
    headers: dict[str, str] | None = None
    is_document: bool = False
    fields: dict[str, bytes] = attrs.field(factory=dict)
    items: Sequence[bytes] = ()

    def inside(self, name: str, raw: bytes) -> _Value:
        return _Value(raw, (*self.way, name), self, self.depth + 1)

    def follow(self, way: Iterable[str]) -> _Value | None:
        """The value at the end of a way, through objects, and texts that hold them."""
        here = self
        for name in way:
            here = _opened(here)
            inner = here.fields.get(name)
            if inner is None and name.startswith("[") and name[1:-1].isdigit():
                place = int(name[1:-1])
                inner = here.items[place] if place < len(here.items) else None
            if inner is None:
                return None
            here = here.inside(name, inner)
        return here


def find(line: bytes, fields: Fields = Fields()) -> Found:
    """The webhook in a line, and its time. Never raises."""
    root = _Value(line, is_document=True)
    if fields.webhook:
        told = _told(root, fields)
        if told is not None:
            return told
    found = _webhooks(root)
    if not found:
        return Found()
    one = found[0]
    if any(not _same(one.raw, other.raw) for other in found[1:]):
        known = [other for other in found if _shape(other) is not None]
        if len(known) != 1:
            places = ", ".join(_shown(other.way) for other in found[:3])
            return Found(problem=f"it holds {len(found)} webhooks, in {places}")
        one = known[0]
    return _found(one, root, fields)


def _told(root: _Value, fields: Fields) -> Found | None:
    at = root.follow(fields.webhook)
    if at is None:
        return None
    inner = _opened(at)
    return _found(inner, root, fields) if inner.fields else None


def _found(one: _Value, root: _Value, fields: Fields) -> Found:
    shape = _shape(one)
    time = None
    if fields.time:
        told = root.follow(fields.time)
        time = _read_at(told) if told is not None else None
    if (time is None or time[0] is None) and shape is not None:
        document = _document(one)
        told = document.follow(shape.time.replace("[", ".[").strip(".").split("."))
        time = _read_at(told) if told is not None else None
    if time is None or time[0] is None:
        time = _nearest(one) or time
    at, unread, way = time or (None, None, ())
    return Found(
        one.raw,
        at,
        unread if at is None else None,
        _signature(one),
        _shown(one.way),
        _shown(way) if way else "",
        shape.name if shape is not None else "",
    )


# -- the webhook -----------------------------------------------------------------------------------


def _webhooks(root: _Value) -> list[_Value]:
    """The webhooks of the outermost level that has any; in text before those that were parsed."""
    queue, found, looked = deque([root]), list[_Value](), 0
    while queue and looked < MOST_VALUES:
        looked += 1
        here = queue.popleft()
        if found and here.depth > found[0].depth:
            break
        here = _opened(here)
        if _is_webhook(here):
            found.append(here)
            continue
        queue.extend(here.inside(name, raw) for name, raw in here.fields.items() if _may_hold(raw))
        queue.extend(here.inside(f"[{place}]", raw) for place, raw in enumerate(here.items) if _may_hold(raw))
    return sorted(found, key=lambda one: not one.is_document)


def _may_hold(raw: bytes) -> bool:
    return raw[:1] in (b"{", b"[") or (raw[:1] == b'"' and len(raw) > 20)


def _is_webhook(value: _Value) -> bool:
    fields = value.fields
    if fields.get("webhookType", b"")[:1] == b'"':
        return True
    data = fields.get("data", b"")
    if data[:1] != b"{" or b'"webhookType"' in data:
        return False
    return any(is_known(_string(fields[name])) for name in TYPE_NAMES if name in fields)


def _same(one: bytes, other: bytes) -> bool:
    try:
        return one == other or bool(_any.decode(one) == _any.decode(other))
    except UNREADABLE:
        return False


def _shape(one: _Value) -> Any:
    document = _document(one)
    way = one.way[len(document.way) :]
    return shape_of(
        ".".join(way),
        lambda fields: document.follow(fields.replace("[", ".[").strip(".").split(".")) is not None,
    )


def _document(one: _Value) -> _Value:
    """The document that a webhook is a part of; it may be one itself, in texts in each other."""
    here = one
    while here.up is not None and (here.way == one.way or not here.is_document):
        here = here.up
    return here


# -- opening what holds it --------------------------------------------------------------------------


def _opened(value: _Value) -> _Value:
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


def _as_bytes(value: _Value) -> bytes | None:
    """Bytes that were written as a list of numbers, as Node.js and systemd do."""
    if len(value.items) < 16 or not value.items[0].isdigit():
        return None
    try:
        return bytes(_numbers.decode(value.raw))
    except (*UNREADABLE, ValueError):
        return None


def _unpacked(text: bytes, held: _Value) -> _Value | None:
    """What a text holds: JSON, also behind other text, a request, or more text in base64."""
    text = text.strip().removeprefix(_BOM).strip()
    if not text:
        return None

    def inner(raw: bytes, before: str = "", headers: dict[str, str] | None = None) -> _Value:
        return _Value(raw, held.way, held, held.depth, before, headers, is_document=True)

    if text[:1] in b'{["' and _is_json(text):
        return inner(text)
    if _REQUEST.match(text):
        head, _, body = (
            text.replace(b"\r\n", b"\n").partition(b"\n\n")
            if b"\r\n\r\n" not in text
            else text.partition(b"\r\n\r\n")
        )
        return inner(body.strip(), headers=_headers(head))
    if _BASE64.fullmatch(text):
        try:
            return inner(
                b64decode(
                    text + b"=" * (-len(text) % 4),
                    b"-_" if b"-" in text or b"_" in text else None,
                    validate=True,
                )
            )
        except (Base64Error, ValueError):
            return None
    if b"\\x22" in text:
        return inner(_ESCAPED_BYTE.sub(lambda found: bytes([int(found[1], 16)]), text))
    if b"%7B%22" in text or b"%7b%22" in text:
        return inner(unquote_to_bytes(text.replace(b"+", b" ")))
    return _behind_text(text, inner)


def _behind_text(text: bytes, inner: Any) -> _Value | None:
    """The JSON in a text, as in ``2026-11-23 10:00:00 INFO received {"webhookType": …} in 3 ms``."""
    written = text.decode(errors="surrogateescape")
    for tries, begin in enumerate(_JSON_BEGINS.finditer(text)):
        if tries == _TRIES:
            break
        before = text[: begin.start()].decode(errors="surrogateescape")
        try:
            _, end = _scan(written, len(before))
        except (ValueError, RecursionError):
            continue
        raw = written[len(before) : end].encode(errors="surrogateescape")
        if b'"webhookType"' in text[begin.start() + len(raw) :]:
            return None  # another one behind it
        found: _Value = inner(raw, before)
        return found
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


# -- the time ---------------------------------------------------------------------------------------

_Time = tuple[datetime | None, str | None, tuple[str, ...]]
"""A time, how it is written where it could not be read, and the way to it."""


def _nearest(one: _Value) -> _Time | None:
    """The nearest time to a webhook; else the nearest value that has the name of one."""
    unread: _Time | None = None
    for found in _times(one):
        if found[0] is not None:
            return found
        unread = unread or found
    return unread


def _times(one: _Value) -> Iterator[_Time]:
    here: _Value | None = one
    yield from _named(one, without=("data",))
    while here is not None:
        if here.before:
            at, written = time_in(here.before)
            if written:
                yield at, written, (*here.way, BEFORE)
        up = here.up
        if up is None:
            return
        if not here.is_document:
            yield from _beside(up, here.way[-1])
        here = up


def _beside(value: _Value, name: str) -> Iterator[_Time]:
    """Times beside a field, and in the objects beside it."""
    yield from _named(value, without=(name,))
    for other, raw in value.fields.items():
        if other != name and raw[:1] == b"{":
            yield from _named(_opened(value.inside(other, raw)))
    for place, raw in enumerate(value.items):
        if f"[{place}]" != name and raw[:1] in b'"0123456789':
            at, _ = _read(raw)
            if at is not None:
                yield at, None, (*value.way, f"[{place}]")


def _named(value: _Value, without: Sequence[str] = ()) -> Iterator[_Time]:
    """Times of an object, the names that say most first."""
    names = sorted((_rank(name), name) for name in value.fields if name not in without)
    for rank, name in names:
        if rank < len(TIME_NAMES):
            at, written = _read(value.fields[name])
            if at is not None or written is not None:
                yield at, written, (*value.way, name)


@lru_cache(maxsize=4096)
def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_RANKS = {_folded(name): rank for rank, name in reversed(list(enumerate(TIME_NAMES)))}


def _rank(name: str) -> int:
    return _RANKS.get(_folded(name), len(TIME_NAMES))


def _read_at(value: _Value) -> _Time:
    return (*_read(value.raw), value.way)


def _read(raw: bytes) -> tuple[datetime | None, str | None]:
    """The time that a value is, or how it is written."""
    try:
        value = decode_json(_any, raw)
    except UNREADABLE:
        return None, raw.decode(errors="replace")
    if value is None or value == "" or isinstance(value, bool | list):
        return None, None
    at = _moment(value)
    return (at, None) if at is not None else (None, value if isinstance(value, str) else raw.decode())


def _moment(value: Any) -> datetime | None:
    if isinstance(value, dict):
        return _in_object(value)
    if isinstance(value, bool | list) or value is None:
        return None
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, float) and "e" in text:
        text = f"{value:.9f}"
    at = read_time(text)
    is_number = text.replace(".", "", 1).isdigit()
    return at if at is None or not is_number or at.year in _YEARS else None


def _in_object(value: dict[str, Any]) -> datetime | None:
    """A time of MongoDB (``$date``), or of protocol buffers (``seconds`` and ``nanos``)."""
    for name in ("$date", "$numberLong"):
        if name in value:
            return _moment(value[name])
    seconds = value.get("seconds", value.get("_seconds"))
    nanos = value.get("nanos", value.get("_nanoseconds", 0))
    if isinstance(seconds, int | str) and isinstance(nanos, int):
        at = _moment(seconds)
        return at + timedelta(microseconds=nanos // 1000) if at is not None else None
    return None


# -- the signature ----------------------------------------------------------------------------------


def _signature(one: _Value) -> str | None:
    """The signature beside a webhook, or among the headers of its request."""
    here: _Value | None = one
    while here is not None:
        if here.headers is not None:
            return signature_among(here.headers)
        for name, raw in here.fields.items():
            folded = _folded(name)
            if folded in _SIGNATURES and raw[:1] == b'"':
                return _string(raw)
            if folded in _HEADERS:
                found = signature_among(_decoded(raw))
                if found is not None:
                    return found
        here = here.up
    return None


_HEADERS = frozenset(map(_folded, HEADER_NAMES))
_SIGNATURES = frozenset(map(_folded, SIGNATURE_NAMES))


def _decoded(raw: bytes) -> Any:
    try:
        value = decode_json(_any, raw)
        return _any.decode(value) if isinstance(value, str) else value
    except UNREADABLE:
        return None


def _string(raw: bytes) -> str:
    try:
        return decode_json(_text, raw)
    except UNREADABLE:
        return ""


def _shown(way: Sequence[str]) -> str:
    if way[-1:] == (BEFORE,):
        return "the text before it"
    return "".join(name if name[:1] == "[" else f".{name}" for name in way) or "the line"
