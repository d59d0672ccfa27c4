"""The pages over real HTTP: what they say is what the commands say, and nothing of it can be mistaken for markup."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import quote

import commands
import crowd
import pytest
from meetings import MORNING, line, lines, read_into, webhook, write
from served import RESTARTED, served
from sqlite_utils import Database

from projections.explain.status import status
from projections.read_models import sessions as model
from projections.read_models.sessions import find
from projections.web import pages
from projections.web.pages import html, kinds
from projections.web.pages.lifecycles import traffic
from projections.web.snapshot import snapshot
from tracker.lifecycle import ABSENT
from tracker.lifecycles import REGISTRY

TOWN_HALL = f"/sessions/{quote(crowd.SESSION, safe='')}"
PATHS = [
    "/",
    "/?day=2026-11-25",
    "/sessions",
    f"/sessions/{RESTARTED}",
    f"/sessions/{RESTARTED}?at=82",
    "/meetings/h8sd-4kzo-y1fw",
    "/people/sx2051",
    "/search?q=re",
    "/api",
    "/audit",
    "/accept?code=S207&session=x&reason=known",
    "/events",
    "/events?session=unrouted",
    "/events?reading=conflict&code=S207",
    f"/why?session={RESTARTED}&at=82",
    "/recordings",
    "/recordings?missing=true&within=week",
    "/findings",
    "/findings?severity=all&view=each",
    "/findings?code=S207&within=month",
    "/events/82",
    "/lifecycles",
]
PATHS += [f"/lifecycles/{name}" for name in REGISTRY]
MOST = 100_000
"""Bytes of a page."""


def body(server, path, status=200):
    answer = server.ask(path)
    assert answer.status == status, (path, answer)
    return answer.body.decode()


def words(server, path):
    """What a page says, without markup, on one line."""
    shown = re.sub(r"<(style|script|title|symbol)\b.*?</\1>", " ", body(server, path), flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", shown))).replace("# ", "#")


def shown_sessions(server, path):
    return [unescape(one) for one in re.findall(r'data-session="([^"]+)" data-last', body(server, path))]


# Every page


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_html_that_nobody_keeps_and_that_loads_nothing_from_elsewhere(monday, path):
    answer = monday.ask(path)

    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    loaded = re.findall(r'(?:src|<link[^>]*href)="([^"]*)"', answer.body.decode())
    assert loaded
    assert all(url.startswith("/static/") for url in loaded)


@pytest.mark.parametrize("path", [*PATHS, "/sessions/unknown"])
def test_a_page_has_neither_scripts_nor_styles_inside(monday, path):
    printed = monday.ask(path).body.decode()

    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?! src=)|javascript:", printed) == []


@pytest.mark.parametrize("path", PATHS)
def test_the_links_of_a_page_lead_somewhere(monday, path):
    links = set(re.findall(r'(?:href|action)="(/[^"]*)"', body(monday, path)))

    assert {monday.ask(unescape(link)).status for link in sorted(links)} == {200}


@pytest.mark.parametrize("path", PATHS)
def test_every_id_of_a_page_is_there_once_and_every_jump_has_a_place(monday, path):
    printed = body(monday, path)
    ids = re.findall(r'\sid="([^"]+)"', printed)

    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'href="#([^"]+)"', printed)) <= set(ids)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/sessions/unknown", 404),
        (f"/sessions/{RESTARTED}?at=1", 404),
        (f"/sessions/{RESTARTED}?at=soon", 400),
        ("/events/9999", 404),
        ("/events/x", 400),
        ("/lifecycles/unknown", 404),
        ("/sessions?severity=grave", 400),
        ("/sessions?meting=x", 400),
    ],
)
def test_what_cannot_be_shown_is_reported_on_a_page_with_a_hint(monday, path, status):
    printed = body(monday, path, status)

    assert f'<p class="status">{status}</p>' in printed
    assert "<b>hint:</b>" in printed


@pytest.mark.parametrize(
    ("path", "accept", "type", "words"),
    [
        ("/nowhere", "text/html,*/*", "text/html", "the menu leads to every page"),
        ("/nowhere", "*/*", "application/problem", "/api/openapi.json"),
        ("/api/nowhere", "text/html", "application/problem", "/api/openapi.json"),
        ("/api/sessions/unknown", "*/*", "application/problem", "/api/sessions lists all sessions"),
        ("/sessions/unknown", "text/html", "text/html", "the list of the sessions has all"),
    ],
)
def test_where_there_is_nothing_a_browser_gets_a_page_and_a_program_problem_details(
    monday, path, accept, type, words
):
    answer = monday.ask(path, accept=accept)
    assert (answer.status, answer.headers["content-type"].startswith(type)) == (404, True)
    assert words in answer.body.decode()


def test_a_page_says_when_the_end_was_received_where_the_session_has_another_time(monday):
    assert "received <time" in body(monday, "/sessions/6b043c5414361ba8cc03c7e6")


def test_what_a_form_leaves_empty_is_not_asked_for(monday):
    assert shown_sessions(monday, "/sessions?q=&finding=&state=") == shown_sessions(monday, "/sessions")


@pytest.mark.parametrize("name", ["pages.css", "pages.js", "htmx.min.js", "htmx.LICENSE", "icon.svg"])
def test_the_files_of_the_pages_come_with_the_package(monday, name):
    assert (
        monday.ask(html.static(name)).status == 200 if name != "htmx.LICENSE" else (html.STATIC / name).exists()
    )


# Sessions


def test_the_list_has_every_session_the_live_ones_first(tmp_path):
    read_into(tmp_path / "data", write(tmp_path / "log.jsonl", lines(sessions=9)))
    with served(tmp_path / "data", now=datetime(2026, 3, 2, 10, tzinfo=UTC)) as server:
        rows = list(find(Database(server.live.views_path)))
        expected = sorted(rows, key=lambda row: (row["state"] in ("live", "unknown"), row["last_position"]))

        assert shown_sessions(server, "/sessions") == [row["session_id"] for row in reversed(expected)]


@pytest.mark.parametrize("limit", [1, 4, 14])
def test_the_pages_of_the_list_have_each_session_once(monday, limit):
    path, found = f"/sessions?limit={limit}", []
    while path:
        printed = body(monday, path)
        found += shown_sessions(monday, path)
        path = next(iter(unescape(url) for url in re.findall(r'rel="next" href="([^"]+)"', printed)), None)

    assert found == shown_sessions(monday, "/sessions")


def test_live_sessions_and_others_are_paged_as_one_list(server):
    for number in range(6):
        server.post("session-started", sessionId=f"s{number}", meetingId=f"m{number}")
    for number in (4, 0, 2):
        server.post("session-ended", sessionId=f"s{number}", meetingId=f"m{number}")
    server.caught_up()
    db = Database(server.live.views_path)
    found, before = [], None
    for _ in range(6):
        ((row,), _) = model.overview(db, before=before, limit=1)
        before = row["is_live"], row["last_position"]
        found.append(row["session_id"])

    assert found == ["s5", "s3", "s1", "s2", "s0", "s4"]
    assert model.overview(db, before=before, limit=1)[0] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=h8sd", [RESTARTED]),
        ("q=6B040EA0", [RESTARTED]),
        ("q=kenji&finding=S207", [RESTARTED]),
        ("finding=restarted-without-stop", [RESTARTED]),
        ("state=presumed-ended", []),
        ("severity=error&q=h8", [RESTARTED]),
        ("q=%25", []),
        ("q=h8s_", []),
        ("state=live", ["6b03c940d6909d4585e48b7f"]),
    ],
)
def test_the_list_can_be_narrowed(monday, query, expected):
    assert shown_sessions(monday, f"/sessions?{query}") == expected


def test_what_may_be_chosen_says_how_many_there_are(monday):
    printed = words(monday, "/sessions?severity=error")

    assert "all 4 ended 4" in printed
    assert "error 4 warning 5" in printed


def test_the_list_says_what_is_wrong_and_what_was_recorded_and_is_quiet_of_what_is_over(monday):
    printed = words(monday, "/sessions?finding=S207")

    assert "recording transcription S207 restarted-without-stop" in printed


# One session


def ids_of(server):
    return [row["session_id"] for row in find(Database(server.live.views_path))]


def test_every_session_is_shown_with_the_state_the_command_tells(monday):
    for one in ids_of(monday):
        printed, expected = (
            words(monday, f"/sessions/{one}"),
            status(monday.tracker.status(one, as_of=monday.live.as_of)),
        )
        assert f"{expected['meeting_id']} {expected['state']}" in printed
        for aggregate in expected["aggregates"]:
            assert f"{aggregate['lifecycle']}" in printed
        for person in expected["participants"]:
            assert f"{person['name']} {person['state']}" in printed
        for found in expected["findings"]:
            assert f"{found['code']} {found['slug']}" in printed
            assert found["message"] in printed


def test_the_past_of_a_session_is_what_the_command_tells_of_it(monday):
    for position in (64, 74, 81, 82, 99):
        printed = words(monday, f"/sessions/{RESTARTED}?at={position}")
        expected = status(monday.tracker.status(RESTARTED, at=position))
        assert f"{expected['meeting_id']} {expected['state']}" in printed
        assert f"{expected['deliveries']} of 18 deliveries in" in printed
        assert [one["code"] for one in expected["findings"] if one["code"] in printed] == [
            one["code"] for one in expected["findings"]
        ]


@pytest.mark.parametrize("past", ["at=4", "as_of=2026-03-02T09:01:01Z", None])
def test_that_another_session_was_live_is_said_of_the_past_alike_everywhere(tmp_path, past):
    kinds = ["session-started", "participant-joined"]
    came = [(kind, name) for name in "st" for kind in kinds]
    came += [("participant-left", "s"), ("session-ended", "s"), ("participant-left", "t")]
    given = [webhook(kind, sessionId=name, meetingId="m", participantId=name) for kind, name in came]
    read_into(tmp_path, write(tmp_path / "log.jsonl", map(line, given, (0, 1, 60, 61, 99, 100, 200))))
    option = ["--" + past.replace("_", "-")] if past else []
    said = [
        commands.run(name, "t", *option, text=True, TRACKER_DATA=str(tmp_path)).stdout
        for name in ("status", "explain")
    ]
    with served(tmp_path, now=MORNING + timedelta(minutes=5)) as server:
        paths = ("/api/sessions/t", "/api/sessions/t/explain", "/sessions/t")
        said += [body(server, f"{path}?{past or ''}") for path in paths]

    assert ["X406" in one for one in said] == [bool(past)] * 5


def test_a_finding_leads_to_the_moment_at_which_it_became_true(monday):
    printed = body(monday, "/findings?code=X403")
    (moment,) = re.findall(r'href="([^"]*as_of[^"]*)">see the moment', printed)
    shown = words(monday, unescape(moment))

    assert "X403 unfinished-at-end" in shown
    assert "As it was known at 2026-11-23 14:39:52" in shown


def test_the_file_of_a_recording_is_a_link_and_what_is_no_address_is_not(server):
    one = {"sessionId": "s", "meetingId": "m"}
    server.post("recording-stopped", **one, fileUrl="javascript:alert(1)", filePath="https://files/a.mp4")
    server.caught_up()
    printed = body(server, "/sessions/s")

    assert 'href="https://files/a.mp4" rel="noreferrer"' in printed
    assert 'href="javascript' not in printed
    assert "javascript:alert(1)" in printed


@pytest.mark.parametrize("name", ["a/b", "a b", "ä?#&%2F", "<b>", "...", "a\nb", "a\n", "\n"])
def test_any_id_has_a_page_that_the_list_leads_to(server, name):
    server.post("session-started", sessionId=name, meetingId="m")
    server.caught_up()
    (link,) = re.findall(r'<a id="row-[^"]*" href="([^"]+)"', body(server, "/sessions"))

    assert shown_sessions(server, "/sessions") == [name]
    assert " ".join(name.split()) in words(server, unescape(link))
    assert server.get(f"/api/sessions/{quote(name, safe='')}")["session_id"] == name
    assert len(server.get(f"/api/sessions/{quote(name, safe='')}/timeline")["items"]) == 1


def test_a_log_without_times_is_drawn_in_its_order(tmp_path):
    log = tmp_path / "bare.jsonl"
    steps = ("session-started", "recording-starting", "recording-started", "session-ended")
    log.write_bytes(b"".join(webhook(kind, sessionId="s", meetingId="m") + b"\n" for kind in steps))
    read_into(tmp_path / "data", log)
    with served(tmp_path / "data") as server:
        printed = body(server, "/sessions/s")

        assert len(re.findall(r'class="bar session active', printed)) == 1
        assert 'class="tick"' not in printed


def test_a_resource_has_a_page_too(monday):
    stream = next(iter(Database(monday.live.views_path)["runs"].rows_where("session_id IS NULL")))["stream"]

    assert "no session" in words(monday, html.url("sessions", stream))


# Many people


@pytest.mark.parametrize("query", ["", "?open=participant", "?open=participant&page=12&at=600"])
def test_a_page_of_five_hundred_people_is_small(town_hall, query):
    assert len(town_hall.ask(TOWN_HALL + query).body) < MOST


def test_many_people_share_a_lane_until_it_is_opened(town_hall):
    shared, opened = words(town_hall, TOWN_HALL), words(town_hall, f"{TOWN_HALL}?open=participant")

    assert ("500 people" in shared, "Guest 001 out" in shared) == (True, False)
    assert ("500 people" in opened, "Guest 001 out" in opened) == (True, True)


@pytest.mark.slow
def test_on_the_pages_of_an_opened_lane_everybody_is_found(town_hall):
    names = set()
    for page in range(1, 14):
        names |= set(
            re.findall(r"Guest \d+(?= out)", words(town_hall, f"{TOWN_HALL}?open=participant&page={page}"))
        )

    assert len(names) == 499  # and one whose name is markup


def test_who_has_a_finding_comes_first(town_hall):
    printed = words(town_hall, f"{TOWN_HALL}?open=participant")

    assert printed.index("Guest 008 out") < printed.index("Guest 001 out")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sessions",
        TOWN_HALL,
        f"{TOWN_HALL}?open=participant",
        "/events/4",
        "/findings?severity=all&view=each",
    ],
)
def test_markup_in_a_name_is_shown_as_text(town_hall, path):
    printed = body(town_hall, path)

    assert "<img" not in printed
    assert "alert(1)" not in printed or "&lt;img src=x onerror=alert(1)&gt;" in printed


def test_many_sessions_are_a_small_page(server):
    for number in range(60):
        one = {"sessionId": f"{number:024x}", "meetingId": f"meeting-{number}"}
        server.post("session-started", **one)
        server.post("recording-started", **one)
        server.post("hls-stopped", **one)
    server.caught_up()

    assert len(shown_sessions(server, "/sessions")) == 50
    assert len(server.ask("/sessions").body) < MOST


# Findings, deliveries, lifecycles


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("code=S207", ["S207"]),
        ("severity=error&view=each", ["S210", "C513", "X403", "S205", "C513", "S207"]),
        ("severity=error&lifecycle=recording&view=each", ["X403", "S207"]),
        (f"session={RESTARTED}", ["S207"]),
        ("verdict=provisional", []),
        ("severity=info&lifecycle=participant&view=each", ["D103", "D101"]),
    ],
)
def test_findings_can_be_narrowed(monday, query, codes):
    cards = re.findall(r'<li class="card \w+".*?</li>', body(monday, f"/findings?{query}"), re.DOTALL)

    assert [re.search(r"<b>(\w\d+)</b>", card)[1] for card in cards] == codes


def test_the_findings_that_may_be_chosen_are_counted(monday):
    found = monday.get("/api/findings?limit=1000")["items"]
    count = Counter(one["severity"] for one in found)
    printed = words(monday, "/findings?view=each")

    assert f"error {count['error']} warning {count['warning']} info {count['info']} all {len(found)}" in printed
    for code, number in Counter(one["code"] for one in found if one["severity"] != "info").items():
        assert re.search(rf"\b{code} [a-z-]+ {number}\b", printed)


def test_a_code_that_is_asked_for_is_explained(monday):
    assert "Do: " in words(monday, "/findings?code=S207")


def test_a_delivery_is_shown_as_it_came_and_with_what_it_did(monday):
    printed, answer = words(monday, "/events/82"), monday.get("/api/events/82")

    for value in (answer["source"], answer["reading"], answer["state_after"], answer["session_id"]):
        assert value in printed
    assert answer["body"] in unescape(body(monday, "/events/82"))


def test_a_delivery_is_shown_with_what_it_raised(monday):
    (found,) = monday.get("/api/events/81")["findings"]
    printed = words(monday, "/events/81")

    assert (found["message"] in printed, f"Do: {found['advice']}" in printed) == (True, True)


def test_what_was_running_when_the_session_ended_is_not_over_until_the_grace_is(server):
    for kind in ("session-started", "recording-starting", "recording-started", "session-ended"):
        server.post(kind, sessionId="s", meetingId="m")
    server.caught_up()
    printed = words(server, "/sessions/s")

    assert "Not yet over: recording was started when the session ended" in printed
    assert "Findings none" not in printed


def test_a_finding_that_is_not_sure_says_so_with_what_else_may_be(monday):
    printed = words(monday, f"/sessions/{RESTARTED}")

    assert (
        "confidence 86 %" in printed,
        "Or: a webhook was sent twice, and nothing is missing 13 %" in printed,
    ) == (True, True)


def test_what_is_no_webhook_is_shown_too(monday):
    printed = words(monday, "/events/154")

    assert "it breaks off at column 98" in printed
    assert monday.get("/api/events/154")["body"] in unescape(body(monday, "/events/154"))


def test_a_body_that_is_very_long_is_cut_and_says_where_it_is_whole(server):
    position = server.post("session-started", sessionId="s", meetingId="m", more="x" * 200_000)
    server.caught_up()
    printed = body(server, f"/events/{position}")

    assert len(printed) < MOST
    assert f'href="/api/events/{position}"' in printed


@pytest.mark.parametrize("lifecycle", REGISTRY.values(), ids=lambda one: one.name)
def test_a_lifecycle_is_drawn_with_every_state_and_every_entry_of_its_table(monday, lifecycle):
    printed = body(monday, f"/lifecycles/{lifecycle.name}")

    for state in lifecycle.states:
        assert f">{state}</text>" in printed
    for before, names in lifecycle.table.items():
        for name in names:
            after = lifecycle.by_name[name].state
            assert f"<title>{lifecycle.webhook_type(name)}: {before or 'nothing'} to {after}, " in printed


def test_the_ways_say_how_often_they_were_gone_and_what_was_refused(monday):
    printed = body(monday, "/lifecycles/recording")

    assert "recording-started: starting to started, 14 times" in printed
    assert "refused: started to lost; S207, X403" in printed


@pytest.mark.parametrize("lifecycle", REGISTRY.values(), ids=lambda one: one.name)
def test_the_traffic_of_a_way_is_what_the_sessions_went(monday, lifecycle):
    expected = Counter()
    for one in {delivery.stream for delivery in monday.tracker.deliveries()}:
        session = monday.tracker.status(one, as_of=monday.live.as_of)
        for aggregate in session.aggregates.values():
            if aggregate.lifecycle is lifecycle:
                expected += Counter(ways(aggregate))
    with snapshot(monday.server.config.app.state) as of:
        assert traffic(of, lifecycle) == expected


def ways(aggregate):
    """Every (state, step) that the runs of an aggregate went and the table has."""
    lifecycle, state = aggregate.lifecycle, ABSENT
    for run in aggregate.runs:
        for step in filter(lambda step: run.delivered(step.name), lifecycle.steps):
            if step.name in lifecycle.table.get(state, ()):
                yield state, step.name
            state = step.state
        state = run.state


def test_a_state_that_no_declaration_has_is_reported_nevertheless():
    assert kinds.kind_of("unknown", "running") == "idle"


# The token


def log_in(server, token="sésame", to="/findings?code=S207"):
    form = f"token={quote(token)}&to={quote(to, safe='')}"
    return server.ask(
        "/login", "POST", form, authorization="", content_type="application/x-www-form-urlencoded"
    )


@pytest.mark.parametrize("path", [page.path for page in pages.PAGES])
def test_without_the_token_a_page_asks_for_it_and_tells_nothing(locked, path):
    path = path.replace("{session:id}", RESTARTED).replace("{position}", "82").replace("{name}", "hls")
    answer = locked.ask(path, authorization="")

    assert answer.status == 401
    assert b'<form class="login"' in answer.body
    assert f'value="{path}"'.encode() in answer.body
    assert b"h8sd" not in answer.body


def test_the_token_opens_the_pages_and_the_api_in_a_browser(locked):
    answer = log_in(locked)
    cookie = answer.headers["set-cookie"]
    assert (answer.status, answer.headers["location"]) == (303, "/findings?code=S207")
    assert {"HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
    assert "sésame" not in cookie

    shown = {"authorization": "", "cookie": cookie.partition(";")[0]}
    assert [locked.ask(path, **shown).status for path in ("/", "/findings", "/api/sessions")] == [200, 200, 200]


@pytest.mark.parametrize("token", ["", "sesame", "Bearer sésame", "x" * 20_000])
def test_another_token_opens_nothing(locked, token):
    answer = log_in(locked, token)

    assert (answer.status, "set-cookie" in answer.headers) == (401, False)


@pytest.mark.parametrize("cookie", ["tracker=", "tracker=sésame", "tracker=0123", "other=1"])
def test_another_cookie_opens_nothing(locked, cookie):
    shown = {"authorization": "", "cookie": cookie.encode()}

    assert [locked.ask(path, **shown).status for path in ("/", "/api/sessions")] == [401, 401]


@pytest.mark.parametrize(
    "to", ["https://elsewhere", "//elsewhere", "/\\elsewhere", "\\\\elsewhere", "javascript:x"]
)
def test_who_logs_in_stays_here(locked, to):
    assert re.fullmatch(r"/(?![/\\]).*", log_in(locked, to=to).headers["location"])


def test_a_bearer_token_opens_the_pages_too(locked):
    assert locked.ask("/").status == 200


# Small things


@pytest.mark.parametrize(
    ("length", "printed"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=62), "1 h 2 min"),
        (timedelta(hours=1, seconds=5), "1 h"),
        (timedelta(days=2, hours=3, minutes=4), "2 d 3 h"),
    ],
)
def test_a_length_of_time_is_reported_in_what_matters(length, printed):
    assert html.span(length) == printed


def test_a_url_may_hold_anything():
    assert html.url("sessions", "a/b ?#", at=3, q=None) == "/sessions/a%2Fb%20%3F%23?at=3"
