"""The ``tracker`` command as its users have it, run in the process of the test, which costs a tenth of one of its own."""

import io
import os
import sys
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from threading import Thread
from unittest.mock import patch

import attrs
import pytest

from projections.cli import main


@attrs.frozen
class Done:
    """How a command ended, and what it printed: as text if ``run`` was asked for text, else as bytes."""

    returncode: int
    stdout: bytes | str
    stderr: bytes | str


def run(*arguments, cwd=".", stdin=b"", text=False, **environment):
    """Runs ``tracker`` in a directory, with these settings in its environment and no others."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code = ended(*arguments, cwd=cwd, stdin=stdin, stdout=out, stderr=err, **environment)
    printed = []
    for one in (out, err):
        one.flush()
        printed.append(one.buffer.getvalue())
    return Done(code, *(one.decode() if text else one for one in printed))


def ended(*arguments, cwd, stdout, stderr, stdin=b"", **environment):
    """The exit code of ``tracker`` with these streams."""
    with (
        chdir(cwd),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        piped(stdin) as given,
        patch.object(sys, "stdin", given),
        patch.dict(os.environ, {**without_settings(), **environment}, clear=True),
        same_umask(),
        pytest.raises(SystemExit) as exited,
    ):
        main([*map(str, arguments)])
    return exited.value.code


def without_settings():
    """The variables of this process but for the settings of who runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}


@contextmanager
def piped(given):
    """A pipe out of which this can be read."""
    reader, writer = os.pipe()

    def write():
        with suppress(BrokenPipeError), os.fdopen(writer, "wb") as file:
            file.write(given)

    writing = Thread(target=write)
    writing.start()
    with os.fdopen(reader, encoding="utf-8") as file:
        yield file
    writing.join()


@contextmanager
def same_umask():
    before = os.umask(0o022)
    os.umask(before)
    try:
        yield
    finally:
        os.umask(before)
