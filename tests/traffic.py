"""``tracker serve`` as a process of its own, and signed traffic for it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from itertools import cycle
from threading import Thread
from urllib.parse import urlsplit

import attrs
import keys
from served import PATIENCE, Answer
from stores import arguments as of_store
from stores import opened
from waiting import BOUND, until

from projections.views.verify import verify
from tracker.rules import Rules
from tracker.simulate import simulate

SPEED = ("httptools", "uvloop")
"""What the extra ``speed`` brings."""


@attrs.define
class Served:
    """A running server: where it is, its process, and what it has said on stderr."""

    url: str
    process: subprocess.Popen
    printed: list[str] = attrs.field(factory=list)

    @property
    def address(self):
        parts = urlsplit(self.url)
        return parts.hostname, parts.port

    def ask(self, path, method="GET", body=None, **headers):
        with closing(HTTPConnection(*self.address, timeout=PATIENCE)) as connection:
            connection.request(
                method, path, body, {name.replace("_", "-"): text for name, text in headers.items()}
            )
            return read(connection.getresponse())

    def post(self, body, number=0, **headers):
        """The answer to a webhook, signed with the key of this number."""
        return self.ask("/webhooks", "POST", body, videosdk_signature=keys.sign(body, number), **headers)

    def exchange(self, *sent):
        """The answer to these bytes, as they stand; ``None`` where the connection breaks first."""
        with closing(socket.create_connection(self.address, timeout=PATIENCE)) as connection:
            with suppress(ConnectionError):
                for some in sent:
                    connection.sendall(some)
            response = HTTPResponse(connection)
            try:
                response.begin()
                return read(response)
            except (ConnectionError, EOFError):
                return None

    def everything(self, *sent):
        """All that is sent back for these bytes, until the server closes the connection."""
        with closing(socket.create_connection(self.address, timeout=PATIENCE)) as connection:
            for some in sent:
                connection.sendall(some)
            return connection.makefile("rb").read()

    def answered(self, path, **headers):
        """What ``ask`` gives, also where the read models take longer than a question waits for them."""
        return until(lambda: (answer := self.ask(path, **headers)).status != 503 and answer)

    def items(self, path):
        """What the API lists; nothing while the read models are being made."""
        answer = self.ask(path)
        return answer.json["items"] if answer.status == 200 else []

    def metric(self, name):
        """The value of one sample, named as it stands there."""
        lines = self.ask("/metrics").body.decode().splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))

    def has_printed(self, words):
        """Waits until it has said this on stderr."""
        until(lambda: any(words in line for line in self.printed))

    def stop(self, sent=signal.SIGTERM):
        """The exit code after a signal."""
        self.process.send_signal(sent)
        return self.process.wait(timeout=BOUND)


def read(response):
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, sys.path)), "PYTHONWARNINGS": "error"}


@contextmanager
def serving(data, *arguments, cwd=None, views=None, start_new_session=False, without=(), **more):
    """``tracker serve`` at a free port; it is killed at the end if it still runs.

    ``without`` are packages that it is to think are not installed.
    """
    absent = f"import sys; sys.modules.update(dict.fromkeys({without!r}))"
    command = [
        sys.executable,
        *(["-c", f"{absent}; from projections.cli import main; main()"] if without else ["-m", "projections"]),
        "serve",
        *of_store(data, views),
        "--port",
        "0",
        *arguments,
    ]
    process = subprocess.Popen(
        list(map(str, command)), cwd=cwd, env={**environment(), **more}, stderr=subprocess.PIPE, text=True,
        start_new_session=start_new_session,
    )  # fmt: skip
    printed = []
    for line in process.stderr:
        printed.append(line)
        if "serving at" in line:
            break
    else:
        raise RuntimeError("".join(printed))
    served = Served(printed[-1].split()[-1], process, printed)
    reader = Thread(target=lambda: printed.extend(process.stderr), daemon=True)
    reader.start()
    try:
        yield served
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        process.stderr.close()


def request(body, signature=None, path="/webhooks", head=()):
    """The bytes of a signed request."""
    signed = keys.sign(body) if signature is None else signature
    lines = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    lines += [f"videosdk-signature: {signed}", *head, "", ""]
    return "\r\n".join(lines).encode() + body


def bodies(meetings, seed=1):
    """What is sent in some made-up meetings."""
    return [line.received.body for line in simulate(meetings, seed, 0.3)]


def numbered(of, mark=""):
    """Signed requests for ever, as (body, request), no two of them with the same body."""
    for number, body in enumerate(cycle(of)):
        name = f"{mark}{number}"
        whole = (
            b'%s,"number":"%s"}' % (body[:-1], name.encode()) if body.endswith(b"}") else body + name.encode()
        )
        yield whole, request(whole)


@attrs.define
class Answers:
    """What was answered: bodies by the position they were stored at, how often which status, and all that was sent."""

    sent: set[bytes] = attrs.field(factory=set)
    stored: dict[int, bytes] = attrs.field(factory=dict)
    statuses: dict[int, int] = attrs.field(factory=dict)
    twice: int = 0

    def take(self, body, status, position):
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 204:
            self.twice += position in self.stored
            self.stored[position] = body


async def answer(reader):
    """Status and position of the next answer, whose body is read."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    await reader.readexactly(int(fields.get(b"content-length", 0)))
    return int(head.split(None, 2)[1]), int(fields.get(b"tracker-position", 0))


async def post(address, requests, answers, connections=64):
    """Posts (body, request) pairs over some connections until there are none left, or the server has gone."""
    requests = iter(requests)

    async def one():
        try:
            reader, writer = await asyncio.open_connection(*address)
        except OSError:
            return
        try:
            for body, wire in requests:
                answers.sent.add(body)
                writer.write(wire)
                answers.take(body, *await answer(reader))
        except (OSError, asyncio.IncompleteReadError):
            pass  # it was killed
        finally:
            writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))


def end_under_load(data, key, requests, seconds=0, sent=signal.SIGKILL, connections=64, enough=0):
    """Ends a server under load by a signal; gives what it had answered until then, and its exit code.

    The signal comes after some seconds, and not before ``enough`` webhooks were acknowledged.
    """

    async def load(served):
        answers = Answers()
        traffic = asyncio.create_task(post(served.address, requests, answers))
        await asyncio.sleep(seconds)
        async with asyncio.timeout(BOUND):
            while len(answers.stored) < enough:  # noqa: ASYNC110 - who counts them knows no events
                await asyncio.sleep(0.001)
        served.process.send_signal(sent)
        await traffic
        return answers, await asyncio.to_thread(served.process.wait, BOUND)

    with serving(data, "--key", key) as served:
        return asyncio.run(load(served))


def contradictions(data, before, answers):
    """What of the answers the store does not bear out, and what it contradicts of itself.

    Each body was sent once, so each that was acknowledged is there once, where it was said to be; of the others
    each may be there once, for the answer may have been lost on its way.
    """
    with closing(opened(data)) as store:
        found = {one.position: one.body for one in store.deliveries() if one.position > before}
        problems = [f"{one.place}: {one.text}" for one in verify(store, Rules()).problems]
    lost = [position for position, body in answers.stored.items() if found.get(position) != body]
    repeated = {body: times for body, times in Counter(found.values()).items() if times > 1}
    strange = set(found.values()) - answers.sent
    printed = {
        "positions were given twice": answers.twice,
        "acknowledged webhooks are not where they were said to be": len(lost),
        "webhooks were stored more than once": len(repeated),
        "were stored and not sent": len(strange),
    }
    return [f"{count} {words}" for words, count in printed.items() if count] + problems
