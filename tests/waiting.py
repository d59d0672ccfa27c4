"""Waiting for what happens elsewhere, for as long as a slow machine may need."""

from time import monotonic, sleep

BOUND = 120
"""Seconds after which what was waited for will not come."""


def until(happened, every=0.01):
    """Waits until something has happened, looking every so many seconds; gives what ``happened`` gives then."""
    deadline = monotonic() + BOUND
    while not (found := happened()):
        assert monotonic() < deadline, "it never came to be"
        sleep(every)
    return found
