"""``/``: how everything is now, and a day beside the day before."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from projections import zones
from projections.answers.days import Day, day_at
from projections.answers.issues import GRAVE
from projections.answers.overview import OUTCOMES
from projections.read_models import text
from projections.read_models.findings import counts
from projections.web import answers_across, parameters
from projections.web.mount import url
from projections.web.pages.charts import bar, columns
from projections.web.pages.choices import account_links
from projections.web.pages.findings import issue
from projections.web.pages.html import counted, moment, span
from projections.web.pages.kinds import OUTCOME_KINDS, kind_of
from projections.web.parameters import Values
from projections.web.snapshot import Snapshot
from tracker.delivery.envelope import isoformat

PARAMETERS = (
    parameters.time("day", "The day; by default today."),
    parameters.text("account", "Only what is of this account."),
)


def fill(of: Snapshot, asked: Values) -> Values:
    zone = zones.shown_in()
    found = answers_across.overview(of, {**asked, "zone": zone})
    today, day = day_at(of.now, zone).date, date.fromisoformat(found["day"])
    this = Day(day, zone)
    begin = this.begin
    last, account = moment(found["last_at"]), asked["account"]
    today_url, of_it = url(account=account), {"account": account}
    return {
        "title": "Overview",
        "position": found["position"],
        "is_today": day == today,
        "day": day,
        "account": account,
        "accounts": account_links(of, account, day=None if day == today else day),
        "today": today_url,
        "earlier": url(day=day - timedelta(days=1), **of_it),
        "later": url(day=day + timedelta(days=1), **of_it) if day < today else None,
        "empty": not found["position"],
        "last_at": last,
        "last_day": None if last is None else _last_day(day_at(last, zone).date, day, today, of_it),
        "live": {**found["live"], "longest": [_running(one) for one in found["live"]["longest"]]},
        "recordings": _recordings(found["recordings"], this, of_it),
        "found": _findings(found["hours"], day=day),
        "issues": [issue(one, {"since": isoformat(begin), **of_it}) for one in found["issues"]],
        "without_time": _without_time(found["without_time"]),
        "findings_url": url("findings", since=isoformat(begin), **of_it),
        "received": _received(found["deliveries"], found["hours"]),
        "health": found["health"],
        "fresh": _fresh(of, asked["visited"], account),
    }


def _last_day(last: date, day: date, today: date, of_it: Values) -> str | None:
    """Where the day of the last delivery is shown, if that is another one."""
    if last == day:
        return None
    return url(day=None if last == today else last, **of_it)


def _fresh(of: Snapshot, visited: datetime | None, account: str | None) -> Values | None:
    """What became true since the last visit; ``None`` for who has not been here before."""
    if visited is None:
        return None
    rows = counts(of.db, since=text(visited), account=account)
    number = sum(row["number"] for row in rows if row["severity"] in GRAVE)
    there = url("findings", since=isoformat(visited), account=account)
    return {"number": number, "since": visited, "url": there}


def _running(run: Values) -> Values:
    return {
        **run,
        "kind": kind_of(run["lifecycle"], run["state"]),
        "name": run["meeting_id"] or run["session_id"],
        "length": span(run["seconds"]) if run["seconds"] is not None else "",
        "url": url("sessions", run["session_id"]),
    }


def _recordings(numbers: dict[str, int], day: Day, of_it: Values) -> Values:
    """What became of the recordings of the day, as a bar and in words that lead to them."""
    period = {"since": isoformat(day.begin), "until": isoformat(day.end), **of_it}
    narrowed = {"lost": {"state": "lost"}, "failed": {"state": "failed"}, "without a file": {"missing": "true"}}
    outcomes = [
        {
            "name": name,
            "kind": kind,
            "number": numbers[name],
            "url": url("recordings", **narrowed.get(name, {}), **period),
        }
        for name, kind in zip(OUTCOMES, OUTCOME_KINDS, strict=True)
    ]
    return {
        "number": sum(numbers.values()),
        "bad": sum(numbers[name] for name in OUTCOMES[2:]),
        "outcomes": outcomes,
        "bar": bar([numbers[name] for name in OUTCOMES], OUTCOME_KINDS),
        "words": ", ".join(f"{numbers[name]} {name}" for name in OUTCOMES if numbers[name]) or "none",
        "missing_url": url("recordings", missing="true", **period),
    }


def _findings(hours: list[Values], *, day: date) -> Values:
    errors, warnings, before = (
        sum(hour[name] for hour in hours) for name in ("errors", "warnings", "day_before")
    )
    titles = [
        f"{hour['hour'][-2:]}:00  {counted(hour['errors'], 'error')}, {counted(hour['warnings'], 'warning')};"
        f" the day before {hour['day_before']}"
        for hour in hours
    ]
    return {
        "errors": errors,
        "warnings": warnings,
        "before": before,
        "chart": columns(
            [(hour["errors"], hour["warnings"]) for hour in hours],
            ("error", "warning"),
            [hour["day_before"] for hour in hours],
            titles,
        ),
        "words": f"Per hour of {day:%-d %B}: {counted(errors, 'error')} and {counted(warnings, 'warning')} in all,"
        f" {before} the day before",
    }


def _without_time(numbers: dict[str, int]) -> str:
    """How many errors and warnings belong to no day; empty where all have a time."""
    which = ((numbers["errors"], "error"), (numbers["warnings"], "warning"))
    return " and ".join(counted(number, name) for number, name in which if number)


def _received(deliveries: Values, hours: list[Values]) -> Values:
    """How many came, and which share twice or late, each beside the day before."""
    now, before = deliveries["day"], deliveries["day_before"]
    titles = [
        f"{hour['hour'][-2:]}:00  {counted(number, 'delivery', 'deliveries')}"
        for hour, number in zip(hours, now["hours"], strict=True)
    ]
    return {
        "number": now["number"],
        "before": before["number"],
        "shares": [
            {
                "name": name,
                "now": _percent(now[name]),
                "before": _percent(before[name]),
                "worse": _worse(now[name], before[name]),
            }
            for name in ("twice", "late")
        ],
        "chart": columns(
            [(number,) for number in now["hours"]], ("deliveries",), before["hours"][: len(hours)], titles
        ),
        "words": f"Deliveries per hour: {now['number']:,} in all, {before['number']:,} the day before",
    }


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _worse(now: float | None, before: float | None) -> bool:
    """Whether a share has grown by half, and by more than one in a hundred."""
    return now is not None and before is not None and now > 1.5 * before and now - before > 0.01
