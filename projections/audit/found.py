"""Findings on disk: a long log has more of them than memory should hold.

They are written as they are found, and read back in the order in which they are reported, as often as need be.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import attrs
import msgspec
from msgspec.structs import replace

from tracker.accept import Acceptance, accepted
from tracker.errors import TrackerError
from tracker.findings import SEVERITIES, Finding, Severity
from tracker.judging.state import SessionState

BEGINS_TOO_LATE, ENDS_TOO_EARLY = 1, 2
"""Why a log cannot say whether a finding is true."""
PAGE = 1000
"""Findings that are read at once to be revised."""
_BY_SESSION = "CREATE INDEX IF NOT EXISTS by_session ON found (session_id, position, number)"
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Finding).decode


class Scratch(sqlite3.Connection):
    """A database that is of no use to anybody later; it is closed when nobody has it any more."""

    def __del__(self) -> None:
        self.close()


def scratch(path: str = "") -> sqlite3.Connection:
    """Empty: a file that nobody else can read, and that goes with its connection."""
    db = sqlite3.connect(path, factory=Scratch, check_same_thread=False)  # it may be collected in any thread
    db.execute("PRAGMA page_size=16384")  # sessions and findings are large rows
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA journal_mode=OFF")
    return db


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raises ``TrackerError`` where what should be on disk cannot be."""
    try:
        yield
    except sqlite3.Error as error:
        raise TrackerError(
            f"what need not stay in memory cannot be written to disk: {error}",
            hint="it takes about the room of the log, unpacked; TMPDIR names another place for it",
        ) from error


class OfSession(msgspec.Struct, frozen=True):
    """What was found in one session, or (``session_id`` is ``None``) outside any."""

    session_id: str | None
    meeting_id: str | None
    state: SessionState | None
    findings: Iterable[Finding]


@attrs.frozen
class Findings:
    """The findings from a severity on, in the order of the report: by position, session and number.

    Each time they are gone through they are read anew, and none is kept.
    """

    db: sqlite3.Connection = attrs.field(repr=False)
    least: int = 0

    @classmethod
    def none(cls, db: sqlite3.Connection | None = None) -> Findings:
        """None as yet, in a database of their own or in this one."""
        db = db or scratch()
        db.execute(
            "CREATE TABLE found (id INTEGER PRIMARY KEY, position INTEGER, session_id TEXT, number INTEGER,"
            " meeting TEXT, state TEXT, severity INTEGER, accepted INTEGER, undecided INTEGER, finding BLOB)"
        )
        return cls(db)

    def put(
        self, findings: Iterable[Finding], meeting_id: str | None = None, state: SessionState | None = None
    ) -> None:
        """Keeps what was found in one stream."""
        insert = "INSERT INTO found VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        for one in findings:
            named = one.position or 0, one.session_id, one.number, meeting_id, state
            self.db.execute(insert, (*named, *_judged(one)))

    def revise(self, change: Callable[[Finding], Finding]) -> None:
        """Puts what ``change`` gives in the place of each."""
        select, last = "SELECT id, finding FROM found WHERE id > ? ORDER BY id LIMIT ?", 0
        while rows := self.db.execute(select, (last, PAGE)).fetchall():
            for last, packed in rows:
                before = _unpack(packed)
                after = change(before)
                if after is not before:
                    update = (
                        "UPDATE found SET severity = ?, accepted = ?, undecided = ?, finding = ? WHERE id = ?"
                    )
                    self.db.execute(update, (*_judged(after), last))

    def keep(self, wanted: Callable[[Finding], bool]) -> None:
        """Forgets those that are not wanted."""
        select, last = "SELECT id, finding FROM found WHERE id > ? ORDER BY id LIMIT ?", 0
        while rows := self.db.execute(select, (last, PAGE)).fetchall():
            last = rows[-1][0]
            gone = [(number,) for number, packed in rows if not wanted(_unpack(packed))]
            self.db.executemany("DELETE FROM found WHERE id = ?", gone)

    def accept(self, entries: Sequence[Acceptance]) -> list[Acceptance]:
        """Marks what these entries cover. Returns those that cover nothing."""
        unused = list(entries)

        def marked(one: Finding) -> Finding:
            unused[:] = [entry for entry in unused if not entry.covers(one)]
            return next(accepted([one], entries))

        if entries:
            self.revise(marked)
        return unused

    def named(self, entry: Acceptance) -> list[str]:
        """The ids of sessions and meetings here that begin as those that an entry names, and are longer."""
        found = []
        for column, begin in (("session_id", entry.session), ("meeting", entry.meeting)):
            select = f"SELECT DISTINCT {column} FROM found WHERE substr({column}, 1, ?) = ? AND {column} != ?"
            rows = self.db.execute(select, (len(begin or ""), begin, begin)) if begin else ()
            found += [one for (one,) in rows]
        return found

    def at_least(self, severity: Severity) -> Findings:
        return attrs.evolve(self, least=SEVERITIES.index(severity))

    def __iter__(self) -> Iterator[Finding]:
        self.db.execute("CREATE INDEX IF NOT EXISTS in_order ON found (position, session_id, number)")
        select = "SELECT finding FROM found WHERE severity >= ? ORDER BY position, session_id, number"
        for (packed,) in self.db.execute(select, (self.least,)):
            yield _unpack(packed)

    def by_session(self) -> Iterator[OfSession]:
        """The same session by session, in the order of the first finding of each."""
        self.db.execute(_BY_SESSION)
        sessions = (
            "SELECT session_id, meeting, state FROM found WHERE severity >= ? GROUP BY session_id"
            " ORDER BY MIN(position), session_id"
        )
        for session_id, meeting_id, state in self.db.execute(sessions, (self.least,)):
            yield OfSession(session_id, meeting_id, state, self.of(session_id))

    def counted(self) -> Counter[tuple[Severity, bool]]:
        """How many there are of each severity that are accepted, and that are not."""
        select = "SELECT severity, accepted, COUNT(*) FROM found WHERE severity >= ? GROUP BY 1, 2"
        rows = self.db.execute(select, (self.least,))
        return Counter({(SEVERITIES[level], bool(accepted)): count for level, accepted, count in rows})

    def codes(self) -> Counter[str]:
        """How many there are of each code."""
        return Counter(found.code for found in self)

    def sessions(self) -> int:
        """In how many sessions there are any that are not accepted."""
        select = "SELECT COUNT(DISTINCT session_id) FROM found WHERE severity >= ? AND NOT accepted"
        ((count,),) = self.db.execute(select, (self.least,))
        return int(count)

    def outside(self) -> bool:
        """Whether there is any that is not accepted outside any session."""
        select = "SELECT 1 FROM found WHERE severity >= ? AND NOT accepted AND session_id IS NULL"
        return self.db.execute(select, (self.least,)).fetchone() is not None

    def undecided(self) -> tuple[int, int]:
        """Of how many a log that begins too late, and one that ends too early, cannot say whether they are true."""
        select = "SELECT SUM(undecided = ?), SUM(undecided = ?) FROM found WHERE severity >= ?"
        ((before, after),) = self.db.execute(select, (BEGINS_TOO_LATE, ENDS_TOO_EARLY, self.least))
        return before or 0, after or 0

    def of(self, session_id: str | None) -> Iterator[Finding]:
        """Those of one session, or of none."""
        self.db.execute(_BY_SESSION)
        select = "SELECT finding FROM found WHERE session_id IS ? AND severity >= ? ORDER BY position, number"
        for (packed,) in self.db.execute(select, (session_id, self.least)):
            yield _unpack(packed)


def _judged(one: Finding) -> tuple[int, bool, int, bytes]:
    return (
        SEVERITIES.index(one.severity),
        one.verdict == "accepted",
        _undecided(one),
        _packed(one),
    )


def _undecided(one: Finding) -> int:
    """Why it is undecided; 0 where it is not. What is open at the end of a log has a deadline, or no time at all."""
    if one.verdict != "undecided":
        return 0
    return BEGINS_TOO_LATE if one.deadline is None and one.at is not None else ENDS_TOO_EARLY


def _packed(one: Finding) -> bytes:
    try:
        return _pack(one)
    except UnicodeEncodeError:  # it names a file, whose name may hold what no text can
        return _pack(replace(one, message=one.message.encode(errors="replace").decode()))
