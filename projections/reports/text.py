"""Text for people: what is the state, what happened, what is wrong.

Everything is said in words first and may be coloured on top, so it reads the same without colour.
On a terminal a table gives way to its width; in a pipe nothing is shortened or wrapped. What came
in from outside is shown with its control characters made visible, so that no name can write to the
terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from projections.explain.status import Values, doubt, not_over
from projections.read_models.runs import first_url
from tracker.delivery.envelope import parse_time
from tracker.findings import SEVERITIES, Code, Finding, Severity
from tracker.judging.prices import PRICES
from tracker.judging.state import LOST, Aggregate, Run, Session

if TYPE_CHECKING:  # who shows a session needs no audit
    from projections.audit.auditing import Audit
    from projections.explain.status import Moment

UNBOUNDED = 1_000_000
"""The width of a pipe."""
STYLES = {"error": "bold red", "warning": "yellow", "info": "dim", "live": "green", "in": "green"}
WIDE = 112
"""Columns of a terminal from which a table shows all it has."""
MOST_EVIDENCE = 6
"""Positions named of one finding; the machine formats have all."""
MOST_BODY = 60
"""Bytes of an unrouted body that are shown; ``tracker export`` has all."""
MOST_NAME = 24
"""Columns for names; a longer one pushes what stands behind it."""
LANES = 18
"""Lanes that fit on a terminal; with more, people share one."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process with exit code 1; who called us knows better. To be called while it is handled."""
        raise  # noqa: PLE0704 - rich calls it where the error is caught


def console(file: TextIO) -> Console:
    """Where text goes: as wide as the terminal, or as wide as need be."""
    if file.isatty():
        return _Console(file=file, highlight=False, markup=False, emoji=False)
    return _Console(
        file=file,
        highlight=False,
        markup=False,
        emoji=False,
        width=UNBOUNDED,
        no_color=True,
        force_terminal=False,
    )


def shown(value: object) -> str:
    """Text from outside, fit for a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in str(value))


def sessions(out: Console, rows: Iterable[dict[str, Any]]) -> None:
    """The list of sessions; a narrow terminal gets fewer columns, and no id is ever cut."""
    wide = out.width >= WIDE
    table = _table(
        "state", "session", "meeting", "started", *(("last seen", "people") if wide else ()), "findings"
    )
    count = 0
    for row in rows:
        count += 1
        people = f"{row['inside']} of {row['participants']}" if row["participants"] else "–"
        table.add_row(
            Text(row["state"], STYLES.get(row["state"], "")),
            shown(row["session_id"]),
            shown(row["meeting_id"] or "–"),
            stamp(row["started_at"], wide=wide),
            *((stamp(row["last_seen_at"]), people) if wide else ()),
            _severities(row["errors"], row["warnings"], row["provisional"]),
        )
    if count:
        out.print(table)
    out.print(Text(counted(count, "session"), "dim"))


def status(
    out: Console, session: Session, as_of: datetime | None = None, withdrawn: Iterable[Values] = ()
) -> None:
    """One session at a glance: people, media, findings, and those that were published and withdrawn."""
    head(out, session)
    for name, time in (
        ("started", session.started_at),
        ("ended", session.ended_at),
        ("last seen", session.last_seen_at),
        ("seen as of", as_of),
    ):
        if time is not None:
            guess = name == "ended" and time == session.end_received_at
            line = Text.assemble((f"  {name:<11}", "dim"), _time(time, date=True))
            out.print(line.append("  when it was received" if guess else "", "dim"))
    received = (
        f"{counted(session.deliveries, 'delivery', 'deliveries')}, the last at position {session.last_position}"
    )
    out.print(Text.assemble((f"  {'received':<11}", "dim"), received))
    people = [one for one in session.aggregates.values() if one.lifecycle.is_presence]
    media = [
        one
        for one in session.aggregates.values()
        if not one.lifecycle.is_presence and not one.lifecycle.is_session
    ]
    if people:
        inside = sum(not one.runs[-1].closed for one in people)
        out.print()
        out.print(Text.assemble(("people", "bold"), (f"  {inside} inside, {len(people)} in all", "dim")))
        _people(out, people)
    if media:
        out.print()
        out.print(Text("media", "bold"))
        _media(out, media)
    out.print()
    _findings(out, session)
    _withdrawn(out, [one for one in withdrawn if one["severity"] != "info"])


def _findings(out: Console, session: Session) -> None:
    """What is wrong with a session, and what is not over yet."""
    found = [one for one in session.findings if one.severity != "info"]
    infos = len(session.findings) - len(found)
    still = list(not_over(session))
    title = Text("nothing is wrong", "green")
    if any(one.verdict != "accepted" for one in found):
        title = Text("findings", "bold")
    elif still:
        title = Text("nothing is found yet", "bold")
    out.print(
        title.append(f"  and {counted(infos, 'info')}: tracker timeline shows them" if infos else "", "dim")
    )
    for one in found:
        finding(out, one)
    for words in still:
        out.print(Text(f"  not yet over: {shown(words)}"), soft_wrap=True)


def _withdrawn(out: Console, found: Sequence[Values]) -> None:
    """What was reported before, and is not held any more."""
    if not found:
        return
    out.print()
    out.print(Text("taken back", "bold"))
    for one in found:
        where = " ".join([one["lifecycle"] or "", *one["key"].values()]).strip()
        verdict = "" if one["verdict"] == "settled" else f" ({one['verdict']})"
        title = Text(f"  {one['severity']:<8}{one['code']} {one['slug']}{verdict}", "dim")
        out.print(title.append(f"  {shown(where)}" if where else ""), soft_wrap=True)
        out.print(Text(f"    {shown(one['message'])}", "dim"), soft_wrap=True)
        times = (_time(parse_time(one[name]), date=True) for name in ("published_at", "withdrawn_at"))
        out.print(Text("    was reported {}, withdrawn {}".format(*times), "dim"), soft_wrap=True)


def head(out: Console, session: Session) -> None:
    """Which session it is, and its state."""
    line = Text.assemble(
        (session.state if session.session_id else "no session", f"bold {STYLES.get(session.state, '')}"),
        ("" if session.certainty == "sure" or not session.session_id else f" ({session.certainty})", "dim"),
        "  ",
        ("session " if session.session_id else "", "dim"),
        (shown(session.session_id or session.stream), "bold"),
        ("  meeting ", "dim") if session.meeting_id else "",
        shown(session.meeting_id or ""),
    )
    out.print(line, soft_wrap=True)


def timeline(out: Console, moments: Sequence[Moment], sessions: Sequence[Session]) -> None:
    """Every delivery, one line each, with a lane for each thing that has a state."""
    lanes = _Lanes(sessions[0]) if len(sessions) == 1 else None
    if lanes:
        for line in lanes.legend():
            out.print(line, soft_wrap=True)
        out.print()
    day = None
    width = max((len(str(one.delivery.position)) for one in moments), default=1)
    for one in moments:
        at = one.delivery.received_at
        if at is not None and at.date() != day:
            day = at.date()
            out.print(Text(f"{day.isoformat()} (UTC)", "bold"))
        line = Text.assemble(
            (f"{at:%H:%M:%S}" if at is not None else "   –    ", "dim"),
            f"  {one.delivery.position:>{width}}  ",
            lanes.draw(one) if lanes else "",
            "  " if lanes else "",
            shown(one.delivery.type or one.delivery.problem),
        )
        reading = one.judgement.reading
        if reading not in ("advanced", "new-run") and reading not in (found.slug for found in one.findings):
            line.append(f"  {reading}", "dim")
        for found in one.findings:
            line.append(f"  {found.code} {found.slug}", _style(found))
            line.append("  accepted" if found.verdict == "accepted" else "", "dim")
        out.print(line, soft_wrap=True)
        if one.delivery.stream.startswith("unrouted:"):
            body = one.delivery.body[:MOST_BODY].decode(errors="replace")
            out.print(Text(f"    {shown(one.delivery.received.source)}  {shown(body)}", "dim"), soft_wrap=True)
    out.print(Text(counted(len(moments), "delivery", "deliveries"), "dim"))


def audit(out: Console, result: Audit, least: Severity) -> None:
    """Findings session by session, then the sum."""
    for one in result.findings.at_least(least).by_session():
        if one.session_id is None:
            out.print(Text("outside any session", "bold"))
        else:
            out.print(
                Text.assemble(
                    ("session ", "dim"),
                    (shown(one.session_id), "bold"),
                    ("  meeting ", "dim"),
                    shown(one.meeting_id or "unknown"),
                    "  ",
                    (one.state or "", STYLES.get(one.state or "", "")),
                ),
                soft_wrap=True,
            )
        for found in one.findings:
            finding(out, found)
        out.print()
    summary(out, result, least)


def summary(out: Console, result: Audit, least: Severity) -> None:
    """The sum of an audit: what was read, and how much of it is wrong."""
    meetings = counted(result.sessions, "session")
    span = f", {_time(result.oldest, date=True)} to {_time(result.newest, date=True)}" if result.newest else ""
    out.print(Text(f"{counted(result.deliveries, 'delivery', 'deliveries')}, {meetings}{span}"), soft_wrap=True)
    line = Text()
    numbers = result.findings.counted()
    for severity in reversed(SEVERITIES):
        number = numbers[severity, False]
        line.append(counted(number, severity), STYLES[severity] if number else "dim")
        line.append("; " if severity == "info" else ", ")
    accepted = sum(number for (_, is_accepted), number in numbers.items() if is_accepted)
    if accepted:
        line.append(f"{accepted:,} accepted; ", "dim")
    wrong = result.findings.at_least("warning").sessions()
    line.append(f"something is wrong with {wrong or 'none'} of {meetings}")
    still = [counted(result.live, "live session")] if result.live else []
    if result.open_runs:
        still.append(counted(result.open_runs, "run in progress", "runs in progress"))
    if still:
        line.append(f"; still open: {', '.join(still)}")
    slighter = SEVERITIES[: SEVERITIES.index(least)]
    hidden = sum(number for (severity, _), number in numbers.items() if severity in slighter)
    if hidden:
        line.append(f" ({hidden} below {least} not shown: --min-severity info)", "dim")
    out.print(line, soft_wrap=True)


def finding(out: Console, found: Finding) -> None:
    """One finding: how bad, what, where and when, what else it may be, what to do, what it rests on."""
    finding_head(out, found)
    if found.accepted is not None:
        out.print(Text(f"    accepted: {shown(found.accepted)}", "dim"), soft_wrap=True)
    out.print(Text(f"    {shown(found.message)}", "dim" if found.verdict == "accepted" else ""), soft_wrap=True)
    for other in found.alternatives:
        out.print(Text(f"    or: {shown(other)}"), soft_wrap=True)
    if found.advice and found.severity != "info" and found.verdict != "accepted":
        out.print(Text(f"    do: {shown(found.advice)}", "dim"), soft_wrap=True)
    rests = " ".join(f"#{position}" for position in found.evidence[-MOST_EVIDENCE:])
    more = "… " if len(found.evidence) > MOST_EVIDENCE else ""
    expected = f"expected {shown(' or '.join(found.expected))}; " if found.expected else ""
    cause = f"because of {found.cause}; " if found.cause else ""
    out.print(Text(f"    {cause}{expected}evidence {more}{rests}", "dim"), soft_wrap=True)


def finding_head(out: Console, found: Finding) -> None:
    """The first line of a finding: how bad, what, where and when."""
    where = " ".join([found.lifecycle or "", *found.key.values()]).strip()
    run = f" run {found.run}" if found.run and found.run > 1 else ""
    certainty = ", ".join(
        filter(None, ("" if found.verdict == "settled" else found.verdict, doubt(found.confidence)))
    )
    out.print(
        Text.assemble(
            "  ",
            (f"{found.severity:<8}", _style(found)),
            (f"{found.code} {found.slug}", "dim" if found.verdict == "accepted" else "bold"),
            f"  {shown(where)}{run}" if where else "",
            (f"  {_time(found.at, date=True)}" if found.at else "", "dim"),
            (f"  ({certainty})" if certainty else "", "dim"),
        ),
        soft_wrap=True,
    )


def _style(found: Finding) -> str:
    return "dim" if found.verdict == "accepted" else STYLES[found.severity]


def code(
    out: Console, entry: Code, severity: str, settings: Mapping[str, str], prices: Mapping[str, float]
) -> None:
    """One entry of the catalogue, with the windows and prices in force that it names."""
    out.print(
        Text.assemble((f"{entry.code} {entry.slug}", "bold"), "  ", (severity, STYLES[severity])),
        soft_wrap=True,
    )
    entries = [("when", entry.when), ("example", entry.example), ("do", entry.advice)]
    named = [(name, value) for name, value in settings.items() if f"`{name}`" in entry.when]
    entries.extend(("rule", f"{name} = {value}  (tracker.toml, [rules])") for name, value in named)
    entries.extend(("price", f"{prices[name]:g}  {PRICES[name].assumed}") for name in entry.prices)
    for name, words in entries:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=9)
        grid.add_column()
        grid.add_row(Text(f"  {name}", "dim"), Text(words))
        out.print(grid)


def codes(out: Console, entries: Iterable[Code]) -> None:
    """The catalogue, a line each."""
    table = _table("code", "slug", "severity", "when")
    for entry in entries:
        table.add_row(entry.code, entry.slug, Text(entry.severity, STYLES[entry.severity]), entry.when)
    out.print(table)


def _people(out: Console, people: Sequence[Aggregate]) -> None:
    states = [one.state + ("" if one.certainty == "sure" else f" ({one.certainty})") for one in people]
    names = [shown(one.label or one.key[0][1]) for one in people]
    for one, state, name in zip(people, states, names, strict=True):
        visits = []
        for run in one.runs:
            came, went = (run.delivered(step.name) for step in one.lifecycle.steps)
            left = _time(went.at) if went else ("?" if run.closed else "")
            visits.append(f"{_time(came.at) if came else '?'} – {left}".rstrip())
        line = Text.assemble(
            "  ○ " if one.runs[-1].closed else "  ● ",
            (f"{state:<{max(map(len, states))}}", STYLES.get(one.state, "")),
            f"  {name:<{min(MOST_NAME, max(map(cell_len, names)))}}  {', '.join(visits)}",
        )
        out.print(line, soft_wrap=True)


def _media(out: Console, media: Iterable[Aggregate]) -> None:
    rows = [(_run_name(one, run), run) for one in media for run in one.runs]
    states = [run.state + ("" if run.certainty == "sure" else f" ({run.certainty})") for _, run in rows]
    for (name, run), state in zip(rows, states, strict=True):
        line = Text.assemble(
            (f"{_mark(run)} {state:<{max(map(len, states))}}", STYLES.get(run.state, "")),
            f"  {name:<{max(len(name) for name, _ in rows)}}  {_span(run)}",
        )
        out.print(line, soft_wrap=True)
        for url in filter(None, map(first_url, run.files)):
            out.print(Text(f"    {shown(url)}", "dim"), soft_wrap=True)


def _run_name(one: Aggregate, run: Run) -> str:
    which = one.label or " ".join(value for _, value in one.key)
    number = f"run {run.number}" if len(one.runs) > 1 else ""
    return " ".join(filter(None, (one.lifecycle.name, shown(which), number)))


def _mark(run: Run) -> str:
    if run.state in ("failed", "lost"):
        return "  ✗"
    return "  ■" if run.closed else "  ▶"


def _span(run: Run) -> str:
    times = [step.at for step in run.steps.values() if step.at is not None]
    if not times:
        return ""
    if run.state == LOST:
        return f"{_time(min(times))} – ?  last delivery at {_time(max(times))}"
    return f"{_time(min(times))} – {_time(max(times)) if run.closed else ''}".rstrip()


class _Lanes:
    """A column for each thing of a session, drawn through the rows while it is under way."""

    def __init__(self, session: Session) -> None:
        self.aggregates = list(session.aggregates.values())
        self.lane_of = list(range(len(self.aggregates)))
        if len(self.aggregates) > LANES:
            others = [n for n, one in enumerate(self.aggregates) if not one.lifecycle.is_presence]
            self.lane_of = [
                len(others) if one.lifecycle.is_presence else others.index(n)
                for n, one in enumerate(self.aggregates)
            ]
        self.lanes = max(self.lane_of, default=-1) + 1
        self.under_way: list[set[int]] = [set() for _ in range(self.lanes)]

    def legend(self) -> list[Text]:
        members: list[list[Aggregate]] = [[] for _ in range(self.lanes)]
        for place, aggregate in enumerate(self.aggregates):
            members[self.lane_of[place]].append(aggregate)
        lines = []
        for lane, ones in enumerate(members):
            first, shared = ones[0], len(ones) > 1
            name = f"{len(ones)} people" if shared else first.name
            kind = "" if shared or name == first.lifecycle.name else f"{first.lifecycle.name} "
            state = sum(not one.runs[-1].closed for one in ones) if shared else first.state
            bars = "│" * lane + "┌" + "─" * (self.lanes - lane)
            inside = f"  {state} inside" if shared else f"  {state}"
            lines.append(Text.assemble((bars, "dim"), f" {kind}{shown(name)}", (inside, "dim")))
        return lines

    def draw(self, one: Moment) -> Text:
        """The lanes at one delivery; the deliveries are drawn in their order."""
        moved = None if one.place is None else self.lane_of[one.place]
        if one.place is not None:
            members = self.under_way[self.lane_of[one.place]]
            members.add(one.place) if one.under_way else members.discard(one.place)
        drawn = Text()
        for lane, members in enumerate(self.under_way):
            if lane == moved:
                drawn.append(_glyph(one), _glyph_style(one))
            else:
                drawn.append("│" if members else " ", "dim")
        return drawn


def _glyph(one: Moment) -> str:
    reading, after = one.judgement.reading, one.judgement.state_after
    if reading in ("redelivered", "repeated"):
        return "·"
    if reading in ("orphan", "conflict"):
        return "!"
    if after in ("failed", "lost"):
        return "✗"
    if not one.under_way:
        return "└"
    return "├" if one.judgement.state_before else "┌"


def _glyph_style(one: Moment) -> str:
    worst = max((found.severity for found in one.findings), key=SEVERITIES.index, default="info")
    return "bold" if worst == "info" else STYLES[worst]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name not in ("findings", "when"))
    return table


def _severities(errors: int, warnings: int, provisional: int) -> Text:
    numbers = (
        (errors, counted(errors, "error"), STYLES["error"]),
        (warnings, counted(warnings, "warning"), STYLES["warning"]),
        (provisional, f"{provisional} provisional", "dim"),
    )
    parts = [Text(words, style) for number, words, style in numbers if number]
    return Text(", ").join(parts) if parts else Text("none", "dim")


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def stamp(text: str | None, *, wide: bool = True) -> str:
    if not text:
        return "–"
    return f"{text[:10]} {text[11:19]}" if wide else f"{text[5:10]} {text[11:16]}"


def _time(time: datetime | None, *, date: bool = False) -> str:
    if time is None:
        return "?"
    return f"{time:%Y-%m-%d %H:%M:%S} UTC" if date else f"{time:%H:%M:%S}"
