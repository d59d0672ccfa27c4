"""The application that ``tracker serve`` runs: the receiver, and beside it the routes that answer questions.

What a route finds in ``request.app.state``:

    tracker   the open ``Tracker``; its methods may be called from any thread
    live      ``projections.live.Live``, which keeps the read models up with the store:
              ``checkpoint_position``  the position up to which they go
              ``lag``                  deliveries that are stored and not yet judged
              ``await wait_for(position, timeout)``  True once they go that far; ``timeout`` in seconds
              ``views_path``           their file; not there before the first rebuild is done; open it read-only,
                                       anew for each request, for a rebuild puts another file in its place
              ``rules``                by which they are judged now
              ``as_of``                the moment at which they are settled, ``None`` before there is one
              ``problem``              why they cannot follow, or ``""``
              ``stopping``             True once the server is to stop: a stream must end then (``wait_for`` returns)
    receiver  ``tracker.receiver.Receiver``: ``insecure`` (nothing is verified), ``queued``, ``problem`` (why the
              store cannot be written, or ``""``), ``stats``
    token     ``str | None``, what pages and API ask for; they compare it in constant time

``receiver.stats`` are plain numbers: ``stored``, ``refused`` (reason -> count; the reasons are a closed set),
``batch_sizes`` and ``append_seconds`` (``Histogram`` with ``bounds``, ``counts``, ``sum``; the counts are not
cumulative, and the last one, behind all bounds, is the overflow).
A route that fails in a way of its own may put a word of why into ``scope["tracker.reason"]`` for the log.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute


def create_app(routes: Sequence[BaseRoute] = ()) -> Starlette:
    """A skeleton; the arguments will be ``(tracker, receiver, live, *, token=None, routes=())``."""
    return Starlette(routes=list(routes))
