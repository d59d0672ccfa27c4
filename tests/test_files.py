"""``files``: a file's url, path, id or name leads to the run that brought it."""

import pytest
from meetings import webhook
from story import RULES

from projections.read_models import runs
from projections.read_models.files import name_of

URL = "https://cdn.example/videos/one.mp4?token=secret"
BROUGHT = {"fileUrl": URL, "filePath": "/videos/one.mp4", "fileId": "f-1"}
ONE = {"sessionId": "s", "meetingId": "m"}


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """The read models of a session with two recordings, of which each brought a file."""
    from projections.views.follow import Views
    from tracker.delivery.envelope import Received
    from tracker.delivery.webhook import parse
    from tracker.store.application import Tracker

    said = [("recording-started", {}), ("recording-stopped", BROUGHT)]
    said += [("recording-started", {}), ("recording-stopped", {"fileUrl": "https://cdn.example/two.mp4"})]
    with Tracker.open(tmp_path_factory.mktemp("data"), create=True) as store:
        store.append(
            parse(Received(webhook(kind, **ONE, **data)), place) for place, (kind, data) in enumerate(said, 1)
        )
        with Views.open(store, RULES) as views:
            yield views.db


@pytest.mark.parametrize(
    "given",
    [URL, URL.partition("?")[0], "/videos/one.mp4", "one.mp4", "one", "f-1", "https://elsewhere/one.mp4"],
)
def test_a_run_is_found_by_any_name_of_its_file(db, given):
    assert [row["run"] for row in runs.recordings(db, file=given)] == [1]


@pytest.mark.parametrize("given", ["three.mp4", "%", "_ne.mp4", "mp4"])
def test_what_no_file_is_called_finds_nothing(db, given):
    assert list(runs.recordings(db, file=given)) == []


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (URL, "one.mp4"),
        ("/a/b%20c.webm", "b c.webm"),
        ("f-1", "f-1"),
        ("https://cdn/x/index.m3u8", None),
        ("https://cdn/", None),
        ("http://[broken/one.mp4", "one.mp4"),
    ],
)
def test_a_file_is_called_by_the_last_part_of_its_address(value, name):
    assert name_of(value) == name
