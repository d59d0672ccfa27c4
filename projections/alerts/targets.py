"""Those to whom alerts are sent: a URL that takes Standard Webhooks, or one of the services that Apprise knows.

A webhook is signed. It follows no redirect, and refuses a private address unless the rule allows one: what counts is the
address that the connection really has, whatever the name resolves to. Nothing is sent before that is known. Apprise
connects by itself, so of its services only what their URL says is checked, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from socket import AI_NUMERICHOST, getaddrinfo
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import msgspec

from projections.alerts.outbox import Message
from tracker.alert import APPRISE, Alert
from tracker.errors import RulesError, UsageError

if TYPE_CHECKING:  # they need not be installed
    import httpx2
    from standardwebhooks import Webhook

SECRET = "TRACKER_ALERT_SECRET"  # noqa: S105 - the name of a variable
TIMEOUT = 15.0
"""Seconds to connect, to send and to be answered, each."""
LEAST = 32
"""Characters of a secret in base64: 24 bytes, as Standard Webhooks asks for."""
ENDS = ("finding.retracted", "finding.resolved")


class NotTakenError(Exception):
    """The message was not taken. ``gone`` says that the receiver wants no more."""

    def __init__(self, problem: str, *, gone: bool = False) -> None:
        super().__init__(problem)
        self.problem, self.gone = problem, gone


class Target(Protocol):
    def send(self, message: Message, now: datetime) -> None:
        """Raises ``NotTakenError``."""

    def close(self) -> None: ...


def target_of(alert: Alert, environment: Mapping[str, str]) -> Target:
    """Raises ``UsageError`` where a package is not installed, and ``RulesError`` where nothing can be sent so."""
    extra = "alerts" if alert.is_webhook else "apprise"
    try:
        return _webhook(alert, environment) if alert.is_webhook else Apprised(_apprise(alert))
    except ImportError as error:
        hint = f"run pip install '.[{extra}]' in the directory of the source"
        raise UsageError(f"alert {alert.name} needs {error.name}, which is not installed", hint=hint) from error


@attrs.frozen
class Webhooks:
    """A receiver of Standard Webhooks."""

    alert: Alert
    client: httpx2.Client
    signer: Webhook

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
        extensions = {} if self.alert.allow_private else {"trace": _refuse_private}
        try:
            with self.client.stream(
                "POST", self.alert.to, content=message.body, headers=headers, extensions=extensions
            ) as response:  # whose body nobody reads
                status = response.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise NotTakenError(f"cannot be reached ({type(error).__name__})") from error
        if not 200 <= status < 300:
            raise NotTakenError(f"was answered with {status}", gone=status == 410)

    def close(self) -> None:
        self.client.close()


@attrs.frozen
class Apprised:
    """A service that Apprise reaches. It says of each message whether it was taken, and no more."""

    apprise: Any

    def send(self, message: Message, now: datetime) -> None:  # noqa: ARG002 - as of every target
        sent = msgspec.json.decode(message.body)["data"]
        about = " ".join(str(sent[name]) for name in ("code", "slug") if name in sent)
        kind = "success" if message.type in ENDS else {"error": "failure"}.get(sent.get("severity"), "warning")
        lines = [f"{name}: {value}" for name, value in sent.items() if value not in (None, "", {})]
        if not self.apprise.notify("\n".join(lines), f"{message.type} {about}".strip(), kind):
            raise NotTakenError("was not taken")

    def close(self) -> None:
        pass


def _webhook(alert: Alert, environment: Mapping[str, str]) -> Webhooks:
    from binascii import Error

    import httpx2
    from standardwebhooks import Webhook
    from standardwebhooks.webhooks import EmptyWebhookSecretError

    secret = _secret(alert, environment)
    try:
        signer = Webhook(secret)
    except (Error, EmptyWebhookSecretError):
        secret = ""
    if len(secret.removeprefix("whsec_")) < LEAST:
        hint = "openssl rand -base64 32 makes one; give it to the receiver too"
        raise RulesError(f"the secret of alert {alert.name} is not {LEAST} characters of base64", hint=hint)
    return Webhooks(alert, httpx2.Client(timeout=TIMEOUT, follow_redirects=False), signer)


def _secret(alert: Alert, environment: Mapping[str, str]) -> str:
    if alert.secret is not None:
        try:
            return alert.secret.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            message = f"the secret of alert {alert.name} cannot be read: {reason}"
            raise RulesError(message, place=str(alert.secret), hint="give a file with it") from error
    if secret := environment.get(SECRET, "").strip():
        return secret
    hint = f'write secret = "FILE", or set {SECRET}'
    raise RulesError(f"alert {alert.name} has no secret to sign with", hint=hint)


def _apprise(alert: Alert) -> Any:
    from apprise import Apprise

    apprise = Apprise()
    if not apprise.add(alert.to.removeprefix(APPRISE)):
        hint = 'write to = "apprise:mailtos://…" as the documentation of Apprise says'
        raise RulesError(f"Apprise knows no service at the address of alert {alert.name}", hint=hint)
    for service in apprise:
        if not alert.allow_private and (problem := _exposed(service)):
            hint = "write a public address with TLS, or allow_private = true for a host of yours"
            raise RulesError(f"alert {alert.name} {problem}", hint=hint)
    return apprise


def _exposed(service: Any) -> str:
    """Why a service of Apprise is to be refused, as far as its URL says so; empty where it does not."""
    unencrypted = service.protocol if isinstance(service.protocol, tuple) else (service.protocol,)
    if service.schema in unencrypted:
        return f"is not encrypted: {service.schema}://"
    host = str(service.host or "").strip("[]")
    if (
        "host" not in service.template_tokens or not host
    ):  # the host is fixed, and what is in its place is a token
        return ""
    try:  # no name is looked up
        numbers = {str(one[4][0]) for one in getaddrinfo(host, None, flags=AI_NUMERICHOST)}
    except (OSError, UnicodeError):
        numbers = set()
    is_local = host.rstrip(".").lower().rpartition(".")[2] == "localhost"
    return f"has a private address: {host}" if is_local or any(map(_is_private, numbers)) else ""


def _refuse_private(step: str, about: Mapping[str, Any]) -> None:
    """Called with each step of a request; ends it once it is connected to what others do not reach."""
    if step != "connection.connect_tcp.complete":
        return
    stream = about["return_value"]
    if _is_private(stream.get_extra_info("server_addr")[0]):
        stream.close()
        raise NotTakenError("has a private address, which the alert does not allow")


def _is_private(text: str) -> bool:
    """Whether others do not reach this address."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return not address.is_global
