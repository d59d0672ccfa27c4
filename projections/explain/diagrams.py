"""A lifecycle, drawn: so that one can check with one's eyes what the tracker believes is normal.

Three drawings of one declaration. ``mermaid`` is for a page that renders it (a README, an issue),
``dot`` for Graphviz, ``text`` for a terminal of eighty columns, where it also says which findings each
step may have. All of it is read off the declaration, so a drawing is never out of date.

An edge is an entry of the table: out of a state, through a webhook type, into the state that this
type reports. Runs begin at the dot (the row ``ABSENT``); a state in which a run is over is marked.
Fields bear the names that are sent, as one sees them in a body.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle, camel_case
from tracker.step import Step

WIDTH = 80
"""Columns of a terminal. A single name that is longer than its column is kept whole."""

_MISSING_ARTEFACT = "C507"
"""The one code that no declaration names: it goes with every ``brings``."""

_NOTHING = "(nothing)"
_GAP = "  "
_KEPT = "\N{NO-BREAK SPACE}"
"""A space at which a line is not broken: a code stays beside what it is for."""


def mermaid(lifecycle: Lifecycle) -> str:
    """A Mermaid ``stateDiagram-v2``, without the fence around it."""
    lines = ["---", f"title: {lifecycle.name}", "---", "stateDiagram-v2", "    direction LR"]
    lines += [f'    state "{state}" as {_mermaid_id(state)}' for state in lifecycle.states]
    for origin, webhook_type, target in edges(lifecycle):
        lines += [f"    {_mermaid_id(origin)} --> {_mermaid_id(target)} : {webhook_type}"]
    lines += [f"    {_mermaid_id(state)} --> [*]" for state in ends(lifecycle)]
    lines += [f'    state "{words}" as {_mermaid_id(name)}' for name, words in _free(lifecycle)]
    return _joined(lines)


def dot(lifecycle: Lifecycle) -> str:
    """A Graphviz ``digraph``."""
    over = set(ends(lifecycle))
    lines = [f"digraph {_quoted(lifecycle.name)} {{", "    rankdir=LR;", "    node [shape=box, style=rounded];"]
    lines.append(f'    {_quoted(ABSENT)} [shape=point, label=""];')
    lines += [f"    {_quoted(state)}{' [peripheries=2]' * (state in over)};" for state in lifecycle.states]
    for origin, webhook_type, target in edges(lifecycle):
        lines += [f"    {_quoted(origin)} -> {_quoted(target)} [label={_quoted(webhook_type)}];"]
    lines += [f"    {_quoted(words)} [shape=plaintext];" for _, words in _free(lifecycle)]
    return _joined([*lines, "}"])


def text(lifecycle: Lifecycle) -> str:
    """The whole declaration for a terminal: what may follow what, the findings, the fields."""
    parts = [[lifecycle.name, "=" * len(lifecycle.name), *remarks(lifecycle)]]
    parts.append(_table(("STATE", "MAY COME NEXT", "WHICH REPORTS"), _movements(lifecycle)))
    parts.append(
        _table(("STEP", "FINDINGS"), ((step.name, _findings(lifecycle, step)) for step in lifecycle.steps))
    )
    of_runs = list(_findings_of_runs(lifecycle))
    if of_runs:
        parts.append(_table(("CODE", "WHEN"), of_runs))
    roles = ((name, "; ".join(of)) for name, of in payload_fields(lifecycle).items())
    parts.append(_table(("FIELD", "ROLE"), roles))
    return "\n".join(map(_joined, parts)).replace(_KEPT, " ")


def payload_fields(lifecycle: Lifecycle) -> dict[str, tuple[str, ...]]:
    """Each field of the payload, by the name that is sent -> its roles in words; often none."""
    return {camel_case(name): tuple(_roles(lifecycle, name)) for name in lifecycle.fields}


def edges(lifecycle: Lifecycle) -> Iterator[tuple[str, str, str]]:
    """State, webhook type, state: each entry of the table once, in its order."""
    for origin, names in lifecycle.table.items():
        for name in names:
            yield origin, lifecycle.webhook_type(name), lifecycle.by_name[name].state


def _free(lifecycle: Lifecycle) -> Iterator[tuple[str, str]]:
    """The steps that move nothing, each with the words for it."""
    for step in lifecycle.steps:
        if not step.moves:
            yield step.name, f"{lifecycle.webhook_type(step.name)} moves nothing"


def ends(lifecycle: Lifecycle) -> tuple[str, ...]:
    """The states in which a run is over."""
    return tuple(state for state in lifecycle.states if state in lifecycle.ends or not lifecycle.table[state])


def _mermaid_id(state: str) -> str:
    # A hyphen would begin an arrow, and a state may bear the name of a keyword, hence the prefix.
    return "at_" + state.replace("-", "_") if state else "[*]"


def _quoted(name: str) -> str:
    return f'"{name}"'


def remarks(lifecycle: Lifecycle) -> Iterator[str]:
    """What is said of the lifecycle as a whole, a sentence each."""
    if lifecycle.is_session:
        yield "The session itself, inside which the others take place."
    if lifecycle.formerly:
        yield f"Its types began with {' or '.join(lifecycle.formerly)} before."
    if not lifecycle.is_documented:
        yield "Documented nowhere, so each finding is an info."
    key = [f"<{name}>" for name in _sent(lifecycle.key)]
    if lifecycle.stream:
        yield f"Belongs to no session; kept in {':'.join((lifecycle.stream, *key))}."
    if lifecycle.stream_without_session:
        yield f"Without a sessionId, kept in {':'.join((lifecycle.stream_without_session, *key))}."
    if lifecycle.linked_by:
        yield f"Linked to a session by its {' and '.join(_sent(lifecycle.linked_by))}."
    if lifecycle.untyped is not None:
        yield f"Comes without a type, and is known by {lifecycle.untyped.by}."
    if lifecycle.is_presence:
        yield "Each run is a person's visit."


def _movements(lifecycle: Lifecycle) -> Iterator[tuple[str, ...]]:
    for state, names in lifecycle.table.items():
        shown = state or _NOTHING
        if not names:
            yield shown, _NOTHING, ""
        for name in names:
            step = lifecycle.by_name[name]
            yield shown, lifecycle.webhook_type(name), step.state + (" (closes)" if step.closes else "")
            shown = ""


def _findings(lifecycle: Lifecycle, step: Step) -> str:
    """The codes of a step, each behind its role: ``skipped S201, overdue (stuck_starting) T301``."""
    found = [(name, code) for owner, name, code in lifecycle.roles() if owner is step and code]
    limit = {"overdue": f"overdue{_KEPT}({step.limit})"}
    codes = [f"{limit.get(name, name)}{_KEPT}{code}" for name, code in found]
    codes += [f"beside{_KEPT}{name}{_KEPT}S209" for name in step.excludes]
    if step.brings:
        codes.append(f"without {' or '.join(_sent(step.brings))}{_KEPT}{_MISSING_ARTEFACT}")
    return ", ".join(codes) if step.moves else f"{lifecycle.webhook_type(step.name)} moves nothing"


def _findings_of_runs(lifecycle: Lifecycle) -> Iterator[tuple[str, str]]:
    """Each code of the lifecycle as a whole and when it is found; where nothing is found, why not."""
    for owner, name, code in lifecycle.roles():
        if owner is lifecycle:
            when = Lifecycle.ROLES[name].when
            yield (code, when) if not isinstance(code, NoFinding) else ("none", f"{when}: {code.because}")


def _roles(lifecycle: Lifecycle, field: str) -> Iterator[str]:
    if field in lifecycle.key:
        yield "key"
    if field in lifecycle.optional_key:
        yield "key where it is sent"
    if field == lifecycle.label:
        yield "label"
    if field in lifecycle.times:
        yield "clock time"
    if field in lifecycle.artefacts:
        yield "artefact"
    if field in lifecycle.deprecated:
        yield f"deprecated for {camel_case(lifecycle.deprecated[field])}"
    if field in lifecycle.linked_by:
        yield "link"
    if field in lifecycle.outlives:
        yield f"{lifecycle.outlives[field]} may outlive the session"


def _sent(fields: Iterable[str]) -> Iterator[str]:
    return map(camel_case, fields)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of columns; the last one takes what is left of ``WIDTH`` and is wrapped there."""
    cells = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in cells), strict=True)]
    left = max(1, WIDTH - sum(width + len(_GAP) for width in widths))
    lines = []
    for *fixed, last in cells:
        padded = [cell.ljust(width) for cell, width in zip(fixed, widths, strict=True)]
        first, *more = _wrapped(last, left)
        lines.append(_GAP.join([*padded, first]).rstrip())
        lines += [" " * (WIDTH - left) + piece for piece in more]
    return lines


def _wrapped(cell: str, width: int) -> list[str]:
    # What is broken in two (a webhook type, a field) can no longer be searched for.
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) or [""]


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
