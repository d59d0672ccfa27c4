from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from msgspec.structs import replace

from tracker.codes import codes_for
from tracker.findings import NoFinding
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.lifecycle import ABSENT, DeclarationError, Lifecycle, Untyped
from tracker.lifecycles import REGISTRY
from tracker.step import IN_GOOD_ORDER, Step


class Payload:
    id: str | None = None
    kind: str | None = None


OPENED = Step("opened", restarted="S207")
CLOSED = Step("closed", closes=True, orphan="S205", outcome=IN_GOOD_ORDER)
WHENEVER = NoFinding("a door may be opened and closed whenever one likes")


def door(**changes: Any) -> Lifecycle:
    """A lifecycle with nothing wrong, but for the changes."""
    declared = {
        "name": "door",
        "payload": Payload,
        "steps": (OPENED, CLOSED),
        "table": {ABSENT: ("opened",), "opened": ("closed",), "closed": ("opened",)},
        "after_end": WHENEVER,
        "settled_after_end": WHENEVER,
        "open_at_end": WHENEVER,
    }
    return Lifecycle(**{**declared, **changes})


def rows(*changes: tuple[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    table = {ABSENT: ("opened",), "opened": ("closed",), "closed": ("opened",)}
    return {**table, **{state: tuple(names) for state, names in changes}}


WRONG = {
    "a step twice": ({"steps": (OPENED, OPENED, CLOSED)}, "a step is declared twice"),
    "no fields": ({"payload": dict}, "the payload <class 'dict'> is not a class with fields"),
    "an attrs class": ({"payload": attrs.frozen(Payload)}, "the payload Payload is a class of attrs already"),
    "visits of three steps": (
        {
            "is_presence": True,
            "steps": (OPENED, Step("ajar"), CLOSED),
            "table": {**rows(("opened", ("ajar",))), "ajar": ("closed",)},
        },
        "visits have two steps",
    ),
    "visits of nobody": ({"is_presence": True}, "one key field, whose visits they are"),
    "key": ({"key": ("uid",)}, "the key names 'uid', which Payload does not have"),
    "optional key": ({"optional_key": ("uid",)}, "the optional key names 'uid'"),
    "label": ({"label": "title"}, "the label names 'title'"),
    "artefacts": ({"artefacts": ("file",)}, "artefacts names 'file'"),
    "times": ({"times": ("start",)}, "times names 'start'"),
    "deprecated": ({"deprecated": {"old": "kind"}}, "deprecated names 'old'"),
    "in place of deprecated": ({"deprecated": {"kind": "new"}}, "deprecated names 'new'"),
    "outlives": ({"outlives": {"mode": "post"}}, "outlives names 'mode'"),
    "brings": (
        {"steps": (OPENED, replace(CLOSED, brings=("file",)))},
        "step 'closed' (brings) names 'file'",
    ),
    "no beginning": ({"table": {"opened": ("closed",), "closed": ()}}, "the table has no row ABSENT"),
    "unknown step": (
        {"table": rows(("opened", ("closed", "slammed")))},
        "row 'opened' leads to the step 'slammed', which is not declared",
    ),
    "state without a row": (
        {"table": {ABSENT: ("opened",), "opened": ("closed",)}},
        "step 'closed' reports 'closed', which has no row",
    ),
    "row nobody reaches": ({"table": rows(("ajar", ("closed",)))}, "row 'ajar' is never reached"),
    "step nobody reaches": (
        {"steps": (OPENED, Step("held"), CLOSED), "table": rows(("held", ("closed",)))},
        "no row leads to the step 'held'",
    ),
    "no end": (
        {
            "steps": (OPENED, Step("shut")),
            "table": {ABSENT: ("opened",), "opened": ("shut",), "shut": ("opened",)},
        },
        "no end can be reached from the start",
    ),
    "a row that leads to what moves nothing": (
        {"steps": (OPENED, Step("creaked", moves=False), CLOSED), "table": rows(("opened", ("creaked",)))},
        "row 'opened' leads to the step 'creaked', which moves nothing",
    ),
    "excludes what is not there": (
        {"steps": (OPENED, replace(CLOSED, excludes=("slammed",)))},
        "step 'closed' excludes 'slammed', which is not declared or moves nothing",
    ),
    "excludes what it follows": (
        {"steps": (OPENED, replace(CLOSED, excludes=("opened",)))},
        "step 'closed' excludes 'opened', and a way leads from one to the other",
    ),
    "links": ({"linked_by": ("room_id",)}, "linked_by names 'room_id', which Payload does not have"),
    "a link of what is in a session": (
        {"linked_by": ("id",)},
        "linked_by is for what has a stream of its own; what is in a session needs no link",
    ),
    "a link to something else": (
        {"linked_by": ("kind",), "stream": "door", "key": ("id",)},
        "linked_by names 'kind', which says neither which session nor which room it was for",
    ),
    "two streams": (
        {"stream": "door", "stream_without_session": "gate", "key": ("id",)},
        "it has a stream of its own in any case, so stream_without_session is never used",
    ),
    "a stream without a key": ({"stream": "door"}, "the stream 'door' needs a key"),
    "a stream of the store": (
        {"stream": "unrouted", "key": ("id",)},
        "the stream 'unrouted' is one of the store's own",
    ),
    "a stream with a colon": ({"stream": "a:b", "key": ("id",)}, "the stream 'a:b' has a colon in its name"),
    "its own name as a former one": ({"formerly": ("door",)}, "it is formerly 'door', which is its name today"),
    "two steps without a type": (
        {"untyped": Untyped("door", {"id": "door.id"})},
        "a webhook without a type must be of the only step",
    ),
    "a field of what has no type": (
        {"untyped": Untyped("door", {"uid": "door.id"})},
        "untyped names 'uid', which Payload does not have",
    ),
    "a step with no way to it": (
        {
            "steps": (OPENED, Step("ajar", restarted="S207"), CLOSED),
            "table": rows((ABSENT, ("opened", "ajar")), ("ajar", ("closed",))),
        },
        "no way leads from row 'opened' to the step 'ajar', which comes later",
    ),
}


@pytest.mark.parametrize(("changes", "problem"), WRONG.values(), ids=WRONG)
def test_a_declaration_that_contradicts_itself_is_refused_and_the_problem_is_named(changes, problem):
    with pytest.raises(DeclarationError) as refused:
        door(**changes)
    assert str(refused.value).startswith("lifecycle 'door': ")
    assert problem in str(refused.value)


def test_every_problem_of_a_declaration_is_named_at_once():
    with pytest.raises(DeclarationError) as refused:
        door(key=("uid",), table=rows(("ajar", ("closed",))))
    assert str(refused.value) == (
        "lifecycle 'door': the key names 'uid', which Payload does not have; row 'ajar' is never reached"
    )


def test_a_sound_declaration_can_be_asked_for_its_states_and_what_may_come():
    assert door().states == ("opened", "closed")
    assert door().starts == {"opened"}
    assert door().expected("opened") == ("door-closed",)
    assert door().rank == {ABSENT: -1, "opened": 0, "closed": 1}


def test_in_a_state_that_no_row_declares_nothing_is_expected():
    assert door().expected("lost") == ()


def test_the_shortest_way_names_the_steps_that_are_missing():
    assert door().between(ABSENT, "closed") == ("opened",)
    assert door().between("opened", "closed") == ()


def test_a_step_needs_no_way_from_what_it_excludes():
    table = rows(("opened", ("used", "barred")), ("used", ("closed",)), ("barred", ()))
    steps = (
        OPENED,
        Step("used", orphan="S205", skipped="S202"),
        Step("barred", closes=True, excludes=("used",), orphan="S206", outcome="S210"),
        CLOSED,
    )
    used, barred = steps[1:3]
    declared = door(steps=steps, table=table)
    assert declared.is_excluded("used", barred)
    assert declared.is_excluded("barred", used)
    assert not declared.is_excluded("opened", barred)


def test_nobody_waits_for_an_end_that_is_not_awaited():
    assert door().endings == ("closed",)
    assert door(steps=(OPENED, replace(CLOSED, awaited=False))).endings == ()


def test_a_step_is_reported_by_the_types_of_today_and_of_before():
    assert door(formerly=("gate",)).webhook_types("opened") == ("door-opened", "gate-opened")
    named = door(steps=(replace(OPENED, type="unlocked"), CLOSED), formerly=("gate",))
    assert named.webhook_types("opened") == ("unlocked",)


def test_no_way_leads_past_an_end():
    with pytest.raises(KeyError):
        door().between("opened", "opened")


def test_a_run_may_begin_again_only_where_the_row_of_its_end_has_a_start():
    assert door().restarts
    assert not door(table=rows(("closed", ())), steps=(Step("opened"), CLOSED)).restarts


def test_visits_follow_each_other_and_do_not_restart():
    assert not door(is_presence=True, key=("id",)).restarts


def test_an_id_that_may_be_sent_names_one_run_where_it_was():
    identified = door(key=("kind",), optional_key=("id",))
    assert identified.is_identified((("kind", "front"), ("id", "a")))
    assert not identified.is_identified((("kind", "front"),))


def test_a_state_is_a_stopping_one_where_a_run_went_on_and_nothing_but_an_end_may_follow():
    ajar = Step("ajar", skipped="S201", orphan="S205")
    table = {ABSENT: ("opened",), "opened": ("ajar",), "ajar": ("closed",), "closed": ("opened",)}
    declared = door(steps=(OPENED, ajar, CLOSED), table=table)
    assert [state for state in table if declared.is_stopping(state)] == ["ajar"]


def test_what_can_have_its_value_only_once_is_known_by_its_sent_name():
    said = {"contradicted": "C502", "shared": "C508", "retimed": "C503"}
    assert door(artefacts=("id",), times=("kind",), **said).evident == ("id", "kind")


@pytest.mark.parametrize(
    ("other", "agrees"),
    [
        (b'{"id": "a", "kind": "b"}', True),
        (b'{"id": "a"}', False),
        (b'{"kind": "b"}', True),
        (b'{"id": "c", "kind": "b"}', False),
        (b'{"id": null}', True),
    ],
)
def test_two_reports_of_a_step_agree_that_differ_only_in_what_one_leaves_out(other, agrees):
    assert door().agrees(b'{"id": "a"}', other) is door().agrees(other, b'{"id": "a"}') is agrees


def test_a_run_says_in_its_data_that_it_outlives_the_session():
    lasting = door(outlives={"kind": "post"})
    assert lasting.says_it_outlives(b'{"kind": "post"}')
    assert not lasting.says_it_outlives(b'{"kind": "realtime"}')
    assert not door().says_it_outlives(b'{"kind": "post"}')


def test_a_step_reports_its_own_name_unless_it_says_otherwise():
    assert Step("joined").state == "joined"
    assert Step("joined", state="in").state == "in"


def test_the_codes_of_a_lifecycle_are_all_that_its_declaration_names():
    assert REGISTRY["resource"].codes() == {"S215", "C504"}
    assert {"S201", "S207", "T301", "X402", "X403", "D104", "C508", "S210"} <= REGISTRY["recording"].codes()
    assert "" not in {code for lifecycle in REGISTRY.values() for code in lifecycle.codes()}


# The roles: what is found, and where nothing is.

every_lifecycle = pytest.mark.parametrize("lifecycle", REGISTRY.values(), ids=list(REGISTRY))


def declared(lifecycle, owner, name, value):
    """The same lifecycle with another value for one role of its own, or of one of its steps."""
    if owner is lifecycle:
        return replace(lifecycle, **{name: value})
    steps = (replace(step, **{name: value}) if step is owner else step for step in lifecycle.steps)
    return replace(lifecycle, steps=tuple(steps))


def roles(lifecycle, *, applying):
    """Every role of a lifecycle and its steps that applies, or does not; there are some of each."""
    found = [
        (owner, name, role)
        for owner in (lifecycle, *lifecycle.steps)
        for name, role in owner.ROLES.items()
        if role.applies(lifecycle, owner) is applying
    ]
    assert found
    return found


@every_lifecycle
def test_a_code_that_applies_and_is_left_out_is_refused_with_the_lifecycle_the_field_and_what_to_write(
    lifecycle,
):
    for owner, name, role in roles(lifecycle, applying=True):
        if role.usual:
            continue
        with pytest.raises(DeclarationError) as refused:
            declared(lifecycle, owner, name, "")
        step = "" if owner is lifecycle else f"step '{owner.name}': "
        assert str(refused.value).startswith(f"lifecycle '{lifecycle.name}': ")
        words = f'{step}{name} is left out, the code when {role.when}; write {name}="{codes_for(name)[0]}"'
        assert words in str(refused.value)


@every_lifecycle
def test_a_code_that_could_never_be_found_is_refused(lifecycle):
    for owner, name, role in roles(lifecycle, applying=False):
        words = f"{name} is given, and is only for {role.where}; leave it out"
        with pytest.raises(DeclarationError, match=words):
            declared(lifecycle, owner, name, NoFinding("it cannot be"))


@every_lifecycle
def test_a_code_of_something_else_is_refused(lifecycle):
    for owner, name, _ in roles(lifecycle, applying=True):
        other = next(code for code in CATALOGUE if code not in codes_for(name))
        with pytest.raises(DeclarationError, match=f"{name}='{other}' is no code for that; write {name}="):
            declared(lifecycle, owner, name, other)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"limit": "stuck_starting"},
            "overdue is left out, the code when a run stayed in its state for longer",
        ),
        ({"overdue": "T301"}, "overdue is given, and is only for steps that have a limit"),
        (
            {"conflict": NoFinding("who cares")},
            "conflict is silent, the code when it came again with other data",
        ),
        ({"missed": "S204"}, "missed is given, and is only for steps that the table lets a run leave out"),
    ],
)
def test_a_role_follows_from_the_shape_of_the_table_and_of_the_step(changes, problem):
    with pytest.raises(DeclarationError, match=f"lifecycle 'door': step 'opened': {problem}"):
        door(steps=(replace(OPENED, **changes), CLOSED))


def test_a_step_that_may_be_left_out_on_the_way_to_a_good_end_says_what_is_found_then():
    table = rows(("opened", ("ajar", "closed")), ("ajar", ("closed",)))
    ajar = Step("ajar", orphan="S205")
    with pytest.raises(DeclarationError, match="step 'ajar': missed is left out"):
        door(steps=(OPENED, ajar, CLOSED), table=table)
    assert door(steps=(OPENED, replace(ajar, missed="S204"), CLOSED), table=table).codes() >= {"S204"}


def test_the_word_for_no_finding_is_empty_and_says_why():
    assert (WHENEVER, bool(WHENEVER)) == ("", False)
    assert repr(WHENEVER) == f"NoFinding('{WHENEVER.because}')"
