"""Whoever answers a little at a time, and never comes to an end."""

from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread

EVERY = 0.01
"""Seconds from one piece to the next."""


@contextmanager
def dribbling(head, piece):
    """A server that answers with a head, and then with one piece after the other; gives its address."""
    over = Event()

    class Handler(StreamRequestHandler):
        def handle(self):
            with suppress(OSError):
                self.request.recv(65536)
                self.request.sendall(head)
                while piece and not over.wait(EVERY):
                    self.request.sendall(piece)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()
