"""Findings are on disk: a long log has more of them than memory should hold."""

import gc
import sqlite3
from datetime import timedelta
from itertools import chain

import pytest
from msgspec.structs import astuple, replace
from rich.console import Console
from story import deliveries

from projections.audit import auditing, found, share
from projections.audit.auditing import audit
from projections.audit.found import Findings
from projections.explain import status
from projections.exports import data
from projections.reports import findings as report
from projections.reports import github, junit
from projections.reports.places import nowhere
from tracker.delivery.webhook import parse
from tracker.errors import TrackerError
from tracker.findings import Finding
from tracker.rules import Rules
from tracker.simulate import START, simulate

RULES = Rules()
STORY = ("0 session-started", "5 hls-stopped", "9 hls-stopped sessionId=t", "2h recording-paused")
WRITERS = {
    "ndjson": lambda findings: data.write(map(status.finding, findings), "ndjson"),
    "json": lambda findings: data.write(map(status.finding, findings), "json"),
    "csv": lambda findings: data.write(map(status.finding, findings), "csv"),
    "github": lambda findings: github.write(findings, nowhere),
    "junit": lambda findings: junit.write(findings, 1, nowhere, lambda one: one.severity == "error"),
}


@pytest.fixture(autouse=True)
def _unfrozen():
    yield
    gc.unfreeze()


def alive():
    return sum(type(one) is Finding for one in gc.get_objects())


class Watch:
    """The most findings that were added to memory whenever something came by: what is frozen is not counted."""

    def __init__(self, every):
        self.every, self.seen, self.most = every, 0, 0
        gc.freeze()  # those of other tests

    def look(self, thing):
        self.seen += 1
        if self.seen % self.every == 0:
            self.most = max(self.most, alive())
        return thing

    write = look

    def flush(self):
        """As a file has it."""


@pytest.fixture(scope="module")
def weeks():
    """The deliveries of four weeks, of other meetings in each."""
    return [
        [line.received for line in simulate(100, seed, faults=1, start=START + seed * timedelta(weeks=1))]
        for seed in range(4)
    ]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_findings(weeks, monkeypatch):
    monkeypatch.setattr(auditing, "SWEEP", 100)
    monkeypatch.setattr(share, "KEPT", 0)

    def most(*weeks):
        watch = Watch(10)
        received = (parse(one, at) for at, one in enumerate(chain(*weeks), 1))
        total = audit(received, RULES, see=lambda session, _: watch.look(session)).findings.counted().total()
        return watch.most, total

    each = max(most(week)[0] for week in weeks)
    together, total = most(*weeks)
    assert 0 < together < 2 * each < total / 2


@pytest.mark.slow
@pytest.mark.parametrize("format", ["text", *WRITERS])
def test_no_report_needs_all_findings_in_memory(weeks, format):
    result = audit((parse(one, at) for at, one in enumerate(chain(*weeks), 1)), RULES)
    watch = Watch(150)
    if format == "text":
        report.audit(Console(file=watch), result, "info")
    else:
        for piece in WRITERS[format](result.findings):
            watch.look(piece)
    assert watch.seen > 150
    assert watch.most < result.findings.counted().total() / 20


def test_findings_are_gone_through_as_often_as_one_likes():
    findings = audit(deliveries(*STORY), RULES).findings
    once, twice = ([astuple(one) for one in findings] for _ in range(2))
    assert (once, len(once)) == (twice, findings.counted().total())


def test_from_a_severity_on_is_what_has_it_session_by_session_too():
    findings = audit(deliveries(*STORY), RULES).findings
    errors = [one.number for one in findings if one.severity == "error"]
    assert [one.number for one in findings.at_least("error")] == errors
    assert [
        [one.number for one in session.findings] for session in findings.at_least("error").by_session()
    ] == [[number] for number in errors]


def test_what_is_revised_is_counted_as_it_is_then(monkeypatch):
    monkeypatch.setattr(found, "PAGE", 1)
    findings = audit(deliveries(*STORY), RULES).findings

    def revised(one):
        return replace(one, verdict="accepted") if one.session_id == "t" else one

    findings.revise(revised)
    assert {one.session_id for one in findings if one.verdict == "accepted"} == {"t"}
    assert findings.sessions() == len({one.session_id for one in findings} - {None, "t"})


def test_a_name_that_is_no_text_is_reported_as_far_as_it_goes():
    (one, *_) = audit(deliveries(*STORY), RULES).findings
    findings = Findings.none()
    findings.put([replace(one, message="in log\udcff.jsonl")])
    assert [one.message for one in findings] == ["in log?.jsonl"]


def test_a_full_disk_is_reported_in_one_line_that_names_another(monkeypatch):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Findings, "put", full)
    with pytest.raises(TrackerError, match="database or disk is full") as raised:
        audit(deliveries(*STORY), RULES)
    assert "TMPDIR" in raised.value.hint
