"""The application mounted in another one, as its users meet it: real HTTP, in FastAPI, in Starlette, beside Django."""

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from threading import enumerate as threads
from urllib.parse import urldefrag, urlencode, urljoin, urlsplit

import attrs
import keys
import pytest
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from fastapi import FastAPI
from meetings import read_into, stored, webhook
from served import MONDAY, PATIENCE, Answer, listening, port_of
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from projections.web import api
from tracker import asgi_app
from tracker.errors import UsageError

TOKEN = "a token of its own"
MOUNT = "/our/tracker"
LIBRARY = Path(__file__).parents[1] / "examples" / "reference" / "library.md"
EACH = 1
"""How many links of one shape are followed."""
OWN_THREADS = {"follower", "writer"}


async def home(_request):
    return PlainTextResponse("the host's own page")


def in_starlette(app):
    return Starlette(routes=[Route("/", home), Mount(MOUNT, app)])


def in_fastapi(app):
    host = FastAPI()
    host.add_api_route("/", lambda: PlainTextResponse("the host's own page"))
    host.mount(MOUNT, app)
    return host


def in_django(app):
    """With the `asgi.py` of the documentation; what is not ours is Django's."""
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF="urls", SECRET_KEY="-", LOGGING_CONFIG=None)
    urls = type(sys)("urls")
    urls.urlpatterns = [path("", lambda _: HttpResponse("the host's own page"))]
    sys.modules["urls"] = urls
    (text,) = re.findall(
        r"^cat >asgi.py <<'END'\n(.*?)^END$", LIBRARY.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    project = {}
    exec(text.replace('"/tracker', f'"{MOUNT}'), project)
    project["tracker"] = app
    return project["application"]


def by_prefix(app, other=Starlette(routes=[Route("/", home)]), *, cut=False):  # noqa: B008 - it is never changed
    """A router written by hand; it leaves the path as it came, or cuts off what it matched."""

    async def router(scope, receive, send):
        path = scope.get("path", "")
        if path == MOUNT or path.startswith(f"{MOUNT}/"):
            rest = path.removeprefix(MOUNT) if cut else path
            await app({**scope, "root_path": MOUNT, "path": rest}, receive, send)
        elif scope["type"] == "http":
            await other(scope, receive, send)

    return router


def in_two_mounts(app):
    return Starlette(routes=[Route("/", home), Mount("/our", routes=[Mount("/tracker", app)])])


HOSTS = {
    "starlette": in_starlette,
    "fastapi": in_fastapi,
    "django": in_django,
    "a router that keeps the path": by_prefix,
    "a router that cuts the path off": partial(by_prefix, cut=True),
    "a mount in a mount": in_two_mounts,
}
every_host = pytest.mark.parametrize("host", HOSTS.values(), ids=list(HOSTS))


@attrs.frozen
class Site:
    """A server that has the application under a path."""

    port: int

    def ask(self, path, method="GET", body=None, **headers):
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(
                method, path, body, {name.replace("_", "-"): text for name, text in headers.items()}
            )
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())


@contextmanager
def site(host, app):
    with listening(host(app)) as server:
        yield Site(port_of(server))


class Links(HTMLParser):
    """What a page leads to: (method, address)."""

    def __init__(self, page):
        super().__init__()
        self.found = set()
        self.feed(page)

    def handle_starttag(self, _tag, attributes):
        given = dict(attributes)
        for name in ("href", "src", "action", "hx-get", "data-changes"):
            if given.get(name) and not given[name].startswith("#"):
                self.found.add((given.get("method", "get").upper(), given[name]))


def shape_of(path):
    return re.sub(r"[0-9a-f]{8,}|\d+", "#", path)


def shapes(addresses):
    return {shape_of(urlsplit(address).path.removeprefix(f"{MOUNT}/")) for address in addresses}


def crawl(running, begin):
    """Address -> status of what can be reached: every link is looked at, and of each shape some are followed."""
    waiting, statuses, seen = [("GET", begin)], {}, Counter()
    while waiting:
        method, address = waiting.pop()
        parts = urlsplit(address)
        shape = shape_of(parts.path), tuple(sorted(re.findall(r"(\w+)=", parts.query)))
        seen[shape] += address not in statuses
        if address in statuses or seen[shape] > EACH or parts.path.endswith("/api/changes"):
            statuses.setdefault(address, 200)
            continue
        answer = running.ask(address, method, body="" if method == "POST" else None)
        statuses[address] = answer.status
        if "location" in answer.headers:
            waiting.append(("GET", urljoin(address, answer.headers["location"])))
        if answer.headers.get("content-type", "").startswith("text/html"):
            links = [
                (how, urldefrag(urljoin(address, to)).url) for how, to in Links(answer.body.decode()).found
            ]
            waiting += [(how, to) for how, to in links if not urlsplit(to).netloc]  # files are elsewhere
    return statuses


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    found = tmp_path_factory.mktemp("embedded")
    read_into(found, MONDAY)
    return found


@every_host
def test_every_link_on_every_page_answers_and_stays_under_the_mount(host, data):
    with site(host, asgi_app(data)) as running:
        statuses = crawl(running, f"{MOUNT}/")
        assert {address: status for address, status in statuses.items() if status >= 400} == {}
        assert [address for address in statuses if not address.startswith(f"{MOUNT}/")] == []
        assert shapes(statuses) >= {
            "",
            "findings",
            "lifecycles/recording",
            "sessions/#",
            "events/#",
            "api/changes",
        }


@every_host
def test_what_is_not_ours_stays_with_the_application_around_it(host, data):
    with site(host, asgi_app(data)) as running:
        assert running.ask("/").body == b"the host's own page"
        assert (running.ask(MOUNT).status, running.ask(f"{MOUNT}/healthz").body) == (307, b"ok\n")


@every_host
def test_who_logs_in_is_led_back_under_the_mount_and_the_cookie_is_of_it_alone(host, data):
    with site(host, asgi_app(data, token=TOKEN)) as running:
        asked = f"{MOUNT}/findings?severity=error"
        form = running.ask(asked)
        assert (form.status, f'action="{MOUNT}/login"' in form.body.decode()) == (401, True)
        answer = running.ask(f"{MOUNT}/login", "POST", urlencode({"token": TOKEN, "to": asked}))
        assert (answer.status, answer.headers["location"]) == (303, asked)
        assert f"Path={MOUNT}/" in answer.headers["set-cookie"]
        cookie = answer.headers["set-cookie"].partition(";")[0]
        assert running.ask(asked, cookie=cookie, host="meetings.example.org").status == 200
        assert running.ask(f"{MOUNT}/logout", "POST", cookie=cookie).headers["location"] == f"{MOUNT}/"
        assert running.ask(asked, cookie=cookie).status == 401


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/", "/admin", ""])
def test_a_login_leads_nowhere_else(to, data):
    with site(in_starlette, asgi_app(data, token=TOKEN)) as running:
        answer = running.ask(f"{MOUNT}/login", "POST", urlencode({"token": TOKEN, "to": to}))
        assert answer.headers["location"] == f"{MOUNT}/"


@every_host
def test_the_api_says_where_it_is(host, data):
    with site(host, asgi_app(data)) as running:
        document = json.loads(running.ask(f"{MOUNT}/api/openapi.json").body)
        assert document["servers"] == [{"url": f"{MOUNT}/"}]
        assert f"{MOUNT}/api/openapi.json" in json.loads(running.ask(f"{MOUNT}/api/nothing").body)["hint"]


@every_host
def test_a_webhook_that_is_signed_is_received_under_the_mount_and_shown(host, tmp_path, monkeypatch):
    monkeypatch.setattr(api, "WAIT", PATIENCE)
    body = webhook("session-started", sessionId="S", meetingId="M")
    with site(host, asgi_app(tmp_path, keys=keys.pem())) as running:
        assert running.ask(f"{MOUNT}/webhooks", "POST", body).status == 401
        answer = running.ask(f"{MOUNT}/webhooks", "POST", body, videosdk_signature=keys.sign(body))
        assert (answer.status, answer.headers["tracker-position"]) == (204, "1")
        assert json.loads(running.ask(f"{MOUNT}/api/sessions/S?wait=1").body)["state"] == "live"


def test_the_webhooks_of_each_account_are_received_under_the_mount(tmp_path):
    body = webhook("session-started", sessionId="S", meetingId="M")
    with site(in_starlette, asgi_app(tmp_path, accounts={"acme": keys.pem()})) as running:
        signed = {"videosdk_signature": keys.sign(body)}
        paths = [f"{MOUNT}/webhooks/acme", f"{MOUNT}/webhooks/beta", f"{MOUNT}/webhooks"]
        assert [running.ask(path, "POST", body, **signed).status for path in paths] == [204, 404, 404]


@pytest.mark.parametrize("name", ["", "a/b"])
def test_what_cannot_name_an_account_is_refused_at_once(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be the name of an account"):
        asgi_app(tmp_path, accounts={name: keys.pem()})


def test_behind_a_proxy_that_cuts_off_a_part_of_the_path_links_begin_with_that_part(data):
    with listening(in_fastapi(asgi_app(data)), root_path="/proxy") as server:
        page = Site(port_of(server)).ask(f"{MOUNT}/findings")
        assert (page.status, f'href="/proxy{MOUNT}/lifecycles"' in page.body.decode()) == (200, True)


def test_it_is_ready_once_the_first_page_is_there(data):
    with site(in_starlette, asgi_app(data)) as running:
        assert running.ask(f"{MOUNT}/findings").status == 200
        ready = json.loads(running.ask(f"{MOUNT}/readyz").body)
        assert (ready["ready"], ready["reasons"], ready["lag"]) == (True, [], 0)


def test_the_first_page_of_an_empty_store_answers(tmp_path):
    with site(in_starlette, asgi_app(tmp_path, insecure=True)) as running:
        page = running.ask(f"{MOUNT}/")
        assert (page.status, b"Nothing has come in yet" in page.body) == (200, True)


def test_without_keys_nothing_is_received(data):
    with site(in_starlette, asgi_app(data)) as running:
        assert running.ask(f"{MOUNT}/webhooks", "POST", webhook("session-started", sessionId="S")).status == 404


def test_a_store_that_is_not_there_yet_is_asked_for_again(tmp_path):
    with site(in_starlette, asgi_app(tmp_path / "data")) as running:
        refused = running.ask(f"{MOUNT}/")
        assert (refused.status, "tracker ingest" in json.loads(refused.body)["hint"]) == (503, True)
        read_into(tmp_path / "data", MONDAY)
        assert running.ask(f"{MOUNT}/").status == 200


def test_it_stops_with_the_server_and_starts_again_with_another(tmp_path):
    app = asgi_app(tmp_path, insecure=True)
    for number in (1, 2):
        with site(in_starlette, app) as running:
            running.ask(f"{MOUNT}/webhooks", "POST", webhook("session-started", sessionId=f"S{number}"))
            assert {one.name for one in threads()} >= OWN_THREADS
        assert {one.name for one in threads()} & OWN_THREADS == set()
    assert len(stored(tmp_path)) == 2


def test_the_application_around_it_may_start_and_stop_it(data):
    app = asgi_app(data)

    @asynccontextmanager
    async def lifespan(_):
        await app.start()
        yield
        await app.stop()

    with listening(Starlette(routes=[Mount(MOUNT, app)], lifespan=lifespan)):
        assert {one.name for one in threads()} >= {"follower"}
    assert {one.name for one in threads()} & OWN_THREADS == set()


def test_a_server_of_its_own_starts_and_stops_it(data):
    with listening(asgi_app(data)) as server:
        assert {one.name for one in threads()} >= {"follower"}
        assert Site(port_of(server)).ask("/findings").status == 200
    assert {one.name for one in threads()} & OWN_THREADS == set()


SERVER = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from tracker import asgi_app
app = Starlette(routes=[Mount("/our/tracker", asgi_app(sys.argv[1], insecure=True))])
uvicorn.run(app, port=0, log_level="info")
"""


def test_a_stream_that_is_open_does_not_keep_the_server_from_stopping(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, tmp_path], stderr=subprocess.PIPE, text=True
    ) as process:
        port = next(
            int(found[1]) for line in process.stderr if (found := re.search(r"127\.0\.0\.1:(\d+)", line))
        )
        assert (
            Site(port).ask(f"{MOUNT}/webhooks", "POST", webhook("session-started", sessionId="S")).status == 204
        )
        with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            connection.request("GET", f"{MOUNT}/api/changes")
            assert connection.getresponse().readline() == b"retry: 2000\n"
            process.send_signal(signal.SIGTERM)
            words = process.communicate(timeout=PATIENCE)[1]
    assert "Finished server process" in words
    assert "Traceback" not in words
    assert len(stored(tmp_path)) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"keys": "nowhere.pem"}, "nowhere.pem: cannot be read"),
        ({"keys": keys.pem(), "insecure": True}, "contradict each other"),
        ({"token": "short"}, "the token has fewer than 16 characters"),
        ({"rules": "nowhere.toml"}, "there is no such file"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(given, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        asgi_app(tmp_path, **given)


def test_without_a_token_it_answers_under_the_names_of_this_machine_and_those_given(data):
    with site(in_starlette, asgi_app(data, hosts=["ours.example.org"])) as running:
        statuses = [
            running.ask(f"{MOUNT}/", host=name).status for name in ("localhost", "ours.example.org", "x.org")
        ]
        assert statuses == [200, 200, 421]
