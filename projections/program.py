"""The program ``tracker``: a process that runs one command and does nothing else, and is to begin and to end at once."""

from __future__ import annotations

import atexit
import gc
import os
import sys

SELDOM = 50_000
"""Objects made before the collector looks: what is imported is no garbage, and most commands end before there is any."""


def program() -> None:
    """Runs the command, and leaves as soon as all is done that is registered for the end of the process.

    What Python would take apart then goes with the process anyway, and that would take it a twentieth of a ``status``.
    """
    gc.set_threshold(SELDOM)
    code: list[int] = []
    if not atexit._ncallbacks():  # noqa: SLF001 - who was there before, to measure or to trace, is called after this
        atexit.register(_leave, code)  # it is called last, as the first one that is registered
    from projections.cli import main  # not before: half of what most commands import comes with it

    try:
        main()
    except SystemExit as error:
        code += [error.code] if isinstance(error.code, int) else []
        raise


def _leave(code: list[int]) -> None:
    if code:  # else something came that nobody expected, and Python says what
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code[0])
