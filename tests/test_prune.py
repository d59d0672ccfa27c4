"""Sessions that are over go into an archive; what is left is sound, and nothing is taken back."""

import json
import shutil
import signal
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import commands
import pytest
import stores
from killing import NEVER, Mortal, dying
from meetings import line, opened, webhook
from published import outbox
from served import served
from traffic import serving
from waiting import until

from projections import pruning
from projections.alerts.sweep import sweep
from projections.erasing import erase
from projections.exports.parquet import write
from projections.pruning import prune
from projections.views import follow
from projections.views import rebuild as rebuilding
from projections.views.follow import Views
from projections.views.publications import PUBLISHED_DB, published_file
from projections.views.rebuild import rebuild
from projections.views.verify import verify
from tracker.alert import Alert, When
from tracker.delivery import envelope
from tracker.delivery.webhook import parse
from tracker.errors import NotFoundError
from tracker.intake import pruning as intake
from tracker.intake.archive import Archive
from tracker.intake.copying import copy
from tracker.intake.erasing import of_participant
from tracker.intake.pruning import plan
from tracker.rules import Rules
from tracker.simulate import simulate
from tracker.store.application import Tracker

pytest.importorskip("pyarrow")
NOW = datetime(2027, 11, 26, tzinfo=UTC)


def silent(_done, _total):
    pass


@pytest.fixture
def filled(store):
    """A store with meetings, of which half were over before ``MIDDLE``, and its read models."""
    received = [one.received for one in simulate(24, seed=5)]
    store.append(map(parse, received))
    Views.open(store).close()
    return store


def middle(store):
    times = sorted(one.received_at for one in store.deliveries() if one.received_at)
    return times[len(times) // 2]


def moved(store, tmp_path, before=None):
    planned = plan(store, before or middle(store), NOW, Rules(), silent)
    done = prune(store, planned, tmp_path / "archive", Rules(), NOW, silent)
    assert (done.sessions, done.problem) == (len(planned.digests), "")
    return planned, done


def sound(store):
    assert verify(store, Rules()).problems == []
    assert verify(store, Rules()).notes == []
    assert store.without_digest() == []


def sessions(store):
    with Views.open(store) as views:
        return {
            row["session_id"]: row["state"] for row in views.db.query("SELECT session_id, state FROM sessions")
        }


def test_what_is_pruned_is_whole_in_the_archive_and_the_rest_is_as_it_was(filled, tmp_path):
    before, states = {one.position: one.body for one in filled.deliveries()}, sessions(filled)

    planned, done = moved(filled, tmp_path)

    assert 5 < len(planned.digests) < len(states)
    archived = [envelope.decode(one.text).body for one in Archive(str(done.archive)).lines()]
    left = {one.position: one.body for one in filled.deliveries()}
    assert archived == [body for position, body in before.items() if position not in left]
    assert left.items() <= before.items()
    assert sessions(filled) == {one: state for one, state in states.items() if one not in planned.digests}
    sound(filled)


def test_read_models_that_are_made_anew_or_page_by_page_are_the_same(filled, tmp_path):
    moved(filled, tmp_path)
    before = sessions(filled)
    rebuild(filled, page_size=7)
    assert sessions(filled) == before
    sound(filled)


def test_nothing_is_taken_back_and_nobody_is_sent_anything_also_when_copies_come_late(filled, tmp_path):
    pytest.importorskip("httpx2")
    alert = Alert("all", "https://hooks.example.org", When("info"), wait=timedelta())
    sweep(filled.data, [alert], NOW, backfill=timedelta(days=9999))
    sent = outbox(filled.data)
    with published_file(filled.data / PUBLISHED_DB).to_read() as connection:
        before = connection.execute(
            "SELECT * FROM publications WHERE stream != 'log:' ORDER BY 1, 2, 3, 5"
        ).fetchall()

    planned, done = moved(filled, tmp_path)
    filled.append(parse(envelope.decode(one.text)) for one in islice(Archive(str(done.archive)).lines(), 20))
    Views.open(filled, now=lambda: NOW).close()
    sweep(filled.data, [alert], NOW)

    with published_file(filled.data / PUBLISHED_DB).to_read() as connection:
        after = connection.execute(
            "SELECT * FROM publications WHERE stream != 'log:' ORDER BY 1, 2, 3, 5"
        ).fetchall()
    gone = planned.digests.keys()
    assert [row for row in after if row[0] in gone] == [row for row in before if row[0] in gone] != []
    assert not any(
        json.loads(one["body"])["data"].get("session_id") in gone for one in outbox(filled.data)[len(sent) :]
    )


def test_a_session_that_was_pruned_says_where_it_is(filled, tmp_path):
    planned, done = moved(filled, tmp_path)
    session = next(iter(planned.digests))
    with pytest.raises(NotFoundError) as caught:
        filled.status(session)
    assert str(caught.value) == f"{session}: was pruned at 2027-11-26 00:00:00 UTC, archived in {done.archive}"


@pytest.mark.parametrize(
    "command",
    ["timeline", "explain", "find", "meeting", "recordings --session", "runs --session", "audit --session"],
)
def test_every_command_about_a_session_says_that_it_was_pruned(store, tmp_path, command):
    over(store, "pruned", "ann")
    if "--session" not in command:  # a list has the call that is left
        call = webhook("call-started", sessionId="pruned", callId="c")
        store.append([parse(envelope.decode(line(call, 0)))])
    moved(store, tmp_path, NOW)
    done = commands.run(*stores.arguments(store.data), *command.split(), "pruned", text=True)
    assert (done.returncode, "error: pruned: was pruned at 2027-11-26" in done.stderr) == (2, True)


def test_a_late_webhook_is_kept_and_pruned_later(filled, tmp_path):
    versions = {name: filled.rows_of(name)[-1][1] for name in filled.streams(filled.last_position())}
    planned, done = moved(filled, tmp_path)
    session = next(iter(planned.digests))
    late = parse(envelope.decode(line(webhook("participant-joined", sessionId=session, participantId="p"), 0)))
    filled.append([late])
    assert [(one.body, one.position) for one in filled.history(session)] == [
        (late.body, filled.last_position())
    ]
    assert filled.rows_of(session)[-1][1] == versions[session] + 1
    sound(filled)
    again, later = moved(filled, tmp_path, NOW)
    assert session in again.digests
    assert filled.pruned(session).archives == (str(done.archive), str(later.archive))
    sound(filled)


@pytest.mark.slow_on_postgres
@pytest.mark.parametrize("whom", ["person", "session", "older"])
def test_who_was_in_a_session_that_was_pruned_is_erased_from_the_archive_and_beside_the_store(
    store, tmp_path, whom
):
    said = {"meetingId": "room", "sessionId": "one", "participantId": "zz-17", "participantName": "Zacharias"}
    kinds = ["session-started", "participant-joined", "participant-left", "participant-left", "session-ended"]
    lines = [line(webhook(kind, **said), number) for number, kind in enumerate(kinds)]
    store.append([parse(envelope.decode(one)) for one in lines])
    Views.open(store).close()
    alert = Alert("all", "https://hooks.example.org", When("info"), include=("message",), wait=timedelta())
    sweep(store.data, [alert], NOW, backfill=timedelta(days=9999))
    sent = len(outbox(store.data))
    _, pruned = moved(store, tmp_path, NOW)
    assert {"published.db", "alerts.db"} <= set(naming(store.data, "zz-17"))
    assert naming(tmp_path / "archive", "Zacharias")
    given = {
        "person": ("--participant", "zz-17"),
        "session": ("--session", "one"),
        "older": ("--older-than", "1 d"),
    }

    archive = str(tmp_path / "archive")
    where = [*stores.arguments(store.data), "--yes"]
    done = commands.run("erase", *where, *given[whom], "--archive", archive, text=True)

    assert (done.returncode, done.stdout.splitlines()[1:]) == (
        0,
        [f"{pruned.archive}: 5 deliveries have pseudonyms now"],
    ), done
    assert naming(store.data, "zz-17", "Zacharias") == []
    assert naming(tmp_path / "archive", "zz-17", "Zacharias") == []
    sweep(store.data, [alert], NOW)
    assert len(outbox(store.data)) == sent > 0
    sound(store)


def naming(data, *texts):
    """The files of a directory that hold one of these texts; what an archive holds is not compressed first."""
    found = [path for path in data.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    lines = [one for path in data.rglob("*.parquet") for one in Archive(str(path.parent)).lines()]
    named = [path.name for path in found if any(text.encode() in path.read_bytes() for text in texts)]
    return named + [one for one in map(str, lines) if any(text in one for text in texts)]


@pytest.mark.slow_on_postgres
def test_without_the_archive_who_was_pruned_is_erased_beside_the_store_by_the_id(store, tmp_path):
    said = {"meetingId": "room", "sessionId": "one", "participantId": "zz-17", "participantName": "Zacharias"}
    kinds = ["session-started", "participant-joined", "participant-left", "participant-left", "session-ended"]
    store.append([parse(envelope.decode(line(webhook(kind, **said), at))) for at, kind in enumerate(kinds)])
    Views.open(store).close()
    moved(store, tmp_path, NOW)
    where = [*stores.arguments(store.data), "--yes", "--participant"]
    done = commands.run("erase", *where, "zz-17", text=True)
    assert "note: what was pruned is only in the archive" in done.stderr
    assert naming(store.data, "zz-17", "Zacharias") == []
    assert commands.run("erase", *where, "nobody").returncode == 2


@pytest.mark.sqlite
def test_a_copy_has_the_tombstones(filled, tmp_path):
    planned, _ = moved(filled, tmp_path)
    with closing(stores.opened(tmp_path / "copy", create=True)) as target:
        copy(filled, target, silent)
        assert target.pruned(next(iter(planned.digests))) is not None
        sound_but_unread = verify(target, Rules())
        assert (sound_but_unread.problems, target.without_digest()) == ([], [])
        Views.open(target).close()
        sound(target)


@pytest.mark.sqlite
def test_a_copy_goes_to_a_server_and_back(filled, tmp_path, postgres):
    moved(filled, tmp_path)
    with (
        closing(postgres_store(postgres)) as server,
        closing(stores.opened(tmp_path / "b", create=True)) as back,
    ):
        copy(filled, server, silent)
        copy(server, back, silent)
        assert verify(back, Rules()).problems == []


def postgres_store(postgres):
    from tracker.store.application import Tracker

    with stores.query(postgres.url()) as connection:
        connection.execute("CREATE SCHEMA pruned")
    return Tracker.open(Path(), postgres.url(more="?options=-csearch_path%3Dpruned"), create=True)


def over(store, session, person):
    """A session that is over, in which somebody was."""
    said = {
        "meetingId": "room",
        "sessionId": session,
        "participantId": person,
        "participantName": person.title(),
    }
    kinds = ("session-started", "participant-joined", "participant-left", "session-ended")
    store.append([parse(envelope.decode(line(webhook(kind, **said), at))) for at, kind in enumerate(kinds)])


def bodies_in(*archives):
    return [envelope.decode(one.text).body for each in archives for one in Archive(str(each)).lines()]


def test_two_stores_may_share_an_archive(store, tmp_path):
    every = []
    with closing(stores.opened(tmp_path / "other", create=True)) as other:
        for each, session in ((store, "a"), (other, "b")):
            over(each, session, "ann")
            every += [one.body for one in each.deliveries()]
            moved(each, tmp_path, NOW)
            assert list(each.deliveries()) == []
    archives = sorted((tmp_path / "archive").iterdir())
    assert sorted(bodies_in(*archives)) == sorted(every)


def test_the_directory_of_archives_is_read_as_all_that_is_in_it(store, tmp_path):
    for session in "ab":
        over(store, session, "zz-17")
        moved(store, tmp_path, NOW)
    archive = str(tmp_path / "archive")

    said = commands.run("--data", tmp_path / "new", "ingest", archive, text=True)
    judged = commands.run("audit", archive, "--format", "json", text=True)

    assert (said.returncode, judged.returncode) == (0, 0)
    assert said.stdout.count("pruned-") == 2


@pytest.mark.parametrize("more", ["b c", "a"])
def test_a_second_archive_without_its_option_is_said_to_need_it(more):
    done = commands.run("erase", "--participant", "x", "--archive", "a", *more.split(), text=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "hint: give each by its own --archive")


def test_what_was_erased_after_a_pruning_broke_off_is_not_in_the_archive_that_the_tombstone_names(
    store, tmp_path, monkeypatch
):
    over(store, "a", "zz-17")

    def killed(*_given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(intake, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            moved(store, tmp_path, NOW)
    erase(store, of_participant(store, "zz-17", None, NOW, silent), Rules(), NOW, silent)
    _, done = moved(store, tmp_path, NOW)
    assert store.pruned("a").archives == (str(done.archive),)
    assert len(bodies_in(done.archive)) == 4
    assert not any(b"zz-17" in one for one in bodies_in(done.archive))


def test_what_a_killed_pruning_left_half_written_is_removed_by_the_next(store, tmp_path):
    left = tmp_path / "archive" / ".pruned-1-7-7-0123456789ab"
    left.mkdir(parents=True)
    over(store, "a", "ann")
    _, done = moved(store, tmp_path, NOW)
    assert [one.name for one in (tmp_path / "archive").iterdir()] == [Path(done.archive).name]


def test_what_was_erased_since_it_was_planned_stays(store, tmp_path):
    over(store, "a", "zz-17")
    over(store, "b", "ann")
    planned = plan(store, NOW, NOW, Rules(), silent)
    erase(store, of_participant(store, "zz-17", None, NOW, silent), Rules(), NOW, silent)
    assert prune(store, planned, tmp_path / "archive", Rules(), NOW, silent).sessions == 1
    assert {one.session_id for one in store.deliveries()} == {"a"}


@pytest.mark.slow_on_postgres
@pytest.mark.parametrize("what", ["whole", "changed", "cut off", "empty"])
def test_an_archive_that_is_there_is_taken_only_if_it_holds_the_same(store, tmp_path, what):
    over(store, "a", "ann")
    bodies = [one.body for one in store.deliveries()]
    there = tmp_path / "archive" / plan(store, NOW, NOW, Rules(), silent).name
    if what == "empty":
        there.mkdir(parents=True)
    else:
        write([one for one in store.deliveries() if what != "changed" or one.type != "session-ended"], there)
    if what == "cut off":
        (file,) = there.rglob("*.parquet")
        file.write_bytes(file.read_bytes()[:100])
    _, done = moved(store, tmp_path, NOW)
    assert (done.archive == there, bodies_in(done.archive)) == (what == "whole", bodies)


def test_what_goes_on_and_what_was_withdrawn_in_part_stays(store, tmp_path):
    for session in ("over", "withdrawn"):
        for number, kind in enumerate(("session-started", "session-ended")):
            store.append(
                [parse(envelope.decode(line(webhook(kind, sessionId=session, meetingId=session), number)))]
            )
    from tracker.intake.withdrawing import withdraw

    withdraw(store, None, NOW, first=3, last=3)
    planned, _ = moved(store, tmp_path, NOW)
    assert (set(planned.digests), planned.kept) == ({"over"}, 1)


def test_the_command_says_what_it_does_and_what_is_left(filled, tmp_path):
    filled.close()
    where = [*stores.arguments(filled.data), "--before", "now", "--archive", str(tmp_path / "archive")]
    dry, done, again = (commands.run("prune", *where, *more, text=True) for more in (["--dry-run"], [], []))
    assert dry.stdout.endswith("would be moved\n"), dry
    assert f"moved into {tmp_path / 'archive' / 'pruned-'}" in done.stdout
    assert "0 sessions with 0 deliveries moved" in again.stdout


def test_every_command_counts_the_same_events_afterwards(filled, tmp_path):
    moved(filled, tmp_path)
    events = f"{filled.count()} events"
    filled.close()
    (tmp_path / "log").write_bytes(b"")
    where = stores.arguments(filled.data)
    asked = (["ingest", tmp_path / "log"], ["verify"], ["doctor"])
    said = [commands.run(*one, *where, text=True).stdout for one in asked]
    assert [events in one for one in said] == [True] * 3, said


@pytest.mark.parametrize(
    "command", ["status", "find", "audit --fail-on never --session", "export --session", "runs --session"]
)
def test_of_what_came_late_it_is_said_where_the_rest_is(store, tmp_path, command):
    over(store, "pruned", "ann")
    _, done = moved(store, tmp_path, NOW)
    over(store, "pruned", "bob")
    where = stores.arguments(store.data)
    store.close()
    said = commands.run(*command.split(), "pruned", *where, text=True)
    assert (said.returncode, "note: pruned was pruned at 2027-11-26" in said.stderr) == (0, True), said
    assert f", and this is only what came later\nhint: what came before is in {done.archive}\n" in said.stderr


def test_pages_and_api_say_of_a_session_that_was_pruned_when_and_where_it_is(store, tmp_path):
    over(store, "pruned", "ann")
    (gone,) = moved(store, tmp_path, NOW)[0].digests
    said = f"pruned: was pruned at 2027-11-26 00:00:00 UTC, archived in {store.pruned(gone).archives[0]}"
    store.close()
    with served(store.data) as server:
        api = ("sessions/pruned", "sessions/pruned/timeline", "sessions/pruned/explain", "meetings/pruned")
        for path in api:
            answer = server.ask(f"/api/{path}")
            assert (answer.status, answer.json["detail"]) == (404, said), path
            assert answer.json["hint"].startswith(f"tracker audit {tmp_path}"), path
        for path in ("sessions/pruned", "why?session=pruned", "meetings/pruned", "search?q=pruned"):
            assert said in server.ask(f"/{path}", accept="text/html").body.decode(), path
        for path in ("findings", "recordings", "issues", "events"):
            answer = server.ask(f"/api/{path}?session=pruned")
            assert (answer.status, answer.json["detail"]) == (404, said), path
        for path in ("findings?", "recordings?", "events?", "findings?view=grouped&"):
            assert said in server.ask(f"/{path}session=pruned", accept="text/html").body.decode(), path
        event = server.ask("/api/events/1").json["detail"]
        assert event == said.replace("pruned:", "1:", 1)


@pytest.mark.parametrize("late", [False, True])
def test_when_a_session_was_pruned_is_shown_in_the_zone_of_who_reads(store, tmp_path, late):
    over(store, "pruned", "ann")
    moved(store, tmp_path, NOW)
    if late:
        over(store, "pruned", "bob")
    done = commands.run("status", "pruned", "--tz", "Asia/Kolkata", *stores.arguments(store.data), text=True)
    store.close()
    assert "pruned at 2027-11-26 05:30:00 IST" in done.stderr
    with served(store.data, zone=ZoneInfo("Asia/Kolkata")) as server:
        page = server.ask("/sessions/pruned", accept="text/html").body.decode()
    assert (
        '<span class="day">2027-11-26</span> 05:30:00</time>' if late else "at 2027-11-26 05:30:00 IST"
    ) in page


def test_of_a_room_or_a_person_that_is_not_there_it_is_said_where_what_was_pruned_is(store, tmp_path):
    over(store, "pruned", "ann")
    moved(store, tmp_path, NOW)
    said = f"perhaps it was pruned: tracker audit {tmp_path / 'archive'}"
    for command in ("meeting room", "person ann"):
        done = commands.run(*command.split(), *stores.arguments(store.data), text=True)
        assert (done.returncode, f"hint: {said}" in done.stderr) == (2, True), done
    store.close()
    with served(store.data) as server:
        for path in ("meetings/room", "people/ann"):
            assert server.ask(f"/api/{path}").json["hint"].startswith(said)


def test_what_came_after_a_pruning_says_so_in_the_status_and_on_the_page(store, tmp_path):
    over(store, "pruned", "ann")
    _, done = moved(store, tmp_path, NOW)
    over(store, "pruned", "bob")
    store.close()
    with served(store.data) as server:
        status, page = server.get("/api/sessions/pruned"), server.ask("/sessions/pruned").body.decode()
    assert status["pruned"] == {"at": "2027-11-26T00:00:00Z", "archives": [str(done.archive)]}
    assert f'<span class="mono">{done.archive}</span>' in page


@pytest.mark.parametrize("command", ["status", "audit --session", "recordings --session", "find", "explain"])
def test_by_the_beginning_of_an_id_it_is_said_which_session_was_pruned(store, tmp_path, command):
    over(store, "pruned-1", "ann")
    over(store, "pruned-2", "ann")
    _, done = moved(store, tmp_path, NOW)
    said = commands.run(*command.split(), "pru", *stores.arguments(store.data), text=True)
    hint = f"pruned-1 and 1 more begin so and were pruned: tracker audit {done.archive} judges it"
    assert f"hint: {hint}" in said.stderr, said


@pytest.mark.parametrize("option", ["--session", "--meeting"])
def test_an_audit_of_a_room_of_which_all_was_pruned_says_where_it_may_be(store, tmp_path, option):
    over(store, "pruned", "ann")
    moved(store, tmp_path, NOW)
    said = commands.run("audit", option, "room", *stores.arguments(store.data), text=True)
    assert f"error: room: no such {option[2:]}\nhint: perhaps it was pruned: tracker audit" in said.stderr
    assert said.returncode == 2


def test_all_tombstones_are_read_once_for_any_number_of_rooms_that_are_not_there(store, tmp_path, monkeypatch):
    over(store, "a", "ann")
    moved(store, tmp_path, NOW)
    first = store.perhaps_pruned("room")
    monkeypatch.setattr(store, "_tombstones", None)
    assert store.perhaps_pruned("other") == first != ""
    monkeypatch.undo()
    over(store, "b", "ann")
    moved(store, tmp_path, NOW)
    assert "into one of 2 archives" in store.perhaps_pruned("room")


@pytest.mark.slow
def test_a_running_server_goes_on(tmp_path):
    data, said = tmp_path / "data", {"meetingId": "room", "sessionId": "one"}
    with serving(data, "--insecure-no-verify") as server:
        for kind in ("session-started", "session-ended"):
            assert server.ask("/webhooks", "POST", webhook(kind, **said)).status == 204
        until(lambda: len(server.items("/api/sessions")) == 1)
        where = [*stores.arguments(data), "--before", "2999-01-01", "--archive", str(tmp_path / "archive")]
        assert commands.run("prune", *where).returncode == 0
        until(lambda: (shown := server.ask("/api/sessions")).status == 200 and shown.json["items"] == [])
        assert (
            server.ask("/webhooks", "POST", webhook("participant-joined", participantId="p", **said)).status
            == 204
        )
        until(lambda: len(server.items("/api/sessions")) == 1)
        assert server.stop() == 0
    with closing(opened(data)) as store:
        sound(store)


# Crashes


def prune_all(data):
    """Prunes all sessions, a few at a time."""
    intake.STREAMS = 4
    store, archive = opened(Path(data)), Path(f"{data}-archive")
    pruning.prune(store, plan(store, NOW, NOW, Rules(), silent), archive, Rules(), NOW, silent)


MORTAL = Mortal(
    prune_all,
    [
        *((pruning, name) for name in ("write", "_to_disk")),
        *((Tracker, name) for name in ("prune", "record_prunings", "clean")),
        (rebuilding, "_swap"),
        (follow, "publish"),
    ],
    behind=True,
)


@pytest.mark.slow
@pytest.mark.sqlite
def test_wherever_a_pruning_is_killed_nothing_is_lost_and_the_same_command_ends_it(store, tmp_path):
    store.append([parse(one.received) for one in simulate(8, seed=5)])
    Views.open(store).close()
    every = sorted(one.body for one in store.deliveries())
    store.close()
    with dying(__name__) as run:
        ends = []
        while 0 not in ends:
            data = tmp_path / str(len(ends))
            shutil.copytree(store.data, data)
            ends.append(run(len(ends), data))
            assert run(NEVER, data) == 0
            with closing(opened(data)) as again:
                sound(again)
                archives = sorted(Path(f"{data}-archive").iterdir())
                lines = {one.text for each in archives for one in Archive(str(each)).lines()}
                bodies = [envelope.decode(one).body for one in lines]
                assert sorted([*bodies, *(one.body for one in again.deliveries())]) == every
    assert set(ends) == {-signal.SIGKILL, 0}
    assert len(ends) > 12
