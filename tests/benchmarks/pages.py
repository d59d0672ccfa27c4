"""How long the first pages take with many sessions in the store, and how large they are.

    python tests/benchmarks/pages.py [--sessions 100000] [--rounds 9]

A simulated log is stored and judged; then the rows of the read models are copied, each time a day earlier, until there are
so many sessions. Each page is asked for by HTTP from a server on this machine, once to warm up and then in
turn with the others; the medians count. The goal is 100 ms and 100 kB for each. CPU time is what is
judged, of server and client together: on a machine that does other things as well, the clock says little.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parents[1]))

from meetings import read_into
from served import Served, served

from projections.views.rebuild import rebuild
from tracker.delivery.envelope import encode, parse_time
from tracker.simulate import simulate
from tracker.store.application import Tracker

PAGES = ("/", "/sessions", "/recordings", "/recordings?missing=true", "/findings", "/events")
MEETINGS = 500
"""Sessions that are simulated; the others are their copies."""
MOST_TIME, MOST_SIZE = 100, 100
"""Milliseconds and kilobytes."""
IDS = ("session_id", "meeting_id", "stream", "participant_id")
ORIGINAL = "session_id NOT GLOB '*~[0-9]*'"
"""Of a row that is no copy."""
PLACES = ("position", "first_position", "last_position")


def made(data: Path, sessions: int) -> datetime:
    """Makes a store whose read models have so many sessions; gives the newest receive time in it."""
    log = data.with_suffix(".jsonl")
    log.write_bytes(
        b"".join(encode(line.received) + b"\n" for line in simulate(min(MEETINGS, sessions), seed=1))
    )
    read_into(data, log)
    with closing(Tracker.open(data)) as store:
        views = rebuild(store)
    with closing(sqlite3.connect(views)) as db:
        copy_rows(db, sessions)
        (newest,) = db.execute("SELECT MAX(last_seen_at) FROM sessions").fetchone()
    found = parse_time(newest)
    assert found is not None
    return found


def copy_rows(db: sqlite3.Connection, sessions: int) -> None:
    """Copies the rows of all tables about sessions until there are so many of these."""
    (there,) = db.execute("SELECT COUNT(*) FROM sessions").fetchone()
    (step,) = db.execute("SELECT MAX(last_position) FROM sessions").fetchone()
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in names}
    for number in range(1, -(-sessions // there)):
        for name in names:
            if "session_id" in columns[name]:
                db.execute(_copy(name, columns[name], number, step))
    db.execute("ANALYZE")
    db.commit()


def _copy(table: str, columns: Iterable[str], number: int, step: int) -> str:
    changed = {name: f"{name} || '~{number}'" for name in IDS} | {
        name: f"{name} - {number * step}" for name in PLACES
    }
    earlier = "strftime('%Y-%m-%dT%H:%M:%f', {}, '-{} days') || '000Z'"
    changed |= {name: earlier.format(name, number) for name in columns if name == "at" or name.endswith("_at")}
    if table == "sessions":  # what was live a day before is not any more
        changed["state"] = "CASE state WHEN 'live' THEN 'presumed-ended' ELSE state END"
    select = ", ".join(changed.get(name, name) for name in columns)
    return f"INSERT OR IGNORE INTO {table} SELECT {select} FROM {table} WHERE {ORIGINAL}"


def measured(server: Served, rounds: int) -> Iterator[tuple[str, float, float, float]]:
    """Each page with its milliseconds of CPU time and by the clock, and its kilobytes."""
    took: dict[str, list[tuple[float, float]]] = {path: [] for path in PAGES}
    sizes = {path: len(_page(server, path)) / 1000 for path in PAGES}
    for _ in range(rounds):
        for path in PAGES:
            cpu, wall = process_time(), perf_counter()
            _page(server, path)
            took[path].append((1000 * (process_time() - cpu), 1000 * (perf_counter() - wall)))
    for path in PAGES:
        cpus, walls = zip(*took[path], strict=True)
        yield path, median(cpus), median(walls), sizes[path]


def _page(server: Served, path: str) -> bytes:
    answer = server.ask(path)
    assert answer.status == 200, (path, answer.status)
    body: bytes = answer.body
    return body


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=100_000, help="how many there are (100000)")
    parser.add_argument("--rounds", type=int, default=9, help="how often each page is asked for (9)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as room:
        data = Path(room) / "data"
        newest = made(data, options.sessions)
        with served(data, now=newest + timedelta(minutes=1)) as server:
            number = len(server.get("/api/sessions?limit=1000")["items"])
            print(f"{options.sessions:,} sessions ({number:,} on the first page of the API)", "", sep="\n")
            print("| page | CPU ms | wall ms | kB | goal met |", "|---|---|---|---|---|", sep="\n")
            for path, cpu, wall, size in measured(server, options.rounds):
                met = "yes" if cpu <= MOST_TIME and size <= MOST_SIZE else "**no**"
                print(f"| `{path}` | {cpu:.0f} | {wall:.0f} | {size:.0f} | {met} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
