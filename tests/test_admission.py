"""What is refused before anybody asks what it wants, and under which names a server answers."""

import keys
import pytest
from meetings import webhook
from traffic import serving

from projections.web.admission import MOST_HEADER

BODY = webhook("session-started", sessionId="s", meetingId="m")
REBOUND = {"host": "evil.example:8000"}
"""What a browser sends when a page of evil.example has made that name lead here."""
SIGNED = {"videosdk-signature": keys.sign(BODY)}
ASKED = [
    "/",
    "/findings",
    "/login",
    "/static/pages.css",
    "/api/sessions",
    "/api/openapi.json",
    "/api/changes",
    "/no",
]


@pytest.fixture(scope="module")
def verifying(tmp_path_factory):
    key = keys.write_public(tmp_path_factory.mktemp("keys") / "key.pem")
    with serving(tmp_path_factory.mktemp("one"), "--key", key, "--allow-host", "Tracker.example") as running:
        yield running


@pytest.fixture(scope="module")
def insecure(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("two"), "--insecure-no-verify") as running:
        yield running


def ask(server, path, method="GET", body=None, **headers):
    return server.ask(path, method, body, **headers)


# Under which name


@pytest.mark.parametrize("path", ASKED)
def test_what_tells_of_people_is_not_reported_under_the_name_of_another_site(verifying, path):
    answer = ask(verifying, path, **REBOUND)

    assert (answer.status, answer.json["hint"]) == (
        421,
        "ask for it by its address or by localhost, or allow this name: --allow-host, or hosts= of asgi_app",
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_no_browser_shows_is_shown_under_any_name(verifying, path):
    assert ask(verifying, path, **REBOUND).status in (200, 503)


def test_what_is_signed_is_stored_whatever_name_it_was_sent_to(verifying):
    assert ask(verifying, "/webhooks", "POST", BODY, **SIGNED, **REBOUND).status == 204


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "a.localhost.",
        "127.0.0.1",
        "127.9.9.9:80",
        "[::1]:80",
        "tracker.example:443",
    ],
)
def test_it_answers_under_the_names_of_this_machine_and_those_it_was_given(verifying, host):
    assert ask(verifying, "/api/openapi.json", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1.evil.example",
        "127.1",
        "[::1",
        "10.0.0.1",
        "*",
    ],
)
def test_it_answers_under_no_other_name(verifying, host):
    assert ask(verifying, "/api/openapi.json", host=host).status == 421


def test_any_name_may_be_allowed(tmp_path):
    with serving(tmp_path, "--insecure-no-verify", "--allow-host", "*") as server:
        assert ask(server, "/api/openapi.json", **REBOUND).status == 200


def test_names_may_come_from_the_environment(tmp_path):
    with serving(tmp_path, "--insecure-no-verify", TRACKER_ALLOW_HOST="one.example, two.example") as server:
        statuses = [
            ask(server, "/api/openapi.json", host=host).status for host in ("one.example", "two.example:1")
        ]

    assert statuses == [200, 200]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (REBOUND, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:3000"}, 204),
        ({}, 204),
    ],
)
def test_where_nothing_is_verified_the_page_of_another_site_can_send_nothing(insecure, sent, status):
    assert ask(insecure, "/webhooks", "POST", BODY, **sent).status == status


@pytest.mark.parametrize("path", ["/webhooks%0A", "/login", "/logout"])
def test_nor_to_any_other_path(insecure, path):
    assert ask(insecure, path, "POST", BODY, origin="https://evil.example").status == 403


# What two programs might read differently


def head(*lines, path="/webhooks", method="POST"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: localhost", *lines, "", ""]).encode()


@pytest.mark.parametrize("path", ["/webhooks", "/login", "/api/sessions", "/healthz"])
@pytest.mark.parametrize("size", [MOST_HEADER, 90_000])
def test_a_head_that_is_too_long_is_refused_also_when_it_comes_at_once(verifying, path, size):
    answer = verifying.exchange(head("x: " + "x" * size, "content-length: 0", path=path))

    assert (answer.status, answer.headers["connection"]) in [(431, "close"), (400, "close")]


def test_a_long_path_is_part_of_the_head(verifying):
    answer = verifying.exchange(head(path="/sessions/" + "x" * 40_000, method="GET"))

    assert answer.status in (431, 400)


def test_what_stands_behind_a_request_with_two_lengths_is_never_read(verifying):
    smuggled = head(path="/healthz", method="GET")
    both = head("content-length: 5", "transfer-encoding: chunked", path="/login")
    answer = verifying.everything(both + b"0\r\n\r\n" + smuggled)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer.lower()


# What browsers are sent


@pytest.mark.parametrize(
    "sent",
    [
        head(path=path, method="GET")
        for path in [*ASKED, "/healthz", "/readyz", "/metrics", "/webhooks", "/sessions/none", "/events/x"]
        if path != "/api/changes"
    ]
    + [head("content-length: 0"), head("content-length: many"), head("x: " + "x" * 90_000), b"no http\r\n\r\n"],
    ids=lambda sent: sent[:30].decode(),
)
def test_every_answer_is_to_be_taken_for_what_it_says_it_is(verifying, sent):
    answer = verifying.exchange(sent)

    assert answer.headers["x-content-type-options"] == "nosniff"
