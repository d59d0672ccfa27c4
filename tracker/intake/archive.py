"""Reading an archive: what ``tracker export --format parquet`` wrote, in the order of its positions.

An archive is a file, or a directory with one directory for each day of receipt; ``tracker prune`` writes one below its
directory each time. Positions are in the order of storing,
so several days may overlap. Each file is in the order of its positions; so they are merged, and a file is
opened where the least of its positions comes. A row's number is its place in that order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import chain
from pathlib import Path
from typing import Any

import attrs

from tracker.errors import LogError
from tracker.intake.lines import Line
from tracker.intake.logs import Log

__all__ = ["Archive", "archives", "is_archive", "parts"]

MAGIC = b"PAR1"
BATCH = 1_000
"""Rows of each open file that are in memory."""
_NUMBER = re.compile(r"\d+")
COLUMNS = {"position": "int64", "line": "binary"}
HINT = "give what tracker export --format parquet wrote"


def is_archive(path: str) -> bool:
    """Whether it is a Parquet file, or a directory in which there are some."""
    place = Path(path)
    if place.is_dir():
        return next(parts(place), None) is not None
    try:
        if not place.is_file():
            return False
        with place.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:  # it is reported where it is read
        return False


def archives(path: str) -> list[str]:
    """The archives that are meant by a path: that one, or those that ``tracker prune`` wrote below it, the oldest first."""
    pruned = [one for one in Path(path).glob("pruned-*") if is_archive(str(one))]
    if pruned:  # their names begin with the positions of their first and last event
        return [
            str(one) for one in sorted(pruned, key=lambda one: list(map(int, _NUMBER.findall(one.name)[:2])))
        ]
    return [path] if is_archive(path) else []


def parts(place: Path) -> Iterator[Path]:
    """The files of an archive in a directory."""
    return chain(place.glob("*.parquet"), place.glob("day=*/*.parquet"))


@attrs.define(eq=False)
class Archive(Log):
    """An archive to read. Raises ``LogError`` where pyarrow is not installed."""

    _parquet: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._set_up()
        self.size = sum(file.stat().st_size for file in self._files())
        try:
            from pyarrow import parquet
        except ImportError as error:
            hint = "run pip install '.[parquet]' in the directory of the source"
            raise LogError("is Parquet, and pyarrow is not installed", place=self.path, hint=hint) from error
        self._parquet = parquet

    @property
    def is_repeatable(self) -> bool:
        return True

    def anew(self) -> Archive:
        return Archive(self.path, zone=self.zone, fields=self.fields)

    def count(self) -> int:
        return sum(file.metadata.num_rows for _, file in self._opened())

    def lines(self) -> Iterator[Line]:
        """Its lines. Raises ``LogError`` where one of its files is none of an archive."""
        for number, (_, line) in enumerate(self.rows(), 1):
            yield Line(number, line)
        self.consumed = self.size

    def rows(self) -> Iterator[tuple[int, bytes]]:
        """The same, each with its position in the store from which it came."""
        waiting = sorted(self._opened(), key=lambda one: one[0], reverse=True)
        heap: list[tuple[int, int, bytes, Iterator[tuple[int, bytes]]]] = []
        while waiting or heap:
            while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
                _, file = waiting.pop()
                self._push(heap, len(waiting), self._rows(file))
            if heap:
                position, rank, line, rest = heappop(heap)
                yield position, line
                self._push(heap, rank, rest)

    def _push(self, heap: list[Any], rank: int, rows: Iterator[tuple[int, bytes]]) -> None:
        row = next(rows, None)
        if row is not None:
            heappush(heap, (row[0], rank, row[1], rows))

    def _files(self) -> list[Path]:
        place = Path(self.path)
        return sorted(parts(place)) if place.is_dir() else [place]

    def _opened(self) -> Iterator[tuple[int, Any]]:
        """The files that have rows, each with its least position."""
        for path in self._files():
            try:
                file = self._parquet.ParquetFile(path)
            except (OSError, ValueError) as error:
                raise LogError(f"cannot be read: {error}", place=str(path), hint=HINT) from error
            self._refuse_other(path, {field.name: str(field.type) for field in file.schema_arrow})
            if file.metadata.num_rows:
                first = next(file.iter_batches(batch_size=1, columns=["position"]))
                yield first.column(0)[0].as_py(), file

    def _refuse_other(self, path: Path, types: dict[str, str]) -> None:
        for name, wanted in COLUMNS.items():
            if types.get(name) != wanted:
                there = f"has a column {name} of {types[name]}" if name in types else f"has no column {name}"
                raise LogError(f"is no archive: it {there}", place=str(path), hint=HINT)

    def _rows(self, file: Any) -> Iterator[tuple[int, bytes]]:
        before = -1
        try:
            for batch in file.iter_batches(batch_size=BATCH, columns=list(COLUMNS)):
                for position, line in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if position is None or line is None or position < before:
                        raise LogError(
                            f"is not in the order of its positions: {position} comes behind {before}",
                            place=self.path,
                            hint="tracker audit --engine spark sorts it",
                        )
                    before = position
                    yield position, line
        except (OSError, ValueError) as error:
            raise LogError(f"cannot be read any further: {error}", place=self.path, hint=HINT) from error
