"""A store whose facts are relayed: what comes is judged and swept, at times that the test chooses."""

import json
from contextlib import contextmanager
from datetime import timedelta

import attrs
from meetings import MORNING, deliveries, line, webhook
from stores import opened

from projections.relay.database import queue_of
from projections.relay.sweep import sweep
from projections.views.follow import Views
from tracker.relay import Relay

ROOM = {"sessionId": "s", "meetingId": "m"}


def at(seconds):
    return MORNING + timedelta(seconds=seconds)


@attrs.define
class Relaying:
    data: object
    store: object
    views: Views
    relays: list
    now: object = MORNING
    past: int | None = None

    def come(self, seconds, *kinds, **data):
        """These webhooks are received at a moment, and swept."""
        lines = [line(webhook(kind, **{**ROOM, **data}), seconds) for kind in kinds]
        self.store.append(deliveries(lines))
        self.views.catch_up(self.store)
        self.pass_to(seconds)

    def pass_to(self, seconds):
        """Time goes on."""
        self.now = at(seconds)
        self.views.bring_to(self.store, self.now)
        self.sweep()

    def sweep(self):
        sweep(self.data, self.relays, self.now, self.store.pruned_among, self.past)

    @property
    def sent(self):
        """The types of all messages, in order."""
        return [message["type"] for _, message in self.messages]

    @property
    def messages(self):
        """Their ids and bodies."""
        return outbox(self.data)


def outbox(data):
    with queue_of(data).file.to_read() as connection:
        rows = (
            connection.execute("SELECT id, body FROM outbox ORDER BY number").fetchall() if connection else []
        )
    return [(id, json.loads(body)) for id, body in rows]


@contextmanager
def relaying(data, *relays, armed=True):
    """With an empty store; ``armed`` before anything comes."""
    data.mkdir(exist_ok=True)
    with opened(data, create=True) as store, Views.open(store) as views:
        found = Relaying(data, store, views, list(relays) or [Relay("app", "https://app.example.org")])
        if armed:
            found.sweep()
        yield found
