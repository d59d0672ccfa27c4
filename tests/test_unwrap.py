import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wrapping import FORMS, HELD, ONLY_SECONDS

from tracker.delivery.nearest import TIME_NAMES
from tracker.delivery.times import NO_ZONE
from tracker.delivery.unwrap import Fields, find

AT = datetime(2026, 11, 23, 10, 0, 0, 123_000, tzinfo=UTC)
WEBHOOK = {"webhookType": "session-started", "data": {"meetingId": "m", "sessionId": "s"}}
BODY = json.dumps(WEBHOOK).encode()
HEADERS = {"host": "x", "Videosdk-Signature": "c2lnbmVk"}

moments = st.integers(0, 3_000_000_000_000).map(
    lambda ms: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
names = st.sampled_from(["message", "body", "payload", "x", "data", "log", "request", "detail", "a b", "é"])
other_values = st.none() | st.integers() | st.text() | st.lists(st.integers(), max_size=3)
others = st.dictionaries(
    st.sampled_from(["level", "host", "id", "version", "pid", "tags"]), other_values, max_size=3
)
webhooks = st.builds(
    lambda name, data: {"webhookType": name, "data": data},
    st.sampled_from(["session-started", "participant-joined", "brand-new"]) | st.text(min_size=1),
    st.dictionaries(st.text(max_size=8), st.text() | st.integers() | st.none(), max_size=4),
)
layers = st.lists(
    st.tuples(names, st.sampled_from(sorted(HELD)), others, st.booleans()), min_size=1, max_size=3
)


def held(value, how):
    return HELD[how](json.dumps(value).encode(), HEADERS)


@given(
    webhooks, layers, st.integers(0, 2), st.sampled_from(TIME_NAMES), st.sampled_from(sorted(FORMS)), moments
)
def test_a_webhook_is_found_with_its_time_however_it_is_wrapped_nested_and_encoded(
    webhook, layers, level, name, form, at
):
    line = webhook
    for number, (key, how, beside, in_list) in enumerate(layers):
        inner = held(line, how)
        line = {**beside, key: [inner] if in_list else inner}
        if number == min(level, len(layers) - 1):
            line[name] = FORMS[form](at)
        elif number > level:
            line["received_at"] = "2001-01-01T00:00:00Z"  # farther out
    found = find(json.dumps(line).encode())

    exact = at.replace(microsecond=0) if form in ONLY_SECONDS else at
    assert json.loads(found.body or b"null") == webhook
    assert found.at.replace(tzinfo=UTC) == exact


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.builds(json.dumps, st.recursive(other_values, lambda one: st.dictionaries(names, one))).map(str.encode)
)
def test_finding_never_raises(line):
    assert find(line).body is None


def line(**fields):
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (line(one=WEBHOOK, other={**WEBHOOK, "data": {}}), "it holds 2 webhooks, in .one, .other"),
        (
            line(messages=[{"body": BODY.decode()}, {"body": '{"webhookType":"x"}'}]),
            "it holds 2 webhooks, in .messages[0].body, .messages[1].body",
        ),
        (line(one=WEBHOOK, other=BODY.decode()), ""),
        (line(timestamp=1, message="GET /healthz 200"), ""),
        (line(timestamp=1, message='{"level":"info","msg":"started"}'), ""),
    ],
)
def test_only_one_webhook_in_a_line_is_read(given, problem):
    found = find(given)
    assert (found.problem, found.body is None) == (problem, problem != "" or b"webhookType" not in given)


def test_of_the_same_webhook_as_object_and_as_text_the_text_is_read_because_it_is_what_came():
    spaced = json.dumps(WEBHOOK, indent=1)
    assert find(line(parsed=WEBHOOK, raw=spaced)).body == spaced.encode()


@pytest.mark.parametrize(
    ("fields", "at", "unread"),
    [
        ({"timestamp": "05/06/2026, 10:00:00 AM"}, None, "05/06/2026, 10:00:00 AM"),
        ({"timestamp": "soon", "created_at": FORMS["iso"](AT)}, AT, None),
        ({"time": 0.004, "ts": FORMS["ms"](AT)}, AT, None),
        ({"time": 0.004}, None, "0.004"),
        ({"timestamp": None, "date": True}, None, None),
        ({"time": {"seconds": 1795428000, "nanos": 123000000}}, AT, None),
        ({"meta": {"requestTime": "23/Nov/2026:10:00:00.123 +0000"}}, AT, None),
        ({"time": "2026-11-23 10:00:00.123"}, AT.replace(tzinfo=NO_ZONE), None),
    ],
)
def test_a_time_that_is_none_or_two_is_not_believed(fields, at, unread):
    found = find(line(message=BODY.decode(), **fields))
    assert (found.at, found.at and found.at.tzinfo, found.unread) == (at, at and at.tzinfo, unread)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T10:00:00.123Z INFO webhook {} in 3 ms",
        '10.0.0.1 - - [23/Nov/2026:10:00:00.123 +0000] "POST /hooks HTTP/1.1" 204 {}',
        "[2026-11-23 10:00:00,123 +0000] hooks.INFO: received {}",
        "<165>1 2026-11-23T10:00:00.123Z host app 7 - - {}",
        "1795428000.123 {}",
        "2026-11-23T10:00:00.123456789Z stdout F {}",
    ],
)  # fmt: skip
def test_json_behind_text_has_the_time_in_front_of_it(text):
    found = find(text.replace("{}", BODY.decode()).encode())
    assert (found.body, found.at.replace(microsecond=123_000, tzinfo=UTC)) == (BODY, AT)


@pytest.mark.parametrize(
    "text", ["2026-11-23 10:00:00,123 INFO app.webhooks: got {}", "2026-11-23T10:00:00.123Z {} (204)"]
)
@given(webhook=webhooks)
def test_what_python_prints_of_a_dictionary_is_read_as_the_json_that_it_was(text, webhook):
    found = find(text.replace("{}", repr(webhook)).encode(errors="surrogatepass"))
    assert (json.loads(found.body), found.at.replace(tzinfo=UTC), found.name) == (webhook, AT, "Python's repr")


@pytest.mark.parametrize(
    "printed",
    [
        "{'webhookType': 'x', 'data': {'at': datetime.datetime(2026, 11, 23)}}",
        "{'webhookType': 'x', 'data': {1, 2}}",
        "{'webhookType': 'x'",
        f"{WEBHOOK} {WEBHOOK}",
        "{'webhookType': " + "[" * 300 + "]" * 300 + "}",
        "{'webhookType': " + "-" * 100_000 + "1}",
        "{'webhookType': '\\d'",
    ],
)
def test_what_is_no_json_in_python_either_is_none(printed):
    assert find(f"INFO got {printed}".encode()).body is None


def test_a_text_with_two_webhooks_is_none():
    assert find(b"INFO " + BODY + b" " + BODY).body is None


@pytest.mark.parametrize("body", [json.dumps(BODY.decode()), BODY.decode().replace('"', "\\x22")])
def test_text_that_is_escaped_as_loggers_do_is_opened(body):
    assert json.loads(find(f"msg={body} time=2026-11-23T10:00:00Z".encode()).body) == WEBHOOK


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS,
        {"VIDEOSDK-SIGNATURE": ["c2lnbmVk"]},
        [["videosdk-signature", "c2lnbmVk"]],
        [{"name": "Videosdk-Signature", "value": "c2lnbmVk"}],
        json.dumps(HEADERS),
    ],
)
def test_the_signature_is_found_in_headers_of_every_kind(headers):
    assert find(line(request={"headers": headers, "payload": WEBHOOK})).signature == "c2lnbmVk"


def test_where_somebody_says_where_they_are_nothing_is_searched():
    given = line(first={"w": WEBHOOK, "at": FORMS["ms"](AT)}, second=BODY.decode().replace('"s"', '"t"'))
    found = find(given, Fields(("second",), ("first", "at")))
    assert (json.loads(found.body)["data"]["sessionId"], found.at) == ("t", AT)
    assert (found.webhook, found.time) == (".second", ".first.at")


def test_an_object_with_half_an_emoji_is_found_as_it_stands():
    body = rb'{"webhookType":"participant-joined","data":{"participantName":"x\ud83d"}}'
    assert find(b'{"a":{"detail":' + body + b',"b":"\\ude00"}}').body == body
