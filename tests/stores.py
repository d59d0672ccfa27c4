"""Where the stores of a test are: in files, or as schemas of a PostgreSQL server that the tests start themselves.

``each_store`` chooses. It sets ``ON_A_SERVER``, which other processes inherit, so that ``opened(data)`` means
the same store in each of them. For their sake what takes long to import is imported where it is needed.
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

import ports
from waiting import BOUND

from tracker.store.application import Tracker

ON_A_SERVER = "TRACKER_TESTS_ON_A_SERVER"
"""The variable that holds the address of the server that stores are on."""
REQUIRED = "TRACKER_TESTS_NEED_POSTGRES"
"""The variable that CI sets: there, what cannot be tried has failed."""
PASSWORD = "p@ss/w:rd%1"
UNASKED = "unasked"
"""Who may do all and is asked for no password, which takes more time than most of what is tested."""


def address(data):
    """The URL of the store of a data directory, ``None`` where it is a file."""
    server = os.environ.get(ON_A_SERVER)
    return f"{server}?options=-csearch_path%3D{schema(data)}" if server else None


def schema(data):
    return "t" + blake2b(str(data).encode(), digest_size=8).hexdigest()


def opened(data, *, create=False):
    """The store of a data directory, wherever the stores of this test are."""
    url = address(data)
    if url is not None and create:
        with query(os.environ[ON_A_SERVER]) as connection:
            connection.execute("SELECT pg_advisory_lock(1)")  # of two at once, IF NOT EXISTS fails one
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema(data)}")
        Path(data).mkdir(parents=True, exist_ok=True)  # tests put things where read models will be
    return Tracker.open(Path(data), url, create=create)


def arguments(data, views=None):
    """How a command is given the store of a data directory; on a server its read models may be elsewhere."""
    url = address(data)
    if url is None:
        return ["--data", str(data)]
    opened(data, create=True).close()
    return ["--data", str(views or data), "--store", url]


@contextmanager
def locked(data):
    """While another process writes."""
    url = address(data)
    if url is None:
        with closing(sqlite3.connect(Path(data) / "events.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
        return
    with query(url) as other, other.transaction():
        other.execute("LOCK TABLE stored_events IN EXCLUSIVE MODE")
        yield


@contextmanager
def query(url):
    import psycopg

    with closing(psycopg.connect(url, autocommit=True)) as connection:
        yield connection


def programs():
    """Where the server's programs are."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    beside = shutil.which("initdb")
    paths = [*([Path(beside)] if beside else []), *found]
    if not paths:
        import pytest

        reason = "there is no PostgreSQL server: apt-get install postgresql"
        if os.environ.get(REQUIRED):
            pytest.fail(reason)
        pytest.skip(reason)
    return paths[0].parent


class Server:
    """A PostgreSQL server of our own, at a free port of this machine."""

    def __init__(self, *settings):
        self.bin = programs()
        self.place = Path(tempfile.mkdtemp(prefix="tracker-postgres-"))
        self.user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        if self.user:
            shutil.chown(self.place, "nobody", "nogroup")
        password = self.place / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self.data = self.place / "data"
        self._run("initdb", "-D", self.data, "-U", "tracker", "-A", "scram-sha-256", f"--pwfile={password}",
                  "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")  # fmt: skip
        self.port = ports.free()
        lines = ["listen_addresses = '127.0.0.1'", f"port = {self.port}", f"unix_socket_directories = '{self.place}'",
                 "fsync = off", "max_connections = 200", "log_min_messages = fatal", *settings]  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        file = self.data / "pg_hba.conf"
        self.rules = f"host all {UNASKED} 127.0.0.1/32 trust\n{file.read_text()}"
        file.write_text(self.rules)
        self.watch = self._watched()
        self.start()
        with query(self.url()) as connection:
            connection.execute(f"CREATE ROLE {UNASKED} SUPERUSER LOGIN")

    def url(self, database="postgres", user="tracker", password=PASSWORD, host="127.0.0.1", more=""):
        return f"postgresql://{user}:{quote(password, safe='')}@{host}:{self.port}/{database}{more}"

    def start(self):
        self._run("pg_ctl", "-D", self.data, "-w", "-l", self.place / "log", "start")

    def stop(self, mode="fast"):
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def allow(self, *lines):
        """Lets in who these lines of ``pg_hba.conf`` let in."""
        (self.data / "pg_hba.conf").write_text("".join(f"{line}\n" for line in lines))
        self._run("pg_ctl", "-D", self.data, "reload")

    def lets_in(self):
        import psycopg

        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def remove(self):
        self.watch.communicate()

    def _watched(self):
        """A process that ends the server and removes its files when we let go of it, also by being killed."""
        stop = f"read -r _; {self.bin}/pg_ctl -D {self.data} -m immediate stop; rm -rf {self.place}"
        return subprocess.Popen(
            ["sh", "-c", stop], **self.user, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _run(self, program, *given):
        command = [str(self.bin / program), *map(str, given)]
        done = subprocess.run(
            command, **self.user, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=BOUND,
        ) if program != "pg_ctl" or "start" not in given else subprocess.run(
            command, **self.user, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False, timeout=BOUND,
        )  # fmt: skip
        if done.returncode:
            log = self.place / "log"
            raise RuntimeError(done.stdout or (log.read_text() if log.exists() else program))


@contextmanager
def server(*settings):
    running = Server(*settings)
    try:
        yield running
    finally:
        running.remove()


def change(store, statement, *values):
    """Changes a store by hand; gives how many rows."""
    url = address(store.data)
    if url is None:
        with closing(sqlite3.connect(store.place)) as db, db:
            return db.execute(statement, values).rowcount
    with query(url) as connection:
        return connection.execute(statement.replace("?", "%s").encode(), values).rowcount
