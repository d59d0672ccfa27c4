"""A server that plays VideoSDK's REST API: records of made-up meetings, with named differences, faults and quirks.

What a real one was seen to do is a quirk here: three shapes of a page, a list by a name of its own, 402 for what is not
there, a record without ``webhook``, an ``end`` that is null though the session is over.
"""

import base64
import hmac
import json
import time
from contextlib import closing, contextmanager
from datetime import datetime
from random import Random

import attrs
from served import listening, port_of
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tracker.intake.vendor import Credentials, Videosdk
from tracker.simulate.vendor import PATHS

KEY = Credentials("key-of-a-test", "secret-of-a-test")
OWN_NAMES = {PATHS["transcription"]: "transcriptions", PATHS["merge-recording"]: "recordings"}


class Answer(JSONResponse):
    """Half a character, which no UTF-8 can hold, is escaped, as JavaScript does it."""

    def render(self, content):
        return json.dumps(content).encode()


@attrs.define
class Vendor:
    """The server, and how it behaves.

    ``shape`` is that of a page: ``pageInfo``, ``pagination``, ``totalPages`` or ``bare``. Each ``nth`` request is refused
    with 429, with and without ``Retry-After`` in turn; ``broken`` is the share of those answered with 502. The token of
    the request with the number ``expires`` has expired. ``alone`` is how one record is answered: ``bare``, as an ``object`` in
    ``data``, or there in a ``list``. ``grow`` gives records that come while a list is read.
    """

    lists: dict
    rooms: dict = attrs.field(factory=dict)
    shape: str = "pageInfo"
    alone: str = "bare"
    missing: int = 404
    nth: int = 0
    broken: float = 0
    expires: int = 0
    grow: list = attrs.field(factory=list)
    per_page: int = 20
    port: int = 0
    asked: list = attrs.field(factory=list)
    dice: Random = attrs.field(factory=lambda: Random(1))

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, per_minute=1_000_000):
        """A client whose clock passes by what it sleeps."""
        clock = Clock()
        return closing(Videosdk.at(self.base, KEY, per_minute, clock.now, clock.sleep))

    async def __call__(self, request):
        self.asked.append((request.url.path, dict(request.query_params)))
        number, token = len(self.asked), request.headers.get("authorization", "")
        if number == self.expires or not is_token(token):
            return Response(status_code=401)
        if self.nth and number % self.nth == 0:
            headers = {"retry-after": "1"} if number % (2 * self.nth) else {}
            return Response(status_code=429, headers=headers)
        if self.dice.random() < self.broken:
            return Response(status_code=502)
        return self.answer(request.url.path, request.query_params)

    def answer(self, path, asked):
        if path in self.lists:
            return Answer(self.page(path, asked))
        above, _, name = path.rpartition("/")
        if above == "/v2/rooms" and name in self.rooms:
            return Answer(self.rooms[name])
        found = [one for one in self.lists.get(above, ()) if one["id"] == name]
        if not found:
            return Response(status_code=self.missing)
        return Answer({"bare": found[0], "object": {"data": found[0]}, "list": {"data": found}}[self.alone])

    def page(self, path, asked):
        """A page of a list, the newest records first."""
        number, size = int(asked.get("page", 1)), self.per_page
        if self.grow and number > 1:
            self.lists[path].append(self.grow.pop())
        wanted, since = asked.get("sessionId"), int(asked.get("startDate", 0)) / 1000
        every = [one for one in self.lists[path] if wanted in (None, session_of(one))]
        every = [one for one in every if datetime.fromisoformat(one["start"]).timestamp() >= since]
        every = sorted(every, key=lambda one: one["start"], reverse=True)
        some = every[(number - 1) * size : number * size]
        if self.shape == "bare":
            return some
        last = -(-len(every) // size)
        info = {"currentPage": number, "perPage": size, "lastPage": last, "total": len(every)}
        if self.shape == "totalPages":
            info = {"page": number, "totalPages": last}
        name = "pagination" if self.shape == "pagination" else "pageInfo"
        return {name: info, OWN_NAMES.get(path, "data"): some}


def session_of(record):
    own = record.get("extension", {}).get("extensionConfig", record)
    return own.get("sessionId")


def is_token(token):
    """Whether a JWT is signed with the secret, is good now, and stands bare."""
    signed, _, signature = token.rpartition(".")
    expected = hmac.digest(KEY.secret.encode(), signed.encode(), "sha256")
    if signature != base64.urlsafe_b64encode(expected).rstrip(b"=").decode():
        return False
    said = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
    return said["apikey"] == KEY.key and said["version"] == 2 and said["exp"] > said["iat"]


@attrs.define
class Clock:
    """Passes by what somebody sleeps."""

    at: float = attrs.field(factory=time.time)
    slept: list = attrs.field(factory=list)

    def now(self):
        return self.at

    def sleep(self, seconds):
        self.at += seconds
        self.slept.append(seconds)


@contextmanager
def vendor(lists, **behaviour):
    """The server on a free port."""
    playing = Vendor(lists, **behaviour)
    with listening(Starlette(routes=[Route("/{path:path}", playing.__call__)])) as server:
        playing.port = port_of(server)
        yield playing
