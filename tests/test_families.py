"""The families that VideoSDK added later: calls, agents, merges, batches, translations, knowledge bases."""

import json

import pytest
from story import audited

from tracker.delivery.webhook import parse
from tracker.lifecycles import REGISTRY, Registry
from tracker.store.application import Tracker
from tracker.testing import deliveries, given

AGENT = "session-5bf19efa-22af-41d8-8a3f-b4dbd3f8bcac"
SESSION = ("0 session-started", "1 participant-joined ann")
INFERRED = [name for name, lifecycle in REGISTRY.items() if not lifecycle.is_documented]


def routed(line):
    """The lifecycle and step that a line reports, and the stream where it is kept."""
    (delivery,) = deliveries(line)
    assert delivery.lifecycle is not None, delivery.problem
    assert delivery.step is not None
    return delivery.lifecycle.name, delivery.step.name, delivery.stream


# -- where they are kept ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 call-ringing c1", ("call", "ringing", "call:c1")),
        ("0 call-transfer-ringing c1", ("call-transfer", "ringing", "call:c1")),
        ("0 call-transferred c1", ("call-transfer", "transferred", "call:c1")),
        ("0 switch-room-completed c1", ("switch-room", "completed", "call:c1")),
        ("0 batchcall-started b1", ("batchcall", "started", "batchcall:b1")),
        ("0 knowledgebase-activated k1", ("knowledgebase", "activated", "knowledgebase:k1")),
        ("0 translation-started", ("translation", "started", "S")),
        ("0 merge-recording-completed m1", ("merge-recording", "completed", "S")),
        ("0 composite-merge-completed m1", ("composite-merge", "completed", "S")),
        ("0 composite-merge-completed m1 -sessionId", ("composite-merge", "completed", "composite-merge:m1")),
        ("0 transcription-completed t1 -sessionId", ("transcription", "completed", "transcription:t1")),
        (f"0 agent-session-started {AGENT}", ("agent-session", "started", f"agent:{AGENT}")),
        (f"0 ai-deployment-session-started {AGENT}", ("agent-session", "started", f"agent:{AGENT}")),
    ],
)
def test_a_webhook_is_kept_where_its_family_belongs(line, expected):
    assert routed(line) == expected


def test_a_call_says_which_session_and_which_room_it_was_for():
    (call,) = deliveries("0 call-started c1 roomId=R -meetingId")
    assert (call.session_id, call.meeting_id, call.link) == (None, None, ("S", "R"))


def test_an_agent_is_linked_by_its_room_only():
    (agent,) = deliveries(f"0 agent-session-started {AGENT} roomId=R -meetingId")
    assert agent.link == (None, "R")


def test_what_says_nothing_of_a_meeting_is_linked_to_none():
    assert parse(b'{"webhookType": "batchcall-started", "data": {"batchId": "b1"}}').link is None


def summary(**room):
    body = {"call-summary": {"call_status": "busy"}, "customer-data": {"callId": "c1"}, "room-data": room}
    return parse(json.dumps(body).encode())


def test_a_call_summary_is_known_without_a_type_and_kept_in_its_session():
    delivery = summary(**{"session-id": "S", "meeting-id": "M"})
    assert (delivery.type, delivery.stream, delivery.meeting_id) == ("call-summary", "S", "M")
    assert delivery.key == (("call_id", "c1"),)


def test_a_call_summary_that_names_no_session_is_unrouted_and_says_why():
    assert (summary().stream, summary().problem) == ("unrouted:call-summary", "its sessionId is missing")


@pytest.mark.parametrize("body", [b'{"call-summary": 1e999}', b'{"call-summary": {}, "room-data": 7}'])
def test_a_call_summary_that_cannot_be_read_is_kept(body):
    assert parse(body).lifecycle is None


# -- how they go --------------------------------------------------------------------------------------


def test_a_call_rings_is_answered_and_hung_up():
    given("0 call-started c1", "1 call-ringing c1", "9 call-answered c1").when("90 call-hangup c1").then(
        {"call": ["hangup"]}, readings=["advanced"], findings=[]
    )


def test_a_call_that_was_hung_up_with_an_error_ended_no_session():
    given("0 call-started c1", "9 call-answered c1").when("90 call-hangup c1 error=busy").then(
        {"call": ["hangup"]}, findings=[]
    )


def test_a_call_that_was_missed_is_over():
    given("0 call-started c1", "1 call-ringing c1").when("31 call-missed c1").then(
        {"call": ["missed"]}, findings=[]
    )


def test_a_call_that_was_answered_cannot_have_been_missed():
    story = given("0 call-started c1", "9 call-answered c1", "31 call-missed c1")
    story.then({"call": ["missed"]}, findings=["S209"])
    (found,) = story.session.findings
    assert (found.message, found.severity) == ("call-missed came, but call c1 had already answered", "info")


def test_an_update_of_a_call_moves_nothing_however_often_and_whenever_it_comes():
    given("0 call-started c1", "5 call-answered c1").when(
        "6 call-update c1 a=1", "7 call-update c1 a=2", "7 call-update c1 a=2"
    ).then({"call": ["answered"]}, readings=["noted"] * 3, findings=[])


def test_an_update_of_a_call_of_which_nothing_else_came_begins_none():
    story = given("6 call-update c1").then(readings=["noted"], findings=[])
    assert story.session.aggregates == {}


def test_an_update_says_the_state_that_it_found():
    *_, noted = given("0 call-started c1", "5 call-answered c1", "6 call-update c1").judgements
    assert (noted.run, noted.state_before, noted.state_after) == (1, "answered", "answered")


TRANSFER = ("10 call-transfer-initiated c1", "11 call-transferring c1", "12 call-transfer-ringing c1")


def test_a_call_goes_on_while_it_is_transferred_twice():
    again = [f"{100 + at} {line}" for at, line in (one.split(" ", 1) for one in TRANSFER) for at in [int(at)]]
    story = given("0 call-started c1", "5 call-answered c1", *TRANSFER, "20 call-transferred c1")
    story.when(*again, "130 call-transfer-failed c1", "200 call-hangup c1").then(
        {"call": ["hangup"], "call-transfer": ["transferred", "failed"]}, findings=["S210"]
    )


def test_a_transfer_that_came_again_an_hour_later_is_the_same_as_it_says_when_it_was():
    steps = [f"{line} timestamp=2026-01-05T12:00:1{place}Z" for place, line in enumerate(TRANSFER)]
    again = [f"{3600 + place} {line.split(' ', 1)[1]}" for place, line in enumerate(steps)]
    given("0 call-started c1", *steps, "20 call-transferred c1").when(*again).then(
        {"call-transfer": ["transferred"]}, readings=["redelivered"] * 3, findings=["D101"] * 3
    )


def test_a_call_may_change_its_room_more_than_once():
    given(
        "0 switch-room-initiated c1",
        "2 switch-room-completed c1",
        "60 switch-room-initiated c1",
        "63 switch-room-failed c1",
    ).then({"switch-room": ["completed", "failed"]}, findings=["S210"])


def test_an_agent_is_one_thing_under_its_old_name_and_its_new_one():
    given(f"0 ai-deployment-session-starting {AGENT}", f"2 agent-session-started {AGENT}").then(
        {"agent-session": ["started"]}, findings=[]
    )


def test_a_merge_may_be_all_that_comes_after_the_end_of_a_session():
    given(*SESSION, "60 participant-left ann", "61 session-ended").when("9h merge-recording-completed m1").then(
        {"merge-recording": ["completed"]}, readings=["advanced"], findings=[]
    )


def test_a_merge_that_failed_is_an_error_as_it_is_documented():
    given(*SESSION, "5m merge-recording-failed m1 message=full").then(findings=["S210"], at_least="error")


def test_a_composite_merge_may_be_cancelled():
    given("0 composite-merge-started m1").when("9 composite-merge-cancelled m1").then(
        {"composite-merge": ["cancelled"]}, findings=[]
    )


def test_a_transcription_may_be_completed():
    given(*SESSION, "5 transcription-started t1 type=post").when("60 transcription-completed t1").then(
        {"transcription": ["completed"]}, readings=["advanced"], findings=[]
    )


def test_a_translation_may_fail_before_it_has_started():
    given(*SESSION).when("5 translation-failed x1").then({"translation": ["failed"]}, findings=["S210"])


def test_a_knowledge_base_is_processed_again():
    given(
        "0 knowledgebase-processing k1", "60 knowledgebase-activated k1", "2h knowledgebase-processing k1"
    ).then({"knowledgebase": ["activated", "processing"]}, findings=[])


def test_several_composite_recordings_run_at_once():
    story = given(
        *SESSION,
        *(
            f"{at} composite-recording-{step} {one}"
            for at, step in ((5, "starting"), (7, "started"))
            for one in "ab"
        ),
    )
    assert [run.state for run in story.session.recordings] == ["started", "started"]
    story.then(findings=[])


# -- what is found ------------------------------------------------------------------------------------


def alone(lifecycle, step):
    """A webhook of a step with a key, and nothing else."""
    return f"0 {lifecycle.webhook_type(step.name)} {' '.join('k' for _ in lifecycle.key)}".rstrip()


@pytest.mark.parametrize("name", INFERRED)
def test_what_nobody_has_documented_raises_no_more_than_infos(name):
    lifecycle = REGISTRY[name]
    for step in lifecycle.steps:
        found, _ = audited(alone(lifecycle, step), as_of="90h")
        assert {one.severity for one in found} <= {"info"}
    every = [alone(lifecycle, step) for step in (*reversed(lifecycle.steps), *lifecycle.steps)]
    found, _ = audited(*(line.replace("0", str(at), 1) for at, line in enumerate(every)), as_of="90h")
    assert {one.severity for one in found} <= {"info"}


@pytest.mark.parametrize("name", [name for name in INFERRED if REGISTRY[name].key])
def test_what_nobody_has_documented_and_lacks_its_id_is_an_info(name):
    webhook_type = REGISTRY[name].webhook_type(REGISTRY[name].steps[0].name)
    found, _ = audited(f"0 {webhook_type} -sessionId")
    assert [(one.code, one.severity) for one in found] == [("C511", "info")]


def test_what_is_found_of_a_call_names_the_session_that_it_was_for():
    found, _ = audited("0 call-hangup c1 roomId=R -meetingId")
    assert [(one.code, one.session_id, one.meeting_id) for one in found] == [("S205", "S", "R")]


def test_three_sessions_with_calls_only_are_not_wrong():
    lines = [
        f"{60 * n + at} call-{step} c{n} sessionId=s{n} roomId=m{n} -meetingId"
        for n in range(3)
        for at, step in ((0, "started"), (2, "ringing"), (9, "answered"), (50, "hangup"))
    ]
    assert audited(*lines, as_of="90h")[0] == []


# -- a store that is older than they are -----------------------------------------------------------------


def test_what_was_stored_when_its_type_was_not_known_is_no_damage_and_is_read_where_it_is(tmp_path):
    bodies = [one.body for one in deliveries("0 call-started c1", "0 batchcall-started b1 -sessionId")]
    with Tracker.open(tmp_path, create=True) as store:
        store.append([parse(body, registry=Registry([])) for body in bodies])
        store.append([parse(body) for body in bodies])
        assert list(store.integrity()) == []
        assert [one.stream for one, _ in store.page(0)] == [
            "S",
            "unrouted:batchcall-started",
            "call:c1",
            "batchcall:b1",
        ]
        assert store.status("S").aggregates.keys() == {("call", (("call_id", "c1"),))}
