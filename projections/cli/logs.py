"""Opening the logs that a command names, and noting what is odd about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from projections.cli.messages import lines, note, raise_all
from tracker.errors import TrackerError

if TYPE_CHECKING:
    from tracker.logs import Oddities
    from tracker.signature import Keyring


def open_logs(
    paths: Iterable[str],
    keys: Keyring | None,
    stopping: Callable[[], bool] | None = None,
    *,
    follow: bool = False,
) -> tuple[list[Any], list[TrackerError]]:
    """The logs, and an error for each one that cannot be opened. With ``stopping``, a pipe may pause."""
    from tracker.logs import STDIN, Log
    from tracker.tail import Followed, Pipe

    opened, complaints = [], list[TrackerError]()
    for path in paths:
        try:
            if stopping is None or (path != STDIN and not follow):
                opened.append(Log(path, keys))
            else:
                opened.append((Followed if follow else Pipe)(path=path, keys=keys, stopping=stopping))
        except TrackerError as error:
            complaints.append(error)
    if not opened:
        raise_all(complaints)
    return opened, complaints


def note_oddities(name: str, odd: Oddities) -> None:
    """Notes what its owner may not expect of a log that was read."""
    for oddity, words, hint in (
        (odd.malformed, "cannot be read as a webhook", "they are kept; tracker timeline unrouted shows them"),
        (
            odd.untyped,
            "have no webhookType",
            "the webhook stands in webhook, payload, body or event; see the README",
        ),
        (
            odd.unread_time,
            "have a receive time that is none",
            "write ISO 8601 or an epoch; without, time decides nothing",
        ),
        (
            odd.timeless,
            "have no receive time",
            "what rests on time stays undecided; see the README on envelopes",
        ),
    ):
        if oddity.count:
            which = (
                "all lines"
                if oddity.count == odd.deliveries
                else f"{oddity.count:,} of {lines(odd.deliveries)}"
            )
            example = f", {oddity.example}" if oddity.example else ""
            note(f"{name}: {which} {words}; the first is line {oddity.first}{example}", hint)
