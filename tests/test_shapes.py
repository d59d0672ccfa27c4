"""Each shape of the table is read as the table says."""

from datetime import UTC, datetime, timedelta

import pytest
import wrapping

from tracker.delivery.shapes import SHAPES
from tracker.delivery.webhook import ReadAs
from tracker.intake.logs import Log

AT = datetime(2026, 11, 23, 10, 0, 0, 123_000, tzinfo=UTC)
BODY = (
    b'{"webhookType":"session-started","data":{"meetingId":"m","sessionId":"s","start":"2026-11-23T10:00:00Z"}}'
)
HEADERS = {"content-type": "application/json", "videosdk-signature": "c2lnbmVk"}
every_shape = pytest.mark.parametrize(
    "shape", SHAPES, ids=[f"{one.name}: {one.batch or one.webhook}" for one in SHAPES]
)


def delivered(path, content):
    path.write_bytes(content)
    log = Log(str(path))
    return [log.delivery(line, line.number) for line in log.lines()]


@every_shape
def test_a_line_of_it_is_read_with_its_time_and_its_name(shape, tmp_path):
    times = [AT, AT + timedelta(minutes=1)]
    lines = [wrapping.wrapped(shape, BODY, at, HEADERS) for at in times]
    found = delivered(tmp_path / "log", wrapping.document(shape, lines))

    exact = AT.replace(microsecond=0) if shape.form in wrapping.ONLY_SECONDS else AT
    assert [(one.session_id, one.received_at.replace(microsecond=exact.microsecond)) for one in found] == [
        ("s", exact),
        ("s", exact + timedelta(minutes=1)),
    ]
    is_plain = found[0].read_as is None
    assert is_plain or (found[0].read_as or ReadAs()).name == shape.name


@pytest.mark.parametrize("shape", [one for one in SHAPES if one.headers or "HTTP" in one.held])
def test_the_signature_among_its_headers_is_kept(shape, tmp_path):
    line = wrapping.wrapped(shape, BODY, AT, HEADERS)
    (found,) = delivered(tmp_path / "log", wrapping.document(shape, [line]))

    assert found.received.signature == HEADERS["videosdk-signature"]


@pytest.mark.parametrize("shape", [one for one in SHAPES if one.held != "object"])
def test_a_body_that_is_text_is_kept_byte_for_byte(shape, tmp_path):
    spaced = BODY.replace(b":", b" : ", 1)
    line = wrapping.wrapped(shape, spaced, AT, HEADERS)
    (found,) = delivered(tmp_path / "log", wrapping.document(shape, [line]))

    assert found.body == spaced
