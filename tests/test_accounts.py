"""Several accounts of VideoSDK: each has a path and keys of its own, and what comes there keeps its name."""

import json
from contextlib import closing
from itertools import chain

import keys
import msgspec
import pytest
from click.shell_completion import ShellComplete
from commands import run
from hypothesis import given
from hypothesis import strategies as st
from meetings import line, webhook
from served import served
from stores import opened

from projections.cli import tracker
from tracker.delivery import envelope
from tracker.delivery.envelope import Received
from tracker.delivery.signature import Keyring

BODY = webhook("session-started", sessionId="s", meetingId="m")
NUMBERS = {None: (0,), "acme": (1,), "beta.eu-1": (2, 3)}
"""The keys of each account."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for two accounts, and for webhooks of none."""
    home = tmp_path_factory.mktemp("accounts")
    rings = {
        name: Keyring([keys.write_public(home / f"{name}.pem", *theirs)]) for name, theirs in NUMBERS.items()
    }
    with served(home / "data", keys=rings) as running:
        yield running


def post(server, account, body=BODY, number=None):
    headers = {} if number is None else {"videosdk_signature": keys.sign(body, number)}
    return server.ask("/webhooks" if account is None else f"/webhooks/{account}", "POST", body, **headers)


def configured(home, text):
    (home / "tracker.toml").write_text(text)
    return home


# What is received


@given(st.sampled_from(list(NUMBERS)), st.integers(0, 4), st.binary(max_size=100))
def test_nothing_that_the_key_of_one_account_signed_is_accepted_at_the_path_of_another(
    server, account, number, body
):
    answer = post(server, account, body, number)

    assert answer.status == (204 if number in NUMBERS[account] else 401)


@pytest.mark.parametrize("account", list(NUMBERS))
def test_the_name_of_the_account_is_stored_with_what_came(server, account):
    position = int(post(server, account, BODY, NUMBERS[account][0]).headers["tracker-position"])
    ((delivery, _),) = server.tracker.page(position - 1, 1, position)

    assert (delivery.received.account, delivery.body) == (account, BODY)


@pytest.mark.parametrize("path", ["/webhooks/other", "/webhooks/acm%65x", "/webhooks/ACME"])
def test_the_path_of_no_account_is_not_found_and_says_where_accounts_are_named(server, path):
    before = server.tracker.last_position()
    answer = server.ask(path, "POST", BODY, videosdk_signature=keys.sign(BODY, 1))

    assert (answer.status, "[accounts] of tracker.toml" in answer.json["hint"]) == (404, True)
    assert server.tracker.last_position() == before


def test_webhooks_are_received_under_any_name_of_the_host_where_they_are_signed(server):
    answer = server.ask(
        "/webhooks/acme", "POST", BODY, host="example.org", videosdk_signature=keys.sign(BODY, 1)
    )

    assert answer.status == 204


# Envelopes


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True))
def test_an_account_is_read_back_from_its_envelope(name):
    received = Received(BODY, account=name)

    assert received == envelope.decode(envelope.encode(received))


@pytest.mark.parametrize("account", ['""', '"a b"', '"-a"', f'"{"a" * 65}"', "7", "null", '{"id": "acme"}'])
def test_what_can_be_no_account_is_something_else_of_that_name(account):
    assert envelope.decode(b'{"account":%s,"webhook":{}}' % account.encode()) == Received(b"{}")


# Logs


def test_a_log_is_stored_for_an_account_unless_its_lines_name_one(tmp_path):
    lines = [line(BODY, 0), envelope.encode(Received(BODY, account="beta"))]
    (tmp_path / "log").write_bytes(b"\n".join(lines))
    run("ingest", "log", "--account", "acme", "--data", "data", cwd=tmp_path)

    with closing(opened(tmp_path / "data")) as store:
        assert [one.received.account for one in store.deliveries()] == ["acme", "beta"]


def test_what_logs_hold_of_several_accounts_is_verified_with_the_keys_of_each(tmp_path):
    home = configured(tmp_path, 'keys = ["0.pem"]\n[accounts]\nacme = "1.pem"\nbeta = []\n')
    for number in (0, 1):
        keys.write_public(home / f"{number}.pem", number)
    signed = [(None, 0), ("acme", 1), ("acme", 0), ("beta", 0), ("beta", 1)]
    lines = [Received(BODY, account=name, signature=keys.sign(BODY, number)) for name, number in signed]
    (home / "log").write_bytes(b"\n".join(map(envelope.encode, lines)))
    run("ingest", "log", "--data", "data", cwd=home)

    with closing(opened(home / "data")) as store:
        assert [bool(one.received.verified_by) for one in store.deliveries()] == [
            True,
            True,
            False,
            True,
            False,
        ]


# Settings


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("accounts = 3", "accounts is no table", 'acme = "acme.pem"'),
        ('[accounts]\n"a b" = "a.pem"', "'a b' cannot be the name of an account", "letters, digits"),
        ("[accounts]\nacme = 3", "the keys of account acme are no paths", 'acme = "acme.pem"'),
        ("[accounts]\nacme = ['']", "the keys of account acme are no paths", 'acme = "acme.pem"'),
        ("[accounts]\nacme = 'none.pem'", "none.pem: cannot be read", "check the path"),
        ("[accounts]\nacme = []\nbeta = 'beta.pem'", "account acme has no key", 'write acme = "FILE"'),
    ],
)
def test_accounts_that_cannot_be_are_refused_with_what_to_write(tmp_path, text, problem, hint):
    keys.write_public(tmp_path / "beta.pem")
    done = run("serve", "--data", "data", cwd=configured(tmp_path, text), text=True)

    assert (done.returncode, problem in done.stderr, hint in done.stderr) == (2, True, True), done.stderr


@pytest.mark.parametrize(("given", "hint"), [("acmee", "did you mean acme?"), ("a/b", "letters, digits")])
def test_a_log_is_stored_for_no_account_that_is_not_configured(tmp_path, given, hint):
    (tmp_path / "log").write_bytes(line(BODY, 0))
    home = configured(tmp_path, "[accounts]\nacme = []\nbeta = []\n")
    done = run("ingest", "log", "--account", given, "--data", "data", cwd=home, text=True)

    assert (done.returncode, hint in done.stderr, (home / "data").exists()) == (2, True, False)


def test_the_accounts_and_whether_they_share_a_key_are_shown(tmp_path):
    home = configured(tmp_path, 'keys = ["0.pem"]\n[accounts]\nacme = "1.pem"\nbeta = []\ngamma = []\n')
    for number in (0, 1):
        keys.write_public(home / f"{number}.pem", number)
    checks = json.loads(run("doctor", "--format", "json", cwd=home).stdout)
    settings = {
        one["setting"]: one["value"] for one in json.loads(run("config", "--format", "json", cwd=home).stdout)
    }

    assert [(one["state"], one["seen"].split(":")[0]) for one in checks if one["check"] == "account"] == [
        ("ok", "acme"),
        ("ok", "beta"),
        ("ok", "gamma"),
        ("note", "beta and gamma share a key"),
    ]
    assert (settings["accounts.acme"], settings["accounts.beta"]) == ("1.pem", "those of keys")


# What is shown


def lines_of(account, session, *more):
    """A recording of a session, which never stopped unless there is ``more``, and a call for its room."""
    names = {"sessionId": session, "meetingId": f"room-{session}"}
    kinds = ("session-started", "recording-starting", "recording-started", *more, "session-ended")
    said = [webhook(kind, **names) for kind in kinds]
    said.insert(1, webhook("call-started", callId=f"call-{session}", roomId=f"room-{session}"))
    at = [envelope.decode(line(body, seconds)) for seconds, body in enumerate(said)]
    return [envelope.encode(msgspec.structs.replace(one, account=account)) for one in at]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A directory with a log of two accounts and of none, and the store of it."""
    home = tmp_path_factory.mktemp("three")
    lines = [
        lines_of("acme", "A"),
        lines_of("beta", "B"),
        lines_of(None, "C"),
        lines_of(None, "D", "recording-stopped"),
    ]
    (home / "log").write_bytes(b"\n".join(chain(*lines)))
    run("ingest", "log", "--data", "data", cwd=home)
    return home


ASKED = [
    ("sessions", "--format", "ndjson"),
    ("recordings", "--format", "ndjson"),
    ("runs", "--format", "ndjson"),
    ("audit", "--format", "ndjson", "--fail-on", "never"),
    ("audit", "log", "--as-of", "end", "--format", "ndjson", "--fail-on", "never"),
    ("audit", "log", "--as-of", "end", "--format", "ndjson", "--fail-on", "never", "--jobs", "2"),
    ("export",),
]


@pytest.mark.parametrize("command", ASKED, ids=" ".join)
def test_a_command_shows_what_is_of_one_account(home, command):
    def shown(*more):
        done = run(*command, *more, "--data", "data", cwd=home)
        return [json.loads(one) for one in done.stdout.splitlines()]

    everything, acme = shown(), shown("--account", "acme")
    assert acme == [one for one in everything if one.get("account") == "acme"] != []
    assert {one.get("account") for one in everything} == {"acme", "beta", None}


@pytest.mark.parametrize(
    "command", ["sessions", "recordings", "runs", "issues", "export", "overview", "find A"]
)
def test_an_account_of_which_nothing_came_is_no_such_account(home, command):
    done = run(*command.split(), "--account", "acm", "--data", "data", cwd=home, text=True)

    assert (done.returncode, "nothing came of such an account" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["sessions", "recordings", "issues", "watch --once", "export"])
def test_an_account_that_is_configured_is_known_before_anything_came_of_it(home, tmp_path, command):
    config = tmp_path / "tracker.toml"
    config.write_text("[accounts]\nnew = []\n")
    asked = ["--account", "new", "--data", "data", "--config", str(config)]
    done = run(*command.split(), *asked, cwd=home, text=True)

    assert (done.returncode, done.stderr, "room-" in done.stdout) == (0, "", False)


def test_issues_count_what_is_of_one_account(home):
    def counts(*more):
        done = run("issues", "--min-severity", "info", "--format", "json", *more, "--data", "data", cwd=home)
        return {one["code"]: one["count"] for one in json.loads(done.stdout)}

    both = [counts("--account", name) for name in ("acme", "beta")]
    assert both[0] == both[1] == {code: count // 3 for code, count in counts().items() if count >= 3}


def test_the_overview_counts_what_is_of_one_account(home):
    def shown(*more):
        done = run("overview", "--day", "2026-03-02", "--format", "json", *more, "--data", "data", cwd=home)
        found = json.loads(done.stdout)
        return found["deliveries"]["day"]["number"], sum(found["recordings"].values())

    assert [shown(), shown("--account", "acme"), shown("--account", "beta")] == [
        (21, 4),
        (5, 1),
        (5, 1),
    ]


def test_the_account_stands_where_a_session_is_named(home):
    for command in (["status", "A"], ["sessions"], ["audit", "--fail-on", "never"]):
        shown = run(*command, "--data", "data", cwd=home, text=True).stdout
        assert "acme" in shown, (command, shown)
    assert json.loads(run("status", "A", "--json", "--data", "data", cwd=home).stdout)["account"] == "acme"


def found(home, *command):
    return json.loads(run(*command, "--format", "json", "--data", "data", cwd=home).stdout)


def test_a_search_finds_and_counts_what_is_of_one_account(home):
    def numbers(*more):
        everything = found(home, "find", "room-", *more), found(home, "find", "X403", *more)
        return [one["meeting_id"] for one in everything[0]["rooms"]], everything[1]["codes"][0]["count"]

    assert numbers() == (["room-A", "room-B", "room-C", "room-D"], 3)
    assert numbers("--account", "acme") == (["room-A"], 1)


@pytest.mark.parametrize("command", [["meeting", "room-A"], ["person", "guest"]], ids=" ".join)
def test_a_room_and_a_person_are_shown_as_one_account_knows_them(two, command):
    def sessions(*more):
        return [one["session_id"] for one in found(two, *command, *more)["items"]]

    assert sorted(sessions()) == ["A", "A2"]
    assert [sessions("--account", name) for name in ("acme", "beta")] == [["A"], ["A2"]]


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (["meeting", "room-A", "--account", "gamma"], "leave --account out"),
        (["person", "guest", "--account", "gamma"], "leave --account out"),
        (["timeline", "G", "--account", "acme"], "leave --account out"),
        (["timeline", "G", "--account", "acme", "--format", "json"], "leave --account out"),
        (["watch", "A", "--once", "--account", "acme"], "leave it out, or the session"),
    ],
    ids=lambda one: one[0],
)
def test_what_an_account_knows_nothing_of_is_not_shown_as_if_it_were_empty(two, command, hint):
    done = run(*command, "--data", "data", cwd=two, text=True)

    assert (done.returncode, hint in done.stderr, done.stdout) == (2, True, "")


def test_a_timeline_shows_what_came_for_one_account(two):
    def accounts(*more):
        done = run("timeline", "shared", *more, "--format", "ndjson", "--data", "data", cwd=two)
        return [json.loads(one)["position"] for one in done.stdout.splitlines()]

    both = [accounts("--account", name) for name in ("acme", "beta")]
    assert sorted(chain(*both)) == accounts()
    assert min(map(len, both)) > 0


def test_a_timeline_has_lanes_of_what_came_for_that_account(tmp_path):
    lines = []
    for account, name in (("acme", "Ann"), ("beta", "Bea")):
        said = webhook("participant-joined", sessionId="s", participantId=name[0], participantName=name)
        one = envelope.decode(line(said, len(lines)))
        lines.append(envelope.encode(msgspec.structs.replace(one, account=account)))
    (tmp_path / "log").write_bytes(b"\n".join(lines))
    run("ingest", "log", "--data", "data", cwd=tmp_path)
    done = run("timeline", "s", "--account", "acme", "--data", "data", cwd=tmp_path, text=True)
    assert ("Ann" in done.stdout, "Bea" in done.stdout) == (True, False)


def test_the_shell_completes_accounts_that_are_configured_and_those_of_which_something_came(home, tmp_path):
    config = tmp_path / "tracker.toml"
    config.write_text("[accounts]\nacme-new = []\n")
    given = ["sessions", "--data", str(home / "data"), "--config", str(config), "--account"]
    completed = ShellComplete(tracker, {}, "tracker", "_TRACKER_COMPLETE").get_completions(given, "ac")

    assert [one.value for one in completed] == ["acme", "acme-new"]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A directory with a store in which two accounts know one room, one person and one session."""
    home = tmp_path_factory.mktemp("two")
    lines = [*lines_of("acme", "A"), *lines_of("beta", "A2"), *lines_of("gamma", "G")]
    lines = [one.replace(b"room-A2", b"room-A") for one in lines]
    for account, session in (("acme", "A"), ("beta", "A2"), ("acme", "shared"), ("beta", "shared")):
        names = {"sessionId": session, "meetingId": f"room-{session[0]}", "participantId": "guest"}
        names["participantId"] = "both" if session == "shared" else "guest"
        at = envelope.decode(line(webhook("participant-joined", participantName="Gail Guest", **names), 9))
        lines.append(envelope.encode(msgspec.structs.replace(at, account=account)))
    (home / "log").write_bytes(b"\n".join(lines))
    run("ingest", "log", "--data", "data", cwd=home)
    return home


@pytest.fixture(scope="module")
def shown(home):
    with served(home / "data", accounts=["new"]) as running:
        yield running


@pytest.mark.parametrize("path", ["sessions", "findings?severity=info", "recordings", "events"])
def test_the_api_answers_for_one_account(shown, path):
    everything = shown.get(f"/api/{path}")["items"]
    acme = shown.get(f"/api/{path}{'&' if '?' in path else '?'}account=acme")["items"]

    assert acme == [one for one in everything if one["account"] == "acme"] != []
    assert len(acme) < len(everything)


@pytest.mark.parametrize("path", ["sessions", "findings?view=each", "recordings"])
def test_a_page_can_be_narrowed_down_to_one_account(shown, path):
    everything = shown.ask(f"/{path}").body.decode()
    acme = shown.ask(f"/{path}{'&' if '?' in path else '?'}account=acme").body.decode()

    assert "<option>acme</option>" in everything
    assert "<option selected>acme</option>" in acme
    assert ("/sessions/B" in everything, "/sessions/B" in acme, "/sessions/A" in acme) == (True, False, True)


@pytest.mark.parametrize("path", ["meetings/room-A", "people/guest", "search?q=room-"])
def test_the_page_of_a_room_of_a_person_and_of_a_search_can_be_narrowed_down_to_one_account(both, path):
    mark = "&amp;" if "?" in path else "?"
    page = both.ask(f"/{path}").body.decode()
    acme = both.ask(f"/{path}{mark[-5:].replace('amp;', '')}account=acme").body.decode()

    assert f'<a href="/{path}{mark}account=acme">acme</a>' in page
    assert f'<a href="/{path}{mark}account=acme" aria-current="true">acme</a>' in acme
    assert ("A2" in page or "room-G" in page, "A2" in acme or "room-G" in acme) == (True, False)


@pytest.fixture(scope="module")
def both(two):
    with served(two / "data") as running:
        yield running


def test_an_account_that_is_configured_is_offered_before_anything_came_of_it(shown):
    assert "<option>new</option>" in shown.ask("/sessions").body.decode()
    assert '<a href="/?account=new">new</a>' in shown.ask("/").body.decode()


def test_the_overview_of_an_account_leads_to_what_is_of_it(shown):
    page = shown.ask("/?day=2026-03-02&account=acme").body.decode()

    assert [
        f"/{path}?state={state}&amp;account=acme" in page
        for path, state in (("sessions", "live"), ("recordings", "started"))
    ] == [True, True]
    assert '<a href="/?day=2026-03-02&amp;account=beta">beta</a>' in page
    assert shown.get("/api/overview?day=2026-03-02&account=acme")["deliveries"]["day"]["number"] == 5


def test_pages_of_a_store_without_accounts_offer_none(tmp_path):
    with served(tmp_path / "data") as running:
        pages = [running.ask(path).body.decode() for path in ("/", "/sessions")]
        assert [any(one in page for one in ('name="account"', "account=")) for page in pages] == [False, False]
