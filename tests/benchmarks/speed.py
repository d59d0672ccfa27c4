"""How fast it is, beside the limits of the machine and beside what others would take for the work.

    pip install '.[benchmarks]'
    python tests/benchmarks/speed.py [--meetings 3000] [--large 10000] [--rounds 5] [--into examples/reference/speed.md]

Everything of one comparison runs in turn, round after round, and the medians are compared: only the
ratios mean something on another machine. Where the work is one process, CPU seconds are compared, not
those of the clock. ``--into`` writes the table between the marks that a Markdown file has for it. A
peer that is not installed is left out; pm4py is AGPL, so install it yourself.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import attrs
import large
from large import STATE, TIMELINE

from projections.audit.auditing import Logs, audit
from projections.views.rebuild import rebuild
from tracker.delivery.envelope import decode, encode
from tracker.delivery.webhook import Delivery, parse
from tracker.intake.ingest import ingest
from tracker.intake.logs import Log
from tracker.judging.sessions import Sessions
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules
from tracker.simulate import simulate
from tracker.store.application import Tracker
from tracker.store.reading import PAGE

RULES = Rules()
TRACKER = "from projections.program import program; program()"
JSON_LOADS = """
import json, sys
for line in open(sys.argv[1], 'rb'):
    try: json.loads(line)
    except ValueError: pass
"""
MEASURE = """
import resource, subprocess, sys, time
begin = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
wall, usage = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
print(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / unit)
sys.exit(done.stderr.decode() if done.returncode else 0)
"""
"""Measures a process from one as small as can be: Linux counts what the parent had when it forked to the child."""
HEAD = ("| | work | ours | beside it | ratio | goal | met |", "|---|---|---|---|---|---|---|")
LONGER = 4
"""How many times longer the log is by which growth is measured."""
STREAMS = 20
"""Sessions of which the status is asked: how long that takes depends on what is odd in them."""
ONE_BY_ONE = 1000
"""Events given to what takes a transaction, a load and a save for each."""


@attrs.frozen
class Spent:
    """What one run took: seconds, and the most memory in MB where it was a process of its own."""

    cpu: float
    wall: float
    memory: float = 0

    def each(self, events: int) -> Spent:
        return Spent(self.cpu / events, self.wall / events, self.memory)


Work = Callable[[], Spent]


@attrs.frozen
class Row:
    """A line of the table: ours beside a peer. ``goal`` is empty where it is only a comparison."""

    id: str
    work: str
    ours: str
    peer: str
    ratio: str
    goal: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        met = {True: "yes", False: "**no**", None: ""}[self.met]
        return "".join(f"| {cell} " for cell in (*attrs.astuple(self)[:-1], met)) + "|"


# -- measuring -------------------------------------------------------------------------------------


def here(work: Callable[[], Any]) -> Spent:
    """What work took in this process."""
    gc.collect()
    wall, cpu = perf_counter(), process_time()
    work()
    return Spent(process_time() - cpu, perf_counter() - wall)


def process(*arguments: object) -> Spent:
    """What a Python process took, from its start to its end; none compiles what another has compiled before."""
    run = [sys.executable, "-c", MEASURE, sys.executable, *map(str, arguments)]
    done = subprocess.run(run, capture_output=True, text=True, check=False, env=environment())
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Spent(*map(float, done.stdout.split()))


@cache
def environment() -> dict[str, str]:
    """As if installed: pip compiles what it installs, also where Python is set to write no bytecode."""
    compiled = tempfile.TemporaryDirectory()
    atexit.register(compiled.cleanup)
    spared = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**spared, "PYTHONPYCACHEPREFIX": compiled.name}


def command(*arguments: object) -> Spent:
    return process("-c", TRACKER, *arguments)


def interleaved(rounds: int, **works: Work) -> list[Spent]:
    """The medians of each work, all done in turn, in every round."""
    runs = [[work() for work in works.values()] for _ in range(rounds)]
    return [
        Spent(*(median(getattr(spent, field) for spent in of_one) for field in ("cpu", "wall", "memory")))
        for of_one in zip(*runs, strict=True)
    ]


def rate(spent: Spent, events: int) -> str:
    return f"{events / spent.cpu:,.0f}/s CPU, {events / spent.wall:,.0f}/s wall"


def times(
    id: str, work: str, ours: Spent, peer: Spent, name: str, events: int, goal: float | None = None
) -> Row:
    """How many times faster than the peer, by CPU seconds an event; ``peer`` is already of as many."""
    ratio = peer.cpu / ours.cpu
    wanted = f"≥ {goal:g} ×" if goal else ""
    met = ratio >= goal if goal else None
    return Row(id, work, rate(ours, events), f"{name}: {rate(peer, events)}", f"{ratio:.2f} ×", wanted, met)


# -- the goals -------------------------------------------------------------------------------------


@attrs.define
class Bench:
    """What all of it is measured with: a log, four of its length, and a store of the first."""

    rounds: int
    room: Path
    log: Path
    longer: Path
    lines: list[bytes]
    longer_lines: int
    store: Path
    large: int
    made: int = 0

    @classmethod
    def make(cls, room: Path, meetings: int, rounds: int, large: int) -> Bench:
        log, longer, store = room / "log.jsonl", room / "longer.jsonl", room / "store"
        lines, more = _write(log, meetings), _write(longer, LONGER * meetings)
        append(log, store)
        return cls(rounds, room, log, longer, lines, len(more), store, large)

    def fresh(self) -> Path:
        """A directory that was not there before."""
        self.made += 1
        return self.room / f"fresh-{self.made}"

    def recordings(self) -> list[Delivery]:
        found = (parse(decode(line), number) for number, line in enumerate(self.lines, 1))
        return [one for one in found if one.lifecycle is REGISTRY["recording"]]


def _write(path: Path, meetings: int) -> list[bytes]:
    lines = [encode(line.received) for line in simulate(meetings, seed=1)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return lines


def append(log: Path, data: Path) -> None:
    """What ``tracker ingest`` does before it judges."""
    with closing(Tracker.open(data, create=True)) as tracker:
        for _ in ingest(tracker, Log(str(log))):
            pass


def rebuild_all(store: Path, path: Path, **how: Any) -> None:
    with closing(Tracker.open(store)) as tracker:
        rebuild(tracker, RULES, path=path, **how)


def p1_audit(bench: Bench) -> Iterator[Row]:
    events = len(bench.lines)
    works = {
        "ours": lambda: command("audit", "--fail-on", "never", bench.log),
        "peer": lambda: process("-c", JSON_LOADS, bench.log),
    }
    if find_spec("duckdb"):
        works["duckdb"] = lambda: here(lambda: duckdb_fold(bench.log))
    ours, peer, *duckdb = interleaved(bench.rounds, **works)
    yield times("P1", "audit LOG, end to end", ours, peer, "json.loads", events, 1)
    for one in duckdb:
        yield times("", "audit LOG, end to end", ours, one, "DuckDB, toy rules", events)
    two, one = interleaved(
        bench.rounds,
        two=lambda: command("audit", "--fail-on", "never", "--jobs", 2, bench.longer),
        one=lambda: command("audit", "--fail-on", "never", bench.longer),
    )
    ratio, lines = one.wall / two.wall, bench.longer_lines
    work = f"audit LOG in two processes, {lines:,} lines, by the clock"
    peer = f"one process: {rate(one, lines)}"
    yield Row("P1", work, rate(two, lines), peer, f"{ratio:.2f} ×", "≥ 1.7 ×", ratio >= 1.7)


def duckdb_fold(log: Path) -> int:
    """What would be written by hand in an hour: sorted by session, each aggregate's table walked."""
    import duckdb

    rows = duckdb.sql(
        "SELECT json->>'$.webhook.data.sessionId', json->>'$.webhook.data.participantId', "
        "json->>'$.webhook.webhookType', json->>'$.received_at' "
        f"FROM read_ndjson_objects('{log}', ignore_errors=true) ORDER BY 1, 4"
    ).fetchall()
    wrong, states = 0, {}
    for session, participant, webhook_type, _ in rows:
        route = REGISTRY.routes.get(webhook_type)
        if route is not None:
            lifecycle, step = route
            whose = (session, lifecycle.name, participant)
            wrong += step.name not in lifecycle.table[states.get(whose, "")]
            states[whose] = step.state
    return wrong


def p2_append(bench: Bench) -> Iterator[Row]:
    with closing(sqlite3.connect(bench.store / "events.db")) as db:
        columns = "originator_id, originator_version, topic, state"
        rows = db.execute(f"SELECT {columns} FROM stored_events ORDER BY notification_id").fetchall()
        (schema,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'stored_events'").fetchone()

    def raw(data: Path) -> None:
        with closing(sqlite3.connect(data, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute(schema)
            for begin in range(0, len(rows), PAGE):
                db.execute("BEGIN IMMEDIATE")
                db.executemany(
                    f"INSERT INTO stored_events ({columns}) VALUES (?,?,?,?)", rows[begin : begin + PAGE]
                )
                db.execute("COMMIT")

    few = bench.lines[:ONE_BY_ONE]
    ours, peer, ordinary = interleaved(
        bench.rounds,
        ours=lambda: here(lambda: append(bench.log, bench.fresh())),
        peer=lambda: here(lambda: raw(bench.fresh())),
        ordinary=lambda: here(lambda: ordinary_aggregates(few, bench.fresh())),
    )
    events = len(bench.lines)
    yield times("P2", "ingest LOG, appending only", ours, peer, "executemany of the same rows", events, 0.5)
    ours, ordinary = ours.each(events), ordinary.each(len(few))
    yield times("", "ingest LOG, appending only", ours, ordinary, "eventsourcing, an aggregate a session", 1)


@cache
def meeting_class() -> Any:
    """Made once: the library knows a class by its name."""
    from eventsourcing.domain import Aggregate, event

    class Meeting(Aggregate):
        def __init__(self, name: str) -> None:
            self.name, self.received = name, 0

        @staticmethod
        def create_id(name: str) -> Any:
            return uuid5(NAMESPACE_URL, name)

        @event("WebhookReceived")
        def take(self, body: str) -> None:
            self.received += bool(body)

    return Meeting


def ordinary_aggregates(lines: Iterable[bytes], data: Path) -> None:
    """The library as its tutorial has it: load the aggregate, let it change, save it."""
    from eventsourcing.application import AggregateNotFoundError, Application

    app = Application({"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(data)})
    for line in lines:
        delivery = parse(decode(line))
        try:
            meeting = app.repository.get(meeting_class().create_id(delivery.stream))
        except AggregateNotFoundError:
            meeting = meeting_class()(delivery.stream)
        meeting.take(delivery.body.decode(errors="replace"))
        app.save(meeting)
    app.close()


def p3_rebuild(bench: Bench) -> Iterator[Row]:
    def select() -> None:
        after, page = 0, ()
        with closing(sqlite3.connect(bench.store / "events.db")) as db:
            while page := db.execute(
                "SELECT notification_id, originator_id, originator_version, topic, state FROM stored_events "
                "WHERE notification_id > ? ORDER BY notification_id LIMIT ?",
                (after, PAGE),
            ).fetchall():
                after = page[-1][0]

    events, few = len(bench.lines), min(ONE_BY_ONE, len(bench.lines))
    ours, peer, single = interleaved(
        bench.rounds,
        ours=lambda: here(lambda: rebuild_all(bench.store, bench.fresh())),
        peer=lambda: here(select),
        single=lambda: here(lambda: rebuild_all(bench.store, bench.fresh(), page_size=1, stop=few)),
    )
    yield times("P3", "rebuild", ours, peer, "paged SELECT", events, 0.12)
    ours, single = ours.each(events), single.each(few)
    yield times("P3", "rebuild", ours, single, "the same rows, one event a transaction", 1, 20)


def p5_status(bench: Bench) -> Iterator[Row]:
    with closing(Tracker.open(bench.store)) as tracker, closing(sqlite3.connect(tracker.place)) as db:
        select = "SELECT state FROM stored_events WHERE originator_id = ? ORDER BY originator_version"
        count = (
            "SELECT originator_id, COUNT(*) FROM stored_events GROUP BY 1 ORDER BY ABS(COUNT(*) - 30) LIMIT ?"
        )
        found = db.execute(count, (STREAMS,)).fetchall()
        again = [stream for stream, _ in found] * (200 // len(found))
        deliveries = median(number for _, number in found)
        ours, peer = interleaved(
            bench.rounds,
            ours=lambda: here(lambda: [tracker.status(stream) for stream in again]).each(len(again)),
            peer=lambda: here(lambda: [db.execute(select, (stream,)).fetchall() for stream in again]).each(
                len(again)
            ),
        )
    printed = [f"{spent.cpu * 1000:.3f} ms" for spent in (ours, peer)]
    ratio = ours.cpu / peer.cpu
    met = ratio <= 10 or ours.cpu < 0.001
    work = f"status of one session, {deliveries:g} deliveries"
    yield Row(
        "P5",
        work,
        printed[0],
        f"its bare SELECT: {printed[1]}",
        f"{ratio:.1f} × its time",
        "≤ 10 ×, or < 1 ms",
        met,
    )


def p5_large(bench: Bench) -> Iterator[Row]:
    goals = {STATE: 50, TIMELINE: 100}
    for one in large.measured(bench.rounds, bench.large):
        work, goal = f"a session of {bench.large:,} deliveries: {one.what}", goals.get(one.what)
        size = f", {one.size:,.0f} kB" if one.size else ""
        wanted, met = (f"≤ {goal} ms", one.cpu <= goal) if goal else ("", None)
        yield Row("P5", work, f"{one.cpu:.3g} ms CPU{size}", "", "", wanted, met)


def p6_judging(bench: Bench) -> Iterator[Row]:
    received = bench.recordings()
    cases: dict[str, list[str]] = {}
    for one in received:
        cases.setdefault(one.stream, []).append(one.step.name)
    peers = [peer for peer in PEERS if find_spec(peer[0])]
    works = {name: lambda replay=replay: here(lambda: replay(cases)) for name, replay, _ in peers}
    ours, *others = interleaved(bench.rounds, ours=lambda: here(lambda: judge_all(received)), **works)
    for (name, _, goal), other in zip(peers, others, strict=True):
        yield times("P6", "judging, recordings, parsed", ours, other, name, len(received), goal)
    for name, _, goal in PEERS:
        if not find_spec(name):
            yield Row(
                "P6",
                "judging, recordings, parsed",
                rate(ours, len(received)),
                f"{name}: not installed",
                "",
                f"≥ {goal} ×",
            )


def judge_all(received: Iterable[Delivery]) -> None:
    """Observes every delivery, and assesses every session once."""
    sessions = Sessions(RULES)
    for one in received:
        sessions.observe(one)
    for stream in sessions.observed:
        sessions.assessed(stream, None)


def _moves() -> list[tuple[str, str, str]]:
    """The table of recordings: from which state which step leads where."""
    lifecycle = REGISTRY["recording"]
    return [
        (state or "absent", name, lifecycle.by_name[name].state)
        for state, row in lifecycle.table.items()
        for name in row
    ]


def replay_transitions(cases: dict[str, list[str]]) -> None:
    from transitions import Machine, MachineError

    moves = _moves()
    states = list(dict.fromkeys([move[0] for move in moves] + [move[2] for move in moves]))
    rows = [{"trigger": f"hear_{name}", "source": origin, "dest": state} for origin, name, state in moves]
    for steps in cases.values():
        machine = Machine(states=states, initial="absent", transitions=rows)
        for step in steps:
            try:
                getattr(machine, f"hear_{step}")()
            except MachineError:
                machine.set_state(REGISTRY["recording"].by_name[step].state)


def replay_statemachine(cases: dict[str, list[str]]) -> None:
    from statemachine import State, StateMachine
    from statemachine.exceptions import TransitionNotAllowed

    moves = _moves()
    goes_on = {origin for origin, _, _ in moves}
    names = dict.fromkeys([move[0] for move in moves] + [move[2] for move in moves])
    states = {name: State(initial=name == "absent", final=name not in goes_on) for name in names}
    events: dict[str, Any] = {}
    for origin, name, state in moves:
        move = states[origin].to(states[state])
        events[f"hear_{name}"] = events[f"hear_{name}"] | move if f"hear_{name}" in events else move
    machine_of = type(
        "Recording", (StateMachine,), {**{f"in_{name}": one for name, one in states.items()}, **events}
    )
    for steps in cases.values():
        machine = machine_of()
        for step in steps:
            try:
                machine.send(f"hear_{step}")
            except TransitionNotAllowed:
                machine = machine_of()


def replay_pm4py(cases: dict[str, list[str]]) -> None:
    from pm4py.algo.conformance.tokenreplay import algorithm
    from pm4py.objects.log.obj import Event, EventLog, Trace
    from pm4py.objects.petri_net.obj import Marking, PetriNet
    from pm4py.objects.petri_net.utils.petri_utils import add_arc_from_to

    net, places = PetriNet("recording"), {}
    for number, (origin, name, state) in enumerate(_moves()):
        move = PetriNet.Transition(f"{name}-{number}", name)
        net.transitions.add(move)
        for place in (origin, state):
            if place not in places:
                places[place] = PetriNet.Place(place)
                net.places.add(places[place])
        add_arc_from_to(places[origin], move, net)
        add_arc_from_to(move, places[state], net)
    log = EventLog([Trace([Event({"concept:name": step}) for step in steps]) for steps in cases.values()])
    begin, end = Marking({places["absent"]: 1}), Marking({places["stopped"]: 1})
    algorithm.apply(log, net, begin, end, parameters={"show_progress_bar": False})


PEERS: tuple[tuple[str, Callable[[dict[str, list[str]]], None], int], ...] = (
    ("pm4py", replay_pm4py, 10),
    ("transitions", replay_transitions, 5),
    ("statemachine", replay_statemachine, 40),
)


def p7_memory(bench: Bench) -> Iterator[Row]:
    few, many, idle = interleaved(
        bench.rounds,
        few=lambda: command("audit", "--fail-on", "never", bench.log),
        many=lambda: command("audit", "--fail-on", "never", bench.longer),
        idle=lambda: process("-c", "import projections.audit.auditing, projections.reports.findings"),
    )
    ratio = (many.memory - idle.memory) / max(1, few.memory - idle.memory)
    printed = f"{many.memory:.0f} MB, {many.memory - idle.memory:.0f} of them for the log"
    yield Row(
        "P7",
        f"memory of audit, {bench.longer_lines:,} lines",
        printed,
        f"{len(bench.lines):,} lines: {few.memory:.0f} MB, {few.memory - idle.memory:.0f}",
        f"{ratio:.2f} ×",
        f"≤ {LONGER / 2:g} × for {LONGER} × the log, < 400 MB",
        ratio <= LONGER / 2 and many.memory < 400,
    )


def p8_flat(bench: Bench) -> Iterator[Row]:
    stores = {"few": bench.store, "many": bench.room / "longer"}
    append(bench.longer, stores["many"])
    logs = {"few": (bench.log, len(bench.lines)), "many": (bench.longer, bench.longer_lines)}
    works: dict[str, Callable[[str], Any]] = {
        "audit": lambda size: audit(Logs([Log(str(logs[size][0]))]).deliveries(), RULES),
        "ingest": lambda size: append(logs[size][0], bench.fresh()),
        "rebuild": lambda size: rebuild_all(stores[size], bench.fresh()),
    }
    for name, work in works.items():
        few, many = interleaved(
            bench.rounds,
            **{
                size: lambda size=size, work=work: here(lambda: work(size)).each(logs[size][1]) for size in logs
            },
        )
        ratio = many.cpu / few.cpu
        printed = [f"{spent.cpu * 1e6:.1f} µs an event" for spent in (many, few)]
        sizes = f"{name}, {bench.longer_lines:,} events"
        peer = f"{len(bench.lines):,} events: {printed[1]}"
        yield Row("P8", sizes, printed[0], peer, f"{ratio:.2f} ×", "≤ 1.2 ×", ratio <= 1.2)


def p9_start(bench: Bench) -> Iterator[Row]:
    with closing(sqlite3.connect(bench.store / "events.db")) as db:
        (stream,) = db.execute(
            "SELECT originator_id FROM stored_events WHERE topic = 'session-ended'"
        ).fetchone()
    rebuild_all(bench.store, bench.store / "views.db")
    bare, help, status = interleaved(
        bench.rounds,
        bare=lambda: process("-c", "import click"),
        help=lambda: command("--help"),
        status=lambda: command("--data", bench.store, "status", stream),
    )
    for name, spent in (("tracker --help", help), ("tracker status", status)):
        ratio = spent.cpu / bare.cpu
        printed = [f"{one.wall * 1000:.0f} ms" for one in (spent, bare)]
        yield Row(
            "P9",
            name,
            printed[0],
            f"import click: {printed[1]}",
            f"{ratio:.2f} × its CPU",
            "< 2.5 ×",
            ratio < 2.5,
        )


def p4_receiving() -> Iterator[Row]:
    """Measured by a program of its own."""
    there = Path(__file__).with_name("receiving.py")
    said = f"python tests/benchmarks/{there.name}" if there.exists() else "not measured here"
    yield Row("P4", "POST /webhooks, signed", said, "", "")


GOALS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "P1": p1_audit,
    "P2": p2_append,
    "P3": p3_rebuild,
    "P4": lambda _: p4_receiving(),
    "P5": lambda bench: chain(p5_status(bench), p5_large(bench)),
    "P6": p6_judging,
    "P7": p7_memory,
    "P8": p8_flat,
    "P9": p9_start,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meetings", type=int, default=3000, help="sessions of the log (3000)")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is run (5)")
    parser.add_argument("--large", type=int, default=10_000, help="deliveries of the large session (10000)")
    parser.add_argument(
        "--only", nargs="+", choices=GOALS, default=list(GOALS), metavar="P", help="these goals"
    )
    parser.add_argument("--into", metavar="FILE", type=Path, help="write the table there too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as room:
        bench = Bench.make(Path(room), options.meetings, options.rounds, options.large)
        version = ".".join(map(str, sys.version_info[:3]))
        size = f"{len(bench.lines):,} lines, {options.rounds} rounds, Python {version}"
        written = [size, "", *HEAD]
        print(*written, sep="\n", flush=True)
        for name in options.only:
            for row in GOALS[name](bench):
                written.append(str(row))
                print(row, flush=True)
    if options.into:
        write(options.into, "\n".join(written))
    return 0


MARKS = re.compile(r"(<!-- speed: .*? -->\n).*?(<!-- /speed -->)", re.DOTALL)


def write(path: Path, table: str) -> None:
    """Puts the table between its marks."""
    text = path.read_text(encoding="utf-8")
    path.write_text(MARKS.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
