"""Whoever takes alerts: a real server, which says what came."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import attrs

KEY = "whsec_" + "c2VjcmV0" * 6


@attrs.define
class Receiver:
    """A server that takes webhooks. It answers with ``statuses`` in turn, and with 204 after those."""

    port: int = 0
    statuses: list = attrs.Factory(list)
    came: list = attrs.Factory(list)
    """Headers and body of each request."""

    def answer(self, headers, body):
        self.came.append((dict(headers.items()), body))
        return self.statuses.pop(0) if self.statuses else 204

    @property
    def taken(self):
        """The type of each message that was not sent before, in the order in which they came first."""
        bodies = {headers["webhook-id"]: body for headers, body in self.came}
        return [json.loads(body)["type"] for body in bodies.values()]


@contextmanager
def receiving(*statuses):
    receiver = Receiver(statuses=list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            status = receiver.answer(self.headers, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_port
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
