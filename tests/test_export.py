"""What leaves the store can come back into one."""

import csv
import io
import json
import subprocess
import sys
import tempfile
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import meetings
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import opened
from story import deliveries
from tries import tries

from projections.exports import lines as export
from tracker.delivery.envelope import Received, decode
from tracker.delivery.webhook import parse
from tracker.intake import lines as limits
from tracker.intake.lines import KEPT, MAX_LINE


def test_a_line_of_jsonl_is_read_back_as_what_was_received():
    bodies = [b'{"webhookType": "x"}', b"{\n}", b"not json", b"\xff\x00", b""]
    received = [Received(body, source="a:1", verified_by="key") for body in bodies]
    lines = b"".join(export.jsonl(parse(one) for one in received)).splitlines()
    assert [decode(line) for line in lines] == received


def test_csv_has_a_header_and_a_row_a_delivery():
    printed = deliveries("0 participant-joined p", "1 {broken,\n json")
    rows = list(csv.reader(io.StringIO(b"".join(export.table(printed)).decode(), newline="")))
    assert rows[0] == list(export.CSV_COLUMNS)
    assert [(row[0], row[2], row[6], row[8][:7]) for row in rows[1:]] == [
        ("1", "participant-joined", "p", '{"webho'),
        ("2", "", "", "{broken"),
    ]


def test_csv_without_deliveries_still_has_its_header():
    assert b"".join(export.table([])).decode().strip() == ",".join(export.CSV_COLUMNS)


LIMIT = 8192

odd = st.sampled_from([b"\x00", b"\x01", b"\xff", b'"', b"\\", b"\r", "é😀".encode(), rb"\ud83d", b"{", b"x"])
held = st.tuples(odd, st.sampled_from([0, 1, 7, LIMIT // 6, LIMIT - 40, LIMIT, LIMIT + 1])).map(
    lambda one: (one[0] * (1 + one[1] // len(one[0])))[: one[1]]
)
bare = held.map(lambda body: body.replace(b"\n", b""))
wrapped = st.builds(
    lambda text, name: b'{"source":"%s","%s":%s}' % (name.encode(), *text),
    st.tuples(st.sampled_from([b"body"]), held.map(lambda body: json.dumps(body.decode("latin-1")).encode())),
    st.sampled_from(["", "a:1", "é" * 1000]),
)
enclosed = held.map(lambda body: b'{"received_at":"never","body_base64":"' + b64encode(body) + b'"}')
raw = held.map(lambda body: b'{"webhook":{"data":"' + body.replace(b'"', b"") + b'"}}')


@given(st.lists(st.one_of(bare, wrapped, enclosed, raw), min_size=1, max_size=3))
@tries(60)
def test_what_was_ingested_comes_back_from_an_export(lines):
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "MAX_LINE", LIMIT)
        patch.setattr(limits, "MAX_ENVELOPE", 8 * LIMIT)
        there = Path(place)
        first = b"{}" + b" " * 1024  # what begins with a zero byte is no log
        meetings.read_into(there / "one", meetings.write(there / "given", [first, *lines]))
        assert exported(there, "one") == exported(there, "one", "other")


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("char", [b"\x01", b"\xff", b"{", b"x"])
def test_a_line_of_exactly_the_limit_comes_back_too(tmp_path, char, more):
    meetings.read_into(tmp_path / "one", meetings.write(tmp_path / "given", [char * (MAX_LINE + more)]))
    assert len(meetings.stored(tmp_path / "one")[0]) == (KEPT if more else MAX_LINE)
    assert exported(tmp_path, "one") == exported(tmp_path, "one", "other")


def exported(there, name, into=None):
    """What is exported, after it has been exported and read into another store if there is one."""
    with closing(opened(there / name)) as store:
        lines = list(export.jsonl(store.deliveries()))
    if into is None:
        return lines
    (there / "exported").write_bytes(b"".join(lines))
    meetings.read_into(there / into, there / "exported")
    return exported(there, into)


@pytest.mark.parametrize(
    ("asked", "extra"),
    [
        (("export", "--format", "parquet", "--out", "x"), "parquet"),
        (("audit", "x", "--engine", "spark"), "spark"),
    ],
)
def test_what_needs_a_package_that_is_not_there_names_the_extra(tmp_path, asked, extra):
    opened(tmp_path / "data", create=True).close()
    program = "import sys; sys.modules['pyarrow'] = None; from projections.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *asked, "--data", tmp_path / "data"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert (done.returncode, f"pip install '.[{extra}]'" in done.stderr) == (2, True)
