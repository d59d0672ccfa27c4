"""Which values of a webhook are about people, read off the declarations of the lifecycles.

A person is known by an id and by a name. Ids stand where a lifecycle of people has its key and a recording of one person
its subject; names stand under the label of a lifecycle of people, and under any key that ends with ``name``. What says
which session, room, recording or call a webhook is of, of which type it is and when something was, is about no person.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from tracker.lifecycle import camel_case
from tracker.lifecycles import REGISTRY

__all__ = ["ARTEFACTS", "BEGINS", "LABELS", "SENT", "STRUCTURE", "is_person_id", "is_person_name"]

_PRESENCES = [one for one in REGISTRY.values() if one.is_presence]
_SUBJECTS = {one.subject for one in REGISTRY.values() if one.subject}
LABELS = frozenset(one.label_sent.lower() for one in _PRESENCES if one.label)
"""What the names of people are sent as, in lower case."""
_IDS = {camel_case(field).lower() for field in {*_SUBJECTS, *(name for one in _PRESENCES for name in one.key)}}
_OTHER_IDS = {"userid", "peerid", "phone", "phonenumber", "email", "from", "to"}
"""What else may tell who somebody is: a call has telephone numbers in ``from`` and ``to``."""
_GROUPS = {"participant", "participants", "user", "users", "peer", "peers"}
"""What stands in an object of such a name is about a person, its ``id`` too."""
SENT = frozenset(
    {"webhookType", "data"} | {camel_case(name) for one in REGISTRY.values() for name in one.fields}
)
"""The keys that VideoSDK sends."""
_RECORDS = [one.records for one in REGISTRY.values() if one.records is not None]


def _names(places: Iterable[str]) -> set[str]:
    """How the values at these places of a record are called."""
    return {place.rpartition(".")[2].removesuffix("[]") for place in places}


ARTEFACTS = frozenset(
    {camel_case(name) for one in REGISTRY.values() for name in one.artefacts}
    | _names(place for one in _RECORDS for place in one.files)
)
"""The keys of files and urls."""
BEGINS = frozenset(_names(place for one in _RECORDS for place in one.start))
"""The keys under which a record says when something began."""


def _structure() -> set[str]:
    found = {"sessionId", "meetingId", "roomId", "session-id", "meeting-id", "status", "events"}
    for records in _RECORDS:
        places = (*records.ids, *records.session, *records.meeting, *records.start, *records.end)
        found |= _names((*places, *records.key.values()))
    for one in REGISTRY.values():
        label = () if one.is_presence or one.label.endswith("name") else (one.label,)
        fields = {*one.key, *one.optional_key, *one.times, *one.outlives, *one.linked_by, *label} - {""}
        found |= {camel_case(field) for field in fields}
    return {one for one in found if one.lower() not in _IDS}


STRUCTURE = frozenset(_structure())
"""The keys by which webhooks are known and put in order; what stands there stays."""


@lru_cache(maxsize=4096)
def is_person_id(key: str, inside: str = "") -> bool:
    """Whether the id of a person stands under a key; ``inside`` is the key of the object that it is in."""
    plain = key.lower().replace("_", "").replace("-", "")
    return plain in _IDS or plain in _OTHER_IDS or (plain == "id" and inside.lower() in _GROUPS)


@lru_cache(maxsize=4096)
def is_person_name(key: str) -> bool:
    """Whether the name of a person may stand under a key."""
    plain = key.lower().replace("_", "")
    return plain in LABELS or (plain.endswith("name") and plain != "filename")
