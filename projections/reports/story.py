"""The story of a session, as text for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from projections.reports import text
from projections.story import Chapter, Reading, Story
from projections.story.search import MOST_JUDGED, MOST_TRIES
from projections.story.words import counterfactual, told
from tracker.findings import CATALOGUE, Finding


def story(out: Console, tale: Story) -> None:
    """What went wrong first, then what was only delivered badly."""
    text.head(out, tale.session)
    grave = [chapter for chapter in tale.chapters if not chapter.harmless]
    harmless = [chapter for chapter in tale.chapters if chapter.harmless]
    for chapter in grave:
        out.print()
        _grave(out, tale, chapter)
    consequences = [found for found in tale.others if found.cause]
    if consequences:
        out.print()
        _consequences(out, consequences)
    if harmless or not (grave or tale.untold or consequences):
        out.print()
        _harmless(out, tale, harmless, wrong=bool(grave or tale.untold or consequences))
    if tale.untold:
        out.print()
        _untold(out, tale)


def _grave(out: Console, tale: Story, chapter: Chapter) -> None:
    for found in chapter.findings:
        text.finding_head(out, found)
    either = ["why"] if len(chapter.readings) == 1 else ["either", *["or"] * (len(chapter.readings) - 1)]
    rows = [(name, _lines(tale, one)) for name, one in zip(either, chapter.readings, strict=True)]
    if not chapter.readings[0].faults and len(chapter.readings) == 1:
        rows = [("why", Text(f"no delivery fault explains it: {text.shown(chapter.findings[0].message)}"))]
    if not chapter.exhaustive:
        rows.append(("", Text(f"the search ended after {MOST_TRIES} tries; another story may fit", "dim")))
    codes = dict.fromkeys(found.code for found in chapter.findings if found.severity != "info")
    rows.extend(("do", Text(CATALOGUE[code].advice, "dim")) for code in codes)
    _grid(out, rows)


def _harmless(out: Console, tale: Story, chapters: list[Chapter], *, wrong: bool) -> None:
    infos = sum(found.cause is None for found in tale.others)
    besides = f"  infos besides: {infos}; tracker timeline shows them" if infos else ""
    words = "harmless" if wrong else "nothing is wrong, only the delivery was not in order"
    out.print(Text.assemble((words if chapters else "nothing went wrong", "green"), (besides, "dim")))
    _grid(out, [("", _lines(tale, one)) for chapter in chapters for one in chapter.readings])


def _lines(tale: Story, reading: Reading) -> Text:
    lines = Text("\n".join(text.shown(line) for line in told(tale, reading)))
    undone = counterfactual(reading)
    return lines.append(f"\n{text.shown(undone)}", "dim") if undone else lines


def _consequences(out: Console, consequences: list[Finding]) -> None:
    """What is explained by a finding about the whole log, by that."""
    causes = dict.fromkeys(found.cause or "" for found in consequences)
    for cause in causes:
        code, _, place = cause.partition(" ")
        out.print(Text.assemble((f"because of {code} {CATALOGUE[code].slug}", "bold"), f"  {place}"))
        rows = [(found.code, Text(text.shown(found.message))) for found in consequences if found.cause == cause]
        _grid(out, rows)


def _untold(out: Console, tale: Story) -> None:
    limit = f"the search ended after {MOST_JUDGED:,} deliveries had been judged"
    out.print(Text(f"findings not explained: {len(tale.untold)}; {limit}"))
    for found in tale.untold:
        text.finding_head(out, found)


def _grid(out: Console, rows: Iterable[tuple[str, Text]]) -> None:
    for name, words in rows:
        for number, line in enumerate(words.split("\n")):
            grid = Table.grid(padding=(0, 1))
            grid.add_column(width=9 if name else 1)
            grid.add_column()
            grid.add_row(Text("" if number else f"  {name}", "dim"), line)
            out.print(grid)
