"""JUnit XML: what the tools that read it rely on, and golden output (``REGENERATE_GOLDEN=1`` writes it anew)."""

from functools import partial
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from story import RULES, deliveries
from test_text import STORY, compare

from projections.audit.auditing import audit
from projections.audit.found import Findings
from projections.reports import junit
from projections.reports.places import nowhere
from tracker.accept import Acceptance, accepted
from tracker.findings import SEVERITIES

CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "skipped", "system-out"},
}
NEEDED = {
    "testsuites": {"name", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors"},
    "testcase": {"name", "classname"},
    "property": {"name", "value"},
    "failure": {"type", "message"},
    "skipped": {"message"},
}
ALLOWED = {
    **NEEDED,
    "testsuite": NEEDED["testsuite"] | {"skipped"},
    "testcase": {"name", "classname", "file", "line"},
}


def fails(least, found):
    return found.verdict != "accepted" and SEVERITIES.index(found.severity) >= SEVERITIES.index(least)


def written(findings, place=nowhere, least="warning"):
    kept = Findings.none()
    kept.put(findings)
    return b"".join(junit.write(kept, 13, place, partial(fails, least))).decode()


def found(*accept):
    return list(
        accepted(audit(deliveries(*STORY), RULES).findings, [Acceptance(code, "known") for code in accept])
    )


def check(element):
    """The structure that the readers know, in any depth."""
    assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    assert NEEDED.get(element.tag, set()) <= set(element.attrib) <= ALLOWED.get(element.tag, set())
    if "tests" in element.attrib:
        cases = list(element.iter("testcase"))
        failed = [case for case in cases if case.find("failure") is not None]
        assert (element.get("tests"), element.get("failures"), element.get("errors")) == (
            str(len(cases)), str(len(failed)), "0",
        )  # fmt: skip
    for child in element:
        check(child)


def in_log(position):
    return ("log <&>.jsonl", position)


def test_a_report_has_a_suite_a_session_and_a_case_a_code():
    compare("audit.junit.xml", written(found("S205"), in_log))


@pytest.mark.parametrize("findings", [found(), found("S207"), []], ids=["found", "accepted", "clean"])
def test_the_structure_is_what_its_readers_know_and_the_counts_are_right(findings):
    check(ET.fromstring(written(findings, in_log)))


def test_a_report_of_a_clean_log_has_a_case_that_passes():
    (case,) = ET.fromstring(written([])).iter("testcase")
    assert list(case) == []


@pytest.mark.parametrize(
    ("least", "failing"), [("error", {"S207", "S205"}), ("info", {one.code for one in found()})]
)
def test_a_case_fails_from_the_severity_from_which_the_audit_does(least, failing):
    document = ET.fromstring(written(found(), least=least))
    failed = [
        case.get("name").split()[0] for case in document.iter("testcase") if case.find("failure") is not None
    ]
    assert set(failed) == failing


def test_what_is_accepted_is_skipped_with_the_reason():
    document = ET.fromstring(written(found("S207")))
    skipped = {
        case.get("name"): one.get("message")
        for case in document.iter("testcase")
        for one in case.iter("skipped")
    }
    assert skipped == {"S207 restarted-without-stop": "known"}


def test_a_case_of_which_one_finding_is_accepted_fails_by_the_other():
    two = [one for one in audit(deliveries("0 {", "1 {"), RULES).findings if one.code == "C513"]
    findings = [*accepted(two[:1], [Acceptance("C513", "known")]), *two[1:]]
    (case,) = ET.fromstring(written(findings)).iter("testcase")
    assert [child.tag for child in case] == ["failure", "system-out"]


def test_a_case_names_file_and_line_where_there_are_any():
    cases = list(ET.fromstring(written(found(), in_log)).iter("testcase"))
    assert {case.get("file") for case in cases} == {"log <&>.jsonl"}
    assert all("file" not in case.attrib for case in ET.fromstring(written(found())).iter("testcase"))


@given(st.text(), st.text())
def test_whatever_came_in_the_document_is_well_formed(message, name):
    finding = replace(found()[0], message=message, session_id=name, meeting_id=name, key={"id": name})
    check(ET.fromstring(written([finding]).encode()))
