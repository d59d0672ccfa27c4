"""Reading logs in object stores: Amazon S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

``s3://bucket/logs/2026-11-23.jsonl`` is an object, ``s3://bucket/logs/`` every object below that, by name; in Azure a
container is what a bucket is elsewhere, and the account is that of the environment. Who may read
is known from where the tools of the store know it: ``AWS_ACCESS_KEY_ID``, ``GOOGLE_APPLICATION_CREDENTIALS``,
``AZURE_STORAGE_ACCOUNT_NAME``, the role of the machine. An object is read as it comes, and never kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import RawIOBase
from typing import IO, TYPE_CHECKING, Any, cast

import attrs

from tracker.errors import LogError, without_secrets
from tracker.intake.logs import Log
from tracker.intake.packing import CHUNK

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["SCHEMES", "Remote", "is_remote", "objects"]

SCHEMES = ("s3://", "gs://", "az://")
RETRIES: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
HINT = "check the address, and the credentials in the environment"


def is_remote(path: str) -> bool:
    """Whether a path is an address in an object store."""
    return path.startswith(SCHEMES)


def objects(path: str) -> list[str]:
    """The addresses of all objects below one that ends with a slash; else the address itself. Raises ``LogError``."""
    if not path.endswith("/"):
        return [path]
    with _errors(path):
        found = [one["path"] for some in _obstore(path).list(_store(path)) for one in some]
    if not found:
        raise LogError("there is no object below it", place=without_secrets(path), hint=HINT)
    return sorted(path + name for name in found)


@attrs.define(eq=False)
class Remote(Log):
    """A log in an object store."""

    _directory: ObjectStore = attrs.field(init=False)
    _object: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._set_up()
        directory, self._object = self.path.rsplit("/", 1)
        with _errors(self.path):
            self._directory = _store(directory)
            self.size = _obstore(self.path).head(self._directory, self._object)["size"]

    @property
    def is_repeatable(self) -> bool:
        return True

    def anew(self) -> Remote:
        return Remote(self.path, zone=self.zone, fields=self.fields)

    def open(self) -> IO[bytes]:
        with _errors(self.path):
            reader = _obstore(self.path).open_reader(self._directory, self._object, buffer_size=CHUNK)
        return cast("IO[bytes]", _File(reader, self.path))


class _File(RawIOBase):
    """An object as a file that can be read, from wherever one likes."""

    def __init__(self, reader: Any, path: str) -> None:
        super().__init__()
        self._reader, self._path = reader, path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        with _errors(self._path):
            return bytes(self._reader.read(None if size < 0 else size))

    read1 = read

    def seek(self, offset: int, whence: int = 0, /) -> int:
        with _errors(self._path):
            return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())


def _store(path: str) -> ObjectStore:
    from obstore.store import from_url

    return from_url(path, retry_config=RETRIES)


def _obstore(path: str) -> Any:
    try:
        import obstore
    except ImportError as error:
        hint = "run pip install '.[objects]' in the directory of the source"
        raise LogError(
            "is in an object store, and obstore is not installed", place=without_secrets(path), hint=hint
        ) from error
    return obstore


@contextmanager
def _errors(path: str) -> Iterator[None]:
    """Raises what an object store says as a ``LogError`` that names the address."""
    exceptions = _obstore(path).exceptions
    try:
        yield
    except FileNotFoundError as error:
        raise LogError("there is no such object", place=without_secrets(path), hint=HINT) from error
    except (exceptions.BaseError, OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LogError(f"cannot be read: {first}", place=without_secrets(path), hint=HINT) from error
