"""Posts webhooks to a handler, signed as VideoSDK signs them, but with a key of one's own.

The header ``videosdk-signature`` is the base64 of RSA-SHA256 (PKCS#1 v1.5) over the raw body.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

import attrs
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tracker.envelope import SIGNATURE_HEADER, Received
from tracker.errors import UsageError

TIMEOUT = 30
"""Seconds to wait for an answer."""

Sign = Callable[[bytes], str]


@attrs.define
class Sent:
    """How many were posted, and how many of them were not answered with a 2xx."""

    posted: int = 0
    refused: int = 0
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
    connection, path = _connection(url)
    try:
        for webhook in webhooks:
            pace.wait(webhook)
            headers = {"content-type": "application/json", SIGNATURE_HEADER: sign(webhook.body)}
            connection.request("POST", path, webhook.body, headers)
            answer = connection.getresponse()
            answer.read()
            sent.posted += 1
            if not 200 <= answer.status < 300:
                sent.refused += 1
                sent.first_refusal = sent.first_refusal or f"{sent.posted}: {answer.status} {answer.reason}"
    except (OSError, HTTPException) as error:
        hint = f"{sent.posted:,} webhooks were posted before; see whether the handler runs"
        raise UsageError(f"no answer: {error}", place=url, hint=hint) from error
    finally:
        connection.close()
    return sent


def _connection(url: str) -> tuple[HTTPConnection, str]:
    hint = "give one like http://localhost:8000/webhooks"
    try:
        parts = urlsplit(url)
        kind = {"http": HTTPConnection, "https": HTTPSConnection}[parts.scheme]
        host, port = parts.hostname, parts.port
    except (KeyError, ValueError) as error:
        raise UsageError("is no http url", place=url, hint=hint) from error
    if not host:
        raise UsageError("names no host", place=url, hint=hint)
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
