"""How many deliveries a second 1, 2 and 4 writers append to a PostgreSQL, and how far behind a reader is then.

    python tests/benchmarks/appending.py [--seconds 5] [--rounds 3]

A server is started for it, with fsync on. Each writer is a process that appends batches of ``--batch`` deliveries of
made-up meetings as fast as it can. Then they append ``--pace`` a second, all together, while a ``tracker serve --role
reader`` follows, whose lag is looked at all the time. All of it shares one machine, so only the ratios say something.
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
from time import monotonic, sleep
from stores import opened
from traffic import bodies
from tracker.delivery.envelope import Received
from tracker.intake.receiver import SOURCE, Clock
from tracker.delivery.webhook import parse
data, batch, seconds, pause, seed = sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:5]), int(sys.argv[5])
clock, given = Clock(), cycle(bodies(60, seed))
store, stored = opened(data), 0
print("ready", flush=True)
sys.stdin.readline()
begun = monotonic()
while (now := monotonic()) < begun + seconds:
    sleep(max(0, begun + stored / batch * pause - now))
    stored += len(store.receive([parse(Received(next(given), clock.now(), SOURCE)) for _ in range(batch)]))
print(stored)
"""


def rate(data, writers, batch, seconds, pause=0):
    """Deliveries appended in a second, and the lags of a reader meanwhile, where there is a pause after each batch."""
    opened(data, create=True).close()
    lags = []
    with ExitStack() as stack:
        reader = stack.enter_context(serving(data, "--role", "reader", views=data / "views")) if pause else None
        command = [sys.executable, "-c", APPEND, data, batch, seconds, pause]
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
    return stored / seconds, lags


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pace", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=500)
    given = parser.parse_args()
    print("| writers | deliveries/s | against one | at a pace of | lag of a reader, median | worst |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    first = 0.0
    with tempfile.TemporaryDirectory() as place, stores.server("fsync = on") as server:
        os.environ[stores.ON_A_SERVER] = server.url()
        for writers in (1, 2, 4):
            where = [Path(place) / f"{writers}-{number}" for number in range(given.rounds + 1)]
            found = median(rate(one, writers, given.batch, given.seconds)[0] for one in where[1:])
            first = first or found
            few = max(1, given.pace // (20 * writers))
            paced, lags = rate(where[0], writers, few, given.seconds, few * writers / given.pace)
            print(
                f"| {writers} | {found:,.0f} | {found / first:.2f} x | {paced:,.0f}/s "
                f"| {1000 * median(lags) / paced:,.0f} ms | {1000 * max(lags) / paced:,.0f} ms |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
