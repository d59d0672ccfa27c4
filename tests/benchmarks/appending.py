"""How many deliveries a second 1, 2 and 4 writers append to a PostgreSQL, and how far behind a reader is then.

    python tests/benchmarks/appending.py [--seconds 5] [--rounds 3]

A server is started for it, with fsync on. Each writer is a process that appends batches of ``--batch`` deliveries of
made-up meetings; one reader follows as ``tracker serve --role reader`` does, and its lag is looked at all the time.
All of it shares one machine, so only the ratios say something.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from time import monotonic, sleep

sys.path.insert(0, str(Path(__file__).parents[1]))

import stores
from stores import opened
from traffic import environment, serving

APPEND = """
import sys
from itertools import cycle
from time import monotonic
from stores import opened
from traffic import bodies
from tracker.envelope import Received
from tracker.receiver import SOURCE, Clock
from tracker.webhook import parse
data, batch, seconds, seed = sys.argv[1], *map(int, sys.argv[2:])
clock, given = Clock(), cycle(bodies(60, seed))
store, stored = opened(data), 0
print("ready", flush=True)
sys.stdin.readline()
end = monotonic() + seconds
while monotonic() < end:
    stored += len(store.receive([parse(Received(next(given), clock.now(), SOURCE)) for _ in range(batch)]))
print(stored)
"""


def rate(data, writers, batch, seconds, *, follow):
    """Deliveries appended in a second, and the lags of a reader meanwhile (deliveries)."""
    opened(data, create=True).close()
    lags = []
    with ExitStack() as stack:
        reader = (
            stack.enter_context(serving(data, "--role", "reader", views=data / "views")) if follow else None
        )
        command = [sys.executable, "-c", APPEND, data, batch, seconds]
        processes = [
            subprocess.Popen(
                list(map(str, [*command, seed])), env={**environment(), stores.ON_A_SERVER: os.environ[stores.ON_A_SERVER]},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            ) for seed in range(writers)
        ]  # fmt: skip
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        end = monotonic() + seconds
        while reader and monotonic() < end:
            lags.append(reader.metric("tracker_lag_deliveries"))
            sleep(0.1)
        stored = sum(int(process.communicate()[0]) for process in processes)
        with closing(opened(data)) as store:
            last = store.last_position()
        assert last == stored, (last, stored)
        begun = monotonic()
        while reader and reader.metric("tracker_lag_deliveries"):
            sleep(0.1)
        caught_up = monotonic() - begun if reader else 0.0
    return stored / seconds, lags, caught_up


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=500)
    given = parser.parse_args()
    print("| writers | deliveries/s | against one | with a reader | its median lag | caught up after |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    alone = {}
    with tempfile.TemporaryDirectory() as place, stores.server("fsync = on") as server:
        os.environ[stores.ON_A_SERVER] = server.url()
        for writers in (1, 2, 4):
            where = [Path(place) / f"{writers}-{number}" for number in range(2 * given.rounds)]
            measured = [
                rate(where.pop(), writers, given.batch, given.seconds, follow=follow)
                for _ in range(given.rounds) for follow in (False, True)
            ]  # fmt: skip
            alone[writers] = median(rate for rate, _, _ in measured[::2])
            followed = measured[1::2]
            lag = median(one for _, lags, _ in followed for one in lags)
            print(
                f"| {writers} | {alone[writers]:,.0f} | {alone[writers] / alone[1]:.2f} x "
                f"| {median(rate for rate, _, _ in followed):,.0f} | {lag:,.0f} deliveries "
                f"| {median(after for _, _, after in followed):.1f} s |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
