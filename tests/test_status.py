"""A session and its timeline as plain values."""

import pytest
from story import RULES, deliveries, session_from

from projections.explain.status import doubt, finding, moment, status, timeline
from tracker.accept import Acceptance, accept_all

MEETING = (
    "0 session-started",
    "3 participant-joined p participantName=Ann",
    "5 recording-started",
    "6 recording-starting",
    "60 recording-stopping",
    "70 recording-stopped fileUrl=https://files/a.mp4",
    "90 participant-left p participantName=Ann",
)


def test_a_person_is_shown_with_their_visits():
    session = session_from(*MEETING, "100 participant-joined p participantName=Ann")
    assert status(session)["participants"] == [
        {
            "participant_id": "p",
            "name": "Ann",
            "state": "in",
            "certainty": "sure",
            "visits": [
                {"joined_at": "2026-01-05T12:00:03Z", "left_at": "2026-01-05T12:01:30Z"},
                {"joined_at": "2026-01-05T12:01:40Z", "left_at": None},
            ],
        }
    ]


def test_an_aggregate_is_shown_with_its_runs_their_steps_in_order_and_what_they_left_behind():
    recording = status(session_from(*MEETING))["aggregates"][2]
    (run,) = recording["runs"]
    assert [(step["step"], step["position"], step["inferred"]) for step in run["steps"]] == [
        ("starting", 4, False),
        ("started", 3, False),
        ("stopping", 5, False),
        ("stopped", 6, False),
    ]
    assert (recording["state"], run["data"]) == ("stopped", {"file_url": "https://files/a.mp4"})


def test_a_step_that_was_never_delivered_is_shown_as_inferred():
    (run,) = status(session_from("0 recording-started"))["aggregates"][0]["runs"]
    assert run["steps"][0] == {"step": "starting", "at": None, "position": None, "inferred": True}


def test_a_run_is_shown_with_each_file_that_it_brought():
    lines = (*MEETING[:6], "80 recording-stopped fileUrl=https://files/b.mp4")
    (run,) = status(session_from(*lines))["aggregates"][2]["runs"]
    assert run["files"] == [{"file_url": "https://files/a.mp4"}, {"file_url": "https://files/b.mp4"}]


def test_a_finding_says_how_sure_it_is_what_else_may_be_and_what_to_do():
    session = session_from("0 session-started", "1 participant-joined p", "60m participant-joined p")
    (found,) = [finding(one) for one in session.findings if one.code == "S213"]
    assert 0.5 < found["confidence"] < 0.95
    assert found["alternatives"]
    assert found["advice"]


@pytest.mark.parametrize(
    ("confidence", "words"), [(1.0, ""), (0.98, ""), (0.979, "confidence 97 %"), (0.5, "confidence 50 %")]
)
def test_how_sure_a_finding_is_is_reported_where_it_is_not_sure(confidence, words):
    assert doubt(confidence) == words


def test_every_delivery_has_a_reading_with_hindsight():
    moments, _ = timeline(deliveries(*MEETING, "95 recording-paused"), RULES)
    assert [one.judgement.reading for one in moments] == [
        *("advanced", "advanced", "skipped-ahead", "late"),
        *("advanced", "advanced", "advanced", "unrouted"),
    ]


def test_what_is_accepted_is_marked_in_a_timeline():
    entries = (Acceptance("D102", "that is how it is here"),)

    def completed(session):
        session.findings = accept_all(session.findings, entries)
        return session

    _, (session,) = timeline(deliveries(*MEETING), RULES, completed=completed)
    assert [(found.code, found.verdict) for found in session.findings] == [("D102", "accepted")]


def test_what_a_later_delivery_explained_is_not_shown():
    assert [found["code"] for found in status(session_from(*MEETING))["findings"]] == ["D102"]
    moments, _ = timeline(deliveries(*MEETING), RULES)
    assert [moment(one)["findings"] for one in moments if one.findings] == [["D102"]]


def test_a_timeline_tells_which_aggregate_a_delivery_moved_and_whether_that_is_under_way():
    moments, (session,) = timeline(deliveries(*MEETING), RULES)
    names = [aggregate.lifecycle.name for aggregate in session.aggregates.values()]
    assert [(names[one.place], one.under_way) for one in moments] == [
        ("session", True),
        ("participant", True),
        ("recording", True),
        ("recording", True),
        ("recording", True),
        ("recording", False),
        ("participant", False),
    ]
