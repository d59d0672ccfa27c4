"""Text for people: what other rules would change, session by session, and how much that is in all."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from projections.reports.text import STYLES, Out, Table, Text, counted, say, shown
from projections.views.diff import Change, Summary
from tracker.judging.findings.catalogue import CATALOGUE

SIGNS = {"appears": "+", "goes": "-", "severity": "~", "state": " "}


def text(out: Out, changes: Iterable[Change]) -> None:
    """The changes; those of one session must come one after the other."""
    for session_id, ones in groupby(changes, lambda change: change.session_id):
        for number, change in enumerate(ones):
            if number == 0:
                say(out, _head(session_id, change.meeting_id))
            say(out, _line(change))
            if change.message:
                say(out, Text(f"      {shown(change.message)}", "dim"))
        out.print()


def summary(out: Out, total: Summary, least: str = "info") -> None:
    """How much changes: by code, and in a sentence."""
    codes(out, total)
    states = counted(len(total.sessions), "session changes", "sessions change")
    appear = counted(total.appear.total(), "finding appears", "findings appear")
    words = f"{states} state; {appear}, {counted(total.go.total(), 'goes', 'go')}"
    if total.weigh:
        words += f", {counted(total.weigh.total(), 'weighs', 'weigh')} differently"
    say(out, Text(f"{words}; nothing was changed"))
    if least != "info" and total.codes:
        out.print(Text(f"findings below {least} are counted and not shown: --min-severity info", "dim"))


def codes(out: Out, total: Summary) -> None:
    """The number of findings that appear and go, a line a code."""
    if not total.codes:
        return
    counts = ("appear", "go", "other severity")
    table = Table("code", "slug", *counts, right=counts)
    for code in total.codes:
        numbers = (total.appear[code], total.go[code], total.weigh[code])
        table.add_row(code, CATALOGUE[code].slug, *(f"{number:,}" if number else "–" for number in numbers))
    out.print(table)


def _head(session_id: str | None, meeting_id: str | None) -> Text:
    if session_id is None:
        return Text("outside any session", "bold")
    return Text.assemble(
        ("session ", "dim"),
        (shown(session_id), "bold"),
        ("  meeting ", "dim"),
        shown(meeting_id or "unknown"),
    )


def _line(change: Change) -> Text:
    what = f"{change.code} {change.slug}  " if change.code else ""
    about = shown(" ".join([change.lifecycle or "", *change.key.values()]).strip())
    run = f" run {change.run}" if change.run and change.run > 1 else ""
    weight = " → ".join(one or "none" for one in (change.before, change.after))
    if change.change in ("appears", "goes"):
        weight = (change.after or change.before or "").ljust(7)
    place = f"  #{change.position}" if change.position is not None else ""
    style = STYLES.get(change.after or change.before or "", "")
    return Text.assemble(
        f"  {SIGNS[change.change]} ", (weight, style), "  ", (what, "bold"), f"{about}{run}", (place, "dim")
    )
