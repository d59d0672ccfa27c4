"""Text for people: where it goes, and how a time, a count and a foreign text are written in it.

Everything is said in words first and may be coloured on top, so it reads the same without colour.
On a terminal a table gives way to its width; in a pipe nothing is shortened or wrapped. What came
in from outside is shown with its control characters made visible, so that no name can write to the
terminal.

Rich draws what is to fit a terminal. It takes long to import, so lines and tables are our own, which rich
can draw, and a pipe gets their words without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Self, TextIO, TypeAlias

from projections import zones

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as DrawnTable
    from rich.text import Text as Drawn

Out: TypeAlias = "Console | Pipe"
"""Where text goes."""

SENTENCES = ("findings", "what is assumed", "when", "why")
"""Columns that are wrapped on a narrow terminal; no other cell is."""
MOST_NARROW = 20
"""Columns that a wrapped text has at least."""
STYLES = {"error": "bold red", "warning": "yellow", "info": "dim", "live": "green", "in": "green"}


class Text:
    """A line of words, each in its style, on top of one that is common to all."""

    def __init__(self, words: str = "", style: str = "") -> None:
        self.style = style
        self.parts = [(words, "")]

    @classmethod
    def assemble(cls, *parts: str | Text | tuple[str, str]) -> Self:
        line = cls()
        for part in parts:
            line.append(*part) if isinstance(part, tuple) else line.append(part)
        return line

    def append(self, words: str | Text, style: str = "") -> Self:
        """Adds words, which keep the styles that they have."""
        if isinstance(words, Text):
            self.parts += [(one, f"{words.style} {own}".strip()) for one, own in words.parts]
        else:
            self.parts.append((words, style))
        return self

    def rstrip(self) -> None:
        """Takes the blanks at its end away."""
        while self.parts:
            words, style = self.parts.pop()
            if words.rstrip():
                self.append(words.rstrip(), style)
                break

    def __str__(self) -> str:
        return "".join(words for words, _ in self.parts)

    def __rich__(self) -> Drawn:
        from rich.text import Text as Drawn

        return Drawn("", self.style).append_tokens((words, style or None) for words, style in self.parts)


class Table:
    """Rows below the names of their columns; on a terminal it gives way to the width. Numbers stand to the ``right``."""

    def __init__(self, *columns: str, right: Collection[str] = ()) -> None:
        self.columns, self.right = columns, right
        self.rows: list[tuple[str | Text, ...]] = []

    def add_row(self, *cells: str | Text) -> None:
        self.rows.append(cells)

    def lines(self) -> Iterator[str]:
        """As wide as need be."""
        rows = [self.columns, *(tuple(map(str, row)) for row in self.rows)]
        widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            parts = []
            for name, words, width in zip(self.columns, row, widths, strict=True):
                blank = " " * (width - cells(words))
                parts.append(blank + words if name in self.right else words + blank)
            yield "  ".join(parts).rstrip()

    def __rich__(self) -> DrawnTable:
        from rich.table import Table as DrawnTable

        drawn = DrawnTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in self.columns:
            if name in self.right:
                drawn.add_column(name, justify="right", no_wrap=True)
            else:
                drawn.add_column(name, overflow="fold", no_wrap=name not in SENTENCES)
        for row in self.rows:
            drawn.add_row(*row)
        return drawn


class Pipe:
    """What is no terminal: nothing is coloured, shortened or wrapped."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def print(self, what: str | Text | Table = "", *, soft_wrap: bool = True) -> None:  # noqa: ARG002 - as rich has it
        for line in what.lines() if isinstance(what, Table) else [what]:
            self._file.write(f"{line}\n")
        self._file.flush()  # so that what goes to stderr stands in its place


def console(file: TextIO) -> Out:
    """Where text goes: as wide as the terminal, or as wide as need be."""
    if not file.isatty():
        return Pipe(file)
    from rich.console import Console

    class Reporting(Console):
        def on_broken_pipe(self) -> None:
            """Rich would end the process with exit code 1; who called us knows better. To be called while it is handled."""
            raise  # noqa: PLE0704 - rich calls it where the error is caught

    return Reporting(file=file, highlight=False, markup=False, emoji=False)


def cells(words: str) -> int:
    """How many columns words take."""
    if words.replace("–", "-").isascii():  # the dash is ours
        return len(words)
    from rich.cells import cell_len

    return cell_len(words)


def shown(value: object) -> str:
    """Text from outside, fit for a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in str(value))


def say(out: Out, text: Text, hang: int | None = None) -> None:
    """One line: in a pipe as it is, on a narrow terminal wrapped at words.

    Args:
        hang: In which column its further lines begin; by default two behind its own indentation.
    """
    if isinstance(out, Pipe) or cells(str(text)) <= out.width:
        out.print(text, soft_wrap=True)
        return
    indent = len(str(text)) - len(str(text).lstrip()) if hang is None else hang
    hang = indent + 2 if hang is None else hang
    first, rest = text.__rich__().divide([indent])
    for number, line in enumerate(rest.wrap(out, max(MOST_NARROW, out.width - hang))):
        line.rstrip()
        out.print(first.assemble(" " * hang if number else first, line), soft_wrap=True)


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


def say_zone(out: Out) -> None:
    """The last line of what has times: in which zone they are."""
    out.print(Text(f"times are in {zones.name()}", "dim"))


def sum_up(out: Out, count: int, one: str, more: str = "") -> None:
    """The last line of a list: what it comes to, and in which zone its times are."""
    zone = f"; times are in {zones.name()}" if count else ""
    out.print(Text(f"{counted(count, one)}{more}{zone}", "dim"))
