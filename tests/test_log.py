"""What only shows when all sessions are looked at together: habits, silences, clocks, twins, replays."""

import random
from collections import Counter
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace
from story import NOON, OF_THE_LOG, RULES, audited, deliveries, delivery, moment

from projections.audit.auditing import audit
from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse
from tracker.intake.receive_times import believed
from tracker.judging.assess import assess
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.log import (
    NOTHING_KNOWN,
    SESSIONS_OF_LOG,
    Habits,
    LogView,
    Traffic,
    Types,
    habits,
    is_milestone,
    milestone_before,
    next_milestone,
    telling,
    view_of,
)
from tracker.judging.log.clocks import MOST_WRONG
from tracker.judging.log.habits import MINUTE, SECOND, age_bin
from tracker.judging.log.replays import Replay, replays
from tracker.judging.prices import HIGHEST
from tracker.judging.session import Observed
from tracker.judging.sessions import Sessions
from tracker.rules import Rules

AT_LAST = "48h"
MANY = SESSIONS_OF_LOG


def codes(*lines, least=("info", "warning", "error"), as_of=AT_LAST, **more):
    found, _ = audited(*lines, as_of=as_of, **more)
    return [one.code for one in found if one.severity in least]


def worse(*lines, **more):
    """The codes above info."""
    return codes(*lines, least=("warning", "error"), **more)


def meeting(number, begin, *types, length=1200, room=None):
    """A session in which somebody is recorded, ``(second, line)``; only these types of the recording come."""
    whose = f"sessionId=s{number} meetingId={room or f'm{number}'}"
    end = begin + length
    steps = {"starting": begin + 20, "started": begin + 25, "stopping": end - 120, "stopped": end - 100}
    yield begin, f"session-started {whose}"
    yield begin + 1, f"participant-joined {whose} participantId=p{number}"
    for step in types:
        file = f" filePath=/{number}.mp4" if step == "stopped" else ""
        yield steps[step], f"recording-{step} {whose}{file}"
    yield end - 1, f"participant-left {whose} participantId=p{number}"
    yield end, f"session-ended {whose}"


def in_order(*sessions):
    """The lines of these sessions in the order of their times."""
    return [f"{at} {line}" for at, line in sorted(line for session in sessions for line in session)]


ALL = ("starting", "started", "stopping", "stopped")


def recorded(count, *types, **more):
    return in_order(*(meeting(number, 60 * number, *types, **more) for number in range(count)))


def arrived(lines):
    return [delivery(line, position) for position, line in enumerate(lines, 1)]


def learned(lines):
    """What a log of these lines says."""
    sessions, traffic = Sessions(RULES, habits=Habits()), Traffic()
    for each in arrived(lines):
        sessions.observe(each)
        traffic.observe(each, RULES)
    return view_of(sessions.habits, traffic)


def held(log, *lines, as_of=AT_LAST):
    """A session of these lines, in such a log."""
    observed = Observed("S", "S")
    for each in arrived(lines):
        observed.observe(each)
    return assess(observed, moment(as_of), RULES, log)


# -- what is never subscribed to -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lacking", "code"), [("starting", "S201"), ("started", "S202"), ("stopping", "S203"), ("stopped", "X403")]
)
def test_a_type_that_never_comes_in_a_log_is_found_once_and_not_in_each_run(lacking, code):
    types = [step for step in ALL if step != lacking]
    assert worse(*recorded(MANY - 1, *types)) == [code] * (MANY - 1)
    found, _ = audited(*recorded(MANY, *types), as_of=AT_LAST)
    assert [one.type for one in found if one.code == "L603"] == [f"recording-{lacking}"]
    assert [one.code for one in found if one.severity != "info" and one.code != "L603"] == []


@pytest.mark.parametrize("count", [1, MANY])
def test_no_step_was_slow_where_the_one_before_it_is_not_known(count):
    found, _ = audited(*recorded(count, "starting", "stopping", "stopped"), as_of=AT_LAST)
    assert {one.code for one in found} <= {"L603", "S202"}


def test_the_finding_names_the_type_and_how_many_sessions_it_explains():
    found, _ = audited(*recorded(50, "starting", "started", "stopped"), as_of=AT_LAST)
    (one,) = found
    assert (one.code, one.lifecycle, one.severity, one.session_id) == ("L603", "recording", "info", None)
    assert one.message == "recording-stopping never came, though what should follow it came in 50 sessions"


def test_an_end_that_never_comes_is_a_warning_once():
    found, _ = audited(*recorded(MANY, "starting", "started", "stopping"), as_of=AT_LAST)
    assert [(one.code, one.severity, one.type) for one in found] == [("L603", "warning", "recording-stopped")]


def transcribed(count, kind, last=None, first=0):
    """Sessions one an hour in which a transcription of a type starts; its ``last`` step comes after the end."""
    for n in range(first, first + count):
        whose = f"sessionId=t{n} meetingId=t{n}"
        yield from (f"{n}h session-started {whose}", f"{n}h transcription-started t{n} {whose} type={kind}")
        yield f"{n}.5h session-ended {whose}"
        yield from (f"{n}.6h transcription-{one} t{n} {whose} type={kind}" for one in [last] if one)


def test_transcriptions_that_completed_need_no_stopped():
    assert worse(*transcribed(MANY + 1, "post", "completed")) == []
    lost = (*transcribed(MANY, "post", "completed"), *transcribed(1, "post", first=MANY))
    assert worse(*lost) == ["X403"]


def test_that_no_transcription_stopped_is_said_of_those_that_did_not_complete():
    lines = (*transcribed(2, "post", "completed"), *transcribed(MANY, "realtime", first=2))
    found, _ = audited(*lines, as_of=AT_LAST)
    assert [(one.code, one.type) for one in found if one.severity != "info"] == [
        ("L603", "transcription-stopped")
    ]
    assert f"it should have come in {MANY} sessions" in next(one.message for one in found if one.code == "L603")


def endless(count, apart=1800, only=""):
    """Sessions one after the other, of which no end comes, nor what begins like ``only``, where it is given."""
    sessions = [meeting(number, apart * number, *ALL) for number in range(count)]
    kept = [[one for one in each if " session-ended" not in f" {one[1]}"] for each in sessions]
    return [[one for one in each if not only or not one[1].startswith(only)] for each in kept]


@pytest.mark.parametrize("account", [None, "acme"])
def test_where_no_session_ever_ended_that_is_one_warning_and_none_for_each(account):
    others = of_account("beta", [meeting(90 + number, 300 * number, *ALL) for number in range(9)])
    assert worse(*in_order(*endless(MANY)), as_of=None) == ["T307"] * (MANY - 1)
    sessions = of_account(account, endless(MANY + 1)) + others if account else endless(MANY + 1)
    found, _ = audited(*in_order(*sessions))
    (one,) = [each for each in found if each.severity != "info"]
    assert (one.code, one.type, one.account, one.severity) == ("L603", "session-ended", account, "warning")
    assert one.message.endswith(f"never came, though it should have come in {MANY} sessions")


@pytest.mark.parametrize("what", [" session-ended", " participant-left"])
def test_sessions_that_are_live_or_have_just_been_left_when_a_log_ends_should_not_have_ended(what):
    live = [meeting(number, 20 * number, *ALL) for number in range(20)]
    lines = [one for one in in_order(*live) if " session-ended" not in one and what not in one]
    assert learned(lines).unsubscribed == ()
    assert worse(*lines, as_of=None) == []


def test_sessions_of_which_nobody_knows_who_is_inside_should_have_ended_a_day_later():
    assert learned(in_order(*endless(MANY, only="participant"))).unsubscribed == ()
    later = [*endless(MANY, only="participant"), [(26 * 3600, "session-started sessionId=z meetingId=z")]]
    assert [one.type for one in learned(in_order(*later)).unsubscribed] == ["session-ended"]


def test_a_session_that_ended_shows_that_ends_come():
    assert worse(*in_order(*endless(6), meeting(7, 0, *ALL)), as_of=None) == ["T307"] * 5


def test_where_it_is_forgotten_since_when_sessions_should_have_ended_as_many_are_known():
    count = Types(newest=100 * MINUTE)
    for due in range(1, 9):
        count.saw_due(20 * due, None)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(habits, "MOST_DUE", 2)
        count.prune_due()
    assert (count.overdue, len(count.due)) == (5, 4)
    for due in range(1, 9):
        count.saw_due(None, 20 * due)
    assert count.due == {}


def test_a_failure_that_never_comes_is_no_type_to_miss():
    assert codes(*recorded(50, *ALL)) == []


def test_a_type_that_came_once_in_the_log_is_missed_where_it_does_not_come():
    lacking = [meeting(number, 60 * number, "starting", "started", "stopped") for number in range(5)]
    assert worse(*in_order(*lacking, meeting(9, 6000, *ALL))) == ["S203"] * 5


@pytest.mark.parametrize("lacking", ["starting", "started", "stopping"])
def test_a_room_may_subscribe_to_less_than_the_rest_of_the_log(lacking):
    types = [step for step in ALL if step != lacking]
    rest = [meeting(number, 60 * number, *ALL) for number in range(5)]
    room = [meeting(10 + number, 3000 * number, *types, room="less") for number in range(2)]
    found, _ = audited(*in_order(*rest, *room), as_of=AT_LAST)
    assert [one.code for one in found if one.severity != "info"] == []
    assert [one.type for one in found if one.code == "L603"] == [f"recording-{lacking}"]


def test_one_session_of_a_room_says_nothing_of_what_the_room_subscribes_to():
    rest = [meeting(number, 60 * number, *ALL) for number in range(5)]
    assert worse(*in_order(*rest, meeting(10, 0, "starting", "started", "stopped", room="less"))) == ["S203"]


def streamed(number, room, *steps):
    """The same with a livestream in place of the recording."""
    return [
        (at, line.replace("recording", "livestream")) for at, line in meeting(number, 20_000, *steps, room=room)
    ]


@pytest.mark.parametrize("lacking", ["starting", "stopping"])
def test_who_does_not_subscribe_to_a_step_of_one_kind_does_not_to_that_of_another(lacking):
    types = [step for step in ALL if step != lacking]
    rest = [[*meeting(number, 60 * number, *ALL)] for number in range(5)]
    rest.append(streamed(9, "m9", *ALL))
    room = [[*meeting(10 + number, 3000 * number, *types, room="less")] for number in range(MANY)]
    assert worse(*in_order(*rest, *room, streamed(20, "less", *types))) == []
    assert worse(*in_order(*rest, *room, streamed(20, "other", *types))) != []
    assert worse(*in_order(*room, streamed(20, "other", *types))) == []


def test_a_room_without_session_started_may_miss_the_started_of_a_livestream():
    rest = [meeting(number, 60 * number, *ALL) for number in range(5)]
    room = [[*meeting(10 + number, 3000 * number, *ALL, room="less")][1:] for number in range(2)]
    lost = streamed(20, "less", "starting", "stopping", "stopped")[1:]
    assert worse(*in_order(*rest, streamed(9, "m9", *ALL), *room, lost)) == ["S202"]


def test_a_room_that_does_not_subscribe_to_session_started_gets_no_finding_for_it():
    rest = [meeting(number, 60 * number, *ALL) for number in range(5)]
    room = [
        [
            line
            for line in meeting(10 + number, 3000 * number, *ALL, room="less")
            if "session-started" not in line[1]
        ]
        for number in range(2)
    ]
    assert worse(*in_order(*rest, *room)) == []


def test_a_room_lacks_what_never_came_in_two_of_its_sessions_and_what_never_came_in_the_log():
    rest = [meeting(number, 60 * number, "starting", "started", "stopped") for number in range(MANY)]
    room = [meeting(10 + number, 3000 * number, "started", "stopped", room="less") for number in range(2)]
    log = learned(in_order(*rest, *room))
    assert {one.type for one in log.unsubscribed} == {"recording-stopping"}
    assert log.lacking("less") >= {"recording-stopping", "recording-starting"}
    assert "recording-starting" not in log.lacking("m0") | log.lacking(None)
    assert NOTHING_KNOWN.lacking("less") == frozenset()


def of_account(account, sessions):
    """The same sessions, as the account sends them."""
    return [[(at, f"{line} @{account}") for at, line in session] for session in sessions]


@pytest.mark.parametrize(
    ("lacking", "severity"),
    [("starting", "info"), ("started", "info"), ("stopping", "info"), ("stopped", "warning")],
)
def test_a_type_that_never_comes_of_an_account_is_found_once_and_names_it(lacking, severity):
    types = [step for step in ALL if step != lacking]
    acme = of_account("acme", [meeting(number, 60 * number, *ALL) for number in range(5)])
    beta = of_account(
        "beta", [meeting(10 + number, 3000 * number, *types, room="room") for number in range(MANY)]
    )
    found, _ = audited(*in_order(*acme, *beta), as_of=AT_LAST)
    told = [(one.type, one.account, one.severity) for one in found if one.code == "L603"]
    assert told == [(f"recording-{lacking}", "beta", severity)]
    assert [one.code for one in found if one.severity != "info" and one.code != "L603"] == []


def test_what_never_comes_of_any_account_is_found_once_for_the_whole_log():
    types = ("starting", "started", "stopped")
    both = [
        of_account(name, [meeting(10 * begin + number, 60 * number, *types) for number in range(MANY)])
        for begin, name in enumerate(("acme", "beta"))
    ]
    found, _ = audited(*in_order(*both[0], *both[1]), as_of=AT_LAST)
    assert [(one.type, one.account) for one in found if one.code == "L603"] == [("recording-stopping", None)]


def test_an_account_that_is_known_late_has_what_came_of_its_sessions_before():
    acme = of_account("acme", [meeting(number, 60 * number, *ALL) for number in range(MANY)])
    late = [[(at, line.partition(" @")[0]) for at, line in one[:4]] + list(one[4:]) for one in acme]
    assert learned(in_order(*late)).habits.accounts["acme"].sessions == learned(in_order(*acme)).habits.sessions


def test_where_nobody_subscribes_to_lefts_no_room_is_empty_and_nobody_is_missed():
    sessions = [
        [line for line in meeting(number, 60 * number, *ALL) if "-left" not in line[1]] for number in range(5)
    ]
    found, _ = audited(*in_order(*sessions), as_of=AT_LAST)
    assert [(one.code, one.type, one.severity) for one in found if one.severity != "info"] == [
        ("L603", "participant-left", "warning")
    ]


# -- habits are collected in parts ------------------------------------------------------------------

TYPES = [
    "session-started start=2026-01-05T12:00:00Z",
    "session-ended start=2026-01-05T12:00:00Z",
    "participant-joined p",
    "participant-left p",
    "recording-starting",
    "recording-started",
    "recording-stopped filePath=/1.mp4",
    "transcription-started t",
]


def comparable(habits):
    rooms = {name: {**asdict(room), "begins": [*room.begins]} for name, room in habits.rooms.items()}
    return {**asdict(habits), "bursts": sorted(habits.bursts), "rooms": rooms}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 900), st.sampled_from(TYPES)), max_size=60),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
def test_habits_collected_from_any_parts_of_the_sessions_add_up_to_those_of_the_whole(came, part_of):
    now, whole, parts = 0, Habits(), [Habits() for _ in range(3)]
    together = Sessions(RULES, habits=whole)
    apart = [Sessions(RULES, habits=part) for part in parts]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(habits, "MOST_COPIES", 4)
        for position, (number, gap, line) in enumerate(came, 1):
            now += gap
            account = f" @a{number % 3}" if number else ""
            each = delivery(f"{now} {line} sessionId=s{number} meetingId=m{number % 2}{account}", position)
            together.observe(each)
            apart[part_of[number]].observe(each)
        total = Habits()
        for part in parts:
            total.add(part)
    assert comparable(total) == comparable(whole)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(TYPES)), max_size=60),
    st.sets(st.integers(1, 60)),
)
def test_what_is_known_of_rooms_adds_up_however_often_it_is_put_aside(came, put_aside):
    whole, some, total = Habits(), Habits(), Habits()
    together, apart = Sessions(RULES, habits=whole), Sessions(RULES, habits=some)
    for position, (number, line) in enumerate(came, 1):
        text = f"{position} {line} sessionId=s{number} meetingId=m{number % 2} @a{number % 3}"
        together.observe(delivery(text, position))
        apart.observe(delivery(text, position))
        if position in put_aside:
            total.add(replace(Habits(), rooms=some.rooms))
            some.rooms = {}
    total.add(replace(Habits(), rooms=some.rooms))
    assert comparable(total)["rooms"] == comparable(whole)["rooms"]


def test_a_room_counts_each_of_its_sessions_once():
    sessions = (f"{at} {step} sessionId=s{at % 3} meetingId=m" for at, step in enumerate(TYPES))
    assert (
        learned([*sessions, "9 session-started sessionId=alone meetingId=other"]).habits.rooms["m"].sessions
        == 3
    )


def test_what_habits_tell_of_other_sessions_is_without_the_rooms_of_one_session():
    lines = [f"{at} session-started sessionId=s{at} meetingId={room}" for at, room in enumerate("mmn")]
    log = learned(lines)
    assert ([*log.habits.rooms], [*telling(log.habits).rooms]) == (["m", "n"], ["m"])


def test_a_copy_of_habits_is_equal_and_its_own():
    log = learned(recorded(3, *ALL))
    mine = telling(log.habits)
    assert comparable(mine) | {"rooms": {}} == comparable(log.habits) | {"rooms": {}}
    mine.saw_type("session-started")
    assert comparable(mine) != comparable(log.habits)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 900), st.sampled_from(TYPES)), max_size=40))
def test_what_is_kept_with_the_checkpoint_goes_on_as_if_it_had_not_been_put_away(came):
    now, straight, kept = 0, Traffic(), Traffic()
    for position, (number, gap, line) in enumerate(came, 1):
        now += gap
        each = delivery(f"{now} {line} sessionId=s{number}", position)
        straight.observe(each, RULES)
        kept.observe(each, RULES)
        kept = msgspec.json.decode(msgspec.json.encode(kept), type=Traffic)
    assert kept == straight


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 900), st.sampled_from(TYPES)), max_size=40))
def test_habits_that_were_put_away_are_the_same(came):
    lines, now = [], 0
    for number, gap, line in came:
        now += gap
        lines.append(f"{now} {line} sessionId=s{number}")
    habits = learned(lines).habits
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(habits), type=Habits)
    assert comparable(again) == comparable(habits)


# -- how old copies are ----------------------------------------------------------------------------

OFTEN = 300
"""Sessions with four webhooks each that can come only once: enough to say how likely a copy is."""


def busy(number, chance):
    """A session in which all is done twice, so that much of it is equal to what was before."""
    whose = f"sessionId=s{number} meetingId=m{number}"
    begin = 600 * number
    yield begin, f"session-started {whose}"
    for place in range(2):
        at = begin + 5 + 1500 * place + chance.uniform(0, 300)
        end = at + chance.uniform(300, 1000)
        yield at, f"participant-joined {whose} participantId=p"
        for second, step in ((10, "starting"), (15, "started"), (200 + chance.uniform(0, 50), "stopping")):
            yield at + second, f"recording-{step} {whose}"
        yield at + 270, f"recording-stopped {whose} filePath=/{number}-{place}.mp4"
        yield end, f"participant-left {whose} participantId=p"
    yield begin + 3000, f"session-ended {whose}"


def calm(number, _chance):
    """A session in which all is done once."""
    return meeting(number, 600 * number, *ALL)


def with_copies(count, share, ages, made=busy):
    """Such sessions; so many of their webhooks come again, as much later as one of these ages."""
    chance = random.Random(7)
    for number in range(count):
        lines = list(made(number, chance))
        yield lines
        yield [
            (at + chance.choice(ages) + chance.uniform(-0.5, 0.5), line)
            for at, line in lines
            if chance.random() < share
        ]


def log_with_copies(share, ages, made=busy):
    return learned(in_order(*with_copies(OFTEN, share, ages, made)))


@pytest.fixture(scope="module")
def minute():
    """A log in which one webhook in ten comes again after a minute."""
    return log_with_copies(0.1, [60])


@pytest.fixture(scope="module")
def never():
    """A log in which nothing ever comes again."""
    return log_with_copies(0, [60])


def joined_again(log, seconds):
    """Somebody joins, and joins again so many seconds later, and leaves when the session ends."""
    lines = ("0 session-started", "1 participant-joined p", f"{1 + seconds} participant-joined p")
    return held(log, *lines, "30m participant-left p", "1801 session-ended")


def left_at(second):
    """The last lines of a session that ends then."""
    return f"{second} participant-left p", f"{second + 1} session-ended"


def codes_of(session):
    return [one.code for one in session.findings if one.code != "T310"]


def test_where_copies_come_after_a_minute_a_lone_repeat_after_a_minute_is_a_copy():
    minute = log_with_copies(0.1, [60], calm)
    assert minute.profile.enough
    assert codes_of(joined_again(minute, 60)) == ["D101"]


def test_where_all_is_done_twice_it_is_still_likelier_a_copy_and_not_said_as_a_fact(minute):
    assert codes_of(joined_again(minute, 60)) == ["D105"]


def test_where_copies_come_after_a_minute_a_lone_repeat_of_another_age_is_no_fact(minute):
    assert "D101" not in codes_of(joined_again(minute, 47))


def test_where_nothing_ever_comes_again_a_lone_repeat_is_a_step_of_its_own(never):
    assert never.profile.enough
    assert codes_of(joined_again(never, 60)) == ["S213"]


def test_where_nothing_ever_comes_again_in_a_long_log_a_starting_that_comes_again_is_a_restart():
    never = learned(in_order(*with_copies(900, 0, [60])))
    lines = ("0 session-started", "1 participant-joined p", "60 recording-starting", "30m recording-starting")
    ended = ("1803 recording-started", "50m recording-stopping", "3010 recording-stopped filePath=/a.mp4")
    session = held(never, *lines, *ended, "60m participant-left p", "3601 session-ended")
    assert codes_of(session) == ["T301"]


def test_an_age_that_no_copy_had_is_as_likely_as_those_like_it():
    seen, equals = range(60, 600, 20), range(60, 7200, 10)
    copies = dict.fromkeys((age_bin(age * SECOND) for age in seen), 1)
    doubtful = dict.fromkeys((age_bin(age * SECOND) for age in equals), 9)
    profile = LogView(Habits(bodies=3000, others=6000, copies=copies, doubtful=doubtful)).profile
    like, unlike = (profile.share_of_age(age * SECOND, with_others=False) for age in (310, 3000))
    assert like > 10 * unlike > 0


def test_one_copy_of_a_rare_age_does_not_make_the_next_one_a_fact():
    copies, doubtful = {age_bin(7200 * SECOND): 1}, dict.fromkeys(range(12, 150), 9)
    doubtful |= dict.fromkeys(range(age_bin(7200 * SECOND) - 3, age_bin(7200 * SECOND) + 4), 0)
    profile = LogView(Habits(bodies=3000, others=6000, copies=copies, doubtful=doubtful)).profile
    assert profile.copy_price(0, 7200 * SECOND)[0] is False


def started_again(log):
    """A recording is started again five minutes later, and nobody had stopped it."""
    begun = ("60 recording-starting", "71 recording-started", "360 recording-starting", "379 recording-started")
    ended = ("1500 recording-stopping", "1530 recording-stopped filePath=/a.mp4")
    return held(log, "0 session-started", "1 participant-joined p", *begun, *ended, *left_at(1800))


def test_that_both_steps_of_a_start_come_again_is_no_fact_where_few_webhooks_do():
    few = log_with_copies(0.03, range(240, 480), calm)
    assert few.profile.copy_price(0, 300 * SECOND)[1] < 0.5
    assert codes_of(started_again(few)) == ["D105", "D105"]


def test_that_both_steps_of_a_start_come_again_are_copies_where_every_third_webhook_does():
    many = log_with_copies(0.3, range(290, 320), calm)
    assert codes_of(started_again(many)) == ["D101", "D101"]


def test_a_step_costs_the_more_the_fewer_are_as_late(never):
    late, window = 1.0, 120 * 10**6
    in_time = [NOTHING_KNOWN.late_price(late, 0, seconds * 10**6, window) for seconds in (1, 60, 120)]
    assert in_time == [late] * 3
    assert never.late_price(late, 0, 10**6, window) == late + 3.5
    assert never.late_price(late, 0, 90 * 10**6, window) == late + 3.5


def test_where_steps_are_often_late_by_so_much_it_costs_little():
    habits = Habits(steps=9_000)
    for _ in range(1000):
        habits.saw_step(0, 30 * 10**6)
    log = LogView(habits)
    at = 10 * 3600 * 10**6
    prices = [log.late_price(1.0, at, seconds * 10**6, 120 * 10**6) for seconds in (1, 30, 60)]
    assert prices == pytest.approx([2.3, 2.3, 4.5], abs=0.05)


@pytest.mark.parametrize(
    ("files", "codes"),
    [("aa", ["C508"]), ("aaa", ["C508"] * 2), ("aba", ["C508"]), ("abba", ["C508"] * 2), ("abc", [])],
)
def test_where_nothing_ever_comes_again_a_file_that_does_is_of_several_runs(never, files, codes):
    lines = []
    for place, file in enumerate(files):
        begin = 60 + 840 * place
        steps = ((0, "starting"), (5 + 2 * place, "started"), (400 + 7 * place, "stopping"))
        lines += [f"{begin + at} recording-{step}" for at, step in steps]
        lines.append(f"{begin + 430 + 11 * place} recording-stopped filePath=/{file}.mp4")
    session = held(never, "0 session-started", "1 participant-joined p", *lines, *left_at(5000))
    assert codes_of(session) == codes


def test_that_a_webhook_comes_again_never_costs_less_than_nothing():
    habits = Habits(bodies=3, copies={12: 40})
    assert LogView(habits).profile.again_price(0, 62 * 10**6, "S") == 0


def test_who_comes_with_another_device_is_no_burst_of_copies(minute):
    first = (
        "0 session-started",
        "1 participant-joined p",
        "131 participant-left p",
        "600 participant-joined p",
    )
    session = held(
        minute,
        *first,
        "662 participant-joined p",
        "662.15 participant-left p",
        "685 participant-left p",
        "690 session-ended",
    )
    (person,) = session.participants
    assert (len(person.runs), codes_of(session)) == (3, ["D103"])


def test_what_comes_twice_through_two_channels_says_nothing_of_lone_copies():
    lines = list(calm(0, random.Random(3)))
    log = learned(in_order(lines, [(at + 60, line) for at, line in lines]))
    assert {*log.habits.copies.values(), *log.habits.doubtful.values()} == {0}


def test_where_too_little_has_come_the_windows_hold_and_a_lone_repeat_is_doubtful():
    few = learned(in_order(*with_copies(20, 0.1, [60])))
    assert not few.profile.enough
    (found,) = [one for one in joined_again(few, 60).findings if one.code != "T310"]
    assert (found.code, found.severity) == ("D105", "info")
    assert 0.5 < found.confidence < 0.9


@pytest.mark.parametrize("seconds", [60, 300, 1200, 3600])
def test_a_ladder_of_retries_is_learned(seconds):
    ladder = log_with_copies(0.1, [60, 300, 1200, 3600])
    starting = ("60 recording-starting", "65 recording-started", "100 recording-stopping")
    lines = ("0 session-started", "1 participant-joined p", *starting, "110 recording-stopped filePath=/a.mp4")
    session = held(
        ladder, *lines, f"{60 + seconds} recording-starting", "2h participant-left p", "7201 session-ended"
    )
    assert codes_of(session) == ["D101"]


def test_a_ladder_of_retries_raises_nothing():
    found, _ = audited(*in_order(*with_copies(OFTEN, 0.1, [60, 360, 1560, 5160])), as_of="9999h")
    assert [one.code for one in found if one.severity != "info"] == []


def test_the_price_of_a_copy_is_never_negative_and_never_beyond_the_highest(minute, never):
    for log in (minute, never):
        for seconds in (0, 1, 59, 60, 61, 600, 86_400, 10**7):
            certain, price = log.profile.copy_price(10**15, seconds * 10**6)
            assert 0 < price <= HIGHEST
            assert not certain or price < 0.2


def test_where_steps_are_never_late_a_step_that_is_has_its_price(never):
    window = RULES.windows.lateness
    assert NOTHING_KNOWN.lateness(window) == window
    assert never.lateness(window) < window


# -- milestones ------------------------------------------------------------------------------------


def test_the_view_of_a_log_that_grows_changes_at_each_of_the_first_positions_and_at_few_others():
    found = [position for position in range(30_001) if is_milestone(position)]
    assert found[:100] == [*range(1, 101)]
    assert found[100:105] == [200, 500, 1_000, 2_000, 5_000]
    assert {10_000, 20_000} <= set(found)


@given(st.integers(0, 10**7))
def test_the_milestone_before_a_position_is_the_last_one_up_to_it(position):
    last = milestone_before(position)
    assert last <= position
    assert last == 0 or is_milestone(last)
    assert milestone_before(last) == last


@given(st.integers(0, 10**9))
def test_between_a_milestone_and_the_next_one_there_is_none(position):
    following = next_milestone(position)
    assert following > position
    assert is_milestone(following)
    assert milestone_before(following - 1) == milestone_before(position)


def test_a_view_does_not_know_what_came_later():
    log = learned(without(in_order(*dense(2)), 60, 90))
    (silence,) = log.silences
    assert log.known_by(position=silence.position).silences == (silence,)
    assert log.known_by(position=silence.position - 1).silences == ()
    assert log.known_by(time=silence.until).silences == (silence,)
    assert log.known_by(time=silence.until - timedelta(seconds=1)).silences == ()
    assert log.known_by() is log


# -- what came before the log ----------------------------------------------------------------------

ROTATED = {
    "S201": ("0 recording-started", "60 recording-stopping", "65 recording-stopped filePath=/1.mp4"),
    "S205": ("0 hls-stopping", "9 hls-stopped"),
    "S212": ("0 participant-left p", "9 participant-joined q", "99 participant-left q"),
    "X405": ("0 participant-joined q", "9 participant-recording-starting p", "99 participant-left q"),
    "X401": ("0 participant-joined q", "9 participant-left p", "99 participant-left q"),
}


def begun_before(code, begin, *more):
    """The verdict on what is missing before the first webhooks of a session, received so long after the log began, and
    whether its message says when that was."""
    lines = [line.split(" ", 1) for line in ROTATED[code]]
    session = [f"{begin + int(at)} {what} sessionId=s" for at, what in lines]
    found, _ = audited("0 session-started sessionId=z", *more, *session, as_of=AT_LAST)
    return {(one.verdict, one.message.endswith("; the log begins only at 12:00:00 UTC"))
            for one in found if one.code == code}  # fmt: skip


@pytest.mark.parametrize("code", ROTATED)
def test_what_may_have_come_before_the_log_is_undecided(code):
    assert begun_before(code, 2) == {("undecided", True)}
    assert begun_before(code, 2 * 3600 - 10) == {("undecided", True)}
    assert begun_before(code, 2 * 3600 + 10) == {("settled", False)}


@pytest.mark.parametrize("code", [one for one in ROTATED if one != "X401"])
def test_what_is_missing_in_a_session_that_began_in_the_log_is_missing(code):
    assert begun_before(code, 2, "1 session-started sessionId=s") == {("settled", False)}


def test_what_is_missing_behind_something_of_the_same_cannot_have_come_before_the_log():
    found, _ = audited(
        *("0 recording-stopping", "1 recording-stopped filePath=/1.mp4", "2 participant-joined p"),
        *("900 recording-stopping", "901 recording-stopped filePath=/2.mp4", "905 participant-left p"),
        *("910 recording-starting", "950 recording-stopping", "951 recording-stopped filePath=/3.mp4"),
        *("1500 participant-recording-starting p", "1501 participant-recording-started p"),
        as_of=AT_LAST,
    )
    verdicts = [(one.code, one.verdict) for one in found if one.code in ("S202", "S205", "X405")]
    assert verdicts == [("S205", "undecided"), ("S205", "settled"), ("S202", "settled"), ("X405", "settled")]


def test_a_session_in_which_all_begins_in_the_log_is_no_older_than_the_log():
    found, _ = audited("0 participant-joined q", "99 participant-left q", "100 session-ended", as_of=AT_LAST)
    assert [(one.code, one.verdict) for one in found] == [("X401", "settled")]


def test_a_failure_is_one_though_what_failed_began_before_the_log():
    found, _ = audited("0 recording-failed", as_of=AT_LAST)
    assert {(one.code, one.verdict) for one in found} >= {("S206", "settled"), ("X401", "undecided")}


# -- silences --------------------------------------------------------------------------------------


def dense(hours=3, every=30, length=1500):
    """Sessions that begin every half minute, each 25 minutes long: fifty are live at a time."""
    return [meeting(number, every * number, *ALL, length=length) for number in range(hours * 3600 // every)]


def without(lines, begin, end):
    """What was received outside a stretch of time, in minutes after noon."""
    return [line for line in lines if not 60 * begin < float(line.split(" ")[0]) < 60 * end]


def test_a_silence_is_found_with_what_was_live_and_is_the_cause_of_what_was_lost_in_it():
    whole = in_order(*dense())
    assert codes(*whole) == []
    found, _ = audited(*without(whole, 60, 120), as_of=AT_LAST)
    (gap,) = [one for one in found if one.code == "L601"]
    assert gap.message.startswith("nothing came for 1 h, while 50 of ")
    lost = [one for one in found if one.severity != "info" and one is not gap]
    assert len(lost) > 100
    assert {one.cause for one in lost} == {f"L601 #{gap.position}"}


def test_a_silence_lowers_no_severity():
    found, _ = audited(*without(in_order(*dense()), 60, 120), as_of=AT_LAST)
    caused = {(one.code, one.severity) for one in found if one.cause}
    assert caused
    assert caused <= {(code, CATALOGUE[code].severity) for code, _ in caused} | {("S203", "info")}


def test_a_fault_outside_the_silence_is_none_of_its_consequences():
    sessions = [*dense(), meeting(9000, 5400 * 2 + 600, "starting", "started", "stopped")]
    found, _ = audited(*without(in_order(*sessions), 60, 90), as_of=AT_LAST)
    own = [(one.code, one.session_id) for one in found if one.severity != "info" and not one.cause]
    assert own == [("L601", None), ("S203", "s9000")]


def test_a_severity_that_the_user_has_set_stays_in_a_silence():
    rules = Rules(severity={"S212": "error"})
    found, _ = audited(*without(in_order(*dense(2)), 60, 90), rules=rules, as_of=AT_LAST)
    assert {one.severity for one in found if one.code == "S212"} == {"error"}


def steady(rooms, every, hours=3, quiet=()):
    """Sessions of three hours in which somebody comes, and leaves after seven minutes, again and again; between two
    minutes nobody in these sessions does."""
    for room in range(rooms):
        whose = f"sessionId=s{room} meetingId=m{room}"
        coming = [second for second in range(room, hours * 3600 - 500, every)
                  if not quiet or not 60 * quiet[0] - 420 < second < 60 * quiet[1]]  # fmt: skip
        said = [(second, f"participant-joined {whose} participantId=p{second}") for second in coming]
        said += [(second + 420, line.replace("joined", "left")) for second, line in said]
        yield [(0, f"session-started {whose}"), *said, (3 * 3600, f"session-ended {whose}")]


@pytest.mark.parametrize("rooms", [6, 20])
@pytest.mark.parametrize("minutes", [30, 60])
def test_a_silence_is_found_where_all_sessions_live_through_it_and_none_had_ended(rooms, minutes):
    lines = without(in_order(*steady(rooms, 60)), 120, 120 + minutes)
    found, _ = audited(*lines, as_of=AT_LAST)
    (gap,) = [one for one in found if one.code == "L601"]
    assert gap.message.startswith(f"nothing came for {'1 h' if minutes == 60 else '30 min'}")
    assert gap.message.endswith(f", while {rooms} of {rooms} sessions were live")
    assert {one.cause for one in found if one.code == "X404"} == {f"L601 #{gap.position}"}


def test_a_second_silence_of_the_same_sessions_is_found_too():
    lines = without(without(in_order(*steady(20, 60)), 40, 70), 120, 150)
    assert len(learned(lines).silences) == 2


QUIET = {
    "few sessions, steady for an hour": without(in_order(*steady(4, 60, quiet=(60, 120))), 60, 120),
    "sessions that have paused nearly as long before": in_order(*steady(6, 1500, quiet=(90, 125))),
    "classes that begin together and then work by themselves": in_order(
        *(
            [(at if at < 600 else at + 2400, line) for at, line in meeting(n, 9 * n, length=1200)]
            for n in range(12)
        )
    ),
    "a night in which nobody is there": in_order(
        *dense(2, every=60), *(meeting(5000 + n, 50_000 + 60 * n, *ALL) for n in range(60))
    ),
    "one large meeting that is quiet": [
        "0 session-started",
        *(f"{n} participant-joined p{n}" for n in range(1, 300)),
        *(f"{7200 + n} participant-left p{n}" for n in range(1, 300)),
        "2.5h session-ended",
    ],
    "an hour that is replayed on the next day": in_order(
        *dense(1, every=60), *([(at + 86_400, line) for at, line in one] for one in dense(1, every=60))
    ),
}


def test_where_no_ends_come_and_all_have_left_it_is_no_silence():
    lines = [line for line in in_order(*steady(20, 60, hours=1)) if "session-ended" not in line]
    assert learned([*lines, "20000 session-started sessionId=z"]).silences == ()


@pytest.mark.parametrize("lines", QUIET.values(), ids=QUIET)
def test_it_is_no_silence_when(lines):
    assert "L601" not in codes(*lines, as_of="120m")
    assert worse(*lines) == []


def test_an_hour_that_is_replayed_the_day_after_a_long_one_makes_no_silence():
    day = in_order(*dense(21))
    hour = [line for line in day if 3600 <= float(line.split(" ")[0]) < 7200]
    again = [f"{float(line.split(' ')[0]) + 82_800} {line.split(' ', 1)[1]}" for line in hour]
    assert learned([*day, *again, *in_order(meeting(9999, 140_000, *ALL))]).silences == ()


def test_a_hook_that_falls_silent_for_good_while_sessions_are_live_is_found_while_that_lasts():
    lines = without(in_order(*dense(3)), 120, 1000)
    assert "L601" not in codes(*lines, as_of="120m")
    assert "L601" not in codes(*lines, as_of="125m")
    found, _ = audited(*lines, as_of="12h")
    (one,) = [one for one in found if one.code == "L601"]
    assert one.message.startswith("nothing has come since 14:00:00 UTC, while 50 of ")
    assert (one.position, one.since, one.severity) == (len(lines), moment("2h"), "error")
    assert {one.cause for one in found} == {None}


def test_a_silence_that_lasts_is_the_same_however_long():
    lines = without(in_order(*dense(3)), 120, 1000)
    sessions, traffic = Sessions(RULES, habits=Habits()), Traffic()
    for each in arrived(lines):
        sessions.observe(each)
        traffic.observe(each, RULES)
    early, late = (view_of(sessions.habits, traffic, moment(when), RULES) for when in ("4h", "90h"))
    assert early.lasting is not None
    assert early == late


# -- replays ---------------------------------------------------------------------------------------


def replayed(lines, hours):
    return [f"{float(line.split(' ')[0]) + 3600 * hours} {line.split(' ', 1)[1]}" for line in lines]


@pytest.mark.parametrize("hours", [6, 24])
def test_an_hour_that_is_replayed_is_found_once_and_moves_nothing(hours):
    once = in_order(*dense(1, every=120))
    found, sessions = audited(*once, *replayed(once, hours), as_of="72h")
    assert [one.code for one in found if one.severity != "info"] == []
    assert [one.code for one in found if one.code.startswith("L")] == ["L602"]
    states = Counter(session.state for session in sessions)
    assert states == Counter({"ended": 30})
    assert {run.state for session in sessions for one in session.aggregates.values() for run in one.runs} == {
        *("ended", "out", "stopped")
    }


def test_a_replay_says_which_deliveries_repeat_earlier_ones_and_how_much_later():
    once = in_order(*dense(1, every=120))
    log = learned([*once, *replayed(once, 6)])
    (replay,) = log.replays()
    assert len(once) - 20 <= replay.first <= len(once) + 20
    assert 2 * len(once) - 20 <= replay.last <= 2 * len(once) + 20
    assert replay.age == 6 * 3600 * 10**6
    assert replay.deliveries <= len(once)


def test_people_who_come_back_from_a_breakout_are_no_replay():
    people = [
        f"{at + place} participant-{step} p{place}"
        for at, step in ((60, "joined"), (1800, "left"), (2700, "joined"), (4200, "left"))
        for place in range(12)
    ]
    assert "L602" not in codes("0 session-started", *people, "4230 session-ended")


def test_a_short_log_that_is_replayed_is_found_once_too():
    once = in_order(meeting(1, 0, *ALL), [(300, "participant-joined q sessionId=s1 meetingId=m1")],
                    [(400, "participant-left q sessionId=s1 meetingId=m1")],
                    [(500, "participant-joined q sessionId=s1 meetingId=m1")],
                    [(600, "participant-left q sessionId=s1 meetingId=m1")])  # fmt: skip
    assert codes(*once, *replayed(once, 6)).count("L602") == 1


# -- receive times ---------------------------------------------------------------------------------


def test_receive_times_that_go_back_are_found_once_a_source():
    lines = ("10 session-started", "8 participant-joined p", "7 participant-joined q", "9 participant-left p")
    found, _ = audited(*lines, sources=["a.jsonl"] * 4)
    (one,) = [one for one in found if one.code == "T308"]
    assert (one.position, one.severity, one.session_id) == (2, "warning", None)
    assert one.message == "in a.jsonl, participant-joined was received 2 s earlier than the line before it"


def test_a_log_that_goes_back_throughout_has_the_newest_line_first_which_is_found_once():
    found, _ = audited(*recorded(2, *ALL)[::-1], sources=["a.jsonl"] * 99, as_of=AT_LAST)
    (one,) = [one for one in found if one.severity != "info"]
    assert (one.code, one.position) == ("T308", 2)
    assert one.message == "in a.jsonl, the newest line stands first: the receive times go back throughout"


def read_in(lines, name="a.jsonl"):
    """What an audit finds in a log of these lines, as it is read from a file."""
    given = deliveries(*lines)
    for one in given:
        one.received = replace(one.received, source=f"{name}:{one.position}")
    return list(audit(believed(given), RULES, moment(AT_LAST)).findings)


def test_a_line_whose_time_cannot_be_true_is_named_with_what_is_believed_instead():
    lines = recorded(1, *ALL)
    lines[3] = f"90000h {lines[3].partition(' ')[2]}"
    (one,) = read_in(lines)
    assert (one.code, one.severity, one.evidence) == ("T308", "warning", (4,))
    assert one.message == (
        "in a.jsonl, line 4 says 2036-04-12 12:00:00 UTC, which cannot be true;"
        " 2026-01-05 12:00:20 UTC is believed instead"
    )


def test_a_row_of_such_lines_is_named_once():
    lines = recorded(1, *ALL)
    for place in range(3):
        when, _, rest = lines[place].partition(" ")
        lines[place] = f"{float(when) - 26 * 8760 * 3600} {rest}"
    (one,) = read_in(lines)
    assert (one.code, one.position, one.evidence) == ("T308", 1, (1, 3))
    assert one.message == (
        "in a.jsonl, lines 1 to 3 say 2000-01-12 12:00:00 UTC to 2000-01-12 12:00:20 UTC, which cannot be true; "
        "2026-01-05 12:00:05 UTC to 2026-01-05 12:00:25 UTC is believed instead"
    )


def test_of_very_many_wrong_lines_the_last_one_that_is_named_counts_the_others():
    lines = [f"{at if at % 3 else -90000 - at} participant-joined p{at}" for at in range(1, 900)]
    found = [one for one in read_in(lines) if one.code == "T308"]
    assert len(found) == MOST_WRONG
    assert found[-1].message.endswith(f"; {299 - MOST_WRONG} more lines behind it have such times")


def test_receive_times_of_less_than_a_second_apart_may_cross():
    assert "T308" not in codes("10 session-started", "9.1 participant-joined p")


def test_two_sources_may_have_two_clocks():
    assert "T308" not in codes("10 session-started", "1 participant-joined p", sources=["a", "b"])


def test_a_stream_whose_times_go_back_is_held_in_the_order_of_time():
    lines = recorded(1, *ALL)
    shuffled = [*lines[::2], *lines[1::2]]
    sources = ["a"] * len(lines[::2]) + ["b"] * len(lines[1::2])
    assert worse(*shuffled, sources=sources) == []


# -- sessions of one meeting -----------------------------------------------------------------------

BESIDE = (
    "0 session-started sessionId=a",
    "5 participant-joined p sessionId=a",
    "600 session-started sessionId=b",
)


def test_a_second_live_session_of_a_meeting_is_found_in_the_second():
    found, _ = audited(*BESIDE, "20m participant-joined q sessionId=b")
    (one,) = [one for one in found if one.code == "X406"]
    assert (one.session_id, one.position, one.evidence) == ("b", 3, (1, 3))
    assert (one.verdict, one.message) == (
        "settled",
        "this session began while the session a of the same meeting was still live",
    )


def test_one_lost_end_is_found_once_and_not_in_each_later_session_of_the_room():
    later = [
        line
        for n in range(1, 5)
        for line in (
            f"{n}h session-started sessionId=x{n}",
            f"{n}h participant-joined p sessionId=x{n}",
            f"{n}.5h participant-left p sessionId=x{n}",
            f"{n}.5h session-ended sessionId=x{n}",
        )
    ]
    found, _ = audited(*BESIDE[:2], *later)
    assert [one.session_id for one in found if one.code == "X406"] == ["x1"]


OTHERWISE = {
    "another meeting": (*BESIDE[:2], "600 session-started sessionId=b meetingId=N"),
    "it had ended": (
        *BESIDE[:2],
        "500 participant-left p sessionId=a",
        "501 session-ended sessionId=a",
        BESIDE[2],
    ),
    "its end came much later and says when it was": (
        *BESIDE,
        "601 participant-left p sessionId=a",
        "1200 session-ended sessionId=a end=2026-01-05T12:09:59Z",
    ),
    "its end came late": (*BESIDE, "601 participant-left p sessionId=a", "720 session-ended sessionId=a"),
    "all had left, and its end was lost": (*BESIDE[:2], "500 participant-left p sessionId=a", BESIDE[2]),
    "it had been idle for too long": (*BESIDE[:2], "25h session-started sessionId=b"),
}


@pytest.mark.parametrize("lines", OTHERWISE.values(), ids=OTHERWISE)
def test_sessions_of_a_meeting_do_not_overlap_when(lines):
    ends = ("26h participant-joined q sessionId=b", "26.5h session-ended sessionId=b")
    assert "X406" not in codes(*lines, *ends)


def test_an_old_session_that_comes_late_and_says_when_it_was_overlaps_with_none():
    late = (
        "600 session-started sessionId=b {}",
        "601 participant-joined q sessionId=b",
        "700 session-ended sessionId=b {}",
    )
    old = [line.format("start=2026-01-05T11:00:00Z end=2026-01-05T11:30:00Z") for line in late]
    assert "X406" not in codes(
        *BESIDE[:2], *old, "30m participant-left p sessionId=a", "31m session-ended sessionId=a"
    )


def test_they_do_not_overlap_where_nobody_subscribes_to_any_left():
    rooms = [
        line
        for n in range(1, 6)
        for line in (
            f"{n} session-started sessionId=x{n} meetingId=x{n}",
            f"{n} participant-joined p sessionId=x{n} meetingId=x{n}",
            f"{n + 20} session-ended sessionId=x{n} meetingId=x{n}",
        )
    ]
    assert "X406" in codes(*BESIDE)
    assert "X406" not in codes(*sorted([*rooms, *BESIDE], key=lambda line: float(line.split()[0])))


def recorded_only(count, *ends):
    """Sessions of one room that subscribes to no people, one an hour; the ends of some of them come."""
    for n in range(count):
        whose = f"sessionId=r{n} meetingId=R"
        yield f"{n}h session-started {whose}"
        yield f"{n}h recording-starting {whose}"
        yield f"{n}h recording-started {whose}"
        yield f"{n}.5h recording-stopped {whose} filePath=/{n}.mp4"
        yield from (f"{n}.6h session-ended {whose}" for one in ends if one == n)


def test_they_do_not_overlap_where_neither_people_nor_ends_are_subscribed_to():
    found, _ = audited(
        *recorded_only(4), *in_order(*(meeting(n, 18000 + n, *ALL) for n in range(MANY))), as_of=AT_LAST
    )
    assert [(one.code, one.session_id) for one in found if one.severity != "info"] == [("T304", "r3")]


def test_an_end_that_was_lost_where_no_people_are_subscribed_to_is_found_where_others_of_the_room_came():
    found, _ = audited(*recorded_only(4, 0, 2, 3), as_of=AT_LAST)
    assert [(one.code, one.session_id) for one in found if one.severity != "info"] == [("T304", "r1")]


def test_two_sessions_of_a_room_overlap_also_where_no_people_are_subscribed_to():
    lines = ("0 session-started sessionId=a", "1 session-started sessionId=b", "2h session-ended sessionId=b")
    assert "X406" in codes(*lines, "2h session-ended sessionId=a")
    assert "X406" not in codes(*lines)


def test_whether_they_overlap_is_undecided_while_the_end_may_come_late():
    found, _ = audited(*BESIDE)
    assert [one.verdict for one in found if one.code == "X406"] == ["undecided"]


def test_without_receive_times_it_stays_undecided():
    found, _ = audited(*(f"- {line.split(' ', 1)[1]}" for line in BESIDE))
    assert [(one.code, one.verdict) for one in found] == [("X406", "undecided")]


NEXT = (
    "0 session-started sessionId=a",
    "5 participant-joined p sessionId=a",
    "60 participant-left p sessionId=a",
    "120 session-started sessionId=b",
    "121 participant-joined p sessionId=b",
)


def test_an_empty_session_is_overdue_one_minute_after_the_next_one_of_its_room_began():
    assert "T307" not in codes(*NEXT, as_of="179")
    assert "T307" in codes(*NEXT, as_of="181")


def test_an_overdue_end_names_the_next_session_of_the_room_whenever_that_began():
    for begin in ("120", "15m", "48h"):
        found, _ = audited(*NEXT[:3], f"{begin} session-started sessionId=b", as_of="72h")
        (message,) = [one.message for one in found if one.code == "T307"]
        at = f"{moment(begin):%Y-%m-%d %H:%M:%S UTC}".removeprefix(f"{NOON:%Y-%m-%d} ")
        assert message.endswith(f"session-ended has not come; the room's next session began at {at}")


def test_a_session_whose_end_was_lost_is_over_when_the_next_one_of_its_room_has_been_live_for_the_grace():
    _, sessions = audited(*NEXT, as_of="721")
    assert {session.session_id: session.state for session in sessions} == {"a": "presumed-ended", "b": "live"}


def test_an_old_session_of_the_room_that_is_sent_again_late_ends_no_other():
    old = ("session-started", "participant-joined p", "participant-left p", "session-ended")
    again = [f"{600 + place} {line} sessionId=b start=2026-01-05T11:00:00Z" for place, line in enumerate(old)]
    _, sessions = audited(
        "0 session-started sessionId=a", "5 participant-joined q sessionId=a", *again, as_of="30m"
    )
    assert {session.session_id: session.state for session in sessions} == {"a": "live", "b": "ended"}


def test_a_session_that_was_idle_for_a_day_before_the_next_one_of_its_room_never_ended():
    assert worse(*NEXT[:2], "25h session-started sessionId=b", as_of="25.5h") == ["T304", "X404"]
    assert worse(*NEXT[:2], "23h session-started sessionId=b", as_of="25.5h") == ["X404", "X406"]


# -- the end of a log ------------------------------------------------------------------------------


@pytest.mark.parametrize(("as_of", "when"), [(None, "when"), ("30h", "1 d after")])
def test_no_more_time_is_said_to_have_passed_than_has(as_of, when):
    found, _ = audited(
        "0 session-started", "1 transcription-started t type=post", "10m session-ended", as_of=as_of
    )
    (one,) = [each for each in found if each.code == "X403"]
    assert f" was still running {when} the session ended at 12:10:00 UTC" in one.message


# -- every code of the log -------------------------------------------------------------------------

REPLAYED = in_order(*dense(1, every=120))
RAISED = {
    "T308": ["10 session-started", "8 participant-joined p"],
    "X406": BESIDE,
    "L601": without(in_order(*dense(2)), 60, 90),
    "L602": [*REPLAYED, *replayed(REPLAYED, 6)],
    "L603": recorded(MANY, "starting", "started", "stopped"),
}
NEARLY = {
    "T308": ["10 session-started", "9.5 participant-joined p"],
    "X406": OTHERWISE["all had left, and its end was lost"],
    "L601": without(in_order(*dense(2)), 60, 64),
    "L602": [*REPLAYED, *replayed(REPLAYED, 6)[:5]],
    "L603": recorded(MANY - 1, "starting", "started", "stopped"),
}


def test_every_code_of_the_log_has_a_story_that_raises_it_and_one_that_does_not():
    assert set(RAISED) == set(NEARLY) == OF_THE_LOG
    assert set(CATALOGUE) >= OF_THE_LOG


@pytest.mark.parametrize("code", RAISED)
def test_a_code_of_the_log_is_found_once_with_its_severity_and_advice(code):
    found, _ = audited(*RAISED[code], as_of=AT_LAST)
    (one,) = [one for one in found if one.code == code]
    assert (one.severity, one.advice) == (CATALOGUE[code].severity, CATALOGUE[code].advice)
    assert "{" not in one.message


@pytest.mark.parametrize("code", NEARLY)
def test_a_code_of_the_log_is_not_found_in_its_nearest_neighbour(code):
    assert code not in codes(*NEARLY[code])


def test_nothing_is_known_of_no_log():
    assert learned([]) == LogView() == NOTHING_KNOWN
    assert (learned([]) != NOTHING_KNOWN) is False  # a struct answers that by itself
    assert (NOTHING_KNOWN.profile.enough, list(NOTHING_KNOWN.replays()), NOTHING_KNOWN.rooms_without()) == (
        False,
        [],
        {},
    )


def test_of_what_has_no_receive_time_the_traffic_knows_only_that_it_came():
    traffic = Traffic()
    traffic.observe(
        parse(Received(b'{"webhookType": "session-started", "data": {"sessionId": "S"}}'), 1), RULES
    )
    assert traffic == Traffic(has_begun=True)
    assert NOON not in (traffic.newest, traffic.oldest)


@pytest.mark.parametrize("other", [0, 2, 5])
def test_where_nothing_has_ever_come_twice_a_restart_is_no_copy_beyond_doubt(other):
    """A log in which nothing comes twice shows no restarts either, so it cannot say what repeats are."""
    usual = [meeting(number, 60 * number, *ALL) for number in range(100)]
    again = [
        [(at, line) for line in ("recording-starting", "recording-started") for at in (begin, begin + 290)]
        for begin in range(100_000, 100_000 + 1000 * other, 1000)
    ]
    restarts = [
        [(at, f"{line} sessionId=r{place} meetingId=r{place}") for at, line in one]
        for place, one in enumerate(again)
    ]
    begun = [*meeting(200, 200_000, *ALL)]
    lost = [line for line in begun if "stop" not in line[1]]
    restart = [
        (200_310, "recording-starting sessionId=s200 meetingId=m200"),
        (200_319, "recording-started sessionId=s200 meetingId=m200"),
    ]
    found, _ = audited(*in_order(*usual, *restarts, [*lost, *restart]), as_of="80h")
    ours = [one for one in found if one.session_id == "s200"]
    assert any(one.code == "S207" or (one.code == "D105" and one.confidence < 0.9) for one in ours)


def test_a_replay_is_remembered_when_single_repeats_are_forgotten():
    shown, day = Habits(), 24 * 3600 * SECOND
    for position in [*range(100, 140), *range(1000, 60_000, 10)]:
        shown.saw_equal(0, day, "S", position, evidence=position < 140)
    before = list(replays(shown.repeats))
    shown.prune()
    assert len(shown.repeats) < 100
    assert list(replays(shown.repeats)) == before == [Replay(100, 139, 40, day)]
