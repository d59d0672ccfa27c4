"""Why a session is judged as it is, and the price table, as text for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projections import zones
from projections.explain.explanation import (
    MOST_STEPS,
    TWO_NUMBERS,
    Account,
    Explained,
    Explanation,
    copy_in_words,
    run_in_words,
)
from projections.explain.status import doubt, is_fine, not_over
from projections.reports.findings import finding_head
from projections.reports.sessions import head
from projections.reports.text import Out, Table, Text, say, shown
from tracker.findings import Finding
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.words import listed

MOST_COPIES = 6
"""Copies of an aggregate that are named; the JSON has all."""


def explanation(out: Out, found: Explanation) -> None:
    """What is wrong first, then what was only delivered badly."""
    head(out, found.session)
    for one in found.aggregates:
        out.print()
        _aggregate(out, one)
    others = [one for one in found.others if one.severity != "info"]
    if others:
        out.print()
        out.print(Text("of no single thing", "bold"))
        for each in others:
            _finding(out, each)
    if not any(one.gravity for one in found.aggregates) and not others:
        out.print()
        _fine(out, found)
    if any(doubt(each.confidence) for one in found.aggregates for each in one.findings):
        out.print()
        say(out, Text(TWO_NUMBERS, "dim"))


def prices(out: Out, table: Iterable[dict[str, Any]]) -> None:
    """The price table: name, price, what is assumed; a price that is set in tracker.toml says so."""
    shown = Table("price", "", "what is assumed", right=("",))
    for row in table:
        words = Text(row["assumed"])
        if row["price"] != row["catalogue"]:
            words.append(f" ({row['catalogue']:g} without tracker.toml)", "dim")
        shown.add_row(row["name"], f"{row['price']:g}", words)
    out.print(shown)
    out.print(Text("3 is one in 20, 5 one in 150, 8 one in 3,000; prices add up", "dim"))


def _fine(out: Out, found: Explanation) -> None:
    still = list(not_over(found.session))
    for words in still:
        say(out, Text(f"not yet over: {shown(words)}"))
    if not still:
        words, is_likely = is_fine(found.session)
        if found.aggregates and is_likely:
            words += ", only the delivery was not in order"
        say(out, Text(words, "green" if is_likely else "yellow"))


def _aggregate(out: Out, one: Explained) -> None:
    lifecycle, name = one.aggregate.lifecycle.name, one.aggregate.name
    out.print(Text.assemble((lifecycle, "bold"), "" if name == lifecycle else f" {shown(name)}"))
    for found in one.findings:
        if found.severity != "info":
            _finding(out, found)
    rows = [("held", _cost(one.held)), *_runs(one), *_copies(one)]
    rows += [("assumed", _assumption(each)) for each in one.held.assumed if each.price >= 1 or each.code]
    for alternative in one.alternatives:
        rows.append(("or", _cost(alternative)))
        rows += [("", Text(shown(each.words))) for each in alternative.differs]
        finds = [f"{code} {CATALOGUE[code].slug} at #{position}" for code, position in alternative.finds]
        rows.append(("", Text(f"would find {listed(finds) or 'nothing'}", "dim")))
    if one.counterfactual:
        rows.append(("check", Text(shown(one.counterfactual))))
    _grid(out, rows)


def _finding(out: Out, found: Finding) -> None:
    finding_head(out, found)
    say(out, Text(f"    {shown(zones.sentence(found.message, found.at))}"))
    cause = f"because of {found.cause}; " if found.cause else ""
    say(out, Text(f"    {cause}do: {found.advice}", "dim"))


def _cost(account: Account) -> Text:
    return Text(f"price {account.price:.1f}, probability {_per_cent(account.probability)}")


def _per_cent(share: float) -> str:
    if share > 0.99:
        return "over 99 %" if share < 1 else "100 %"
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1f} %"


def _runs(one: Explained) -> Iterable[tuple[str, Text]]:
    runs = one.aggregate.runs
    if sum(len(run.candidate.originals) for run in runs) > MOST_STEPS:
        runs = [run for run in runs if run.findings]
    for run in runs:
        words = run_in_words(run.candidate, one.aggregate.lifecycle, lost=run.lost)
        yield f"run {run.number}", Text(shown(words))


def _copies(one: Explained) -> Iterable[tuple[str, Text]]:
    copies = one.aggregate.held.all_copies()
    for copy in copies[:MOST_COPIES]:
        yield "copy", Text(shown(copy_in_words(copy)))
    if len(copies) > MOST_COPIES:
        yield "", Text(f"and {len(copies) - MOST_COPIES:,} more copies")


def _assumption(one: Any) -> Text:
    where = " ".join(f"#{position}" for position in one.positions)
    missing = f": {listed(one.missing)}" if one.missing else ""
    code = f"{one.code} " if one.code else ""
    line = Text(f"{one.price:.1f}  {code}{one.words}{missing}")
    return line.append(f"  {where}" if where else "", "dim")


def _grid(out: Out, rows: Iterable[tuple[str, Text]]) -> None:
    for name, words in rows:
        say(out, Text.assemble((f"  {name:<8}", "dim"), words), 10)
