"""What every test runs under, and the empty store that many begin with."""

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
