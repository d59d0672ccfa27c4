"""One clean meeting as 24 programs log and export it: each of its eight webhooks is read with its time."""

import csv
import io
import json
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from wrapping import FORMS

from tracker import audit
from tracker.delivery.webhook import parse
from tracker.errors import LogError
from tracker.intake.ingest import ingest
from tracker.intake.logs import Log
from tracker.store.application import Tracker

BEGIN = datetime(2026, 11, 23, 10, tzinfo=UTC)
STEPS = (
    (0, "session-started", {"start": "2026-11-23T10:00:00Z"}),
    (2, "participant-joined", {"participantId": "ana"}),
    (120, "recording-starting", {}),
    (123, "recording-started", {}),
    (2400, "recording-stopping", {}),
    (2430, "recording-stopped", {"filePath": "/a.mp4"}),
    (2460, "participant-left", {"participantId": "ana"}),
    (2465, "session-ended", {"start": "2026-11-23T10:00:00Z", "end": "2026-11-23T10:41:05Z"}),
)
WEBHOOKS = [
    (
        BEGIN + timedelta(seconds=seconds),
        {"webhookType": name, "data": {"meetingId": "m", "sessionId": "s", **data}},
    )
    for seconds, name, data in STEPS
]


def rows(delimiter):
    text = io.StringIO()
    table = csv.writer(text, delimiter=delimiter)
    table.writerow(["id", "created_at", "payload"])
    for number, (at, webhook) in enumerate(WEBHOOKS):
        table.writerow([number, f"{at:%Y-%m-%d %H:%M:%S}+00", json.dumps(webhook)])
    return text.getvalue()


def lines(line):
    """A log with a line of JSON for each webhook."""
    return "".join(json.dumps(line(at, webhook)) + "\n" for at, webhook in WEBHOOKS)


def texts(line):
    return "".join(line(at, webhook) + "\n" for at, webhook in WEBHOOKS)


def iso(at):
    return FORMS["iso"](at)


def ours(at, webhook):
    return {"received_at": iso(at), "webhook": webhook}


CASES = {
    "50 CloudWatch": lines(
        lambda at, one: {
            "timestamp": FORMS["ms"](at),
            "message": json.dumps(one),
            "ingestionTime": FORMS["ms"](at) + 800,
        }
    ),
    "51 Loki": lines(
        lambda at, one: {"labels": {"app": "hooks"}, "line": json.dumps(one), "timestamp": iso(at)}
    ),
    "54 nginx": lines(lambda at, one: {"time": FORMS["clf"](at), "body": json.dumps(one)}),
    "55 API Gateway 2": lines(
        lambda at, one: {
            "version": "2.0",
            "headers": {"videosdk-signature": "x"},
            "requestContext": {"time": FORMS["clf"](BEGIN), "timeEpoch": FORMS["ms"](at)},
            "body": b64encode(json.dumps(one).encode()).decode(),
            "isBase64Encoded": True,
        }
    ),
    "56 API Gateway 1": lines(
        lambda at, one: {"requestContext": {"requestTimeEpoch": FORMS["ms"](at)}, "body": json.dumps(one)}
    ),
    "58 Hookdeck": lines(
        lambda at, one: {
            "id": "req_1",
            "created_at": iso(at),
            "data": {"headers": {}, "body": one, "path": "/"},
        }
    ),
    "59 Svix": lines(lambda at, one: {"eventType": one["webhookType"], "payload": one, "timestamp": iso(at)}),
    "61 webhook.site": lines(
        lambda at, one: {
            "content": json.dumps(one),
            "headers": {"host": ["x"]},
            "created_at": f"{at:%Y-%m-%d %H:%M:%S}",
        }
    ),
    "62 CSV": rows(","),
    "64 an array": "[" + ",\n".join(json.dumps(ours(at, one)) for at, one in WEBHOOKS) + "]",
    "65 pretty": texts(lambda at, one: json.dumps(ours(at, one), indent=2)),
    "66 mongoexport": lines(
        lambda at, one: {"_id": {"$oid": "6"}, "receivedAt": {"$date": iso(at)}, "body": one}
    ),
    "67 Docker": lines(
        lambda at, one: {"log": json.dumps(one) + "\n", "stream": "stdout", "time": FORMS["nano"](at)}
    ),
    "69 pino": lines(lambda at, one: {"level": 30, "time": FORMS["ms"](at), "pid": 7, "body": one}),
    "71 SQS": lines(
        lambda at, one: {
            "Records": [{"body": json.dumps(one), "attributes": {"SentTimestamp": str(FORMS["ms"](at))}}]
        }
    ),
    "73 text in front": texts(lambda at, one: f"{iso(at)} INFO webhook received {json.dumps(one)}"),
    "75 encoded twice": lines(lambda at, one: {"received_at": iso(at), "body": json.dumps(json.dumps(one))}),
    "76 renamed": lines(
        lambda at, one: {"timestamp": iso(at), "event": one["webhookType"], "data": one["data"]}
    ),
    "78 JavaScript's date": lines(lambda at, one: {"time": FORMS["js"](at), "body": one}),
    "79 an American date": lines(lambda at, one: {"ts": f"{at:%m/%d/%Y, %I:%M:%S %p}", "body": one}),
    "80 the date of HTTP": lines(lambda at, one: {"ts": FORMS["http"](at), "body": one}),
    "81 a request": lines(lambda at, one: {"receivedAt": iso(at), "request": {"headers": {}, "body": one}}),
    "84 two columns": texts(lambda at, one: f"{iso(at)}\t{json.dumps(one)}"),
    "86 @timestamp": lines(lambda at, one: {"@timestamp": iso(at), "body": one}),
    "a byte order mark on each line": texts(lambda at, one: "\ufeff" + json.dumps(ours(at, one))),
    "no line ends": "".join(json.dumps(ours(at, one)) for at, one in WEBHOOKS),
    "TSV": rows("\t"),
}
every_case = pytest.mark.parametrize("content", CASES.values(), ids=list(CASES))


@every_case
def test_each_webhook_is_read_with_its_time(content, tmp_path):
    path = tmp_path / "meeting.log"
    path.write_text(content, encoding="utf-8")
    log = Log(str(path))

    found = [log.delivery(line, line.number) for line in log.lines()]
    assert [(one.received_at, one.type, one.session_id) for one in found] == [
        (at, webhook["webhookType"], "s") for at, webhook in WEBHOOKS
    ]
    assert not audit(path).findings


@every_case
def test_it_is_stored_once_also_when_it_was_cut_before_and_is_read_again(content, tmp_path):
    path, accounts = tmp_path / "meeting.log", []
    with Tracker.open(tmp_path / "data", create=True) as store:
        for size in (len(content) // 2, len(content), len(content)):
            path.write_text(content[:size], encoding="utf-8")
            with suppress(LogError):  # an array that is cut is one
                accounts.extend(ingest(store, Log(str(path))))
        types = [one.type for one in store.deliveries() if one.lifecycle]

    assert (types, accounts[-1].stored) == ([webhook["webhookType"] for _, webhook in WEBHOOKS], 0)


PINGS = ({"webhook": {}}, {"webhook": {"test": "test"}}, {"body": ""}, {"body": "ping"})


@pytest.mark.parametrize(("minutes", "severity"), [(-5, "info"), (70, "error")])
def test_what_tries_out_the_endpoint_is_an_info_before_the_first_webhook(minutes, severity, tmp_path):
    at = iso(BEGIN + timedelta(minutes=minutes))
    pings = [{"received_at": at, **one} for one in PINGS]
    meeting = [ours(at, one) for at, one in WEBHOOKS]
    log = [*pings, *meeting] if minutes < 0 else [*meeting, *pings]

    assert [one.severity for one in audit(log).findings] == [severity] * 4


@pytest.mark.parametrize("name", ["SESSION_STARTED", "session.started", "Session-Started"])
def test_a_type_in_another_case_or_with_other_dashes_is_that_type(name):
    found = parse(json.dumps({"webhookType": name, "data": {"sessionId": 7, "meetingId": 12**20}}).encode())
    assert (found.type, found.session_id, found.meeting_id) == ("session-started", "7", str(12**20))
