"""Receivers of Standard Webhooks.

A webhook is signed. It follows no redirect, and refuses a private address unless that is allowed: what counts is the
address that the connection really has, whatever the name resolves to. Nothing is sent before that is known. Whoever has
not answered within ``TIMEOUT`` has not taken it: so a message is held for less than its lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from projections.outbox.queue import Message
from tracker.deadline import Deadline, OverdueError, Trace
from tracker.errors import RulesError, UsageError

if TYPE_CHECKING:  # they need not be installed
    import httpx2
    from standardwebhooks import Webhook

TIMEOUT = 15.0
"""Seconds in which a message has to be taken."""
BUSY = (429, 502, 503, 504)
"""What says, as Standard Webhooks has it, that the receiver takes too much, or is not there."""
LEAST = 32
"""Characters of a secret in base64: 24 bytes, as Standard Webhooks asks for."""


class NotTakenError(Exception):
    """The message was not taken. ``gone`` says that the receiver wants no more, ``busy`` that it may take no other one either."""

    def __init__(self, problem: str, *, gone: bool = False, busy: bool = False) -> None:
        super().__init__(problem)
        self.problem, self.gone, self.busy = problem, gone, busy


class Target(Protocol):
    def send(self, message: Message, now: datetime) -> None:
        """Raises ``NotTakenError``."""

    def close(self) -> None: ...


@attrs.frozen
class Endpoint:
    """An entry of the configuration, as far as it says where to send and how to sign.

    Attributes:
        kind, name: What it is (``alert``, ``relay``) and how it is called.
        to: The URL.
        secret: The file with the secret.
        variable: The variable that has the secret where no file is named.
        allow_private: Whether a private address is allowed.
    """

    kind: str
    name: str
    to: str
    secret: Path | None
    variable: str
    allow_private: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@attrs.frozen
class Webhooks:
    """A receiver of Standard Webhooks."""

    endpoint: Endpoint
    client: httpx2.Client
    signer: Webhook
    deadline: Deadline = attrs.field(factory=Deadline)

    def send(self, message: Message, now: datetime) -> None:
        import httpx2

        signature = self.signer.sign(message.id, now, message.body)
        headers = {
            "content-type": "application/json",
            "user-agent": "meeting-tracker",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        try:
            with (
                self.deadline.within(TIMEOUT) as trace,
                self.client.stream(
                    "POST",
                    self.endpoint.to,
                    content=message.body,
                    headers=headers,
                    extensions={"trace": partial(self._look, trace)},
                ) as response,  # whose body nobody reads
            ):
                status = response.status_code
        except (OverdueError, httpx2.TimeoutException) as error:
            raise NotTakenError(f"did not answer within {TIMEOUT:g} s", busy=True) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise NotTakenError(f"cannot be reached ({type(error).__name__})", busy=True) from error
        if not 200 <= status < 300:
            raise NotTakenError(f"was answered with {status}", gone=status == 410, busy=status in BUSY)

    def close(self) -> None:
        self.client.close()

    def _look(self, trace: Trace, step: str, about: Mapping[str, Any]) -> None:
        """Called with each step of a request; ends it once it is connected to what others do not reach."""
        trace(step, about)
        if self.endpoint.allow_private or step != "connection.connect_tcp.complete":
            return
        stream = about["return_value"]
        if is_private(stream.get_extra_info("server_addr")[0]):
            stream.close()
            raise NotTakenError(f"has a private address, which the {self.endpoint.kind} does not allow")


def webhooks(endpoint: Endpoint, environment: Mapping[str, str]) -> Webhooks:
    """Raises ``ImportError`` where a package is not installed, and ``RulesError`` where nothing can be signed."""
    from binascii import Error

    import httpx2
    from standardwebhooks import Webhook
    from standardwebhooks.webhooks import EmptyWebhookSecretError

    secret = _secret(endpoint, environment)
    try:
        signer = Webhook(secret)
    except (Error, EmptyWebhookSecretError):
        secret = ""
    if len(secret.removeprefix("whsec_")) < LEAST:
        hint = "openssl rand -base64 32 makes one; give it to the receiver too"
        raise RulesError(f"the secret of {endpoint} is not {LEAST} characters of base64", hint=hint)
    return Webhooks(endpoint, httpx2.Client(timeout=TIMEOUT, follow_redirects=False), signer)


def not_installed(what: str, extra: str, error: ImportError) -> UsageError:
    hint = f"run pip install '.[{extra}]' in the directory of the source"
    return UsageError(f"{what} needs {error.name}, which is not installed", hint=hint)


def is_private(text: str) -> bool:
    """Whether others do not reach this address."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return not address.is_global


def _secret(endpoint: Endpoint, environment: Mapping[str, str]) -> str:
    if endpoint.secret is not None:
        try:
            return endpoint.secret.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            message = f"the secret of {endpoint} cannot be read: {reason}"
            raise RulesError(message, place=str(endpoint.secret), hint="give a file with it") from error
    if secret := environment.get(endpoint.variable, "").strip():
        return secret
    hint = f'write secret = "FILE", or set {endpoint.variable}'
    raise RulesError(f"{endpoint} has no secret to sign with", hint=hint)
