"""What the API answers, as plain values: from the store's streams, and from one snapshot of the read models.

Each is a function of a snapshot and of the values that were asked for by name. Raises ``NotFoundError``.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import msgspec

from projections.explain import diagrams, together
from projections.explain import status as shown
from projections.read_models import deliveries as deliveries_model
from projections.read_models import findings as findings_model
from projections.read_models import sessions as sessions_model
from projections.read_models import short, text
from projections.read_models.links import beside
from projections.views import publications
from projections.views.publications import PUBLISHED_DB
from projections.web.parameters import Values
from projections.web.problems import UnknownError
from projections.web.snapshot import Snapshot
from tracker import lifecycle as declaration
from tracker.errors import NotFoundError, StoreError
from tracker.judging.assess import assess_all
from tracker.judging.state import Session
from tracker.lifecycles import REGISTRY
from tracker.step import Step


def sessions(of: Snapshot, asked: Values) -> Values:
    """The sessions, the most recent delivery first."""
    rows = sessions_model.find(
        of.db,
        live=asked["live"],
        meeting=asked["meeting"],
        account=asked["account"],
        findings=asked["finding"],
        since=text(asked["since"]),
        states=asked["state"],
        severities=asked["severity"] or (),
        person=asked["person"],
        sort="position",
        before=asked["cursor"] and asked["cursor"][0],
        limit=asked["limit"] + 1,
    )
    return page_of(
        [shortened(row) for row in rows], asked["limit"], of, lambda last: f"{last['last_position']}"
    )


def session(of: Snapshot, asked: Values) -> Values:
    """The state of one session, now, at a moment (`as_of`) or right after a position (`at`)."""
    as_of, at = asked["as_of"], asked["at"]
    ends = of.tracker.last_position()
    if at is not None and at > ends:
        raise NotFoundError(
            f"the store ends at position {ends}", place=f"at {at}", hint=f"give one up to {ends}"
        )

    def status_of(stream: str) -> Session:
        found = _now(of, stream) if as_of is None and at is None else _then(of, stream, as_of, at)
        return of.completed(found, at=at, as_of=as_of)

    try:
        found = together.found(of.db, asked["session"], status_of)
    except NotFoundError as error:
        raise unknown(of, asked["session"]) from error
    now = of.now if as_of is None and at is None else None
    return shown.status(found, of.tracker.pruned(asked["session"]), now)


def withdrawn(of: Snapshot, asked: Values) -> Values:
    """What was published of a session and is not held any more, the one withdrawn last first.

    `resource:ID` stands for a resource, `call:ID` for a call.
    """
    name = asked["session"]
    rows = publications.withdrawn(of.tracker.data / PUBLISHED_DB, name)
    if not rows and not any(True for _ in together.deliveries(of.tracker, of.db, name)):
        raise unknown(of, name)
    items = [shown.withdrawn(row) for row in rows]
    return {"items": [{**one, "message": of.text(one["message"], name)} for one in items]}


def _now(of: Snapshot, name: str) -> Session:
    """With all that is stored, and as late as it is."""
    found = assess_all(of.tracker.history(name), of.as_of, of.rules, of.log)
    if found is None:
        raise of.tracker.not_there(name)
    return found


def _then(of: Snapshot, name: str, as_of: datetime | None, at: int | None) -> Session:
    return of.tracker.status(name, as_of=as_of, at=at, rules=of.rules, log=of.log)


def timeline(of: Snapshot, asked: Values) -> Values:
    """The deliveries of a session in order, and what each was taken for, as the read models hold them.

    `unrouted` stands for what belongs to no session, `resource:ID` for a resource.
    """
    name, limit = asked["session"], asked["limit"]
    streams = None if name == "unrouted" else [name, *beside(of.db, name)]
    after = (asked["cursor"] or (0,))[0]
    rows = deliveries_model.in_order(of.db, streams, asked["account"], after, limit + 1)
    if not rows and streams is not None and not deliveries_model.in_order(of.db, streams, limit=1):
        first = next(iter(of.tracker.history(name)), None)
        raise unknown(of, name) if first is None else _not_yet(of, first.position, name)
    more = str(rows[limit - 1]["position"]) if len(rows) > limit else None
    return {"items": [moment(row) for row in rows[:limit]], "next": more}


def findings(of: Snapshot, asked: Values) -> Values:
    """What is wrong, the newest delivery's findings first."""
    rows = findings_model.find(
        of.db,
        codes=asked["code"],
        severities=asked["severity"] or (),
        verdict=asked["verdict"],
        since=text(asked["since"]),
        before=asked["cursor"],
        limit=asked["limit"] + 1,
        **{f"{name}_id": asked[name] for name in ("session", "meeting")},
        account=asked["account"],
        lifecycle=asked["lifecycle"],
        cause=asked.get("cause"),
    )
    found = of_session(of, asked, rows)
    page = page_of(found, asked["limit"], of, lambda last: f"{last['position'] or 0}.{last['number']}")
    return {**page, "items": [finding(row) for row in page["items"]]}


def events(of: Snapshot, asked: Values) -> Values:
    """What came, the newest first, and what each was taken for, with hindsight."""
    rows = deliveries_model.find(
        of.db,
        stream=asked["session"],
        types=asked["type"],
        readings=asked["reading"],
        **{name: asked[name] for name in ("meeting", "account", "lifecycle", "code")},
        **{name: text(asked[name]) for name in ("since", "until")},
        before=asked["cursor"] and asked["cursor"][0],
        limit=asked["limit"] + 1,
    )
    page = page_of(of_session(of, asked, rows), asked["limit"], of, lambda last: f"{last['position']}")
    return {**page, "items": [_delivery(row) for row in page["items"]]}


def _delivery(row: Values) -> Values:
    """A row of the read model with the values of ``projections.explain.status.moment``, and where it is."""
    codes = (row["findings"] or "").split()
    return {**shortened(row), "key": msgspec.json.decode(row["key"]), "findings": codes}


def moment(row: Values) -> Values:
    """The same without its stream and its account."""
    return {name: value for name, value in _delivery(row).items() if name not in ("stream", "account")}


def event(of: Snapshot, asked: Values) -> Values:
    """One delivery as it came, and what it was, with hindsight."""
    position = asked["position"]
    page = of.tracker.page(position - 1, 1, position)
    if not page:
        ends = of.tracker.last_position()
        if (pruned := of.tracker.pruned_from(position)) is not None:
            raise pruned.error(str(position))
        if position <= ends:
            hint = "tracker withdraw takes logs back, and --undo lets them count again"
            raise NotFoundError("it does not count: a log was withdrawn", place=str(position), hint=hint)
        hint = f"give one up to {ends}"
        raise NotFoundError(f"the store ends at position {ends}", place=str(position), hint=hint)
    delivery, _ = page[0]
    judged = deliveries_model.at(of.db, position)
    if judged is None:
        raise _not_yet(of, delivery.position, str(position))
    raised = list(findings_model.find(of.db, position=position))
    body, encoded = _body(delivery.body)
    return {
        **moment(judged),
        "source": delivery.received.source,
        "verified_by": delivery.received.verified_by,
        "account": delivery.received.account,
        "session_id": delivery.session_id,
        "meeting_id": delivery.meeting_id,
        "body": body,
        "body_base64": encoded,
        "problem": delivery.problem or None,
        "findings": [finding(row) for row in reversed(raised)],
    }


def lifecycles(_: Snapshot, __: Values) -> Values:
    """The tables by which deliveries are judged."""
    return {"items": [_lifecycle(one) for one in REGISTRY.values()]}


def received(of: Snapshot, after: int, limit: int) -> Iterator[Values]:
    """The sessions that got a delivery behind a position, by their last one."""
    return _changes(of, sessions_model.received(of.db, after, limit))


def decided(of: Snapshot, position: int, since: datetime | None, horizon: str) -> Iterator[Values]:
    """The sessions without a delivery behind a position of which time alone has decided something since."""
    since_text, until = text(since) or "", text(of.as_of)
    return _changes(of, sessions_model.decided(of.db, position, since_text, until, horizon))


def page_of(rows: list[Values], limit: int, of: Snapshot, cursor: Callable[[Values], str]) -> Values:
    """At most ``limit`` of the rows; one more says that there is a next page."""
    more = cursor(rows[limit - 1]) if len(rows) > limit else None
    return {"items": rows[:limit], "next": more, "position": of.checkpoint.position}


def shortened(row: Values) -> Values:
    """A row of the read models with its times as they are written everywhere else."""
    return {name: short(value) if name.endswith("_at") else value for name, value in row.items()}


def finding(row: Values) -> Values:
    """A row of the read model with the values of ``projections.explain.status.finding``."""
    nested = {name: msgspec.json.decode(row[name]) for name in ("key", "evidence", "expected")}
    nested["alternatives"] = msgspec.json.decode(row["alternatives"] or "[]")
    return {**row, **nested, "at": short(row["at"])}


def _changes(of: Snapshot, rows: Iterable[Values]) -> Iterator[Values]:
    return ({**row, "worst": worst(of, row)} for row in rows)


def worst(of: Snapshot, row: Values) -> Values | None:
    """The newest of the gravest findings of a session that have settled; ``None`` below warning."""
    if row["severity"] in (None, "info"):
        return None
    found = findings_model.find(of.db, session_id=row["session_id"], severities=[row["severity"]])
    return next((one for one in found if one["verdict"] not in ("provisional", "accepted")), None)


def of_session(of: Snapshot, asked: Values, rows: Iterable[Values]) -> list[Values]:
    """The rows. Raises ``NotFoundError`` where there are none because the session that was asked for is gone."""
    found, session = list(rows), asked["session"]
    if not found and session is not None and not any(True for _ in of.tracker.history(session)):
        gone = of.tracker.gone(session)
        if gone is not None:
            raise gone
    return found


def unknown(of: Snapshot, given: str) -> NotFoundError:
    """Why nothing is shown of a session."""
    hint = sessions_model.near(of.db, given) or of.tracker.perhaps_pruned(given)
    return of.tracker.gone(given) or UnknownError("no such session", place=given, hint=hint)


def _not_yet(of: Snapshot, position: int, place: str) -> StoreError:
    """That what came at a position is not in the read models yet."""
    words = f"it came at position {position}, and the read models are at {of.checkpoint.position}"
    return StoreError(words, place=place, hint=f"ask again, or with wait={position}")


def _body(body: bytes) -> tuple[str | None, str | None]:
    try:
        return body.decode(), None
    except UnicodeDecodeError:
        return None, b64encode(body).decode()


def _lifecycle(one: declaration.Lifecycle) -> Values:
    return {
        "lifecycle": one.name,
        "key": one.key,
        "optional_key": one.optional_key,
        "fields": diagrams.payload_fields(one),
        "steps": [_step(one, step) for step in one.steps],
        "movements": [
            {
                "state_before": before or None,
                "type": one.webhook_type(name),
                "state_after": one.by_name[name].state,
            }
            for before, names in one.table.items()
            for name in names
        ],
    }


def _step(of: declaration.Lifecycle, step: Step) -> Values:
    roles = ("skipped", "missed", "orphan", "conflict", "restarted", "outcome", "overdue")
    codes = {role: getattr(step, role) for role in roles if getattr(step, role)}
    shared = {name: getattr(step, name) for name in ("state", "closes", "brings")}
    return {
        "step": step.name,
        "type": of.webhook_type(step.name),
        "limit": step.limit or None,
        "codes": codes,
    } | shared
