"""Kills the server under load, again and again, and looks whether it kept what it had acknowledged.

    python tests/benchmarks/killing.py --rounds 20 --seconds 60
    python tests/benchmarks/killing.py --fleet --rounds 2 --seconds 60

Each round lets 64 connections post signed webhooks, no two of them alike, and sends SIGKILL at a random moment of the time given.
All rounds go into one store. With --fleet four receivers share a PostgreSQL server, which is started for it;
every other second one of them is killed, and once the server is restarted; two readers follow, and have to end
with the rows of a rebuild and of the same log in a file. Exits 1 if anything that was answered with 204 is not
there exactly once, or anything else is there twice. What is killed are processes: the power stays on.
"""

import argparse
import os
import random
import sys
import tempfile
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import fleet
import keys
import stores
from traffic import bodies, contradictions, end_under_load, numbered

from tracker.store.application import Tracker


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fleet", action="store_true")
    given = parser.parse_args()
    return fleets(given) if given.fleet else alone(given)


def fleets(given):
    dice, wrong = random.Random(given.seed), []
    sent = bodies(60)
    with tempfile.TemporaryDirectory() as place, stores.server("fsync = on") as server:
        os.environ[stores.ON_A_SERVER] = server.url()
        key = keys.write_public(Path(place) / "key.pem")

        def restart():
            server.stop()
            server.start()

        for number in range(1, given.rounds + 1):
            data = Path(place) / str(number)
            ran = fleet.under_load(data, key, sent, given.seconds, dice, restart)
            found = ran.wrong + ([f"exit codes {ran.codes}"] if any(ran.codes) else [])
            print(
                f"{number:>3}  {ran.killed} killed  {ran.answers.statuses}  {found or 'all there'}", flush=True
            )
            wrong += found
    return 1 if wrong else 0


def alone(given):
    dice, wrong = random.Random(given.seed), []
    with tempfile.TemporaryDirectory() as place:
        data, key = Path(place) / "data", keys.write_public(Path(place) / "key.pem")
        requests = numbered(bodies(60))
        with closing(Tracker.open(data, create=True)):
            pass
        for number in range(1, given.rounds + 1):
            with closing(Tracker.open(data)) as store:
                before = store.last_position()
            moment = dice.uniform(0.3, given.seconds)
            answers, _ = end_under_load(data, key, requests, moment)
            found = contradictions(data, before, answers)
            print(
                f"{number:>3}  killed after {moment:5.1f} s  {answers.statuses}  {found or 'all there'}",
                flush=True,
            )
            wrong += found
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
