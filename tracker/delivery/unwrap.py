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

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

import msgspec

from tracker.delivery.envelope import UNREADABLE, decode_json
from tracker.delivery.nearest import BEFORE, Time, nearest_time, signature, time_at
from tracker.delivery.opening import Value, opened
from tracker.delivery.shapes import Shape, shape_of
from tracker.delivery.webhook import TYPE_NAMES, is_known
from tracker.errors import UsageError

__all__ = ["USUAL", "Fields", "Found", "find"]

MOST_VALUES = 2_000
"""Values of a line that are looked at."""

_text = msgspec.json.Decoder(str)
_any = msgspec.json.Decoder()


class Fields(msgspec.Struct, frozen=True):
    """Where a line has its webhook and its time, where somebody has said so: names, from the outside in."""

    webhook: tuple[str, ...] = ()
    time: tuple[str, ...] = ()


USUAL = Fields()
"""Nobody has said it."""


def fields_of(webhook: str, time: str, names: tuple[str, str] = ("--webhook-field", "--time-field")) -> Fields:
    """The fields that somebody names with dots. Raises ``UsageError`` that says which of the ``names`` names none."""
    for name, way in zip(names, (webhook, time), strict=True):
        if way and "" in way.split("."):
            raise UsageError(f"{name} {way!r} is no field", hint="write names with dots, as in detail.raw")
    return Fields(*(tuple(way.split(".")) if way else () for way in (webhook, time)))


class Found(msgspec.Struct, frozen=True):
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


def find(line: bytes, fields: Fields = USUAL) -> Found:
    """The webhook in a line, and its time. Never raises."""
    root = Value(line, is_document=True)
    if fields.webhook:
        named = _where_it_is_named(root, fields)
        if named is not None:
            return named
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


def _where_it_is_named(root: Value, fields: Fields) -> Found | None:
    at = root.follow(fields.webhook)
    if at is None:
        return None
    inner = opened(at)
    return _found(inner, root, fields) if inner.fields else None


def _found(one: Value, root: Value, fields: Fields) -> Found:
    shape = _shape(one)
    at, unread, way = _time(one, root, fields, shape) or (None, None, ())
    return Found(
        one.raw,
        at,
        unread if at is None else None,
        signature(one),
        _shown(one.way),
        _shown(way) if way else "",
        shape.name if shape is not None else one.written_as,
    )


def _time(one: Value, root: Value, fields: Fields, shape: Shape | None) -> Time | None:
    """The time that was said to be it, or the one of the shape, or the nearest one."""
    said = root.follow(fields.time) if fields.time else None
    if said is not None:
        return time_at(said)
    usual = _document(one).follow(_way(shape.time)) if shape is not None else None
    time = time_at(usual) if usual is not None else None
    return time if time is not None and time[0] is not None else nearest_time(one) or time


def _webhooks(root: Value) -> list[Value]:
    """The webhooks of the outermost level that has any; in text before those that were parsed."""
    queue, found, looked = deque([root]), list[Value](), 0
    while queue and looked < MOST_VALUES:
        looked += 1
        here = queue.popleft()
        if found and here.depth > found[0].depth:
            break
        here = opened(here)
        if _is_webhook(here):
            found.append(here)
            continue
        queue.extend(here.inside(name, raw) for name, raw in here.fields.items() if _may_hold(raw))
        queue.extend(here.inside(f"[{place}]", raw) for place, raw in enumerate(here.items) if _may_hold(raw))
    return sorted(found, key=lambda one: not one.is_document)


def _may_hold(raw: bytes) -> bool:
    return raw[:1] in (b"{", b"[") or (raw[:1] == b'"' and len(raw) > 20)


def _is_webhook(value: Value) -> bool:
    fields = value.fields
    if fields.get("webhookType", b"")[:1] == b'"':
        return True
    data = fields.get("data", b"")
    if data[:1] != b"{" or b'"webhookType"' in data:
        return False
    return any(is_known(_text_of(fields[name])) for name in TYPE_NAMES if name in fields)


def _same(one: bytes, other: bytes) -> bool:
    try:
        return one == other or bool(_any.decode(one) == _any.decode(other))
    except UNREADABLE:
        return False


def _shape(one: Value) -> Shape | None:
    document = _document(one)
    way = one.way[len(document.way) :]
    return shape_of(".".join(way), lambda field: document.follow(_way(field)) is not None)


@lru_cache(maxsize=256)
def _way(field: str) -> Sequence[str]:
    """The names on the way to a field: ``a.b``, ``a[0]``."""
    return field.replace("[", ".[").strip(".").split(".")


def _text_of(raw: bytes) -> str:
    try:
        return decode_json(_text, raw)
    except UNREADABLE:
        return ""


def _document(one: Value) -> Value:
    """The document that a webhook is a part of; it may be one itself, in texts in each other."""
    here = one
    while here.up is not None and (here.way == one.way or not here.is_document):
        here = here.up
    return here


def _shown(way: Sequence[str]) -> str:
    if way[-1:] == (BEFORE,):
        return "the text before it"
    return "".join(name if name[:1] == "[" else f".{name}" for name in way) or "the line"
