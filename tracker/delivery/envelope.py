"""The envelope around one webhook: when and from where it came, and its body byte for byte.

One format serves three places: the state of a stored event, a line of ``tracker export``, and a
line of a log that some other program wrote. ``decode`` reads what people's logs look like, ``encode``
writes the narrowest of it, always on one line:

    {"received_at":"2026-11-23T09:00:00Z","source":"monday.jsonl:7","webhook":{...}}

The body stands there raw when it is a JSON object on one line, as a string in ``body`` when it is
other text, and in ``body_base64`` when it is no text at all, so no body is ever changed. The names
are stored, so they are contracts: a new one needs a default, a changed one an upcaster in
``tracker.store``, and both a sample under ``tests/stored/``.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import accumulate
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

RECEIVE_TIME_NAMES = ("received_at", "receivedAt", "timestamp", "time", "ts")
UNVERIFIED = ""
"""In place of a key's name: there was a signature, and it does not verify."""
MAX_DEPTH = 200
"""Objects and arrays inside each other; a webhook has three."""
SIGNATURE_HEADER = "videosdk-signature"
BODY_NAMES = ("webhook", "payload", "body", "event")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = range(1970, 9000)  # room on both sides for every window of the rules
# Patterns that few lines need are compiled when they are first used.
_ACCOUNT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
ACCOUNT_HINT = "give up to 64 letters, digits and . _ -, of which the first is a letter or a digit"
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_ESCAPE = (
    rb"(?s)\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
_SPELLED_OUT = r"\\ud[89a-f][0-9a-f]{2}"
_STRING = rb'(?s)"[^"\\]*(?:\\.[^"\\]*)*"?'
_LINE_FEED, _RETURN = b"\n\r"
_BRACKETS = b"{[]}"
_OPENS, _CLOSES = b"{}"
_NO_BRACKET = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_STEPS = bytes.maketrans(_BRACKETS, b"\2\2\0\0")
"""What each adds to the depth, and one more: bytes are not negative."""
STRIDE = 64
"""Brackets that are counted at once; only where they might be too deep is each looked at."""
_Raw = msgspec.Raw
T = TypeVar("T")


class Received(msgspec.Struct, frozen=True, gc=False):  # nothing in it can refer to it
    """One webhook as it was received.

    ``received_at`` is in UTC, ``None`` where the log does not tell; ``unread_time`` is the receive
    time as the log has it when it is none. ``source`` says where it came from, usually
    ``file:line``; ``verified_by`` names the key that verified the signature, ``UNVERIFIED`` where none
    did and ``None`` where none was asked. ``cut_from``
    is the size in bytes of what was too long to be a webhook: ``body`` is then its beginning.
    ``wrong_time`` is the receive time as the log has it where it cannot be true; ``received_at`` is then
    what is believed instead. ``signature`` is that of whoever sent it, as it came; ``""`` where what came is no text.
    ``account`` names the account of VideoSDK that it is from, where several are received. ``erased_at`` is when people
    in its body were replaced by pseudonyms.
    """

    body: bytes
    received_at: datetime | None = None
    source: str = ""
    verified_by: str | None = None
    unread_time: str | None = None
    cut_from: int | None = None
    wrong_time: str | None = None
    signature: str | None = None
    account: str | None = None
    erased_at: datetime | None = None


class _Line(msgspec.Struct, gc=False):
    webhookType: _Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - the name that is sent
    type: _Raw | msgspec.UnsetType = msgspec.UNSET
    data: _Raw | msgspec.UnsetType = msgspec.UNSET
    received_at: _Raw | msgspec.UnsetType = msgspec.UNSET
    receivedAt: _Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - the name that is sent
    timestamp: _Raw | msgspec.UnsetType = msgspec.UNSET
    time: _Raw | msgspec.UnsetType = msgspec.UNSET
    ts: _Raw | msgspec.UnsetType = msgspec.UNSET
    webhook: _Raw | msgspec.UnsetType = msgspec.UNSET
    payload: _Raw | msgspec.UnsetType = msgspec.UNSET
    body: _Raw | msgspec.UnsetType = msgspec.UNSET
    event: _Raw | msgspec.UnsetType = msgspec.UNSET
    body_base64: _Raw | msgspec.UnsetType = msgspec.UNSET
    source: _Raw | msgspec.UnsetType = msgspec.UNSET
    verified_by: _Raw | msgspec.UnsetType = msgspec.UNSET
    unread_time: _Raw | msgspec.UnsetType = msgspec.UNSET
    cut_from: _Raw | msgspec.UnsetType = msgspec.UNSET
    wrong_time: _Raw | msgspec.UnsetType = msgspec.UNSET
    signature: _Raw | msgspec.UnsetType = msgspec.UNSET
    account: _Raw | msgspec.UnsetType = msgspec.UNSET
    erased_at: _Raw | msgspec.UnsetType = msgspec.UNSET
    headers: _Raw | msgspec.UnsetType = msgspec.UNSET


_line = msgspec.json.Decoder(_Line)
_members = msgspec.json.Decoder(dict[str, _Raw])
_text = msgspec.json.Decoder(str)
_receive_times = attrgetter(*RECEIVE_TIME_NAMES)
_any = msgspec.json.Decoder()
_value = msgspec.json.Decoder(_Raw)
_quote = msgspec.json.Encoder().encode
_scan = json.JSONDecoder().raw_decode
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding bytes that are not JSON can raise."""


def decode(line: bytes, source: str = "", zone: tzinfo = UTC) -> Received:
    """One line of a log, or the state of a stored event. Never raises.

    A line that is no envelope is the body itself. ``source`` is used where the line names none, ``zone`` where its
    receive time names none.
    """
    try:
        found = decode_json(_line, line)
    except UNREADABLE:
        return Received(line, None, source)
    body = None if _is_bare(found) else _body(found, line)
    if body is None:
        return Received(line, None, source)
    received_at, unread_time = _receive_time(found, zone)
    return Received(
        body,
        received_at,
        _string(found.source) or source,
        _string(found.verified_by),
        unread_time,
        _whole_number(found.cut_from),
        _string(found.wrong_time),
        _signature(found),
        _account(found),
        _erased_at(found),
    )


def is_account(name: str) -> bool:
    """Whether an account may have this name: it stands in paths and addresses as it is."""
    return re.fullmatch(_ACCOUNT, name) is not None


def _account(found: _Line) -> str | None:
    """The account that a line names; what could be none is something else of that name."""
    name = _string(found.account)
    return name if name is not None and is_account(name) else None


def _erased_at(found: _Line) -> datetime | None:
    text = _string(found.erased_at)
    return None if text is None else parse_time(text)


def _signature(found: _Line) -> str | None:
    """The signature that is kept beside a webhook, as ``signature`` or among the ``headers``."""
    held = _string(found.signature)
    if held is not None or found.headers is msgspec.UNSET:
        return held
    return signature_among(_any.decode(found.headers))


def signature_among(headers: Any) -> str | None:
    """The signature among the headers of a request, ``""`` where it is no text, ``None`` where there is none.

    Headers are an object, of texts or lists of them, or a list of pairs or of objects with ``name`` and ``value``;
    their case does not matter.
    """
    pairs = headers.items() if isinstance(headers, dict) else headers if isinstance(headers, list) else ()
    for pair in pairs:
        if isinstance(pair, dict):
            pair = pair.get("name", pair.get("key")), pair.get("value")  # noqa: PLW2901 - the same pair
        if isinstance(pair, tuple | list) and len(pair) == 2 and str(pair[0]).lower() == SIGNATURE_HEADER:
            value = pair[1][0] if isinstance(pair[1], list) and pair[1] else pair[1]
            return value if isinstance(value, str) else ""
    return None


def encode(received: Received, *, is_json: bool = False) -> bytes:
    """The line that ``decode`` turns back into an equal ``Received``. ``is_json``: its body is known to be JSON."""
    body = received.body
    parts = []
    if received.received_at is not None:
        parts.append(b'"received_at":' + _quoted_time(received.received_at))
    elif received.unread_time is not None:
        is_read = parse_time(received.unread_time) is not None  # as one in UTC, which it is not
        name = b'"unread_time":' if is_read else b'"received_at":'
        parts.append(name + _quoted(received.unread_time))
    if received.source:
        parts.append(b'"source":' + _quoted(received.source))
    if received.verified_by is not None:
        parts.append(b'"verified_by":' + _quoted(received.verified_by))
    if received.cut_from is not None:
        parts.append(b'"cut_from":%d' % received.cut_from)
    if received.wrong_time is not None:
        parts.append(b'"wrong_time":' + _quoted(received.wrong_time))
    if received.signature is not None:
        parts.append(b'"signature":' + _quoted(received.signature))
    if received.account is not None:
        parts.append(b'"account":' + _quoted(received.account))
    if received.erased_at is not None:
        parts.append(b'"erased_at":' + _quoted_time(received.erased_at))
    if _is_object_on_one_line(body, is_json=is_json):
        parts.append(b'"webhook":' + body)
    else:
        try:
            parts.append(b'"body":' + _quote(body.decode()))
        except UnicodeDecodeError:
            parts.append(b'"body_base64":"' + b64encode(body) + b'"')
    return b"{" + b",".join(parts) + b"}"


def received_at_start(time: datetime) -> bytes:
    """How the line of what was received at this time begins; what follows does not depend on the time."""
    return b'{"received_at":' + _quoted_time(time)


def _quoted(text: str) -> bytes:
    """A JSON string; a file's name may hold what no text can."""
    try:
        return _quote(text)
    except UnicodeEncodeError:
        return _quote(text.encode(errors="replace").decode())


def decode_json(decoder: msgspec.json.Decoder[T], text: bytes, depth: int = MAX_DEPTH) -> T:
    """Decodes JSON, also where a string in it was cut in the middle of a character. Raises ``UNREADABLE``."""
    if len(text) > 2 * depth and is_deeper(text, depth):
        raise RecursionError("nested too deeply")
    try:
        return decoder.decode(text)
    except UNREADABLE:
        whole = mended(text)
        if whole == text:
            raise
    try:
        return decoder.decode(whole)
    except UNREADABLE:
        decoder.decode(_mend(text, _replacement))  # as long as the text: this error names the place in it
        raise


def is_deeper(text: bytes, limit: int) -> bool:
    """Whether JSON is nested deeper, wherever it is read: Python's own limit depends on the caller."""
    if text.count(b"{") + text.count(b"[") <= limit:
        return False
    brackets = re.sub(_STRING, b"", text).translate(_STEPS, _NO_BRACKET)
    depth = 0
    for begin in range(0, len(brackets), STRIDE):
        some = brackets[begin : begin + STRIDE]
        opened = some.count(2)
        if depth + opened > limit and depth + _deepest(some) > limit:
            return True
        depth = max(0, depth + 2 * opened - len(some))  # where it closes more than it opened it is no JSON
    return False


def _deepest(brackets: bytes) -> int:
    """The greatest depth among them, from where they begin."""
    return max(so_far - seen for seen, so_far in enumerate(accumulate(brackets), 1))


def mended(text: bytes) -> bytes:
    """JSON in which each half of a surrogate pair is spelled out: the six characters of its escape.

    JavaScript cuts an emoji in two and escapes the half that is left, as in ``"\\ud83d"``; strict JSON has no
    such character. Spelled out, two of them are still two.
    """
    return _mend(text, _spelled_out)


def _mend(text: bytes, instead: Callable[[bytes], bytes]) -> bytes:
    if b"\\u" not in text:
        return text
    return re.sub(_ESCAPE, lambda found: instead(found[1]) if found[1] else found[0], text)


def _spelled_out(half: bytes) -> bytes:
    return b"\\\\" + half.lower()


def _replacement(_: bytes) -> bytes:
    return b"\\ufffd"


def replaced(text: str) -> str:
    """What earlier versions read where a half of a surrogate pair is spelled out now."""
    return re.sub(_SPELLED_OUT, "\ufffd", text)


def isoformat(time: datetime) -> str:
    """ISO 8601 in UTC with a ``Z``, as short as it is exact."""
    return _quoted_time(time)[1:-1].decode()


def _quoted_time(time: datetime) -> bytes:
    quoted = _quote(time if time.tzinfo is UTC else time.astimezone(UTC))
    return quoted[:-2].rstrip(b"0") + b'Z"' if time.microsecond else quoted


def parse_time(text: str, zone: tzinfo = UTC) -> datetime | None:
    """ISO 8601 (in ``zone`` where it names none) or an epoch in s, ms, µs or ns; ``None`` if neither."""
    if "-" not in text and _NUMBER.fullmatch(text):
        return _from_epoch(text)
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not UTC:
            time = time.replace(tzinfo=zone) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time.year in _YEARS else None


def _from_epoch(text: str) -> datetime | None:
    whole, _, fraction = text.partition(".")
    if len(whole) > 19:
        return None
    # 11 digits of seconds reach the year 5138, so more digits mean a finer unit.
    digits = max(0, -(-(len(whole) - 11) // 3))
    nanoseconds = int((whole + fraction.ljust(9, "0")[: 9 - 3 * digits]) if digits < 3 else whole)
    time = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    return time if time.year in _YEARS else None


def _is_bare(found: _Line) -> bool:
    if found.webhookType is not msgspec.UNSET:
        return True
    return found.type is not msgspec.UNSET and found.data is not msgspec.UNSET


def _body(found: _Line, line: bytes) -> bytes | None:
    for name in BODY_NAMES:
        value = getattr(found, name)
        if value is not msgspec.UNSET:
            raw = bytes(value)
            if raw.startswith(b"{"):
                # What was mended stands there otherwise; only its place tells where.
                return raw if b"\\\\ud" not in raw else _as_it_stands(line, name)
            if raw.startswith(b'"'):
                text = _string(value)
                return None if text is None else text.encode()
    encoded = _string(found.body_base64)
    if encoded is None:
        return None
    try:
        return b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        return None


def members(raw: bytes) -> dict[str, bytes]:
    """The fields of a JSON object, each as it stands there; raises ``UNREADABLE`` where it is none."""
    found = decode_json(_members, raw)
    if b"\\u" in raw and mended(raw) != raw:
        return dict(_as_they_stand(raw))
    return {name: bytes(value) for name, value in found.items()}


def _as_it_stands(line: bytes, name: str) -> bytes:
    """The bytes of a field's value; of the last one, if an object has the field twice."""
    return dict(_as_they_stand(line))[name]


def _as_they_stand(line: bytes) -> Iterator[tuple[str, bytes]]:
    text = line.decode()
    place = text.index("{") + 1
    while (place := _skip_white(text, place)) < len(text) and text[place] == '"':
        key, place = _scan(text, place)
        begin = _skip_white(text, _skip_white(text, place) + 1)
        _, place = _scan(text, begin)
        yield key, text[begin:place].encode()
        place = _skip_white(text, place) + 1


def _skip_white(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def _receive_time(found: _Line, zone: tzinfo) -> tuple[datetime | None, str | None]:
    text = _string(found.received_at)  # as most have it
    if text is not None and (time := parse_time(text, zone)) is not None:
        return time, None
    for value in _receive_times(found):
        text = _string(value)
        if text is None and value is not msgspec.UNSET and bytes(value) != b"null":
            text = bytes(value).decode(errors="replace")
        if text is not None:
            time = parse_time(text, zone)
            return (time, None) if time is not None else (None, text)
    return None, _string(found.unread_time)


def _string(value: _Raw | msgspec.UnsetType) -> str | None:
    if value is msgspec.UNSET:
        return None
    try:
        return _text.decode(value)
    except UNREADABLE:
        return None


def _whole_number(value: _Raw | msgspec.UnsetType) -> int | None:
    digits = b"" if value is msgspec.UNSET else bytes(value)
    return int(digits) if digits.isdigit() and len(digits) < 20 else None


def _is_object_on_one_line(body: bytes, *, is_json: bool) -> bool:
    if not body or body[0] != _OPENS or body[-1] != _CLOSES or _LINE_FEED in body or _RETURN in body:
        return False
    # The envelope is one level more. What has to be mended is none: it would be read as something else.
    if len(body) > 2 * MAX_DEPTH - 2 and is_deeper(body, MAX_DEPTH - 1):
        return False
    if is_json:
        return True
    try:
        body.isascii() or body.decode()
        _value.decode(body)  # braces at both ends are not enough: {"a":1},"source":{} has them
    except UNREADABLE:
        return False
    return True
