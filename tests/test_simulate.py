"""Simulated logs are what they say they are, whoever judges them."""

import base64
import gzip
import json
import os
import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from random import Random

import keys
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from projections.cli import main
from projections.exports import send
from tracker.delivery import envelope
from tracker.delivery.envelope import SIGNATURE_HEADER
from tracker.delivery.webhook import parse
from tracker.errors import UsageError
from tracker.lifecycles import REGISTRY
from tracker.simulate import HABITS, RARELY_SUBSCRIBED, START, TROUBLE, as_json, simulate
from tracker.simulate.faults import FAULTS
from tracker.simulate.meetings import draft
from tracker.simulate.parts import Plan

ROOT = Path(__file__).parents[1]
UNROUTED = {"unknown-type": "C509", "malformed": "C513", "missing-field": "C511"}
"""The faults that are about a webhook which cannot be routed, and why it cannot."""


def log(*arguments, **options):
    return b"".join(envelope.encode(line.received) + b"\n" for line in simulate(*arguments, **options))


@pytest.fixture(scope="module")
def faulty():
    """A log with something wrong in every meeting, each fault four times."""
    return list(simulate(4 * len(FAULTS), 7, 1, FAULTS))


@pytest.fixture(scope="module")
def clean():
    """A log in which nothing is wrong."""
    return list(simulate(400, 7, faults=0))


def truths(lines):
    return [line.truth for line in lines if line.truth and line.last]


def deliveries(lines):
    return [(parse(line.received, line.position), line.truth) for line in lines]


def by_aggregate(lines):
    """The deliveries of every aggregate; of what comes twice nothing."""
    found = defaultdict(list)
    for delivery, truth in deliveries(lines):
        if truth is None or "two-channels" not in truth.oddities:
            found[delivery.stream, delivery.lifecycle.name, delivery.key].append(delivery)
    return found


def test_the_same_seed_gives_the_same_bytes():
    assert log(60, 3, 0.5) == log(60, 3, 0.5)


def test_the_same_seed_gives_the_same_truth():
    one, other = (list(map(as_json, truths(simulate(60, 3, 0.5)))) for _ in range(2))
    assert one == other


def test_another_seed_gives_other_meetings():
    ids = [{truth.session_id for truth in truths(simulate(60, seed))} for seed in (3, 4)]
    assert ids[0] & ids[1] == set()


def test_every_fault_is_drawn_as_often_as_the_others(faulty):
    assert Counter(truth.fault for truth in truths(faulty)) == dict.fromkeys(FAULTS, 4)


def test_a_rare_fault_is_dealt_where_it_is_named_and_where_meetings_have_habits():
    rare = {fault.name for fault in FAULTS.values() if fault.rare}
    drawn = [
        {wrong.name for truth in truths(simulate(300, 1, 1, **options)) for wrong in truth.faults}
        for options in ({}, {"names": rare}, {"habits": ["short-runs"]})
    ]
    assert [found & rare for found in drawn] == [set(), rare, rare]


def test_the_faults_can_be_chosen():
    assert {truth.fault for truth in truths(simulate(9, 1, 1, ["swapped"]))} == {"swapped"}


def test_the_share_of_faulty_meetings_is_as_asked(clean):
    assert sum(truth.fault is not None for truth in truths(simulate(60, 1, 0.5))) == 30
    assert [truth for truth in truths(clean) if truth.fault or truth.positions or truth.expected] == []


def test_the_truth_names_lines_of_its_own_session(faulty):
    lines = {line.position: line for line in faulty}
    for truth in truths(faulty):
        assert truth.positions
        assert {lines[position].truth.session_id for position in truth.positions} == {truth.session_id}


def test_a_meeting_is_over_with_its_last_line(faulty):
    over = set()
    for line in faulty:
        if line.truth:
            assert line.truth.session_id not in over
            over |= {line.truth.session_id} if line.last else set()
    assert len(over) == len(truths(faulty)) == 4 * len(FAULTS)


def test_positions_are_lines_and_receive_times_never_go_back(faulty):
    times = [line.received.received_at for line in faulty]
    assert [line.position for line in faulty] == list(range(1, len(faulty) + 1))
    assert times == sorted(times)


def test_every_line_is_routed_except_where_the_fault_says_otherwise(faulty):
    unrouted = {(truth.fault, one.unrouted) for one, truth in deliveries(faulty) if one.unrouted}
    assert unrouted == set(UNROUTED.items())


def test_an_unroutable_line_is_one_that_the_fault_touched(faulty):
    assert [
        one for one, truth in deliveries(faulty) if one.unrouted and one.position not in truth.positions
    ] == []


def test_without_faults_nothing_is_out_of_order_within_an_aggregate(clean):
    for (_, name, _), received in by_aggregate(clean).items():
        lifecycle = REGISTRY[name]
        if lifecycle.is_presence:
            continue
        for before, after in pairwise(received):
            ranks = [lifecycle.rank[one.step.name] for one in (before, after)]
            assert ranks[0] < ranks[1] or (before.step.closes and after.step.name in lifecycle.starts)


def test_without_faults_a_step_is_left_out_only_where_that_is_legal(clean):
    missing = Counter()
    for (_, name, _), received in by_aggregate(clean).items():
        state = ""
        for delivery in received:
            if delivery.step.name not in REGISTRY[name].table[state] and not REGISTRY[name].is_presence:
                missing.update(REGISTRY[name].between(state, delivery.step.name))
            state = delivery.step.state
    assert set(missing) == {"playable", "stopping"} or set(missing) == {"stopping"}


def test_without_faults_nobody_leaves_who_is_not_inside_and_all_have_left_at_the_end(clean):
    for (_, name, _), received in by_aggregate(clean).items():
        if REGISTRY[name].is_presence:
            inside = 0
            for delivery in received:
                inside += 1 if delivery.step.name == "joined" else -1
                assert 0 <= inside <= 2
            assert inside == 0


def test_every_legal_oddity_is_there(clean):
    oddities = set().union(*(truth.oddities for truth in truths(clean)))
    wanted = {"again", "again-with-ids", "second-device", "stop-without-request", "failed", "failed-first"}
    wanted |= {"in-step", "in-step-exactly", "short-runs", "restless", "overnight"}
    assert wanted | {"not-playable", "post-transcription", "two-channels"} == oddities


def test_some_meetings_have_two_sessions_and_never_both_at_once(clean):
    times = defaultdict(list)
    for delivery, truth in deliveries(clean):
        if delivery.type in ("session-started", "session-ended") and "two-channels" not in truth.oddities:
            times[delivery.meeting_id].append(delivery.type)
    again = [steps for steps in times.values() if len(steps) > 2]
    assert again
    assert all(steps == ["session-started", "session-ended"] * (len(steps) // 2) for steps in again)


def test_a_type_that_nobody_subscribed_to_never_comes():
    silent = "recording-stopping"
    types = {one.type for one, _ in deliveries(simulate(60, 1, unsubscribed=[silent]))}
    assert silent not in types
    assert "recording-stopped" in types


@pytest.fixture
def many(monkeypatch):
    """How many meetings are many, here fewer than else."""
    monkeypatch.setattr("tracker.simulate.MANY", 200)
    return 200


def test_a_log_of_many_meetings_lacks_a_rare_type(many):
    types = {one.type for one, _ in deliveries(simulate(many, 1))}
    assert len(set(RARELY_SUBSCRIBED) - types) == 1


def test_what_was_redelivered_is_there_twice():
    lines = list(simulate(40, 1, 1, ["redelivered-seconds"]))
    for truth in truths(lines):
        bodies = Counter(line.received.body for line in lines if line.truth is truth)
        assert max(bodies.values()) > 1
        assert len({lines[position - 1].received.body for position in truth.positions}) == 1


def with_fault(name):
    """A meeting to which the fault could be done, and the webhooks that it had before."""
    for seed in range(100):
        plan = Plan(0, "jvsg-8rjn-j304", 0.0, 1800.0, must=FAULTS[name].must)
        one = draft(plan, Random(seed), START)
        before = list(one.webhooks())
        if FAULTS[name].apply(one, Random(seed)):
            return one, before
    raise AssertionError(name)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name.startswith("dropped-")])
def test_of_what_is_dropped_one_webhook_never_comes(fault):
    one, before = with_fault(fault)
    gone = [webhook for webhook in before if webhook not in list(one.webhooks())]
    assert [webhook.step for webhook in gone] == [fault.rpartition("-")[2]]


@pytest.mark.parametrize("fault", [fault.name for fault in FAULTS.values() if fault.kind == "delivery"])
def test_a_fault_of_the_delivery_loses_nothing_and_makes_nothing_up(fault):
    one, before = with_fault(fault)
    assert {webhook.body for webhook in one.webhooks()} == {webhook.body for webhook in before}


def steps_of(one, lifecycle):
    """When each step of each run of a lifecycle came, a dict a run."""
    return [
        {webhook.step: webhook.at for webhook in run.webhooks} for run in one.runs if run.lifecycle == lifecycle
    ]


def with_oddity(name, must, seeds=range(300)):
    """Clean meetings of an hour that have this oddity."""
    plan = Plan(0, "jvsg-8rjn-j304", 0.0, 3600.0, must=(must,), with_ids=False)
    drawn = (draft(plan, Random(seed), START) for seed in seeds)
    found = [one for one in drawn if name in one.oddities]
    assert found
    return found


@pytest.mark.parametrize("name", ["in-step", "in-step-exactly"])
def test_media_in_step_are_restarted_after_equally_long(name):
    for one in with_oddity(name, "in-step"):
        recordings = steps_of(one, "recording")
        together = [
            runs
            for runs in (steps_of(one, "hls"), steps_of(one, "livestream"))
            if len(runs) == len(recordings) and abs(runs[0]["starting"] - recordings[0]["starting"]) < 6
        ]
        assert together
        for (before, after), (other, later) in zip(pairwise(recordings), pairwise(together[0]), strict=True):
            for step in ("starting", "stopped"):
                assert abs(after[step] - before[step] - (later[step] - other[step])) < 5


def test_exactly_in_step_every_round_is_as_long_as_the_others():
    for one in with_oddity("in-step-exactly", "in-step"):
        began = [steps["starting"] for steps in steps_of(one, "recording")]
        rounds = [after - before for before, after in pairwise(began)]
        assert max(rounds) - min(rounds) < 5


def test_a_short_run_begins_within_two_minutes_of_the_one_before():
    for one in with_oddity("short-runs", "short-runs"):
        gaps = [
            after.webhooks[0].at - before.webhooks[-1].at
            for before, after in pairwise(one.runs)
            if before.media and before.aggregate == after.aggregate
        ]
        assert 0 < min(gaps) < 122


def test_who_is_restless_comes_back_within_three_minutes():
    for one in with_oddity("restless", "restless"):
        visits = defaultdict(list)
        for visit in one.visits:
            visits[visit.key].append(visit)
        most = max(visits.values(), key=len)
        gaps = [after["joined"].at - before["left"].at for before, after in pairwise(most)]
        assert any(gap < 182 for gap in gaps)


def test_overnight_one_stays_when_the_others_have_left():
    plan = Plan(0, "jvsg-8rjn-j304", 0.0, 3600.0, night=9 * 3600)
    one = draft(plan, Random(1), START)
    left = sorted(visit["left"].at for visit in one.visits)
    assert ("overnight" in one.oddities, left[-1] > 35000) == (True, True)
    assert [at for at in left[:-1] if at > 3602] == []


def test_a_log_that_is_cut_lacks_beginnings_and_says_so():
    whole, cut = (list(simulate(200, 3, cut=seconds, faults=0)) for seconds in (0, 7200))
    assert min(line.received.received_at for line in cut).hour >= 2
    found = [truth for truth in truths(cut) if "begun-before" in truth.oddities]
    assert [truth for truth in truths(whole) if "begun-before" in truth.oddities] == []
    assert {truth.told.get("X401", 0) for truth in found} <= {0, 1}
    assert [truth for truth in found if truth.knowable] == []
    assert found


def test_nothing_goes_wrong_in_what_began_before_the_log():
    found = [truth for truth in truths(simulate(200, 3, 0.5, cut=7200)) if "begun-before" in truth.oddities]
    assert [truth.fault for truth in found if truth.fault] == []


def test_with_stable_urls_a_room_plays_back_at_one_url():
    urls = defaultdict(set)
    for one, _ in deliveries(simulate(300, 1, stable_urls=True)):
        if one.type == "hls-started":
            urls[one.meeting_id].add(one.payload.playback_hls_url)
    assert {len(found) for found in urls.values()} == {1}


@pytest.mark.parametrize("fault", ["stray-copy-seconds", "stray-copy-minutes"])
def test_a_stray_copy_comes_within_a_later_run(fault):
    one, _ = with_fault(fault)
    (copy,) = one.extra
    later = [
        run
        for run in one.runs
        if copy.type.startswith(run.lifecycle) and run.webhooks[0].at < copy.at < run.webhooks[-1].at
    ]
    assert later


@pytest.mark.parametrize("fault", ["stop-in-next-run", "stop-swapped"])
def test_a_stop_that_is_late_comes_after_the_next_starting(fault):
    one, _ = with_fault(fault)
    stop = next(
        webhook for webhook in one.webhooks() if webhook.touched and webhook.step in ("stopping", "stopped")
    )
    run = next(run for run in one.runs if stop in run.webhooks)
    begun = [
        other.webhooks[0].at for other in one.runs if other.aggregate == run.aggregate and other is not run
    ]
    assert any(run.webhooks[0].at < at < stop.at for at in begun)


@pytest.mark.parametrize("fault", ["run-copied", "run-copied-burst"])
def test_a_copied_run_comes_in_order_and_within_twenty_minutes(fault):
    one, _ = with_fault(fault)
    run = next(run for run in one.runs if run.webhooks[0].touched)
    assert [copy.step for copy in sorted(one.extra, key=lambda copy: copy.at)] == run.steps
    ages = [copy.at - first.at for copy, first in zip(one.extra, run.webhooks, strict=True)]
    assert 120 <= min(ages) <= max(ages) < 1200


@pytest.mark.parametrize("fault", ["two-channels-steady", "two-channels-uneven"])
def test_by_two_channels_all_comes_twice(fault):
    lines = list(simulate(4, 1, 1, [fault]))
    for truth in truths(lines):
        text = Counter(line.received.body for line in lines if line.truth is truth)
        assert [body for body, times in text.items() if times % 2] == []


def test_two_lefts_stand_side_by_side_when_one_was_late():
    one, before = with_fault("overtaken-near-left")
    late = next(webhook for webhook in before if webhook.touched)
    lefts = [visit["left"].at for visit in one.visits if visit["left"].data == late.data]
    assert min(abs(at - late.at) for at in lefts if at != late.at) < 6


# -- habits ----------------------------------------------------------------------------------------

of_meetings, of_delivery = (
    pytest.mark.parametrize("habit", [one.name for one in HABITS.values() if one.kind == kind])
    for kind in ("meetings", "delivery")
)
every_habit = pytest.mark.parametrize("habit", HABITS)


@every_habit
def test_with_a_habit_the_same_seed_gives_the_same_log_and_truth(habit):
    one, other = (list(simulate(20, 3, 0.5, habits=[habit])) for _ in range(2))
    assert [line.received for line in one] == [line.received for line in other]
    assert list(map(as_json, truths(one))) == list(map(as_json, truths(other)))


@every_habit
def test_with_a_habit_every_meeting_is_over_with_its_last_line(habit):
    lines, over = list(simulate(30, 4, 0.3, habits=[habit])), set()
    for line in lines:
        if line.truth:
            assert line.truth.session_id not in over
            over |= {line.truth.session_id} if line.last else set()
    assert len(over) == 30
    assert [line.position for line in lines] == list(range(1, len(lines) + 1))


@every_habit
def test_one_receiver_never_goes_back_in_time(habit):
    times = defaultdict(list)
    for line in simulate(30, 4, 0.3, habits=[habit]):
        times[line.receiver].append(line.received.received_at)
    assert [received for received in times.values() if received != sorted(received)] == []
    assert len(times) == HABITS[habit].receivers


def replayed(lines):
    """What a log says without faults and copies: the runs of each aggregate, a dict of positions each.

    A step belongs to the oldest run that is open and has nothing of it or after it.
    """
    found = defaultdict(list)
    for delivery, truth in deliveries(lines):
        if truth is None or truth.copies:
            continue
        lifecycle, step = delivery.lifecycle, delivery.step
        if not step.moves:
            continue
        runs = found[truth.session_id, lifecycle.name, delivery.key]
        fit = [
            run
            for run in runs
            if max(lifecycle.rank[name] for name in run) < lifecycle.rank[step.name]
            and not any(lifecycle.by_name[name].closes for name in run)
        ]
        if step.name in lifecycle.by_name and (not fit or step.name in ("starting", "joined")):
            fit = [{}]
            runs += fit
        fit[0][step.name] = delivery.position
    return found


def as_replayed(found):
    """The same from the truth."""
    text = {}
    for truth in found:
        if truth.copies:
            continue
        text[truth.session_id, "session", ()] = [{step.step: step.position for step in truth.session}]
        for one in truth.aggregates:
            text[truth.session_id, one.lifecycle, one.key] = [
                {step.step: step.position for step in run.steps} for run in one.runs
            ]
    return text


@of_meetings
def test_a_log_without_faults_replays_to_exactly_the_truth(habit):
    lines = list(simulate(40, 5, 0, habits=[habit], unsubscribed=()))
    found, text = replayed(lines), as_replayed(truths(lines))
    assert text
    assert {key: runs for key, runs in found.items() if key[1] != "participant"} == text


@of_meetings
def test_the_visits_of_a_log_without_faults_are_those_of_the_truth(habit):
    lines = list(simulate(40, 5, 0, habits=[habit], unsubscribed=()))
    at = {line.position: envelope.isoformat(line.received.received_at) for line in lines}
    visits = {
        (session, key[0][1]): [(at[run["joined"]], at[run["left"]]) for run in runs]
        for (session, name, key), runs in replayed(lines).items()
        if name == "participant"
    }
    assert visits == {
        (truth.session_id, one.participant_id): [(visit.joined_at, visit.left_at) for visit in one.visits]
        for truth in truths(lines)
        if not truth.copies
        for one in truth.participants
    }


@every_habit
def test_the_truth_says_when_each_step_came_first(habit):
    lines = {line.position: line for line in simulate(20, 6, 0.4, habits=[habit])}
    for truth in truths(lines.values()):
        for name, steps in [("session", truth.session)] + [
            (one.lifecycle, run.steps) for one in truth.aggregates for run in one.runs
        ]:
            for step in (step for step in steps if step.position):
                line = lines[step.position]
                assert envelope.isoformat(line.received.received_at) == step.at
                assert parse(line.received, 1).type == REGISTRY[name].webhook_type(step.step)
                assert step.position not in truth.copies


def test_without_faults_a_meeting_with_a_habit_is_clean():
    for habit in (one.name for one in HABITS.values() if one.kind == "meetings"):
        assert [truth for truth in truths(simulate(20, 2, 0, habits=[habit])) if truth.faults] == []


@of_delivery
def test_a_habit_of_the_delivery_loses_nothing_and_makes_nothing_up(habit):
    faults = 0 if habit == "fewer-types" else 0.2
    before, after = (
        Counter(line.received.body for line in simulate(60, 1, faults, habits=habits))
        for habits in (["reused-rooms"], [habit, "reused-rooms"])
    )
    if habit == "fewer-types":
        assert set(after) < set(before)
    else:
        assert set(after) == set(before)
        assert before <= after


@of_delivery
def test_what_a_habit_of_the_delivery_touches_is_reported_as_harmless(habit):
    lines = list(simulate(150, 1, 0, habits=[habit]))
    wrong = [one for truth in truths(lines) for one in truth.faults]
    assert {one.name for one in wrong} == {"not-subscribed" if habit == "fewer-types" else habit}
    effect = "not-subscribed" if habit == "fewer-types" else HABITS[habit].effect
    assert {(one.kind, one.effect) for one in wrong} == {("harmless", effect)}
    types = {line.position: parse(line.received, 1).type for line in lines}
    assert [one for one in wrong if {types[position] for position in one.positions} - {one.type}] == []
    assert [one for one in wrong if one.type.rpartition("-")[0] != one.lifecycle] == []


def test_of_a_copy_the_body_came_before():
    lines = {line.position: line for line in simulate(60, 1, 0, habits=["retry-hour"])}
    copies = [position for truth in truths(lines.values()) for position in truth.copies]
    for position in copies:
        body = lines[position].received.body
        assert any(lines[before].received.body == body for before in range(1, position))
    assert copies


def test_a_room_that_subscribes_to_fewer_types_never_gets_them():
    lines = list(simulate(300, 1, 0.3, habits=["fewer-types"], unsubscribed=()))
    rooms = defaultdict(set)
    for delivery, _ in deliveries(lines):
        rooms[delivery.meeting_id].add(delivery.type)
    lacking = {
        (truth.meeting_id, one.type)
        for truth in truths(lines)
        for one in truth.faults
        if one.name == "not-subscribed"
    }
    assert [(name, type) for name, type in lacking if type in rooms[name]] == []
    assert {truth.fault for truth in truths(lines) if truth.meeting_id in dict(lacking)} == {None}
    assert any(truth.fault for truth in truths(lines))


@pytest.mark.parametrize(("habit", "count"), [("two-faults", 2), ("three-faults", 3)])
def test_several_faults_of_a_meeting_are_about_different_things(habit, count):
    found = [truth for truth in truths(simulate(60, 1, 0.5, habits=[habit])) if truth.fault]
    assert {len(truth.faults) for truth in found} == {count}
    for truth in found:
        about = [(one.lifecycle, one.key) for one in truth.faults if one.lifecycle]
        assert len(about) == len(set(about))


@pytest.mark.parametrize("first", FAULTS)
def test_any_fault_can_be_tried_after_any_other(first):
    tried = Counter()
    for second in FAULTS:
        for seed in range(4):
            dice = Random(f"{seed}/{second}")
            must = tuple(dict.fromkeys((*FAULTS[first].must, *FAULTS[second].must)))
            one = draft(Plan(0, "jvsg-8rjn-j304", 0.0, 1800.0, must=must, with_ids=False), dice, START)
            tried[FAULTS[first].inject(one, dice) and FAULTS[second].inject(one, dice)] += 1
    assert tried[True]


@pytest.mark.parametrize("fault", [name for name in FAULTS if name.startswith("dropped-")])
def test_the_truth_says_what_a_lost_webhook_was_about(fault):
    for truth in truths(simulate(6, 1, 1, [fault], unsubscribed=())):
        (wrong,) = truth.faults
        assert (wrong.name, wrong.kind, wrong.codes) == (fault, "real", FAULTS[fault].codes)
        assert wrong.type == f"{wrong.lifecycle}-{fault.rpartition('-')[2]}"
        if wrong.lifecycle not in ("session", "participant"):
            (one,) = [
                one for one in truth.aggregates if (one.lifecycle, one.key) == (wrong.lifecycle, wrong.key)
            ]
            lost = [step.step for step in one.runs[wrong.run - 1].steps if step.at is None]
            assert lost == [fault.rpartition("-")[2]]


def test_habits_can_be_combined():
    lines = list(simulate(20, 1, 0, habits=["webinars", "midnight", "two-channels"]))
    for truth in truths(lines):
        assert len(truth.participants) > 100
        assert truth.session[0].at[:10] < truth.session[1].at[:10]
        assert truth.copies


@pytest.mark.parametrize(("habit", "low", "high"), [("usual", 0.11, 0.19), ("rough", 0.43, 0.57)])
def test_a_usual_log_has_a_seventh_and_a_rough_one_half_with_trouble(habit, low, high):
    lines = [line for line in simulate(1000, 3, habits=[habit]) if line.truth]
    odd = [line for line in lines if line.truth.fault or TROUBLE & set(line.truth.oddities)]
    assert low < len(odd) / len(lines) < high


def test_the_payloads_of_2026_have_ids_and_reasons():
    bodies = defaultdict(list)
    for line in list(simulate(200, 1, 0, habits=["ids-2026"])):
        if line.truth is None or line.truth.copies:
            continue
        webhook = json.loads(line.received.body)
        bodies[webhook["webhookType"]].append(webhook["data"])
    assert all("reason" in data for name in ("participant-left", "session-ended") for data in bodies[name])
    ids = [data["id"] for name in ("recording-starting", "hls-starting") for data in bodies[name]]
    assert (len(ids) > 20, len(ids)) == (True, len(set(ids)))
    assert {type(data["fileUrl"]) for data in bodies["recording-stopped"]} == {str, type(None)}
    assert any("encryption" in data for data in bodies["recording-stopped"])


def test_short_runs_go_on_for_six_to_forty_seconds():
    lasted = [
        steps["stopping"] - steps["started"]
        for seed in range(20)
        for name in ("recording", "hls", "livestream")
        for steps in steps_of(
            draft(Plan(0, "jvsg-8rjn-j304", 0.0, 1800.0, must=("shorts",)), Random(seed), START), name
        )
        if "stopping" in steps and steps["stopping"] - steps["started"] < 60
    ]
    assert (len(lasted) > 40, min(lasted) > 4, max(lasted) < 42) == (True, True, True)


def test_recordings_of_a_quarter_are_equal_but_for_their_files():
    found = Counter()
    for delivery, _ in deliveries(simulate(10, 1, 0, habits=["quarter"])):
        if delivery.type == "recording-starting":
            found[delivery.body] += 1
    assert min(found.values()) > 2


def sessions_of_rooms(habit):
    """When the sessions of each meeting id began and ended."""
    sessions = defaultdict(list)
    for truth in truths(simulate(60, 1, 0, habits=[habit])):
        sessions[truth.meeting_id].append((truth.session[0].sent_at, truth.session[1].sent_at))
    return sessions.values()


@of_meetings
def test_in_one_room_a_session_ends_before_the_next_begins(habit):
    for times in sessions_of_rooms(habit):
        assert all(before[1] < after[0] for before, after in pairwise(sorted(times)))


def test_a_room_that_is_used_all_day_has_many_sessions():
    assert min(map(len, sessions_of_rooms("reused-rooms"))) > 5


@pytest.mark.parametrize("arguments", [(3, 1, 1.5), (3, 1, 0.1, ["swaped"])])
def test_a_share_that_is_none_and_a_fault_that_is_none_are_refused(arguments):
    with pytest.raises(UsageError) as raised:
        simulate(*arguments)
    assert raised.value.hint


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def run(capsysbinary):
    """Runs ``tracker simulate``; gives the exit code, stdout and stderr."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["simulate", *map(str, arguments)])
        printed = capsysbinary.readouterr()
        return ended.value.code, printed.out, printed.err.decode()

    return call


def test_the_log_goes_to_stdout_and_nothing_else_does(run):
    assert run("--meetings", 5, "--seed", 2, "--faults", 0.4) == (0, log(5, 2, 0.4), "")


def test_a_log_is_packed_by_its_suffix_into_the_same_bytes_each_time(run, tmp_path):
    packed = []
    for name in ("one.jsonl.gz", "other.jsonl.gz"):
        run("--meetings", 5, "--out", tmp_path / name)
        packed.append((tmp_path / name).read_bytes())
    assert packed[0] == packed[1]
    assert gzip.decompress(packed[0]) == log(5, 1)


def test_the_truth_stands_beside_the_log_a_line_a_session(run, tmp_path):
    run("--meetings", 5, "--faults", 1, "--fault", "late", "--out", os.devnull, "--truth", tmp_path / "truth")
    found = list(map(json.loads, (tmp_path / "truth").read_bytes().splitlines()))
    assert found == [json.loads(as_json(truth)) for truth in truths(simulate(5, 1, 1, ["late"]))]
    assert {(one["fault"], one["kind"], one["state"]) for one in found} == {("late", "delivery", "ended")}


def test_the_log_begins_when_it_is_said(run):
    _, out, _ = run("--meetings", 1, "--start", "2030-02-03T00:00:00Z")
    assert out.startswith(b'{"received_at":"2030-02-0')


@pytest.mark.parametrize("start", ["yesterday", "-1d", "now"])
def test_the_log_begins_at_a_time_as_other_commands_take_it(run, start):
    code, out, _ = run("--meetings", 1, "--start", start)
    first = datetime.fromisoformat(json.loads(out.splitlines()[0])["received_at"])
    assert (code, abs(datetime.now(UTC) - first) < timedelta(days=4)) == (0, True)


def test_the_habits_are_listed_one_in_a_line(run):
    code, out, _ = run("--habit", "list")
    assert (code, [line.split()[0].decode() for line in out.splitlines()]) == (0, list(HABITS))


def test_where_all_is_subscribed_to_a_long_log_lacks_no_type(run, many):
    _, out, _ = run("--meetings", many, "--subscribed")
    assert out == log(many, 1, unsubscribed=())
    assert [name for name in RARELY_SUBSCRIBED if f'"{name}"'.encode() not in out] == []


def test_two_receivers_write_a_log_each(run, tmp_path):
    run("--meetings", 5, "--habit", "two-receivers", "--out", tmp_path / "day.jsonl.gz")
    both = b"".join(gzip.decompress((tmp_path / f"day-{one}.jsonl.gz").read_bytes()) for one in (1, 2))
    assert both == log(5, 1, habits=["two-receivers"])


def test_the_list_tells_every_fault_in_one_line(run):
    code, out, _ = run("--list")
    assert (code, [line.split()[0].decode() for line in out.splitlines()]) == (0, list(FAULTS))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--fault", "swaped"),
        ("--habit", "ofice"),
        ("--faults", 2),
        ("--send", "http://localhost:1/"),
        ("--key", "key.pem"),
        ("--out", "/no/such/directory/log"),
    ],
)
def test_what_cannot_be_done_as_asked_is_reported_with_a_hint(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, b"")
    assert err.startswith("error: ")
    assert "\nhint: " in err


# -- posting to a handler --------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Keeps what was posted and answers with the server's status."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, body, self.headers[SIGNATURE_HEADER]))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def handler():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.received, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """The path of a private key in PEM, and the public key that belongs to it."""
    return keys.write_private(tmp_path_factory.mktemp("key") / "key.pem"), keys.private().public_key()


def verify(public, body, signature):
    public.verify(base64.b64decode(signature), body, PKCS1v15(), SHA256())


def url_of(server):
    return f"http://127.0.0.1:{server.server_port}/hooks?from=test"


def test_a_handler_gets_every_body_in_order_with_a_signature_that_verifies(run, handler, key):
    path, public = key
    code, out, err = run("--meetings", 3, "--faults", 1, "--send", url_of(handler), "--key", path)
    assert (code, out) == (0, b"")
    assert [body for _, body, _ in handler.received] == [line.received.body for line in simulate(3, 1, 1)]
    assert {where for where, _, _ in handler.received} == {"/hooks?from=test"}
    assert f"{len(handler.received)} webhooks posted, 0 not accepted" in err
    for _, body, signature in handler.received:
        verify(public, body, signature)


def test_a_log_can_be_written_while_it_is_posted(run, handler, key, tmp_path):
    run("--meetings", 2, "--send", url_of(handler), "--key", key[0], "--out", tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == log(2, 1)


def test_speed_makes_a_minute_of_an_hour(handler, key, monkeypatch):
    waited = []
    monkeypatch.setattr(send, "sleep", waited.append)
    monkeypatch.setattr(send, "monotonic", lambda: 0.0)
    webhooks = [line.received for line in simulate(1, 1)]
    send.send(webhooks, url_of(handler), send.signer(key[0]), speed=60)
    span = webhooks[-1].received_at - webhooks[0].received_at
    assert waited[-1] == pytest.approx(span.total_seconds() / 60, abs=1e-3)


def test_a_handler_that_does_not_accept_is_reported(run, handler, key):
    handler.status = 500
    code, _, err = run("--meetings", 1, "--send", url_of(handler), "--key", key[0])
    assert code == 2
    assert "the first was webhook 1: 500" in err


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "ftp://localhost/", "http:///x", "http://localhost:x/"])
def test_a_handler_out_of_reach_is_reported_with_a_hint(run, key, url):
    code, _, err = run("--meetings", 1, "--send", url, "--key", key[0])
    assert (code, err.count("hint: ")) == (2, 1)
    assert url in err


@pytest.mark.parametrize("content", [None, b"no key"])
def test_a_key_that_is_none_is_reported_with_a_hint(tmp_path, content):
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(UsageError) as raised:
        send.signer(tmp_path / "key.pem")
    assert "openssl" in raised.value.hint
