"""A program that is killed at each of its steps: wherever that is, what it leaves behind must be sound.

A test module says what its program does and which functions are its steps:

    MORTAL = Mortal(lambda data: sweep(Path(data)), [(Queue, "take"), (sweep_module, "write")])

``dying(__name__)`` gives what runs it. Each run is a process of its own, forked from one that has imported the module.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import attrs

NEVER = 1000
"""The number of no step."""
SERVE = "import sys, killing; killing.serve(sys.argv[1])"


@attrs.frozen
class Mortal:
    """A program, which gets words, and its steps: each an object and the name of the function that it has.

    With ``behind`` it is also killed behind each step, which has a number of its own.
    """

    program: Callable[..., object]
    steps: Sequence[tuple[Any, str]]
    behind: bool = False


@contextmanager
def dying(module: str) -> Iterator[Callable[..., int]]:
    """Gives ``run(number, *words)``: kills ``MORTAL`` of a module at a step, and says how it ended.

    That is 0 where there is no such step, -9 where it was killed.
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVE, module], env=env, **pipes) as process:

        def run(number: int, *words: object) -> int:
            print(number, *words, file=process.stdin, flush=True)
            return int(process.stdout.readline())

        yield run
        process.stdin.close()


def serve(module: str) -> None:
    """Does what the lines of stdin ask for, and prints how each ended."""
    mortal = import_module(module).MORTAL
    for line in sys.stdin:
        number, *words = line.split()
        process = os.fork()
        if not process:
            _die_at(int(number), mortal)
            mortal.program(*words)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def _die_at(number: int, mortal: Mortal) -> None:
    left = [number]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(step: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*given: Any, **named: Any) -> Any:
            count()
            found = step(*given, **named)
            if mortal.behind:
                count()
            return found

        return instead

    for owner, name in mortal.steps:
        setattr(owner, name, counted(getattr(owner, name)))
