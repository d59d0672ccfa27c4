"""What is read at one go is what the tolerant reading makes of it, or nothing."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from meetings import MORNING

from tracker.delivery.envelope import Received, decode, encode
from tracker.delivery.plain import plain
from tracker.delivery.webhook import parse
from tracker.intake.lines import Line
from tracker.intake.logs import Log

SAMPLES = [
    json.loads(line)
    for line in (Path(__file__).parent / "data/payloads.jsonl").read_text(encoding="utf-8").splitlines()
]
BODIES = [
    json.dumps({"webhookType": one["webhookType"], "data": one["data"]}, separators=separators).encode()
    for one in SAMPLES
    if "webhookType" in one
    for separators in ((",", ":"), (", ", ": "))
]
LINES = [
    written
    for body in BODIES
    for written in (
        body,
        encode(Received(body, MORNING)),
        encode(Received(body, MORNING, "monday.jsonl:7", "a key", signature="x", account="eu")),
    )
]
PIECES = (
    *(b'"', b"\\", b"{", b"}", b"[", b",", b":", b"null", b"1e999", b"-", b"\r", b" ", b"\xff", b"\xc3\xa9"),
    *(b"\\ud83d", b"\\u0000", b"0", b'"data":{},', b'"sessionId":"other",', b'"webhook":{},', b"[" * 300),
    *(b'"received_at":"2020-01-01T00:00:00Z",', b'"time":1,', b'"webhookType":1,', b"T", b"Z", b"/", b"+01:00"),
    b'"type":"\x95",',
)
mutations = st.lists(
    st.tuples(st.integers(0, 500), st.sampled_from([0, 0, 1, 2, 9]), st.sampled_from([b"", *PIECES])),
    min_size=1,
    max_size=3,
)


def mutated(line, mutations):
    for place, gone, piece in mutations:
        begin = place % (len(line) + 1)
        line = line[:begin] + piece + line[begin + gone :]
    return line


def said(delivery):
    return {**msgspec.structs.asdict(delivery), "is_plain": True}


@given(st.sampled_from(LINES), mutations)
@example(LINES[0], [(0, 0, b" ")])
def test_of_a_line_that_is_read_at_one_go_the_tolerant_reading_says_the_same(line, changes):
    changed = mutated(line, changes)
    found = plain(changed, 7, "a.jsonl:7")
    if found is not None:
        assert said(found) == said(parse(decode(changed, "a.jsonl:7"), 7))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "a.jsonl"
    path.write_bytes(b"")
    return Log(str(path))


@given(st.sampled_from(LINES), mutations)
def test_a_log_is_read_the_same_when_no_line_is_read_at_one_go(log, line, changes):
    changed = Line(7, mutated(line, changes).replace(b"\n", b""))
    source = f"{log.name}:7"
    assert said(log.delivery(changed, 7)) == said(log._looked_at(changed, 7, source))


def test_what_is_no_utf_8_is_refused_also_where_nothing_is_read():
    body = b'{"webhookType":"session-ended","type":"\x95","data":{"sessionId":"s","meetingId":"m"}}'
    for line in (body, encode(Received(BODIES[0], MORNING)).replace(BODIES[0], body)):
        assert plain(line, 1) is None


def test_what_is_routed_is_read_at_one_go():
    routed = {line: parse(decode(line)).lifecycle is not None for line in LINES}
    assert {line: plain(line, 0) is not None for line in LINES} == routed
    assert any(routed.values())
