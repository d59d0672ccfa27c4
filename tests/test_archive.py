from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import opened

from projections.exports.parquet import write
from tracker import audit
from tracker.delivery.envelope import Received, encode
from tracker.errors import LogError
from tracker.intake.archive import Archive
from tracker.intake.ingest import ingest
from tracker.intake.logs import Log
from tracker.intake.sources import sources

BEGIN = datetime(2026, 11, 23, 23, 59, tzinfo=UTC)
SCHEMA = pa.schema([("position", pa.int64()), ("line", pa.binary())])


def lines():
    """A session over midnight, the deliveries of both days mixed."""
    for number, minutes in enumerate([0, 2, 1, 3, -1, 4]):
        kind = "session-started" if not number else "participant-joined"
        body = b'{"webhookType":"%s","data":{"sessionId":"s","participantId":"p%d"}}' % (kind.encode(), number)
        yield encode(
            Received(body, BEGIN + timedelta(minutes=minutes), f"monday.jsonl:{number}", signature="c2ln")
        )


@pytest.fixture
def archive(tmp_path):
    """The store of a log, exported."""
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(lines()) + b"\n")
    with opened(tmp_path / "data", create=True) as store:
        list(ingest(store, Log(str(tmp_path / "log.jsonl"))))
        write(store.deliveries(), tmp_path / "archive")
    return tmp_path / "archive"


def one(path):
    (found,) = sources(path)
    return found


def texts(path):
    return [line.text for line in one(str(path)).lines()]


def test_an_archive_is_read_in_the_order_of_its_positions_over_all_days(archive):
    assert len(list(archive.glob("day=*"))) == 2
    assert texts(archive) == list(lines())
    assert (one(str(archive)).count(), type(one(str(archive)))) == (6, Archive)


def test_one_file_of_it_is_an_archive_too(archive):
    first, second = sorted(archive.glob("day=*/*.parquet"))
    assert sorted(texts(first) + texts(second)) == sorted(lines())


def test_it_is_recognised_as_the_log_that_it_was_made_of_and_read_like_it(archive, tmp_path):
    with opened(tmp_path / "other", create=True) as store:
        for path, stored in ((archive, 6), (tmp_path / "log.jsonl", 0), (archive, 0)):
            *_, account = ingest(store, one(str(path)))
            assert (account.stored, account.already_there) == (stored, 6 - stored)
        assert [encode(each.received) for each in store.deliveries()] == list(lines())
    assert len(audit(archive).findings) == len(audit(tmp_path / "log.jsonl").findings)


@pytest.mark.parametrize(
    ("rows", "schema", "words"),
    [
        ([{"position": 1}], pa.schema([("position", pa.int64())]), "it has no column line"),
        (
            [{"position": "1", "line": b""}],
            pa.schema([("position", pa.string()), ("line", pa.binary())]),
            "a column position of string",
        ),
        ([{"position": 2, "line": b"{}"}, {"position": 1, "line": b"{}"}], SCHEMA, "1 comes behind 2"),
        ([{"position": 2, "line": None}], SCHEMA, "not in the order"),
    ],
)
def test_what_is_no_archive_of_ours_is_refused_and_named(rows, schema, words, tmp_path):
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "some.parquet")
    with pytest.raises(LogError, match=words):
        texts(tmp_path / "some.parquet")


def test_a_file_that_breaks_off_is_refused_and_a_directory_without_parquet_is_none(archive, tmp_path):
    (file,) = archive.glob("day=2026-11-23/*")
    (tmp_path / "half").write_bytes(file.read_bytes()[:-100])
    with pytest.raises(LogError, match="cannot be read"):
        texts(tmp_path / "half")
    with pytest.raises(LogError, match="is a directory"):
        one(str(tmp_path))
