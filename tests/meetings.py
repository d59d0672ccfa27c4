"""Logs of made-up meetings, the same for the same seed, and what tests of storing them share."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

from stores import opened
from waiting import BOUND

from tracker.delivery import envelope
from tracker.delivery.webhook import parse
from tracker.intake.ingest import ingest
from tracker.intake.logs import Log

MORNING = datetime(2026, 3, 2, 9, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""A clock that stands before every log: a store is then judged as of its newest receive time."""


def webhook(kind, **data):
    """The body of a webhook."""
    return json.dumps({"webhookType": kind, "data": data}, separators=(",", ":")).encode()


def line(body, seconds=None, account=None):
    """A log's line around a body, received so many seconds after the morning began, for an account."""
    at = None if seconds is None else MORNING + timedelta(seconds=seconds)
    return envelope.encode(envelope.Received(body, at, account=account))


def lines(seed=0, sessions=3):
    """The lines of a log in which sessions overlap and some deliveries go wrong."""
    dice = random.Random(seed)
    arrived = [entry for number in range(sessions) for entry in _session(dice, f"s{seed}-{number}", number)]
    arrived += _machine(dice, f"m{seed}")
    arrived += [(dice.uniform(0, 9000), b'{"webhookType": broken'), (dice.uniform(0, 9000), b"not json")]
    arrived.sort(key=lambda entry: entry[0])
    for _ in range(len(arrived) // 10):
        place = dice.randrange(len(arrived) - 1)
        arrived[place : place + 2] = reversed(arrived[place : place + 2])
    return [line(body, None if dice.random() < 0.05 else round(at, 1)) for at, body in arrived]


def _session(dice, session, number):
    """When (in seconds) and what comes of one session, redeliveries and losses included."""
    begin = number * 400.0 + dice.uniform(0, 300)
    end = begin + dice.choice([300, 1800, 4000])
    one = {"meetingId": f"meeting-{number % 2}", "sessionId": session}
    said = [(begin, "session-started", {"start": (MORNING + timedelta(seconds=begin)).isoformat()})]
    for person in ("ada", "bo", "cy")[: dice.randrange(1, 4)]:
        whose = {"participantId": person, "participantName": person.title()}
        came = begin + dice.uniform(0, 60)
        said += [(came, "participant-joined", whose), (end - dice.uniform(0, 100), "participant-left", whose)]
        if dice.random() < 0.4:
            said += [(came + 100, "participant-left", whose), (came + 150, "participant-joined", whose)]
    for family in dice.sample(["recording", "hls", "transcription"], 2):
        at = begin + 70
        for step in ("starting", "started", "stopping", "stopped"):
            files = {"fileUrl": f"https://files/{session}.mp4"} if step == "stopped" else {}
            said.append((at, f"{family}-{step}", files))
            at += dice.choice([3, 40, 700])
    said.append((begin + 90, dice.choice(["chat-opened", "recording-strated"]), {}))
    said.append((end, "session-ended", {"end": (MORNING + timedelta(seconds=end)).isoformat()}))
    for at, kind, data in said:
        if dice.random() < 0.93:
            yield at, webhook(kind, **one, **data)
        if dice.random() < 0.1:
            yield at + dice.choice([0.5, 60, 3000]), webhook(kind, **one, **data)


def _machine(dice, name):
    at = dice.uniform(0, 5000)
    steps = ("acquired", "released", "acquired", "acquired", "released")
    for step in steps[: dice.randrange(2, 6)]:
        yield at, webhook(f"resource-{step}", id=name, type="recording")
        at += dice.choice([5, 30, 1500])


def write(path, given):
    """A log of these lines; returns its path."""
    path.write_bytes(b"".join(one + b"\n" for one in given))
    return path


def deliveries(given):
    """What the lines deliver."""
    return [parse(envelope.decode(one), number) for number, one in enumerate(given, 1)]


def read_into(data, path):
    """Ingests a log into the store of a data directory; returns the account."""
    with closing(opened(data, create=True)) as tracker:
        *_, account = ingest(tracker, Log(str(path)))
    return account


def stored(data):
    """The bodies in the store, in order."""
    with closing(opened(data)) as tracker:
        return [delivery.body for delivery in tracker.deliveries()]


def bodies(given):
    """The bodies in these lines."""
    return [envelope.decode(one).body for one in given]


def rows(path):
    """Every row of every table of an SQLite file."""
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table: sorted(db.execute(f"SELECT * FROM {table}"), key=repr) for table in sorted(tables)}


def start(program, *arguments):
    """Another process that runs a program, which waits until ``go`` has been called."""
    waiting = "import sys; print('ready', flush=True); sys.stdin.readline()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", program.replace("#go\n", waiting), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout.readline() == "ready\n", process.communicate()[0]
    return process


def go(*processes):
    """Lets processes run, all at once."""
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def telling(program, stored):
    """The program of a reader that tells how much it has stored, and waits for a line behind each commit."""
    return program.replace(
        "pass", f"stored = {stored}; print(stored, flush=True); stored and sys.stdin.readline()"
    )


def kill_somewhere(process, dice):
    """Lets a process run that tells of each commit, and kills it after some of them, at the latest after five more."""
    commits = dice.randrange(25)
    go(process, *[process] * (commits + 5))
    while commits and (printed := process.stdout.readline()):
        commits -= printed != "0\n"
    time.sleep(dice.uniform(0, 0.01))
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def finish(*processes):
    """Waits for processes; returns what they said, each ``""`` where all went well."""
    return [process.communicate(timeout=BOUND)[0] for process in processes]
