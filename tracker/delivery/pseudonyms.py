"""Pseudonyms in the place of people: how the body of a webhook is rewritten when somebody is to be forgotten.

THE PROBLEM. Judging compares: two webhooks are of one person where their ids are equal, a delivery is a copy of another
where their bytes are, two recordings share a file where their paths are. What takes the place of an id must not change
any of that, and a copy of a webhook that comes years later must become what the first one became.

THE IDEA. In the place of a text stands a keyed hash of it, ``erased-`` and 16 digits. So texts that were equal are equal,
and others are not; who has no key cannot guess. Only the texts are replaced: the order of the fields, white space and
numbers stay as they came. A ``Scope`` says what is to be replaced in the webhooks of one stream: all of it, or what
belongs to certain people. It knows their ids and names as keyed hashes only, so it can be kept for later copies.

WHAT FOLLOWS. Rewriting twice gives the same as once. A name is also found inside of other texts, such as the path of a
file, as whole words and whatever stands between them. Whoever throws the key away has pseudonyms that nobody can trace.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from tracker.blake2b import blake2b
from tracker.delivery.envelope import UNREADABLE, Received, decode_json, parse_time
from tracker.delivery.people import ARTEFACTS, BEGINS, SENT, STRUCTURE, is_person_id, is_person_name
from tracker.delivery.webhook import TYPE_NAMES, is_known
from tracker.record import PREFIX

__all__ = ["People", "Scope", "erased", "exactly", "people_in", "pseudonym", "with_own_people", "words_of"]

MOST_WORDS = 12
"""Words of a name, or of an url, that is looked for inside of other texts."""
# Most commands forget nobody, so a pattern is compiled when it is first used.
_OURS = r"erased-[0-9a-f]{16}"
_TOKEN = (
    rb'(?s)(?P<text>"[^"\\]*(?:\\.[^"\\]*)*")(?P<colon>\s*:)?|(?P<bracket>[{}\[\]])|(?P<plain>[^\s{}\[\]:,"]+)'
)
_DIGITS = rb"-?[0-9]+"
_WORD = re.compile(r"[^\W_]+")
_ESCAPED = (
    r"(?P<url>(?:%[0-9A-Fa-f]{2})+)"
    r"|(?P<json>\\+u[Dd][89ABab][0-9A-Fa-f]{2}\\+u[Dd][C-Fc-f][0-9A-Fa-f]{2}|\\+u[0-9A-Fa-f]{4})"
    r"|(?P<blank>(?<!\\)\\(?:\\\\)*[bfnrt])"
)
"""What a URL escapes, and what JSON does inside of a text that is JSON again; a blank only there, for a path has such names."""
_BACKSLASHES, _BACKSLASH = re.compile(r"\\+"), r"\\"
_OPENS = ("{", "[", '"')
_PLAIN_KEY = r"[A-Za-z_-]+"
_QUOTED = rb'(?s)"[^"\\]*(?:\\.[^"\\]*)*"?(\s*:)?'
_TRIED_OUT = {b"ping", b"test"}
_ALNUM = rb"[0-9A-Za-z\x80-\xff]"
_any = msgspec.json.Decoder()
_SURROGATE = "[\ud800-\udfff]"
_EVER = datetime.min.replace(tzinfo=UTC)
"""Since when somebody was there of whom a record does not say it."""


def pseudonym(key: bytes, text: str) -> str:
    """What takes the place of a text; a pseudonym stays what it is."""
    if re.fullmatch(_OURS, text):
        return text
    return f"erased-{_hash(key, text, 8).hex()}"


def exactly(key: bytes, stream: str, text: str) -> bytes:
    """The hash by which a scope knows a text."""
    return _hash(key, f"text\0{stream}\0{text}", 16)


def words_of(key: bytes, stream: str, text: str) -> bytes | None:
    """The hash by which a scope knows the words of a text; ``None`` where it has none, or too many."""
    found = [word for word, _, _ in _words(text)]
    return _of_words(key, stream, found) if 0 < len(found) <= MOST_WORDS else None


def _of_words(key: bytes, stream: str, words: Iterable[str]) -> bytes:
    return _hash(key, f"words\0{stream}\0{' '.join(words)}", 16)


def _hash(key: bytes, text: str, size: int) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), key=key, digest_size=size).digest()


class Scope(msgspec.Struct, frozen=True):
    """What is to be replaced in the webhooks of one stream.

    Attributes:
        key: Of the hashes.
        stream: Whose webhooks they are.
        at: When it was asked for.
        members: The hashes of what belongs to the people who are to be forgotten.
        whole: Whether all texts are to be replaced but those of ``people.STRUCTURE``.
    """

    key: bytes
    stream: str
    at: datetime
    members: Collection[bytes] = frozenset()
    whole: bool = False

    def has(self, text: str) -> bool:
        """Whether a text belongs to somebody who is to be forgotten."""
        return exactly(self.key, self.stream, text) in self.members

    def has_words(self, words: Iterable[str]) -> bool:
        return _of_words(self.key, self.stream, words) in self.members

    def pseudonym(self, text: str) -> str:
        return pseudonym(self.key, text)

    def without_words(self, text: str) -> str:
        """A text with the words replaced that belong to somebody."""
        parts, end = [], 0
        for begin, stop in self.places(text):
            parts += [text[end:begin], self.pseudonym(text[begin:stop])]
            end = stop
        return "".join([*parts, text[end:]]) if parts else text

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where in a text such words are."""
        if not self.members:
            return
        words, place = _words(text), 0
        while place < len(words):
            for count in range(min(MOST_WORDS, len(words) - place), 0, -1):
                some = words[place : place + count]
                if self.has_words(word for word, _, _ in some):
                    yield some[0][1], some[-1][2]
                    place += count - 1
                    break
            place += 1


def _words(text: str) -> list[tuple[str, int, int]]:
    """The words of a text in one spelling, each with where it begins and ends; what a URL or JSON escapes counts as itself."""
    text = re.sub(_OURS, lambda one: " " * len(one[0]), text)  # no word of a pseudonym belongs to anybody
    plain, places = _unescaped(text) if "%" in text or "\\" in text else (text, range(len(text) + 1))
    found = []
    for begin, end in _spans(plain):
        word = unicodedata.normalize("NFKC", plain[begin:end]).casefold()
        found.append((word, places[begin], places[end]))
    return found


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where words begin and end. A mark that combines belongs to the letter before it, as a file system may write é."""
    end = 0
    while (found := _WORD.search(text, end)) is not None:
        begin, end = found.span()
        while end < len(text) and (text[end].isalnum() or unicodedata.category(text[end]).startswith("M")):
            end += 1
        yield begin, end


def _unescaped(text: str) -> tuple[str, Sequence[int]]:
    """A text with what is escaped as the characters themselves, and where each of them began."""
    plain, places, end = "", list[int](), 0
    is_json = text.lstrip().startswith(_OPENS)
    for one in re.finditer(_ESCAPED, text):
        if one["blank"] and not is_json:
            continue
        plain += text[end : one.start()]
        places += range(end, one.start())
        place = one.start()
        for char, size in _characters(one):
            plain += char
            places.append(place)
            place += size
        end = one.end()
    return plain + text[end:], [*places, *range(end, len(text) + 1)]


def _characters(escaped: re.Match[str]) -> Iterator[tuple[str, int]]:
    """What is escaped: each character with how long it was."""
    if escaped["url"]:
        for char in bytes.fromhex(escaped[0].replace("%", "")).decode(errors="surrogateescape"):
            yield char, 3 * len(char.encode(errors="surrogateescape"))
    elif escaped["json"]:
        yield json.loads(f'"{_BACKSLASHES.sub(_BACKSLASH, escaped[0])}"'), len(escaped[0])
    else:
        yield " ", len(escaped[0])


class People(msgspec.Struct):
    """Who is in the body of a webhook: their ``ids``, and the ``names`` and ``artefacts`` that stand beside.

    VideoSDK's own record is asked for long after: of those in one it is known ``since`` when they were there.
    """

    ids: set[str] = msgspec.field(default_factory=set)
    names: set[str] = msgspec.field(default_factory=set)
    artefacts: set[str] = msgspec.field(default_factory=set)
    since: datetime | None = None

    def texts(self) -> set[str]:
        return self.ids | self.names


@lru_cache(maxsize=256)
def people_in(body: bytes) -> tuple[People, ...]:
    """Who is in each object of a body that names somebody. Empty where it is no JSON."""
    try:
        found = decode_json(_any, body)
    except UNREADABLE:
        return ()
    is_record = isinstance(found, dict) and str(found.get("type")).startswith(PREFIX)
    return tuple(_people(found, "", _EVER if is_record else None))


def _people(value: object, inside: str, since: datetime | None) -> Iterator[People]:
    if isinstance(value, list):
        for one in value:
            yield from _people(one, inside, since)
    if not isinstance(value, dict):
        return
    here = People(since=None if since is None else min(_begins(value), default=since))
    for key, one in value.items():
        if is_person_id(key, inside):
            here.ids.update(_scalars(one))
        elif is_person_name(key):
            here.names.update(_scalars(one))
        elif key in ARTEFACTS:
            here.artefacts.update(_scalars(one))
        else:
            yield from _people(one, key, here.since)
    if len(here.ids) == 1:  # who it is of is clear
        here.names |= _names_inside(value, inside)
    if here.ids or here.names:
        yield here


def _names_inside(value: Mapping[str, object], inside: str) -> set[str]:
    """The names in the objects inside of one, as far as they have no id of their own."""
    found = set[str]()
    for key, one in value.items():
        if is_person_name(key):
            found.update(_scalars(one))
        elif isinstance(one, dict) and not is_person_id(key, inside) and not _has_id(one, key):
            found |= _names_inside(one, key)
    return found


def _has_id(value: Mapping[str, object], inside: str) -> bool:
    return any(is_person_id(key, inside) for key in value)


def _begins(value: object) -> Iterator[datetime]:
    """When something began, as a part of a record says."""
    if isinstance(value, dict):
        for key, one in value.items():
            time = parse_time(one) if key in BEGINS and isinstance(one, str) else None
            yield from _begins(one) if time is None else (time,)
    elif isinstance(value, list):
        for one in value:
            yield from _begins(one)


def _scalars(value: object) -> Iterator[str]:
    """The texts and whole numbers in a value."""
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _scalars(one)


def erased(received: Received, scope: Scope) -> Received:
    """The same with pseudonyms, marked as such; itself where nothing is to be replaced.

    The signature goes with the text that it was made of: it would prove a guess.
    """
    if received.body.strip(b'" \r\n\t') in _TRIED_OUT:
        return received
    try:
        decode_json(_any, received.body)
    except UNREADABLE:
        body = _of_no_json(received.body, scope)
    else:
        body = _Rewriting(with_own_people(scope, [received.body])).of(received.body)
    if body == received.body:
        return received
    return replace(received, body=body, signature=None, erased_at=received.erased_at or scope.at)


def with_own_people(scope: Scope, bodies: Iterable[bytes]) -> Scope:
    """Of a stream that is replaced as a whole, the people that bodies name are to go from other texts too."""
    if not scope.whole:
        return scope
    members = set(scope.members)
    for people in (one for body in bodies for one in people_in(body)):
        for text in people.texts():
            members.add(exactly(scope.key, scope.stream, text))
            members.update(filter(None, [words_of(scope.key, scope.stream, text)]))
    return replace(scope, members=members)


class _Rewriting(msgspec.Struct):
    """One pass through the tokens of a body in JSON.

    Attributes:
        scope: What is to be replaced.
        open: For each object and array around the token the key that it stands under, and the key inside it.
    """

    scope: Scope
    open: list[tuple[str, str]] = msgspec.field(default_factory=lambda: [("", "")])

    def of(self, body: bytes) -> bytes:
        return re.sub(_TOKEN, self._token, body)

    def _token(self, found: re.Match[bytes]) -> bytes:
        token = found[0]
        if found["bracket"]:
            self._bracket(token)
            return token
        inside, key = self.open[-1]
        if found["plain"]:
            return self._number(token, key, inside) if re.fullmatch(_DIGITS, token) else token
        text = _decoded(found["text"])
        if found["colon"] is not None:
            self.open[-1] = inside, text
            new, rest = self._key(text), found["colon"]
        else:
            new, rest = self._value(text, key, inside), b""
        return token if new == text else _encoded(new, token) + rest

    def _bracket(self, token: bytes) -> None:
        if token in b"}]":
            self.open.pop()
        else:
            key = self.open[-1][1]
            self.open.append((key, key if token == b"[" else ""))

    def _number(self, token: bytes, key: str, inside: str) -> bytes:
        """An id may be a whole number; a name that is one is none where it is read, and stays so."""
        text = token.decode()
        is_id = is_person_id(key, inside)
        if not (is_id or is_person_name(key)) or not (self.scope.whole or self.scope.has(text)):
            return token
        new = f'"{self.scope.pseudonym(text)}"'
        return (new if is_id else f"[{new}]").encode()

    def _key(self, text: str) -> str:
        if text in SENT or text in STRUCTURE:
            return text
        whole = self.scope.whole and not re.fullmatch(_PLAIN_KEY, text)
        return self.scope.pseudonym(text) if whole or self.scope.has(text) else self.scope.without_words(text)

    def _value(self, text: str, key: str, inside: str) -> str:
        if not text:
            return text
        is_id, is_name = is_person_id(key, inside), is_person_name(key)
        if not is_id and (key in STRUCTURE or (key in TYPE_NAMES and (len(self.open) == 2 or is_known(text)))):
            return text
        if self.scope.has(text):
            return self.scope.pseudonym(text)
        if self.scope.whole and (is_id or is_name or key in ARTEFACTS or key not in SENT):
            return self.scope.pseudonym(text)
        if is_id:
            return text
        if is_name:  # as a whole, or somebody else's would be torn apart
            same = self.scope.has_words(word for word, _, _ in _words(text))
            return self.scope.pseudonym(text) if same else text
        return self.scope.without_words(text)


def _decoded(token: bytes) -> str:
    return str(json.loads(token))


def _encoded(text: str, like: bytes) -> bytes:
    """A text in JSON, written as what stood there."""
    in_ascii = like.isascii() or re.search(_SURROGATE, text) is not None
    return json.dumps(text, ensure_ascii=in_ascii).encode()


def _of_no_json(body: bytes, scope: Scope) -> bytes:
    """What is no JSON keeps its length, so that the place of its mistake stays; who it names is crossed out."""
    if scope.whole:
        return _crossed(body, re.finditer(_QUOTED, body)) if body[:1] in b'{["' else re.sub(_ALNUM, b"x", body)
    text = body.decode(errors="surrogateescape")
    parts, end = [], 0
    for begin, stop in scope.places(text):
        hidden = len(text[begin:stop].encode(errors="surrogateescape"))
        parts += [text[end:begin], "x" * hidden]
        end = stop
    return "".join([*parts, text[end:]]).encode(errors="surrogateescape")


def _crossed(body: bytes, found: Iterable[re.Match[bytes]]) -> bytes:
    crossed = bytearray(body)
    for one in found:
        if one[1] is None:  # no key
            crossed[one.start() : one.end()] = re.sub(_ALNUM, b"x", one[0])
    return bytes(crossed)
