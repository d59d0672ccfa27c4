"""The house: which module may import which, and what stands at the top of the repository.

``LAYERS`` is the order: a module may import what stands above it, and nothing is imported the other way
round. A layer is a module or a package. Beside each stand the third-party packages that it uses, so that
a new one is a decision and not an accident.
The imports are read from the sources, those inside functions and for type checkers too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parent.parent

LAYERS = {
    "tracker.errors": set(),
    "tracker.blake2b": set(),
    "tracker.bulk": set(),
    "tracker.deadline": set(),
    "tracker.findings": {"msgspec"},
    "tracker.roles": {"msgspec"},
    "tracker.codes": set(),
    "tracker.accept": {"msgspec"},
    "tracker.alert": {"attrs"},
    "tracker.relay": {"attrs"},
    "tracker.judging.prices": {"msgspec"},
    "tracker.rules": {"msgspec"},
    "tracker.step": {"msgspec"},
    "tracker.record": {"msgspec"},
    "tracker.table": set(),
    "tracker.lifecycle": {"msgspec"},
    "tracker.lifecycles": {"msgspec"},
    "tracker.delivery.envelope": {"msgspec"},
    "tracker.delivery.payload": {"attrs", "cattrs", "msgspec"},
    "tracker.delivery.webhook": {"msgspec"},
    "tracker.delivery.plain": {"msgspec"},
    "tracker.delivery.people": set(),
    "tracker.delivery.pseudonyms": {"msgspec"},
    "tracker.delivery.signature": {"attrs", "cryptography", "msgspec"},
    "tracker.delivery.times": set(),
    "tracker.delivery.shapes": {"msgspec"},
    "tracker.delivery.opening": {"attrs", "msgspec"},
    "tracker.delivery.nearest": {"msgspec"},
    "tracker.delivery.unwrap": {"msgspec"},
    "tracker.simulate": {"attrs", "msgspec"},
    "tracker.judging.hypothesis": {"msgspec"},
    "tracker.judging.log": {"msgspec"},
    "tracker.judging.context": {"msgspec"},
    "tracker.judging.sequence": {"msgspec"},
    "tracker.judging.copies": set(),
    "tracker.judging.merging": {"msgspec"},
    "tracker.judging.ordinary": set(),
    "tracker.judging.search": {"msgspec"},
    "tracker.judging.records": {"msgspec"},
    "tracker.judging.session": {"msgspec"},
    "tracker.judging.evidence": set(),
    "tracker.judging.run": {"msgspec"},
    "tracker.judging.state": {"msgspec"},
    "tracker.judging.presence": {"msgspec"},
    "tracker.judging.words": set(),
    "tracker.judging.findings": {"msgspec"},
    "tracker.retention": {"msgspec"},
    "tracker.toml": set(),
    "tracker.sending": {"attrs"},
    "tracker.config": {"msgspec"},
    "tracker.judging.visits": {"msgspec"},
    "tracker.judging.assess": {"msgspec"},
    "tracker.judging.sessions": {"msgspec"},
    "tracker.store.mark": {"msgspec"},
    "tracker.store.ranges": {"msgspec"},
    "tracker.store.digests": {"msgspec"},
    "tracker.store.withdrawals": {"msgspec"},
    "tracker.store.prunings": {"msgspec"},
    "tracker.store.erasures": {"msgspec"},
    "tracker.store.private": set(),
    "tracker.store.recorder": {"eventsourcing", "msgspec"},
    "tracker.store.sqlite_errors": {"eventsourcing"},
    "tracker.store.place": set(),
    "tracker.store.losses": {"msgspec"},
    "tracker.store.clock": {"msgspec"},
    "tracker.store.sqlite": {"eventsourcing", "msgspec"},
    "tracker.store.postgres_errors": {"eventsourcing", "psycopg"},
    "tracker.store.postgres": {"eventsourcing", "psycopg"},
    "tracker.store.integrity": {"eventsourcing", "msgspec"},
    "tracker.store.kept": {"msgspec"},
    "tracker.store.ledger": {"msgspec"},
    "tracker.store.mapper": {"eventsourcing", "msgspec"},
    "tracker.store.changes": {"eventsourcing"},
    "tracker.store.reading": {"eventsourcing", "msgspec"},
    "tracker.store.application": {"eventsourcing"},
    "tracker.intake.packing": {"zstandard"},
    "tracker.intake.lines": {"msgspec"},
    "tracker.intake.values": {"attrs", "msgspec"},
    "tracker.intake.table": {"attrs", "msgspec"},
    "tracker.intake.framing": {"msgspec"},
    "tracker.intake.logs": {"attrs", "msgspec"},
    "tracker.intake.archive": {"attrs", "pyarrow"},
    "tracker.intake.remote": {"attrs", "obstore"},
    "tracker.intake.sources": set(),
    "tracker.intake.tail": {"attrs", "msgspec"},
    "tracker.intake.receive_times": {"msgspec"},
    "tracker.intake.merging": set(),
    "tracker.intake.rehearsal": set(),
    "tracker.intake.progress": {"attrs", "eventsourcing"},
    "tracker.intake.ingest": {"attrs"},
    "tracker.intake.streams": {"attrs"},
    "tracker.intake.jetstream": {"nats"},
    "tracker.intake.redis_streams": {"msgspec", "redis"},
    "tracker.intake.consuming": {"attrs", "eventsourcing", "msgspec"},
    "tracker.intake.copying": {"attrs", "eventsourcing"},
    "tracker.intake.withdrawing": {"attrs"},
    "tracker.intake.vendor": {"attrs", "httpx2", "msgspec"},
    "tracker.intake.reconciling": {"attrs", "eventsourcing", "msgspec"},
    "tracker.intake.erasing": {"attrs"},
    "tracker.intake.pruning": {"attrs"},
    "tracker.intake.receiver": {"attrs", "starlette"},
    "tracker.testing": {"attrs"},
    "tracker.pytest_plugin": {"pytest"},
    "projections.given": set(),
    "projections.ending": set(),
    "projections.read_models": {"msgspec", "sqlite_utils"},
    "projections.progress": {"rich"},
    "projections.zones": set(),
    "projections.views.loss": {"msgspec"},
    "projections.views.database": {"msgspec"},
    "projections.views.erased": {"msgspec"},
    "projections.views.publications": {"msgspec"},
    "projections.views.meeting": set(),
    "projections.outbox": {"attrs", "httpx2", "msgspec", "standardwebhooks"},
    "projections.alerts": {"apprise", "attrs", "msgspec"},
    "projections.relay": {"attrs", "msgspec"},
    "projections.traces": {"attrs", "msgspec", "opentelemetry", "requests"},
    "projections.views.written": {"msgspec"},
    "projections.views.opened": set(),
    "projections.views.waiting": {"msgspec"},
    "projections.views.pages": {"msgspec"},
    "projections.views.rebuild": set(),
    "projections.views.follow": set(),
    "projections.erasing": set(),
    "projections.views.accepting": set(),
    "projections.views.clocks": set(),
    "projections.views.verify": {"attrs", "msgspec"},
    "projections.views.diff": {"attrs"},
    "projections.views.live": set(),
    "projections.answers": {"attrs", "msgspec"},
    "projections.reconciling": set(),
    "projections.explain.diagrams": set(),
    "projections.explain.status": {"msgspec"},
    "projections.explain.together": {"msgspec"},
    "projections.explain.explanation": {"attrs", "msgspec"},
    "projections.explain.histogram": {"attrs"},
    "projections.explain.calibrate": {"attrs", "msgspec"},
    "projections.explain.machines": set(),
    "projections.exports.cells": set(),
    "projections.exports.new_file": set(),
    "projections.exports.ocel": set(),
    "projections.exports.xes": set(),
    "projections.exports.sql": {"attrs", "duckdb", "pyarrow"},
    "projections.exports.data": {"attrs", "msgspec"},
    "projections.exports.lines": set(),
    "projections.exports.parquet": {"pyarrow"},
    "projections.exports.erasing": {"pyarrow"},
    "projections.pruning": {"attrs"},
    "projections.retaining": set(),
    "projections.exports.send": {"attrs", "cryptography"},
    "projections.audit.found": {"attrs", "msgspec"},
    "projections.audit.share": {"attrs", "msgspec"},
    "projections.audit.auditing": {"attrs", "msgspec"},
    "projections.audit.jobs": {"attrs", "msgspec"},
    "projections.audit.library": {"attrs", "msgspec", "pandas"},
    "projections.audit.spark": {"attrs", "msgspec", "py4j", "pyarrow", "pyspark"},
    "projections.reports": {"attrs", "msgspec", "rich"},
    "projections.web": {
        "attrs",
        "httptools",
        "jinja2",
        "mcp",
        "msgspec",
        "prometheus_client",
        "starlette",
        "uvicorn",
        "uvloop",
    },
    "projections.cli": {"attrs", "click", "msgspec"},
    "projections.program": set(),
    "projections.__main__": set(),
}

OF_A_DECLARATION = {
    *(
        "msgspec.structs",
        "tracker.findings",
        "tracker.step",
        "tracker.lifecycle",
        "tracker.lifecycles.recording",
    ),
    "tracker.record",
    *("tracker.lifecycles.call", "tracker.lifecycles.merge_recording"),
}
"""What a file under ``tracker/lifecycles`` may import: what runs has no place in a declaration."""

OF_THE_SIMULATION = {
    "tracker.errors",
    "tracker.delivery.envelope",
    "tracker.step",
    "tracker.lifecycle",
    "tracker.lifecycles",
}
"""What ``tracker.simulate`` may import: what makes up the meetings must not lean on what judges them."""

PACKAGES = ("tracker", "projections")

DOOR = "tracker"
"""The one exception: it hands out names of all layers, ``audit`` and ``asgi_app`` of ``projections`` among them, and
imports none of them before it is asked for."""

OPTIONAL = {
    "alerts",
    "apprise",
    "mcp",
    "nats",
    "objects",
    "otel",
    "pandas",
    "parquet",
    "postgres",
    "reconcile",
    "redis",
    "spark",
    "speed",
    "sql",
}
"""The extras that a user may want."""

IMPORTED_AS = {"nats_py": "nats", "opentelemetry_exporter_otlp_proto_http": "opentelemetry"}
"""A package -> the name of its module, where that is another one."""

TOP = {"tracker", "projections", "tests", "examples", "pyproject.toml", "README.md", "LICENSE"}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
"""Every module of the two packages, by its dotted name."""


def imported(source, module="", *, is_package=False, modules=frozenset(SOURCES)):
    """The dotted names of the modules that ``source`` imports, wherever in it the statement stands.

    ``from package import name`` imports ``package.name`` where that is one of ``modules``, else
    ``package``. That ``package`` itself is run before each of its files is left out: every file
    of a package would stand in a cycle with an ``__init__`` that gathers them.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(node, module, is_package=is_package)
            names = {f"{origin}.{alias.name}" for alias in node.names}
            found |= names & modules
            found |= {origin} if names - modules else set()
    return found


def absolute(node, module, *, is_package):
    """The module that a ``from … import`` names, also where it does so by dots."""
    parts = module.split(".")
    above = parts[: len(parts) - node.level + is_package] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def layer_of(module):
    """``tracker.lifecycles.hls`` -> ``tracker.lifecycles``; ``None`` of a module that is in no layer."""
    return next((layer for layer in LAYERS if f"{module}.".startswith(f"{layer}.")), None)


def layers_in(module):
    """The layers of a package that is none itself."""
    return [layer for layer in LAYERS if layer.startswith(f"{module}.")]


def place(module):
    """Where a module stands in the house, to be compared; a package's own file stands above its layers."""
    order = list(LAYERS)
    layer = layer_of(module)
    return order.index(layer) if layer else order.index(layers_in(module)[0]) - 0.5


def of_the_house(module):
    return module.partition(".")[0] in PACKAGES


def third_party(imports):
    tops = {name.partition(".")[0] for name in imports}
    return tops - {*PACKAGES} - sys.stdlib_module_names


def against_the_order(module, imports):
    """One sentence for each import of the house that goes against the order."""
    for other in sorted(imports):
        if place(other) > place(module):
            yield f"{module} imports {other}, which stands below it in LAYERS"


def cycle(graph):
    """The modules of one import cycle, in order; none where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


IMPORTS = {
    module: imported(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")
    for module, path in SOURCES.items()
}

LISTED = {module for module in SOURCES if layer_of(module) or layers_in(module)}

MOST_LINES = 450
"""Of a module. A longer one has more than one reason to be opened."""


def test_every_module_belongs_to_a_layer():
    homeless = [
        f"{module} is in no layer: give it its place in LAYERS, above all that may import it"
        for module in sorted(SOURCES.keys() - LISTED)
    ]
    assert homeless == []


def test_no_module_is_longer_than_the_limit():
    lengths = {module: path.read_text(encoding="utf-8").count("\n") for module, path in SOURCES.items()}
    assert {module: lines for module, lines in lengths.items() if lines > MOST_LINES} == {}


def test_every_layer_exists():
    assert LAYERS.keys() - SOURCES.keys() == set()


def test_a_module_imports_only_what_stands_above_it():
    modules = sorted(LISTED - {DOOR})
    assert [words for one in modules for words in against_the_order(one, IMPORTS[one] & LISTED)] == []


def test_what_a_module_imports_of_the_house_is_there():
    named = {one: {other for other in IMPORTS[one] if of_the_house(other)} for one in sorted(LISTED)}
    assert {one: others - SOURCES.keys() for one, others in named.items() if others - SOURCES.keys()} == {}


def test_a_layer_uses_the_third_party_packages_beside_it_and_no_others():
    used = {layer: set() for layer in LAYERS}
    for module in LISTED:
        if layer := layer_of(module):
            used[layer] |= third_party(IMPORTS[module])
    assert used == LAYERS


@pytest.mark.parametrize("module", sorted(name for name in SOURCES if name.startswith("tracker.lifecycles.")))
def test_the_file_of_a_lifecycle_imports_nothing_that_runs(module):
    outside = {name for name in IMPORTS[module] if name.partition(".")[0] not in sys.stdlib_module_names}
    assert outside - OF_A_DECLARATION == set()


@pytest.mark.parametrize("module", sorted(name for name in SOURCES if name.startswith("tracker.simulate")))
def test_the_simulation_knows_nothing_of_the_judging(module):
    house = {name for name in IMPORTS[module] if of_the_house(name) and not name.startswith("tracker.simulate")}
    assert house - OF_THE_SIMULATION == set()


def test_the_third_party_packages_of_the_layers_are_the_dependencies_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [
        *project["dependencies"],
        *(text for name in OPTIONAL for text in project["optional-dependencies"][name]),
    ]
    declared = {"pytest"} | {re.match(r"[\w-]+", text)[0].replace("-", "_") for text in texts}
    declared = {IMPORTED_AS.get(name, name) for name in declared}
    assert declared == set().union(*LAYERS.values())


def test_there_is_no_import_cycle():
    assert cycle({module: IMPORTS[module] & SOURCES.keys() for module in SOURCES if module != DOOR}) == []


def test_the_door_imports_nothing_of_the_house_before_it_is_asked():
    program = "import sys, tracker; print([name for name in sys.modules if name.startswith(('tracker.', 'projections'))])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


def test_nothing_but_the_agreed_names_and_dot_files_stands_at_the_top_of_the_repository():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout, so git cannot say which files belong to the repository")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    top = {path.partition("/")[0] for path in listed.stdout.split("\0") if path}
    assert {name for name in top if not name.startswith(".")} - TOP == set()


@attrs.frozen
class Case:
    """A source, and what it imports as ``tracker.sub.module``."""

    source: str
    expected: set[str]


@pytest.mark.parametrize(
    "case",
    [
        Case("import tracker.store as store", {"tracker.store"}),
        Case("from tracker import store, __doc__", {"tracker", "tracker.store"}),
        Case("from tracker.store import Tracker", {"tracker.store"}),
        Case("def late():\n    import tracker.store", {"tracker.store"}),
        Case("if TYPE_CHECKING:\n    from tracker.store import Tracker", {"tracker.store"}),
        Case("from . import other", {"tracker.sub"}),
        Case("from .. import store", {"tracker.store"}),
        Case("from ..store import Tracker", {"tracker.store"}),
        Case("from cattrs.gen import override", {"cattrs.gen"}),
    ],
    ids=lambda case: case.source,
)
def test_an_import_is_seen_however_it_is_written(case):
    assert case.expected == imported(case.source, "tracker.sub.module", modules={"tracker", "tracker.store"})


def test_the_dots_of_a_package_begin_at_the_package_itself():
    assert imported("from .hls import Hls", "tracker.lifecycles", is_package=True) == {"tracker.lifecycles.hls"}


@pytest.mark.parametrize(
    ("module", "other", "allowed"),
    [
        ("tracker.store.application", "tracker.judging.session", True),
        ("tracker.judging.session", "tracker.store.application", False),
        ("tracker.judging.search", "tracker.judging.findings.maker", False),
        ("tracker.judging.assess", "tracker.judging.findings.maker", True),
        ("tracker.judging", "tracker.judging.session", False),
        ("projections.views.follow", "tracker.store.application", True),
        ("tracker.store.application", "projections.views.follow", False),
        ("projections.read_models.runs", "projections.read_models", True),
        ("projections.views.follow", "projections.read_models.runs", True),
        ("projections.read_models.runs", "projections.views.follow", False),
        ("tracker.errors", "tracker", True),
        ("tracker", "tracker.errors", False),
        ("projections", "tracker.errors", True),
    ],
)
def test_the_order_allows_what_stands_above_and_refuses_what_stands_below(module, other, allowed):
    refused = [f"{module} imports {other}, which stands below it in LAYERS"]
    assert ([] if allowed else refused) == list(against_the_order(module, {other}))


def test_a_cycle_is_found_and_named():
    assert set(cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
