"""A file that is not derived is made once, and one that is not ours is refused."""

import sqlite3
from contextlib import closing

import attrs
import pytest
from published import Published, finding

from projections.alerts.database import alerts_file
from projections.views.publications import PUBLISHED_DB, reader
from tracker.errors import StoreDamagedError, StoreVersionError
from tracker.store.kept import Kept


@attrs.frozen
class MadeMeanwhile:
    """A connection to a file that another process makes after the first statement."""

    connection: sqlite3.Connection
    file: object

    def execute(self, statement):
        rows = self.connection.execute(statement).fetchall()
        with self.file.to_write():
            pass
        return Rows(rows)


@attrs.frozen
class Rows:
    rows: list

    def fetchall(self):
        return self.rows


def test_a_file_that_is_made_meanwhile_is_not_taken_for_another_programs(tmp_path):
    file = alerts_file(tmp_path)
    file.path.touch()
    with closing(sqlite3.connect(file.path, isolation_level=None)) as connection:
        assert file.is_made(MadeMeanwhile(connection, file)) is False
        assert file.is_made(connection) is True


def test_a_database_of_another_program_is_refused(tmp_path):
    file = alerts_file(tmp_path)
    with closing(sqlite3.connect(file.path)) as connection:
        connection.execute("CREATE TABLE another (x)")
    with pytest.raises(StoreDamagedError, match="is a database of another program"), file.to_write():
        pass


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    file = alerts_file(tmp_path)
    with closing(sqlite3.connect(file.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreVersionError, match="format 99, this one knows"), file.to_write():
        pass


def test_what_is_no_database_is_refused_and_kept(tmp_path):
    file = alerts_file(tmp_path)
    file.path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreDamagedError) as error, file.to_write():
        pass
    assert error.value.hint.startswith("restore it from a backup")
    assert file.path.read_bytes().startswith(b"not a database")


def of_the_first_format(path):
    """A file as the first version wrote it, with one row."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE kept (name)")
        connection.execute("INSERT INTO kept VALUES ('a')")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()


@pytest.mark.parametrize("open_it", [Kept.to_read, Kept.to_write])
def test_a_file_of_an_older_version_gets_the_tables_of_this_one_and_keeps_its_rows(tmp_path, open_it):
    upgrades = (("ALTER TABLE kept ADD COLUMN age",), ("ALTER TABLE kept ADD COLUMN size",))
    file = Kept(tmp_path / "kept.db", pytest.fail, "", upgrades)
    of_the_first_format(file.path)

    for _ in range(2):
        with open_it(file) as connection:
            assert connection.execute("SELECT name, age, size FROM kept").fetchall() == [("a", None, None)]


def test_who_reads_an_older_file_does_not_change_it(tmp_path):
    file = Kept(tmp_path / "kept.db", pytest.fail, "", (("ALTER TABLE kept ADD COLUMN age",),))
    of_the_first_format(file.path)
    before = file.path.read_bytes()

    with file.to_read() as connection:
        assert connection.execute("SELECT * FROM kept").fetchall() == [("a", None)]
    assert file.path.read_bytes() == before


def test_publications_of_the_first_version_are_read(tmp_path):
    path = tmp_path / PUBLISHED_DB
    Published(tmp_path).hold(finding())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE publications DROP COLUMN account")
        connection.execute("PRAGMA user_version = 1")

    Published(tmp_path).hold(finding(account="acme"))
    with reader(path) as published:
        assert [one.shown[-1] for one in published.held(["error"])] == ["acme"]
