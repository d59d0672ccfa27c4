"""VideoSDK's own records into the store, each when it is new or has changed.

First the sessions that are asked for by their ids, then the lists, lifecycle by lifecycle and page by page. What a page brings
is stored in one transaction, with how far the list was read. So a run that was killed goes on at that page, and then asks
all lists for what has come since it began; and as a record is compared with what its stream holds, reading a page twice
stores nothing twice.

A list that nothing limits in time is read until a page holds only what is older than was asked for, as long as the newest
stand first in it; else to its end.

A record that was stored is stored again, though it is the same, where it is not over and a webhook has since reported
the end: that VideoSDK says otherwise after that is news. What began before the log did is passed over: nobody can
expect webhooks of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import attrs
import msgspec
from eventsourcing.persistence import Tracking

from tracker.delivery.envelope import Received, isoformat, parse_time
from tracker.delivery.webhook import Delivery, parse
from tracker.intake.vendor import Api, milliseconds, pages
from tracker.judging.records import Name, Record, take_in, time_of
from tracker.lifecycle import Lifecycle, camel_case
from tracker.lifecycles import REGISTRY
from tracker.record import PREFIX, RECORD, Records, first_at, values_at
from tracker.store.application import Tracker
from tracker.store.recorder import MOST, ConcurrentReadError, Seen, SourcePosition

__all__ = ["Asked", "Reconciled", "reconcile"]

SOURCE = "rest:"
TIMES = "records#"
"""In the store's tracking: how often records were stored. So who stores some notices that another process has done so meanwhile."""
LOOK_BACK = timedelta(days=1)
"""How long before now is asked for at least, where nothing else is said; and how long a session may have been live."""
ROOMS = "/v2/rooms"
_ALWAYS = ("status", "participants", "webhook", "room")
"""Fields of which a change is one of the record, beside those that are declared."""
_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Asked:
    """What is asked for.

    Attributes:
        since: What was there since then is asked for; ``None``: what was since the last day, or since the last run that
            left no hole began, if that is longer ago.
        sessions: Sessions to ask for by their ids, each with the lifecycles of which its records are asked for.
        rooms: Sessions whose room is asked to which types it subscribes, each with its meeting id.
        lists: Whether the lists are read.
        account: The account of VideoSDK that all of it is of.
    """

    since: datetime | None = None
    sessions: Mapping[str, Sequence[Lifecycle]] = attrs.field(factory=dict)
    rooms: Mapping[str, str] = attrs.field(factory=dict)
    lists: bool = True
    account: str | None = None


@attrs.define
class Reconciled:
    """What became of it, which grows.

    Attributes:
        path: What is read now.
        read: Records that were looked at, of ``total`` in this list (0: not known).
        done: Those of this list.
        stored: Those that were new or changed.
        earlier: Sessions and more that began before the log did.
        gone: Records of sessions all of which was pruned or withdrawn here.
        astray: Records that name no session.
        missing: Sessions that VideoSDK does not know.
        resumed: The path at which an earlier run was stopped and this one goes on.
    """

    path: str = ""
    read: int = 0
    done: int = 0
    total: int = 0
    stored: int = 0
    earlier: int = 0
    gone: int = 0
    astray: int = 0
    missing: list[str] = attrs.field(factory=list)
    resumed: str = ""


def reconcile(tracker: Tracker, api: Api, asked: Asked, now: Callable[[], datetime]) -> Iterator[Reconciled]:
    """Asks for records and stores what is new of them; yields the growing account after each page.

    Raises ``VendorError`` where VideoSDK does not answer; what came before is stored.
    """
    account, begun = Reconciled(), now()
    sink = _Sink(tracker, account, asked.account, now, _begin(tracker))
    for session, lifecycles in asked.sessions.items():
        yield from _of_session(api, sink, session, lifecycles)
    yield from _of_rooms(api, sink, asked.rooms)
    if asked.lists:
        yield from _of_lists(api, sink, asked, begun)


def _of_session(api: Api, sink: _Sink, session: str, lifecycles: Iterable[Lifecycle]) -> Iterator[Reconciled]:
    lifecycle = next(one for one in _LISTED if one.is_session)
    path = _declared(lifecycle).path
    answer = _one(api.get(f"{path}/{quote(session, safe='')}", {}))
    sink.begin_list(path)
    if answer is None:
        sink.account.missing.append(session)
    else:
        sink.store([(lifecycle, answer)])
    yield sink.account
    for each in lifecycles:
        records = _declared(each)
        sink.begin_list(records.path)
        for page in pages(api, records, {"sessionId": session}):
            sink.store([(each, one) for one in page.records])
            yield sink.account


def _of_rooms(api: Api, sink: _Sink, rooms: Mapping[str, str]) -> Iterator[Reconciled]:
    """Only to which types a room subscribes is kept: the address of its webhook may hold a token."""
    lifecycle = next(one for one in _LISTED if one.is_session)
    subscribed: dict[str, Any] = {}
    sink.begin_list(ROOMS)
    for session, meeting in rooms.items():
        if meeting not in subscribed:
            answer = _one(api.get(f"{ROOMS}/{quote(meeting, safe='')}", {}))
            subscribed[meeting] = first_at(answer, ("webhook.events",))
        if subscribed[meeting] is not None:
            room = {"webhook": {"events": subscribed[meeting]}}
            sink.store([(lifecycle, {"id": session, "room": room})], path=f"{ROOMS}/{meeting}")
        yield sink.account


def _of_lists(api: Api, sink: _Sink, asked: Asked, now: datetime) -> Iterator[Reconciled]:
    """Reads the lists; first what a run left that was stopped, and then what has come since that run began."""
    mark, since = _Mark.left(sink.tracker, asked.account), asked.since
    if mark.goes_on(since, now):
        sink.account.resumed, since = mark.path, mark.begun if since is not None else None
        mark = yield from _to_their_ends(api, sink, mark)
    yield from _to_their_ends(api, sink, mark.anew(since, now))


def _to_their_ends(api: Api, sink: _Sink, mark: _Mark) -> Generator[Reconciled, None, _Mark]:
    """Reads the lists from a mark on; returns the last one."""
    since = max(filter(None, (mark.since, sink.begin)))
    begin = next((place for place, one in enumerate(_LISTED) if _declared(one).path == mark.path), 0)
    for place, lifecycle in enumerate(_LISTED[begin:]):
        first = max(1, mark.page) if place == 0 else 1
        for page in _recent(api, _declared(lifecycle), since, first):
            sink.account.total = page.total or 0
            here = mark.at(_declared(lifecycle).path, page.number)
            sink.store([(lifecycle, one) for one in page.records], read=mark.to(here))
            mark = here
            yield sink.account
        sink.begin_list("")
    end = mark.at_the_end()
    sink.store([], read=mark.to(end))
    return end


def _recent(api: Api, records: Records, since: datetime, first: int) -> Iterator[Any]:
    """The pages of a list up to the last that holds something of this time."""
    asked = {records.since: milliseconds(since - LOOK_BACK)} if records.since else {}
    newest_first, before = first == 1, datetime.max.replace(tzinfo=UTC)
    for page in pages(api, records, asked, first):
        begun = [time for one in page.records if (time := time_of(first_at(one, records.start))) is not None]
        ordered = [before, *begun]
        newest_first = newest_first and ordered == sorted(ordered, reverse=True)
        before = begun[-1] if begun else before
        yield page
        if newest_first and all(_latest(one, records) < since for one in page.records):
            return


def _latest(record: Mapping[str, Any], records: Records) -> datetime:
    """The latest time that a record names; the end of time where it names none."""
    places = (*records.start, *records.end, "updatedAt")
    times = [time for place in places if (time := time_of(first_at(record, (place,)))) is not None]
    return max(times, default=datetime.max.replace(tzinfo=UTC))


@attrs.frozen
class _Mark:
    """How far the lists were read, as the store's tracking has it.

    Attributes:
        prefix: How its name begins.
        since: What was there since then was asked for.
        path, page: How far the run has come that began at ``begun``; without a path it has come to the end.
        done: What was there until then was read, without a hole.
        name: Under which it is stored; a run that begins has the name of the one before, of which it takes the place.
        names: All that are stored: older programs left several, where two of them read the lists at once.
    """

    prefix: str
    since: datetime | None = None
    path: str = ""
    page: int = 0
    begun: datetime | None = None
    done: datetime | None = None
    name: str = ""
    names: frozenset[str] = frozenset()

    @classmethod
    def left(cls, tracker: Tracker, account: str | None) -> _Mark:
        """Where the last run was stopped, or came to the end."""
        prefix = f"{SOURCE}{account or ''}#"
        found = [one for one in tracker.trackings(prefix) if one[0].startswith(prefix)]
        names = frozenset(name for name, _ in found)
        for name, page in found:
            since, path, begun, done = (name.removeprefix(prefix) + "###").split("#")[:4]
            times = (parse_time(since), parse_time(begun), parse_time(done))
            return cls(prefix, times[0], path, page, times[1], times[2], name, names)
        return cls(prefix)

    def goes_on(self, since: datetime | None, now: datetime) -> bool:
        """Whether a run was stopped that asked for the same: what is asked for moves with the clock, as a week ago does."""
        if not self.path or self.since is None or self.begun is None:
            return False
        moved = (since or self.since) - self.since
        return timedelta() <= moved <= now - self.begun + LOOK_BACK

    def anew(self, since: datetime | None, now: datetime) -> _Mark:
        """That of a run which begins now; by default it asks for the last day, and leaves no hole behind the last run."""
        by_default = min(now - LOOK_BACK, self.done or now)
        return attrs.evolve(self, since=since or by_default, path="", page=0, begun=now)

    def at(self, path: str, page: int) -> _Mark:
        return self._named(path=path, page=page)

    def at_the_end(self) -> _Mark:
        """That of a run which has come to the end."""
        leaves_hole = self.done is not None and self.since is not None and self.since > self.done
        done = self.done if leaves_hole else self.begun
        return self._named(since=None, path="", page=0, begun=None, done=done)

    def _named(self, **changes: Any) -> _Mark:
        one = attrs.evolve(self, **changes)
        since, begun, done = (isoformat(time) if time else "" for time in (one.since, one.begun, one.done))
        name = f"{one.prefix}{since}#{one.path}#{begun}#{done}"
        return attrs.evolve(one, name=name, names=self.names - {self.name} | {name})

    def to(self, other: _Mark) -> SourcePosition:
        """Takes the place of this one, unless another process has put its own there."""
        seen = Seen(self.prefix, -1, MOST, self.names)
        return SourcePosition(Tracking(other.name, other.page), seen, self.name)


@attrs.define
class _Sink:
    """Stores records.

    Attributes:
        tracker, account: Into which they are stored, and what is said of that.
        of: The account of VideoSDK.
        begin: When the log begins.
    """

    tracker: Tracker
    account: Reconciled
    of: str | None
    now: Callable[[], datetime]
    begin: datetime | None
    _is_elsewhere: bool = False
    """Whether another process records how far the lists were read; what is read here is stored all the same."""
    _passed_over: Counter[str] = attrs.field(factory=Counter)
    _known: dict[str, _Known] = attrs.field(factory=dict)

    def begin_list(self, path: str) -> None:
        self.account.path, self.account.done, self.account.total = path, 0, 0

    def store(
        self,
        records: Sequence[tuple[Lifecycle, Mapping[str, Any]]],
        *,
        read: SourcePosition | None = None,
        path: str = "",
    ) -> None:
        """Stores what is new or changed of these, in one transaction; it is compared anew where another process was faster."""
        if records and not path:
            self.account.path = _declared(records[0][0]).path
        new = None
        while new is None:
            try:
                new = self._store(records, [] if read is None or self._is_elsewhere else [read], path)
            except ConcurrentReadError:
                self._is_elsewhere |= read is not None and self._has_moved(read)
        self.account.stored += len(new)
        self.account.read += len(records)
        self.account.done += len(records)
        for name, number in self._passed_over.items():
            setattr(self.account, name, getattr(self.account, name) + number)

    def _has_moved(self, read: SourcePosition) -> bool:
        """Whether another process has recorded how far the lists were read since we looked."""
        assert read.seen is not None, "that of a mark"
        prefix = read.seen.prefix
        names = {name for name, _ in self.tracker.trackings(prefix) if name.startswith(prefix)}
        return names != read.seen.names

    def _store(
        self, records: Iterable[tuple[Lifecycle, Mapping[str, Any]]], read: list[SourcePosition], path: str
    ) -> list[Delivery]:
        """Raises ``ConcurrentReadError`` where another process has stored records since it was looked."""
        self._known.clear()
        self._passed_over.clear()
        times = max((times for name, times in self.tracker.trackings(TIMES) if name == TIMES), default=0)
        events = (self._event(lifecycle, record, path) for lifecycle, record in records)
        new = [one for one in events if one is not None]
        if new:
            seen = Seen(TIMES, times, MOST, frozenset())
            read = [*read, SourcePosition(Tracking(TIMES, times + 1), seen, TIMES)]
        if read:
            self.tracker.append(new, *read)
        return new

    def _event(self, lifecycle: Lifecycle, record: Mapping[str, Any], path: str) -> Delivery | None:
        records = _declared(lifecycle)
        session, name = first_at(record, records.session), first_at(record, records.ids)
        kept = {field: value for field, value in record.items() if field not in records.secret}
        at = self.now()
        data = {"sessionId": session, "meetingId": first_at(record, records.meeting)}
        places = {field: records.key.get(field, "id") for field in (*lifecycle.key, *lifecycle.optional_key)}
        data |= {camel_case(field): first_at(record, (place,)) for field, place in places.items()}
        said = {field: value for field, value in data.items() if value is not None}
        body = _encode({"type": f"{PREFIX}{lifecycle.name}", "data": {**said, "record": kept}})
        source = f"{SOURCE}{path or f'{records.path}/{name}'}"
        one = parse(Received(body, at, source, account=self.of))
        if one.step is not RECORD or not isinstance(name, str | int):
            self._passed_over["astray"] += 1
            return None
        if (received := self.tracker.ledger.erase(one.received, one.stream)) is not one.received:
            one = parse(received)  # it is compared with what was stored, from which people were erased
            kept = one.said["record"]
        known = self._of(one.stream)
        if not known.is_there:
            gone, earlier = self.tracker.is_stored(one.stream), self._is_earlier(record, records)
            self._passed_over["gone"] += gone
            self._passed_over["earlier"] += earlier and not gone
            if gone or earlier:
                return None
        return one if known.takes(one, kept) else None

    def _of(self, stream: str) -> _Known:
        if stream not in self._known:
            self._known[stream] = _Known.read(self.tracker.history(stream))
        return self._known[stream]

    def _is_earlier(self, record: Mapping[str, Any], records: Records) -> bool:
        began = time_of(first_at(record, records.start))
        return began is not None and self.begin is not None and began < self.begin


@attrs.define
class _Known:
    """What a stream holds.

    Attributes:
        is_there: Whether anything is stored of it.
        stored: The records.
        ends: Lifecycle -> the position of the last webhook that reported an end of it.
    """

    is_there: bool = False
    stored: dict[Name, Record] = attrs.field(factory=dict)
    ends: dict[str, int] = attrs.field(factory=dict)

    @classmethod
    def read(cls, deliveries: Iterable[Delivery]) -> _Known:
        known = cls()
        for one in deliveries:
            known.is_there = True
            if one.lifecycle is None or one.step is None:
                continue
            if one.step is RECORD:
                known._add(one)
            elif one.step.closes:
                known.ends[one.lifecycle.name] = one.position
        return known

    def takes(self, one: Delivery, record: Mapping[str, Any]) -> bool:
        """Whether a record is new, or says something else, and is to be stored; it is known from then on."""
        before = dict(self.stored)
        new = self._add(one)
        known = before.get(new.name) if new is not None else None
        if known is not None and not self._is_news(known, record, known.lifecycle):
            self.stored = before
            return False
        self.is_there = True
        return True

    def _add(self, one: Delivery) -> Record | None:
        assert one.lifecycle is not None, "a record is of a lifecycle"
        return take_in(self.stored, one.lifecycle, one.key, one.position, 0, one.said.get("record"))

    def _is_news(self, before: Record, record: Mapping[str, Any], lifecycle: Lifecycle) -> bool:
        for field in _fields(lifecycle):
            value = record.get(field)
            if value is not None and value != before.said.get(field):
                return True
        return before.is_ongoing and self.ends.get(lifecycle.name, 0) > before.position > 0


def _fields(lifecycle: Lifecycle) -> set[str]:
    """The fields of a record that are read here."""
    records = _declared(lifecycle)
    places = (*records.ids, *records.session, *records.meeting, *records.start, *records.end, *records.files)
    return {place.partition(".")[0].removesuffix("[]") for place in (*places, *records.key.values())} | {
        *_ALWAYS
    }


def _declared(lifecycle: Lifecycle) -> Records:
    assert lifecycle.records is not None, "only such lifecycles are asked for"
    return lifecycle.records


def _one(answer: Any) -> Mapping[str, Any] | None:
    """The object of an answer, which may be in ``data``, alone or in a list."""
    found = next(values_at(answer, "data"), answer)
    if isinstance(found, list):
        found = next(iter(found), None)
    return found if isinstance(found, dict) else None


def _begin(tracker: Tracker) -> datetime | None:
    """When the log begins."""
    return next((one.received_at for one in tracker.deliveries()), None)


_LISTED = sorted(
    (one for one in REGISTRY.values() if one.records is not None), key=lambda one: not one.is_session
)
"""The lifecycles whose records are asked for, that of the session first."""
