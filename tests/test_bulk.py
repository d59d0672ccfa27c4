"""The collector comes seldom while much is done, and as before afterwards."""

import gc

import pytest

from tracker.bulk import SELDOM, bulk


@pytest.fixture(autouse=True)
def thresholds():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_the_collector_comes_seldom_within_it():
    with bulk():
        assert gc.get_threshold()[0] == SELDOM


def test_the_collector_is_as_before_after_it_and_after_an_error_in_it():
    gc.set_threshold(700, 9, 8)
    with pytest.raises(ZeroDivisionError), bulk():
        1 / 0  # noqa: B018 - for its error
    assert (gc.get_threshold(), gc.get_freeze_count()) == ((700, 9, 8), 0)


def test_the_inner_of_two_leaves_the_collector_to_the_outer():
    with bulk():
        with bulk():
            pass
        assert gc.get_threshold()[0] == SELDOM


def test_a_collector_that_is_off_stays_off():
    gc.set_threshold(0)
    with bulk():
        assert gc.get_threshold()[0] == 0
