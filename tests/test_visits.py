"""What is new since the last visit, by a cookie that holds two times."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from served import EVENING
from starlette.requests import Request
from starlette.responses import Response

from projections.web.pages.visits import COOKIE, GAP, before, remember

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def asking(cookie=None):
    headers = [] if cookie is None else [(b"cookie", f"{COOKIE}={cookie}".encode())]
    return Request({"type": "http", "headers": headers})


def looked(cookie, at):
    """The cookie after another look."""
    response = Response()
    remember(asking(cookie), response, at)
    return re.search(rf"{COOKIE}=\"?([\d.]+)", response.headers["set-cookie"])[1]


def test_looks_within_the_gap_are_one_visit_and_later_ones_another():
    first = looked(None, NOW)
    assert before(asking(first), NOW) is None
    soon = looked(first, NOW + timedelta(seconds=GAP - 1))
    assert before(asking(soon), NOW + timedelta(seconds=GAP)) is None
    later = NOW + timedelta(hours=5)
    assert before(asking(soon), later) == NOW + timedelta(seconds=GAP - 1)
    assert before(asking(looked(soon, later)), later + timedelta(seconds=9)) == NOW + timedelta(seconds=GAP - 1)


@pytest.mark.parametrize("cookie", ["", ".", "x.y", "-1.-1", f"{'9' * 30}.{'9' * 30}", "٣.٣"])
def test_a_cookie_that_is_none_of_ours_is_no_visit(cookie):
    assert before(asking(cookie), NOW) is None


def test_the_overview_counts_what_is_new_since_the_last_visit(monday):
    at_noon = int((EVENING - timedelta(hours=8)).timestamp())
    shown = monday.ask("/", cookie=f"{COOKIE}=.{at_noon}").body.decode()
    items = monday.get("/api/findings?severity=warning&limit=1000")["items"]
    new = [one for one in items if one["at"] and one["at"] >= "2026-11-23T12:00"]
    assert f">{len(new)} new errors and warnings</a> since your last visit" in shown
    assert "since your last visit" not in monday.ask("/").body.decode()
