"""Who signed a webhook: RSA-SHA256 (PKCS#1 v1.5) over the raw body, checked with pinned public keys.

VideoSDK sends the signature in base64 in the header ``videosdk-signature``, and serves its public key as
``{"publicKey": "<PEM>"}``. A file of keys is that document, or PEM, as many keys as one likes: both
``BEGIN RSA PUBLIC KEY`` (PKCS#1) and ``BEGIN PUBLIC KEY`` (SPKI). A key is pinned, never fetched: whoever
could answer in VideoSDK's place could sign in its place.

Nothing in a signature says when, so a body that was signed once stays good for ever.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
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


class Keyring:
    """The keys of some files. ``reload`` reads them again; where one cannot be read, all stay as they were."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises ``KeyFileError`` where one of the files holds no key."""
        self.paths = tuple(paths)
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
        found = [key for path in self.paths for key in read_keys(path)]
        return tuple({key.name: key for key in found}.values())


def read_keys(path: Path) -> list[Key]:
    """The keys of one file. Raises ``KeyFileError``."""
    try:
        text = _unwrapped(path.read_bytes())
        found = [_key(block[0]) for block in _PEM.finditer(text)]
    except OSError as error:
        hint = "check the path and its permissions"
        raise KeyFileError(f"cannot be read: {error.strerror}", place=str(path), hint=hint) from error
    except KeyFileError as error:
        error.place = str(path)
        raise
    if not found:
        raise KeyFileError("holds no public key", place=str(path), hint=_HINT)
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
