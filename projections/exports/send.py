"""Posts webhooks to a handler, signed as VideoSDK signs them, but with a key of one's own.

The header ``videosdk-signature`` is the base64 of RSA-SHA256 (PKCS#1 v1.5) over the raw body.

Between two webhooks a handler may close the connection, as it likes. So one that was closed or idle is not
used again. Where one breaks all the same while a webhook is on it, nobody here can know whether the handler
has it: it is sent once more over a new one, as VideoSDK does, and ``Sent.again`` counts that.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from select import POLLIN, poll
from ssl import SSLEOFError, SSLZeroReturnError
from time import monotonic, sleep
from urllib.parse import urlsplit

import attrs
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tracker.delivery.envelope import SIGNATURE_HEADER, Received
from tracker.errors import UsageError, without_secrets

TIMEOUT = 30
"""Seconds to wait for an answer."""
IDLE = 1
"""Seconds after which a connection is not used again: handlers close theirs after two or more."""

_BROKEN = (ConnectionError, SSLEOFError, SSLZeroReturnError)
"""What is raised where the other side has closed a connection."""

Sign = Callable[[bytes], str]


@attrs.define
class Sent:
    """How many were posted, how many of them were not answered with a 2xx, and how many sent a second time."""

    posted: int = 0
    refused: int = 0
    again: int = 0
    first_refusal: str = ""


def signer(path: Path) -> Sign:
    """Signs with the RSA key of a PEM file. Raises ``UsageError`` when there is none."""
    make = f"openssl genrsa -out {path} 2048 makes one"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", place=str(path), hint=make) from error
    except (ValueError, TypeError) as error:
        raise UsageError("is no private key without a password", place=str(path), hint=make) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UsageError("is no RSA key", place=str(path), hint=make)
    return lambda body: b64encode(key.sign(body, padding.PKCS1v15(), SHA256())).decode()


def send(webhooks: Iterable[Received], url: str, sign: Sign, speed: float | None = None) -> Sent:
    """Posts the bodies in order, one at a time; ``speed`` 60 makes a minute of an hour, ``None`` does not wait.

    Raises ``UsageError`` when the handler is out of reach.
    """
    sent, pace = Sent(), _Pace(speed)
    line = _Line(*_connection(url))
    try:
        for webhook in webhooks:
            pace.wait(webhook)
            headers = {"content-type": "application/json", SIGNATURE_HEADER: sign(webhook.body)}
            answer = line.post(webhook.body, headers)
            sent.again += line.again
            sent.posted += 1
            if not 200 <= answer.status < 300:
                sent.refused += 1
                sent.first_refusal = sent.first_refusal or f"{sent.posted}: {answer.status} {answer.reason}"
    except (OSError, HTTPException) as error:
        hint = f"{sent.posted:,} webhooks were posted before; see whether the handler runs"
        raise UsageError(f"no answer: {error}", place=without_secrets(url), hint=hint) from error
    finally:
        line.connection.close()
    return sent


@attrs.define
class _Line:
    """The way to a handler: one connection as long as it lasts."""

    connection: HTTPConnection
    path: str
    used: float = 0.0
    """When the connection was last used."""
    again: bool = False
    """Whether the last webhook was sent twice."""

    def post(self, body: bytes, headers: dict[str, str]) -> HTTPResponse:
        if self._is_stale():
            self.connection.close()
        self.again, reused = False, self.connection.sock is not None
        try:
            return self._exchange(body, headers)
        except _BROKEN:
            self.connection.close()
            if not reused:
                raise
            self.again = True
        return self._exchange(body, headers)

    def _exchange(self, body: bytes, headers: dict[str, str]) -> HTTPResponse:
        self.connection.request("POST", self.path, body, headers)
        answer = self.connection.getresponse()
        answer.read()
        self.used = monotonic()
        return answer

    def _is_stale(self) -> bool:
        """Whether the connection is likely to be closed: nobody asked, so what is there to be read is its end."""
        if self.connection.sock is None:
            return False
        watch = poll()
        watch.register(self.connection.sock, POLLIN)
        return bool(watch.poll(0)) or monotonic() - self.used > IDLE


def _connection(url: str) -> tuple[HTTPConnection, str]:
    hint = "give one like http://localhost:8000/webhooks"
    try:
        parts = urlsplit(url)
        kind = {"http": HTTPConnection, "https": HTTPSConnection}[parts.scheme]
        host, port = parts.hostname, parts.port
    except (KeyError, ValueError) as error:
        raise UsageError("is no http url", place=without_secrets(url), hint=hint) from error
    if not host:
        raise UsageError("names no host", place=without_secrets(url), hint=hint)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return kind(host, port, timeout=TIMEOUT), path


@attrs.define
class _Pace:
    speed: float | None
    origin: float | None = None

    def wait(self, webhook: Received) -> None:
        """Until the moment in which it is due."""
        if self.speed is None or webhook.received_at is None:
            return
        due = webhook.received_at.timestamp() / self.speed
        if self.origin is None:
            self.origin = monotonic() - due
        sleep(max(0.0, self.origin + due - monotonic()))
