"""What belongs to a webhook in its line: the nearest time, and the signature of its request.

Beside it, then in the objects beside it, then the same one level farther out; a text in front of it is nearer than
what is around that text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from tracker.delivery.envelope import UNREADABLE, decode_json, signature_among
from tracker.delivery.opening import Value, opened
from tracker.delivery.times import read_time, time_in

__all__ = ["BEFORE", "TIME_NAMES", "Time", "nearest_time", "signature", "time_at"]

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

BEFORE = "(before)"
"""In a way: the text in front of the value."""
_YEARS = range(1990, 2200)
"""In which a number is believed to be a time, and not a duration or a count."""
_text = msgspec.json.Decoder(str)
_any = msgspec.json.Decoder()

Time = tuple[datetime | None, str | None, tuple[str, ...]]
"""A time, how it is written where it could not be read, and the way to it."""


def nearest_time(one: Value) -> Time | None:
    """The nearest time to a webhook; else the nearest value that has the name of one."""
    unread: Time | None = None
    for found in _times(one):
        if found[0] is not None:
            return found
        unread = unread or found
    return unread


def _times(one: Value) -> Iterator[Time]:
    here: Value | None = one
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


def _beside(value: Value, name: str) -> Iterator[Time]:
    """Times beside a field, and in the objects beside it."""
    yield from _named(value, without=(name,))
    for other, raw in value.fields.items():
        if other != name and raw[:1] == b"{":
            yield from _named(opened(value.inside(other, raw)))
    for place, raw in enumerate(value.items):
        if f"[{place}]" != name and raw[:1] in b'"0123456789':
            at, _ = _read(raw)
            if at is not None:
                yield at, None, (*value.way, f"[{place}]")


def _named(value: Value, without: Sequence[str] = ()) -> Iterator[Time]:
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


def time_at(value: Value) -> Time:
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


def signature(one: Value) -> str | None:
    """The signature beside a webhook, or among the headers of its request."""
    here: Value | None = one
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
