"""The standard streams, and files that may be written in their place."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import click

from tracker.errors import UsageError


def open_closed_streams() -> None:
    """Gives each standard stream that the caller has closed an empty one, so that the work is done all the same."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until exit
        elif name != "stdin" and isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(
                errors="replace"
            )  # a terminal of another encoding shows ? for what it does not have


@contextmanager
def until_nobody_reads() -> Iterator[None]:
    """Ends with exit code 0 where the reader of stdout stops reading, as ``head`` does."""
    try:
        yield
    except BrokenPipeError as error:
        _print_no_more()
        raise click.exceptions.Exit(0) from error


@contextmanager
def as_far_as_somebody_reads() -> Iterator[None]:
    """Goes on behind this where the reader of stdout stops reading: the exit code says more than what was printed."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _print_no_more()


def _print_no_more() -> None:
    """Leaves nothing that would be flushed to the closed pipe at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write(chunks: Iterable[bytes]) -> None:
    out = sys.stdout.buffer
    for chunk in chunks:
        out.write(chunk)
    out.flush()


@contextmanager
def written_to(path: str) -> Iterator[IO[bytes]]:
    """Opens a file to write to; ``-`` is stdout. Raises ``UsageError``.

    A compressed file holds neither name nor time, so that equal content gives equal bytes.
    """
    from gzip import GzipFile

    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = Path(path).open("wb")  # noqa: SIM115 - it is closed below
    except OSError as error:
        hint = "give a path in a directory that exists"
        raise UsageError(f"cannot be written: {error.strerror}", place=path, hint=hint) from error
    with file:
        if path.endswith(".gz"):
            with GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                yield cast("IO[bytes]", packed)
        else:
            yield file
