"""Times, durations and lists in sentences; and the words that the sources do not use."""

import re
from pathlib import Path

import pytest
from story import moment

from tracker.judging.hypothesis import micros
from tracker.judging.words import clock, duration, listed

ROOT = Path(__file__).parents[1]
PRIVATE = re.compile(
    r"(?i)(?<![a-z])(un)?(told|heard|hears?|hearing)(?![a-z])"
    r"|reproach|blam(e|ing)|accus|witness|deserted|(?<![a-z])rival|doubled|dearer|cheap(er|est)"
    r"|(?<![.a-z])echo(es|ed)?(?![a-z])|lifecycle\.(frame|visits)\b|(frame|visits)=True"
)
"""Words that had a meaning of their own in this program, and now have a standard term."""
ALLOWED = {
    "tracker/simulate/truth.py": {"told"},  # a key of the truth file
    "examples/reference/commands.md": {"told", "echo"},  # the same, and a command of the shell
    "examples/reference/http.md": {"echo"},
    "examples/reference/log-format.md": {"echo"},
    "README.md": {"echo"},
}
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("tracker", "projections")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".html", ".svg", ".js", ".css"}
]
PAGES = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("README.md", ".github/*.md", "examples/**/*.md", "examples/*.py")
    for path in sorted(ROOT.glob(pattern))
]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0.25, "0.25 s"),
        (59, "59 s"),
        (59.96, "1 min"),
        (60, "1 min"),
        (116, "2 min"),
        (296, "5 min"),
        (3599, "1 h"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (86_399, "1 d"),
        (86_400, "1 d"),
        (90_061, "1 d 1 h"),
        (172_799, "2 d"),
    ],
)
def test_a_duration_is_said_in_two_units_at_most(seconds, words):
    assert duration(int(seconds * 1_000_000)) == words


def test_a_duration_that_is_not_known_is_some_time():
    assert duration(None) == "some time"


def test_a_time_of_day_has_its_date_where_the_other_one_in_the_sentence_is_of_another_day():
    noon, night = micros(moment(0)), micros(moment("20h"))
    assert clock(noon) == clock(noon, noon) == "12:00:00 UTC"
    assert clock(noon, night) == "2026-01-05 12:00:00 UTC"
    assert clock(None, noon) == "an unknown time"


@pytest.mark.parametrize(
    ("names", "words"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_listed_as_one_says_them(names, words):
    assert listed(names) == words


def test_a_source_or_a_page_uses_no_private_word():
    private = {
        source: private_words(text_of(source)) - ALLOWED.get(source, set()) for source in (*SOURCES, *PAGES)
    }
    assert {source: words for source, words in private.items() if words} == {}


def private_words(text):
    return {match[0].lower() for match in PRIVATE.finditer(text)}


def text_of(source):
    return (ROOT / source).read_text(encoding="utf-8")


def test_a_word_is_allowed_only_where_it_is_used():
    texts = {source: text_of(source) for source in ALLOWED}
    assert {
        source: words for source, words in ALLOWED.items() if not all(map(texts[source].count, words))
    } == {}
