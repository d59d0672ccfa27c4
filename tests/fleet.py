"""Several receivers of one store under signed load, some of them killed, the database restarted, and what is left then."""

import asyncio
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from time import monotonic, sleep

import attrs
from meetings import rows
from stores import opened
from traffic import Answers, contradictions, numbered, post, serving
from waiting import until

from projections.exports import lines as export
from projections.views.database import VIEWS_DB
from projections.views.follow import Views
from projections.views.rebuild import rebuild
from tracker.intake.ingest import ingest
from tracker.intake.logs import Log
from tracker.rules import Rules
from tracker.store.application import Tracker

CONNECTIONS = 16
"""To each receiver."""


@attrs.define
class Receiver:
    """One receiver that is started again whenever it was killed, and those who post to it all the time."""

    data: object
    key: object
    requests: object
    answers: Answers
    over: Event
    pause: float = 0
    stack: ExitStack = attrs.field(factory=ExitStack)
    served: object = None
    thread: Thread = None

    def start(self):
        self.served = self.stack.enter_context(serving(self.data, "--role", "receiver", "--key", self.key))
        if self.thread is None:
            self.thread = Thread(target=self._load, daemon=True)
            self.thread.start()

    def kill(self):
        self.served.process.kill()
        self.stack.close()
        self.start()

    def stop(self):
        self.thread.join()
        until(lambda: self.served.ask("/healthz").status == 200)  # it may have been started just now
        code = self.served.stop()
        self.stack.close()
        return code

    def _load(self):
        while not self.over.is_set():
            asyncio.run(post(self.served.address, self._left(), self.answers, CONNECTIONS))
            sleep(0.05)  # it is being started again

    def _left(self):
        for one in self.requests:
            if self.over.is_set():
                return
            sleep(self.pause)
            yield one


@attrs.define
class Ran:
    """What came of it: all answers, how often a receiver was killed, the exit codes, and what contradicts them."""

    answers: Answers
    killed: int
    codes: list[int]
    wrong: list[str]


def under_load(data, key, sent, seconds, dice, restart, *, receivers=4, readers=2, every=(1, 3), pause=0):
    """Lets these bodies be ``sent`` to ``receivers``, numbered, for some seconds, kills one ``every`` so many, and calls ``restart`` once.

    On a slow machine it takes longer, until three were killed. With a ``pause`` of some seconds between two
    webhooks it is less of a load.

    ``data`` is a directory whose store is on a server; the readers' read models are in directories below it.
    """
    with closing(opened(data, create=True)) as store:
        before = store.last_position()
    all_answers, over, killed = [Answers() for _ in range(receivers)], Event(), 0
    with ExitStack() as stack:
        followers = [
            stack.enter_context(serving(data, "--role", "reader", views=data / f"reader-{number}"))
            for number in range(readers)
        ]
        fleet = [
            Receiver(data, key, numbered(sent, f"{number}-"), answers, over, pause)
            for number, answers in enumerate(all_answers)
        ]
        for one in fleet:
            one.start()
            stack.callback(one.stack.close)
        stack.callback(over.set)
        begun, restarted = monotonic(), False
        while monotonic() < begun + seconds or killed < 3:
            sleep(dice.uniform(*every))
            dice.choice(fleet).kill()
            killed += 1
            if not restarted and monotonic() > begun + seconds / 2:
                restart()
                restarted = True
        over.set()
        codes = [one.stop() for one in fleet]
        with closing(opened(data)) as store:
            last = store.last_position()
        for one in followers:
            one.answered(f"/api/sessions?wait={last}&limit=1")
        codes += [one.stop() for one in followers]
    answers = merged(all_answers)
    wrong = contradictions(data, before, answers)
    return Ran(answers, killed, codes, wrong + differences(data, readers))


def merged(all_answers):
    total = Answers()
    for one in all_answers:
        total.twice += one.twice + len(total.stored.keys() & one.stored.keys())
        total.sent |= one.sent
        total.stored.update(one.stored)
        for status, count in one.statuses.items():
            total.statuses[status] = total.statuses.get(status, 0) + count
    return total


def differences(data, readers):
    """Which read models are not those that a rebuild makes, and the same log in a file, all settled at one moment."""
    log, wrong = data / "exported.jsonl", []
    with closing(opened(data)) as store:
        log.write_bytes(b"".join(export.jsonl(store.deliveries())))
        moment = datetime.now(UTC) + timedelta(days=1)
        expected = rows(rebuild(store, path=data / "rebuilt.db", as_of=moment))
        for number in range(readers):
            path = data / f"reader-{number}" / VIEWS_DB
            with Views(path, Rules()) as views:
                views.catch_up(store)
                views.settle(store, moment)
            wrong += [f"reader {number} has other rows than a rebuild"] if rows(path) != expected else []
    with closing(Tracker.open(data / "file", create=True)) as store:
        for _ in ingest(store, Log(str(log))):
            pass
        other = rows(rebuild(store, path=data / "of-the-file.db", as_of=moment))
    return wrong + (["the same log in a file has other rows"] if other != expected else [])
