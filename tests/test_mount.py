"""Addresses of an application that is mounted somewhere."""

import asyncio
import re

import pytest
from click.testing import CliRunner
from traffic import serving
from waiting import until

from projections.cli import tracker
from projections.web.mount import Mounted, own_path, url


def seen(path, root=""):
    """What the application behind the middleware is asked for, and how it would link to a session."""
    found = []

    async def app(scope, _receive, _send):
        found.extend((own_path(scope), scope["path"], url("sessions", "a b", at=3)))

    asyncio.run(Mounted(app)({"type": "http", "path": path, "root_path": root}, None, None))
    return found


@pytest.mark.parametrize("path", ["/t/findings", "/findings"])
def test_whether_the_router_cuts_the_path_off_or_keeps_it_makes_no_difference(path):
    assert seen(path, "/t") == ["/findings", "/t/findings", "/t/sessions/a%20b?at=3"]


def test_what_a_proxy_in_front_of_all_has_cut_off_is_in_the_links():
    assert seen("/t/findings", "/proxy/t") == ["/findings", "/proxy/t/findings", "/proxy/t/sessions/a%20b?at=3"]


def test_at_the_root_of_a_server_links_begin_with_a_slash():
    assert seen("/findings") == ["/findings", "/findings", "/sessions/a%20b?at=3"]


def test_a_path_that_only_begins_with_the_same_letters_is_not_under_the_mount():
    assert seen("/tracker", "/t") == ["/tracker", "/t/tracker", "/t/sessions/a%20b?at=3"]


@pytest.mark.parametrize(
    ("root", "link"), [("/t/", "/t"), ("/ü b", "/%C3%BC%20b"), ("//evil.example", "/evil.example"), ("/", "")]
)
def test_whatever_the_mount_is_called_a_link_stays_on_this_server(root, link):
    assert seen(root.rstrip("/") + "/x", root)[2] == f"{link}/sessions/a%20b?at=3"


def test_after_the_request_the_mount_is_forgotten():
    seen("/t/x", "/t")
    assert url() == "/"


@pytest.mark.parametrize("given", ["/tracker", "tracker/"])
def test_behind_a_proxy_that_cuts_the_path_off_every_address_begins_with_it(tmp_path, given):
    with serving(tmp_path / "data", "--insecure-no-verify", "--root-path", given) as server:
        until(lambda: server.ask("/readyz").status == 200)
        shown = server.ask("/").body.decode()
        assert server.ask("/webhooks", "POST", b"{}").status == 204
    addresses = re.findall(r'(?:href|src|action)="(/[^"]*)"', shown)
    assert addresses
    assert [one for one in addresses if not one.startswith("/tracker/")] == []


def test_what_is_no_path_is_refused(tmp_path):
    asked = ["--data", str(tmp_path), "serve", "--insecure-no-verify", "--root-path", "/a?b"]
    done = CliRunner().invoke(tracker, asked)
    assert (done.exit_code, "is not a path" in done.output) == (2, True)
