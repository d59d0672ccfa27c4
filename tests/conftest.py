"""What every test runs under, and the stores and servers that many begin with."""

import os
import subprocess
from contextlib import closing

import crowd
import pytest
import stores
from hypothesis import HealthCheck, settings
from meetings import read_into, write
from served import EVENING, MONDAY, served
from tries import THOROUGH

SEARCHING = settings(
    max_examples=THOROUGH, deadline=None, derandomize=False, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("searching", SEARCHING)  # tries others each time, or those of --hypothesis-seed
# Whether a change passes is up to the change: these two try the same each time.
settings.register_profile("thorough", SEARCHING, derandomize=True)  # CI runs them all with it
settings.register_profile("quick", SEARCHING, derandomize=True, max_examples=20)
settings.load_profile("quick")

os.environ.pop("TZ", None)  # times are shown in it, and nobody's own zone shall change what tests expect


@pytest.fixture
def store(each_store, tmp_path):
    with closing(stores.opened(tmp_path / "data", create=True)) as opened:
        yield opened


@pytest.fixture(scope="module")
def monday(tmp_path_factory):
    """A server with the bad Monday in its store, on the evening of that day; nobody may post to it."""
    data = tmp_path_factory.mktemp("monday")
    read_into(data, MONDAY)
    with served(data, now=EVENING) as running:
        yield running


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """The same server, which asks for a token."""
    data = tmp_path_factory.mktemp("locked")
    read_into(data, MONDAY)
    with served(data, token="sésame", now=EVENING) as running:
        yield running


@pytest.fixture
def server(tmp_path):
    """A server with an empty store."""
    with served(tmp_path / "data") as running:
        yield running


@pytest.fixture(scope="module")
def town_hall(tmp_path_factory):
    """A server with a meeting of five hundred people in its store."""
    data = tmp_path_factory.mktemp("crowd")
    read_into(data, write(data / "log.jsonl", crowd.crowd()))
    with served(data, now=EVENING) as running:
        yield running


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


STORES = ("sqlite", "postgres")


def pytest_generate_tests(metafunc):
    """A test with ``each_store`` is run on each, if it is marked ``sqlite`` in a file alone.

    What is marked ``slow_on_postgres`` is slow there: nothing in it depends on where the store is.
    """
    if "each_store" in metafunc.fixturenames:
        metafunc.parametrize("each_store", stores_of(metafunc.definition), indirect=True)


def stores_of(test):
    if test.get_closest_marker("sqlite"):
        return STORES[:1]
    if test.get_closest_marker("slow_on_postgres"):
        return [STORES[0], pytest.param(STORES[1], marks=pytest.mark.slow)]
    return STORES


@pytest.fixture
def each_store(request, monkeypatch):
    """What the stores of this test are on."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        monkeypatch.setenv(stores.ON_A_SERVER, server.url(user=stores.UNASKED))
    return request.param


@pytest.fixture(scope="session")
def postgres():
    """A server for all tests of this process that do not stop it."""
    with stores.server() as running:
        yield running
