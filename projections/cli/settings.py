"""The settings of a command: which store it opens, and by which rules it judges."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from projections import zones
from projections.cli.messages import note
from projections.cli.options import DEFAULT_DATA, STORE, TIME_FIELD, WEBHOOK_FIELD
from projections.cli.times import ZONE, GivenTime, zone_of_machine
from projections.progress import of_events
from projections.zones import zone_named
from tracker.errors import StoreMissingError, TrackerError, UsageError, did_you_mean, without_secrets

if TYPE_CHECKING:
    from projections.views.follow import Views
    from tracker.alert import Alert
    from tracker.config import Config, Reconcile
    from tracker.delivery.signature import Keyring
    from tracker.delivery.unwrap import Fields
    from tracker.relay import Relay
    from tracker.retention import Retention
    from tracker.rules import Rules
    from tracker.store.application import Tracker


class Settings:
    """The store and the rules to use: an option wins over the environment, and that over the file."""

    def __init__(self, data: Path | None, config: Path | None, rules: Path | None = None) -> None:
        context = click.get_current_context()
        outer = context.find_root().obj or {}
        config = config or outer.get("config") or _path(os.environ.get("TRACKER_CONFIG"))
        if config is None and Path("tracker.toml").exists():
            config = Path("tracker.toml")
        self._config, self._rules = config, rules
        self.accept_in: Path | None = None
        """The file whose ``[[accept]]`` entries are in force."""
        self._data = data or outer.get("data") or _path(os.environ.get("TRACKER_DATA"))
        self._store = context.meta.get(STORE) or os.environ.get("TRACKER_STORE")
        self._zone: tzinfo | None = context.meta.get(ZONE)
        context.call_on_close(zones.use(lambda: self.shown_zone))
        self._fields = context.meta.get(WEBHOOK_FIELD), context.meta.get(TIME_FIELD)

    @cached_property
    def stated(self) -> Config:
        """What the configuration file says."""
        from tracker.config import Config, load_config

        return load_config(self._config) if self._config is not None else Config()

    @property
    def data(self) -> Path:
        return self._data or self.stated.data or Path(DEFAULT_DATA)

    @property
    def url(self) -> str | None:
        """The URL of the store's database, ``None`` where the store is in ``data``."""
        return self._store or self.stated.store

    @property
    def file(self) -> Path | None:
        """The configuration file that is read; ``None`` where there is none."""
        return self._config

    def origins(self) -> Iterator[tuple[str, str, str]]:
        """What is set: its name, its value without a password, and where it comes from."""
        options, variable, file = "an option", "TRACKER_{}".format, str(self._config)
        context = click.get_current_context()
        outer, meta, stated = context.find_root().obj or {}, context.meta, self.stated

        def origin(given: object, name: str, in_file: object, usual: str = "the default") -> str:
            if given:
                return options
            return variable(name) if os.environ.get(variable(name)) else file if in_file else usual

        own = context.params
        chosen = own.get("config") or outer.get("config")
        found = origin(
            chosen, "CONFIG", None, "found here" if self._config else "there is no tracker.toml here"
        )
        yield "config", str(self._config or "none"), found
        yield "data", str(self.data), origin(own.get("data") or outer.get("data"), "DATA", stated.data)
        yield (
            "store",
            without_secrets(self.url or str(self.data)),
            origin(meta.get(STORE), "STORE", stated.store),
        )
        usual = "TZ" if self.shown_zone is not self.zone else "the default"
        yield "tz", str(self.shown_zone), origin(meta.get(ZONE), "TZ", stated.tz, usual)
        listed = os.environ.get("TRACKER_KEYS") or os.pathsep.join(map(str, stated.keys))
        yield "keys", listed or "none", origin(None, "KEYS", stated.keys)
        for name, paths in self.accounts.items():
            yield f"accounts.{name}", os.pathsep.join(map(str, paths)) or "those of keys", file

    @cached_property
    def now(self) -> datetime:
        """The moment of this command, by the clock on the wall."""
        return datetime.now(UTC)

    def fresh_now(self) -> datetime:
        """The moment that it is by now, for commands that go on."""
        self.__dict__.pop("now", None)
        return self.now

    @cached_property
    def zone(self) -> tzinfo:
        """The time zone of times in logs that name none. Raises ``UsageError`` where there is none of that name."""
        if self._zone is not None:
            return self._zone
        if name := os.environ.get("TRACKER_TZ"):
            return zone_named(name, "TRACKER_TZ")
        return zone_named(self.stated.tz, f"{self._config}: tz") if self.stated.tz else UTC

    @cached_property
    def shown_zone(self) -> tzinfo:
        """The time zone of times that are shown, or typed as an option: ``zone``, or that of TZ where nothing is set."""
        if self._zone is not None or os.environ.get("TRACKER_TZ") or self.stated.tz:
            return self.zone
        return zone_of_machine()

    @cached_property
    def fields(self) -> Fields:
        """Where logs have webhook and time. Raises ``UsageError`` where that is no field."""
        from tracker.delivery.unwrap import fields_of

        webhook, time = (
            given or stated for given, stated in zip(self._fields, self.stated.intake, strict=True)
        )
        return fields_of(webhook, time)

    def moment(self, given: GivenTime | None, span: tuple[datetime, datetime] | None = None) -> datetime | None:
        """The moment that was given, in UTC; a time of day is of the day of ``span``, else of today."""
        return None if given is None else given.moment(self.now, self.shown_zone, span)

    def to_come(self, given: GivenTime | None) -> datetime | None:
        """The moment that was given for ``--until``. Raises ``UsageError`` where it is over."""
        from projections import zones

        end = self.moment(given)
        if end and end <= self.now:
            hint = "give a time to come, or leave it out"
            raise UsageError(f"--until is {zones.dated(end)}, which is over", hint=hint)
        return end

    @cached_property
    def rules(self) -> Rules:
        """The rules of ``--rules`` or else of tracker.toml; what is accepted may come from either file."""
        from tracker.config import load_config, refuse_unknown_lifecycles
        from tracker.lifecycles import REGISTRY

        rules, self.accept_in = self.stated.rules, self._config
        if self._rules is not None:
            given = load_config(self._rules).rules
            self.accept_in = self._rules if given.accept else self._config
            rules = given.or_accept(rules.accept)
        if self.accept_in is not None:
            refuse_unknown_lifecycles(rules.accept, REGISTRY, self.accept_in)
        return rules

    def load_rules(self) -> Rules:
        """Reads the rules from their file again."""
        self.__dict__.pop("stated", None)
        self.__dict__.pop("rules", None)
        return self.rules

    def load_alerts(self) -> tuple[Alert, ...]:
        """Reads the alerts from their file again."""
        from tracker.config import load_config

        return load_config(self._config).alerts if self._config is not None else ()

    def load_relays(self) -> tuple[Relay, ...]:
        """Reads what is relayed from the file again."""
        from tracker.config import load_config

        return load_config(self._config).relays if self._config is not None else ()

    def load_otel(self) -> str | None:
        """Reads the address of the collector of traces from the file again."""
        from tracker.config import load_config

        return load_config(self._config).otel if self._config is not None else None

    def load_retention(self) -> Retention:
        """Reads ``[retention]`` from its file again."""
        from tracker.config import Config, load_config

        return (load_config(self._config) if self._config is not None else Config()).retention

    def keyring(self, given: tuple[Path, ...] = ()) -> Keyring | None:
        """The keys to verify signatures with, ``None`` where no key file is named."""
        environment = os.environ.get("TRACKER_KEYS", "")
        paths = given or tuple(map(Path, filter(None, environment.split(os.pathsep)))) or self.stated.keys
        if not paths:
            return None
        from tracker.delivery.signature import Keyring

        return Keyring(paths)

    def keyrings(self, given: tuple[Path, ...] = ()) -> dict[str | None, Keyring]:
        """The keys of each account that has some; those of webhooks of no account under ``None``."""
        usual = self.keyring(given)
        found: dict[str | None, Keyring | None] = {None: usual, **dict.fromkeys(self.accounts, usual)}
        for name, paths in self.accounts.items():
            if paths:
                from tracker.delivery.signature import Keyring

                found[name] = Keyring(paths)
        return {name: ring for name, ring in found.items() if ring is not None}

    def keyrings_of_logs(self, given: tuple[Path, ...]) -> dict[str | None, Keyring]:
        """The keys by which what logs hold is verified: those that were given, whatever the account, or each its own."""
        ring = self.keyring(given) if given else None
        return self.keyrings() if ring is None else {None: ring}

    @property
    def accounts(self) -> Mapping[str, tuple[Path, ...]]:
        """The accounts of the configuration file, each with its key files."""
        return self.stated.accounts

    def account(self, given: str | None) -> str | None:
        """The account that was given. Raises ``UsageError`` where it can be none, or is none of the configured ones."""
        from tracker.delivery.envelope import ACCOUNT_HINT, is_account

        if given is not None and not is_account(given):
            raise UsageError(f"{given!r} cannot be the name of an account", hint=ACCOUNT_HINT)
        if given is not None and self.accounts and given not in self.accounts:
            hint = did_you_mean(given, self.accounts) or f"known: {', '.join(self.accounts)}"
            raise UsageError(f"[accounts] has no {given}", place=str(self._config), hint=hint)
        return given

    @property
    def reconcile(self) -> Reconcile:
        """What the configuration file says of VideoSDK's REST API."""
        return self.stated.reconcile

    @contextmanager
    def store(self, *, create: bool = False) -> Iterator[Tracker]:
        from tracker.store.application import Tracker

        with Tracker.open(self.data, self.url, create=create) as opened:
            try:
                yield opened
            except TrackerError as error:  # it was raised where nobody knows for whom
                error.message = zones.sentence(error.message, None)
                raise

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
        """The read models, brought up to the end of the store."""
        from projections.views.follow import Views

        if store.ledger.requests and (behind := _why_behind(store)):
            note(f"{store.owner}: {behind}", "tracker erase --again carries them out")
        with of_events("judging") as progress:
            views = Views.open(store, self.rules, progress)
        with views:
            yield views

    @contextmanager
    def views_now(self, store: Tracker) -> Iterator[Views]:
        """The read models, brought up to the end of the store and to the moment of this command."""
        with self.views(store) as views:
            views.bring_to(store, self.now)
            yield views


def _why_behind(store: Tracker) -> str:
    from tracker.intake.erasing import why_behind  # it takes long to import, and few ever erase anybody

    return why_behind(store)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
