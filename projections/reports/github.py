"""Annotations for GitHub Actions: one workflow command a finding, at the file and line it stands in.

    ::error file=bad_monday.jsonl,line=82,title=S207 restarted-without-stop::session 6b04: recording-started …

An info is a notice, and so is what is accepted. GitHub shows ten of each level a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from projections.reports.places import Place, reasons
from projections.reports.text import shown
from tracker.findings import Finding

LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


def write(findings: Iterable[Finding], place: Place) -> Iterator[bytes]:
    """The commands, a line each."""
    for found in findings:
        level = "notice" if found.verdict == "accepted" else LEVELS[found.severity]
        properties = {"title": f"{found.code} {found.slug}"}
        at = place(found.position) if found.position is not None else None
        if at is not None:
            properties = {"file": at[0], "line": str(at[1]), **properties}
        named = ",".join(f"{name}={_escaped_property(value)}" for name, value in properties.items())
        subject = f"session {found.session_id}: " if found.session_id else ""
        message = subject + "; ".join(map(shown, reasons(found, place)))
        yield f"::{level} {named}::{_escaped(message)}\n".encode()


def _escaped(text: str) -> str:
    text = "".join(char if char in "\r\n" else shown(char) for char in text)
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
