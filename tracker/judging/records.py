"""What VideoSDK's own records of a session say, read from the objects that its REST API gave.

THE PROBLEM. Webhooks are lost on their way, and what is missing then looks the same as what never happened. The REST
API says what VideoSDK itself holds: which sessions, visits, recordings and streams there were, from when to when, with
which files, and which webhooks it has sent.

THE IDEA. A record is evidence and moves nothing. A run keeps the steps that were delivered; a record can say that it
has ended, when, and what came of it. It has no states between begin and end, so it says nothing of those.

WHAT FOLLOWS. Records are kept beside the aggregates, each once: what was asked for later adds to what was known, and of
each field the last value counts. Each record belongs to at most one run: the one with its id, else
the one that brought its file, else the one that was nearest in time. A session without a record is judged as if there
were none anywhere; asking whether it has one is all that it costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache, cached_property
from typing import Any

import msgspec
from msgspec.structs import replace

from tracker.delivery.envelope import parse_time
from tracker.delivery.webhook import Key
from tracker.judging.hypothesis import Candidate, Hypothesis, micros
from tracker.judging.prices import shares
from tracker.lifecycle import Lifecycle
from tracker.lifecycles import REGISTRY
from tracker.record import Records, first_at, texts_at

__all__ = [
    "MINUTE",
    "Fitting",
    "Record",
    "RecordsOf",
    "Tally",
    "Visit",
    "brought",
    "fitting",
    "may_be",
    "take_in",
    "visits_by_person",
]

Name = tuple[str, str]
"""The lifecycle of a record, and its id."""
UNRECORDED = 8.0
"""What a hypothesis pays for each record of which it has no run."""
MINUTE = 60_000_000
"""Microseconds by which two clocks may differ."""
LEFT = 0.55
"""How probable it is that a record and a run are the same where nothing but that says so that they are left: so many were,
of simulated meetings whose records were off by half an hour."""
_NEAR = 20 * 60 * 1_000_000
"""Microseconds by which a record and a run may differ that are taken for the same."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Tally(msgspec.Struct, frozen=True):
    """How often VideoSDK has sent a webhook type, and how often that was accepted."""

    sent: int
    accepted: int


class Visit(msgspec.Struct, frozen=True):
    """One visit of a person, in microseconds; ``end`` is ``None`` while it lasts."""

    participant_id: str
    start: int | None
    end: int | None


class Record(msgspec.Struct, frozen=True, dict=True):
    """All that is known of one object, which does not change. Times are microseconds since 1970.

    Attributes:
        lifecycle, key: What it is a record of.
        ids: Its ids.
        position, at: Of the event that said something new of it last.
        said: Its fields.
    """

    lifecycle: Lifecycle
    key: Key
    ids: tuple[str, ...]
    position: int
    at: int
    said: Mapping[str, Any]

    @property
    def name(self) -> Name:
        """What tells it from the other records of its session."""
        return self.lifecycle.name, self.ids[0] if self.ids else ""

    @property
    def _of(self) -> Records:
        assert self.lifecycle.records is not None, "else it has no type of its own"
        return self.lifecycle.records

    @cached_property
    def start(self) -> int | None:
        return _time(first_at(self.said, self._of.start))

    @cached_property
    def end(self) -> int | None:
        return _time(first_at(self.said, self._of.end))

    @property
    def is_over(self) -> bool:
        """Whether it has ended, also where no time is given for that."""
        of_files = self._of.file_is_end and bool(self.files)
        return self.end is not None or self.said.get("status") in self._of.over or of_files

    @property
    def is_ongoing(self) -> bool:
        """Whether it says that it goes on; where it only names no end, that is not known."""
        if self.is_over:
            return False
        lasting = any(one.end is None and one.start is not None for one in self.visits)
        return self.said.get("status") == "ongoing" or ("status" not in self.said and lasting)

    @cached_property
    def files(self) -> frozenset[str]:
        return frozenset(texts_at(self.said, self._of.files))

    @cached_property
    def visits(self) -> list[Visit]:
        """The visits of people, as far as it names any."""
        people = self.said.get("participants")
        found = []
        for person in people if isinstance(people, list) else ():
            who = person.get("participantId") if isinstance(person, dict) else None
            if isinstance(who, str):
                log = person.get("timelog")
                spans = [one for one in log if isinstance(one, dict)] if isinstance(log, list) else []
                found += [Visit(who, _time(one.get("start")), _time(one.get("end"))) for one in spans]
        return found

    @cached_property
    def tally(self) -> dict[str, Tally]:
        """What was sent, by webhook type; the type is empty of what only the totals say."""
        webhook = self.said.get("webhook")
        if not isinstance(webhook, dict):
            return {}
        counted: dict[str, Tally] = {}
        each = webhook.get("data")
        for one in each if isinstance(each, list) else ():
            name = one.get("type") if isinstance(one, dict) else None
            if isinstance(name, str):
                before = counted.get(name, Tally(0, 0))
                counted[name] = Tally(before.sent + 1, before.accepted + (one.get("success") is True))
        sent, accepted = webhook.get("totalCount"), webhook.get("successCount")
        if not counted and isinstance(sent, int) and isinstance(accepted, int):
            counted[""] = Tally(sent, accepted)
        return counted


class RecordsOf(msgspec.Struct, frozen=True, dict=True):
    """The records of one session, in the order in which what they are of began."""

    records: Sequence[Record]

    @classmethod
    def known(cls, records: Mapping[Name, Record]) -> RecordsOf:
        return cls(sorted(records.values(), key=lambda one: (one.start or 0, one.position)))

    @cached_property
    def session(self) -> Record | None:
        """The one of the session itself; ``None`` where there is none."""
        return next((one for one in self.records if one.lifecycle.is_session), None)

    def of(self, lifecycle: Lifecycle) -> list[Record]:
        """Those of a lifecycle, in the order in which they began."""
        return [one for one in self.records if one.lifecycle is lifecycle]

    @property
    def names(self) -> Iterator[tuple[str, str]]:
        """The names of people that they bring, each with the participant's id; that is empty where they do not say it."""
        for one in self.records:
            people = one.said.get("participants")
            for person in (one.said, *(people if isinstance(people, list) else ())):
                if isinstance(person, dict):
                    who = person.get("participantId", "")
                    called = person.get("participantName") if person is one.said else person.get("name")
                    if isinstance(called, str) and called and isinstance(who, str):
                        yield who, called

    @cached_property
    def not_subscribed(self) -> frozenset[str]:
        """The webhook types that the webhook of the room does not subscribe to; none where that is not known."""
        events = first_at(self.session.said, ("room.webhook.events",)) if self.session is not None else None
        patterns = [one for one in events if isinstance(one, str)] if isinstance(events, list) else []
        if not patterns:
            return frozenset()
        return frozenset(
            one for one in _webhook_types() if not any(fnmatchcase(one, each) for each in patterns)
        )

    def weighed(self, lifecycle: Lifecycle, key: Key, kept: list[Hypothesis]) -> list[Hypothesis]:
        """The hypotheses of an aggregate by what they cost if each record is of a run of its own, the lowest price first."""
        if len(kept) == 1:
            return kept
        least = self._least(lifecycle, key)
        weighed = [one.costing(UNRECORDED * max(0, least - len(one.all_runs()))) for one in kept]
        return sorted(weighed, key=lambda one: one.price)

    def _least(self, lifecycle: Lifecycle, key: Key) -> int:
        """How many runs an aggregate had at least. More may have been: a record can be deleted."""
        if lifecycle.is_presence:
            visits = self.session.visits if self.session is not None else []
            return sum(one.participant_id == key[0][1] for one in visits)
        return sum(may_be(one, key) for one in self.of(lifecycle))


@cache
def _webhook_types() -> frozenset[str]:
    """The types of the documented lifecycles that take place in a session."""
    ones = [one for one in REGISTRY.values() if one.is_documented and not one.stream]
    return frozenset(one.webhook_type(step.name) for one in ones for step in one.steps)


def take_in(
    records: dict[Name, Record], lifecycle: Lifecycle, key: Key, position: int, at: int, said: object
) -> Record | None:
    """Adds what an event says of a record to what is known: of each field the last value counts.

    Returns the record; ``None`` where the event holds none.
    """
    if not isinstance(said, dict) or lifecycle.records is None:
        return None
    places = lifecycle.records.ids
    ids = tuple(str(value) for place in places for value in [first_at(said, (place,))] if value)
    known = {field: value for field, value in said.items() if value is not None}
    new = Record(lifecycle, key, ids, position, at, known)
    before = records.get(new.name)
    if before is not None:
        new = replace(new, said={**before.said, **known})
    records[new.name] = new
    return new


class Fitting(msgspec.Struct, frozen=True):
    """Of which run a record is.

    Attributes:
        run: Its place; ``None`` where no run fits.
        confidence: How probable that is, 0 to 1.
    """

    run: int | None = None
    confidence: float = 1.0


def fitting(records: Sequence[Record], runs: Sequence[tuple[Key, Candidate]]) -> list[Fitting]:
    """Of which run each of these records of one lifecycle is.

    ``runs`` are all runs of the lifecycle, each with the key of its aggregate. Where one record and one run are left
    that may be the same, they are.
    """
    found: dict[int, Fitting] = {}
    left = set(range(len(runs)))
    came = [brought(records[0].lifecycle, run) for _, run in runs] if records else []
    for how in (_by_id, _by_file, _by_time):
        apart = {
            (place, run): distance
            for place, record in enumerate(records)
            if place not in found
            for run in left
            if may_be(record, runs[run][0]) and (distance := how(record, *runs[run], came[run])) is not None
        }
        for place, run in sorted(apart, key=lambda one: (apart[one], one)):
            if place not in found and run in left:
                others = [apart[one] for one in apart if one[0] == place and one[1] != run]
                found[place] = Fitting(run, _confidence(apart[place, run], others) if how is _by_time else 1.0)
                left.remove(run)
    missed = [place for place in range(len(records)) if place not in found]
    for place in missed:
        perhaps = [run for run in left if may_be(records[place], runs[run][0])]
        none = Fitting(confidence=1 - LEFT if perhaps else 1.0)
        found[place] = Fitting(perhaps[0], LEFT) if len(missed) == len(left) == len(perhaps) == 1 else none
    return [found[place] for place in range(len(records))]


def _confidence(distance: int, others: Sequence[int]) -> float:
    """How probable the run is that is so far from a record, in microseconds, where others are so far from it.

    Two clocks differ by about ``MINUTE``: what is farther away is less probable by its power. So a run that is the only
    one near is certain, and of two that began together each is as probable as the other. With records of simulated
    meetings that were a minute off (standard deviation) and named neither id nor file, this was right: of the findings
    that said 0.5 to 0.7, 78 % were, of those that said 0.7 to 0.9, 77 %, and above that 97 %.
    """
    return shares([one / MINUTE for one in (distance, *others)])[0]


def may_be(record: Record, key: Key) -> bool:
    """Whether nothing in the keys says that they are two things."""
    ours = dict(key)
    same = all(ours.get(name, value) == value for name, value in record.key if name != "id")
    return same and ours.get("id", next(iter(record.ids), "")) in (*record.ids, "")


def _by_id(record: Record, key: Key, _: Candidate, __: frozenset[str]) -> int | None:
    return 0 if dict(key).get("id") in record.ids else None


def _by_file(record: Record, _: Key, __: Candidate, files: frozenset[str]) -> int | None:
    return 0 if record.files & files else None


def _by_time(record: Record, _: Key, run: Candidate, __: frozenset[str]) -> int | None:
    """How far apart they were, by their begins or by their ends, whichever is nearer."""
    pairs = ((record.start, run.began), (record.end, run.since.at if run.closed else None))
    apart = [abs(one - other) for one, other in pairs if one is not None and other is not None]
    nearest = min(apart, default=None)
    return nearest if nearest is not None and nearest <= _NEAR else None


def brought(lifecycle: Lifecycle, run: Candidate) -> frozenset[str]:
    """The files and urls that a run's deliveries name."""
    if not lifecycle.artefacts:
        return frozenset()
    return frozenset(text for one in run.every for text in texts_at(_decode(one.data), lifecycle.evident))


def time_of(value: Any) -> datetime | None:
    """A time of a record: ISO 8601, or milliseconds since 1970; ``None`` where it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return parse_time(value) if isinstance(value, str) else None


def _time(value: Any) -> int | None:
    """A time of a record in microseconds."""
    time = time_of(value)
    return None if time is None else micros(time)


def visits_by_person(record: Record) -> Iterator[tuple[str, list[Visit]]]:
    """Each person with their visits, in the order in which they came."""
    people: dict[str, list[Visit]] = {}
    for one in record.visits:
        people.setdefault(one.participant_id, []).append(one)
    yield from people.items()
