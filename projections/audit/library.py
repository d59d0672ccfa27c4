"""Auditing from Python: what ``tracker audit`` does, for a program, a test or a notebook.

``audit`` reads logs, or lines that a program has, and gives the findings, and each session as it stood at the end. The
sessions are kept on disk as what came of them, and assessed when they are asked for: so a log may be longer than
memory, and what one gets is what the fold gives, not a copy of it in other words.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, Literal, cast

import attrs
import msgspec

from projections import given
from projections.audit.auditing import Audit, Logs
from projections.audit.auditing import audit as audited
from projections.audit.found import scratch
from projections.audit.share import packed_session, unpacked_session
from projections.explain import status as values
from projections.zones import zone_named
from tracker.delivery.unwrap import Fields, fields_of
from tracker.errors import UsageError
from tracker.findings import SEVERITIES, Finding, Severity
from tracker.intake.lines import Line
from tracker.intake.logs import STDIN, Log, Oddities
from tracker.intake.sources import sources
from tracker.judging.assess import assess
from tracker.judging.session import Observed
from tracker.judging.state import Session
from tracker.rules import Rules

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Audited", "Sessions", "Summary", "audit"]

Table = Literal["findings", "sessions", "recordings"]
Given = str | bytes | os.PathLike[str] | Mapping[str, Any]
"""One line, one path, or one webhook as a dictionary."""

_json = msgspec.json.Encoder().encode


def audit(
    log: Given | Iterable[Given],
    as_of: str | datetime | None = None,
    rules: Rules | str | os.PathLike[str] | None = None,
    *,
    tz: str | tzinfo = UTC,
    webhook_field: str = "",
    time_field: str = "",
) -> Audited:
    """What is wrong in a log, and every session of it.

    ``log`` is the path of a log or several of them, or its lines: text, bytes, or dictionaries (bare webhooks, or
    envelopes with a receive time, as in a log). In a list, text without a brace is a path; bytes are always lines.
    ``as_of`` is the moment to judge as of: a time, ``"now"``, an age like ``"-2h"``, or ``"end"`` for a log that is
    complete, so that every deadline has passed. Without it, what the log leaves open when it ends is ``undecided``.
    ``rules`` are the rules, or the path of their TOML file. ``tz`` is the time zone of receive times that name none, an
    IANA name or a ``tzinfo``; ``webhook_field`` and ``time_field`` name the fields of a line that have webhook and time,
    with dots as in ``"detail.raw"``, where they would not be found.

    Raises ``LogError`` where a log cannot be read to its end, ``RulesError`` and ``UsageError`` for what cannot be used.
    """
    judged_by = given.rules(rules)
    at = None if as_of is None else given.moment(as_of, datetime.now(UTC))
    zone = zone_named(tz, "tz") if isinstance(tz, str) else tz
    fields = fields_of(webhook_field, time_field, ("webhook_field", "time_field"))
    logs = Logs(_logs(log, zone, fields))
    kept = Kept()
    found = audited(logs.deliveries(), judged_by, at, kept.keep)
    if logs.errors:
        raise logs.errors[0]
    found.findings.accept(judged_by.accept)
    return Audited(found, logs.odd, Sessions(kept, found, judged_by))


@attrs.frozen
class Summary:
    """What an audit comes to.

    Attributes:
        deliveries, sessions: How many there were.
        oldest, newest: The first and the last receive time, where there is one.
        as_of: The moment as of which was judged.
        live, open_runs: Sessions and runs that had not ended by then.
        errors, warnings, infos: Findings of each severity that are not accepted.
        accepted: Findings that the rules accept.
        codes: How many findings there are of each code, the most frequent first.
    """

    deliveries: int
    sessions: int
    oldest: datetime | None
    newest: datetime | None
    as_of: datetime | None
    live: int
    open_runs: int
    errors: int
    warnings: int
    infos: int
    accepted: int
    codes: dict[str, int]


@attrs.define(eq=False, repr=False)
class Audited:
    """What an audit found.

    Attributes:
        sessions: By their id, as they stood at the end or at ``as_of``.
        oddities: What is worth a word about the log itself, by its name.
    """

    _audit: Audit
    oddities: dict[str, Oddities]
    sessions: Sessions

    def __repr__(self) -> str:
        one = self.summary
        found = f"{one.errors:,} errors, {one.warnings:,} warnings, {one.infos:,} infos"
        return f"<{one.deliveries:,} deliveries, {one.sessions:,} sessions: {found}>"

    @cached_property
    def findings(self) -> list[Finding]:
        """All findings, in the order of the log; a position is a line, counted on from one file to the next."""
        return list(self._audit.findings)

    @cached_property
    def summary(self) -> Summary:
        one, numbers = self._audit, self._audit.findings.counted()
        infos, warnings, errors = (numbers[severity, False] for severity in SEVERITIES)
        accepted = sum(number for (_, is_accepted), number in numbers.items() if is_accepted)
        moments = one.oldest, one.newest, one.as_of
        codes = dict(self._audit.findings.codes().most_common())
        return Summary(
            one.deliveries,
            one.sessions,
            *moments,
            one.live,
            one.open_runs,
            errors,
            warnings,
            infos,
            accepted,
            codes,
        )

    def to_pandas(self, table: Table = "findings") -> pd.DataFrame:
        """A data frame of the findings, the sessions, or the recordings: a row each, times as times in UTC.

        Raises ``UsageError`` where pandas is not installed, and for another table.
        """
        rows = {
            "findings": lambda: map(values.finding, self._audit.findings),
            "sessions": lambda: map(_row, self.sessions.values()),
            "recordings": self.sessions.recordings,
        }
        if table not in rows:
            raise UsageError(f"there is no table {table!r}", hint=f"choose {', '.join(rows)}")
        try:
            import pandas as pd
        except ImportError as error:
            raise UsageError("pandas is not installed", hint="pip install pandas") from error
        frame = pd.DataFrame(rows[table](), columns=list(COLUMNS[table]))
        for name in COLUMNS[table]:
            if name == "at" or name.endswith("_at"):
                frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
        return frame


class Sessions(Mapping[str, Session]):
    """The sessions of a log by their id, in the order in which they appeared; each is assessed when it is asked for."""

    def __init__(self, kept: Kept, audit: Audit, rules: Rules) -> None:
        self._kept, self._audit, self._rules = kept, audit, rules

    def __getitem__(self, session_id: str) -> Session:
        """Raises ``KeyError`` where nothing came of it."""
        observed = self._kept.observed(session_id)
        session = assess(observed, self._audit.as_of, self._rules, self._audit.log, over=True)
        session.findings = list(self._audit.findings.of(session_id))
        return session

    def __iter__(self) -> Iterator[str]:
        return self._kept.ids()

    def __len__(self) -> int:
        return self._audit.sessions

    def __repr__(self) -> str:
        return f"<{len(self):,} sessions>"

    def of_meeting(self, meeting_id: str) -> list[Session]:
        """The sessions of one meeting, in their order."""
        return [self[session_id] for session_id in list(self._kept.ids(meeting_id))]

    def recordings(self) -> Iterator[dict[str, Any]]:
        """One run a row of what leaves files behind, in all sessions."""
        return (values.recording(session, run) for session in self.values() for run in session.recordings)


class Kept:
    """What came of each session, on disk."""

    def __init__(self) -> None:
        self._db: sqlite3.Connection = scratch()
        self._db.execute("CREATE TABLE kept (id TEXT PRIMARY KEY, meeting TEXT, first INTEGER, observed BLOB)")

    def keep(self, session: Session, observed: Observed) -> None:
        if session.session_id is not None:
            row = (
                session.session_id,
                session.meeting_id,
                session.first_position,
                packed_session(observed),
            )
            self._db.execute("INSERT INTO kept VALUES (?, ?, ?, ?)", row)

    def observed(self, session_id: str) -> Observed:
        select = "SELECT observed FROM kept WHERE id = ?"
        for (packed,) in self._db.execute(select, (session_id,)).fetchall():
            return unpacked_session(packed)
        raise KeyError(session_id)

    def ids(self, meeting_id: str | None = None) -> Iterator[str]:
        select = "SELECT id FROM kept WHERE ?1 IS NULL OR meeting = ?1 ORDER BY first"
        return (session_id for (session_id,) in self._db.execute(select, (meeting_id,)))


def _row(session: Session) -> dict[str, Any]:
    """A session in one row; what it has several of is counted, and findings are codes."""
    row = values.status(session)
    number: dict[Severity, int] = {
        severity: sum(found.severity == severity for found in session.findings) for severity in SEVERITIES
    }
    return {
        **row,
        "participants": len(session.participants),
        "recordings": len(session.recordings),
        "errors": number["error"],
        "warnings": number["warning"],
        "findings": [found.code for found in session.findings],
    }


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "findings": (
        *(
            "code",
            "slug",
            "severity",
            "verdict",
            "confidence",
            "session_id",
            "meeting_id",
            "lifecycle",
            "key",
            "run",
        ),
        *("position", "evidence", "at", "state_before", "state_after", "expected", "message", "advice"),
        *("alternatives", "cause", "account"),
    ),
    "sessions": (
        *("session_id", "meeting_id", "state", "certainty", "started_at", "ended_at", "first_seen_at"),
        *(
            "last_seen_at",
            "deliveries",
            "participants",
            "recordings",
            "errors",
            "warnings",
            "findings",
            "account",
        ),
    ),
    "recordings": (
        *(
            "session_id",
            "meeting_id",
            "lifecycle",
            "key",
            "run",
            "state",
            "certainty",
            "began_at",
            "started_at",
            "stopped_at",
        ),
        *("files", "findings", "account", "videosdk_file"),
    ),
}
"""The columns of each table, also where it has no row."""


# -- what may be given as a log ----------------------------------------------------------------------


def _logs(log: Given | Iterable[Given], zone: tzinfo, fields: Fields) -> list[Log]:
    if isinstance(log, str | os.PathLike):
        return sources(os.fspath(log), zone=zone, fields=fields)
    if isinstance(log, bytes | Mapping):
        return [_Lines([log], zone, fields)]
    items = iter(log)
    first = next(items, None)
    if first is None:
        return []
    rest = chain([first], items)
    if _is_path(first):
        paths = (os.fspath(_path(one)) for one in rest)
        return [log for path in paths for log in sources(path, zone=zone, fields=fields)]
    return [_Lines(rest, zone, fields)]


def _is_path(one: Given) -> bool:
    return isinstance(one, os.PathLike) or (isinstance(one, str) and re.search(r"[{\n]|^\s*$", one) is None)


def _path(one: Given) -> str | os.PathLike[str]:
    if isinstance(one, str | os.PathLike):
        return one
    raise UsageError(
        f"a list of logs holds {type(one).__name__}", hint="give paths, or lines, and not both in one list"
    )


class _Lines(Log):
    """Lines that a program has; they are read as a file of them would be."""

    def __init__(self, lines: Iterable[Given], zone: tzinfo, fields: Fields) -> None:
        super().__init__(STDIN, zone=zone, fields=fields)
        self._given = lines

    @property
    def name(self) -> str:
        return "line"

    def lines(self) -> Iterator[Line]:
        yield from self._lines(cast("IO[bytes]", _Chunks(map(_line, self._given))))


@attrs.define
class _Chunks:
    """The lines as a file that can be read."""

    lines: Iterator[bytes]

    def read1(self, _size: int) -> bytes:
        return next(self.lines, b"")


def _line(one: Given) -> bytes:
    if isinstance(one, str):
        text = one.encode(errors="surrogateescape")
    elif isinstance(one, bytes):
        text = one
    elif isinstance(one, Mapping):
        text = _encoded(one)
    else:
        hint = "give text, bytes, or dictionaries"
        raise UsageError(f"a log of lines holds {type(one).__name__}", hint=hint)
    return text.removesuffix(b"\n") + b"\n"


def _encoded(one: Mapping[str, Any]) -> bytes:
    try:
        return _json(dict(one))
    except (TypeError, UnicodeEncodeError, RecursionError, msgspec.MsgspecError) as error:
        raise UsageError(f"a dictionary is no JSON: {error}", hint="give what a log would hold") from error
