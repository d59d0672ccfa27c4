"""How many side effects are right: of a handler that acts on each webhook, on each new body, and on what is relayed.

    python tests/benchmarks/relay.py [--meetings 1000] [--seed 1] [--into examples/reference/operating.md]

Logs are simulated in which no session, one in twenty and three in ten have a fault. They are received as they came, in steps of
half a minute, and judged; after each step the relay sweeps and what it sends is taken. A side effect is what a handler does when a
run begins, on the webhook with which it does, and when it ends, with its state: for each session, visit, recording and whatever else ran there should be both, once.
Those that happened and should have are compared with those that happened or should have; what was withdrawn did not happen.
``--into`` writes the table between the marks that a Markdown file has for it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import msgspec

from projections.relay.database import queue_of
from projections.relay.sweep import sweep
from projections.views.follow import Views
from tracker.delivery.webhook import Delivery, parse
from tracker.lifecycles import REGISTRY
from tracker.relay import Relay
from tracker.simulate import Line, Truth, simulate
from tracker.store.application import Tracker

SHARES = (0.0, 0.05, 0.3)
STEP = timedelta(seconds=30)
AFTERWARDS = (timedelta(hours=1),) * 49
"""How time goes on behind the log: by then all is settled."""
RELAY = Relay("app", "https://app.example.org")
BEGUN = "started", "joined"
"""The last parts of the messages that say that a run has begun."""
MARKS = re.compile(r"(<!-- relay: .*? -->\n).*?(<!-- /relay -->)", re.DOTALL)

Effect = tuple[str, str, tuple[Any, ...], str]
"""Session, lifecycle, key, and what is done: ``begin``, or the state in which it ended."""


def over(state: str) -> str:
    """A session that is presumed to have ended is over as one that has."""
    return {"presumed-ended": "ended", "in": "out"}.get(state, state)


def wanted(truths: Iterable[Truth]) -> Counter[Effect]:
    """What should happen."""
    effects: Counter[Effect] = Counter()
    for truth in truths:
        ends = [("session", (), over(truth.state))]
        for person in truth.participants:
            ends += [
                ("participant", (("participant_id", person.participant_id),), "out") for _ in person.visits
            ]
        ends += [(one.lifecycle, one.key, run.state) for one in truth.aggregates for run in one.runs]
        for lifecycle, key, state in ends:
            effects[truth.session_id, lifecycle, key, "begin"] += 1
            effects[truth.session_id, lifecycle, key, state] += 1
    return effects


def acted_on(deliveries: Iterable[Delivery]) -> Counter[Effect]:
    """What a handler does that acts on each of these webhooks."""
    effects: Counter[Effect] = Counter()
    for one in deliveries:
        if one.lifecycle is None or one.session_id is None or one.step is None:
            continue
        step = one.step
        if step.name in one.lifecycle.starts:
            effects[one.session_id, one.lifecycle.name, one.key, "begin"] += 1
        if step.closes:
            effects[one.session_id, one.lifecycle.name, one.key, step.state] += 1
    return effects


@attrs.define
class Handler:
    """Takes what is relayed."""

    effects: Counter[Effect] = attrs.field(factory=Counter)
    by_id: dict[str, Effect] = attrs.field(factory=dict)
    withdrawn: int = 0

    def take(self, id: str, message: dict[str, Any]) -> None:
        data = message["data"]
        what = message["type"].rpartition(".")[2]
        if what == "withdrawn":
            self.withdrawn += 1
            if (effect := self.by_id.get(data["withdraws"]["id"])) is not None:
                self.effects[effect] -= 1
        elif what != "file" and "session_id" in data:
            lifecycle = REGISTRY[data["lifecycle"]]
            fields = (*lifecycle.key, *lifecycle.optional_key)
            key = tuple((name, data[name]) for name in fields if data.get(name) is not None)
            done = "begin" if what in BEGUN else over(data["state"])
            effect = (data["stream"], lifecycle.name, key, done)
            self.by_id[id] = effect
            self.effects[effect] += 1


def relayed(lines: list[Line], data: Path) -> Handler:
    """What the handler did that gets what is relayed."""
    handler, clock = Handler(), lines[0].received.received_at
    assert clock is not None
    with closing(Tracker.open(data, create=True)) as store, Views.open(store, now=lambda: clock) as views:
        sweep(data, [RELAY], clock, store.pruned_among)
        for step in _steps(lines):
            store.append([parse(line.received) for line in step])
            clock = step[-1].received.received_at
            assert clock is not None
            views.catch_up(store)
            _pass(views, store, data, clock, handler)
        for time in AFTERWARDS:
            clock += time
            _pass(views, store, data, clock, handler)
    return handler


def _pass(views: Views, store: Tracker, data: Path, clock: datetime, handler: Handler) -> None:
    views.bring_to(store, clock)
    sweep(data, [RELAY], clock, store.pruned_among)
    with queue_of(data).file.to_write() as connection:
        for id, body in connection.execute("SELECT id, body FROM outbox ORDER BY number").fetchall():
            handler.take(id, msgspec.json.decode(body))
        connection.execute("DELETE FROM outbox")


def _steps(lines: list[Line]) -> Iterator[list[Line]]:
    """What comes within half a minute."""
    step: list[Line] = []
    for line in lines:
        if step and line.received.received_at - step[0].received.received_at > STEP:
            yield step
            step = []
        step.append(line)
    yield step


def share(effects: Counter[Effect], right: Counter[Effect]) -> float:
    both, either = effects & right, effects | right
    return both.total() / either.total()


def rows(meetings: int, seed: int) -> Iterator[str]:
    for faults in SHARES:
        lines = list(simulate(meetings, seed, faults))
        right = wanted(line.truth for line in lines if line.last and line.truth is not None)
        deliveries = [parse(line.received) for line in lines]
        new = {one.received.body: one for one in reversed(deliveries)}
        with tempfile.TemporaryDirectory() as room:
            handler = relayed(lines, Path(room))
        shares = [share(one, right) for one in (acted_on(deliveries), acted_on(new.values()), +handler.effects)]
        cells = " | ".join(f"{100 * one:.2f} %" for one in shares)
        yield f"| {faults:.0%} | {right.total():,} | {cells} | {handler.withdrawn} |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meetings", type=int, default=1000, help="sessions of each log (1000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", metavar="FILE", type=Path, help="write the table there too")
    options = parser.parse_args(arguments)
    names = "sessions with a fault", "side effects", "each webhook", "each new body", "relayed", "withdrawn"
    written = [f"| {' | '.join(names)} |", "|---:|---:|---:|---:|---:|---:|"]
    print(*written, sep="\n", flush=True)
    for row in rows(options.meetings, options.seed):
        print(row, flush=True)
        written.append(row)
    if options.into:
        table, page = "\n".join(written), options.into.read_text("utf-8")
        options.into.write_text(MARKS.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
