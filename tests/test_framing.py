"""Files that are no lines of JSON: which lines they have, and where each begins."""

import gzip
import io
import json
import re
import tracemalloc
import zipfile
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tracker.errors import LogError
from tracker.intake.framing import counted, framed
from tracker.intake.lines import KEPT, MAX_ENVELOPE, MAX_LINE
from tracker.intake.logs import Log
from tracker.intake.values import Values

ONE, TWO, THREE = b'{"a":1}', b'{"b":{"x":[2]}}', b'{"c":"},[\\""}'
sizes = pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])


def pieces(text, size):
    return iter([text[place : place + size] for place in range(0, len(text), size)])


def read(text, size=1 << 20):
    """The lines, and the number of the line of the file in which each begins."""
    return [(line.at, line.text) for line in framed(pieces(text, size), "log")[1]]


CASES = {
    "an array": (b"[%s,%s,\n%s]\n" % (ONE, TWO, THREE), [1, 1, 2]),
    "an array in each line": (b"[%s,%s]\n[%s]\n" % (ONE, TWO, THREE), [1, 1, 2]),
    "a pretty array": (b"[\n  %s,\n  %s,\n\n  %s\n]\n" % (ONE, TWO, THREE), [2, 3, 5]),
    "no line ends": (ONE + TWO + b"\n" + THREE, [1, 1, 2]),
    "commas": (b"%s, %s,\n%s" % (ONE, TWO, THREE), [1, 1, 2]),
    "a document": (b'{"next":"x","events":[%s,%s,%s],"n":{}}' % (ONE, TWO, THREE), [1, 1, 1]),
    "documents": (b'{"Records":[%s]}\n{"Records":[%s,%s]}\n' % (ONE, TWO, THREE), [1, 2, 2]),
    "a document in depth": (
        b'{"data":{"result":[{"stream":{"a":"b"},"values":[%s,%s]},{"values":[%s]}]}}' % (ONE, TWO, THREE),
        [1] * 3,
    ),
}
every_case = pytest.mark.parametrize(("text", "begins"), CASES.values(), ids=list(CASES))


@sizes
@every_case
def test_each_element_is_a_line_as_it_stands_and_knows_where_it_begins(text, begins, size):
    assert read(text, size) == list(zip(begins, [ONE, TWO, THREE], strict=True))
    assert counted(pieces(text, size), "log") == 3


@sizes
def test_an_object_over_several_lines_is_one_line(size):
    pretty = [json.dumps(json.loads(one), indent=2).encode() for one in (ONE, TWO, THREE)]
    assert read(b"\n".join(pretty), size) == [(1, pretty[0]), (4, pretty[1]), (11, pretty[2])]


anything = st.recursive(
    st.text() | st.integers(),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.lists(anything, min_size=1, max_size=8), st.integers(1, 50), st.sampled_from([None, 1, 4]))
def test_an_array_of_anything_gives_its_elements_however_it_comes(items, size, indent):
    objects = [{"it": item} for item in items]
    given = read(json.dumps(objects, indent=indent).encode(), size)
    assert [json.loads(text) for _, text in given] == objects


names = st.sampled_from(["events", "data", "result", "values", "webhook", "webhookType", "body", "x"])
texts = st.sampled_from(["", "}", '{"', "[\\", '"', "a, b: c"])
document = st.recursive(
    texts | st.integers(),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(names, one, max_size=3),
    max_leaves=12,
)


def until_error(text, size):
    """The lines of a text, and the error behind them."""
    values, found = Values("log"), []
    try:
        for piece in pieces(text, size):
            found += values.feed(piece)
        found += values.end()
    except LogError as error:
        return found, error.message
    return found, values.unrolled


@settings(max_examples=80)
@given(
    st.lists(document, min_size=1, max_size=4),
    st.sampled_from([None, 1]),
    st.integers(1, 99),
    st.lists(st.integers(0, 999), max_size=2),
)
@example([{"x": 1, "events": [{"x": 2}]}, {"x": 3, "body": "", "events": [{"x": 4}]}], None, 99, [])
def test_objects_that_are_seen_whole_are_the_same_lines_as_those_gone_through(items, indent, size, lost):
    text = json.dumps(items, indent=indent).encode()
    text = bytes(byte for place, byte in enumerate(text) if place not in lost)
    with patch("tracker.intake.values._WHOLE", re.compile(b"(?!)")):
        gone_through = until_error(text, size)
    assert until_error(text, size) == gone_through


@sizes
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b'[%s,{"b":"x},\n%s]' % (ONE, THREE), [(1, ONE), (1, b'{"b":"x}'), (2, THREE)]),
        (b'[\n  {"a": "x\n  },\n  %s\n]' % THREE, [(2, b'{"a": "x\n  }'), (4, THREE)]),
        (b"{\n}\nhello\n%s\n" % ONE, [(1, b"{\n}"), (3, b"hello"), (4, ONE)]),
        (b'[%s,null,3,"s"]' % ONE, [(1, ONE), (1, b"null"), (1, b"3"), (1, b'"s"')]),
        (b"%s%s]}\n%s\n" % (ONE, TWO, THREE), [(1, ONE), (1, TWO), (1, b"]}"), (2, THREE)]),
    ],
)  # fmt: skip
def test_what_is_broken_is_kept_and_the_lines_behind_it_are_read(text, lines, size):
    assert read(text, size) == lines


@pytest.mark.parametrize("text", [b"[%s,%s" % (ONE, TWO), b'[%s,{"b":' % ONE, b'{"events":[%s,' % ONE])
def test_an_array_that_is_not_closed_is_an_error_behind_what_it_has(text):
    lines = framed(iter([text]), "log")[1]
    assert next(lines).text == ONE
    with pytest.raises(LogError, match="log: breaks off after line 1: its array is not closed"):
        list(lines)


def test_an_object_that_breaks_off_is_a_line_that_is_not_ended():
    *_, last = framed(iter([b'{\n"a":1}\n{\n"b"']), "log")[1]
    assert (last.text, last.ended, last.cut) == (b'{\n"b"', False, True)


@pytest.mark.parametrize(
    "text",
    [
        b"%s\n%s\n" % (ONE, TWO),
        b'{"webhookType":"x","data":{"result":[{"a":1}]}}\n',
        b'{"received_at":"2026","webhook":{},"records":[{}]}\n',
        b'{"events":[]}\n',
        b"[2026-11-23 10:00:00] INFO %s\n" % ONE,
        b'["tag",1795428000,%s]\n' % ONE,
        b"%s in 3 ms\n" % ONE,
        b'{"a":1,\n' + ONE,
        b"started, listening\non 80, 81\n",
        b"a,b\nc\n",
    ],
)
@sizes
def test_a_log_of_lines_stays_one(text, size):
    assert framed(pieces(text, size), "log")[0]


@sizes
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_row_is_an_object_with_the_names_of_the_header(end, size):
    rows = [
        b"id,payload",
        b'1,"{""a"": 1}"',
        b'2,"{',
        b'""a"": 2}"',
        b"",
        b"3,x",
        b"id,payload",
        b'4,"{\\"a\\": 1}"',
    ]
    found = [(at, json.loads(text)) for at, text in read(end.join(rows), size)]
    assert found == [
        (2, {"id": "1", "payload": '{"a": 1}'}),
        (3, {"id": "2", "payload": '{\n"a": 2}'}),
        (6, {"id": "3", "payload": "x"}),
        (8, {"id": "4", "payload": '{"a": 1}'}),
    ]  # fmt: skip


@sizes
@pytest.mark.parametrize("row", [b'2,"bro"ken', b'2,"never closed', b"2", b"2,3,4"])
def test_a_row_whose_quotes_or_cells_are_wrong_is_kept_as_it_stands(row, size):
    found = read(b"\n".join([b"id,payload", b"1,a", row, b'3,"c"', b"4,d"]) + b"\n", size)
    assert [at for at, _ in found] == [2, 3, 4, 5]
    assert (found[1][1], json.loads(found[2][1])["payload"]) == (row, "c")


def test_a_quote_that_is_never_closed_takes_no_more_than_its_line():
    rows = b"".join(b'%d,"x"\n' % number for number in range(1000))
    found = read(b'id,payload\n1,"open\n' + rows)
    assert (len(found), found[0][1]) == (1001, b'1,"open')


@pytest.mark.parametrize("last", [b'3,"{""a', b"3"])
def test_a_last_row_that_is_not_finished_waits_for_the_rest(last):
    *_, line = framed(iter([b'id,payload\n1,"x"\n' + last]), "log")[1]
    assert (line.text, line.ended, line.cut) == (last, False, True)


@pytest.mark.parametrize("text", [b'[%s,{"a":"%s"},%s]', b"a,b\n1,%s%s\n%s"])
def test_of_an_element_that_is_too_long_the_beginning_is_kept(text):
    content = text % (ONE, b"x" * (MAX_ENVELOPE + MAX_LINE), THREE)
    lines = list(framed(pieces(content, 1 << 18), "log")[1])
    (long,) = [line for line in lines if line.too_long]
    assert (len(long.text), long.too_long > MAX_ENVELOPE, lines[-1].too_long) == (KEPT, True, 0)


def test_of_an_array_only_what_is_not_yet_whole_is_in_memory():
    element = b'{"message":"%s"},\n' % (b"x" * 10_000)

    def chunks():
        yield b"["
        for _ in range(100):
            yield element * 25
        yield b"{}]"

    tracemalloc.start()
    count = sum(1 for _ in framed(chunks(), "log")[1])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, most < 6_000_000) == (2_501, True)


def packed(*files):
    text = io.BytesIO()
    with zipfile.ZipFile(text, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return text.getvalue()


def in_log(tmp_path, content):
    path = tmp_path / "log"
    path.write_bytes(content)
    return Log(str(path))


def test_the_files_of_a_zip_are_read_one_after_the_other(tmp_path):
    content = packed(
        ("a/", b""), ("a/one", ONE), ("two.gz", gzip.compress(TWO)), ("__MACOSX/x", b"\0"), ("three", THREE)
    )
    assert [line.text for line in in_log(tmp_path, content).lines()] == [ONE, TWO, THREE]


def test_a_zip_that_cannot_be_read_is_named(tmp_path):
    content = packed(("one", ONE * 1000))
    with pytest.raises(LogError, match=r"cannot be read any further: .*zip"):
        list(in_log(tmp_path, content[:-10]).lines())
    locked = bytearray(content)
    for flags in (6, content.rindex(b"PK\x01\x02") + 8):
        locked[flags] |= 1
    with pytest.raises(LogError, match="holds one, which is encrypted"):
        list(in_log(tmp_path, bytes(locked)).lines())
    with pytest.raises(LogError, match="is binary"):
        list(in_log(tmp_path, packed(("one", b"\0\0"))).lines())


def test_positions_are_turned_into_lines_of_the_file(tmp_path):
    log = in_log(tmp_path, b"[\n%s,\n%s,%s,\n\n%s]" % (ONE, ONE, TWO, THREE))
    assert [line.number for line in log.lines()] == [1, 2, 3, 4]
    assert [log.line_at(number) for number in (1, 2, 3, 4)] == [2, 3, 3, 5]
