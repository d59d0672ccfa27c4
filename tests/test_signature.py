import json
import subprocess

import keys
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tracker.delivery.signature import Keyring, read_keys
from tracker.errors import KeyFileError

BODY = b'{"webhookType":"session-started","data":{}}'


@pytest.fixture
def ring(tmp_path):
    return Keyring([keys.write_public(tmp_path / "key.pem")])


def test_a_body_is_verified_by_the_key_that_signed_it(ring, tmp_path):
    assert keys.name(tmp_path / "key.pem") == ring.verify(BODY, keys.sign(BODY))


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (BODY, keys.sign(BODY, 1)),
        (BODY + b" ", keys.sign(BODY)),
        (BODY, ""),
        (BODY, "AAAA"),
        (BODY, "not base64!"),
        (BODY, "\u00e9"),
        (BODY, keys.sign(BODY)[:-4]),
        (BODY, keys.sign(BODY) + "AAAA"),
        (BODY, "A" * 1_000_000),
        (b"", keys.sign(BODY)),
    ],
    ids=[
        "another key", "another body", "empty", "short", "not base64", "not ascii", "cut", "longer", "huge", "no body"
    ],
)  # fmt: skip
def test_whatever_is_wrong_with_a_signature_the_answer_is_the_same(ring, body, signature):
    assert ring.verify(body, signature) is None


def test_a_signature_that_openssl_makes_is_verified(ring, tmp_path):
    (tmp_path / "body").write_bytes(BODY)
    private = keys.write_private(tmp_path / "private.pem")
    made = subprocess.run(
        f"openssl dgst -sha256 -sign {private} {tmp_path / 'body'} | base64 -w0",
        shell=True, capture_output=True, check=True,
    )  # fmt: skip
    assert keys.name(tmp_path / "key.pem") == ring.verify(BODY, made.stdout)


@pytest.mark.parametrize(
    "text",
    [
        keys.pem(0, keys.PKCS1),
        b"\n" + keys.pem(0, keys.PKCS1),
        keys.pem().replace(b"\n", b"\r\n"),
        b"a comment\n" + keys.pem(),
        json.dumps({"publicKey": keys.pem(0, keys.PKCS1).decode()}).encode(),
        json.dumps({"publicKey": "\n" + keys.pem().decode(), "more": 1}).encode(),
    ],
    ids=["PKCS#1", "a newline first", "CRLF", "a comment", "document", "document of SPKI"],
)
def test_a_key_has_one_name_in_whatever_form_it_is_given(tmp_path, text):
    (tmp_path / "given").write_bytes(text)
    assert [keys.name(keys.write_public(tmp_path / "spki"))] == [
        key.name for key in read_keys(tmp_path / "given")
    ]


def test_each_key_of_each_file_is_tried_and_a_key_given_twice_counts_once(tmp_path):
    two, again = keys.write_public(tmp_path / "two", 0, 1), keys.write_document(tmp_path / "again", 1)
    ring = Keyring([two, again])
    assert [key.name for key in read_keys(two)] == [
        ring.verify(BODY, keys.sign(BODY, number)) for number in (0, 1)
    ]
    assert len(ring.keys) == 2


def test_keys_are_exchanged_without_a_restart(ring, tmp_path):
    keys.write_public(tmp_path / "key.pem", 1)
    ring.reload()
    assert [ring.verify(BODY, keys.sign(BODY, number)) is None for number in (0, 1)] == [True, False]


def test_a_broken_new_file_leaves_the_old_keys(ring, tmp_path):
    (tmp_path / "key.pem").write_text("half a fi")
    with pytest.raises(KeyFileError, match="holds no public key"):
        ring.reload()
    assert ring.verify(BODY, keys.sign(BODY)) is not None


def _elliptic():
    return ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, keys.SPKI)


def _short():
    weak = rsa.generate_private_key(65537, 1024).public_key()
    return weak.public_bytes(Encoding.PEM, keys.SPKI)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _path: None, "cannot be read: No such file"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.write_bytes(b""), "holds no public key"),
        (lambda path: path.write_bytes(bytes(range(256))), "holds no public key"),
        (lambda path: path.write_text('{"publicKey": 7}'), "holds no public key"),
        (lambda path: path.write_text('{"publicKey": '), "is not JSON"),
        (keys.write_private, "is a private key"),
        (lambda path: path.write_bytes(keys.pem()[:60] + keys.pem()[-26:]), "a key that cannot be read"),
        (lambda path: path.write_bytes(_elliptic()), "not RSA"),
        (lambda path: path.write_bytes(_short()), "1024 bits"),
    ],
)
def test_a_file_without_a_key_is_named_with_a_hint(tmp_path, make, words):
    make(tmp_path / "key")
    with pytest.raises(KeyFileError, match=words) as raised:
        Keyring([tmp_path / "key"])
    assert (str(tmp_path / "key"), True) == (raised.value.place, bool(raised.value.hint))
