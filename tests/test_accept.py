"""What the user accepts is marked on what is reported; no state and no other finding depends on it."""

import json
from contextlib import closing
from datetime import UTC, datetime

import pytest
from meetings import LONG_AGO, lines, read_into, write
from sqlite_utils import Database
from story import RULES, deliveries, moment, session_from, value

from projections.audit.auditing import audit
from projections.cli import main
from projections.cli.settings import Settings
from projections.views.rebuild import rebuild
from tracker.accept import Acceptance, accept_all, accepted
from tracker.config import load_config
from tracker.delivery.envelope import encode
from tracker.errors import RulesError
from tracker.findings import SEVERITIES
from tracker.rules import Rules
from tracker.store.application import Tracker

STORY = (
    "0 session-started",
    "5 recording-started",
    "60 recording-stopping",
    "70 recording-failed",
    "1h hls-stopped",
)
FOUND = {"S201": "recording-started", "S210": "recording-failed", "S205": "hls-stopped"}


def found():
    return [one for one in audit(deliveries(*STORY), RULES).findings if one.code in FOUND]


def covered(**entry):
    """The codes that an entry covers, each asked with its own code."""
    return {one.code for one in found() if Acceptance(one.code, "known", **entry).covers(one)}


@pytest.fixture
def entries_of(tmp_path):
    def entries_of(text):
        path = tmp_path / "tracker.toml"
        path.write_text(text, encoding="utf-8")
        return load_config(path).rules.accept

    return entries_of


def test_the_story_raises_what_these_tests_speak_of():
    assert {one.code: one.type for one in found()} == FOUND


@pytest.mark.parametrize(
    ("entry", "codes"),
    [
        ({}, {"S201", "S205", "S210"}),
        ({"session": "S"}, {"S201", "S205", "S210"}),
        ({"session": "other"}, set()),
        ({"meeting": "M"}, {"S201", "S205", "S210"}),
        ({"meeting": "N"}, set()),
        ({"lifecycle": "hls"}, {"S205"}),
        ({"type": "recording-failed"}, {"S210"}),
        ({"type": "recording-failed", "lifecycle": "hls"}, set()),
    ],
)
def test_an_entry_covers_what_all_that_it_names_holds_of(entry, codes):
    assert covered(**entry) == codes


def test_another_code_is_not_covered():
    assert [
        one.code for one in accepted(found(), [Acceptance("S201", "known")]) if one.verdict == "accepted"
    ] == ["S201"]


def test_a_finding_dated_after_the_end_of_an_entry_is_not_accepted_and_one_dated_at_it_is():
    assert covered(until=moment(70)) == {"S201", "S210"}


def test_a_finding_without_a_date_is_accepted_whatever_the_end():
    timeless = audit(deliveries("- session-started", "- hls-stopped"), RULES).findings
    entry = Acceptance("S205", "known", until=moment(0))
    assert [one.verdict for one in accepted(timeless, [entry])] == ["accepted"]


def test_marking_leaves_the_session_and_the_findings_it_was_given_as_they_were():
    session, entries = session_from(*STORY, as_of="2h"), [Acceptance(code, "known") for code in FOUND]
    before = value(session)
    marked = accept_all(session.findings, entries)
    assert value(session) == before
    assert {one.code for one in marked if one.verdict == "accepted"} == set(FOUND)


def test_where_nothing_is_accepted_all_is_as_it_was():
    findings = found()
    assert accept_all(findings, []) == findings


def test_only_the_verdict_and_the_reason_of_a_finding_change():
    marked = list(accepted(found(), [Acceptance("S205", "known")]))
    differing = [
        {name for name in one.__struct_fields__ if getattr(one, name) != getattr(other, name)}
        for one, other in zip(found(), marked, strict=True)
    ]
    assert [names for names in differing if names] == [{"verdict", "accepted"}]
    assert [one.accepted for one in marked if one.code == "S205"] == ["known"]


@pytest.mark.parametrize(
    ("until", "expired"), [(None, False), (moment(0), True), (moment(5), False), (moment(6), False)]
)
def test_an_entry_has_expired_when_the_log_goes_on_behind_its_end(until, expired):
    assert Acceptance("S201", "known", until=until).expired(moment(5)) == expired


def test_an_entry_never_expires_in_a_log_without_receive_times():
    assert not Acceptance("S201", "known", until=moment(0)).expired(None)


@pytest.mark.parametrize(
    ("written", "until"),
    [
        ("2026-12-31", datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC)),
        ('"2026-12-31"', datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC)),
        ("2026-12-31T18:00:00Z", datetime(2026, 12, 31, 18, tzinfo=UTC)),
        ("2026-12-31T18:00:00+02:00", datetime(2026, 12, 31, 16, tzinfo=UTC)),
        ("2026-12-31T18:00:00", datetime(2026, 12, 31, 18, tzinfo=UTC)),
        ('"2026-12-31T18:00Z"', datetime(2026, 12, 31, 18, tzinfo=UTC)),
    ],
)
def test_until_is_a_time_or_the_end_of_a_day(entries_of, written, until):
    (entry,) = entries_of(f'[[accept]]\ncode = "S203"\nreason = "known"\nuntil = {written}')
    assert entry == Acceptance("S203", "known", until=until)


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        ('reason = "known"', "names no code, so it would accept everything", 'code = "S203"'),
        ('code = "S203"', "gives no reason", 'reason = "…"'),
        ('code = "S203"\nreason = " "', "reason is ' '", 'reason = "…"'),
        ('code = ["S203"]\nreason = "known"', "code is ['S203']", 'code = "…"'),
        ('code = "S230"\nreason = "known"', "no code 'S230'", "did you mean S2"),
        ('code = "S203"\nreason = "known"\nmeting = "M"', "no key 'meting'", "did you mean meeting?"),
        (
            'code = "S203"\nreason = "known"\nuntil = 18:00:00',
            "until is no date and no time",
            "until = 2026-12-31",
        ),
        (
            'code = "S203"\nreason = "known"\nuntil = "soon"',
            "until is no date and no time",
            "until = 2026-12-31",
        ),
        ('code = "S203"\nreason = "known"\nuntil = 3', "until is no date and no time", "until = 2026-12-31"),
    ],
)
def test_an_entry_that_is_none_is_refused_by_its_number(entries_of, entry, message, hint):
    whole = f'[[accept]]\ncode = "S201"\nreason = "known"\n[[accept]]\n{entry}'
    with pytest.raises(RulesError) as refused:
        entries_of(whole)
    assert f"accept entry 2: {message}" in refused.value.message
    assert hint in refused.value.hint
    name, _, line = refused.value.place.rpartition(":")
    assert (name.endswith("tracker.toml"), int(line) >= 4) == (True, True)


@pytest.mark.parametrize("text", ['accept = "S203"', "accept = [3]", '[accept]\ncode = "S203"'])
def test_accept_is_a_list_of_tables(entries_of, text):
    with pytest.raises(RulesError, match="accept is no list of tables"):
        entries_of(text)


def test_the_fingerprint_changes_with_what_is_accepted_but_not_with_the_reason():
    one, other = (
        Rules(accept=(Acceptance("S203", reason),)).fingerprint() for reason in ("known", "well known")
    )
    assert one == other != Rules().fingerprint()


@pytest.mark.parametrize("page_size", [1, 7, 500])
def test_the_read_models_say_what_an_audit_says_accepted(tmp_path, page_size):
    read_into(tmp_path, write(tmp_path / "log", lines(seed=3)))
    entries = tuple(Acceptance(code, "known") for code in ("S201", "S213", "C513", "C509", "X403"))
    rules = Rules(accept=entries)
    with closing(Tracker.open(tmp_path)) as store:
        rebuild(store, rules, page_size=page_size)
        reported = list(accepted(audit(store.deliveries(), rules, now=LONG_AGO).findings, entries))
    with closing(Database(tmp_path / "views.db")) as db:
        rows = db.query("SELECT code, position, verdict FROM findings")
        marked = sorted((row["code"], row["position"]) for row in rows if row["verdict"] == "accepted")
        counted = {
            row["session_id"]: (row["errors"], row["warnings"]) for row in db.query("SELECT * FROM sessions")
        }
    assert marked == sorted((one.code, one.position) for one in reported if one.verdict == "accepted") != []
    for session_id, counts in counted.items():
        raised = [one for one in reported if one.session_id == session_id and one.verdict != "accepted"]
        assert counts == tuple(sum(one.severity == grave for one in raised) for grave in SEVERITIES[:0:-1])


@pytest.fixture
def tracker(tmp_path, monkeypatch):
    """Runs the command in an empty directory that holds a log and, of these texts, the files."""

    def call(*arguments, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        return ended.value.code

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Settings, "now", LONG_AGO)
    write(tmp_path / "log", [encode(one.received) for one in deliveries(*STORY)])
    return call


def entry_of(code, **more):
    lines = [f'{name} = "{text}"' for name, text in {"code": code, "reason": "known", **more}.items()]
    return "\n".join(["[[accept]]", *lines, ""])


ALL = "".join(entry_of(code) for code in ("S201", "S203", "S205", "S210", "X403"))


def test_an_audit_fails_by_what_is_not_accepted_and_only_by_that(tracker, capsys):
    assert (tracker("audit", "log"), tracker("audit", "log", tracker=ALL)) == (1, 0)
    out = capsys.readouterr().out
    assert "(accepted)" in out
    assert "accepted: known" in out
    assert "0 errors, 0 warnings, 0 infos; 3 accepted; something is wrong with none of 1 session" in out


def test_programs_read_the_verdict(tracker, capsys):
    tracker("audit", "log", "--format", "ndjson", tracker=entry_of("S205"))
    verdicts = {
        found["code"]: found["verdict"] for found in map(json.loads, capsys.readouterr().out.splitlines())
    }
    assert [code for code, verdict in verdicts.items() if verdict == "accepted"] == ["S205"]


def test_a_status_says_that_nothing_is_wrong_where_all_is_accepted(tracker, capsys):
    tracker("ingest", "log", tracker=ALL)
    tracker("status", "S")
    assert "nothing is wrong" in capsys.readouterr().out
    tracker("status", "S", "--json")
    assert {found["verdict"] for found in json.loads(capsys.readouterr().out)["findings"]} == {"accepted"}


def test_a_timeline_shows_what_is_accepted(tracker, capsys):
    tracker("ingest", "log", tracker=ALL)
    tracker("timeline", "S")
    assert "S205 stopped-before-started  accepted" in capsys.readouterr().out


def test_an_expired_entry_is_reported_with_its_number(tracker, capsys):
    tracker("audit", "log", tracker=entry_of("S201") + entry_of("S205", until="2026-01-04"))
    assert (
        "note: tracker.toml: accept entry 2 (S205) expired at 2026-01-04 23:59:59 UTC\nhint: "
        in capsys.readouterr().err
    )


def test_a_file_of_rules_that_accepts_nothing_leaves_what_tracker_toml_accepts(tracker):
    asked = ("audit", "log", "--rules", "other.toml")
    assert tracker(*asked, tracker=ALL, other="[rules]") == 0
    assert tracker(*asked, tracker=ALL, other=entry_of("S201")) == 1


def test_a_lifecycle_that_nobody_knows_is_refused_with_the_nearest_name(tracker, capsys):
    code = tracker("audit", "log", tracker=entry_of("S201", lifecycle="recoding"))
    printed = (
        "error: tracker.toml:4: no lifecycle in accept entry 1, 'recoding'\nhint: did you mean recording?\n"
    )
    assert (code, capsys.readouterr().err) == (2, printed)


@pytest.mark.parametrize(
    ("entry", "noted"),
    [
        ('session = "S"', None),
        ('meeting = "M"', None),
        (
            'session = "other"',
            ("(S201, session other)", "check what it names; if what it accepted is over, remove it"),
        ),
        ('session = "6b04"', ("(S201, session 6b04)", "an entry names an id in full: 6b040ea")),
        ('meeting = "h8"', ("(S201, meeting h8)", "an entry names an id in full: h8sd")),
    ],
)
def test_an_audit_names_an_entry_that_matches_nothing_and_the_id_that_it_may_mean(
    tmp_path, capsys, entry, noted
):
    config, log = tmp_path / "tracker.toml", tmp_path / "log"
    config.write_text(f'[[accept]]\ncode = "S201"\nreason = "known"\n{entry}', encoding="utf-8")
    more = [f"{at} sessionId=6b040ea meetingId=h8sd" for at in ("0 session-started", "5 recording-started")]
    write(log, [encode(one.received) for one in deliveries(*STORY, *more)])
    with pytest.raises(SystemExit):
        main(["audit", str(log), "--config", str(config)])
    said = [line for line in capsys.readouterr().err.splitlines() if "accept entry" in line or "hint: " in line]
    about = f"note: {config}: accept entry 1 {noted[0]} matches nothing here" if noted else None
    assert said[-2:] == ([about, f"hint: {noted[1]}"] if noted else [])
