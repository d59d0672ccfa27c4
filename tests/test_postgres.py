"""A store on a server: what only a server can do, and what goes wrong with one. Each time with a real one."""

import random
import re
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import attrs
import commands
import fleet
import keys
import meetings
import psycopg
import pytest
import stores
from eventsourcing.persistence import Tracking
from meetings import MORNING, webhook
from msgspec.structs import replace
from stores import PASSWORD, address, change, opened, query
from traffic import bodies
from waiting import BOUND, until

from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse
from tracker.errors import StoreDamagedError, StoreError, StoreMissingError, StoreVersionError, UsageError
from tracker.intake.erasing import carry_out, of_participant
from tracker.intake.receiver import SOURCE
from tracker.store.application import Tracker
from tracker.store.postgres import _INSERT, _columns
from tracker.store.postgres_errors import postgres_error
from tracker.store.recorder import SourcePosition

MONDAY = Path(__file__).parents[1] / "examples" / "bad_monday.jsonl"
MAKE = """
import sys
from stores import address
from projections.cli import main
#go
main(["init-store", "--data", sys.argv[1], "--store", address(sys.argv[1])])
"""


@pytest.fixture
def data(postgres, monkeypatch, tmp_path):
    """The data directory of a store on the server."""
    monkeypatch.setenv(stores.ON_A_SERVER, postgres.url())
    return tmp_path / "data"


@pytest.fixture
def store(data):
    with closing(opened(data, create=True)) as made:
        yield made


@pytest.fixture(scope="module")
def another():
    with stores.server() as running:
        yield running


@pytest.fixture
def own(another):
    """A server that a test may stop, as long as it starts it again, and change."""
    yield another
    another.allow(another.rules)
    until(another.lets_in)


CANCELLED = "the server cancelled the statement: it took too long, or somebody stopped it"


def joined(session="s", at=None, source=""):
    body = webhook("participant-joined", sessionId=session, participantId="p")
    return parse(Received(body, at, source))


def failure(action, *arguments, **options):
    """The error an action ends with, which names no password."""
    with pytest.raises((StoreError, UsageError)) as caught:
        action(*arguments, **options)
    error = caught.value
    assert error.hint
    assert not any(secret in text for secret in (PASSWORD, quote(PASSWORD, safe=""), "secret")
                   for text in (str(error), error.hint, error.place))  # fmt: skip
    return type(error), error.message


def command(*given, **more):
    """What a command says on both streams, and its exit code."""
    return attrs.astuple(commands.run(*given, text=True, **more))


# That all is as in a file


SESSION = "6b040ea029e961d671985824"
COMMANDS = [
    ["sessions"],
    ["status", SESSION],
    ["status", SESSION, "--at", "74", "--json"],
    ["timeline", SESSION],
    ["timeline", "unrouted"],
    ["explain", SESSION],
    ["audit", "--format", "ndjson"],
    ["calibrate"],
    ["export"],
    ["export", "--session", SESSION, "--format", "csv"],
    ["verify"],
    ["rebuild"],
    ["ingest", str(MONDAY)],
]


@pytest.mark.slow
def test_every_command_says_the_same_of_a_store_on_a_server_as_of_one_in_a_file(data, store, tmp_path):
    where = (["--data", tmp_path / "file"], ["--data", data, "--store", address(data)])
    names = (str(tmp_path / "file"), store.owner)
    for given in (["ingest", str(MONDAY)], *COMMANDS):
        one, other = (
            [text.replace(name, "STORE") if isinstance(text, str) else text for text in command(*given, *more)]
            for name, more in zip(names, where, strict=True)
        )
        if given == ["rebuild"]:
            other[1] = other[1].replace(str(data), "STORE")
        if given == ["verify"]:  # which says what keeps the events
            del one[2:], other[2:]
        assert other == one, given


@pytest.mark.parametrize("said", ["before", "after", "environment", "file"])
def test_the_address_is_said_like_any_other_setting(data, store, said):
    store.append([joined()])
    url, given = address(data), ["--data", data]
    if said == "file":
        (data / "tracker.toml").write_text(f"store = '{url}'\n")
        given += ["--config", data / "tracker.toml"]
    before, after = (["--store", url] if said == place else [] for place in ("before", "after"))
    environment = {"TRACKER_STORE": url} if said == "environment" else {}
    code, out, _ = command(*before, "sessions", *given, *after, "--format", "csv", **environment)

    assert (code, len(out.splitlines())) == (0, 2)


def test_a_flag_comes_before_the_environment(data, store):
    code, _, err = command(
        "sessions", "--data", data, "--store", address(data), TRACKER_STORE="mysql://nowhere"
    )

    assert (code, err) == (0, "")


# Who may not come in


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"password": "secret"}, "the password or the user is wrong"),
        ({"password": ""}, "it asks for a password"),
        ({"user": "nobody-known"}, "the password or the user is wrong"),
        ({"database": "nowhere"}, "there is no such database"),
        ({"host": "nowhere.invalid"}, "there is no such host"),
        ({"more": "?port=1"}, "cannot be reached"),
        ({"more": "?sslmode=require"}, "the URL asks for TLS, and the server has none"),
        ({"more": "?options=-csearch_path%3Dnowhere"}, "its search_path names no schema"),
    ],
)
def test_a_server_that_lets_nobody_in_is_reported_with_a_hint_and_no_password(
    postgres, tmp_path, changed, message
):
    assert failure(Tracker.open, tmp_path, postgres.url(**changed)) == (StoreError, message)


def test_a_command_tells_it_in_two_lines_and_by_its_exit_code(postgres, tmp_path):
    code, out, err = command("sessions", "--data", tmp_path, TRACKER_STORE=postgres.url(password="secret"))

    assert (code, out) == (3, "")
    assert err.splitlines() == [
        f"error: postgresql://tracker@127.0.0.1:{postgres.port}/postgres: the password or the user is wrong",
        "hint: put it into the URL (%40 for @), into PGPASSWORD, or into ~/.pgpass",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hostssl all all 127.0.0.1/32 scram-sha-256", "it lets nobody in without TLS"),
        ("local all all scram-sha-256", "it lets nobody in without TLS"),
    ],
)
def test_a_server_that_asks_for_tls_is_reported(own, tmp_path, line, message):
    own.allow(line)

    assert failure(Tracker.open, tmp_path, own.url(more="?sslmode=disable")) == (StoreError, message)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:pass@secret@host/name",
        "postgresql://user:12/secret@host/name",
        "postgresql://user:pass/secret@host/name",
        "postgresql://user:secret%zz@host/name",
        "postgresql://user:secret@host:port/name",
        "postgresql://user:secret@host/name?nothing=known",
        "mysql://user:secret@host/name",
        "secret",
        "",
    ],
)
def test_what_is_no_address_is_reported_without_quoting_it(tmp_path, url):
    assert failure(Tracker.open, tmp_path, url)[0] is UsageError


def test_without_the_package_it_says_which_to_install(tmp_path):
    program = "import sys; sys.modules['psycopg'] = None; from projections.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "sessions", "--data", tmp_path, "--store", "postgresql://host/name"],
        capture_output=True, text=True, check=False, timeout=BOUND,
    )  # fmt: skip

    assert (done.returncode, "pip install '.[postgres]'" in done.stderr) == (2, True)


# Whose it is


def test_where_there_is_no_store_it_says_so_and_makes_none(data, postgres):
    with query(postgres.url()) as connection:
        connection.execute(f"CREATE SCHEMA {stores.schema(data)}")
    for _ in range(2):
        assert failure(opened, data) == (StoreMissingError, "there is no store")


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("table", ["theirs", "stored_events"])
def test_a_schema_of_another_program_is_reported_and_left_alone(data, postgres, create, table):
    with query(postgres.url()) as connection:
        connection.execute(f"CREATE SCHEMA {stores.schema(data)}")
        connection.execute(f"CREATE TABLE {stores.schema(data)}.{table} (a int)")
        assert failure(opened, data, create=create)[0] is StoreDamagedError
        found = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", (stores.schema(data),)
        )
        assert found.fetchall() == [(table,)]


def test_a_store_of_a_newer_version_is_reported(store):
    change(store, "COMMENT ON TABLE stored_events IS 'meeting-tracker format 5'")

    assert failure(opened, store.data) == (
        StoreVersionError,
        "was written by a newer version (format 5, this one knows 4)",
    )


def test_a_database_in_another_encoding_is_reported_before_anything_is_made(postgres, tmp_path):
    with query(postgres.url()) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        printed = failure(Tracker.open, tmp_path, postgres.url("latin"), create=True)
    finally:
        with query(postgres.url()) as connection:
            connection.execute("DROP DATABASE latin")

    assert printed == (StoreError, "is a database in LATIN1, not in UTF8")


@pytest.mark.slow
def test_eight_that_make_the_same_store_at_once_make_one(data, postgres):
    with query(postgres.url()) as connection:
        connection.execute(f"CREATE SCHEMA {stores.schema(data)}")
    processes = [meetings.start(MAKE, data) for _ in range(8)]
    meetings.go(*processes)

    assert meetings.finish(*processes) == [f"{Tracker.open(data, address(data)).owner}: 0 events\n"] * 8
    with closing(opened(data)) as made:
        assert list(made.append([joined()])) == [1]
        assert list(made.integrity()) == []


# Who may not do all


@contextmanager
def granted(store, postgres, rights):
    """The address of the store for a user with these rights on its tables."""
    name, schema = f"user_{stores.schema(store.data)}", stores.schema(store.data)
    with query(postgres.url()) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        connection.execute(f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {name}")
        yield postgres.url(user=name, more=f"?options=-csearch_path%3D{schema}")
        connection.execute(f"DROP OWNED BY {name}")
        connection.execute(f"DROP ROLE {name}")


@pytest.fixture
def reader(store, postgres):
    """The address of the store for a user who may only read."""
    with granted(store, postgres, "SELECT") as url:
        yield url


def test_a_receiver_needs_no_other_rights_than_the_readme_says(store, postgres):
    with (
        granted(store, postgres, "SELECT, INSERT, UPDATE") as url,
        closing(Tracker.open(store.data, url, create=True)) as receiver,
    ):
        receiver.try_to_write(1)
        assert list(receiver.receive([joined(at=MORNING, source=SOURCE)])) == [1]
        assert list(receiver.append([joined()], SourcePosition(Tracking("log:x", 1)))) == [2]


def test_who_may_only_read_reads_all_and_is_reported_that_nothing_can_be_stored(store, reader):
    store.append([joined(), joined("t")])
    with closing(Tracker.open(store.data, reader)) as only:
        assert (only.count(), len(list(only.deliveries())), list(only.integrity())) == (2, 2, [])
        assert failure(only.append, [joined()]) == (StoreError, "this user may not do that")
        assert failure(only.try_to_write, 1) == (StoreError, "this user may not do that")


def test_what_fails_behind_the_lock_is_reported_and_leaves_nothing(store, postgres):
    with (
        granted(store, postgres, "SELECT, UPDATE") as url,
        closing(Tracker.open(store.data, url)) as other,
    ):
        for _ in range(2):
            assert failure(other.append, [joined()]) == (StoreError, "this user may not do that")
        assert (store.last_position(), list(store.append([joined()])), other.count()) == (0, [1], 1)


def test_a_standby_is_reported(store, data, postgres):
    url = f"{address(data)}%20-cdefault_transaction_read_only%3Don"
    with closing(Tracker.open(data, url)) as only:
        assert failure(only.append, [joined()]) == (StoreError, "cannot be written")


def test_who_may_make_no_tables_is_reported(postgres, data):
    schema = stores.schema(data)
    with query(postgres.url()) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"CREATE ROLE poor_{schema} LOGIN PASSWORD '{PASSWORD}'")
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO poor_{schema}")
        url = postgres.url(user=f"poor_{schema}", more=f"?options=-csearch_path%3D{schema}")
        printed = failure(Tracker.open, data, url, create=True)
        connection.execute(f"DROP OWNED BY poor_{schema}")
        connection.execute(f"DROP ROLE poor_{schema}")

    assert printed == (StoreError, "this user may not do that")


# A server that goes away


def test_after_a_restart_the_next_append_is_stored_and_nothing_is_missing(own, tmp_path):
    with closing(Tracker.open(tmp_path, own.url(), create=True)) as store:
        for number in range(3):
            assert list(store.append([joined()])) == [number + 1]
            own.stop()
            assert failure(store.append, [joined()]) == (StoreError, "cannot be reached")
            own.start()
        assert (store.count(), list(store.integrity())) == (3, [])


def test_a_transaction_that_the_server_ends_is_not_stored_and_not_tried_again(store):
    store.append([joined()])
    with query(address(store.data)) as other, stores.locked(store.data):
        printed = []
        waiting = Thread(target=lambda: printed.append(failure(store.append, [joined()])))
        waiting.start()
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        until(lambda: other.execute(end).fetchall())
        waiting.join()

    assert printed == [(StoreError, "the server ended the connection")]
    assert (store.count(), list(store.append([joined()])), list(store.integrity())) == (1, [2], [])


def test_a_time_limit_of_the_server_is_not_reported_as_a_server_that_is_away(store):
    with closing(Tracker.open(store.data, address(store.data))) as hurried, stores.locked(store.data):
        with hurried.recorder.datastore.get_connection() as connection:
            connection.execute("SET statement_timeout = 50")  # only now: to open it takes a slow machine longer
        printed = failure(hurried.append, [joined()])

    assert printed == (StoreError, CANCELLED)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("57014", CANCELLED),
        ("25P03", "the server ended a transaction in which nothing was done"),
        ("55006", "so it says"),
        ("08006", "cannot be reached"),
        (None, "cannot be reached"),
    ],
)
def test_only_a_server_that_does_not_answer_cannot_be_reached(code, message):
    error = psycopg.errors.lookup(code)("so it says") if code else psycopg.OperationalError("so it says")
    assert postgres_error("x", error).message == message


def test_tables_that_are_gone_are_reported(store):
    store.append([joined()])
    change(store, "DROP TABLE positions")

    assert failure(store.append, [joined()])[0] is StoreDamagedError
    assert dict(store.integrity())["positions"] == "there is no such table"


@pytest.mark.slow
def test_of_a_fleet_under_load_nothing_acknowledged_is_lost_and_its_readers_agree(own, monkeypatch, tmp_path):
    """Four receivers of which one is killed again and again, two readers, and the server restarted once."""
    monkeypatch.setenv(stores.ON_A_SERVER, own.url())
    key = keys.write_public(tmp_path / "key.pem")

    def restart():
        own.stop()
        own.start()

    ran = fleet.under_load(
        tmp_path / "data", key, bodies(40), 2, random.Random(7), restart, every=(0.2, 0.8), pause=0.02
    )

    assert (ran.wrong, ran.codes) == ([], [0] * 6)
    assert {204} <= set(ran.answers.statuses) <= {204, 503}
    assert (len(ran.answers.stored) > 0, ran.killed > 2) == (True, True)


def test_what_is_committed_is_on_the_disk_also_where_the_server_would_not_wait_for_it(store, data):
    with closing(Tracker.open(data, f"{address(data)}%20-csynchronous_commit%3Doff")) as other:
        assert other.recorder.rows("SHOW synchronous_commit") == [("on",)]


# Several writers

WRITE = """
import sys
from datetime import timedelta
from meetings import MORNING, webhook
from stores import opened
from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse
from tracker.intake.erasing import carry_out, of_participant
from tracker.intake.receiver import SOURCE
store, name = opened(sys.argv[1]), sys.argv[2]
def received(number, place):
    body = webhook("participant-joined", sessionId=name, participantId=f"{number}-{place}")
    return parse(Received(body, MORNING + timedelta(seconds=number * 5 + place), SOURCE))
#go
for number in range(30):
    positions = store.receive([received(number, place) for place in range(1 + number % 9)])
    print(*positions, flush=True)
"""


@pytest.mark.slow
def test_several_writers_leave_no_gap_for_a_reader_and_let_no_time_go_back(store, data):
    processes = [meetings.start(WRITE, data, name) for name in "abc"]
    read, times = [], []
    meetings.go(*processes)
    while any(one.poll() is None for one in processes) or len(read) < store.last_position():
        page = [one for one, _ in store.page(len(read))]
        read += [one.position for one in page]
        times += [one.received_at for one in page]
        assert (read, times) == (list(range(1, len(read) + 1)), sorted(times))
    said = [int(position) for text in meetings.finish(*processes) for position in text.split()]

    assert sorted(said) == read
    assert len({one.body for one in store.deliveries()}) == len(read)
    assert list(store.integrity()) == []


def test_a_batch_looks_up_each_of_its_sessions_once_before_any_row_is_there(store):
    columns = _columns([(one, 0, "x", b"{}") for one in ["one"] * 30 + ["other"] * 20])
    asked = {**columns, "states": [b"{}"] * 50, "before": 0}
    with store.recorder.datastore.transaction(commit=False) as c:
        c.execute(f"EXPLAIN (ANALYZE) {_INSERT}".encode(), asked)
        plan = [row["QUERY PLAN"] for row in c.fetchall()]
    lookups = [line for line in plan if "Scan" in line and "on stored_events" in line]

    assert [re.findall(r"rows=(\d+) loops=(\d+)\)", line) for line in lookups] == [[("0", "2")]]


# Receive times


def test_of_two_clocks_the_one_that_is_behind_never_makes_a_time_go_back(store):
    with closing(opened(store.data)) as other:
        for number in range(4):
            store.receive([joined("a", MORNING + timedelta(seconds=number), SOURCE)])
            other.receive([joined("a", MORNING - timedelta(minutes=5, seconds=-number), SOURCE)] * 2)
    times = [one.received_at for one in store.deliveries()]

    assert times == sorted(times)
    assert times[::3] == [MORNING + timedelta(seconds=number) for number in range(4)]


def test_what_was_ingested_moves_no_receive_time(store):
    later, body = MORNING + timedelta(days=1), webhook("x", source=SOURCE, sessionId="s")
    store.append(
        [parse(Received(body, later, "log:1")), parse(Received(b'{"a":1,"source":"webhooks"}', later))]
    )
    store.receive([joined("a", MORNING, SOURCE)])

    assert [one.received_at for one in store.deliveries()] == [later, later, MORNING]


def test_a_delivery_that_is_moved_keeps_all_else(store):
    store.receive([joined("a", MORNING, SOURCE)])
    given = Received(b"\xff no text", MORNING - timedelta(seconds=1), SOURCE, "key")
    store.receive([parse(given)])

    assert list(store.deliveries())[-1].received == replace(given, received_at=MORNING)


@pytest.mark.parametrize("kept_before", [False, True])
def test_the_planner_knows_nobody_who_was_erased(store, data, kept_before):
    store.append([joined(str(number)) for number in range(30)])
    with query(address(data)) as connection:
        if kept_before:  # as in a store of an older version
            connection.execute("ALTER TABLE stored_events ALTER COLUMN state SET STATISTICS 100")
        connection.execute("ANALYZE stored_events")
        plan = of_participant(store, "p", None, MORNING, lambda *_: None)
        assert carry_out(store, plan, MORNING, lambda *_: None).events == 30
        known = connection.execute(
            "SELECT histogram_bounds::text, most_common_vals::text FROM pg_stats"
            " WHERE schemaname = current_schema() AND tablename = 'stored_events' AND attname = 'state'"
        )
        texts = [bytes.fromhex(one) for one in re.findall(r"\\x([0-9a-f]+)", str(known.fetchall()))]
    assert bool(texts) is kept_before
    assert not any(b'"p"' in one for one in texts)
