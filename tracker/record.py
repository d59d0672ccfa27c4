"""Where VideoSDK's REST API has its records of a lifecycle, and what their fields are called there. Data, nothing that runs.

A *record* is what VideoSDK itself keeps of a session, a recording or a stream. It is no webhook. ``tracker reconcile``
asks for the records and appends those that are new or changed to the stream of their session, as events of a type of
their own, which begins with ``rest-``:

    {"type":"rest-recording","data":{"sessionId":"…","meetingId":"…","id":"…","record":{…}}}

Each lifecycle declares where its records are (``Lifecycle.records``). Such an event reports the step ``RECORD``, which
stands in no table: no run moves by it. What it is evidence of is said in ``tracker.judging.records``.

A place in a record is a way of names with dots: ``file.fileUrl``. ``[]`` behind a name stands for each element of a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tracker.step import Step

__all__ = ["PREFIX", "RECORD", "Records", "first_at", "texts_at", "values_at"]

PREFIX = "rest-"
"""What the type of an event begins with that holds a record."""
RECORD = Step("record", moves=False)
"""What such an event reports."""
_DATED = ("start", "createdAt")


class Records(msgspec.Struct, frozen=True):
    """The records of one lifecycle. Where several places are named, the first one that has a value counts."""

    path: str
    """The path of their list; one of them is at this path, a slash and its id."""
    listed_as: tuple[str, ...] = ("data",)
    """The name of the list in an answer."""
    ids: tuple[str, ...] = ("id",)
    """The places of its id; webhooks may know it by any of them."""
    session: tuple[str, ...] = ("sessionId",)
    """The places of the id of its session."""
    meeting: tuple[str, ...] = ("roomId", "meetingId")
    """The places of the id of its meeting."""
    key: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Payload field of the lifecycle's key -> its place, where it is not the id."""
    start: tuple[str, ...] = _DATED
    """The places of the time at which it began."""
    end: tuple[str, ...] = ("end",)
    """The places of the time at which it ended."""
    over: tuple[str, ...] = ("ended", "completed", "stopped", "failed")
    """The values of ``status`` that say that it has ended."""
    files: tuple[str, ...] = ()
    """The places of its files and urls."""
    file_is_end: bool = True
    """Whether there is a file only when it has ended."""
    secret: tuple[str, ...] = ()
    """Fields that are dropped before anything is stored: they hold keys of streams."""
    since: str = ""
    """The query parameter that leaves out what began earlier, in milliseconds since 1970; empty: there is none."""


def values_at(record: Any, place: str) -> Iterator[Any]:
    """The values at a place of a record; none where it has no such place."""
    found = [record]
    for name in place.split("."):
        each, name = name.endswith("[]"), name.removesuffix("[]")  # noqa: PLW2901 - the name of a field
        found = [one[name] for one in found if isinstance(one, dict) and name in one]
        if each:
            found = [one for many in found if isinstance(many, list) for one in many]
    yield from (one for one in found if one is not None)


def first_at(record: Any, places: tuple[str, ...]) -> Any:
    """The value at the first of these places that has one; ``None`` where none has."""
    return next((value for place in places for value in values_at(record, place)), None)


def texts_at(record: Any, places: tuple[str, ...]) -> Iterator[str]:
    """All texts at these places, and in what lies there."""
    waiting = [value for place in places for value in values_at(record, place)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)
