"""Pseudonyms in the place of people: equal where the originals were, and nothing else changes."""

import itertools
import json
import unicodedata
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meetings import webhook

from tracker.delivery.envelope import Received, decode, encode
from tracker.delivery.pseudonyms import Scope, erased, exactly, people_in, pseudonym, words_of
from tracker.delivery.webhook import parse

AT = datetime(2026, 11, 26, 14, tzinfo=UTC)
KEY = b"k" * 32
WHOLE = Scope(KEY, "s", AT, whole=True)
texts = st.text(max_size=8) | st.sampled_from(["ann", "Ann", "Bo Smith", "erased-0011223344556677"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            texts
            | st.sampled_from(["participantId", "participantName", "fileUrl", "id", "participants", "reason"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
bodies = st.builds(
    lambda data, in_ascii: json.dumps(
        {"webhookType": "participant-joined", "data": data}, ensure_ascii=in_ascii
    ).encode(errors="replace"),
    values,
    st.booleans(),
)


def of(*people, stream="s"):
    """A scope that knows of these texts."""
    hashes = (one for text in people for one in (exactly(KEY, stream, text), words_of(KEY, stream, text)))
    return Scope(KEY, stream, AT, frozenset(filter(None, hashes)))


def data(scope, **given):
    body = json.dumps({"webhookType": "participant-joined", "data": given}).encode()
    return json.loads(erased(Received(body), scope).body)["data"]


def p(text):
    return pseudonym(KEY, text)


@given(bodies, st.sampled_from([WHOLE, of("ann", "Bo Smith")]))
def test_rewriting_twice_gives_the_same_as_once(body, scope):
    once = erased(Received(body), scope)
    assert erased(once, scope) == once


@given(bodies, bodies, st.sampled_from([WHOLE, of("ann", "Bo Smith")]))
def test_bodies_are_equal_afterwards_where_they_were_before(one, other, scope):
    after = [erased(Received(body), scope).body for body in (one, other)]
    assert (json.loads(after[0]) == json.loads(after[1])) is (json.loads(one) == json.loads(other))


@given(bodies, st.sampled_from([WHOLE, of("ann", "Bo Smith")]))
def test_a_webhook_stays_where_it_belongs_and_keeps_its_shape(body, scope):
    one, other = parse(body), parse(erased(Received(body), scope))
    assert (one.type, one.stream, one.session_id, one.step) == (
        other.type,
        other.stream,
        other.session_id,
        other.step,
    )


@given(bodies)
def test_an_envelope_keeps_the_mark(body):
    received = erased(Received(body, AT, "a:1", "key", signature="s", account="acme"), WHOLE)
    assert decode(encode(received)) == received
    assert (received.erased_at is None) is (received.body == body)


def test_an_id_and_a_name_are_replaced_wherever_they_stand_as_whole_words():
    given_ = {
        "sessionId": "ann-1",
        "participantId": "ann-1",
        "participantName": "Zoë Smith",
        "fileUrl": "https://files/ann-1/Zo%C3%AB%20Smith_zoë_smith.mp4",
        "reason": "zoë smith left",
        "custom": {"zoë smith": ["ann-1", "Zoë Smithson"]},
    }
    assert data(of("ann-1", "Zoë Smith"), **given_) == {
        "sessionId": "ann-1",
        "participantId": p("ann-1"),
        "participantName": p("Zoë Smith"),
        "fileUrl": f"https://files/{p('ann-1')}/{p('Zo%C3%AB%20Smith')}_{p('zoë_smith')}.mp4",
        "reason": f"{p('zoë smith')} left",
        "custom": {p("zoë smith"): [p("ann-1"), "Zoë Smithson"]},
    }


def test_the_name_of_somebody_else_is_not_torn_apart():
    assert data(of("Ann"), participantName="Ann Smith", participantId="Ann-2") == {
        "participantName": "Ann Smith",
        "participantId": "Ann-2",
    }


def test_of_a_whole_session_stays_what_says_which_it_is_of_what_kind_and_when():
    stays = {
        "sessionId": "s",
        "meetingId": "m",
        "id": "r",
        "kind": "audio",
        "start": "2026-01-01",
        "count": 3,
        "gone": None,
    }
    goes = {"participantName": "Ann", "fileUrl": "https://files/x", "note": "hello", "empty": ""}
    assert data(WHOLE, **stays, **goes) == {
        **stays,
        "participantName": p("Ann"),
        "fileUrl": p("https://files/x"),
        "note": p("hello"),
        "empty": "",
    }


def test_an_id_that_is_a_number_is_still_an_id_and_a_name_that_is_one_still_is_none():
    found = data(of("17"), participantId=17, participantName=17, count=17)
    assert found == {"participantId": p("17"), "participantName": [p("17")], "count": 17}


def test_people_in_lists_are_known_by_their_id():
    (ann, bo) = people_in(webhook("x", participants=[{"id": "a", "name": "Ann"}, {"id": "b", "name": "Bo"}]))
    assert (ann.ids, ann.names, bo.ids, bo.names) == ({"a"}, {"Ann"}, {"b"}, {"Bo"})


@pytest.mark.parametrize("scope", [WHOLE, of("Zoë Smith", "ann-1")])
def test_what_is_no_json_keeps_its_length_and_what_is_wrong_with_it(scope):
    body = '{"webhookType":"participant-joined","data":{"participantId":"ann-1","participantName":"Zoë Smith",}}'.encode()
    found = erased(Received(body), scope)
    assert (len(found.body), parse(found).problem) == (len(body), parse(body).problem)
    assert b"Smith" not in found.body
    assert b"ann" not in found.body


def test_the_signature_goes_and_who_verified_it_stays():
    found = erased(Received(webhook("x", participantId="a"), verified_by="key", signature="s"), WHOLE)
    assert (found.signature, found.verified_by) == (None, "key")


def test_a_test_of_the_endpoint_stays_one():
    for body in (b"ping", b'"test"', b'{"test":"hello"}'):
        assert parse(erased(Received(body), WHOLE)).problem == parse(body).problem


@pytest.mark.parametrize("name", ["José Muñoz", "Nguyễn Văn", "김민수", "Q̃aw", "हिन्दी"])
def test_a_name_is_found_whether_its_letters_are_composed_or_not(name):
    for known, there in itertools.product(map(unicodedata.normalize, ("NFC", "NFD"), (name, name)), repeat=2):
        assert data(of(known), filePath=f"/a/{there}.mp4") == {"filePath": f"/a/{p(there)}.mp4"}
        escaped = quote(there)
        assert data(of(known), fileUrl=f"https://a/{escaped}.mp4") == {"fileUrl": f"https://a/{p(escaped)}.mp4"}


@pytest.mark.parametrize("name", ["Zoë Quaxley", "Anna", "🦊 Fox"])
def test_a_name_is_found_in_json_that_stands_in_a_text_however_often(name):
    for inside in ({"name": name}, {"text": f"two\n{name}\tcame"}, json.dumps({"name": name})):
        found = data(of(name), custom=json.dumps(inside))["custom"]
        assert "erased-" in found
        assert "erased-" in str(json.loads(found))
        assert not any(word in found for word in ("Quaxley", "Anna", "Fox"))


def test_a_path_of_windows_is_no_json():
    assert data(of("natalie"), custom=r"C:\new\natalie\u.mp4") == {"custom": rf"C:\new\{p('natalie')}\u.mp4"}


def test_what_an_object_inside_says_without_an_id_is_of_the_person_around_it():
    given = {"participantId": "zz", "metaData": {"nickName": "Quaxie", "more": {"fullName": "Zoë Quaxley"}}}
    given["metaData"]["guests"] = [{"name": "Bo"}]
    given["user"] = {"id": "b", "name": "Bob"}
    found = {
        one for people in people_in(json.dumps(given).encode()) if "zz" in people.ids for one in people.names
    }
    assert found == {"Quaxie", "Zoë Quaxley"}
