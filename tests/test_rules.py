from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from projections.given import rules as given_rules
from tracker.config import Config, load_config
from tracker.errors import RulesError
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.prices import PRICES, by_age, by_delay
from tracker.rules import WINDOWS, Rules

DURATIONS = sorted(WINDOWS)


@pytest.fixture
def rules_of(tmp_path):
    def rules_of(text):
        path = tmp_path / "tracker.toml"
        path.write_text(text, encoding="utf-8")
        return load_config(path).rules

    return rules_of


def test_a_file_that_says_nothing_leaves_every_rule_as_it_is(rules_of):
    assert rules_of("") == rules_of("[rules]") == Rules()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ('"20 min"', 1200),
        ('"10 s"', 10),
        ('"10s"', 10),
        ('"1.5 h"', 5400),
        ('"2 d"', 172_800),
        ('"2 w"', 1_209_600),
        ('"250 ms"', 0.25),
        ("90", 90),
        ("0.5", 0.5),
        ("0", 0),
    ],
)
def test_a_duration_is_a_number_with_its_unit_or_of_seconds(rules_of, written, seconds):
    for name in DURATIONS:
        changed = replace(Rules(), **{name: timedelta(seconds=seconds)})
        assert rules_of(f"[rules]\n{name} = {written}") == changed


@pytest.mark.parametrize(
    "written",
    [
        '"soon"',
        '"-5 s"',
        "-5",
        '"5 weeks"',
        "true",
        "[]",
        '""',
        "inf",
        "nan",
        "1e30",
        '"366 d"',
        '"99999999999999 d"',
        "1" + "0" * 400,
    ],
)
def test_what_is_no_duration_is_refused_and_named(rules_of, written):
    with pytest.raises(RulesError, match=r"grace = .* is no duration") as refused:
        rules_of(f"[rules]\ngrace = {written}")
    assert refused.value.hint
    assert refused.value.place.endswith("tracker.toml:2")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("rules = 3", "rules is no table", "write [rules]"),
        ("data = 3", "data is no path", "write data = "),
        ("[rule]", "no setting 'rule'", "did you mean rules?"),
        ("[rules", "is not TOML", "write data = "),
        ("[rules]\nredelivry = 3", "no rule 'redelivry'", "did you mean redelivery?"),
        ("[rules]\nzzz = 3", "no rule 'zzz'", "known: redelivery"),
        ("[rules]\nseverity = 3", "severity is no table", "[rules.severity]"),
        ('[rules.severity]\nS230 = "info"', "no code 'S230'", "did you mean S2"),
        ('[rules.severity]\nS203 = "fatal"', "severity of S203 is 'fatal'", "choose info, warning, error"),
        ("[rules.severity]\nS203 = []", "severity of S203 is []", "choose info, warning, error"),
        ("prices = 3", "prices is no table", "write [prices]"),
        ("[prices]\nS270 = 3", "no price 'S270'", "did you mean S2"),
        ("[prices]\nS207 = 101", "the price of S207 is 101", "a number from 0 to 100"),
        ("[prices]\nS207 = -1", "the price of S207 is -1", "a number from 0 to 100"),
        ("[prices]\nS207 = nan", "the price of S207 is nan", "a number from 0 to 100"),
        ("[prices]\nS207 = true", "the price of S207 is True", "a number from 0 to 100"),
        ('[prices]\nS207 = "8"', "the price of S207 is '8'", "a number from 0 to 100"),
    ],
)
def test_a_rules_file_that_is_none_says_what_is_wrong_and_what_to_do(rules_of, text, message, hint):
    with pytest.raises(RulesError) as refused:
        rules_of(text)
    assert message in refused.value.message
    assert hint in refused.value.hint


GOOD = '[[accept]]\ncode = "S203"\nreason = "known"\n\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# the rules\n[rules]\n\nredelivry = 3", ":4"),
        ("[rules]\ngrace = 2\nredelivery = 'long'", ":3"),
        ("# no redelivry\n[rules]\nredelivry = 3", ""),  # it may be either line
        (f'{GOOD}{GOOD}[[accept]]\ncode = "S999"\nreason = "S203"', ":10"),
        (f'{GOOD}{GOOD}[[accept]]\ncode = "S203"\n{GOOD}', ":9"),
        ('accept = [{code = "S203"}]', ""),
        (f'data = """\n[[accept]]\n"""\n{GOOD}[[accept]]\ncode = "S203"', ""),
    ],
)
def test_an_error_names_the_line_where_that_is_certain(tmp_path, text, line):
    file = tmp_path / "tracker.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RulesError) as refused:
        load_config(file)
    assert refused.value.place == f"{file}{line}"


def test_an_unknown_lifecycle_is_named_with_its_line(tmp_path):
    file = tmp_path / "tracker.toml"
    file.write_text(f'{GOOD}{GOOD}[[accept]]\ncode = "S203"\nreason = "x"\nlifecycle = "recroding"', "utf-8")
    with pytest.raises(RulesError) as refused:
        given_rules(file)
    assert refused.value.place == f"{file}:12"


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent.toml", "there is no such file"), ("binary.toml", "cannot be read"), (".", "cannot be read")],
)
def test_a_rules_file_that_is_not_there_or_no_text_is_refused(tmp_path, name, message):
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    with pytest.raises(RulesError, match=message):
        load_config(tmp_path / name)


def test_a_relative_store_is_found_from_the_file_that_names_it(tmp_path):
    (tmp_path / "tracker.toml").write_text('data = "store"', encoding="utf-8")
    assert load_config(tmp_path / "tracker.toml") == Config(tmp_path / "store")


def test_a_severity_is_the_catalogue_s_unless_a_rule_says_otherwise(rules_of):
    rules = rules_of('[rules.severity]\nS203 = "info"')
    assert rules.severity_of(CATALOGUE["S203"]) == "info"
    assert rules.severity_of(CATALOGUE["S204"]) == CATALOGUE["S204"].severity


def test_a_price_is_that_of_the_table_unless_a_rule_says_otherwise(rules_of):
    assert Rules().price_list == {name: price.value for name, price in PRICES.items()}
    for name in PRICES:
        rules = rules_of(f'[prices]\n"{name}" = 7.5')
        assert rules.price_list == {**Rules().price_list, name: 7.5}


def test_every_price_says_what_is_assumed_and_is_none_below_nothing():
    assert all(price.assumed and price.value >= 0 for price in PRICES.values())
    assert all(name in CATALOGUE for name in PRICES if name[1:].isdigit())


@pytest.mark.parametrize("name", DURATIONS)
def test_a_window_is_known_in_microseconds(name):
    assert getattr(Rules().windows, name) == getattr(Rules(), name) // timedelta(microseconds=1)


def test_an_old_copy_and_a_late_step_cost_more_up_to_a_limit():
    assert by_age(4, 1200, 1200) == 4 < by_age(4, 2400, 1200) < by_age(4, 10**9, 1200) == 7
    assert by_delay(1, 120, 120) == 1 < by_delay(1, 240, 120) < by_delay(1, 10**9, 120) == 6


@given(st.sampled_from(DURATIONS), st.integers(1, 10**6))
def test_the_fingerprint_changes_with_every_rule_and_with_nothing_else(name, more):
    changed = replace(Rules(), **{name: getattr(Rules(), name) + timedelta(microseconds=more)})
    assert changed.fingerprint() != Rules().fingerprint() == Rules().fingerprint()
    assert len(changed.fingerprint()) == 16


def test_the_fingerprint_changes_with_a_price():
    assert Rules(prices={"S207": 9}).fingerprint() != Rules().fingerprint()


def test_the_fingerprint_changes_with_a_severity():
    assert Rules(severity={"S203": "info"}).fingerprint() != Rules().fingerprint()
