"""Looking after a finding that no alert is about, on a page and by the command."""

import json
from urllib.parse import urlencode

import pytest
from commands import run
from meetings import read_into
from served import EVENING, MONDAY, RESTARTED, served

from projections.alerts.owners import owners_of


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A store, and no rule about anything in it."""
    data = tmp_path_factory.mktemp("owned") / "data"
    read_into(data, MONDAY)
    return data


@pytest.fixture(scope="module")
def server(data):
    with served(data, now=EVENING) as running:
        yield running


@pytest.fixture
def asked(server):
    """What the form of a finding is asked for with."""
    (found,) = server.get(f"/api/findings?code=S207&session={RESTARTED}")["items"]
    return {"code": "S207", "session": RESTARTED, "position": found["position"]}


def post(server, asked, given, **headers):
    headers.setdefault("content_type", "application/x-www-form-urlencoded")
    return server.ask(f"/owner?{urlencode(asked)}", "POST", urlencode(given).encode(), **headers)


def test_who_looks_after_a_finding_is_shown_beside_it_until_nobody_does(server, asked):
    before = server.ask(f"/sessions/{RESTARTED}").body.decode()
    assert f"/owner?code=S207&amp;session={RESTARTED}&amp;position={asked['position']}" in before

    answer = post(server, asked, {"by": "Ann <a>"})
    pages = [server.ask(path).body.decode() for path in (f"/sessions/{RESTARTED}", "/findings?code=S207")]
    assert (answer.status, answer.headers["location"]) == (303, f"/sessions/{RESTARTED}")
    assert ["Ann &lt;a&gt;</b> looks after it" in page for page in pages] == [True, True]

    post(server, asked, {"by": "Ann <a>", "nobody": "true"})
    assert "looks after it" not in server.ask(f"/sessions/{RESTARTED}").body.decode()


def test_what_somebody_looks_after_is_listed_as_theirs_though_there_is_no_rule(server, asked):
    post(server, asked, {"by": "Ben", "until": "2099-12-31"})
    (item,) = server.get("/api/alerts?by=Ben")["items"]
    page = server.ask("/alerts?by=Ben").body.decode()

    assert (item["rule"], item["code"], item["acknowledged_until"]) == (None, "S207", "2100-01-01T00:00:00Z")
    assert ("Nobody is alerted" in page, "Ben looks after it until" in page) == (True, True)
    assert "Ben looks after" in server.ask("/findings").body.decode()


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({}, 400, "nobody is named"),
        ({"by": "x" * 81}, 400, "nobody is named"),
        ({"by": "Ann", "until": "soon"}, 400, "write 2026-12-31"),
        ({"by": "Ann", "until": "2026-01-01"}, 400, "that day is over"),
    ],
)
def test_what_is_filled_in_wrongly_is_refused(server, asked, given, status, words):
    answer = post(server, asked, given)
    assert (answer.status, words in answer.body.decode()) == (status, True)


@pytest.mark.parametrize(
    ("differs", "status"), [({"code": "S999"}, 400), ({"session": ""}, 400), ({"position": 1}, 404)]
)
def test_nobody_looks_after_what_is_not_found(server, asked, differs, status):
    assert post(server, {**asked, **differs}, {"by": "Ann"}).status == status


def test_a_form_of_another_site_records_nothing(server, data, asked):
    before = owners_of(data, [RESTARTED])
    assert post(server, asked, {"by": "Eve"}, origin="https://evil.example").status == 403
    assert owners_of(data, [RESTARTED]) == before


def test_who_has_no_token_or_the_one_that_masks_records_nothing(tmp_path, asked):
    read_into(tmp_path / "data", MONDAY)
    with served(tmp_path / "data", token="sésame", masked_token="masked-reader") as locked:
        wrong = post(locked, asked, {"by": "Eve"}, authorization="Bearer wrong").status
        masked = post(locked, asked, {"by": "Eve"}, authorization="Bearer masked-reader").status
    assert (wrong, masked, owners_of(tmp_path / "data", [RESTARTED])) == (401, 403, {})


def ack(tmp_path, *arguments):
    return run("alerts", "ack", *arguments, "--data", tmp_path / "data", cwd=tmp_path, text=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("commanded")
    read_into(place / "data", MONDAY)
    return place


def test_the_command_records_it_for_the_findings_of_a_code_in_a_session(place):
    given = ["--session", RESTARTED[:12], "--code", "restarted-without-stop"]
    done = ack(place, *given, "--by", "Ann", "--until", "2099-12-31")
    listed = run("alerts", "list", "--by", "Ann", "--data", place / "data", cwd=place, text=True).stdout

    assert done.stdout == f"S207 in {RESTARTED}: Ann looks after it\n"
    assert "S207" in listed
    assert "acknowledged by Ann until 2099-12-31 00:00:00" in listed
    assert ack(place, *given, "--undo").stdout == f"S207 in {RESTARTED}: nobody looks after it\n"
    rows = run("alerts", "list", "--format", "json", "--data", place / "data", cwd=place).stdout
    assert json.loads(rows) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["1"], "nobody is named"),
        (["1", "--by", "Ann", "--undo"], "nobody is named"),
        (["--by", "Ann"], "it is not said what"),
        (["--session", RESTARTED, "--by", "Ann"], "it is not said what"),
        (["1", "--session", RESTARTED, "--code", "S207", "--by", "Ann"], "it is not said what"),
        (["--session", RESTARTED, "--code", "D101", "--by", "Ann"], "no D101 is found there"),
        (["1", "--by", "Ann", "--until", "2026-01-01T00:00:00Z"], "which is over"),
        (["1", "--by", "Ann"], "no such open alert"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_recorded_is_refused_with_what_to_write(place, given, words):
    done = ack(place, *given)
    assert (done.returncode in (1, 2), words in done.stderr, "hint:" in done.stderr) == (True, True, True), done
