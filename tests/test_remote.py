"""Logs in object stores: moto speaks like Amazon S3, fake-gcs-server like Google's, Azurite is Microsoft's own."""

import gzip
import json

import pytest
from commands import run
from objects import STORES
from stores import opened
from test_formats import WEBHOOKS, ours
from test_framing import packed

from tracker import audit
from tracker.errors import LogError
from tracker.intake.ingest import ingest_together
from tracker.intake.sources import sources

pytestmark = pytest.mark.slow
LINES = [json.dumps(ours(at, one)).encode() + b"\n" for at, one in WEBHOOKS]


@pytest.fixture(scope="module", params=STORES)
def running(request, tmp_path_factory):
    with STORES[request.param](tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def objects(running, monkeypatch):
    """A store with a bucket, in which somebody may read."""
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    return running


@pytest.mark.parametrize(
    "pack",
    [
        b"".join,
        lambda lines: gzip.compress(b"".join(lines)),
        lambda lines: packed(("a", b"".join(lines))),
        lambda lines: b"[" + b",".join(lines) + b"]",
    ],
    ids=["lines", "gzip", "zip", "array"],
)
def test_an_object_is_read_like_a_file(objects, pack):
    path = objects.put("monday", pack(LINES))
    (log,) = sources(path)
    given = [log.delivery(line, line.number) for line in log.lines()]

    assert [one.received_at for one in given] == [at for at, _ in WEBHOOKS]
    assert given[0].received.source == f"{path}:1"
    assert log.count() == 8
    assert not audit(path).findings


def test_what_lies_below_an_address_is_read_together_and_once(objects, tmp_path):
    objects.put("logs/b.jsonl", b"".join(LINES[1::2]))
    objects.put("logs/a/c.jsonl", b"".join(LINES[::2]))
    with opened(tmp_path / "data", create=True) as store:
        for stored in ([4, 4], [0, 0]):
            *_, accounts = ingest_together(store, sources(f"{objects.scheme}bucket/logs/"))
            assert [one.stored for one in accounts] == stored
        assert [one.received_at for one in store.deliveries()] == [at for at, _ in WEBHOOKS]


@pytest.mark.parametrize(
    ("name", "words"), [("none", "there is no such object"), ("none/", "there is no object below it")]
)
def test_what_is_not_there_is_named(objects, name, words):
    with pytest.raises(LogError, match=f"{objects.scheme}bucket/{name}: {words}"):
        sources(f"{objects.scheme}bucket/{name}")


def test_a_store_that_cannot_be_reached_is_named_with_a_hint(objects):
    address = f"{objects.scheme}bucket/monday"
    done = run("audit", address, text=True, **objects.elsewhere)
    assert (done.returncode, done.stderr.count("\n")) == (2, 2)
    assert f"error: {address}: cannot be read" in done.stderr
