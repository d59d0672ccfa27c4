"""``tracker doctor``: how the store, its surroundings and the settings do."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from projections import zones
from projections.cli.messages import AHEAD_HINT, ahead_in_words, deliveries, quantity
from projections.cli.options import MACHINE, TEXT, with_store
from projections.cli.outgoing import could_be_sent
from projections.cli.settings import Settings
from projections.cli.streams import write
from projections.cli.times import with_tz
from projections.progress import of_events
from tracker.errors import StoreDamagedError, StoreMissingError, TrackerError

if TYPE_CHECKING:
    from projections.read_models import ReadModels
    from tracker.store.application import Tracker

LEAST_SPACE = 1 << 30
"""Bytes of the disk; with less it is time to make room."""


class Check(NamedTuple):
    """What was looked at, whether that is fine, what was seen, and what to do."""

    check: str
    state: str
    seen: str
    hint: str = ""


@click.command()
@click.option("--format", "format", type=click.Choice([TEXT, *MACHINE]), default=TEXT, show_default=True)
@with_tz
@with_store
def doctor(format: Any, data: Path | None, config: Path | None) -> None:
    """Check how the store, its surroundings and the settings do.

    Looked at are the store, the read models, the clock, the keys, what erasure and retention have left to do, the alerts (nothing is sent), which webhooks never
    came, SQLite and the disk. Each line says what is fine and what to do about what is not. The exit code is 0 unless the store is damaged or out of
    reach. `tracker verify` checks every single event.
    """
    from projections.exports import data as machine
    from projections.reports.tables import checks as listed
    from projections.reports.text import console

    settings = Settings(data, config)
    found: list[Check] = []
    damage: TrackerError | None = None
    try:
        found.extend(_checks(settings))
    except StoreMissingError as error:
        found.append(Check("store", "missing", str(error), error.hint))
    except StoreDamagedError as error:
        damage = error
        found.append(Check("store", "damaged", str(error), error.hint))
    found += [*_keys(settings), *(Check(*one) for one in could_be_sent(settings)), *_disk(settings)]
    if format == TEXT:
        listed(console(sys.stdout), [one._asdict() for one in found])
    else:
        write(machine.write((one._asdict() for one in found), format))
    if damage is not None:
        sys.exit(damage.exit_code)


def _checks(settings: Settings) -> Iterator[Check]:
    from projections.views.accepting import find

    with settings.store() as store:
        loss = find(store)
        if loss is not None:
            raise StoreDamagedError(
                loss.text, place=store.owner, hint="restore a newer backup, or run tracker accept-loss"
            )
        yield Check(
            "store",
            "ok",
            f"{store.owner}: {quantity(store.count(), 'event')}, the last at {store.last_position()}",
        )
        yield Check(
            "software",
            "note" if store.fault else "ok",
            store.fault or store.software,
            _UPGRADE if store.fault else "",
        )
        yield from _erasures(store)
        yield from _due(settings, store)
        try:
            with settings.views_now(store) as views:
                yield Check("read models", "ok", f"{views.path}: up to position {views.checkpoint.position}")
                yield from _clock(settings, store, views.db)
                yield from _never_seen(views.db)
        except StoreDamagedError as error:
            yield Check(
                "read models", "problem", str(error), "tracker rebuild builds them again from the store"
            )
        except TrackerError as error:
            yield Check("read models", "problem", str(error), error.hint)


def _erasures(store: Tracker) -> Iterator[Check]:
    from tracker.intake.erasing import why_behind

    asked, done = store.ledger.requests, store.erased()
    if words := why_behind(store):
        yield Check("erasures", "problem", words, "tracker erase --again carries them out")
    elif asked < done:
        words = f"people were erased, and {store.ledger.path} does not say whom"
        yield Check(
            "erasures", "problem", words, "put it back: without it, a log that is read again names them"
        )
    elif asked:
        yield Check("erasures", "ok", f"{quantity(asked, 'erasure')}, all carried out")


def _due(settings: Settings, store: Tracker) -> Iterator[Check]:
    """What ``[retention]`` has a server do when it next starts."""
    from tracker.intake.erasing import of_older
    from tracker.intake.pruning import plan

    retention, now, due = settings.load_retention(), settings.now, list[str]()
    if retention == type(retention)():
        return
    with of_events("searching") as progress:
        if retention.people is not None:
            older = of_older(store, now - retention.people, now, progress)
            due += [f"people of {quantity(older.sessions, 'session')} are to be erased"] if older.events else []
        if retention.sessions is not None:
            moved = len(plan(store, now - retention.sessions, now, settings.rules, progress).digests)
            due += (
                [f"{quantity(moved, 'session')} {'is' if moved == 1 else 'are'} to be moved"] if moved else []
            )
    hint = "tracker serve does it when it starts, and then once a day"
    yield (
        Check("retention", "note", ", ".join(due), hint) if due else Check("retention", "ok", "nothing is due")
    )


_UPGRADE = "use a Python with SQLite 3.51.3 or newer; until then, make backups"


def _clock(settings: Settings, store: Tracker, db: ReadModels) -> Iterator[Check]:
    """Whether something was received later than it is now."""
    from projections.read_models import types

    newest = types.newest(db)
    if newest is None:
        yield Check(
            "clock",
            "note",
            "nothing with a receive time has come in",
            "log receive times, or use tracker serve",
        )
    elif ahead := ahead_in_words(newest, settings.now):
        yield Check("clock", "problem", ahead, AHEAD_HINT)
    else:
        wrong = store.wrong_times()
        taken = f"; {quantity(len(wrong), 'span')} of wrong times taken back" if wrong else ""
        yield Check("clock", "ok", f"the last delivery was received at {zones.dated(newest)}{taken}")


def _never_seen(db: ReadModels) -> Iterator[Check]:
    """Which webhook types never came, of the lifecycles of which something came: perhaps they are not subscribed to."""
    from projections.read_models.deliveries import number_outside
    from projections.read_models.types import deliveries as counts
    from tracker.lifecycles import REGISTRY

    seen = counts(db)
    if not seen:
        return
    missing, failures = [], _codes_of_failure()
    for lifecycle in REGISTRY.values():
        names = {step.name: lifecycle.webhook_type(step.name) for step in lifecycle.steps}
        if any(name in seen for name in names.values()):
            bad = {step.name for step in lifecycle.steps if step.outcome in failures}
            missing += [name for step, name in names.items() if name not in seen and step not in bad]
    never = ", ".join(missing)
    unrouted = number_outside(db)
    if missing:
        hint = "subscribe to them at VideoSDK, if such things happen in your meetings"
        yield Check("subscription", "note", f"never seen: {never}", hint)
    else:
        yield Check(
            "subscription", "ok", f"{quantity(len(seen), 'webhook type')} seen, none is missing beside them"
        )
    if unrouted:
        yield Check(
            "unrouted",
            "note",
            f"{deliveries(unrouted)} of no session",
            "tracker timeline unrouted lists them",
        )


def _codes_of_failure() -> set[str]:
    """A step that is found with one of these happens only when something fails: it is good that it never came."""
    from tracker.judging.findings.catalogue import CATALOGUE

    return {code for code, entry in CATALOGUE.items() if entry.severity == "error"}


def _keys(settings: Settings) -> Iterator[Check]:
    try:
        rings = settings.keyrings()
    except TrackerError as error:
        yield Check("keys", "problem", str(error), error.hint)
        return
    if not rings:
        hint = "save VideoSDK's public key and name it in keys of tracker.toml, or in TRACKER_KEYS"
        yield Check("keys", "note", "no public key is set, so signatures cannot be verified", hint)
    elif None in rings:
        yield Check("keys", "ok", quantity(len(rings[None].keys), "public key"))
    shared: dict[str, list[str]] = {}
    for name in settings.accounts:
        if name not in rings:
            hint = f'write {name} = "FILE" below [accounts], or name the key of all accounts in keys'
            yield Check("account", "problem", f"{name}: no public key", hint)
            continue
        yield Check("account", "ok", f"{name}: {quantity(len(rings[name].keys), 'public key')}")
        for key in rings[name].keys:
            shared.setdefault(key.name, []).append(name)
    for names in shared.values():
        if len(names) > 1:
            hint = "VideoSDK may sign for all of them with one key; then only the secrecy of a path tells them apart"
            words = (
                f"{' and '.join(names)} share a key: what is signed for one is believed at the path of another"
            )
            yield Check("account", "note", words, hint)


def _disk(settings: Settings) -> Iterator[Check]:
    place = settings.data if settings.data.exists() else Path()
    used = (
        sum(file.stat().st_size for file in settings.data.glob("*") if file.is_file())
        if settings.data.exists()
        else 0
    )
    free = shutil.disk_usage(place).free
    words = f"{settings.data} has {_size(used)}, {_size(free)} are free"
    few = free < max(LEAST_SPACE, 2 * used)
    hint = "make room: a rebuild needs as much again as the read models have" if few else ""
    yield Check("disk", "note" if few else "ok", words, hint)


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
