"""What it costs to export sessions as traces: CPU of this process, with the encoding and the request.

    python tests/benchmarks/traces.py [--meetings 2000] [--rounds 3] [--into examples/reference/speed.md]

A simulated log is stored and judged, and exported to a collector in a process of its own. The goal is a millisecond of CPU a
session, and memory that does not grow with the store: the same is exported of four times as many. ``--into`` writes the table
between the marks that a Markdown file has for it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).parents[1]))

from meetings import read_into

from projections.traces.collector import Collector
from projections.traces.exported import TRACES_DB, Exporter
from projections.traces.spans import Span
from projections.views.follow import Views
from tracker.delivery.envelope import encode
from tracker.rules import Rules
from tracker.simulate import simulate
from tracker.store.application import Tracker

GOAL = 1.0
"""Milliseconds of CPU a session."""
MARKS = re.compile(r"(<!-- traces: .*? -->\n).*?(<!-- /traces -->)", re.DOTALL)
TAKES = """
import sys
from collecting import collecting

with collecting() as collector:
    print(collector.url, flush=True)
    sys.stdin.read()
"""


class Counted(Collector):
    """Counts what it exports."""

    spans = 0

    def export(self, spans: list[Span]) -> None:
        self.spans += len(spans)
        super().export(spans)


def stored(data: Path, meetings: int) -> None:
    log = data.with_suffix(".jsonl")
    log.write_bytes(b"".join(encode(line.received) + b"\n" for line in simulate(meetings, 1)))
    read_into(data, log)
    with closing(Tracker.open(data)) as store, Views.open(store) as views:
        assert views.checkpoint.as_of is not None
        views.settle(store, views.checkpoint.as_of + timedelta(days=2))


def measured(data: Path, url: str) -> tuple[int, int, float]:
    """How many sessions and spans were exported, and the seconds of CPU."""
    (data / TRACES_DB).unlink(missing_ok=True)
    with closing(Tracker.open(data)) as store, Views.open(store) as views:
        now = views.checkpoint.as_of
    assert now is not None
    collector = Counted(url)
    begun = process_time()
    counts = Exporter(data, collector, Rules().redelivery).run(now)
    spent = process_time() - begun
    collector.close()
    return counts.exported, collector.spans, spent


def row(data: Path, rounds: int) -> str:
    command = [sys.executable, "-c", TAKES]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as taker:
        assert taker.stdout is not None
        url = taker.stdout.readline().strip()
        sessions, spans, spent = min((measured(data, url) for _ in range(rounds)), key=lambda one: one[2])
        taker.communicate()
    each = 1000 * spent / sessions
    met = "yes" if each <= GOAL else "**no**"
    return f"| {sessions:,} | {spans:,} | {each:.2f} | ≤ {GOAL:g} | {met} | {peak():.0f} |"


def peak() -> float:
    """Megabytes that this process held at most. What ``resource`` says would be of the process that started it, too."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text("ascii"))
    assert found is not None
    return int(found[1]) / 1024


def alone(room: str, meetings: int, rounds: int) -> str:
    """The row, measured by a process that does nothing else, so that the memory is that of the export."""
    data = Path(room) / str(meetings)
    stored(data, meetings)
    command = [sys.executable, __file__, "--only", str(data), "--rounds", str(rounds)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meetings", type=int, default=2000, help="sessions of the log (2000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often; the best round counts (3)")
    parser.add_argument("--only", metavar="DIR", type=Path, help="measure this store, and print the row")
    parser.add_argument("--into", metavar="FILE", type=Path, help="write the table there too")
    options = parser.parse_args(arguments)
    if options.only:
        print(row(options.only, options.rounds))
        return 0
    head = ["| sessions | spans | CPU ms a session | goal | met | MB |", "|---:|---:|---:|---:|---|---:|"]
    sizes = options.meetings, 4 * options.meetings
    with tempfile.TemporaryDirectory() as room:
        written = [*head, *(alone(room, number, options.rounds) for number in sizes)]
    print(*written, sep="\n")
    if options.into:
        text = options.into.read_text("utf-8")
        table = "\n".join(written)
        options.into.write_text(MARKS.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
