"""The pages as a person meets them: in a real browser, by mouse and keyboard, with and without scripts."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from chromium import NARROW, WIDE, page, running, violations
from meetings import read_into
from served import served

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
MONDAY = Path(__file__).parents[1] / "examples" / "bad_monday.jsonl"
EVENING = datetime(2026, 11, 23, 20, tzinfo=UTC)
RESTARTED = "6b040ea029e961d671985824"

PAGES = ["/", "/?q=nobody", "/?severity=grave"]


@pytest.fixture(scope="session")
def browser():
    with running() as found:
        yield found


@pytest.fixture(scope="session")
def monday(tmp_path_factory):
    """A server with the bad Monday in its store, on the evening of that day; nobody may post to it."""
    data = tmp_path_factory.mktemp("monday")
    read_into(data, MONDAY)
    with served(data, now=EVENING) as running:
        yield running


@pytest.fixture
def server(tmp_path):
    with served(tmp_path / "data") as running:
        yield running


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_accessible_and_no_wider_than_the_window(browser, monday, path, viewport, scheme):
    with page(browser, monday, complaints=False, viewport=viewport, color_scheme=scheme) as opened:
        opened.goto(path)

        assert violations(opened) == []
        assert opened.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_a_session_shows_up_by_itself_and_updates_can_be_paused(browser, server):
    with page(browser, server) as opened:
        opened.goto("/")
        opened.get_by_text("Live", exact=True).wait_for()
        server.post("session-started", sessionId="one", meetingId="first")
        opened.get_by_role("link", name="first").wait_for()

        opened.get_by_role("button", name="Pause updates").click()
        opened.get_by_text("Paused", exact=True).wait_for()
        server.post("session-started", sessionId="two", meetingId="second")
        server.caught_up()
        opened.wait_for_timeout(1500)  # twice the time that an update would take
        assert opened.get_by_role("link", name="second").count() == 0

        opened.get_by_role("button", name="Resume updates").click()
        opened.get_by_role("link", name="second").wait_for()
