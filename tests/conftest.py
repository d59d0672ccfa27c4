"""What every test runs under, and the empty store that many begin with."""

import os
import subprocess
from contextlib import closing

import pytest
from hypothesis import HealthCheck, settings

from tracker.store import Tracker

settings.register_profile("ci", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")


@pytest.fixture
def store(tmp_path):
    with closing(Tracker.open(tmp_path / "data", create=True)) as opened:
        yield opened


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
