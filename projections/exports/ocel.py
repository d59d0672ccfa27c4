"""OCEL 2.0: the deliveries and what they are of, as an event log that process-mining tools read (SQLite).

Each delivery is an event of its webhook type. The objects are the sessions, their meetings, every run of a lifecycle (a
visit among them), and, where a delivery belongs to none of these, the delivery itself: readers drop an event without
objects, and an object without events. So each event names its run, its session and its meeting. An object's
``state`` is an attribute that changes.

Nothing passes through Python: the file is attached to the read models and filled by ``INSERT … SELECT``, so memory stays
flat. The schema has every key of the standard, and SQLite enforces the foreign keys.

VideoSDK's own records are left out: when they were asked for says nothing of what happened. Names of people are left out. The standard has no event without a time: one of an unknown time has that of the last one
before it, and ``time_known`` 0.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from projections.exports.new_file import new_file
from projections.read_models import is_one_of
from projections.read_models.deliveries import WEBHOOKS
from tracker.lifecycles import REGISTRY
from tracker.store.sqlite_errors import sqlite_errors

BEGIN = "1970-01-01T00:00:00.000000Z"
"""The time of an attribute's first value, as the standard has it; and of an event before which no time is known."""
UNKNOWN = "unknown-type"
"""The event type of every webhook type that no lifecycle declares, and of what has none; ``type`` says what came."""
SESSION, MEETING, DELIVERY = "session", "meeting", "delivery"
SCHEMA = """
CREATE TABLE out.event_map_type (ocel_type TEXT PRIMARY KEY NOT NULL, ocel_type_map TEXT NOT NULL UNIQUE);
CREATE TABLE out.object_map_type (ocel_type TEXT PRIMARY KEY NOT NULL, ocel_type_map TEXT NOT NULL UNIQUE);
CREATE TABLE out.event (
    ocel_id TEXT PRIMARY KEY NOT NULL, ocel_type TEXT NOT NULL REFERENCES event_map_type (ocel_type));
CREATE TABLE out.object (
    ocel_id TEXT PRIMARY KEY NOT NULL, ocel_type TEXT NOT NULL REFERENCES object_map_type (ocel_type));
CREATE TABLE out.event_object (
    ocel_event_id TEXT NOT NULL REFERENCES event (ocel_id), ocel_object_id TEXT NOT NULL REFERENCES object (ocel_id),
    ocel_qualifier TEXT NOT NULL, PRIMARY KEY (ocel_event_id, ocel_object_id, ocel_qualifier));
CREATE TABLE out.object_object (
    ocel_source_id TEXT NOT NULL REFERENCES object (ocel_id), ocel_target_id TEXT NOT NULL REFERENCES object (ocel_id),
    ocel_qualifier TEXT NOT NULL, PRIMARY KEY (ocel_source_id, ocel_target_id, ocel_qualifier));
"""
EVENT = """CREATE TABLE out.event_{} (
    ocel_id TEXT PRIMARY KEY NOT NULL REFERENCES event (ocel_id), ocel_time TIMESTAMP NOT NULL, time_known INTEGER,
    type TEXT, reading TEXT, state_before TEXT, state_after TEXT, findings TEXT)"""
OBJECT = """CREATE TABLE out.object_{} (
    ocel_id TEXT NOT NULL REFERENCES object (ocel_id), ocel_time TIMESTAMP NOT NULL,
    state TEXT, final_state TEXT, certainty TEXT, ocel_changed_field TEXT)"""


def _id(column: str) -> str:
    """An id as a part of an object's id, whose parts stand between slashes."""
    return f"replace(replace({column}, '%', '%25'), '/', '%2F')"


_KEY = f"(SELECT group_concat({_id('value')} || '/', '') FROM json_each(d.key))"
_WHAT = f"CASE WHEN {is_one_of('type', REGISTRY.routes)} THEN type ELSE '{UNKNOWN}' END"
_HAS_RUN = f"run IS NOT NULL AND lifecycle != '{SESSION}'"
THINGS = f"""
CREATE TEMP TABLE things (
    id TEXT PRIMARY KEY, what TEXT, stream TEXT, lifecycle TEXT, key TEXT, run INTEGER, final_state TEXT, certainty TEXT
) WITHOUT ROWID;
INSERT INTO things SELECT {_id("session_id")}, '{SESSION}', session_id, NULL, NULL, NULL, state, certainty FROM sessions;
INSERT OR IGNORE INTO things (id, what) SELECT {_id("session_id")}, '{SESSION}' FROM links WHERE session_id IS NOT NULL;
INSERT INTO things (id, what)
    SELECT 'meeting/' || {_id("meeting_id")}, '{MEETING}' FROM (
        SELECT meeting_id FROM sessions UNION SELECT meeting_id FROM links) WHERE meeting_id IS NOT NULL;
INSERT INTO things
    SELECT {_id("d.stream")} || '/' || lifecycle || '/' || COALESCE({_KEY}, '') || run, lifecycle, stream, lifecycle, key, run,
        COALESCE(r.state, p.state), COALESCE(r.certainty, p.certainty)
    FROM (SELECT DISTINCT stream, lifecycle, key, run FROM {WEBHOOKS} WHERE {_HAS_RUN}) d
    LEFT JOIN runs r USING (stream, lifecycle, key, run)
    LEFT JOIN participants p ON p.session_id = d.stream AND p.visit = d.run
        AND p.participant_id = json_extract(d.key, '$.participant_id');
INSERT INTO things (id, what, stream)
    SELECT 'delivery/' || position, '{DELIVERY}', position FROM {WEBHOOKS}
    WHERE run IS NULL AND stream NOT IN (SELECT session_id FROM sessions) AND stream NOT IN (SELECT stream FROM links);
CREATE INDEX temp.things_of_stream ON things (stream, lifecycle, key, run);
CREATE TEMP VIEW places AS
    SELECT session_id AS stream, {_id("session_id")} AS session, 'meeting/' || {_id("meeting_id")} AS meeting FROM sessions
    UNION ALL SELECT stream, {_id("session_id")}, 'meeting/' || {_id("meeting_id")} FROM links;
"""
"""The objects, and which session and meeting each stream is of."""
OBJECTS = f"""
INSERT INTO out.object SELECT id, what FROM things;
INSERT INTO out.event SELECT 'e' || position, {_WHAT} FROM {WEBHOOKS};
INSERT OR IGNORE INTO out.event_object
    SELECT 'e' || position, id, d.lifecycle FROM {WEBHOOKS} d JOIN things USING (stream, lifecycle, key, run) WHERE {_HAS_RUN}
    UNION ALL SELECT 'e' || position, session, '{SESSION}' FROM {WEBHOOKS} JOIN places USING (stream) WHERE session IS NOT NULL
    UNION ALL SELECT 'e' || position, meeting, '{MEETING}' FROM {WEBHOOKS} JOIN places USING (stream) WHERE meeting IS NOT NULL
    UNION ALL SELECT 'e' || stream, id, '{DELIVERY}' FROM things WHERE what = '{DELIVERY}';
INSERT OR IGNORE INTO out.object_object
    SELECT id, session, 'in' FROM things JOIN places USING (stream) WHERE lifecycle IS NOT NULL AND session IS NOT NULL
    UNION ALL SELECT session, meeting, 'in' FROM places WHERE session IS NOT NULL AND meeting IS NOT NULL
    UNION ALL SELECT id, meeting, 'in' FROM things JOIN places USING (stream)
        WHERE lifecycle IS NOT NULL AND session IS NULL AND meeting IS NOT NULL;
CREATE TEMP TABLE times (position INTEGER PRIMARY KEY, at TEXT);
INSERT INTO times
    SELECT position, COALESCE(received_at, MAX(received_at) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING), '{BEGIN}')
    FROM {WEBHOOKS};
"""
_EVENTS_OF = f"""
INSERT INTO out.event_{{0}}
    SELECT 'e' || position, at, received_at IS NOT NULL, type, reading, state_before, state_after, findings
    FROM {WEBHOOKS} JOIN times USING (position) WHERE {_WHAT} = '{{1}}'"""
_OBJECTS_OF = f"""
INSERT INTO out.object_{{0}} SELECT id, '{BEGIN}', NULL, final_state, certainty, NULL FROM things WHERE what = '{{1}}';
INSERT INTO out.object_{{0}}
    SELECT id, at, state_after, NULL, NULL, 'state' FROM {WEBHOOKS} d JOIN times USING (position)
    JOIN things t ON t.stream = d.stream AND (t.lifecycle, t.key, t.run) IS ({{2}})
    WHERE d.lifecycle = '{{1}}' AND d.run IS NOT NULL AND state_after IS NOT state_before AND t.what = '{{1}}'"""


def write(views: sqlite3.Connection, out: Path) -> None:
    """Writes what these read models hold. Raises ``UsageError`` where the file is there already, or cannot be made."""
    with new_file(out) as path, sqlite_errors(out):
        views.execute("ATTACH ? AS out", (str(path),))
        try:
            views.execute("PRAGMA out.journal_mode=OFF")
            views.execute("PRAGMA out.synchronous=OFF")
            views.execute("PRAGMA foreign_keys=ON")
            views.execute("BEGIN")  # what is read is of one moment
            for statement in _statements(views):
                views.execute(statement)
            views.execute("COMMIT")
        finally:
            if views.in_transaction:
                views.execute("ROLLBACK")
            for what, name in (("VIEW", "places"), ("TABLE", "things"), ("TABLE", "times")):
                views.execute(f"DROP {what} IF EXISTS temp.{name}")
            views.execute("DETACH out")


def _statements(views: sqlite3.Connection) -> Iterator[str]:
    yield from _each(SCHEMA)
    events = [what for (what,) in views.execute(f"SELECT DISTINCT {_WHAT} FROM {WEBHOOKS} ORDER BY 1")]
    yield from (_named("event", what) for what in events)
    yield from _each(THINGS)
    objects = [what for (what,) in views.execute("SELECT DISTINCT what FROM temp.things ORDER BY 1")]
    yield from (_named("object", what) for what in objects)
    yield from _each(OBJECTS)
    for what in events:
        yield EVENT.format(camel(what))
        yield _EVENTS_OF.format(camel(what), what)
    for what in objects:
        yield OBJECT.format(camel(what))
        same = "NULL, NULL, NULL" if what == SESSION else "d.lifecycle, d.key, d.run"
        yield from _each(_OBJECTS_OF.format(camel(what), what, same))


def _named(table: str, what: str) -> str:
    return f"INSERT INTO out.{table}_map_type VALUES ('{what}', '{camel(what)}')"


def camel(what: str) -> str:
    """A type as it stands in the names of tables: ``recording-started`` is ``RecordingStarted``."""
    return "".join(part.title() for part in what.split("-"))


def _each(script: str) -> Iterable[str]:
    return filter(str.strip, script.split(";\n"))
