"""From bytes to a delivery: what the webhook says, and which step of which lifecycle it reports.

``parse`` never raises and loses nothing: the body stays as it came, fields that no payload class
knows are in ``Delivery.extra``, and what cannot be routed says why. Routing needs the type, the
session's id and the lifecycle's key; all other fields are read leniently, so a file name that is
suddenly a number makes that field ``None``, never the delivery unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

import msgspec

from tracker.delivery.envelope import UNREADABLE, Received, decode_json
from tracker.delivery.payload import known_names, payload_reader
from tracker.lifecycle import Lifecycle, camel_case
from tracker.lifecycles import REGISTRY, Registry
from tracker.record import RECORD
from tracker.step import Step

MALFORMED = "C513"
MISSING_FIELD = "C511"
UNKNOWN_TYPE = "C509"

UNROUTED = "unrouted:"
"""What the name of a stream begins with that holds deliveries without a session."""
MAX_ID = 255
"""Characters of an id or a type that serve as a name; PostgreSQL indexes no more than 2,700 bytes."""
PING = "it is empty, or a test of the endpoint"
"""The problem of what comes where somebody tries out an endpoint; before the first webhook that is none."""
_PING = rb'\s*(?:\{\s*(?:"(?:test|ping)"\s*:[^{}\[\]]{0,100})?\}|"?(?:ping|test)"?)?\s*'
FLAT = "it has no data; what should be in it stands beside its type"
"""The problem of a webhook whose fields somebody has laid into one row."""
_FLAT = rb'"(?i:session_?id|meeting_?id|room_?id)"'
_OF_PYTHON = rb"\{\s*'webhookType'"
_NO_ID = 10**MAX_ID
TYPE_NAMES = ("webhookType", "type", "event", "eventType", "event_type", "webhook_type")
"""Where the type stands; under the later names, which some loggers give it, only where a lifecycle knows it."""

_NO_SESSION = re.compile(
    r"(?P<agent>(?i:session-[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12})\Z)|unrouted:|unrouted$|log:"
)


Key = tuple[tuple[str, str], ...]
"""What tells an aggregate from others of its lifecycle: names of payload fields, and their values."""


class ReadAs(msgspec.Struct, frozen=True, gc=False):
    """How a line was read that is neither a webhook nor an envelope of ours with a time that names its zone.

    Attributes:
        webhook, time: Where they are in the line, as ``.message``; empty where they are at their usual places.
        name: Of the shape, where it is a known one.
        zone: In which its time was taken to be, where it names none.
        twice: The two times that it may be, where a clock in that zone shows it twice.
        problem: Why it was not read, where it is none.
    """

    webhook: str = ""
    time: str = ""
    name: str = ""
    zone: str = ""
    twice: tuple[datetime, datetime] | None = None
    problem: str = ""


class Delivery(msgspec.Struct, eq=False, gc=False):  # nothing in it can refer to it
    """One webhook as it was delivered, at its position in the log.

    Routed when ``lifecycle`` and ``step`` are set; otherwise ``unrouted`` is the code that says
    why and ``problem`` tells it in words. ``stream`` is where it belongs: the session's id,
    ``resource:<id>`` or ``unrouted:<type or reason>``. ``declared`` is the lifecycle of its type, routed
    or not; ``said`` is ``data``, decoded. ``read_as`` says where in a line it was, where that is no plain one. What
    is kept in a stream of its own may be linked: ``link`` holds the ids of the session and of the meeting that it was
    for, as far as it says so.
    """

    received: Received
    position: int
    stream: str
    type: str | None = None
    session_id: str | None = None
    meeting_id: str | None = None
    lifecycle: Lifecycle | None = None
    step: Step | None = None
    key: Key = ()
    data: bytes = b"{}"
    unrouted: str = ""
    problem: str = ""
    link: tuple[str | None, str | None] | None = None
    declared: Lifecycle | None = None
    said: dict[str, Any] = msgspec.field(default_factory=dict)
    read_as: ReadAs | None = None
    is_plain: bool = False
    _payload: Any = None

    @property
    def received_at(self) -> datetime | None:
        """When it was received, in UTC; ``None`` where that is not known."""
        return self.received.received_at

    @property
    def payload(self) -> Any:
        """``data`` as the lifecycle's payload class; ``None`` where its type is none of a lifecycle.

        It is read when it is first asked for: who only stores a delivery need not know.
        """
        if self._payload is None and self.declared is not None:
            self._payload = payload_reader(self.declared)(self.said)
        return self._payload

    @property
    def extra(self) -> dict[str, Any]:
        """What the payload class does not know of ``data``."""
        known = known_names(self.declared) if self.declared is not None else self.said.keys()
        return {name: value for name, value in self.said.items() if name not in known}

    @property
    def body(self) -> bytes:
        return self.received.body

    @property
    def topic(self) -> str:
        """The webhook type, or the reason why there is none; short enough for any index."""
        if self.is_plain and self.type is not None:
            return self.type
        return (self.type or "").replace("\x00", "")[:MAX_ID] or self.stream.removeprefix("unrouted:")


class _Body(msgspec.Struct, gc=False):  # nothing in it can refer to it
    webhookType: Any = None  # noqa: N815 - the name that is sent
    type: Any = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Renamed(msgspec.Struct):
    event: Any = None
    eventType: Any = None  # noqa: N815 - as loggers rename it
    event_type: Any = None
    webhook_type: Any = None


_body = msgspec.json.Decoder(_Body)
_renamed = msgspec.json.Decoder(_Renamed)
_data = msgspec.json.Decoder(dict[str, Any])
_any = msgspec.json.Decoder()
_sorted = msgspec.json.Encoder(order="sorted").encode


def parse(received: Received | bytes, position: int = 0, registry: Registry = REGISTRY) -> Delivery:
    """What was delivered. ``position`` is the place in the store or the line in the log."""
    if isinstance(received, bytes):
        received = Received(received)
    if received.cut_from is not None:
        problem = f"it has {received.cut_from:,} bytes, of which only the beginning is kept"
        return Delivery(received, position, "unrouted:malformed", unrouted=MALFORMED, problem=problem)
    try:
        body = decode_json(_body, received.body)
    except UNREADABLE as error:
        problem = PING if re.fullmatch(_PING, received.body) else _why(received.body, error)
        return Delivery(received, position, "unrouted:malformed", unrouted=MALFORMED, problem=problem)
    webhook_type = body.webhookType
    if not isinstance(webhook_type, str):
        webhook_type = (
            body.type if is_known(body.type, registry) else _renamed_type(body.type, received, registry)
        )
    if not isinstance(webhook_type, str) or not webhook_type.strip("\x00"):
        known = _untyped(received, position, registry)
        if known is not None:
            return known
        problem = PING if re.fullmatch(_PING, received.body) else "it has no webhookType"
        return Delivery(received, position, "unrouted:untyped", unrouted=MISSING_FIELD, problem=problem)
    raw = b"{}" if body.data is msgspec.UNSET else bytes(body.data)
    if raw == b"null":
        raw = b"{}"
    try:
        data = _data.decode(raw)
    except UNREADABLE as error:
        problem = "its data is not an object"
        if raw.startswith(b"{"):
            problem = f"its data cannot be read: {_why(received.body, error)}"
        return Delivery(
            received, position, _unrouted(webhook_type), webhook_type, unrouted=MISSING_FIELD, problem=problem
        )
    delivery = routed(received, position, webhook_type, raw, data, registry)
    if not data and delivery.unrouted == MISSING_FIELD and re.search(_FLAT, received.body):
        delivery.problem = FLAT
    return delivery


def _renamed_type(given: Any, received: Received, registry: Registry) -> Any:
    """The type under a name that some loggers give it, where a lifecycle knows it; else the given one."""
    renamed = msgspec.structs.astuple(decode_json(_renamed, received.body))
    return next((one for one in renamed if is_known(one, registry)), given)


def is_known(webhook_type: object, registry: Registry = REGISTRY) -> bool:
    """Whether a lifecycle knows a type; its case does not matter, nor that ``_`` and ``.`` stand for ``-``."""
    return isinstance(webhook_type, str) and folded(webhook_type) in registry.routes


def folded(webhook_type: str) -> str:
    """A type as VideoSDK writes it."""
    return webhook_type.lower().replace("_", "-").replace(".", "-")


def same_data(one: bytes, other: bytes) -> bool:
    """Whether two ``data`` say the same, whatever the order of their keys and their white space."""
    return one == other or canonical(one) == canonical(other)


def canonical(data: bytes) -> bytes:
    """``data`` with sorted keys and no white space."""
    return _sorted(_any.decode(data))


def _untyped(received: Received, position: int, registry: Registry) -> Delivery | None:
    """The delivery of a webhook that is known though it has no type; its data is the whole body."""
    try:
        body = decode_json(_data, received.body)
    except UNREADABLE:  # in what nobody asked for
        return None
    lifecycle = next((one for name, one in registry.untyped.items() if name in body), None)
    if lifecycle is None or lifecycle.untyped is None:
        return None
    said = dict(body)
    for field, place in lifecycle.untyped.fields.items():
        value: Any = body
        for name in place.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            said[camel_case(field)] = value
    webhook_type = lifecycle.webhook_type(lifecycle.steps[0].name)
    return routed(received, position, webhook_type, received.body, said, registry)


def routed(
    received: Received,
    position: int,
    webhook_type: str,
    data: bytes,
    said: dict[str, Any],
    registry: Registry = REGISTRY,
) -> Delivery:
    """The delivery of a webhook of this type; ``said`` is its ``data``, decoded."""
    session_id, wrong = said.get("sessionId"), ""
    if type(session_id) is not str or not _is_session_id(session_id, registry.prefixes):
        session_id, wrong = _session_id(said, registry.prefixes)
    meeting_id = _name(said.get("meetingId")) or _name(said.get("roomId"))
    route = registry.routes.get(webhook_type)
    if route is None and (route := registry.routes.get(folded(webhook_type))) is not None:
        webhook_type = folded(webhook_type)
    if route is None:
        stream = session_id or _unrouted(webhook_type)
        found = Delivery(received, position, stream, webhook_type, session_id, meeting_id, data=data, said=said)
        found.unrouted, found.problem = UNKNOWN_TYPE, _unknown(found.topic, tuple(registry.routes))
        return found
    lifecycle, step = route
    own, link = lifecycle.stream or lifecycle.stream_without_session, None
    if own and not lifecycle.stream and (said.get("sessionId") is not None or step is RECORD):
        own = ""
    if own:
        link = _link(lifecycle, session_id, meeting_id)
        session_id, meeting_id, wrong = None, None, ""
    key: Key = ()
    for field, sent, needed in _key_fields(lifecycle):
        value = _name(said.get(sent))
        if value is not None:
            key += ((field, value),)
        elif needed and step is not RECORD:  # that is kept with its session, and need not say more
            wrong = wrong or f"its {sent} is {_shape(said, sent)}"
    stream = ":".join((own, *(value for _, value in key))) if own else session_id or ""
    found = Delivery(
        received,
        position,
        stream,
        webhook_type,
        session_id,
        meeting_id,
        lifecycle,
        step,
        key,
        data,
        "",
        "",
        link,
        lifecycle,
        said,
    )
    if wrong:
        found.stream, found.lifecycle, found.step = session_id or _unrouted(webhook_type), None, None
        found.unrouted, found.problem = MISSING_FIELD, wrong
    return found


def _link(
    lifecycle: Lifecycle, session_id: str | None, meeting_id: str | None
) -> tuple[str | None, str | None] | None:
    """Which session, and which meeting, something was for that has a stream of its own."""
    of_session = "session_id" in lifecycle.linked_by
    of_room = len(lifecycle.linked_by) > of_session
    link = session_id if of_session else None, meeting_id if of_room else None
    return link if any(link) else None


@cache
def _key_fields(lifecycle: Lifecycle) -> tuple[tuple[str, str, bool], ...]:
    """The fields of the key, by the names they have here and as sent, and whether each must be sent."""
    fields = lifecycle.key + lifecycle.optional_key
    return tuple((field, camel_case(field), field in lifecycle.key) for field in fields)


@lru_cache(maxsize=256)
def _unknown(webhook_type: str, known: tuple[str, ...]) -> str:
    alike = [name for name in known if abs(len(name) - len(webhook_type)) < 4]
    from difflib import get_close_matches  # nearly all types are known

    near = get_close_matches(webhook_type, alike, n=1, cutoff=0.85)
    return f"{webhook_type} is not a known type" + (f"; is it {near[0]}?" if near else "")


def _session_id(said: dict[str, Any], prefixes: tuple[str, ...]) -> tuple[str | None, str]:
    """The id of the meeting's session, or why there is none. With ``prefixes`` begin the streams of other things."""
    value = _name(said.get("sessionId"))
    if value is None:
        return None, f"its sessionId is {_shape(said, 'sessionId')}"
    other = _NO_SESSION.match(value)
    if other is None and not value.startswith(prefixes):
        return value, ""
    if other is not None and other["agent"]:
        return None, "its sessionId is an agent session's, not a meeting session's"
    return None, f"its sessionId, {value}, is a name of this program's own"


@lru_cache(maxsize=4096)
def _is_session_id(value: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a text is the id of a meeting's session. It is asked again for each delivery of one."""
    return _session_id({"sessionId": value}, prefixes)[0] == value


def _name(value: Any) -> str | None:
    """``value`` if it can serve as an id: a string that is neither empty nor unfit for an index, or a whole number."""
    if type(value) is str:
        return value if 0 < len(value) <= MAX_ID and "\x00" not in value else None
    return str(value) if type(value) is int and abs(value) < _NO_ID else None


def _shape(data: dict[str, Any], name: str) -> str:
    """What a field that cannot serve as an id is instead."""
    value = data.get(name)
    if value is None:
        return "missing"
    if not isinstance(value, str):
        return "not a string"
    if not value:
        return "empty"
    return "longer than 255 characters" if len(value) > MAX_ID else "text with a zero byte"


def _unrouted(webhook_type: str) -> str:
    return UNROUTED + webhook_type.replace("\x00", "")[:MAX_ID]


def _why(body: bytes, error: Exception) -> str:
    """What makes a body unreadable, and in which column (from 1) of which line."""
    if isinstance(error, msgspec.ValidationError):
        if str(error).startswith("Number out of range"):
            return "a number in it is out of range"
        try:
            _any.decode(body)
        except UNREADABLE as broken:  # it only begins like JSON, as a log line begins with a date
            return _why_broken(body, broken)  # kept in a variable, it would keep all frames and what is in them
        return "it is JSON, but not an object"
    return _why_broken(body, error)


def _why_broken(body: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "its JSON is nested too deeply"
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        return f"it is not UTF-8: byte 0x{body[wrong.start]:02x} at {_place(body, wrong.start)}"
    if not body.strip():
        return "it is empty"
    if re.search(_OF_PYTHON, body):
        return "it is not JSON, but a dictionary as Python prints it; json.dumps writes JSON"
    reason = str(error).removeprefix("JSON is malformed: ")
    where = re.search(r" \(byte (\d+)\)$", reason)
    if where is None:
        return f"it is not JSON: it breaks off at {_place(body, len(body))}"
    offset = int(where[1])
    if reason.startswith("trailing comma"):  # msgspec tells where the bracket after it is
        offset = body.rindex(b",", 0, offset)
    return f"it is not JSON: {reason[: where.start()]} at {_place(body, offset)}"


def _place(body: bytes, offset: int) -> str:
    before = body[:offset]
    line, column = before.count(b"\n") + 1, offset - (before.rfind(b"\n") + 1) + 1
    return f"column {column}" if b"\n" not in body.strip() else f"line {line}, column {column}"


def until(deliveries: Iterable[Delivery], as_of: datetime | None) -> Iterable[Delivery]:
    """What had been received by then, and all of which is not known when it was."""
    if as_of is None:
        return deliveries
    return (one for one in deliveries if one.received_at is None or one.received_at <= as_of)
