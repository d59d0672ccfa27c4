import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracker.delivery import envelope
from tracker.delivery.envelope import (
    BODY_NAMES,
    RECEIVE_TIME_NAMES,
    Received,
    decode,
    encode,
    isoformat,
    mended,
    parse_time,
)
from tracker.delivery.webhook import parse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIME = datetime(2026, 1, 5, 12, 0, 0, 250_000, tzinfo=UTC)
WEBHOOK = {"webhookType": "session-started", "data": {"sessionId": "S"}}
BODY = json.dumps(WEBHOOK).encode()

moments = st.integers(0, 221_000_000_000_000_000).map(lambda us: EPOCH + timedelta(microseconds=us))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
bodies = (
    st.binary()
    | json_values.map(lambda found: json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    | st.dictionaries(st.sampled_from(["webhookType", "type", "data", "body", "time"]), json_values).map(
        lambda found: json.dumps(found, indent=1).encode()
    )
)
times = st.builds(lambda time: (time, None), st.none() | moments) | st.builds(
    lambda text: (None, text), st.text() | moments.map(isoformat) | st.just("2026-10-25 02:30:00")
)


def line(**envelope):
    return json.dumps(envelope).encode()


@given(body=bodies, at=moments, later=moments, source=st.text())
def test_a_line_of_another_receive_time_differs_in_its_start_alone(body, at, later, source):
    start, moved = envelope.received_at_start(at), envelope.received_at_start(later)
    text = encode(Received(body, at, source))

    assert encode(Received(body, later, source)) == moved + text.removeprefix(start)


@given(body=bodies, time=times, source=st.text(), verified_by=st.none() | st.text())
@example(b'{},"source":{}', (None, None), "a log:1", None)
@example(b'{"a":1},"webhook":{"b":2}', (TIME, None), "", None)
@example(b'{"webhookType":"\xff"}', (TIME, None), "", None)
@example(b'{"x":' * 990 + b"1" + b"}" * 990, (TIME, None), "", None)
@example(b'{"x":' * 5000 + b"1" + b"}" * 5000, (TIME, None), "", None)
def test_whatever_was_received_is_read_back_as_it_was(body, time, source, verified_by):
    received = Received(body, time[0], source, verified_by, time[1])
    assert decode(encode(received)) == received


@given(body=bodies, source=st.text())
def test_an_envelope_is_always_one_line(body, source):
    written = encode(Received(body, TIME, source))
    assert b"\n" not in written
    assert b"\r" not in written


@given(bodies)
def test_a_line_never_raises_and_names_where_it_came_from(written):
    assert decode(written, "a.jsonl:3").source != ""


def test_a_body_that_is_an_object_on_one_line_stands_there_as_it_is():
    spaced = b'{ "webhookType":"x" ,"n":1.0}'
    assert encode(Received(spaced, TIME, "a.jsonl:1")) == (
        b'{"received_at":"2026-01-05T12:00:00.25Z","source":"a.jsonl:1","webhook":' + spaced + b"}"
    )


def test_a_body_that_is_no_text_is_written_in_base64():
    assert encode(Received(b"\xff\x00")) == b'{"body_base64":"/wA="}'


def test_a_body_of_several_lines_is_written_as_a_string():
    assert encode(Received(b"{\n}")) == b'{"body":"{\\n}"}'


@pytest.mark.parametrize("bare", [WEBHOOK, {"type": "session-started", "data": {}}, {"webhookType": 7}])
@pytest.mark.parametrize("extra", [{}, {"payload": {"a": 1}}, {"event": "x"}])
def test_a_bare_webhook_is_its_own_body_whatever_else_it_holds(bare, extra):
    written = line(**bare, **extra)
    assert decode(written, "log:1") == Received(written, source="log:1")


@pytest.mark.parametrize("name", BODY_NAMES)
@pytest.mark.parametrize("as_text", [False, True], ids=["object", "string"])
def test_each_name_of_a_body_is_read_as_an_object_and_as_a_string(name, as_text):
    written = line(received_at=isoformat(TIME), **{name: BODY.decode() if as_text else WEBHOOK})
    assert decode(written) == Received(BODY, TIME)


@pytest.mark.parametrize("name", RECEIVE_TIME_NAMES)
@pytest.mark.parametrize("time", ["2026-01-05T12:00:00.250Z", 1767614400.25, 1767614400250, "1767614400.25"])
def test_each_name_of_a_receive_time_is_read_as_iso_and_as_epoch(name, time):
    assert decode(line(webhook=WEBHOOK, **{name: time})).received_at == TIME


def test_the_first_name_counts_where_there_are_several():
    written = line(ts=0, received_at=isoformat(TIME), body={"b": 1}, webhook=WEBHOOK)
    assert decode(written) == Received(BODY, TIME)


def test_a_receive_time_that_is_null_is_as_if_it_were_not_there():
    assert decode(line(received_at=None, ts=isoformat(TIME), webhook=WEBHOOK)).received_at == TIME


@pytest.mark.parametrize(
    ("time", "text"), [("yesterday", "yesterday"), (True, "true"), ({"$date": 1}, '{"$date": 1}')]
)
def test_a_receive_time_that_is_none_is_kept_as_it_was_written(time, text):
    assert decode(line(received_at=time, webhook=WEBHOOK)) == Received(BODY, unread_time=text)


def test_the_line_s_own_source_goes_before_the_reader_s():
    assert decode(line(webhook=WEBHOOK, source="monday:7"), "copy:1").source == "monday:7"
    assert decode(line(webhook=WEBHOOK, source=7), "copy:1").source == "copy:1"


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"not json",
        b"[1]",
        b'"text"',
        b"{}",
        b'{"webhook":7}',
        b'{"body":null}',
        b'{"body_base64":"!"}',
        b'{"a":1',
    ],
)
def test_a_line_that_is_no_envelope_is_the_body_itself(written):
    assert decode(written, "log:2") == Received(written, source="log:2")


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05T12:00:00.25Z",
        "2026-01-05 12:00:00.250000+00:00",
        "2026-01-05T13:00:00.250+01:00",
        "2026-01-05T12:00:00.250",
        "1767614400.25",
        "1767614400250",
        "1767614400250000",
        "1767614400250000000",
    ],
)
def test_a_time_is_iso_or_an_epoch_of_any_unit_and_utc_where_it_does_not_say(text):
    assert parse_time(text) == TIME


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noon",
        "2022-07-05T15:60:35.047+00:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31",
        "-5",
        "1e9",
        "1" * 20,
        "\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
def test_what_is_no_time_is_none(text):
    assert parse_time(text) is None


@given(st.text() | st.from_regex(r"[0-9T:.+-]{1,25}"))
def test_reading_a_time_never_raises_and_leaves_room_for_every_window(text):
    time = parse_time(text)
    assert time is None or 1970 <= time.year < 9000


@given(moments)
def test_a_time_is_written_exactly_and_in_utc(time):
    elsewhere = time.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert isoformat(elsewhere).endswith("Z")
    assert parse_time(isoformat(elsewhere)) == time


@given(time=moments)
@example(time=TIME)
@example(time=EPOCH)
def test_a_time_is_written_as_python_writes_it_without_zeros_at_its_end(time):
    whole, _, fraction = time.replace(tzinfo=None).isoformat().partition(".")
    assert isoformat(time) == f"{whole}.{fraction.rstrip('0')}".removesuffix(".") + "Z"


@pytest.mark.parametrize(
    ("body", "raw"),
    [
        (b'{"x":' * 199 + b"1" + b"}" * 199, True),
        (b'{"x":' * 200 + b"1" + b"}" * 200, False),
        (b'{"x":"%s"}' % (b"{" * 300), True),
        (b'{"x":"\\ud83d"}', False),
        (b'{"x":1},"source":{}', False),
        (b'{"x":1}\n', False),
        (b'{"x":"\xff"}', False),
        (b'{"x":"\xc3\xa9"}', True),
    ],
)
def test_only_what_is_one_object_wherever_it_stands_is_written_raw(body, raw):
    assert (encode(Received(body)) == b'{"webhook":%s}' % body) == raw


CUT = rb'{"webhookType":"participant-joined","data":{"sessionId":"S","participantId":"p","participantName":"x\ud83d"}}'


@pytest.mark.parametrize("escape", [rb"\ud83d", rb"\uDE00", rb"\ud83d\u0041", rb"\ud83d\ud83d"])
def test_a_name_that_was_cut_in_the_middle_of_an_emoji_is_still_a_name(escape):
    body = CUT.replace(rb"\ud83d", escape)
    received = decode(b'{"received_at":"2026-11-23T09:00:00Z","webhook":' + body + b"}")
    assert (received.body, received.received_at is None) == (body, False)
    name = parse(received).payload.participant_name
    half = escape[:6].decode().lower()
    assert (name[: 1 + len(half)], parse(received).session_id) == ("x" + half, "S")
    assert decode(encode(received)) == received


def test_halves_of_surrogate_pairs_stay_different_from_each_other():
    """Each stands as the escape that it was sent as, so two ids are two sessions."""
    halves = [rb"\ud800", rb"\udfff", rb"\uDFFF", rb"\ufffd", rb"a\ud800"]
    ids = [parse(b'{"webhookType":"x","data":{"sessionId":"%s"}}' % half).session_id for half in halves]
    assert ids == [r"\ud800", r"\udfff", r"\udfff", "\ufffd", r"a\ud800"]


@pytest.mark.parametrize("halves", [b"", rb"\ud800", rb"\ud800\udfff\udfff"])
def test_where_json_is_broken_is_reported_behind_halves_of_surrogate_pairs_too(halves):
    body = b'{"x":"%s",}' % halves
    assert parse(body).problem == f"it is not JSON: trailing comma in object at column {len(body) - 1}"


@pytest.mark.parametrize("kept", [rb"\ud83d\ude00", rb"\\ud83d", rb"\u00e9", rb"\"\n"])
def test_text_that_is_whole_is_not_mended(kept):
    assert mended(kept) == kept


@pytest.mark.parametrize(("depth", "routed"), [(190, True), (250, False), (979, False), (5000, False)])
def test_how_deep_a_body_may_be_does_not_depend_on_who_reads_it(depth, routed):
    body = WEBHOOK_AROUND % (b"[" * depth + b"]" * depth)

    def deeper(calls):
        return parse(decode(encode(Received(body)))) if not calls else deeper(calls - 1)

    assert [(one.session_id == "S", one.body) for one in map(deeper, (0, 100, 300))] == [(routed, body)] * 3


@pytest.mark.parametrize("before", ["\\n", '\\"', "\\\\", '\\\\\\"', "\\u005b", '\\\\n\\"', ""])
def test_brackets_behind_what_is_escaped_are_no_depth_and_brackets_behind_the_text_are(before):
    text = b'"%s%s"' % (before.encode(), b"[" * 300)
    deep = b'["%s",%s]' % (before.encode(), b"[" * 300 + b"]" * 300)

    routed = [parse(Received(WEBHOOK_AROUND % inside)).session_id for inside in (text, deep)]
    assert routed == ["S", None]


@pytest.mark.parametrize("limit", [3, 64, 65, 200])
@pytest.mark.parametrize("before", [0, 1, 63, 64, 200])
def test_how_deep_it_is_does_not_depend_on_where_it_is_looked_at(limit, before):
    inside = b"[],{}," * before + b"[" * limit + b"]" * limit

    assert [envelope.is_deeper(inside, limit), envelope.is_deeper(inside, limit - 1)] == [False, True]
    assert not envelope.is_deeper(b"]" * 100 + inside, limit)


def test_brackets_in_text_are_no_depth():
    assert parse(WEBHOOK_AROUND % (b'"' + b'[{\\"' * 500 + b'"')).session_id == "S"


def test_of_two_bodies_that_look_alike_when_mended_the_right_one_is_taken():
    line = rb'{"x": {"a":"\ud83d"} , "webhook" : {"a":"\ude00"}, "source":"\ud83d"}'
    assert decode(line).body == rb'{"a":"\ude00"}'


def test_a_source_that_is_no_text_is_stored_with_replacement_characters():
    assert decode(encode(Received(b"{}", source="b\udcffd:1"))).source == "b?d:1"


WEBHOOK_AROUND = b'{"webhookType":"session-started","data":{"sessionId":"S","x":%b}}'
