"""What a run of kills would notice: webhooks that are lost, that moved, that are there twice or that nobody sent."""

from contextlib import closing
from itertools import islice

import pytest
from meetings import webhook
from stores import opened
from traffic import Answers, contradictions, numbered

from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse

BODIES = [webhook("session-started", sessionId="s", meetingId="m"), b"no json", b'{"broken": }']
ONE, TWO, THREE = (body for body, _ in islice(numbered(BODIES), 3))


def problems(data, stored, acknowledged, sent=(ONE, TWO, THREE)):
    """What is said of a store with these bodies, when these positions were answered."""
    with closing(opened(data, create=True)) as store:
        store.append([parse(Received(body), 0) for body in stored])
    return contradictions(data, 0, Answers(sent=set(sent), stored=dict(acknowledged)))


def test_no_two_bodies_are_alike():
    made = [body for body, _ in islice(numbered(BODIES), 300)] + [
        body for body, _ in islice(numbered(BODIES, "b"), 300)
    ]

    assert len(set(made)) == 600


@pytest.mark.parametrize("stored", [[ONE, TWO], [ONE, TWO, THREE]])
def test_what_was_acknowledged_is_there_and_what_was_not_may_be(tmp_path, stored):
    assert problems(tmp_path, stored, {1: ONE, 2: TWO}) == []


@pytest.mark.parametrize(
    ("stored", "acknowledged", "words"),
    [
        ([ONE], {1: ONE, 2: TWO}, "1 acknowledged webhooks are not where they were said to be"),
        ([TWO, ONE], {1: ONE, 2: TWO}, "2 acknowledged webhooks are not where they were said to be"),
        ([ONE] * 60, {1: ONE}, "1 webhooks were stored more than once"),
        ([ONE, TWO, TWO], {1: ONE}, "1 webhooks were stored more than once"),
        ([ONE, b"{}"], {1: ONE}, "1 were stored and not sent"),
    ],
)
def test_anything_else_is_reported(tmp_path, stored, acknowledged, words):
    assert problems(tmp_path, stored, acknowledged) == [words]


def test_a_position_that_was_given_twice_is_reported(tmp_path):
    answers = Answers()
    for body in (ONE, TWO):
        answers.take(body, 204, 1)

    assert answers.twice == 1
