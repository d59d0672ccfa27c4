"""``tracker simulate``: makes up logs of meetings, and may post them to a handler."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projections.cli.messages import note, quantity, say
from projections.cli.options import Number
from projections.cli.settings import Settings
from projections.cli.streams import written_to
from projections.cli.times import GivenTime, Moment, with_tz
from projections.progress import of_events
from tracker.errors import UsageError

if TYPE_CHECKING:
    from projections.progress import Progress
    from tracker.delivery.envelope import Received
    from tracker.simulate import Line


def _faults_beginning(begin: str) -> list[str]:
    from tracker.simulate.faults import FAULTS

    return [name for name in FAULTS if name.startswith(begin)]


@click.command()
@click.option(
    "--meetings", type=click.IntRange(min=0), default=100, show_default=True, help="The number of sessions."
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="A number; each seed gives other meetings."
)
@click.option(
    "--faults", type=Number(0, 1), show_default="0.05", help="The share of sessions with a fault, 0 to 1."
)
@click.option(
    "--habit",
    "habits",
    multiple=True,
    metavar="NAME",
    help="How meetings or delivery behave; may be repeated; `list` shows all.",
)
@click.option(
    "--fault",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=lambda _, __, begin: _faults_beginning(begin),
    help="Only this fault; may be repeated.",
)
@click.option(
    "--start",
    type=Moment(),
    show_default="2026-01-05",
    help="The time at which the log begins: 2026-11-23, yesterday, -2h.",
)
@click.option(
    "--cut",
    type=Number(min=0),
    default=0,
    metavar="SECONDS",
    help="Leave out the first SECONDS of the log.",
)
@click.option("--stable-urls", is_flag=True, help="Give all HLS runs of a room the same playback URL.")
@click.option("--subscribed", is_flag=True, help="Subscribe to every webhook type, even in a long log.")
@click.option(
    "--out", metavar="FILE", show_default="stdout", help="The file of the log; compressed if it ends in .gz."
)
@click.option(
    "--truth", type=click.Path(path_type=Path), help="The file to write the truth about each session to."
)
@click.option(
    "--vendor",
    type=click.Path(path_type=Path),
    help="The file to write VideoSDK's own records to, for tracker reconcile --from.",
)
@click.option("--send", "url", metavar="URL", help="Post the webhooks to this handler, in order.")
@click.option("--key", type=click.Path(path_type=Path), help="Sign them with this RSA key (PEM).")
@click.option(
    "--speed",
    type=Number(min=0, min_open=True),
    show_default="without waiting",
    help="60 sends an hour of the log in a minute.",
)
@click.option("--list", "listed", is_flag=True, help="List the faults.")
@with_tz
def simulate(
    meetings: int,
    seed: int,
    faults: float | None,
    habits: tuple[str, ...],
    names: tuple[str, ...],
    start: GivenTime | None,
    cut: float,
    stable_urls: bool,
    subscribed: bool,
    out: str | None,
    truth: Path | None,
    vendor: Path | None,
    url: str | None,
    key: Path | None,
    speed: float | None,
    listed: bool,
) -> None:
    """Make up a log of meetings with known faults.

    Use it to try out a handler or an audit. The same arguments give the same log.

    --truth writes one line a session: the faults it has, the lines they touched, the codes that would be a
    right answer, and the states and times that must come out. --habit says how the meetings or their delivery
    behave; where that means two receivers, each writes a log of its own. --vendor writes what VideoSDK's REST API would
    say of the meetings, whether or not their webhooks came.
    """
    from tracker.simulate import START
    from tracker.simulate import simulate as lines_of
    from tracker.simulate.faults import FAULTS
    from tracker.simulate.habits import HABITS

    if "list" in habits:
        for habit in HABITS.values():
            click.echo(f"{habit.name:<14}  {habit.kind:<8}  {habit.summary}")
        return
    if listed:
        for fault in FAULTS.values():
            click.echo(f"{fault.name:<23}  {fault.kind:<8}  {' '.join(fault.codes):<14}  {fault.summary}")
        return
    if (url is None) != (key is None):
        hint = "VideoSDK signs what it sends: openssl genrsa -out key.pem 2048 makes a key"
        raise UsageError("--send and --key need each other", hint=hint)
    lines = lines_of(
        meetings,
        seed,
        faults,
        names,
        Settings(None, None).moment(start) or START,
        () if subscribed else None,
        cut=cut,
        stable_urls=stable_urls,
        habits=habits,
    )
    logs = _logs_of(out if out or url else "-", max([1, *(HABITS[name].receivers for name in habits)]))
    with of_events("simulating") as progress, _simulated(lines, logs, truth, vendor) as made:
        webhooks = (line.received for line in _by_meeting(made, progress, meetings))
        if url is None or key is None:
            for _ in webhooks:
                pass
        else:
            _send(webhooks, url, key, speed)


def _by_meeting(lines: Iterable[Line], progress: Progress, meetings: int) -> Iterator[Line]:
    done = 0
    for line in lines:
        done += line.last
        progress(done, meetings)
        yield line


def _logs_of(out: str | None, receivers: int) -> list[str]:
    """Where each receiver's log goes: to one place, or to ``day-1.jsonl`` and ``day-2.jsonl``."""
    if out is None:
        return []
    if receivers == 1 or out == "-":
        return [out]
    path = Path(out)
    name, dot, suffixes = path.name.partition(".")
    return [str(path.with_name(f"{name}-{number}{dot}{suffixes}")) for number in range(1, receivers + 1)]


@contextmanager
def _simulated(
    lines: Iterable[Line], outs: list[str], truth: Path | None, vendor: Path | None
) -> Iterator[Iterator[Line]]:
    """Writes each line as it passes, the truth about a session after its last line, and all records in the end."""
    from tracker.delivery.envelope import encode
    from tracker.simulate import as_json
    from tracker.simulate.vendor import Lists

    lists = Lists()
    with ExitStack() as files:
        logs = [files.enter_context(written_to(out)) for out in outs]
        beside = files.enter_context(written_to(str(truth))) if truth else None
        records = files.enter_context(written_to(str(vendor))) if vendor else None

        def written() -> Iterator[Line]:
            for line in lines:
                if logs:
                    logs[min(line.receiver, len(logs) - 1)].write(encode(line.received) + b"\n")
                yield line
                if beside and line.last and line.truth:
                    beside.write(as_json(line.truth) + b"\n")
                if records and line.draft is not None:
                    lists.add(line.draft)
            if records:
                records.write(lists.as_json())

        yield written()


def _send(webhooks: Iterable[Received], url: str, key: Path, speed: float | None) -> None:
    from projections.exports.send import send, signer

    sent = send(webhooks, url, signer(key), speed)
    say(f"{url}: {quantity(sent.posted, 'webhook')} posted, {sent.refused:,} not accepted")
    if sent.again:
        hint = "the handler may have received them twice"
        again = "1 webhook was" if sent.again == 1 else f"{sent.again:,} webhooks were"
        note(f"{url}: {again} sent again, because the connection broke before the answer", hint)
    if sent.refused:
        hint = "a handler must answer every webhook with a 2xx, or VideoSDK sends it again"
        refused = "1 webhook was" if sent.refused == 1 else f"{sent.refused:,} webhooks were"
        raise UsageError(
            f"{refused} not accepted; the first was webhook {sent.first_refusal}", place=url, hint=hint
        )
