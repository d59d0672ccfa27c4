"""NATS and Redis servers that the tests start themselves, and a stream in each to be consumed."""

import asyncio
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager, suppress

import attrs
import ports
import pytest
from waiting import until

REQUIRED = "TRACKER_TESTS_NEED_BROKERS"
"""The variable that CI sets: there, what cannot be tried has failed."""
KINDS = ("nats", "redis")


@attrs.define
class Hooks:
    """A stream named ``hooks`` on a server of its own."""

    kind: str
    port: int

    @property
    def address(self):
        return f"{self.kind}://127.0.0.1:{self.port}/hooks"

    def publish(self, bodies, **fields):
        """Publishes messages; ``fields`` are headers of NATS, or beside the body in an entry of Redis."""
        if self.kind == "nats":
            self._nats(lambda js: _publish(js, bodies, fields))
        else:
            with self.redis() as client, client.pipeline() as pipe:
                for body in bodies:
                    pipe.xadd("hooks", {"body": body, **fields})
                pipe.execute()

    def remove(self, kept):
        """Removes all but the last messages."""
        if self.kind == "nats":
            self._nats(lambda js: js.purge_stream("hooks", keep=kept))
        else:
            with self.redis() as client:
                client.xtrim("hooks", maxlen=kept, approximate=False)

    def made(self):
        """Makes the stream anew."""
        if self.kind == "nats":
            self._nats(_made)
        else:
            with self.redis() as client:
                client.flushall()
                client.xgroup_create("hooks", "nobody", mkstream=True)
        return self

    @contextmanager
    def redis(self):
        import redis

        with redis.Redis(port=self.port) as client:
            yield client

    def _nats(self, work):
        import nats

        async def run():
            connection = await nats.connect(f"nats://127.0.0.1:{self.port}")
            try:
                return await work(connection.jetstream())
            finally:
                await connection.close()

        return asyncio.run(run())


async def _publish(js, bodies, headers):
    for body in bodies:
        await js.publish_async("hooks.x", body, headers=headers or None)
    await js.publish_async_completed()


async def _made(js):
    from nats.js.errors import NotFoundError

    with suppress(NotFoundError):
        await js.delete_stream("hooks")
    await js.add_stream(name="hooks", subjects=["hooks.>"])


@contextmanager
def broker(kind, home, *more):
    """A server on a free port, with more options."""
    program = f"{kind}-server"
    if shutil.which(program) is None:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    port = ports.free()
    home.mkdir(parents=True, exist_ok=True)
    options = {
        "nats": ["-js", "-a", "127.0.0.1", "-sd", home],
        "redis": ["--bind", "127.0.0.1", "--dir", home, "--save", ""],
    }
    command = [program, *options[kind], "-p" if kind == "nats" else "--port", port, *more]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: _listens(port))
            yield Hooks(kind, port)
        finally:
            server.kill()


def _listens(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
