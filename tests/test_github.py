"""Annotations for GitHub Actions, letter by letter as its runner reads them."""

import pytest
from msgspec.structs import replace
from story import RULES, deliveries
from test_text import STORY, compare

from projections.audit.auditing import audit
from projections.reports import github
from projections.reports.places import nowhere
from tracker.accept import Acceptance, accepted


def found():
    return list(audit(deliveries(*STORY), RULES).findings)


def written(findings, place=nowhere):
    return b"".join(github.write(findings, place)).decode()


def in_log(position):
    return ("log.jsonl", position)


def test_an_annotation_is_one_command_at_file_and_line():
    compare("audit.github.txt", written(accepted(found(), [Acceptance("S205", "known")]), in_log))


def test_without_a_file_the_message_names_the_positions():
    lines = written(found()).splitlines()
    assert [line.partition(" ")[2].startswith("title=") for line in lines] == [True] * len(found())
    assert ["evidence #" in line for line in lines] == [True] * len(found())


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a,b:c.jsonl", "a%2Cb%3Ac.jsonl"), ("100%.jsonl", "100%25.jsonl"), ("a\nb", "a%0Ab"), ("a\rb", "a%0Db")],
)
def test_what_would_end_a_property_is_escaped(path, expected):
    assert f"file={expected},line=7," in written(found()[:1], lambda _: (path, 7))


def test_a_message_stays_on_its_line_and_keeps_its_percent_signs():
    finding = replace(found()[0], message="100% of\r\n::error::it")
    line = written([finding])
    assert line.count("\n") == 1
    assert "100%25 of" in line


@pytest.mark.parametrize(
    ("severity", "level"), [("error", "error"), ("warning", "warning"), ("info", "notice")]
)
def test_a_severity_has_its_level(severity, level):
    assert written([replace(found()[0], severity=severity)]).startswith(f"::{level} ")


def test_what_is_accepted_is_a_notice_with_its_reason():
    (finding,) = accepted([one for one in found() if one.code == "S207"], [Acceptance("S207", "known")])
    line = written([finding])
    assert (line.startswith("::notice "), "accepted: known" in line) == (True, True)
