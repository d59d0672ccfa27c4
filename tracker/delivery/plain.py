"""Reading what almost every line of a log, and almost every stored state, is: a plain webhook in an envelope of ours.

THE PROBLEM. ``envelope.decode`` and ``webhook.parse`` read anything, and look for each thing that may be odd. Nearly
all lines have nothing odd, and there are very many.

THE IDEA. Each level is decoded once, straight to what it should be. Where that fails, or where something is
neither usual nor simple, the answer is ``None``, and those two read the line.

WHAT FOLLOWS. Whatever is read here is what they would read (a test compares them): the same decoders see the same
bytes, all of ``data`` is looked at, and the rest must be UTF-8 and not too deep. A line that is refused takes a
little longer than before.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from tracker.delivery.envelope import MAX_DEPTH, UNREADABLE, Received, is_account, is_deeper
from tracker.delivery.webhook import Delivery, routed

__all__ = ["plain"]

MOST_BESIDE = 34
"""Bytes that a webhook has beside its type and its data; where there are more, a time may be among them."""
_ENVELOPE, _BARE = b'{"received_at"', b'{"webhookType"'


class _Envelope(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    received_at: str
    webhook: msgspec.Raw
    source: str = ""
    verified_by: str | None = None
    signature: str | None = None
    account: str | None = None
    erased_at: str | None = None


class _Webhook(msgspec.Struct, gc=False):
    webhookType: str  # noqa: N815 - the name that is sent
    data: msgspec.Raw


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_webhook = msgspec.json.Decoder(_Webhook).decode
_decode_data = msgspec.json.Decoder(dict[str, Any]).decode


def plain(line: bytes, position: int, source: str = "") -> Delivery | None:
    """The same as ``parse(decode(line, source), position)`` of a plain line; ``None`` of any other line."""
    if len(line) > 2 * MAX_DEPTH and is_deeper(line, MAX_DEPTH):
        return None
    try:
        if not line.isascii():
            line.decode()  # what is skipped must be UTF-8 as well
        if line.startswith(_ENVELOPE):
            received = _received(line, source)
        elif line.startswith(_BARE):
            received = Received(line, None, source)
        else:
            return None
        webhook = _decode_webhook(received.body)
        data = bytes(webhook.data)
        said = _decode_data(data)
    except (*UNREADABLE, ValueError):
        return None
    delivery = routed(received, position, webhook.webhookType, data, said)
    if delivery.lifecycle is None:
        return None
    if received.received_at is None and len(line) - len(data) - len(webhook.webhookType) >= MOST_BESIDE:
        return None
    delivery.is_plain = True
    return delivery


def _received(line: bytes, source: str) -> Received:
    """What an envelope holds. Raises ``UNREADABLE`` or ``ValueError``."""
    found = _decode_envelope(line)
    at = _time(found.received_at)
    if found.account is not None and not is_account(found.account):
        raise ValueError
    body, source = bytes(found.webhook), found.source or source
    erased_at = None if found.erased_at is None else _time(found.erased_at)
    return Received(
        body, at, source, found.verified_by, None, None, None, found.signature, found.account, erased_at
    )


def _time(text: str) -> datetime:
    """A time as we write it. Raises ``ValueError`` where it is none."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is not UTC or not "1970" < text < "9000":
        raise ValueError
    return time
