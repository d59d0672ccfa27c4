import re
from string import Formatter

import pytest

from tracker.findings import CATALOGUE, SEVERITIES

every_code = pytest.mark.parametrize("entry", CATALOGUE.values(), ids=list(CATALOGUE))
WORDS = {"type", "delay", "name", "missing", "run", "state", "lifecycle", "since", "field", "value"}


@every_code
def test_a_code_is_a_letter_for_whose_fault_it_is_and_three_digits(entry):
    assert re.fullmatch(r"[DSTXCL]\d{3}", entry.code)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", entry.slug)
    assert entry.severity in SEVERITIES


@every_code
def test_what_is_the_delivery_s_fault_alone_is_no_warning(entry):
    assert entry.severity == "info" or not entry.code.startswith("D")


@every_code
def test_an_entry_tells_when_it_applies_an_example_and_what_to_do(entry):
    assert all(text.strip() for text in (entry.when, entry.message, entry.example, entry.advice))
    assert {name for _, name, _, _ in Formatter().parse(entry.message) if name} <= WORDS


def test_no_slug_is_given_twice():
    slugs = [entry.slug for entry in CATALOGUE.values()]
    assert sorted(set(slugs)) == sorted(slugs)


def test_the_catalogue_is_in_the_order_of_its_letters_and_numbers():
    order = sorted(CATALOGUE, key=lambda code: ("DSTXCL".index(code[0]), code))
    assert list(CATALOGUE) == order
