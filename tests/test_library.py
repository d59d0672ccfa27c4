"""What a program gets from ``tracker``: the names, an audit of whatever it has, and a signature that is checked."""

import ast
import inspect
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import attrs
import commands
import keys
import pytest
from served import MONDAY, RESTARTED

import tracker
from projections.audit.library import COLUMNS, Summary
from projections.explain import status
from tracker import Finding, Rules, Session, audit, parse, testing, verify_signature
from tracker.errors import KeyFileError, LogError, RulesError, UsageError

LINES = MONDAY.read_bytes().splitlines()
BODY = b'{"webhookType":"session-started","data":{"sessionId":"S"}}'
OPEN = [
    {"received_at": "2026-01-05T12:00:00Z", "webhook": {"webhookType": f"{name}", "data": {"sessionId": "S", "meetingId": "M"}}}
    for name in ("session-started", "recording-starting", "recording-started", "recording-stopping")
]  # fmt: skip


def contents(result):
    return [(one.code, one.position, one.message) for one in result.findings]


@pytest.fixture(scope="module")
def monday():
    return audit(MONDAY)


def test_every_name_of_the_door_is_there_and_listed():
    assert {getattr(tracker, name) is not None for name in tracker.__all__} == {True}
    assert set(tracker.__all__) <= set(dir(tracker))
    assert not hasattr(tracker, "nothing")


def test_the_documentation_names_everything():
    page = (MONDAY.parent / "reference" / "library.md").read_text("utf-8")
    arguments = inspect.signature(tracker.asgi_app).parameters
    names = [*tracker.__all__, *testing.__all__, *arguments, *attrs.fields_dict(Summary), *COLUMNS]
    assert [name for name in names if not re.search(rf"\b{name}\b", page)] == []


def test_a_type_checker_sees_the_same_names_from_the_same_places():
    tree = ast.parse(Path(tracker.__file__).read_text("utf-8"))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module not in ("importlib", "importlib.metadata", "typing", "__future__")
        for alias in node.names
    }  # fmt: skip
    assert seen == tracker._ORIGINS
    assert {*seen, "__version__"} == set(tracker.__all__)


@pytest.mark.slow
def test_a_strict_type_checker_knows_the_types(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "from tracker import Finding, Session, audit, parse, verify_signature\n"
        "found: list[Finding] = audit('a.jsonl', as_of='end').findings\n"
        "one: Session = audit([b'{}']).sessions['S']\n"
        "reveal_type(one.recordings[0].files)\nreveal_type(verify_signature(b'', None, 'k'))\nreveal_type(parse(b'').type)\n"
    )
    mypy = pytest.importorskip("mypy.api")
    words, _, code = mypy.run(["--strict", "--no-incremental", "--cache-dir", os.devnull, str(program)])
    assert (code, [line.partition("note: ")[2] for line in words.splitlines()[:3]]) == (
        0,
        [f'Revealed type is "{one}"' for one in ("list[dict[str, Any]]", "bool", "str | None")],
    )


# -- audit -------------------------------------------------------------------------------------------


def test_it_finds_what_the_command_finds(monday):
    done = commands.run("audit", MONDAY, "--format", "ndjson", "--fail-on", "never")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [json.loads(json.dumps(status.finding(one))) for one in monday.findings]


GIVEN = {
    "the text of a path": str(MONDAY),
    "paths": [MONDAY],
    "the texts of paths": [str(MONDAY)],
    "lines of bytes": LINES,
    "lines of text": [line.decode() for line in LINES],
    "a generator": (line for line in LINES),
    "one text of many lines": [MONDAY.read_text("utf-8")],
}


@pytest.mark.parametrize("log", GIVEN.values(), ids=list(GIVEN))
def test_the_same_log_gives_the_same_findings_however_it_is_given(log, monday):
    assert contents(audit(log)) == contents(monday)


def test_an_open_file_is_a_log(monday):
    with MONDAY.open("rb") as binary, MONDAY.open(encoding="utf-8") as text:
        assert contents(audit(binary)) == contents(audit(text)) == contents(monday)


def test_dictionaries_are_a_log():
    assert audit(OPEN).sessions["S"].recordings[0].state == "stopping"
    assert audit(json.loads(BODY)).sessions["S"].state == "live"


def test_positions_are_counted_on_from_one_log_to_the_next(tmp_path):
    (tmp_path / "broken.jsonl").write_bytes(b"{broken\n")
    found = audit([tmp_path / "broken.jsonl", tmp_path / "broken.jsonl"]).findings
    assert [(one.code, one.position) for one in found] == [("C513", 1), ("C513", 2)]


def test_a_line_that_is_no_webhook_is_a_finding_and_no_error():
    assert [one.code for one in audit([b"no path either", b"\xff", b"{"]).findings] == ["C513"] * 3


def test_nothing_is_a_log_too():
    assert (audit([]).findings, len(audit([]).sessions), audit([]).summary.deliveries) == ([], 0, 0)


@pytest.mark.parametrize(
    ("as_of", "verdicts"),
    [
        (None, []),
        ("end", ["settled"]),
        ("now", ["settled"]),
        (datetime(2026, 1, 5, 12, 5, tzinfo=UTC), []),
        (datetime(2026, 1, 6, 12), ["settled"]),  # noqa: DTZ001 - a time without a zone is in UTC
        ("2026-01-06", ["settled"]),
    ],
)
def test_a_recording_that_is_still_stopping_is_judged_as_of_the_moment_given(as_of, verdicts):
    found = audit(OPEN, as_of=as_of).findings
    assert [one.verdict for one in found if one.code == "T302"] == verdicts, found


def test_rules_are_given_as_an_object_or_as_a_file(tmp_path):
    (tmp_path / "rules.toml").write_text('[rules.severity]\nS207 = "info"\n')
    for rules in (Rules(severity={"S207": "info"}), tmp_path / "rules.toml", str(tmp_path / "rules.toml")):
        assert {one.severity for one in audit(MONDAY, rules=rules).findings if one.code == "S207"} == {"info"}


def test_what_the_rules_accept_is_marked(tmp_path):
    (tmp_path / "rules.toml").write_text('[[accept]]\ncode = "S207"\nreason = "we know"\n')
    found = audit(MONDAY, rules=tmp_path / "rules.toml")
    assert [(one.verdict, one.accepted) for one in found.findings if one.code == "S207"] == [
        ("accepted", "we know")
    ]
    assert found.summary.accepted == 1
    assert [one.verdict for one in found.sessions[RESTARTED].findings if one.code == "S207"] == ["accepted"]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"log": "nowhere.jsonl"}, LogError, "nowhere.jsonl: there is no such file"),
        ({"log": ["nowhere.jsonl"]}, LogError, "nowhere.jsonl: there is no such file"),
        ({"log": [MONDAY, b"{}"]}, UsageError, "a list of logs holds bytes"),
        ({"log": [b"{}", 3]}, UsageError, "a log of lines holds int"),
        ({"log": [{"webhookType": object()}]}, UsageError, "a dictionary is no JSON"),
        ({"log": [], "as_of": "soon"}, UsageError, "'soon' is not a valid time"),
        ({"log": [], "rules": "nowhere.toml"}, RulesError, "nowhere.toml: there is no such file"),
    ],
)
def test_what_cannot_be_used_raises_an_error_with_a_hint(given, error, words):
    with pytest.raises(error, match=words) as raised:
        audit(**given)
    assert raised.value.hint


def test_a_log_that_breaks_off_is_an_error(tmp_path):
    (tmp_path / "log.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    with pytest.raises(LogError, match="after line 0"):
        audit(tmp_path / "log.jsonl.gz")


# -- sessions ----------------------------------------------------------------------------------------


def test_a_session_stands_as_the_fold_has_it(monday):
    session = monday.sessions[RESTARTED]
    assert isinstance(session, Session)
    assert (session.state, [one.name for one in session.participants][:2]) == ("ended", ["Ruth", "Kenji"])
    assert [(run.lifecycle.name, run.number, run.state) for run in session.recordings] == [
        ("recording", 1, "lost"),
        ("recording", 2, "stopped"),
    ]


def test_the_findings_of_a_session_are_those_of_the_audit(monday):
    for session_id, session in monday.sessions.items():
        assert contents(session) == [
            entry
            for entry, one in zip(contents(monday), monday.findings, strict=True)
            if one.session_id == session_id
        ]


def test_sessions_are_listed_in_the_order_in_which_they_appeared(monday):
    first = [session.first_position for session in monday.sessions.values()]
    assert (len(first), first) == (len(monday.sessions), sorted(first))
    assert monday.summary.sessions == len(monday.sessions)


def test_a_meeting_has_its_sessions(monday):
    meeting = monday.sessions[RESTARTED].meeting_id
    assert [one.session_id for one in monday.sessions.of_meeting(meeting)] == [RESTARTED]
    assert monday.sessions.of_meeting("another") == []


def test_a_session_that_is_not_there_is_a_key_error(monday):
    with pytest.raises(KeyError, match="another"):
        monday.sessions["another"]
    assert monday.sessions.get("another") is None


def test_a_notebook_shows_the_sum(monday):
    assert repr(monday) == "<235 deliveries, 14 sessions: 6 errors, 5 warnings, 6 infos>"
    assert repr(monday.sessions) == "<14 sessions>"


def test_the_summary_counts(monday):
    of_each = [sum(one.severity == name for one in monday.findings) for name in ("error", "warning", "info")]
    assert [monday.summary.errors, monday.summary.warnings, monday.summary.infos] == of_each
    assert sum(monday.summary.codes.values()) == len(monday.findings)
    assert monday.summary.deliveries == len(LINES)


# -- pandas ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", COLUMNS)
def test_a_data_frame_has_a_row_for_each_and_times_that_are_times(monday, table):
    pytest.importorskip("pandas")
    frame = monday.to_pandas(table)
    times = [name for name in frame.columns if name == "at" or name.endswith("_at")]
    assert {str(frame[name].dtype).partition("[")[0] for name in times} == {"datetime64"}
    sizes = {
        "findings": len(monday.findings),
        "sessions": 14,
        "recordings": len(list(monday.sessions.recordings())),
    }
    assert len(frame) == sizes[table]


def test_the_columns_of_a_data_frame_are_the_names_of_the_contract(monday):
    assert COLUMNS["findings"] == tuple(status.finding(monday.findings[0]))
    assert COLUMNS["recordings"] == tuple(next(monday.sessions.recordings()))
    assert {*COLUMNS["sessions"]} - {"recordings", "errors", "warnings"} <= set(
        status.status(monday.sessions[RESTARTED])
    )


def test_an_empty_audit_has_the_same_columns():
    pytest.importorskip("pandas")
    assert {name: tuple(audit([]).to_pandas(name).columns) for name in COLUMNS} == COLUMNS


def test_without_pandas_the_error_says_what_to_do(monday, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pandas is not installed") as raised:
        monday.to_pandas()
    assert "pip install" in raised.value.hint


def test_another_table_is_refused_with_those_there_are(monday):
    with pytest.raises(UsageError, match="no table 'people'") as raised:
        monday.to_pandas("people")
    assert raised.value.hint == "choose findings, sessions, recordings"


# -- parse and verify_signature ----------------------------------------------------------------------


def test_a_body_is_parsed_to_a_delivery():
    delivery = parse(BODY)
    assert (delivery.type, delivery.session_id, delivery.lifecycle.name) == ("session-started", "S", "session")


@pytest.mark.parametrize("form", ["text", "bytes", "path", "path as text", "document"])
def test_a_signature_is_verified_with_a_key_in_any_form(form, tmp_path):
    path = keys.write_public(tmp_path / "key.pem")
    forms = {"text": keys.pem().decode(), "bytes": keys.pem(), "path": path, "path as text": str(path)}
    forms["document"] = json.dumps({"publicKey": keys.pem().decode()})
    assert verify_signature(BODY, keys.sign(BODY), forms[form]) is True
    assert verify_signature(BODY + b" ", keys.sign(BODY), forms[form]) is False


@pytest.mark.parametrize("header", [None, "", "no base64", b"AAAA"])
def test_without_a_signature_the_answer_is_no(header):
    assert verify_signature(BODY, header, keys.pem()) is False


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (b"no key", "the key: holds no public key"),
        ("nowhere.pem", "nowhere.pem: cannot be read"),
        ('{"publicKey": 3}', "the key: holds no public key"),
    ],
)
def test_a_key_that_is_none_is_an_error_with_a_hint(key, words):
    with pytest.raises(KeyFileError, match=words) as raised:
        verify_signature(BODY, keys.sign(BODY), key)
    assert raised.value.hint


def test_a_body_that_was_decoded_is_refused():
    with pytest.raises(TypeError, match="must be the bytes that came, not str"):
        verify_signature(BODY.decode(), keys.sign(BODY), keys.pem())


def test_a_finding_is_what_the_door_calls_one(monday):
    assert {type(one) for one in monday.findings} == {Finding}


def test_zone_and_fields_are_said_as_on_the_command_line():
    webhook = '{"webhookType": "session-started", "data": {"sessionId": "S"}}'
    log = [{"at": "2026-01-05T09:00:00Z", "created": "2026-06-05 10:00:00", "detail": {"raw": webhook}}]
    found = audit(log, tz="Europe/Berlin", webhook_field="detail.raw", time_field="created")

    assert found.summary.oldest == datetime(2026, 6, 5, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "words"),
    [({"tz": "Berlin/Europe"}, "no time zone"), ({"time_field": "a..b"}, "time_field 'a..b'")],
)
def test_a_zone_or_field_that_is_none_is_refused(given, words):
    with pytest.raises(UsageError, match=words):
        audit([], **given)
