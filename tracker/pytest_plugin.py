"""The fixtures of ``tracker.testing``, for pytest. It is loaded in every run, so it imports nothing before it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tracker.testing import Meeting, MeetingLog

MARK = "meeting_fault"


def pytest_configure(config: pytest.Config) -> None:
    words = f"{MARK}(name, seed=1): what goes wrong in the made-up `meeting` (tracker simulate --list names the faults)"
    config.addinivalue_line("markers", words)


@pytest.fixture
def meeting(request: pytest.FixtureRequest) -> Meeting:
    """A made-up meeting: ``.webhooks``, ``.lines`` and ``.truth``.

    ``@pytest.mark.meeting_fault("swapped", seed=3)`` chooses the fault; so does a parameter, which is a name or a name
    and a seed: ``@pytest.mark.parametrize("meeting", ["swapped", ("late", 3)], indirect=True)``.
    """
    from tracker.testing import made_up

    if hasattr(request, "param"):
        return made_up(*([request.param] if isinstance(request.param, str) else request.param))
    mark = request.node.get_closest_marker(MARK)
    return made_up(*mark.args, **mark.kwargs) if mark else made_up()


@pytest.fixture
def meeting_log() -> MeetingLog:
    """An empty log: ``.add(body, at)`` adds a webhook, and ``assert_no_findings`` judges it."""
    from tracker.testing import MeetingLog

    return MeetingLog()


@pytest.fixture
def assert_no_findings() -> Callable[..., None]:
    """``assert_no_findings(log, ignore=(), as_of="end")``: fails with what is found in a log."""
    from tracker.testing import assert_no_findings

    return assert_no_findings
