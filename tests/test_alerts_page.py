"""``/alerts`` and ``/api/alerts``: what somebody was sent and is not over."""

from datetime import timedelta
from html import unescape
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from meetings import read_into
from published import Published, finding
from served import EVENING, MONDAY, served
from test_alerts import NOON, RULE

from projections.alerts.database import MUTES, alerts_file
from projections.alerts.sweep import sweep
from projections.cli import tracker


@pytest.fixture
def data(tmp_path):
    """A directory in which one alert is open and one is over, and whose rule is muted."""
    published = Published(tmp_path)
    for at, held in ((-60, []), (0, [finding(), finding(position=2)]), (1, [finding()])):
        published.hold(*held)
        sweep(tmp_path, [RULE], NOON + timedelta(minutes=at))
    with alerts_file(tmp_path).to_write() as connection:
        connection.execute(MUTES.insert, (RULE.name, "S203", None, "a <known> robot"))
        connection.execute("UPDATE armed SET disabled = 'was answered with 410'")
    return tmp_path


def test_the_api_gives_rules_and_alerts(data):
    with served(data) as server:
        found = server.get("/api/alerts")
        closed = server.get("/api/alerts?closed=true&limit=9")
    (rule,) = found["rules"]
    assert (rule["name"], rule["pending"], rule["mutes"][0]["code"]) == (RULE.name, 3, "S203")
    assert [(one["state"], one["position"]) for one in found["items"]] == [("open", 1)]
    assert [(one["state"], one["position"]) for one in closed["items"]] == [("open", 1), ("retracted", 2)]


def test_the_page_shows_them(data):
    with served(data) as server:
        page = server.ask("/alerts").body.decode()
    assert "the receiver was answered with 410" in page
    assert "S203 is muted: a &lt;known&gt; robot" in page
    assert page.count("data-row") == 1


def test_where_nobody_asked_for_alerts_the_page_says_how(tmp_path):
    with served(tmp_path) as server:
        assert "Nobody is alerted" in server.ask("/alerts").body.decode()
        assert server.get("/api/alerts") == {"rules": [], "items": []}


def test_what_was_true_before_the_rule_is_not_listed(tmp_path):
    Published(tmp_path).hold(finding())
    sweep(tmp_path, [RULE], NOON)
    with served(tmp_path) as server:
        assert server.get("/api/alerts")["items"] == []


def test_an_alert_names_nobody_to_who_reads_masked(tmp_path):
    read_into(tmp_path, MONDAY)
    published, session = Published(tmp_path), "6b0446e0faa7a29b866fa46c"
    for at, held in ((-60, []), (0, [finding(session_id=session, message="Omar was still inside")])):
        published.hold(*held)
        sweep(tmp_path, [RULE], NOON + timedelta(minutes=at))
    with served(tmp_path, now=EVENING, token="the first of both", masked_token="the second of both") as server:
        shown = {
            token: server.ask("/api/alerts", authorization=f"Bearer the {token} of both").body
            for token in ("first", "second")
        }
    assert [b"Omar was" in body for body in shown.values()] == [True, False]
    assert b"O. was still inside" in shown["second"]


def test_who_looks_after_an_alert_finds_their_own(data):
    assert (
        CliRunner().invoke(tracker, ["--data", str(data), "alerts", "ack", "1", "--by", "Zoé"]).exit_code == 0
    )
    with served(data) as server:
        mine, others = (server.get(f"/api/alerts?by={quote(who)}")["items"] for who in ("Zoé", "Bo"))
        page = unescape(server.ask("/findings").body.decode())
    listed = CliRunner().invoke(
        tracker, ["--data", str(data), "alerts", "list", "--by", "Zoé", "--format", "ndjson"]
    )
    assert ([one["id"] for one in mine], others, listed.stdout.count("\n")) == ([1], [], 1)
    assert f'href="/alerts?by={quote("Zoé")}"' in page
