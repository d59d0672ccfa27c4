"""The catalogue: every code has an entry beside what raises it, and every entry is complete.

What is forgotten of a new finding fails here or beside it: its function (``test_a_code_is_raised_…``), its
entry (``test_a_code_that_is_named_…``), the words and prices of its entry, its stories (``test_assess``, and
``test_log`` for what only a whole log can show), its row in the documentation (``test_readme``).
"""

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

from tracker.codes import CODES
from tracker.findings import SEVERITIES, Code, codes_in
from tracker.judging.findings.catalogue import CATALOGUE, MODULES
from tracker.judging.prices import PRICES
from tracker.lifecycle import Lifecycle
from tracker.lifecycles import REGISTRY
from tracker.step import Step

ROOT = Path(__file__).parents[1]
CODE = re.compile(r"[DSTXCLR]\d{3}")
WORDS = {"type", "delay", "ended", "name", "missing", "state", "what", "when", "since", "field", "value"}
"""The words of the case that a message may have."""
PRIVATE = re.compile(
    r"(?i)\b(un)?(told|heard|hears?|reproach\w*|blam\w*|accus\w*|echo\w*|witness\w*|doubled)\b"
)
"""Words that say nothing to somebody who does not know this program."""
SENTENCE = re.compile(r"([A-Z]|[a-z]+-[a-z]+ ).*[.]")
"""It may begin with a webhook type."""
NO_FINDINGS = {"__init__", "catalogue", "confidence", "maker", "particulars"}
"""Files beside those that raise findings."""
every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])


def tree(path):
    return ast.parse(Path(path).read_text(encoding="utf-8"))


def named(path):
    """The codes that a file names as texts."""
    texts = (node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant))
    return {text for text in texts if isinstance(text, str) and CODE.fullmatch(text)}


def used(path):
    """The names that the functions of a file use."""
    functions = (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef))
    return {node.id for function in functions for node in ast.walk(function) if isinstance(node, ast.Name)}


def assumed_or_observed():
    """The codes that the judging may assume or a declaration may ask for, and those of single deliveries."""
    judging = (ROOT / "tracker/judging").glob("*.py")
    return {code for code, entry in CODES.items() if entry.roles}.union(
        *map(named, [*judging, ROOT / "tracker/delivery/webhook.py"])
    )


def test_a_code_is_a_letter_for_where_the_fault_lies_and_three_digits():
    assert [code for code in CATALOGUE if not CODE.fullmatch(code)] == []
    slugs = [entry.slug for entry in CATALOGUE.values()]
    assert [slug for slug in slugs if not re.fullmatch(r"[a-z]+(-[a-z]+)*", slug)] == []
    assert {entry.severity for entry in CATALOGUE.values()} == set(SEVERITIES)


def test_what_is_the_delivery_s_fault_alone_is_no_warning():
    assert {entry.severity for code, entry in CATALOGUE.items() if code.startswith("D")} == {"info"}


def texts_of(entry):
    return entry.when, entry.message, entry.example, entry.advice


def test_an_entry_says_when_it_applies_what_happened_an_example_and_what_to_do():
    assert [code for code, entry in CATALOGUE.items() if not all(map(str.strip, texts_of(entry)))] == []
    messages = [entry.message for entry in CATALOGUE.values()]
    assert {name for one in messages for _, name, _, _ in Formatter().parse(one) if name} <= WORDS


def test_an_entry_speaks_to_somebody_who_does_not_know_this_program():
    entries = CATALOGUE.values()
    assert [text for entry in entries for text in texts_of(entry) if PRIVATE.search(text)] == []
    sentences = [text for entry in entries for text in (entry.when, entry.advice)]
    assert [text for text in sentences if not SENTENCE.fullmatch(text)] == []


def test_an_entry_names_prices_that_there_are_and_its_own_where_there_is_one():
    assert set().union(*(entry.prices for entry in CATALOGUE.values())) <= PRICES.keys()
    assert [code for code, entry in CATALOGUE.items() if (code in PRICES) != (code in entry.prices)] == []


@pytest.mark.parametrize("entry", CODES.values(), ids=list(CODES))
def test_a_code_with_roles_is_chosen_by_a_lifecycle_and_its_roles_are_fields_that_hold_a_code(entry):
    chosen = {(role, code) for lifecycle in REGISTRY.values() for _, role, code in lifecycle.roles()}
    assert {(role, entry.code) for role in entry.roles} <= chosen
    assert set(entry.roles) <= Step.ROLES.keys() | Lifecycle.ROLES.keys()


@pytest.mark.parametrize("entry", CODES.values(), ids=list(CODES))
def test_a_code_that_has_a_price_says_what_is_assumed(entry):
    assert bool(entry.assumed) == (entry.price is not None)
    assert entry.roles or entry.price is not None or entry.prices  # each is chosen, or assumed


def test_no_entry_can_be_made_without_one_of_its_texts_or_its_prices():
    texts = dict.fromkeys(("when", "message", "example", "advice"), "…")
    for name in (*texts, "prices"):
        given = {**texts, "prices": ()}
        del given[name]
        with pytest.raises(TypeError, match=name):
            Code("S299", "made-up", "info", **given)


@every_module
def test_a_code_is_raised_by_a_function_of_its_module_or_by_what_is_assumed_declared_or_observed(module):
    assert codes_in(vars(module)).keys() - used(module.__file__) - assumed_or_observed() == set()


def test_a_code_that_is_named_anywhere_in_the_sources_has_an_entry():
    files = [*(ROOT / "tracker").rglob("*.py"), *(ROOT / "projections").rglob("*.py")]
    assert set().union(*map(named, files)) == set(CATALOGUE)


@every_module
def test_an_entry_bears_the_name_of_its_code(module):
    names = {name: entry.code for name, entry in vars(module).items() if isinstance(entry, Code)}
    assert names == {code: code for code in names}


def test_every_file_that_raises_findings_is_collected_and_no_code_has_two_entries():
    files = {path.stem for path in (ROOT / "tracker/judging/findings").glob("*.py")} - NO_FINDINGS
    assert {module.__name__.rpartition(".")[2] for module in MODULES} == files | {"codes"}
    assert sum(len(codes_in(vars(module))) for module in MODULES) == len(CATALOGUE)


def test_a_finding_is_made_in_one_place():
    makers = {path.stem for path in (ROOT / "tracker").rglob("*.py") if "Finding" in called(path)}
    assert makers == {"maker"}


def called(path):
    """The names of what a file calls."""
    return {
        node.func.id
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def test_no_slug_is_given_twice():
    slugs = [entry.slug for entry in CATALOGUE.values()]
    assert sorted(set(slugs)) == sorted(slugs)


def test_the_catalogue_is_in_the_order_of_its_letters_and_numbers():
    order = sorted(CATALOGUE, key=lambda code: ("DSTXCLR".index(code[0]), code))
    assert list(CATALOGUE) == order
