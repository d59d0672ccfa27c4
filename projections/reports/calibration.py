"""What a calibration found: bars for people, a ``[rules]`` table to paste, JSON (durations in seconds)."""

from __future__ import annotations

from typing import Any

import attrs

from projections.explain.calibrate import Ages, Calibration, Profile, Suggestion, changed, duration
from projections.explain.histogram import Bar, Histogram
from projections.exports import data
from projections.reports import changes
from projections.reports.text import Out, Table, Text
from projections.views.diff import Summary
from tracker.rules import written

SHARES = (0.5, 0.9, 0.99)
LONGEST_BAR = 42
"""Columns, so that a line fits on eighty."""


def text(out: Out, found: Calibration, total: Summary) -> None:
    """The histograms, the windows, and what these would change."""
    for name, histogram in found.histograms():
        _histogram(out, name, histogram)
    _windows(out, found.suggestions())
    out.print()
    if total.codes:
        out.print(Text("judged by these, there would be", "bold"))
        changes.codes(out, total)
    elif changed(found.suggestions()):
        out.print(Text("judged by these, the findings are the same"))
    else:
        out.print(Text("every window fits this log"))
    out.print()
    _profile(out, found)
    out.print(Text(f"{found.timed:,} of {found.deliveries:,} deliveries have a receive time", "dim"))


def toml(found: Calibration) -> bytes:
    """A table for ``tracker.toml``; what has too few samples is left to be as it is."""
    lines = ["[rules]"]
    for one in found.suggestions():
        if one.suggested is None:
            lines.append(f"# {one.rule}: {one.why}")
        else:
            lines.append(f'{one.rule} = "{written(one.suggested.total_seconds())}"  # {one.why}')
    return ("\n".join(lines) + "\n").encode()


def json(found: Calibration, total: Summary) -> bytes:
    """Everything as one document."""
    return data.document(
        {
            "deliveries": found.deliveries,
            "timed": found.timed,
            "histograms": [_values(name, one) for name, one in found.histograms()],
            "profile": _profiled(found.profile()),
            "rules": [_suggested(one) for one in found.suggestions()],
            "changes": [
                {
                    "code": code,
                    "appear": total.appear[code],
                    "go": total.go[code],
                    "severity": total.weigh[code],
                }
                for code in total.codes
            ],
        }
    )


def _values(name: str, histogram: Histogram) -> dict[str, Any]:
    percentiles = {f"p{share * 100:.0f}": histogram.percentile(share) for share in SHARES}
    bars = [attrs.asdict(bar) for bar in histogram.bars()]
    return {"name": name, "count": histogram.total, **percentiles, "max": histogram.largest, "bars": bars}


def _suggested(one: Suggestion) -> dict[str, Any]:
    return {
        "rule": one.rule,
        "now": one.now.total_seconds(),
        "suggested": None if one.suggested is None else one.suggested.total_seconds(),
        "samples": one.samples,
        "why": one.why,
    }


def _histogram(out: Out, name: str, histogram: Histogram) -> None:
    out.print(Text.assemble((name, "bold"), f"  {histogram.total:,}"))
    bars = histogram.bars()
    most = max(bar.count for bar in bars)
    for bar in bars:
        drawn = "█" * round(LONGEST_BAR * bar.count / most) or ("▏" if bar.count else "")
        out.print(Text(f"  {_ends(bar):<17} {bar.count:>9,}  {drawn}".rstrip()))
    shares = ", ".join(f"p{share * 100:.0f} {duration(histogram.percentile(share))}" for share in SHARES)
    out.print(Text(f"  {shares}, longest {duration(histogram.largest)}", "dim"))
    out.print()


def _ends(bar: Bar) -> str:
    if bar.end is None:
        return f"{duration(bar.begin)} –"
    return f"{duration(bar.begin)} – {duration(bar.end)}" if bar.begin else f"– {duration(bar.end)}"


def _windows(out: Out, suggestions: list[Suggestion]) -> None:
    table = Table("window", "now", "suggested", "why")
    for one in suggestions:
        there = "–" if one.suggested is None else written(one.suggested.total_seconds())
        same = "" if one.suggested not in (None, one.now) else "dim"
        now = written(one.now.total_seconds())
        table.add_row(Text(one.rule, same), now, there, Text(one.why, "dim"))
    out.print(table)


def _profile(out: Out, found: Calibration) -> None:
    """What the judging learns by itself: no setting is needed for it."""
    learned = found.profile()
    out.print(Text("learned from this log", "bold"))
    again = f"{learned.copies:,} copies of {learned.bodies:,} webhooks that can come only once"
    out.print(Text(f"  {again}" + (f"; not used yet: {learned.lacks}" if learned.lacks else "")))
    if learned.ages:
        counts = ("copies", "may be copies", "are copies")
        table = Table("  age", *counts, right=counts)
        for one in learned.ages:
            probable = "" if one.probability is None else f"{100 * one.probability:.0f} %"
            table.add_row(f"  {_range(one)}", f"{one.certain:,}", f"{one.doubtful:,}", probable)
        out.print(table)
    overtaken = f"{learned.overtaken:,} of {learned.steps:,} steps came after one that follows them"
    out.print(Text(f"  {overtaken}"))
    usual = f"too few to learn how late is usual: {learned.lacks_steps}"
    if learned.lateness is not None:
        ours = written(found.rules.lateness.total_seconds())
        late = duration(learned.lateness.total_seconds())
        usual = f"usual within {late}; the smaller of that and lateness ({ours}) is in force"
    out.print(Text(f"  {usual}", "dim"))


def _range(one: Ages) -> str:
    return _ends(Bar(one.begin, one.end, one.certain))


def _profiled(learned: Profile) -> dict[str, Any]:
    lateness = learned.lateness
    return {
        "bodies": learned.bodies,
        "copies": learned.copies,
        "enough": learned.enough,
        "ages": [attrs.asdict(one) for one in learned.ages],
        "steps": learned.steps,
        "overtaken": learned.overtaken,
        "lateness": None if lateness is None else lateness.total_seconds(),
    }
