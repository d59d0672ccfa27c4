"""What goes to stderr: errors and notes, each with a hint."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tracker.errors import TrackerError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from tracker.store.application import Tracker


AHEAD_HINT = (
    "set right the clock, or by --tz the zone of times that name none; tracker mend-clock takes receive times back,"
    " tracker withdraw a log"
)


def complain(message: str, hint: str, code: int) -> int:
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")
    return code


def raise_all(complaints: list[TrackerError]) -> None:
    """Prints every error but the last one and raises that, with the highest exit code of all."""
    for error in complaints[:-1]:
        complain(str(error), error.hint, error.exit_code)
    if complaints:
        last = complaints[-1]
        last.exit_code = max(error.exit_code for error in complaints)
        raise last


def note(message: str, hint: str) -> None:
    say(f"note: {message}")
    say(f"hint: {hint}")


def say(sentence: str) -> None:
    """Prints a sentence: wrapped at words on a terminal, on one line in a pipe."""
    line = one_line(sentence)
    if sys.stderr.isatty():
        from shutil import get_terminal_size  # most commands say nothing here
        from textwrap import fill

        width = get_terminal_size().columns
        line = fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    click.echo(line, err=True)


def ahead_in_words(newest: datetime | None, now: datetime) -> str:
    """That the newest receive time is ahead of the clock; empty where it is not. What to do is the ``AHEAD_HINT``."""
    from projections import zones  # the help needs none

    ahead = zones.ahead(newest, now) if newest is not None else ""
    return f"the newest receive time is {ahead}" if ahead else ""


def one_line(message: str) -> str:
    return "".join(char if char.isprintable() else " " for char in message)


def quantity(count: int, one: str, many: str = "") -> str:
    """A count with its noun: ``1 event``, ``1,234 events``; ``many`` is the plural where that is not ``one`` and an s."""
    return f"1 {one}" if count == 1 else f"{count:,} {many or f'{one}s'}"


def deliveries(count: int, kind: str = "") -> str:
    """``1 delivery``, ``7 withdrawn deliveries``."""
    return quantity(count, f"{kind} delivery".strip(), f"{kind} deliveries".strip())


def reason(error: OSError) -> str:
    """What the system says, without its number: ``/var/log/day.jsonl: Permission denied``."""
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}"


def not_installed(error: ImportError, extra: str) -> UsageError:
    hint = f"run pip install '.[{extra}]' in the directory of the source"
    return UsageError(f"{extra.capitalize()} needs a package that is not installed: {error.name}", hint=hint)


def note_loss(store: Tracker) -> None:
    """Notes that deliveries are lost, for commands that read only the store and would not notice."""
    from projections.views.accepting import find

    loss = find(store)
    if loss is not None:
        note(
            f"{store.owner}: {loss.text}",
            "restore a newer backup, or run tracker accept-loss to go on without them",
        )


def show_software(store: Tracker) -> None:
    """Prints which software keeps the events, because that matters when something is wrong with them."""
    say(f"{store.owner}: {store.software}")
    if store.fault:
        note(
            store.fault,
            "use a Python with SQLite 3.51.3 or newer; until then, make backups and run tracker verify regularly",
        )
