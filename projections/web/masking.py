"""What a reader sees who holds the second token: initials in the place of the names of people.

Nothing is masked where it is printed, for a page that forgets it would leak. A masked reader is answered from a masked
source: each delivery is read with the names in its body replaced, and the tables that hold names are hidden behind
views of the same name, which live as long as the connection. So whatever is derived of them (a state, a finding, a
search, a picture, an answer of the API that is written tomorrow) holds initials.

A name is what a lifecycle of people declares as its label, and what stands under a key that ends with ``name``. In
other texts every name that somebody of that session ever had is replaced, as whole words, in upper or lower case and
whatever blanks are in it. Ids stay as they are.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from projections.read_models import files, findings, names, participants, runs
from projections.views.database import SQL_VIEWS, TABLES
from tracker.delivery.people import SENT, is_person_name
from tracker.delivery.webhook import Delivery
from tracker.judging.state import Session
from tracker.lifecycles import REGISTRY
from tracker.store.application import Tracker
from tracker.store.reading import PAGE, StoreReader

__all__ = ["MASKED", "MaskedStore", "initials", "masked_text", "names_in", "names_of", "views"]

UNKNOWN = "–"
"""In the place of a name that has no letter, such as a telephone number."""
OPEN = ("data", "last_position", "gone", "not_there", "pruned", "pruned_from", "perhaps_pruned")
"""What a masked reader gets of a store as it is."""
MASKED = {
    participants.TABLE.name: {"name": "initials", "reason": "masked"},
    names.TABLE.name: {"name": "initials"},
    runs.TABLE.name: {"url": "masked", "artefacts": "masked_json", "files": "masked_json"},
    files.TABLE.name: {"value": "masked", "name": "masked"},
    findings.TABLE.name: {"message": "masked", "alternatives": "masked_json"},
}
"""Table -> its columns that may name people -> how they are masked: as a name, a text or JSON."""
_HIDDEN = re.compile(r"[^\W_]")
_BLANK = r"(?:[\s_+]|%20)+"
"""What stands between the words of a name, in a sentence or in the path of a file."""
_NAMES = "(SELECT json_group_array(n.name) FROM main.names n WHERE n.session_id = f.session_id)"


def initials(name: str) -> str:
    """``R. M.``, of ``Ruth Miller``; the same of initials."""
    found = [f"{word[0]}." for word in re.split(rf"\.|{_BLANK}", name) if word and word[0].isalpha()]
    return " ".join(found) or UNKNOWN


def masked_text(text: str, names: Iterable[str]) -> str:
    """A text with these names replaced where they are whole words."""
    known = sorted({name for name in names if name.strip() and initials(name) != name}, key=len, reverse=True)
    if not known:
        return text
    return _of_names(tuple(known)).sub(lambda found: initials(found[0]), text)


@lru_cache(64)
def _of_names(names: tuple[str, ...]) -> re.Pattern[str]:
    patterns = (_BLANK.join(map(re.escape, name.split())) for name in names)
    return re.compile(rf"(?:(?<!\w)|(?<=%20))(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)


class MaskedStore:
    """The store as who reads masked sees it: each delivery with its names replaced. It is read as any other is.

    ``names_of`` gives the names of the people of a session.
    """

    def __init__(self, tracker: Tracker, names_of: Callable[[str], Iterable[str]]) -> None:
        self._tracker, self._names_of = tracker, names_of

    def __getattr__(self, name: str) -> Any:
        if name not in OPEN:
            raise AttributeError(f"{name} gives deliveries that are not masked")
        return getattr(self._tracker, name)

    def text(self, words: str, session: str) -> str:
        """What was written elsewhere of a session."""
        return masked_text(words, self._names_of(session))

    def history(self, stream: str, **up_to: Any) -> Iterator[Delivery]:
        return map(self.masked, self._tracker.history(stream, **up_to))

    def unrouted(self, *stream: str) -> Iterator[Delivery]:
        return map(self.masked, self._tracker.unrouted(*stream))

    def page(self, after: int, limit: int = PAGE, stop: int | None = None) -> list[tuple[Delivery, int]]:
        return [(self.masked(one), version) for one, version in self._tracker.page(after, limit, stop)]

    def status(self, stream: str, **then: Any) -> Session:
        return StoreReader.status(cast("Tracker", self), stream, **then)

    def masked(self, one: Delivery) -> Delivery:
        """A delivery with its names replaced, in the stream that it belongs to."""
        names = frozenset(self._names_of(one.session_id)) if one.session_id is not None else frozenset()
        return replace(
            one,
            received=replace(one.received, body=_masked_body(one.body, names)),
            data=_masked_body(one.data, names),
            said=_masked_value(one.said, names),
            problem=masked_text(one.problem, names),
            _payload=None,
        )


def _masked_body(body: bytes, names: frozenset[str]) -> bytes:
    """JSON with its names replaced. What is no JSON keeps its form and loses its letters: who knows what they say."""
    try:
        return msgspec.json.encode(_masked_value(msgspec.json.decode(body), names))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return _HIDDEN.sub("x", body.decode("latin-1")).encode("latin-1")


def _masked_value(value: Any, names: frozenset[str], key: str = "") -> Any:
    if isinstance(
        value, dict
    ):  # what VideoSDK sends as a key is masked for nobody, also not for a guest called "Reason"
        return {
            name if name in SENT else masked_text(name, names): _masked_value(
                one, names, key if is_person_name(key) else name
            )
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_masked_value(one, names, key) for one in value]
    if not isinstance(value, str) or value in REGISTRY.routes or key.lower().endswith("id"):
        return value  # the tables have types and ids as they are
    if is_person_name(key):
        return initials(value)
    before, brace, rest = value.partition("{")
    if brace:  # a body inside of a log line
        rest = _masked_body(f"{brace}{rest}".encode(), names).decode()
    return f"{masked_text(before, names)}{rest}"


def views(connection: sqlite3.Connection) -> None:
    """Hides the tables that hold names behind views with initials, for as long as the connection lives."""
    connection.create_function("initials", 2, lambda name, _: name and initials(name), deterministic=True)
    connection.create_function("masked", 2, _masked_column, deterministic=True)
    connection.create_function("masked_json", 2, _masked_json, deterministic=True)
    for table in TABLES:
        if how := MASKED.get(table.name):
            columns = (
                f"{how[name]}(f.{name}, {_NAMES}) AS {name}" if name in how else f"f.{name}"
                for name in table.columns
            )
            select = f"SELECT {', '.join(columns)} FROM main.{table.name} f"
            connection.execute(f"CREATE TEMP VIEW {table.name} AS {select}")
    for name, select in SQL_VIEWS.items():  # those of the file itself are of its tables
        connection.execute(f"CREATE TEMP VIEW {name} AS {select}")


def names_of(tracker: Tracker, connection: sqlite3.Connection, session: str) -> frozenset[str]:
    """Every name that somebody of a session ever had, also those in what was withdrawn: words about that may be kept."""
    return frozenset(names_in(connection, session)).union(_names_withdrawn(tracker, session))


def _names_withdrawn(tracker: Tracker, session: str) -> Iterator[str]:
    gone = tracker.withdrawn()
    for one in tracker.history(session, every=True) if gone else ():
        lifecycle = one.lifecycle
        if one.position in gone and lifecycle is not None and lifecycle.is_presence and lifecycle.label:
            yield lifecycle.name_in(one.data)


def names_in(connection: sqlite3.Connection, session: str) -> list[str]:
    """Every name that somebody of a session ever had in what counts, as it was sent."""
    rows = connection.execute("SELECT DISTINCT name FROM main.names WHERE session_id = ?", (session,))
    return [name for (name,) in rows]


_known = msgspec.json.Decoder(frozenset[str]).decode


def _masked_column(text: str | None, names: str) -> str | None:
    """A text with the names replaced that stand in a list in JSON."""
    return text and masked_text(text, _known(names))


def _masked_json(text: str | None, names: str) -> str | None:
    """The same of texts in JSON."""
    return text and _masked_body(text.encode(), _known(names)).decode()
