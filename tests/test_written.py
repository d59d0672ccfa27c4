"""Of a large session only the rows are written that differ, and what is there is what would be there anyway."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tries import tries

from projections.read_models import names
from projections.views import written
from projections.views.written import Written

rows_of_one = st.sets(st.tuples(st.sampled_from("pqr"), st.sampled_from(["Ada", "Bo", "Ché"])), max_size=6)
writes = st.lists(st.dictionaries(st.sampled_from("st"), rows_of_one, min_size=1), max_size=8)


def made():
    db = sqlite3.connect(":memory:", isolation_level=None)
    columns = ", ".join(names.TABLE.columns)
    db.execute(f"CREATE TABLE names ({columns}, PRIMARY KEY ({columns}))")
    return db


def contents(db):
    return sorted(db.execute("SELECT * FROM names"))


@given(steps=writes, large=st.sampled_from([1, 3, 100]), most=st.sampled_from([0, 4, 1000]))
@tries(60)
def test_whatever_is_written_what_was_written_last_of_each_session_is_there(steps, large, most):
    held, expected = Written(), {}
    with closing(made()) as db, pytest.MonkeyPatch.context() as patch:
        patch.setattr(written, "LARGE", large)
        patch.setattr(written, "MOST", most)
        for step in steps:
            its = {stream: [(stream, *row) for row in rows] for stream, rows in step.items()}
            held.replace(db, names.TABLE, its, [one for one in its if one not in expected])
            held.prune()
            expected |= its
            assert contents(db) == sorted(row for rows in expected.values() for row in rows)


def test_of_a_large_session_only_what_differs_is_written(monkeypatch):
    monkeypatch.setattr(written, "LARGE", 3)
    held, many = Written(), [("s", str(number), "Ada") for number in range(50)]
    with closing(made()) as db:
        held.replace(db, names.TABLE, {"s": many})
        before = db.total_changes
        held.replace(db, names.TABLE, {"s": [*many[1:], ("s", "new", "Bo")]})
        assert (db.total_changes - before, len(contents(db))) == (2, 50)


def test_no_more_is_kept_than_is_to_be(monkeypatch):
    monkeypatch.setattr(written, "LARGE", 1)
    monkeypatch.setattr(written, "MOST", 2)
    held = Written()
    with closing(made()) as db:
        for stream in "abc":
            held.replace(db, names.TABLE, {stream: [(stream, "p", "Ada")]})
            held.keep_readings({stream: {1: ("read",)}})
            held.prune()

    assert (held.readings("abc"), held.readings("a")) == ({1: ("read",)}, {})
    assert list(held._rows) == [("b", "names"), ("c", "names")]
