"""``/unrouted``: what came and belongs to no session, the newest first."""

from __future__ import annotations

from projections.web import answers, parameters
from projections.web.mount import url
from projections.web.pages.html import moment
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot

LIMIT = 50
PARAMETERS = (parameters.whole("page", "The page, from the newest on.", most=1_000_000, default=1),)


def fill(of: Snapshot, asked: Values) -> Values:
    number = asked["page"]
    moments = answers.timeline(
        of, {"session": "unrouted", "cursor": None, "limit": of.tracker.last_position() + 1}
    )["items"]
    moments.reverse()
    begin = (number - 1) * LIMIT
    return {
        "title": "Unrouted",
        "position": of.checkpoint.position,
        "rows": [{**one, "time": moment(one["received_at"])} for one in moments[begin : begin + LIMIT]],
        "number": len(moments),
        "first": number == 1,
        "newer": url("unrouted", page=number - 1) if number > 1 else None,
        "older": url("unrouted", page=number + 1) if len(moments) > begin + LIMIT else None,
    }
