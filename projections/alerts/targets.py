"""Those to whom alerts are sent: a receiver of Standard Webhooks, or one of the services that Apprise knows.

Apprise connects by itself, so of its services only what their URL says is checked, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from socket import AI_NUMERICHOST, getaddrinfo
from typing import Any

import attrs
import msgspec

from projections.outbox.queue import Message
from projections.outbox.webhooks import Endpoint, NotTakenError, Target, is_private, not_installed, webhooks
from tracker.alert import APPRISE, Alert
from tracker.errors import RulesError

SECRET = "TRACKER_ALERT_SECRET"  # noqa: S105 - the name of a variable
ENDS = ("finding.retracted", "finding.resolved")


def target_of(alert: Alert, environment: Mapping[str, str]) -> Target:
    """Raises ``UsageError`` where a package is not installed, and ``RulesError`` where nothing can be sent so."""
    try:
        if not alert.is_webhook:
            return Apprised(_apprise(alert))
        return webhooks(
            Endpoint("alert", alert.name, alert.to, alert.secret, SECRET, alert.allow_private), environment
        )
    except ImportError as error:
        extra = "alerts" if alert.is_webhook else "apprise"
        raise not_installed(f"alert {alert.name}", extra, error) from error


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
            raise NotTakenError("was not taken", busy=True)  # nobody knows why

    def close(self) -> None:
        pass


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
    return f"has a private address: {host}" if is_local or any(map(is_private, numbers)) else ""
