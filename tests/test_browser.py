"""The pages as a person meets them: in a real browser, by mouse and keyboard, with and without scripts."""

import os
from urllib.parse import quote

import crowd
import pytest
from chromium import NARROW, OF_COLOURS, WIDE, missing, page, running, violations
from meetings import read_into
from served import EVENING, MONDAY, RESTARTED, served
from waiting import until

if missing() and os.environ.get("BROWSER_TESTS") != "required":
    pytest.skip(missing(), allow_module_level=True)

pytestmark = pytest.mark.browser

AT = f"/sessions/{RESTARTED}?at=82"
TOWN_HALL = f"/sessions/{quote(crowd.SESSION, safe='')}"

REFUSED = "/sessions?severity=grave"
PAGES = [
    "/",
    "/?day=2026-11-25",
    "/sessions",
    "/sessions?q=nobody",
    REFUSED,
    f"/sessions/{RESTARTED}",
    AT,
    "/findings",
    "/findings?severity=all&view=each",
    "/findings?code=S207",
    "/findings?within=month&trend=new",
]
PAGES += [
    "/meetings/zk4p-81nt-w6ya",
    "/people/sx2051",
    "/search?q=re",
    "/api",
    "/audit",
    "/events?session=unrouted",
    f"/why?session={RESTARTED}",
]
PAGES += ["/recordings", "/recordings?missing=true", "/alerts", f"/owner?code=S207&session={RESTARTED}"]
PAGES += ["/events/82", "/events/154", "/lifecycles", "/lifecycles/recording"]


@pytest.fixture(scope="module")
def browser():
    """It goes with the last test here: an event loop runs while it is there, and other tests run their own."""
    assert missing() == ""
    with running() as found:
        yield found


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_page_is_accessible_and_no_wider_than_the_window_and_dark_its_colours_are_too(
    browser, monday, path, viewport
):
    complaints = path != REFUSED  # the browser's own, of the status
    with page(browser, monday, complaints=complaints, viewport=viewport) as opened:
        opened.goto(path)

        assert violations(opened) == []
        assert opened.evaluate("document.documentElement.scrollWidth") <= viewport["width"]

        opened.emulate_media(color_scheme="dark")  # which changes nothing but the colours

        assert violations(opened, OF_COLOURS) == []


def test_the_whole_menu_is_there_on_a_phone(browser, monday):
    with page(browser, monday, viewport=NARROW) as opened:
        opened.goto("/lifecycles")
        ends = opened.evaluate(
            "[...document.querySelectorAll('.top nav a')].map(a => a.getBoundingClientRect().right)"
        )

        assert max(ends) <= NARROW["width"]


@pytest.mark.parametrize("path", [TOWN_HALL, f"{TOWN_HALL}?open=participant&page=2&at=600"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_meeting_of_five_hundred_is_accessible_too(browser, town_hall, path, viewport):
    with page(browser, town_hall, viewport=viewport) as opened:
        opened.goto(path)

        assert violations(opened) == []
        assert opened.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


PLAIN = """[...document.querySelectorAll("p a, td a, dd a, li a, h2 a")].filter(link => {
  const block = link.closest("p, td, dd, li, li > div, h2").cloneNode(true);
  block.querySelectorAll("a, .hush").forEach(one => one.remove());
  return /\\p{L}/u.test(block.textContent) && !link.matches(".button") && link.checkVisibility()
    && !getComputedStyle(link).textDecorationLine.includes("underline");
}).map(link => link.outerHTML)"""
"""The links that stand among words of their paragraph, cell, item or part of one and are not underlined."""


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_link_among_words_differs_from_them_by_more_than_its_colour(browser, monday, path, viewport):
    with page(browser, monday, complaints=path != REFUSED, viewport=viewport) as opened:
        opened.goto(path)

        assert opened.evaluate(PLAIN) == []


# What comes by itself


def test_a_session_shows_up_by_itself_and_updates_can_be_paused(browser, server):
    with page(browser, server) as opened:
        opened.goto("/sessions")
        opened.get_by_text("Live", exact=True).wait_for()
        server.post("session-started", sessionId="one", meetingId="first")
        opened.get_by_role("link", name="first").wait_for()

        opened.get_by_role("button", name="Pause updates").click()
        opened.get_by_text("Paused", exact=True).wait_for()
        until(lambda: server.server.config.app.state.streams == 0)  # so nothing can tell the page of anything
        server.post("session-started", sessionId="two", meetingId="second")
        server.caught_up()
        assert opened.get_by_role("link", name="second").count() == 0

        opened.get_by_role("button", name="Resume updates").click()
        opened.get_by_role("link", name="second").wait_for()


def test_a_session_that_is_looked_at_follows_what_happens_in_it(browser, server):
    server.post("session-started", sessionId="a/b c", meetingId="m")
    server.caught_up()
    with page(browser, server) as opened:
        opened.goto("/sessions/a%2Fb%20c")
        opened.get_by_text("Live", exact=True).wait_for()
        opened.locator("#scrubber").focus()
        server.post(
            "participant-joined", sessionId="a/b c", meetingId="m", participantId="p", participantName="Ann"
        )
        opened.locator(".names").get_by_text("Ann").wait_for()

        assert opened.evaluate("document.activeElement.id") == "scrubber"
        assert opened.locator("#scrubber").get_attribute("max") == "1"


def test_the_list_keeps_its_filter_when_it_changes_by_itself(browser, server):
    with page(browser, server) as opened:
        opened.goto("/sessions?q=wanted")
        opened.get_by_text("Live", exact=True).wait_for()
        server.post("session-started", sessionId="one", meetingId="other")
        server.post("session-started", sessionId="two", meetingId="wanted")
        opened.get_by_role("link", name="wanted").wait_for()

        assert opened.locator("tbody tr").count() == 1


def test_a_page_stays_when_the_server_cannot_answer_and_goes_on_when_it_can(browser, server):
    with page(browser, server, complaints=False) as opened:
        opened.goto("/sessions")
        opened.get_by_text("Live", exact=True).wait_for()
        opened.route("**/sessions", lambda route: route.fulfill(status=503, body="not now"))
        server.post("session-started", sessionId="one", meetingId="first")
        opened.get_by_text("Reconnecting", exact=True).wait_for()
        assert opened.get_by_text("Nothing has come in yet").count() == 1

        opened.unroute("**/sessions")
        opened.get_by_role("link", name="first").wait_for()
        opened.get_by_text("Live", exact=True).wait_for()


def test_the_slider_shows_where_it_was_left_however_fast_it_was(browser, monday):
    with page(browser, monday) as opened:
        opened.goto(f"/sessions/{RESTARTED}")
        slider = opened.locator("#scrubber")
        for _ in range(3):
            slider.press("Home")
            opened.wait_for_url("**?at=64")
            slider.press("End")
            opened.wait_for_url(f"**/sessions/{RESTARTED}")
        slider.press("ArrowLeft")
        opened.get_by_text("17 of 18 deliveries in").wait_for()
        opened.wait_for_url("**?at=101")


# Finding a session


def test_what_is_typed_narrows_the_list_and_stands_in_its_address(browser, monday):
    with page(browser, monday) as opened:
        opened.goto("/sessions")
        opened.locator("main").get_by_role("searchbox").fill("kenji")
        opened.wait_for_url("**/sessions?q=kenji")
        opened.locator("tbody tr").nth(13).wait_for(state="detached")
        narrowed = opened.locator("tbody tr").count()
        opened.reload()

        assert opened.locator("tbody tr").count() == narrowed > 0
        assert opened.locator("main").get_by_role("searchbox").input_value() == "kenji"


def test_a_session_is_reached_and_left_by_keyboard_alone(browser, monday):
    with page(browser, monday) as opened:
        opened.goto("/sessions?finding=S207")
        opened.keyboard.press("Tab")
        assert opened.evaluate("document.activeElement.textContent") == "Skip to the content"
        tab_to(opened, "h8sd-4kzo-y1fw")
        opened.keyboard.press("Enter")
        opened.wait_for_url(f"**/sessions/{RESTARTED}")

        tab_to(opened, "error: S207")
        assert opened.locator(".mark .tip").is_visible()
        assert "recording run 1 was started at 10:04:02" in opened.evaluate("document.activeElement.ariaLabel")
        opened.keyboard.press("Enter")
        opened.wait_for_url("**#f1")
        opened.go_back()
        opened.go_back()
        opened.wait_for_url("**/sessions?finding=S207")


def tab_to(opened, words, most=60):
    """Presses Tab until what has the focus says these words; it must be seen to have it."""
    for _ in range(most):
        opened.keyboard.press("Tab")
        said = opened.evaluate("document.activeElement.textContent + (document.activeElement.ariaLabel || '')")
        if words in said and opened.evaluate("document.activeElement.matches('a, button')"):
            return
    raise AssertionError(f"{words} is not reached by Tab")


# Searching everything, and keys


def test_a_slash_goes_to_the_search_which_finds_what_begins_so(browser, monday):
    with page(browser, monday) as opened:
        opened.goto("/lifecycles")
        opened.keyboard.press("/")
        opened.keyboard.type("h8sd")
        opened.keyboard.press("Enter")
        opened.wait_for_url("**/search?q=h8sd")
        opened.keyboard.press("j")
        opened.keyboard.press("Enter")
        opened.wait_for_url("**/meetings/h8sd-4kzo-y1fw")


def test_j_and_k_go_from_row_to_row(browser, monday):
    with page(browser, monday) as opened:
        opened.goto("/sessions")
        rows = opened.locator("tbody th a").all_inner_texts()
        for keys, row in (("jj", 1), ("k", 0), ("k", 0)):
            for key in keys:
                opened.keyboard.press(key)
            assert opened.evaluate("document.activeElement.textContent") == rows[row]


def test_g_and_a_letter_go_to_a_page_and_a_question_mark_lists_the_keys(browser, monday):
    with page(browser, monday) as opened:
        opened.goto("/")
        opened.keyboard.press("?")
        keys = opened.get_by_role("heading", name="Keyboard shortcuts")
        keys.wait_for()
        assert violations(opened) == []
        opened.keyboard.press("Escape")
        keys.wait_for(state="hidden")
        opened.keyboard.press("g")
        opened.keyboard.press("r")
        opened.wait_for_url("**/recordings")


def test_a_key_counts_as_soon_as_the_list_of_keys_is_closed_though_the_focus_is_still_in_it(browser, monday):
    with page(browser, monday) as opened:
        opened.goto("/")
        opened.keyboard.press("?")
        opened.get_by_role("heading", name="Keyboard shortcuts").wait_for()
        held = """() => {
            const inside = document.activeElement;
            document.getElementById("keys").close();
            for (const key of "gr") inside.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
            return inside.closest("dialog").id;
        }"""
        assert opened.evaluate(held) == "keys"
        opened.wait_for_url("**/recordings")


def test_what_is_typed_into_a_field_is_no_shortcut(browser, monday):
    with page(browser, monday) as opened:
        opened.goto("/sessions")
        field = opened.locator("main").get_by_role("searchbox")
        field.press_sequentially("gr/?j")

        assert field.input_value() == "gr/?j"
        assert opened.locator("dialog[open]").count() == 0


def test_an_id_is_copied_by_its_button(browser, monday):
    with page(browser, monday, permissions=["clipboard-read", "clipboard-write"]) as opened:
        opened.goto(f"/sessions/{RESTARTED}")
        opened.get_by_role("button", name="Copy the session's id").click()
        until(lambda: opened.evaluate("navigator.clipboard.readText()") == RESTARTED)


def test_how_long_ago_says_the_exact_time_to_who_points_at_it_or_goes_there(browser, monday):
    with page(browser, monday) as opened:
        opened.goto("/findings")
        ago = opened.locator(".ago").first
        exact = ago.get_attribute("data-exact")
        shown = "getComputedStyle(document.querySelector('.ago'), '::after').content"
        assert opened.evaluate(shown) == "none"
        ago.focus()
        assert opened.evaluate(shown) == f'"{exact}"'


def test_a_log_that_is_chosen_is_judged_and_the_page_is_accessible(browser, monday):
    with page(browser, monday) as opened:
        opened.goto("/audit")
        opened.get_by_label("Log", exact=True).set_input_files(MONDAY)
        opened.get_by_role("button", name="Audit").click()
        opened.get_by_text("235 deliveries in 14 sessions").wait_for()

        assert violations(opened) == []


# Travelling in time


def test_the_slider_stops_at_each_delivery_and_the_page_is_what_was_believed_then(browser, monday):
    with page(browser, monday) as opened:
        opened.goto(f"/sessions/{RESTARTED}")
        slider = opened.locator("#scrubber")
        slider.focus()
        for _ in range(9):
            opened.keyboard.press("ArrowLeft")
        opened.wait_for_url("**?at=82")
        opened.get_by_text("9 of 18 deliveries in").wait_for()

        assert slider.get_attribute("aria-valuetext") == "position 82"
        assert opened.locator("h1 .state").inner_text() == "live"
        assert opened.evaluate("document.activeElement.id") == "scrubber"
        shown = opened.locator("main").inner_text()
        opened.reload()
        assert opened.locator("main").inner_text() == shown

        opened.locator("#scrubber").press("End")
        opened.wait_for_url(f"**/sessions/{RESTARTED}")
        opened.get_by_text("9 of 18 deliveries in").wait_for(state="detached")
        assert opened.locator("h1 .state").inner_text() == "ended"


def test_a_mark_says_what_it_is_when_the_pointer_is_on_it(browser, monday):
    with page(browser, monday) as opened:
        opened.goto(f"/sessions/{RESTARTED}")
        tip = opened.locator(".mark .tip")
        assert not tip.is_visible()
        opened.locator(".mark").hover()

        assert tip.is_visible()
        assert tip.text_content() == "10:18:30  S207 restarted-without-stop"


def test_a_time_is_reported_in_utc_and_in_the_readers_own(browser, monday):
    with page(browser, monday, timezone_id="Asia/Kolkata", locale="en-GB") as opened:
        opened.goto(f"/sessions/{RESTARTED}")
        time = opened.locator("time", has_text="10:57:54").first

        assert "16:27:54" in time.get_attribute("title")


# Without scripts, without motion, with trying names


@pytest.mark.parametrize("path", PAGES)
def test_without_scripts_a_page_says_the_same(browser, monday, path):
    with page(browser, monday, complaints=False) as opened:
        opened.goto(path)
        with_scripts = opened.locator("main").inner_text()
    with page(browser, monday, complaints=False, java_script_enabled=False) as opened:
        opened.goto(path)
        printed = opened.locator("main").inner_text()

    assert [line for line in printed.splitlines() if line not in with_scripts.splitlines()] in (
        [],
        ["Go there"],
    )


def test_without_scripts_one_filters_and_travels_by_forms(browser, monday):
    with page(browser, monday, java_script_enabled=False) as opened:
        opened.goto("/sessions")
        opened.locator("main").get_by_role("searchbox").fill("h8sd")
        opened.get_by_role("button", name="Filter").click()
        opened.get_by_role("link", name="h8sd-4kzo-y1fw").click()
        opened.get_by_role("link", name="One delivery earlier").click()
        opened.wait_for_url("**?at=101")
        opened.locator("#scrubber").press("Home")
        opened.get_by_role("button", name="Go there").click()
        opened.wait_for_url(f"**/sessions/{RESTARTED}?at=64")

        assert "1 of 18 deliveries in" in opened.locator("main").inner_text()


def test_who_wants_no_motion_gets_none(browser, server):
    with page(browser, server, reduced_motion="reduce") as opened:
        opened.goto("/sessions")
        opened.get_by_text("Live", exact=True).wait_for()
        server.post("session-started", sessionId="one", meetingId="first")
        opened.get_by_role("link", name="first").wait_for()

        assert opened.evaluate("document.getAnimations().length") == 0


@pytest.mark.parametrize(
    "path",
    ["/sessions?q=all", f"{TOWN_HALL}?open=participant", "/events/4", "/findings?severity=all&view=each"],
)
def test_markup_in_a_name_is_text(browser, town_hall, path):
    with page(browser, town_hall) as opened:
        opened.on("dialog", lambda dialog: pytest.fail(dialog.message))
        opened.goto(path)

        assert opened.locator("img").count() == 0
        assert opened.locator("script:not([src])").count() == 0


def test_a_name_with_markup_is_shown_as_it_was_sent(browser, town_hall):
    with page(browser, town_hall) as opened:
        opened.goto(f"{TOWN_HALL}?open=participant&who=script")

        assert opened.locator(".names .name").last.text_content() == crowd.MARKUP


def test_of_many_people_each_can_be_found(browser, town_hall):
    with page(browser, town_hall) as opened:
        opened.goto(TOWN_HALL)
        assert opened.locator(".names li").count() == 3
        opened.get_by_role("link", name="show each").click()
        opened.locator("main").get_by_role("searchbox").fill("guest 499")
        opened.get_by_role("button", name="Find").click()
        opened.locator(".names li").nth(3).wait_for()

        assert opened.locator(".names .name").last.text_content() == "Guest 499"
        assert opened.locator(".names li").count() == 4


# The token


def test_a_person_logs_in_once_with_the_token(browser, tmp_path):
    read_into(tmp_path, MONDAY)
    with (
        served(tmp_path, token="sésame", now=EVENING) as locked,
        page(browser, locked, complaints=False) as opened,
    ):
        opened.goto("/sessions?finding=S207")
        opened.get_by_label("Token").fill("wrong")
        opened.keyboard.press("Enter")
        opened.get_by_text("This is not the token").wait_for()
        assert violations(opened) == []
        opened.get_by_label("Token").fill("sésame")
        opened.keyboard.press("Enter")
        opened.wait_for_url("**/sessions?finding=S207")

        assert opened.locator("tbody tr").count() == 1
        opened.get_by_text("Live", exact=True).wait_for()
        assert violations(opened) == []
        opened.get_by_role("button", name="Log out").click()
        opened.get_by_label("Token").wait_for()
        opened.goto("/sessions?finding=S207")
        assert opened.get_by_label("Token").count() == 1
