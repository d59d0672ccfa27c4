"""``/lifecycles``: what is normal, and how often it went so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from projections.read_models import findings, links, participants, runs, sessions, types
from projections.web import parameters
from projections.web.pages.graph import Graph, graph, highlight_of
from projections.web.pages.html import moment
from projections.web.pages.kinds import kind
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.errors import NotFoundError
from tracker.findings import SEVERITIES
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.lifecycles import REGISTRY
from tracker.step import Step

PARAMETERS = (parameters.text("name", "The lifecycle.", place="path"),)
LATEST = 12
"""Runs that are shown of a lifecycle; ``tracker runs`` has all."""
ROLES = {
    "skipped": "was skipped",
    "missed": "never came",
    "orphan": "nothing was under way",
    "conflict": "came with other data",
    "restarted": "began anew",
    "outcome": "failed",
    "overdue": "took too long",
}
"""In a cell there is room for two or three words."""


def fill_all(of: Snapshot, _: Values) -> Values:
    came = types.deliveries(of.db)
    ones = [
        {"graph": graph(one), "number": sum(_came(one, step, came) for step in one.steps)}
        for one in REGISTRY.values()
    ]
    return {"title": "Lifecycles", "ones": ones}


def fill(of: Snapshot, asked: Values) -> Values:
    lifecycle = REGISTRY.get(asked["name"])
    if lifecycle is None:
        raise NotFoundError("no such lifecycle", place=asked["name"], hint=f"known: {', '.join(REGISTRY)}")
    came = types.deliveries(of.db)
    rows = list(findings.numbers(of.db, lifecycle=lifecycle.name))
    return {
        "title": lifecycle.name,
        "lifecycle": lifecycle,
        "lifecycles": list(REGISTRY),
        "graph": _graph(of, lifecycle, rows),
        "steps": [_step(of, lifecycle, step, came) for step in lifecycle.steps],
        "codes": list(_codes(rows)),
        "runs": [_run(lifecycle, row) for row in links.runs(of.db, lifecycles=[lifecycle.name], limit=LATEST)],
    }


def _graph(of: Snapshot, lifecycle: Lifecycle, rows: Iterable[Values]) -> Graph:
    highlights = (highlight_of(lifecycle, row, row["number"]) for row in rows)
    return graph(lifecycle, None, traffic(of, lifecycle), filter(None, highlights))


def traffic(of: Snapshot, lifecycle: Lifecycle) -> dict[tuple[str, str], int]:
    """(state, step) -> how often a run went that way, of those that the table allows."""
    if lifecycle.is_session:
        paths = sessions.paths(of.db, lifecycle)
    elif lifecycle.is_presence:
        paths = participants.paths(of.db, lifecycle)
    else:
        paths = runs.paths(of.db, lifecycle.name)
    count = Counter[tuple[str, str]]()
    for before, steps, number in paths:
        state = before or ABSENT
        for step in lifecycle.steps:  # in the order in which they should come: what came late went that way too
            if step.name in steps:
                if step.name in lifecycle.table.get(state, ()):
                    count[state, step.name] += number
                state = step.state
    return count


def _step(of: Snapshot, lifecycle: Lifecycle, step: Step, came: dict[str, int]) -> Values:
    finds = [
        {"code": code, "slug": CATALOGUE[code].slug, "role": ROLES[role]}
        for owner, role, code in lifecycle.roles()
        if owner is step and code
    ]
    return {
        "type": lifecycle.webhook_type(step.name),
        "state": step.state if step.moves else "nothing",
        "closes": step.closes,
        "number": _came(lifecycle, step, came),
        "limit": of.rules.written()[step.limit] if step.limit else None,
        "finds": finds,
    }


def _run(lifecycle: Lifecycle, row: Values) -> Values:
    began, ended = moment(row["began_at"]), moment(row["ended_at"])
    name = " ".join(row["key"].values()) or lifecycle.name
    return {**row, "name": name, "kind": kind(lifecycle, row["state"]), "began": began, "ended": ended}


def _came(lifecycle: Lifecycle, step: Step, came: dict[str, int]) -> int:
    """How often a step was reported, by the type of today or one of before."""
    return sum(came.get(webhook_type, 0) for webhook_type in lifecycle.webhook_types(step.name))


def _codes(rows: Iterable[Values]) -> Iterator[Values]:
    """How often each code was raised, the gravest first."""
    count, gravity = Counter[str](), dict[str, str]()
    for row in rows:
        count[row["code"]] += row["number"]
        gravity[row["code"]] = row["severity"]
    for code, number in sorted(count.items(), key=lambda pair: (-SEVERITIES.index(gravity[pair[0]]), -pair[1])):
        entry = CATALOGUE[code]
        yield {
            "code": code,
            "slug": entry.slug,
            "when": entry.when,
            "severity": gravity[code],
            "number": number,
        }
