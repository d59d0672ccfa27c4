"""Findings in words: one, those of an audit, and the entries of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING

from projections import zones
from projections.explain.status import doubt, instead
from tracker.findings import SEVERITIES, Code, Finding, Severity
from tracker.judging.prices import PRICES

if TYPE_CHECKING:  # who shows a session needs no audit
    from projections.audit.auditing import Audit

from projections.reports.text import STYLES, Out, Table, Text, clock, counted, say, shown

MOST_EVIDENCE = 6
"""Positions named of one finding; the machine formats have all."""


def audit(out: Out, result: Audit, least: Severity, *, narrowed: bool = False) -> None:
    """Findings session by session, then the sum."""
    for one in result.findings.at_least(least).by_session():
        findings = iter(one.findings)
        first = list(islice(findings, 1))
        account = next((found.account for found in first), None)
        if one.session_id is None:
            out.print(Text("outside any session", "bold"))
        else:
            say(
                out,
                Text.assemble(
                    ("session ", "dim"),
                    (shown(one.session_id), "bold"),
                    ("  meeting ", "dim"),
                    shown(one.meeting_id or "unknown"),
                    ("  account ", "dim") if account else "",
                    account or "",
                    "  ",
                    (one.state or "", STYLES.get(one.state or "", "")),
                ),
            )
        for found in chain(first, findings):
            finding(out, found)
        out.print()
    summary(out, result, least, narrowed=narrowed)


def summary(out: Out, result: Audit, least: Severity, *, narrowed: bool = False) -> None:
    """The sum of an audit: what was read, and how much of it is wrong. ``narrowed``: not all findings were asked for."""
    meetings = counted(result.sessions, "session")
    span = f", {clock(result.oldest, date=True)} to {clock(result.newest, date=True)}" if result.newest else ""
    say(out, Text(f"{counted(result.deliveries, 'delivery', 'deliveries')}, {meetings}{span}"))
    line = Text()
    numbers = result.findings.counted()
    for severity in reversed(SEVERITIES):
        number = numbers[severity, False]
        line.append(counted(number, severity), STYLES[severity] if number else "dim")
        line.append("; " if severity == "info" else ", ")
    accepted = sum(number for (_, is_accepted), number in numbers.items() if is_accepted)
    if accepted:
        line.append(f"{accepted:,} accepted; ", "dim")
    grave = result.findings.at_least("warning")
    wrong = grave.sessions()
    if narrowed:
        line.append(
            f"of what was asked for, something is wrong with {counted(wrong, 'session') if wrong else 'none'}"
        )
    else:
        line.append(f"something is wrong with {wrong or 'none'} of {meetings}")
    if grave.outside():
        line.append(f", {'and' if wrong else 'but'} outside any session")
    still = [counted(result.live, "live session")] if result.live else []
    if result.open_runs:
        still.append(counted(result.open_runs, "run in progress", "runs in progress"))
    if still:
        line.append(f"; still open: {', '.join(still)}")
    begun, open_ = result.findings.at_least(least).undecided()
    if begun:
        line.append(f"; {begun:,} undecided, as the log begins too late")
    if open_:
        line.append(f"; {open_:,} undecided, as the log ends too early: --as-of end decides")
    slighter = SEVERITIES[: SEVERITIES.index(least)]
    hidden = sum(number for (severity, _), number in numbers.items() if severity in slighter)
    if hidden:
        line.append(f" ({hidden} below {least} not shown: --min-severity info)", "dim")
    say(out, line)


def finding(out: Out, found: Finding) -> None:
    """One finding: how bad, what, where and when, what else it may be, what to do, what it rests on."""
    finding_head(out, found)
    if found.accepted is not None:
        say(out, Text(f"    accepted: {shown(found.accepted)}", "dim"))
    say(
        out,
        Text(
            f"    {shown(zones.sentence(found.message, found.at))}",
            "dim" if found.verdict == "accepted" else "",
        ),
    )
    for other in found.alternatives:
        say(out, Text(f"    or: {shown(zones.sentence(instead(other), found.at))}"))
    if found.advice and found.severity != "info" and found.verdict != "accepted":
        say(out, Text(f"    do: {shown(found.advice)}", "dim"))
    rests = " ".join(f"#{position}" for position in found.evidence[-MOST_EVIDENCE:])
    more = "… " if len(found.evidence) > MOST_EVIDENCE else ""
    expected = f"expected {shown(' or '.join(found.expected))}; " if found.expected else ""
    cause = f"because of {found.cause}; " if found.cause else ""
    say(out, Text(f"    {cause}{expected}evidence {more}{rests}", "dim"))


def finding_head(out: Out, found: Finding) -> None:
    """The first line of a finding: how bad, what, where and when."""
    where = " ".join([found.lifecycle or "", *found.key.values()]).strip()
    run = f" run {found.run}" if found.run and found.run > 1 else ""
    certainty = ", ".join(
        filter(None, ("" if found.verdict == "settled" else found.verdict, doubt(found.confidence)))
    )
    say(
        out,
        Text.assemble(
            "  ",
            (f"{found.severity:<8}", style(found)),
            (f"{found.code} {found.slug}", "dim" if found.verdict == "accepted" else "bold"),
            f"  {shown(where)}{run}" if where else "",
            (f"  {clock(found.at, date=True)}" if found.at else "", "dim"),
            (f"  ({certainty})" if certainty else "", "dim"),
        ),
    )


def style(found: Finding) -> str:
    return "dim" if found.verdict == "accepted" else STYLES[found.severity]


def code(
    out: Out, entry: Code, severity: str, settings: Mapping[str, str], prices: Mapping[str, float]
) -> None:
    """One entry of the catalogue, with the windows and prices in force that it names."""
    say(out, Text.assemble((f"{entry.code} {entry.slug}", "bold"), "  ", (severity, STYLES[severity])))
    entries = [("when", entry.when), ("example", entry.example), ("do", entry.advice)]
    named = [(name, value) for name, value in settings.items() if f"`{name}`" in entry.when]
    entries.extend(("rule", f"{name} = {value}  (tracker.toml, [rules])") for name, value in named)
    entries.extend(("price", f"{prices[name]:g}  {PRICES[name].words}") for name in entry.prices)
    for name, words in entries:
        say(out, Text.assemble((f"  {name:<8}", "dim"), words), 10)


def codes(out: Out, entries: Iterable[Code]) -> None:
    """The catalogue, a line each."""
    grid = Table("code", "slug", "severity", "when")
    for entry in entries:
        grid.add_row(entry.code, entry.slug, Text(entry.severity, STYLES[entry.severity]), entry.when)
    out.print(grid)
