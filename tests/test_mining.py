"""Event logs for process mining: what is exported is what another program reads, and all of it."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import meetings
import pytest
import r4pm
from commands import run
from meetings import deliveries, line, webhook
from r4pm import bindings, petri_net

from projections.explain.machines import pnml, scxml, xstate
from projections.exports import ocel, xes
from projections.views.follow import Views
from tracker.lifecycles import REGISTRY
from tracker.store.application import Tracker

EXAMPLES = Path(__file__).parents[1] / "examples"
TELEPHONE = EXAMPLES / "telephone_meeting.jsonl"
ODD = [
    line(webhook("session-started", sessionId="a/b%", meetingId="r/1"), 1),
    line(webhook("recording-started", sessionId="a/b%", meetingId="r/1", id="x/y"), 2),
    line(webhook("recording-started", sessionId="a", meetingId="r", id="b%/x"), None),
    line(webhook("no'such-type;\n--\x01<&>\"", sessionId="a", meetingId="r"), 3),
    line(b"no json", None),
    line(webhook("chat-opened"), 5),
]
"""Ids with what stands between the parts of an object's id, types that nobody declares, and times that are not known."""
GIVEN = [*meetings.lines(3, sessions=8), *TELEPHONE.read_bytes().splitlines(), *ODD]


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    data = tmp_path_factory.mktemp("mined")
    with closing(Tracker.open(data, create=True)) as store:
        store.append(deliveries(GIVEN))
        with Views.open(store) as opened:
            yield opened


@pytest.fixture(scope="module")
def mined(views, tmp_path_factory):
    """The OCEL file of these."""
    path = tmp_path_factory.mktemp("ocel") / "log.sqlite"
    ocel.write(views.connection, path)
    return path


@pytest.fixture
def asked(mined):
    with closing(sqlite3.connect(mined)) as db:
        yield lambda statement: db.execute(statement).fetchall()


def written(views, path, *how):
    """The XES file of these, and its traces: name -> events."""
    xes.write(views.connection, path, *how)
    log = ET.parse(path).getroot()
    name = log.tag.removesuffix("log")
    return log, {
        valued(trace)["concept:name"]: [valued(event) for event in trace.iter(f"{name}event")]
        for trace in log.iter(f"{name}trace")
    }


def valued(element):
    return {one.get("key"): one.get("value") for one in element if one.get("key")}


# OCEL


def test_every_key_of_the_schema_is_kept(asked):
    assert (asked("PRAGMA foreign_key_check"), asked("PRAGMA integrity_check")) == ([], [("ok",)])


@pytest.mark.parametrize("kind", ["event", "object"])
def test_each_is_in_the_table_of_its_type(asked, kind):
    for what, table in asked(f"SELECT * FROM {kind}_map_type"):
        listed = asked(f"SELECT ocel_id FROM {kind} WHERE ocel_type = '{what}' ORDER BY 1")
        assert asked(f"SELECT DISTINCT ocel_id FROM {kind}_{table} ORDER BY 1") == listed


def test_every_delivery_is_an_event_and_no_event_or_object_stands_alone(asked):
    assert asked("SELECT COUNT(*) FROM event") == [(len(GIVEN),)]
    assert asked("SELECT * FROM event WHERE ocel_id NOT IN (SELECT ocel_event_id FROM event_object)") == []
    assert asked("SELECT * FROM object WHERE ocel_id NOT IN (SELECT ocel_object_id FROM event_object)") == []


def test_the_objects_are_the_sessions_the_rooms_and_every_run(views, asked):
    found = Counter(what for (what,) in asked("SELECT ocel_type FROM object"))
    runs = views.db.query(
        "SELECT lifecycle, COUNT(*) AS number FROM runs GROUP BY 1 UNION SELECT 'participant', COUNT(*) FROM participants"
    )

    assert {row["lifecycle"]: row["number"] for row in runs}.items() <= found.items()
    assert found["session"] >= next(views.db.query("SELECT COUNT(*) AS number FROM sessions"))["number"]


def test_another_program_reads_all_events_and_objects(mined, asked):
    log = bindings.slim_link_ocel(r4pm.import_item("OCEL", str(mined)))

    ((events,),), ((objects,),) = asked("SELECT COUNT(*) FROM event"), asked("SELECT COUNT(*) FROM object")
    assert (bindings.num_events(log), bindings.num_objects(log)) == (events, objects)


def test_a_state_changes_when_the_delivery_came(views, asked):
    changes = "SELECT COUNT(*) FROM object_Recording WHERE ocel_changed_field = 'state'"
    moves = "SELECT COUNT(*) AS n FROM deliveries WHERE lifecycle = 'recording' AND run AND state_after IS NOT state_before"

    assert asked(changes) == [(next(views.db.query(moves))["n"],)]


def test_no_two_things_share_an_id_whatever_their_names_are(asked):
    ids = {one for (one,) in asked("SELECT ocel_id FROM object WHERE ocel_type = 'recording'")}
    assert {"a%2Fb%25/recording/x%2Fy/1", "a/recording/b%25%2Fx/1"} <= ids


def test_a_call_is_of_the_room_that_it_was_for(asked):
    calls = asked("SELECT ocel_target_id FROM object_object WHERE ocel_source_id LIKE 'call:%'")
    assert calls
    assert {target for (target,) in calls} <= {one for (one,) in asked("SELECT ocel_id FROM object")}


def test_an_event_of_an_unknown_time_has_that_of_the_last_one_before(asked):
    unknown = f"e{GIVEN.index(ODD[4]) + 1}"
    ((at, known),) = asked(f"SELECT ocel_time, time_known FROM event_UnknownType WHERE ocel_id = '{unknown}'")
    ((newest,),) = asked(f"SELECT MAX(ocel_time) FROM event_UnknownType WHERE ocel_id != '{unknown}'")

    assert (known, at >= newest) == (0, True)


def test_read_models_are_as_before_and_can_be_exported_again(views, mined, tmp_path):
    before = views.path.read_bytes()
    again = tmp_path / "again.sqlite"
    ocel.write(views.connection, again)

    assert before == views.path.read_bytes()
    assert meetings.rows(again) == meetings.rows(mined)


def test_no_name_of_a_person_is_exported(views, mined, tmp_path):
    xes.write(views.connection, tmp_path / "log.xes", "session")
    names = [
        row["name"] for row in views.db.query("SELECT DISTINCT name FROM participants WHERE name IS NOT NULL")
    ]
    text = mined.read_bytes() + (tmp_path / "log.xes").read_bytes()

    assert names
    assert [name for name in names if name.encode() in text] == []


# XES


def test_a_session_is_a_trace_of_all_that_came(views, tmp_path):
    _, traces = written(views, tmp_path / "log.xes", "session")
    expected = Counter(one.stream for one in deliveries(GIVEN))

    assert {name: len(events) for name, events in traces.items()} == expected


def test_a_run_is_a_trace_of_what_moved_its_state(views, tmp_path):
    _, traces = written(views, tmp_path / "log.xes", "run")
    for events in traces.values():
        states = [one.get("state:after") for one in events]
        assert [one.get("state:before") for one in events] == [None, *states[:-1]]
    assert len(traces) > 20


@pytest.mark.parametrize(("view", "name"), [("session", "log.xes"), ("run", "log.xes.gz")])
def test_another_program_reads_all_traces(views, tmp_path, view, name):
    xes.write(views.connection, tmp_path / name, view)
    log = bindings.log_to_activity_projection(r4pm.import_item("EventLog", str(tmp_path / name)))
    query = "SELECT COUNT(*) AS n FROM (SELECT DISTINCT stream {} FROM deliveries WHERE {})"
    of = {"session": ("", "1"), "run": (", lifecycle, key, run", "run AND state_after IS NOT state_before")}

    assert bindings.get_num_cases(log) == next(views.db.query(query.format(*of[view])))["n"]


def test_the_times_of_a_trace_are_never_missing_and_those_that_are_not_known_say_so(views, tmp_path):
    _, traces = written(views, tmp_path / "log.xes", "session")
    known = {one.position: one.received_at for one in deliveries(GIVEN)}
    for event in (event for events in traces.values() for event in events):
        at = known[int(event["position"])]
        assert (event.get("time:known") == "false") == (at is None)
        assert at in (None, datetime.fromisoformat(event["time:timestamp"]))


def test_the_types_that_never_come_are_an_attribute_of_the_log(views, tmp_path):
    types = ["hls-playable", "recording-starting"]
    rows = [("log:", number, "L603", json.dumps([one])) for number, one in enumerate(types, 900)]
    views.connection.execute("BEGIN")
    views.connection.executemany(
        "INSERT INTO findings (stream, number, code, missing) VALUES (?, ?, ?, ?)", rows
    )
    log, _ = written(views, tmp_path / "log.xes", "run")
    views.connection.execute("ROLLBACK")

    assert set(types) <= set(valued(log)["types:not-subscribed"].split())


def test_one_session_can_be_asked_for(views, tmp_path):
    assert set(written(views, tmp_path / "one.xes", "session", "a/b%")[1]) == {"a/b%"}
    outside = written(views, tmp_path / "outside.xes", "session", "unrouted")[1]
    assert {one.stream for one in deliveries(GIVEN) if one.stream.startswith("unrouted:")} == set(outside)


# State machines

every_lifecycle = pytest.mark.parametrize("lifecycle", REGISTRY.values(), ids=lambda one: one.name)


def edges(lifecycle):
    return Counter(
        (state or "begin", lifecycle.webhook_type(step), lifecycle.by_name[step].state)
        for state, steps in lifecycle.table.items()
        for step in steps
    )


@every_lifecycle
def test_a_net_has_a_transition_for_every_entry_of_the_table(lifecycle, tmp_path):
    path = tmp_path / "net.pnml"
    path.write_text(pnml(lifecycle), "utf-8")
    net = petri_net.import_pnml(str(path))
    labels = Counter(one["label"] for one in net["transitions"].values())
    silent = labels.pop(None, 0)

    assert labels == Counter(label for _, label, _ in edges(lifecycle).elements())
    assert silent == len(
        {state for state in lifecycle.states if state in lifecycle.ends or not lifecycle.table[state]}
    )
    assert len(net["places"]) == len(lifecycle.states) + 2


@every_lifecycle
def test_the_state_machines_have_the_entries_of_the_table(lifecycle):
    machine = json.loads(xstate(lifecycle))["states"]
    chart = ET.fromstring(scxml(lifecycle))
    drawn = Counter(
        (state.get("id"), move.get("event"), move.get("target")) for state in chart for move in state
    )

    assert drawn == edges(lifecycle)
    assert drawn == Counter(
        (name, kind, target) for name, state in machine.items() for kind, target in state.get("on", {}).items()
    )


# The commands


@pytest.fixture
def there(tmp_path):
    """A directory with a small store."""
    meetings.read_into(tmp_path / "tracker-data", meetings.write(tmp_path / "given", GIVEN[:20]))
    return tmp_path


@pytest.mark.parametrize("kind", ["ocel", "xes"])
def test_a_file_that_is_there_is_left_alone(there, kind):
    export = ("export", "--format", kind, "--out", f"log.{kind}")
    first, before = run(*export, cwd=there, text=True), (there / f"log.{kind}").read_bytes()
    again = run(*export, cwd=there, text=True)

    assert (first.returncode, again.returncode) == (0, 2)
    assert again.stderr == f"error: log.{kind}: is there already\nhint: choose another file, or remove it\n"
    assert (there / f"log.{kind}").read_bytes() == before
    assert [one.name for one in there.iterdir() if "part" in one.name] == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("export --format xes", "--format xes and --out need each other"),
        ("export --out x", "--format parquet and --out need each other"),
        ("export --format ocel --out x --by run", "--by is for --format xes"),
        ("export --format ocel --out x --session s", "--format ocel is of the whole store"),
        ("export --format xes --out nowhere/x", "nowhere/x: cannot be written: No such file or directory"),
        ("export --format xes --out x --session nobody", "nobody: no such session"),
        ("lifecycles --format pnml", "pnml is of one lifecycle"),
    ],
)
def test_what_cannot_be_exported_is_reported_with_a_hint(there, arguments, error):
    done = run(*arguments.split(), cwd=there, text=True)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: {error}\n" in done.stderr
    assert "hint: " in done.stderr
