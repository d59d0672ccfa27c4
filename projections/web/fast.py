"""What serves a webhook with less CPU, where it is installed: httptools parses requests, uvloop is the event loop.

They come with the extra ``speed``. Without them the same server is written in Python. What clients may do is the same
with both: the limits of ``projections.web.connections``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from projections.web.connections import Patient, PatientH11


def protocol() -> type[Patient]:
    """How requests are read here."""
    try:
        import httptools  # noqa: F401 - what is imported below imports it, and may fail for other reasons
    except ImportError:
        return PatientH11
    from projections.web.connections_httptools import PatientHttpTools

    return PatientHttpTools


def event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    new: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return new
