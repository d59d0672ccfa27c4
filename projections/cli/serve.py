"""``tracker serve``: receives webhooks by HTTP, and serves pages and API."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projections.cli.messages import note, say, show_software
from projections.cli.options import Duration, with_keys, with_store
from projections.cli.settings import Settings
from projections.cli.times import with_tz
from tracker.errors import TrackerError, UsageError

if TYPE_CHECKING:
    from projections.outbox.sending import Outgoing
    from projections.reconciling import Sleep
    from projections.traces.collector import Collector
    from projections.views.live import Following
    from projections.web.app import Beside
    from tracker.delivery.signature import Keyring
    from tracker.intake.receiver import Keys
    from tracker.intake.vendor import Videosdk
    from tracker.store.application import Tracker


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@with_keys
@click.option(
    "--insecure-no-verify", "insecure", is_flag=True, help="Store webhooks without verifying who sent them."
)
@click.option("--token", help="The token that pages and API ask for; other users of this machine can see it.")
@click.option("--token-file", type=click.Path(path_type=Path), help="The file that holds the token.")
@click.option(
    "--masked-token-file",
    type=click.Path(path_type=Path),
    help="The file that holds a second token, for readers who see initials in the place of names.",
)
@click.option(
    "--allow-host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A host name to answer to, besides localhost and --host; may be repeated.",
)
@click.option(
    "--root-path",
    default="",
    metavar="PATH",
    callback=lambda _, __, given: _root_path(given),
    help="The path under which a proxy has the server, such as /tracker.",
)
@click.option(
    "--reconcile",
    "every",
    type=Duration(positive=True),
    help="Ask VideoSDK for its own records so often, such as 15min.",
)
@click.option(
    "--role",
    type=click.Choice(["all", "receiver", "reader"]),
    default="all",
    show_default=True,
    help="receiver: only store webhooks. reader: only serve pages and API.",
)
@with_tz
@with_store
def serve(
    host: str,
    port: int,
    keys: tuple[Path, ...],
    insecure: bool,
    token: str | None,
    token_file: Path | None,
    masked_token_file: Path | None,
    hosts: tuple[str, ...],
    root_path: str,
    every: timedelta | None,
    role: str,
    data: Path | None,
    config: Path | None,
) -> None:
    """Receive webhooks by HTTP, and serve pages and API.

    Webhooks come in at POST /webhooks, those of an account of tracker.toml at POST /webhooks/NAME, and are answered
    with 204 once they are stored. SIGTERM stops the
    server gently, and a second signal stops it at once. SIGHUP makes it read the keys, the rules, the alerts, the
    relays and the collector of traces again. Any number of receivers and readers may share one store.
    """
    from projections.reconciling import Reconciling
    from projections.retaining import Retaining
    from projections.web import logs, server
    from projections.web.app import create_app, receiver_and_follower
    from projections.web.connections import MOST_CONNECTIONS, files_at_most, most_connections
    from projections.web.follower import Follower
    from projections.web.tokens import read_masked_token, read_token

    settings = Settings(data, config)
    token = read_token(token, token_file, os.environ)
    masked_token = read_masked_token(token, masked_token_file, os.environ)
    hosts = (host, *(hosts or _listed(os.environ.get("TRACKER_ALLOW_HOST", ""))))
    if role == "reader" and (keys or insecure):
        raise UsageError(
            "--role reader receives no webhooks", hint="leave out --key and --insecure-no-verify, or the role"
        )
    receives, answers = role != "reader", role != "receiver"
    rings = _keys_to_serve(settings, keys, insecure) if receives else {}
    if not token and not server.is_loopback(host):
        hint = "give --token-file or TRACKER_TOKEN, or listen on 127.0.0.1 behind a proxy"
        raise UsageError(
            "other machines can reach this address, and there is no token", place=f"--host {host}", hint=hint
        )
    if every is not None and not answers:
        raise UsageError("--role receiver judges nothing", hint="leave out --reconcile, or the role")
    connect = _connected(settings) if every is not None else None
    with settings.store(create=receives) as store, server.listen(host, port) as listening:
        handler = logs.start()
        receiver, live = receiver_and_follower(
            store, settings.load_rules, rings, answers=answers, follow=partial(Follower, url=settings.url)
        )
        sending = _sending(settings, store, live) if live is not None else []
        beside: list[Beside] = [*sending]
        if live is not None:
            if every is not None and connect is not None:
                beside.append(Reconciling(store, live, every.total_seconds(), connect))
            beside.append(Retaining(store, settings.load_retention, settings.load_rules, live.wake))
        show_software(store)
        say(f"{store.owner}: serving at {server.url(listening)}")
        if receiver is not None and receiver.insecure:
            note(
                "signatures are not verified, so anybody who reaches this address can send webhooks",
                "give --key FILE with VideoSDK's public key",
            )
        most = most_connections()
        if most < MOST_CONNECTIONS:
            files = f"this process may open {files_at_most():,} files"
            note(
                f"{files}, so it accepts {most:,} connections at a time instead of {MOST_CONNECTIONS:,}",
                "raise the limit: ulimit -n 4096, or LimitNOFILE=4096 in the systemd unit",
            )
        app = create_app(
            store,
            receiver,
            live,
            token=token,
            masked_token=masked_token,
            hosts=hosts,
            most_connections=most,
            accept_file=settings.file,
            zone=settings.shown_zone,
            beside=beside,
            accounts=settings.accounts,
        )
        server.serve(app, listening, handler, _reloader(rings, live, sending), root_path)


def _sending(settings: Settings, store: Tracker, live: Following) -> list[Outgoing]:
    """What sends by the entries of the configuration, which may be read again."""
    from projections.alerts.running import Alerts
    from projections.relay.running import Relays
    from projections.traces.running import Traces

    relays = Relays(store.data, settings.load_relays, store.pruned_among, store.last_position)
    traces = Traces(
        store.data, partial(_collector, settings), store.last_position, lambda: live.rules, live.now
    )
    return [Alerts(store.data, settings.load_alerts), relays, traces]


def _collector(settings: Settings) -> Collector | None:
    """Who takes traces, if anybody does. Raises ``UsageError``."""
    from projections.cli.outgoing import collector_at

    address = settings.load_otel()
    return None if address is None else collector_at(address)


def _connected(settings: Settings) -> Callable[[Sleep], AbstractContextManager[Videosdk]]:
    """Gives VideoSDK's API. Raises ``UsageError`` where there is no key, or no package to ask with."""
    from projections.cli.reconcile import credentials, videosdk

    found = credentials(settings.reconcile)
    videosdk(settings.reconcile, found).close()  # so that a mistake shows at once
    return lambda sleep: closing(videosdk(settings.reconcile, found, sleep=sleep))


def _root_path(given: str) -> str:
    """The path with a slash before it and none behind it. Raises ``BadParameter``."""
    path = given.strip("/")
    if any(char in path for char in "?#% ") or not path.isprintable():
        raise click.BadParameter(f"{given!r} is not a path; write /tracker")
    return f"/{path}" if path else ""


def _listed(text: str) -> tuple[str, ...]:
    """The names in a list that is separated by commas."""
    return tuple(filter(None, map(str.strip, text.split(","))))


def _keys_to_serve(settings: Settings, keys: tuple[Path, ...], insecure: bool) -> Keys:
    if insecure and keys:
        raise UsageError("--key and --insecure-no-verify contradict each other", hint="give one of them")
    if insecure:
        return dict.fromkeys([None, *settings.accounts])
    rings = settings.keyrings(keys)
    if not rings:
        hint = "give --key FILE with VideoSDK's public key; --insecure-no-verify stores what anybody sends"
        raise UsageError("there is no key to verify signatures with", hint=hint)
    for name in settings.accounts.keys() - rings.keys():
        hint = f'write {name} = "FILE" below [accounts], or name the key of all accounts in keys'
        raise UsageError(f"account {name} has no key", place=str(settings.file), hint=hint)
    return rings


def _reloader(rings: Keys, live: Following | None, sending: Iterable[Outgoing]) -> Callable[[], None]:
    """Gives what SIGHUP does: it reads keys, rules and what is sent to whom again. A broken file changes nothing, and is logged."""
    from logging import getLogger

    log = getLogger("projections.cli")

    def again(what: str, read: Callable[[], int]) -> None:
        try:
            log.warning("the %s were read again", what, extra={"fields": {what: read()}})
        except TrackerError as error:
            fields = {"error": str(error), "hint": error.hint}
            log.error("the %s stay as they were", what, extra={"fields": fields})  # noqa: TRY400 - one line says it

    def reload() -> None:
        if live is not None:
            live.reload()
        for one in sending:
            again(one.name, one.reload)
        for ring in {id(one): one for one in rings.values() if one is not None}.values():
            again("keys", partial(_keys_again, ring))

    return reload


def _keys_again(ring: Keyring) -> int:
    ring.reload()
    return len(ring.keys)
