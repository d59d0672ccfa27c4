"""Every test here is about every lifecycle that is declared, so a new one is tested by being there."""

import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from story import NOON, standing

from tracker.delivery.envelope import Received
from tracker.delivery.webhook import camel_case, parse
from tracker.judging.assess import assess_all
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.prices import PRICES
from tracker.lifecycle import ABSENT, DeclarationError, Lifecycle
from tracker.lifecycles import REGISTRY, Registry
from tracker.rules import WINDOWS
from tracker.step import Step

MEDIA = ("starting", "started", "stopping", "stopped", "failed")
DOCUMENTED = [
    *("session-started", "session-ended", "participant-joined", "participant-left"),
    *(f"recording-{step}" for step in MEDIA),
    *(f"participant-recording-{step}" for step in MEDIA),
    *(f"participant-track-recording-{step}" for step in MEDIA),
    *(f"livestream-{step}" for step in MEDIA),
    *(f"hls-{step}" for step in (*MEDIA, "playable")),
    *("transcription-started", "transcription-stopped", "transcription-failed", "resource-acquired"),
]
PAYLOADS = [
    {name: value for name, value in json.loads(line).items() if not name.startswith("_")}
    for line in (Path(__file__).parent / "data/payloads.jsonl").read_text(encoding="utf-8").splitlines()
]
every_lifecycle = pytest.mark.parametrize("lifecycle", REGISTRY.values(), ids=list(REGISTRY))
ASSUMED = {"skipped", "missed", "orphan", "restarted", "overdue", "after_end", "open_at_end"}


def pytest_generate_tests(metafunc):
    """A walk is one legal path from nothing to an end, each state at most once."""
    if "walk" in metafunc.fixturenames:
        walks = [(lifecycle, walk) for lifecycle in REGISTRY.values() for walk in walks_of(lifecycle)]
        ids = [f"{lifecycle.name}: {' '.join(walk)}" for lifecycle, walk in walks]
        metafunc.parametrize("lifecycle, walk", walks, ids=ids)


def walks_of(lifecycle: Lifecycle, state: str = ABSENT, walk: tuple[str, ...] = ()):
    for name in lifecycle.table[state]:
        step = lifecycle.by_name[name]
        if name not in walk:
            yield from [(*walk, name)] if step.closes else walks_of(lifecycle, step.state, (*walk, name))


def webhook_of(lifecycle: Lifecycle, step: Step) -> bytes:
    """A webhook of this step that brings whatever it should."""
    data = {"meetingId": "M", "sessionId": "S"}
    data.update((camel_case(name), "k") for name in (*lifecycle.key, *step.brings[:1]))
    data.update((camel_case(name), f"2026-01-05T12:0{place}:00Z") for place, name in enumerate(lifecycle.times))
    return json.dumps({"webhookType": lifecycle.webhook_type(step.name), "data": data}).encode()


def test_the_documented_types_are_thirty_four_and_all_are_routed():
    assert len(set(DOCUMENTED)) == 34
    assert [name for name in DOCUMENTED if name not in REGISTRY.routes] == []


def test_a_payload_seen_in_the_wild_goes_to_the_owner_of_its_type_with_no_field_lost():
    for webhook in PAYLOADS:
        delivery = parse(json.dumps(webhook).encode())
        owner = REGISTRY.routes[webhook.get("webhookType", "call-summary")]
        assert (delivery.lifecycle, delivery.step, delivery.unrouted) == (*owner, ""), webhook
        known = set(map(camel_case, owner[0].fields))
        assert delivery.extra.keys() == webhook.get("data", webhook).keys() - known, webhook


@every_lifecycle
def test_a_declaration_is_written_the_same_in_each_process(lifecycle):
    """Read models are made anew where it is another one, and a set is in another order in each process."""
    assert not re.search(r"frozenset|\bset\(| at 0x", repr(lifecycle))


@every_lifecycle
def test_each_type_has_one_owner(lifecycle):
    types = [name for step in lifecycle.steps for name in lifecycle.webhook_types(step.name)]
    assert [REGISTRY.routes[name][0] for name in types] == [lifecycle] * len(types)


@every_lifecycle
def test_a_second_lifecycle_of_the_same_name_is_refused(lifecycle):
    with pytest.raises(DeclarationError, match=f"two lifecycles are named '{lifecycle.name}'"):
        REGISTRY.adding(lifecycle)


def test_a_second_owner_of_a_type_is_refused():
    party, lifecycle = REGISTRY["participant"], REGISTRY["recording"]
    steps = tuple(replace(step, name=f"recording-{step.name}") for step in lifecycle.steps)
    table = {state: tuple(f"recording-{name}" for name in row) for state, row in lifecycle.table.items()}
    second = replace(lifecycle, name=party.name, steps=steps, table=table)
    with pytest.raises(DeclarationError, match="-starting belongs to 'participant' and to"):
        Registry([second, REGISTRY["participant-recording"]])


def test_lifecycles_that_share_a_stream_have_one_key():
    other = replace(REGISTRY["resource"], name="line", stream="call")
    with pytest.raises(DeclarationError, match="'call' and 'line' share the stream 'call', and their keys"):
        Registry([REGISTRY["call"], other])


def test_a_second_owner_of_what_has_no_type_is_refused():
    summary = REGISTRY["call-summary"]
    other = replace(summary, name="other", steps=(replace(summary.steps[0], type=""),))
    with pytest.raises(
        DeclarationError, match="that has 'call-summary' belongs to 'call-summary' and to 'other'"
    ):
        Registry([summary, other])


def test_a_second_lifecycle_of_the_session_is_refused():
    session = next(lifecycle for lifecycle in REGISTRY.values() if lifecycle.is_session)
    with pytest.raises(DeclarationError, match="only one lifecycle can be that of the session"):
        Registry([session, replace(session, name="conference")])


@every_lifecycle
def test_every_state_that_is_reached_has_a_row(lifecycle):
    assert set(lifecycle.states) == lifecycle.table.keys() - {ABSENT}


@every_lifecycle
def test_a_way_leads_from_every_open_state_to_every_later_step(lifecycle):
    closed = {step.state for step in lifecycle.steps if step.closes}
    for state in lifecycle.table.keys() - closed:
        for step in lifecycle.steps:
            if (
                step.moves
                and not lifecycle.is_excluded(state, step)
                and lifecycle.rank[step.name] > lifecycle.rank[state]
            ):
                assert lifecycle.between(state, step.name) is not None


@every_lifecycle
def test_its_codes_are_in_the_catalogue_and_its_limits_are_rules(lifecycle):
    assert lifecycle.codes() - CATALOGUE.keys() == set()
    assert {step.limit for step in lifecycle.steps} - {""} - WINDOWS == set()


@every_lifecycle
def test_what_a_run_of_it_may_have_to_assume_has_a_price(lifecycle):
    assert {code for _, role, code in lifecycle.roles() if role in ASSUMED and code} - PRICES.keys() == set()


@every_lifecycle
def test_every_payload_field_may_be_absent(lifecycle):
    assert all(getattr(lifecycle.payload, name) is None for name in lifecycle.fields)


def test_a_legal_path_only_advances_and_nothing_is_found_but_a_bad_outcome(lifecycle, walk):
    session = next(found for found in REGISTRY.values() if found.is_session)
    legal = [(lifecycle, lifecycle.by_name[name]) for name in walk]
    before = [] if lifecycle.is_session else [(session, session.by_name[name]) for name in session.starts]
    came = [
        parse(Received(webhook_of(owner, step), NOON), position)
        for position, (owner, step) in enumerate(before + legal, 1)
        if owner is lifecycle or not lifecycle.stream
    ]
    session = assess_all(came)
    readings = [reading.reading for reading in session.readings().values()]
    assert readings == ["advanced"] * len(came)
    outcomes = {step.outcome for _, step in legal} | {step.missed for step in lifecycle.steps}
    assert set(standing(session, "warning")) - outcomes == set()


@every_lifecycle
def test_it_is_a_file_of_its_own_with_its_own_name(lifecycle):
    module = __import__(f"tracker.lifecycles.{lifecycle.name.replace('-', '_')}", fromlist=["LIFECYCLE"])
    assert module.LIFECYCLE is lifecycle


def test_a_declaration_that_names_an_unknown_rule_is_refused():
    recording = REGISTRY["recording"]
    steps = tuple(replace(step, limit="stuck") if step.limit else step for step in recording.steps)
    with pytest.raises(DeclarationError, match="no limit 'stuck' in the rules"):
        Registry([replace(recording, steps=steps)])


def test_a_lifecycle_whose_steps_move_nothing_may_be_all_that_came_of_a_session():
    steps, summary = (Step("message", moves=False),), REGISTRY["call-summary"]
    declared = replace(summary, name="chat", steps=steps, untyped=None, evidence="documented")
    body = b'{"webhookType": "chat-message", "data": {"sessionId": "S", "meetingId": "M", "callId": "c"}}'
    one = parse(Received(body, received_at=NOON), 1, REGISTRY.adding(declared))
    assert one.session_id == "S"
    assert [found.code for found in assess_all([one]).findings] == []
