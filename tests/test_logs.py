import gzip
import io
import os
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from commands import run

from tracker.delivery.envelope import Received, encode
from tracker.errors import LogError
from tracker.intake.lines import KEPT, MAX_LINE, Line, split
from tracker.intake.logs import Log

THREE = b'{"a":1}\n{"b":2}\n{"c":3}\n'


checksummed = pytest.mark.parametrize(
    "pack", [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress], ids=["gzip", "zstd"]
)


def texts(path):
    return [line.text for line in Log(str(path)).lines()]


@pytest.mark.parametrize(
    "text", [b"a\n\nbc\n", b"a\r\nb\r\n\r\n", b"a\n" + b"x" * (MAX_LINE + 1) + b"\nb\r\nc"]
)
@pytest.mark.parametrize("size", [1, 2, 3, 1 << 18])
def test_lines_are_the_same_however_the_file_comes(text, size):
    if size < 1 << 18:  # the long one is long in any chunk
        text = text.replace(b"x" * (MAX_LINE + 1), b"x")
    chunks = (text[at : at + size] for at in range(0, len(text), size))
    expected = [one.removesuffix(b"\r") for one in text.removesuffix(b"\n").split(b"\n")]
    assert [line.text for line in split(chunks, "log")] == [
        one[:KEPT] if len(one) > MAX_LINE else one for one in expected
    ]


def until_error(path):
    """The lines given before the error, and the error."""
    given = []
    with pytest.raises(LogError) as caught:
        given.extend(line.text for line in Log(str(path)).lines())
    return given, caught.value


def written(tmp_path, content):
    path = tmp_path / "some.log"
    path.write_bytes(content)
    return path


def two_frames(content, size=10):
    packed = zstandard.ZstdCompressor().compress
    return packed(content[:size]) + packed(content[size:])


@pytest.mark.parametrize(
    "content",
    [
        THREE,
        THREE.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + THREE,
        THREE[:-1],
        gzip.compress(THREE),
        gzip.compress(b"\xef\xbb\xbf" + THREE),
        gzip.compress(THREE[:10]) + gzip.compress(THREE[10:]),
        zstandard.ZstdCompressor().compress(THREE),
        two_frames(THREE),
    ],
    ids=["plain", "crlf", "bom", "no-end", "gzip", "gzip-bom", "gzip-members", "zstd", "zstd-frames"],
)
def test_a_log_gives_its_lines_however_it_is_packed(tmp_path, content):
    assert texts(written(tmp_path, content)) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


@pytest.mark.parametrize("pack", [bytes, gzip.compress, two_frames], ids=["plain", "gzip", "zstd"])
def test_lines_are_whole_where_a_log_is_larger_than_what_is_read_at_once(tmp_path, pack):
    lines = [b'{"n":%d,"x":"%s"}' % (number, b"y" * 1000) for number in range(1500)]

    assert lines == texts(written(tmp_path, pack(b"\n".join(lines) + b"\n")))


def test_blank_lines_are_given_and_counted(tmp_path):
    log = Log(str(written(tmp_path, b'\n{"a":1}\n \t\r\n{"b":2}')))

    assert [(line.number, line.blank, line.ended) for line in log.lines()] == [
        (1, True, True),
        (2, False, True),
        (3, True, True),
        (4, False, False),
    ]


def test_an_empty_log_has_no_lines(tmp_path):
    assert texts(written(tmp_path, b"")) == []


def test_a_log_of_a_byte_order_mark_alone_has_no_lines(tmp_path):
    assert texts(written(tmp_path, b"\xef\xbb\xbf")) == []


@pytest.mark.parametrize("size", [MAX_LINE + 1, 3 * MAX_LINE])
def test_of_a_line_that_is_too_long_the_beginning_and_the_size_are_kept_and_the_rest_is_read(tmp_path, size):
    log = Log(str(written(tmp_path, b"1\n" + b"x" * size + b"\n3\n" + b"y" * size)))

    assert [(1, b"1", 0), (2, b"x" * KEPT, size), (3, b"3", 0), (4, b"y" * KEPT, size)] == [
        (line.number, line.text, line.too_long) for line in log.lines()
    ]


def test_a_line_of_the_greatest_length_is_read(tmp_path):
    assert texts(written(tmp_path, b"x" * MAX_LINE + b"\n2\n")) == [b"x" * MAX_LINE, b"2"]


@checksummed
def test_a_packed_log_that_breaks_off_gives_every_whole_line_and_then_names_the_file(tmp_path, pack):
    lines = [b'{"n":%d}' % number for number in range(100_000)]
    path = written(tmp_path, pack(b"\n".join(lines) + b"\n")[:-5])

    given, error = until_error(path)

    assert lines[: len(given)] == given
    assert (str(path), f"breaks off after line {len(given)}") == (error.place, error.message)
    assert len(given) > 90_000


@checksummed
def test_a_packed_log_that_is_damaged_raises_an_error_that_names_the_file(tmp_path, pack):
    packed = bytearray(pack(b"\n".join(b'{"n":%d}' % number for number in range(1000))))
    packed[-8 if packed.startswith(b"\x1f") else -1] ^= 0xFF  # its checksum
    path = written(tmp_path, packed)

    _, error = until_error(path)

    assert str(path) == error.place
    assert error.message.startswith("cannot be read any further: ")


def test_a_gzip_with_something_else_behind_it_gives_what_is_packed(tmp_path):
    given, error = until_error(written(tmp_path, gzip.compress(THREE) + b"and more"))

    assert ([b'{"a":1}', b'{"b":2}', b'{"c":3}'], LogError) == (given, type(error))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"SQLite format 3\x00", "binary"),
        ('{"a":1}\n'.encode("utf-16"), "UTF-16"),
        ('{"a":1}\n'.encode("utf-16-be"), "binary"),
        (b"PAR1....", "Parquet"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (gzip.compress(b"a\x00b"), "binary"),
    ],
    ids=["binary", "utf-16", "utf-16-be", "parquet", "bzip2", "xz", "gzip-of-binary"],
)
def test_what_is_no_text_is_refused_by_what_it_is(tmp_path, content, kind):
    path = written(tmp_path, content)

    given, error = until_error(path)

    assert ([], f"{path}: is {kind}, not JSON lines") == (given, str(error))
    assert error.hint


def test_bytes_that_are_not_utf_8_are_given_as_they_are(tmp_path):
    assert texts(written(tmp_path, b"\xff{\n{}\n")) == [b"\xff{", b"{}"]


def test_a_directory_is_refused_with_a_hint_at_what_is_in_it(tmp_path):
    with pytest.raises(LogError) as caught:
        Log(str(tmp_path))

    assert f"{tmp_path}: is a directory" == str(caught.value)
    assert f"name the logs in it: {tmp_path}/*.jsonl" == caught.value.hint


def test_a_log_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(LogError) as caught:
        Log(str(tmp_path / "none.jsonl"))

    assert f"{tmp_path / 'none.jsonl'}: there is no such file" == str(caught.value)


@pytest.mark.parametrize(
    "content", [THREE, gzip.compress(THREE), two_frames(THREE)], ids=["plain", "gzip", "zstd"]
)
def test_standard_input_is_read_like_a_file(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))

    assert texts("-") == [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    assert Log("-").name == "stdin"


def test_what_was_consumed_is_the_size_of_the_file_once_it_is_read(tmp_path):
    log = Log(str(written(tmp_path, gzip.compress(THREE * 100_000))))
    list(log.lines())

    assert log.size == log.consumed


def test_every_beginning_of_a_line_of_json_is_known_to_be_cut():
    text = '{"at":"2026-03-02","webhook":{"data":{"é":"€😀\\n\\u20ac","n":[-1.5e+10,0,true,null,{"x":{}}]}}}'
    whole = text.encode()

    assert [whole[:size] for size in range(1, len(whole)) if not Line(1, whole[:size], ended=False).cut] == []


@pytest.mark.parametrize("text", [b'{"a":1}', b'{"a":1} ', b'{"a" 1}', b'{"a":1}}', b"not json", b'{"a":1.,'])
def test_a_last_line_that_is_whole_or_wrong_before_its_end_is_not_cut(text):
    assert not Line(1, text, ended=False).cut


def test_a_line_with_an_end_is_never_cut():
    assert not Line(1, b'{"a":').cut


@pytest.mark.parametrize("text", [rb'{"a":"\ud83d","b":{"c":[1,"\ude00"]}}', rb'{"a":"\ud83d\ude00"}'])
def test_a_line_with_half_an_emoji_is_known_to_be_cut_where_it_breaks_off(text):
    assert not Line(1, text, ended=False).cut
    assert [size for size in range(1, len(text)) if not Line(1, text[:size], ended=False).cut] == []


class Dripping(io.RawIOBase):
    """A pipe through which a first byte comes alone."""

    def __init__(self, content):
        super().__init__()
        self.parts = [content[:1], content[1:3], content[3:]]

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self.parts.pop(0) if self.parts else b""
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize(
    "content",
    [
        THREE,
        b"\xef\xbb\xbf" + THREE,
        gzip.compress(THREE),
        two_frames(b"\xef\xbb\xbf" + THREE, size=1),
        gzip.compress(b"\xef") + gzip.compress(b"\xbb\xbf" + THREE),
    ],
    ids=["plain", "bom", "gzip", "zstd-bom", "gzip-bom"],
)
def test_what_a_log_is_packed_in_is_known_however_slowly_it_comes(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Dripping(content), 1 << 16)))

    assert texts("-") == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_a_pipe_with_a_name_is_opened_once(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    log = Log(str(path))
    with ThreadPoolExecutor() as pool:
        pool.submit(path.write_bytes, THREE)

        assert [line.text for line in log.lines()] == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_pipe_that_may_not_be_read_is_an_error_when_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0)
    with pytest.raises(LogError, match="cannot be read"):
        list(Log(str(tmp_path / "pipe")).lines())


def test_a_log_that_is_gone_before_it_is_read_is_an_error(tmp_path):
    log = Log(str(written(tmp_path, THREE)))
    (tmp_path / "some.log").unlink()
    with pytest.raises(LogError, match="cannot be read"):
        list(log.lines())


@checksummed
def test_a_log_that_is_packed_a_thousandfold_is_unpacked_bit_by_bit(tmp_path, pack):
    size = 1 << 27
    path = written(tmp_path, pack(b" " * size))
    tracemalloc.start()
    (line,) = Log(str(path)).lines()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (line.too_long, most < 0.9 * size) == (size, True)


def test_an_envelope_of_ours_may_be_longer_than_the_body_in_it(tmp_path):
    received = Received(b"\x01" * MAX_LINE, source="a:1")
    exported = encode(received)
    too_long = [encode(Received(b"\x01" * (MAX_LINE + 1))), exported.replace(b":", b": ", 1)]
    given = list(Log(str(written(tmp_path, b"\n".join([exported, exported + b"\r", *too_long])))).lines())

    assert [line.too_long for line in given] == [0, 0, *map(len, too_long)]
    assert [line.received("b:1") for line in given[:2]] == [received] * 2


def test_a_log_that_breaks_off_has_as_many_lines_as_are_read_of_it(tmp_path):
    packed = gzip.compress(b"\n".join(os.urandom(20).hex().encode() for _ in range(2000)))
    path = written(tmp_path, packed[: len(packed) // 2])
    given, _ = until_error(path)
    assert Log(str(path)).count() == len(given) > 0


@pytest.mark.parametrize("webhook_type", ["webhookType", "type"])
def test_a_row_with_the_fields_beside_the_type_is_said_to_have_no_data(tmp_path, webhook_type):
    path = written(tmp_path, f"{webhook_type},meetingId,sessionId\nsession-started,m,s\n".encode())
    done = run("audit", path, "--fail-on", "never", text=True)

    assert "it has no data; what should be in it stands beside its type" in done.stdout
    assert "the only line has no data: its fields stand beside its type" in done.stderr
    assert '"data": {"sessionId"' in done.stderr
