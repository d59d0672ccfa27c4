"""Every role of ``tracker serve`` is asked for everything that any of them has."""

import re

import keys
import pytest
from meetings import read_into
from served import MONDAY, RESTARTED, until
from traffic import serving

from projections.web import api, health, metrics, pages

ROLES = ("all", "reader", "receiver")
FILLED = {
    "session": RESTARTED,
    "position": "82",
    "name": "recording",
    "meeting": "h8sd-4kzo-y1fw",
    "person": "sx2051",
}
"""What stands in a path for each of its parameters."""


def path(template):
    return re.sub(r"{(\w+)[^}]*}", lambda found: FILLED[found[1]], template)


PAGES = [path(one.path) for one in pages.PAGES if one.path != "/why"] + [f"/why?session={RESTARTED}"]
API = [path(one.path) for one in (*api.OPERATIONS,)] + ["/api/openapi.json"]
OPEN = ["/healthz", *(one.path for one in health.routes)]
REST = ["/static/pages.css", *(one.path for one in metrics.routes)]
PROBLEMS = {"/sessions/nowhere": 404, "/sessions?severity=grave": 400, "/events/x": 400}
"""Pages that tell what is wrong with what was asked."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = tmp_path_factory.mktemp("roles")
    read_into(place, MONDAY)
    return place


@pytest.fixture(scope="module", params=ROLES)
def role(request):
    return request.param


@pytest.fixture(scope="module")
def running(role, data, tmp_path_factory):
    """A server of a role, and one that has a token."""
    key = keys.write_public(tmp_path_factory.mktemp("key") / "key.pem")
    more = () if role == "reader" else ("--key", key)
    with (
        serving(data, "--role", role, *more) as plain,
        serving(data, "--role", role, *more, TRACKER_TOKEN="a token that nobody guesses") as locked,
    ):
        for one in (plain, locked):
            until(lambda one=one: one.ask("/readyz").status == 200)
        yield plain, locked


def statuses(server, paths):
    return {one: server.ask(one).status for one in paths}


def answering(role, status):
    """A receiver has nothing to ask for but how it is."""
    return 404 if role == "receiver" else status


def test_every_role_says_how_it_is_to_anybody(running):
    assert [statuses(one, OPEN) for one in running] == [dict.fromkeys(OPEN, 200)] * 2


def test_every_role_that_answers_has_every_page_and_operation(running, role):
    assert statuses(running[0], PAGES + API) == dict.fromkeys(PAGES + API, answering(role, 200))


def test_every_role_that_answers_tells_on_a_page_what_is_wrong(running, role):
    assert statuses(running[0], PROBLEMS) == {
        one: answering(role, printed) for one, printed in PROBLEMS.items()
    }


def test_every_role_that_answers_asks_for_its_token_on_every_page(running, role):
    assert statuses(running[1], PAGES + API) == dict.fromkeys(PAGES + API, answering(role, 401))
    assert running[1].ask("/login", "POST", b"token=wrong").status == answering(role, 401)


def test_every_role_has_metrics_and_the_files_of_pages_only_where_there_are_pages(running, role):
    assert statuses(running[0], REST) == {REST[0]: answering(role, 200), REST[1]: 200}


def test_every_role_that_answers_says_on_its_pages_whether_signatures_are_verified(running, role):
    assert b"No signature is verified" not in running[0].ask("/").body
