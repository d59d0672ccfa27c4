"""Keys of our own, made once a run, and the files and headers that tests make of them."""

import json
from base64 import b64encode
from functools import cache

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tracker.delivery.signature import read_keys

SPKI, PKCS1 = PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1


@cache
def _made(number):
    return rsa.generate_private_key(65537, 2048)


def private(number=0):
    """The key of this number; the same all through a run."""
    return _made(number)


def pem(number=0, form=SPKI):
    return private(number).public_key().public_bytes(Encoding.PEM, form)


def write_private(path, number=0):
    path.write_bytes(
        private(number).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return path


def write_public(path, *numbers):
    path.write_bytes(b"".join(pem(number) for number in numbers or (0,)))
    return path


def write_document(path, number=0):
    """As VideoSDK serves it: PKCS#1 that begins with a newline, in JSON."""
    path.write_text(json.dumps({"publicKey": "\n" + pem(number, PKCS1).decode()}))
    return path


def sign(body, number=0):
    return b64encode(private(number).sign(body, padding.PKCS1v15(), SHA256())).decode()


def name(path):
    """The name of a file's first key."""
    return read_keys(path)[0].name
