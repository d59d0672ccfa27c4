"""The benchmark of receiving fails where a server is not what it says."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import keys
import pytest
from meetings import webhook
from traffic import request

SCRIPT = Path(__file__).parent / "benchmarks" / "receiving.py"
BODY = webhook("session-started", sessionId="s", meetingId="m")


@pytest.fixture
def receiving():
    spec = importlib.util.spec_from_file_location("receiving", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def key(tmp_path):
    return keys.write_public(tmp_path / "key.pem")


@pytest.mark.slow
def test_it_compares_three_servers():
    command = [sys.executable, SCRIPT, "--seconds", "0.1", "--rounds", "1", "--meetings", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    assert [line.split(" | ")[0] for line in done.stdout.splitlines()[2:]] == [
        "| as it is",
        "| storing nothing",
        "| one commit a request",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["storing nothing", "one commit a request"])
def test_a_server_that_is_not_what_it_says_ends_it(receiving, tmp_path, key, monkeypatch, name):
    holds = receiving.SERVERS[name][1]
    monkeypatch.setitem(receiving.SERVERS, name, (receiving.SERVERS["as it is"][0], holds))

    with pytest.raises(SystemExit, match=f"{name}: .* it is not what it says"):
        receiving.rate(name, tmp_path, key, [(BODY, request(BODY))] * 1000, 0.1)
