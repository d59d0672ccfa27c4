"""``tracker mcp``: an agent that asks is told what the commands and the API say, with positions as evidence."""

import asyncio
import json
import sys
from contextlib import contextmanager

import mcp
import pytest
from served import EVENING, MONDAY, RESTARTED, served

from projections.views.follow import Views
from projections.web import agents, api
from tracker.intake.ingest import ingest
from tracker.intake.logs import Log
from tracker.store.application import Tracker

ROOM = "h8sd-4kzo-y1fw"
FILE = "5036e7f61d69e94a9ec18e6a.mp4"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = tmp_path_factory.mktemp("agents")
    with Tracker.open(place, create=True) as store:
        list(ingest(store, Log(str(MONDAY))))
    return place


@pytest.fixture
def asked(data, request):
    """Asks the server, through a client, one thing after the other: a tool and its arguments."""

    @contextmanager
    def now():
        with Tracker.open(data) as store, Views.open(store) as views:
            views.bring_to(store, EVENING)
            yield agents.snapshot_of(views, store, EVENING, masked=getattr(request, "param", False))

    async def ask(name, arguments):
        async with mcp.Client(agents.server(now)) as client:
            return await client.call_tool(name, arguments)

    def answered(name, **arguments):
        result = asyncio.run(ask(name, arguments))
        (content,) = result.content
        return content.text if result.is_error else json.loads(content.text)

    answered.now = now
    return answered


def positions(of, code):
    return [one["position"] for one in of["items"] if one["code"] == code]


QUESTIONS = {
    "which sessions are live?": ("sessions", {"live": True}, lambda of: len(of["items"]) >= 1),
    "how many sessions are there?": ("sessions", {}, lambda of: len(of["items"]) == 14),
    "which sessions had a recording that was restarted?": (
        "sessions", {"finding": ["S207"]}, lambda of: RESTARTED in [one["session_id"] for one in of["items"]]),
    "in which state is this session?": ("session", {"session": RESTARTED}, lambda of: of["state"] == "ended"),
    "in which state was it after delivery 82?": (
        "session", {"session": RESTARTED, "at": 82}, lambda of: (of["state"], of["last_position"]) == ("live", 82)),
    "what came in it?": (
        "timeline", {"session": RESTARTED}, lambda of: of["items"][0]["type"] == "session-started"),
    "at which delivery was its recording lost?": (
        "findings", {"session": RESTARTED, "code": ["S207"]}, lambda of: positions(of, "S207") == [81]),
    "and what was that delivery?": (
        "event", {"position": 81}, lambda of: of["type"] == "recording-starting" and of["findings"]),
    "what is grave?": ("findings", {"severity": "error"}, lambda of: {137, 187} <= {one["position"] for one in of["items"]}),
    "why is it judged so?": ("explain", {"session": RESTARTED}, lambda of: of["aggregates"]),
    "which recordings have no file?": (
        "recordings", {"missing": True}, lambda of: RESTARTED in [one["session_id"] for one in of["items"]]),
    "whose file is this?": (
        "recordings", {"file": FILE}, lambda of: [one["session_id"] for one in of["items"]] == [RESTARTED]),
    "was this room recorded?": (
        "recordings", {"meeting": ROOM}, lambda of: {one["state"] for one in of["items"]} == {"lost", "stopped"}),
    "what is wrong most often?": ("issues", {"sort": "severity"}, lambda of: of["items"][0]["severity"] == "error"),
    "how did this room go?": ("meeting", {"meeting": ROOM}, lambda of: of["meeting_id"] == ROOM),
    "what is known of this person?": ("person", {"person": "1tkgqo"}, lambda of: "Ruth" in json.dumps(of)),
    "what begins so?": ("search", {"q": ROOM[:4]}, lambda of: ROOM in json.dumps(of)),
    "how was the day?": ("overview", {"day": "2026-11-23"}, lambda of: of["deliveries"]["day"]["number"] > 200),
    "what was no webhook?": (
        "events", {"session": "unrouted", "code": "C513"}, lambda of: {89, 154} == {one["position"] for one in of["items"]}),
    "which copies came?": ("events", {"reading": ["redelivered"]}, lambda of: all("D101" in one["findings"] for one in of["items"])),
    "what may follow recording-started?": (
        "lifecycles", {}, lambda of: "recording-stopping" in json.dumps(of)),
}  # fmt: skip
"""What people ask -> the tool, its arguments, and whether the answer is right for the bad Monday."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_about_the_bad_monday_is_answered(asked, question):
    name, arguments, is_right = QUESTIONS[question]
    answer = asked(name, **arguments)

    assert is_right(answer), answer


def test_every_operation_of_the_api_is_a_tool_that_only_reads(asked):
    async def listed():
        async with mcp.Client(agents.server(asked.now)) as client:
            return (await client.list_tools()).tools

    tools = asyncio.run(listed())
    assert {one.name for one in tools} == {one.name for one in api.OPERATIONS}
    assert all(one.annotations.read_only_hint and one.description for one in tools)


def test_an_answer_is_that_of_the_api(asked, tmp_path):
    with Tracker.open(tmp_path, create=True) as store:
        list(ingest(store, Log(str(MONDAY))))
    with served(tmp_path, now=EVENING) as running:
        expected = running.get(f"/api/sessions/{RESTARTED}/timeline?limit=3")

    assert asked("timeline", session=RESTARTED, limit=3) == expected


@pytest.mark.parametrize("asked", [True], indirect=True, ids=["masked"])
def test_names_can_be_masked(asked):
    assert "Ruth" not in json.dumps([asked("person", person="1tkgqo"), asked("session", session=RESTARTED)])


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("sessons", {}, "sessons: no such tool\nhint: did you mean sessions?"),
        ("session", {}, "session: is not given\nhint: The session's id."),
        (
            "session",
            {"session": "nobody"},
            "nobody: no such session\nhint: the tool search finds what there is",
        ),
        ("findings", {"limit": 0}, "limit: '0' is not accepted\nhint: give a whole number from 1 to 1000"),
        ("findings", {"nothing": 1}, "nothing: no such parameter"),
    ],
)
def test_what_cannot_be_answered_is_an_error_with_a_hint(asked, name, arguments, error):
    assert asked(name, **arguments).startswith(error)


@pytest.mark.slow
def test_the_command_speaks_on_stdin_and_stdout(data):
    command = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "projections", "--data", str(data), "mcp", "--mask-names"]
    )

    async def ask():
        async with mcp.Client(command) as client:
            return await client.call_tool("overview", {"day": "2026-11-23"})

    (content,) = asyncio.run(ask()).content
    assert json.loads(content.text)["deliveries"]["day"]["number"] > 200
