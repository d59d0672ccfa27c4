"""Who signed a webhook: RSA-SHA256 (PKCS#1 v1.5) over the raw body, checked with pinned public keys.

VideoSDK sends the signature in base64 in the header ``videosdk-signature``, and serves its public key as
``{"publicKey": "<PEM>"}``. A file of keys is that document, or PEM, as many keys as one likes: both
``BEGIN RSA PUBLIC KEY`` (PKCS#1) and ``BEGIN PUBLIC KEY`` (SPKI). A key is pinned, never fetched: whoever
could answer in VideoSDK's place could sign in its place.

Nothing in a signature says when, so a body that was signed once stays good for ever.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import attrs
import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from tracker.errors import KeyFileError

LEAST_BITS = 2048
"""A shorter key can be broken."""

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_HINT = 'give a PEM file, or the document {"publicKey": "…"} as VideoSDK serves it'
_PUBLIC = "give the public one: openssl rsa -in KEY -pubout makes it"
_PADDING, _HASH = PKCS1v15(), SHA256()


@attrs.frozen
class Key:
    """A pinned public key. ``name`` is its fingerprint, the same in whatever form the key was given."""

    name: str
    public: RSAPublicKey

    def signed(self, body: bytes, signature: bytes) -> bool:
        try:
            self.public.verify(signature, body, _PADDING, _HASH)
        except InvalidSignature:
            return False
        return True


Source = bytes | str | os.PathLike[str]
"""Where a key comes from: the key itself as text (PEM, or the document that VideoSDK serves), or the path of its file."""


class Keyring:
    """The keys of some sources. ``reload`` reads the files again; where one cannot be read, all stay as they were."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Raises ``KeyFileError`` where one of the sources holds no key."""
        self.sources = tuple(sources)
        self.keys = self._read()

    def reload(self) -> None:
        """Raises ``KeyFileError``; then the old keys go on."""
        self.keys = self._read()

    def verify(self, body: bytes, signature: str | bytes) -> str | None:
        """The name of the key that signed this body; ``None``, whatever the reason, if none of them did."""
        try:
            raw = b64decode(signature, validate=True)
        except ValueError:
            return None
        return next((key.name for key in self.keys if key.signed(body, raw)), None)

    def _read(self) -> tuple[Key, ...]:
        found = [key for source in self.sources for key in read_keys(source)]
        return tuple({key.name: key for key in found}.values())


def verify_signature(body: bytes, header: str | bytes | None, key: Source) -> bool:
    """Whether VideoSDK signed this body: a handler of webhooks asks before it believes one.

    ``body`` is the request's body, byte for byte as it came: JSON that was parsed and written again has another
    signature. ``header`` is the value of ``videosdk-signature``; where it is missing (``None``) or is no signature the
    answer is ``False``. ``key`` is VideoSDK's public key as text, or the path of its file. Raises ``KeyFileError``
    where that holds no usable key, and ``TypeError`` where the body is no bytes.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(
            f"the body must be the bytes that came, not {type(body).__name__}; do not parse it before"
        )
    return Keyring([key]).verify(bytes(body), header or "") is not None


def read_keys(source: Source) -> list[Key]:
    """The keys of one source. Raises ``KeyFileError``."""
    text = _text_of(source)
    place = "the key" if text is not None else str(source)
    try:
        return list(_keys_in(Path(source).read_bytes() if text is None else text))  # type: ignore[arg-type]
    except OSError as error:
        hint = "check the path and its permissions"
        raise KeyFileError(f"cannot be read: {error.strerror}", place=place, hint=hint) from error
    except KeyFileError as error:
        error.place = place
        raise


def _text_of(source: Source) -> bytes | None:
    """The key itself; ``None`` where ``source`` is the path of a file."""
    if isinstance(source, bytes):
        return source
    is_text = isinstance(source, str) and ("-----BEGIN" in source or source.lstrip().startswith("{"))
    return str(source).encode() if is_text else None


@lru_cache(maxsize=16)
def _keys_in(text: bytes) -> tuple[Key, ...]:
    """A handler that verifies each webhook gives the same key each time."""
    found = tuple(_key(block[0]) for block in _PEM.finditer(_unwrapped(text)))
    if not found:
        raise KeyFileError("holds no public key", hint=_HINT)
    return found


def _unwrapped(text: bytes) -> bytes:
    """The PEM in the JSON document around it, if there is one."""
    if not text.lstrip().startswith(b"{"):
        return text
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise KeyFileError(f"is not JSON: {error}", hint=_HINT) from error
    held = document.get("publicKey")
    return held.encode() if isinstance(held, str) else b""


def _key(pem: bytes) -> Key:
    if b"PRIVATE KEY" in pem:
        raise KeyFileError("is a private key", hint=_PUBLIC)
    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError("holds a key that cannot be read", hint=_HINT) from error
    if not isinstance(public, RSAPublicKey):
        raise KeyFileError("holds a key that is not RSA", hint="VideoSDK signs with RSA")
    if public.key_size < LEAST_BITS:
        raise KeyFileError(
            f"holds a key of {public.key_size} bits", hint=f"a key has {LEAST_BITS} bits or more"
        )
    encoded = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Key(sha256(encoded).hexdigest()[:16], public)
