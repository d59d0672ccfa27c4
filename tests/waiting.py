"""Waiting for what happens in other processes, for as long as the machine may need."""

from time import monotonic, sleep

BOUND = 120
"""Seconds after which what was waited for will not come; a slow machine needs a tenth of them."""


def until(happened, bound=BOUND):
    """Waits until something has happened; gives what ``happened`` gives then, and fails after the bound."""
    deadline = monotonic() + bound
    while not (found := happened()):
        assert monotonic() < deadline, f"it did not happen within {bound} s"
        sleep(0.1)
    return found
