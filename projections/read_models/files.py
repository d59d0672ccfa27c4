"""``files``: one row a url, a path or an id by which a file is known, to find the run that brought it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from projections.read_models import Row, Table, begins
from tracker.delivery.payload import converter
from tracker.judging.state import Session

_json = msgspec.json.Encoder().encode
TOO_COMMON = frozenset({"index.m3u8", "live.m3u8"})
"""Last parts of urls that every stream has: by these alone no file is known."""


def rows(session: Session) -> Iterator[Row]:
    if session.session_id is None:
        return
    for run in session.recordings:
        key = _json(dict(run.key)).decode()
        for value in dict.fromkeys(texts(converter().unstructure(run.files))):
            yield session.session_id, run.lifecycle.name, key, run.number, value, name_of(value)


def texts(held: Any) -> Iterator[str]:
    """Every text in what a run brought: urls, paths and ids."""
    if isinstance(held, str):
        yield held
    elif isinstance(held, dict | list | tuple):
        for value in held.values() if isinstance(held, dict) else held:
            yield from texts(value)


def name_of(value: str) -> str | None:
    """What a file is called: the last part of its url or path, without a query; ``None`` where that names no file."""
    try:
        path = urlsplit(value).path
    except ValueError:  # it is no url
        path = value
    name = unquote(path).rpartition("/")[2]
    return None if not name or name in TOO_COMMON else name


TABLE = Table(
    name="files",
    columns={
        "session_id": str,
        "lifecycle": str,
        "key": str,
        "run": int,
        "value": str,
        "name": str,
    },
    pk=("session_id", "lifecycle", "key", "run", "value"),
    rows=rows,
    foreign_keys=(("session_id", "sessions", "session_id"),),
    indexes=(("value",), ("name",)),
    owner="session_id",
)

BEGINS = (
    f"SELECT session_id, lifecycle, key, run FROM files WHERE {begins('value', 'file')}"
    f" UNION SELECT session_id, lifecycle, key, run FROM files WHERE {begins('name', 'name')}"
)
"""The runs of the files whose url, path, id or name begins with ``:file`` or with its last part ``:name``."""


def asked(file: str) -> dict[str, str | None]:
    """The values of ``BEGINS`` for a url, a path, an id or a name as somebody has it."""
    return {"file": file, "name": name_of(file)}
