"""The ``tracker`` command. Data goes to stdout, everything else to stderr.

Exit codes: 0 fine, 1 the audit found something (audit only), 2 it cannot be done as asked, 3 the
store is out of reach or damaged. The imports stand in the commands, so that help comes at once.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import click

from projections.progress import counted, of_bytes, of_events, of_logs
from tracker.errors import NotFoundError, StoreError, StoreMissingError, TrackerError, UsageError

if TYPE_CHECKING:
    from projections.audit.auditing import Audit, Elsewhere, Logs
    from projections.audit.found import Findings
    from projections.explain.calibrate import Calibration
    from projections.progress import Progress
    from projections.reports.places import Place
    from projections.views.diff import Summary as DiffSummary
    from projections.views.follow import Views
    from projections.views.live import Live
    from tracker.delivery.envelope import Received
    from tracker.delivery.signature import Keyring
    from tracker.delivery.webhook import Delivery
    from tracker.findings import Code, Finding
    from tracker.intake.ingest import Ingested, Known, Rehearsal
    from tracker.intake.logs import Oddities
    from tracker.rules import Config, Rules
    from tracker.simulate import Line
    from tracker.store.application import Tracker
    from tracker.store.ranges import Hole

DEFAULT_DATA = "./tracker-data"
STORE = "tracker.store"
"""Where a context keeps --store."""
TEXT = "text"
MACHINE = ("json", "ndjson", "csv")
OF_CI = ("junit", "github")
LEVELS = ("info", "warning", "error")
F = TypeVar("F", bound=Callable[..., Any])


def main(arguments: list[str] | None = None) -> None:
    """Runs the command and ends the process with its exit code."""
    _open_closed_streams()
    os.umask(0o077)  # whatever is written holds names of people
    atexit.register(gc.freeze)  # all goes with the process, so its end needs not wait for the collector
    try:
        code = tracker.main(arguments, prog_name="tracker", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "tracker"
        code = _complain(error.format_message(), f"{command} --help", 2)
    except click.Abort:
        code = _complain("interrupted", "what was committed is kept; run it again to go on", 130)
    except TrackerError as error:
        code = _complain(str(error), error.hint, error.exit_code)
    except OSError as error:
        code = _complain(str(error), "check the disk and the permissions", 3)
    sys.exit(code or 0)


def _open_closed_streams() -> None:
    """Without a stream there is nobody to read or be told; the work is done all the same."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until exit


def _complain(message: str, hint: str, code: int) -> int:
    click.echo(f"error: {_one_line(message)}", err=True)
    if hint:
        click.echo(f"hint: {_one_line(hint)}", err=True)
    return code


def _one_line(message: str) -> str:
    return "".join(char if char.isprintable() else " " for char in message)


def with_store(command: F) -> F:
    """The options that say which store, before or after the command's name."""
    for option in (
        click.option("--config", type=click.Path(path_type=Path), help="A tracker.toml (./tracker.toml)."),
        click.option("--data", type=click.Path(path_type=Path), help=f"Where the store is ({DEFAULT_DATA})."),
        click.option(
            "--store",
            metavar="URL",
            expose_value=False,
            callback=_keep,
            help="The PostgreSQL database that the events are in; --data keeps the read models.",
        ),
    ):
        command = option(command)
    return command


def _keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Every command knows the option, and only ``Settings`` asks for it."""
    if value is not None:
        ctx.meta[STORE] = value


class Name(click.ParamType[str]):
    """An id, as text."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if any("\ud800" <= char <= "\udfff" for char in text):
            self.fail("it is not UTF-8", param, ctx)
        return text


class Time(click.ParamType[datetime]):
    """A moment: ISO 8601 (UTC where it names no zone) or an epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from tracker.delivery.envelope import parse_time

        time = parse_time(str(value))
        if time is None:
            self.fail(f"{value!r} is no time; write 2026-11-23T09:00:00Z", param, ctx)
        return time


class AsOf(click.ParamType[datetime]):
    """A moment to judge as of: a time, ``now``, ``end`` (all has passed), or an age like ``-2h``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from datetime import UTC

        from projections.given import moment

        try:
            return moment(str(value), datetime.now(UTC))
        except UsageError as error:
            self.fail(f"{error}; {error.hint}", param, ctx)


@contextmanager
def _until_nobody_reads() -> Iterator[None]:
    """A reader that has had enough, like ``head``, is not an error, whatever the exit code would have been."""
    try:
        yield
    except BrokenPipeError as error:
        # Nothing may be left that would be flushed to the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(0) from error


class _Command(click.Group):
    """The group of all commands."""

    def make_context(self, *given: Any, **named: Any) -> click.Context:
        with _until_nobody_reads():  # it prints the help
            return super().make_context(*given, **named)

    def invoke(self, ctx: click.Context) -> Any:
        with _until_nobody_reads():
            try:
                done = super().invoke(ctx)
            except SystemExit:
                sys.stdout.flush()
                raise
            sys.stdout.flush()
        return done


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@with_store
@click.version_option(package_name="meeting-tracker", prog_name="tracker")
@click.pass_context
def tracker(ctx: click.Context, data: Path | None, config: Path | None) -> None:
    """Replay any meeting. See what never should have happened.

    Webhooks of VideoSDK meetings go into an event store; the state of every session, now or in the
    past, and everything that is wrong with it are folded from there.

    TRACKER_DATA, TRACKER_STORE and TRACKER_CONFIG stand for --data, --store and --config, TRACKER_KEYS,
    TRACKER_TOKEN, TRACKER_TOKEN_FILE and TRACKER_ALLOW_HOST for --key, --token, --token-file and --allow-host.
    """
    ctx.obj = {"data": data, "config": config}


class Settings:
    """Where the store is and by which rules to judge: flags over environment over file."""

    def __init__(self, data: Path | None, config: Path | None, rules: Path | None = None) -> None:
        context = click.get_current_context()
        outer = context.find_root().obj or {}
        config = config or outer.get("config") or _path(os.environ.get("TRACKER_CONFIG"))
        if config is None and Path("tracker.toml").exists():
            config = Path("tracker.toml")
        self._config, self._rules = config, rules
        self.accept_in: Path | None = None
        """The file whose [[accept]] is in force."""
        self._data = data or outer.get("data") or _path(os.environ.get("TRACKER_DATA"))
        self._store = context.meta.get(STORE) or os.environ.get("TRACKER_STORE")

    @cached_property
    def _stated(self) -> Config:
        from tracker.rules import Config, load_config

        return load_config(self._config) if self._config is not None else Config()

    @property
    def data(self) -> Path:
        return self._data or self._stated.data or Path(DEFAULT_DATA)

    @property
    def url(self) -> str | None:
        """The address of the store where it is on a server."""
        return self._store or self._stated.store

    @cached_property
    def rules(self) -> Rules:
        """The rules of ``--rules``, with what that file accepts or else what tracker.toml does."""
        from tracker.accept import refuse_unknown_lifecycles
        from tracker.lifecycles import REGISTRY
        from tracker.rules import load_config

        rules, self.accept_in = self._stated.rules, self._config
        if self._rules is not None:
            given = load_config(self._rules).rules
            self.accept_in = self._rules if given.accept else self._config
            rules = given.or_accept(rules.accept)
        try:
            refuse_unknown_lifecycles(rules.accept, REGISTRY)
        except TrackerError as error:
            error.place = str(self.accept_in)
            raise
        return rules

    def load_rules(self) -> Rules:
        """The rules as they are in their file by now."""
        self.__dict__.pop("_stated", None)
        self.__dict__.pop("rules", None)
        return self.rules

    def keyring(self, given: tuple[Path, ...] = ()) -> Keyring | None:
        """The keys to verify signatures with, ``None`` where no file of them is named."""
        environment = os.environ.get("TRACKER_KEYS", "")
        paths = given or tuple(map(Path, filter(None, environment.split(os.pathsep)))) or self._stated.keys
        if not paths:
            return None
        from tracker.delivery.signature import Keyring

        return Keyring(paths)

    @contextmanager
    def store(self, *, create: bool = False) -> Iterator[Tracker]:
        from tracker.store.application import Tracker

        with Tracker.open(self.data, self.url, create=create) as opened:
            yield opened

    @contextmanager
    def store_if_there(self) -> Iterator[Tracker | None]:
        from tracker.store.application import Tracker

        try:
            opened = Tracker.open(self.data, self.url)
        except StoreMissingError:
            yield None
            return
        with opened:
            yield opened

    @contextmanager
    def views(self, store: Tracker) -> Iterator[Views]:
        """The read models, caught up with the store."""
        from projections.views.follow import Views

        with of_events("judging") as progress:
            views = Views.open(store, self.rules, progress)
        with views:
            yield views


def with_keys(command: F) -> F:
    """The files of public keys."""
    words = "Verify signatures with this public key (PEM, or JSON as VideoSDK serves it); may be repeated."
    return click.option("--key", "keys", type=click.Path(path_type=Path), multiple=True, help=words)(command)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


@tracker.command(short_help="Append what is new in logs, then judge it.")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option(
    "--follow", is_flag=True, help="Go on when the LOG grows and when it is rotated, until Ctrl-C or SIGTERM."
)
@click.option("--force", is_flag=True, help="Store also a LOG of which most lines are no webhooks.")
@click.option("--dry-run", "dry_run", is_flag=True, help="Only say what would be stored.")
@with_keys
@with_store
def ingest(
    logs: tuple[str, ...],
    follow: bool,
    force: bool,
    dry_run: bool,
    keys: tuple[Path, ...],
    data: Path | None,
    config: Path | None,
) -> None:
    """Append what is new in each LOG (JSON lines, .gz, .zst, or - for stdin), then judge it.

    A log may be given again at any time: what was read before is recognised, also when the file has
    grown, was renamed or packed. Of a pipe that is left open (-) and of a LOG with --follow, what came
    is stored and judged after a second in which no more came.
    """
    from projections.views.accepting import refuse_loss
    from tracker.intake.ingest import known_logs
    from tracker.intake.tail import files

    if follow and (len(logs) > 1 or "-" in logs):
        hint = "start one for each file; of a pipe, - is enough"
        raise UsageError("--follow takes one LOG, which is a file", hint=hint)
    if follow and dry_run:
        raise UsageError("--dry-run comes to an end, --follow does not", hint="leave out one of them")
    settings = Settings(data, config)
    ring = settings.keyring(keys)
    with _stopping(heed=follow or "-" in logs) as stopping:
        opened, complaints = _open_logs(logs, ring, stopping, follow=follow)
        if not force:
            opened = _without_other_files(settings, opened, complaints)
        if dry_run:
            _rehearse(settings, opened, complaints)
            return
        with settings.store(create=True) as store, ExitStack() as stack:
            refuse_loss(store)
            judging = _Judging(settings, store, stack)
            known = known_logs(store)
            for log in files(opened[0]) if follow else opened:
                complaints.extend(_ingest(store, log, known, judging.catch_up))
                if complaints and isinstance(complaints[-1], StoreError):
                    _raise_all(complaints)
            views = judging.catch_up()
            gone = store.withdrawn()
            events = views.checkpoint.position - len(gone) - gone.events
            ((sessions,),) = views.connection.execute("SELECT COUNT(*) FROM sessions").fetchall()
            withdrawn = f", and {len(gone):,} withdrawn ones" if gone else ""
            click.echo(f"{store.owner}: {events:,} events, {sessions:,} sessions{withdrawn}")
    _raise_all(complaints)


def _without_other_files(settings: Settings, logs: list[Any], complaints: list[TrackerError]) -> list[Any]:
    """The logs that look like some; no store is made for a file that does not."""
    from tracker.intake.ingest import known_logs, refuse_other_file

    with settings.store_if_there() as store:
        known = known_logs(store) if store else {}
    found = []
    for log in logs:
        try:
            refuse_other_file(log, known)
            found.append(log)
        except TrackerError as error:
            complaints.append(error)
    if not found:
        _raise_all(complaints)
    return found


def _rehearse(settings: Settings, logs: list[Any], complaints: list[TrackerError]) -> None:
    from tracker.intake.ingest import Rehearsal, known_logs

    with settings.store_if_there() as store:
        rehearsal = Rehearsal(store)
        known = known_logs(rehearsal)
        for log in logs:
            complaints.extend(_ingest(rehearsal, log, known, lambda: None, stored="would be stored"))
    if rehearsal.deliveries:
        words = f"{rehearsal.sessions:,} session{'s' * (rehearsal.sessions != 1)}"
        first, last = rehearsal.first, rehearsal.last
        if first and last:
            words += f", {first:%Y-%m-%d %H:%M:%S} UTC to {last:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(words)
    for webhook_type, count in rehearsal.types.most_common():
        click.echo(f"{count:>7,}  {_one_line(webhook_type)}")
    click.echo("nothing was stored")
    _raise_all(complaints)


class _Judging:
    """The read models while logs are read: opened when they are first wanted."""

    def __init__(self, settings: Settings, store: Tracker, stack: ExitStack) -> None:
        self._settings, self._store, self._stack = settings, store, stack
        self._views: Views | None = None

    def catch_up(self) -> Views:
        if self._views is None:
            self._views = self._stack.enter_context(self._settings.views(self._store))
        else:
            self._views.catch_up(self._store)
        return self._views


@contextmanager
def _stopping(*, heed: bool) -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come; a second one has its usual effect, and so has each if not to ``heed``."""
    from signal import SIGINT, SIGTERM, getsignal, signal

    came: list[int] = []
    before = {number: getsignal(number) for number in (SIGINT, SIGTERM)} if heed else {}

    def restore() -> None:
        for number, handler in before.items():
            signal(number, handler)

    def stop(number: int, _: object) -> None:
        came.append(number)
        restore()

    for number in before:
        signal(number, stop)
    try:
        yield lambda: bool(came)
    finally:
        restore()


def _ingest(
    store: Tracker | Rehearsal,
    log: Any,
    known: Known,
    catch_up: Callable[[], object],
    stored: str = "stored",
) -> Iterator[TrackerError]:
    """Reads one log into the store and tells what became of it; yields what went wrong."""
    from tracker.intake.ingest import ingest as read_into

    account, broken = None, None
    try:
        with of_bytes(log) as progress:
            for account in read_into(store, log, known):
                progress(log.consumed)
                if account.pausing:
                    catch_up()
    except TrackerError as error:
        broken = error
    if account is not None and (account.read or broken is None):
        click.echo(_account(account, stored))
        _remarks(account)
        _remark_on_withdrawn(store, account)
        if account.too_long:
            yield _too_long(account)
    if broken is not None:
        yield broken


def _open_logs(
    paths: Iterable[str],
    keys: Keyring | None,
    stopping: Callable[[], bool] | None = None,
    *,
    follow: bool = False,
) -> tuple[list[Any], list[TrackerError]]:
    """The logs, and what is wrong with those that cannot be opened; with ``stopping``, a pipe may have pauses."""
    from tracker.intake.logs import STDIN, Log
    from tracker.intake.tail import Followed, Pipe

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
        _raise_all(complaints)
    return opened, complaints


def _raise_all(complaints: list[TrackerError]) -> None:
    """Tells every error, and ends with the gravest."""
    for error in complaints[:-1]:
        _complain(str(error), error.hint, error.exit_code)
    if complaints:
        last = complaints[-1]
        last.exit_code = max(error.exit_code for error in complaints)
        raise last


def _account(account: Ingested, stored: str) -> str:
    words = [
        f"{account.read:,} read",
        f"{account.stored:,} {stored}",
        f"{account.already_there:,} already there",
    ]
    words.append(f"{account.unrouted:,} unrouted")
    if account.blank:
        words.append(f"{account.blank:,} blank")
    if account.last:
        words.append(f"at positions {account.first:,} to {account.last:,}")
    return f"{account.log.name}: {', '.join(words)}"


def _remarks(account: Ingested) -> None:
    name = account.log.name
    if not account.read and not account.cut:
        _remark(f"{name}: is empty", "nothing was stored; check that it is the log you mean")
    _remark_on(name, account.odd)
    if account.cut:
        _remark(
            f"{name}:{account.cut}: the last line is not finished and was left for the next run",
            "run it again when the line is complete; end it with a newline to have it stored as it is",
        )


def _remark_on_withdrawn(store: Tracker | Rehearsal, account: Ingested) -> None:
    """Of a log that is there already, nobody would see that it does not count."""
    if account.already_there and account.log.name in store.withdrawn().sources:
        hint = f"tracker withdraw --undo {account.log.name}"
        _remark(f"{account.log.name}: what is there of it was withdrawn, and does not count", hint)


def _remark_on(name: str, odd: Oddities) -> None:
    """What is worth a word about a log: it was read, and perhaps not as its owner thinks."""
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
                else f"{oddity.count:,} of {_lines(odd.deliveries)}"
            )
            example = f", {oddity.example}" if oddity.example else ""
            _remark(f"{name}: {which} {words}; the first is line {oddity.first}{example}", hint)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _too_long(account: Ingested) -> TrackerError:
    from tracker.errors import LogError
    from tracker.intake.logs import MAX_LINE

    first, more = account.too_long[0], len(account.too_long) - 1
    return LogError(
        f"the line has {first.too_long:,} bytes, of which only the beginning was stored"
        + (f"; {more} more lines are too long" if more else ""),
        place=f"{account.log.name}:{first.number}",
        hint=f"no webhook has more than {MAX_LINE:,} bytes: a newline is missing there",
    )


def _remark(message: str, hint: str) -> None:
    click.echo(f"note: {_one_line(message)}\nhint: {_one_line(hint)}", err=True)


@tracker.command(short_help="Take a log back that was stored by mistake.")
@click.argument("log", required=False)
@click.option("--from", "first", type=click.IntRange(min=1), metavar="POSITION", help="Only from there.")
@click.option("--to", "last", type=click.IntRange(min=1), metavar="POSITION", help="Only up to there.")
@click.option("--undo", is_flag=True, help="Let it count again.")
@with_store
def withdraw(
    log: str | None,
    first: int | None,
    last: int | None,
    undo: bool,
    data: Path | None,
    config: Path | None,
) -> None:
    """Let the deliveries that came from LOG count no longer; nothing is deleted.

    LOG is the name that was given to `tracker ingest`. An event says that it was withdrawn, and all that is
    derived is made anew without it: sessions, findings, exports. What is read later from a log of the same
    name counts. Without LOG, --from and --to mean all deliveries between them, whatever they came from.
    """
    from datetime import UTC

    from tracker.intake.withdrawing import withdraw as withdrawn

    settings = Settings(data, config)
    source = "stdin" if log == "-" else log
    with settings.store() as store:
        with of_events("looking") as progress:
            now = datetime.now(UTC)
            done = withdrawn(store, source, now, undo=undo, first=first, last=last, progress=progress)
        with settings.views(store):
            pass  # they are made anew, so nobody has to wait for that later
        of_what = f"{done.count:,} deliver{'ies' if done.count > 1 else 'y'}{f' of {source}' if source else ''}"
        click.echo(f"{store.owner}: {_one_line(of_what)} count {'again' if undo else 'no longer'}")


@tracker.command("init-store", short_help="Make the store, where there is none.")
@with_store
def init_store(data: Path | None, config: Path | None) -> None:
    """Make the store, where there is none. What is stored stays as it is.

    Whoever makes the tables of a PostgreSQL database owns them: `ingest` and `serve` make them too, but need
    less of a right where they are there.
    """
    settings = Settings(data, config)
    with settings.store(create=True) as store:
        click.echo(f"{store.owner}: {store.count():,} events")


@tracker.command("accept-loss", short_help="Go on although stored deliveries are gone.")
@with_store
def accept_loss(data: Path | None, config: Path | None) -> None:
    """Go on although the store lacks deliveries that the read models had seen.

    That they are gone, and when this was accepted, is recorded in the store, and their positions are not given
    again. The old read models are put aside beside the new ones: they still say what was known.
    """
    from projections.views.accepting import accept

    settings = Settings(data, config)
    with settings.store(create=True) as store:
        loss = accept(store)
        if loss is None:
            click.echo(f"{store.owner}: nothing is lost that the read models had seen")
            return
        click.echo(f"{store.owner}: {loss.recorded}")
        with settings.views(store) as views:
            aside = sorted(path.name for path in views.path.parent.glob(f"{views.path.name}.lost-*"))
        click.echo(f"the read models of before are kept in {', '.join(aside)}")


@tracker.command("mend-clock", short_help="Take back receive times of a wrong clock.")
@click.option(
    "--from", "first", type=click.IntRange(min=1), metavar="POSITION", help="The first one that is wrong."
)
@click.option(
    "--to", "last", type=click.IntRange(min=1), metavar="POSITION", help="The last one that is wrong."
)
@with_store
def mend_clock(first: int | None, last: int | None, data: Path | None, config: Path | None) -> None:
    """Take back the receive times that webhooks got from a wrong clock.

    Without options, those that lie ahead of the clock by now. What is stored stays as it is; that the times
    are wrong is recorded, and these deliveries are judged as such without a receive time.
    """
    from datetime import UTC

    from projections.views import clocks

    settings = Settings(data, config)
    with settings.store() as store:
        if first is None and last is None:
            with of_events("reading") as progress:
                ranges = list(clocks.ahead_of(store, datetime.now(UTC), progress))
        else:
            ranges = [clocks.named(store, first, last)]
        if not ranges:
            click.echo(f"{store.owner}: no receive time lies ahead of the clock")
            return
        clocks.take_back(store, ranges)
        count = sum(last - first + 1 for first, last in ranges)
        words = "1 receive time is" if count == 1 else f"{count:,} receive times are"
        places = ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in ranges)
        click.echo(f"{store.owner}: {words} taken back, at position {places}")
        with settings.views(store):
            pass  # they are made anew


@tracker.command(short_help="Copy a store into another one.")
@click.option(
    "--from", "source", metavar="STORE", required=True, help="A data directory, or the URL of a database."
)
@click.option("--to", "target", metavar="STORE", required=True, help="Likewise; made where there is none.")
def copy(source: str, target: str) -> None:
    """Copy every event of a store into another one, at the position it has, and compare both.

    Give the same command again whenever you like: a copy that broke off goes on, and what was stored since
    is added. The read models are not copied: they are made anew where they are wanted.
    """
    from tracker.intake.copying import copy as copied
    from tracker.store.application import POSTGRES, Tracker

    def opened(place: str, *, create: bool) -> Tracker:
        if place.startswith(POSTGRES):
            return Tracker.open(Path(), place, create=create)
        if "://" in place:
            hint = "give a directory, or postgresql://USER@HOST/DATABASE"
            raise UsageError("--from and --to name no store", hint=hint)
        return Tracker.open(Path(place), create=create)

    with opened(source, create=False) as here, opened(target, create=True) as there:
        with of_events("copying") as progress:
            done = copied(here, there, progress)
        counts = f"{done.events:,} events copied, {done.already_there:,} already there"
        click.echo(f"{there.owner}: {counts}, all equal to those of {here.owner}")


@tracker.command(short_help="Receive webhooks by HTTP, and answer.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: a free one.")
@with_keys
@click.option("--insecure-no-verify", "insecure", is_flag=True, help="Store what comes, whoever sent it.")
@click.option("--token", help="What pages and API ask for; whoever sees the processes sees it.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A file that holds it.")
@click.option(
    "--allow-host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name to answer under beside localhost and its address; may be repeated.",
)
@click.option(
    "--role",
    type=click.Choice(["all", "receiver", "reader"]),
    default="all",
    show_default=True,
    help="receiver: only store what comes. reader: only answer.",
)
@with_store
def serve(
    host: str,
    port: int,
    keys: tuple[Path, ...],
    insecure: bool,
    token: str | None,
    token_file: Path | None,
    hosts: tuple[str, ...],
    role: str,
    data: Path | None,
    config: Path | None,
) -> None:
    """Receive signed webhooks at POST /webhooks, and keep the state of every session.

    A webhook is answered with 204 once it is stored. SIGTERM stops gently, a second signal at once;
    SIGHUP reads the keys and the rules again. Any number of receivers and readers may share one store.
    """
    from projections.web import logs, server
    from projections.web.app import create_app, receiver_and_follower
    from projections.web.connections import MOST_CONNECTIONS, files_at_most, most_connections
    from projections.web.tokens import read_token

    settings = Settings(data, config)
    token = read_token(token, token_file, os.environ)
    hosts = (host, *(hosts or _listed(os.environ.get("TRACKER_ALLOW_HOST", ""))))
    if role == "reader" and (keys or insecure):
        raise UsageError("a reader receives nothing", hint="--key and --insecure-no-verify are for receivers")
    receives, answers = role != "reader", role != "receiver"
    ring = _keys_to_serve(settings, keys, insecure) if receives else None
    if not token and not server.is_loopback(host):
        hint = "give --token-file or TRACKER_TOKEN, or listen at 127.0.0.1 behind a proxy"
        raise UsageError("others reach this address, and there is no token", place=f"--host {host}", hint=hint)
    with settings.store(create=receives) as store, server.listen(host, port) as listening:
        handler = logs.start()
        receiver, live = receiver_and_follower(
            store, settings.load_rules, ring, receives=receives, answers=answers
        )
        _tell_software(store)
        click.echo(f"{store.owner}: serving at {server.url(listening)}", err=True)
        if receives and ring is None:
            _remark("no signature is verified: whoever reaches it can say anything", "give --key FILE")
        most = most_connections()
        if most < MOST_CONNECTIONS:
            few = f"{files_at_most()} files may be open, so there are {most} connections at most"
            _remark(f"{few} and not {MOST_CONNECTIONS:,}", "ulimit -n 4096, or LimitNOFILE=4096 in its unit")
        app = create_app(store, receiver, live, token=token, hosts=hosts, most_connections=most)
        server.serve(app, listening, handler, _reloader(ring, live))


def _listed(text: str) -> tuple[str, ...]:
    """What stands between the commas."""
    return tuple(filter(None, map(str.strip, text.split(","))))


def _tell_software(store: Tracker) -> None:
    """What keeps the events, for whoever has to find out what is wrong with them."""
    click.echo(f"{store.owner}: {store.software}", err=True)
    if store.fault:
        _remark(
            store.fault, "take a Python that brings SQLite 3.51.3 or newer; verify now and then, and back up"
        )


def _keys_to_serve(settings: Settings, keys: tuple[Path, ...], insecure: bool) -> Keyring | None:
    if insecure and keys:
        raise UsageError("--key and --insecure-no-verify contradict each other", hint="give one of them")
    ring = None if insecure else settings.keyring(keys)
    if ring is None and not insecure:
        hint = "give --key FILE with VideoSDK's public key; --insecure-no-verify stores what anybody sends"
        raise UsageError("there is no key to verify signatures with", hint=hint)
    return ring


def _reloader(ring: Keyring | None, live: Live | None) -> Callable[[], None]:
    """What SIGHUP does; a broken new file changes nothing, and the log says so."""
    from logging import getLogger

    log = getLogger("projections.cli")

    def reload() -> None:
        if live is not None:
            live.reload()
        try:
            if ring is not None:
                ring.reload()
                log.warning("the keys were read again", extra={"fields": {"keys": len(ring.keys)}})
        except TrackerError as error:
            fields = {"error": str(error), "hint": error.hint}
            log.error("the keys stay as they were", extra={"fields": fields})  # noqa: TRY400 - told in one line

    return reload


@tracker.command(short_help="The state of one session, now or in the past.")
@click.argument("session", type=Name())
@click.option("--as-of", type=AsOf(), help="The state as it was known then: a time, now, -2h or end.")
@click.option("--at", type=click.IntRange(min=1), help="The state right after this position.")
@click.option("--json", "as_json", is_flag=True, help="The whole status as one JSON document.")
@with_store
def status(
    session: str, as_of: datetime | None, at: int | None, as_json: bool, data: Path | None, config: Path | None
) -> None:
    """The state of one SESSION, now or in the past."""
    from projections.explain import status as values

    _one_past(as_of, at)
    settings = Settings(data, config)
    with settings.store() as store, settings.views(store) as views:
        known_until = _known_until(views, store, as_of, at)
        try:
            log = views.log
            found = store.status(session, as_of=known_until, at=at, rules=settings.rules, log=log)
        except NotFoundError as error:
            error.hint = _near(views, session) or error.hint
            raise
        moment = as_of if at is None else found.last_seen_at
        views.completed(found, moment)
    if as_json:
        from projections.exports import data as machine

        _write([machine.document(values.status(found))])
    else:
        from projections.reports import text

        text.status(text.console(sys.stdout), found, as_of)


def _one_past(as_of: datetime | None, at: int | None) -> None:
    if as_of is not None and at is not None:
        raise UsageError("--as-of and --at are two different pasts", hint="give one of them")


def _known_until(views: Views, store: Tracker, as_of: datetime | None, at: int | None) -> datetime | None:
    """The moment at which a session is looked at: now is the newest delivery of the store."""
    if at is not None and at > store.last_position():
        raise UsageError(
            f"the store ends at position {store.last_position()}", place=f"--at {at}", hint="give one of those"
        )
    return as_of if as_of is not None or at is not None else views.checkpoint.as_of


def _near(views: Views, given: str) -> str:
    """What somebody may have meant who named a session that is not there."""
    from projections.read_models.sessions import of_meeting

    ids = of_meeting(views.db, given)
    return f"{given} is a meeting; its sessions: {', '.join(ids[:5])}" if ids else ""


@tracker.command(short_help="The sessions, the one heard of last first.")
@click.option("--live", is_flag=True, help="Only sessions that have not ended.")
@click.option("--meeting", type=Name(), metavar="ID", help="Only sessions of this meeting.")
@click.option(
    "--finding", metavar="CODE", multiple=True, help="Only sessions with this finding; may be repeated."
)
@click.option("--since", type=Time(), help="Only sessions heard of since then.")
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_store
def sessions(
    live: bool,
    meeting: str | None,
    finding: tuple[str, ...],
    since: datetime | None,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """The sessions, the one heard of last first."""
    from projections.exports import data as machine
    from projections.read_models import text as stamp
    from projections.read_models.sessions import find
    from projections.reports import text

    codes = [_known_code(given).code for given in finding]
    settings = Settings(data, config)
    with settings.store() as store, settings.views(store) as views:
        rows = list(find(views.db, live=live, meeting=meeting, findings=codes, since=stamp(since)))
        if meeting is not None and not list(find(views.db, meeting=meeting)):
            raise NotFoundError("no such meeting", place=meeting, hint="tracker sessions lists what is there")
        if format == TEXT:
            text.sessions(text.console(sys.stdout), rows)
        else:
            _write(machine.write(rows, format))


@tracker.command(short_help="Every delivery of a session, and its reading.")
@click.argument("session", type=Name())
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_store
def timeline(session: str, format: Any, data: Path | None, config: Path | None) -> None:
    """Every delivery of a SESSION: what came, what it was, what is wrong with it.

    SESSION may also be `unrouted` (what belongs to no session) or `resource:ID`.
    """
    from projections.explain import status as values
    from projections.exports import data as machine
    from projections.reports import text

    settings = Settings(data, config)
    with settings.store() as store, settings.views(store) as views:
        heard = store.unrouted() if session == "unrouted" else store.history(session)
        as_of, log = views.checkpoint.as_of, views.log
        moments, settled = values.timeline(heard, settings.rules, as_of, log, views.completed)
        if not moments and session != "unrouted":
            hint = _near(views, session) or "tracker sessions lists what is there"
            raise NotFoundError("nothing is stored of it", place=session, hint=hint)
    if format == TEXT:
        text.timeline(text.console(sys.stdout), moments, settled)
    else:
        _write(machine.write(map(values.moment, moments), format))


@tracker.command(short_help="What is wrong, in the store or in logs.")
@click.argument("logs", nargs=-1, metavar="[LOG...]")
@click.option("--rules", type=click.Path(path_type=Path), help="Judge by the [rules] of this TOML file.")
@click.option(
    "--as-of", type=AsOf(), help="Judge what was known then: a time, now, -2h, or end (nothing more will come)."
)
@click.option("--strict", is_flag=True, help="What the log leaves open fails too.")
@click.option("--min-severity", type=click.Choice(LEVELS), help="Leave out what is less (text: warning).")
@click.option(
    "--fail-on",
    type=click.Choice([*LEVELS, "never"]),
    default="warning",
    show_default=True,
    help="Exit 1 from there.",
)
@click.option(
    "--format", "format", type=click.Choice([TEXT, *MACHINE, *OF_CI]), default=TEXT, show_default=True
)
@click.option(
    "--engine",
    type=click.Choice(["python", "spark"]),
    default="python",
    show_default=True,
    help="spark: LOGs may be archives in Parquet too.",
)
@click.option("--master", metavar="URL", help="The cluster of --engine spark (local[*]).")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="With --engine spark: write findings and sessions as Parquet there.",
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes to judge in.")
@with_keys
@with_store
def audit(
    logs: tuple[str, ...],
    rules: Path | None,
    as_of: datetime | None,
    min_severity: str | None,
    fail_on: str,
    format: Any,
    engine: str,
    master: str | None,
    out: Path | None,
    jobs: int,
    strict: bool,
    keys: tuple[Path, ...],
    data: Path | None,
    config: Path | None,
) -> None:
    """What is wrong: in the store, or straight in LOGs, with no store at all.

    With LOGs, a position is the line number, counted on from one file to the next. junit and github
    are for CI: a test report, and annotations at file and line.
    """
    from projections.audit import auditing
    from projections.reports import text
    from projections.reports.places import nowhere

    settings = Settings(data, config, rules)
    complaints: list[TrackerError] = []
    place: Place = nowhere
    _refuse(engine, bool(logs), bool(keys), jobs, master is not None or out is not None)
    if logs:
        if engine == "spark":
            result, read, complaints = _on_spark(logs, settings.rules, as_of, master, out)
        else:
            opened, complaints = _open_logs(logs, settings.keyring(keys))
            read = auditing.Logs(opened)
            with _others(jobs, settings.rules) as others, of_logs(opened) as watch:
                result = auditing.audit(watch(read.deliveries()), settings.rules, as_of, others=others)
        complaints.extend(read.errors)
        place = read.place
        for name, odd in read.odd.items():
            _remark_on(name, odd)
    else:
        with settings.store() as store, of_events("judging") as progress:
            _remark_on_loss(store)
            last = store.last_position()
            followed = counted(store.deliveries(last), progress, last)
            with _others(jobs, settings.rules) as others:
                result = auditing.audit(followed, settings.rules, as_of, others=others, growing=True)
    result.findings.accept(settings.rules.accept)
    if out is not None:
        from projections.exports.parquet import write_findings

        write_findings(result.findings, out / "findings" / "findings.parquet")
    _remark_on_expired(settings, result.newest)
    least: Any = min_severity or ("warning" if format == TEXT else "info")
    fails = partial(_fails, fail_on, strict)
    if format == TEXT:
        text.audit(text.console(sys.stdout), result, least)
    else:
        findings = result.findings.at_least(least)
        _write(_written_findings(findings, format, result.deliveries, place, fails))
        text.summary(text.console(sys.stderr), result, least)
    _raise_all(complaints)
    if any(map(fails, result.findings)):
        sys.exit(1)


def _remark_on_loss(store: Tracker) -> None:
    """For those who read the store alone, and would not notice that it is not whole."""
    from projections.views.accepting import find

    loss = find(store)
    if loss is not None:
        _remark(f"{store.owner}: {loss.text}", "tracker accept-loss records it; a newer backup brings it back")


def _refuse(engine: str, logs: bool, keys: bool, jobs: int, of_spark: bool) -> None:
    """Options that say nothing together."""
    if keys and not logs:
        raise UsageError(
            "--key verifies the lines of logs", hint="name a LOG; what is stored was verified, or not"
        )
    if engine == "python" and of_spark:
        raise UsageError("--master and --out are for Spark", hint="add --engine spark")
    if engine == "spark" and (keys or not logs):
        raise UsageError(
            "Spark reads logs and archives, and verifies no signatures", hint="name some, without --key"
        )
    if engine == "spark" and jobs > 1:
        raise UsageError("--jobs is of this machine", hint="leave it out: Spark has --master local[N]")


def _on_spark(
    paths: tuple[str, ...], rules: Rules, as_of: datetime | None, master: str | None, out: Path | None
) -> tuple[Audit, Logs, list[TrackerError]]:
    try:
        from projections.audit import spark
        from projections.exports import parquet
    except ImportError as error:
        raise _not_installed(error, "spark") from error
    complaints: list[TrackerError] = []
    logs = [path for path in paths if not spark.is_archive(path)]
    if logs:
        opened, complaints = _open_logs(logs, None)
        readable = {log.path for log in opened}
        paths = tuple(path for path in paths if spark.is_archive(path) or path in readable)
    if out is not None:
        parquet.refuse_what_is_there(out)
    with spark.session(master) as running:
        return (*spark.audit(running, list(paths), rules, as_of, out), complaints)


def _not_installed(error: ImportError, extra: str) -> UsageError:
    hint = f"pip install '.[{extra}]' in the directory of the source"
    return UsageError(f"{extra.capitalize()} needs a package that is not installed: {error.name}", hint=hint)


@contextmanager
def _others(jobs: int, rules: Rules) -> Iterator[Sequence[Elsewhere]]:
    """The processes beside this one."""
    if jobs == 1:
        yield ()
        return
    from projections.audit.jobs import others

    with others(jobs, rules) as started:
        yield started


def _written_findings(
    findings: Findings, format: Any, deliveries: int, place: Place, fails: Callable[[Finding], bool]
) -> Iterable[bytes]:
    from projections.explain import status as values
    from projections.exports import data
    from projections.reports import github, junit

    if format == "junit":
        return junit.write(findings, deliveries, place, fails)
    if format == "github":
        return github.write(findings, place)
    return data.write(map(values.finding, findings), format)


def _fails(fail_on: str, strict: bool, found: Finding) -> bool:
    """Whether an audit fails because of this finding; because of an undecided one only where it is ``strict``."""
    if fail_on == "never" or found.verdict == "accepted" or (found.verdict == "undecided" and not strict):
        return False
    return LEVELS.index(found.severity) >= LEVELS.index(fail_on)


def _remark_on_expired(settings: Settings, as_of: datetime | None) -> None:
    for number, entry in enumerate(settings.rules.accept, 1):
        if entry.until is not None and entry.expired(as_of):
            _remark(
                f"{settings.accept_in}: accept entry {number} ({entry.code}) expired at {entry.until:%Y-%m-%d %H:%M} UTC",
                "what came later is not accepted: mend the cause, or give it another date",
            )


@tracker.command(short_help="Which windows a log suggests, and what they would change.")
@click.argument("logs", nargs=-1, metavar="[LOG...]")
@click.option("--format", "format", type=click.Choice([TEXT, "json", "toml"]), default=TEXT, show_default=True)
@with_store
def calibrate(logs: tuple[str, ...], format: str, data: Path | None, config: Path | None) -> None:
    """Which windows the store or LOGs suggest, and how many findings these would change.

    toml prints a [rules] table for tracker.toml. LOGs are read more than once, so stdin cannot be one.
    """
    from projections.audit.auditing import Logs
    from projections.reports import calibration, text

    if "-" in logs:
        raise UsageError("it is read more than once", place="stdin", hint="put it into a file first")
    settings = Settings(data, config)
    complaints: list[TrackerError] = []
    if logs:
        opened, complaints = _open_logs(logs, None)
        first = Logs(opened)
        passes = iter([first])
        found, total = _calibrated(settings.rules, lambda: next(passes, Logs(opened)).deliveries())
        complaints.extend(first.errors)
    else:
        with settings.store() as store:
            found, total = _calibrated(settings.rules, store.deliveries)
    if format == TEXT:
        calibration.text(text.console(sys.stdout), found, total)
    else:
        _write([calibration.toml(found) if format == "toml" else calibration.json(found, total)])
    _raise_all(complaints)


def _calibrated(rules: Rules, deliveries: Callable[[], Iterable[Delivery]]) -> tuple[Calibration, DiffSummary]:
    """What is measured, and what the rules it suggests would change."""
    from projections.audit.auditing import audit as judged
    from projections.explain.calibrate import Calibration, changed
    from projections.views.diff import Summary, of_findings

    found, total = Calibration(rules), Summary()
    with of_events("measuring") as progress:
        found.measure(counted(deliveries(), progress, 0))
    if changed(found.suggestions()):
        with of_events("comparing") as progress:
            now, then = (
                judged(counted(deliveries(), progress, found.deliveries), each).findings
                for each in (rules, found.suggested_rules())
            )
        for _ in total.count(of_findings(now, then)):
            pass
    return found, total


@tracker.command(short_help="What a code means, or why a session is judged so.")
@click.argument("subject", type=Name(), required=False, metavar="[CODE|SESSION]")
@click.option("--as-of", type=AsOf(), help="As it was known then: a time, now, -2h or end.")
@click.option("--at", type=click.IntRange(min=1), help="As it was known right after this position.")
@click.option("--prices", is_flag=True, help="What each assumption costs.")
@click.option("--format", "format", type=click.Choice([TEXT, "json"]), default=TEXT, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@with_store
def explain(
    subject: str | None,
    as_of: datetime | None,
    at: int | None,
    prices: bool,
    format: str,
    as_json: bool,
    data: Path | None,
    config: Path | None,
) -> None:
    """What a finding's CODE (or slug) means, or why a SESSION is judged as it is; without either, all codes.

    Of a session: what most likely happened, what had to be assumed for that and what it costs (as the
    negative logarithm of how likely it is), what else may have happened, and how probable that is.
    """
    format = "json" if as_json else format
    settings = Settings(data, config)
    entry = _code(subject) if subject is not None else None
    if prices:
        if subject is not None or as_of is not None or at is not None:
            raise UsageError("--prices shows the whole table", hint="leave out the other arguments")
        _explain_prices(settings, format)
    elif subject is not None and entry is None:
        _explain_session(settings, subject, as_of, at, format)
    elif as_of is not None or at is not None:
        raise UsageError("a code has no past", place=subject or "", hint="--as-of and --at are for a session")
    else:
        _explain_codes(settings, entry, format)


def _explain_codes(settings: Settings, entry: Code | None, format: str) -> None:
    from attrs import asdict

    from projections.exports import data as machine
    from projections.reports import text
    from tracker.findings import CATALOGUE

    out = text.console(sys.stdout)
    if format == "json":
        told = asdict(entry) if entry else [asdict(one) for one in CATALOGUE.values()]
        _write([machine.document(told)])
    elif entry is None:
        text.codes(out, CATALOGUE.values())
    else:
        text.code(out, entry, settings.rules.severity_of(entry.code), settings.rules.written())


def _explain_session(
    settings: Settings, session: str, as_of: datetime | None, at: int | None, format: str
) -> None:
    from projections.explain.explanation import explain as explained
    from projections.explain.explanation import values
    from projections.exports import data as machine
    from projections.reports import explain as report
    from projections.reports import text

    _one_past(as_of, at)
    try:
        with settings.store() as store, settings.views(store) as views:
            known_until = _known_until(views, store, as_of, at)
            heard = _heard(store, session, known_until, at)
            if not heard:
                raise _no_such_subject(views, store, session)
            moment = as_of if at is None else heard[-1].received_at
            log = views.log.known_by(at, as_of)
            completed = partial(views.completed, moment=moment)
            found = explained(heard, settings.rules, known_until, log, completed)
    except StoreMissingError as error:
        hint = _near_code(session) or f"tracker explain lists them; of sessions there is no store: {error.hint}"
        raise NotFoundError("no such code", place=session, hint=hint) from error
    assert found is not None
    if format == "json":
        _write([machine.document(values(found))])
    else:
        report.explanation(text.console(sys.stdout), found)


def _explain_prices(settings: Settings, format: str) -> None:
    from projections.explain.explanation import price_table
    from projections.exports import data as machine
    from projections.reports import explain as report
    from projections.reports import text

    table = price_table(settings.rules)
    if format == "json":
        _write([machine.document(table)])
    else:
        report.prices(text.console(sys.stdout), table)


def _heard(store: Tracker, session: str, as_of: datetime | None, at: int | None) -> list[Delivery]:
    """What was heard of a session by then."""
    return [
        delivery
        for delivery in store.history(session, at=at)
        if as_of is None or delivery.received_at is None or delivery.received_at <= as_of
    ]


def _no_such_subject(views: Views, store: Tracker, given: str) -> NotFoundError:
    if any(True for _ in store.history(given)):
        hint = "give a later --as-of or --at"
        return NotFoundError("nothing was known of it by then", place=given, hint=hint)
    meant = _near(views, given) or _near_code(given)
    hint = meant or "tracker explain lists the codes, tracker sessions the sessions"
    return NotFoundError("no such code or session", place=given, hint=hint)


def _code(given: str) -> Code | None:
    from tracker.findings import CATALOGUE

    for entry in CATALOGUE.values():
        if given.lower() in (entry.code.lower(), entry.slug):
            return entry
    return None


def _known_code(given: str) -> Code:
    entry = _code(given)
    if entry is None:
        hint = _near_code(given) or "tracker explain lists them"
        raise NotFoundError("no such code", place=given, hint=hint)
    return entry


def _near_code(given: str) -> str:
    from difflib import get_close_matches

    from tracker.findings import CATALOGUE

    names = [*CATALOGUE, *(entry.slug for entry in CATALOGUE.values())]
    near = get_close_matches(given, names, n=1)
    return f"did you mean {near[0]}?" if near else ""


@tracker.command(short_help="Make the read models anew, or try other rules.")
@click.option("--rules", type=click.Path(path_type=Path), help="The [rules] of this TOML file, with --diff.")
@click.option("--diff", is_flag=True, help="Only tell what those rules would change.")
@click.option("--min-severity", type=click.Choice(LEVELS), help="Leave out what is less (text: warning).")
@click.option("--format", "format", type=click.Choice([TEXT, "json", "ndjson"]), help="With --diff (text).")
@with_store
def rebuild(
    rules: Path | None,
    diff: bool,
    min_severity: str | None,
    format: Any,
    data: Path | None,
    config: Path | None,
) -> None:
    """Make the read models anew beside the live ones, then put them in their place.

    With --rules FILE --diff nothing is put in any place: it tells which states would be others and
    which findings would appear or go if everything were judged by the rules of FILE.
    """
    from projections.views.rebuild import rebuild as make

    settings = Settings(data, config)
    if diff or rules is not None:
        _diff(settings, Settings(data, config, rules), diff and rules is not None, min_severity, format or TEXT)
        return
    if min_severity or format:
        raise UsageError(
            "--min-severity and --format are for --diff", hint="tracker rebuild --rules FILE --diff"
        )
    with settings.store() as store:
        with of_events("rebuilding") as progress:
            path = make(store, settings.rules, progress)
        click.echo(f"{path}: {store.count():,} events judged")


def _diff(settings: Settings, others: Settings, complete: bool, min_severity: Any, format: Any) -> None:
    from projections.exports import data as machine
    from projections.reports import changes, text
    from projections.views.diff import Summary, of_store

    if not complete:
        hint = "the read models have the rules of tracker.toml; change them there, then tracker rebuild"
        raise UsageError("--rules and --diff need each other", hint=hint)
    least: Any = min_severity or ("warning" if format == TEXT else "info")
    summary = Summary()
    rules = others.rules
    with settings.store() as store:
        with settings.views(store):
            pass  # they are up with the store now
        with of_events("comparing") as progress:
            told = (one for one in summary.count(of_store(store, rules, progress)) if one.at_least(least))
            if format == TEXT:
                changes.text(text.console(sys.stdout), told)
            else:
                _write(machine.write(map(machine.values, told), format))
    changes.summary(text.console(sys.stdout if format == TEXT else sys.stderr), summary, least)


@tracker.command(short_help="Check the store and the read models.")
@with_store
def verify(data: Path | None, config: Path | None) -> None:
    """Check the store's positions and versions, and the read models against a new fold."""
    from projections.views.accepting import find
    from projections.views.verify import verify as problems_of
    from tracker.errors import StoreDamagedError

    settings = Settings(data, config)
    with settings.store() as store:
        with of_events("verifying") as progress:
            found = problems_of(store, settings.rules, progress)
        problems = found.problems
        _tell_software(store)
        for note in found.notes:
            _remark(note, "tracker rebuild makes it anew")
        for record in found.records:
            _remark(record, "this is known, and no contradiction")
        for problem in problems:
            click.echo(f"{problem.place}: {problem.text}")
        if problems:
            raise StoreDamagedError(
                f"{len(problems)} contradictions" if len(problems) > 1 else "1 contradiction",
                place=store.owner,
                hint="events come from a backup or from the logs, or tracker accept-loss records that they are gone"
                if find(store)
                else "tracker rebuild mends views.db; events come from a backup, or from the logs",
            )
        gone = store.withdrawn()
        withdrawn = f", {len(gone):,} of them withdrawn" if gone else ""
        click.echo(f"{store.owner}: {store.count():,} events{withdrawn}, nothing contradicts")


@tracker.command(short_help="The tables by which deliveries are judged.")
@click.argument("name", required=False)
@click.option(
    "--format", "format", type=click.Choice([TEXT, "mermaid", "dot"]), default=TEXT, show_default=True
)
def lifecycles(name: str | None, format: str) -> None:
    """The tables by which deliveries are judged: all lifecycles, or the one of that NAME."""
    from projections.explain import diagrams
    from tracker.lifecycles import REGISTRY

    if name is not None and name not in REGISTRY:
        raise NotFoundError("no such lifecycle", place=name, hint=f"known: {', '.join(REGISTRY)}")
    draw = {TEXT: diagrams.text, "mermaid": diagrams.mermaid, "dot": diagrams.dot}[format]
    chosen = [REGISTRY[name]] if name is not None else list(REGISTRY.values())
    drawn = [draw(lifecycle).rstrip("\n") + "\n" for lifecycle in chosen]
    if format == "mermaid" and len(drawn) > 1:  # one file can hold one diagram, or be Markdown
        drawn = [f"```mermaid\n{diagram}```\n" for diagram in drawn]
    click.echo("\n".join(drawn), nl=False)


@tracker.command(short_help="Write the deliveries to stdout.")
@click.option(
    "--format", "format", type=click.Choice(["jsonl", "csv", "parquet"]), default="jsonl", show_default=True
)
@click.option("--out", type=click.Path(path_type=Path), help="The directory for parquet.")
@click.option(
    "--session", type=Name(), metavar="ID", help="Only the deliveries of this session, or `unrouted`."
)
@with_store
def export(format: str, out: Path | None, session: str | None, data: Path | None, config: Path | None) -> None:
    """Write the deliveries to stdout; `tracker ingest` reads jsonl back, body for body.

    parquet is an archive with a directory for each day, for `tracker audit --engine spark`.
    """
    from projections.exports import lines as exporting

    if (format == "parquet") != (out is not None):
        raise UsageError(
            "--format parquet and --out need each other", hint="tracker export --format parquet --out DIR"
        )
    settings = Settings(data, config)
    holes: list[Hole] = []
    with settings.store() as store:
        _remark_on_loss(store)
        deliveries = _chosen(store, session, holes)
        if session is None and (gone := store.withdrawn()):
            _remark(f"{len(gone):,} withdrawn deliveries are left out", "tracker copy takes all that is stored")
        with of_events("exporting") as progress:
            followed = counted(deliveries, progress, store.end())
            if out is not None:
                _archive(followed, out)
            else:
                _write(exporting.jsonl(followed) if format == "jsonl" else exporting.table(followed))
        _refuse_holes(store, holes)


def _refuse_holes(store: Tracker, holes: list[Hole]) -> None:
    """All that can be read was written; what could not is an error all the same."""
    if holes:
        from tracker.errors import StoreDamagedError

        lost = sum(hole.count for hole in holes)
        where = ", ".join(hole.place for hole in holes)
        what = "1 delivery" if lost == 1 else f"{lost} deliveries"
        raise StoreDamagedError(
            f"{what}, at {where}, cannot be read, so not all is in what was written",
            place=store.owner,
            hint="all others were: tracker ingest makes an empty --data DIR of them; a backup may have the rest",
        )


def _archive(deliveries: Iterable[Delivery], out: Path) -> None:
    try:
        from projections.exports import parquet
    except ImportError as error:
        raise _not_installed(error, "parquet") from error
    parquet.write(deliveries, out)


def _chosen(store: Tracker, session: str | None, holes: list[Hole]) -> Iterable[Delivery]:
    """All deliveries, those of a session, or the ``unrouted``; ``holes`` gets what cannot be read of all."""
    if session is None:
        return _readable(store, holes)
    found = list(store.unrouted() if session == "unrouted" else store.history(session))
    if not found and session != "unrouted":
        raise NotFoundError(
            "nothing is stored of it", place=session, hint="tracker sessions lists what is there"
        )
    return found


def _readable(store: Tracker, holes: list[Hole]) -> Iterator[Delivery]:
    from tracker.store.ranges import Hole

    for one in store.salvaged():
        if isinstance(one, Hole):
            holes.append(one)
        else:
            yield one


@tracker.command(short_help="Make up a log of meetings with known faults.")
@click.option(
    "--meetings", type=click.IntRange(min=0), default=100, show_default=True, help="How many sessions."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, other meetings.")
@click.option("--faults", type=float, help="The share that has a fault, 0 to 1 (0.05).")
@click.option(
    "--habit", "habits", multiple=True, metavar="NAME", help="What is usual there; may be repeated (list)."
)
@click.option("--fault", "names", multiple=True, metavar="NAME", help="Only this fault; may be repeated.")
@click.option("--start", type=Time(), help="When the log begins (2026-01-05).")
@click.option(
    "--cut", type=click.FloatRange(min=0), default=0, metavar="SECONDS", help="Leave out the first seconds."
)
@click.option("--stable-urls", is_flag=True, help="Play back all hls of a room at one url.")
@click.option("--subscribed", is_flag=True, help="Every type is subscribed to, also in a long log.")
@click.option("--out", metavar="FILE", help="Where the log goes (-, stdout); packed if it ends in .gz.")
@click.option("--truth", type=click.Path(path_type=Path), help="Write what is true of each session there.")
@click.option("--send", "url", metavar="URL", help="Post the webhooks to this handler, in order.")
@click.option("--key", type=click.Path(path_type=Path), help="Sign them with this RSA key (PEM).")
@click.option(
    "--speed", type=click.FloatRange(min=0, min_open=True), help="60: an hour in a minute (do not wait)."
)
@click.option("--list", "listed", is_flag=True, help="Tell the faults.")
def simulate(
    meetings: int,
    seed: int,
    faults: float | None,
    habits: tuple[str, ...],
    names: tuple[str, ...],
    start: datetime | None,
    cut: float,
    stable_urls: bool,
    subscribed: bool,
    out: str | None,
    truth: Path | None,
    url: str | None,
    key: Path | None,
    speed: float | None,
    listed: bool,
) -> None:
    """Make up a log of meetings, some with one known fault, to try a handler or an audit on.

    The same arguments give the same log. --truth tells, a line a session, which faults it has, which
    lines they touched, which codes would be a right answer, and the states and times that must come out.
    --habit says what the meetings or their delivery are like; of two receivers, each writes a log of its own.
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
        start or START,
        () if subscribed else None,
        cut=cut,
        stable_urls=stable_urls,
        habits=habits,
    )
    logs = _logs_of(out if out or url else "-", max([1, *(HABITS[name].receivers for name in habits)]))
    with of_events("simulating") as progress, _simulated(lines, logs, truth) as made:
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
def _simulated(lines: Iterable[Line], outs: list[str], truth: Path | None) -> Iterator[Iterator[Line]]:
    """The lines, each written on its way, and each session's truth with its last one."""
    from tracker.delivery.envelope import encode
    from tracker.simulate import as_json

    with ExitStack() as files:
        logs = [files.enter_context(_written(out)) for out in outs]
        beside = files.enter_context(_written(str(truth))) if truth else None

        def written() -> Iterator[Line]:
            for line in lines:
                if logs:
                    logs[min(line.receiver, len(logs) - 1)].write(encode(line.received) + b"\n")
                yield line
                if beside and line.last and line.truth:
                    beside.write(as_json(line.truth) + b"\n")

        yield written()


@contextmanager
def _written(path: str) -> Iterator[IO[bytes]]:
    """A file to write to, packed without name and time so that equal content gives equal bytes."""
    from gzip import GzipFile

    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = Path(path).open("wb")  # noqa: SIM115 - it is closed below
    except OSError as error:
        hint = "give a path in a directory that is there"
        raise UsageError(f"cannot be written: {error.strerror}", place=path, hint=hint) from error
    with file:
        if path.endswith(".gz"):
            with GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                yield cast("IO[bytes]", packed)
        else:
            yield file


def _send(webhooks: Iterable[Received], url: str, key: Path, speed: float | None) -> None:
    from projections.exports.send import send, signer

    sent = send(webhooks, url, signer(key), speed)
    click.echo(f"{url}: {sent.posted:,} webhooks posted, {sent.refused:,} not accepted", err=True)
    if sent.again:
        hint = "the handler may have had them already: to it they are redeliveries"
        _remark(f"{url}: {sent.again:,} sent again, for the connection broke before the answer", hint)
    if sent.refused:
        hint = "a handler answers every webhook with a 2xx, else it is sent again"
        raise UsageError(f"not accepted, the first of them webhook {sent.first_refusal}", place=url, hint=hint)


def _write(chunks: Iterable[bytes]) -> None:
    out = sys.stdout.buffer
    for chunk in chunks:
        out.write(chunk)
    out.flush()


if __name__ == "__main__":
    main()
