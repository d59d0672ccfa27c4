"""Writes what the documentation takes from the code: tables, drawings, and what commands print.

    python tests/reference.py            says which pages would change
    python tests/reference.py --write    writes them anew

A table stands between ``<!-- table: NAME -->`` and ``<!-- /table -->``. Where the code does not hold what a row means (a
column of a read model, a route), the last cell is written by hand in the page and kept; ``test_reference.py`` refuses an
empty one.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import logging
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import attrs
import click
import documents
from documents import PAGES, REFERENCE, ROOT
from msgspec.structs import astuple
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Mount

from projections import cli
from projections.explain.diagrams import mermaid, remarks
from projections.views.database import SQL_VIEWS, TABLES
from projections.web import api
from tracker.accept import Acceptance
from tracker.alert import Alert, When
from tracker.codes import codes_for
from tracker.config import SETTINGS, Reconcile
from tracker.delivery.envelope import BODY_NAMES, RECEIVE_TIME_NAMES
from tracker.delivery.nearest import TIME_NAMES
from tracker.delivery.shapes import SHAPES
from tracker.findings import Verdict
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.prices import PRICES
from tracker.judging.state import Certainty, Reading, SessionState
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.lifecycles import REGISTRY
from tracker.record import PREFIX
from tracker.relay import Relay
from tracker.rules import WINDOWS, Rules
from tracker.step import Step

Row = tuple[str, ...]
LETTERS = {
    "D": "the delivery",
    "S": "the sequence",
    "T": "time",
    "X": "two things that contradict each other",
    "C": "the content",
    "L": "the log as a whole",
    "R": "the log and VideoSDK's own records",
}
"""What the codes of a letter are about."""
DATASETTE = ROOT / "examples" / "datasette.json"
_MARKED = re.compile(r"(<!-- table: ([\w ]+) -->\n)(.*?)(<!-- /table -->)", re.DOTALL)


def code(name: str) -> str:
    return f"`{name}`"


def table(*head: str, rows: Iterable[Row]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def described(cls: type) -> dict[str, str]:
    """Attribute of a class -> what is said of it: in the section *Attributes* of its docstring, or below it."""
    found = {}
    for one in re.finditer(
        r"^    (\w+): (.+(?:\n {8,}.+)*)", inspect.cleandoc(cls.__doc__ or ""), re.MULTILINE
    ):
        found[one[1]] = " ".join(one[2].split())
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(node, ast.ClassDef)
    for field, below in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[ast.unparse(field.target)] = " ".join(str(below.value.value).split())
    return found


# -- what the code says ----------------------------------------------------------------------------


def codes(letter: str) -> str:
    rows = (
        (f"**{one.code}** {one.slug}", one.severity, one.when, one.example, one.advice, _paid(one.prices))
        for one in CATALOGUE.values()
        if one.code.startswith(letter)
    )
    return table("code", "severity", "when", "for example", "what to do", "price", rows=rows)


def _paid(names: Iterable[str]) -> str:
    """What a hypothesis pays that finds a code; nothing where it follows from what is held."""
    return ", ".join(f"{name} {PRICES[name].value:g}" for name in names) or "–"


def lifecycles() -> str:
    """What there is in a meeting: its webhooks, and what tells two of a kind apart."""
    rows = []
    for one in REGISTRY.values():
        steps = ", ".join(step.name for step in one.steps)
        key = [*map(code, one.key), *(f"{code(name)} where it is sent" for name in one.optional_key)]
        rows.append((f"**{one.name}**", steps, ", ".join(key) or "–"))
    return table("lifecycle", "webhooks, as `recording-started`", "one of several is known by", rows=rows)


def steps() -> str:
    """The same, shorter: the lifecycles with the same steps in one row."""
    rows: dict[str, list[str]] = {}
    others = [one.name for one in REGISTRY.values() if not one.is_documented]
    for one in REGISTRY.values():
        if one.is_documented:
            rows.setdefault(", ".join(step.name for step in one.steps), []).append(one.name)
    listed = [(", ".join(names), way) for way, names in rows.items()]
    return table("lifecycles", "steps", rows=[*listed, (", ".join(others), "as far as they are known")])


def declared() -> str:
    """Everything that a declaration says, for each lifecycle."""
    return "\n".join(f"### {one.name}\n\n{_said(one)}{_declared(one)}" for one in REGISTRY.values())


def _said(lifecycle) -> str:
    said = " ".join(
        re.sub(r"\S*<\S+>", lambda found: code(found[0].rstrip(".")), one) for one in remarks(lifecycle)
    )
    return f"{said}\n\n" if said else ""


def _declared(lifecycle) -> str:
    rows = []
    for step in lifecycle.steps:
        before = [state for state, names in lifecycle.table.items() if step.name in names]
        come_from = ", ".join("nothing" if state == ABSENT else state for state in before)
        named = sorted({one for one in astuple(step) if isinstance(one, str) and one in CATALOGUE})
        state = f"{step.state}, which ends the run" if step.closes else step.state
        if not step.moves:
            state, come_from = "moves nothing", "anything"
        rows.append((code(lifecycle.webhook_type(step.name)), state, come_from, ", ".join(named)))
    drawn = f"```mermaid\n{mermaid(lifecycle)}```\n"
    return table("webhook", "state", "may follow", "codes", rows=rows) + "\n" + drawn


def roles() -> str:
    """The fields of a declaration that hold a code."""
    rows = [
        (
            code(name),
            declaration.__name__.lower(),
            role.when,
            role.where,
            ", ".join(codes_for(name)) + (f" (usual: {role.usual})" if role.usual else ""),
        )
        for declaration in (Step, Lifecycle)
        for name, role in declaration.ROLES.items()
    ]
    return table("field", "of", "is found when", "applies to", "codes", rows=rows)


def prices() -> str:
    rows = ((code(one.name), f"{one.value:g}", one.words) for one in PRICES.values())
    return table("name", "price", "what is assumed", rows=rows)


def rules() -> str:
    about, written = described(Rules), Rules().written()
    rows = ((code(name), written[name], about.get(name, "")) for name in written if name in WINDOWS)
    return table("rule", "default", "meaning", rows=rows)


def commands() -> str:
    """Every command with its options and arguments."""
    shared = {one.name for one in cli.tracker.params}
    parts = []
    for name, command, inner in every_command():
        usage = " ".join([f"tracker {name}", *command.collect_usage_pieces(inner)])
        text = inspect.cleandoc(command.help or "").replace("\b\n", "")
        own = [one for one in command.params if one.name not in shared and isinstance(one, click.Option)]
        parts.append(f"### {name}\n\n`{usage}`\n\n{text}\n" + ("\n" + options(own, inner) if own else ""))
    return "\n".join(parts)


def every_command(
    group: click.Group = cli.tracker, outer: click.Context | None = None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """The name of each command, as it is written behind ``tracker``; those of a group come after it."""
    context = outer or click.Context(group, info_name="tracker")
    above = f"{context.info_name} " if outer else ""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = click.Context(command, info_name=name, parent=context)
        yield f"{above}{name}", command, inner
        if isinstance(command, click.Group):
            yield from every_command(command, inner)


def options(params: Iterable[click.Option], context: click.Context) -> str:
    return table("option", "default", "meaning", rows=(_option(one, context) for one in params))


def _option(one: click.Option, context: click.Context) -> Row:
    words = "" if one.is_flag else f" {one.make_metavar(context)}"
    return (code("/".join(one.opts) + words), _default(one), one.help or "")


def _default(one: click.Option) -> str:
    """The default of an option as its help has it: in words, where the command says it in words."""
    if isinstance(one.show_default, str):
        return one.show_default
    default = "" if one.is_flag or one.default is None or one.multiple else str(one.default)
    return "" if "UNSET" in default else default


def shared_options() -> str:
    context = click.Context(cli.tracker, info_name="tracker")
    return options([one for one in cli.tracker.params if isinstance(one, click.Option)], context)


def envelope() -> str:
    rows = (("the webhook", BODY_NAMES), ("the receive time", RECEIVE_TIME_NAMES))
    return table("holds", "names", rows=((what, ", ".join(map(code, names))) for what, names in rows))


def shapes() -> str:
    """How others hold webhooks, where it is read, and what gives it."""
    rows = []
    for one in SHAPES:
        webhook = code(one.webhook) + (" of each of " + code(one.batch) if one.batch else "")
        held = "" if one.held in ("object", "text") else f", {one.held}"
        rows.append(
            (one.name, webhook + held, code(one.time), code(one.headers) if one.headers else "", one.source)
        )
    return table("shape", "webhook", "time", "headers", "what gives it", rows=rows)


def time_names() -> str:
    return ", ".join(map(code, TIME_NAMES)) + "\n"


# -- what the code names and the page explains -----------------------------------------------------

Meanings = dict[str, str]
"""First cell of a row -> last cell, as the page has them."""


def acceptance(meanings: Meanings) -> str:
    fields = {code(one.name): one.default is one.empty for one in signature(Acceptance).parameters.values()}
    rows = ((name, "yes" if required else "", meanings.get(name, "")) for name, required in fields.items())
    return table("field", "required", "meaning", rows=rows)


def alert() -> str:
    """What an entry of ``[[alert]]`` may say."""
    return _fields(Alert)


def relay() -> str:
    """What an entry of ``[[relay]]`` may say."""
    return _fields(Relay)


def alert_when() -> str:
    return _fields(When)


def reconcile() -> str:
    """What ``[reconcile]`` may say."""
    return _fields(Reconcile)


def records() -> str:
    """Of which lifecycles VideoSDK is asked for its own records, where, and as which events they are stored."""
    rows = (
        (one.name, code(one.records.path), code(f"{PREFIX}{one.name}"))
        for one in REGISTRY.values()
        if one.records is not None
    )
    return table("lifecycle", "list", "type of the event", rows=rows)


def _fields(cls: type) -> str:
    about = described(cls)
    rows = []
    for one in signature(cls).parameters.values():
        words = about[one.name]
        required = "yes" if one.default is one.empty else ""
        rows.append((code(one.name), required, words))
    return table("field", "required", "meaning", rows=rows)


def settings(meanings: Meanings) -> str:
    return words(SETTINGS, meanings)


def words(names: Iterable[str], meanings: Meanings) -> str:
    return table("word", "meaning", rows=((code(name), meanings.get(code(name), "")) for name in names))


def columns(meanings: Meanings) -> str:
    """Each table of ``views.db`` with its columns, of which the page says what they hold."""
    types = {str: "text", int: "integer", float: "real"}
    parts = []
    for one in TABLES:
        rows = [
            (code(f"{one.name}.{name}"), types[kind], "yes" if name in one.pk else "", meanings.get(code(f"{one.name}.{name}"), ""))
            for name, kind in one.columns.items()
        ]  # fmt: skip
        parts.append(f"### {one.name}\n\n" + table("column", "type", "key", "meaning", rows=rows))
    return "\n".join(parts)


def sql_views(meanings: Meanings) -> str:
    return words(SQL_VIEWS, meanings)


def routes(meanings: Meanings) -> str:
    rows = []
    for method, path in server().routes:
        name = code(f"{method} {path}")
        rows.append((name, meanings.get(name, "")))
    return table("route", "answer", rows=rows)


def parameters() -> str:
    """What may be asked of each route of the API."""
    rows = []
    for operation in (*api.OPERATIONS, api.CHANGES):
        for number, one in enumerate(operation.parameters):
            path = code(_path(operation.path)) if not number else ""
            rows.append((path, code(one.name), one.place, one.about))
    return table("route", "parameter", "in", "meaning", rows=rows)


def environment(meanings: Meanings) -> str:
    return words(environment_variables(), meanings)


def metrics() -> str:
    rows = []
    for name, (kind, about, labels) in sorted(server().metrics.items()):
        rows.append((code(name), kind, ", ".join(map(code, labels)), about))
    return table("metric", "kind", "labels", "meaning", rows=rows)


def environment_variables() -> list[str]:
    """The variables that the program reads, by their names in its text."""
    text = "".join(path.read_text("utf-8") for package in ("tracker", "projections")
                   for path in (ROOT / package).rglob("*.py"))  # fmt: skip
    return sorted(set(re.findall(r"\bTRACKER_[A-Z]+(?:_[A-Z]+)*\b", text)))


@attrs.frozen
class Server:
    """What a server answers: method and path of its routes; metric -> kind, text and labels."""

    routes: tuple[tuple[str, str], ...]
    metrics: dict[str, tuple[str, str, tuple[str, ...]]]


@cache
def server() -> Server:
    """A server with the bad Monday in its store, asked for what it has."""
    from meetings import read_into
    from served import EVENING, MONDAY, served

    with TemporaryDirectory() as scratch:
        data = Path(scratch, "data")
        data.mkdir()
        read_into(data, MONDAY)
        with served(data, now=EVENING) as running:
            running.ask("/webhooks", "POST", b"{}", content_encoding="gzip")  # a refusal has a label
            running.caught_up()
            text = running.ask("/metrics").body.decode()
            routes = tuple(_routes(running.server.config.app.routes))
    families = text_string_to_metric_families(text)
    metrics = {_full_name(one): (one.type, one.documentation, _labels(one)) for one in families}
    return Server(routes, metrics)


def _routes(routes) -> Iterator[tuple[str, str]]:
    for one in routes:
        if isinstance(one, Mount):
            yield "GET", f"{one.path}/…"
        else:
            yield from ((method, _path(one.path)) for method in sorted((one.methods or {"GET"}) - {"HEAD"}))


def _path(path: str) -> str:
    return re.sub(r":\w+}", "}", path)


def _full_name(family) -> str:
    return family.name + ("_total" if family.type == "counter" else "")


def _labels(family) -> tuple[str, ...]:
    return tuple(sorted({name for sample in family.samples for name in sample.labels} - {"le"}))


# -- what the benchmarks measured ------------------------------------------------------------------

WELL = {
    "none": "as the simulation makes them",
    "office": "an ordinary office",
    "webinars": "webinars with hundreds of people",
    "retry-hour": "retries up to an hour later",
    "fewer-types": "rooms that subscribe to less",
    "quarter": "recordings restarted every 15 minutes",
}
"""Row of the table of habits -> what the README calls it."""
FAST = {
    "audit LOG, end to end": "audit of a log, lines",
    "ingest LOG, appending only": "ingest, lines",
    "rebuild": "rebuild of the read models, deliveries",
    "status of one session, 30 deliveries": "state of a session",
    "judging, recordings, parsed": "judging alone, deliveries",
    "memory of audit": "memory of an audit",
}
"""Row of the table of speeds, without the size of the log -> what the README calls it."""


def measured(page: str, mark: str) -> list[list[str]]:
    """The cells of a table that a benchmark has written into a page."""
    text = (REFERENCE / page).read_text("utf-8")
    found = re.search(rf"<!-- {mark}: .*? -->\n(.*?)<!-- /{mark} -->", text, re.DOTALL)
    assert found, f"{page} has no table {mark}"
    lines = [line for line in found[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def how_well() -> str:
    cells = {row[0]: row for row in measured("judging.md", "habits")}
    head = ("meetings", "how many", "faultless ones with a finding", "faults found", "wrong states")
    rows = (
        (words, cells[name][1], cells[name][2], cells[name][4], cells[name][7]) for name, words in WELL.items()
    )
    return table(*head, rows=rows)


def how_fast() -> str:
    seen: dict[str, list[str]] = {}
    for row in measured("speed.md", "speed"):
        seen.setdefault(re.sub(r", [\d,]+ lines$", "", row[1]), row)
    rows = ((FAST[name], *(re.sub(r" CPU, .*|, \d.*", "", cell) for cell in seen[name][2:5])) for name in FAST)
    return table("work", "ours", "beside it", "ratio", rows=rows)


GENERATED: dict[str, Callable[..., str]] = {
    **{f"codes {letter}": (lambda letter=letter: codes(letter)) for letter in LETTERS},
    "lifecycles": lifecycles,
    "steps": steps,
    "declared": declared,
    "roles": roles,
    "prices": prices,
    "rules": rules,
    "alert": alert,
    "alert when": alert_when,
    "relay": relay,
    "reconcile": reconcile,
    "records": records,
    "commands": commands,
    "shared options": shared_options,
    "envelope": envelope,
    "shapes": shapes,
    "time names": time_names,
    "parameters": parameters,
    "metrics": metrics,
    "how well": how_well,
    "how fast": how_fast,
}
"""Name of a table -> what makes it from the code."""
EXPLAINED: dict[str, Callable[[Meanings], str]] = {
    "readings": lambda meanings: words(get_args(Reading), meanings),
    "certainties": lambda meanings: words(get_args(Certainty), meanings),
    "session states": lambda meanings: words(get_args(SessionState), meanings),
    "verdicts": lambda meanings: words(get_args(Verdict), meanings),
    "columns": columns,
    "sql views": sql_views,
    "routes": routes,
    "environment": environment,
    "settings": settings,
    "acceptance": acceptance,
}
"""Name of a table whose rows the code names, and whose last cells the page holds."""


# -- the pages -------------------------------------------------------------------------------------


def meanings(text: str) -> Meanings:
    """First cell -> last cell of the rows of a table."""
    rows = [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in text.splitlines() if line.startswith("|")]
    return {row[0].strip(): row[-1].strip().replace("\\|", "|") for row in rows}


def made(name: str, present: str) -> str:
    """A table as it should be; ``present`` is what the page has."""
    if name in GENERATED:
        return GENERATED[name]()
    return EXPLAINED[name](meanings(present))


def tables_in(path: Path) -> list[tuple[str, str]]:
    """Name and text of the tables of a page."""
    return [(found[2], found[3]) for found in _MARKED.finditer(path.read_text("utf-8"))]


def renewed(text: str) -> str:
    """A page with its tables as they should be."""
    return _MARKED.sub(lambda found: f"{found[1]}{made(found[2], found[3])}{found[4]}", text)


def without_code(path: Path) -> str:
    return re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def links_of(path: Path) -> list[str]:
    """The links of a page to other files and headings of the repository."""
    found = re.findall(r"(?<!!)\[[^]]*\]\(([^)\s]+)\)", without_code(path))
    return [link for link in found if not re.match(r"https?:", link)]


def pictures_of(path: Path) -> list[str]:
    return re.findall(r"!\[[^]]+\]\(([^)]+)\)", without_code(path))


def anchors_of(path: Path) -> set[str]:
    """The anchors that a reader's browser makes of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", without_code(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def datasette() -> str:
    """What Datasette says of each column of ``views.db``: what the page of the tables says."""
    known = {
        name: re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", meaning)
        for title, text in tables_in(REFERENCE / "views.md")
        if title in ("columns", "sql views")
        for name, meaning in meanings(text).items()
    }
    tables: dict[str, Any] = {
        one.name: {"columns": {column: known[code(f"{one.name}.{column}")] for column in one.columns}}
        for one in TABLES
    }
    tables["deliveries"]["sort_desc"] = "position"
    tables["deliveries"]["facets"] = ["type", "reading", "lifecycle"]
    tables["findings"]["facets"] = ["code", "severity", "verdict"]
    tables |= {name: {"description": known[code(name)]} for name in SQL_VIEWS}
    return json.dumps({"databases": {"views": {"tables": tables}}}, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    logging.disable()  # of the server that is asked
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the pages anew")
    parser.add_argument(
        "--tables", action="store_true", help="leave out what commands print, which takes a minute"
    )
    parser.add_argument(
        "pages", nargs="*", default=list(PAGES), help="only these, as examples/reference/http.md"
    )
    asked = parser.parse_args()
    if asked.write:
        DATASETTE.write_text(datasette(), "utf-8")
    for name in asked.pages:
        path = PAGES[name]
        before = text = path.read_text("utf-8")
        text = renewed(text)
        if asked.write:
            path.write_text(text, "utf-8")
        if not asked.tables:
            with TemporaryDirectory() as scratch:
                text = documents.rewritten(path, documents.check_out(Path(scratch)))
            if asked.write:
                path.write_text(text, "utf-8")
        print(
            f"{name}: {'as it should be' if text == before else 'written anew' if asked.write else 'would change'}"
        )


if __name__ == "__main__":
    main()
