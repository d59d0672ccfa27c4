"""Alerts: what is published and matches a rule is reported once, in order, and taken back."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import Published, events, finding, outbox

from projections.alerts.database import MUTES, alerts_file, known_in
from projections.alerts.listing import listed
from projections.alerts.owners import look_after, owners_of
from projections.alerts.sweep import sweep
from projections.outbox.queue import KEPT, Queue
from tracker.alert import Alert, When
from tracker.config import load_config
from tracker.errors import RulesError
from tracker.rules import DURATIONS

NOON = datetime(2026, 11, 26, 10, 30, tzinfo=UTC)
RULE = Alert("recordings", "https://hooks.example.org/x", When("error"))
EARLIER = NOON - timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def published(tmp_path):
    """A data directory in which the rule is armed, and nothing is published."""
    published = Published(tmp_path)
    published.hold()
    sweep(tmp_path, [RULE], EARLIER)
    return published


def swept(published, *found, at=NOON, rule=RULE, **more):
    """What is reported in the end, after these are held."""
    published.hold(*found, **more)
    sweep(published.data, [rule], at)
    return events(published.data)


def alert_of(published):
    with alerts_file(published.data).to_read() as connection:
        (known,) = known_in(connection, "TRUE")
    return known


# Which findings match


@pytest.mark.parametrize(
    ("when", "differs", "matches"),
    [
        ({}, {}, True),
        ({"severity": "error"}, {"severity": "warning"}, False),
        ({"severity": "warning"}, {"severity": "error"}, True),
        ({"code": ("X403", "T302")}, {}, True),
        ({"code": ("X403",)}, {}, False),
        ({"lifecycle": ("hls",)}, {}, False),
        ({"meeting": "abc-*"}, {"meeting_id": "abc-1"}, True),
        ({"meeting": "abc-*"}, {"meeting_id": None}, False),
        ({"confidence": 0.9}, {"confidence": 0.8}, False),
        ({}, {"verdict": "provisional"}, False),
        ({}, {"verdict": "accepted"}, False),
        ({"verdict": ("provisional",)}, {"verdict": "provisional"}, True),
        ({"account": ("acme",)}, {"account": "acme"}, True),
        ({"account": ("acme",)}, {"account": None}, False),
        ({"account": ("acme",)}, {"account": "acme", "cause": "L601 #7"}, True),  # L601 is of no account
        ({}, {"cause": "L601 #7"}, False),  # L601 itself matches
        ({"lifecycle": ("recording",)}, {"cause": "L601 #7"}, True),  # L601 does not
        ({"code": ("T302",)}, {"cause": "L601 #7"}, True),
    ],
)
def test_a_finding_matches_where_all_that_is_given_holds(when, differs, matches):
    assert When(**when).matches(finding(**differs)) is matches


# What is written in tracker.toml


def loaded(tmp_path, text):
    path = tmp_path / "tracker.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path).alerts


def test_an_entry_says_what_matches_and_where_it_is_sent(tmp_path):
    text = """
        [[alert]]
        name = "recordings"
        when = {severity = "error", lifecycle = "hls", code = ["T302"], meeting = "a*", confidence = 0.5}
        to = "https://hooks.example.org/x"
        secret = "hooks.secret"
        wait = "2 min"
        within = "6 h"
        digest = "15 min"
        include = ["message"]
        pages = "https://tracker.example.org"
    """
    when = When("error", ("T302",), ("hls",), "a*", 0.5)
    expected = Alert(
        "recordings",
        "https://hooks.example.org/x",
        when,
        tmp_path / "hooks.secret",
        timedelta(minutes=2),
        timedelta(hours=6),
        timedelta(minutes=15),
        ("message",),
        "https://tracker.example.org",
    )
    assert loaded(tmp_path, text) == (expected,)


@pytest.mark.parametrize(("accounts", "given"), [("acme = []", "acme"), ("", "anything")])
def test_an_entry_names_accounts_those_that_are_configured_where_some_are(tmp_path, accounts, given):
    entry = '[[alert]]\nname = "a"\nto = "https://hooks.example.org"\nwhen = {account = "%s"}\n[accounts]\n%s'
    (alert,) = loaded(tmp_path, entry % (given, accounts))

    assert alert.when.account == (given,)
    if accounts:
        with pytest.raises(RulesError, match="no account 'acmee'"):
            loaded(tmp_path, entry % ("acmee", accounts))


GOOD = {"name": '"a"', "to": '"https://hooks.example.org"'}


@pytest.mark.parametrize(
    ("differs", "message", "hint"),
    [
        ({"nmae": '"a"'}, "no key 'nmae'", "did you mean name?"),
        ({"name": "3"}, "gives no name", 'write name = "recordings"'),
        ({"name": '"a b"'}, "name is 'a b'", "write up to 64 letters, digits, - and _"),
        ({"to": '"hooks"'}, "to is no address to send to", 'write to = "https://…", or "apprise:" and a URL of Apprise'),
        (
            {"to": '"http://hooks.example.org/secret"'},
            "to is not encrypted: http://hooks.example.org",
            "write https://, or allow_private = true for a host of yours",
        ),
        ({"wait": '"soon"'}, "wait = 'soon' is no duration up to 365 d", f"write {DURATIONS}, or a number of seconds"),
        ({"when": "3"}, "when is no table", 'write when = {severity = "error"}'),
        ({"when": '{severity = "grave"}'}, "severity is 'grave'", "choose info, warning, error"),
        ({"when": '{lifecycle = "recordin"}'}, "no lifecycle 'recordin'", "did you mean recording?"),
        ({"when": '{code = ["T30"]}'}, "no code 'T30'", "did you mean T310?"),
        ({"when": "{meeting = 3}"}, "meeting is 3", 'write meeting = "abc-*"'),
        ({"when": "{confidence = 90}"}, "confidence is 90", "write a number from 0 to 1"),
        ({"include": '"names"'}, "no include 'names'", "known: message, key"),
        ({"include": "3"}, "include is 3", 'write include = "…" or include = ["…", "…"]'),
        ({"secret": "3"}, "secret is 3", 'write secret = "hooks.secret"'),
        ({"pages": '"javascript:alert(1)"'}, "pages is 'javascript:alert(1)'", 'write pages = "https://tracker.example.org"'),
        ({"pages": '"https://"'}, "pages is 'https://'", 'write pages = "https://tracker.example.org"'),
        ({"allow_private": "3"}, "allow_private is 3", "write allow_private = true"),
    ],
)  # fmt: skip
def test_an_entry_at_fault_is_refused_with_what_to_write(tmp_path, differs, message, hint):
    lines = [f"{name} = {value}" for name, value in {**GOOD, **differs}.items()]
    with pytest.raises(RulesError) as error:
        loaded(tmp_path, "\n".join(["[[alert]]", *lines]))
    assert (error.value.message, error.value.hint) == (f"alert entry 1: {message}", hint)


def test_two_entries_of_one_name_are_refused(tmp_path):
    lines = ["[[alert]]", *(f"{name} = {value}" for name, value in GOOD.items())]
    with pytest.raises(RulesError, match="two alerts are named 'a'"):
        loaded(tmp_path, "\n".join([*lines, *lines]))


# What is reported


def test_what_comes_to_match_is_reported_and_what_is_held_no_more_is_taken_back(published):
    assert swept(published, finding()) == [("opened", 1)]
    assert swept(published, finding(), at=NOON + MINUTE) == [("opened", 1)]
    assert swept(published, at=NOON + 2 * MINUTE) == [("opened", 1), ("retracted", 1)]


def test_what_is_held_and_matches_no_more_is_resolved(published):
    swept(published, finding())
    assert swept(published, finding(verdict="accepted")) == [("opened", 1), ("resolved", 1)]
    assert swept(published, finding(severity="info")) == [("opened", 1), ("resolved", 1)]


def test_what_changes_is_reported(published):
    swept(published, finding())
    assert swept(published, finding(confidence=0.5)) == [("opened", 1)]
    assert swept(published, finding(message="another")) == [("opened", 1), ("changed", 1)]


def test_what_matches_again_is_opened_again(published):
    swept(published, finding())
    swept(published)
    swept(published, finding())
    assert [one["body"]["data"]["times"] for one in outbox(published.data)] == [1, 1, 2]


def test_what_matches_for_too_short_a_time_is_not_reported(published):
    rule = attrs.evolve(RULE, wait=2 * MINUTE)
    assert swept(published, finding(), rule=rule) == []
    assert swept(published, at=NOON + MINUTE, rule=rule) == []
    assert swept(published, finding(), at=NOON + 2 * MINUTE, rule=rule) == []
    assert swept(published, finding(), at=NOON + 4 * MINUTE, rule=rule) == [("opened", 1)]


def test_a_new_rule_reports_nothing_of_the_past(tmp_path):
    published = Published(tmp_path)
    assert swept(published, finding()) == []
    assert swept(published) == []
    assert swept(published, finding(position=2, at="2026-11-26T10:31:00.000000Z")) == [("opened", 2)]


def test_a_new_rule_reports_of_the_past_what_is_asked_for(tmp_path):
    published = Published(tmp_path)
    published.hold(finding(), finding(position=2, at="2026-11-26T09:00:00.000000Z"))
    sweep(tmp_path, [RULE], NOON, backfill=timedelta(hours=1))
    assert events(tmp_path) == [("opened", 1)]


def test_when_other_findings_match_those_of_the_past_are_summed_up(published):
    old = finding(position=2, severity="warning", at="2026-11-26T01:00:00.000000Z")
    swept(published, finding(), old)
    wider = attrs.evolve(RULE, when=When("warning"))
    assert swept(published, finding(), old, rule=wider, at=NOON + MINUTE) == [("opened", 1), ("rearmed", None)]
    assert outbox(published.data)[-1]["body"]["data"] == {"alert": "recordings", "appeared": 1}


def test_when_the_past_is_judged_anew_what_goes_is_taken_back_and_what_comes_is_summed_up(published):
    swept(published, finding())
    others = [finding(position=number, at="2026-11-26T01:00:00.000000Z") for number in (2, 3)]
    reported = swept(published, *others, judged_by="another", at=NOON + MINUTE)
    assert reported == [("opened", 1), ("retracted", 1), ("rearmed", None)]


def test_a_log_of_long_ago_rings_nobody(published):
    assert swept(published, finding(at="2026-11-20T10:00:00.000000Z")) == []


def test_what_became_true_while_nothing_ran_is_reported(published):
    late = NOON + timedelta(days=4)
    assert swept(published, finding(at="2026-11-26T10:00:00.000000Z"), at=late) == [("opened", 1)]


def test_what_is_muted_is_reported_when_that_ends_if_it_still_holds(published):
    until = "2026-11-26T10:31:30.000000Z"
    with alerts_file(published.data).to_write() as connection:
        connection.execute(MUTES.insert, ("recordings", "T302", until, "known"))
    other = finding(position=2, code="X403")
    assert swept(published, finding(), other, at=NOON) == [("opened", 2)]
    assert swept(published, finding(), other, at=NOON + 2 * MINUTE) == [("opened", 2), ("opened", 1)]


def test_what_is_acknowledged_reports_its_end_and_no_change(published):
    swept(published, finding())
    with alerts_file(published.data).to_write() as connection:
        connection.execute("UPDATE alerts SET acknowledged_by = 'Ann'")
    assert swept(published, finding(message="another")) == [("opened", 1)]
    assert swept(published) == [("opened", 1), ("retracted", 1)]
    assert swept(published, finding()) == [("opened", 1), ("retracted", 1), ("opened", 1)]
    assert alert_of(published).acknowledged_by is None


def test_what_opens_again_after_it_was_resolved_has_regressed(published):
    swept(published, finding())
    swept(published, finding(verdict="accepted"))
    assert swept(published, finding())[-1] == ("regressed", 1)
    swept(published)
    assert swept(published, finding())[-2:] == [("retracted", 1), ("opened", 1)]


def test_who_looks_after_it_for_a_while_is_reminded_when_that_is_over(published):
    swept(published, finding())
    with alerts_file(published.data).to_write() as connection:
        until = "2026-11-26T10:32:00.000000Z"
        connection.execute("UPDATE alerts SET acknowledged_by = 'Ann', acknowledged_until = ?", (until,))
    assert swept(published, finding(message="another"), at=NOON + MINUTE) == [("opened", 1)]
    assert swept(published, finding(message="another"), at=NOON + 2 * MINUTE) == [("opened", 1), ("changed", 1)]
    assert alert_of(published).acknowledged_by is None


def of_a_day(count, day):
    """Findings, of which so many became true on a day before noon."""
    at = f"{NOON - timedelta(days=day):%Y-%m-%dT%H}:00:00.000000Z"
    return [finding(position=1000 * day + number, at=at) for number in range(count)]


@pytest.mark.parametrize(
    ("before", "today", "escalates"),
    [(7, 9, False), (7, 10, True), (21, 29, False), (21, 30, True), (0, 50, False)],
    ids=str,
)
def test_what_is_found_ten_times_as_often_as_usual_in_a_day_escalates_once(tmp_path, before, today, escalates):
    published = Published(tmp_path)
    published.hold()
    sweep(tmp_path, [RULE], NOON - timedelta(days=5))
    old, new = of_a_day(before, 4), of_a_day(today, 0)
    swept(published, *old, at=NOON - timedelta(days=4))
    swept(published, *old, *new)
    more = [finding(position=5000 + number) for number in range(today if escalates else 0)]
    swept(published, *old, *new, *more, at=NOON + MINUTE)

    found = [one["body"] for one in outbox(tmp_path) if one["type"] == "finding.escalated"]
    expected = [("T302", "stuck-stopping", today, round(before / 7, 1))] * escalates
    assert [
        tuple(one["data"][name] for name in ("code", "slug", "count", "usual")) for one in found
    ] == expected


def test_what_is_over_is_forgotten_after_a_while_but_not_while_a_message_about_it_waits(published):
    swept(published, finding(), finding(position=2))
    swept(published)
    with alerts_file(published.data).to_write() as connection:
        connection.execute("DELETE FROM outbox WHERE alert = (SELECT id FROM alerts WHERE position = 2)")
    for days, known in ((KEPT.days, 2), (KEPT.days + 1, 1)):
        swept(published, at=NOON + timedelta(days=days))
        with alerts_file(published.data).to_read() as connection:
            assert len(known_in(connection, "TRUE")) == known


def test_alerts_of_the_first_version_are_read(published):
    swept(published, finding())
    with alerts_file(published.data).to_write() as connection:
        before = known_in(connection, "TRUE")
        connection.execute("DROP INDEX alerts_state_closed_at")
        connection.execute("DROP INDEX alerts_rule_code_opened_at")
        connection.execute("ALTER TABLE alerts DROP COLUMN acknowledged_until")
        connection.execute("DROP TABLE escalations")
        connection.execute("PRAGMA user_version = 1")
    with alerts_file(published.data).to_read() as connection:
        assert known_in(connection, "TRUE") == before


# Who looks after a finding that no rule is about


def test_a_finding_that_no_rule_is_about_can_be_looked_after_until_it_is_held_no_more(published):
    published.hold(finding(severity="warning"), finding(position=2, severity="warning"))
    assert look_after(published.data, "s", "T302", NOON, by="Ann", position=2) == 1
    assert owners_of(published.data, ["s"]) == {("s", "T302", 2): "Ann"}
    (known,) = listed(published.data, by="Ann")["items"]
    assert (known["rule"], known["state"], known["position"]) == (None, "open", 2)

    assert swept(published, finding(severity="warning")) == []
    assert (owners_of(published.data, ["s"]), alert_of(published).ending) == ({}, "retracted")


def test_who_looks_after_a_finding_looks_after_the_alerts_of_it(published):
    swept(published, finding())
    look_after(published.data, "s", "T302", NOON, by="Ann")
    assert (alert_of(published).rule, alert_of(published).acknowledged_by) == ("recordings", "Ann")
    look_after(published.data, "s", "T302", NOON, by=None)
    assert (alert_of(published).state, alert_of(published).acknowledged_by) == ("open", None)


def test_what_is_looked_after_for_a_while_is_nobodys_when_that_is_over(published):
    published.hold(finding(severity="warning"))
    look_after(published.data, "s", "T302", NOON, by="Ann", until=NOON + MINUTE)
    for rules in ([RULE], []):
        sweep(published.data, rules, NOON)
        assert owners_of(published.data, ["s"]) == {("s", "T302", 1): "Ann"}
    sweep(published.data, [], NOON + MINUTE)
    assert owners_of(published.data, ["s"]) == {}


def test_nobody_looks_after_what_is_not_found(published):
    assert look_after(published.data, "s", "T302", NOON, by="Ann") == 0


def test_while_nothing_is_published_nothing_is_taken_back(published):
    swept(published, finding())
    (published.data / "published.db").unlink()
    sweep(published.data, [RULE], NOON)
    assert events(published.data) == [("opened", 1)]


def test_what_is_to_be_sent_for_a_rule_that_is_gone_stays(published):
    swept(published, finding())
    sweep(published.data, [attrs.evolve(RULE, name="other")], NOON)
    assert [(one["dead"], one["problem"]) for one in outbox(published.data)] == [
        (1, "no [[alert]] has this name")
    ]


def test_who_may_be_named_is_left_out_unless_it_is_asked_for(published):
    swept(published, finding(key='{"participantId":"ann"}'))
    assert "ann" not in str(outbox(published.data)[0]["body"]).lower()


def test_the_address_of_a_receiver_in_which_a_token_may_be_is_not_stored(published):
    swept(published, finding())
    assert b"hooks.example.org" not in (published.data / "alerts.db").read_bytes()


def test_what_is_asked_for_is_included(published):
    rule = attrs.evolve(RULE, include=("message", "key"), pages="https://tracker.example.org/t/")
    swept(published, finding(key='{"participantId":"ann"}'), rule=rule)
    data = outbox(published.data)[0]["body"]["data"]
    assert (data["message"], data["key"]) == ("Ann's recording was stopping", {"participantId": "ann"})
    assert data["link"] == "https://tracker.example.org/t/sessions/s"


# Whatever happens in between


SWEEP, CRASH, RESTART = "sweep", "crash", "restart"
HELD = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["error", "info"]), st.sampled_from("xy")),
    unique_by=lambda one: one[0],
)
STEPS = st.lists(st.one_of(HELD, st.sampled_from([SWEEP, CRASH, RESTART])), max_size=12)


def expected(seen, resolved, held):
    """What a sweep has to report, where the one before saw what ``seen`` says; which then says what this one saw.

    ``resolved`` are the positions of those of which the last end was that.
    """
    for position, (matches, message) in sorted(seen.items()):
        now = held.get(position)
        if matches and now is None:
            resolved.discard(position)
            yield "retracted", position
        elif matches and now[0] == "info":
            resolved.add(position)
            yield "resolved", position
        elif matches and now[1] != message:
            yield "changed", position
    for position, (severity, _) in held.items():
        if severity == "error" and not seen.get(position, (False,))[0]:
            yield "regressed" if position in resolved else "opened", position
            resolved.discard(position)
    seen.clear()
    seen.update({position: (severity == "error", message) for position, (severity, message) in held.items()})


@given(STEPS)
def test_each_change_is_reported_once_and_in_order_whatever_breaks_off(steps):
    with TemporaryDirectory() as scratch:
        published, since, seen, resolved, held, reported = Published(Path(scratch)), None, {}, set(), {}, []
        published.hold()
        sweep(published.data, [RULE], EARLIER)
        for step in [*steps, SWEEP]:
            if step == RESTART:
                since = None
            elif step == CRASH:
                with suppress(KeyError), patch.object(Queue, "post", side_effect=KeyError):
                    sweep(published.data, [RULE], NOON, since)
            elif step == SWEEP:
                since = sweep(published.data, [RULE], NOON, since)
                reported += sorted(expected(seen, resolved, held))
            else:
                held = {position: (severity, message) for position, severity, message in step}
                published.hold(
                    *(
                        finding(position=at, severity=grave, message=words)
                        for at, (grave, words) in held.items()
                    )
                )
        assert by_finding(events(published.data)) == by_finding(reported)


def by_finding(reported):
    return {position: [kind for kind, at in reported if at == position] for _, position in reported}
