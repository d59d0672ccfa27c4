"""Text for people: where it goes, and how a time, a count and a foreign text are written in it.

Everything is said in words first and may be coloured on top, so it reads the same without colour.
On a terminal a table gives way to its width; in a pipe nothing is shortened or wrapped. What came
in from outside is shown with its control characters made visible, so that no name can write to the
terminal.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.text import Text

from projections import zones

if TYPE_CHECKING:
    from rich.table import Table

UNBOUNDED = 1_000_000
"""The width of a pipe."""
MOST_NARROW = 20
"""Columns that a wrapped text has at least."""
STYLES = {"error": "bold red", "warning": "yellow", "info": "dim", "live": "green", "in": "green"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process with exit code 1; who called us knows better. To be called while it is handled."""
        raise  # noqa: PLE0704 - rich calls it where the error is caught


def console(file: TextIO) -> Console:
    """Where text goes: as wide as the terminal, or as wide as need be."""
    if file.isatty():
        return _Console(file=file, highlight=False, markup=False, emoji=False)
    return _Console(
        file=file,
        highlight=False,
        markup=False,
        emoji=False,
        width=UNBOUNDED,
        no_color=True,
        force_terminal=False,
    )


def shown(value: object) -> str:
    """Text from outside, fit for a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in str(value))


def table(*columns: str) -> Table:
    from rich.table import Table  # takes long, and not everything is a table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name not in ("findings", "when"))
    return table


def say(out: Console, text: Text, hang: int | None = None) -> None:
    """One line: in a pipe as it is, on a narrow terminal wrapped at words.

    Args:
        hang: In which column its further lines begin; by default two behind its own indentation.
    """
    if text.cell_len <= out.width:
        out.print(text, soft_wrap=True)
        return
    indent = len(text.plain) - len(text.plain.lstrip()) if hang is None else hang
    hang = indent + 2 if hang is None else hang
    first, rest = text.divide([indent])
    for number, line in enumerate(rest.wrap(out, max(MOST_NARROW, out.width - hang))):
        line.rstrip()
        out.print(Text.assemble(Text(" " * hang) if number else first, line), soft_wrap=True)


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def stamp(text: str | None, *, wide: bool = True) -> str:
    """A time of a row, ``2026-11-23 14:29:52``; not ``wide``: ``11-23 14:29``."""
    if not text:
        return "–"
    found = zones.stamp(text)
    return found if wide else found[5:16]


def clock(time: datetime | None, *, date: bool = False) -> str:
    if time is None:
        return "?"
    return zones.dated(time) if date else zones.clock(time)


def say_zone(out: Console) -> None:
    """The last line of what has times: in which zone they are."""
    out.print(Text(f"times are in {zones.name()}", "dim"))


def sum_up(out: Console, count: int, one: str, more: str = "") -> None:
    """The last line of a list: what it comes to, and in which zone its times are."""
    zone = f"; times are in {zones.name()}" if count else ""
    out.print(Text(f"{counted(count, one)}{more}{zone}", "dim"))
