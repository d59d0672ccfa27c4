"""How long it takes to look at a very large session while it is live, and to follow it.

    python tests/benchmarks/large.py [--deliveries 10000] [--rounds 9]

One session is stored of which so many webhooks came, nearly all of them of people who joined and left. A server on this
machine is asked for it by HTTP, for each thing in turn, and then a further webhook is posted. What counts is CPU time, of the
server, the follower and the client together; the collector comes as seldom as it does in `tracker serve`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time

sys.path.insert(0, str(Path(__file__).parents[1]))

import attrs
from meetings import MORNING, deliveries, line, webhook
from served import Served, served

from projections.views.follow import Views
from tracker.bulk import bulk
from tracker.store.application import Tracker

DELIVERIES = 10_000
STAY = 600
"""Seconds for which somebody stays; one joins each second, and every two hundredth does not leave."""
SESSION = {"meetingId": "hall", "sessionId": "large"}
STATE, TIMELINE = "its state, as the API has it", "a page of its timeline"
PATHS = {
    STATE: "/api/sessions/large",
    TIMELINE: "/api/sessions/large/timeline?cursor={middle}",
    "one delivery of it": "/api/events/{middle}",
    "its page": "/sessions/large",
}
FURTHER = "each further webhook: receiving, storing and following it"


@attrs.frozen
class Look:
    """What was asked for: its median of CPU in milliseconds, and the kilobytes of the answer (0: none)."""

    what: str
    cpu: float
    size: float = 0


def lines(number: int) -> list[bytes]:
    """The log of the session: so many webhooks, or one or two more."""
    said: list[tuple[int, str, dict[str, str]]] = [(0, "session-started", {})]
    said += [(30 + 6 * n, f"recording-{step}", {}) for n, step in enumerate(("starting", "started"))]
    person = 0
    while len(said) < number:
        whose = {"participantId": f"p{person}", "participantName": f"Person {person}"}
        said.append((60 + person, "participant-joined", whose))
        if person % 200:
            said.append((60 + person + STAY, "participant-left", whose))
        person += 1
    return [
        line(webhook(kind, **SESSION, **more), at) for at, kind, more in sorted(said, key=lambda one: one[0])
    ]


def measured(rounds: int, number: int = DELIVERIES) -> Iterator[Look]:
    """Each thing that somebody may ask of the session, then what a further webhook takes."""
    came = lines(number)
    with tempfile.TemporaryDirectory() as room, bulk():
        with closing(Tracker.open(Path(room), create=True)) as store:
            store.append(deliveries(came))
            Views.open(store).close()
        now = MORNING + timedelta(seconds=60 + len(came) + STAY)
        with served(Path(room), now=now) as server:
            yield from _looks(server, rounds, len(came) // 2)
            spent = [_took(partial(_post, server, f"late-{n}")) for n in range(rounds)]
            yield Look(FURTHER, median(spent))


def _looks(server: Served, rounds: int, middle: int) -> Iterator[Look]:
    paths = {what: path.format(middle=middle) for what, path in PATHS.items()}
    sizes = {what: len(_body(server, path)) / 1000 for what, path in paths.items()}
    spent: dict[str, list[float]] = {what: [] for what in paths}
    for _ in range(rounds):
        for what, path in paths.items():
            spent[what].append(_took(lambda path=path: _body(server, path)))
    yield from (Look(what, median(spent[what]), sizes[what]) for what in paths)


def _body(server: Served, path: str) -> bytes:
    answer = server.ask(path)
    assert answer.status == 200, (path, answer.status)
    body: bytes = answer.body
    return body


def _post(server: Served, person: str) -> None:
    server.post("participant-joined", **SESSION, participantId=person)
    server.caught_up()


def _took(work: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    begin = process_time()
    work()
    return 1000 * (process_time() - begin)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=DELIVERIES, help="how many came (10000)")
    parser.add_argument("--rounds", type=int, default=9, help="how often everything is asked for (9)")
    options = parser.parse_args(arguments)
    print("| | CPU ms | kB |", "|---|---:|---:|", sep="\n")
    for one in measured(options.rounds, options.deliveries):
        print(f"| {one.what} | {one.cpu:.3g} | {f'{one.size:,.0f}' if one.size else ''} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
