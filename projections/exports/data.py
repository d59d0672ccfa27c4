"""Rows for programs: one JSON array, one JSON object a line, or CSV. Never shortened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import attrs
import msgspec

from projections.exports.cells import cell

Format = Literal["json", "ndjson", "csv"]
FORMATS: tuple[Format, ...] = ("json", "ndjson", "csv")
_encode = msgspec.json.Encoder().encode


def write(rows: Iterable[dict[str, Any]], format: Format) -> Iterator[bytes]:
    """The rows as bytes to print; in CSV a nested value is JSON, and no cell is a formula."""
    if format == "ndjson":
        for row in rows:
            yield _encode(row) + b"\n"
    elif format == "json":
        yield from _array(rows)
    else:
        yield from _csv(rows)


def values(row: Any) -> dict[str, Any]:
    """An attrs object of plain fields as a row."""
    return attrs.asdict(row, recurse=False)


def document(value: Any) -> bytes:
    """One JSON document, indented."""
    return msgspec.json.format(_encode(value), indent=2) + b"\n"


def _array(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """What ``document`` makes of a list of them, row by row."""
    before = b"[\n  "
    for row in rows:
        yield before + document(row)[:-1].replace(b"\n", b"\n  ")  # a line ends nowhere inside a string
        before = b",\n  "
    yield b"[]\n" if before.startswith(b"[") else b"\n]\n"


def _csv(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    import csv  # who wants JSON needs not wait for it
    import io

    buffer = io.StringIO()
    writer: Any = csv.writer(buffer)
    for number, row in enumerate(rows):
        if number == 0:
            writer.writerow(row)
        writer.writerow(
            _encode(value).decode() if isinstance(value, list | dict) else cell(value) for value in row.values()
        )
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
