"""The server as its clients meet it: real HTTP on a free port, a real store, the real follower and receiver."""

import json
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import attrs
import uvicorn
from meetings import webhook
from stores import opened
from waiting import BOUND, until

from projections.views.live import Live
from projections.web.app import create_app
from tracker.intake.receiver import Receiver
from tracker.rules import Rules
from tracker.store.application import Tracker

PATIENCE = BOUND
MONDAY = Path(__file__).parents[1] / "examples" / "bad_monday.jsonl"
EVENING = datetime(2026, 11, 23, 20, tzinfo=UTC)
"""Of that day."""
RESTARTED = "6b040ea029e961d671985824"
"""Its session in which a recording was begun again."""


@attrs.frozen
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@attrs.define
class Served:
    """A server that runs. ``now`` is the time by which it settles what rests on absence."""

    port: int
    tracker: Tracker
    live: Live
    receiver: Receiver
    server: uvicorn.Server | None
    now: datetime
    token: str | None = None

    def ask(self, path, method="GET", body=None, **headers):
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if self.token is not None:
                sent.setdefault("authorization", f"Bearer {self.token}".encode())
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())

    def get(self, path):
        """What a question is answered with."""
        answer = self.ask(path)
        assert answer.status == 200, (path, answer)
        return answer.json

    def post(self, kind, **data):
        """Posts a webhook; returns its position."""
        answer = self.ask("/webhooks", "POST", webhook(kind, **data))
        assert answer.status == 204, answer
        return int(answer.headers["tracker-position"])

    def caught_up(self):
        until(lambda: self.live.lag == 0 and self.live.views_path.exists())

    @contextmanager
    def stream(self, path="/api/changes", **headers):
        """The lines of a stream, as they come."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(
                "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
            )
            response = connection.getresponse()
            assert response.status == 200, response.read()
            yield response


@contextmanager
def served(data, *, token=None, keys=None, now=None, live=True, caught_up=True, alerts=None):
    """A server of this data directory; without ``keys`` it verifies nothing, without ``live`` it only receives."""
    with closing(opened(data, create=True)) as tracker:
        live = Live(tracker, Rules, lambda: running.now) if live else None
        receiver = Receiver(tracker.append, keys or {None: None}, committed=live.wake if live else lambda: None)
        app = create_app(tracker, receiver, live, token=token, alerts=alerts)
        running = Served(0, tracker, live, receiver, None, now or datetime.now(UTC), token)
        with listening(app) as server:
            running.server = server
            running.port = port_of(server)
            try:
                if live and caught_up:
                    running.caught_up()
                yield running
            finally:
                if live:
                    live.stopping = True


@contextmanager
def listening(app, root_path=""):
    """A server of any ASGI application, on a free port; a proxy in front of it has cut ``root_path`` off."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none", root_path=root_path))
    thread = Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        assert server.started, "it did not start"
        yield server
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "it did not stop"


def port_of(server):
    return server.servers[0].sockets[0].getsockname()[1]
