"""The HLS stream. Between ``started`` (the encoder runs) and the end it should become ``playable``."""

from __future__ import annotations

from tracker.lifecycle import ABSENT, Lifecycle
from tracker.record import Records
from tracker.step import BEGINS_A_RUN, IN_GOOD_ORDER, Step

URLS = ("playback_hls_url", "livestream_url", "downstream_url")


class Hls:
    meeting_id: str | None = None
    session_id: str | None = None
    id: str | None = None
    playback_hls_url: str | None = None
    livestream_url: str | None = None
    downstream_url: str | None = None
    message: str | None = None


LIFECYCLE = Lifecycle(
    name="hls",
    payload=Hls,
    optional_key=("id",),
    artefacts=URLS,
    reusable=True,
    contradicted="C502",
    shared="C508",
    deprecated={"downstream_url": "playback_hls_url"},
    after_end="X402",
    settled_after_end="D104",
    open_at_end="X403",
    records=Records(
        "/v2/hls",
        ids=("id", "composerId"),
        files=("playbackHlsUrl", "livestreamUrl", "downstreamUrl"),
        file_is_end=False,
    ),
    steps=(
        Step("starting", skipped="S201", restarted="S207", limit="stuck_starting", overdue="T301"),
        Step(
            "started",
            skipped="S202",
            orphan=BEGINS_A_RUN,
            limit="not_playable",
            overdue="T311",
            awaits="playable",
            stalls=False,
        ),
        Step("playable", missed="S204", orphan=BEGINS_A_RUN, brings=URLS),
        Step("stopping", skipped="S203", unasked=True, orphan="S205", limit="stuck_stopping", overdue="T302"),
        Step("stopped", closes=True, orphan="S205", outcome=IN_GOOD_ORDER),
        Step("failed", closes=True, orphan="S206", outcome="S210"),
    ),
    table={
        ABSENT: ("starting",),
        "starting": ("started", "failed"),
        "started": ("playable", "stopping", "failed"),
        "playable": ("stopping", "failed"),
        "stopping": ("stopped", "failed"),
        "stopped": ("starting",),
        "failed": ("starting",),
    },
)
