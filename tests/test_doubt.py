"""Doubt about what is long past: it stays, however much that is in order follows."""

from hypothesis import given
from hypothesis import strategies as st
from story import session_from

VISITS = 12
"""More than can be decided at once."""


def meeting(*lines, visits=0):
    """A meeting in which these came, and somebody else came and went so often afterwards, without any doubt."""
    at, stays = 1000.0, []
    for number in range(visits):
        stays += [f"{at} participant-joined p", f"{at + 150 + 13 * number} participant-left p"]
        at += 600 + 31 * number
    over = (f"{at} participant-left q", f"{at + 1} session-ended")
    return session_from("0 session-started", "1 participant-joined q", *lines, *stays, *over, as_of="48h")


def again(visits):
    """How sure it is that a joined came again, if so many visits follow."""
    lines = ("5 participant-joined p", "200 participant-joined p", "400 participant-left p")
    (found,) = [one for one in meeting(*lines, visits=visits).findings if one.position == 4]
    return found.code, found.confidence


def test_that_a_joined_is_a_copy_is_as_sure_however_many_visits_follow():
    said = [again(visits) for visits in range(4, VISITS)]
    assert {code for code, _ in said} == {"D105"}
    assert max(confidence for _, confidence in said) - min(confidence for _, confidence in said) < 0.03


@st.composite
def stays(draw):
    """The visits of one person, some of which lack a webhook or have one twice."""
    lines, at = [], 100
    for _ in range(draw(st.integers(5, VISITS))):
        left = at + draw(st.integers(60, 900))
        which = draw(st.sampled_from(["all", "all", "all", "again", "no left"]))
        lines.append(f"{at} participant-joined p")
        lines += [f"{(at + left) / 2} participant-joined p"] * (which == "again")
        lines += [f"{left} participant-left p"] * (which != "no left")
        at = left + draw(st.integers(40, 600))
    return lines


@given(stays())
def test_every_hypothesis_reads_each_delivery_once_and_counts_its_runs_from_one(lines):
    person = meeting(*lines).aggregates["participant", (("participant_id", "p"),)]
    received = sorted(one.position for one in person.deliveries)
    for one in (person.held, *person.alternatives):
        copies = [copy.delivered.position for copy in one.all_copies()]
        steps = [each.position for run in one.all_runs() for each in run.every]
        assert sorted([*copies, *steps]) == received
        assert [run.number for run in one.all_runs()] == list(range(1, len(one.all_runs()) + 1))
        assert {copy.run for copy in one.all_copies()} <= {run.number for run in one.all_runs()}
