"""JUnit XML, as Jenkins and GitLab read it: a suite a session, in it a case for each code found there.

A case fails where a finding does, is skipped where all of its findings are accepted, and passes with
its findings as output where they are too slight to fail. Where the audit read logs, ``file`` and
``line`` name the delivery. What comes from outside is shown with its control characters made visible,
for XML cannot hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

import attrs

from projections.audit.found import Findings
from projections.reports.places import Place, reasons
from projections.reports.text import shown
from tracker.findings import Finding

OUTSIDE = "outside any session"


@attrs.frozen
class Case:
    """What was found of one code in one session."""

    failures: list[Finding]
    others: list[Finding]

    @property
    def skipped(self) -> bool:
        return not self.failures and all(found.verdict == "accepted" for found in self.others)

    @property
    def first(self) -> Finding:
        """The finding whose place is the case's."""
        return (self.failures or self.others)[0]


def write(
    findings: Findings, deliveries: int, place: Place, fails: Callable[[Finding], bool]
) -> Iterator[bytes]:
    """The document, suite by suite. ``fails`` says which findings fail their case."""
    head = {"tests": 0, "failures": 0, "errors": 0}
    for one in findings.by_session():  # gone through once more below, for the sums come first
        for name, count in _counts(_cases(one.findings, fails)).items():
            head[name] += count
    empty = not head["tests"]
    head["tests"] += empty  # a report without a case counts as a failure of the run
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f"<testsuites{_attributes(name='tracker audit', **head)}>\n".encode()
    for one in findings.by_session():
        yield "".join(_suite(one.session_id, _cases(one.findings, fails), place)).encode()
    if empty:
        yield f"  <testsuite{_attributes(name='tracker audit', **head)}>\n".encode()
        yield f"    <testcase{_attributes(classname='tracker.audit', name=f'{deliveries} deliveries')}/>\n".encode()
        yield b"  </testsuite>\n"
    yield b"</testsuites>\n"


def _cases(findings: Iterable[Finding], fails: Callable[[Finding], bool]) -> Sequence[Case]:
    grouped: dict[str, list[Finding]] = {}
    for found in findings:
        grouped.setdefault(found.code, []).append(found)
    return [_case_of(ones, fails) for ones in grouped.values()]


def _case_of(findings: Iterable[Finding], fails: Callable[[Finding], bool]) -> Case:
    case = Case([], [])
    for found in findings:
        (case.failures if fails(found) else case.others).append(found)
    return case


def _suite(session_id: str | None, cases: Sequence[Case], place: Place) -> Iterator[str]:
    meeting_id = cases[0].first.meeting_id if session_id else None
    name = f"session {session_id}" if session_id else OUTSIDE
    skipped = sum(case.skipped for case in cases)
    yield f"  <testsuite{_attributes(name=name, **_counts(cases), skipped=skipped)}>\n"
    if meeting_id:
        yield f"    <properties><property{_attributes(name='meeting', value=meeting_id)}/></properties>\n"
    classname = ".".join(filter(None, (meeting_id, session_id))) or OUTSIDE
    for case in cases:
        yield from _case(classname, case, place)
    yield "  </testsuite>\n"


def _case(classname: str, case: Case, place: Place) -> Iterator[str]:
    first = case.first
    at = place(first.position) if first.position is not None else None
    where = {"file": at[0], "line": at[1]} if at else {}
    yield f"    <testcase{_attributes(classname=classname, name=f'{first.code} {first.slug}', **where)}>\n"
    if case.skipped:
        yield f"      <skipped{_attributes(message=first.accepted or '')}/>\n"
    if case.failures:
        more = f" (and {len(case.failures) - 1} more)" if len(case.failures) > 1 else ""
        named = _attributes(type=f"{first.severity} {first.code}", message=first.message + more)
        yield f"      <failure{named}>{_lines(case.failures, place)}</failure>\n"
    if case.others:
        yield f"      <system-out>{_lines(case.others, place)}</system-out>\n"
    yield "    </testcase>\n"


def _counts(cases: Sequence[Case]) -> dict[str, int]:
    return {"tests": len(cases), "failures": sum(bool(case.failures) for case in cases), "errors": 0}


def _lines(findings: Iterable[Finding], place: Place) -> str:
    lines = []
    for found in findings:
        what = " ".join(filter(None, (found.lifecycle, *found.key.values())))
        when = f"{found.at:%Y-%m-%d %H:%M:%S} UTC" if found.at else ""
        lines.append("  ".join(filter(None, (found.severity, found.code, what, when))))
        lines.extend(f"  {line}" for line in reasons(found, place))
    return escape("\n".join(map(shown, lines)))


def _attributes(**named: object) -> str:
    return "".join(f" {name}={quoteattr(shown(value))}" for name, value in named.items())
