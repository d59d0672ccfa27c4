"""Webhooks wrapped as log stores, gateways and loggers do it: the other way round of ``tracker.delivery.unwrap``."""

import json
from base64 import b64encode

FORMS = {
    "iso": lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    "nano": lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.%f789Z"),
    "spaced": lambda at: at.strftime("%Y-%m-%d %H:%M:%S.%f"),
    "s": lambda at: at.timestamp(),
    "ms": lambda at: round(at.timestamp() * 1000),
    "us": lambda at: str(round(at.timestamp() * 1e6)),
    "ns": lambda at: str(round(at.timestamp() * 1e6) * 1000),
    "clf": lambda at: at.strftime("%d/%b/%Y:%H:%M:%S +0000"),
    "http": lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    "js": lambda at: at.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"),
    "$date": lambda at: {"$date": FORMS["iso"](at)},
}
"""How a time is written; of those that show seconds only, the rest is lost."""
ONLY_SECONDS = {"clf", "http", "js"}


def request(body, headers):
    """The bytes of a request."""
    lines = ["POST /webhooks HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


HELD = {
    "object": lambda body, _: json.loads(body),
    "text": lambda body, _: body.decode(),
    "base64": lambda body, _: b64encode(body).decode(),
    "raw HTTP": lambda body, headers: request(body, headers).decode(),
    "raw HTTP in base64": lambda body, headers: b64encode(request(body, headers)).decode(),
    "double": lambda body, _: json.dumps(body.decode()),
    "prefixed": lambda body, _: f"INFO received {body.decode()}",
    "bytes": lambda body, _: {"type": "Buffer", "data": list(body)},
}
"""As what a webhook is held."""


def put(line, way, value):
    """Puts a value into a line at the end of a way."""
    *outer, last = [name if name != "*" else "column" for name in way.split(".")]
    for name in outer:
        line = line.setdefault(name, {})
    if last not in line:
        line[last] = value
    elif isinstance(value, dict):
        line[last].update(value)


def wrapped(shape, body, at, headers):
    """A line of a shape; an element of its array, where it has one."""
    if shape.webhook.startswith("["):
        return [FORMS[shape.form](at), HELD[shape.held](body, headers)]
    line = {}
    put(line, shape.webhook, HELD[shape.held](body, headers))
    put(line, shape.time, FORMS[shape.form](at))
    if shape.headers:
        put(line, shape.headers, headers)
    for mark in shape.marks:
        put(line, mark, "a mark")
    return line


def document(shape, lines):
    """What an export of a shape gives: a document around its lines, or the lines."""
    if not shape.batch:
        return "".join(json.dumps(line) + "\n" for line in lines).encode()
    *outer, last = shape.batch.split(".")
    inner = {last: lines}
    for name in reversed(outer):
        inner = {name: [inner] if name not in {"data", "hits", "log"} else inner}
    return json.dumps({"kind": "export", **inner}).encode()
