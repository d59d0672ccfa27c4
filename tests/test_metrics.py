"""What Prometheus is printed, read back as Prometheus reads it; and the alert rules that rest on it."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from keys import sign, write_public
from meetings import read_into, webhook
from prometheus_client.parser import text_string_to_metric_families
from served import MONDAY, served

from projections.web.health import AGE_LIMIT
from tracker.delivery.signature import Keyring
from tracker.lifecycles import REGISTRY

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "examples" / "alerts.yml"
DASHBOARD = ROOT / "examples" / "grafana.json"
RULES_TEST = ROOT / "tests" / "data" / "alerts_test.yml"


def families(server):
    return list(text_string_to_metric_families(server.ask("/metrics").body.decode()))


def samples(server, name):
    """The samples of one name: label values in the order of their names -> value."""
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for family in families(server)
        for sample in family.samples
        if sample.name == name
    }


def test_every_delivery_is_counted_once_by_its_type(server, tmp_path):
    read_into(tmp_path / "data", MONDAY)
    server.caught_up()
    types = [delivery.type for delivery in server.tracker.deliveries()]
    found = Counter()
    for (_, name), count in samples(server, "tracker_deliveries_total").items():
        found[name] += count

    assert found == Counter(name if name in REGISTRY.routes else "unknown" for name in types)


def test_a_delivery_is_counted_by_how_it_was_read_when_it_came(server):
    kinds = ["session-started", "recording-starting", "recording-starting", "recording-stopping", "x"]
    for kind in kinds:
        server.post(kind, sessionId="s", meetingId="m")
    server.caught_up()

    assert samples(server, "tracker_deliveries_total") == {
        ("advanced", "session-started"): 1,
        ("advanced", "recording-starting"): 1,
        ("redelivered", "recording-starting"): 1,
        ("skipped-ahead", "recording-stopping"): 1,
        ("unrouted", "unknown"): 1,
    }


def test_findings_are_counted_by_code_lifecycle_and_severity(monday):
    found = monday.get("/api/findings?limit=1000")["items"]
    expected = Counter((one["code"], one["lifecycle"] or "", one["severity"]) for one in found)

    assert samples(monday, "tracker_findings") == expected


def test_what_is_open_is_counted_by_state_with_the_oldest_of_it(server):
    one = {"sessionId": "s", "meetingId": "m"}
    for kind, data in (
        ("session-started", {}),
        ("participant-joined", {"participantId": "in"}),
        ("participant-joined", {"participantId": "gone"}),
        ("participant-left", {"participantId": "gone"}),
        ("recording-starting", {}),
        ("recording-started", {}),
        ("hls-starting", {}),
        ("hls-failed", {}),
    ):
        server.post(kind, **one, **data)
    server.caught_up()
    begun = {
        name: datetime.fromisoformat(server.get(f"/api/events/{position}")["received_at"]).timestamp()
        for name, position in (("session", 1), ("participant", 2), ("recording", 5))
    }

    assert samples(server, "tracker_open_aggregates") == {
        ("session", "live"): 1,
        ("participant", "in"): 1,
        ("recording", "started"): 1,
    }
    assert samples(server, "tracker_oldest_open_timestamp_seconds") == {
        (name,): pytest.approx(time) for name, time in begun.items()
    }


def test_what_the_receiver_did_is_counted(tmp_path):
    body = webhook("session-started", sessionId="s")
    with served(tmp_path / "data", keys={None: Keyring([write_public(tmp_path / "key.pem")])}) as server:
        signed = {"videosdk-signature": sign(body)}
        statuses = [server.ask("/webhooks", "POST", sent, **signed).status for sent in (body, b"other", body)]
        server.caught_up()

        assert statuses == [204, 401, 204]
        assert [
            samples(server, name)[()]
            for name in (
                "tracker_webhooks_stored_total", "tracker_signature_failures_total", "tracker_position",
                "tracker_lag_deliveries", "tracker_webhooks_queued", "tracker_commit_batch_size_sum",
                "tracker_append_seconds_count",
            )
        ] == [2, 1, 2, 0, 0, 2, 2]  # fmt: skip
        assert samples(server, "tracker_webhooks_refused_total")[("signature",)] == 1


def test_what_was_counted_is_reported_also_where_there_are_no_read_models(server, monkeypatch):
    server.post("session-started", sessionId="s")
    server.caught_up()
    monkeypatch.setattr(server.live, "views_path", server.live.views_path.with_name("not-made-yet.db"))

    assert samples(server, "tracker_webhooks_stored_total") == {(): 1}
    assert samples(server, "tracker_sessions") == {}


def test_types_that_nobody_knows_do_not_make_the_metrics_grow(server):
    def names():
        server.caught_up()
        return {
            (sample.name, *sample.labels.items()) for family in families(server) for sample in family.samples
        }

    server.post("zz-0", sessionId="s")
    before = names()
    for number in range(1, 30):
        server.post(f"zz-{number}", sessionId="s")

    assert (names(), samples(server, "tracker_deliveries_total")[("unrouted", "unknown")]) == (before, 30)


def test_no_label_is_an_id(monday):
    known = {delivery.session_id for delivery in monday.tracker.deliveries()}
    known |= {delivery.meeting_id for delivery in monday.tracker.deliveries()}
    values = {
        value for family in families(monday) for sample in family.samples for value in sample.labels.values()
    }

    assert values & known == set()


def test_every_histogram_is_cumulative_and_ends_with_all(server):
    server.post("session-started", sessionId="s")
    for name in ("tracker_commit_batch_size", "tracker_append_seconds"):
        family = next(family for family in families(server) if family.name == name)
        buckets = [sample.value for sample in family.samples if sample.name.endswith("_bucket")]
        (count,) = [sample.value for sample in family.samples if sample.name.endswith("_count")]

        assert (buckets, buckets[-1]) == (sorted(buckets), count)


# The alert rules


@pytest.mark.parametrize("file", [ALERTS, DASHBOARD], ids=lambda file: file.name)
def test_every_metric_that_is_asked_for_is_exported(server, file):
    server.post("session-started", sessionId="s", meetingId="m")
    server.post("recording-paused", sessionId="s", meetingId="m")
    server.caught_up()
    exported = {sample.name for family in families(server) for sample in family.samples}
    named = set(re.findall(r"\btracker_\w+", file.read_text("utf-8")))

    assert named - exported == set()
    assert len(named) > 5


def test_the_rules_and_the_readiness_have_the_same_limit():
    assert f"tracker_oldest_unjudged_seconds > {AGE_LIMIT} " in ALERTS.read_text("utf-8")


def test_every_rule_has_a_case_that_raises_it_and_one_that_does_not():
    alerts = re.findall(r"alert: (\w+)", ALERTS.read_text("utf-8"))
    cases = RULES_TEST.read_text("utf-8")

    assert [
        [f"alertname: {name}, exp_alerts: []" in cases, f'alertname="{name}"' in cases] for name in alerts
    ] == [[True, True]] * len(alerts)


def promtool():
    program = shutil.which("promtool")
    if program is None and "TRACKER_TESTS_NEED_PROMTOOL" not in os.environ:
        pytest.skip("promtool is not installed: it comes with Prometheus")
    return program


def test_the_rules_fire_when_they_should_and_are_silent_else(tmp_path):
    program = promtool()
    for file in (ALERTS, RULES_TEST):
        shutil.copy(file, tmp_path)
    for command in (["check", "rules", ALERTS.name], ["test", "rules", RULES_TEST.name]):
        done = subprocess.run([program, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


# The dashboard


def panels():
    return json.loads(DASHBOARD.read_text("utf-8"))["panels"]


def expressions():
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_every_expression_of_the_dashboard_is_one(tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": one.replace("$__rate_interval", "1m")}
        for number, one in enumerate(expressions())
    ]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [promtool(), "check", "rules", "rules.json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_panels_of_the_dashboard_do_not_overlap():
    places = [
        (column, row)
        for panel in panels()
        for at in [panel["gridPos"]]
        for column in range(at["x"], at["x"] + at["w"])
        for row in range(at["y"], at["y"] + at["h"])
    ]
    assert len(places) == len(set(places))
    assert max(column for column, _ in places) < 24
    assert len({panel["id"] for panel in panels()}) == len(panels())
