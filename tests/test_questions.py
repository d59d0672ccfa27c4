"""The questions that people come with: each is answered by one command, and by at most two clicks from the first page."""

import re
from html import unescape
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from served import RESTARTED

from projections.cli import tracker

ROOM = "h8sd-4kzo-y1fw"
FILE = "https://cdn.videosdk.live/encoded/videos/5036e7f61d69e94a9ec18e6a.mp4"
RUTH = "1tkgqo"
MOST_CLICKS = 2

QUESTIONS = {
    "was this meeting recorded, and where is the file?": (
        f"recordings --meeting {ROOM}",
        ["Recordings"],
        [FILE],
    ),
    "whose file is this?": (f"recordings --file {FILE}", [f"search {FILE}"], [RESTARTED]),
    "which recordings have no file?": ("recordings --missing", ["Recordings without a file"], ["no file", "lost"]),
    "which failures are there, and do they rise?": (
        "issues --since 2026-11-20",
        ["Findings", "7 days"],
        ["S207", r"\bnew\b"],
    ),
    "who was in the room when the recording stopped?": (
        f"recordings --session {RESTARTED} --people",
        ["Recordings"],
        ["Ruth, Kenji, Marta, Ali"],
    ),
    "how many participant-minutes, how many at once?": (
        f"meeting {ROOM}",
        [f"search {ROOM}", ROOM],
        ["232", "participant-minutes"],
    ),
    "which sessions have not ended?": ("sessions --state live --state presumed-ended", ["Sessions", r"^(live|presumed-ended) \d"], ["v7hc-2mdx-q80e"]),
    "what is known of this person?": (f"person {RUTH}", [f"search {RUTH}", "Ruth"], ["Ruth", RUTH, "visits"]),
    "what was known then?": (
        f"status {RESTARTED} --at 82",
        ["search #82", "#82"],
        ["82"],
    ),
    "why is it judged so?": (f"explain {RESTARTED}", ["S207", "why"], ["Held|held", "Or|or", "probability"]),
    "does the delivery get worse?": ("overview --day 2026-11-23", [], ["1.3 %", "0.9 %", "the day before"]),
    "is everything as it should be?": ("doctor", [], ["[Ll]ast delivery", "2026-11-23|ago"]),
}  # fmt: skip
"""Question -> the command, what is clicked, and what both say."""


def links(page):
    """What the links of a page say -> where they lead, the first of each."""
    found = {}
    for href, inside in re.findall(r'<a\s[^>]*?href="([^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL):
        label = " ".join(unescape(re.sub(r"<[^>]+>", " ", inside)).split())
        found.setdefault(label, unescape(href))
    return found


def visited(server, clicks):
    """The page after these clicks, as text."""
    page = server.ask("/").body.decode()
    for click in clicks:
        if click.startswith("search "):
            path = f"/search?q={quote(click.removeprefix('search '))}"
            assert 'action="/search"' in page
        else:
            known = links(page)
            path = known.get(click) or next(href for label, href in known.items() if re.search(click, label))
        answer = server.ask(path)
        assert answer.status == 200, path
        page = answer.body.decode()
    return unescape(re.sub(r"<(script|style|title)\b.*?</\1>", "", page, flags=re.DOTALL))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_by_one_command(monday, question):
    command, _, words = QUESTIONS[question]
    done = CliRunner().invoke(tracker, ["--data", str(monday.tracker.data), *command.split()])
    assert done.exit_code == 0, done.output
    assert [one for one in words if not re.search(one, done.stdout, re.IGNORECASE)] == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_by_at_most_two_clicks(monday, question):
    _, clicks, words = QUESTIONS[question]
    shown = visited(monday, clicks)
    assert len(clicks) <= MOST_CLICKS
    assert [one for one in words if not re.search(one, shown, re.IGNORECASE)] == []
