"""The write side: what was said to us, and what it means. And the names that a program uses.

    from tracker import audit

    for finding in audit("webhooks.jsonl").findings:
        print(finding.position, finding.message)

``examples/reference/library.md`` shows every name. None is imported before it is asked for, so that
importing one module of this package costs that module alone. ``audit`` and ``asgi_app`` belong to the
read side; this door hands them out, and nothing else here knows of it.

The straight line of a webhook: ``intake.logs`` reads a line, ``delivery.envelope`` takes the body out of it,
``delivery.webhook`` makes a delivery of it, ``store.application`` keeps it, ``judging`` says what it was.
``examples/follow_one_webhook.py`` prints every hop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from projections.audit.library import audit
    from projections.web.embedded import asgi_app
    from tracker.delivery.signature import verify_signature
    from tracker.delivery.webhook import parse
    from tracker.findings import Finding
    from tracker.judging.state import Session
    from tracker.lifecycle import Lifecycle
    from tracker.rules import Rules
    from tracker.step import Step
    from tracker.store.application import Tracker

    __version__: str

__all__ = [
    "Finding",
    "Lifecycle",
    "Rules",
    "Session",
    "Step",
    "Tracker",
    "__version__",
    "asgi_app",
    "audit",
    "parse",
    "verify_signature",
]

_ORIGINS = {
    "Finding": "tracker.findings",
    "Lifecycle": "tracker.lifecycle",
    "Rules": "tracker.rules",
    "Session": "tracker.judging.state",
    "Step": "tracker.step",
    "Tracker": "tracker.store.application",
    "asgi_app": "projections.web.embedded",
    "audit": "projections.audit.library",
    "parse": "tracker.delivery.webhook",
    "verify_signature": "tracker.delivery.signature",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("meeting-tracker")
    elif name in _ORIGINS:
        from importlib import import_module

        found = getattr(import_module(_ORIGINS[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
