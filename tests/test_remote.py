"""Logs in an object store: moto speaks like Amazon S3, in a process of its own."""

import gzip
import json
import socket
import subprocess
import sys
from contextlib import closing, suppress
from urllib.error import URLError
from urllib.request import Request, urlopen

import obstore
import pytest
import waiting
from commands import run
from obstore.store import S3Store
from stores import opened
from test_formats import WEBHOOKS, ours
from test_framing import packed

from tracker import audit
from tracker.errors import LogError
from tracker.intake.ingest import ingest_together
from tracker.intake.sources import sources

pytestmark = pytest.mark.slow
LINES = [json.dumps(ours(at, one)).encode() + b"\n" for at, one in WEBHOOKS]


@pytest.fixture(scope="module")
def s3():
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"

        def made():
            with suppress(URLError, ConnectionError):
                return urlopen(Request(f"{url}/bucket", method="PUT")).status == 200

        try:
            waiting.until(made, every=0.1)
            yield url
        finally:
            process.terminate()


@pytest.fixture
def put(s3, monkeypatch):
    """Puts objects into the bucket."""
    for name, value in (
        ("ACCESS_KEY_ID", "x"),
        ("SECRET_ACCESS_KEY", "x"),
        ("REGION", "us-east-1"),
        ("ENDPOINT", s3),
        ("ALLOW_HTTP", "true"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    store = S3Store.from_url("s3://bucket")

    def put(name, content):
        obstore.put(store, name, content)
        return f"s3://bucket/{name}"

    return put


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
def test_an_object_is_read_like_a_file(put, pack):
    path = put("monday", pack(LINES))
    (log,) = sources(path)
    given = [log.delivery(line, line.number) for line in log.lines()]

    assert [one.received_at for one in given] == [at for at, _ in WEBHOOKS]
    assert given[0].received.source == f"{path}:1"
    assert log.count() == 8
    assert not audit(path).findings


def test_what_lies_below_an_address_is_read_together_and_once(put, tmp_path):
    put("logs/b.jsonl", b"".join(LINES[1::2]))
    put("logs/a/c.jsonl", b"".join(LINES[::2]))
    with opened(tmp_path / "data", create=True) as store:
        for stored in ([4, 4], [0, 0]):
            *_, accounts = ingest_together(store, sources("s3://bucket/logs/"))
            assert [one.stored for one in accounts] == stored
        assert [one.received_at for one in store.deliveries()] == [at for at, _ in WEBHOOKS]


@pytest.mark.parametrize(
    ("name", "words"), [("none", "there is no such object"), ("none/", "there is no object below it")]
)
def test_what_is_not_there_is_named(put, name, words):
    with pytest.raises(LogError, match=f"s3://bucket/{name}: {words}"):
        sources(f"s3://bucket/{name}")


def test_a_store_that_cannot_be_reached_is_named_with_a_hint(put):
    done = run("audit", "s3://bucket/monday", text=True, AWS_ENDPOINT="http://127.0.0.1:1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 2)
    assert "error: s3://bucket/monday: cannot be read" in done.stderr
