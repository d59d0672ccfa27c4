"""VideoSDK's REST API: signed GET requests, within a budget, and what they give.

A token is a JWT (HS256) that the key and the secret make; it stands bare in ``Authorization``. What is not there is answered
with 402 or 404. What fails for now (429, 5xx, no answer) is asked for again, later each time, or when ``Retry-After`` says.
A 429 also halves the budget for a minute. An answer may take ``LONGEST_ANSWER``, and have ``LARGEST`` bytes.

A list comes in pages, whose shape is documented nowhere: with ``pageInfo`` or ``pagination``, or as a bare list.
``pages`` reads them all, up to the last or to one that brings no new id; ``MOST_PAGES`` at most.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import random
from time import sleep as wall_sleep
from time import time as wall_clock
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import attrs
import msgspec

from tracker.deadline import Deadline, OverdueError
from tracker.delivery.envelope import UNREADABLE, decode_json
from tracker.delivery.opening import BOM
from tracker.errors import UsageError, without_secrets
from tracker.record import Records, first_at, values_at

if TYPE_CHECKING:  # it need not be installed
    import httpx2

__all__ = ["BASE", "BUDGET", "Api", "Credentials", "Page", "Saved", "VendorError", "Videosdk", "pages"]

BASE = "https://api.videosdk.live"
BUDGET = 60
"""Requests a minute."""
PER_PAGE = 50
"""Records that are asked for at once."""
TIMEOUT = 30.0
"""Seconds to connect, to send and to be answered, each."""
LONGEST_ANSWER = 60.0
"""Seconds until the whole of an answer must have come."""
LARGEST = 64 * 2**20
"""Bytes of an answer, unpacked, at most: a page has ``PER_PAGE`` records of a few kilobytes."""
MOST_PAGES = 10_000
"""Pages of a list that are read at once, at most."""
TRIES = 8
"""Times that one thing is asked for."""
LONGEST = 60.0
"""Seconds between two tries, at most, unless ``Retry-After`` says more."""
MOST_WAITING = 600.0
"""Seconds that ``Retry-After`` may ask for."""
TOKEN_LASTS = 600
"""Seconds that a token is good for; one is made anew when half of that is over."""
NOT_THERE = (402, 404)
_CHECK = "check the address: base in [reconcile] of tracker.toml, or --base"
_any = msgspec.json.Decoder()


class VendorError(UsageError):
    """VideoSDK's API does not answer, or not as expected."""

    exit_code = 3


class Api(Protocol):
    """Where records come from."""

    def get(self, path: str, asked: Mapping[str, str]) -> Any | None:
        """What is at a path; ``None`` where nothing is. Raises ``VendorError``."""


@attrs.frozen
class Credentials:
    """The API key of an account, and its secret, which is shown nowhere."""

    key: str
    secret: str = attrs.field(repr=False)

    def token(self, now: int) -> str:
        """A token that is good from ``now`` on, in seconds since 1970."""
        said = {"apikey": self.key, "permissions": ["allow_join"], "version": 2, "roles": ["crawler"]}
        said |= {"iat": now, "exp": now + TOKEN_LASTS}
        signed = f"{_packed({'alg': 'HS256', 'typ': 'JWT'})}.{_packed(said)}"
        return f"{signed}.{_text(hmac.digest(self.secret.encode(), signed.encode(), 'sha256'))}"


def _packed(value: Any) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@attrs.define
class Budget:
    """How many requests may be made: ``per_minute``, all at once or one after the other."""

    per_minute: int
    now: Callable[[], float]
    left: float = attrs.field(init=False)
    since: float = attrs.field(init=False)
    halved_at: float | None = None

    def __attrs_post_init__(self) -> None:
        self.left, self.since = float(self.per_minute), self.now()

    @property
    def rate(self) -> float:
        """Requests a second for now."""
        halved = self.halved_at is not None and self.now() - self.halved_at < 60
        return self.per_minute / (120 if halved else 60)

    def wait(self) -> float:
        """Seconds until the next request may be made, which is counted."""
        now = self.now()
        self.left = min(self.rate * 60, self.left + (now - self.since) * self.rate)
        self.since = now
        self.left -= 1
        return max(0.0, -self.left / self.rate)

    def halve(self) -> None:
        """Allows half as many for the next minute."""
        self.halved_at, self.left = self.now(), min(self.left, 0.0)


@attrs.define
class Videosdk:
    """The API itself.

    Attributes:
        client: Makes the requests.
        credentials: By which they are signed.
        base: Where it is.
        budget: How many requests a minute may be made.
        now, sleep: The clock.
        requests, refused, failed: How many were made, how many of them were answered with 429, and how many failed otherwise.
    """

    client: httpx2.Client
    credentials: Credentials
    base: str = BASE
    budget: Budget = attrs.field(factory=lambda: Budget(BUDGET, wall_clock))
    now: Callable[[], float] = wall_clock
    sleep: Callable[[float], None] = wall_sleep
    requests: int = 0
    refused: int = 0
    failed: int = 0
    _token: str = ""
    _since: float = 0.0
    _deadline: Deadline = attrs.field(factory=Deadline)

    @classmethod
    def at(
        cls,
        base: str,
        credentials: Credentials,
        per_minute: int = BUDGET,
        now: Callable[[], float] = wall_clock,
        sleep: Callable[[float], None] = wall_sleep,
    ) -> Videosdk:
        """The API at an address. Raises ``UsageError`` where the package is not installed, or that is no address."""
        try:
            import httpx2
        except ImportError as error:
            hint = "run pip install '.[reconcile]' in the directory of the source"
            raise UsageError(
                "asking VideoSDK needs a package that is not installed: httpx2", hint=hint
            ) from error
        _refuse(base)
        client = httpx2.Client(timeout=TIMEOUT, follow_redirects=False)
        return cls(client, credentials, base.rstrip("/"), Budget(per_minute, now), now, sleep)

    def close(self) -> None:
        self.client.close()

    def get(self, path: str, asked: Mapping[str, str]) -> Any | None:
        """What is at a path; ``None`` where nothing is. Raises ``VendorError``."""
        is_new = False
        for tried in range(TRIES):
            status, wait, body = self._ask(path, asked)
            if status == 200:
                return self._read(path, body)
            if status in NOT_THERE:
                return None
            if status == 401 and not is_new:
                self._token, is_new = "", True
                continue
            if status != 429 and 0 < status < 500:
                raise self._refusal(path, status)
            if status == 429:
                self.refused += 1
                self.budget.halve()
            else:
                self.failed += 1
            if tried + 1 < TRIES:
                self.sleep(wait if wait is not None else min(LONGEST, 2.0**tried) * (0.5 + random() / 2))  # noqa: S311 - no secret
        what = f"answers with {status}" if status else "does not answer"
        hint = "run it again later: it goes on where it was; --budget makes fewer requests a minute"
        raise VendorError(f"{what}, {TRIES} times one after the other", place=self._place(path), hint=hint)

    def _ask(self, path: str, asked: Mapping[str, str]) -> tuple[int, float | None, bytes]:
        """The status of an answer (0: there was none), the seconds that it says to wait, and its body."""
        import httpx2

        self.sleep(self.budget.wait())
        self.requests += 1
        if not self._token or self.now() - self._since > TOKEN_LASTS / 2:
            self._token, self._since = self.credentials.token(int(self.now())), self.now()
        headers = {"authorization": self._token, "accept": "application/json", "user-agent": "meeting-tracker"}
        try:
            with (
                self._deadline.within(LONGEST_ANSWER) as trace,
                self.client.stream(
                    "GET",
                    f"{self.base}{path}",
                    params=dict(asked),
                    headers=headers,
                    extensions={"trace": trace},
                ) as answer,
            ):
                body = self._body(path, answer)
        except (httpx2.HTTPError, httpx2.InvalidURL, OverdueError):
            return 0, None, b""
        return answer.status_code, self._seconds(answer.headers.get("retry-after")), body

    def _body(self, path: str, answer: httpx2.Response) -> bytes:
        parts, size = [], 0
        for part in answer.iter_bytes():
            size += len(part)
            if size > LARGEST:
                raise VendorError(
                    f"the answer has more than {LARGEST >> 20} MiB", place=self._place(path), hint=_CHECK
                )
            parts.append(part)
        return b"".join(parts)

    def _seconds(self, given: str | None) -> float | None:
        """What ``Retry-After`` says: seconds, or a date."""
        if given is None:
            return None
        try:
            wait = float(given) if given.strip().isdigit() else _until(given) - self.now()
        except ValueError:
            return None
        return min(MOST_WAITING, max(0.0, wait))

    def _read(self, path: str, body: bytes) -> Any:
        try:
            return decode_json(_any, body)
        except UNREADABLE as error:
            raise VendorError("the answer is not JSON", place=self._place(path), hint=_CHECK) from error

    def _refusal(self, path: str, status: int) -> VendorError:
        place = self._place(path)
        if status in (401, 403):
            hint = "check VIDEOSDK_API_KEY and VIDEOSDK_API_SECRET, or the files that are given instead"
            return VendorError(
                "the key or its secret is not accepted, or the clock here is wrong", place=place, hint=hint
            )
        return VendorError(f"answers with {status}", place=place, hint="check the address that is asked")

    def _place(self, path: str) -> str:
        return without_secrets(f"{self.base}{path}")


def _until(text: str) -> float:
    """Seconds since 1970. Raises ``ValueError``."""
    time = parsedate_to_datetime(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _refuse(base: str) -> None:
    hint = f"write {BASE}"
    try:
        parts = urlsplit(base)
        _ = parts.port  # which may be none
    except ValueError as error:
        raise UsageError("base is no address", hint=hint) from error
    is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or parts.scheme not in ("https", "http"):
        raise UsageError("base is no address", place=without_secrets(base), hint=hint)
    if parts.scheme == "http" and not is_local:
        message = "the address is not encrypted, and the token is sent there"
        raise UsageError(message, place=without_secrets(base), hint="write https://")


@attrs.frozen
class Saved:
    """Records in a file, as ``tracker simulate --vendor`` writes it: path of a list -> its records."""

    lists: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def read(cls, raw: bytes, place: str) -> Saved:
        """Raises ``UsageError``."""
        try:
            lists = decode_json(_any, raw.removeprefix(BOM))
        except UNREADABLE as error:
            raise UsageError(f"is not JSON: {error}", place=place, hint=_SAVED) from error
        fits = isinstance(lists, dict) and all(
            isinstance(one, list) and all(isinstance(each, dict) for each in one) for one in lists.values()
        )
        if not fits:
            raise UsageError("holds no records", place=place, hint=_SAVED)
        return cls(lists)

    def get(self, path: str, asked: Mapping[str, str]) -> Any | None:
        """As ``Videosdk.get``, but that a list is all on one page."""
        if path in self.lists:
            wanted = asked.get("sessionId")
            every = self.lists[path]
            if asked.get("page", "1") != "1":
                return []
            return [one for one in every if wanted is None or wanted in _sessions(one)]
        above, _, name = path.rpartition("/")
        return next(
            (one for one in self.lists.get(above, ()) if name in (one.get("id"), one.get("roomId"))), None
        )


_SAVED = 'it should be {"/v2/sessions": [{"id": …}], …}, as tracker simulate --vendor FILE writes it'


def _sessions(record: Mapping[str, Any]) -> set[Any]:
    places = ("sessionId", "extension.extensionConfig.sessionId")
    return {value for place in places for value in values_at(record, place)}


@attrs.frozen
class Page:
    """Some of the records of a list: the number of the page, from 1, and how many records the list has, if it says so."""

    number: int
    records: Sequence[Mapping[str, Any]]
    total: int | None


def pages(api: Api, records: Records, asked: Mapping[str, str], first: int = 1) -> Iterator[Page]:
    """The pages of a list from one on, up to the last; a list that grows meanwhile may give a record twice.

    Raises ``VendorError``, also where it does not come to an end.
    """
    seen = set[str]()
    for number in range(first, first + MOST_PAGES):
        answer = api.get(records.path, {**asked, "page": str(number), "perPage": str(PER_PAGE)})
        some, info = _records(answer, records.listed_as), _info(answer)
        ids = {str(first_at(one, records.ids)) for one in some}
        if ids <= seen:  # a bare list may give the same page whatever is asked for
            return
        seen |= ids
        total = _number(info, "total", "totalItems")
        yield Page(number, some, total)
        last = _number(info, "lastPage", "totalPages")
        size = _number(info, "perPage") or PER_PAGE
        if last is None and total is not None:
            last = -(-total // size)
        if last is not None and number >= last:
            return
    hint = f"{_CHECK}; if the list is that long, run it again: it goes on where it was"
    raise VendorError(f"the list did not end in {MOST_PAGES:,} pages", place=records.path, hint=hint)


def _records(answer: Any, listed_as: Sequence[str]) -> list[Mapping[str, Any]]:
    """The records of an answer; an object in the place of the list is the only one."""
    found = answer
    if isinstance(answer, dict):
        found = next((answer[name] for name in listed_as if name in answer), None)
        if isinstance(found, dict):
            inner = next((found[name] for name in listed_as if isinstance(found.get(name), list)), None)
            found = [found] if inner is None else inner
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _info(answer: Any) -> Mapping[str, Any]:
    found = [answer.get(name) for name in ("pageInfo", "pagination")] if isinstance(answer, dict) else []
    return next((one for one in found if isinstance(one, dict)), {})


def _number(info: Mapping[str, Any], *names: str) -> int | None:
    found = (info.get(name) for name in names)
    return next((one for one in found if isinstance(one, int) and not isinstance(one, bool)), None)


def milliseconds(time: datetime) -> str:
    """A moment as the API takes it."""
    return str(int(time.timestamp() * 1000))
