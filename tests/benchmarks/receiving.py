"""How many signed webhooks a second are received, beside the same server storing nothing and without groups.

    python tests/benchmarks/receiving.py [--seconds 5] [--rounds 5] [--meetings 1200]

64 connections post signed webhooks to each server in turn, round after round; the medians are compared.
The load comes from the same machine, so only the ratios say something. No webhook is posted twice to a server: one that
follows would judge ever more copies. What each server stored is counted: one that does not do what it stands for ends
the run with 1. On Linux the CPU is printed that a webhook takes, received and stored, and then followed.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from time import monotonic, sleep

sys.path.insert(0, str(Path(__file__).parents[1]))

import keys
from traffic import Answers, Served, bodies, environment, post, request

from tracker.store.application import Tracker

RUN = "from projections.cli import main; main()"
NOTHING = """
from itertools import count
from tracker.store.application import Tracker
positions = count(1)
Tracker.receive = lambda self, deliveries: [next(positions) for _ in deliveries]
"""
ONE = "import tracker.intake.receiver; tracker.intake.receiver.BATCH = 1\n"


def all_of_them(stored, commits, acknowledged):
    return stored >= acknowledged > 0


def none(stored, commits, acknowledged):
    return stored == 0 < acknowledged


def one_by_one(stored, commits, acknowledged):
    return stored >= acknowledged > 0 and commits >= acknowledged


SERVERS = {
    "as it is": (RUN, all_of_them),
    "storing nothing": (NOTHING + RUN, none),
    "one commit a request": (ONE + RUN, one_by_one),
}
"""Each with what must be true of the numbers it leaves, or it is not what it says."""
LEAST = 200
"""Webhooks that are acknowledged at least, however long that takes."""
GOALS = {"storing nothing": 0.8, "one commit a request": 3.0}
"""What the rate should be, as a multiple of the other one's."""


def cpu(pid):
    """The CPU seconds of a process, and those of its children; nothing where the system does not tell."""
    task = Path(f"/proc/{pid}/task/{pid}/children")
    if not task.exists():
        return None
    children = {one for path in task.parents[1].glob("*/children") for one in path.read_text().split()}
    own, *others = (
        Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[11:13] for one in (pid, *children)
    )
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(map(int, own)) / ticks, sum(int(some) for one in others for some in one) / ticks


def each(before, after, webhooks):
    """Microseconds of CPU that a webhook takes, for receiving and for following."""
    return tuple(1e6 * (end - begin) / webhooks for begin, end in zip(before, after, strict=True))


@contextmanager
def running(program, data, key):
    """The address of a server, and its process."""
    command = [sys.executable, "-c", program, "serve", "--data", data, "--port", "0", "--key", key]
    process = subprocess.Popen(list(map(str, command)), env=environment(), stderr=subprocess.PIPE, text=True)
    line = next(line for line in process.stderr if "serving at" in line)
    host, _, port = line.split()[-1].removeprefix("http://").partition(":")
    try:
        yield (host, int(port.rstrip("/"))), process
    finally:
        process.kill()
        process.communicate()


def rate(name, place, key, requests, seconds):
    """Webhooks acknowledged in a second, and the CPU of each. Raises ``SystemExit`` where the server did not do what it stands for."""
    program, holds = SERVERS[name]
    data = Path(tempfile.mkdtemp(dir=place))
    with closing(Tracker.open(data, create=True)):
        pass
    answers = Answers()

    async def load(address):
        posting = asyncio.create_task(post(address, requests, answers))
        begun = monotonic()
        await asyncio.wait([posting], timeout=seconds)
        while answers.statuses.get(204, 0) < LEAST and not posting.done():  # noqa: ASYNC110 - the load has no event
            await asyncio.sleep(0.01)
        taken = answers.statuses.get(204, 0), monotonic() - begun
        posting.cancel()
        await asyncio.wait([posting])
        return taken

    with running(program, data, key) as (address, process):
        served = Served(f"http://{address[0]}:{address[1]}", process)
        while served.ask("/readyz").status != 200:
            sleep(0.05)
        before = cpu(process.pid)
        counted, took = asyncio.run(load(address))
        received = cpu(process.pid)
        commits = served.metric("tracker_commit_batch_size_count")
        while served.metric("tracker_lag_deliveries") > 0:
            sleep(0.2)
        followed = cpu(process.pid)
    acknowledged = answers.statuses.get(204, 0)
    with closing(Tracker.open(data)) as store:
        stored = store.last_position()
    if not holds(stored, commits, acknowledged):
        sys.exit(
            f"{name}: {acknowledged} acknowledged, {stored} stored in {commits:g} commits: it is not what it says"
        )
    spent = each(before, (received[0], followed[1]), acknowledged) if before else None
    return counted / took, spent


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--meetings", type=int, default=1200)
    given = parser.parse_args(arguments)
    runs = {name: [] for name in SERVERS}
    with tempfile.TemporaryDirectory() as place:
        key = keys.write_public(Path(place) / "key.pem")
        requests = [(body, request(body)) for body in bodies(given.meetings)]
        for _ in range(given.rounds):
            for name in SERVERS:
                runs[name].append(rate(name, place, key, requests, given.seconds))
    ours = median(found for found, _ in runs["as it is"])
    print("| server | webhooks/s | ours is | goal | µs to receive | µs to follow |")
    print("| --- | ---: | ---: | --- | ---: | ---: |")
    for name, measured in runs.items():
        theirs = median(found for found, _ in measured)
        times = ours / theirs if theirs else float("nan")
        goal = f"{GOALS[name]} x: {'met' if times >= GOALS[name] else 'MISSED'}" if name in GOALS else ""
        spent = [median(one) for one in zip(*(spent for _, spent in measured if spent), strict=True)] or [
            "",
            "",
        ]
        printed = " | ".join(f"{one:,.0f}" if one else "" for one in spent)
        print(f"| {name} | {theirs:,.0f} | {times:.2f} x | {goal} | {printed} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
