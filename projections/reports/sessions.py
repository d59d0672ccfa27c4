"""Sessions in words: the list of them, and one with its people, media and findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from projections import zones
from projections.answers.presence import of_session
from projections.explain.status import Values, is_fine, not_over
from projections.read_models.runs import first_url
from projections.reports.findings import finding
from projections.reports.text import (
    STYLES,
    Out,
    Pipe,
    Table,
    Text,
    cells,
    clock,
    counted,
    say,
    shown,
    stamp,
    sum_up,
)
from tracker.delivery.envelope import parse_time
from tracker.judging.state import LOST, Aggregate, Run, Session

WIDE = 112
"""Columns of a terminal from which a table shows all it has."""
MOST_NAME = 24
"""Columns for names; a longer one pushes what stands behind it."""


def sessions(out: Out, rows: Iterable[dict[str, Any]]) -> None:
    """The list of sessions; a narrow terminal gets fewer columns, and no id is ever cut."""
    wide, rows = isinstance(out, Pipe) or out.width >= WIDE, list(rows)
    named = ("account",) if any(row["account"] for row in rows) else ()
    more = ("last seen", "people") if wide else ()
    grid = Table("state", "session", "meeting", *named, "started", *more, "findings")
    count = 0
    for row in rows:
        count += 1
        people = f"{row['inside']} of {row['participants']}" if row["participants"] else "–"
        grid.add_row(
            Text(row["state"], STYLES.get(row["state"], "")),
            shown(row["session_id"]),
            shown(row["meeting_id"] or "–"),
            *(row[name] or "–" for name in named),
            stamp(row["started_at"], wide=wide),
            *((stamp(row["last_seen_at"]), people) if wide else ()),
            _severities(row["errors"], row["warnings"], row["provisional"]),
        )
    if count:
        out.print(grid)
    sum_up(out, count, "session")


def status(out: Out, session: Session, as_of: datetime | None = None, withdrawn: Iterable[Values] = ()) -> None:
    """One session at a glance: people, media, findings, and those that were published and withdrawn."""
    head(out, session)
    for name, time in (
        ("started", session.started_at),
        ("ended", session.ended_at),
        ("last seen", session.last_seen_at),
        ("seen as of", as_of),
    ):
        if time is not None:
            line = Text.assemble((f"  {name:<11}", "dim"), clock(time, date=True))
            out.print(line.append(_whose_clock(session) if name == "ended" else "", "dim"))
    if session.erased_at is not None:
        when = clock(session.erased_at, date=True)
        out.print(Text.assemble((f"  {'erased':<11}", "dim"), when, ("  people, from what came", "dim")))
    for session_id, room in session.links:
        was_for = " ".join(filter(None, (session_id and f"session {session_id}", room and f"meeting {room}")))
        out.print(Text.assemble((f"  {'was for':<11}", "dim"), shown(was_for)))
    received = f"{counted(session.deliveries, 'delivery', 'deliveries')}{_last(session)}"
    out.print(Text.assemble((f"  {'received':<11}", "dim"), received))
    people = session.participants
    runs = [one for one in session.aggregates.values() if not one.lifecycle.is_session]
    media = [one for one in runs if one.lifecycle.in_a_session and not one.lifecycle.is_presence]
    beside = [one for one in runs if not (one.lifecycle.in_a_session or one.lifecycle.is_presence)]
    if people:
        inside = sum(not one.run.closed for one in people)
        out.print()
        out.print(
            Text.assemble(
                ("people", "bold"), (f"  {inside} inside, {len(people)} in all; {_presence(session)}", "dim")
            )
        )
        _people(out, people)
    for title, ones in (("media", media), ("beside it" if session.session_id else "runs", beside)):
        if ones:
            out.print()
            out.print(Text(title, "bold"))
            _media(out, ones)
    out.print()
    _findings(out, session)
    _withdrawn(out, [one for one in withdrawn if one["severity"] != "info"])


def _last(session: Session) -> str:
    """Where the last of it is stored: a delivery, or a record of VideoSDK's."""
    also = " and VideoSDK's own records; the last of all" if session.records is not None else ", the last"
    return f"{also} at position {session.last_position}"


def _whose_clock(session: Session) -> str:
    """By which clock a session has ended: findings and media go by when something was received."""
    ended, received = session.ended_at, session.end_received_at
    if ended is None or received is None:
        return ""
    if ended == received:
        return "  when it was received"
    same = clock(ended) == clock(received)
    return "" if same else f"  by its own clock; received at {clock(received)}"


def _presence(session: Session) -> str:
    """How much people were inside: ``125 participant-minutes, at most 3 at once (10:02:11)``."""
    found = of_session(session)
    at = f" ({clock(found.peak_at)})" if found.peak_at else ""
    return f"{found.minutes:,.0f} participant-minutes, at most {found.peak:,} at once{at}"


def _findings(out: Out, session: Session) -> None:
    """What is wrong with a session, and what is not over yet."""
    found = [one for one in session.findings if one.severity != "info"]
    infos = len(session.findings) - len(found)
    still = list(not_over(session))
    words, is_likely = is_fine(session)
    title = Text(words, "green" if is_likely else "yellow")
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
        say(out, Text(f"  not yet over: {shown(words)}"))


def _withdrawn(out: Out, found: Sequence[Values]) -> None:
    """What was reported before, and is not held any more."""
    if not found:
        return
    out.print()
    out.print(Text("taken back", "bold"))
    for one in found:
        where = " ".join([one["lifecycle"] or "", *one["key"].values()]).strip()
        verdict = "" if one["verdict"] == "settled" else f" ({one['verdict']})"
        title = Text(f"  {one['severity']:<8}{one['code']} {one['slug']}{verdict}", "dim")
        say(out, title.append(f"  {shown(where)}" if where else ""))
        say(out, Text(f"    {shown(zones.sentence(one['message'], parse_time(one['at'] or '')))}", "dim"))
        times = (clock(parse_time(one[name]), date=True) for name in ("published_at", "withdrawn_at"))
        say(out, Text("    was reported {}, withdrawn {}".format(*times), "dim"))


def head(out: Out, session: Session) -> None:
    """Which session it is, and its state."""
    line = Text.assemble(
        (session.state if session.session_id else "no session", f"bold {STYLES.get(session.state, '')}"),
        ("" if session.certainty == "sure" or not session.session_id else f" ({session.certainty})", "dim"),
        "  ",
        ("session " if session.session_id else "", "dim"),
        (shown(session.session_id or session.stream), "bold"),
        ("  meeting ", "dim") if session.meeting_id else "",
        shown(session.meeting_id or ""),
        ("  account ", "dim") if session.account else "",
        session.account or "",
    )
    say(out, line)


def _people(out: Out, people: Sequence[Aggregate]) -> None:
    states = [one.state + ("" if one.certainty == "sure" else f" ({one.certainty})") for one in people]
    names = [shown(one.label or one.key[0][1]) for one in people]
    widths = max(map(len, states), default=0), min(MOST_NAME, max(map(cells, names), default=0))
    for one, state, name in zip(people, states, names, strict=True):
        visits = []
        for run, visit in zip(one.runs, one.visits, strict=True):
            left = clock(visit.left_at) if visit.left_at or run.closed else ""
            visits.append(f"{clock(visit.joined_at)} – {left}".rstrip())
        line = Text.assemble(
            "  ○ " if one.run.closed else "  ● ",
            (f"{state:<{widths[0]}}", STYLES.get(one.state, "")),
            f"  {name:<{widths[1]}}  {', '.join(visits)}",
        )
        say(out, line)


def _media(out: Out, media: Iterable[Aggregate]) -> None:
    rows = [(_run_name(one, run), run) for one in media for run in one.runs]
    states = [run.state + ("" if run.certainty == "sure" else f" ({run.certainty})") for _, run in rows]
    widths = max(map(len, states), default=0), max((len(name) for name, _ in rows), default=0)
    for (name, run), state in zip(rows, states, strict=True):
        line = Text.assemble(
            (f"{_mark(run)} {state:<{widths[0]}}", STYLES.get(run.state, "")),
            f"  {name:<{widths[1]}}  {_span(run)}",
        )
        say(out, line)
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
        return f"{clock(run.began_at)} – ?  last delivery at {clock(max(times))}"
    began = None if run.began_at == run.ended_at else run.began_at  # only its end came
    return f"{clock(began)} – {clock(run.ended_at) if run.closed else ''}".rstrip()


def _severities(errors: int, warnings: int, provisional: int) -> Text:
    numbers = (
        (errors, counted(errors, "error"), STYLES["error"]),
        (warnings, counted(warnings, "warning"), STYLES["warning"]),
        (provisional, f"{provisional} provisional", "dim"),
    )
    parts = [part for number, words, style in numbers if number for part in (", ", (words, style))]
    return Text.assemble(*parts[1:]) if parts else Text("none", "dim")
