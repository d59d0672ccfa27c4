"""The JSON API over real HTTP: what the commands say is what the API says."""

import json
import re
import sqlite3
import subprocess
import sys
from base64 import b64decode
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import pytest
from meetings import webhook
from served import RESTARTED, served
from waiting import BOUND, until

from projections.explain.status import moment, status, timeline
from projections.read_models import text
from projections.read_models.sessions import find
from projections.views.follow import Views
from projections.views.rebuild import rebuild
from projections.web import api, changes, health
from tracker.delivery.webhook import parse
from tracker.findings import SEVERITIES
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.lifecycles import REGISTRY
from tracker.store import sqlite

ROOT = Path(__file__).parents[1]
PATHS = ["/api/sessions", f"/api/sessions/{RESTARTED}", f"/api/sessions/{RESTARTED}/timeline", "/api/findings"]
PATHS += [
    "/api/meetings/h8sd-4kzo-y1fw",
    "/api/people/sx2051",
    "/api/search?q=re",
    f"/api/sessions/{RESTARTED}/explain",
    "/api/recordings",
    "/api/issues",
    "/api/overview",
    "/api/events/1",
    "/api/lifecycles",
    "/api/openapi.json",
]


def everything(server, path):
    """The items of all pages."""
    items, cursor, mark = [], "", "&" if "?" in path else "?"
    while cursor is not None:
        page = server.get(f"{path}{mark}limit=3{f'&cursor={cursor}' if cursor else ''}")
        items += page["items"]
        cursor = page["next"]
    return items


def ids(items):
    return [item["session_id"] for item in items]


# Sessions


def test_the_status_of_every_session_is_what_the_command_prints(monday):
    for one in ids(everything(monday, "/api/sessions")):
        assert monday.get(f"/api/sessions/{one}") == status(monday.tracker.status(one, as_of=monday.live.as_of))


@pytest.mark.parametrize("past", [{"at": 74}, {"as_of": datetime(2026, 11, 23, 10, 18, tzinfo=UTC)}])
def test_the_past_of_a_session_is_what_the_command_prints(monday, past):
    query = "&".join(f"{name}={value}" for name, value in past.items()).replace("+00:00", "Z").replace(" ", "T")
    expected = status(monday.tracker.status(RESTARTED, **past))

    assert monday.get(f"/api/sessions/{RESTARTED}?{query}") == expected
    assert expected != monday.get(f"/api/sessions/{RESTARTED}")


def test_a_session_is_reported_to_the_end_of_its_stream_also_while_the_read_models_lag(tmp_path):
    with served(tmp_path) as server, closing(sqlite3.connect(server.live.views_path)) as other:
        server.post("session-started", sessionId="s", meetingId="m")
        server.caught_up()
        other.execute("BEGIN IMMEDIATE")
        server.post("participant-joined", sessionId="s", meetingId="m", participantId="p")
        assert [
            (server.get("/api/sessions/s")["deliveries"], server.get("/api/sessions")["items"][0]["deliveries"])
        ] == [(2, 1)]


@pytest.mark.parametrize("session", [RESTARTED, "unrouted"])
def test_a_timeline_is_what_the_command_prints_also_in_pages(monday, session):
    store = monday.tracker
    received = store.unrouted() if session == "unrouted" else store.history(session)
    moments, _ = timeline(received, monday.live.rules, monday.live.as_of)

    assert everything(monday, f"/api/sessions/{session}/timeline") == [moment(one) for one in moments]


def test_a_resource_has_a_timeline_under_the_name_of_its_stream(server):
    position = server.post("resource-acquired", id="r", type="recording")

    assert [one["position"] for one in server.get("/api/sessions/resource:r/timeline")["items"]] == [position]


def test_a_timeline_has_what_was_stored_when_it_was_asked_for(server):
    for number in range(20):
        position = server.post("participant-joined", sessionId="s", meetingId="m", participantId=f"p{number}")
        assert server.get("/api/sessions/s/timeline")["items"][-1]["position"] == position
        assert server.get(f"/api/events/{position}")["session_id"] == "s"


@pytest.mark.parametrize(("path", "name"), [("/api/sessions/s/timeline", "s"), ("/api/events/1", "1")])
def test_what_is_not_judged_yet_is_said_to_be_so_where_it_is_asked_how_it_was_read(tmp_path, path, name):
    with served(tmp_path) as server, closing(sqlite3.connect(server.live.views_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        server.post("session-started", sessionId="s", meetingId="m")
        answer = server.ask(path)
    assert answer.status == 503
    assert answer.json["detail"] == f"{name}: it came at position 1, and the read models are at 0"
    assert answer.json["hint"] == "ask again, or with wait=1"


def test_a_page_of_a_timeline_begins_behind_its_cursor_and_one_behind_the_end_is_empty(monday):
    path = f"/api/sessions/{RESTARTED}/timeline"
    whole = monday.get(path)["items"]
    page = monday.get(f"{path}?cursor={whole[2]['position']}&limit=3")

    assert page == {"items": whole[3:6], "next": str(whole[5]["position"])}
    assert monday.get(f"{path}?cursor={whole[-1]['position']}") == {"items": [], "next": None}


@pytest.mark.parametrize("name", ["a/b", "a/timeline/b", "a b", "ü", "a?b", "%2f"])
def test_a_session_is_found_whatever_its_id_looks_like(server, name):
    from urllib.parse import quote

    server.post("session-started", sessionId=name, meetingId="m")
    server.caught_up()

    assert server.get(f"/api/sessions/{quote(name, safe='')}")["session_id"] == name


def test_the_list_has_the_rows_of_the_read_model_the_one_stored_last_first(monday):
    with Views.open(monday.tracker, monday.live.rules) as views:
        rows = list(find(views.db, sort="position", limit=100))
    found = monday.get("/api/sessions")["items"]

    assert [{name: exact(name, value) for name, value in one.items()} for one in found] == rows
    assert [one["last_position"] for one in found] == sorted(
        (one["last_position"] for one in found), reverse=True
    )


def exact(name, value):
    """A time as the read models hold it."""
    return text(datetime.fromisoformat(value)) if name.endswith("_at") and value else value


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("live=true", {"live": True}),
        ("meeting=zk4p-81nt-w6ya", {"meeting": "zk4p-81nt-w6ya"}),
        ("finding=S207&finding=left-without-join", {"findings": ["S207", "S212"]}),
        ("finding=D101&finding=D102", {"findings": ["D101", "D102"]}),
        ("since=2026-11-23T14:00:00Z", {"since": "2026-11-23T14:00:00.000000Z"}),
        (
            "since=2026-11-23T14:00:00Z&finding=D103",
            {"since": "2026-11-23T14:00:00.000000Z", "findings": ["D103"]},
        ),
        ("since=0001-01-01T00:00:00Z", {}),
        ("since=9999-01-01T00:00:00Z", {"since": "9"}),
    ],
)
def test_the_list_is_filtered_as_the_command_does_it(monday, query, asked):
    with Views.open(monday.tracker, monday.live.rules) as views:
        expected = ids(find(views.db, **asked))

    assert sorted(ids(everything(monday, f"/api/sessions?{query}"))) == sorted(expected)


def test_pages_stay_as_they_are_while_sessions_change_and_what_changed_is_reported_behind_the_first_page(
    server,
):
    for number in range(7):
        server.post("session-started", sessionId=f"s{number}", meetingId="m")
    server.caught_up()
    first = server.get("/api/sessions?limit=3")
    server.post("participant-joined", sessionId="s1", meetingId="m", participantId="p")
    server.post("session-started", sessionId="new", meetingId="m")
    server.caught_up()
    second = server.get(f"/api/sessions?limit=3&cursor={first['next']}")

    assert [*ids(first["items"]), *ids(second["items"])] == ["s6", "s5", "s4", "s3", "s2", "s0"]
    assert second["next"] is None
    with server.stream(f"/api/changes?after={first['position']}") as stream:
        assert [event["session_id"] for _, event in events(stream, 2)] == ["s1", "new"]


# Findings


def findings_of(monday):
    """All findings as the status of each session tells them, and those outside of any session."""
    found = [one for name in ids(monday.get("/api/sessions?limit=1000")["items"])
             for one in monday.get(f"/api/sessions/{name}")["findings"]]  # fmt: skip
    outside = monday.get("/api/findings?limit=1000")["items"]
    return found + [one for one in outside if one["session_id"] is None]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", lambda _: True),
        ("code=S207", lambda one: one["code"] == "S207"),
        ("code=redelivered&code=D102", lambda one: one["code"] in ("D101", "D102")),
        ("severity=warning", lambda one: one["severity"] != "info"),
        ("severity=error", lambda one: one["severity"] == "error"),
        (f"session={RESTARTED}", lambda one: one["session_id"] == RESTARTED),
        ("meeting=h8sd-4kzo-y1fw", lambda one: one["meeting_id"] == "h8sd-4kzo-y1fw"),
        ("lifecycle=recording", lambda one: one["lifecycle"] == "recording"),
        ("verdict=settled", lambda one: one["verdict"] == "settled"),
        ("since=2026-11-23T14:00:00Z", lambda one: (one["at"] or "") >= "2026-11-23T14:00:00Z"),
        ("severity=error&lifecycle=recording&code=X403", lambda one: one["code"] == "X403"),
    ],
)
def test_findings_are_those_of_the_sessions_filtered(monday, query, wanted):
    expected = sorted(filter(wanted, findings_of(monday)), key=str)
    found = everything(monday, f"/api/findings?{query}")

    assert sorted(found, key=str) == expected
    assert [one["position"] for one in found] == sorted((one["position"] for one in found), reverse=True)


def test_what_a_later_delivery_explained_is_not_found(server):
    server.post("session-started", sessionId="s", meetingId="m")
    server.post("recording-started", sessionId="s", meetingId="m")
    server.post("recording-starting", sessionId="s", meetingId="m")
    server.caught_up()
    assert [one["code"] for one in server.get("/api/findings")["items"]] == ["D102"]


def test_a_delivery_is_read_with_hindsight_as_in_the_timeline(monday):
    printed = monday.get(f"/api/sessions/{RESTARTED}/timeline")["items"]
    names = ("reading", "run", "state_before", "state_after")
    events = [monday.get(f"/api/events/{one['position']}") for one in printed]

    assert [[one[name] for name in names] for one in events] == [
        [one[name] for name in names] for one in printed
    ]


def test_findings_about_the_log_are_on_the_pages_too(server):
    for number in range(26):
        named = {"sessionId": f"s{number}", "meetingId": f"m{number}"}
        for kind in ("session-started", "recording-started", "recording-stopped", "session-ended"):
            server.post(kind, **named)
    server.caught_up()
    whole = server.get("/api/findings?limit=1000")["items"]
    paged, query = [], "limit=7"
    while query:
        page = server.get(f"/api/findings?{query}")
        paged += page["items"]
        query = page["next"] and f"limit=7&cursor={page['next']}"

    assert "L603" in {one["code"] for one in whole}
    assert paged == whole


def test_a_finding_says_how_sure_it_is_what_else_may_be_and_what_to_do(monday):
    found = monday.get("/api/findings?limit=1000")["items"]
    assert all(0 < one["confidence"] <= 1 for one in found)
    assert all(one["advice"] == CATALOGUE[one["code"]].advice for one in found)
    assert all(isinstance(one["alternatives"], list) for one in found)


# Events


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("type=recording-started&type=hls-started", lambda one: one["type"] in ("recording-started", "hls-started")),
        ("reading=redelivered&reading=orphan", lambda one: one["reading"] in ("redelivered", "orphan")),
        ("lifecycle=recording", lambda one: one["lifecycle"] == "recording"),
        ("code=S207", lambda one: "S207" in one["findings"]),
        (f"session={RESTARTED}", lambda one: one["stream"] == RESTARTED),
        ("session=unrouted", lambda one: one["stream"].startswith("unrouted:")),
        ("since=2026-11-23T14:00:00Z&until=2026-11-23T15:00:00Z", lambda one: "T14:" in (one["received_at"] or "")),
    ],
)  # fmt: skip
def test_what_came_is_filtered(monday, query, wanted):
    came = everything(monday, "/api/events")
    expected = list(filter(wanted, came))

    assert [one["position"] for one in came] == list(range(monday.tracker.last_position(), 0, -1))
    assert expected == everything(monday, f"/api/events?{query}")
    assert expected


def test_what_came_to_a_meeting_came_to_its_sessions(monday):
    room = "h8sd-4kzo-y1fw"
    streams = {one["session_id"] for one in everything(monday, f"/api/sessions?meeting={room}")}

    assert {one["stream"] for one in everything(monday, f"/api/events?meeting={room}")} == streams


def test_every_delivery_is_reported_as_it_came_and_with_what_it_did(monday):
    moments = {}
    for stream in {delivery.stream for delivery in monday.tracker.deliveries()}:
        for one in monday.get(f"/api/sessions/{stream}/timeline?limit=1000")["items"]:
            moments[one["position"]] = one
    for delivery in monday.tracker.deliveries():
        event = monday.get(f"/api/events/{delivery.position}")
        body = event["body"].encode() if event["body_base64"] is None else b64decode(event["body_base64"])
        printed = {name: event[name] for name in moments[delivery.position]}

        assert (body, event["source"]) == (delivery.body, delivery.received.source)
        assert {**printed, "findings": [one["code"] for one in event["findings"]]} == moments[delivery.position]


def test_a_body_that_is_no_text_comes_in_base64(server):
    body = b"\xff\xfe no text"
    answer = server.ask("/webhooks", "POST", body)
    event = server.get(f"/api/events/{answer.headers['tracker-position']}")

    assert (event["body"], b64decode(event["body_base64"])) == (None, body)
    assert event["problem"].startswith("it is not UTF-8")


# Lifecycles


def test_the_lifecycles_are_the_declarations(server):
    found = {one["lifecycle"]: one for one in server.get("/api/lifecycles")["items"]}

    assert list(found) == list(REGISTRY)
    for name, declared in REGISTRY.items():
        assert [step["type"] for step in found[name]["steps"]] == [
            declared.webhook_type(step.name) for step in declared.steps
        ]
        assert len(found[name]["movements"]) == sum(map(len, declared.table.values()))


# Reading what was written


def test_who_waits_for_what_they_wrote_reads_it(server, monkeypatch):
    monkeypatch.setattr(api, "WAIT", BOUND)
    for number in range(20):
        position = server.post("session-started", sessionId=f"s{number}", meetingId="m")
        assert server.get(f"/api/sessions?wait={position}&limit=1")["items"][0]["session_id"] == f"s{number}"


def test_who_waits_for_read_models_that_do_not_come_is_reported_so(server, monkeypatch):
    monkeypatch.setattr(api, "WAIT", 0.05)
    server.post("session-started", sessionId="s", meetingId="m")
    server.caught_up()
    with closing(sqlite3.connect(server.live.views_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        position = server.post("session-ended", sessionId="s", meetingId="m")
        answer = server.ask(f"/api/sessions?wait={position}")

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert (
        answer.json["detail"] == f"wait {position}: after 0.05 s the read models are at position {position - 1}"
    )


# What cannot be answered


@pytest.mark.parametrize(
    ("path", "code", "detail", "hint"),
    [
        ("/api/sessions/nobody", 404, "nobody: no such session", "/api/sessions lists all sessions"),
        ("/api/sessions/nobody/timeline", 404, "nobody: no such session", "/api/sessions lists all sessions"),
        (
            "/api/sessions/h8sd-4kzo-y1fw", 404, "h8sd-4kzo-y1fw: no such session",
            f"h8sd-4kzo-y1fw is a meeting; its sessions: {RESTARTED}",
        ),
        (
            f"/api/sessions/{RESTARTED}?as_of=2026-01-01", 404, f"{RESTARTED}: no delivery of this session had come by then",
            "its first delivery is at position 64, received 2026-11-23T10:00:00.843Z",
        ),
        (f"/api/sessions/{RESTARTED}?at=9999", 404, "at 9999: the store ends at position 235", "give one up to 235"),
        ("/api/events/9999", 404, "9999: the store ends at position 235", "give one up to 235"),
        ("/api/events/x", 400, "position: 'x' is not accepted", "give a whole number from 1 to 9223372036854775807"),
        ("/api/sessions?limt=3", 400, "limt: no such parameter", "did you mean limit?"),
        ("/api/lifecycles?x=1", 400, "x: no such parameter", "known: none"),
        ("/api/sessions?limit=0", 400, "limit: '0' is not accepted", "give a whole number from 1 to 1000"),
        ("/api/sessions?limit=1&limit=2", 400, "limit: is given twice", "give it once"),
        ("/api/sessions?live=yes", 400, "live: 'yes' is not accepted", "known: true, false"),
        ("/api/sessions?finding=S2077", 400, "finding: 'S2077' is not accepted", "did you mean S207?"),
        ("/api/sessions?meeting=", 400, "meeting: '' is not accepted", "give one that is not empty"),
        (
            "/api/sessions?since=monday", 400, "since: 'monday' is not accepted",
            "write 2026-11-23T09:00:00Z, and a + as %2B",
        ),
        ("/api/findings?cursor=12", 400, "cursor: '12' is not accepted", "give what the page before says in next"),
        ("/api/findings?severity=bad", 400, "severity: 'bad' is not accepted", "known: info, warning, error"),
        ("/api/findings?wait=9999", 409, "wait 9999: the store ends at position 235",
         "wait for a position that has been stored"),
        ("/api/changes?after=9999", 409, "after 9999: the store ends at position 235",
         "the store is another one now: read /api/sessions anew"),
        ("/api/nothing", 404, "Not Found", "/api/openapi.json tells what there is"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_a_problem_with_a_hint(monday, path, code, detail, hint):
    answer = monday.ask(path)

    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status, answer.json["status"]) == (code, code)
    assert (answer.json["detail"], answer.json["hint"]) == (detail, hint)


@pytest.mark.parametrize("path", PATHS)
def test_another_method_is_refused_with_those_that_are_allowed(monday, path):
    answer = monday.ask(path, "DELETE")

    assert (answer.status, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
    assert answer.json["title"] == "Method Not Allowed"


def test_an_error_of_ours_is_a_problem_that_tells_nothing(server, monkeypatch):
    monkeypatch.setattr("projections.web.contracts.encode", lambda *_: 1 / 0)
    answer = server.ask("/api/sessions")

    assert (answer.status, answer.json["detail"]) == (500, "something is wrong in this program")


# Tokens


OPEN = ["/healthz", "/readyz"]


@pytest.mark.parametrize("path", [*PATHS, "/api/changes", "/metrics"])
@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer wrong", "Basic s\u00e9same", "s\u00e9same", "Bearer s\u00e9sam"]
)
def test_without_the_token_nothing_is_reported(locked, path, shown):
    answer = locked.ask(path, authorization=shown.encode())

    assert (answer.status, answer.headers["www-authenticate"].partition(" ")[0]) == (401, "Bearer")
    assert answer.json["hint"] == "send it as Authorization: Bearer TOKEN"


@pytest.mark.parametrize("path", [*PATHS, "/metrics"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_the_token_opens_what_can_be_read(locked, path, scheme):
    assert locked.ask(path, authorization=f"{scheme} sésame".encode()).status == 200


@pytest.mark.parametrize("path", OPEN)
def test_whether_the_server_is_well_needs_no_token(locked, path):
    assert locked.ask(path, authorization="").status == 200


def test_a_webhook_needs_no_token(tmp_path):
    with served(tmp_path, token="t") as server:
        assert (
            server.ask("/webhooks", "POST", webhook("session-started", sessionId="s"), authorization="").status
            == 204
        )


# The description


def test_the_description_names_every_route(monday):
    described = monday.get("/api/openapi.json")["paths"]
    routes = {re.sub(r":\w+}", "}", route.path) for route in api.routes} - {"/api/openapi.json"}

    assert set(described) == routes


def test_the_description_tells_whether_a_token_is_asked_for(monday, locked):
    assert [server.get("/api/openapi.json")["security"] for server in (monday, locked)] == [[], [{"token": []}]]


def test_the_description_of_a_finding_is_made_from_its_class(monday):
    schemas = monday.get("/api/openapi.json")["components"]["schemas"]
    (one, *_) = monday.get("/api/findings")["items"]

    assert list(one) == list(schemas["Finding"]["properties"]) == schemas["Finding"]["required"]
    assert schemas["Finding"]["properties"]["severity"] == {"enum": sorted(SEVERITIES)}
    assert one["code"] in CATALOGUE


@pytest.mark.slow
def test_a_machine_that_tries_all_that_the_description_allows_finds_nothing(monday, tmp_path):
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists():
        pytest.skip("schemathesis is not installed: pip install '.[fuzz]'")
    url = f"http://127.0.0.1:{monday.port}/api/openapi.json"
    options = ["--exclude-path", "/api/changes", "--max-examples", "50", "--generation-deterministic"]
    options += ["--request-timeout", str(BOUND), "--suppress-health-check", "too_slow"]
    done = subprocess.run(
        [program, "run", url, *options, "--no-color"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout[-5000:]
    tried = {*monday.get("/api/openapi.json")["paths"]} - {"/api/changes"}
    assert f"{len(tried)} passed" in done.stdout


# Changes


def events(stream, count):
    """The next events: (id, data)."""
    found, last = [], None
    while len(found) < count:
        line = stream.readline().decode().rstrip("\n")
        name, _, value = line.partition(": ")
        if name == "id":
            last = int(value)
        elif name == "data":
            found.append((last, json.loads(value)))
    return found


def test_a_change_is_reported_with_the_state_of_its_session(server):
    with server.stream() as stream:
        stream.readline()
        server.post("session-started", sessionId="s", meetingId="m")
        position = server.post("participant-joined", sessionId="s", meetingId="other", participantId="p")
        until_sent = []
        while not until_sent or until_sent[-1][0] < position:
            until_sent += events(stream, 1)

    last, event = until_sent[-1]
    assert (last, event["session_id"], event["state"], event["last_position"]) == (
        position,
        "s",
        "live",
        position,
    )
    assert event["worst"] == {"code": "C501", "slug": "identity-conflict", "severity": "error"}


def test_who_comes_back_gets_what_they_missed_and_nothing_of_before(server):
    for number in range(4):
        server.post("session-started", sessionId=f"s{number}", meetingId="m")
    server.caught_up()
    with server.stream(last_event_id="2") as stream:
        assert [(last, event["session_id"]) for last, event in events(stream, 2)] == [(3, "s2"), (4, "s3")]


def test_who_reads_slowly_from_the_first_change_on_gets_all(server, monkeypatch):
    monkeypatch.setattr(changes, "BATCH", 3)
    for number in range(20):
        server.post("session-started", sessionId=f"s{number}", meetingId="m")
    server.caught_up()
    with server.stream("/api/changes?after=0") as slow:
        with server.stream("/api/changes?after=19") as other:
            assert [event["session_id"] for _, event in events(other, 1)] == ["s19"]
        assert [last for last, _ in events(slow, 20)] == list(range(1, 21))


def test_what_time_alone_decides_reaches_also_who_was_away_meanwhile(server, monkeypatch):
    monkeypatch.setattr(changes, "TICK", 0.05)
    server.post("session-started", sessionId="s", meetingId="m")
    server.caught_up()
    with server.stream() as stream:
        stream.readline()
        server.now += timedelta(days=2)
        ((last, event),) = events(stream, 1)
    with server.stream(last_event_id=str(last)) as again:
        ((_, repeated),) = events(again, 1)

    assert (last, event["state"], event["worst"]["code"]) == (1, "presumed-ended", "T304")
    assert repeated == event


def test_a_stream_in_which_nothing_happens_says_that_it_is_alive(server, monkeypatch):
    monkeypatch.setattr(changes, "HEARTBEAT", 0.05)
    monkeypatch.setattr(changes, "TICK", 0.05)
    with server.stream() as stream:
        assert [stream.readline() for _ in range(4)][2:] == [b": nothing new\n", b"\n"]


def test_a_stream_ends_when_the_server_stops(tmp_path):
    with served(tmp_path) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=BOUND)
        connection.request("GET", "/api/changes")
        response = connection.getresponse()
        response.readline()
    with closing(connection):
        assert response.read() == b"\n"


def test_of_many_streams_that_are_opened_at_once_no_more_are_let_in_than_the_server_can_hold(
    server, monkeypatch
):
    monkeypatch.setattr(changes, "MOST", 3)
    with ExitStack() as opened:
        connections = [
            opened.enter_context(closing(HTTPConnection("127.0.0.1", server.port))) for _ in range(12)
        ]
        for connection in connections:
            connection.request("GET", "/api/changes")
        statuses = sorted(connection.getresponse().status for connection in connections)

    assert statuses == [200] * 3 + [503] * 9
    until(lambda: server.server.config.app.state.streams == 0)


def test_a_stream_that_cannot_begin_is_not_counted(server):
    assert [server.ask(f"/api/changes?after={place}").status for place in ("7", "x")] == [409, 400]
    assert server.server.config.app.state.streams == 0


def test_more_streams_than_the_server_can_hold_are_refused_until_one_is_closed(server, monkeypatch):
    monkeypatch.setattr(changes, "MOST", 1)
    with server.stream() as stream:
        stream.readline()
        assert server.ask("/api/changes").status == 503
    until(lambda: _opens(server))


def _opens(server):
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=BOUND)) as connection:
        connection.request("GET", "/api/changes")
        return connection.getresponse().status == 200


# Beside a rebuild


def test_questions_are_answered_while_the_read_models_are_made_anew(monday):
    expected = monday.get("/api/findings")
    for _ in range(3):
        rebuild(monday.tracker, monday.live.rules)
        assert monday.get("/api/findings") == expected


# Readiness


def test_a_server_that_can_store_and_judge_is_ready(monday):
    assert monday.get("/readyz") == {"ready": True, "reasons": [], "position": 235, "lag": 0}


def test_a_server_whose_store_another_process_holds_is_not_ready(server, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE", 0)
    with closing(sqlite3.connect(server.tracker.place)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = server.ask("/readyz")

    assert (answer.status, answer.json["reasons"]) == (
        503,
        ["the store: another process has been writing for 0 s"],
    )
    assert server.ask("/readyz").status == 200


def test_a_server_without_room_on_the_disk_is_not_ready(server, monkeypatch):
    monkeypatch.setattr(sqlite, "ROOM", 1 << 60)

    assert server.ask("/readyz").json["reasons"] == ["the store: the disk is full"]


def test_before_there_are_read_models_it_is_not_ready_and_says_so_to_whoever_asks(server, monkeypatch):
    monkeypatch.setattr(server.live, "views_path", server.live.views_path.with_name("not-made-yet.db"))
    said = "the read models are being made"

    assert (server.ask("/readyz").status, server.ask("/readyz").json["reasons"]) == (503, [said])
    assert (server.ask("/api/sessions").status, server.ask("/api/sessions").json["detail"]) == (503, said)


def test_a_server_is_not_ready_once_a_delivery_has_waited_too_long_to_be_judged(server, monkeypatch):
    monkeypatch.setattr(health, "AGE_LIMIT", 0)
    with closing(sqlite3.connect(server.live.views_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        server.post("session-started", sessionId="s", meetingId="m")
        (reason,) = server.ask("/readyz").json["reasons"]
    server.caught_up()

    assert reason.startswith("the oldest delivery that is not judged has waited for")
    assert server.ask("/readyz").status == 200


def test_many_deliveries_that_have_just_come_are_no_reason(server):
    with closing(sqlite3.connect(server.live.views_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        server.tracker.append([parse(b"x")] * 1500)
        answer = server.ask("/readyz")

    assert (answer.status, answer.json["lag"]) == (200, 1500)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_follower_that_ended_is_not_ready(server, monkeypatch):
    def die(_seconds):
        raise OSError("no clock")

    monkeypatch.setattr(server.live, "_rest", die)
    server.live.wake()
    until(lambda: not server.live.is_alive)

    assert server.ask("/readyz").json["reasons"] == ["the follower has ended; restart the server"]
    assert 'tracker_failing{part="read_models"} 1.0' in server.ask("/metrics").body.decode()
