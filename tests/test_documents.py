"""The documentation is run: every block of every page works, and prints what the page says.

``python tests/reference.py --write`` writes the outputs anew, and the tables.
"""

import json
import os
import re
import shutil
import subprocess
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import documents
import keys
import pytest
import reference
import stores
import uvicorn
from documents import PAGES, README, ROOT, every_block
from meetings import webhook
from waiting import BOUND, until

from projections.audit.auditing import Logs, audit
from tracker.config import load_config
from tracker.delivery.envelope import decode
from tracker.delivery.signature import Keyring
from tracker.delivery.webhook import parse
from tracker.intake.logs import Log
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules

KINDS = {"bash", "python", "text", "json", "toml", "js", "mermaid"}
SCALING = PAGES["examples/reference/scaling.md"]
EXPRESS = "TRACKER_TESTS_NEED_EXPRESS"
"""The variable that CI sets: there, what cannot be tried has failed."""
NODE = {"NODE_PATH": str(ROOT / ".ci" / "node_modules"), **os.environ}
"""Where Node.js looks for packages."""


@pytest.fixture
def checkout(tmp_path):
    return documents.check_out(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_works_and_prints_what_the_page_says(name, checkout):
    path = PAGES[name]
    assert documents.rewritten(path, checkout) == path.read_text("utf-8")


def test_every_block_has_a_kind_that_is_tried():
    assert {(name, block.kind) for name, block in every_block(None) if block.kind not in KINDS} == set()


@pytest.mark.slow
def test_the_blocks_for_a_server_work(checkout, postgres):
    env = documents.environment(
        PGHOST="127.0.0.1", PGPORT=str(postgres.port), PGUSER="tracker", PGPASSWORD=stores.PASSWORD
    )
    env["PATH"] = f"{postgres.bin}:{env['PATH']}"
    documents.prepare(SCALING, checkout, env)
    (block,) = [block for _, block in every_block("bash") if block.is_of_a_server]
    printed = documents.run(block, checkout, env)
    assert printed.count('"session_id":"fleet"') == 2
    assert "236 deliveries, 15 sessions" in printed


def samples():
    return [(name, line) for name, block in every_block("json") for line in block.body.splitlines()]


@pytest.mark.parametrize(("name", "line"), samples())
def test_every_sample_line_of_a_log_is_read_as_a_webhook(name, line):
    assert json.loads(line) is not None
    assert parse(decode(line.encode())).type in REGISTRY.routes


@pytest.mark.parametrize(("name", "block"), every_block("toml"))
def test_every_sample_configuration_is_valid(name, block, tmp_path):
    file = tmp_path / "tracker.toml"
    file.write_text(block.body, "utf-8")
    assert load_config(file).rules is not None


# -- the logging lines for web frameworks ----------------------------------------------------------


BODY = webhook("recording-started", meetingId="m", sessionId="s", name="Zoë")


def ask(port, **headers):
    with closing(HTTPConnection("127.0.0.1", port, timeout=BOUND)) as connection:
        connection.request("POST", "/webhooks", BODY, {"content-type": "application/json", **headers})
        return connection.getresponse().status


def is_read_as_it_was_sent(log, tmp_path):
    """The line that was logged has the body byte for byte, a receive time, and a signature that verifies."""
    keyrings = {None: Keyring([keys.write_public(tmp_path / "key.pem")])}
    source = Log(str(log), keyrings)
    (delivery,) = [source.delivery(line, line.number) for line in source.lines()]
    assert delivery.received.body == BODY
    assert delivery.received_at is not None
    assert delivery.received.verified_by
    assert audit(Logs([Log(str(log))]).deliveries(), Rules()).sessions == 1


def test_the_logging_line_for_fastapi_keeps_what_came(tmp_path, monkeypatch):
    (block,) = [block for _, block in every_block("python") if block.is_a_handler]
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(block.body, namespace)
    server = uvicorn.Server(uvicorn.Config(namespace["app"], port=0, log_level="error", lifespan="off"))
    thread = Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        assert ask(port, **{"videosdk-signature": keys.sign(BODY)}) == 204
    finally:
        server.should_exit = True
        thread.join()
    is_read_as_it_was_sent(tmp_path / "webhooks.jsonl", tmp_path)


def test_the_logging_line_for_express_keeps_what_came(tmp_path):
    (block,) = [block for _, block in every_block("js")]
    program = tmp_path / "app.js"
    program.write_text(
        block.body.replace("3000", "0, function () { console.log(this.address().port); }"), "utf-8"
    )
    if not has_express():
        pytest.skip("Express is not installed: npm ci --prefix .ci")
    with subprocess.Popen(
        ["node", program], cwd=tmp_path, env=NODE, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            port = int(server.stdout.readline())
            assert ask(port, **{"videosdk-signature": keys.sign(BODY)}) == 204
        finally:
            server.terminate()
    is_read_as_it_was_sent(tmp_path / "webhooks.jsonl", tmp_path)


def has_express():
    if os.environ.get(EXPRESS):
        return True
    asked = ["node", "-e", "require('express')"]
    return (
        bool(shutil.which("node"))
        and subprocess.run(asked, env=NODE, capture_output=True, check=False).returncode == 0
    )


# -- links and pictures ----------------------------------------------------------------------------


def links():
    return [(name, link) for name, path in PAGES.items() for link in reference.links_of(path)]


def test_every_link_within_the_documentation_leads_somewhere():
    assert [(name, link) for name, link in links() if not leads_somewhere(name, link)] == []


def leads_somewhere(name, link):
    place, _, anchor = link.partition("#")
    target = (PAGES[name].parent / place).resolve() if place else PAGES[name]
    return target.exists() and (not anchor or anchor in reference.anchors_of(target))


def test_its_pictures_are_there_and_small():
    pictures = [path.parent / picture for path in PAGES.values() for picture in reference.pictures_of(path)]
    assert len(reference.pictures_of(README)) == 1
    assert max(picture.stat().st_size for picture in pictures) < 200_000
    assert {picture.resolve() for picture in pictures} == set(Path(ROOT, ".github").glob("*.png"))


def paths():
    """The files that the documentation names."""
    named = re.compile(r"`(?:python )?((?:tracker|projections|tests|examples|\.ci|\.github)/[\w./-]+)")
    contributing = ROOT / ".github" / "CONTRIBUTING.md"
    texts = [reference.without_code(path) for path in (*PAGES.values(), contributing)]
    return sorted({found for text in texts for found in named.findall(text)} - {"examples/.env"})


def test_every_file_that_is_named_is_there():
    assert [path for path in paths() if not ("NAME" in path or (ROOT / path).exists())] == []
