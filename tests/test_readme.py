"""The README is a door: short, and with the two commands that set everything up."""

import re

from documents import README, SETUP, blocks

LINES, BYTES = 230, 11 * 1024


def test_it_is_short():
    text = README.read_bytes()
    assert text.count(b"\n") <= LINES
    assert len(text) <= BYTES


def test_two_commands_do_all_the_set_up():
    commands = [block.body for block in blocks(README, "bash") if "pip install" in block.body]
    assert [bool(SETUP.match(body)) for body in commands] == [True, True]
    assert [re.findall("ingest|audit|pytest", body) for body in commands] == [["ingest", "audit"], ["pytest"]]


def test_the_first_thing_it_shows_is_how_to_find_a_recording_that_is_missing():
    commands = [block.body for block in blocks(README, "bash")][:4]
    assert [re.findall(r"recordings|tracker (?:status|explain)", body) for body in commands[1:]] == [
        ["recordings"],
        ["tracker status"],
        ["tracker explain"],
    ]
