"""Why a session is judged so: what is held, what that assumes, what else may have happened."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from story import RULES, deliveries, moment
from tries import tries

from projections.explain.explanation import TWO_NUMBERS, explain, price_table, values
from projections.reports import explain as report
from tracker.judging.prices import CONFIDENCE_IN_COPIES, CONFIDENCE_IN_FAULTS, PRICES, calibrated
from tracker.rules import Rules

MEETING = (
    "0 session-started",
    "3 participant-joined p participantName=Ann",
    "60 recording-starting",
    "63 recording-started",
    "900 recording-stopping",
    "930 recording-stopped fileUrl=https://files/a.mp4",
    "990 participant-left p participantName=Ann",
    "995 session-ended",
)
TWO_READINGS = ("0 session-started", "1 participant-joined p", "60m participant-joined p")


def explained(*lines, as_of="14h"):
    received = deliveries(*lines)
    return explain(received, RULES, moment(as_of) if received[0].received_at else None)


def without(*left_out):
    return [line for number, line in enumerate(MEETING, 1) if number not in left_out]


def assumed(*lines):
    """What had to be assumed of the aggregates: the names of the prices with the positions."""
    return [
        f"{one.name} {'+'.join(map(str, one.positions))}"
        for aggregate in explained(*lines).aggregates
        for one in aggregate.held.assumed
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (MEETING, []),
        ([*MEETING[:2], "60 recording-started", "63 recording-starting", *MEETING[4:]], ["late 3+4"]),
        ([*MEETING[:4], "200 recording-started", *MEETING[4:]], ["copy 4+5"]),
        ([*MEETING[:4], "65 recording-started", *MEETING[4:]], ["copy at once 4+5"]),
        (without(4), ["S202 3+4"]),
        (without(3), ["S201 3"]),
        (without(7), ["X404 2"]),
        (without(6), ["X403 5"]),
        (without(5), ["S203 4+5"]),
        (without(2), ["S212 6"]),
        ([*MEETING[:2], "9 participant-left q participantName=Bo", *MEETING[2:]], ["S212 3"]),
        ([*MEETING[:6], "940 recording-stopped fileUrl=https://files/b.mp4", *MEETING[6:]], ["C516 6+7"]),
    ],
)  # fmt: skip
def test_what_had_to_be_assumed_is_named_with_its_deliveries(lines, expected):
    assert assumed(*lines) == expected


def test_an_alternative_says_what_it_takes_deliveries_for_and_what_it_would_find():
    (one,) = explained(*TWO_READINGS, as_of="61m").aggregates
    (alternative,) = one.alternatives
    assert [found.code for found in one.findings] == ["S213"]
    assert [(each.positions, each.words) for each in alternative.differs] == [((3,), "a copy: #3 of #2")]
    assert (alternative.finds, alternative.price > one.held.price) == ((), True)


def test_the_confidence_of_a_finding_follows_from_the_probability_of_what_is_held():
    (one,) = explained(*TWO_READINGS, as_of="61m").aggregates
    share = one.held.probability  # the others find nothing
    confidence = calibrated(share, CONFIDENCE_IN_COPIES) * calibrated(1, CONFIDENCE_IN_FAULTS)
    assert one.findings[0].confidence == pytest.approx(confidence, abs=0.001)
    assert one.held.probability + sum(
        alternative.probability for alternative in one.alternatives
    ) == pytest.approx(1)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (without(4), "had recording-started come after #3, S202 would not be found"),
        (without(3), "had recording-starting come before #3, S201 would not be found"),
        (without(6), "had recording-stopped come after #5, X403 would not be found"),
        (without(2), "had participant-joined come before #6, S212 would not be found"),
        (without(4, 6), ""),
    ],
)
def test_the_counterfactual_is_a_sentence_where_one_thing_is_missing(lines, expected):
    assert [one.counterfactual for one in explained(*lines).aggregates] == [expected]


def test_what_is_no_aggregates_is_among_the_others():
    found = explained(*MEETING[:6], "940 recording-paused", *MEETING[6:])
    assert [(one.code, one.lifecycle) for one in found.others] == [("C509", None)]


def test_the_gravest_comes_first():
    found = explained(*without(6, 7))
    assert [one.aggregate.lifecycle.name for one in found.aggregates] == ["recording", "participant"]


def test_of_nothing_there_is_no_explanation():
    assert explain([], RULES) is None


@st.composite
def troubled(draw):
    """A meeting in which up to three deliveries were lost, moved or came again."""
    lines = list(MEETING)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["lose", "move", "copy"]))
        line = lines[place] if kind == "copy" else lines.pop(place)
        if kind != "lose":
            second = float(line.split(" ")[0]) + draw(st.sampled_from([1, 5, 60, 300, 1500]))
            lines.append(f"{second} {line.split(' ', 1)[1]}")
        lines.sort(key=lambda one: float(one.split(" ")[0]))
    return deliveries(*lines)


@st.composite
def through_two_channels(draw):
    """The same meeting, in which nearly everything comes twice."""
    lines = list(MEETING)
    for line in MEETING:
        if draw(st.integers(0, 9)):
            second = float(line.split(" ")[0]) + draw(st.sampled_from([40, 41, 45]))
            lines.append(f"{second} {line.split(' ', 1)[1]}")
    return deliveries(*sorted(lines, key=lambda one: float(one.split(" ")[0])))


@tries(150)
@given(st.one_of(troubled(), through_two_channels()))
def test_what_is_assumed_adds_up_to_the_price(received):
    for one in explain(received, RULES, received[-1].received_at).aggregates:
        for account in (one.held, *one.alternatives):
            assert sum(each.price for each in account.assumed) == pytest.approx(account.price)
            assert all(each.price > -0.01 for each in account.assumed)


@tries(50)
@given(troubled())
def test_what_the_held_hypothesis_finds_is_found(received):
    for one in explain(received, RULES, received[-1].received_at).aggregates:
        assert {code for code, _ in one.held.finds} <= {found.code for found in one.findings}


@tries(20)
@given(troubled())
def test_the_same_deliveries_give_the_same_explanation(received):
    assert values(explain(received, RULES)) == values(explain(received, RULES))


def test_the_values_name_every_delivery_of_a_run_and_every_copy():
    again = explained(*MEETING[:4], "200 recording-started", *MEETING[4:])
    (one,) = values(again)["aggregates"]
    (run,) = one["held"]["runs"]
    assert [(step["step"], step["position"]) for step in run["steps"]] == [
        ("starting", 3),
        ("started", 4),
        ("stopping", 6),
        ("stopped", 7),
    ]
    assert one["held"]["copies"] == [{"position": 5, "of": 4, "run": 1, "certain": False, "price": 4.0}]


def test_without_receive_times_nothing_is_said_of_time():
    untimed = [line.replace(line.split(" ")[0], "-", 1) for line in without(4)]
    (one,) = values(explained(*untimed))["aggregates"]
    assert {step["at"] for step in one["held"]["runs"][0]["steps"]} == {None}


def test_the_price_table_has_every_price_and_those_that_were_set():
    table = {row["name"]: row["price"] for row in price_table(Rules(prices={"S207": 3.0}))}
    assert list(table) == list(PRICES)
    assert (table["S207"], table["S201"]) == (3.0, PRICES["S201"].value)


def printed(show, *arguments):
    out = Console(file=io.StringIO(), width=100, highlight=False, no_color=True)
    show(out, *arguments)
    return out.file.getvalue()


def test_an_explanation_is_reported_in_words():
    out = printed(report.explanation, explained(*TWO_READINGS, as_of="61m"))
    for words in (
        "held    price 5.0, probability 66 %",
        "run 1   joined #2 12:00:01; its end never came",
        "assumed 5.0  S213 the left of a visit was lost",
        "or      price 5.6, probability 34 %",
        "a copy: #3 of #2",
        "would find nothing",
    ):
        assert words in out


def test_where_a_finding_says_how_sure_it_is_it_is_said_why_that_is_no_probability():
    assert TWO_NUMBERS in " ".join(printed(report.explanation, explained(*TWO_READINGS, as_of="61m")).split())
    assert TWO_NUMBERS not in " ".join(printed(report.explanation, explained(*MEETING)).split())


def test_where_only_the_delivery_was_not_in_order_nothing_is_wrong():
    out = printed(report.explanation, explained(*MEETING[:4], "65 recording-started", *MEETING[4:]))
    assert "nothing is wrong, only the delivery was not in order" in out


def test_where_a_copy_is_doubtful_it_is_said_that_probably_nothing_is_wrong():
    again = ("1380.2 recording-starting", "1383.2 recording-started")
    recorded = (
        "10m recording-starting",
        "603 recording-started",
        "660 recording-stopping",
        "665 recording-stopped filePath=/1",
    )
    lines = ("0 session-started", *recorded, *again, "1h session-ended")
    out = printed(report.explanation, explained(*lines, as_of="9h"))
    assert "probably nothing is wrong (D105), only the delivery was not in order" in out


def test_where_what_came_again_is_rather_no_copy_nothing_is_said_to_be_right():
    lines = (
        *(
            "0 session-started",
            "1 participant-joined q",
            "2644 participant-left p",
            "2652 participant-joined p",
        ),
        *("3597 participant-left p", "3598 participant-left q", "1h session-ended"),
    )
    out = " ".join(printed(report.explanation, explained(*lines, as_of="9h")).split())
    assert "something may be wrong (D105): what came again is more probably a step of another run" in out
    assert "nothing is wrong" not in out


def test_where_something_is_still_open_nothing_is_said_to_be_right():
    out = printed(report.explanation, explained(*without(6), as_of="1000"))
    assert ("not yet over: recording was stopping" in out, "nothing is wrong" in out) == (True, False)


def test_the_price_table_is_reported_with_what_is_assumed():
    out = " ".join(printed(report.prices, price_table(Rules(prices={"S207": 3.0}))).split())
    assert all(price.assumed.split("`")[0].split(",")[0] in out for price in PRICES.values())
    assert "(8 without tracker.toml)" in out


def test_every_price_has_a_sentence_of_its_own():
    words = [price.assumed for price in PRICES.values()]
    assert len(words) == len(set(words))


def test_a_long_aggregate_is_shortened_to_the_runs_with_findings():
    lines = ["0 session-started"]
    for number in range(120):
        lines += [f"{100 * number + 1} participant-joined p", f"{100 * number + 60} participant-left p"]
    del lines[20]
    out = printed(report.explanation, explained(*lines, as_of="12000"))
    assert out.count("  run ") < 10
