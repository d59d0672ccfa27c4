"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

DEFAULT_DATA = "./tracker-data"
STORE = "tracker.store"
"""Where a context keeps --store,"""
WEBHOOK_FIELD, TIME_FIELD = "tracker.webhook-field", "tracker.time-field"
"""and the options of ``with_fields``."""
TEXT = "text"
MACHINE = ("json", "ndjson", "csv")
LEVELS = ("info", "warning", "error")
F = TypeVar("F", bound=Callable[..., Any])


def with_store(command: F) -> F:
    """Adds --data, --store and --config, which may stand before or after the command's name."""
    for option in (
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            show_default="./tracker.toml",
            help="The configuration file.",
        ),
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            show_default=DEFAULT_DATA,
            help="The directory of the store.",
        ),
        click.option(
            "--store",
            metavar="URL",
            expose_value=False,
            callback=_keep,
            help="The PostgreSQL database that holds the events; --data then holds the read models.",
        ),
    ):
        command = option(command)
    return command


def _keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Keeps the option in the context, because only ``Settings`` reads it."""
    if value is not None:
        ctx.meta[f"tracker.{(param.name or '').replace('_', '-')}"] = value


def with_fields(command: F) -> F:
    """Adds --webhook-field and --time-field: where logs have both, if they are not found."""
    for name, what in (("--time-field", "receive time"), ("--webhook-field", "webhook")):
        words = f"The field of a line with the {what}, such as detail.raw; by default it is searched for."
        command = click.option(name, metavar="FIELD", expose_value=False, callback=_keep, help=words)(command)
    return command


def with_keys(command: F) -> F:
    """Adds --key, the files of public keys."""
    words = "Verify signatures with this public key (PEM, or JSON as VideoSDK serves it); may be repeated."
    return click.option("--key", "keys", type=click.Path(path_type=Path), multiple=True, help=words)(command)


def with_account(command: F) -> F:
    """Adds --account, which narrows down what is shown."""
    words = "Only what is of this account of VideoSDK."
    return click.option("--account", type=Name("account"), metavar="NAME", help=words)(command)


def with_as_given(command: F) -> F:
    """Adds --as-given, which keeps the order of logs."""
    words = "Read LOGs one after the other in this order, not merged by receive time."
    return click.option("--as-given", is_flag=True, help=words)(command)


MOST = 1e9
"""Seconds, or whatever else is given as a number with a fraction."""


class OneOf(click.ParamType[str]):
    """One of several words, which are asked for only when one is given: the help of a command imports no lifecycle."""

    def __init__(self, name: str, words: Callable[[], Iterable[str]]) -> None:
        self.name, self._words = name, words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        words = tuple(self._words())
        if value not in words:
            self.fail(f"{value!r} is not one of {', '.join(words)}", param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(word) for word in self._words() if word.startswith(incomplete)]


def with_kinds(
    states: Callable[[], Iterable[str]], lifecycles: Callable[[], Iterable[str]]
) -> Callable[[F], F]:
    """Adds --state and --lifecycle, which narrow runs down to these."""

    def add(command: F) -> F:
        for name, words, help in (
            ("lifecycle", lifecycles, "Only of this lifecycle; may be repeated."),
            ("state", states, "Only in this state; may be repeated."),
        ):
            kind = OneOf(name, words)
            command = click.option(f"--{name}", f"{name}s", type=kind, multiple=True, help=help)(command)
        return command

    return add


class Position(click.IntRange):
    """A position in the store."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if ":" in str(value):
            self.fail(f"{value!r} is a time and no position; give it as --as-of", param, ctx)
        return super().convert(value, param, ctx)


class Duration(click.ParamType[timedelta]):
    """A duration, as it is written everywhere; one that is ``positive`` takes some time."""

    name = "duration"

    def __init__(self, *, positive: bool = False) -> None:
        self._positive = positive

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        from tracker.rules import DURATIONS, seconds_of

        if isinstance(value, timedelta):  # the default
            return value
        seconds = seconds_of(str(value))
        if seconds is None or (self._positive and not seconds):
            self.fail(f"{value!r} is no duration; write {DURATIONS}", param, ctx)
        return timedelta(seconds=seconds)


class Number(click.FloatRange):
    """A number in a range, and a finite one: every comparison of ``nan`` is untrue, and nobody can wait for ever."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not abs(number) <= MOST:
            self.fail(f"{value!r} is too much", param, ctx)
        return number


class Name(click.ParamType[str]):
    """An id, as text. ``of`` says which ids the shell may complete: those of ``COMPLETED``."""

    name = "id"

    def __init__(self, of: str = "") -> None:
        self.of = of

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if any("\ud800" <= char <= "\udfff" for char in text):
            self.fail("the id is not valid UTF-8", param, ctx)
        return text

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        if self.of == "code":
            from tracker.judging.findings.catalogue import CATALOGUE

            found: Iterable[str] = CATALOGUE
            return [CompletionItem(code) for code in found if code.lower().startswith(incomplete.lower())]
        known = _known_ids(ctx, self.of, incomplete)
        if self.of == "account":
            known = sorted({*known, *(one for one in _configured(ctx) if one.startswith(incomplete))})
        return [CompletionItem(one) for one in known]


COMPLETED = {
    "session": ("SELECT session_id FROM sessions WHERE {} UNION SELECT meeting_id FROM sessions WHERE {}", 2),
    "meeting": ("SELECT DISTINCT meeting_id FROM sessions WHERE {}", 1),
    "person": ("SELECT DISTINCT participant_id FROM participants WHERE {}", 1),
    "account": ("SELECT account FROM sessions WHERE {} UNION SELECT account FROM runs WHERE {}", 2),
}
"""What the shell may complete -> the query for it, with a place for each condition."""
MOST_COMPLETED = 50


def _configured(ctx: click.Context) -> Iterable[str]:
    """The accounts of the configuration file; none where it cannot be read."""
    from tracker.config import load_config  # the help needs none
    from tracker.errors import TrackerError

    given = ctx.params.get("config") or ctx.find_root().params.get("config") or os.environ.get("TRACKER_CONFIG")
    try:
        return load_config(Path(given or "tracker.toml")).accounts
    except TrackerError:
        return ()


def _known_ids(ctx: click.Context, of: str, begin: str) -> list[str]:
    """The ids that begin so, from the read models as they are; none where there are none, as nothing is made for it."""
    if of not in COMPLETED:
        return []
    import sqlite3  # the help needs no database
    from contextlib import closing

    outer = ctx.find_root().params
    data = Path(ctx.params.get("data") or outer.get("data") or os.environ.get("TRACKER_DATA") or DEFAULT_DATA)
    query, places = COMPLETED[of]
    columns = re.findall(r"(\w+) FROM", query)
    conditions = [f"{column} >= ? AND {column} < ? || char(0x10ffff)" for column in columns]
    path = (data / "views.db").resolve()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(f"{query.format(*conditions)} LIMIT {MOST_COMPLETED}", [begin, begin] * places)
            return [row[0] for row in rows]
    except sqlite3.Error:
        return []
