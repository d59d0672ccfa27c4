"""What leaves the store can come back into one."""

import csv
import io

from story import deliveries

from projections import export
from tracker.envelope import Received, decode
from tracker.webhook import parse


def test_a_line_of_jsonl_is_read_back_as_what_was_received():
    bodies = [b'{"webhookType": "x"}', b"{\n}", b"not json", b"\xff\x00", b""]
    received = [Received(body, source="a:1", verified_by="key") for body in bodies]
    lines = b"".join(export.jsonl(parse(one) for one in received)).splitlines()
    assert [decode(line) for line in lines] == received


def test_csv_has_a_header_and_a_row_a_delivery():
    told = deliveries("0 participant-joined p", "1 {broken,\n json")
    rows = list(csv.reader(io.StringIO(b"".join(export.table(told)).decode(), newline="")))
    assert rows[0] == list(export.CSV_COLUMNS)
    assert [(row[0], row[2], row[6], row[8][:7]) for row in rows[1:]] == [
        ("1", "participant-joined", "p", '{"webho'),
        ("2", "", "", "{broken"),
    ]


def test_csv_without_deliveries_still_has_its_header():
    assert b"".join(export.table([])).decode().strip() == ",".join(export.CSV_COLUMNS)
