"""What ids and names may hold when a table is opened in a spreadsheet or printed on a terminal."""

import csv
import io

import pytest
from meetings import webhook
from msgspec.structs import replace
from story import RULES, deliveries
from test_text import STORY

from projections.audit.auditing import audit
from projections.explain import status
from projections.exports import data
from projections.exports import lines as export
from projections.exports.cells import cell
from projections.reports import github
from projections.reports.places import nowhere
from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"]  # noqa: RUF001 - a wide one
HARMLESS = ["a=1", "1-1", "it's", "", "a\nb\tc", "Ünïcode – ✓", "{}"]
ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b1m\x00"
ESCAPED = r"\x1b]0;title\x07\x1b[2J\x9b1m\x00"


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [*HARMLESS, 1, -1.5, None, True])
def test_what_is_harmless_stays_as_it_is(value):
    assert cell(value) == value


def test_no_cell_moves_the_cursor():
    assert cell(ESCAPES) == ESCAPED


def cells(chunks):
    text = b"".join(chunks).decode()
    return text, [one for row in csv.reader(io.StringIO(text, newline="")) for one in row]


@pytest.mark.parametrize("text", [*FORMULAS, ESCAPES])
def test_an_audit_as_csv_is_harmless(text):
    found = replace(
        next(iter(audit(deliveries(*STORY), RULES).findings)), session_id=text, meeting_id=text, message=text
    )
    printed, shown = cells(data.write([status.finding(found)], "csv"))

    assert (text in shown, cell(text) in shown, "\x1b" in printed) == (False, True, False)


@pytest.mark.parametrize("text", [*FORMULAS, ESCAPES])
def test_an_export_as_csv_is_harmless(text):
    received = [
        parse(Received(webhook("participant-joined", sessionId=text, meetingId=text, participantId=text))),
        parse(Received(text.encode(), source=text)),
    ]
    printed, shown = cells(export.table(received))

    assert (text in shown, shown.count(cell(text)) >= 2, "\x1b" in printed) == (False, True, False)


def test_an_annotation_moves_no_cursor():
    found = replace(next(iter(audit(deliveries(*STORY), RULES).findings)), session_id=ESCAPES, message=ESCAPES)
    line = b"".join(github.write([found], lambda _: (ESCAPES, 1))).decode()
    elsewhere = b"".join(github.write([found], nowhere)).decode()

    assert [one for one in line + elsewhere if not one.isprintable() and one != "\n"] == []
    assert f"session {ESCAPED}" in line
