"""How many signed webhooks a second are received, beside the same server storing nothing and without groups.

    python tests/benchmarks/receiving.py [--seconds 5] [--rounds 5]

64 connections post signed webhooks to each server in turn, round after round; the medians are compared.
The load comes from the same machine, so only the ratios say something. What each server stored is counted: one that
does not do what it stands for ends the run with 1.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from time import monotonic

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


@contextmanager
def running(program, data, key):
    """The address of a server."""
    command = [sys.executable, "-c", program, "serve", "--data", data, "--port", "0", "--key", key]
    process = subprocess.Popen(list(map(str, command)), env=environment(), stderr=subprocess.PIPE, text=True)
    line = next(line for line in process.stderr if "serving at" in line)
    host, _, port = line.split()[-1].removeprefix("http://").partition(":")
    try:
        yield host, int(port.rstrip("/"))
    finally:
        process.kill()
        process.communicate()


def rate(name, place, key, requests, seconds):
    """Webhooks acknowledged in a second. Raises ``SystemExit`` where the server did not do what it stands for."""
    program, holds = SERVERS[name]
    data = Path(tempfile.mkdtemp(dir=place))
    with closing(Tracker.open(data, create=True)):
        pass
    answers = Answers()

    async def load(address):
        posting = asyncio.create_task(post(address, cycle(requests), answers))
        begun = monotonic()
        await asyncio.sleep(seconds)
        while answers.statuses.get(204, 0) < LEAST and not posting.done():  # noqa: ASYNC110 - the load has no event
            await asyncio.sleep(0.01)
        taken = answers.statuses.get(204, 0), monotonic() - begun
        posting.cancel()
        await asyncio.wait([posting])
        return taken

    with running(program, data, key) as address:
        counted, took = asyncio.run(load(address))
        commits = Served(f"http://{address[0]}:{address[1]}", None).metric("tracker_commit_batch_size_count")
    acknowledged = answers.statuses.get(204, 0)
    with closing(Tracker.open(data)) as store:
        stored = store.last_position()
    if not holds(stored, commits, acknowledged):
        sys.exit(
            f"{name}: {acknowledged} acknowledged, {stored} stored in {commits:g} commits: it is not what it says"
        )
    return counted / took


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    rates = {name: [] for name in SERVERS}
    with tempfile.TemporaryDirectory() as place:
        key = keys.write_public(Path(place) / "key.pem")
        requests = [(body, request(body)) for body in bodies(60)]
        for _ in range(given.rounds):
            for name in SERVERS:
                rates[name].append(rate(name, place, key, requests, given.seconds))
    ours = median(rates["as it is"])
    print("| server | webhooks/s | ours is | goal |\n| --- | ---: | ---: | --- |")
    for name, measured in rates.items():
        times = ours / median(measured) if median(measured) else float("nan")
        goal = f"{GOALS[name]} x: {'met' if times >= GOALS[name] else 'MISSED'}" if name in GOALS else ""
        print(f"| {name} | {median(measured):,.0f} | {times:.2f} x | {goal} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
