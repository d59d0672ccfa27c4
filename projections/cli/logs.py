"""Opening the logs that a command names, and noting what is odd about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from projections.cli.messages import deliveries, note, quantity, raise_all
from tracker.errors import TrackerError

if TYPE_CHECKING:
    from projections.audit.auditing import Logs
    from projections.cli.settings import Settings
    from projections.views.follow import Views
    from tracker.delivery.signature import Keyring
    from tracker.intake.logs import Oddities
    from tracker.intake.progress import Ingested
    from tracker.store.application import Tracker


MOST_COMPARED = 20
"""Copies that are compared with what they are copies of."""
MOST_SHAPES = 4
"""Shapes of the lines of a log that are named."""


def open_logs(
    paths: Iterable[str],
    settings: Settings,
    keys: Mapping[str | None, Keyring],
    stopping: Callable[[], bool] | None = None,
    *,
    follow: bool = False,
    account: str | None = None,
) -> tuple[list[Any], list[TrackerError]]:
    """The logs, and an error for each one that cannot be opened. With ``stopping``, a pipe may pause."""
    from tracker.intake.logs import STDIN, Log
    from tracker.intake.sources import sources

    how = keys, settings.zone, settings.fields, account
    opened, complaints = list[Log](), list[TrackerError]()
    for path in paths:
        try:
            if stopping is None or (path != STDIN and not follow):
                opened.extend(sources(path, *how))
            else:
                from tracker.intake.tail import Followed, Pipe

                opened.append((Followed if follow else Pipe)(path, *how, stopping=stopping))
        except TrackerError as error:
            complaints.append(error)
    if not opened:
        raise_all(complaints)
    return opened, complaints


def open_webhooks(
    paths: Iterable[str], settings: Settings, keys: Mapping[str | None, Keyring]
) -> tuple[list[Any], list[TrackerError]]:
    """The logs to judge, and an error for each one that cannot be opened or has no webhook."""
    from tracker.intake.logs import refuse_no_webhooks

    opened, complaints = open_logs(paths, settings, keys)
    found = []
    for log in opened:
        try:
            refuse_no_webhooks(log)
            found.append(log)
        except TrackerError as error:
            complaints.append(error)
    if not found:
        raise_all(complaints)
    return found, complaints


def note_logs(read: Logs) -> list[TrackerError]:
    """Notes what its owner may not expect of each log that was read to be judged; an error for each, where all are empty."""
    from tracker.errors import LogError

    is_judged, complaints = any(odd.deliveries for odd in read.odd.values()), list[TrackerError]()
    for name, odd in read.odd.items():
        note_oddities(name, odd)
        if odd.cut.count:
            note_incomplete(name, odd.cut.first, "not judged")
        if odd.deliveries or name in read.broken:
            continue
        empty = "no webhook is in it" if odd.cut.count or odd.beside.count else "the log is empty"
        hint = "nothing was judged; check that it is the log you mean, and that something still writes it"
        if is_judged:
            note(f"{name}: {empty}", hint)
        else:
            complaints.append(LogError(empty, place=name, hint=hint))
    return complaints


def note_incomplete(name: str, line: int, left: str) -> None:
    """Notes what became of a last line that is not complete."""
    note(
        f"{name}:{line}: the last line is incomplete, so it was {left}",
        "run the command again when the line is complete; if it is, end it with a newline",
    )


def note_oddities(name: str, odd: Oddities, what: str = "line", place: Callable[[int], str] = str) -> None:
    """Notes what its owner may not expect of a log that was read, or of something else that has no lines but ``what``."""
    shapes = sorted(odd.shapes.items(), key=lambda one: -one[1])
    for shape, count in shapes[:MOST_SHAPES]:
        lines = "" if count == odd.deliveries else f"{count:,} of {quantity(odd.deliveries, what)}: "
        note(f"{name}: {lines}{shape}", "if that is wrong, say where they are: --webhook-field, --time-field")
    if more := shapes[MOST_SHAPES:]:
        lines = quantity(sum(count for _, count in more), what)
        note(
            f"{name}: {lines} in {quantity(len(more), 'more shape')}",
            "if they should be one, say where webhook and time are: --webhook-field, --time-field",
        )
    for oddity, one, many, hint in (
        (
            odd.malformed,
            "is malformed",
            "are malformed",
            "write one JSON object on each line; once stored, tracker timeline unrouted shows such lines",
        ),
        (
            odd.untyped,
            "has no webhookType",
            "have no webhookType",
            "check that it is the log you mean; if so, say where the webhook is by --webhook-field",
        ),
        (
            odd.flat,
            "has no data: its fields stand beside its type",
            "have no data: their fields stand beside their types",
            'put them into an object, as VideoSDK sends it: {"webhookType": …, "data": {"sessionId": …}}',
        ),
        (
            odd.unread_time,
            "has a receive time that cannot be read",
            "have a receive time that cannot be read",
            "write ISO 8601 or an epoch, or name another field by --time-field; without a time, what rests on it stays undecided",
        ),
        (
            odd.timeless,
            "has no receive time",
            "have no receive time",
            "log one with each webhook, as received_at; without it, what rests on time stays undecided unless you judge --as-of end",
        ),
        (
            odd.unclear,
            "is not read as a webhook",
            "are not read as webhooks",
            "say which one it is by --webhook-field",
        ),
        (
            odd.zoneless,
            "has a receive time that names no zone",
            "have receive times that name no zone",
            "if they are in another one, say so by --tz",
        ),
    ):
        if oddity.count:
            which = _share(oddity.count, odd.deliveries, what)
            example = f" ({oddity.example})" if oddity.example else ""
            words = one if oddity.count == 1 else many
            note(f"{name}: {which} {words}; the first is {what} {place(oddity.first)}{example}", hint)
    if odd.beside.count:
        note(
            f"{name}: {quantity(odd.beside.count, what)} without a webhook {_were(odd.beside.count)} passed over;"
            f" the first is {what} {place(odd.beside.first)}",
            "this is a text with webhooks in it; if one of these lines should be a webhook, log it as JSON",
        )


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _share(count: int, of: int, what: str) -> str:
    if count == of:
        return f"the only {what}" if of == 1 else f"all {what}s"
    return f"{count:,} of {quantity(of, what)}"


def note_read_before(store: Tracker, views: Views, account: Ingested) -> None:
    """Notes that a part of a log had been stored before, of another log: what a log begins with is recognised, no other part."""
    from projections.read_models.findings import copies

    found = copies(views.db, account.first, account.last) if account.last else []
    if any(_is_the_same(store, position, before) for position, before in found[:MOST_COMPARED]):
        new = account.stored - len(found)
        name = account.log.name
        note(
            f"{name}: {deliveries(len(found))} look like those of another log: {_new(new)}",
            f"a copy changes no state; tracker withdraw {name} takes all of this log back",
        )


def _new(most: int) -> str:
    """How many are new at most."""
    return (
        f"at most {quantity(most, 'other one')} {'is' if most == 1 else 'are'} new"
        if most > 0
        else "none is new"
    )


def _is_the_same(store: Tracker, position: int, before: list[int]) -> bool:
    """Whether a delivery came with the same bytes and time as an earlier one, and so not from VideoSDK once more."""
    own, *others = (store.page(one - 1, 1, one)[0][0] for one in (position, *before))
    return any((own.body, own.received_at) == (one.body, one.received_at) for one in others)
