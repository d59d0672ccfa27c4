"""Ports for servers that cannot choose one themselves and say which, and ports at which nobody answers."""

import socket
from contextlib import closing, contextmanager
from random import SystemRandom

OURS = range(10_000, 32_000)
"""Below those that Linux gives to whoever asks for any: one of these is given to nobody while a server starts or restarts."""
_dice = SystemRandom()  # each process of the tests has the same seed


def free():
    """A port of this machine that is free."""
    while True:
        port = _dice.choice(OURS)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


@contextmanager
def deaf():
    """A port at which nobody answers, and that nobody else gets meanwhile."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
