"""Reading logs: which lines a file has, and what each of them delivers.

A log is lines of JSON, ``-`` for standard input. It may be packed (``packing``), and framed in another way
(``framing``): a line is then an element of an array, or a row of a table. Lines are numbered from 1 and blank ones
count, so in a log of lines a number is where an editor shows it; ``Line.at`` is that in every log. What makes a log
unreadable raises ``LogError`` after every line before it has been given.

A line is a webhook, or an envelope around one. Only one that is neither is searched for a webhook (``unwrap``).
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

import attrs
import msgspec
from msgspec.structs import replace

from tracker.delivery import envelope
from tracker.delivery.envelope import UNVERIFIED, Received
from tracker.delivery.plain import MOST_BESIDE, plain
from tracker.delivery.times import NO_ZONE, instants, is_ambiguous
from tracker.delivery.unwrap import USUAL, Fields, find
from tracker.delivery.webhook import FLAT, MALFORMED, Delivery, ReadAs, parse
from tracker.errors import LogError, without_secrets
from tracker.intake.framing import counted, framed
from tracker.intake.lines import PAUSE, Beside, Line
from tracker.intake.packing import CHUNK, unpacked
from tracker.lifecycles import REGISTRY

if TYPE_CHECKING:  # who has no keys needs not wait for what verifies
    from tracker.delivery.signature import Keyring

STDIN = "-"


class Oddity(msgspec.Struct):
    """How many lines of a log are odd in one way, and the first of them."""

    count: int = 0
    first: int = 0
    example: str = ""

    def add(self, line: int, example: str) -> None:
        if not self.count:
            self.first, self.example = line, example
        self.count += 1


def _said_of(unread: str, read_as: ReadAs | None) -> str:
    """A time that could not be read, and why, where it looks like one."""
    if is_ambiguous(unread):
        return f"{unread}, which may be two days"
    if read_as is None or not read_as.zone:
        return unread
    if read_as.twice is None:
        return f"{unread}, which {read_as.zone} never has"
    return f"{unread}, which {read_as.zone} has twice"


def is_usual(delivery: Delivery) -> bool:
    """Whether nothing of it deserves a word, as of most."""
    received_at = delivery.received.received_at
    return delivery.lifecycle is not None and received_at is not None and delivery.read_as is None


def is_webhook(delivery: Delivery) -> bool:
    """Whether it is one, known or new: other logs have a ``type`` too, but neither ``data`` nor our name for it."""
    named = bool(delivery.said) or b'"webhookType"' in delivery.body
    return delivery.type in REGISTRY.routes or bool(delivery.type and named)


class Oddities(msgspec.Struct):
    """What in a log deserves a word to whoever reads it in, though nothing of it is an error."""

    deliveries: int = 0
    malformed: Oddity = msgspec.field(default_factory=Oddity)
    untyped: Oddity = msgspec.field(default_factory=Oddity)
    flat: Oddity = msgspec.field(default_factory=Oddity)
    timeless: Oddity = msgspec.field(default_factory=Oddity)
    unread_time: Oddity = msgspec.field(default_factory=Oddity)
    zoneless: Oddity = msgspec.field(default_factory=Oddity)
    unclear: Oddity = msgspec.field(default_factory=Oddity)
    shapes: dict[str, int] = msgspec.field(default_factory=dict)
    """How many lines were read in each shape, in words."""
    cut: Oddity = msgspec.field(default_factory=Oddity)
    """The last line, where it is incomplete and was left out."""
    beside: Oddity = msgspec.field(default_factory=Oddity)
    """Lines of a text that stand between its webhooks and were passed over."""

    def look_at(self, delivery: Delivery, line: int) -> None:
        self.deliveries += 1
        if is_usual(delivery):
            return
        if delivery.unrouted == MALFORMED:
            self.malformed.add(line, delivery.problem)
        elif delivery.type is None:
            self.untyped.add(line, delivery.problem)
        elif delivery.problem == FLAT:
            self.flat.add(line, "")
        if delivery.received.unread_time is not None:
            self.unread_time.add(line, _said_of(delivery.received.unread_time, delivery.read_as))
        elif delivery.received_at is None and delivery.type is not None:
            self.timeless.add(line, "")
        if delivery.read_as is not None:
            self._look_at_shape(delivery.read_as, line)

    def _look_at_shape(self, read_as: ReadAs, line: int) -> None:
        if read_as.zone:
            self.zoneless.add(line, f"taken as {read_as.zone}")
        if read_as.problem:
            self.unclear.add(line, read_as.problem)
        if read_as.webhook:
            time = f"time in {read_as.time}" if read_as.time else "no time"
            shape = f"webhook in {read_as.webhook}, {time}" + (f" ({read_as.name})" if read_as.name else "")
            self.shapes[shape] = self.shapes.get(shape, 0) + 1


def whole(lines: Iterable[Line], odd: Oddities) -> Iterator[Line]:
    """The same lines, with a blank one in the place of a last one that is incomplete: it may still be written.

    What delivers nothing though it is not blank is counted.
    """
    for line in lines:
        if type(line) is Beside:
            odd.beside.add(line.at, "")
        elif not line.ended and line.cut:
            odd.cut.add(line.at, "")
            line = replace(line, text=b"", too_long=0)  # noqa: PLW2901 - in its place
        yield line


def refuse_no_webhooks(log: Log) -> None:
    """Raises ``LogError`` where no line of a file is a webhook: then it is not the log that is meant.

    It is read up to the first one. A damaged log has some, and is what an audit is for.
    """
    if not log.is_repeatable:  # what comes through a pipe cannot be looked at beforehand
        return
    first, count = None, 0
    with suppress(LogError):  # it is reported where the log is read
        for line in log.anew().lines():
            if line.blank or (line.cut and not line.ended):
                continue
            one = log.delivery(line, line.number)
            if is_webhook(one):
                return
            first, count = first or one, count + 1
    if first is not None:
        lines = f"none of its {count:,} lines is" if count > 1 else "its only line is not"
        hint = "check that it is the log you mean; if so, say where a line has the webhook by --webhook-field"
        raise LogError(f"{lines} a webhook; line {first.position}: {first.problem}", place=log.name, hint=hint)


def refuse_url(path: str) -> None:
    """Raises ``LogError`` where what somebody names as a log is a URL, with nothing of it that may be secret."""
    if "://" in path:
        hint = "give a file, or s3://, gs:// or az://; tracker consume reads streams of NATS and Redis"
        raise LogError("is a URL, not a file", place=without_secrets(path), hint=hint)


@attrs.define(eq=False)
class Log:
    """One log to read. ``size`` and ``consumed`` are bytes of the file as it is on disk.

    With ``keys``, the signatures that its lines have kept are verified: with those of the account that a line names,
    where it has some, else with those under ``None``. ``account`` is that of lines that name none. Receive times that name no zone are in
    ``zone``; ``fields`` says where webhook and time are, if they are not where they would be found.
    """

    grows: ClassVar[bool] = False
    """Whether it is a file that is written to while it is read."""

    path: str
    keys: Mapping[str | None, Keyring] = attrs.field(factory=dict)
    zone: tzinfo = UTC
    fields: Fields = USUAL
    account: str | None = None
    size: int = 0
    consumed: int = 0
    reached: int = 0
    """The number of the last line of which ``deliveries`` was asked."""
    _prefix: str = attrs.field(init=False, default="")
    """Of the sources of its lines."""
    _numbers: array[int] = attrs.field(init=False, factory=lambda: array("Q"))
    """The numbers of the lines that do not begin in the line of the file behind that in which the one before does,"""
    _begins: array[int] = attrs.field(init=False, factory=lambda: array("Q"))
    """and where each of them begins."""
    _begun: Iterator[Line] | None = attrs.field(init=False, default=None)
    """Its lines, where it has been begun and cannot be read again."""

    def _set_up(self) -> None:
        if self.fields == USUAL:
            self.fields = USUAL  # each line is asked whether it is this one
        self._prefix = f"{self.name}:"

    def __attrs_post_init__(self) -> None:
        self._set_up()
        if self.path == STDIN:
            return
        refuse_url(self.path)
        file = Path(self.path)
        if file.is_dir():
            raise LogError("is a directory", place=self.path, hint=f"name the logs in it: {self.path}/*.jsonl")
        try:
            self.size = file.stat().st_size
            if file.is_file():  # the writer of a pipe would take the end of our look for the end of us
                file.open("rb").close()
        except FileNotFoundError as error:
            raise LogError("there is no such file", place=self.path, hint="check the path") from error
        except OSError as error:
            raise self._unreadable(error) from error

    @property
    def name(self) -> str:
        return "stdin" if self.path == STDIN else self.path

    @property
    def is_repeatable(self) -> bool:
        """Whether it can be read again."""
        return Path(self.path).is_file()

    def anew(self) -> Log:
        """The same log, to look at what it holds before it is read."""
        return Log(self.path, zone=self.zone, fields=self.fields)

    def deliveries(self, lines: Iterable[Line], before: int = 0) -> Iterator[Delivery]:
        """What some of its lines deliver, at their numbers behind those ``before``; blank ones deliver nothing."""
        is_simple = self.fields is USUAL and self.account is None and not self.keys
        number, prefix = 0, self._prefix
        try:
            for line in lines:
                number, one = line.number, None
                if is_simple:  # as nearly all are
                    source = prefix + str(line.at)
                    one = None if line.too_long else plain(line.text, before + number, source)
                    if one is None and not line.blank:
                        one = self._looked_at(line, before + number, source)
                elif not line.blank:
                    one = self.delivery(line, before + number)
                if one is not None:
                    yield one
        finally:
            self.reached = number

    def delivery(self, line: Line, position: int) -> Delivery:
        """What one of its lines delivers, at a position."""
        source, delivery = self._prefix + str(line.at), None
        if self.fields is USUAL and not line.too_long:
            delivery = plain(line.text, position, source)
        if delivery is None:
            delivery = self._looked_at(line, position, source)
        if self.account is not None and delivery.received.account is None:
            delivery.received = replace(delivery.received, account=self.account)
        if self.keys:
            self._verify(delivery, line)
        return delivery

    def _looked_at(self, line: Line, position: int, source: str) -> Delivery:
        """What a line delivers that may be anything."""
        delivery = parse(line.received(source, NO_ZONE), position)
        at, text = delivery.received_at, line.text
        is_plain = at is not None or (  # else a time may be among what stands beside the webhook
            delivery.received.body is text
            and len(text) - len(delivery.data) - len(delivery.type or "") < MOST_BESIDE
        )
        if not is_plain or delivery.lifecycle is None or self.fields is not USUAL:
            delivery = self._unwrapped(delivery, line, source)
            at = delivery.received_at
        if at is not None and at.tzinfo is NO_ZONE:
            self._give_zone(delivery, at)
        return delivery

    def _verify(self, delivery: Delivery, line: Line) -> None:
        received = delivery.received
        keys = self.keys.get(received.account, self.keys.get(None))
        if keys and received.signature is not None and received.body is not line.text:
            verified_by = keys.verify(received.body, received.signature) or UNVERIFIED
            delivery.received = replace(received, verified_by=verified_by)

    def _unwrapped(self, plain: Delivery, line: Line, source: str) -> Delivery:
        """What a line delivers that is no plain one; ``plain`` is what it delivers as one."""
        received = plain.received
        if line.too_long or (received.source != source and envelope.encode(received) == line.text):
            return plain  # it was stored as it is
        is_envelope = plain.received_at is not None and plain.said and b'"webhookType"' not in plain.data
        if is_envelope and self.fields is USUAL:
            return plain  # of a type that no lifecycle knows
        found = find(line.text, self.fields)
        if found.problem:
            plain.problem, plain.read_as = found.problem, ReadAs(problem=found.problem)
        if found.body is None or (found.body == received.body and found.at == received.received_at):
            return plain
        received = Received(found.body, found.at, source, None, found.unread, signature=found.signature)
        delivery = parse(received, plain.position)
        delivery.read_as = ReadAs(found.webhook, found.time, found.name)
        return delivery

    def _give_zone(self, delivery: Delivery, time: datetime) -> None:
        """Gives a receive time that names no zone that of the log."""
        found = instants(time, self.zone)
        at = found[0] if len(found) == 1 else None
        unread = time.replace(tzinfo=None).isoformat(" ") if at is None else None
        delivery.received = replace(delivery.received, received_at=at, unread_time=unread)
        twice = (found[0], found[1]) if len(found) > 1 else None
        delivery.read_as = replace(delivery.read_as or ReadAs(), zone=str(self.zone), twice=twice)

    def open(self) -> IO[bytes]:
        """The file of it. Raises ``OSError``."""
        return sys.stdin.buffer if self.path == STDIN else Path(self.path).open("rb")

    def count(self) -> int:
        """How many lines a file has, as far as it can be read; where it has been read is not changed."""
        try:
            with self.open() as file:
                return counted(self.anew().text(file), self.name)
        except OSError:
            return 0

    def line_at(self, number: int) -> int:
        """In which line of the file a line begins that has been read."""
        place = bisect_right(self._numbers, number) - 1
        return self._begins[place] + number - self._numbers[place] if place >= 0 else number

    def begin(self) -> None:
        """Raises ``LogError`` where not even its first line can be read; waits for that. ``lines`` gives it all the same."""
        if self.is_repeatable:
            next(self.anew().lines(), None)
            return
        lines = self._read()
        first = list(islice(lines, 1))
        self._begun = chain(first, lines)

    def lines(self) -> Iterator[Line]:
        """Its lines in order. Raises ``LogError`` where it cannot be read any further."""
        begun, self._begun = self._begun, None
        return self._read() if begun is None else begun

    def _unreadable(self, error: OSError) -> LogError:
        return LogError(f"cannot be read: {error.strerror}", place=self.path, hint="check its permissions")

    def _read(self) -> Iterator[Line]:
        try:
            file = self.open()
        except OSError as error:
            raise self._unreadable(error) from error
        with file:
            yield from self._lines(file)

    def _lines(self, file: IO[bytes]) -> Iterator[Line]:
        is_plain, lines = framed(self.text(file), self.name, self.is_over)
        return lines if is_plain else self._placed(lines)

    def _placed(self, lines: Iterator[Line]) -> Iterator[Line]:
        """The same lines; remembers where one begins, if that does not follow from the one before."""
        for line in lines:
            if line is not PAUSE and self.line_at(line.number) != line.at:
                self._numbers.append(line.number)
                self._begins.append(line.at)
            yield line

    def is_over(self) -> bool:
        """Whether nothing more will be written to it."""
        return True

    def text(self, file: IO[bytes]) -> Iterator[bytes]:
        """What the file of it holds, unpacked."""
        seekable = file if self.path != STDIN and file.seekable() else None
        return unpacked(self._packed(file), self.name, seekable, grows=self.grows)

    def _packed(self, file: Any) -> Iterator[bytes]:
        """What the file holds, as it comes: a pipe may be slow. An empty chunk is a pause."""
        while chunk := file.read1(CHUNK):
            self.consumed += len(chunk)
            yield chunk
