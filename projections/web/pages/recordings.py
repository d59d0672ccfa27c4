"""``/recordings``: what was recorded or streamed, with its files and who was inside, the one that began last first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from projections import zones
from projections.answers.presence import with_people
from projections.read_models.files import TOO_COMMON, texts
from projections.read_models.runs import MEDIA, STATES, is_missing
from projections.web import answers_across, parameters
from projections.web.answers_across import WITHIN
from projections.web.mount import url
from projections.web.pages.html import moment, span
from projections.web.pages.kinds import kind_of
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.judging.findings.catalogue import CATALOGUE

PERIODS = {"day": "24 hours", "week": "7 days", "month": "30 days"}
LIMIT = 40
NAMED = 5
"""People named of one run."""

PARAMETERS = (
    parameters.choice("state", "Only in this state.", parameters.words(STATES)),
    parameters.choice("lifecycle", "Only of this lifecycle.", parameters.words(MEDIA)),
    parameters.flag("missing", "Only what is over and brought neither a file nor a url."),
    parameters.text("person", "Only of or with this person: an id, or a part of a name."),
    parameters.text("file", "Only what brought this file: a url, path, id or name, or how one begins."),
    parameters.text("session", "Only of this session."),
    parameters.text("meeting", "Only of this meeting."),
    parameters.text("account", "Only of this account."),
    parameters.choice(
        "within", "Only what a webhook came of in the last day, week or month.", parameters.words(WITHIN)
    ),
    parameters.time("since", "Only what a webhook came of since then."),
    parameters.time("until", "Only what had begun by then."),
    parameters.cursor("cursor", "Where the page begins.", r"[0-9]{1,18}\.[0-9]{1,18}"),
)


def fill(of: Snapshot, asked: Values) -> Values:
    within = asked["within"]
    since = asked["since"] or (of.now - WITHIN[within] if within else None)
    many = {name: [asked[name]] if asked[name] else [] for name in ("state", "lifecycle")}
    rows = answers_across.recordings_of(of, {**asked, **many, "since": since, "limit": LIMIT})
    more = answers_across.recording_cursor(rows[LIMIT - 1]) if len(rows) > LIMIT else None
    names = ("state", "lifecycle", "person", "file", "session", "meeting", "account", "within")
    filters: Values = {name: asked[name] for name in names}
    filters["missing"] = "true" if asked["missing"] else None
    for name in ("since", "until"):
        filters[name] = asked[name] and f"{asked[name]:%Y-%m-%dT%H:%M:%SZ}"
    shown = [_row(row) for row in with_people(of.db, rows[:LIMIT])]
    return {
        "title": "Recordings",
        "days": _days(shown),
        "position": of.checkpoint.position,
        "asked": filters,
        "narrowed": any(filters.values()),
        "first": asked["cursor"] is None,
        "start": url("recordings", **filters),
        "next": more and url("recordings", **filters, cursor=more),
        "states": STATES,
        "media": MEDIA,
        "accounts": of.accounts,
        "periods": _choices("within", [(None, "any time"), *PERIODS.items()], filters),
        "files": _choices("missing", [(None, "all"), ("true", "without a file")], filters),
    }


def _choices(name: str, options: Sequence[tuple[str | None, str]], filters: Values) -> list[Values]:
    """What may be chosen, and where that leads."""
    return [
        {
            "name": words,
            "chosen": filters[name] == value,
            "url": url("recordings", **{**filters, name: value}),
        }
        for value, words in options
    ]


def _days(rows: Iterable[Values]) -> list[tuple[str, list[Values]]]:
    """The rows of each day on which they began."""
    return [
        (f"{day:%A, %-d %B %Y}" if day else "Without a receive time", list(of_day))
        for day, of_day in groupby(
            rows, lambda row: row["began"] and row["began"].astimezone(zones.shown_in()).date()
        )
    ]


def _row(row: Values) -> Values:
    began, stopped = moment(row["began_at"]), moment(row["stopped_at"])
    begin_known = began is not None and began != stopped
    files = list(_files(row["files"]))
    codes = [CATALOGUE[code] for code in dict.fromkeys(row["findings"]) if code in CATALOGUE]
    return {
        **row,
        "began": began,
        "stopped": stopped,
        "begin_known": begin_known,
        "length": span(stopped - began) if begin_known and began and stopped and stopped >= began else "",
        "kind": kind_of(row["lifecycle"], row["state"]),
        "who": " ".join(row["key"].values()),
        "files": files,
        "missing": is_missing(row),
        "codes": codes,
        "inside": _inside(row["people"]),
        "why": url("why", session=row["session_id"]),
        "session_url": url("sessions", row["session_id"]),
        "room_url": row["meeting_id"] and url("meetings", row["meeting_id"]),
    }


def _files(held: Any) -> Iterator[Values]:
    """What each file is called and where it is; a path is left out where a url ends with it."""
    found = list(dict.fromkeys(texts(held)))
    urls = [one for one in found if one.startswith(("https://", "http://"))]
    for one in urls:
        host, *folders, last = one.partition("://")[2].partition("?")[0].split("/")
        near = folders[-1:] if last in TOO_COMMON else []
        yield {"text": "/".join([host, *(["…"] if folders else []), *near, last]), "url": one}
    for one in found:
        if one not in urls and not any(url.partition("?")[0].endswith(one) for url in urls):
            yield {"text": one, "url": None}


def _inside(people: list[Values]) -> Values:
    """Who was inside: those still there at the end first, and as many as there is room for."""
    known = any(one["at_end"] is not None for one in people)
    names: Any = [
        one["name"] or one["participant_id"] for one in sorted(people, key=lambda one: not one["at_end"])
    ]
    return {
        "number": len(people),
        "at_end": sum(bool(one["at_end"]) for one in people) if known else None,
        "names": names[:NAMED],
        "more": max(0, len(names) - NAMED),
    }
