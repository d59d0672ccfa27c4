"""The ``tracker`` command. Data goes to stdout, everything else to stderr.

Exit codes: 0 fine, 1 the audit found something (audit only), 2 it cannot be done as asked, 3 the
store is out of reach or damaged.

``COMMANDS`` is the table of all commands. The module of a command is imported when that command is
asked for, and what a command works with is imported when it runs, so that help comes at once.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

from projections.cli.messages import complain, reason
from projections.cli.options import with_store
from projections.cli.streams import open_closed_streams, until_nobody_reads
from tracker.errors import TrackerError, UsageError, did_you_mean


class Entry(NamedTuple):
    """A command in the table.

    Attributes:
        module: the file of this package that has it, as a function of its name (``-`` becomes ``_``; else ``NAMES``).
        help: the line of ``tracker --help``, which is the first sentence of the command's own help.
    """

    module: str
    help: str


COMMANDS = {
    "accept-loss": Entry("corrections", "Record that stored deliveries are lost, and go on."),
    "alerts": Entry("alerts", "Show, send, test, mute and retry alerts."),
    "audit": Entry("audit", "Report what is wrong, in the store or in logs."),
    "calibrate": Entry("calibrate", "Suggest time windows for the rules, measured on a log."),
    "changes": Entry("changes", "List which findings appeared, changed or were taken back."),
    "config": Entry("config", "Show which settings are in force, and where each comes from."),
    "consume": Entry("consume", "Store what is new in a stream of NATS or Redis, and follow it."),
    "copy": Entry("stores", "Copy a store into another one."),
    "doctor": Entry("doctor", "Check how the store, its surroundings and the settings do."),
    "erase": Entry("erase", "Erase people, and keep what was found."),
    "explain": Entry("explain", "Explain a code, or how a session was judged."),
    "export": Entry("export", "Write the deliveries to stdout or an archive, or send traces."),
    "find": Entry("find", "Find a room, session, call, person, file or code."),
    "ingest": Entry("ingest", "Store what is new in logs, then judge it."),
    "init-store": Entry("stores", "Create the store where there is none."),
    "issues": Entry("overview", "List what is wrong, grouped by code and cause."),
    "lifecycles": Entry("lifecycles", "Show the tables by which deliveries are judged."),
    "mcp": Entry("mcp", "Let agents ask, by the Model Context Protocol."),
    "meeting": Entry("people", "Show a room: its sessions, people, recordings and findings."),
    "mend-clock": Entry("corrections", "Ignore receive times that came from a wrong clock."),
    "open": Entry("watch", "Open the page of a session in the browser."),
    "overview": Entry("overview", "Show what is live, and how a day went."),
    "person": Entry("people", "Show a person: visits, minutes, recordings and findings."),
    "prune": Entry("prune", "Move sessions that are over into an archive."),
    "rebuild": Entry("views", "Rebuild the read models, or show what other rules would change."),
    "reconcile": Entry("reconcile", "Compare what came with VideoSDK's own records."),
    "recordings": Entry("recordings", "List what was recorded or streamed, with its files."),
    "relay": Entry("relay", "Relay what really happened: list, send, test and retry."),
    "runs": Entry("runs", "List calls, agents, recordings and whatever else ran."),
    "serve": Entry("serve", "Receive webhooks by HTTP, and serve pages and API."),
    "sessions": Entry("sessions", "List the sessions, the most recent first."),
    "simulate": Entry("simulate", "Make up a log of meetings with known faults."),
    "sql": Entry("sql", "Ask what the tracker holds in SQL."),
    "status": Entry("sessions", "Show the state of one session, now or in the past."),
    "timeline": Entry("sessions", "List every delivery of a session, and how it was read."),
    "verify": Entry("views", "Check the store and the read models."),
    "watch": Entry("watch", "Watch a session, or all that is live, as it happens."),
    "withdraw": Entry("corrections", "Take back a log that was stored by mistake."),
}
"""Every command by its name, in the order of ``tracker --help``."""


NAMES = {"open": "open_page"}
"""A command that is named as what Python has -> its function."""
OTHER_NAMES = {
    "archive": "prune",
    "check": "audit",
    "delete": "erase",
    "file": "recordings",
    "files": "recordings",
    "findings": "issues",
    "forget": "erase",
    "gdpr": "erase",
    "health": "doctor",
    "list": "sessions",
    "log": "timeline",
    "ls": "sessions",
    "meetings": "meeting",
    "new": "changes",
    "news": "changes",
    "participant": "person",
    "participants": "person",
    "people": "person",
    "room": "meeting",
    "rooms": "meeting",
    "show": "status",
    "tail": "watch",
    "user": "person",
    "users": "person",
    "who": "person",
    "why": "explain",
}
"""What people call a command that has another name -> its name."""


class Tracker(click.Group):
    """The group of all commands, which it takes from ``COMMANDS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, whose module is imported now; ``None`` where there is no such command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(
            import_module(f"{__name__}.{entry.module}"), NAMES.get(cmd_name, cmd_name.replace("-", "_"))
        )
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            meant = OTHER_NAMES.get(args[0].lower())
            near = f"did you mean {meant}?" if meant else did_you_mean(args[0], COMMANDS)
            raise UsageError(f"no such command {args[0]!r}", hint=near or HELP)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def make_context(self, *given: Any, **named: Any) -> click.Context:
        with until_nobody_reads():  # it prints the help
            return super().make_context(*given, **named)

    def invoke(self, ctx: click.Context) -> Any:
        with until_nobody_reads():
            try:
                done = super().invoke(ctx)
            except SystemExit:
                sys.stdout.flush()
                raise
            sys.stdout.flush()
        return done


@click.group(cls=Tracker, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@with_store
@click.version_option(package_name="meeting-tracker", prog_name="tracker")
@click.pass_context
def tracker(ctx: click.Context, data: Path | None, config: Path | None) -> None:
    """Replay any meeting. See what never should have happened.

    The tracker stores each webhook of your VideoSDK meetings as an event. From these events it derives the
    state of every session, now or at any moment before, and what is wrong with it.

    Environment variables: TRACKER_DATA, TRACKER_STORE, TRACKER_CONFIG and TRACKER_TZ set --data, --store, --config and --tz.
    TRACKER_KEYS, TRACKER_TOKEN, TRACKER_TOKEN_FILE, TRACKER_MASKED_TOKEN_FILE and TRACKER_ALLOW_HOST set --key,
    --token, --token-file, --masked-token-file and --allow-host. VIDEOSDK_API_KEY and VIDEOSDK_API_SECRET are for
    tracker reconcile.

    Exit codes: 0 success, 1 the audit found something, 2 the command cannot be done as asked, 3 the store
    is out of reach or damaged.
    """
    ctx.obj = {"data": data, "config": config}


HELP = "tracker --help shows what can be given"


def _repeated(error: click.UsageError, arguments: list[str]) -> str:
    """The option that may be repeated, and of which a second value came without it, as from a shell's ``*``; else ``""``."""
    extra = re.search(r"unexpected extra arguments? \(([^ )]+)", error.format_message())
    places = [place for place, one in enumerate(arguments) if extra and one == extra[1]]
    place = places[-1] if places else 0  # the same may have been given before
    before = arguments[place - 2] if place > 1 else ""
    params = error.ctx.command.params if error.ctx else []
    return before if any(before in one.opts and getattr(one, "multiple", False) for one in params) else ""


def _help(error: click.UsageError, arguments: list[str]) -> str:
    """How to go on: by the option that takes what was given without one, else by the help."""
    if option := _repeated(error, arguments):
        return f"give each by its own {option}"
    extra = re.search(r"unexpected extra argument \(([^ )]+)\)", error.format_message())
    options = [name for param in error.ctx.command.params for name in param.opts] if error.ctx else []
    takes = [f"{name} {extra[1]}" for name in ("--session", "--meeting") if extra and name in options]
    if takes:
        return f"give it as {' or '.join(takes)}"
    return f"{error.ctx.command_path} --help shows what can be given" if error.ctx else HELP


def main(arguments: list[str] | None = None) -> None:
    """Runs the command and ends the process with its exit code."""
    open_closed_streams()
    os.umask(0o077)  # whatever is written holds names of people
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = tracker.main(given, prog_name="tracker", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = 0
    except click.NoSuchOption as error:
        near = did_you_mean(error.option_name, error.possibilities or ())
        code = complain(f"no such option {error.option_name}", near or _help(error, given), 2)
    except click.UsageError as error:
        code = complain(error.format_message(), _help(error, given), 2)
    except click.Abort:
        code = complain("interrupted", "what was committed is kept; run it again to go on", 130)
    except TrackerError as error:
        code = complain(str(error), error.hint, error.exit_code)
    except OSError as error:
        code = complain(reason(error), "check the disk and the permissions", 3)
    sys.exit(code or 0)
