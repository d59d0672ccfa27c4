"""The drawings of a lifecycle: one of them to the letter, all of them in what they must contain.

``tests/golden/hls.*`` holds the drawings of ``hls``, the lifecycle with most to show. After a wanted
change they are written anew by

    REGENERATE_GOLDEN=1 pytest tests/test_diagrams.py

and are then to be read, as the diff of the commit.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from waiting import BOUND

from projections.explain.diagrams import WIDTH, dot, mermaid, payload_fields, text
from tracker.findings import NoFinding
from tracker.lifecycle import ABSENT, Lifecycle
from tracker.lifecycles import REGISTRY
from tracker.step import Step

GOLDEN = Path(__file__).parent / "golden"
DRAWINGS = {"mmd": mermaid, "dot": dot, "txt": text}

MERMAID_STATE = re.compile(r'    state "([a-z-]+)" as (at_[a-z_]+)')
MERMAID_FREE = re.compile(r'    state "[a-z-]+ moves nothing" as at_[a-z_]+')
MERMAID_EDGE = re.compile(r"    (\[\*\]|at_[a-z_]+) --> (\[\*\]|at_[a-z_]+)(?: : ([a-z-]+))?")
DOT_STATE = re.compile(r'    "([a-z-]*)"(?: \[(?:peripheries=2|shape=point, label="")\])?;')
DOT_EDGE = re.compile(r'    "([a-z-]*)" -> "([a-z-]+)" \[label="([a-z-]+)"\];')


class Nothing:
    """The payload of the lifecycle that is made up here."""

    meeting_id: str | None = None


WHY_NOT = NoFinding("it is only drawn")

AWKWARD = Lifecycle(
    name="end-note",
    payload=Nothing,
    steps=(
        Step("note", state="in-between", skipped=WHY_NOT),
        Step("again", state="in-between", missed=WHY_NOT, orphan=WHY_NOT),
        Step("end", closes=True, orphan="S205", outcome=WHY_NOT),
    ),
    table={ABSENT: ("note",), "in-between": ("again", "end"), "end": ()},
    after_end=WHY_NOT,
    settled_after_end=WHY_NOT,
    open_at_end=WHY_NOT,
)
"""States with a hyphen, with the name of a keyword, and reported by two steps."""

every_lifecycle = pytest.mark.parametrize(
    "lifecycle", [*REGISTRY.values(), AWKWARD], ids=lambda lifecycle: lifecycle.name
)


def edges(lifecycle):
    """The table of the declaration, entry by entry."""
    return Counter(
        (state, lifecycle.by_name[step].state, lifecycle.webhook_type(step))
        for state, steps in lifecycle.table.items()
        for step in steps
    )


def ends(lifecycle):
    return {step.state for step in lifecycle.steps if step.closes}


def matches(pattern, drawing):
    return [found.groups() for line in drawing.splitlines() if (found := pattern.fullmatch(line))]


def mermaid_edges(drawing):
    """State, state, label; states by the names that are shown, the dot by ``ABSENT``."""
    shown = {name: state for state, name in matches(MERMAID_STATE, drawing)} | {"[*]": ABSENT}
    return [(shown[origin], shown[target], label) for origin, target, label in matches(MERMAID_EDGE, drawing)]


def movements(drawing):
    """The first table of the text, with the state written out on every line."""
    state = ""
    lines = drawing.split("\n\n")[1].splitlines()
    columns = [lines[0].index(head) for head in ("MAY COME NEXT", "WHICH REPORTS")]
    for line in lines[1:]:
        state = line[: columns[0]].strip() or state
        yield state, line[columns[0] : columns[1]].strip(), line[columns[1] :].strip()


def findings(drawing):
    """Step -> what stands beside it in the second table of the text, on one line."""
    rows, step = {}, ""
    lines = drawing.split("\n\n")[2].splitlines()
    column = lines[0].index("FINDINGS")
    for line in lines[1:]:
        step = line[:column].strip() or step
        rows[step] = f"{rows.get(step, '')} {line[column:]}".strip()
    return rows


@pytest.mark.parametrize("suffix", DRAWINGS)
def test_the_drawings_of_hls_are_those_on_file(suffix):
    path = GOLDEN / f"hls.{suffix}"
    drawing = DRAWINGS[suffix](REGISTRY["hls"])
    if os.environ.get("REGENERATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(drawing, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == drawing


@every_lifecycle
def test_mermaid_draws_every_edge_of_the_table_once(lifecycle):
    drawn = [edge for edge in mermaid_edges(mermaid(lifecycle)) if edge[2] is not None]
    assert edges(lifecycle) == Counter(drawn)


@every_lifecycle
def test_mermaid_leads_to_the_end_from_every_state_in_which_a_run_is_over(lifecycle):
    drawn = [edge for edge in mermaid_edges(mermaid(lifecycle)) if edge[2] is None]
    assert Counter((state, ABSENT, None) for state in ends(lifecycle)) == Counter(drawn)


@every_lifecycle
def test_mermaid_declares_every_state_once_under_an_id_of_its_own(lifecycle):
    found = matches(MERMAID_STATE, mermaid(lifecycle))
    assert lifecycle.states == tuple(state for state, _ in found)
    assert len(found) == len({name for _, name in found})


@every_lifecycle
def test_mermaid_holds_its_header_and_then_only_states_and_edges(lifecycle):
    *header, direction = ["---", f"title: {lifecycle.name}", "---", "stateDiagram-v2", "    direction LR"]
    lines = mermaid(lifecycle).splitlines()
    body = lines[len(header) + 1 :]
    assert [*header, direction] == lines[: len(header) + 1]
    known = MERMAID_STATE, MERMAID_FREE, MERMAID_EDGE
    assert [line for line in body if not any(one.fullmatch(line) for one in known)] == []


@pytest.mark.parametrize("drawn", [mermaid, dot, text])
def test_what_moves_nothing_is_drawn_beside_the_states(drawn):
    assert "call-update moves nothing" in drawn(REGISTRY["call"])
    assert "moves nothing" not in drawn(REGISTRY["recording"])


@every_lifecycle
def test_dot_draws_every_edge_of_the_table_once(lifecycle):
    assert edges(lifecycle) == Counter(matches(DOT_EDGE, dot(lifecycle)))


@every_lifecycle
def test_dot_declares_the_dot_and_every_state_once(lifecycle):
    assert [(ABSENT,), *((state,) for state in lifecycle.states)] == matches(DOT_STATE, dot(lifecycle))


@every_lifecycle
def test_dot_rings_twice_the_states_in_which_a_run_is_over(lifecycle):
    assert ends(lifecycle) == set(re.findall(r'"([a-z-]+)" \[peripheries=2\];', dot(lifecycle)))


@every_lifecycle
def test_dot_is_one_digraph_of_statements_that_end_in_a_semicolon(lifecycle):
    first, *body, last = dot(lifecycle).splitlines()
    assert (f'digraph "{lifecycle.name}" {{', "}") == (first, last)
    assert [line for line in body if not line.endswith(";")] == []


@every_lifecycle
@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed, so nothing here reads DOT")
def test_graphviz_reads_the_dot_and_finds_as_many_edges_as_the_table_has(lifecycle):
    found = subprocess.run(
        ["dot", "-Tplain"], input=dot(lifecycle), capture_output=True, text=True, check=True, timeout=BOUND
    )
    kinds = Counter(line.split()[0] for line in found.stdout.splitlines())
    free = sum(not step.moves for step in lifecycle.steps)
    assert (edges(lifecycle).total(), len(lifecycle.states) + 1 + free) == (kinds["edge"], kinds["node"])
    assert found.stderr == ""


@every_lifecycle
def test_the_text_lists_every_edge_of_the_table_once_and_says_what_closes(lifecycle):
    closing = {lifecycle.webhook_type(step.name) for step in lifecycle.steps if step.closes}
    expected = Counter(
        (state or "(nothing)", label, f"{target} (closes)" if label in closing else target)
        for state, target, label in edges(lifecycle)
    )
    expected.update(
        (state or "(nothing)", "(nothing)", "") for state, steps in lifecycle.table.items() if not steps
    )
    assert expected == Counter(movements(text(lifecycle)))


@every_lifecycle
def test_the_text_puts_every_code_of_a_step_beside_what_it_is_for(lifecycle):
    rows = findings(text(lifecycle))
    assert [step.name for step in lifecycle.steps] == list(rows)
    for step in lifecycle.steps:
        expected = [
            f"{f'overdue ({step.limit})' if role == 'overdue' else role} {code}"
            for owner, role, code in lifecycle.roles()
            if owner is step and code
        ]
        expected += [f"beside {name} S209" for name in step.excludes]
        if not step.moves:
            expected = [f"{lifecycle.webhook_type(step.name)} moves nothing"]
        assert expected == [said for said in rows[step.name].split(", ") if not said.startswith("without ")]


@every_lifecycle
def test_the_text_tells_what_a_step_must_bring_and_the_code_when_it_does_not(lifecycle):
    rows = findings(text(lifecycle))
    expected = [step.name for step in lifecycle.steps if step.brings]
    assert expected == [step for step, said in rows.items() if re.search(r"without [A-Za-z ]+ C507$", said)]


@every_lifecycle
def test_the_text_says_of_every_role_of_the_lifecycle_which_code_is_found_or_why_none_is(lifecycle):
    own = [code for owner, _, code in lifecycle.roles() if owner is lifecycle]
    assert [code or "none" for code in own] == re.findall(
        r"^([A-Z]\d{3}|none)  [a-z]", text(lifecycle), re.MULTILINE
    )
    drawing = " ".join(text(lifecycle).split())
    assert [code.because for code in own if not code and code.because not in drawing] == []


@every_lifecycle
def test_the_text_fits_a_terminal_of_eighty_columns_in_plain_ascii(lifecycle):
    drawing = text(lifecycle)
    assert [line for line in drawing.splitlines() if len(line) > WIDTH or line != line.rstrip()] == []
    assert drawing.isascii()


@every_lifecycle
def test_every_field_of_the_payload_is_listed_by_the_name_that_is_sent(lifecycle):
    fields = [name.replace("_", "") for name in lifecycle.fields]
    assert fields == [name.lower() for name in payload_fields(lifecycle)]
    assert [
        name
        for name in payload_fields(lifecycle)
        if not re.search(rf"^{name}\b", text(lifecycle), re.MULTILINE)
    ] == []


@pytest.mark.parametrize(
    ("name", "field", "roles"),
    [
        ("participant-track-recording", "kind", ("key",)),
        ("hls", "id", ("key where it is sent",)),
        ("hls", "downstreamUrl", ("artefact", "deprecated for playbackHlsUrl")),
        ("participant", "participantName", ("label",)),
        ("session", "start", ("clock time",)),
        ("transcription", "type", ("label", "post may outlive the session")),
        ("recording", "message", ()),
    ],
)
def test_a_field_has_the_roles_that_the_declaration_gives_it(name, field, roles):
    assert roles == payload_fields(REGISTRY[name])[field]
