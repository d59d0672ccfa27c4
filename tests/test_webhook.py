import json

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracker.delivery.payload import payload_reader, read_fields
from tracker.delivery.webhook import (
    MALFORMED,
    MISSING_FIELD,
    UNKNOWN_TYPE,
    camel_case,
    canonical,
    parse,
    same_data,
)
from tracker.lifecycles import REGISTRY

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SENT = sorted({camel_case(name) for found in REGISTRY.values() for name in found.fields})
data_objects = st.dictionaries(st.sampled_from(SENT) | st.text(max_size=5), json_values)
webhooks = st.fixed_dictionaries(
    {},
    optional={
        "webhookType": st.sampled_from(sorted(REGISTRY.routes)) | json_values,
        "type": st.text() | json_values,
        "data": data_objects | json_values,
        "x": json_values,
    },
)
deep = st.integers(0, 3000).map(lambda depth: '{"data":' + "[" * depth + "]" * depth + "}")


def webhook(webhook_type="participant-joined", **data):
    return json.dumps({"webhookType": webhook_type, "data": data}).encode()


JOINED = {"sessionId": "S", "meetingId": "M", "participantId": "p1", "participantName": "Ann"}


@given(
    st.binary()
    | st.text().map(str.encode)
    | deep.map(str.encode)
    | webhooks.map(lambda it: json.dumps(it).encode())
)
@example(b'{"webhookType":"session-started","data":{"sessionId":"S","x":' + b"[" * 2000 + b"]" * 2000 + b"}}")
@example(b'{"webhookType":"\\u0000"}')
def test_parsing_never_raises_and_is_either_routed_or_says_why_not(body):
    delivery = parse(body)
    assert delivery.body == body
    assert (delivery.lifecycle is None) == bool(delivery.unrouted) == bool(delivery.problem)
    assert 0 < len(delivery.stream) <= 300
    assert 0 < len(delivery.topic) <= 300
    assert "\x00" not in delivery.stream + delivery.topic


@given(data_objects, st.sampled_from(sorted(REGISTRY.routes)))
def test_no_field_of_the_wrong_type_makes_a_delivery_unreadable(data, webhook_type):
    ids = {camel_case(name): "k" for found in REGISTRY.values() for name in found.key}
    delivery = parse(webhook(webhook_type, **{**data, **ids, "sessionId": "S"}))
    assert (delivery.lifecycle, delivery.step) == REGISTRY.routes[webhook_type]
    for field in attrs.fields(type(delivery.payload)):
        assert isinstance(getattr(delivery.payload, field.name), str | tuple | None)


@given(data_objects, st.sampled_from(sorted(REGISTRY.values(), key=lambda one: one.name)))
def test_a_field_that_is_read_alone_has_what_the_payload_has(data, lifecycle):
    payload = payload_reader(lifecycle)(data)
    names = [field.name for field in attrs.fields(type(payload))]
    values = read_fields(lifecycle, json.dumps(data).encode(), names)
    assert values == (*(getattr(payload, name) for name in names),)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"data":{"a":1,},}', "it is not JSON: trailing comma in object at column 15"),
        (b'{\n"data":{\n"a":1,\n}\n}', "it is not JSON: trailing comma in object at line 3, column 6"),
        (b'{"data": nothing}', "it is not JSON: invalid character at column 11"),
        (b'{"data":{"a"', "it is not JSON: it breaks off at column 13"),
        (b'{"type":"\xff"}', "it is not UTF-8: byte 0xff at column 10"),
        (b'{"type":1e999}', "a number in it is out of range"),
        (b"", "it is empty, or a test of the endpoint"),
        (b" \n", "it is empty, or a test of the endpoint"),
        (b"[1]", "it is JSON, but not an object"),
        (b'"text"', "it is JSON, but not an object"),
        (
            b"INFO got {'webhookType': 'x', 'data': {'at': date(2026, 1, 1)}}",
            "it is not JSON, but a dictionary as Python prints it; json.dumps writes JSON",
        ),
        (b'{"data":' + b"[" * 3000 + b"]" * 3000 + b"}", "its JSON is nested too deeply"),
    ],
)
def test_a_body_that_is_no_webhook_says_why_and_where(body, problem):
    delivery = parse(body, 7)
    assert (delivery.unrouted, delivery.problem) == (MALFORMED, problem)
    assert (delivery.stream, delivery.topic, delivery.position) == ("unrouted:malformed", "malformed", 7)


def test_an_object_without_a_type_is_kept_as_untyped():
    delivery = parse(b'{"summary": {}, "room-data": {}}')
    assert (delivery.stream, delivery.unrouted) == ("unrouted:untyped", MISSING_FIELD)
    assert delivery.problem == "it has no webhookType"


@pytest.mark.parametrize("sent", ["null", '""', "7", '["session-started"]', '"\\u0000"'])
def test_a_type_that_is_no_name_is_no_type(sent):
    assert parse(b'{"webhookType": %s, "data": {}}' % sent.encode()).stream == "unrouted:untyped"


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ({"participantId": None}, "its participantId is missing"),
        ({"participantId": ""}, "its participantId is empty"),
        ({"participantId": 7.5}, "its participantId is not a string"),
        ({"participantId": "p" * 256}, "its participantId is longer than 255 characters"),
        ({"participantId": "p\x00"}, "its participantId is text with a zero byte"),
    ],
)
def test_without_its_key_a_delivery_stays_in_the_session_but_is_unrouted(missing, problem):
    delivery = parse(webhook(**{**JOINED, **missing}))
    assert (delivery.stream, delivery.unrouted, delivery.problem) == ("S", MISSING_FIELD, problem)


@pytest.mark.parametrize(
    ("session_id", "problem"),
    [
        (None, "its sessionId is missing"),
        ("", "its sessionId is empty"),
        (["S"], "its sessionId is not a string"),
        ("resource:x", "its sessionId, resource:x, is a name of this program's own"),
        ("unrouted:x", "its sessionId, unrouted:x, is a name of this program's own"),
    ],
)
def test_without_a_usable_session_a_delivery_is_unrouted_by_its_type(session_id, problem):
    delivery = parse(webhook(**{**JOINED, "sessionId": session_id}))
    assert (delivery.stream, delivery.session_id) == ("unrouted:participant-joined", None)
    assert (delivery.unrouted, delivery.problem) == (MISSING_FIELD, problem)


def test_a_resource_needs_its_own_id_and_no_session():
    assert parse(webhook("resource-acquired", id="r1")).stream == "resource:r1"
    assert parse(webhook("resource-acquired", type="hls")).problem == "its id is missing"


def test_a_resource_belongs_to_no_session_even_if_it_names_one():
    delivery = parse(webhook("resource-acquired", id="r1", sessionId="S", meetingId="M"))
    assert (delivery.stream, delivery.session_id, delivery.meeting_id) == ("resource:r1", None, None)


@pytest.mark.parametrize("webhook_type", ["agent-session-paused", "participant-joined"])
def test_an_agent_session_opens_no_meeting_session(webhook_type):
    session_id = "session-5bf19efa-22af-41d8-8a3f-b4dbd3f8bcac"
    delivery = parse(webhook(webhook_type, **{**JOINED, "sessionId": session_id}))
    assert (delivery.stream, delivery.session_id) == (f"unrouted:{webhook_type}", None)


def test_an_unknown_type_stays_in_its_session_and_the_nearest_known_one_is_suggested():
    delivery = parse(webhook("recording-stoped", sessionId="S", meetingId="M"))
    assert (delivery.stream, delivery.meeting_id, delivery.unrouted) == ("S", "M", UNKNOWN_TYPE)
    assert delivery.problem == "recording-stoped is not a known type; is it recording-stopped?"


def test_an_unknown_type_that_is_near_to_none_is_only_named():
    assert parse(webhook("whiteboard-cleared")).problem == "whiteboard-cleared is not a known type"


def test_a_room_is_a_meeting_where_no_meeting_is_named():
    assert parse(webhook("transcription-paused", id="t", roomId="M")).meeting_id == "M"


@pytest.mark.parametrize("data", [b"7", b'"text"', b"[]", b"true"])
def test_data_that_is_no_object_cannot_be_routed(data):
    delivery = parse(b'{"webhookType":"session-started","data":%s}' % data)
    assert (delivery.stream, delivery.problem) == ("unrouted:session-started", "its data is not an object")


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b'"\xff"', "it is not UTF-8: byte 0xff at column 15"), (b"1e999", "a number in it is out of range")],
)
def test_data_that_is_an_object_beyond_reading_says_why(data, reason):
    delivery = parse(b'{"data":{"n":%s},"type":"session-started"}' % data)
    assert (delivery.unrouted, delivery.problem) == (MISSING_FIELD, f"its data cannot be read: {reason}")


@pytest.mark.parametrize(
    "body", [b'{"webhookType":"session-started"}', b'{"webhookType":"session-started","data": null}']
)
def test_missing_data_is_an_empty_object(body):
    assert (parse(body).data, parse(body).problem) == (b"{}", "its sessionId is missing")


def test_type_is_read_where_there_is_no_webhook_type():
    body = json.dumps({"type": "participant-joined", "data": JOINED}).encode()
    assert (parse(body).type, parse(body).stream) == ("participant-joined", "S")


def test_webhook_type_goes_before_type():
    body = json.dumps({"type": "event", "webhookType": "participant-left", "data": JOINED}).encode()
    assert parse(body).type == "participant-left"


def test_payloads_equal_each_other_by_what_they_say_and_can_be_read():
    one, same, other = (
        parse(webhook("recording-starting", sessionId="S", meetingId=room)) for room in ("M", "M", "N")
    )
    assert one.payload == same.payload != other.payload
    assert repr(one.payload).startswith("Recording(meeting_id='M', ")


def test_what_no_payload_knows_is_kept_beside_it():
    delivery = parse(webhook(**JOINED, device={"os": "x"}))
    assert delivery.payload.participant_name == "Ann"
    assert delivery.extra == {"device": {"os": "x"}}


def test_a_field_of_the_wrong_type_is_none_and_the_rest_is_read():
    payload = parse(webhook("recording-stopped", sessionId="S", filePath=7, fileUrl="https://x/a.mp4")).payload
    assert (payload.file_path, payload.file_url) == (None, "https://x/a.mp4")


def test_a_list_of_files_keeps_the_entries_that_are_files():
    files = [{"filePath": "a"}, None, "b", {"filePath": 3, "fileUrl": "c"}]
    payload = parse(
        webhook("participant-recording-stopped", sessionId="S", participantId="p", fileDetails=files)
    ).payload
    assert [(file.file_path, file.file_url) for file in payload.file_details] == [("a", None), (None, "c")]


def test_the_optional_key_is_a_key_where_it_is_sent():
    assert parse(webhook("recording-started", sessionId="S")).key == ()
    assert parse(webhook("recording-started", sessionId="S", id="r1")).key == (("id", "r1"),)


def test_a_key_of_two_fields_needs_both():
    both = {"sessionId": "S", "participantId": "p", "kind": "audio"}
    assert parse(webhook("participant-track-recording-started", **both)).key == (
        ("participant_id", "p"),
        ("kind", "audio"),
    )
    del both["kind"]
    assert parse(webhook("participant-track-recording-started", **both)).problem == "its kind is missing"


@given(data_objects)
def test_data_is_compared_whatever_the_order_of_its_keys_and_its_white_space(data):
    other = dict(reversed(data.items()))
    assert same_data(json.dumps(data).encode(), json.dumps(other, indent=2, ensure_ascii=False).encode())


def test_data_that_says_something_else_is_not_the_same():
    assert not same_data(b'{"a":1}', b'{"a":"1"}')
    assert canonical(b'{"b": 1, "a": [ 2 ]}') == b'{"a":[2],"b":1}'


@pytest.mark.parametrize(("name", "sent"), [("id", "id"), ("playback_hls_url", "playbackHlsUrl")])
def test_a_field_is_sent_in_camel_case(name, sent):
    assert camel_case(name) == sent
