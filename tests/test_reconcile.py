"""VideoSDK's own records: what they say otherwise is found, whatever happens on the way, and nothing is made up."""

import gzip
import json
from collections import Counter
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count, islice, zip_longest
from random import Random
from types import SimpleNamespace

import pytest
from dribbling import dribbling
from meetings import finish, go, start, webhook
from stores import opened
from vendor import KEY, vendor

from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse
from tracker.intake import vendor as module
from tracker.intake.reconciling import Asked, reconcile
from tracker.intake.vendor import Saved, VendorError, Videosdk, pages
from tracker.judging.assess import assess_all
from tracker.lifecycles import REGISTRY
from tracker.record import RECORD
from tracker.simulate import simulate
from tracker.simulate.vendor import PATHS, Lists
from tracker.store.application import Tracker

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
OF_RECORDINGS = REGISTRY["recording"].records
LISTED = OF_RECORDINGS.path


@cache
def made_up(meetings, faults=0.0):
    """The webhooks of meetings as they were received, and VideoSDK's records, as JSON."""
    lists, received = Lists(), []
    for line in simulate(meetings, 5, faults, unsubscribed=()):
        received.append(line.received)
        if line.draft is not None:
            lists.add(line.draft)
    return received, lists.as_json()


@pytest.fixture
def store(tmp_path):
    with Tracker.open(tmp_path, create=True) as tracker:
        yield tracker


def fill(tracker, received):
    tracker.append([parse(one) for one in received])


def later(received):
    """When all that may come has come."""
    return received[-1].received_at + timedelta(hours=12)


def asked_of(tracker, api, now, **asked):
    """Asks for all; returns the account."""
    return list(reconcile(tracker, api, Asked(BEGIN, **asked), lambda: now))[-1]


def found(tracker, now):
    """(stream, code) of what the records say otherwise."""
    streams = [name for name in tracker.streams(tracker.last_position()) if ":" not in name]
    sessions = (assess_all(tracker.history(name), now + timedelta(hours=1)) for name in streams)
    return Counter((one.stream, each.code) for one in sessions for each in one.findings if each.code[0] == "R")


@pytest.mark.parametrize("shape", ["pageInfo", "pagination", "totalPages", "bare"])
def test_a_list_is_read_to_its_end_whatever_its_pages_look_like(shape):
    lists = {LISTED: [{"id": str(n), "start": f"2026-01-05T12:{n:02}:00Z"} for n in range(45)]}
    with vendor(lists, shape=shape) as playing, playing.client() as client:
        read = [one["id"] for page in pages(client, OF_RECORDINGS, {}) for one in page.records]
    assert sorted(read, key=int) == [str(n) for n in range(45)]


@pytest.mark.parametrize("step", [0, 1])
def test_a_list_that_gives_the_same_page_for_ever_is_read_once_also_while_a_record_changes(step):
    lengths = count(step=step)
    same = SimpleNamespace(get=lambda _path, _asked: [{"id": "a"}, {"id": "b", "length": next(lengths)}])
    assert [page.number for page in islice(pages(same, OF_RECORDINGS, {}), 5)] == [1]


def test_a_list_without_an_end_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "MOST_PAGES", 3)
    numbers = count()
    endless = SimpleNamespace(get=lambda _path, _asked: [{"id": str(next(numbers))}])
    with pytest.raises(VendorError, match="did not end in 3 pages"):
        assert [page.number for page in pages(endless, OF_RECORDINGS, {}, 5)] == [5, 6, 7]


ANSWERS = {
    "one header after the other": (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    "a body": (b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n", b" "),
    "a body until it closes": (b"HTTP/1.1 200 OK\r\n\r\n[", b" "),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_comes_a_byte_now_and_then_is_none(answer, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_ANSWER", 0.05)
    monkeypatch.setattr(module, "TRIES", 2)
    with dribbling(*answer) as base, closing(Videosdk.at(base, KEY, 1000, sleep=lambda _: None)) as client:
        with pytest.raises(VendorError, match="does not answer, 2 times"):
            client.get(LISTED, {})
        assert client.failed == 2


def test_an_answer_that_is_too_large_is_an_error_also_where_it_is_packed(monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 2**20)
    body = gzip.compress(b"[" + b" " * 2**21 + b"]")
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with (
        dribbling(head + body, b"") as base,
        closing(Videosdk.at(base, KEY)) as client,
        pytest.raises(VendorError, match="more than 1 MiB") as error,
    ):
        client.get(LISTED, {})
    assert "--base" in error.value.hint


def test_what_is_not_there_is_none_and_what_fails_for_now_is_asked_for_again():
    for status in (402, 404):
        with (
            vendor({LISTED: []}, missing=status, nth=2, broken=0.3, expires=3) as playing,
            playing.client() as client,
        ):
            assert [client.get(f"{LISTED}/x", {}) for _ in range(10)] == [None] * 10
            assert min(client.refused, client.failed) > 0


def test_retry_after_is_heeded_and_a_429_halves_the_budget_for_a_minute():
    with vendor({LISTED: []}, nth=2) as playing, playing.client(per_minute=60) as client:
        client.get(LISTED, {}), client.get(LISTED, {})
        assert 1.0 in client.sleep.__self__.slept
        assert client.budget.rate == 0.5
        client.sleep(61)
        assert client.budget.rate == 1


def test_no_more_requests_are_made_than_the_budget_allows():
    with vendor({LISTED: []}) as playing, playing.client(per_minute=10) as client:
        begin = client.now()
        for _ in range(31):
            client.get(LISTED, {})
    assert client.now() - begin == pytest.approx(126)


def test_a_wrong_secret_is_an_error_that_says_where_it_comes_from():
    with vendor({}) as playing, playing.client() as client:
        client.credentials = type(KEY)(KEY.key, "other")
        with pytest.raises(VendorError, match="not accepted") as error:
            client.get(LISTED, {})
    assert "VIDEOSDK_API_SECRET" in error.value.hint
    assert "other" not in f"{error.value} {client.credentials!r}"


def test_records_that_say_the_same_as_the_webhooks_raise_nothing_and_are_stored_once(store):
    received, records = made_up(60)
    fill(store, received)
    before = store.last_position()
    first = asked_of(store, Saved.read(records, "-"), later(received))
    again = asked_of(store, Saved.read(records, "-"), later(received))
    assert (first.stored, again.stored) == (store.last_position() - before, 0)
    assert first.stored == sum(map(len, json.loads(records).values()))
    assert found(store, later(received)) == {}


@pytest.mark.usefixtures("each_store")
def test_a_run_that_broke_off_goes_on_at_its_page_wherever_the_store_is(tmp_path):
    received, records = made_up(5)
    lists = json.loads(records)
    with opened(tmp_path, create=True) as store, vendor(lists, per_page=3) as playing:
        fill(store, received)
        with playing.client() as client:
            steps = reconcile(store, client, Asked(BEGIN), lambda: later(received))
            done = [next(steps).stored for _ in range(2)][-1]
            steps.close()
        before, playing.asked = len(playing.asked), []
        with playing.client() as client:
            account = asked_of(store, client, later(received))
        assert (account.resumed, account.stored) == ("/v2/sessions", sum(map(len, lists.values())) - done)
        assert (before, playing.asked[0][1]["page"]) == (2, "2")
        assert found(store, later(received)) == {}
        assert [page for _, page in store.trackings("rest:")] == [0]


def broken_off(store, lists, now, *, fails, since=None):
    """Asks at a moment for all; the API fails at a path and page. Returns which pages of sessions were asked for."""
    with vendor(lists, per_page=3) as playing, playing.client() as client:
        get, asked = client.get, []

        def failing(path, query):
            asked.append((path, query["page"]))
            if (path, query["page"]) == fails:
                raise VendorError("does not answer")
            return get(path, query)

        with suppress(VendorError):
            list(reconcile(store, SimpleNamespace(get=failing), Asked(since), lambda: now))
    return [page for path, page in asked if path == PATHS["session"]]


def sessions_at(*moments):
    return [{"id": f"S{n}", "start": one.isoformat(), "end": one.isoformat()} for n, one in enumerate(moments)]


def recorded(store):
    return {one.stream for one in store.deliveries() if one.step is RECORD}


@pytest.mark.parametrize("since", [None, timedelta(days=7)])
def test_a_run_that_goes_on_asks_again_for_what_came_since_it_was_stopped(store, since):
    store.append([parse(Received(webhook("session-started", sessionId="first"), BEGIN))])
    days = [BEGIN + timedelta(days=10 + number) for number in range(4)]

    def ask(number, fails=None):
        now = days[number]
        sessions = sessions_at(*(one - timedelta(hours=2) for one in days[: number + 1]))
        lists = {PATHS["session"]: sessions, LISTED: sessions_at(*days)}
        broken_off(store, lists, now, fails=fails, since=since and now - since)

    ask(0, fails=(LISTED, "2"))
    ask(3)
    assert recorded(store) == {"S0", "S1", "S2", "S3"}


def test_by_default_is_asked_for_what_came_since_the_last_run_that_left_no_hole(store):
    store.append([parse(Received(webhook("session-started", sessionId="first"), BEGIN))])
    days = [BEGIN + timedelta(days=10 * (1 + number)) for number in range(4)]
    lists = {PATHS["session"]: sessions_at(*days)}
    broken_off(store, {}, days[0] - timedelta(hours=1), fails=None)
    broken_off(store, {}, days[2] - timedelta(hours=1), fails=None, since=days[1] + timedelta(hours=1))
    broken_off(store, lists, days[3], fails=None)
    assert recorded(store) == {"S0", "S1", "S2", "S3"}
    assert len(store.trackings("rest:")) == 1


@pytest.mark.parametrize(("later", "page"), [(1, "3"), (60 * 24, "3"), (-10, "1"), (60 * 24 * 4, "1")])
def test_a_run_goes_on_where_what_is_asked_for_has_moved_with_the_clock(store, later, page):
    store.append([parse(Received(webhook("session-started", sessionId="first"), BEGIN))])
    now, since = BEGIN + timedelta(days=20), BEGIN + timedelta(days=13)
    lists = {PATHS["session"]: sessions_at(*(now - timedelta(hours=n) for n in range(12)))}
    broken_off(store, lists, now, fails=(PATHS["session"], "4"), since=since)
    again = broken_off(store, lists, now, fails=(PATHS["session"], "4"), since=since + timedelta(minutes=later))
    assert again[0] == page


def test_no_key_of_a_stream_is_stored(store):
    received, records = made_up(60)
    fill(store, received)
    asked_of(store, Saved.read(records, "-"), later(received))
    assert b"streamKey" in records
    assert not any(b"streamKey" in one.state for one in store.stored(0, 10_000, store.last_position()))


@pytest.mark.parametrize("saved", [False, True])
def test_a_name_that_was_cut_inside_a_character_is_stored_as_a_webhook_has_it(store, saved):
    received, _ = made_up(5)
    fill(store, received)
    start, cut = later(received).isoformat(), "A\ud83d"
    lists = {PATHS["session"]: [{"id": "S1", "start": start, "participants": [{"name": cut}]}]}
    with vendor(lists) as playing, playing.client() as client:
        api = Saved.read(json.dumps(lists).encode(), "-") if saved else client
        assert asked_of(store, api, later(received)).stored == 1
    (stored,) = store.history("S1")
    joined = parse(Received(webhook("participant-joined", sessionId="S1", participantName=cut)))
    assert stored.said["record"]["participants"][0]["name"] == joined.said["participantName"]


def test_a_record_moves_no_state_and_counts_as_no_delivery(store):
    received, records = made_up(60)
    fill(store, received)
    name = next(one.stream for one in store.deliveries() if one.session_id)
    now = later(received)
    before = store.status(name, as_of=now)
    asked_of(store, Saved.read(records, "-"), now)
    after = store.status(name, as_of=now)
    assert any(one.step is RECORD for one in store.history(name))
    assert (before.deliveries, before.state) == (after.deliveries, after.state)
    assert {key: one.state for key, one in before.aggregates.items()} == {
        key: one.state for key, one in after.aggregates.items()
    }


# -- planted differences -------------------------------------------------------------------------------


def plant(received, lists, dice, number):
    """Plants differences, each in a session of its own; returns (session, code) of each, and what is received then."""
    sessions = {one["id"]: one for one in lists[PATHS["session"]] if one["status"] == "ended"}
    names = dice.sample(sorted(sessions), len(sessions))
    planted, gone = Counter(), []
    ways = [unheard, ended_here, live_here, no_file, undelivered, lost_behind, other_times, other_people]
    for place, name in enumerate(names):
        if len(planted) == number:
            break
        code = ways[place % len(ways)](sessions[name], lists, gone)
        if code:
            planted[name, code] += 1
    lost = set(gone)
    kept = [one for one in received if not (described(one) & lost)]
    return planted, kept


@cache
def described(one):
    """By what a webhook may be left out: its session, and that with its type."""
    delivery = parse(one)
    return {delivery.stream, (delivery.stream, delivery.type)}


def unheard(session, lists, gone):
    gone.append(session["id"])
    return "R601"


def ended_here(session, lists, gone):
    session["status"], session["end"] = "ongoing", None
    return "R602"


def live_here(session, lists, gone):
    gone.append((session["id"], "session-ended"))
    session.pop("webhook")
    session["end"] = None  # though it is over
    return "R604"


def one_of(session, lists):
    """The record of the only recording of a session."""
    ones = [one for one in lists[LISTED] if one["sessionId"] == session["id"]]
    return ones[0] if len(ones) == 1 and "file" in ones[0] else None


def no_file(session, lists, gone):
    recording = one_of(session, lists)
    if recording is None:
        return None
    gone.append((session["id"], "recording-stopped"))
    recording.pop("webhook")
    return "R603"


def undelivered(session, lists, gone):
    return _tallied(session, lists, gone, "R605")


def lost_behind(session, lists, gone):
    return _tallied(session, lists, gone, "R606")


def _tallied(session, lists, gone, code):
    recording = one_of(session, lists)
    if recording is None:
        return None
    gone.append((session["id"], "recording-started"))
    for each in recording["webhook"]["data"]:
        if each["type"] == "recording-started" and code == "R605":
            each["success"] = False
            recording["webhook"]["successCount"] -= 1
    return code


def other_times(session, lists, gone):
    start = datetime.fromisoformat(session["start"]) - timedelta(minutes=5)
    session["start"] = start.isoformat(timespec="milliseconds")
    return "R607"


def other_people(session, lists, gone):
    visit = {"start": session["start"], "end": session["end"]}
    session["participants"].append({"participantId": "nobody", "name": "Nobody", "timelog": [visit]})
    return "R608"


def test_planted_differences_are_all_found_at_429_and_502_and_no_others(store):
    check_planted(store, 250, 40, "pageInfo")


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["pagination", "bare"])
def test_200_planted_differences_are_all_found_at_429_and_502_and_no_others(store, shape):
    check_planted(store, 900, 200, shape)


def check_planted(store, meetings, number, shape):
    received, records = made_up(meetings)
    lists, now = json.loads(records), later(received)
    planted, kept = plant(received, lists, Random(3), number)
    fill(store, kept)
    with (
        vendor(lists, nth=20, broken=0.05, expires=7, shape=shape, missing=402) as playing,
        playing.client() as client,
    ):
        asked_of(store, client, now)
    assert len(planted) == number
    assert found(store, now) == planted


def test_a_session_whose_recording_changed_gets_the_new_record_beside_the_old_one(store):
    received, records = made_up(60)
    fill(store, received)
    lists = json.loads(records)
    asked_of(store, Saved(lists), later(received))
    lists[LISTED][0]["file"] = {"fileUrl": "https://x/other.mp4"}
    assert asked_of(store, Saved(lists), later(received)).stored == 1
    assert list(found(store, later(received)).values()) in ([], [1])


def test_that_it_goes_on_there_after_it_ended_here_is_news_though_the_record_is_the_same(store):
    received, records = made_up(5)
    session = next(one for one in json.loads(records)[PATHS["session"]] if one["status"] == "ended")
    session |= {"status": "ongoing", "end": None}
    ours = [one for one in received if parse(one).stream == session["id"]]
    fill(store, ours[:-1])
    api = Saved({PATHS["session"]: [session]})
    assert [asked_of(store, api, ours[-2].received_at, lists=True).stored for _ in range(2)] == [1, 0]
    fill(store, ours[-1:])
    assert parse(ours[-1]).type == "session-ended"
    now = ours[-1].received_at + timedelta(hours=1)
    assert [asked_of(store, api, now).stored for _ in range(2)] == [1, 0]
    assert found(store, now) == {(session["id"], "R602"): 1}


def test_a_list_that_grows_while_it_is_read_loses_nothing(store):
    received, records = made_up(60)
    fill(store, received)
    lists = json.loads(records)
    more = [{**lists[LISTED][0], "id": f"more-{n}", "start": "2026-02-01T00:00:00Z"} for n in range(2)]
    with vendor(lists, grow=more, per_page=3) as playing, playing.client() as client:
        asked_of(store, client, later(received))
    stored = {one.said["record"]["id"] for one in store.deliveries() if one.step is RECORD}
    assert stored >= {one["id"] for ones in json.loads(records).values() for one in ones}


ASK = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from test_reconcile import BEGIN, Asked, KEY, reconcile
from tracker.intake.vendor import Videosdk
from tracker.store.application import Tracker
data, base, now = sys.argv[1:]
api = Videosdk.at(base, KEY, 1_000_000)
#go
with Tracker.open(Path(data)) as tracker:
    for account in reconcile(tracker, api, Asked(BEGIN), lambda: datetime.fromisoformat(now)):
        print(account.stored, account.resumed, flush=True)
        sys.stdin.readline()
"""


@pytest.mark.parametrize("apart", [timedelta(), timedelta(seconds=3)])
def test_of_two_processes_that_read_the_lists_one_records_how_far_and_both_come_to_their_end(store, apart):
    received, records = made_up(3)
    fill(store, received)
    now, api = later(received), Saved.read(records, "f")
    first, second = (reconcile(store, api, Asked(BEGIN), lambda at=at: at) for at in (now, now + apart))
    for _ in zip_longest(first, second):
        pass
    stored = [one for one in store.deliveries() if one.step is RECORD]
    assert len(stored) == sum(map(len, json.loads(records).values()))
    assert len(store.trackings("rest:")) == 1
    assert asked_of(store, api, now + apart).resumed == ""


def test_two_processes_that_ask_at_once_store_each_record_once(store, tmp_path, monkeypatch):
    received, records = made_up(3)
    fill(store, received)
    api, own, others = Saved(json.loads(records)), store.append, []

    def append(*given):
        if (
            not others
        ):  # what is to be stored was compared with what is stored, and now another process is faster
            with Tracker.open(tmp_path) as other:
                others.append(asked_of(other, api, later(received) + timedelta(seconds=1)))
        return own(*given)

    monkeypatch.setattr(store, "append", append)
    account = asked_of(store, api, later(received))
    stored = [one.body for one in store.deliveries() if one.step is RECORD]
    assert (account.stored, len(stored)) == (0, others[0].stored)
    assert account.read == others[0].read > 0


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_was_and_stores_nothing_twice(store, tmp_path):
    received, records = made_up(60)
    fill(store, received)
    now, dice = later(received), Random(2)
    lists = json.loads(records)
    with vendor(lists, per_page=5) as playing:
        for _ in range(3):
            process = start(ASK, tmp_path, playing.base, now.isoformat())
            lines = dice.randrange(3, 12)
            go(process, *[process] * lines)  # it gets no further than the line behind those
            for _ in range(lines):
                process.stdout.readline()
            process.kill()
            process.communicate()
        process = start(ASK, tmp_path, playing.base, now.isoformat())
        go(process)
        (printed,) = finish(process)
        assert printed.splitlines()[-1].split()[1:] != []  # it went on somewhere
        assert len(playing.asked) < 4 * sum(-(-len(ones) // 5) + 1 for ones in lists.values())
    records_here = [one.received.source for one in store.deliveries() if one.step is RECORD]
    assert sorted(records_here) == sorted(set(records_here))
    assert len(records_here) == sum(map(len, lists.values()))
